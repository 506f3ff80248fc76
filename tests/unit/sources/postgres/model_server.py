"""A PostgreSQL server in memory, as far as positions concern it: a log, one slot, and what its walsender sends.

What it models: commits are sent in the order of their records, those that start at or after the LSN where the stream
starts; the slot's progress is on disk only after a checkpoint; a copy of the server writes other transactions at LSNs
that the original used, with the same xids. PostgreSQL source: src/backend/replication/logical/decode.c, `DecodeCommit`
and `logicalmsg_decode`; snapbuild.c, `SnapBuildXactNeedsSkip`; walsender.c, `XLogSendLogical`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from cdc.sources.postgres.lsn import Lsn
from cdc.sources.postgres.protocol import POSTGRES_EPOCH_US
from tests.unit.sources.postgres.pgoutput_frames import (
    STREAM_STOP,
    begin,
    begin_prepare,
    commit,
    commit_prepared,
    insert,
    keepalive,
    message,
    prepare,
    relation,
    rollback_prepared,
    stream_commit,
    stream_start,
    xlog,
)

OID = 1
RELATION = relation(OID, "t", [("id", 23, True), ("note", 25, False)])
FIRST_LSN = 1000


@dataclass(frozen=True, eq=False)
class Logged:
    """A record: a commit, a prepare, its end, a message, or anything else. Two are the same only if they are one."""

    kind: str
    lsn: int
    end_lsn: int
    xid: int = 0
    time_us: int = 0
    rows: tuple[str, ...] = ()
    gid: str = ""
    streamed: bool = False

    @property
    def shown(self) -> bool:
        """Whether a client remembers it."""
        return self.kind in ("message", "commit prepared") or (self.kind == "commit" and bool(self.rows))


@dataclass
class ModelServer:
    """*sends_empty*: transactions without rows are sent, as by version 14. *left*: the timelines before this one, each
    with the LSN where it ended."""

    sends_empty: bool = False
    log: list[Logged] = field(default_factory=list)
    xid: int = 700
    confirmed: int = FIRST_LSN
    confirmed_on_disk: int = FIRST_LSN
    timeline: int = 1
    left: list[tuple[int, Lsn]] = field(default_factory=list)
    open: dict[str, Logged] = field(default_factory=dict)

    @property
    def end_lsn(self) -> int:
        return self.log[-1].end_lsn if self.log else FIRST_LSN

    def copy(self) -> ModelServer:
        """A cold copy: the server was stopped, so its slot's progress is on disk."""
        return ModelServer(self.sends_empty, list(self.log), self.xid, self.confirmed, self.confirmed, self.timeline,
                           list(self.left), dict(self.open))

    def standby(self) -> ModelServer:
        """One that has all of the log, and of the slot what was synchronised."""
        found = self.copy()
        found.confirmed = found.confirmed_on_disk = self.confirmed_on_disk
        return found

    def promote(self) -> None:
        self.left.append((self.timeline, Lsn(self.end_lsn)))
        self.timeline += 1
        self.other(96)

    def crash(self) -> None:
        self.confirmed = self.confirmed_on_disk
        self.other(112)

    def lose_tail(self, count: int) -> None:
        """A crash of a server that acknowledges what it has not written."""
        kept = max(0, len(self.log) - count)
        self.confirmed_on_disk = min([self.confirmed_on_disk, *(each.lsn for each in self.log[kept:kept + 1])])
        del self.log[kept:]
        self.open = {each.gid: each for each in self.log if each.kind == "prepare"
                     and not any(later.gid == each.gid and later.kind != "prepare" for later in self.log)}
        self.xid = max((each.xid for each in self.log), default=700)
        self.crash()

    def checkpoint(self) -> None:
        self.confirmed_on_disk = self.confirmed
        self.other(112)

    # -- what applications do -------------------------------------------------------------------------------------

    def other(self, size: int) -> None:
        """Log that is not for us: of other databases, of vacuum, of tables that are not published."""
        self._add("other", size)

    def commit(self, rows: tuple[str, ...], time_us: int, *, streamed: bool = False) -> None:
        self.xid += 1
        self._add("other", 64 * (len(rows) + 1))
        self._add("commit", 48, xid=self.xid, time_us=time_us, rows=rows, streamed=streamed)

    def emit(self, text: str) -> None:
        self._add("message", 64, gid=text)

    def prepare(self, gid: str, rows: tuple[str, ...], time_us: int) -> None:
        self.xid += 1
        self._add("other", 64 * (len(rows) + 1))
        self.open[gid] = self._add("prepare", 80, xid=self.xid, time_us=time_us, rows=rows, gid=gid)

    def decide(self, gid: str, time_us: int, *, commits: bool) -> None:
        prepared = self.open.pop(gid)
        kind = "commit prepared" if commits else "rollback prepared"
        self._add(kind, 56, xid=prepared.xid, time_us=time_us, rows=prepared.rows if commits else (), gid=gid)

    def _add(self, kind: str, size: int, **more: Any) -> Logged:
        lsn = self.end_lsn
        found = Logged(kind, lsn, lsn + size, **more)
        self.log.append(found)
        return found

    # -- what it tells --------------------------------------------------------------------------------------------

    def facts(self) -> Any:
        return SimpleNamespace(system_id="7", timeline=self.timeline, flushed_lsn=Lsn(self.end_lsn), database="d",
                               in_recovery=False)

    def slot(self) -> Any:
        return SimpleNamespace(name="s", confirmed_flush_lsn=Lsn(self.confirmed))

    def committed_rows(self) -> set[str]:
        return {row for each in self.log if each.shown for row in each.rows}

    def stream(self, start_lsn: int) -> Iterator[list[bytes]]:
        """The frames of record after record, for ever; of a keepalive where there is nothing to send."""
        start = max(start_lsn, self.confirmed)
        yield [xlog(start, RELATION)]
        number = 0
        while True:
            if number == len(self.log):
                yield [keepalive(max(self.end_lsn, self.confirmed))]
                continue
            each = self.log[number]
            number += 1
            if each.lsn >= start:
                yield [xlog(lsn, body) for lsn, body in self._messages(each)]

    def _messages(self, each: Logged) -> list[tuple[int, bytes]]:
        lsn, end, xid, time = each.lsn, each.end_lsn, each.xid, each.time_us - POSTGRES_EPOCH_US
        first = lsn - 64 * len(each.rows)
        rows = [(first + 64 * number, insert(OID, str(number), row, xid=xid if each.streamed else None))
                for number, row in enumerate(each.rows)]
        if each.kind == "commit" and each.streamed:
            return [(first, stream_start(xid, first=True)), *rows, (lsn, STREAM_STOP),
                    (end, stream_commit(xid, lsn, end, time))]
        if each.kind == "commit" and (rows or self.sends_empty):
            return [(first, begin(lsn, xid, time)), *rows, (end, commit(lsn, end, time))]
        if each.kind == "message":
            return [(end, message("p", each.gid.encode(), end, transactional=False))]
        if each.kind == "prepare":
            return [(first, begin_prepare(lsn, end, xid, each.gid)), *rows, (end, prepare(lsn, end, xid, each.gid))]
        if each.kind == "commit prepared":
            return [(end, commit_prepared(lsn, end, xid, each.gid, time))]
        if each.kind == "rollback prepared":
            return [(end, rollback_prepared(lsn, end, xid, each.gid))]
        return []
