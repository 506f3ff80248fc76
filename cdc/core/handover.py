"""A connector changes hands: what its source says of Debezium's offset, and the offset that Debezium goes on from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

Level = Literal["error", "warning", "info"]


class Remark(NamedTuple):
    """*error*: it cannot be taken over. *warning*: something will differ, or must be done. *info*: good to know.
    *about* is a key of the configuration, `offset`, or empty."""

    level: Level
    about: str
    text: str


class Handover(NamedTuple):
    """`taken_over(offset)`: what becomes of Debezium's offset here. An *error* if it is not continued.
    `given_back(offset)`: Debezium's keys alone, at a place from which it leaves nothing out. It may deliver again what
    was delivered of one transaction. Raises ConfigError for an offset that it cannot continue."""

    taken_over: Callable[[Mapping[str, Any]], Sequence[Remark]]
    given_back: Callable[[Mapping[str, Any]], dict[str, Any]]


UNFINISHED: Final = Remark(
    "error", "offset", "its snapshot is not complete, and only the program that began a snapshot can finish it. Let it "
    "finish in Kafka Connect. Or delete the connector and its offsets there, and create it here as a new one.")
_INCREMENTAL: Final = Remark(
    "error", "offset", "an incremental snapshot is running. Let it finish in Kafka Connect, or stop it there with a "
    "stop-snapshot signal; then repeat the command.")


def incremental(offset: Mapping[str, Any]) -> list[Remark]:
    """An error if Debezium's *offset* tells that an incremental snapshot is running."""
    return [_INCREMENTAL] if any(key.startswith("incremental_snapshot_") and offset[key] for key in offset) else []
