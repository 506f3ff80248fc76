"""The replication connection: one thread reads the binary log from the server, as a replica does.

PyMySQL connects and logs in. From the dump command on the thread reads the socket itself and puts events into a queue
that is bounded in bytes. While the queue is full the thread reads nothing, and the server waits. If the server sends
neither events nor heartbeats for too long, the thread treats the connection as lost. Nothing reconnects here: a lost
stream is an error, and the task resumes from a stored position.

MySQL Source Code Documentation, "Replication Protocol": COM_REGISTER_SLAVE, COM_BINLOG_DUMP, COM_BINLOG_DUMP_GTID;
sql/rpl_binlog_sender.cc for the variables that the dump thread reads. MariaDB docs, "5-Slave-Registration";
sql/sql_repl.cc.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import threading
import time
from collections.abc import Sequence
from typing import Any, Final

import pymysql
from pymysql import err

from cdc.core.dataclass import dataclass
from cdc.core.errors import ProtocolError, SourceConnectionError, SourceError, SourceRefusedError
from cdc.sources.mysql.binlog.gtid import GtidSet
from cdc.sources.mysql.binlog.packets import EOF, ERR, PacketReader
from cdc.sources.shared.handoff import ITEM_OVERHEAD_BYTES, Handoff
from cdc.sources.shared.hangup import hang_up

from .connection import Connection, close, query
from .errors import map_error
from .flavor import Flavor, Gtids

_COM_BINLOG_DUMP: Final = 0x12
_COM_REGISTER_SLAVE: Final = 0x15
_COM_BINLOG_DUMP_GTID: Final = 0x1E
_BINLOG_DUMP_NON_BLOCK: Final = 1
_BINLOG_THROUGH_GTID: Final = 4
_SHORT_READ_BYTES: Final = 8192
_COALESCE_S: Final = 0.001
"""After a short read, wait this long: the server flushes event by event, and one read of many events costs as little as
one read of a single event."""

HEARTBEAT_S: Final = 10.0
_SETTLE_S: Final = 0.25
_FIRST_POSITION: Final = 4
_WRITE_TIMEOUT_S: Final = 31_536_000
"""The highest net_write_timeout: how long the server waits for us while our queue is full."""


class LogEndError(SourceConnectionError):
    """The server has sent the whole log, and ended a stream that does not wait for more."""


@dataclass(frozen=True)
class DumpFrom:
    """Where to begin: after *gtids* if they are given, else at *position* of *file*, where an event must start."""

    file: str = ""
    position: int = _FIRST_POSITION
    gtids: Gtids | None = None


class BinlogReader:
    """Reads the log from *begin* on, over *conn*, which it owns from then on. Once the thread runs, the thread alone
    closes *conn*: another one could close it during a read, which would then read from whatever got its number next.

    *server_id*: no other server, replica or client may have it, because the server ends the older of two streams with
    one id. With 0 the stream disturbs no other one, and ends at the present end of the log with a LogEndError.
    *queue_bytes*: the most bytes that are read ahead.
    *heartbeat_s*: how often an idle server sends a heartbeat. After twice that time plus *grace_s* without any byte
    the connection counts as lost.
    *annotate*: ask for the statements' texts too.
    """

    def __init__(self, conn: Connection, begin: DumpFrom, *, server_id: int, flavor: Flavor, queue_bytes: int,
                 heartbeat_s: float = HEARTBEAT_S, grace_s: float = 10.0, annotate: bool = False) -> None:
        self._conn = conn
        self._begin = begin
        self._server_id = server_id
        self._flavor = flavor
        self._heartbeat_s = heartbeat_s
        self._silence_s = 2 * heartbeat_s + grace_s
        self._annotate = annotate
        self._queue = Handoff(queue_bytes)
        self._thread: threading.Thread | None = None
        self._below: socket.socket | None = None
        self.last_message_at = 0.0
        """When the server last sent anything, in seconds since 1970."""

    # -- any thread ----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Ask for the log. Raises the error that the server answers with at once, for example PositionLostError."""
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
        thread = threading.Thread(target=self._run, args=(sock,), name="binlog-reader", daemon=True)
        thread.start()
        self._thread = thread
        self._queue.wait_for_first(_SETTLE_S)

    def take(self, timeout: float, max_bytes: int) -> Sequence[bytes]:
        """The next events, in order, about *max_bytes* of them; [] when none came within *timeout* seconds. Raises
        the reader's error once all events before it were taken."""
        return self._queue.take(timeout, max_bytes)

    @property
    def queued_bytes(self) -> int:
        return self._queue.queued_bytes

    def stop(self, timeout: float = 2.0) -> None:
        """End the stream and close the connection. Idempotent. A thread that does not end within *timeout* seconds
        closes the connection when it does."""
        self._queue.close()
        if self._below is not None:
            try:
                hang_up(self._below)  # wakes the thread out of its read
            except OSError:
                pass
        if self._thread is not None:
            self._thread.join(timeout)
        else:
            close(self._conn)
        if self._below is not None:
            self._below.close()
            self._below = None

    # -- asking --------------------------------------------------------------------------------------------------

    def _settings(self) -> list[str]:
        """Statements that set what the server's dump thread looks up in the session: that we understand checksums,
        the time between heartbeats, and what only this server has (`Flavor.dump_settings`)."""
        heartbeat_ns = int(self._heartbeat_s * 1_000_000_000)
        statements = [
            "SET @master_binlog_checksum = 'CRC32', @source_binlog_checksum = 'CRC32'",
            f"SET @master_heartbeat_period = {heartbeat_ns}, @source_heartbeat_period = {heartbeat_ns}",
            f"SET SESSION net_write_timeout = {_WRITE_TIMEOUT_S}",
        ]
        return statements + self._flavor.dump_settings(self._begin.gtids)

    def _register(self) -> None:
        """Have SHOW REPLICAS list us. We send no host, user or password."""
        self._command(_COM_REGISTER_SLAVE, struct.pack("<IBBBHII", self._server_id, 0, 0, 0, 0, 0, 0))
        self._conn._read_packet()  # type: ignore[no-untyped-call]

    def _dump(self) -> None:
        gtids = self._begin.gtids
        if isinstance(gtids, GtidSet):
            known = gtids.encode()
            flags = _BINLOG_THROUGH_GTID | (0 if self._server_id else _BINLOG_DUMP_NON_BLOCK)
            self._command(_COM_BINLOG_DUMP_GTID, struct.pack("<HIIQI", flags, self._server_id, 0, _FIRST_POSITION,
                                                             len(known)) + known)
            return
        flags = self._flavor.annotate_flag if self._annotate else 0
        flags |= 0 if self._server_id else _BINLOG_DUMP_NON_BLOCK
        file, position = ("", _FIRST_POSITION) if gtids is not None else (self._begin.file, self._begin.position)
        if position >= 1 << 32:
            raise SourceRefusedError(
                "The position is beyond 4 GiB in its binlog file. The server can send the log from there by GTID only.",
                file=self._begin.file, pos=position, hint="Switch GTIDs on (gtid_mode), or take a new snapshot.")
        self._command(_COM_BINLOG_DUMP, struct.pack("<IHI", position, flags, self._server_id) + file.encode())

    def _command(self, command: int, body: bytes) -> None:
        self._conn._execute_command(command, body)  # type: ignore[attr-defined]

    # -- the reader's thread -------------------------------------------------------------------------------------

    def _run(self, sock: Any) -> None:
        try:
            self._serve(sock)
        except SourceError as exc:
            self._queue.fail(exc)
        except (TimeoutError, OSError) as exc:
            silent = f"the server sent nothing for {self._silence_s:g} s, not even a heartbeat"
            said = silent if isinstance(exc, TimeoutError) else type(exc).__name__
            self._queue.fail(SourceConnectionError(f"The replication connection was lost: {said}."))
        except Exception as exc:  # a bug must reach the task, not vanish with the thread
            self._queue.fail(exc)
        finally:
            close(self._conn)

    def _serve(self, sock: Any) -> None:
        packets = PacketReader()
        arriving = select.poll()
        arriving.register(sock, select.POLLIN)
        while self._queue.wait_for_room():
            wanted = packets.wanted()
            count = sock.recv_into(wanted)
            if not count:
                raise SourceConnectionError("The server closed the replication connection.")
            events: list[bytes] = []
            try:
                other = packets.received(count, events)
            finally:
                if events:
                    self._put(events)
            if other is not None:
                _refused(other)
            # With TLS a read brings one record at most, which may be one small transaction of many that are there.
            if count < _SHORT_READ_BYTES and count < len(wanted) and not arriving.poll(0):
                time.sleep(_COALESCE_S)

    def _put(self, events: list[bytes]) -> None:
        size = sum(map(len, events)) + ITEM_OVERHEAD_BYTES * len(events)
        self.last_message_at = time.time()
        self._queue.put(events, size)


def _refused(payload: bytes) -> None:
    """Raise the error for a *payload* that is no event."""
    first = payload[0] if payload else None
    if first == ERR and len(payload) > 3:
        try:
            err.raise_mysql_exception(payload)
        except pymysql.MySQLError as exc:
            raise map_error(exc) from exc
    if first == EOF and len(payload) < 9:
        raise LogEndError("The server ended the binlog stream.")
    raise ProtocolError("unknown kind of packet in the binlog stream", offset=0, wanted="0, 254 or 255", got=first)
