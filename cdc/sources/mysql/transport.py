"""The replication connection: one thread that takes the binary log from the server as a replica does.

PyMySQL connects and logs in; from the dump command on the bytes are read here, into a queue bounded in bytes. While
it is full nothing is read, and the server waits. A server that sends neither events nor heartbeats is taken for dead.
Nothing reconnects here: a lost stream is an error, and whoever resumes does so from a position it knows.

MySQL Source Code Documentation, "Replication Protocol": COM_REGISTER_SLAVE, COM_BINLOG_DUMP, COM_BINLOG_DUMP_GTID;
sql/rpl_binlog_sender.cc for the variables that the dump thread reads. MariaDB docs, "5-Slave-Registration";
sql/sql_repl.cc.
"""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Any, Final

import pymysql
from pymysql import err

from cdc.core.errors import ProtocolError, SourceConnectionError, SourceError, SourceRefusedError

from .gtid import GtidSet, MariaGtidSet
from .packets import EOF, ERR, PacketReader
from .server import Connection, close, map_error, query

_COM_BINLOG_DUMP: Final = 0x12
_COM_REGISTER_SLAVE: Final = 0x15
_COM_BINLOG_DUMP_GTID: Final = 0x1E
_BINLOG_DUMP_NON_BLOCK: Final = 1
_BINLOG_SEND_ANNOTATE_ROWS_EVENT: Final = 2
_BINLOG_THROUGH_GTID: Final = 4
_SHORT_READ_BYTES: Final = 8192
_COALESCE_S: Final = 0.001
"""After a short read, wait this long: the server flushes event by event, and a read costs the same for one as many."""

HEARTBEAT_S: Final = 10.0
_SETTLE_S: Final = 0.25
_FIRST_POSITION: Final = 4
_WRITE_TIMEOUT_S: Final = 31_536_000
"""net_write_timeout, at its limit: how long the server waits for a reader whose queue is full."""


class LogEndError(SourceConnectionError):
    """The server has nothing more to send and waits for nothing."""


@dataclass(frozen=True, slots=True)
class DumpFrom:
    """Where to begin: after *gtids* where given, else at *position* of *file*, which must be where an event starts."""

    file: str = ""
    position: int = _FIRST_POSITION
    gtids: GtidSet | MariaGtidSet | None = None


