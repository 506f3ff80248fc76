# ruff: noqa: F821
# mypy: disable-error-code="name-defined, no-any-return"
# Under `cython.compiled` this calls C functions that only its .pxd declares.
"""pgoutput: bytes in, messages out.

PostgreSQL docs, "Logical Replication Message Formats" and "Logical Streaming Replication Parameters"; server source
src/backend/replication/logical/proto.c (`logicalrep_write_*`). Integers are big-endian, strings NUL-terminated,
times microseconds since 2000-01-01. No I/O here, and every length is checked before it is used.
"""

from __future__ import annotations

from collections.abc import Callable

import cython

from cdc.core.dataclass import dataclass
from cdc.core.errors import ProtocolError
from cdc.core.row import ABSENT, BINARY, NULL, TEXT, UNCHANGED, Row

POSTGRES_EPOCH_US = 946_684_800_000_000
"""2000-01-01 in microseconds since 1970-01-01."""

_MAX_TIME_US = ((1 << 63) - 1) // 1000
"""Times are written in nanoseconds, too."""

XLOG_HEADER = 25
"""An XLogData message's bytes before its payload: `w`, start LSN, end LSN, send time."""

# Message types, as in src/include/replication/logicalproto.h: LogicalRepMsgType.
LOGICAL_REP_MSG_BEGIN = ord("B")
LOGICAL_REP_MSG_COMMIT = ord("C")
LOGICAL_REP_MSG_ORIGIN = ord("O")
LOGICAL_REP_MSG_INSERT = ord("I")
LOGICAL_REP_MSG_UPDATE = ord("U")
LOGICAL_REP_MSG_DELETE = ord("D")
LOGICAL_REP_MSG_TRUNCATE = ord("T")
LOGICAL_REP_MSG_RELATION = ord("R")
LOGICAL_REP_MSG_TYPE = ord("Y")
LOGICAL_REP_MSG_MESSAGE = ord("M")
LOGICAL_REP_MSG_BEGIN_PREPARE = ord("b")
LOGICAL_REP_MSG_PREPARE = ord("P")
LOGICAL_REP_MSG_COMMIT_PREPARED = ord("K")
LOGICAL_REP_MSG_ROLLBACK_PREPARED = ord("r")
LOGICAL_REP_MSG_STREAM_START = ord("S")
LOGICAL_REP_MSG_STREAM_STOP = ord("E")
LOGICAL_REP_MSG_STREAM_COMMIT = ord("c")
LOGICAL_REP_MSG_STREAM_ABORT = ord("A")
LOGICAL_REP_MSG_STREAM_PREPARE = ord("p")

OLD_KEY, OLD_TUPLE, NEW_TUPLE = ord("K"), ord("O"), ord("N")
"""What stands before each tuple of an Insert, Update or Delete."""

# How a tuple has a column: logicalproto.h, LOGICALREP_COLUMN_*.
_COLUMN_NULL = ord("n")
_COLUMN_UNCHANGED = ord("u")
_COLUMN_TEXT = ord("t")
_COLUMN_BINARY = ord("b")


@dataclass(frozen=True)
class Begin:
    final_lsn: int
    """Where the commit record starts. It identifies the transaction."""
    commit_time_us: int
    """µs since 1970."""
    xid: int


@dataclass(frozen=True)
class Commit:
    commit_lsn: int
    end_lsn: int
    commit_time_us: int


@dataclass(frozen=True)
class Origin:
    commit_lsn: int
    name: str


@dataclass(frozen=True)
class RelationColumn:
    name: str
    type_oid: int
    typmod: int
    in_key: bool
    """Part of the replica identity."""


@dataclass(frozen=True)
class Relation:
    oid: int
    namespace: str
    name: str
    replica_identity: str
    """pg_class.relreplident: d default, n nothing, f full, i index."""
    columns: tuple[RelationColumn, ...]


@dataclass(frozen=True)
class Type:
    oid: int
    namespace: str
    name: str


@dataclass(frozen=True)
class Truncate:
    cascade: bool
    restart_identity: bool
    relation_oids: tuple[int, ...]


@dataclass(frozen=True)
class LogicalMessage:
    transactional: bool
    lsn: int
    prefix: str
    content: bytes


@dataclass(frozen=True)
class StreamStart:
    xid: int
    first: bool


@dataclass(frozen=True)
class StreamStop:
    pass


@dataclass(frozen=True)
class StreamCommit:
    xid: int
    commit_lsn: int
    end_lsn: int
    commit_time_us: int


