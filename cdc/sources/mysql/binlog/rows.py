# ruff: noqa: F821
# mypy: disable-error-code="name-defined, no-any-return"
# Under `cython.compiled` this calls C functions that only its .pxd declares.
"""Rows events: finds the row images in the event's bytes; decodes no value.

Wire format: MySQL libs/mysql/binlog/event/rows_event.cpp `Rows_event`; sql/log_event.cc `print_verbose_one_row` and
`Update_rows_log_event` (partial updates); column sizes binary_log_funcs.cpp `calc_field_size`; MariaDB
sql/log_event.cc `row_log_event_uncompress`. Integers are little-endian. An image is a bitmap of NULLs with one bit
for each column of the event, then the values of the columns that are present and not NULL. Bits after the last column
have no meaning.

A `Row` has one column for each column of the table map: BINARY with the range of its bytes (without the length prefix
of a string or blob), NULL, or ABSENT if the image lacks the column (binlog_row_image MINIMAL and NOBLOB). Two kinds of
values are not in the event's bytes, so we make them: MariaDB's COMPRESSED columns are unpacked, and for a partial
update of a JSON column the diffs are applied to the old document.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import cython

from cdc.core.errors import ProtocolError, SourceRefusedError
from cdc.core.row import ABSENT, BINARY, NULL, Row

from . import const
from .json_diff import apply_diffs

_COMPRESSED = 1
_PARTIAL_JSON_UPDATES = 1
_MAX_COLUMNS = 4096

_FIXED = {
    const.MYSQL_TYPE_TINY: 1, const.MYSQL_TYPE_SHORT: 2, const.MYSQL_TYPE_LONG: 4, const.MYSQL_TYPE_NULL: 0,
    const.MYSQL_TYPE_TIMESTAMP: 4, const.MYSQL_TYPE_LONGLONG: 8, const.MYSQL_TYPE_INT24: 3, const.MYSQL_TYPE_DATE: 3,
    const.MYSQL_TYPE_TIME: 3, const.MYSQL_TYPE_DATETIME: 8, const.MYSQL_TYPE_YEAR: 1, const.MYSQL_TYPE_NEWDATE: 3,
}
_FRACTION_BASE = {const.MYSQL_TYPE_TIMESTAMP2: 4, const.MYSQL_TYPE_DATETIME2: 5, const.MYSQL_TYPE_TIME2: 3}
_BLOBS = {const.MYSQL_TYPE_TINY_BLOB, const.MYSQL_TYPE_MEDIUM_BLOB, const.MYSQL_TYPE_LONG_BLOB, const.MYSQL_TYPE_BLOB,
          const.MYSQL_TYPE_GEOMETRY, const.MYSQL_TYPE_JSON, const.MYSQL_TYPE_VECTOR, const.MYSQL_TYPE_BLOB_COMPRESSED}
_VARCHARS = {const.MYSQL_TYPE_VARCHAR, const.MYSQL_TYPE_VAR_STRING, const.MYSQL_TYPE_VARCHAR_COMPRESSED}
_DIGIT_BYTES = (0, 1, 1, 2, 2, 3, 3, 4, 4, 4)

_OPS = {
    const.WRITE_ROWS_EVENT_V1: "c", const.WRITE_ROWS_EVENT: "c",
    const.UPDATE_ROWS_EVENT_V1: "u", const.UPDATE_ROWS_EVENT: "u", const.PARTIAL_UPDATE_ROWS_EVENT: "u",
    const.DELETE_ROWS_EVENT_V1: "d", const.DELETE_ROWS_EVENT: "d",
    const.WRITE_ROWS_COMPRESSED_EVENT_V1: "c", const.WRITE_ROWS_COMPRESSED_EVENT: "c",
    const.UPDATE_ROWS_COMPRESSED_EVENT_V1: "u", const.UPDATE_ROWS_COMPRESSED_EVENT: "u",
    const.DELETE_ROWS_COMPRESSED_EVENT_V1: "d", const.DELETE_ROWS_COMPRESSED_EVENT: "d",
}
ROWS_EVENTS = frozenset(_OPS)
_COMPRESSED_EVENTS = frozenset(range(const.WRITE_ROWS_COMPRESSED_EVENT_V1, const.DELETE_ROWS_COMPRESSED_EVENT + 1))


def real_type(type_code: int, metadata: int) -> int:
    """The column's type. The log writes ENUM and SET as STRING, with the type in the metadata (Field_enum)."""
    if type_code == const.MYSQL_TYPE_STRING and metadata >> 8 in (const.MYSQL_TYPE_ENUM, const.MYSQL_TYPE_SET):
        return metadata >> 8
    return type_code


