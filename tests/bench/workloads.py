"""What the bench runs: backlogs to drain, snapshots, latency and start; and what a database must be able to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, Protocol

from .common import Measured

Fill = Literal["thousands", "singles", "at_once", "updates"]
Table = Literal["narrow", "wide"]

JSON: Final[Mapping[str, str]] = {
    f"{side}.converter{key}": value for side in ("key", "value")
    for key, value in (("", "org.apache.kafka.connect.json.JsonConverter"), (".schemas.enable", "false"))}
TRANSFORMS: Final[Mapping[str, str]] = {
    "transforms": "unwrap,route", "transforms.unwrap.type": "io.debezium.transforms.ExtractNewRecordState",
    "transforms.unwrap.add.fields": "op,source.lsn,source.file,source.pos", "transforms.route.type": "RegexRouter",
    "transforms.route.regex": "(.*)[.](.*)", "transforms.route.replacement": "$1.$2"}
"""Unwrapped rows with their place in the log. The topic keeps its name, so that the gate finds it."""


@dataclass(frozen=True)
class Workload:
    """*share* of the rows asked for is enough. *settings* are added to the worker's and connector's."""

    title: str
    fill: Fill = "thousands"
    table: Table = "narrow"
    share: float = 1.0
    snapshot: bool = False
    full_identity: bool = False
    compressed: bool = False
    settings: Mapping[str, str] = field(default_factory=dict)
    beside: str = ""
    """The table that an incremental snapshot copies meanwhile: `archive`, which has as many rows, or `orders`."""
    against: str = ""
    """The workload with the same rows that runs in turn with this one."""


WORKLOADS: Final[Mapping[str, Workload]] = {
    "W1": Workload("inserts, 1000 in a transaction"),
    "W2": Workload("transactions of one row", fill="singles", share=0.3),
    "W3": Workload("updates with the whole old row, 1000 in a transaction", fill="updates", share=0.5,
                   full_identity=True),
    "W4": Workload("one transaction of all rows", fill="at_once"),
    "W4Z": Workload("one transaction of all rows, compressed by the server", fill="at_once", compressed=True),
    "W5": Workload("initial snapshot", fill="at_once", snapshot=True),
    "W6": Workload("rows with 100 KB of text", fill="at_once", table="wide", share=0.01),
    "W9": Workload("inserts as JSON without schemas, 1000 in a transaction", settings=JSON, against="W1"),
    "W10": Workload("inserts, unwrapped and routed, 1000 in a transaction", settings=TRANSFORMS, against="W1"),
    "W11": Workload("inserts, 1000 in a transaction, beside an incremental snapshot of another table",
                    beside="archive", against="W1"),
    "W12": Workload("inserts, 1000 in a transaction, beside an incremental snapshot of the same table",
                    beside="orders", against="W1"),
}
"""Those that drain a number of rows. W7, latency, and W8, start, are in `timing.py`."""

COLUMNS: Final = ("id", "quantity", "note")
"""Columns of the narrow table that the gate compares; of the wide one it compares `id` and the length of `body`."""


class Database(Protocol):
    """A server with the tables `orders` and `archive`, and what of `orders` was filled since `prepare` as a backlog."""

    name: str
    kinds: Sequence[str]
    """The workloads that it has."""

    def prepare(self, workload: Workload, rows: int) -> None:
        """A new database with a backlog of *rows* rows, or, for a snapshot, with so many rows. `archive` is empty,
        unless a snapshot copies it."""
        ...

    def draining(self, name: str, workload: Workload) -> AbstractContextManager[dict[str, object]]:
        """The keys of a connector of this *name*, which reads the whole backlog; while the context is open."""
        ...

    def offsets(self, path: Path, name: str) -> None:
        """Put the connector's first offset into the file *path*, if it needs one."""
        ...

    def begin(self) -> dict[str, Any] | None:
        """The same offset, for Debezium; None if the slot has the place."""
        ...

    def topic(self, name: str) -> str: ...

    def floor(self, workload: Workload, rows: int) -> tuple[str, Measured] | None:
        """What the server itself can do: the same bytes read by its own program into nothing."""
        ...

    def first_s(self) -> float:
        """Seconds until the server's own program has the first bytes of the backlog: what a start takes of its time."""
        ...

    def rows(self, step: int) -> dict[int, tuple[object, ...]]:
        """COLUMNS of each *step*th row by id, or (id, length of body)."""
        ...

    def write(self, seconds: float, per_second: int) -> int:
        """Insert rows (id, at) into `ticks`, each in a transaction, at a constant rate that waits for nobody; `at` is
        the server's clock in µs since 1970. Returns how many."""
        ...
