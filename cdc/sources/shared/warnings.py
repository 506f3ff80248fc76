"""Warnings that last: what is wrong with the database's side now, and does not stop the stream.

A warning begins, is logged once, and stays until its source says that it has ended. Meanwhile the connector's status
and the metrics have it. `kind` is its name in the log, in `snake_case`; `about` is the table or object it is about.
Loss of committed rows of captured tables is no warning but an error.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Final

from cdc.core.interfaces import Warned
from cdc.log import get_logger

log = get_logger(__name__)

LOGGED_AT_ONCE: Final = 20
"""Of one kind, so many that begin or end together have a line each; the rest share one."""


class Warnings:
    """The warnings of one source. Any thread may call any method. Implements `core.interfaces.Warnings`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._active: dict[tuple[str, str], Warned] = {}
        self._begun: dict[str, int] = {}

    def active(self) -> Sequence[Warned]:
        with self._lock:
            return list(self._active.values())

    def begun(self) -> Mapping[str, int]:
        with self._lock:
            return dict(self._begun)

    def put(self, kind: str, about: str, text: str, hint: str = "") -> None:
        """Begin a warning, or leave it as it is if it lasts already."""
        with self._lock:
            new = self._begin(kind, about, text, hint)
        _tell([new] if new else [], [])

    def end(self, kind: str, about: str) -> None:
        """It is over, if it was there at all."""
        with self._lock:
            gone = self._active.pop((kind, about), None)
        _tell([], [gone] if gone else [])

    def show(self, kind: str, found: Mapping[str, tuple[str, str]]) -> None:
        """*found* is all that there is of *kind* now: a text and a hint, by what they are about. What is not in it
        ends."""
        with self._lock:
            gone = [each for each in self._active.values() if each.kind == kind and each.about not in found]
            for each in gone:
                del self._active[kind, each.about]
            begun = [self._begin(kind, about, text, hint) for about, (text, hint) in found.items()]
        _tell([each for each in begun if each], gone)

    def _begin(self, kind: str, about: str, text: str, hint: str) -> Warned | None:
        if (kind, about) in self._active:
            return None
        new = self._active[kind, about] = Warned(kind, about, text, hint, time.time_ns() // 1_000_000)
        self._begun[kind] = self._begun.get(kind, 0) + 1
        return new


def _tell(begun: Sequence[Warned], ended: Sequence[Warned]) -> None:
    for each in begun[:LOGGED_AT_ONCE]:
        log.warning(each.kind, about=each.about, why=each.text, **({"hint": each.hint} if each.hint else {}))
    if len(begun) > LOGGED_AT_ONCE:
        log.warning(begun[0].kind, about=f"{len(begun) - LOGGED_AT_ONCE} more", why="the connector's status lists them")
    for each in ended[:LOGGED_AT_ONCE]:
        log.info("warning_ended", kind=each.kind, about=each.about)
    if len(ended) > LOGGED_AT_ONCE:
        log.info("warning_ended", kind=ended[0].kind, about=f"{len(ended) - LOGGED_AT_ONCE} more")
