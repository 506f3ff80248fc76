"""Who may write a connector's offsets: one process at a time, by a number that only rises.

A process that takes a connector over claims its offsets under the next *generation*. From then on the store refuses
every commit under an older one, so that a process that was paused, and wakes up after another took over, changes
nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from .dataclass import dataclass

OF_TABLE: Final = {"protocol": "1", "table": "*"}
"""A source partition of Confluent's JDBC source, with every table's name (OffsetProtocols.sourcePartitionForProtocolV1
there). One task has many of them."""


@dataclass(frozen=True)
class Owner:
    """A process, as others are told about it. *run* differs for each process, *since* is its start in UTC."""

    host: str
    pid: int
    since: str
    run: str

    def __str__(self) -> str:
        return f"process {self.pid} on host {self.host}, running since {self.since}"

    def json(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def of(cls, found: Any) -> Owner | None:
        """From the JSON object, or its text, that `json` wrote; None for anything else."""
        try:
            value = json.loads(found) if isinstance(found, str | bytes) else found
            return cls(str(value["host"]), int(value["pid"]), str(value["since"]), str(value["run"]))
        except (ValueError, TypeError, LookupError, RecursionError):
            return None


@dataclass(frozen=True)
class Claim:
    """The right to commit an offset, until another process claims it."""

    owner: Owner
    generation: int


def claimed_by(partition: Mapping[str, Any]) -> Mapping[str, Any]:
    """The source partition whose claim covers *partition*: itself, but the partitions of a task that has one for each
    table have one claim together."""
    return OF_TABLE if {**partition, "table": "*"} == OF_TABLE else partition
