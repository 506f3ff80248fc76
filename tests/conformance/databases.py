"""One adapter for each kind of database: how to write to it, and how a connector for it is configured and built."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from cdc import plugins
from cdc.core.interfaces import Source
from tests.conftest import BinlogDatabase, Database

PREFIX: Final = "srv"
_server_ids = itertools.count(8500)
_CLASSES: Final = {
    "postgres": "io.debezium.connector.postgresql.PostgresConnector",
    "mysql": "io.debezium.connector.mysql.MySqlConnector",
    "mariadb": "io.debezium.connector.mariadb.MariaDbConnector",
}


class SourceDatabase(Protocol):
    """An empty database of one test, and what the suite must know of its kind."""

    @property
    def schema(self) -> str:
        """The second part of the topics' names, and the first of the tables' names in filters."""

    def execute(self, query: str) -> list[tuple[Any, ...]]: ...

    def transaction(self, *statements: str) -> None:
        """Run *statements* and commit them together."""

    def create(self, table: str, columns: str) -> None:
        """Make *table*, so that the log has whole old rows of it."""

    def configuration(self) -> dict[str, str]:
        """What a connector that captures this database is told, without a snapshot of rows."""

    def sessions(self) -> set[int]:
        """The connections that the server has now, by number; not the one that asks."""

    def kept_from(self) -> int | None:
        """From where on the server keeps its log for the connector; None if it keeps it for nobody."""

    def lose_log(self) -> None:
        """Make the server forget the log that is written already."""


@dataclass(frozen=True)
class PostgresSide:
    database: Database
    schema: str = "public"

    @property
    def slot(self) -> str:
        """Slots belong to the whole server, so their names must differ."""
        return f"conformance_{self.database.name}"

    def execute(self, query: str) -> list[tuple[Any, ...]]:
        return self.database.execute(query)

    def transaction(self, *statements: str) -> None:
        with self.database.connect(autocommit=False) as conn:
            for statement in statements:
                conn.execute(statement.encode())

    def create(self, table: str, columns: str) -> None:
        self.execute(f"CREATE TABLE {table} ({columns}); ALTER TABLE {table} REPLICA IDENTITY FULL")

    def configuration(self) -> dict[str, str]:
        server = self.database.server
        return {
            **_configuration("postgres"), "plugin.name": "pgoutput", "slot.name": self.slot,
            "database.hostname": server.host, "database.port": str(server.port), "database.user": server.user,
            "database.dbname": self.database.name,
        }

    def sessions(self) -> set[int]:
        """A slot's process may outlive its connection for a moment; it is in here too."""
        return {pid for (pid,) in self.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")}

    def kept_from(self) -> int | None:
        (lsn,), = self.execute("SELECT (confirmed_flush_lsn - '0/0'::pg_lsn)::bigint FROM pg_replication_slots "
                               f"WHERE slot_name = '{self.slot}'")
        return int(lsn)

    def lose_log(self) -> None:
        self.execute(f"SELECT pg_drop_replication_slot('{self.slot}')")


@dataclass(frozen=True)
class BinlogSide:
    database: BinlogDatabase

    @property
    def schema(self) -> str:
        return self.database.name

    def execute(self, query: str) -> list[tuple[Any, ...]]:
        return self.database.execute(query)

    def transaction(self, *statements: str) -> None:
        with self.database.connect(autocommit=False) as conn, conn.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            conn.commit()

    def create(self, table: str, columns: str) -> None:
        self.execute(f"CREATE TABLE {table} ({columns})")

    def configuration(self) -> dict[str, str]:
        server = self.database.server
        return {
            **_configuration(server.flavor), "database.hostname": server.host, "database.port": str(server.port),
            "database.user": server.user, "database.server.id": str(next(_server_ids)),
            "database.include.list": self.database.name, "include.schema.changes": "false",
        }

    def sessions(self) -> set[int]:
        return {number for (number,) in self.execute(
            "SELECT id FROM information_schema.processlist WHERE id <> CONNECTION_ID()")}

    def kept_from(self) -> int | None:
        return None

    def lose_log(self) -> None:
        self.database.server.purge_binlogs()


def _configuration(kind: str) -> dict[str, str]:
    return {"name": "conformance", "connector.class": _CLASSES[kind], "topic.prefix": PREFIX,
            "snapshot.mode": "no_data"}


def make_source(configuration: Mapping[str, str]) -> Source:
    """As the worker makes it, by its plugin. Raises ConfigError."""
    plugin = plugins.find("connector", configuration["connector.class"])
    settings, _ = plugin.load_parse()(configuration)
    source: Source = plugin.load()(settings)
    return source