def column_size(type_code: int, metadata: int) -> tuple[int, int]:
    """(bytes of the length prefix, bytes of the value); one of them is 0. Raises ProtocolError for an unknown type."""
    fixed = _FIXED.get(type_code)
    if fixed is not None:
        return 0, fixed
    if type_code in _VARCHARS:
        return (2 if metadata > 255 else 1), 0
    if type_code in _BLOBS and 1 <= metadata <= 4:
        return metadata, 0
    if type_code in _FRACTION_BASE and metadata <= 6:
        return 0, _FRACTION_BASE[type_code] + (metadata + 1) // 2
    if type_code == const.MYSQL_TYPE_NEWDECIMAL:
        return 0, decimal_size(metadata >> 8, metadata & 0xff)
    if type_code in (const.MYSQL_TYPE_FLOAT, const.MYSQL_TYPE_DOUBLE) and metadata in (4, 8):
        return 0, metadata
    if type_code == const.MYSQL_TYPE_BIT and metadata & 0xff <= 7:
        return 0, (metadata >> 8) + (metadata & 0xff > 0)
    if type_code in (const.MYSQL_TYPE_STRING, const.MYSQL_TYPE_ENUM, const.MYSQL_TYPE_SET):
        if real_type(const.MYSQL_TYPE_STRING, metadata) != const.MYSQL_TYPE_STRING:
            return 0, metadata & 0xff
        return (2 if string_length(metadata) > 255 else 1), 0
    raise ProtocolError("column of an unknown type in a table map", wanted="a type of enum_field_types",
                        got=f"type {type_code}, metadata {metadata}")


def string_length(metadata: int) -> int:
    """CHAR and BINARY: the column's length in bytes (binary_log_funcs.cpp `max_display_length_for_field`)."""
    return (((metadata >> 4) & 0x300) ^ 0x300) + (metadata & 0xff)


def decimal_size(precision: int, scale: int) -> int:
    """Bytes of a DECIMAL(precision, scale): four bytes for nine digits, before and after the point."""
    if not 0 < precision <= 81 or scale > precision:
        raise ProtocolError("decimal column of an impossible size", wanted="scale <= precision <= 81",
                            got=f"{precision},{scale}")
    whole = precision - scale
    return whole // 9 * 4 + _DIGIT_BYTES[whole % 9] + scale // 9 * 4 + _DIGIT_BYTES[scale % 9]


class Layout:
    """The lengths of a table map's columns within an image. Made once for a table map, and used for all its rows."""

    def __init__(self, types: bytes, metadata: Sequence[int]) -> None:
        if len(metadata) != len(types):
            raise ProtocolError("table map's metadata does not fit its columns", wanted=len(types), got=len(metadata))
        self.count = len(types)
        self.sizes = sizes = [column_size(code, meta) for code, meta in zip(types, metadata, strict=True)]
        self.json_columns = [code == const.MYSQL_TYPE_JSON for code in types]
        self.special = {index: _COMPRESSED for index, code in enumerate(types)
                        if code in (const.MYSQL_TYPE_BLOB_COMPRESSED, const.MYSQL_TYPE_VARCHAR_COMPRESSED)}
        if cython.compiled:
            self.prefixes = new_prefixes(self.count)
            self.widths = new_widths(self.count)
            for index in range(self.count):
                self.prefixes[index], self.widths[index] = sizes[index]
        else:
            prefixes, widths = [prefix for prefix, _ in sizes], [width for _, width in sizes]
            self.prefixes: list[int] = prefixes
            self.widths: list[int] = widths

    def __dealloc__(self) -> None:
        if cython.compiled:
            free_layout(self)


