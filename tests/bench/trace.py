"""CPU time per event of each stage, on traces of both logs and without servers; prints JSON.

    python -m tests.bench.trace [--events 20000] [--rounds 5]

`calibration` is the CPU time of a fixed piece of plain Python. A stage divided by it can be compared between machines,
and it is timed next to each round, so that a busy machine slows both down. Each figure is the best of its rounds.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from typing import Any, Final

from cdc import about
from cdc.converters.json import JsonConverter
from cdc.converters.plan import ColumnFailures
from cdc.converters.records import RecordConverter
from cdc.converters.simple import SimpleHeaderConverter
from cdc.converters.views import Views
from cdc.core.table import Column, TableId
from cdc.debezium.emit import Emitter
from cdc.debezium.naming import TopicNaming
from cdc.debezium.schemas import make_table_schema, postgres_source_schema
from cdc.log import configure
from cdc.sources.postgres.changes import ChangeReader
from cdc.sources.postgres.native_changes import native_changes
from cdc.sources.postgres.options import parse_postgres
from cdc.sources.postgres.protocol import Relation
from cdc.sources.postgres.relations import RelationState
from cdc.sources.postgres.source_block import SourceBlock
from cdc.sources.postgres.spill import Spill
from cdc.sources.postgres.types import TypeInfo, resolve
from cdc.transforms.chain import Chain
from tests.unit.converters.tables import avro
from tests.unit.sources.mysql.binlog_files import MYSQL
from tests.unit.sources.mysql.test_native_log import log_of
from tests.unit.sources.mysql.test_native_rows import world
from tests.unit.sources.postgres.pgoutput_frames import begin, commit, insert, relation, update, xlog
from tests.unit.transforms.worlds import steps

ORDERS: Final = (
    ("id", "int8", 20, -1, True), ("customer_id", "int4", 23, -1, True), ("status", "text", 25, -1, True),
    ("amount", "numeric", 1700, (12 << 16 | 2) + 4, True), ("currency", "bpchar", 1042, 7, True),
    ("note", "text", 25, -1, False), ("quantity", "int4", 23, -1, True), ("paid", "bool", 16, -1, True),
    ("created_at", "timestamptz", 1184, -1, True), ("updated_at", "timestamp", 1114, -1, False),
)
"""Name, type, its oid, modifier, NOT NULL."""

_OID: Final = 16384
_PER_TRANSACTION: Final = 1000
_BATCH: Final = 2000
_SMALL: Final = 5000
"""Transactions of the binary log."""
_CONFIG, _ = parse_postgres({"name": "bench", "topic.prefix": "bench", "database.hostname": "h",
                             "database.user": "u", "database.dbname": "d"})
_NAMING: Final = TopicNaming.from_config(_CONFIG)
_HEADERS: Final = (("__debezium.context.connectorLogicalName", "bench"), ("__debezium.context.taskId", "0"),
                   ("__debezium.context.connectorName", "postgresql"))
_TRANSFORMS: Final = {
    "transforms": "unwrap,route", "transforms.unwrap.type": "io.debezium.transforms.ExtractNewRecordState",
    "transforms.unwrap.add.fields": "op,source.ts_ms,source.lsn", "transforms.route.type": "RegexRouter",
    "transforms.route.regex": "bench[.](.*)", "transforms.route.replacement": "$1"}


def frames(events: int, change: Callable[[int], bytes] | None = None) -> list[bytes]:
    """Transactions of a thousand changes, as the walsender sends them; inserts by default."""
    made = change or inserted
    columns = [(name, oid, name == "id") for name, _, oid, _, _ in ORDERS]
    out, lsn = [], 1 << 24
    for first in range(0, events, _PER_TRANSACTION):
        count = min(_PER_TRANSACTION, events - first)
        final_lsn = lsn + 200 * (count + 2)
        out.append(xlog(0, begin(final_lsn, 700 + first)))
        if not first:
            out.append(xlog(0, relation(_OID, "orders", columns)))
        out += [xlog(lsn := lsn + 200, made(number)) for number in range(first, first + count)]
        out.append(xlog(final_lsn, commit(final_lsn, lsn := final_lsn + 48)))
    return out


def inserted(number: int) -> bytes:
    return insert(_OID, *_cells(number))


def updated(number: int) -> bytes:
    """With the whole old row; two columns differ."""
    before, after = _cells(number), _cells(number + 1)
    return update(_OID, *before[:2], after[2], *before[3:9], after[9], old=before)


def moved(number: int) -> bytes:
    """To another key."""
    return update(_OID, *_cells(number), old=_cells(number + 1))


def _cells(number: int) -> tuple[str, ...]:
    return (str(number), str(number % 10007), ("new", "paid", "shipped", "returned")[number % 4],
            f"{number % 100000 / 100:.2f}", "EUR", f"note for order {number}", str(1 + number % 9),
            "ft"[number % 3 == 0],
            f"2024-01-{1 + number % 28:02} 00:00:{number % 60:02}+00", f"2024-01-01 00:00:00.{number % 1000:03}")


def _resolve(found: Relation, *_: int) -> RelationState:
    columns = [_column(index, *each) for index, each in enumerate(ORDERS)]
    table = make_table_schema(TableId("d", "public", found.name), f"bench.public.{found.name}", columns, columns[:1],
                              postgres_source_schema(_NAMING.schema_name), _NAMING)
    return RelationState(found, table)


def _column(index: int, name: str, type_name: str, oid: int, typmod: int, required: bool) -> Column:
    info = TypeInfo(oid, type_name, "pg_catalog", "b")
    found = resolve(info, typmod, config=_CONFIG, types={oid: info})
    assert found is not None
    schema = found.schema if required else found.schema.as_optional()
    return Column(index, name, name, type_name, schema, found.codec, found.binary_codec, schema, found.codec, None,
                  found.unchanged)


def reader(*, metadata: bool = False) -> ChangeReader:
    emitter = Emitter(skipped=frozenset("t"), tombstones=True, skip_unchanged=False, skip_halves=True, whole_keys=True)
    return ChangeReader(emitter=emitter, resolve=_resolve, relax=lambda state, _: state, relabel=lambda state, _: state,
                        name_type=lambda _: None, events=SourceBlock(_NAMING, "d", "bytes"), spill=Spill(),
                        transaction_metadata=metadata, clock_us=lambda: 1_000_000, null_keys=False)


def converter(*, json: bool = False) -> RecordConverter:
    pair: list[Any] = [JsonConverter(), JsonConverter()] if json else [avro(True), avro()]
    for each, is_key in zip(pair, (True, False), strict=True):
        if json:
            each.configure({"schemas.enable": "false"}, is_key)
    return RecordConverter(pair[0], pair[1], SimpleHeaderConverter(), ColumnFailures("fail"), _HEADERS)


class Trace:
    """One trace, and what each stage makes of it."""

    def __init__(self, events: int) -> None:
        self.events = events
        self.frames = frames(events)
        self.log = log_of(MYSQL, 1, usual=True, count=_SMALL)
        self.updates = frames(events, updated)
        self.moves = frames(events // 10, moved)
        self.batches: list[list[Any]] = []
        self.bytes = 0

    def decode(self) -> None:
        found = reader()
        self.batches = []
        for first in range(0, len(self.frames), _BATCH):
            for frame in self.frames[first:first + _BATCH]:
                found.feed(frame)
            self.batches.append(found.emitter.take())
        assert sum(map(len, self.batches)) == self.events

    def convert(self) -> None:
        made = converter()
        self.bytes = 0
        for batch in self.batches:
            self.bytes += sum(len(each.value) for each in made.convert(batch, 1_700_000_000_000_000) if each.value)

    def native(self) -> None:
        """Both at once, as whole batches in C."""
        assert self._native(None) > self.bytes, "there are keys beside the values"

    def transformed(self) -> None:
        """The same, unwrapped and with another topic's name."""
        self._native(Chain(steps(_TRANSFORMS), Views(ColumnFailures("fail"), _HEADERS).view, shapes=True))

    def json(self) -> None:
        """As `native`, but as JSON without schemas."""
        self._native(None, json=True)

    def metadata(self) -> None:
        """As `native`, with transaction metadata."""
        self._native(None, metadata=True)

    def full(self) -> None:
        """Updates with the whole old row."""
        self._native(None, stream=self.updates)

    def move(self) -> None:
        """Updates that change the key, a tenth as many."""
        self._native(None, stream=self.moves)

    def small(self) -> None:
        """Transactions of one row of MySQL, read by C."""
        self._small(whole=True)

    def small_by_event(self) -> None:
        """The same, of which C reads only the rows."""
        self._small(whole=False)

    def small_metadata(self) -> None:
        """As `small`, with transaction metadata."""
        self._small(whole=True, mode="metadata")

    def _small(self, *, whole: bool, mode: str = "defaults") -> None:
        found = world(MYSQL, mode, native_modules=True)
        reader: Any = found.reader
        if not whole:
            reader.native.log = None
        first = 0
        while first < len(self.log):
            first, _ = reader.run(self.log, first, _BATCH, 1 << 30)
            reader.native.batch(reader.emitter.take(reader.ready(_BATCH)[0]))
        assert reader.stream.transactions == _SMALL

    def _native(self, chain: Chain | None, *, json: bool = False, metadata: bool = False,
                stream: list[bytes] | None = None) -> int:
        """The bytes of all keys and values."""
        found, made = native_changes(reader(metadata=metadata)), converter(json=json)
        assert found is not None
        stream = self.frames if stream is None else stream
        first = count = size_bytes = 0
        while first < len(stream):
            first, _, batch = found.run(stream, first, _BATCH, 1 << 30)
            out = made.encode(batch, 1_700_000_000_000_000, None, chain)
            count, size_bytes = count + len(out), size_bytes + out.size_bytes
        assert count >= self.events // 10
        return size_bytes


