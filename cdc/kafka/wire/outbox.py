"""What the sender's thread has for the thread that polls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cdc.core.named_tuple import NamedTuple

if TYPE_CHECKING:
    from cdc.native.recordsets import RecordSet


class Delivered(NamedTuple):
    """*deliveries*: numbers, and how many records of each."""

    deliveries: Sequence[tuple[int, int]]


class Undeliverable(NamedTuple):
    """A set of records that was given up. *code*, *text*: of the KafkaError. *culprits*: the records that a broker has
    named as the reason, by index; with none, it is all of them."""

    records: RecordSet
    topic: str
    code: int
    text: str
    culprits: Sequence[int]


class Told(NamedTuple):
    """An error that concerns brokers, not records."""

    code: int
    text: str


class Counted(NamedTuple):
    """Statistics, as JSON."""

    text: str


class Line(NamedTuple):
    """A line for the log, with its syslog level."""

    level: int
    text: str


Item = Delivered | Undeliverable | Told | Counted | Line | None
"""None: something may have changed that the poller waits for, such as the partitions of a topic."""