class RowsEvent:
    """One rows event. After `open`, each call of `advance` reads one row's images into `before` and `after`, and
    returns True; after the last row it returns False.

    *op*: c, u or d.
    *flags*: contain STMT_END_F in a statement's last event, which ends the validity of its table maps.
    *before_present*, *after_present*: bitmaps of the columns in the images; empty if there is no such image.
    *before_count*, *after_count*: the number of these columns.
    `unpacked_bytes`: the size of the values that we made because the log lacks them.
    """

    def __init__(self, op: str, table_id: int, flags: int, width: int, before_present: bytes, after_present: bytes,
                 data: bytes, start: int, end: int, partial: bool) -> None:
        self.op = op
        self.table_id = table_id
        self.flags = flags
        self.width = width
        self.before_present = before_present
        self.after_present = after_present
        self.data = data
        self.start = start
        self.end = end
        self.partial = partial
        self.before_count = _bits(before_present, width)
        self.after_count = _bits(after_present, width)
        self.unpacked_bytes = 0
        self.before: Row | None = None
        self.after: Row | None = None
        self.layout: Any = None
        self.pos = start
        self.partial_columns: list[bool] = []

    def open(self, layout: Layout) -> None:
        """Go to the start of the first row. Raises ProtocolError if *layout* belongs to another table map."""
        if layout.count != self.width:
            raise ProtocolError("rows event and table map differ in their columns", wanted=layout.count,
                                got=self.width)
        self.layout = layout
        self.pos = self.start
        self.before = None
        self.after = None

    def advance(self) -> bool:
        """Read the next row's images; an insert has no before, a delete no after. Returns False if there are no more
        rows.

        Raises ProtocolError on bytes that are no images of this table map, and SourceRefusedError on a JSON diff whose
        old document the log lacks.
        """
        layout = self.layout
        last = self.pos
        if last >= self.end:
            return self._empty()
        if self.op != "c":
            self.before = self.image(layout, self.before_present, self.before_count)
            if layout.special:
                self.before = self._restore(layout, self.before, None)
        if self.op != "d":
            if self.partial:
                self.partial_columns = self._value_options(layout)
            self.after = self.image(layout, self.after_present, self.after_count)
            if layout.special or self.partial:
                self.after = self._restore(layout, self.after, self.before)
        if self.pos == last:
            raise ProtocolError("rows event with images of no bytes", offset=last, wanted="columns", got="none")
        return True

    def _empty(self) -> bool:
        """INSERT … VALUES () with a MINIMAL image: it has no columns, and is always a single row."""
        if self.start != self.end or self.after is not None:
            return False
        if self.op != "c" or self.after_count:
            raise ProtocolError("rows event without rows", offset=self.start, wanted="images", got="none")
        self.after = Row(self.data, self.width)
        return True

    def split(self, layout: Layout) -> list[tuple[Row | None, Row | None]]:
        """All (before, after) pairs of the event."""
        self.open(layout)
        rows: list[tuple[Row | None, Row | None]] = []
        while self.advance():
            rows.append((self.before, self.after))
        return rows

    def whole(self) -> bool:
        """Whether the images have all columns."""
        return (not self.before_present or self.before_count == self.width) and (
            not self.after_present or self.after_count == self.width)

    def image(self, layout: Layout, present: bytes, present_count: int) -> Row:
        """Reads the image at the current place. Returns it, and the place after it."""
        data = self.data
        end = self.end
        nulls = self.pos
        width = self.width
        pos = nulls + ((present_count + 7) >> 3)
        if pos > end:
            self.short(nulls, pos - nulls)
        row = blank_row(data, width) if cython.compiled else Row(data, width)
        p = data
        has = present
        every = present_count == width
        bit = 0
        for index in range(width):
            if not every and not (has[index >> 3] >> (index & 7)) & 1:
                continue
            if (p[nulls + (bit >> 3)] >> (bit & 7)) & 1:
                row.kinds[index] = NULL
                bit += 1
                continue
            bit += 1
            prefix = layout.prefixes[index]
            if prefix == 0:
                length = layout.widths[index]
            else:
                if prefix > end - pos:
                    self.short(pos, prefix)
                length = p[pos]
                if prefix > 1:
                    length |= p[pos + 1] << 8
                if prefix > 2:
                    length |= p[pos + 2] << 16
                if prefix > 3:
                    if cython.compiled:
                        length |= cython.cast(cython.Py_ssize_t, p[pos + 3]) << 24
                    else:
                        length |= p[pos + 3] << 24
                pos += prefix
            if length > end - pos:
                self.short(pos, length)
            row.kinds[index] = BINARY
            row.starts[index] = pos
            pos += length
            row.ends[index] = pos
        self.pos = pos
        return row

    def short(self, pos: int, wanted: int) -> None:
        raise ProtocolError("rows event ends too early", offset=pos, wanted=f"{wanted} bytes",
                            got=f"{self.end - pos} bytes")

    def _value_options(self, layout: Layout) -> list[bool]:
        """The columns of the next after image that are JSON diffs: one bit for each JSON column of the table."""
        options, pos = read_length(self.data, self.pos, self.end)
        if options & ~_PARTIAL_JSON_UPDATES:
            raise ProtocolError("unknown options of a partial update", offset=self.pos, wanted="0 or 1", got=options)
        partial = [False] * layout.count
        if options & _PARTIAL_JSON_UPDATES:
            columns = [index for index, is_json in enumerate(layout.json_columns) if is_json]
            size = (len(columns) + 7) // 8
            if size > self.end - pos:
                self.short(pos, size)
            for bit, index in enumerate(columns):
                partial[index] = bool(self.data[pos + (bit >> 3)] >> (bit & 7) & 1)
            pos += size
        self.pos = pos
        return partial

    def _restore(self, layout: Layout, row: Row, before: Row | None) -> Row:
        """*row* with the values that the log does not contain as such. For an after image, *before* is given."""
        partial = self.partial_columns if self.partial and before is not None else None
        parts: list[bytes] = []
        for index in range(row.count):
            raw = row.raw(index)
            if raw is not None and partial is not None and partial[index]:
                raw = _patched(before, index, raw)
            elif raw is not None and index in layout.special:
                raw = uncompress_column(raw)
            if raw is not None:
                parts.append(raw)
        restored = Row(b"".join(parts), row.count)
        self.unpacked_bytes += len(restored.data)
        at = 0
        part = 0
        for index in range(row.count):
            kind = row.kind(index)
            if kind == BINARY:
                restored.put(index, BINARY, at, at + len(parts[part]))
                at += len(parts[part])
                part += 1
            elif kind != ABSENT:
                restored.put(index, kind, 0, 0)
        return restored


