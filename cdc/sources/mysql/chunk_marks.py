"""What a chunk shows, and where it belongs in the binary log.

The log has a transaction before others see it: the server writes the log, may wait for a semisynchronous replica,
and commits in the engine then. How a chunk's transactions are known differs:

- MySQL with GTIDs: `gtid_executed` has a transaction after the engine committed it, so what it has before the read, the
  read shows.
- MariaDB: a consistent snapshot knows its place in the log.
- MySQL without GTIDs: what was in the log half a second before the read, while no session waits for a replica.

MySQL Reference Manual, "Replication with Global Transaction Identifiers", "Semisynchronous Replication"; sql/binlog.cc,
MYSQL_BIN_LOG::process_commit_stage_queue; MariaDB docs, "START TRANSACTION WITH CONSISTENT SNAPSHOT".
"""

from __future__ import annotations

import threading
import time
from dataclasses import field
from typing import Any, Final, Protocol

from cdc.core.dataclass import dataclass
from cdc.core.errors import SourceConnectionError, SourceError
from cdc.core.record import Record
from cdc.log import get_logger
from cdc.sources.mysql.binlog.gtid import GtidSet
from cdc.sources.shared.window_rows import WindowRows

from .connection import Connection, query
from .position import MySqlPosition, file_number
from .quoting import quoted
from .server import MySqlFacts, log_status
from .snapshot import snapshot_position
from .source_block import GTID

log = get_logger(__name__)

_FILE: Final = 12
_SETTLES_S: Final = 0.5
_PATIENCE_S: Final = 10.0
_SHOWN_S: Final = 5.0
_AGAIN_S: Final = 0.05
_READ_ONLY: Final = frozenset({1290, 1792, 1836})
"""ER_OPTION_PREVENTS_STATEMENT (read_only), ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION, ER_READ_ONLY_MODE."""

Place = tuple[int, int]
"""The number of a log file, and a byte in it."""


def place_of(file: str, pos: int) -> Place:
    return file_number(file), pos


@dataclass(frozen=True)
class By:
    """The transaction of a change: its GTID, where its rows are, and when they were read (monotonic)."""

    gtid: str | None
    place: Place
    read_at: float


def by(record: Record) -> By:
    values = record.source.merged(record.source_values)
    return By(values[GTID], place_of(str(values[_FILE]), int(values[_FILE + 1])), time.monotonic())


@dataclass(frozen=True)
class Shows:
    """What a chunk shows: the transactions *gtids*, or those before *place*, or those read before *settled_at*. *high*:
    GTIDs or a place; the stream has told all that the chunk shows when it has come there. *window*: its rows in the
    signal table."""

    gtids: GtidSet | None = None
    place: Place | None = None
    settled_at: float = 0.0
    high_gtids: GtidSet | None = None
    high_place: Place = (0, 0)
    window: WindowRows | None = None
    _known: dict[str, bool] = field(default_factory=dict, repr=False)

    def sees(self, by: By) -> bool:
        if self.place is not None:
            return by.place < self.place
        if self.gtids is not None and by.gtid is not None:
            if by.gtid not in self._known:
                self._known[by.gtid] = self.gtids.contains(GtidSet.parse(by.gtid))
            return self._known[by.gtid]
        return by.read_at < self.settled_at

    def reached(self, position: MySqlPosition) -> bool:
        if self.high_gtids is not None and position.gtids is not None:
            return GtidSet.parse(position.gtids).contains(self.high_gtids)
        return place_of(position.file, position.pos) >= self.high_place


@dataclass(frozen=True)
class Began:
    """Where the stream was, the transaction that it was reading included, when somebody began to look at a table."""

    gtids: GtidSet | None
    place: Place
    at: float

    def shown_by(self, shows: Shows) -> bool:
        if shows.place is not None:
            return self.place <= shows.place
        if shows.gtids is not None and self.gtids is not None:
            return shows.gtids.contains(self.gtids)
        return self.at < shows.settled_at


class StreamLike(Protocol):
    """What is needed of `transaction.Stream`."""

    file: str
    pos: int
    event_end: int
    gtids: Any
    transaction: Any

    def position(self) -> MySqlPosition: ...


def began(stream: StreamLike) -> Began:
    """Also counts the transaction that was delivered in part before a restart, and has not come again yet: of that, the
    stream will tell the rest only."""
    gtids = stream.gtids if isinstance(stream.gtids, GtidSet) else None
    tx = stream.transaction
    if tx is not None:
        gtid, pos = tx.gtid, stream.event_end
    else:
        at = stream.position()
        gtid, pos = at.transaction, stream.pos + bool(at.event or at.row)
    if gtids is not None:
        gtids = gtids.union(GtidSet.parse(gtid) if gtid else GtidSet())
    return Began(gtids, place_of(stream.file, pos), time.monotonic())


