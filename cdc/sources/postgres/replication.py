"""The replication connection: one thread serves the walsender's socket, whatever the rest of the task is doing.

The thread reads CopyData frames into a queue that is bounded in bytes, answers keepalives, and reports only confirmed
positions as flushed. While the queue is full it stops reading but goes on reporting, so a slow sink never makes the
server drop the connection. PostgreSQL docs, "Streaming Replication Protocol".

psycopg holds the interpreter lock inside `PGconn.get_copy_data(0)` and `get_result()`; only the non-blocking forms
are used, and waiting is done in `poll`. How frames are read, in C or through psycopg, is in `copydata.py`.
"""

from __future__ import annotations

import os
import select
import struct
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import psycopg
from psycopg import pq
from psycopg.errors import Diagnostic

from cdc.core.errors import ProtocolError, SourceConnectionError, SourceError
from cdc.sources.shared.handoff import Handoff

from .connection import quoted
from .copydata import CHUNK_BYTES, KEEPALIVE, PRIMARY_KEEPALIVE, XLOGDATA, copy_reader
from .errors import map_error
from .lsn import Lsn
from .notices import StreamNotices
from .options import PostgresConfig
from .protocol import POSTGRES_EPOCH_US

_STATUS = struct.Struct(">cQQQqB")
_SETTLE_S = 0.25
_ANSWER_EVERY_S = 0.1
_CONNECT_ANSWER_S = 60.0
_COALESCE_S = 0.001
_COALESCE_BYTES = CHUNK_BYTES // 4
"""After a read that emptied the socket and brought less, wait this long: the walsender sends row by row, and one read
of many rows costs as little as one read of a single row. What comes meanwhile fits into the socket."""


class WakePipe:
    """Wakes a thread out of `poll` on `fd`: call it. From any thread."""

    def __init__(self) -> None:
        self.fd, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._lock = threading.Lock()

    def __call__(self) -> None:
        with self._lock:
            if self._writer >= 0:
                try:
                    os.write(self._writer, b"x")
                except BlockingIOError:
                    pass  # the pipe is full, so the thread wakes anyway

    def drain(self) -> None:
        """Take the bytes that woke the thread. Called by that thread."""
        try:
            while os.read(self.fd, 4096):
                pass
        except BlockingIOError:
            pass

    def close(self) -> None:
        """When no thread waits any more. Idempotent."""
        with self._lock:
            ends, self.fd, self._writer = (self.fd, self._writer), -1, -1
        for end in ends:
            if end >= 0:
                os.close(end)


