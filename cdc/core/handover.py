"""A connector changes hands: what its source says of the offsets that Debezium or another program stored in Kafka
Connect, and the offset that this program goes on from."""

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


Given = list[tuple[dict[str, Any], dict[str, Any]]]
"""Source partitions and their offsets."""


def of_topic_prefix(config: Mapping[str, str], given: Given) -> tuple[Given, Sequence[Remark]]:
    """As `Handover.chosen`, for Debezium's connectors."""
    prefix = config.get("topic.prefix") or config.get("database.server.name", "")
    one = len(given) == 1 and "${" in prefix  # a reference, whose text only Kafka Connect may know
    found = [(partition, offset) for partition, offset in given if one or partition.get("server") == prefix]
    return found, [] if found else [none_stored(f"for topic.prefix={prefix}", "it begins with a snapshot")]


def none_stored(what: str, then: str) -> Remark:
    """The error for a connector of whose offsets none is stored. *then*: what a new one does."""
    return Remark(
        "error", "offset", f"Kafka Connect has stored none {what}. If the connector has just begun there, repeat the "
        f"command in a minute (offset.flush.interval.ms). If not, create it here as a new one; {then}.")


class Handover(NamedTuple):
    """`taken_over(offset)`: what becomes of the other program's offset here. An *error* if it is not continued.
    `given_back(offset)`: its keys alone, at a place from which it leaves nothing out. It may deliver again what was
    delivered of one transaction. Raises ConfigError for an offset that it cannot continue, and PositionLostError for
    one of another connector.
    `chosen(config, given)`: those of the connector's stored offsets that it goes on from, as they are to be stored
    here, with remarks on all of them together: an *error* if there must be some."""

    taken_over: Callable[[Mapping[str, Any]], Sequence[Remark]]
    given_back: Callable[[Mapping[str, Any]], dict[str, Any]]
    chosen: Callable[[Mapping[str, str], Given], tuple[Given, Sequence[Remark]]] = of_topic_prefix


UNFINISHED: Final = Remark(
    "error", "offset", "its snapshot is not complete, and only the program that began a snapshot can finish it. Let it "
    "finish in Kafka Connect. Or delete the connector and its offsets there, and create it here as a new one.")
_INCREMENTAL: Final = Remark(
    "error", "offset", "an incremental snapshot is running. Let it finish in Kafka Connect, or stop it there with a "
    "stop-snapshot signal; then repeat the command.")


def incremental(offset: Mapping[str, Any]) -> list[Remark]:
    """An error if Debezium's *offset* tells that an incremental snapshot is running."""
    return [_INCREMENTAL] if any(key.startswith("incremental_snapshot_") and offset[key] for key in offset) else []
