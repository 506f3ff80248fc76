"""What the events of the binary log say, as values.

One class for each thing that a reader of the log has to tell apart; none knows where it came from, so equal content
is equal. `binlog.py` makes them.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from cdc.core.errors import ProtocolError

from . import const
from .gtid import GtidSet, MariaGtidSet
from .rows import Layout, RowsEvent

_INFLATE_CHUNK = 1 << 16
_LONG_EVENT = 1 << 20


@dataclass(frozen=True, slots=True)
class FormatDescription:
    server_version: str
    checksum: bool
    """Whether the events after it end in a CRC32."""
    post_header_lengths: bytes
    """By event type, the first is type 1."""

    @property
    def mariadb(self) -> bool:
        return "MariaDB" in self.server_version


@dataclass(frozen=True, slots=True)
class Rotate:
    """What follows comes from *file*, from *position* on."""

    file: str
    position: int


@dataclass(frozen=True, slots=True)
class Query:
    """A statement as text: BEGIN, COMMIT, ROLLBACK, XA …, SAVEPOINT, DDL, and row changes of binlog_format other than
    ROW."""

    thread_id: int
    error_code: int
    database: str
    sql: bytes
    """In the character set of *client_collation*."""
    client_collation: int | None
    """Collation id of the session's character_set_client."""
    sql_mode: int | None
    time_zone: str | None
    load_data: bool = False
    """An EXECUTE_LOAD_QUERY: LOAD DATA of a session that does not log rows."""
    undecided: bool = False
    """An ALTER that begins or is given up (MariaDB's binlog_alter_two_phase): one that is committed comes again."""


class Xid(NamedTuple):
    """Commit of a transaction of a transactional engine."""

    xid: int


@dataclass(frozen=True, slots=True)
class XaPrepare:
    """The events before it are a prepared transaction, in doubt until XA COMMIT or ROLLBACK; committed at once when
    *one_phase*."""

    one_phase: bool
    format_id: int
    gtrid: bytes
    bqual: bytes


class Gtid(NamedTuple):
    """A transaction begins (MySQL). *gno* is 0 and *uuid* of zeros for an anonymous one (gtid_mode=OFF)."""

    uuid: str
    tag: str
    gno: int
    last_committed: int
    sequence_number: int
    immediate_commit_us: int | None
    """µs since 1970 when this server committed, and below, when the first one did; None before 8.0.1."""
    original_commit_us: int | None
    transaction_length: int | None
    """Bytes of the whole transaction in the log, this event included."""

    @property
    def anonymous(self) -> bool:
        return self.gno == 0

    def __str__(self) -> str:
        return f"{self.uuid}:{self.tag}:{self.gno}" if self.tag else f"{self.uuid}:{self.gno}"


class MariaGtid(NamedTuple):
    """A transaction begins (MariaDB); a *standalone* one is the single statement that follows, without commit."""

    domain: int
    server_id: int
    sequence: int
    flags: int
    commit_id: int | None
    xid: tuple[int, bytes, bytes] | None
    """XA: format id, gtrid, bqual, of a prepared (FL_PREPARED_XA) or completed (FL_COMPLETED_XA) one."""

    @property
    def standalone(self) -> bool:
        return bool(self.flags & const.FL_STANDALONE)

    def __str__(self) -> str:
        return f"{self.domain}-{self.server_id}-{self.sequence}"


@dataclass(frozen=True, slots=True)
class PreviousGtids:
    """All transactions of the files before this one (MySQL)."""

    gtids: GtidSet


@dataclass(frozen=True, slots=True)
class GtidList:
    """All transactions before this place (MariaDB)."""

    gtids: MariaGtidSet


@dataclass(frozen=True, slots=True)
class TableMap:
    """What a table is like, for the rows events with its id up to the statement's end. Equal by content; the same
    object is given again while a table does not change, so that it can be a key.

    With binlog_row_metadata=MINIMAL only `unsigned`, `charsets` and `geometry_types` are there, else None.
    """

    table_id: int
    flags: int
    database: str
    table: str
    types: bytes
    """enum_field_types, one byte for each column; ENUM and SET as such, though the log has them as STRING."""
    metadata: tuple[int, ...]
    nullable: tuple[bool, ...]
    layout: Layout = field(compare=False, repr=False)
    unsigned: tuple[bool, ...] | None = None
    """By column; False where the type has no sign."""
    charsets: tuple[int | None, ...] | None = None
    """By column the collation's id, None for types that are no strings; ENUM and SET only with FULL."""
    names: tuple[str, ...] | None = None
    enum_members: tuple[tuple[bytes, ...] | None, ...] | None = None
    """By column, in the column's character set; None for other types."""
    set_members: tuple[tuple[bytes, ...] | None, ...] | None = None
    geometry_types: tuple[int | None, ...] | None = None
    primary_key: tuple[tuple[int, int], ...] | None = None
    """(column index, length of the prefix in characters or 0); None without a key or with MINIMAL."""
    visible: tuple[bool, ...] | None = None
    vector_dimensions: tuple[int | None, ...] | None = None

    def __hash__(self) -> int:
        return hash((self.table_id, self.database, self.table, self.types))


