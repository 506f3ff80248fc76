"""Turns whole events of the binary log into messages.

An event is a header of 19 bytes, a body, and four bytes of CRC32 if the FORMAT_DESCRIPTION before it says so. MySQL
Source Code Documentation, "Replication Protocol"; libs/mysql/binlog/event/*.cpp. MariaDB docs, "Replication Protocol";
sql/log_event.cc. Integers are little-endian. No I/O. Every length is checked before it is used. An unknown event is an
error, unless the server marked it as one that may be ignored.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any
from zlib import crc32

import cython  # noqa: F401

from cdc.core.errors import ProtocolError

from . import const
from .body import Reader
from .events import (
    FormatDescription,
    Gtid,
    GtidList,
    Heartbeat,
    Ignored,
    Incident,
    MariaGtid,
    Message,
    PreviousGtids,
    Query,
    Rotate,
    RowsQuery,
    StatementPart,
    Stop,
    TableMap,
    TransactionPayload,
    XaPrepare,
    Xid,
)
from .gtid import GtidSet, MariaGtidSet, decode_uuid, read_varlen_text
from .header import Header, parse_header
from .rows import ROWS_EVENTS, parse_rows, read_length, uncompress_buffer
from .table_map import parse_table_map

_GTID = struct.Struct("<B16sQ")
_CLOCK = struct.Struct("<QQ")
_MARIA_GTID = struct.Struct("<QIB")
_QUERY = struct.Struct("<IIBHH")
_POST_HEADER = {const.ROTATE_EVENT: 8, const.QUERY_EVENT: 13, const.QUERY_COMPRESSED_EVENT: 13,
                const.EXECUTE_LOAD_QUERY_EVENT: 26, const.TABLE_MAP_EVENT: 8, const.INCIDENT_EVENT: 2,
                const.PARTIAL_UPDATE_ROWS_EVENT: 10}
_VERSION_LEN = 50
_new: Any = tuple.__new__  # a NamedTuple's own constructor is several times slower
_HEADER_LEN = const.HEADER_LEN
_CHECKSUM_LEN = const.CHECKSUM_LEN
_ARTIFICIAL = const.LOG_EVENT_ARTIFICIAL_F
_HEADS = frozenset((const.FORMAT_DESCRIPTION_EVENT, const.PREVIOUS_GTIDS_LOG_EVENT, const.GTID_LIST_EVENT,
                    const.START_ENCRYPTION_EVENT))
"""The events that a file begins with. A stream that starts in the middle of a file begins with them too."""
_LOW_BITS = (1 << 32) - 1
_INTACT = 0x2144DF1C
"""The CRC32 of any bytes followed by their own CRC32 (low byte first)."""

_MAX_CACHED_COLUMNS = 100_000
"""The most columns of all cached table maps together, about 15 MB. The bytes of a map change whenever the server opens
the table again."""
_MAX_CACHED_BEGINS = 1000


class BinlogDecoder:
    """Decodes the events of one connection, or of one file, in their order.

    It keeps the FORMAT_DESCRIPTION's checksums and lengths, and its place in the file (`position`: the end of the last
    event). It caches parsed table maps and
    BEGINs by their bytes, because these repeat very often.
    """

    def __init__(self) -> None:
        self.format: FormatDescription | None = None
        self._maps: dict[bytes, TableMap] = {}
        self._columns = 0
        self._begins: dict[bytes, Query] = {}
        self._checksums = False
        self.position = 0

    def decode(self, event: bytes) -> tuple[Header, Message]:
        """Decode a whole event, as the server sends it or its file contains it, and verify its checksum. Raises
        ProtocolError."""
        header = parse_header(event)
        kind = header.type
        end = len(event)
        if kind == const.FORMAT_DESCRIPTION_EVENT:
            message: Message = self._format_description(event, header)
        else:
            if self.format is None:
                if kind != const.ROTATE_EVENT:
                    raise ProtocolError("event before the format description", offset=4, wanted="type 15", got=kind)
                # Made up before the server says whether events have checksums: if four bytes fit, they are one.
                if crc32(event) == _INTACT:
                    end -= _CHECKSUM_LEN
            elif self._checksums:
                verify(event)
                end -= _CHECKSUM_LEN
            message = self._body(event, header, end)
        if header.next_position and not header.flags & _ARTIFICIAL and kind not in _HEADS:
            self._follow(header)
        if isinstance(message, Rotate):
            self.position = message.position
        return header, message

    def _follow(self, header: Header) -> None:
        """The whole position of an event. A header has its low 32 bits, and within a file it only grows."""
        self.position += (header.next_position - self.position) & _LOW_BITS
        header.next_position = self.position

    def _format_description(self, event: bytes, header: Header) -> FormatDescription:
        found = self.format = _format_description(event)
        self._checksums = found.checksum
        if found.checksum:
            verify(_not_in_use(event, header.flags))
        return found

    def decode_inner(self, event: bytes) -> tuple[Header, Message]:
        """Decode an event of a transaction's payload; these have no checksums. Raises ProtocolError."""
        header = parse_header(event)
        if header.type in (const.FORMAT_DESCRIPTION_EVENT, const.TRANSACTION_PAYLOAD_EVENT):
            raise ProtocolError("event that cannot be in a payload", offset=4, wanted="data", got=header.type)
        return header, self._body(event, header, len(event))

    def _body(self, event: bytes, header: Header, end: int) -> Message:
        kind = header.type
        if end < _HEADER_LEN:
            raise ProtocolError("event ends too early", offset=0, wanted=_HEADER_LEN, got=end)
        if kind in ROWS_EVENTS:
            return parse_rows(event, kind, _HEADER_LEN, end, self.post_header(kind))
        if kind == const.TABLE_MAP_EVENT:
            return self._table_map(event, end)
        if kind == const.GTID_EVENT:
            return _maria_gtid(Reader(event, _HEADER_LEN, end), header.server_id)
        if kind in (const.QUERY_EVENT, const.QUERY_COMPRESSED_EVENT, const.EXECUTE_LOAD_QUERY_EVENT):
            return self._query(event, kind, end)
        parse = _PARSERS.get(kind)
        if parse is not None:
            return parse(Reader(event, _HEADER_LEN, end), header)
        if kind in _STATEMENT_PARTS:
            return StatementPart(kind)
        if kind in _NO_DATA or header.flags & const.LOG_EVENT_IGNORABLE_F:
            return Ignored(kind)
        raise ProtocolError("unknown event", offset=4, wanted="a known type, or the ignorable flag", got=kind)

    def known(self, body: bytes) -> TableMap | Query | None:
        """The table map or the BEGIN with this *body*, if it is still cached."""
        return self._maps.get(body) or self._begins.get(body)

    def post_header(self, kind: int) -> int:
        """The length of the head that bodies of this kind of event have."""
        lengths = self.format.post_header_lengths if self.format is not None else b""
        if kind <= len(lengths) and lengths[kind - 1]:
            return lengths[kind - 1]
        return _POST_HEADER.get(kind, 10 if kind in (30, 31, 32, 169, 170, 171) else 8)

    def _query(self, event: bytes, kind: int, end: int) -> Query:
        if kind != const.QUERY_EVENT or not event.endswith(b"BEGIN", _HEADER_LEN, end):
            return _query(event, kind, end, self.post_header(kind))
        body = event[_HEADER_LEN:end]
        known = self._begins.get(body)
        if known is None:
            if len(self._begins) >= _MAX_CACHED_BEGINS:
                self._begins.clear()
            known = self._begins[body] = _query(event, kind, end, self.post_header(kind))
        return known

    def _table_map(self, event: bytes, end: int) -> TableMap:
        body = event[_HEADER_LEN:end]
        known = self._maps.get(body)
        if known is None:
            known = parse_table_map(body, self.post_header(const.TABLE_MAP_EVENT),
                                    self.format is not None and self.format.mariadb)
            self._columns += len(known.types)
            if self._columns >= _MAX_CACHED_COLUMNS:
                self._maps.clear()
                self._columns = len(known.types)
            self._maps[body] = known
        return known


