"""Rows of the signal table, the order in which signals and records go out, and what a notification becomes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from structlog.testing import capture_logs

from cdc.codecs.text import TextCodec
from cdc.core.control import Notification, Signal, SnapshotStatus, parse_signal
from cdc.core.errors import StateError
from cdc.core.record import Message, Record, SourceContext
from cdc.core.row import row_of
from cdc.core.schema import INT64, STRING, Schema
from cdc.core.table import Column, TableId, TableSchema
from cdc.debezium import schemas
from cdc.debezium.emit import EmittedTable, Emitter, Origin
from cdc.debezium.naming import TopicNaming
from cdc.sources.shared.control import Control
from cdc.sources.shared.source_block import SourceBlockBase

SIGNALS = TableId("", "s", "signals")
OTHER = TableId("", "s", "a")
TEXT = Schema(STRING, optional=True)


def table(id: TableId, *names: str) -> TableSchema:
    codec = TextCodec(TEXT)
    columns = [Column(index, name, name, "text", TEXT, codec, None, TEXT, codec, None)
               for index, name in enumerate(names)]
    return schemas.make_table_schema(id, f"t.{id}", columns, columns[:1], schemas.source_schema("Source", ()),
                                     TopicNaming("t"))


class Recording:
    """A handler that remembers, and emits a message for each signal."""

    def __init__(self, control: Control) -> None:
        self.control = control
        self.handled: list[Signal] = []
        self.seen: list[str] = []
        self.kept: Mapping[str, Any] = {}

    def handle(self, signal: Signal) -> None:
        self.handled.append(signal)
        self.control.notify("Incremental Snapshot", "STARTED", {"data_collections": "s.a"}, id=signal.id)

    def watches(self, id: TableId) -> bool:
        return id == OTHER

    def passed(self, record: Record) -> None:
        self.seen.append(f"{record.op} {record.table.id}")

    def offset(self) -> Mapping[str, Any]:
        return {"incremental_snapshot_collections": "x"}

    def restore(self, offset: Mapping[str, Any]) -> None:
        self.kept = offset

    def snapshots(self) -> Sequence[SnapshotStatus]:
        return [SnapshotStatus("1", "incremental", "running")]

    active = False

    def turn(self, *, idle: bool, spare_s: float) -> None:
        pass

    def follow_commits(self) -> None:
        pass

    def committed(self, offset: Mapping[str, Any]) -> None:
        pass

    def close(self) -> None:
        pass


class World:
    def __init__(self, skipped: str = "") -> None:
        self.emitter = Emitter(skipped=frozenset(skipped), tombstones=True, skip_unchanged=False)
        block = SourceBlockBase(TopicNaming("t"), "imagined", schemas.source_schema("Source", ()))
        self.control = Control("t", self.emitter, lambda id: id == SIGNALS,
                               message=lambda told: block.notification("notes", told),
                               position=lambda: {"lsn": 5, "txId": 7})
        self.handler = self.control.handler = Recording(self.control)
        self.origin = Origin(SourceContext(schemas.source_schema("Source", ()), (), ()), (), True)

    def insert(self, *values: str | None, id: TableId = SIGNALS) -> None:
        made = table(id, *(f"c{number}" for number in range(len(values))))
        self.emitter.create(EmittedTable(made, str(id), self.control.watches(id)), self.origin,
                            row_of([None if each is None else each.encode() for each in values]))

    def out(self) -> list[str]:
        return [f"{each.value[1]} {each.key[0]}" if isinstance(each, Message) else f"{each.op} {each.table.id}"
                for each in self.control.passed(self.emitter.take())]


def test_a_row_of_the_signal_table_is_acted_on_before_it_goes_out() -> None:
    world = World()
    world.insert("1", id=OTHER)
    world.insert("s1", "execute-snapshot", '{"data-collections": ["s.a"]}')
    world.insert("2", id=OTHER)
    assert world.out() == ["c s.a", "STARTED s1", "c s.signals", "c s.a"]
    assert world.handler.handled == [Signal("s1", "execute-snapshot", {"data-collections": ["s.a"]}, "source")]
    assert world.handler.seen == ["c s.a", "c s.signals", "c s.a"]


def test_a_row_that_the_log_takes_back_asks_for_nothing() -> None:
    world = World()
    world.insert("s1", "execute-snapshot", "{}")
    world.emitter.undo(0)
    assert world.out() == []
    assert world.handler.handled == []


def test_a_row_that_waits_for_the_end_of_its_transaction_is_seen_then() -> None:
    world = World()
    world.insert("1", id=OTHER)
    world.insert("s1", "execute-snapshot", "{}")
    assert world.control.passed(world.emitter.take(1))
    assert world.handler.handled == []
    assert world.out() == ["STARTED s1", "c s.signals"]


def test_skipped_operations_hide_the_row_and_not_the_signal() -> None:
    world = World(skipped="cd")
    world.insert("s1", "pause-snapshot", None)
    world.emitter.delete(EmittedTable(table(SIGNALS, "id", "type", "data"), "s.signals", True), world.origin,
                         row_of([b"s1", None, None]))
    assert world.out() == ["STARTED s1"]
    assert world.handler.handled == [Signal("s1", "pause-snapshot", {}, "source")]
    assert world.handler.seen == ["c s.signals", "d s.signals"]
    assert world.emitter.take_counts() == {}


@pytest.mark.parametrize("values", [
    pytest.param(("s1", "log"), id="two columns"), pytest.param(("s1", None, "{}"), id="no type"),
    pytest.param(("s1", "log", "{"), id="no JSON"), pytest.param(("s1", "log", "[]"), id="no object"),
    pytest.param(("s1", "nonsense", "{}"), id="unknown type"),
])
def test_a_row_that_makes_no_sense_goes_out_and_does_nothing(values: tuple[str | None, ...]) -> None:
    world = World()
    world.insert(*values)
    assert world.out() == ["c s.signals"]
    assert world.handler.handled == []
    assert world.control.notifications() == []


def test_what_was_emitted_between_batches_goes_out_first() -> None:
    world = World()
    world.control.signal(Signal("k", "execute-snapshot", {}, "kafka"))
    world.insert("1", id=OTHER)
    world.control.turn()
    assert world.control.due
    assert world.out() == ["STARTED k", "c s.a"]
    assert not world.control.due


def test_a_notification_is_debeziums() -> None:
    world = World()
    world.control.notify("Initial Snapshot", "COMPLETED")
    message, = world.control.passed([])
    told, = world.control.notifications()
    assert told.additional_data == {"connector_name": "t"}
    assert message == Message("notes", schemas.notification_key_schema(str), (told.id,),
                              schemas.notification_value_schema(str),
                              (told.id, "COMPLETED", "Initial Snapshot", {"connector_name": "t"}, told.timestamp_ms))
    assert message.value_schema.fields[4].schema == Schema(INT64)
    assert world.control.notifications() == []


def test_notifications_that_nobody_fetches_are_bounded() -> None:
    world = World()
    for _ in range(1200):
        world.control.told(Notification("1", "a", "b", {}, 1))
    assert len(world.control.notifications()) == 1000


def test_the_offset_has_the_marks_and_the_handlers_keys() -> None:
    world = World()
    world.control.restore({"signal_kafka": "t/0/4"})
    assert world.handler.kept == {"signal_kafka": "t/0/4"}
    assert world.control.offset() == {"signal_kafka": "t/0/4", "incremental_snapshot_collections": "x"}
    world.control.signal(Signal("k", "log", {"message": "m"}, "kafka", {"signal_kafka": "t/0/5"}))
    world.control.turn()
    assert (world.control.taken(), world.control.taken()) == (True, False)
    assert world.control.offset()["signal_kafka"] == "t/0/5"


def test_before_the_stream_a_channel_waits_behind_its_signal_about_snapshots() -> None:
    world = World()
    for number, type, channel in ((1, "execute-snapshot", "kafka"), (2, "log", "kafka"), (3, "log", "file")):
        world.control.signal(Signal(str(number), type, {"message": "m"}, channel, {f"signal_{channel}": str(number)}))
    world.control.turn(streaming=False)
    assert world.control.offset().keys() & {"signal_kafka", "signal_file"} == {"signal_file"}
    world.control.turn()
    assert [each.id for each in world.handler.handled] == ["1"]
    assert world.control.offset()["signal_kafka"] == "2"


def test_signals_that_wait_are_bounded() -> None:
    world = World()
    for _ in range(1000):
        world.control.signal(Signal("", "log", {}, "rest"))
    with pytest.raises(StateError, match="1000 signals wait"):
        world.control.signal(Signal("", "log", {}, "rest"))


def test_the_signal_log_tells_the_offset() -> None:
    world = World()
    world.control.signal(Signal("k", "log", {"message": "at {}"}, "rest"))
    with capture_logs() as lines:
        world.control.turn()
    assert [line["message"] for line in lines] == ["at {lsn=5, txId=7}"]


@pytest.mark.parametrize(("parts", "why"), [
    ([], "JSON object"), ({}, "no type"), ({"type": 1}, "no type"), ({"type": " "}, "no type"),
    ({"type": "log", "id": {}}, "id"), ({"type": "log", "data": 1}, "no JSON object"),
    ({"type": "log", "data": "x"}, "no JSON: "),
])
def test_what_is_no_signal_is_refused_with_the_reason(parts: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_signal(parts, "file")


def test_data_may_be_an_object_its_text_or_nothing() -> None:
    assert parse_signal({"id": 3, "type": "log", "data": {"a": 1}}, "file") == Signal("3", "log", {"a": 1}, "file")
    assert parse_signal({"type": "log", "data": '{"a": 1}'}, "file") == Signal("", "log", {"a": 1}, "file")
    assert parse_signal({"type": "log"}, "file") == Signal("", "log", {}, "file")


def test_a_commit_that_is_asked_for_belongs_to_the_next_batch() -> None:
    world = World()
    world.control.commit_soon()
    assert world.control.due
    assert (world.control.taken(), world.control.taken(), world.control.due) == (True, False, False)
