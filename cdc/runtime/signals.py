"""Between a running source and its operators: signals from channels go to it, and its notifications are fetched.

A signal counts as handled when the source's offset says so (`Signal.mark`) and is committed. A channel gives those that
come after the offset's mark, and forgets a signal only once its mark is committed; so a restart neither loses a signal
nor repeats one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

from cdc.core.control import Notification, Signal
from cdc.core.errors import StateError
from cdc.core.interfaces import Controlled, Source
from cdc.core.position import Position

MOST_WAITING: Final = 1000
"""A channel that has read so many signals reads no more until some of them are taken."""


class Channel(Protocol):
    """Where signals come from. It reads in a thread of its own, so that nothing here waits."""

    def start(self, offset: Mapping[str, Any]) -> None:
        """Begin to read, behind the mark in the connector's *offset*, if it has one."""
        ...

    def take(self) -> Signal | None:
        """The next signal; None if there is none now."""
        ...

    def committed(self, offset: Mapping[str, Any]) -> None:
        """*offset* is durable: what its mark covers may be forgotten. Never blocks."""
        ...

    def close(self) -> None:
        """Stop reading, soon. Idempotent."""
        ...


def nobody(told: Sequence[Notification]) -> None:
    """Takes notifications that nobody wants."""


class Signals:
    """For one run of a task; called by its thread. *told* takes the source's notifications."""

    def __init__(self, channels: Sequence[Channel] = (), told: Callable[[Sequence[Notification]], None] = nobody,
                 ) -> None:
        self._channels = channels
        self._told = told
        self._source: Controlled | None = None
        self._refused: deque[Signal] = deque()

    def start(self, source: Source, offset: Mapping[str, Any] | None) -> None:
        """*source* has started from *offset*."""
        if not isinstance(source, Controlled):
            return
        self._source = source
        for channel in self._channels:
            channel.start(offset or {})

    def turn(self) -> None:
        """Hand over what the channels have, and fetch what the source tells."""
        if self._source is None:
            return
        for channel in self._channels:
            while not self._refused and (signal := channel.take()) is not None:
                self._hand_over(signal)
        while self._refused:
            signal = self._refused.popleft()
            if not self._hand_over(signal):
                break
        told = self._source.notifications()
        if told:
            self._told(told)

    def _hand_over(self, signal: Signal) -> bool:
        assert self._source is not None
        try:
            self._source.signal(signal)
        except StateError:  # too many wait; it gets this one later
            self._refused.appendleft(signal)
            return False
        return True

    def committed(self, position: Position) -> None:
        """*position* is durable."""
        if self._channels and self._source is not None:
            offset = position.offset()
            for channel in self._channels:
                channel.committed(offset)

    def close(self) -> None:
        """The source has stopped."""
        if self._source is not None:
            self._told(self._source.notifications())
        for channel in self._channels:
            channel.close()
