"""The replication connection: one thread that keeps the walsender's socket served, whatever the rest is doing.

The thread reads CopyData frames into a queue bounded in bytes, answers keepalives, and reports as flushed only what
was confirmed to it. While the queue is full it stops reading but goes on reporting, so a slow sink never makes the
server drop the connection. PostgreSQL docs, "Streaming Replication Protocol".

psycopg holds the interpreter lock inside `PGconn.get_copy_data(0)` and `get_result()`; only the non-blocking forms
are used, and waiting is done in `poll`.
"""

from __future__ import annotations

import os
import select
import struct
import threading
import time
from collections import deque
from typing import Any

import psycopg
from psycopg import pq

from cdc.core.errors import ProtocolError, SourceConnectionError, SourceError

from .lsn import Lsn
from .protocol import POSTGRES_EPOCH_US
from .server import map_error

_STATUS = struct.Struct(">cQQQqB")
_KEEPALIVE = struct.Struct(">cQqB")
_XLOGDATA = ord("w")
_PRIMARY_KEEPALIVE = ord("k")
_CHUNK_BYTES = 1 << 18
_SETTLE_S = 1.0
_SHORT_READ_BYTES = 8192
_ANSWER_EVERY_S = 0.1
_CONNECT_ANSWER_S = 60.0
_COALESCE_S = 0.001
"""After a short read, wait this long: the walsender sends row by row, and a read costs the same for one as for many."""