@dataclass(frozen=True, slots=True)
class RowsQuery:
    """The statement that the following rows come from (ROWS_QUERY, MariaDB's ANNOTATE_ROWS)."""

    sql: bytes


@dataclass(frozen=True, slots=True)
class Incident:
    """The server could not log something (1: LOST_EVENTS); the log has a gap here."""

    number: int
    message: str


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Nothing to send; the server is at *file*, *position*."""

    file: str
    position: int


@dataclass(frozen=True, slots=True)
class Stop:
    """The server was shut down in order; what follows comes from the next file."""


@dataclass(frozen=True, slots=True)
class StatementPart:
    """Goes with a statement that was logged as text: INTVAR, RAND, USER_VAR, and LOAD DATA's file blocks."""

    type: int


@dataclass(frozen=True, slots=True)
class Ignored:
    """Holds no data of any table: group replication's events, MariaDB's checkpoints and key announcements, and what is
    unknown but flagged as ignorable by the server."""

    type: int


class TransactionPayload:
    """A transaction's events from after its GTID to its commit, compressed (MySQL, binlog_transaction_compression)."""

    __slots__ = ("compression", "data", "end", "start", "uncompressed_size")

    ZSTD = 0
    NONE = 255

    def __init__(self, compression: int, uncompressed_size: int | None, data: bytes, start: int, end: int) -> None:
        self.compression = compression
        self.uncompressed_size = uncompressed_size
        self.data = data
        self.start = start
        self.end = end

    def events(self) -> Iterator[bytes]:
        """The events in order, without checksums, for `BinlogDecoder.decode_inner`. Unpacked as they are taken: one
        event and a little more are in memory at a time. Raises ProtocolError."""
        buffer = bytearray()
        long: io.BytesIO | None = None
        missing = 0
        for chunk in self._chunks():
            if long is not None:
                long.write(chunk[:missing])
                chunk, missing = chunk[missing:], max(0, missing - len(chunk))
                if missing:
                    continue
                yield long.getvalue()
                long = None
            buffer += chunk
            at = 0
            while len(buffer) - at >= const.HEADER_LEN:
                length = int.from_bytes(buffer[at + 9:at + 13], "little")
                if not const.HEADER_LEN <= length <= const.MAX_EVENT_BYTES:
                    raise ProtocolError("event in a payload of impossible length", offset=self.start,
                                        wanted=f"{const.HEADER_LEN} to {const.MAX_EVENT_BYTES}", got=length)
                if length > len(buffer) - at:
                    break
                yield bytes(buffer[at:at + length])
                at += length
            del buffer[:at]
            if len(buffer) >= const.HEADER_LEN and length > _LONG_EVENT:
                long = io.BytesIO()  # put together in place, so that it is in memory once
                long.write(buffer)
                missing = length - len(buffer)
                buffer.clear()
        if buffer or long is not None:
            raise ProtocolError("payload ends within an event", offset=self.end, wanted="whole events",
                                got=f"{len(buffer) or (long.tell() if long else 0)} bytes more")

    def _chunks(self) -> Iterator[bytes]:
        if self.compression == self.NONE:
            for at in range(self.start, self.end, _INFLATE_CHUNK):
                yield self.data[at:min(at + _INFLATE_CHUNK, self.end)]
            return
        if self.compression != self.ZSTD:
            raise ProtocolError("payload of an unknown compression", offset=self.start, wanted="0 (zstd) or 255",
                                got=self.compression)
        at = self.start
        while at < self.end:  # one frame normally; several are allowed by the format
            unpack = _zstd().ZstdDecompressor()
            while not unpack.eof:
                feed = b""
                if unpack.needs_input:
                    if at >= self.end:
                        raise ProtocolError("payload's compressed data ends too early", offset=at, wanted="more zstd",
                                            got="the end")
                    feed = self.data[at:min(at + _INFLATE_CHUNK, self.end)]
                    at += len(feed)
                try:
                    yield unpack.decompress(feed, _INFLATE_CHUNK)
                except _zstd().ZstdError as exc:
                    raise ProtocolError("payload does not unpack", offset=at, wanted="zstd", got="other bytes") from exc
            at -= len(unpack.unused_data)


Message = (FormatDescription | Rotate | Query | Xid | XaPrepare | Gtid | MariaGtid | PreviousGtids | GtidList | TableMap
           | RowsEvent | RowsQuery | Incident | Heartbeat | Stop | StatementPart | Ignored | TransactionPayload)


def _zstd() -> Any:
    """The standard library's from Python 3.14, its backport before; loaded when the first payload comes."""
    global _zstd_module
    if _zstd_module is None:
        try:
            from compression import zstd  # type: ignore[import-not-found]
        except ImportError:
            from backports import zstd
        _zstd_module = zstd
    return _zstd_module


_zstd_module: Any = None
