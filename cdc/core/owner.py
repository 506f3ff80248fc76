"""Who may write a connector's offsets: one process at a time, by a number that only rises.

A process that takes a connector over claims its offsets under the next *generation*. From then on the store refuses
every commit under an older one, so that a process that was paused, and wakes up after another took over, changes
nothing.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to commit an offset, until another process claims it."""

    owner: Owner
    generation: int
