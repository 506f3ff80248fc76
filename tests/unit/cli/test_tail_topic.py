"""cdc/cli/tail/topic: a client that has lost its brokers is replaced. Reading itself is tested against a broker."""

from __future__ import annotations

from itertools import islice
from types import SimpleNamespace
from typing import Any

import confluent_kafka
import pytest
from confluent_kafka import OFFSET_BEGINNING, TopicPartition

from cdc.cli.tail.topic import topic_events

LOG = {0: ["a0", "a1", "a2"], 1: ["b0", "b1"]}


class Message:
    def __init__(self, number: int, offset: int) -> None:
        self._number, self._offset = number, offset

    def error(self) -> None:
        return None

    def partition(self) -> int:
        return self._number

    def offset(self) -> int:
        return self._offset

    def key(self) -> None:
        return None

    def value(self) -> bytes:
        return f'"{LOG[self._number][self._offset]}"'.encode()


class Client:
    """Gives two messages; then it says that it knows no broker, and gives nothing any more."""

    made: list[Client]

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        self.assigned: dict[int, int] = {}
        self.given = 0
        self.closed = False
        self.made.append(self)

    def list_topics(self, topic: str, timeout: float) -> Any:
        return SimpleNamespace(topics={topic: SimpleNamespace(error=None, partitions=dict.fromkeys(LOG))})

    def get_watermark_offsets(self, place: TopicPartition, timeout: float) -> tuple[int, int]:
        return 0, 1

    def assign(self, places: list[TopicPartition]) -> None:
        self.assigned = {each.partition: max(0, each.offset) for each in places}
        self.asked = {each.partition: each.offset for each in places}

    def poll(self, timeout: float) -> Message | None:
        if self.given == 2:
            self.config["stats_cb"]('{"brokers": {}}')
            return None
        self.config["stats_cb"]('{"brokers": {"one": {"state": "UP"}}}')
        number, offset = next((each, at) for each, at in self.assigned.items() if at < len(LOG[each]))
        self.given += 1
        self.assigned[number] += 1
        return Message(number, offset)

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize(("from_beginning", "expected", "first"), [
    (True, ["a0", "a1", "a2", "b0", "b1"], OFFSET_BEGINNING), (False, ["a1", "a2", "b1"], 1)])
def test_a_client_without_brokers_is_replaced_and_nothing_is_left_out(
        from_beginning: bool, expected: list[str], first: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Client, "made", [], raising=False)
    monkeypatch.setattr(confluent_kafka, "Consumer", Client)
    events = topic_events("t", "broker:1", None, ("client.id=x",), from_beginning, readable=False)
    assert [each.value for each in islice(events, len(expected))] == expected  # type: ignore[union-attr]
    events.close()
    assert Client.made[0].asked == {0: first, 1: first}
    assert len(Client.made) == (len(expected) + 1) // 2
    assert all(each.closed and each.config["client.id"] == "x" for each in Client.made)