class ReplicationReader:
    """START_REPLICATION on *conn*, which it owns from then on.

    *queue_bytes* bounds what is read ahead; *status_interval_s* is the longest silence towards the server. When the
    server is silent for that long it is asked for an answer; when it does not answer for *silence_s* more, the
    connection counts as lost. *shutdown_patience_s* is how long a server that is stopping may wait for a confirmation
    that does not come; then the stream ends, so that the server can stop, and what was not confirmed is sent again.
    """

    def __init__(self, conn: psycopg.Connection[Any], command: str, *, confirmed: int, queue_bytes: int,
                 status_interval_s: float, silence_s: float | None = None,
                 shutdown_patience_s: float = 15.0) -> None:
        self._conn = conn
        self._pg = conn.pgconn
        self._command = command
        self._queue_bytes = queue_bytes
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
        self._chunks: deque[tuple[list[bytes], int]] = deque()
        self._queued = 0
        self._queued_total = 0
        self._ready = threading.Condition()
        self._error: Exception | None = None
        self._stopping = False
        self._wake_r, self._wake_w = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._thread: threading.Thread | None = None
        self.received_lsn = 0
        self.server_wal_end = 0
        self.last_message_at = 0.0

    # -- any thread ----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Enter streaming. Raises what the server answers, mapped; errors of the plugin's options come only after
        the stream has begun, so the first moments still count as starting."""
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
        with self._ready:
            self._ready.wait_for(lambda: self._chunks or self._error, _SETTLE_S / 4)
            failed = self._error if not self._chunks else None
        if failed is not None:
            self.stop()
            raise failed

    def take(self, timeout: float, max_bytes: int) -> list[bytes]:
        """Frames in order, about *max_bytes* of them at most, [] when *timeout* seconds brought none. Raises the
        reader's error once everything received before it was taken."""
        with self._ready:
            if not self._chunks and self._error is None:
                self._ready.wait_for(lambda: self._chunks or self._error is not None, timeout)
            frames: list[bytes] = []
            taken = 0
            while self._chunks and taken < max_bytes:
                chunk, size = self._chunks.popleft()
                frames += chunk
                taken += size
            if not frames and self._error is not None:
                raise self._error
            was_full = self._queued >= self._queue_bytes
            self._queued -= taken
            if was_full and self._queued < self._queue_bytes:
                self._wake()
        return frames

    def confirm(self, lsn: int) -> None:
        """Everything before *lsn* may be forgotten by the server."""
        if lsn > self._confirmed:
            self._confirmed = lsn
            self._wake()

    @property
    def confirmed(self) -> int:
        return self._confirmed

    @property
    def queued_bytes(self) -> int:
        return self._queued

    def stop(self, timeout: float = 2.0) -> None:
        """End the stream in order if the server answers within *timeout*, then close. Idempotent."""
        self._stopping = True
        self._wake()
        if self._thread is not None:
            self._thread.join(timeout)
        try:
            self._conn.close()
        except psycopg.Error:
            pass
        if self._thread is None or not self._thread.is_alive():
            self._close_pipe()

    def _close_pipe(self) -> None:
        with self._ready:
            ends, self._wake_r, self._wake_w = (self._wake_r, self._wake_w), -1, -1
        for end in ends:
            if end >= 0:
                os.close(end)

    def _wake(self) -> None:
        try:
            if self._wake_w >= 0:
                os.write(self._wake_w, b"x")
        except OSError:
            pass  # full: it will wake anyway

    # -- the reader's thread -------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._serve()
        except SourceError as exc:
            self._fail(exc)
        except psycopg.Error as exc:
            self._fail(map_error(exc))
        except Exception as exc:  # a bug must reach the task, not vanish with the thread
            self._fail(exc)

    def _fail(self, exc: Exception) -> None:
        with self._ready:
            self._error = exc
            self._ready.notify_all()

    def _serve(self) -> None:
        poller = select.poll()
        poller.register(self._wake_r, select.POLLIN)
        socket = self._pg.socket
        self._heard_at = time.monotonic()
        while not self._stopping:
            full = self._queued >= self._queue_bytes
            if full:
                self._heard_at = time.monotonic()  # it is us who do not listen
            else:
                self._read()
            poller.register(socket, 0 if full else select.POLLIN)
            for fd, event in poller.poll(max(1.0, self._tell() * 1000)):
                if fd == self._wake_r:
                    self._drain_wake()
                else:
                    self._receive(event)
        self._finish()

    def _read(self) -> None:
        """Queue what has arrived."""
        before = self._queued_total
        if self._drain():
            # Answer soon; but a server that stops answers every answer, so not in a tight loop.
            self._report_at = min(self._report_at, self._reported_at + _ANSWER_EVERY_S)
        if 0 < self._queued_total - before < _SHORT_READ_BYTES:
            time.sleep(_COALESCE_S)

    def _tell(self) -> float:
        """Report when it is time or when there is news; how many seconds may pass until the next time. Raises
        SourceConnectionError when the server has been silent for too long."""
        now = time.monotonic()
        silent = now - self._heard_at
        if silent > self._status_interval_s + self._silence_s:
            raise SourceConnectionError("The server does not answer any more on the replication connection.",
                                        silent_s=round(silent))
        if now >= self._report_at or self._reported_lsn != self._confirmed:
            self._reported_lsn = self._confirmed
            self._report(self._reported_lsn, ask=silent >= self._status_interval_s)
            self._reported_at = now
            self._report_at = now + self._status_interval_s
        return self._report_at - now

    def _receive(self, event: int) -> None:
        self._pg.consume_input()
        if event & select.POLLIN:
            self._heard_at = time.monotonic()
        elif self._queued >= self._queue_bytes and event & (select.POLLHUP | select.POLLERR):
            raise SourceConnectionError("the server closed the replication connection")

    def _drain(self) -> bool:
        """Queue everything that has arrived; True when the server asked for an answer."""
        asked = False
        chunk: list[bytes] = []
        size = 0
        get = self._pg.get_copy_data
        while True:
            count, view = get(1)
            if count <= 0:
                break
            frame = bytes(view)
            kind = frame[0]
            if kind == _PRIMARY_KEEPALIVE:
                asked |= self._keepalive(frame)
            elif kind != _XLOGDATA:
                raise ProtocolError("unknown replication message", offset=0, wanted="w or k", got=repr(chr(kind)))
            if chunk and kind == _PRIMARY_KEEPALIVE == chunk[-1][0]:
                chunk[-1] = frame[:17] + max(frame[17:], chunk[-1][17:])  # the later one says all
                continue
            chunk.append(frame)
            size += count + 64
            if size >= _CHUNK_BYTES:
                self._put(chunk, size)
                chunk, size = [], 0
                if self._queued >= self._queue_bytes:
                    break
        if chunk:
            self._put(chunk, size)
        if count < 0:
            self._ended()
        return asked

    def _put(self, chunk: list[bytes], size: int) -> None:
        last = chunk[-1]
        if last[0] == _XLOGDATA and len(last) >= 17:
            self.received_lsn = int.from_bytes(last[1:9])
            self.server_wal_end = max(self.server_wal_end, int.from_bytes(last[9:17]))
        self.last_message_at = time.time()
        with self._ready:
            self._chunks.append((chunk, size))
            self._queued_total += size
            self._queued += size
            self._ready.notify_all()

    def _keepalive(self, frame: bytes) -> bool:
        if len(frame) != _KEEPALIVE.size:
            raise ProtocolError("keepalive of the wrong length", offset=0, wanted=_KEEPALIVE.size, got=len(frame))
        _, wal_end, _, asked = _KEEPALIVE.unpack(frame)
        self.server_wal_end = max(self.server_wal_end, wal_end)
        if asked:
            self._watch_shutdown(wal_end)
        return bool(asked)

    def _watch_shutdown(self, wal_end: int) -> None:
        """Only a server that is stopping asks again and again for the same place. It waits until everything is
        confirmed, without limit, which may take long: when the sink is away, or a prepared transaction undecided.
        PostgreSQL source: src/backend/replication/walsender.c, `WalSndDone`."""
        now = time.monotonic()
        if wal_end != self._asked_lsn:
            self._asked_lsn, self._asked_count, self._asked_since = wal_end, 0, now
        self._asked_count += 1
        if self._asked_count > 10 and now - self._asked_since > self._shutdown_patience_s:
            raise SourceConnectionError("The server is shutting down, and waits for what cannot be confirmed yet.",
                                        lsn=str(Lsn(self._confirmed)), server_lsn=str(Lsn(wal_end)))

    def _report(self, lsn: int, *, ask: bool = False) -> None:
        """A standby status update; *ask* for an answer."""
        now_us = time.time_ns() // 1000 - POSTGRES_EPOCH_US
        self._pg.put_copy_data(_STATUS.pack(b"r", lsn, lsn, lsn, now_us, ask))
        self._pg.flush()

    def _drain_wake(self) -> None:
        try:
            while os.read(self._wake_r, 4096):
                pass
        except BlockingIOError:
            pass

    def _ended(self) -> None:
        """The server ended the copy: find out why."""
        result = self._wait_result_quietly()
        if result is not None and result.status == pq.ExecStatus.FATAL_ERROR:
            raise map_error(psycopg.errors.error_from_result(result, encoding="utf-8"))
        raise SourceConnectionError("the server ended the replication stream")

    def _finish(self) -> None:
        """Report once more, say goodbye, and wait shortly until the server has let go of the slot."""
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
        """Take the results up to the last one: the server sends them after it has released the slot."""
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
            raise SourceConnectionError("START_REPLICATION had no answer")
        if result.status != pq.ExecStatus.COPY_BOTH:
            raise map_error(psycopg.errors.error_from_result(result, encoding="utf-8"))

    def _wait_result_quietly(self) -> Any:
        until = time.monotonic() + 2.0
        while self._pg.is_busy() and time.monotonic() < until:
            self._wait(0.2)
            self._pg.consume_input()
        return None if self._pg.is_busy() else self._pg.get_result()


def start_command(slot: str, lsn: int, options: dict[str, str]) -> str:
    """START_REPLICATION's text; identifiers and values quoted."""
    quoted_slot = '"' + slot.replace('"', '""') + '"'
    pairs = ", ".join(f'"{name.replace(chr(34), chr(34) * 2)}" ' + "'" + value.replace("'", "''") + "'"
                      for name, value in options.items())
    return f"START_REPLICATION SLOT {quoted_slot} LOGICAL {Lsn(lsn)} ({pairs})"
