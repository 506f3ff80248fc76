"""From recorded logs to records and positions."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Generator, Sequence
from typing import Any, get_args

import pytest

from cdc.core.record import Message, Record
from cdc.core.table import TableId
from cdc.debezium.emit import Emitter
from cdc.debezium.filters import Filters
from cdc.debezium.naming import TopicNaming
from cdc.sources.mysql import schema_changes
from cdc.sources.mysql.binlog import const
from cdc.sources.mysql.binlog.events import Message as LogMessage
from cdc.sources.mysql.binlog.events import TransactionPayload
from cdc.sources.mysql.binlog.rows import RowsEvent
from cdc.sources.mysql.builtin import is_builtin
from cdc.sources.mysql.changes import _REACTIONS, ChangeReader
from cdc.sources.mysql.collations import Collation, Collations
from cdc.sources.mysql.ddl.structure import Structures, TableStructure
from cdc.sources.mysql.ddl.tokens import Dialect
from cdc.sources.mysql.options import parse_mariadb, parse_mysql
from cdc.sources.mysql.position import MySqlPosition
from cdc.sources.mysql.reader_settings import ReaderSettings
from cdc.sources.mysql.source_block import SourceBlock
from cdc.sources.mysql.tables import TableBuilder
from tests.unit.sources.mysql.binlog_files import MARIADB, MYSQL, event, frames

EVERYTHING = 1 << 60


class NoLog:
    """No prepared transaction is looked for again."""

    def files(self) -> Sequence[str]:
        return []

    def read(self, file: str, position: int) -> Generator[bytes, None, None]:
        yield from ()


class Utf8(Collations):
    def get(self, number: int) -> Collation:
        return Collation("utf8mb4", "utf8mb4_bin", 4)


def reader_of(name: str) -> ChangeReader:
    """From the beginning of the log, for one of its tables."""
    mariadb = name.startswith("mariadb")
    given = {"name": "test", "topic.prefix": "test", "database.hostname": "none", "database.user": "none",
             "database.server.id": "1", "snapshot.mode": "no_data", "table.include.list": "shop.t"}
    config, _ = (parse_mariadb if mariadb else parse_mysql)(given)
    naming, filters = TopicNaming.from_config(config), Filters.from_config(config, is_builtin)
    block = SourceBlock(naming, config.flavor.name)

    def reread(ids: Collection[TableId], *, patient: bool = True) -> dict[TableId, TableStructure]:
        return {}

    settings = ReaderSettings(
        config.flavor, Dialect(config.flavor.grammar), Utf8({}), filters,
        schema_changes.Scope(filters, told=False, only_tables=True, only_databases=True), schemas=None,
        follows=lambda source: True, transaction_metadata=False, include_query=False, comments=False,
        on_inconsistency="warn", clock_us=lambda: 0)
    made = ChangeReader(
        settings, emitter=Emitter(skipped=frozenset(), tombstones=False, skip_unchanged=False), block=block,
        builder=TableBuilder(config, naming, filters, (), block.source_schema), structures=Structures(), reread=reread,
        xa_log=NoLog())
    made.resume(MySqlPosition("binlog.000001", 4, ""), by_gtid=False)
    return made


def logged(name: str) -> list[bytes]:
    """The file's events up to where its statements begin to be logged as such."""
    events = frames(name)
    end = next(number for number, each in enumerate(events) if each[4] == const.INTVAR_EVENT)
    gtids = (const.GTID_LOG_EVENT, const.GTID_TAGGED_LOG_EVENT, const.GTID_EVENT)
    return events[:max(number for number in range(end) if events[number][4] in gtids)]


def moved(frame: bytes, by: int) -> bytes:
    """*frame* at a place *by* bytes further on, of which its header has the low 32 bits."""
    position = int.from_bytes(frame[13:17], "little")
    head = frame[:13] + ((position + by) % (1 << 32)).to_bytes(4, "little") + frame[17:-4]
    return head + zlib.crc32(head).to_bytes(4, "little")


def rotate(position: int, file: str, *, made_up: bool, at: int = 0) -> bytes:
    flags = const.LOG_EVENT_ARTIFICIAL_F if made_up else 0
    body = position.to_bytes(8, "little") + file.encode()
    return moved(event(const.ROTATE_EVENT, body, flags=flags, checksum=True), at)


def fed(reader: ChangeReader, events: list[bytes]) -> list[tuple[Any, ...]]:
    for each in events:
        reader.feed(each)
        while reader.payload_open:
            reader.step()
    return shown(reader.emitter.take())


