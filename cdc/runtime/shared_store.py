"""One offset store for all tasks of the process."""

from __future__ import annotations

import threading

from cdc.core.stores import OffsetStore

CLOSE_WAIT_S = 1.0


class SharedStore:
    """The first task that starts opens the store; the worker closes it."""

    def __init__(self, store: OffsetStore) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._started = False
        self.hold = store.hold
        self.load = store.load
        self.claim = store.claim
        self.commit = store.commit
        self.stored = store.stored
        self.load_all = store.load_all
        self.commit_all = store.commit_all
        self.release = store.release

    def start(self) -> None:
        with self._lock:
            if not self._started:
                self._store.start()
                self._started = True

    def close(self) -> None:
        """Close what is open. Not while a start waits for an absent server: nothing is open then."""
        if not self._lock.acquire(timeout=CLOSE_WAIT_S):
            return
        try:
            if self._started:
                self._started = False
                self._store.close()
        finally:
            self._lock.release()
