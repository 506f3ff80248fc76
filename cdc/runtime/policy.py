"""From error to action: the only place that decides whether to retry, fail or tolerate. By class, never by text."""

from __future__ import annotations

import random
from collections.abc import Callable
from enum import Enum
from typing import Final

from cdc.core.dataclass import dataclass
from cdc.core.errors import (
    CdcError,
    ConfigError,
    OffsetsHeldError,
    OffsetStoreError,
    RecordError,
    RegistryError,
    SinkError,
    SinkFencedError,
    SourceBusyError,
    SourceError,
    StateError,
    TransformError,
)


class Action(Enum):
    RESTART = "restart"
    """The task stops its parts, waits, and starts again from the last committed position."""
    FAIL = "fail"
    """The task stays FAILED until a person acts."""


def action_for(error: BaseException) -> Action:
    """Decide by class, or by the instance's own `retriable`. An error that is not one of ours is a bug, so: fail."""
    if isinstance(error, CdcError) and error.retriable:
        return Action.RESTART
    return Action.FAIL


_STAGES: tuple[tuple[type[BaseException], str], ...] = (
    (ConfigError, "config"), (SourceError, "source"), (TransformError, "transform"),
    (RecordError, "convert"), (RegistryError, "registry"),
    (SinkError, "sink"), (OffsetStoreError, "offsets"), (StateError, "state"),
)


def stage_of(error: BaseException) -> str:
    """The stage that *error* belongs to, for metrics and logs; `internal` when it is not one of ours."""
    return next((stage for kind, stage in _STAGES if isinstance(error, kind)), "internal")


@dataclass
class Backoff:
    """Pauses between retries, in seconds: exponential, half of each random (AWS Architecture Blog, "Exponential Backoff
    And Jitter": equal jitter).

    *budget* is the number of retries allowed, -1 for no limit. Call `reset` after a success.
    """

    first: float = 0.25
    most: float = 10.0
    budget: int = -1
    tries: int = 0

    def next(self) -> float | None:
        """The pause before the next retry; None when the budget is used up."""
        if 0 <= self.budget <= self.tries:
            return None
        ceiling = min(self.most, self.first * (1 << min(self.tries, 16)))
        self.tries += 1
        return ceiling / 2 + random.uniform(0, ceiling / 2)

    def reset(self) -> None:
        self.tries = 0


@dataclass(frozen=True)
class BusyRetries:
    """How a source that somebody else reads is tried again, as far as the configuration says so."""

    most: int | None = None
    delay_s: float | None = None


NOT_SET = BusyRetries()
FENCED_MOST: Final = 5
"""So often in a row may brokers give our place in a sink to another process while our offsets are still ours."""


@dataclass
class Patience:
    """Decides how long a task that ended with an error waits before its next start, or that it does not start again.

    Retriable errors are waited for without limit, unless the configuration sets one. The exception is a connector that
    has never run: there an absent server is most likely a mistake in the configuration, so it fails after *grace_s*
    seconds. *has_run* is asked only then.
    """

    backoff: Backoff
    busy: BusyRetries
    grace_s: float | None
    has_run: Callable[[], bool]
    busy_tries: int = 0
    fenced_tries: int = 0

    def wait_after(self, error: BaseException, since_start_s: float) -> float | None:
        """Seconds to wait, None to fail. *since_start_s* is the time since the connector's first start."""
        if action_for(error) is not Action.RESTART:
            return None
        if isinstance(error, SinkFencedError):
            self.fenced_tries += 1
            if self.fenced_tries > FENCED_MOST:  # two processes that do not share offsets take turns
                return None
        if not isinstance(error, SourceBusyError):
            self.busy_tries = 0
        elif self.busy.most is not None:
            self.busy_tries += 1
            return self._busy_delay_s() if self.busy_tries <= self.busy.most else None
        if self._in_vain(error, since_start_s):
            return None
        wait = self.backoff.next()
        if wait is not None and isinstance(error, SourceBusyError) and self.busy.delay_s is not None:
            return self._busy_delay_s()
        return wait

    def _in_vain(self, error: BaseException, since_start_s: float) -> bool:
        if self.grace_s is None or since_start_s <= self.grace_s:
            return False
        return not isinstance(error, OffsetsHeldError) and not self.has_run()

    def _busy_delay_s(self) -> float:
        return max(self.backoff.first, self.busy.delay_s or 0.0)

    def reset(self) -> None:
        """The task has run well for a while."""
        self.backoff.reset()
        self.busy_tries = self.fenced_tries = 0
