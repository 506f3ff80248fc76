"""Waits until others see a transaction that the log has; before that, its rows are as they were.

A commit is in the log first, and visible to other sessions later: at once as a rule, but only after a replica's answer
where one is waited for.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from cdc.core.errors import SourceConnectionError

_PATIENCE_S: Final = 5.0
_PAUSE_S: Final = 0.002


class NotVisibleError(SourceConnectionError):
    """A transaction is not visible in time."""


def wait_until_visible(sees: Callable[[], bool], look: Callable[[], None], stopped: Callable[[], bool], *,
                       hint: str) -> None:
    """Until *sees* says so, which may change after each *look* at the server. *stopped* ends the waiting. Raises
    NotVisibleError, with *hint*, and what *look* raises."""
    until = time.monotonic() + _PATIENCE_S
    while not sees():
        look()
        if sees():
            break
        if stopped() or time.monotonic() > until:
            raise NotVisibleError("The log has a transaction that others do not see yet.", hint=hint)
        time.sleep(_PAUSE_S)
