"""pgoutput: bytes in, messages out.

PostgreSQL docs, "Logical Replication Message Formats" and "Logical Streaming Replication Parameters"; server source
src/backend/replication/logical/proto.c (`logicalrep_write_*`). Integers are big-endian, strings NUL-terminated,
times microseconds since 2000-01-01. No I/O here, and every length is checked before it is used.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cython

from cdc.core.errors import ProtocolError
from cdc.core.row import ABSENT, BINARY, NULL, TEXT, UNCHANGED, Row

POSTGRES_EPOCH_US = 946_684_800_000_000
"""2000-01-01 in microseconds since 1970-01-01."""

XLOG_HEADER = 25
"""An XLogData message's bytes before its payload: `w`, start LSN, end LSN, send time."""


@dataclass(frozen=True, slots=True)
class Begin:
    final_lsn: int
    """Where the commit record starts: what a transaction is known by."""
    commit_time_us: int
    """µs since 1970."""
    xid: int


@dataclass(frozen=True, slots=True)
class Commit:
    commit_lsn: int
    end_lsn: int
    commit_time_us: int


@dataclass(frozen=True, slots=True)
class Origin:
    commit_lsn: int
    name: str


@dataclass(frozen=True, slots=True)
class RelationColumn:
    name: str
    type_oid: int
    typmod: int
    in_key: bool
    """Part of the replica identity."""


@dataclass(frozen=True, slots=True)
class Relation:
    oid: int
    namespace: str
    name: str
    replica_identity: str
    """pg_class.relreplident: d default, n nothing, f full, i index."""
    columns: tuple[RelationColumn, ...]


@dataclass(frozen=True, slots=True)
class Type:
    oid: int
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class Truncate:
    cascade: bool
    restart_identity: bool
    relation_oids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class LogicalMessage:
    transactional: bool
    lsn: int
    prefix: str
    content: bytes


@dataclass(frozen=True, slots=True)
class StreamStart:
    xid: int
    first: bool


@dataclass(frozen=True, slots=True)
class StreamStop:
    pass


@dataclass(frozen=True, slots=True)
class StreamCommit:
    xid: int
    commit_lsn: int
    end_lsn: int
    commit_time_us: int


@dataclass(frozen=True, slots=True)
class StreamAbort:
    xid: int
    subxid: int


@dataclass(frozen=True, slots=True)
class BeginPrepare:
    prepare_lsn: int
    end_lsn: int
    prepare_time_us: int
    xid: int
    gid: str


@dataclass(frozen=True, slots=True)
class Prepare:
    """End of a prepared transaction's changes; `streamed` when it was sent in blocks before (Stream Prepare)."""

    prepare_lsn: int
    end_lsn: int
    prepare_time_us: int
    xid: int
    gid: str
    streamed: bool


@dataclass(frozen=True, slots=True)
class CommitPrepared:
    commit_lsn: int
    end_lsn: int
    commit_time_us: int
    xid: int
    gid: str


@dataclass(frozen=True, slots=True)
class RollbackPrepared:
    prepare_end_lsn: int
    end_lsn: int
    xid: int
    gid: str


ControlMessage = (Begin | Commit | Origin | Relation | Type | Truncate | LogicalMessage | StreamStart | StreamStop
                  | StreamCommit | StreamAbort | BeginPrepare | Prepare | CommitPrepared | RollbackPrepared)
"""All messages but Insert, Update and Delete, whose rows are read in place (`Cursor.row`)."""