@dataclass(frozen=True)
class StreamAbort:
    xid: int
    subxid: int


@dataclass(frozen=True)
class BeginPrepare:
    prepare_lsn: int
    end_lsn: int
    prepare_time_us: int
    xid: int
    gid: str


@dataclass(frozen=True)
class Prepare:
    """The end of a prepared transaction's changes. `streamed`: they were sent in blocks before (Stream Prepare)."""

    prepare_lsn: int
    end_lsn: int
    prepare_time_us: int
    xid: int
    gid: str
    streamed: bool


@dataclass(frozen=True)
class CommitPrepared:
    commit_lsn: int
    end_lsn: int
    commit_time_us: int
    xid: int
    gid: str


@dataclass(frozen=True)
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

    def lsn(self) -> int:
        """A place in the log. The server's own are far below 2^63, which the events' fields can hold."""
        value = self.u64()
        if value >= 1 << 63:
            raise ProtocolError("impossible LSN", offset=self.pos - 8, wanted="below 2^63", got=value)
        return value


    def time_us(self) -> int:
        """A server time as µs since 1970."""
        value = self.u64()
        if value >= 1 << 63:
            value -= 1 << 64
        value += POSTGRES_EPOCH_US
        if not -_MAX_TIME_US <= value <= _MAX_TIME_US:
            raise ProtocolError("impossible time", offset=self.pos - 8, wanted="a time of the years 1678 to 2261",
                                got=f"{value} µs since 1970")
        return value

    def text(self) -> str:
        """A NUL-terminated string. A database of the encoding SQL_ASCII may send anything: then each broken sequence
        becomes U+FFFD, as in values and in the catalog."""
        stop = self.data.find(b"\0", self.pos)
        if stop < 0:
            raise ProtocolError("string without its end", offset=self.pos, wanted="NUL", got="end of message")
        raw = self.data[self.pos:stop]
        self.pos = stop + 1
        return raw.decode("utf-8", "replace")

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
        """Reads TupleData, as a row over this message's bytes."""
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
                if kind == _COLUMN_TEXT or kind == _COLUMN_BINARY:  # noqa: PLR1714, SIM109
                    if pos + 4 > end:
                        self.pos = pos
                        self.short(4)
                    length = be32(data, pos)
                    pos += 4
                    if length > end - pos:
                        self.pos = pos
                        self.short(length)
                    row.kinds[index] = TEXT if kind == _COLUMN_TEXT else BINARY
                    row.starts[index] = pos
                    pos += length
                    row.ends[index] = pos
                elif kind == _COLUMN_NULL:
                    row.kinds[index] = NULL
                elif kind == _COLUMN_UNCHANGED:
                    row.kinds[index] = UNCHANGED
                else:
                    raise ProtocolError("unknown kind of column in a tuple", offset=pos - 1, wanted="n, u, t or b",
                                        got=kind)
            self.pos = pos
        else:
            self._row(row, data, count, end)
        return row

    def _row(self, row: Row, data: bytes, count: int, end: int) -> None:
        """`row` in plain Python: the same checks, with one slice for each column."""
        pos = self.pos
        kinds, starts, ends = row.kinds, row.starts, row.ends
        for index in range(count):
            kind = data[pos] if pos < end else -1
            if kind in (_COLUMN_TEXT, _COLUMN_BINARY):
                start = pos + 5
                stop = start + int.from_bytes(data[pos + 1:start])
                if start > end or stop > end:
                    self.pos = pos
                    self.short(stop - pos)
                kinds[index] = TEXT if kind == _COLUMN_TEXT else BINARY
                starts[index] = start
                ends[index] = pos = stop
            elif kind == _COLUMN_NULL:
                kinds[index] = NULL
                pos += 1
            elif kind == _COLUMN_UNCHANGED:
                kinds[index] = UNCHANGED
                pos += 1
            elif kind < 0:
                self.pos = pos
                self.short(1)
            else:
                raise ProtocolError("unknown kind of column in a tuple", offset=pos, wanted="n, u, t or b", got=kind)
        self.pos = pos

    def finish(self, what: str) -> None:
        """Raises ProtocolError unless the whole message was read."""
        if self.pos != self.end:
            raise ProtocolError(f"{what} has bytes after its end", offset=self.pos, wanted="end of message",
                                got=f"{self.end - self.pos} bytes")


def absent_where_null(row: Row) -> None:
    """Marks NULL columns as ABSENT. In a key-only old tuple, the server sends NULL for columns outside the key."""
    for index in range(row.count):
        if row.kinds[index] == NULL:
            row.kinds[index] = ABSENT


