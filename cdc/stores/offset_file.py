"""The offset file itself: its format, how it is made, and how it is told from other files."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import sqlite3
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from cdc.core.errors import ConfigError, OffsetStoreError

OPTION: Final = "offset.storage.file.filename"
_SQLITE_MAGIC: Final = b"SQLite format 3\x00"
_JAVA_MAGIC: Final = b"\xac\xed\x00\x05"
"""Java Object Serialization Specification, "Stream Elements": STREAM_MAGIC and STREAM_VERSION."""
APPLICATION_ID: Final = 0x63646331
"""`cdc1`. SQLite docs, "Database File Format": the application ID. Files from before it have 0, and no checksums."""
_FIRST_SCHEMA: Final = (
    "CREATE TABLE offsets (connector TEXT NOT NULL, partition_json TEXT NOT NULL, offset_json TEXT NOT NULL, "
    "PRIMARY KEY (connector, partition_json)) WITHOUT ROWID"
)
CHECKED: Final = (
    "ALTER TABLE offsets ADD COLUMN checksum TEXT",
    "CREATE TABLE state (id INTEGER PRIMARY KEY, commits INTEGER NOT NULL, checksum TEXT NOT NULL)",
    f"PRAGMA application_id = {APPLICATION_ID}",
)
_PARTS: Final = (
    "CREATE TABLE IF NOT EXISTS parts (connector TEXT NOT NULL, partition_json TEXT NOT NULL, name TEXT NOT NULL, "
    "data BLOB NOT NULL, PRIMARY KEY (connector, partition_json, name)) WITHOUT ROWID"
)
"""Parts of large values. Not in `state`: the offsets' rows have checksums of the values."""
DAMAGED: Final = (
    "Restore the file from a backup. Without one, delete the file: the connectors then start without an offset, with a "
    "new snapshot or, if their snapshot.mode takes none, with a gap.")
_NO_LINKS: Final = frozenset({"EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS"})


def checksum(*texts: Any) -> str:
    """Of texts, and of where each ends. Damage may have made something else of a text."""
    return hashlib.blake2b(json.dumps(texts, default=repr).encode(), digest_size=16).hexdigest()


def state_checksum(commits: Any, rows: Mapping[tuple[str, str], str]) -> str:
    return checksum(commits, sorted(rows.values()))


def set_state(connection: sqlite3.Connection, commits: int, rows: Mapping[tuple[str, str], str]) -> None:
    connection.execute("INSERT OR REPLACE INTO state VALUES (1, ?, ?)", (commits, state_checksum(commits, rows)))


def add_parts(connection: sqlite3.Connection) -> None:
    """The table of parts, for a file from before it."""
    if not has_table(connection, "parts"):
        connection.execute(_PARTS)


def has_table(connection: sqlite3.Connection, name: str) -> bool:
    query = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
    return connection.execute(query, (name,)).fetchone() is not None


def create(path: Path) -> None:
    """A new offset file, for its owner only. It appears at *path* complete; if another process made one meanwhile, that
    one stays. Raises ConfigError, sqlite3.Error."""
    import tempfile  # the first start alone makes a file; it takes 5 ms

    try:
        folder = tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as exc:
        raise ConfigError(f"{OPTION}: cannot make a file in {path.parent}: {exc.strerror}.", option=OPTION) from exc
    new = Path(folder) / path.name
    try:
        os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        connection = sqlite3.connect(new, isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("BEGIN IMMEDIATE")  # so that one transaction is synced, not seven
            for statement in (_FIRST_SCHEMA, _PARTS, *CHECKED):
                connection.execute(statement)
            set_state(connection, 0, {})
            connection.execute("COMMIT")
        finally:
            connection.close()
        _publish(new, path)
    except OSError as exc:
        raise ConfigError(f"{OPTION}: cannot make {path}: {exc.strerror}.", option=OPTION) from exc
    finally:
        for left in Path(folder).iterdir():
            left.unlink()
        os.rmdir(folder)


def _publish(new: Path, path: Path) -> None:
    """Give *new* the name *path* too, unless that exists, and make the name durable."""
    try:
        os.link(new, path)
    except FileExistsError:
        return
    except OSError as exc:
        if errno.errorcode.get(exc.errno or 0) not in _NO_LINKS or path.exists():
            raise
        os.rename(new, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def present(path: Path) -> bool:
    """Whether there is an offset file at *path*. Raises ConfigError for something else, and OffsetStoreError for an
    empty file."""
    try:
        kind = path.lstat().st_mode
        if stat.S_ISLNK(kind):
            raise ConfigError(f"{OPTION}: {path} is a symbolic link, and links are not followed.", option=OPTION,
                              hint="Name the file itself.")
        if not stat.S_ISREG(kind):
            raise ConfigError(f"{OPTION}: {path} is not a file.", option=OPTION, hint="Name another file.")
        with path.open("rb") as file:
            head = file.read(len(_SQLITE_MAGIC))
    except FileNotFoundError:
        if not path.parent.is_dir():
            raise ConfigError(f"{OPTION}: there is no folder {path.parent}.", option=OPTION) from None
        return False
    except OSError as exc:
        raise ConfigError(f"{OPTION}: cannot read {path}: {exc.strerror}.", option=OPTION) from exc
    if head == _SQLITE_MAGIC:
        return True
    if not head:
        raise OffsetStoreError("The offset file is there, but it is empty: what was committed is lost.",
                               hint=DAMAGED, path=str(path))
    if head.startswith(_JAVA_MAGIC):
        raise ConfigError(
            f"{OPTION}: {path} is an offset file of Kafka Connect's standalone mode. It was not changed.",
            option=OPTION, hint="Name another file. A connector's offsets can be copied from Kafka Connect's REST API: "
                                "GET /connectors/<name>/offsets.",
        )
    raise ConfigError(f"{OPTION}: {path} is not an offset file. It was not changed.", option=OPTION,
                      hint="Name another file.")
