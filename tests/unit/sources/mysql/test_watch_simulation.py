"""Histories of a server, its tables and the connector's lists and restarts, by a seed: in the end the rows that events
made are the rows of each captured table, or a warning or an error names the table. Lawful histories give neither."""

from __future__ import annotations

import functools
import random
import re
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Any, Final

import pytest
from structlog.testing import capture_logs

from cdc.core.errors import SourceRefusedError
from cdc.core.record import Record
from cdc.core.table import TableId
from cdc.debezium.emit import Emitter
from cdc.debezium.filters import Filters
from cdc.debezium.naming import TopicNaming
from cdc.sources.mysql import catalog, roll, schema_changes, unlogged
from cdc.sources.mysql.binlog import const
from cdc.sources.mysql.builtin import is_builtin
from cdc.sources.mysql.changes import ChangeReader
from cdc.sources.mysql.ddl import statements as ddl
from cdc.sources.mysql.ddl.structure import Structures, TableStructure, dump, load
from cdc.sources.mysql.ddl.tokens import Dialect
from cdc.sources.mysql.options import parse_mariadb
from cdc.sources.mysql.reader_settings import ReaderSettings
from cdc.sources.mysql.roll import Roll
from cdc.sources.mysql.source_block import SourceBlock
from cdc.sources.mysql.tables import TableBuilder
from cdc.sources.mysql.unlogged import Channel, Coverage, Filter
from cdc.sources.shared.warnings import Warnings
from tests.unit.sources.mysql.made_log import MadeLog
from tests.unit.sources.mysql.test_changes import NoLog, Utf8, fed
from tests.unit.sources.mysql.test_watched import FACTS

HISTORIES: Final = 2000
FILE: Final = "binlog.000001"
INT: Final = (const.MYSQL_TYPE_LONG, b"")
COLUMNS: Final = "(id INT PRIMARY KEY, v INT)"
LISTS: Final = ("shop[.].*", "shop[.](t1|t2)", "(shop|hidden)[.].*")
LAWFUL: Final = ("insert", "insert", "update", "delete", "create", "commit", "restart")
ALL: Final = (*LAWFUL, "statement", "drop", "truncate", "rename", "swap", "partition", "exchange", "secret", "lists",
              "replica", "replicated", "hidden")
Rows = dict[int, int]


def table(name: str, database: str = "shop") -> TableId:
    return TableId(database, "", name)


def image(number: int, value: int) -> list[bytes | None]:
    return [number.to_bytes(4, "little"), value.to_bytes(4, "little")]


