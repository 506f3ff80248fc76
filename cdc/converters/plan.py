"""Row changes to bytes, by a plan compiled once per table.

For Avro the envelope is never built: its parts are joined as bytes, in the order of the schema. A row is one pass
over its columns, each transcoded by its codec from the source's bytes; the `source` block is three or four ready
pieces with the record's own values between them. Avro has no field tags, so joining is exact (Avro, "Binary
Encoding": records). For every other format the Connect value is built and handed to the converter.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cython  # noqa: F401

from cdc.core.codec import Codec, Writer, write_field, write_value
from cdc.core.errors import ConvertError, DecodeError, NoValue
from cdc.core.fallback import fallback
from cdc.core.record import Record, SourceContext
from cdc.core.row import BINARY, NULL, TEXT, UNCHANGED, Row
from cdc.core.schema import INT8, INT16, INT32, INT64, STRING, STRUCT, Column, Schema, TableSchema

NO_PREFIX = 1
"""A required field has no union branch; valid branches are 0 and 2 (index 0 and 1, zig-zag)."""


class ColumnFailures:
    """`event.converting.failure.handling.mode`: what happens when a column's bytes are no value its schema holds.

    `fail` raises ConvertError; `warn` and `skip` write null and report to *report* (table, column, reason). A
    required column has no null to write, so it always fails.
    """

    def __init__(self, mode: str = "warn", report: Callable[[str, str, str], None] | None = None) -> None:
        self.mode = mode
        self.report = report

    def tolerate(self, table: TableSchema, column: Column, error: Exception) -> None:
        """Return when null may stand for the value; raise ConvertError when not."""
        reason = error.message if isinstance(error, DecodeError) else type(error).__name__
        if self.mode == "fail" or not column.schema.optional:
            raise ConvertError(
                f"column {column.name!r} cannot be converted: {reason}", table=str(table.id), type=column.type_name,
                stage="convert",
                hint="Fix the row or exclude the column (column.exclude.list)"
                + ("." if not column.schema.optional else ", or set event.converting.failure.handling.mode=warn."),
            ) from error
        if self.report is not None:
            self.report(str(table.id), column.name, reason)


class ColumnOp:
    """How one column of a row is written: union branch, codec for each wire format, and ready bytes for no value."""

    def __init__(self, column: Column, as_key: bool, null_is_default: bool) -> None:
        self.column = column
        self.index = column.index
        self.codec = column.key_codec if as_key else column.codec
        self.binary_codec = column.key_binary_codec if as_key else column.binary_codec
        schema = column.key_schema if as_key else column.schema
        null_value = None if as_key else column.null_value
        value_first = schema.default is not None and schema.type != STRUCT
        self.branch = (0 if value_first else 2) if schema.optional else NO_PREFIX
        self.null = ready(schema, null_value, null_is_default)
        unchanged = column.unchanged
        self.unchanged = self.null if unchanged is None else ready(schema, unchanged, null_is_default)


def ready(schema: Schema, value: Any, null_is_default: bool) -> bytes:
    """A field's Avro bytes for a constant value; a null in a required field is its default or its type's fallback."""
    out = Writer()
    if value is None and not schema.optional and schema.default is None:
        value = fallback(schema)
    write_field(out, schema, value, null_is_default)
    return out.take()


class AvroPlan:
    """One table's keys and envelopes as Avro.

    *key_prefix* and *value_prefix* are the wire format's magic byte and schema id. Plans of one thread may share
    *out*, so that its buffer, as large as the largest row, is there once.
    """

    def __init__(self, table: TableSchema, key_prefix: bytes, value_prefix: bytes, null_is_default: bool,
                 failures: ColumnFailures, out: Writer | None = None) -> None:
        self.table = table
        self.key_prefix = key_prefix
        self.value_prefix = value_prefix
        self.null_is_default = null_is_default
        self.failures = failures
        self.columns = [ColumnOp(column, False, null_is_default) for column in table.columns]
        self.keys = [ColumnOp(column, True, null_is_default) for column in table.key]
        self.key_tail = self._key_tail()
        self.out = Writer() if out is None else out
        self.block_schema = table.envelope_schema.fields[3].schema
        self.source_schema: Schema | None = None
        self.source_ops: list[FieldOp] = []

    def _key_tail(self) -> bytes:
        out = Writer()
        for _, value in self.table.key_constant:
            out.put_text(value)
        return out.take()

    def key(self, row: Row | None, other: Row | None) -> bytes | None:
        """The key struct of *row*; *other* is the image that an unchanged value is taken from."""
        if row is None or self.table.key_schema is None:
            return None
        out = self.out
        out.truncate(0)
        out.put_raw(self.key_prefix)
        self.write_row(out, self.keys, row, other)
        out.put_raw(self.key_tail)
        return out.take()

    def value(self, record: Record, now_us: int) -> bytes:
        """The envelope; *now_us* is the connector's clock, µs since the epoch."""
        out = self.out
        out.truncate(0)
        out.put_raw(self.value_prefix)
        before = record.before
        after = record.after
        if before is None:
            out.put_byte(0)
        else:
            out.put_byte(2)
            self.write_row(out, self.columns, before, None)
        if after is None:
            out.put_byte(0)
        else:
            out.put_byte(2)
            self.write_row(out, self.columns, after, record.other if before is None else before)
        self.write_source(out, record.source, record.source_values)
        if record.block is None:
            out.put_byte(0)
        else:
            out.put_byte(2)
            write_value(out, self.block_schema, record.block)
        out.put_text(record.op)
        out.put_byte(2)
        out.put_long(now_us // 1000)
        out.put_byte(2)
        out.put_long(now_us)
        out.put_byte(2)
        out.put_long(now_us * 1000)
        return out.take()

    def write_row(self, out: Writer, ops: list[ColumnOp], row: Row, other: Row | None) -> None:
        for op in ops:
            index = op.index
            image = row
            kind = row.kind(index)
            if kind == UNCHANGED and other is not None:
                known = other.kind(index)
                if known in (TEXT, BINARY, NULL):
                    image = other
                    kind = known
            if kind in (TEXT, BINARY):
                size = out.size()
                try:
                    if op.branch != NO_PREFIX:
                        out.put_byte(op.branch)
                    codec = op.codec if kind == TEXT else op.binary_codec
                    if codec is None:
                        raise DecodeError("a binary value where none was asked for")
                    codec.encode(out, image.data, image.starts[index], image.ends[index])
                except NoValue:
                    out.truncate(size)
                    out.put_raw(op.null)
                except (DecodeError, ValueError, OverflowError, ArithmeticError, TypeError, AttributeError) as exc:
                    out.truncate(size)
                    self.failures.tolerate(self.table, op.column, exc)
                    out.put_byte(2 if op.branch == 0 else 0)
            elif kind == UNCHANGED:
                out.put_raw(op.unchanged)
            else:
                out.put_raw(op.null)

    def write_source(self, out: Writer, context: SourceContext, values: tuple[Any, ...]) -> None:
        if self.source_schema is not context.schema:
            self.source_schema = context.schema
            self.source_ops = [FieldOp(field.schema) for field in context.schema.fields]
        ops = self.source_ops
        pieces = context.cache
        if pieces is None:
            pieces = source_pieces(context, ops, self.null_is_default)
            context.cache = pieces
        position = 0
        for index in context.varying:
            out.put_raw(pieces[position])
            put_field(out, ops[index], values[position], True)
            position += 1
        out.put_raw(pieces[position])


class FieldOp:
    """How a field of the source block is written: a small transaction's rows have one block each."""

    def __init__(self, schema: Schema) -> None:
        plain = schema.default is None
        self.schema = schema
        self.optional = schema.optional
        self.text = plain and schema.type == STRING
        self.integer = plain and schema.type in (INT8, INT16, INT32, INT64)


def put_field(out: Writer, op: FieldOp, value: Any, null_is_default: bool) -> None:
    """As `write_field`, with the common types decided beforehand."""
    if not (op.text or op.integer) or (value is None and not op.optional):
        write_field(out, op.schema, value, null_is_default)
    else:
        if op.optional:
            out.put_byte(0 if value is None else 2)
        if op.text and value is not None:
            out.put_text(value)
        elif value is not None:
            out.put_long(value)


def source_pieces(context: SourceContext, ops: list[FieldOp], null_is_default: bool) -> list[bytes]:
    """The source struct's bytes between its varying fields: one more piece than there are such fields."""
    pieces = []
    out = Writer()
    for index, op in enumerate(ops):
        if index in context.varying:
            pieces.append(out.take())
        else:
            put_field(out, op, context.values[index], null_is_default)
    pieces.append(out.take())
    return pieces


class ValuePlan:
    """One table's keys and envelopes as Connect values, for converters other than Avro."""

    def __init__(self, table: TableSchema, failures: ColumnFailures) -> None:
        self.table = table
        self.failures = failures

    def key(self, row: Row | None, other: Row | None) -> tuple[Any, ...] | None:
        if row is None or self.table.key_schema is None:
            return None
        fields = [self._column(column, row, other, True) for column in self.table.key]
        return (*fields, *(value for _, value in self.table.key_constant))

    def value(self, record: Record, now_us: int) -> tuple[Any, ...]:
        before, after = record.before, record.after
        return (
            None if before is None else self.row(before, None),
            None if after is None else self.row(after, record.other if before is None else before),
            record.source.merged(record.source_values), record.block, record.op,
            now_us // 1000, now_us, now_us * 1000,
        )

    def row(self, row: Row, other: Row | None) -> tuple[Any, ...]:
        return tuple([self._column(column, row, other, False) for column in self.table.columns])

    def _column(self, column: Column, row: Row, other: Row | None, as_key: bool) -> Any:
        index = column.index
        kind = row.kind(index)
        image = row
        if kind == UNCHANGED and other is not None and other.kind(index) <= NULL:
            image, kind = other, other.kind(index)
        schema = column.key_schema if as_key else column.schema
        if kind <= BINARY:
            codec = self._codec(column, kind, as_key)
            try:
                raw = image.raw(index) or b""
                return codec.value(raw, 0, len(raw))
            except NoValue:
                pass
            except (DecodeError, ValueError, OverflowError, ArithmeticError, TypeError, AttributeError) as exc:
                self.failures.tolerate(self.table, column, exc)
                return None
        if kind == UNCHANGED and column.unchanged is not None:
            return column.unchanged
        if not as_key and column.null_value is not None:
            return column.null_value
        if schema.optional:
            return None
        return schema.default if schema.default is not None else fallback(schema)

    def _codec(self, column: Column, kind: int, as_key: bool) -> Codec:
        if as_key:
            codec = column.key_codec if kind == TEXT else column.key_binary_codec
        else:
            codec = column.codec if kind == TEXT else column.binary_codec
        if codec is None:
            raise ConvertError("a binary value where none was asked for", table=str(self.table.id), column=column.name)
        return codec


__all__ = ["AvroPlan", "ColumnFailures", "ValuePlan"]
