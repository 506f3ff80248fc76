"""The content of the binary log's events, as values.

There is one class for each kind of event that a reader of the log treats differently. A message does not know its place
in the log, so messages of equal content are equal. `decoder.py` makes them.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import field
from typing import Any, NamedTuple

from cdc.core.dataclass import dataclass
from cdc.core.errors import ProtocolError

from . import const
from .gtid import GtidSet, MariaGtidSet
from .rows import Layout, RowsEvent

_INFLATE_CHUNK = 1 << 16
_LONG_EVENT = 1 << 20


@dataclass(frozen=True)
class FormatDescription:
    server_version: str
    checksum: bool
    """Whether the events that follow end in a CRC32."""
    post_header_lengths: bytes
    """Lengths of post-headers, by event type; the first one is type 1."""

    @property
    def mariadb(self) -> bool:
        return "MariaDB" in self.server_version


@dataclass(frozen=True)
class Rotate:
    """The events that follow come from *file*, from *position* on."""

    file: str
    position: int


@dataclass(frozen=True)
class Query:
    """A statement as text: BEGIN, COMMIT, ROLLBACK, XA …, SAVEPOINT, DDL; and row changes if binlog_format is not
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
    """An EXECUTE_LOAD_QUERY: LOAD DATA in a session that does not log rows."""
    undecided: bool = False
    """The start of an ALTER, or its rollback (MariaDB's binlog_alter_two_phase). A committed ALTER is logged once
    more."""
    server_collation: int | None = None
    """Collation id of the session's collation_server, which databases inherit."""


class Xid(NamedTuple):
    """The commit of a transaction in a transactional engine."""

    xid: int


@dataclass(frozen=True)
class XaPrepare:
    """The events before it are a prepared transaction, whose outcome is open until XA COMMIT or ROLLBACK. With
    *one_phase* it is committed at once."""

    one_phase: bool
    format_id: int
    gtrid: bytes
    bqual: bytes


class Gtid(NamedTuple):
    """The start of a transaction (MySQL). An anonymous one (gtid_mode=OFF) has *gno* 0 and a *uuid* of zeros."""

    uuid: str
    tag: str
    gno: int
    last_committed: int
    sequence_number: int
    immediate_commit_us: int | None
    """When this server committed, in µs since 1970; below, when the first server did. None before 8.0.1."""
    original_commit_us: int | None
    transaction_length: int | None
    """Bytes of the whole transaction in the log, this event included."""

    @property
    def anonymous(self) -> bool:
        return self.gno == 0

    def __str__(self) -> str:
        return f"{self.uuid}:{self.tag}:{self.gno}" if self.tag else f"{self.uuid}:{self.gno}"


class MariaGtid(NamedTuple):
    """The start of a transaction (MariaDB). A *standalone* one is only the statement that follows; it has no commit."""

    domain: int
    server_id: int
    sequence: int
    flags: int
    commit_id: int | None
    xid: tuple[int, bytes, bytes] | None
    """XA: format id, gtrid and bqual of a prepared (FL_PREPARED_XA) or completed (FL_COMPLETED_XA) transaction."""

    @property
    def standalone(self) -> bool:
        return bool(self.flags & const.FL_STANDALONE)

    def __str__(self) -> str:
        return f"{self.domain}-{self.server_id}-{self.sequence}"


@dataclass(frozen=True)
class PreviousGtids:
    """All transactions of the files before this one (MySQL)."""

    gtids: GtidSet


@dataclass(frozen=True)
class GtidList:
    """All transactions before this place (MariaDB)."""

    gtids: MariaGtidSet


@dataclass(frozen=True)
class TableMap:
    """The columns of a table, for the rows events with its id until the statement ends. Equal by content. As long as a
    table does not change, the decoder returns the same object, so that it can be a key.

    With binlog_row_metadata=MINIMAL only `unsigned`, `charsets` and `geometry_types` are set; the rest is None.
    """

    table_id: int
    flags: int
    database: str
    table: str
    types: bytes
    """enum_field_types, one byte per column. ENUM and SET have their own type, although the log writes STRING."""
    metadata: tuple[int, ...]
    nullable: tuple[bool, ...]
    layout: Layout = field(compare=False, repr=False)
    unsigned: tuple[bool, ...] | None = None
    """By column; False if the type has no sign."""
    charsets: tuple[int | None, ...] | None = None
    """The collation's id by column; None for types that are no strings. ENUM and SET have one only with FULL."""
    names: tuple[str, ...] | None = None
    enum_members: tuple[tuple[bytes, ...] | None, ...] | None = None
    """The labels by column, in the column's character set; None for other types."""
    set_members: tuple[tuple[bytes, ...] | None, ...] | None = None
    geometry_types: tuple[int | None, ...] | None = None
    primary_key: tuple[tuple[int, int], ...] | None = None
    """(column index, length of the prefix in characters, or 0); None without a primary key, or with MINIMAL."""
    visible: tuple[bool, ...] | None = None
    vector_dimensions: tuple[int | None, ...] | None = None

    def __hash__(self) -> int:
        return hash((self.table_id, self.database, self.table, self.types))


@dataclass(frozen=True)
class RowsQuery:
    """The statement that made the rows that follow (ROWS_QUERY, MariaDB's ANNOTATE_ROWS)."""

    sql: bytes


@dataclass(frozen=True)
class Incident:
    """The server failed to log something (1: LOST_EVENTS), so the log has a gap here."""

    number: int
    message: str


@dataclass(frozen=True)
class Heartbeat:
    """The server has nothing to send; its log ends at *file*, *position*."""

    file: str
    position: int


@dataclass(frozen=True)
class Stop:
    """The server was shut down in order; the next events come from the next file."""


@dataclass(frozen=True)
class StatementPart:
    """A part of a statement that was logged as text: INTVAR, RAND, USER_VAR, and the file blocks of LOAD DATA."""

    type: int


@dataclass(frozen=True)
class Ignored:
    """An event without data of tables: events of group replication, MariaDB's checkpoints and announcements of keys,
    and unknown events that the server marked as ignorable."""

    type: int


class TransactionPayload:
    """The compressed events of a transaction, from after its GTID to its commit (MySQL,
    binlog_transaction_compression)."""

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
        """The events in order, without checksums, for `BinlogDecoder.decode_inner`. They are unpacked one by one, so
        that little more than one event is in memory at a time. Raises ProtocolError."""
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
                long = io.BytesIO()  # assembled in place, so that it is in memory only once
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
        while at < self.end:  # normally one frame; the format allows several
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
    """zstd: of the standard library from Python 3.14, of its backport before. Imported when the first payload comes."""
    global _zstd_module
    if _zstd_module is None:
        try:
            from compression import zstd  # type: ignore[import-not-found]
        except ImportError:
            from backports import zstd
        _zstd_module = zstd
    return _zstd_module


_zstd_module: Any = None
