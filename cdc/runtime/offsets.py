"""The offset store in a file: SQLite, durable when `commit` returns, safe for several processes on one file."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from cdc.core.errors import ConfigError, OffsetStoreError
from cdc.core.position import Offset

OPTION: Final = "offset.storage.file.filename"
_SQLITE_MAGIC: Final = b"SQLite format 3\x00"
_JAVA_MAGIC: Final = b"\xac\xed\x00\x05"
"""Java Object Serialization Specification, "Stream Elements": STREAM_MAGIC and STREAM_VERSION."""
_RETRIABLE: Final = frozenset({"SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_FULL", "SQLITE_IOERR"})
_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS offsets (connector TEXT NOT NULL, partition_json TEXT NOT NULL, "
    "offset_json TEXT NOT NULL, PRIMARY KEY (connector, partition_json)) WITHOUT ROWID"
)


def json_text(value: Any) -> str:
    """Compact JSON in the order of *value*, as Kafka Connect's JsonConverter without schemas writes it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


class FileOffsetStore:
    """One table of a SQLite file. Any thread may call; each change is one synced transaction."""

    def __init__(self, path: str | Path, *, timeout_s: float = 10.0) -> None:
        """*timeout_s* is how long another process may hold the file locked before that is an error."""
        self._path = Path(path)
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def start(self) -> None:
        """Open, or make the file; nothing if it is open. Raises ConfigError for a foreign file, and leaves it alone."""
        with self._lock, self._mapped("opened"):
            if self._connection is not None:
                return
            refuse_foreign(self._path)
            connection = sqlite3.connect(self._path, timeout=self._timeout_s, isolation_level=None,
                                         check_same_thread=False)
            try:
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute("PRAGMA synchronous=FULL")
                connection.execute(_SCHEMA)
            except BaseException:
                connection.close()
                raise
            self._connection = connection

    def load(self, connector: str, partition: Mapping[str, Any]) -> dict[str, Any] | None:
        query = "SELECT offset_json FROM offsets WHERE connector = ? AND partition_json = ?"
        with self._lock, self._mapped("read"):
            row = self._open.execute(query, (connector, json_text(partition))).fetchone()
        return None if row is None else _object(row[0], connector)

    def commit(self, connector: str, partition: Mapping[str, Any], offset: Offset | None) -> None:
        place = connector, json_text(partition)
        with self._lock, self._mapped("written"):
            if offset is None:
                self._open.execute("DELETE FROM offsets WHERE connector = ? AND partition_json = ?", place)
            else:
                self._open.execute(
                    "INSERT INTO offsets VALUES (?, ?, ?) "
                    "ON CONFLICT DO UPDATE SET offset_json = excluded.offset_json",
                    (*place, json_text(offset)),
                )

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    @property
    def _open(self) -> sqlite3.Connection:
        assert self._connection is not None, "not started"
        return self._connection

    def _mapped(self, verb: str) -> _Mapped:
        return _Mapped(self._path, verb)


class _Mapped:
    """SQLite's exceptions as OffsetStoreError."""

    def __init__(self, path: Path, verb: str) -> None:
        self._path = path
        self._verb = verb

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: object) -> None:
        if isinstance(exc, sqlite3.Error):
            name = getattr(exc, "sqlite_errorname", "") or ""
            raise OffsetStoreError(
                f"The offset file cannot be {self._verb}: {exc}.",
                hint=f"Check {OPTION}, the folder's rights and space.",
                retriable=any(name.startswith(code) for code in _RETRIABLE), path=str(self._path),
            ) from exc


def refuse_foreign(path: Path) -> None:
    """Raises ConfigError unless *path* is missing, empty or a SQLite file."""
    try:
        with path.open("rb") as file:
            head = file.read(len(_SQLITE_MAGIC))
    except FileNotFoundError:
        if not path.parent.is_dir():
            raise ConfigError(f"{OPTION}: there is no folder {path.parent}.", option=OPTION) from None
        return
    except OSError as exc:
        raise ConfigError(f"{OPTION}: cannot read {path}: {exc.strerror}.", option=OPTION) from exc
    if head in (b"", _SQLITE_MAGIC):
        return
    if head.startswith(_JAVA_MAGIC):
        raise ConfigError(
            f"{OPTION}: {path} is an offset file of Kafka Connect's standalone mode, which is left untouched.",
            option=OPTION, hint="Name another file. Offsets of a connector can be taken over from Kafka Connect's REST "
                                "API: GET /connectors/<name>/offsets.",
        )
    raise ConfigError(f"{OPTION}: {path} is not an offset file and is left untouched.", option=OPTION,
                      hint="Name another file.")


def _object(text: str, connector: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise OffsetStoreError("A stored offset is not a JSON object.", connector=connector)
    return value