def verify(event: bytes) -> None:
    """Raises ProtocolError if the last four bytes are not the checksum of the event."""
    if len(event) < const.HEADER_LEN + _CHECKSUM_LEN:
        raise ProtocolError("event without its checksum", offset=0, wanted=const.HEADER_LEN + _CHECKSUM_LEN,
                            got=len(event))
    if crc32(event) != _INTACT:
        wanted = int.from_bytes(event[-_CHECKSUM_LEN:], "little")
        got = crc32(memoryview(event)[:-_CHECKSUM_LEN])
        raise ProtocolError("event's checksum is wrong: it was damaged in the log or on the way", offset=len(event) - 4,
                            wanted=f"{wanted:#010x}", got=f"{got:#010x}", event_type=event[4])


def _not_in_use(event: bytes, flags: int) -> bytes:
    """The format description as it was when the server computed its checksum (log_event.cc `event_checksum_test`)."""
    if not flags & const.LOG_EVENT_BINLOG_IN_USE_F:
        return event
    return event[:17] + (flags & ~const.LOG_EVENT_BINLOG_IN_USE_F).to_bytes(2, "little") + event[19:]


def _format_description(event: bytes) -> FormatDescription:
    """Format_description_event. Its last five bytes are always the checksum's algorithm and four bytes for it."""
    reader = Reader(event, const.HEADER_LEN, len(event) - 1 - const.CHECKSUM_LEN)
    version = reader.uint(2)
    if version != 4:
        raise ProtocolError("binlog of a version that is not supported", offset=const.HEADER_LEN, wanted=4, got=version)
    server_version = reader.text(reader.take(_VERSION_LEN).split(b"\0", 1)[0])
    reader.take(4)
    header_len = reader.uint(1)
    if header_len != const.HEADER_LEN:
        raise ProtocolError("binlog with another header", offset=reader.pos - 1, wanted=const.HEADER_LEN,
                            got=header_len)
    lengths = reader.rest()
    algorithm = event[len(event) - 1 - const.CHECKSUM_LEN]
    if algorithm not in (const.BINLOG_CHECKSUM_ALG_OFF, const.BINLOG_CHECKSUM_ALG_CRC32):
        raise ProtocolError("binlog with unknown checksums", offset=reader.pos, wanted="0 (none) or 1 (CRC32)",
                            got=algorithm)
    return FormatDescription(server_version, algorithm == const.BINLOG_CHECKSUM_ALG_CRC32, lengths)


