"""Signals on their way to a source, notifications on their way from it, and the file channel."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from cdc.core.control import Notification, Signal, SnapshotStatus
from cdc.core.errors import StateError
from cdc.core.interfaces import Controlled
from cdc.metrics.task import TaskMetrics
from cdc.runtime.notifications import KEPT, Notifications
from cdc.runtime.signal_file import FileSignals
from cdc.runtime.signals import Signals


class Source:
    """Takes signals until it has `room` no more."""

    def __init__(self, room: int = 100) -> None:
        self.room = room
        self.got: list[Signal] = []
        self.told: list[Notification] = []

    def signal(self, signal: Signal) -> None:
        if len(self.got) >= self.room:
            raise StateError("full", status=503)
        self.got.append(signal)

    def notifications(self) -> Sequence[Notification]:
        told, self.told = self.told, []
        return told

    def snapshots(self) -> Sequence[SnapshotStatus]:
        return ()


class Channel:
    def __init__(self, *ids: str) -> None:
        self.signals = [Signal(id, "log", {}, "here") for id in ids]
        self.offsets: list[Mapping[str, Any]] = []
        self.closed = False

    def start(self, offset: Mapping[str, Any]) -> None:
        self.offsets.append(offset)

    def take(self) -> Signal | None:
        return self.signals.pop(0) if self.signals else None

    def committed(self, offset: Mapping[str, Any]) -> None:
        self.offsets.append(offset)

    def close(self) -> None:
        self.closed = True


class Place:
    def offset(self) -> dict[str, Any]:
        return {"lsn": 2}


def told(number: int = 1) -> Notification:
    return Notification(str(number), "Initial Snapshot", "STARTED", {"connector_name": "t"}, number)


def test_signals_pass_in_order_and_notifications_come_back() -> None:
    source, channel, got = Source(), Channel("1", "2"), list[Notification]()
    assert isinstance(source, Controlled)
    signals = Signals([channel], got.extend)
    signals.turn()
    signals.start(source, {"lsn": 1})  # type: ignore[arg-type]
    source.told = [told()]
    signals.turn()
    assert [each.id for each in source.got] == ["1", "2"]
    assert got == [told()]
    signals.committed(Place())
    source.told = [told(2)]
    signals.close()
    assert got == [told(), told(2)]
    assert channel.offsets == [{"lsn": 1}, {"lsn": 2}]
    assert channel.closed


def test_a_signal_that_a_full_source_refuses_comes_again_in_its_place() -> None:
    source, channel = Source(room=1), Channel("1", "2", "3")
    signals = Signals([channel])
    signals.start(source, None)  # type: ignore[arg-type]
    for _ in range(3):
        signals.turn()
    assert len(channel.signals) == 1
    source.room = 5
    signals.turn()
    signals.turn()
    assert [each.id for each in source.got] == ["1", "2", "3"]


def test_a_source_that_takes_no_signals_is_left_alone() -> None:
    channel = Channel("1")
    signals = Signals([channel])
    signals.start(object(), {"lsn": 1})  # type: ignore[arg-type]
    signals.turn()
    signals.committed(Place())
    signals.close()
    assert channel.offsets == []


def test_notifications_are_counted_logged_and_bounded() -> None:
    metrics = TaskMetrics("c")
    kept = Notifications(metrics, logs=True)
    with capture_logs() as lines:
        kept.add([told()])
    assert lines == [{"log_level": "info", "event": "notification", "id": "1", "aggregate_type": "Initial Snapshot",
                      "type": "STARTED", "at_ms": 1, "data": {"connector_name": "t"}}]
    with capture_logs() as lines:
        Notifications(TaskMetrics("d")).add([told()])
    assert lines == []
    kept.add([told(number) for number in range(KEPT)])
    assert len(kept.newest()) == KEPT
    assert kept.newest()[-1] == told(KEPT - 1)
    assert metrics.all_numbers()["cdc_notifications_total"] == KEPT + 1


# -- the file ---------------------------------------------------------------------------------------------------------

@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "signals.txt"


def line(id: str, type: str = "log") -> str:
    return json.dumps({"id": id, "type": type, "data": {"message": "m"}}) + "\n"


def channel(path: Path, offset: Mapping[str, Any] | None = None) -> FileSignals:
    made = FileSignals(str(path), "my connector", 1)
    made.committed(offset or {})
    return made


def taken(channel: FileSignals) -> list[Signal]:
    channel.look()
    found = []
    while (signal := channel.take()) is not None:
        found.append(signal)
    return found


def ids(channel: FileSignals) -> list[str]:
    return [each.id for each in taken(channel)]


def names(path: Path) -> list[str]:
    return sorted(each.name.split(".")[-1] for each in path.parent.iterdir())


def test_a_file_is_emptied_and_forgotten_once_its_signals_are_durable(path: Path) -> None:
    file = channel(path)
    assert taken(file) == []
    path.write_text(line("1") + "\n" + line("2"))
    path.chmod(0o640)
    found = taken(file)
    assert [each.id for each in found] == ["1", "2"]
    assert found[0].channel == "file"
    assert found[0].data == {"message": "m"}
    assert path.read_text() == ""
    assert path.stat().st_mode & 0o777 == 0o640
    file.committed(found[0].mark)
    file.look()
    assert names(path) == ["taken", "txt"]
    file.committed(found[1].mark)
    file.look()
    assert names(path) == ["txt"]
    path.write_text(line("3"))
    assert ids(file) == ["3"]


def test_after_a_restart_only_signals_that_the_offset_does_not_cover_come_again(path: Path) -> None:
    path.write_text(line("1") + line("2"))
    first = taken(channel(path))
    path.write_text(line("3"))
    assert ids(channel(path)) == ["1", "2"]
    again = channel(path, first[0].mark)
    assert ids(again) == ["2"]
    again.committed(first[1].mark)
    again.look()
    assert ids(again) == ["3"]
    covered = channel(path, first[1].mark)
    assert ids(covered) == ["3"]


def test_what_a_writer_still_appends_to_the_taken_file_is_read(path: Path) -> None:
    file = channel(path)
    with path.open("a") as writer:
        writer.write(line("1"))
        writer.flush()
        assert ids(file) == ["1"]
        writer.write(line("2"))
        writer.flush()
        assert ids(file) == ["2"]


def test_a_line_without_an_end_counts_when_it_grows_no_more(path: Path) -> None:
    file = channel(path)
    path.write_text(line("1") + line("2")[:20])
    assert ids(file) == ["1"]
    with next(each for each in path.parent.iterdir() if each.suffix == ".taken").open("a") as writer:
        writer.write(line("2")[20:-1])
    assert ids(file) == []
    assert ids(file) == ["2"]


@pytest.mark.parametrize(("text", "why"), [
    ("nonsense\n", "no JSON: "), ("[1]\n", "JSON object"), ('{"id": "1"}\n', "no type"), ("x" * (1 << 20), "1 MiB"),
], ids=["text", "list", "no type", "long"])
def test_what_is_no_signal_is_told_and_passed_over(path: Path, text: str, why: str) -> None:
    path.write_text(text)
    with path.open("a") as writer:
        writer.write("\n" + line("2"))
    file = channel(path)
    with capture_logs() as lines:
        assert [*ids(file), *ids(file)] == ["2"]
    assert [each["event"] for each in lines] == ["signal_ignored"] * len(lines)
    assert why in lines[0]["why"]


def test_a_file_without_a_signal_is_deleted_at_once(path: Path) -> None:
    path.write_text("nonsense\n")
    channel(path).look()
    assert names(path) == ["txt"]


def test_a_folder_that_cannot_be_read_is_told_once(tmp_path: Path) -> None:
    file = channel(tmp_path / "nowhere" / "signals.txt")
    with capture_logs() as lines:
        file.look()
        file.look()
    assert [each["event"] for each in lines] == ["signals_not_read"]
