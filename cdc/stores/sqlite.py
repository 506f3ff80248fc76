"""How the offset file is opened, written and read with SQLite, and its exceptions as ours."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from cdc.core.errors import OffsetStoreError

from .offset_file import DAMAGED, OPTION

_RETRIABLE: Final = frozenset({"SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_FULL", "SQLITE_IOERR"})
_DAMAGE: Final = frozenset({"SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_ERROR"})
"""SQLITE_ERROR: a table or a column of ours is missing."""


def connect(path: Path, timeout_s: float) -> sqlite3.Connection:
    """A connection for any thread. Another process may hold the file locked for *timeout_s* seconds."""
    connection = sqlite3.connect(path, timeout=timeout_s, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
    except BaseException:
        connection.close()
        raise
    return connection


def empty_log(connection: sqlite3.Connection) -> None:
    """Move the write-ahead log's content into the file. SQLite docs, "Write-Ahead Logging", "Checkpointing"."""
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


@contextmanager
def transaction(connection: sqlite3.Connection, kind: str) -> Iterator[None]:
    connection.execute(f"BEGIN {kind}")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def mapped(path: Path, verb: str) -> Iterator[None]:
    """SQLite's exceptions as OffsetStoreError. *verb*, such as `read`, says what was to be done with the file."""
    try:
        yield
    except UnicodeDecodeError as exc:  # in SQLite's own message about a damaged file
        raise OffsetStoreError("The offset file is damaged.", hint=DAMAGED, path=str(path)) from exc
    except sqlite3.Error as exc:
        name = getattr(exc, "sqlite_errorname", "") or ""
        if isinstance(exc, sqlite3.DatabaseError) and name in _DAMAGE:
            raise OffsetStoreError(f"The offset file is damaged: {exc}.", hint=DAMAGED, path=str(path)) from exc
        raise OffsetStoreError(
            f"The offset file cannot be {verb}: {exc}.",
            hint=f"Check {OPTION}, the folder's permissions and its free space.",
            retriable=any(name.startswith(code) for code in _RETRIABLE), path=str(path),
        ) from exc
