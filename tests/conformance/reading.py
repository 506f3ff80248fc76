"""Reads a source by its interface alone, and shows its records as consumers get them: as JSON."""

from __future__ import annotations

import itertools
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from cdc.converters.json import JsonConverter
from cdc.converters.plan import ColumnFailures
from cdc.converters.records import RecordConverter
from cdc.core.interfaces import Outgoing, Source
from cdc.core.position import Position
from cdc.core.record import Batch
from tests.conformance.databases import SourceDatabase, make_source

TIMEOUT_S: Final = 30.0
FIRST_MARK: Final = 1_000_000
_marks = itertools.count(FIRST_MARK)


@dataclass(frozen=True)
class Event:
    """One message of a topic, its JSON read."""

    topic: str
    key: dict[str, Any] | None
    value: dict[str, Any] | None
    headers: dict[str, Any] = field(default_factory=dict)

    @property
    def op(self) -> str:
        """The envelope's, `tombstone` without a value, and `other` where the value is no envelope."""
        return "tombstone" if self.value is None else str(self.value.get("op", "other"))

    @property
    def row(self) -> dict[str, Any] | None:
        return None if self.value is None else self.value["after"]

    @property
    def brief(self) -> tuple[str, Any]:
        """Op and id."""
        return self.op, self.key and self.key.get("id")

    @property
    def change(self) -> tuple[Any, ...]:
        """All of it that is the same whenever it is read."""
        images = None if self.value is None else (self.value.get("before"), self.value.get("after"))
        return self.topic, self.op, self.key, images, self.headers


def brief(events: list[Event]) -> list[tuple[str, Any]]:
    return [event.brief for event in events]


class Reading:
    """Batches of a running source. `position` and `offset` are the last batch's, `counts` the sum of all batches'."""

    def __init__(self, source: Source, database: SourceDatabase) -> None:
        self.source = source
        self.position: Position | None = None
        self.offset: dict[str, Any] | None = None
        self.counts: Counter[tuple[str, str]] = Counter()
        self.sizes: list[int] = []
        self._database = database
        self._converter = _converter()

    def batch(self, timeout: float = 0.5) -> list[Event]:
        """The events of one batch; none if none came in time."""
        return self.events(self.source.poll(timeout))

    def events(self, batch: Batch | None) -> list[Event]:
        if batch is None:
            return []
        self.position = batch.position
        self.offset = as_stored(batch.position)
        self.counts.update(batch.counts)
        self.sizes.append(len(batch.records))
        return [_event(each) for each in self._converter.convert(batch.records, 0)]

    def until(self, done: Callable[[list[Event]], object]) -> list[Event]:
        """All events until *done* says so of them."""
        events: list[Event] = []
        deadline = time.monotonic() + TIMEOUT_S
        while not done(events):
            assert time.monotonic() < deadline, f"{len(events)} events, and no end: {events[-3:]}"
            events += self.batch()
        return events

    def first(self) -> list[Event]:
        """The events of the first batch that has any."""
        return self.until(bool)

    def changes(self) -> list[Event]:
        """All events of what was committed before this call: a row of table t, inserted now, ends them."""
        mark = next(_marks)
        self._database.execute(f"INSERT INTO t (id) VALUES ({mark})")
        events = self.until(lambda events: ("c", mark) in brief(events))
        return events[:brief(events).index(("c", mark))]

    def to_stream(self) -> list[Event]:
        """All events until the snapshot is done."""
        return self.until(lambda _: self.source.state() == "streaming")


@contextmanager
def running(database: SourceDatabase, options: Mapping[str, str] | None = None,
            offset: Mapping[str, Any] | None = None) -> Iterator[Reading]:
    """A source started at *offset*. Without one it starts where the log ends now."""
    source = make_source({**database.configuration(), **(options or {})})
    try:
        source.start(offset)
        reading = Reading(source, database)
        if offset is None and not _asks_for_rows(options):
            reading.to_stream()
        yield reading
    finally:
        source.stop()


def _asks_for_rows(options: Mapping[str, str] | None) -> bool:
    return (options or {}).get("snapshot.mode", "no_data") != "no_data"


def as_stored(position: Position) -> dict[str, Any]:
    """The position's offset, through JSON as an offset store keeps it."""
    offset: dict[str, Any] = json.loads(json.dumps(position.offset()))
    return offset


def _converter() -> RecordConverter:
    return RecordConverter(_side(True), _side(False), _side(False), ColumnFailures())


def _side(is_key: bool) -> JsonConverter:
    converter = JsonConverter()
    converter.configure({"schemas.enable": "false"}, is_key)
    return converter


def _event(outgoing: Outgoing) -> Event:
    key, value = (None if data is None else json.loads(data) for data in (outgoing.key, outgoing.value))
    headers = {name: None if data is None else json.loads(data) for name, data in outgoing.headers}
    return Event(outgoing.topic, key, value, headers)