class Server:
    """Its tables, and its log. The database `hidden` is not logged (binlog_ignore_db), nor what it replicates."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.log = MadeLog()
        self.tables: dict[TableId, Rows] = {}
        self.channels: list[Channel] = []
        self.events = self.log.take()

    @property
    def end(self) -> tuple[str, int]:
        self.events += self.log.take()
        return FILE, int.from_bytes(self.events[-1][13:17], "little")

    def any(self) -> TableId | None:
        return self.dice.choice(sorted(self.tables, key=str)) if self.tables else None

    def new(self, database: str = "") -> TableId:
        while True:
            id = table(f"t{self.dice.randrange(40)}", database or self.dice.choice(["shop", "shop", "side"]))
            if id not in self.tables:
                return id

    def say(self, statement: str) -> None:
        self.log.statement(statement)

    def write(self, id: TableId, op: str, *, logged: bool = True) -> None:
        rows = self.tables[id]
        number = self.dice.randrange(6) if op == "c" else self.dice.choice(sorted(rows) or [0])
        value = self.dice.randrange(1000)
        if (op == "c") == (number in rows):
            return
        images = {"c": [image(number, value)], "u": [image(number, rows.get(number, 0)), image(number, value)],
                  "d": [image(number, rows.get(number, 0))]}[op]
        if op == "d":
            del rows[number]
        else:
            rows[number] = value
        if logged and id.catalog != "hidden":
            self.log.rows(id.table, (INT, INT), (op, images), database=id.catalog, nullable=2)


@dataclass
class Connector:
    """What is stored, and what consumers have."""

    server: Server
    lists: str
    mode: str
    delivered: dict[TableId, Rows] = field(default_factory=dict)
    named: set[str] = field(default_factory=set)
    error: str = ""

    def __post_init__(self) -> None:
        self.config, self.filters = configured(self.lists, self.mode)
        known = Structures()
        for id, rows in self.server.tables.items():
            if self.filters.table(id):
                known.put(made(id))
                self.delivered[id] = dict(rows)
        self.stored = (self.server.end[1], dump(known))
        self.pending: list[tuple[str, TableId, Any, Any]] = []
        self.start()

    def start(self) -> None:
        """From the stored position; what was read after it comes again."""
        self.config, self.filters = configured(self.lists, self.mode)
        naming = TopicNaming.from_config(self.config)
        self.warnings = Warnings()
        block = SourceBlock(naming, "mariadb")
        self.structures = load(self.stored[1])
        settings = ReaderSettings(
            self.config.flavor, Dialect(self.config.flavor.grammar), Utf8({}), self.filters,
            schema_changes.Scope(self.filters, told=False, only_tables=True, only_databases=True), schemas=None,
            follows=lambda source: True, transaction_metadata=False, include_query=False, comments=False,
            on_inconsistency="fail", clock_us=lambda: 0, warnings=self.warnings)
        self.reader = ChangeReader(
            settings, emitter=Emitter(skipped=frozenset(), tombstones=False, skip_unchanged=False), block=block,
            builder=TableBuilder(self.config, naming, self.filters, (), block.source_schema),
            structures=self.structures, reread=self.reread, xa_log=NoLog())
        self.reader.stream.file, self.reader.stream.pos = FILE, self.stored[0]
        self.at = self.stored[0]
        self.pending = []
        self.roll = Roll(self.filters, self.warnings)
        self.coverage = Coverage(self.filters, self.warnings, fail=self.mode == "fail")
        fed(self.reader, [self.server.events[0]])

    def reread(self, ids: Collection[TableId], *, patient: bool = True) -> dict[TableId, TableStructure]:
        return {id: made(id) for id in ids if id in self.server.tables}

    def read(self) -> None:
        """To the end of the log; then the monitor looks twice."""
        if self.error:
            return
        end, conn = self.server.end[1], None
        try:
            for event in self.server.events:
                if int.from_bytes(event[13:17], "little") > self.at:
                    self.reader.feed(event)
            self.at = end
            self.note(self.reader.emitter.take())
            for _ in range(2):
                lost = self.coverage.look(conn, FACTS_OF_A_REPLICA)  # type: ignore[arg-type]
                if lost is not None:
                    raise lost
                self.roll.look(conn)  # type: ignore[arg-type]
                self.roll.compare(FILE, end, self.structures)
        except SourceRefusedError as exc:
            self.error = f"{exc.message} {exc.context}"
        self.named |= {each.about for each in self.warnings.active()}

    def note(self, records: list[Any]) -> None:
        for each in records:
            if isinstance(each, Record):
                catalog_name, _, name = each.table.id.catalog, "", each.table.id.table
                after = each.after and (number(each.after, 0), number(each.after, 1))
                before = each.before and number(each.before, 0)
                self.pending.append((each.op, table(name, catalog_name), before, after))

    def commit(self) -> None:
        self.read()
        if self.error:
            return
        for op, id, before, after in self.pending:
            rows = self.delivered.setdefault(id, {})
            if op == "t":
                rows.clear()
            if before is not None:
                rows.pop(before, None)
            if after is not None:
                rows[after[0]] = after[1]
        self.pending = []
        kept = [each for each in self.structures if self.filters.table(each.id)]
        self.stored = (self.at, dump(self.structures, kept))


@functools.cache
def configured(lists: str, mode: str) -> tuple[Any, Filters]:
    config = parse_mariadb({
        "name": "test", "topic.prefix": "test", "database.hostname": "none", "database.user": "none",
        "database.server.id": "1", "snapshot.mode": "no_data", "table.include.list": lists,
        "skipped.operations": "none", "cdc.unlogged.changes": mode})[0]
    return config, Filters.from_config(config, is_builtin)


def number(row: Any, index: int) -> int:
    return int.from_bytes(row.raw(index), "little")


@functools.cache
def made(id: TableId) -> TableStructure:
    return ddl.read_create(f"CREATE TABLE `{id.table}` {COLUMNS}", id.catalog, Structures(), DIALECT)


DIALECT: Final = Dialect()
FACTS_OF_A_REPLICA: Final = replace(FACTS, logs_replicated=False)


def step(action: str, server: Server, connector: Connector, dice: random.Random) -> None:
    id, other = server.any(), server.any()
    ops = {"insert": "c", "update": "u", "delete": "d"}
    if action == "create":
        fresh = server.new()
        server.tables[fresh] = {}
        server.say(f"CREATE TABLE {fresh} {COLUMNS}")
    elif action == "commit":
        connector.commit()
    elif action == "restart":
        connector.read()
        connector.start()
    elif action == "lists":
        connector.read()
        connector.lists = dice.choice(LISTS)
        connector.start()
    elif action == "secret":
        server.tables[server.new()] = {1: 1}
    elif action == "hidden":
        server.tables.setdefault(table("t1", "hidden"), {})[dice.randrange(9)] = 1
    elif action == "replica":
        server.channels = [] if server.channels else [Channel("primary:3306", Filter(frozenset({"shop"})))]
        connector.read()
    elif id is None or other is None or "hidden" in (id.catalog, other.catalog):
        return
    elif action in ops:
        server.write(id, ops[action])
    elif action == "statement":
        server.tables[id][9] = 9
        server.log._gtid(0)
        server.log.query(f"INSERT INTO {id} VALUES (9, 9)".encode())
        server.log.add(const.XID_EVENT, b"\0" * 8)
    elif action == "replicated":
        if server.channels and id.catalog == "shop":
            server.write(id, "c", logged=False)
    elif action == "drop":
        del server.tables[id]
        server.say(f"DROP TABLE {id}")
    elif action == "truncate":
        server.tables[id].clear()
        server.say(f"TRUNCATE TABLE {id}")
    elif action == "partition":
        server.tables[id].clear()
        server.say(f"ALTER TABLE {id} TRUNCATE PARTITION p0")
    elif action == "rename":
        fresh = server.new()
        server.tables[fresh] = server.tables.pop(id)
        server.say(f"RENAME TABLE {id} TO {fresh}")
    elif id != other:
        server.tables[id], server.tables[other] = server.tables[other], server.tables[id]
        server.say(f"ALTER TABLE {id} EXCHANGE PARTITION p WITH TABLE {other}" if action == "exchange" else
                   f"RENAME TABLE {id} TO shop.x, {other} TO {id}, shop.x TO {other}")


def history(seed: int, actions: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> tuple[Server, Connector, str]:
    dice = random.Random(seed)
    server = Server(dice)
    monkeypatch.setattr(catalog, "database_names", lambda conn: ["shop", "side", "hidden"])
    monkeypatch.setattr(catalog, "tables_in", lambda conn, databases, wanted: [
        id for id in server.tables if id.catalog in databases and wanted(id)])
    monkeypatch.setattr(catalog, "list_tables", lambda conn, wanted: {id: 0 for id in server.tables if wanted(id)})
    monkeypatch.setattr(unlogged, "log_filter", lambda conn: Filter(never=frozenset({"hidden"})))
    monkeypatch.setattr(unlogged, "read_channels", lambda conn, facts, warnings: list(server.channels))
    monkeypatch.setattr(roll, "log_status", lambda conn: server.end)
    for name in ("t1", "t2"):
        server.tables[table(name)] = {1: 1}
    connector = Connector(server, dice.choice(LISTS) if actions is ALL else LISTS[0], dice.choice(["fail", "warn"]))
    done = []
    for _ in range(dice.randrange(4, 25)):
        done.append(dice.choice(actions))
        step(done[-1], server, connector, dice)
    connector.commit()
    if not connector.error:  # tables that nobody sees being made are found by the next stream
        connector.start()
        connector.commit()
    return server, connector, " ".join(done)


@pytest.mark.parametrize("part", range(4))
def test_a_row_that_is_not_delivered_has_a_warning_or_an_error(part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(part * HISTORIES // 4, (part + 1) * HISTORIES // 4):
        with capture_logs():
            server, connector, done = history(seed, ALL, monkeypatch)
        if connector.error:
            # A replica whose captured tables are still to come has no names to tell.
            assert re.search(r"(shop|side)\.t\d+|: hidden\.|is a replica", connector.error), (seed, connector.error)
            continue
        names = {*server.tables, *connector.delivered}
        wrong = {id for id in names if connector.filters.table(id)
                 and server.tables.get(id, {}) != connector.delivered.get(id, {})}
        silent = {id for id in wrong if not connector.named & {str(id), id.catalog}}
        assert not silent, (seed, done, silent, connector.named)


@pytest.mark.parametrize("part", range(2))
def test_a_lawful_history_gives_neither(part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(part * HISTORIES // 4, (part + 1) * HISTORIES // 4):
        with capture_logs():
            server, connector, done = history(seed, LAWFUL, monkeypatch)
        assert (connector.error, connector.named) == ("", set()), (seed, done)
        for id, rows in server.tables.items():
            if connector.filters.table(id):
                assert connector.delivered.get(id, {}) == rows, (seed, done, id)
