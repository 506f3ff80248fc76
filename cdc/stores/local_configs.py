"""The connectors that clients asked for, in the offset file: the table `connectors` beside the offsets.

A row is a connector's name, its configuration as JSON (null if a file has it), and what is wanted of it. Each has a
checksum. References are kept as they were given, and secrets too: the file is for its owner only.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final, TypeVar

from cdc.core.errors import ConfigError, OffsetStoreError
from cdc.core.stores import Kept, StoreSettings

from . import offset_file
from .file_offsets import json_text
from .offset_file import DAMAGED, OPTION, checksum
from .sqlite import connect, empty_log, mapped, transaction

_TABLE: Final = ("CREATE TABLE IF NOT EXISTS connectors (name TEXT PRIMARY KEY, config_json TEXT, state TEXT NOT NULL, "
                 "checksum TEXT NOT NULL) WITHOUT ROWID")
T = TypeVar("T")


def build(settings: StoreSettings) -> FileConfigStore:
    """The store for a worker with `offset.storage.file.filename`. Raises ConfigError."""
    path = settings.worker.get(OPTION, "").strip()
    if not path:
        raise ConfigError(f"{OPTION} is not set.", option=OPTION)
    return FileConfigStore(path)


class FileConfigStore:
    """Opens the file for each call. Any thread may call; each change is one synced transaction."""

    def __init__(self, path: str | Path, *, timeout_s: float = 10.0) -> None:
        """Another process may hold the file locked for *timeout_s* seconds; a longer lock is an error."""
        self._path = Path(path)
        self._timeout_s = timeout_s
        self._lock = threading.Lock()

    def load(self) -> Sequence[Kept]:
        """As `ConfigStore.load`; at the start only. It reads the file's head, and when a process closes a file, POSIX
        drops its locks on it, those of an open offset store too. SQLite docs, "How To Corrupt", "POSIX advisory
        locks"."""
        if not offset_file.present(self._path):
            return []
        return self._with("read", self._rows)

    def save(self, kept: Kept) -> None:
        def write(connection: sqlite3.Connection) -> None:
            config = kept.config
            if config is None:
                config = next((each.config for each in self._rows(connection) if each.name == kept.name), None)
            text = None if config is None else json_text(dict(config))
            connection.execute("INSERT OR REPLACE INTO connectors VALUES (?, ?, ?, ?)",
                               (kept.name, text, kept.state, checksum(kept.name, text, kept.state)))

        self._with("written", write)

    def delete(self, name: str) -> None:
        self._with("written", lambda connection: connection.execute("DELETE FROM connectors WHERE name = ?", (name,)))

    def _with(self, verb: str, action: Callable[[sqlite3.Connection], T]) -> T:
        with self._lock, mapped(self._path, verb):
            if not self._path.exists():
                offset_file.create(self._path)
            with closing(connect(self._path, self._timeout_s)) as connection:
                with transaction(connection, "IMMEDIATE"):
                    connection.execute(_TABLE)
                    result = action(connection)
                empty_log(connection)
        return result

    def _rows(self, connection: sqlite3.Connection) -> list[Kept]:
        found = []
        for name, text, state, stored in connection.execute(
                "SELECT name, config_json, state, checksum FROM connectors ORDER BY name").fetchall():
            if stored != checksum(name, text, state):
                raise OffsetStoreError("The offset file is damaged: a connector in it is not the one that was written.",
                                       hint=DAMAGED, path=str(self._path), connector=name)
            found.append(Kept(name, None if text is None else json.loads(text), state))
        return found
