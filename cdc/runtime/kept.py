"""Reads the connectors that clients asked for before, at the start, while the REST interface already answers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from cdc.core.errors import CdcError, OffsetStoreError, StateError
from cdc.core.stores import ConfigStore, Kept
from cdc.log import get_logger

from .policy import Backoff

log = get_logger(__name__)


class KeptConnectors:
    """While the store is away it is waited for, without end: what was asked for must neither be forgotten nor run
    differently."""

    def __init__(self, configs: ConfigStore, take: Callable[[Sequence[Kept]], None]) -> None:
        """*take* gets what was read, once, in a thread of its own."""
        self._configs = configs
        self._take = take
        self._ended = threading.Event()
        self._error: Exception | None = None
        self.taken = False
        self._reason = "the stored connectors are not read yet"

    def read(self, stop: threading.Event, wait_s: float) -> None:
        """Begin to read; return when all is taken, or after *wait_s* seconds; the reading then goes on until *stop* is
        set. Raises OffsetStoreError if what is kept cannot be read, and what *take* raises."""
        threading.Thread(target=self._run, args=(stop,), name="kept-connectors", daemon=True).start()
        self._ended.wait(wait_s)
        self.check()

    @property
    def reason(self) -> str:
        """Why they are not taken yet."""
        return self._reason

    def check(self) -> None:
        """Raises the error that the reading has ended with."""
        if self._error is not None:
            raise self._error

    def require(self) -> None:
        """Raises StateError, with status 503, while they are not taken."""
        if not self.taken:
            raise StateError(f"The worker is starting: {self._reason}.", status=503, hint="Try again later.")

    def _run(self, stop: threading.Event) -> None:
        try:
            self._take(self._load(stop))
            self.taken = True
        except Exception as exc:
            if not stop.is_set():  # else nobody needs them any more
                self._error = exc
        finally:
            self._ended.set()

    def _load(self, stop: threading.Event) -> Sequence[Kept]:
        backoff = Backoff()
        while True:
            try:
                return self._configs.load()
            except CdcError as exc:
                wait = backoff.next() or backoff.most
                if not isinstance(exc, OffsetStoreError) or not exc.retriable or stop.is_set():
                    raise
                self._reason = exc.message.rstrip(".")
                log.warning("connectors_not_read", error=exc.message, retry_in_s=round(wait, 1), **exc.context)
                stop.wait(wait)
