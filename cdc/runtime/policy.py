"""From error to action: the only place that decides whether to retry, fail or tolerate. By class, never by text."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import Enum

from cdc.core.errors import (
    CdcError,
    ConfigError,
    OffsetStoreError,
    RecordError,
    RegistryConnectionError,
    SinkConnectionError,
    SourceConnectionError,
)


class Action(Enum):
    RESTART = "restart"
    """Stop the task's parts, wait, start again from the last committed position."""
    FAIL = "fail"
    """A person is needed."""


def action_for(error: BaseException) -> Action:
    """What a task does about an error that reached it."""
    if isinstance(error, CdcError) and error.retriable:
        return Action.RESTART
    return Action.FAIL


def stage_of(error: BaseException) -> str:
    """Which stage the error belongs to, for metrics and logs."""
    for kind, stage in _STAGES:
        if isinstance(error, kind):
            return stage
    module = type(error).__module__
    return "internal" if not module.startswith("cdc.") else type(error).__name__.removesuffix("Error").lower()


_STAGES: tuple[tuple[type[BaseException], str], ...] = (
    (ConfigError, "config"), (SourceConnectionError, "source"), (RegistryConnectionError, "registry"),
    (SinkConnectionError, "sink"), (OffsetStoreError, "offsets"), (RecordError, "convert"),
)


@dataclass(slots=True)
class Backoff:
    """Exponential with full jitter (AWS Architecture Blog, "Exponential Backoff And Jitter"), in seconds.

    *budget* is how many retries are allowed, -1 for no limit; `reset` after something went well.
    """

    first: float = 0.25
    most: float = 10.0
    budget: int = -1
    tries: int = 0

    def next(self) -> float | None:
        """How long to wait before the next try; None when the budget is used up."""
        if 0 <= self.budget <= self.tries:
            return None
        ceiling = min(self.most, self.first * (1 << min(self.tries, 16)))
        self.tries += 1
        return ceiling / 2 + random.uniform(0, ceiling / 2)

    def reset(self) -> None:
        self.tries = 0