class ReplicationReader:
    """Runs START_REPLICATION on *conn*, which it owns from then on.

    *queue_bytes*: the most bytes that are read ahead.
    *status_interval_s*: the longest time between two reports to the server. A server that is silent for as long is
    asked for an answer.
    *silence_s*: how long it may then take; after that the connection counts as lost.
    *shutdown_patience_s*: how long a server that is stopping may wait for a confirmation that does not come. Then we
    end the stream, so that the server can stop. It sends again what was not confirmed.
    *judge*: whether an error or a warning of the server ends the stream, and with what error.
    *native*: the taker wants blocks that C has read, if this installation can read so.
    """

    def __init__(self, conn: psycopg.Connection[Any], command: str, *, confirmed: int, queue_bytes: int,
                 status_interval_s: float, silence_s: float | None = None, shutdown_patience_s: float = 15.0,
                 judge: Callable[[Diagnostic], SourceError | None] = lambda told: None,
                 native: bool = False) -> None:
        self._conn = conn
        self._judge = judge
        self._notices = StreamNotices(judge)
        conn.add_notice_handler(self._notices)
        self._pg = conn.pgconn
        self._command = command
        self._status_interval_s = status_interval_s
        self._silence_s = max(60.0, 3 * status_interval_s) if silence_s is None else silence_s
        self._shutdown_patience_s = shutdown_patience_s
        self._heard_at = 0.0
        self._report_at = self._reported_at = 0.0
        self._reported_lsn = -1
        self._asked_lsn = -1
        self._asked_count = 0
        self._asked_since = 0.0
        self._confirmed = confirmed
        self._wake_up = WakePipe()
        self._copy = copy_reader(self._pg, native=native)
        self._encrypted = False
        self._reading = threading.Lock()  # while libpq runs without the interpreter lock, nobody may close
        self._queue = Handoff(queue_bytes, on_room=self._wake_up, joined=self._copy.joined)
        self._stopping = False
        self._thread: threading.Thread | None = None
        self.received_lsn = 0
        self.server_wal_end = 0
        self.last_message_at = 0.0

    # -- any thread ----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start streaming. Raises the error that the server answers with. The server reports bad options of the plugin
        only after the stream has begun, so we wait a moment for its first message."""
        self._pg.nonblocking = 1
        try:
            self._pg.send_query(self._command.encode())
            self._flush_all()
            self._wait_result()
        except psycopg.Error as exc:
            self.stop()
            raise map_error(exc) from exc
        except SourceError:
            self.stop()
            raise
        self._thread = threading.Thread(target=self._run, name="replication-reader", daemon=True)
        self._thread.start()
        try:
            self._queue.wait_for_first(_SETTLE_S)
        except Exception:
            self.stop()
            raise

    def take(self, timeout: float, max_bytes: int) -> Sequence[bytes]:
        """The next frames, in order, about *max_bytes* of them; empty when none came within *timeout* seconds. Raises
        the reader's error once all frames before it were taken."""
        return self._queue.take(timeout, max_bytes)

    def confirm(self, lsn: int) -> None:
        """Tell the server that it may forget everything before *lsn*."""
        if lsn > self._confirmed:
            self._confirmed = lsn
            self._wake_up()

    @property
    def confirmed(self) -> int:
        return self._confirmed

    @property
    def queued_bytes(self) -> int:
        return self._queue.queued_bytes

    def stop(self, timeout: float = 2.0) -> None:
        """End the stream, in order if the server answers within *timeout* seconds, and close the connection.
        Idempotent."""
        self._stopping = True
        self._wake_up()
        if self._thread is not None:
            self._thread.join(timeout)
        try:
            with self._reading:
                self._conn.close()
        except psycopg.Error:
            pass
        if self._thread is None or not self._thread.is_alive():
            self._wake_up.close()

    # -- the reader's thread -------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._serve()
        except SourceError as exc:
            self._queue.fail(exc)
        except psycopg.Error as exc:
            self._queue.fail(map_error(exc))
        except Exception as exc:  # a bug must reach the task, not vanish with the thread
            self._queue.fail(exc)

    def _serve(self) -> None:
        poller = select.poll()
        poller.register(self._wake_up.fd, select.POLLIN)
        socket = self._pg.socket
        self._encrypted = self._pg.ssl_in_use or self._pg.used_gssapi
        self._heard_at = time.monotonic()
        while not self._stopping:
            full, more = self._queue.full, False
            if full:
                self._heard_at = time.monotonic()  # we do not listen, so the server is not silent
            else:
                more = self._read()
            poller.register(socket, 0 if full else select.POLLIN)
            wait_ms = max(1.0, self._tell() * 1000)
            for fd, event in poller.poll(0 if more else wait_ms):
                if fd == self._wake_up.fd:
                    self._wake_up.drain()
                else:
                    self._receive(event)
        self._finish()

    def _read(self) -> bool:
        """Queue what has arrived. Returns whether more of it may wait in libpq, where `poll` does not see it."""
        asked, size, more = self._drain()
        if size:
            self._heard_at = time.monotonic()
        if asked:
            # Answer soon; but a server that stops answers every answer, so not in a tight loop.
            self._report_at = min(self._report_at, self._reported_at + _ANSWER_EVERY_S)
        if 0 < size < _COALESCE_BYTES:
            time.sleep(_COALESCE_S)
        return more

    def _tell(self) -> float:
        """Send a report if it is time or if a position was confirmed; returns the seconds until the next report.
        Raises SourceConnectionError if the server has been silent for too long."""
        now = time.monotonic()
        silent = now - self._heard_at
        if silent > self._status_interval_s + self._silence_s:
            raise SourceConnectionError("The server does not answer on the replication connection any more.",
                                        silent_s=round(silent))
        if now >= self._report_at or self._reported_lsn != self._confirmed:
            self._reported_lsn = self._confirmed
            self._report(self._reported_lsn, ask=silent >= self._status_interval_s)
            self._reported_at = now
            self._report_at = now + self._status_interval_s
        return self._report_at - now

    def _receive(self, event: int) -> None:
        if event & select.POLLIN:
            self._heard_at = time.monotonic()
        elif self._queue.full and event & (select.POLLHUP | select.POLLERR):
            self._pg.consume_input()
            raise SourceConnectionError("The server closed the replication connection.")

    def _drain(self) -> tuple[bool, int, bool]:
        """Queue what has arrived, one chunk at most. Returns whether the server asked for an answer, the bytes queued,
        and whether there may be more."""
        asked = False
        chunk = self._notices.chunk = self._copy.begin()
        while True:
            with self._reading:
                outcome = self._copy.read(chunk)
            if outcome != "asked":
                break
            asked = True
            self._watch_shutdown(int.from_bytes(chunk[-1][1:9]))
        if outcome == "odd":
            raise _odd(chunk[-1])
        self.server_wal_end = max(self.server_wal_end, self._copy.wal_end)
        size = self._copy.size(chunk)
        if chunk:
            self._put(chunk, size)
        self._notices.check()
        if outcome == "ended":
            self._ended()
        if outcome in ("failed", "broken"):
            doing = "receiving copy data" if outcome == "failed" else "consuming input"
            raise psycopg.OperationalError(f"{doing} failed: {self._pg.get_error_message()}")
        return asked, size, outcome == "full" or (outcome == "short" and self._encrypted)

    def _put(self, chunk: Sequence[bytes], size: int) -> None:
        chunk = self._notices.before(chunk)
        if not chunk:
            return
        last = chunk[-1]
        if last[0] == XLOGDATA and len(last) >= 17:
            self.received_lsn = int.from_bytes(last[1:9])
            self.server_wal_end = max(self.server_wal_end, int.from_bytes(last[9:17]))
        self.last_message_at = time.time()
        self._queue.put(chunk, size)

    def _watch_shutdown(self, wal_end: int) -> None:
        """End the stream if the server is shutting down and has waited long enough. Raises SourceConnectionError.

        A server that is stopping waits without limit until all its WAL is confirmed, which can take long: while the
        sink is away, or while a prepared transaction is undecided. It asks again and again for the same LSN meanwhile;
        no other server does. PostgreSQL source: src/backend/replication/walsender.c, `WalSndDone`.
        """
        now = time.monotonic()
        if wal_end != self._asked_lsn:
            self._asked_lsn, self._asked_count, self._asked_since = wal_end, 0, now
        self._asked_count += 1
        if self._asked_count > 10 and now - self._asked_since > self._shutdown_patience_s:
            raise SourceConnectionError("The server is shutting down and waits for changes that we cannot confirm yet.",
                                        lsn=str(Lsn(self._confirmed)), server_lsn=str(Lsn(wal_end)))

    def _report(self, lsn: int, *, ask: bool = False) -> None:
        """Send a standby status update with *lsn* as flushed; *ask* the server for an answer."""
        now_us = time.time_ns() // 1000 - POSTGRES_EPOCH_US
        self._pg.put_copy_data(_STATUS.pack(b"r", lsn, lsn, lsn, now_us, ask))
        self._pg.flush()

    def _ended(self) -> None:
        """The server ended the copy: raise the reason."""
        result = self._wait_result_quietly()
        if result is not None and result.status == pq.ExecStatus.FATAL_ERROR:
            raise self._mapped(psycopg.errors.error_from_result(result, encoding="utf-8"))
        raise SourceConnectionError("The server ended the replication stream.")

    def _mapped(self, exc: psycopg.Error) -> SourceError:
        return self._judge(exc.diag) or map_error(exc)

    def _finish(self) -> None:
        """Send a last report, end the copy, and wait up to a second until the server has released the slot."""
        try:
            self._report(self._confirmed)
            self._pg.put_copy_end()
            until = time.monotonic() + 1.0
            while self._pg.flush() and time.monotonic() < until:
                self._wait(0.05)
            while time.monotonic() < until:
                count, _ = self._pg.get_copy_data(1)
                if count < 0:
                    self._end_command(until)
                    return
                if count == 0:
                    self._wait(0.05)
                    self._pg.consume_input()
        except psycopg.Error:
            pass

    def _end_command(self, until: float) -> None:
        """Read the remaining results: the server sends the last one after it has released the slot."""
        while time.monotonic() < until:
            if self._pg.is_busy():
                self._wait(0.05)
                self._pg.consume_input()
            elif self._pg.get_result() is None:
                return

    # -- libpq, non-blocking -------------------------------------------------------------------------------------

    def _wait(self, timeout: float) -> None:
        poller = select.poll()
        poller.register(self._pg.socket, select.POLLIN)
        poller.poll(timeout * 1000)

    def _flush_all(self) -> None:
        while self._pg.flush():
            self._wait(0.05)
            self._pg.consume_input()

    def _wait_result(self) -> None:
        until = time.monotonic() + _CONNECT_ANSWER_S
        while self._pg.is_busy():
            if self._stopping or time.monotonic() >= until:
                raise SourceConnectionError("The server does not answer START_REPLICATION.")
            self._wait(1.0)
            self._pg.consume_input()
        result = self._pg.get_result()
        if result is None:
            raise SourceConnectionError("The server gave no result for START_REPLICATION.")
        if result.status != pq.ExecStatus.COPY_BOTH:
            raise self._mapped(psycopg.errors.error_from_result(result, encoding="utf-8"))

    def _wait_result_quietly(self) -> Any:
        until = time.monotonic() + 2.0
        while self._pg.is_busy() and time.monotonic() < until:
            self._wait(0.2)
            self._pg.consume_input()
        return None if self._pg.is_busy() else self._pg.get_result()


