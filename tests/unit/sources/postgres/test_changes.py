"""Frames to records: operations, keys, metadata, restarts, and transactions whose end is not known yet."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest

from cdc.codecs.postgres.text import IntCodec
from cdc.codecs.text import TextCodec
from cdc.converters.plan import AvroPlan, ColumnFailures, ValuePlan
from cdc.core.errors import ConvertError, PositionLostError, ProtocolError
from cdc.core.record import Message, Record
from cdc.core.row import ABSENT, NULL
from cdc.core.row import UNCHANGED as UNCHANGED_KIND
from cdc.core.schema import INT32, STRING, Schema
from cdc.core.table import Column, TableId
from cdc.debezium.emit import NEW_KEY, OLD_KEY, Emitter
from cdc.debezium.naming import TopicNaming
from cdc.debezium.schemas import make_table_schema, postgres_source_schema
from cdc.sources.postgres.changes import ChangeReader
from cdc.sources.postgres.options import parse_postgres
from cdc.sources.postgres.position import PostgresPosition
from cdc.sources.postgres.protocol import Relation
from cdc.sources.postgres.relations import RelationState
from cdc.sources.postgres.source_block import SourceBlock
from cdc.sources.postgres.spill import Spill
from cdc.sources.postgres.witness import Shown
from tests.unit.sources.postgres.pgoutput_frames import (
    STREAM_STOP,
    UNCHANGED,
    begin,
    begin_prepare,
    commit,
    commit_prepared,
    delete,
    insert,
    message,
    origin,
    prepare,
    relation,
    rollback_prepared,
    stream_abort,
    stream_commit,
    stream_start,
    truncate,
    update,
    xlog,
)

OID, OTHER, IGNORED, KEYLESS = 1, 2, 3, 4
COLUMNS = [("id", 23, True), ("note", 25, False)]
NAMES = {OID: "t", OTHER: "other", IGNORED: "ignored", KEYLESS: "keyless"}
RELATIONS = {oid: relation(oid, name, COLUMNS if oid != KEYLESS else [(n, t, False) for n, t, _ in COLUMNS])
             for oid, name in NAMES.items()}

GIVEN = {"name": "n", "topic.prefix": "srv", "database.hostname": "h", "database.user": "u", "database.dbname": "d"}
CONFIG, _ = parse_postgres(GIVEN)
NAMING = TopicNaming.from_config(CONFIG)


class Catalog:
    """What a source would answer: `note` is NOT NULL until a null is seen.

    *cut*: `note` is written with that many characters at most. *key*: the key's columns; by default those of the
    replica identity.
    """

    def __init__(self, *, cut: int = 0, key: tuple[str, ...] = ()) -> None:
        self.cut = cut
        self.key = key
        self.relaxed: set[str] = set()
        self.asked: list[str] = []

    def resolve(self, found: Relation, *_: int) -> RelationState:
        self.asked.append(found.name)
        if found.name == "ignored":
            return RelationState(found, None)
        columns = [self._column(index, column.name) for index, column in enumerate(found.columns)]
        key = [columns[index] for index, column in enumerate(found.columns)
               if (column.name in self.key if self.key else column.in_key)]
        table = make_table_schema(TableId("d", "public", found.name), f"srv.public.{found.name}", columns, key,
                                  postgres_source_schema(NAMING.schema_name), NAMING)
        return RelationState(found, table)

    def relax(self, state: RelationState, indexes: list[int]) -> RelationState:
        self.relaxed |= {state.relation.columns[index].name for index in indexes}
        return self.resolve(state.relation)

    def _column(self, index: int, name: str) -> Column:
        codec: Any = IntCodec(Schema(INT32), -(1 << 31), (1 << 31) - 1) if name == "id" else TextCodec(Schema(STRING))
        schema = replace(codec.schema, optional=name in self.relaxed or name not in ("id", "note"))
        written: Any = _Cut(codec, self.cut) if self.cut and name == "note" else codec
        return Column(index, name, name, "x", schema, written, None, schema, codec, None,
                      None if name == "id" else "(unchanged)")


class _Cut:
    """`column.truncate.to.N.chars`."""

    def __init__(self, codec: TextCodec, length: int) -> None:
        self.codec = codec
        self.length = length

    def value(self, data: bytes, start: int, end: int) -> str:
        return str(self.codec.value(data, start, end))[:self.length]


def make(*, skipped: Iterable[str] = ("t",), tombstones: bool = True, metadata: bool = False,
         unchanged: bool = False, catalog: Catalog | None = None, faults: bool = False) -> ChangeReader:
    answers = catalog or Catalog()
    emitter = Emitter(skipped=frozenset(skipped), tombstones=tombstones, skip_unchanged=unchanged, skip_halves=True,
                      whole_keys=not faults)
    return ChangeReader(emitter=emitter, resolve=answers.resolve, relax=answers.relax,
                        relabel=lambda state, _: state, name_type=lambda _: None,
                        events=SourceBlock(NAMING, "d", "bytes"), spill=Spill(), transaction_metadata=metadata,
                        clock_us=lambda: 1_000_000, null_keys=faults)


class Feeder:
    """Gives each message the next LSN and feeds it."""

    def __init__(self, decoder: ChangeReader, lsn: int = 1000) -> None:
        self.decoder = decoder
        self.lsn = lsn

    def __call__(self, *bodies: bytes, lsn: int | None = None) -> list[Any]:
        for body in bodies:
            self.lsn = self.lsn + 1 if lsn is None else lsn
            self.decoder.feed(xlog(self.lsn, body))
            while self.decoder.replay is not None:
                self.decoder.step()
        return self.decoder.emitter.take()


def feed(decoder: ChangeReader, *bodies: bytes) -> list[Any]:
    return Feeder(decoder)(*bodies)


def transaction(*bodies: bytes, final_lsn: int = 5000, xid: int = 9) -> list[bytes]:
    return [begin(final_lsn, xid), RELATIONS[OID], RELATIONS[KEYLESS], *bodies, commit(final_lsn, final_lsn + 8)]


def run(*bodies: bytes, **options: Any) -> list[Any]:
    return feed(make(**options), *transaction(*bodies))


def ops(records: Iterable[Any]) -> list[str]:
    return [record.op if isinstance(record, Record) else _message_kind(record) for record in records]


def _message_kind(found: Message) -> str:
    return str(found.value[0])


def cells(row: Any) -> list[Any]:
    names = {NULL: None, UNCHANGED_KIND: "unchanged", ABSENT: "absent"}
    return [names[row.kind(index)] if row.kind(index) in names else row.raw(index).decode()
            for index in range(row.count)]


# -- operations --------------------------------------------------------------------------------------------------------


def test_insert_update_delete_truncate() -> None:
    created, updated, deleted, tombstone, truncated = run(
        insert(OID, "1", "a"), update(OID, "1", "b"), delete(OID, "1", None), truncate(OID), skipped=())
    assert ops([created, updated, deleted, truncated]) == ["c", "u", "d", "t"]
    assert (created.before, cells(created.after), cells(created.key_row)) == (None, ["1", "a"], ["1", "a"])
    assert (updated.before, cells(updated.after)) == (None, ["1", "b"])
    assert (cells(deleted.before), deleted.after) == (["1", "absent"], None)
    assert (tombstone.key_row, tombstone.after) == (deleted.before, None)
    assert (truncated.before, truncated.after, truncated.key_row) == (None, None, None)


def test_truncate_of_several_tables_gives_one_record_each_captured_one() -> None:
    found = feed(make(skipped=()), begin(5000, 9), *RELATIONS.values(), truncate(OID, IGNORED, OTHER),
                 commit(5000, 5008))
    assert [record.table.id.table for record in found] == ["t", "other"]


def test_no_tombstones_when_off() -> None:
    assert ops(run(delete(OID, "1", None), update(OID, "2", "x", key=("1", None)), tombstones=False)) == ["d", "d", "c"]


def test_a_changed_key_is_delete_tombstone_create_with_headers() -> None:
    deleted, tombstone, created = run(update(OID, "2", UNCHANGED, key=("1", None)))
    assert (deleted.op, created.op) == ("d", "c")
    assert [(name, cells(row)) for name, row in deleted.key_headers] == [(NEW_KEY, ["2", "unchanged"])]
    assert tombstone.key_headers == deleted.key_headers
    assert [(name, cells(row)) for name, row in created.key_headers] == [(OLD_KEY, ["1", "absent"])]
    assert created.other is deleted.before


def test_full_identity_gives_before_and_no_key_change_where_there_is_none() -> None:
    updated, deleted, _ = run(update(OID, "1", UNCHANGED, old=("1", "long")), delete(OID, "1", "x", full=True))
    assert (updated.op, cells(updated.before), cells(updated.after)) == ("u", ["1", "long"], ["1", "unchanged"])
    assert cells(deleted.before) == ["1", "x"]


def test_without_key_columns_there_is_no_key_change() -> None:
    updated, = run(update(KEYLESS, "2", "x", old=("1", "x")))
    assert updated.op == "u"


@pytest.mark.parametrize(("skipped", "wanted"), [
    ("c", ["u", "d", "tombstone", "d", "tombstone", "t"]),
    ("u", ["c", "d", "tombstone", "t"]),
    ("d", ["c", "u", "c", "t"]),
    ("t", ["c", "u", "d", "tombstone", "d", "tombstone", "c"]),
])
def test_skipped_operations(skipped: str, wanted: list[str]) -> None:
    found = run(insert(OID, "1", "a"), update(OID, "1", "b"), delete(OID, "1", None),
                update(OID, "3", "x", key=("2", None)), truncate(OID), skipped=(skipped,))
    assert [op or "tombstone" for op in ops(found)] == wanted


def test_updates_without_change_are_skipped_when_asked() -> None:
    bodies = [update(OID, "1", "a", old=("1", "a")), update(OID, "1", UNCHANGED, old=("1", "a")),
              update(OID, "1", "b", old=("1", "a")), update(OID, "1", "b")]
    assert len(run(*bodies)) == 4
    assert [cells(record.after) for record in run(*bodies, unchanged=True)] == [["1", "b"], ["1", "b"]]


def test_an_update_that_a_cut_hides_is_without_change() -> None:
    """As with Debezium, which compares the values that are written."""
    changes = [update(OID, "1", "abXY", old=("1", "abZ")), update(OID, "1", "acXY", old=("1", "abXY")),
               update(OID, "2", "abXY", old=("1", "abXY")), update(OID, "1", UNCHANGED, old=("1", "abXY"))]
    decoder = make(unchanged=True, catalog=Catalog(cut=2))
    found = feed(decoder, *transaction(*changes))
    assert [cells(record.after) for record in found if record.after] == [["1", "acXY"], ["2", "abXY"]]
    assert decoder.emitter.filtered == 2
    assert len(run(*changes, catalog=Catalog(cut=2))) == 6


@pytest.mark.parametrize("body", [update(OID, "2", "x", key=("1", None)), update(OID, "1", "x", key=("1", None))])
def test_a_key_column_outside_of_the_replica_identity_changes_no_key(body: bytes) -> None:
    """Its old value is not known, and an old row without it would be made up."""
    updated, = run(body, catalog=Catalog(key=("note",)))
    assert (updated.op, updated.before, cells(updated.key_row)[1]) == ("u", None, "x")


def test_what_a_key_image_has_is_kept_for_values_that_the_new_row_lacks() -> None:
    updated, = run(update(OID, UNCHANGED, "x", key=("1", None)), catalog=Catalog(key=("note",)))
    assert cells(updated.other) == ["1", "absent"]


def test_a_key_of_which_the_old_image_has_a_part_changes_by_that_part() -> None:
    deleted, tombstone, created = run(update(OID, "2", "x", key=("1", None)), catalog=Catalog(key=("id", "note")))
    assert (deleted.op, created.op) == ("d", "c")
    for record in (deleted, tombstone):
        with pytest.raises(ConvertError, match="key column 'note'"):
            ValuePlan(record.table, ColumnFailures()).key(record.key_row, record.other)


def test_a_delete_without_its_key_is_an_error_in_both_plans() -> None:
    deleted, _ = run(delete(OID, "1", None), catalog=Catalog(key=("note",)))
    for plan in (ValuePlan(deleted.table, ColumnFailures()),
                 AvroPlan(deleted.table, b"", b"", True, ColumnFailures())):
        with pytest.raises(ConvertError, match="key column 'note'"):
            plan.key(deleted.key_row, deleted.other)


def test_a_missing_key_column_reads_as_null_when_asked() -> None:
    """`message.key.columns` with `cdc.debezium.faults`: Debezium gives a delete of a null key."""
    deleted, _, created = run(update(OID, "2", "x", key=("1", None)), catalog=Catalog(key=("note",)), faults=True)
    assert (deleted.op, cells(deleted.key_row)) == ("d", ["1", None])
    assert (created.op, cells(created.key_row)) == ("c", ["2", "x"])


def test_tables_not_captured_are_counted_and_nothing_else() -> None:
    decoder = make()
    assert feed(decoder, begin(5000, 9), RELATIONS[IGNORED], insert(IGNORED, "1", "x"), commit(5000, 5008)) == []
    assert decoder.emitter.filtered == 1
    assert decoder.stream.end_lsn == 5008


@pytest.mark.parametrize("body", [insert(OID, "1", None), update(OID, "1", "x", old=("1", None)),
                                  delete(OID, "1", None, full=True)])
def test_a_null_where_the_catalog_says_not_null_makes_the_column_optional(body: bytes) -> None:
    catalog = Catalog()
    found = run(body, catalog=catalog)
    assert catalog.relaxed == {"note"}
    assert next(column for column in found[0].table.columns if column.name == "note").schema.optional


def test_a_key_image_relaxes_nothing() -> None:
    catalog = Catalog()
    run(delete(OID, "1", None), update(OID, "1", "x", key=("2", None)), catalog=catalog)
    assert catalog.relaxed == set()


def test_a_relation_is_resolved_once_for_each_message() -> None:
    catalog = Catalog()
    run(insert(OID, "1", "a"), insert(OID, "2", "a"), catalog=catalog)
    assert catalog.asked == ["t", "keyless"]


def test_the_origin_is_in_the_source_block() -> None:
    found = feed(make(), begin(5000, 9), origin("elsewhere", 77), RELATIONS[OID], insert(OID, "1", "a"),
                 commit(5000, 5008))
    assert found[0].source.values[-2:] == ("elsewhere", 77)


# -- what must not be ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bodies", [
    [insert(OID, "1", "a")],
    [begin(5000, 9), insert(OID, "1", "a")],
    [begin(5000, 9), begin(5000, 9)],
    [commit(5000, 5008)],
    [begin(5000, 9), RELATIONS[OID], insert(OID, "1")],
    [begin(5000, 9), RELATIONS[OID], insert(OID, "1", "a") + b"x"],
    [begin(5000, 9), RELATIONS[OID], b"D" + insert(OID, "1", "a")[1:]],
    [begin(5000, 9), RELATIONS[OID], b"I" + delete(OID, "1", "a")[1:]],
    [begin(5000, 9), truncate(OID)],
    [truncate(OID)],
    [message("p", b"", 1, transactional=True)],
    [STREAM_STOP],
    [stream_start(9, first=True), begin(5000, 9)],
    [begin(5000, 9), stream_start(10, first=True)],
    [begin_prepare(5000, 5008, 9, "g"), begin(5000, 10)],
    [prepare(5000, 5008, 9, "g")],
])
def test_messages_out_of_place_are_protocol_errors(bodies: list[bytes]) -> None:
    with pytest.raises(ProtocolError):
        feed(make(), *bodies)


def test_a_frame_without_message_is_a_protocol_error() -> None:
    with pytest.raises(ProtocolError):
        make().feed(xlog(1, b""))


# -- transaction metadata and logical messages -------------------------------------------------------------------------


def test_metadata_counts_and_orders() -> None:
    found = feed(make(metadata=True), begin(5000, 9), RELATIONS[OID], RELATIONS[OTHER], insert(OID, "1", "a"),
                 insert(OTHER, "1", "a"), update(OID, "2", "b", key=("1", None)), commit(5000, 5008))
    started, *changes, ended = found
    assert (started.value[0], ended.value[0]) == ("BEGIN", "END")
    blocks = [(record.op, record.block[1:]) for record in changes if record.block is not None]
    assert blocks == [("c", (1, 1)), ("c", (2, 1)), ("d", (3, 2)), ("c", (4, 3))]
    assert ended.value[2] == 4
    assert sorted(ended.value[3]) == [("public.other", 1), ("public.t", 3)]


def test_logical_messages_within_and_outside_of_transactions() -> None:
    decoder = make(metadata=True)
    feeder = Feeder(decoder)
    outside, = feeder(message("p", b"x", 1, transactional=False))
    assert (outside.value[3], decoder.stream.end_lsn) == (None, 1001)
    _, inside, _ = feeder(begin(5000, 9), message("p", b"y", 1, transactional=True), commit(5000, 5008))
    assert inside.value[3][1:] == (1, 1)
    assert inside.value[4] == ("p", b"y")


def test_a_message_delivered_before_is_dropped() -> None:
    decoder = make()
    decoder.resume(PostgresPosition(1003))
    found = feed(decoder, *[message(name, b"", 1, transactional=False) for name in "abcd"])  # end at 1001 to 1004
    assert [record.key for record in found] == [("d",)]


# -- run ---------------------------------------------------------------------------------------------------------------


def keepalive(wal_end: int, *, answer: bool = False) -> bytes:
    return b"k" + wal_end.to_bytes(8) + bytes(8) + bytes((answer,))


def test_run_ends_at_as_many_records_or_bytes_and_says_where() -> None:
    bodies = transaction(*[insert(OID, str(number), "a") for number in range(6)])
    frames = [xlog(1000 + number, body) for number, body in enumerate(bodies)]
    sizes = [len(frame) for frame in frames]
    decoder = make()
    assert decoder.run(frames, 0, 2, 1 << 20) == (5, sum(sizes[:5]))  # BEGIN, two relations, two rows
    assert notes(decoder.emitter.take()) == ["0", "1"]
    assert decoder.run(frames, 5, 100, sizes[5] + 1) == (7, sum(sizes[5:7]))
    assert decoder.run(frames, 7, 100, 1 << 20) == (len(frames), sum(sizes[7:]))
    assert notes(decoder.emitter.take()) == ["2", "3", "4", "5"]
    assert decoder.position() == PostgresPosition(5008, commit_lsn=5008, last_lsn=1009, last_kind=ord("C"),
                                                  time_us=decoder.stream.last_time_us,
                                                  shown=Shown(5000, 5008, 9, decoder.stream.last_time_us))


def test_run_ends_within_a_transaction_that_was_streamed_before() -> None:
    bodies = [*streamed(20, in_stream(20), *[insert(OID, str(number), "a", xid=20) for number in range(4)]),
              stream_commit(20, 7000, 7008)]
    frames = [xlog(1000 + number, body) for number, body in enumerate(bodies)]
    decoder = make()
    assert decoder.run(frames, 0, 3, 1 << 20)[0] == len(frames)
    assert notes(decoder.emitter.take()) == ["0", "1", "2"]
    assert (decoder.position().tx_lsn, decoder.position().tx_changes) == (7000, 3)
    assert decoder.run(frames, len(frames), 3, 1 << 20)[0] == len(frames)
    assert notes(decoder.emitter.take()) == ["3"]
    assert (decoder.position().end_lsn, decoder.position().tx_lsn) == (7008, 0)


def test_a_keepalive_moves_the_position_and_may_ask_for_an_answer() -> None:
    decoder = make()
    assert decoder.run([keepalive(900), keepalive(950, answer=True)], 0, 10, 1 << 20)[0] == 2
    assert (decoder.position().end_lsn, decoder.answer_wanted) == (950, True)
    decoder.run([keepalive(990)], 0, 10, 1 << 20)
    assert (decoder.position().end_lsn, decoder.answer_wanted) == (990, False)


# -- restarts ----------------------------------------------------------------------------------------------------------

CHANGES = [insert(OID, "1", "a"), update(OID, "2", "b", key=("1", None)), message("p", b"m", 1, transactional=True),
           insert(KEYLESS, "1", "a"), truncate(OID), delete(OID, "2", None)]


def described(found: Any) -> Any:
    if isinstance(found, Message):
        return found.topic, found.key, found.value
    return (found.op, str(found.table.id), found.source.merged(found.source_values), found.block,
            [cells(row) if row is not None else None for row in (found.before, found.after, found.key_row)])


@pytest.mark.parametrize("metadata", [False, True])
def test_a_restart_within_a_transaction_drops_what_was_delivered_and_nothing_else(metadata: bool) -> None:
    bodies = [*transaction(insert(OID, "0", "z"), final_lsn=4000, xid=8), *transaction(*CHANGES)]
    frames = [xlog(1001 + number, body) for number, body in enumerate(bodies)]
    whole = make(metadata=metadata, skipped=())
    for frame in frames:
        whole.feed(frame)
    wanted = [described(record) for record in whole.emitter.take()]
    for cut in range(len(frames) + 1):
        first, second = make(metadata=metadata, skipped=()), make(metadata=metadata, skipped=())
        for frame in frames[:cut]:
            first.feed(frame)
        second.resume(first.position())
        for frame in frames:
            second.feed(frame)
        found = [*first.emitter.take(), *second.emitter.take()]
        assert [described(record) for record in found] == wanted, f"cut at frame {cut}"


@pytest.mark.parametrize(("before", "now"), [((OID, OTHER), (OID,)), ((OID,), (OID, OTHER))])
def test_a_restart_with_another_publication_within_a_transaction_loses_nothing(
        before: tuple[int, ...], now: tuple[int, ...]) -> None:
    """Counting changes is not enough: the same transaction has others now."""
    written = [(OID, OTHER)[number % 2] for number in range(8)]
    done = [number for number in range(4) if written[number] in before]
    decoder = make()
    decoder.resume(PostgresPosition(4000, 5000, len(done), 4000, last_lsn=1000 + done[-1]))
    frames = [xlog(999, body) for body in (begin(5000, 9), *(RELATIONS[oid] for oid in now))]
    frames += [xlog(1000 + number, insert(oid, str(number), "x")) for number, oid in enumerate(written) if oid in now]
    for frame in frames:
        decoder.feed(frame)
    records: list[Any] = decoder.emitter.take()
    found = {int(cells(record.after)[0]) for record in records}
    assert found >= {number for number in range(4, 8) if written[number] in now}


def test_another_programs_offset_drops_that_transactions_changes_before_its_lsn() -> None:
    decoder = make()
    decoder.resume(PostgresPosition(4008, commit_lsn=4008, xid=9, skip_before_lsn=1011))
    feeder = Feeder(decoder, lsn=1000)
    old = feeder(*transaction(insert(OID, "0", "z"), final_lsn=4000, xid=8))
    feeder.lsn = 1006
    found = feeder(*transaction(*[insert(OID, str(number), "x") for number in range(4)]))  # at 1010 … 1013
    later = feeder(*transaction(insert(OID, "9", "x"), final_lsn=6000, xid=10))
    assert old == []
    assert [cells(record.after)[0] for record in found + later] == ["1", "2", "3", "9"]


@pytest.mark.parametrize(("rows", "left"), [(1, ["3", "4", "9"]), (2, ["4", "9"]), (3, ["9"]), (9, ["9"])])
def test_another_programs_offset_drops_the_rows_that_it_delivered_at_its_lsn(rows: int, left: list[str]) -> None:
    """The rows of one COPY have one LSN. Without their number only one of them counts as delivered."""
    decoder = make()
    start = PostgresPosition(4008, commit_lsn=4008, xid=9, skip_before_lsn=1012, skip_rows=rows)
    decoder.resume(start)
    numbers = [1010, 1011, 1012, 1012, 1012]
    frames = [xlog(1010, body) for body in (begin(5000, 9), RELATIONS[OID])]
    frames += [xlog(lsn, insert(OID, str(number), "x")) for number, lsn in enumerate(numbers)]
    found = []
    for frame in frames:
        decoder.feed(frame)
        records: list[Any] = decoder.emitter.take()
        found += [cells(record.after)[0] for record in records]
        assert (decoder.position() is start) is (found == [] and decoder.stream.transaction is not None)
    for frame in [xlog(5000, commit(5000, 5008)), xlog(5008, begin(6000, 10)), xlog(5008, insert(OID, "9", "x"))]:
        decoder.feed(frame)
        records = decoder.emitter.take()
        found += [cells(record.after)[0] for record in records]
    assert found == left


# -- transactions in progress ------------------------------------------------------------------------------------------


def streamed(xid: int, *bodies: bytes, first: bool = True) -> list[bytes]:
    return [stream_start(xid, first=first), *bodies, STREAM_STOP]


def in_stream(xid: int) -> bytes:
    return relation(OID, "t", COLUMNS, xid=xid)


def notes(found: Iterable[Any]) -> list[str]:
    return [cells(record.after)[0] for record in found]


def test_streamed_transactions_come_at_their_commit_without_what_was_rolled_back() -> None:
    decoder = make()
    feeder = Feeder(decoder)
    assert feeder(*streamed(20, in_stream(20), insert(OID, "1", "a", xid=20), insert(OID, "2", "a", xid=21)),
                  *streamed(30, in_stream(30), insert(OID, "8", "a", xid=30))) == []
    assert feeder(stream_abort(20, 21), *streamed(20, insert(OID, "3", "a", xid=22), first=False)) == []
    between = feeder(*transaction(insert(OID, "5", "a")))
    assert notes(between) == ["5"]
    assert decoder.stream.end_lsn == 5008
    found = feeder(stream_commit(20, 7000, 7008))
    assert notes(found) == ["1", "3"]
    assert {record.source.values[11] for record in found} == {20}
    assert feeder(stream_abort(30, 30)) == []
    assert (decoder.stream.end_lsn, decoder.in_progress.spill.size_bytes) == (7008, 0)


def test_a_streamed_transaction_gives_what_an_ordinary_one_gives() -> None:
    ordinary = Feeder(make(metadata=True))
    wanted = ordinary(begin(5000, 9), lsn=50) + ordinary(RELATIONS[OID], insert(OID, "1", "a"), lsn=50) + ordinary(
        insert(OID, "2", "b"), lsn=60) + ordinary(commit(5000, 5008), lsn=5008)
    feeder = Feeder(make(metadata=True))
    feeder(stream_start(9, first=True), in_stream(9), insert(OID, "1", "a", xid=9), lsn=50)
    feeder(STREAM_STOP, lsn=0)
    feeder(stream_start(9, first=False), insert(OID, "2", "b", xid=10), lsn=60)
    feeder(STREAM_STOP, lsn=0)
    found = feeder(stream_commit(9, 5000, 5008), lsn=5008)
    assert [described(record) for record in found] == [described(record) for record in wanted]


def test_what_an_aborted_subtransaction_said_of_a_relation_is_forgotten() -> None:
    feeder = Feeder(make())
    wider = relation(OID, "t", [*COLUMNS, ("more", 23, False)], xid=21)
    feeder(*streamed(20, wider, insert(OID, "1", "a", "x", xid=21)), stream_abort(20, 21),
           *streamed(20, in_stream(20), insert(OID, "2", "a", xid=20), first=False))
    assert notes(feeder(stream_commit(20, 7000, 7008))) == ["2"]


def test_a_restart_within_a_replay_goes_on_where_it_was() -> None:
    bodies = [*streamed(20, in_stream(20), *[insert(OID, str(number), "a", xid=20) for number in range(5)]),
              stream_commit(20, 7000, 7008)]
    decoder = make()
    for number, body in enumerate(bodies):
        decoder.feed(xlog(1001 + number, body))
    for _ in range(3):  # the relation and two rows
        decoder.step()
    again = make()
    again.resume(decoder.position())
    assert notes(decoder.emitter.take()) == ["0", "1"]
    assert notes(feed(again, *bodies)) == ["2", "3", "4"]


def test_large_transactions_leave_memory_and_come_back_whole() -> None:
    decoder = make()
    feeder = Feeder(decoder)
    big = "x" * 100_000
    feeder(*streamed(20, in_stream(20), *[insert(OID, str(number), big, xid=20) for number in range(30)]))
    assert decoder.in_progress.spill.size_bytes > 3_000_000
    assert notes(feeder(stream_commit(20, 7000, 7008))) == [str(number) for number in range(30)]


# -- prepared transactions ---------------------------------------------------------------------------------------------


def prepared(*bodies: bytes, gid: str = "g", xid: int = 40, lsn: int = 6000) -> list[bytes]:
    return [begin_prepare(lsn, lsn + 8, xid, gid), *bodies, prepare(lsn, lsn + 8, xid, gid)]


def test_a_prepared_transaction_comes_when_it_is_committed() -> None:
    decoder = make()
    feeder = Feeder(decoder)
    assert feeder(*prepared(RELATIONS[OID], insert(OID, "1", "a"))) == []
    assert decoder.in_progress.held_lsn() == 6000
    decoder.idle(9000)
    assert decoder.in_progress.held_lsn() == 6000
    assert notes(feeder(commit_prepared(9500, 9508, 40, "g"))) == ["1"]
    assert (decoder.in_progress.held_lsn(), decoder.stream.end_lsn) == (0, 9508)


def test_a_rolled_back_one_never_comes_and_holds_nothing() -> None:
    decoder = make()
    feeder = Feeder(decoder)
    feeder(*prepared(RELATIONS[OID], insert(OID, "1", "a")))
    feeder(*prepared(insert(OID, "2", "a"), gid="h", xid=41, lsn=7000))
    assert feeder(rollback_prepared(6008, 8008, 40, "g")) == []
    assert decoder.in_progress.held_lsn() == 7000
    assert notes(feeder(commit_prepared(9500, 9508, 41, "h"))) == ["2"]


def test_it_is_held_until_all_of_it_was_replayed() -> None:
    decoder = make()
    Feeder(decoder)(*prepared(RELATIONS[OID], insert(OID, "1", "a"), insert(OID, "2", "a")))
    decoder.feed(xlog(9500, commit_prepared(9500, 9508, 40, "g")))
    while decoder.replay is not None:
        assert decoder.in_progress.held_lsn() == 6000
        decoder.step()
    assert decoder.in_progress.held_lsn() == 0


def test_what_it_says_of_a_relation_holds_for_those_that_follow() -> None:
    feeder = Feeder(make())
    feeder(*prepared(RELATIONS[OID], insert(OID, "1", "a")))
    assert notes(feeder(begin(7000, 50), insert(OID, "2", "a"), commit(7000, 7008))) == ["2"]


def test_its_rows_are_read_as_the_relation_was_and_later_ones_as_it_is() -> None:
    feeder = Feeder(make())
    wider = relation(OID, "t", [*COLUMNS, ("more", 23, False)])
    feeder(begin(5000, 9), RELATIONS[OID], commit(5000, 5008), *prepared(insert(OID, "1", "a")))
    assert notes(feeder(begin(7000, 50), wider, insert(OID, "2", "a", "x"), commit(7000, 7008))) == ["2"]
    assert notes(feeder(commit_prepared(8000, 8008, 40, "g"))) == ["1"]
    assert notes(feeder(begin(9000, 51), insert(OID, "3", "a", "x"), commit(9000, 9008))) == ["3"]


def test_a_streamed_one_may_be_prepared_too() -> None:
    feeder = Feeder(make())
    feeder(*streamed(40, in_stream(40), insert(OID, "1", "a", xid=40), insert(OID, "2", "a", xid=41)),
           stream_abort(40, 41), prepare(6000, 6008, 40, "g", streamed=True))
    assert feeder.decoder.in_progress.held_lsn() == 6000
    assert notes(feeder(commit_prepared(9500, 9508, 40, "g"))) == ["1"]


def test_an_empty_one_is_let_go() -> None:
    decoder = make()
    assert Feeder(decoder)(*prepared(), commit_prepared(9500, 9508, 40, "g")) == []
    assert (decoder.in_progress.held_lsn(), decoder.stream.end_lsn) == (0, 9508)


def test_one_that_was_never_received_is_a_lost_position_unless_it_was_delivered() -> None:
    with pytest.raises(PositionLostError):
        feed(make(), commit_prepared(9500, 9508, 40, "g"))
    decoder = make()
    decoder.resume(PostgresPosition(9508))
    assert feed(decoder, commit_prepared(9500, 9508, 40, "g")) == []


def test_one_delivered_before_a_restart_is_not_delivered_again() -> None:
    decoder = make()
    decoder.resume(PostgresPosition(9508))
    found = feed(decoder, *prepared(RELATIONS[OID], insert(OID, "1", "a")), commit_prepared(9500, 9508, 40, "g"),
                 *transaction(insert(OID, "2", "a"), final_lsn=9600))
    assert notes(found) == ["2"]


# -- idle --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("open_with", [
    lambda feeder: feeder(begin(5000, 9)),
    lambda feeder: feeder(stream_start(9, first=True)),
    lambda feeder: feeder(begin_prepare(5000, 5008, 9, "g")),
])
def test_a_keepalive_within_a_transaction_moves_nothing(open_with: Callable[[Feeder], Any]) -> None:
    decoder = make()
    open_with(Feeder(decoder))
    decoder.idle(9000)
    assert decoder.stream.end_lsn == 0


def test_a_keepalive_between_transactions_moves_the_position_and_never_back() -> None:
    decoder = make()
    feed(decoder, *transaction(insert(OID, "1", "a")))
    decoder.idle(4000)
    assert decoder.stream.end_lsn == 5008
    decoder.idle(9000)
    assert decoder.stream.end_lsn == 9000