def parse_control(cursor: Cursor, kind: int, streamed: bool) -> ControlMessage:
    """Reads a message of type *kind*, other than Insert, Update and Delete. Raises ProtocolError.

    *cursor* stands after the type byte, and in a message of a stream block (*streamed*) after the xid, if it has one.
    """
    parse = _PARSERS.get(kind)
    if parse is None:
        raise ProtocolError("unknown pgoutput message type", offset=XLOG_HEADER,
                            wanted="".join(map(chr, _PARSERS)) + "IUD", got=repr(chr(kind)))
    message = parse(cursor)
    if kind != LOGICAL_REP_MSG_STREAM_ABORT:  # its tail depends on an option of the stream, and has nothing we use
        cursor.finish(type(message).__name__)
    return message


def _begin(c: Cursor) -> Begin:
    return Begin(c.lsn(), c.time_us(), c.u32())


def _commit(c: Cursor) -> Commit:
    _no_flags(c)
    return Commit(c.lsn(), c.lsn(), c.time_us())


def _no_flags(c: Cursor) -> None:
    flags = c.u8()
    if flags:
        raise ProtocolError("unknown flags", offset=c.pos - 1, wanted=0, got=flags)


def _origin(c: Cursor) -> Origin:
    return Origin(c.lsn(), c.text())


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
    flags, lsn, prefix = c.u8(), c.lsn(), c.text()
    return LogicalMessage(bool(flags & 1), lsn, prefix, c.take(c.u32()))


def _stream_start(c: Cursor) -> StreamStart:
    xid, first = c.u32(), c.u8() == 1
    if not xid:
        raise ProtocolError("stream block of no transaction", offset=c.pos, wanted="an xid", got=0)
    return StreamStart(xid, first)


def _stream_stop(c: Cursor) -> StreamStop:
    return StreamStop()


def _stream_commit(c: Cursor) -> StreamCommit:
    xid = c.u32()
    _no_flags(c)
    return StreamCommit(xid, c.lsn(), c.lsn(), c.time_us())


def _stream_abort(c: Cursor) -> StreamAbort:
    return StreamAbort(c.u32(), c.u32())


def _begin_prepare(c: Cursor) -> BeginPrepare:
    return BeginPrepare(c.lsn(), c.lsn(), c.time_us(), c.u32(), c.text())


def _prepare(c: Cursor) -> Prepare:
    _no_flags(c)
    return Prepare(c.lsn(), c.lsn(), c.time_us(), c.u32(), c.text(), False)


def _stream_prepare(c: Cursor) -> Prepare:
    _no_flags(c)
    return Prepare(c.lsn(), c.lsn(), c.time_us(), c.u32(), c.text(), True)


def _commit_prepared(c: Cursor) -> CommitPrepared:
    _no_flags(c)
    return CommitPrepared(c.lsn(), c.lsn(), c.time_us(), c.u32(), c.text())


def _rollback_prepared(c: Cursor) -> RollbackPrepared:
    _no_flags(c)
    prepare_end, end, _, _ = c.lsn(), c.lsn(), c.time_us(), c.time_us()
    return RollbackPrepared(prepare_end, end, c.u32(), c.text())


_PARSERS: dict[int, Callable[[Cursor], ControlMessage]] = {
    LOGICAL_REP_MSG_BEGIN: _begin,
    LOGICAL_REP_MSG_COMMIT: _commit,
    LOGICAL_REP_MSG_ORIGIN: _origin,
    LOGICAL_REP_MSG_RELATION: _relation,
    LOGICAL_REP_MSG_TYPE: _type,
    LOGICAL_REP_MSG_TRUNCATE: _truncate,
    LOGICAL_REP_MSG_MESSAGE: _message,
    LOGICAL_REP_MSG_STREAM_START: _stream_start,
    LOGICAL_REP_MSG_STREAM_STOP: _stream_stop,
    LOGICAL_REP_MSG_STREAM_COMMIT: _stream_commit,
    LOGICAL_REP_MSG_STREAM_ABORT: _stream_abort,
    LOGICAL_REP_MSG_BEGIN_PREPARE: _begin_prepare,
    LOGICAL_REP_MSG_PREPARE: _prepare,
    LOGICAL_REP_MSG_STREAM_PREPARE: _stream_prepare,
    LOGICAL_REP_MSG_COMMIT_PREPARED: _commit_prepared,
    LOGICAL_REP_MSG_ROLLBACK_PREPARED: _rollback_prepared,
}
