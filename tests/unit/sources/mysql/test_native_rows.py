"""What C makes of recorded logs is what the plain reader and converter make of them."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from cdc import native
from cdc.converters.plan import ColumnFailures
from cdc.converters.records import RecordConverter
from cdc.core.avro import Writer, write_value
from cdc.core.errors import CdcError
from cdc.core.interfaces import Outgoing
from cdc.core.record import Record
from cdc.core.schema import Schema
from cdc.core.table import TableId
from cdc.debezium.emit import Emitter
from cdc.debezium.filters import Filters
from cdc.debezium.naming import TopicNaming
from cdc.sources.mysql import schema_changes
from cdc.sources.mysql.binlog import const
from cdc.sources.mysql.binlog.rows import ROWS_EVENTS
from cdc.sources.mysql.builtin import is_builtin
from cdc.sources.mysql.changes import ChangeReader
from cdc.sources.mysql.ddl.structure import Structures, TableStructure
from cdc.sources.mysql.ddl.tokens import Dialect
from cdc.sources.mysql.native_rows import native_rows
from cdc.sources.mysql.options import parse_mariadb, parse_mysql
from cdc.sources.mysql.position import MySqlPosition
from cdc.sources.mysql.reader_settings import ReaderSettings
from cdc.sources.mysql.source_block import SourceBlock
from cdc.sources.mysql.tables import TableBuilder
from tests.unit.sources.mysql import binlog_files
from tests.unit.sources.mysql.binlog_files import (
    ALL,
    MARIADB,
    MYSQL,
    Maps,
    resized,
)
from tests.unit.sources.mysql.test_changes import NoLog, Utf8

pytestmark = pytest.mark.skipif(native.module("mysql") is None, reason="no native modules were built")

NOW_US = 1_700_000_000_123_456
EVERYTHING = 1 << 60
COMPRESSED = (const.TRANSACTION_PAYLOAD_EVENT, *range(const.WRITE_ROWS_COMPRESSED_EVENT_V1,
                                                       const.DELETE_ROWS_COMPRESSED_EVENT + 1))
MODES: dict[str, dict[str, str]] = {
    "defaults": {},
    "texts": {"decimal.handling.mode": "string", "bigint.unsigned.handling.mode": "precise",
              "binary.handling.mode": "base64", "time.precision.mode": "isostring"},
    "connect": {"decimal.handling.mode": "double", "time.precision.mode": "connect", "tombstones.on.delete": "false",
                "enable.time.adjuster": "false"},
    "masked": {"column.mask.with.5.chars": ".*\\.name", "column.truncate.to.3.chars": ".*",
               "skipped.operations": "u"},
    "metadata": {"provide.transaction.metadata": "true"},
    "changed": {"skip.messages.without.change": "true", "include.query": "true"},
    "unchanged and cut": {"skip.messages.without.change": "true", "column.truncate.to.3.chars": ".*",
                          "provide.transaction.metadata": "true"},
}


class Prefixed:
    """An Avro converter without a registry."""

    null_is_default = True

    def wire_prefix(self, topic: str, schema: Schema) -> bytes:
        return b"\0" + len(topic).to_bytes(4, "big")

    def from_connect(self, topic: str, schema: Schema | None, value: Any) -> bytes | None:
        if schema is None:
            return None
        out = Writer()
        write_value(out, schema, value)
        return self.wire_prefix(topic, schema) + out.take()


@dataclass
class World:
    """A reader and a converter, both with C or both without."""

    reader: ChangeReader
    converter: RecordConverter
    reports: list[Any] = field(default_factory=list)
    outgoings: list[Outgoing] = field(default_factory=list)
    told: list[Any] = field(default_factory=list)

    def feed(self, events: list[bytes], limit: int = EVERYTHING) -> World:
        at = 0
        while at < len(events) or self.reader.payload_open:
            at, size = self.reader.run(events, at, limit, EVERYTHING)
            self.take(limit, size)
        return self

    def take(self, limit: int, size: int = 0) -> None:
        emitter = self.reader.emitter
        count, place = self.reader.ready(max(1, limit // 2))
        records = emitter.take(count)
        failed: list[Any] = []
        if self.reader.native is not None:
            records = self.reader.native.batch(records)
            encoded = self.converter.encode(records, NOW_US, failed)
            found = [encoded.outgoing(index) for index in range(len(encoded))]
        else:
            found = self.converter.convert(records, NOW_US, failed)
        self.outgoings += found
        self.told.append((place, size, len(records), emitter.take_counts(),
                          emitter.take_commits(self.reader.last_time_us), emitter.filtered, emitter.size(),
                          [(str(each.error), each.stage, shown(each.record)) for each in failed]))


def world(name: str, mode: str, *, native_modules: bool, position: MySqlPosition | None = None,
          tolerant: bool = False) -> World:
    mariadb = name.startswith("mariadb")
    given = {"name": "test", "topic.prefix": "test", "database.hostname": "none", "database.user": "none",
             "database.server.id": "1", "snapshot.mode": "no_data", "table.exclude.list": "shop.part,shop.ai",
             **MODES[mode]}
    config, _ = (parse_mariadb if mariadb else parse_mysql)(given)
    naming, filters = TopicNaming.from_config(config), Filters.from_config(config, is_builtin)
    block = SourceBlock(naming, config.flavor.name)

    def reread(ids: Collection[TableId], *, patient: bool = True) -> dict[TableId, TableStructure]:
        return {}

    settings = ReaderSettings(
        config.flavor, Dialect(config.flavor.grammar), Utf8({}), filters,
        schema_changes.Scope(filters, told=False, only_tables=True, only_databases=True), schemas=None,
        follows=lambda source: True, transaction_metadata=config.provide_transaction_metadata,
        include_query=config.include_query, comments=False, on_inconsistency="warn", clock_us=lambda: 0)
    emitter = Emitter(skipped=frozenset(config.skipped_operations), tombstones=config.tombstones_on_delete,
                      skip_unchanged=config.skip_messages_without_change)
    reader = ChangeReader(
        settings, emitter=emitter, block=block,
        builder=TableBuilder(config, naming, filters, config.column_mappers, block.source_schema),
        structures=Structures(), reread=reread, xa_log=NoLog())
    if native_modules:
        reader.native = native_rows(reader)
    reader.resume(position or MySqlPosition("binlog.000001", 4, ""), by_gtid=False)
    reports: list[Any] = []
    converter: Any = Prefixed()
    return World(reader, RecordConverter(
        converter, converter, converter, ColumnFailures("warn", lambda *report: reports.append(report)),
        [("context", "test")], tolerant=tolerant), reports)


def frames(name: str) -> list[bytes]:
    """The events of a file up to the transaction in which changes begin to be logged as statements."""
    events = binlog_files.frames(name)
    end = next((number for number, each in enumerate(events) if each[4] == const.INTVAR_EVENT), len(events))
    gtids = (const.GTID_LOG_EVENT, const.ANONYMOUS_GTID_LOG_EVENT, const.GTID_TAGGED_LOG_EVENT, const.GTID_EVENT)
    return events[:max(number for number in range(end) if events[number][4] in gtids)]


def worlds(name: str, mode: str = "defaults", **more: Any) -> tuple[World, World]:
    return world(name, mode, native_modules=False, **more), world(name, mode, native_modules=True, **more)


def assert_alike(plain: World, fast: World) -> None:
    assert fast.outgoings == plain.outgoings
    assert fast.told == plain.told
    assert fast.reports == plain.reports


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ALL)
def test_recorded_logs_give_the_same_messages(name: str, mode: str) -> None:
    plain, fast = worlds(name, mode)
    assert_alike(plain.feed(frames(name)), fast.feed(frames(name)))
    if name in (MYSQL, MARIADB):
        assert len(plain.outgoings) > 10


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
@pytest.mark.parametrize("name", [MYSQL, MARIADB])
def test_batches_end_at_the_same_places(name: str, limit: int) -> None:
    plain, fast = worlds(name)
    assert_alike(plain.feed(frames(name), limit), fast.feed(frames(name), limit))


@pytest.mark.parametrize("name", [MYSQL, MARIADB])
def test_a_stream_resumes_within_a_transaction_as_before(name: str) -> None:
    first = world(name, "defaults", native_modules=True).feed(frames(name), 1)
    for place in {told[0] for told in first.told if told[0].event or told[0].row}:
        plain, fast = worlds(name, position=place)
        events = [each for each in frames(name) if each[4] == 15 or int.from_bytes(each[13:17], "little") > place.pos]
        assert_alike(plain.feed(events), fast.feed(events))


@pytest.mark.parametrize("name", [MYSQL, MARIADB])
def test_others_see_the_records_that_the_plain_reader_makes(name: str) -> None:
    plain, fast = worlds(name)
    for each in (plain, fast):
        each.reader.run(frames(name), 0, EVERYTHING, EVERYTHING)
    assert fast.reader.native is not None
    seen = fast.reader.native.batch(fast.reader.emitter.take())
    assert [shown(each) for each in seen] == [shown(each) for each in plain.reader.emitter.take()]


def shown(record: Any) -> Any:
    if not isinstance(record, Record):
        return record

    def cells(row: Any) -> Any:
        return row and [(row.kind(index), row.raw(index)) for index in range(row.count)]

    return (record.op, str(record.table.id), *map(cells, (record.before, record.after, record.key_row, record.other)),
            record.source.merged(record.source_values), record.block, len(record.key_headers))


@pytest.mark.parametrize("name", [MYSQL, MARIADB])
def test_most_rows_of_a_log_with_full_images_are_written_in_c(name: str) -> None:
    fast = world(name, "defaults", native_modules=True)
    fast.reader.run(frames(name), 0, EVERYTHING, EVERYTHING)
    assert fast.reader.native is not None
    batch = fast.reader.native.batch(fast.reader.emitter.take())
    assert batch.foreign_count() < len(batch) / 2


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("mode", ["defaults", "metadata", "changed", "unchanged and cut"])
@pytest.mark.parametrize("name", [MYSQL, MARIADB])
def test_rows_without_all_columns(name: str, mode: str, seed: int) -> None:
    """binlog_row_image MINIMAL and NOBLOB, and images that no server writes."""
    pick, maps = random.Random(seed), Maps(name)

    def lacking(frame: bytes) -> bytes:
        lacks = pick.random()
        if frame[4] not in ROWS_EVENTS or lacks > 0.7:
            return frame
        with_key = pick.random() < 0.9
        return maps.lacking(frame, lambda which, in_key: (in_key and with_key) or pick.random() > lacks)

    events = [lacking(frame) for frame in frames(name)]
    limit = pick.choice((3, EVERYTHING))
    found = []
    for each in worlds(name, mode, tolerant=True):
        try:
            each.feed(events, limit)
            error = ""
        except CdcError as exc:
            error = f"{type(exc).__name__} {exc} {exc.context}"
            each.take(EVERYTHING)
        found.append((each, error))
    (plain, plain_error), (fast, fast_error) = found
    assert fast_error == plain_error
    assert_alike(plain, fast)


@pytest.mark.parametrize("name", [MYSQL, MARIADB])
def test_most_rows_with_minimal_images_are_read_in_c(name: str) -> None:
    maps = Maps(name)
    events = [maps.lacking(frame, lambda which, in_key: in_key or which == "after") if frame[4] in ROWS_EVENTS
              else frame for frame in frames(name)]
    fast = world(name, "defaults", native_modules=True)
    fast.reader.run(events, 0, EVERYTHING, EVERYTHING)
    assert fast.reader.native is not None
    batch = fast.reader.native.batch(fast.reader.emitter.take())
    assert batch.foreign_count() < len(batch) / 2


@pytest.mark.parametrize("mode", ["defaults", "metadata"])
@pytest.mark.parametrize("name", [MYSQL, MARIADB])
def test_rows_of_compressed_events_are_read_in_c(name: str, mode: str) -> None:
    """binlog_transaction_compression of MySQL, log_bin_compress of MariaDB."""
    reader = world(name, mode, native_modules=True).reader
    found: list[Any] = []
    for event in frames(name):
        before = len(reader.emitter.records)
        reader.run([event], 0, EVERYTHING, EVERYTHING)
        while reader.payload_open:
            reader.run([], 0, EVERYTHING, EVERYTHING)
        if event[4] in COMPRESSED:
            found += reader.emitter.records[before:]
    assert found
    assert not any(isinstance(each, Record) for each in found)


def damaged(name: str, seed: int) -> Iterator[list[bytes]]:
    """The log with other bytes in one rows event."""
    pick = random.Random(seed)
    events = frames(name)
    checksum = name.endswith("full")
    for number, event in enumerate(events):
        if event[4] not in ROWS_EVENTS:
            continue
        for _ in range(6):
            body = bytearray(event[19:-4] if checksum else event[19:])
            kind = pick.randrange(3)
            if kind == 0:
                body[pick.randrange(8, len(body))] = pick.choice((0, 1, 127, 128, 255, pick.randrange(256)))
            elif kind == 1:
                del body[pick.randrange(8, len(body)):]
            else:
                body += bytes(pick.randrange(256) for _ in range(pick.randrange(1, 9)))
            yield [*events[:number], resized(event, bytes(body), checksum)]


@pytest.mark.parametrize("name", ALL)
def test_damaged_rows_give_the_same_messages_or_the_same_error(name: str) -> None:
    for events in damaged(name, 7):
        found = []
        for each in worlds(name, tolerant=True):
            try:
                each.feed(events[:-1])
                each.feed(events[-1:])
                error = ""
            except CdcError as exc:
                error = f"{type(exc).__name__} {exc} {exc.context}"
                each.take(EVERYTHING)  # what was read before it
            found.append((each, error))
        (plain, plain_error), (fast, fast_error) = found
        assert fast_error == plain_error
        assert_alike(plain, fast)
