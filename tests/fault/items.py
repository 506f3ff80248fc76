"""The table that faults are tried on, on each kind of database: how it is made, written, read, and captured."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import psycopg
import pymysql

from tests.conftest import BinlogDatabase, Database
from tests.fault.pipeline import binlog_options, source_options
from tests.servers.postgres import PostgresServer
from tests.servers.server import Server

LOST = (psycopg.OperationalError, pymysql.OperationalError, pymysql.InterfaceError)
"""What a session ends with when its server goes away."""

_numbers = itertools.count(1)
_TABLE = "CREATE TABLE items (id int PRIMARY KEY, name {text} NOT NULL, version int NOT NULL DEFAULT 0)"
_BACKLOG = "INSERT INTO items (id, name) {rows}"


class Items(Protocol):
    """A database with the table; its connections are in autocommit."""

    @property
    def server(self) -> Server: ...

    @property
    def schema(self) -> str:
        """The second part of the topics' names."""

    def create(self) -> None: ...

    def connect(self) -> Any: ...

    def execute(self, query: str) -> list[tuple[Any, ...]]: ...

    def add(self, first: int, last: int) -> None:
        """Rows of these ids, in one transaction."""

    def options(self, topic_prefix: str) -> dict[str, str]:
        """What a connector is told."""

    def streams(self, topic_prefix: str) -> set[tuple[int, str]]:
        """The server's side of the connector's replication connection: its number, and the last it heard from it."""


@dataclass(frozen=True)
class PostgresItems:
    database: Database
    schema: str = "public"

    @property
    def server(self) -> Server:
        return self.database.server

    def create(self) -> None:
        self.execute(_TABLE.format(text="text"))

    def connect(self) -> Any:
        return self.database.connect()

    def execute(self, query: str) -> list[tuple[Any, ...]]:
        return self.database.execute(query)

    def add(self, first: int, last: int) -> None:
        self.execute(_BACKLOG.format(rows=f"SELECT g, 'a row of the backlog, number ' || g "
                                          f"FROM generate_series({first}, {last}) g"))

    def options(self, topic_prefix: str) -> dict[str, str]:
        return source_options(self.database.server, self.database.name, topic_prefix)

    def streams(self, topic_prefix: str) -> set[tuple[int, str]]:
        return set(self.execute(
            "SELECT r.pid, r.reply_time::text FROM pg_stat_replication r JOIN pg_replication_slots s "
            f"ON s.active_pid = r.pid WHERE s.slot_name = '{topic_prefix.lower()}'"))


@dataclass(frozen=True)
class BinlogItems:
    database: BinlogDatabase
    former: frozenset[int] = frozenset()
    """Readers of earlier tests, which have gone. The server misses one only when it has something to send to it."""

    @property
    def server(self) -> Server:
        return self.database.server

    @property
    def schema(self) -> str:
        return self.database.name

    def create(self) -> None:
        self.execute(_TABLE.format(text="varchar(200)"))

    def connect(self) -> Any:
        return self.database.connect()

    def execute(self, query: str) -> list[tuple[Any, ...]]:
        return self.database.execute(query)

    def add(self, first: int, last: int) -> None:
        rows = ", ".join(f"({number}, 'a row of the backlog, number {number}')" for number in range(first, last + 1))
        self.execute(_BACKLOG.format(rows=f"VALUES {rows}"))

    def options(self, topic_prefix: str) -> dict[str, str]:
        return {**binlog_options(self.database.server), "topic.prefix": topic_prefix,
                "database.include.list": self.database.name, "include.schema.changes": "false"}

    def streams(self, topic_prefix: str) -> set[tuple[int, str]]:
        """A binary log is sent to whoever reads it, and nobody answers."""
        return {(number, "") for number in readers_of(self.database) - self.former}


def readers_of(database: BinlogDatabase) -> frozenset[int]:
    """The connections of its server that read the binary log."""
    return frozenset(number for (number,) in database.execute(
        "SELECT id FROM information_schema.processlist WHERE command LIKE 'Binlog Dump%'"))


@contextmanager
def fresh_items(server: Any) -> Iterator[Items]:
    """The table in a database of its own on *server*, which is dropped in the end."""
    name = server.create_database(f"items_{os.getpid()}_{next(_numbers)}")
    if isinstance(server, PostgresServer):
        items: Items = PostgresItems(Database(server, name))
    else:
        database = BinlogDatabase(server, name)
        items = BinlogItems(database, readers_of(database))
    items.create()
    yield items
    server.drop_database(name)
