"""The offset store in a file: SQLite, durable when `commit` returns, safe for several processes on one file.

A damaged file must never pass for one without offsets, or with others. So the file has a mark of ours in its header
(`application_id`), each row has a checksum, and the table `state` has one over all rows. After each commit the log that
SQLite writes ahead is empty, so that a copy of the file alone is complete. Large values are in the table `parts`
(`parts.py`); the rows have their checksums.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from cdc.config.options import option, settings
from cdc.config.table import OptionTable, Parsed
from cdc.core.errors import ConfigError, OffsetStoreError
from cdc.core.owner import Claim, Owner, claimed_by
from cdc.core.position import Offset
from cdc.core.stores import StoreSettings

from . import offset_file
from .claims import offset_moved
from .file_claims import FileClaims, Place
from .file_lock import FileLocks
from .offset_file import APPLICATION_ID, DAMAGED, OPTION, checksum, set_state, state_checksum
from .parts import Reference, Split, Splitter, join, references
from .process import this_process
from .sqlite import connect, empty_log, mapped, transaction


@settings
class FileOffsetConfig:
    """The worker's keys for offsets in a file."""

    offset_storage_file_filename: str | None = option(
        OPTION, default=None, importance="HIGH", group="Offsets",
        doc="File that stores the offsets. This or offset.storage.topic is required.",
    )


OPTIONS = OptionTable.of(FileOffsetConfig)


def check(worker: Parsed) -> None:
    """That the offset file can be opened and written, as far as that can be seen without opening it."""
    path = Path(worker.values[OPTIONS[OPTION].attribute])
    for place, what in ((path.parent, "folder"), (path, "file")):
        if what == "folder" and not place.is_dir():
            worker.problem(OPTION, f"there is no folder {place}.", "Create it, or name a file elsewhere.")
        elif place.exists() and not os.access(place, os.W_OK | (os.X_OK if what == "folder" else os.R_OK)):
            worker.problem(OPTION, f"the {what} {place} is not writable.", "Change its owner or its permissions.")
    if "config.storage.topic" in worker.given:
        worker.note("config.storage.topic", f"is not used, because {OPTION} is set: that file keeps connectors too.")
    if path.is_dir():
        worker.problem(OPTION, f"{path} is a folder.", "Name a file in it.")


def build(settings: StoreSettings) -> FileOffsetStore:
    """The store for a worker with `offset.storage.file.filename`. Raises ConfigError."""
    parsed = OPTIONS.parse(settings.worker, partial=True)
    parsed.check("the worker's configuration")
    config = FileOffsetConfig(**parsed.values)
    if not config.offset_storage_file_filename:
        raise ConfigError(f"{OPTION} is not set.", option=OPTION)
    return FileOffsetStore(config.offset_storage_file_filename)