class Marks:
    """On one connection at a time, in one thread. *signal_table*: database and name, where marks are rows of a table.
    *deletes*: the second mark is the deletion of the first row."""

    def __init__(self, *, signal_table: tuple[str, str] | None, deletes: bool) -> None:
        self._table = signal_table
        self._deletes = deletes

    def low(self, conn: Connection, facts: MySqlFacts, *, by_gtid: bool = True) -> Shows:
        """Before the snapshot is opened; see `open`. *by_gtid*: the stream knows which GTIDs it has told. It does not
        at once after an offset without GTIDs."""
        if facts.flavor.snapshot_has_position:
            return Shows()
        if facts.has_gtids and by_gtid:
            (text,), = query(conn, "SELECT @@GLOBAL.gtid_executed")
            return Shows(gtids=GtidSet.parse(str(text)))
        settled_at = time.monotonic()
        time.sleep(_SETTLES_S)
        while _replicas_waited_for(conn):
            if time.monotonic() > settled_at + _PATIENCE_S:
                raise SourceConnectionError("Sessions wait for a semisynchronous replica, so it is not known which"
                                            " transactions a chunk would show.")
            time.sleep(_SETTLES_S)
        return Shows(settled_at=settled_at)

    def open(self, conn: Connection, facts: MySqlFacts, low: Shows) -> Shows:
        """Opens the snapshot."""
        query(conn, "START TRANSACTION WITH CONSISTENT SNAPSHOT")
        if not facts.flavor.snapshot_has_position:
            return low
        at = snapshot_position(conn)
        place = place_of(at.file, at.pos)
        return Shows(place=place, high_place=place)

    def wait_until_shown(self, conn: Connection, facts: MySqlFacts, told: Began, ended: threading.Event) -> bool:
        """Whether a snapshot that is opened from now on shows all of *told*. Waits for some seconds, since each commit
        may wait for a replica for a while; not after *ended*."""
        until = time.monotonic() + _SHOWN_S
        while True:
            shows = self.low(conn, facts, by_gtid=told.gtids is not None)
            if facts.flavor.snapshot_has_position:
                try:
                    shows = self.open(conn, facts, shows)
                finally:
                    query(conn, "ROLLBACK")
            if told.shown_by(shows):
                return True
            if time.monotonic() >= until or ended.wait(_AGAIN_S):
                return False

    def high(self, conn: Connection, shows: Shows, window: WindowRows | None) -> Shows:
        """After the snapshot is over, with the second row of the signal table."""
        if window is not None:
            self._write_close(conn, window)
        if shows.gtids is not None:
            (text,), = query(conn, "SELECT @@GLOBAL.gtid_executed")
            return Shows(shows.gtids, None, 0.0, GtidSet.parse(str(text)), (0, 0), window)
        high = shows.high_place
        if shows.place is None or window is not None:
            file, pos = log_status(conn)[:2]
            high = place_of(str(file), int(pos))
        return Shows(None, shows.place, shows.settled_at, None, high, window)

    def write_open(self, conn: Connection) -> WindowRows | None:
        """The first row of the signal table; None if there is none."""
        if self._table is None:
            return None
        window = WindowRows.new()
        try:
            self._insert(conn, window.open())
        except SourceError as exc:
            if exc.context.get("errno") not in _READ_ONLY:
                raise
            log.info("snapshot_marks_not_written", reason=exc.message,
                     effect="chunks join the stream by their place in the log")
            self._table = None
            return None
        return window

    def _write_close(self, conn: Connection, window: WindowRows) -> None:
        assert self._table is not None
        if not self._deletes:
            self._insert(conn, window.close())
            return
        rows = query(conn, "SELECT COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = %s AND"
                           " TABLE_NAME = %s ORDER BY ORDINAL_POSITION LIMIT 1", *self._table)
        query(conn, f"DELETE FROM {self._name()} WHERE {quoted(str(rows[0][0]))} = %s", window.open_id)

    def _insert(self, conn: Connection, row: tuple[str, str, str]) -> None:
        query(conn, f"INSERT INTO {self._name()} VALUES (%s, %s, %s)", *row)

    def _name(self) -> str:
        assert self._table is not None
        return ".".join(map(quoted, self._table))


def _replicas_waited_for(conn: Connection) -> bool:
    rows = query(conn, "SHOW GLOBAL STATUS LIKE 'Rpl_semi_sync_%_wait_sessions'")
    return any(int(value) > 0 for _, value in rows)