def _rotate(reader: Reader, header: Header) -> Rotate:
    position = reader.uint(8)
    if position >= 1 << 63:
        raise ProtocolError("rotate to an impossible position", offset=const.HEADER_LEN, wanted="below 2^63",
                            got=position)
    return Rotate(reader.text(reader.rest()), position)


def _query(event: bytes, kind: int, end: int, post_header: int) -> Query:
    """Query_event. The status variables are in the order of their numbers; those after the last known one are
    skipped."""
    reader = Reader(event, const.HEADER_LEN, end)
    if post_header < _QUERY.size:
        raise ProtocolError("query event of an old form", offset=reader.pos, wanted=_QUERY.size, got=post_header)
    head = reader.take(post_header)
    thread_id, _, database_len, error_code, vars_len = _QUERY.unpack_from(head)
    status = reader.take(vars_len)
    known = _status_vars(Reader(status, 0, vars_len))
    database = reader.text(reader.take(database_len))
    reader.take(1)
    sql = (uncompress_buffer(event, reader.pos, end) if kind == const.QUERY_COMPRESSED_EVENT else reader.rest())
    charsets = known.get(const.Q_CHARSET_CODE)
    client, server = (None, None) if charsets is None else (int.from_bytes(charsets[:2], "little"),
                                                            int.from_bytes(charsets[4:], "little"))
    sql_mode = int.from_bytes(known[const.Q_SQL_MODE_CODE], "little") if const.Q_SQL_MODE_CODE in known else None
    zone = reader.text(known[const.Q_TIME_ZONE_CODE]) if const.Q_TIME_ZONE_CODE in known else None
    undecided = bool(known.get(const.Q_GTID_FLAGS3, b"\0")[0] & _UNDECIDED)
    return Query(thread_id, error_code, database, sql, client, sql_mode, zone,
                 kind == const.EXECUTE_LOAD_QUERY_EVENT, undecided, server)