def json_text(value: Any) -> str:
    """Compact JSON in the order of *value*, as Kafka Connect's JsonConverter without schemas writes it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


class FileOffsetStore:
    """A SQLite file. Any thread may call; each change is one synced transaction."""

    def __init__(self, path: str | Path, *, timeout_s: float = 10.0, owner: Owner | None = None) -> None:
        """Another process may hold the file locked for *timeout_s* seconds; a longer lock is an error. *owner* is by
        default this process."""
        self._path = Path(path)
        self._claims = FileClaims(owner or this_process(), self._damage)
        self._locks = FileLocks(self._path, self._claims.owner)
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._splitter = Splitter()

    def start(self) -> None:
        """Open the file, or create it; do nothing if it is open.

        Raises OffsetStoreError, and ConfigError for a file that is not an offset file; such a file is not changed.
        """
        with self._lock, self._mapped("opened"):
            if self._connection is not None:
                return
            if not offset_file.present(self._path):
                offset_file.create(self._path)
            connection = connect(self._path, self._timeout_s)
            try:
                if connection.execute("PRAGMA application_id").fetchone() == (0,):
                    self._take_over(connection)
                with transaction(connection, "DEFERRED"):
                    self._rows(connection)
                offset_file.add_parts(connection)
            except BaseException:
                connection.close()
                raise
            self._connection = connection

    def hold(self, connector: str, partition: Mapping[str, Any]) -> None:
        place = connector, json_text(claimed_by(partition))
        with self._lock, self._mapped("read"):
            if self._locks.take(json_text(place), connector):
                self._claims.forget(place)
            with transaction(self._open, "DEFERRED"):
                self._claims.check(self._open, place, self._claims.ours(place))

    def load(self, connector: str, partition: Mapping[str, Any]) -> dict[str, Any] | None:
        place = connector, json_text(partition)
        with self._lock, self._mapped("read"), transaction(self._open, "DEFERRED"):
            return self._stored(place)

    def claim(self, connector: str, partition: Mapping[str, Any], offset: Offset | None) -> Claim:
        place = connector, json_text(partition)
        self.hold(connector, partition)
        with self._lock, self._mapped("written"):
            with transaction(self._open, "IMMEDIATE"):
                self._claims.check(self._open, place, self._claims.ours(place))
                if self._stored(place) != (None if offset is None else dict(offset)):
                    raise offset_moved(connector, path=str(self._path))
                claim = self._claims.make(self._open, place)
            self._claims.made(place, claim)
            empty_log(self._open)
        return claim

    def commit(self, connector: str, partition: Mapping[str, Any], offset: Offset | None) -> None:
        self.commit_all(connector, [(partition, offset)])

    def commit_all(self, connector: str, offsets: Sequence[tuple[Mapping[str, Any], Offset | None]]) -> None:
        wanted = {(connector, json_text(partition)): offset for partition, offset in offsets}
        owners = {(connector, json_text(claimed_by(partition))) for partition, _ in offsets}
        claims = {place: self._claims.ours(place) for place in owners}
        # before the wait for the lock, in which a later run may claim
        with self._lock, self._mapped("written"):
            with transaction(self._open, "IMMEDIATE"):
                commits, rows = self._rows(self._open)
                for place, claim in claims.items():
                    self._claims.check(self._open, place, claim)
                splits = {place: self._write(place, offset, rows) for place, offset in wanted.items()}
                set_state(self._open, commits + 1, rows)
            for place, split in splits.items():
                self._splitter.written(place, split)
            empty_log(self._open)

    def _write(self, place: Place, offset: Offset | None, rows: dict[Place, str]) -> Split:
        """Within a transaction; *rows* are the checksums of all rows."""
        split = self._write_parts(place, offset or {})
        if offset is None:
            self._open.execute("DELETE FROM offsets WHERE connector = ? AND partition_json = ?", place)
            rows.pop(place, None)
        else:
            text = json_text(split.record)
            rows[place] = checksum(*place, text)
            self._open.execute(
                "INSERT INTO offsets VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE "
                "SET offset_json = excluded.offset_json, checksum = excluded.checksum",
                (*place, text, rows[place]),
            )
        return split

    def stored(self) -> Sequence[tuple[str, dict[str, Any]]]:
        with self._lock, self._mapped("read"), transaction(self._open, "DEFERRED"):
            _, rows = self._rows(self._open)
        return [(connector, _object(partition, connector)) for connector, partition in sorted(rows)]

    def load_all(self, connector: str) -> Sequence[tuple[dict[str, Any], dict[str, Any]]]:
        with self._lock, self._mapped("read"), transaction(self._open, "DEFERRED"):
            self._rows(self._open)
            found = self._open.execute("SELECT partition_json, offset_json FROM offsets WHERE connector = ? "
                                       "ORDER BY partition_json", (connector,)).fetchall()
            return [(_object(partition, connector), self._whole((connector, partition), text))
                    for partition, text in found]

    def owner(self, connector: str, partition: Mapping[str, Any]) -> tuple[Owner | None, bool]:
        """As `core.stores.ShowsOwner`."""
        return self._locks.holder(json_text((connector, json_text(claimed_by(partition)))))

    def release(self, connector: str, partition: Mapping[str, Any]) -> None:
        place = connector, json_text(claimed_by(partition))
        with self._lock:
            self._locks.drop(json_text(place))

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
            self._locks.close()

    def _stored(self, place: Place) -> dict[str, Any] | None:
        """The offset in the file, all of which is checked; within a transaction."""
        self._rows(self._open)
        row = self._open.execute(
            "SELECT offset_json FROM offsets WHERE connector = ? AND partition_json = ?", place).fetchone()
        return None if row is None else self._whole(place, row[0])

    def _whole(self, place: Place, text: str) -> dict[str, Any]:
        """The offset whose record is *text*, with its parts; within a transaction."""
        record = _object(text, place[0])
        found = self._references(record)
        self._splitter.read(place, found)
        return self._joined(place, record, found)

    def _write_parts(self, place: tuple[str, str], offset: Offset) -> Split:
        """Write the parts of *offset* that are not stored, and remove those that it does not refer to."""
        stored = {name for name, in self._open.execute(
            "SELECT name FROM parts WHERE connector = ? AND partition_json = ?", place)}
        split = self._splitter.split(place, offset)
        if not split.kept <= stored:  # another process wrote an offset meanwhile
            self._splitter.forget(place)
            split = self._splitter.split(place, offset)
        self._open.executemany("INSERT INTO parts VALUES (?, ?, ?, ?)",
                               [(*place, name, data) for name, data in split.new.items()])
        self._open.executemany("DELETE FROM parts WHERE connector = ? AND partition_json = ? AND name = ?",
                               [(*place, name) for name in stored - split.kept])
        return split

    def _references(self, record: Mapping[str, Any]) -> dict[str, Reference]:
        try:
            return references(record)
        except ValueError as exc:
            raise self._damage(str(exc)) from exc

    def _joined(self, place: tuple[str, str], record: Mapping[str, Any], found: Mapping[str, Reference],
                ) -> dict[str, Any]:
        stored = self._open.execute("SELECT name, data FROM parts WHERE connector = ? AND partition_json = ?", place)
        try:
            return join(record, found, {name: data for name, data in stored if isinstance(data, bytes)})
        except ValueError as exc:
            raise self._damage(str(exc)) from exc

    @property
    def _open(self) -> sqlite3.Connection:
        assert self._connection is not None, "not started"
        return self._connection

    def _mapped(self, verb: str) -> AbstractContextManager[None]:
        return mapped(self._path, verb)

    def _take_over(self, connection: sqlite3.Connection) -> None:
        """Give the rows of a file from before checksums their own."""
        with transaction(connection, "IMMEDIATE"):
            if connection.execute("PRAGMA application_id").fetchone() != (0,):
                return  # another process was faster
            if not offset_file.has_table(connection, "offsets"):
                raise self._damage("it has no table of offsets; was it copied without its -wal file?")
            for statement in offset_file.CHECKED:
                connection.execute(statement)
            rows = {}
            for connector, partition, text in connection.execute("SELECT connector, partition_json, offset_json "
                                                                 "FROM offsets").fetchall():
                rows[connector, partition] = checksum(connector, partition, text)
                connection.execute("UPDATE offsets SET checksum = ? WHERE connector = ? AND partition_json = ?",
                                   (rows[connector, partition], connector, partition))
            set_state(connection, len(rows), rows)
        empty_log(connection)

    def _rows(self, connection: sqlite3.Connection) -> tuple[int, dict[tuple[str, str], str]]:
        """How often something was committed, and the checksums of all rows, by connector and partition. Raises
        OffsetStoreError if anything in the file is not as it was written."""
        if connection.execute("PRAGMA application_id").fetchone() != (APPLICATION_ID,):
            raise self._damage("its header is not ours")
        rows = {}
        for connector, partition, text, stored in connection.execute(
                "SELECT connector, partition_json, offset_json, checksum FROM offsets").fetchall():
            if stored != checksum(connector, partition, text):
                raise self._damage("a stored offset is not the one that was written")
            rows[connector, partition] = stored
        states = connection.execute("SELECT commits, checksum FROM state").fetchall()
        if len(states) != 1 or states[0][1] != state_checksum(states[0][0], rows):
            raise self._damage("offsets are missing, or come from another time")
        return int(states[0][0]), rows

    def _damage(self, what: str) -> OffsetStoreError:
        return OffsetStoreError(f"The offset file is damaged: {what}.", hint=DAMAGED, path=str(self._path))


def _object(text: str, connector: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise OffsetStoreError("A stored offset is not a JSON object.", connector=connector)
    return value