class Cursor:
    """Reads one message's bytes forwards. Every read past the end is a ProtocolError, never an over-read."""

    def __init__(self, data: bytes = b"", pos: int = 0) -> None:
        self.reset(data, pos)

    def reset(self, data: bytes, pos: int) -> None:
        self.data = data
        self.pos = pos
        self.end = len(data)

    def left(self) -> int:
        return self.end - self.pos

    def u8(self) -> int:
        pos = self.pos
        if pos + 1 > self.end:
            self.short(1)
        p = self.data
        self.pos = pos + 1
        return p[pos]

    def u16(self) -> int:
        pos = self.pos
        if pos + 2 > self.end:
            self.short(2)
        p = self.data
        self.pos = pos + 2
        return p[pos] << 8 | p[pos + 1]

    def u32(self) -> int:
        pos = self.pos
        if pos + 4 > self.end:
            self.short(4)
        self.pos = pos + 4
        if cython.compiled:
            return be32(self.data, pos)
        return int.from_bytes(self.data[pos:pos + 4])

    def u64(self) -> int:
        pos = self.pos
        if pos + 8 > self.end:
            self.short(8)
        self.pos = pos + 8
        if cython.compiled:
            return be64(self.data, pos)
        return int.from_bytes(self.data[pos:pos + 8])

    def time_us(self) -> int:
        """A server time as µs since 1970."""
        value = self.u64()
        if value >= 1 << 63:
            value -= 1 << 64
        return value + POSTGRES_EPOCH_US

    def text(self) -> str:
        """A NUL-terminated string, in the connection's encoding, UTF-8."""
        stop = self.data.find(b"\0", self.pos)
        if stop < 0:
            raise ProtocolError("string without its end", offset=self.pos, wanted="NUL", got="end of message")
        raw = self.data[self.pos:stop]
        self.pos = stop + 1
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError as exc:
            raise ProtocolError("string is not UTF-8", offset=self.pos, wanted="UTF-8", got="other bytes") from exc

    def take(self, count: int) -> bytes:
        if count > self.end - self.pos:
            self.short(count)
        start = self.pos
        self.pos = start + count
        return self.data[start:self.pos]

    def short(self, count: int) -> None:
        raise ProtocolError("message ends too early", offset=self.pos, wanted=f"{count} bytes",
                            got=f"{self.end - self.pos} bytes")

    def row(self) -> Row:
        """TupleData, as a row over this message's bytes."""
        count = self.u16()
        data = self.data
        row = Row(data, count)
        end = self.end
        if cython.compiled:
            p = data
            pos = self.pos
            for index in range(count):
                if pos + 1 > end:
                    self.short(1)
                kind = p[pos]
                pos += 1
                if kind == 116 or kind == 98:  # noqa: PLR1714
                    if pos + 4 > end:
                        self.pos = pos
                        self.short(4)
                    length = be32(data, pos)
                    pos += 4
                    if length > end - pos:
                        self.pos = pos
                        self.short(length)
                    row.kinds[index] = TEXT if kind == 116 else BINARY
                    row.starts[index] = pos
                    pos += length
                    row.ends[index] = pos
                elif kind == 110:
                    row.kinds[index] = NULL
                elif kind == 117:
                    row.kinds[index] = UNCHANGED
                else:
                    raise ProtocolError("unknown kind of column in a tuple", offset=pos - 1, wanted="n, u, t or b",
                                        got=kind)
            self.pos = pos
        else:
            self._row(row, data, count, end)
        return row

    def _row(self, row: Row, data: bytes, count: int, end: int) -> None:
        """`row` for plain Python: the same checks, one slice a column."""
        pos = self.pos
        kinds, starts, ends = row.kinds, row.starts, row.ends
        for index in range(count):
            kind = data[pos:pos + 1]
            if kind == b"t" or kind == b"b":
                start = pos + 5
                stop = start + int.from_bytes(data[pos + 1:start])
                if start > end or stop > end:
                    self.pos = pos
                    self.short(stop - pos)
                kinds[index] = TEXT if kind == b"t" else BINARY
                starts[index] = start
                ends[index] = pos = stop
            elif kind == b"n":
                kinds[index] = NULL
                pos += 1
            elif kind == b"u":
                kinds[index] = UNCHANGED
                pos += 1
            elif not kind:
                self.pos = pos
                self.short(1)
            else:
                raise ProtocolError("unknown kind of column in a tuple", offset=pos, wanted="n, u, t or b", got=kind[0])
        self.pos = pos

    def finish(self, what: str) -> None:
        """Nothing may be left of the message."""
        if self.pos != self.end:
            raise ProtocolError(f"{what} has bytes after its end", offset=self.pos, wanted="end of message",
                                got=f"{self.end - self.pos} bytes")


def absent_where_null(row: Row) -> None:
    """In a key-only old tuple the columns outside the replica identity are sent as NULL; they are not in it."""
    for index in range(row.count):
        if row.kinds[index] == NULL:
            row.kinds[index] = ABSENT