def _patched(before: Row | None, index: int, diffs: bytes) -> bytes:
    document = before.raw(index) if before is not None else None
    if document is None:
        raise SourceRefusedError(
            "a JSON column was changed by a diff and its old document is not in the log", column_index=index,
            hint="Set binlog_row_image=FULL, or binlog_row_value_options='' on the server and its sessions.")
    return apply_diffs(document, diffs)


def _bits(bitmap: bytes, width: int) -> int:
    """How many of the first *width* bits are set; 0 without a bitmap."""
    if not cython.compiled or not bitmap:
        return (int.from_bytes(bitmap, "little") & ((1 << width) - 1)).bit_count()
    p = bitmap
    count = 0
    for index in range(width):
        count += (p[index >> 3] >> (index & 7)) & 1
    return count


def little(data: bytes, pos: int, count: int) -> int:
    """An unsigned integer of up to eight bytes. The caller has checked the range."""
    if not cython.compiled:
        return int.from_bytes(data[pos:pos + count], "little")
    p = data
    value = 0
    for index in range(pos + count - 1, pos - 1, -1):
        value = value << 8 | p[index]
    return value


def read_length(data: bytes, pos: int, end: int) -> tuple[int, int]:
    """A length-encoded integer, and the place after it (MySQL, "Protocol::LengthEncodedInteger"; mysys/pack.cc)."""
    if pos >= end:
        raise ProtocolError("length ends too early", offset=pos, wanted="1 byte", got="0 bytes")
    first = data[pos]
    if first < 251:
        return first, pos + 1
    size = {252: 2, 253: 3, 254: 8}.get(first)
    if size is None or size > end - pos - 1:
        raise ProtocolError("length is malformed", offset=pos, wanted=size or "below 251, or 252 to 254",
                            got=first if size is None else end - pos - 1)
    return int.from_bytes(data[pos + 1:pos + 1 + size], "little"), pos + 1 + size