_DECIDED = const.FL_COMMIT_ALTER_E1 | const.FL_ROLLBACK_ALTER_E1
_UNDECIDED = const.FL_START_ALTER_E1 | const.FL_ROLLBACK_ALTER_E1
_STATUS_SIZES = {
    const.Q_FLAGS2_CODE: 4, const.Q_SQL_MODE_CODE: 8, const.Q_AUTO_INCREMENT: 4, const.Q_CHARSET_CODE: 6,
    const.Q_LC_TIME_NAMES_CODE: 2, const.Q_CHARSET_DATABASE_CODE: 2, const.Q_TABLE_MAP_FOR_UPDATE_CODE: 8,
    const.Q_MASTER_DATA_WRITTEN_CODE: 4, const.Q_HRNOW: 3, const.Q_XID: 8,
}


def _status_vars(reader: Reader) -> dict[int, bytes]:
    """The status variables before the first unknown one. The length of an unknown one is unknown, so the rest cannot be
    read."""
    found: dict[int, bytes] = {}
    while reader.left():
        code = reader.uint(1)
        if code in _STATUS_SIZES:
            found[code] = reader.take(_STATUS_SIZES[code])
        elif code in (const.Q_CATALOG_NZ_CODE, const.Q_TIME_ZONE_CODE):
            found[code] = reader.take(reader.uint(1))
        elif code == const.Q_CATALOG_CODE:
            found[code] = reader.take(reader.uint(1) + 1)
        elif code == const.Q_INVOKER:
            found[code] = reader.take(reader.uint(1)) + reader.take(reader.uint(1))
        elif code == const.Q_GTID_FLAGS3:
            found[code] = reader.take(1)
            reader.take(8 if found[code][0] & _DECIDED else 0)  # the ALTER that it belongs to
        else:
            break
    return found


def _xid(reader: Reader, header: Header) -> Xid:
    return Xid(reader.uint(8))


def _xa_prepare(reader: Reader, header: Header) -> XaPrepare:
    one_phase, format_id = reader.uint(1), reader.uint(4)
    gtrid, bqual = reader.uint(4), reader.uint(4)
    if gtrid > 64 or bqual > 64:
        raise ProtocolError("XID of impossible size", offset=reader.pos, wanted="up to 64 + 64", got=f"{gtrid}+{bqual}")
    return XaPrepare(bool(one_phase), format_id, reader.take(gtrid), reader.take(bqual))


def _gtid(reader: Reader, header: Header) -> Gtid:
    """Gtid_event without a tag. Later versions added the fields after the GTID, so any number of them may be missing at
    the end."""
    _, raw_uuid, gno = _GTID.unpack(reader.take(_GTID.size))
    uuid = decode_uuid(raw_uuid, 0)
    if (gno == 0) != (header.type == const.ANONYMOUS_GTID_LOG_EVENT) or gno >= 1 << 63:
        raise ProtocolError("GTID with an impossible number", offset=reader.pos, wanted="1 to 2^63-1", got=gno)
    last_committed = sequence = 0
    immediate = original = length = None
    if reader.left() and reader.uint(1) == 2:  # LOGICAL_TIMESTAMP_TYPECODE
        last_committed, sequence = _CLOCK.unpack(reader.take(_CLOCK.size))
        if reader.left() >= 7:
            original = immediate = reader.uint(7)
            if immediate >> 55:
                immediate &= (1 << 55) - 1
                original = reader.uint(7)
            if reader.left():
                length = reader.length()
        _check_commit_times(reader, immediate, original)
    made: Gtid = _new(Gtid, (uuid, "", gno, last_committed, sequence, immediate, original, length))
    return made