def calibrate() -> None:
    """A fixed piece of plain Python: small objects, dictionaries, bytes."""
    seen: dict[bytes, int] = {}
    for number in range(50_000):
        key = b"%d" % (number % 1000)
        seen[key] = seen.get(key, 0) + len(key)


def best(rounds: int, **stages: Callable[[], None]) -> dict[str, float]:
    """The least CPU seconds of each of *stages*, which run in turn."""
    least: dict[str, float] = {}
    for _ in range(rounds):
        for name, stage in stages.items():
            began = time.process_time()
            stage()
            took = time.process_time() - began
            least[name] = min(least.get(name, took), took)
    return least


def measure(events: int, rounds: int) -> dict[str, Any]:
    """`decode_us`, `convert_us`, and where they were compiled `native_us`, `transformed_us`, `json_us`, `metadata_us`,
    `full_us` and `move_us`, by event; `small_us`, `small_by_event_us` and `small_metadata_us` by transaction;
    `calibration_us` by turn of its loop; which core ran."""
    trace = Trace(events)
    stages = {"decode": trace.decode, "convert": trace.convert}
    if native_changes(reader()) is not None:
        stages |= {"native": trace.native, "transformed": trace.transformed, "json": trace.json}
        stages |= {"metadata": trace.metadata, "full": trace.full, "move": trace.move}
        stages |= {"small": trace.small, "small_by_event": trace.small_by_event, "small_metadata": trace.small_metadata}
    took = best(rounds, calibration=calibrate, **stages)
    return {"core": about.core(), "events": events, "bytes": trace.bytes,
            "calibration_us": took["calibration"] / 50_000 * 1e6,
            **{f"{name}_us": took[name] / _per(name, events) * 1e6 for name in stages}}


def _per(stage: str, events: int) -> int:
    """How many events, or transactions, a stage has."""
    return _SMALL if stage.startswith("small") else events // 10 if stage == "move" else events


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    configure("error")
    json.dump(measure(args.events, args.rounds), sys.stdout)
    print()


if __name__ == "__main__":
    main()
