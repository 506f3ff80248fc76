"""Streams of every kind of frame, and two readers for each: the ChangeReader alone, and C with it."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from cdc import native as native_room
from cdc.codecs.postgres import text as pgtext
from cdc.codecs.postgres.values import DurationCodec, NumericDoubleCodec, NumericTextCodec, VariableDecimalCodec
from cdc.codecs.text import DecimalCodec, TextCodec
from cdc.codecs.time import MICROS, MILLIS, NANOS
from cdc.codecs.wrappers import MappingCodec
from cdc.converters.json_schema.converter import JsonSchemaConverter
from cdc.converters.protobuf.converter import ProtobufConverter
from cdc.converters.records import RecordConverter
from cdc.converters.views import Views
from cdc.core.codec import Codec
from cdc.core.outcome import Shaped
from cdc.core.record import Record
from cdc.core.schema import (
    BOOLEAN,
    BYTES,
    FLOAT32,
    FLOAT64,
    INT32,
    INT64,
    STRING,
    Schema,
)
from cdc.core.table import Column, TableId
from cdc.core.view import RecordView
from cdc.debezium.emit import Emitter
from cdc.debezium.schemas import make_table_schema, postgres_source_schema
from cdc.sources.postgres.changes import ChangeReader
from cdc.sources.postgres.enums import EnumColumn
from cdc.sources.postgres.native_changes import native_changes
from cdc.sources.postgres.position import PostgresPosition
from cdc.sources.postgres.protocol import Relation
from cdc.sources.postgres.relations import RelationState
from cdc.sources.postgres.source_block import SourceBlock
from cdc.sources.postgres.spill import Spill
from cdc.sources.postgres.types import VARIABLE_SCALE_DECIMAL
from cdc.transforms.chain import Chain
from tests.unit.converters.test_records import HEADERS, json_converter, made
from tests.unit.sources.postgres import pgoutput_frames as frames
from tests.unit.sources.postgres.test_changes import NAMING
from tests.unit.transforms.worlds import steps

NOW_US = 1_700_000_000_123_456
UNCHANGED = frames.UNCHANGED
Cells = tuple[frames.Cell, ...]

TEXTS = ("", "x", "note for order 17", "naïve ☃ 𝄞", "a" * 300, b"broken \xff\xfe", b"\xed\xa0\x80", b"\xc0\x80",
         "b" * 45 + "ï" + "c" * 45, b"d" * 38 + b"\xff" + b"e" * 40)
NUMBERS = ("0", "-1", "7", "2147483647", "-2147483648", "99999999999999999999", "-", "", "1x")
LONGS = ("0", "9223372036854775807", "-9223372036854775808", "-9223372036854775807", "9223372036854775808", "12345")
DECIMALS = ("0.00", "-12345.67", "9999999999.99", "1", "1.5", "1.500", "1.555", "NaN", "Infinity", "-0.01", ".5", "5.",
            "123456789012345678.90", "1.5.5", "-", "")
NUMERICS = ("100", "1000.000", "-0", "-0.00", "0.001", "999999999999999999", "-99999999999999.9999",
            "1.0000000000000000000", "1" * 40, "0." + "0" * 70 + "1", "007.50", "-.5", "1e5", "-Infinity", "1.")
FLOATS = ("0", "-0", "1.5", "1e+20", "1.7976931348623157e+308", "2.2250738585072014e-308", "5e-324", "NaN", "Infinity",
          "-Infinity", "0.1", "123456789012345678", "1e400", "1e-400", "3.4028235e+38", "", "-", "e5", "1e", "1e+",
          ".5", "1.", "+1", "0.30000000000000004", "9007199254740993", "1e22", "1e23", "1234567.1e-7")
TIMES = ("00:00:00", "23:59:59.999999", "12:30:00.5", "24:00:00", "12:30", "12:30:00.", "12:60:00")
DATES = ("1970-01-01", "2024-02-29", "2023-02-29", "0001-01-01", "9999-12-31", "infinity", "-infinity",
         "0044-03-15 BC", "12024-01-01", "1969-12-31", "2024-13-01", "2024-1-01 ")
STAMPS = ("2024-01-01 00:00:00", "1969-12-31 23:59:59.999999", "1969-12-31 23:59:59.9", "infinity", "-infinity",
          "0044-03-15 12:00:00 BC", "9999-12-31 23:59:59.999999", "1677-09-21 00:12:43.145224", "2024-01-01T00:00:00",
          "0001-01-01 00:00:00.000001", "")
ZONED = (*(f"{each}+00" for each in STAMPS), "2024-01-01 00:00:00+02", "infinity", "2024-01-01 00:00:00.123456+00",
         "2024-01-01 00:00:00.+00")
BYTEAS = ("\\x", "\\x00ff", "\\xAb", "\\xa", "\\xzz", "abc\\\\", "\\001")
LABELS = ("sad", "ok", "happy")


def _int(low: int, high: int, kind: str) -> Codec:
    return pgtext.IntCodec(Schema(kind), low, high)


TYPES: dict[str, tuple[Codec, tuple[str | bytes, ...]]] = {
    "id": (_int(-(1 << 31), (1 << 31) - 1, INT32), ("1", "2", "3", "40000", "-5")),
    "small": (_int(-(1 << 31), (1 << 31) - 1, INT32), NUMBERS),
    "big": (_int(-(1 << 63), (1 << 63) - 1, INT64), LONGS),
    "note": (TextCodec(Schema(STRING)), TEXTS),
    "mood": (TextCodec(Schema(STRING)), LABELS),
    "flag": (pgtext.BoolCodec(Schema(BOOLEAN)), ("t", "f", "x", "")),
    "bit": (pgtext.BoolCodec(Schema(BOOLEAN), b"1", b"0"), ("1", "0", "t")),
    "single": (pgtext.FloatCodec(Schema(FLOAT32), True), FLOATS),
    "double": (pgtext.FloatCodec(Schema(FLOAT64), False), FLOATS),
    "amount": (DecimalCodec(Schema(BYTES), 2), DECIMALS),
    "rounded": (DecimalCodec(Schema(BYTES), -2), DECIMALS),
    "number": (VariableDecimalCodec(VARIABLE_SCALE_DECIMAL), (*DECIMALS, *NUMERICS)),
    "number_text": (NumericTextCodec(Schema(STRING)), (*DECIMALS, *NUMERICS)),
    "number_double": (NumericDoubleCodec(Schema(FLOAT64)), (*DECIMALS, *NUMERICS)),
    "content": (pgtext.ByteaCodec(Schema(BYTES)), BYTEAS),
    "day": (pgtext.DateCodec(Schema(INT32)), DATES),
    "clock": (pgtext.TimeCodec(Schema(INT64), MICROS), TIMES),
    "clock_ms": (pgtext.TimeCodec(Schema(INT32), MILLIS), TIMES),
    "clock_ns": (pgtext.TimeCodec(Schema(INT64), NANOS), TIMES),
    "at": (pgtext.TimestampCodec(Schema(INT64), MICROS), STAMPS),
    "at_ms": (pgtext.TimestampCodec(Schema(INT64), MILLIS), STAMPS),
    "at_ns": (pgtext.TimestampCodec(Schema(INT64), NANOS), STAMPS),
    "zoned": (pgtext.ZonedTimestampCodec(Schema(STRING), 3), ZONED),
    "took": (DurationCodec(Schema(INT64)), ("1 day", "00:00:01.5", "nonsense")),
}
"""By column name: the codec, and texts for it, among them such as no server sends."""
REQUIRED = ("id", "big")
TABLES: dict[int, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    1: ("orders", tuple(TYPES), ("id",)),
    2: ("pairs", ("id", "note", "big"), ("id", "big")),
    3: ("keyless", ("note", "double"), ()),
    4: ("ignored", ("id", "note"), ("id",)),
    5: ("moods", ("id", "mood"), ("id",)),
}
"""By oid: name, columns and key."""


class Catalog:
    """What the database would answer: a required column becomes optional when a null is seen."""

    def __init__(self, *, cut: bool = False) -> None:
        self.cut = cut
        self.relaxed: set[str] = set()
        self.labels = set(LABELS[:2])

    def resolve(self, found: Relation, *_: int) -> RelationState:
        if found.name == "ignored":
            return RelationState(found, None)
        columns = [self._column(index, each.name) for index, each in enumerate(found.columns)]
        key = [column for column, each in zip(columns, found.columns, strict=True) if each.in_key]
        table = make_table_schema(TableId("d", "public", found.name), f"srv.public.{found.name}", columns, key,
                                  postgres_source_schema(NAMING.schema_name), NAMING)
        enums = tuple(EnumColumn(index, column, 99, frozenset(self.labels), {each.encode() for each in self.labels})
                      for index, column in enumerate(columns) if column.name == "mood" and found.name == "moods")
        return RelationState(found, table, enums)

    def relax(self, state: RelationState, indexes: list[int]) -> RelationState:
        self.relaxed |= {state.relation.columns[index].name for index in indexes}
        return self.resolve(state.relation)

    def relabel(self, state: RelationState, row: Any) -> RelationState:
        self.labels |= {(row.raw(index) or b"").decode("utf-8", "replace") for index, _, _ in state.enums}
        return self.resolve(state.relation)

    def _column(self, index: int, name: str) -> Column:
        codec = TYPES[name][0]
        schema = replace(codec.schema, optional=name in self.relaxed or name not in REQUIRED)
        shown: Codec = MappingCodec(codec, lambda text: text[:1]) if self.cut and name == "note" else codec
        return Column(index, name, name, "x", schema, shown, None, schema, codec, None, "?" if name == "note" else None)


@dataclass(frozen=True)
class Settings:
    skipped: frozenset[str] = frozenset(("t",))
    tombstones: bool = True
    unchanged: bool = False
    faults: bool = False
    mode: str = "warn"
    tolerant: bool = True
    transforms: Mapping[str, str] = field(default_factory=dict)
    """Keys of a chain; without any there is none."""
    resumed: PostgresPosition | None = None
    """Where the stream goes on."""
    json: str = ""
    """`key`, `value` or both: what is JSON; `schemas` for JSON with schemas, `schema` for JSON Schema, `protobuf`
    for Protobuf instead."""
    metadata: bool = False
    """Of transactions."""
    cut: bool = False
    """`note` is cut to its first character."""


SETTINGS = (
    Settings(), Settings(tombstones=False, faults=True), Settings(skipped=frozenset("cd"), unchanged=True),
    Settings(skipped=frozenset("u"), mode="fail"), Settings(mode="fail", tolerant=False),
    Settings(unchanged=True, cut=True), Settings(metadata=True, unchanged=True),
    Settings(metadata=True, skipped=frozenset("cdt"), faults=True))


def _json(settings: Settings, side: str) -> Any:
    """The JSON converter of that side; None if it is Avro."""
    if side not in settings.json:
        return None
    for word, kind in (("schema", JsonSchemaConverter), ("protobuf", ProtobufConverter)):
        if word in settings.json.split():
            made: Any = kind()
            made.configure({"schema.registry.url": "mock://native", "scrub.invalid.names": "true"}, side == "key")
            return made
    return json_converter(**{"schemas.enable": str("schemas" in settings.json).lower()})


def reader_of(settings: Settings) -> ChangeReader:
    catalog = Catalog(cut=settings.cut)
    emitter = Emitter(skipped=settings.skipped, tombstones=settings.tombstones, skip_unchanged=settings.unchanged,
                      skip_halves=True, whole_keys=not settings.faults)
    return ChangeReader(emitter=emitter, resolve=catalog.resolve, relax=catalog.relax, relabel=catalog.relabel,
                        name_type=lambda _: None, events=SourceBlock(NAMING, "d", "bytes"), spill=Spill(),
                        transaction_metadata=settings.metadata, clock_us=lambda: 1_000_000, null_keys=settings.faults)


class Outcome:
    """What a reader gave, batch by batch, as values that can be compared."""

    def __init__(self, settings: Settings) -> None:
        self.reader = reader_of(settings)
        if settings.resumed is not None:
            self.reader.resume(settings.resumed)
        self.failed: list[Any] = []
        self.tolerated: list[Any] = []
        self.converter: RecordConverter = made(
            _json(settings, "key"), _json(settings, "value"), mode=settings.mode, headers=HEADERS,
            tolerant=settings.tolerant)
        self.converter.failures.report = lambda *told: self.tolerated.append(told)
        self.chain: Chain | None = None
        if settings.transforms:
            self.chain = Chain(steps(settings.transforms), Views(self.converter.failures, HEADERS).view,
                               tolerant=settings.tolerant, shapes=True)

    def one_by_one(self, records: Any) -> list[Any]:
        """The messages of *records*, each of them transformed and converted by Python."""
        if self.chain is None:
            return self.converter.convert(records, NOW_US, self.failed)
        found = []
        for record in records:  # chain and converter in turn, so that errors have the order of records
            before = len(self.failed)
            kept = self.chain.apply([record], NOW_US, self.failed)
            if len(self.failed) == before:
                found += self.converter.convert(kept, NOW_US, self.failed)
            if len(self.failed) > before and not self.converter.tolerant:
                break
        return found

    def told(self, records: Any, following: int, size: int) -> dict[str, Any]:
        emitter, reader, stream = self.reader.emitter, self.reader, self.reader.stream
        transaction = stream.transaction
        return {
            "outgoings": records, "following": following, "size": size, "counts": emitter.take_counts(),
            "commits": emitter.take_commits(stream.last_time_us), "position": reader.position(),
            "filtered": emitter.filtered, "transactions": stream.transactions, "last_time_us": stream.last_time_us,
            "failed": [(each.stage, type(each.error), str(each.error), _op(each.record)) for each in self.failed],
            "tolerated": self.tolerated[:], "answer": reader.answer_wanted,
            "in": None if transaction is None else (
                transaction.xid, transaction.changes, transaction.sequence_head, transaction.counters.total,
                list(transaction.counters.per_table.items()))}


def _op(record: Any) -> Any:
    if isinstance(record, RecordView | Shaped):
        return _op(record.record)
    return (record.op, record.source_values) if isinstance(record, Record) else record


def plain(stream: list[bytes], settings: Settings, most: int) -> Iterable[Any]:
    """Each batch, then the error if there was one."""
    outcome, at = Outcome(settings), 0
    try:
        while at < len(stream) or outcome.reader.replay is not None:
            at, size = outcome.reader.run(stream, at, most, 5000)
            records = outcome.reader.emitter.take()
            yield outcome.told(outcome.one_by_one(records), at, size)
    except Exception as exc:
        yield type(exc), str(exc)


def in_blocks(stream: list[bytes], pick: random.Random) -> Any:
    """*stream* as C reads it from a socket, some frames at a time."""
    module: Any = native_room.module("frames")
    cuts = sorted(pick.choices(range(len(stream) + 1), k=pick.choice((0, 1, 5, 20))))
    return module.Frames([module.Block(stream[start:end]) for start, end in zip([0, *cuts], [*cuts, len(stream)],
                                                                                strict=True)])


def native(stream: list[bytes], settings: Settings, most: int, *, views: bool = False,
           blocks: random.Random | None = None) -> Iterable[Any]:
    """The same with C; with *views* the records are made one by one, and then converted by Python. *blocks* picks where
    the stream is cut into blocks; without it C gets a list."""
    outcome, at = Outcome(settings), 0
    changes = native_changes(outcome.reader)
    assert changes is not None
    frames = stream if blocks is None else in_blocks(stream, blocks)
    try:
        while at < len(stream) or outcome.reader.replay is not None:
            at, size, batch = changes.run(frames, at, most, 5000)
            if views:
                found = outcome.one_by_one(batch)
            else:
                out = outcome.converter.encode(batch, NOW_US, outcome.failed, outcome.chain)
                found = [out.outgoing(index) for index in range(len(out))]
            yield outcome.told(found, at, size)
    except Exception as exc:
        yield type(exc), str(exc)


def stream_of(pick: random.Random, transactions: int = 12) -> list[bytes]:
    """XLogData and keepalives as a server might send them."""
    lsn = 1000
    bodies: list[bytes] = []
    described: set[int] = set()
    for number in range(transactions):
        final, xid = lsn + 500, 700 + number
        body = [_change(pick, described) for _ in range(pick.choice((0, 1, 1, 2, 5, 20)))]
        inner = [each for pair in body for each in pair]
        if pick.random() < 0.1:
            inner.insert(0, frames.origin("elsewhere"))
        if pick.random() < 0.1:
            inner.append(frames.message("p", b"content", final, transactional=pick.random() < 0.5))
        if pick.random() < 0.1:
            inner.append(frames.truncate(*(oid for oid in described if oid != 4)))
        time = frames.TIME + number * pick.choice((1, 400, 900, 5000))
        bodies += [frames.begin(final, xid, time), *inner, frames.commit(final, final + 10, time)]
        lsn = final + 20
    found = []
    at = 1000
    for each in bodies:
        at += pick.choice((1, 8, 40))
        found.append(frames.xlog(at, each))
        if pick.random() < 0.02:
            found.append(frames.keepalive(at, asked=pick.random() < 0.5))
    return found


def _change(pick: random.Random, described: set[int]) -> list[bytes]:
    oid = pick.choice((1, 1, 1, 2, 3, 4, 5))
    name, columns, key = TABLES[oid]
    found = []
    if oid not in described or pick.random() < 0.03:
        described.add(oid)
        found.append(frames.relation(oid, name, [(each, 25, each in key) for each in columns]))
    row = cells(pick, columns)
    match pick.choice("IIUUUD"):
        case "I":
            found.append(frames.insert(oid, *row))
        case "U":
            after = tuple(UNCHANGED if name == "note" and pick.random() < 0.3 else cell
                          for name, cell in zip(columns, row, strict=True))
            old = cells(pick, columns) if pick.random() < 0.3 else row
            if pick.random() < 0.5:
                old = tuple(each if name in key else old[at] for at, (name, each) in enumerate(zip(columns, row)))
            match pick.randrange(3):
                case 0:
                    found.append(frames.update(oid, *after))
                case 1:
                    found.append(frames.update(oid, *after, old=old))
                case _:
                    short = tuple(each if name in key else None for name, each in zip(columns, old, strict=True))
                    found.append(frames.update(oid, *after, key=short))
        case _:
            found.append(frames.delete(oid, *row, full=True) if pick.random() < 0.5 else frames.delete(
                oid, *(each if name in key else None for name, each in zip(columns, row, strict=True))))
    return found


def cells(pick: random.Random, columns: tuple[str, ...]) -> Cells:
    return tuple(_cell(pick, name) for name in columns)


def _cell(pick: random.Random, name: str) -> frames.Cell:
    """Mostly what servers send often, so that most records are for C."""
    texts = TYPES[name][1]
    if pick.random() < (0.001 if name in REQUIRED else 0.1):
        return None
    return pick.choice(texts) if pick.random() < 0.06 else texts[0] or texts[1]