def parse_control(cursor: Cursor, kind: int, streamed: bool) -> ControlMessage:
    """One message other than Insert, Update, Delete; *cursor* stands after the type byte *kind* and, within a
    stream block (*streamed*), after the xid that some messages carry. Raises ProtocolError."""
    name = chr(kind)
    parse = _PARSERS.get(name)
    if parse is None:
        raise ProtocolError("unknown pgoutput message type", offset=XLOG_HEADER, wanted="".join(_PARSERS) + "IUD",
                            got=repr(name))
    message = parse(cursor)
    if name != "A":  # Stream Abort's tail depends on an option of the stream; it holds nothing we use
        cursor.finish(type(message).__name__)
    return message


def _begin(c: Cursor) -> Begin:
    return Begin(c.u64(), c.time_us(), c.u32())


def _commit(c: Cursor) -> Commit:
    _no_flags(c)
    return Commit(c.u64(), c.u64(), c.time_us())


def _no_flags(c: Cursor) -> None:
    flags = c.u8()
    if flags:
        raise ProtocolError("unknown flags", offset=c.pos - 1, wanted=0, got=flags)


def _origin(c: Cursor) -> Origin:
    return Origin(c.u64(), c.text())


def _relation(c: Cursor) -> Relation:
    oid, namespace, name = c.u32(), c.text(), c.text()
    identity = chr(c.u8())
    columns = tuple(_relation_column(c) for _ in range(c.u16()))
    return Relation(oid, namespace or "pg_catalog", name, identity, columns)


def _relation_column(c: Cursor) -> RelationColumn:
    flags = c.u8()
    name, oid, typmod = c.text(), c.u32(), c.u32()
    return RelationColumn(name, oid, typmod - (1 << 32) if typmod >= 1 << 31 else typmod, bool(flags & 1))


def _type(c: Cursor) -> Type:
    return Type(c.u32(), c.text() or "pg_catalog", c.text())


def _truncate(c: Cursor) -> Truncate:
    count, options = c.u32(), c.u8()
    if count * 4 != c.left():
        raise ProtocolError("Truncate's relation count does not fit", offset=c.pos, wanted=count * 4, got=c.left())
    return Truncate(bool(options & 1), bool(options & 2), tuple(c.u32() for _ in range(count)))


def _message(c: Cursor) -> LogicalMessage:
    flags, lsn, prefix = c.u8(), c.u64(), c.text()
    return LogicalMessage(bool(flags & 1), lsn, prefix, c.take(c.u32()))


def _stream_start(c: Cursor) -> StreamStart:
    return StreamStart(c.u32(), c.u8() == 1)


def _stream_stop(c: Cursor) -> StreamStop:
    return StreamStop()


def _stream_commit(c: Cursor) -> StreamCommit:
    xid = c.u32()
    _no_flags(c)
    return StreamCommit(xid, c.u64(), c.u64(), c.time_us())


def _stream_abort(c: Cursor) -> StreamAbort:
    return StreamAbort(c.u32(), c.u32())


def _begin_prepare(c: Cursor) -> BeginPrepare:
    return BeginPrepare(c.u64(), c.u64(), c.time_us(), c.u32(), c.text())


def _prepare(c: Cursor) -> Prepare:
    _no_flags(c)
    return Prepare(c.u64(), c.u64(), c.time_us(), c.u32(), c.text(), False)


def _stream_prepare(c: Cursor) -> Prepare:
    _no_flags(c)
    return Prepare(c.u64(), c.u64(), c.time_us(), c.u32(), c.text(), True)


def _commit_prepared(c: Cursor) -> CommitPrepared:
    _no_flags(c)
    return CommitPrepared(c.u64(), c.u64(), c.time_us(), c.u32(), c.text())


def _rollback_prepared(c: Cursor) -> RollbackPrepared:
    _no_flags(c)
    prepare_end, end, _, _ = c.u64(), c.u64(), c.time_us(), c.time_us()
    return RollbackPrepared(prepare_end, end, c.u32(), c.text())


_PARSERS: dict[str, Callable[[Cursor], ControlMessage]] = {
    "B": _begin, "C": _commit, "O": _origin, "R": _relation, "Y": _type, "T": _truncate, "M": _message,
    "S": _stream_start, "E": _stream_stop, "c": _stream_commit, "A": _stream_abort, "b": _begin_prepare,
    "P": _prepare, "p": _stream_prepare, "K": _commit_prepared, "r": _rollback_prepared,
}