def parse_rows(data: bytes, event_type: int, start: int, end: int, post_header_len: int) -> RowsEvent:
    """A rows event of *event_type* whose body is data[start:end], checksum excluded.

    *post_header_len* comes from the FORMAT_DESCRIPTION: 10 has extra row info (partitions, NDB), which we skip; 8 has
    none; 6 has a table id of four bytes.
    """
    pos = start
    id_len = 4 if post_header_len == 6 else 6
    if end - pos < id_len + 2 or end > len(data):
        raise ProtocolError("rows event ends too early", offset=pos, wanted=id_len + 2, got=end - pos)
    table_id = little(data, pos, id_len)
    flags = little(data, pos + id_len, 2)
    pos += id_len + 2
    if post_header_len == 10:
        extra = little(data, pos, 2) if end - pos >= 2 else 0
        if extra < 2 or extra > end - pos:
            raise ProtocolError("extra row info does not fit", offset=pos, wanted="2 or more", got=extra)
        pos += extra
    width, pos = read_length(data, pos, end)
    if not 0 < width <= _MAX_COLUMNS:
        raise ProtocolError("rows event of impossible width", offset=pos, wanted=f"1 to {_MAX_COLUMNS}", got=width)
    op = _OPS[event_type]
    size = (width + 7) // 8
    maps = 2 if op == "u" else 1
    if maps * size > end - pos:
        raise ProtocolError("rows event ends too early", offset=pos, wanted=maps * size, got=end - pos)
    first = data[pos:pos + size]
    second = data[pos + size:pos + 2 * size] if op == "u" else b""
    pos += maps * size
    unpacked_bytes = 0
    if event_type in _COMPRESSED_EVENTS:
        data = uncompress_buffer(data, pos, end)
        pos, end = 0, len(data)
        unpacked_bytes = end
    event = RowsEvent(op, table_id, flags, width, b"" if op == "c" else first,
                      second if op == "u" else first if op == "c" else b"", data, pos, end,
                      event_type == const.PARTIAL_UPDATE_ROWS_EVENT)
    event.unpacked_bytes = unpacked_bytes
    return event


def uncompress_buffer(data: bytes, pos: int, end: int) -> bytes:
    """Unpacks data[pos:end] of MariaDB's compressed query or rows event (sql/log_event.cc `binlog_buf_uncompress`): a
    byte with 0x80, the algorithm (0 is zlib) and the length's length; the length, big-endian; the stream."""
    if pos >= end:
        raise ProtocolError("compressed event ends too early", offset=pos, wanted="1 byte", got="0 bytes")
    head = data[pos]
    size = head & 0x07
    if head & 0xf0 != 0x80 or not 1 <= size <= 4 or size > end - pos - 1:
        raise ProtocolError("compressed event's head is malformed", offset=pos, wanted="zlib, length of 1 to 4 bytes",
                            got=head)
    length = int.from_bytes(data[pos + 1:pos + 1 + size])
    return inflate(data[pos + 1 + size:end], length, zlib.MAX_WBITS, pos)


def uncompress_column(raw: bytes) -> bytes:
    """Unpacks a value of MariaDB's COMPRESSED column (sql/field.cc `Field_longstr::uncompress`): nothing for the empty
    string; otherwise a byte with the method (0 stored, 8 zlib), raw-deflate flag and length's length."""
    if not raw:
        return raw
    head = raw[0]
    if head >> 4 == 0:
        return raw[1:]
    size = head & 0x07
    if head >> 4 != 8 or not 1 <= size <= 4 or len(raw) < 1 + size:
        raise ProtocolError("compressed column's head is malformed", offset=0, wanted="zlib", got=head)
    length = int.from_bytes(raw[1:1 + size])
    return inflate(raw[1 + size:], length, -zlib.MAX_WBITS if head & 8 else zlib.MAX_WBITS, 0)


def inflate(stream: bytes, length: int, wbits: int, offset: int) -> bytes:
    """The *length* bytes that *stream* unpacks to. It never unpacks more."""
    if length > const.MAX_EVENT_BYTES:
        raise ProtocolError("compressed data claims more than an event holds", offset=offset,
                            wanted=const.MAX_EVENT_BYTES, got=length)
    unpack = zlib.decompressobj(wbits)
    try:
        plain = unpack.decompress(stream, length + 1)
    except zlib.error as exc:
        raise ProtocolError("compressed data does not unpack", offset=offset, wanted="zlib", got="other bytes") from exc
    if len(plain) != length or not unpack.eof:
        raise ProtocolError("compressed data is not of its stated length", offset=offset, wanted=length,
                            got=len(plain))
    return plain