_MAX_TIME_US = ((1 << 63) - 1) // 1000
"""Times are written in nanoseconds, too."""


def _check_commit_times(reader: Reader, *times_us: int | None) -> None:
    for time_us in times_us:
        if time_us is not None and time_us > _MAX_TIME_US:
            raise ProtocolError("GTID with an impossible commit time", offset=reader.pos, wanted=_MAX_TIME_US,
                                got=time_us)


_TAGGED_FIELDS = 12


def _gtid_tagged(reader: Reader, header: Header) -> Gtid:
    """GTID_TAGGED_LOG_EVENT: Gtid_event::define_fields, in the format of libs/mysql/serialization ("Message format
    specification"): version, size, last field that must be understood, then fields by number."""
    version, size, must_know = reader.varlen(), reader.varlen(), reader.varlen()
    if version != 1 or must_know > _TAGGED_FIELDS:
        raise ProtocolError("tagged GTID of an unknown form", offset=reader.pos,
                            wanted=f"version 1, up to field {_TAGGED_FIELDS}", got=f"{version}, {must_know}")
    if size > reader.end - const.HEADER_LEN:
        raise ProtocolError("tagged GTID ends too early", offset=reader.pos, wanted=size,
                            got=reader.end - const.HEADER_LEN)
    uuid, tag = "", ""
    numbers: dict[int, int] = {}
    while reader.left():
        field = reader.varlen()
        if field == 1:
            uuid = decode_uuid(_varlen_bytes(reader, 16), 0)
        elif field == 3:
            tag, reader.pos = read_varlen_text(reader.data, reader.pos, reader.end)
        elif field in (2, 4, 5):
            numbers[field] = reader.signed_varlen()
        elif field < _TAGGED_FIELDS:
            numbers[field] = reader.varlen()
        else:
            break
    if not uuid or not 0 < numbers.get(2, 0) < 1 << 63:
        raise ProtocolError("tagged GTID without its number", offset=reader.pos, wanted="uuid and number",
                            got=numbers.get(2))
    _check_commit_times(reader, numbers.get(6), numbers.get(7))
    return Gtid(uuid, tag, numbers[2], numbers.get(4, 0), numbers.get(5, 0), numbers.get(6),
                numbers.get(7, numbers.get(6)), numbers.get(8))


def _varlen_bytes(reader: Reader, count: int) -> bytes:
    """An array of bytes, each encoded as an integer."""
    values = [reader.varlen() for _ in range(count)]
    if max(values) > 255:
        raise ProtocolError("byte above 255", offset=reader.pos, wanted="0 to 255", got=max(values))
    return bytes(values)


def _maria_gtid(reader: Reader, server_id: int) -> MariaGtid:
    """Gtid_log_event. The fields that MariaDB 10.8 and later add after the XID do not concern rows, and are skipped."""
    sequence, domain, flags = _MARIA_GTID.unpack(reader.take(_MARIA_GTID.size))
    commit_id = reader.uint(8) if flags & const.FL_GROUP_COMMIT_ID else None
    xid = None
    if flags & (const.FL_PREPARED_XA | const.FL_COMPLETED_XA):
        format_id, gtrid, bqual = reader.uint(4), reader.uint(1), reader.uint(1)
        xid = format_id, reader.take(gtrid), reader.take(bqual)
    made: MariaGtid = _new(MariaGtid, (domain, server_id, sequence, flags, commit_id, xid))
    return made


def _previous_gtids(reader: Reader, header: Header) -> PreviousGtids:
    return PreviousGtids(GtidSet.decode(reader.rest()))


def _gtid_list(reader: Reader, header: Header) -> GtidList:
    count = reader.uint(4) & (1 << 28) - 1
    if count * 16 > reader.left():
        raise ProtocolError("GTID list does not fit", offset=reader.pos, wanted=count * 16, got=reader.left())
    return GtidList(MariaGtidSet.of([(reader.uint(4), reader.uint(4), reader.uint(8)) for _ in range(count)]))