def _odd(frame: bytes) -> ProtocolError:
    """The error for a *frame* that is neither XLogData nor a whole keepalive."""
    if frame[0] == PRIMARY_KEEPALIVE:
        return ProtocolError("keepalive of the wrong length", offset=0, wanted=KEEPALIVE.size, got=len(frame))
    return ProtocolError("unknown replication message", offset=0, wanted="w or k", got=repr(chr(frame[0])))


def start_command(slot: str, lsn: int, options: dict[str, str]) -> str:
    """The text of START_REPLICATION, with quoted identifiers and values."""
    pairs = ", ".join(f"{quoted(name)} '" + value.replace("'", "''") + "'" for name, value in options.items())
    return f"START_REPLICATION SLOT {quoted(slot)} LOGICAL {Lsn(lsn)} ({pairs})"


def stream_options(version: int, config: PostgresConfig, two_phase: bool, *, binary: bool) -> dict[str, str]:
    """pgoutput's options for a server of *version* (150018), the newest protocol that what is asked for needs.

    PostgreSQL docs, "Logical Streaming Replication Parameters". `slot.stream.params` go over ours.
    """
    streaming = config.cdc_streaming if config.cdc_streaming != "off" else ""
    if streaming == "parallel" and version < 160000:
        streaming = "on"
    protocol = 4 if streaming == "parallel" else 3 if two_phase else 2 if streaming else 1
    options = {"proto_version": str(protocol), "publication_names": quoted(config.publication_name), "messages": "true"}
    if binary:
        options["binary"] = "true"
    if streaming:
        options["streaming"] = streaming
    if two_phase:
        options["two_phase"] = "on"
    options.update(config.slot_stream_params)
    return options