class BinlogReader:
    """The log from *begin* on, over *conn*, which it owns from then on.

    *server_id* must be no one else's in the topology: the server ends the older of two streams with one id. With 0
    the stream disturbs no one and ends, by a LogEndError, where the log ends now.
    *queue_bytes* bounds what is read ahead; *heartbeat_s* is how often an idle server says so, twice that plus a grace
    is the silence after which it counts as dead; *annotate* asks MariaDB for the statements' texts, too.
    """

    def __init__(self, conn: Connection, begin: DumpFrom, *, server_id: int, mariadb: bool, queue_bytes: int,
                 heartbeat_s: float = HEARTBEAT_S, grace_s: float = 10.0, annotate: bool = False) -> None:
        self._conn = conn
        self._begin = begin
        self._server_id = server_id
        self._mariadb = mariadb
        self._queue_bytes = queue_bytes
        self._heartbeat_s = heartbeat_s
        self._silence_s = 2 * heartbeat_s + grace_s
        self._annotate = annotate
        self._chunks: deque[tuple[list[bytes], int]] = deque()
        self._queued = 0
        self._changed = threading.Condition()
        self._error: Exception | None = None
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._below: socket.socket | None = None
        self.last_message_at = 0.0
        """When the server last sent anything, in seconds since 1970."""

    # -- any thread ----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Ask for the log. Raises what the server answers at once, mapped, such as a PositionLostError."""
        sock: Any = self._conn._sock  # type: ignore[attr-defined]
        self._below = socket.socket(fileno=os.dup(sock.fileno()))
        for statement in self._settings():
            query(self._conn, statement)
        try:
            if self._server_id:
                self._register()
            self._dump()
        except pymysql.MySQLError as exc:
            raise map_error(exc) from exc
        sock.settimeout(self._silence_s)
        self._thread = threading.Thread(target=self._run, args=(sock,), name="binlog-reader", daemon=True)
        self._thread.start()
        with self._changed:
            self._changed.wait_for(lambda: self._chunks or self._error, _SETTLE_S)
            if self._error is not None and not self._chunks:
                raise self._error

    def take(self, timeout: float, max_bytes: int) -> list[bytes]:
        """Whole events in order, about *max_bytes* of them at most, [] when *timeout* seconds brought none. Raises the
        reader's error once everything received before it was taken."""
        with self._changed:
            if not self._chunks and self._error is None:
                self._changed.wait_for(lambda: self._chunks or self._error is not None, timeout)
            events: list[bytes] = []
            taken = 0
            while self._chunks and taken < max_bytes:
                chunk, size = self._chunks.popleft()
                events += chunk
                taken += size
            if not events and self._error is not None:
                raise self._error
            was_full = self._queued >= self._queue_bytes
            self._queued -= taken
            if was_full and self._queued < self._queue_bytes:
                self._changed.notify_all()
        return events

    @property
    def queued_bytes(self) -> int:
        return self._queued

    def stop(self, timeout: float = 2.0) -> None:
        """End the stream and close the connection. Idempotent."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._below is not None:
            try:
                self._below.shutdown(socket.SHUT_RDWR)  # wakes the thread out of its read
            except OSError:
                pass
        if self._thread is not None:
            self._thread.join(timeout)
        if self._below is not None:
            self._below.close()
            self._below = None
        close(self._conn)

    # -- asking --------------------------------------------------------------------------------------------------

    def _settings(self) -> list[str]:
        """What the dump thread looks up in the session: that we know checksums and MariaDB's own events, how often to
        send heartbeats, and for MariaDB the GTIDs to begin after."""
        heartbeat_ns = int(self._heartbeat_s * 1_000_000_000)
        statements = [
            "SET @master_binlog_checksum = 'CRC32', @source_binlog_checksum = 'CRC32'",
            f"SET @master_heartbeat_period = {heartbeat_ns}, @source_heartbeat_period = {heartbeat_ns}",
            f"SET SESSION net_write_timeout = {_WRITE_TIMEOUT_S}",
        ]
        if self._mariadb:
            statements.append("SET @mariadb_slave_capability = 4")
            if isinstance(self._begin.gtids, MariaGtidSet):
                statements.append(f"SET @slave_connect_state = '{self._begin.gtids}', @slave_gtid_strict_mode = 0,"
                                  " @slave_gtid_ignore_duplicates = 0")
        return statements

    def _register(self) -> None:
        """Be listed by SHOW REPLICAS; no host, user or password is told."""
        self._command(_COM_REGISTER_SLAVE, struct.pack("<IBBBHII", self._server_id, 0, 0, 0, 0, 0, 0))
        self._conn._read_packet()  # type: ignore[no-untyped-call]

    def _dump(self) -> None:
        gtids = self._begin.gtids
        if isinstance(gtids, GtidSet):
            known = gtids.encode()
            self._command(_COM_BINLOG_DUMP_GTID, struct.pack("<HIIQI", _BINLOG_THROUGH_GTID, self._server_id, 0,
                                                             _FIRST_POSITION, len(known)) + known)
            return
        flags = _BINLOG_SEND_ANNOTATE_ROWS_EVENT if self._annotate and self._mariadb else 0
        flags |= 0 if self._server_id else _BINLOG_DUMP_NON_BLOCK
        file, position = ("", _FIRST_POSITION) if gtids is not None else (self._begin.file, self._begin.position)
        if position >= 1 << 32:
            raise SourceRefusedError("A binlog of more than 4 GiB can only be resumed by GTID.", file=self._begin.file,
                                     pos=position, hint="Switch GTIDs on (gtid_mode), or take a new snapshot.")
        self._command(_COM_BINLOG_DUMP, struct.pack("<IHI", position, flags, self._server_id) + file.encode())

    def _command(self, command: int, body: bytes) -> None:
        self._conn._execute_command(command, body)  # type: ignore[attr-defined]

    # -- the reader's thread -------------------------------------------------------------------------------------

    def _run(self, sock: Any) -> None:
        try:
            self._serve(sock)
        except SourceError as exc:
            self._fail(exc)
        except (TimeoutError, OSError) as exc:
            silent = f"nothing for {self._silence_s:g} s, not even a heartbeat"
            said = silent if isinstance(exc, TimeoutError) else type(exc).__name__
            self._fail(SourceConnectionError(f"the connection to the server is lost: {said}"))
        except Exception as exc:  # a bug must reach the task, not vanish with the thread
            self._fail(exc)

    def _fail(self, exc: Exception) -> None:
        with self._changed:
            self._error = exc
            self._changed.notify_all()

    def _serve(self, sock: Any) -> None:
        packets = PacketReader()
        while self._wait_for_room():
            wanted = packets.wanted()
            count = sock.recv_into(wanted)
            if not count:
                raise SourceConnectionError("the server closed the replication connection")
            events: list[bytes] = []
            try:
                other = packets.received(count, events)
            finally:
                if events:
                    self._put(events)
            if other is not None:
                _refused(other)
            if count < _SHORT_READ_BYTES and count < len(wanted):
                time.sleep(_COALESCE_S)

    def _wait_for_room(self) -> bool:
        """False when the end was asked for."""
        if self._queued >= self._queue_bytes:
            with self._changed:
                self._changed.wait_for(lambda: self._queued < self._queue_bytes or self._stopping)
        return not self._stopping

    def _put(self, events: list[bytes]) -> None:
        size = sum(map(len, events)) + 64 * len(events)
        self.last_message_at = time.time()
        with self._changed:
            self._chunks.append((events, size))
            self._queued += size
            self._changed.notify_all()


def _refused(payload: bytes) -> None:
    """Raises what a payload that is no event stands for."""
    first = payload[0] if payload else None
    if first == ERR and len(payload) > 3:
        try:
            err.raise_mysql_exception(payload)
        except pymysql.MySQLError as exc:
            raise map_error(exc) from exc
    if first == EOF and len(payload) < 9:
        raise LogEndError("the server ended the binlog stream")
    raise ProtocolError("packet of the binlog stream is of no known kind", offset=0, wanted="0, 254 or 255", got=first)