def shown(records: list[Record | Message]) -> list[tuple[Any, ...]]:
    """Op, place and the first two columns of each."""
    return [(record.op, record.source_values, [row and (row.raw(0), row.raw(1)) for row in (record.before,
                                                                                           record.after)])
            for record in records if isinstance(record, Record)]


def test_every_kind_of_event_has_a_reaction() -> None:
    """Rows and payloads have ways of their own."""
    assert set(_REACTIONS) == set(get_args(LogMessage)) - {RowsEvent, TransactionPayload}


@pytest.mark.parametrize("log", [MYSQL, MARIADB])
@pytest.mark.parametrize("start", [(1 << 32) - 1500, (1 << 32) + 70, 3 << 32])
def test_positions_beyond_four_gigabytes_are_followed(log: str, start: int) -> None:
    head, *rest = logged(log)
    near, far = reader_of(log), reader_of(log)
    plain = fed(near, [head, *rest])
    by = start - 4
    begun = [rotate(start, "binlog.000001", made_up=True), moved(head, 0), *(moved(each, by) for each in rest)]
    found = fed(far, begun)
    assert len(plain) == 17
    assert found == [(op, (pos + by, row), rows) for op, (pos, row), rows in plain]
    assert far.position().pos == near.position().pos + by
    assert all(pos > 0 for _, (pos, _), _ in found)


def test_the_next_file_begins_where_the_rotate_says() -> None:
    """And not where the file before ended: a batch may end between the rotate and what the server makes up."""
    reader = reader_of(MYSQL)
    fed(reader, [*logged(MYSQL), rotate(4, "binlog.000002", made_up=False, at=9000)])
    assert (reader.position().file, reader.position().pos) == ("binlog.000002", 4)


@pytest.mark.parametrize("log", [MYSQL, MARIADB])
def test_a_batch_ends_with_enough_records_or_bytes(log: str) -> None:
    """Wherever it ends, the records are the same, and within compressed transactions it may end too."""
    events = logged(log)
    whole = fed(reader_of(log), events)
    for max_records, max_bytes in ((1, EVERYTHING), (EVERYTHING, 1), (3, 500)):
        reader = reader_of(log)
        number, size_bytes, records = 0, 0, []
        while number < len(events) or reader.payload_open:
            number, size = reader.run(events, number, max_records, max_bytes)
            size_bytes += size
            records += shown(reader.emitter.take())
        assert records == whole
        assert size_bytes >= sum(map(len, events))


@pytest.mark.parametrize("log", [MYSQL, MARIADB])
def test_what_was_delivered_is_not_delivered_again(log: str) -> None:
    """From the position after each record, the rest comes and nothing else."""
    events = logged(log)
    whole = fed(reader_of(log), events)
    first = reader_of(log)
    number, delivered = 0, 0
    while number < len(events) or first.payload_open:
        number, _ = first.run(events, number, 1, EVERYTHING)
        delivered += len(first.emitter.take())
        position = first.position()
        again = reader_of(log)
        again.resume(position, by_gtid=False)
        starts = [events[0], *(each for each in events[1:] if _start(each) >= position.pos)]
        assert fed(again, starts) == whole[delivered:]


@pytest.mark.parametrize("log", [MYSQL, MARIADB])
def test_a_statement_in_the_log_does_not_hide_its_transaction(log: str) -> None:
    """The set executed grows at the end of each transaction, also where a RowsQuery event came before its rows."""
    reader, seen, told = reader_of(log), {str(reader_of(log).stream.gtids)}, 0
    in_transaction = False
    for each in logged(log):
        told += each[4] in (const.ROWS_QUERY_LOG_EVENT, const.ANNOTATE_ROWS_EVENT)
        fed(reader, [each])
        if in_transaction and reader.stream.transaction is None:
            assert str(reader.stream.gtids) not in seen
            seen.add(str(reader.stream.gtids))
        in_transaction = reader.stream.transaction is not None
    assert told > 0
    assert len(seen) > 5


@pytest.mark.parametrize("by_gtid", [True, False])
@pytest.mark.parametrize("log", [MYSQL, MARIADB])
def test_a_stop_before_the_transaction_comes_again_forgets_nothing(log: str, by_gtid: bool) -> None:
    events = logged(log)
    first = reader_of(log)
    first.run(events, 0, 2, EVERYTHING)
    position = first.position()
    assert position.event
    again = reader_of(log)
    again.resume(position, by_gtid=by_gtid)
    fed(again, [rotate(4 if by_gtid else position.pos, position.file, made_up=True), moved(events[0], 0)])
    kept = again.position()
    assert (kept.pos, kept.event, kept.row, kept.transaction) == (
        position.pos, position.event, position.row, position.transaction)


def _start(frame: bytes) -> int:
    return int.from_bytes(frame[13:17], "little") - len(frame)