def _rows_query(reader: Reader, header: Header) -> RowsQuery:
    reader.take(1)  # a length of one byte, not needed
    return RowsQuery(reader.rest())


def _annotate_rows(reader: Reader, header: Header) -> RowsQuery:
    return RowsQuery(reader.rest())


def _incident(reader: Reader, header: Header) -> Incident:
    number = reader.uint(2)
    message = reader.take(reader.uint(1)) if reader.left() else b""
    return Incident(number, message.decode("utf-8", "replace"))


def _heartbeat(reader: Reader, header: Header) -> Heartbeat:
    return Heartbeat(reader.text(reader.rest()), header.next_position)


def _heartbeat_v2(reader: Reader, header: Header) -> Heartbeat:
    """codecs/binary.cpp `Heartbeat`: type, length, value; 0 ends."""
    file, position = "", 0
    while reader.left():
        field = reader.length()
        if field == 0:
            break
        value = reader.counted()
        if field == 1:
            file = reader.text(value)
        elif field == 2:
            position, _ = read_length(value, 0, len(value))
    return Heartbeat(file, position)


def _payload(reader: Reader, header: Header) -> TransactionPayload:
    """codecs/binary.cpp `Transaction_payload`: type, length, value; 0 ends, then the payload."""
    fields: dict[int, int] = {}
    while True:
        field = reader.length()
        if field == 0:
            break
        value = reader.counted()
        if field in (1, 2, 3):
            fields[field], _ = read_length(value, 0, len(value))
    if 1 not in fields or 2 not in fields or fields[1] > reader.left():
        raise ProtocolError("transaction payload does not fit", offset=reader.pos, wanted=fields.get(1),
                            got=reader.left())
    return TransactionPayload(fields[2], fields.get(3), reader.data, reader.pos, reader.pos + fields[1])


def payload_of(event: bytes, end: int) -> TransactionPayload:
    """What is in *event*, a TRANSACTION_PAYLOAD_EVENT whose body ends at *end*. Raises ProtocolError."""
    return _payload(Reader(event, const.HEADER_LEN, end), parse_header(event))


def _stop(reader: Reader, header: Header) -> Stop:
    return Stop()


_PARSERS: dict[int, Callable[[Reader, Header], Message]] = {
    const.ROTATE_EVENT: _rotate, const.STOP_EVENT: _stop, const.XID_EVENT: _xid,
    const.XA_PREPARE_LOG_EVENT: _xa_prepare, const.GTID_LOG_EVENT: _gtid, const.ANONYMOUS_GTID_LOG_EVENT: _gtid,
    const.GTID_TAGGED_LOG_EVENT: _gtid_tagged, const.PREVIOUS_GTIDS_LOG_EVENT: _previous_gtids,
    const.GTID_LIST_EVENT: _gtid_list, const.ROWS_QUERY_LOG_EVENT: _rows_query,
    const.ANNOTATE_ROWS_EVENT: _annotate_rows, const.INCIDENT_EVENT: _incident,
    const.HEARTBEAT_LOG_EVENT: _heartbeat, const.HEARTBEAT_LOG_EVENT_V2: _heartbeat_v2,
    const.TRANSACTION_PAYLOAD_EVENT: _payload,
}
_STATEMENT_PARTS = frozenset((const.INTVAR_EVENT, const.RAND_EVENT, const.USER_VAR_EVENT, const.BEGIN_LOAD_QUERY_EVENT,
                              const.APPEND_BLOCK_EVENT, const.DELETE_FILE_EVENT))
_NO_DATA = frozenset((const.IGNORABLE_LOG_EVENT, const.TRANSACTION_CONTEXT_EVENT, const.VIEW_CHANGE_EVENT,
                      const.BINLOG_CHECKPOINT_EVENT, const.START_ENCRYPTION_EVENT))
