"""Turns row changes into bytes, by a plan that is made once per table.

For Avro no envelope is built: its parts are written one after another, in the order of the schema. A row is one pass
over its columns; each codec writes Avro from the source's bytes. The `source` block is a few ready pieces with the
record's own values between them. Joining is exact, because Avro has no field tags (Avro specification, "Binary
Encoding": records). For every other format we build the Connect value, and the converter serialises it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cython  # noqa: F401

from cdc.core.avro import Writer, write_field, write_value
from cdc.core.codec import Codec
from cdc.core.errors import ConvertError, DecodeError, NoValue
from cdc.core.fallback import fallback
from cdc.core.record import Record, SourceContext
from cdc.core.row import ABSENT, BINARY, NULL, TEXT, UNCHANGED, Row
from cdc.core.schema import DECIMAL, INT8, INT16, INT32, INT64, STRING, STRUCT, Schema
from cdc.core.table import Column, TableSchema

NO_PREFIX = 1
"""A required field has no union branch; valid branches are 0 and 2 (index 0 and 1, zig-zag)."""


class ColumnFailures:
    """`event.converting.failure.handling.mode`: the reaction to a column whose bytes are no value of its schema.

    `fail` raises ConvertError; `warn` and `skip` write null and report to *report* (table, column, reason). A
    required column has no null to write, so it always fails.
    """

    def __init__(self, mode: str = "warn", report: Callable[[str, str, str], None] | None = None) -> None:
        self.mode = mode
        self.report = report

    def tolerate(self, table: TableSchema, column: Column, error: Exception) -> None:
        """Return if null may replace the value; otherwise raise ConvertError."""
        reason = error.message if isinstance(error, DecodeError) else type(error).__name__
        if self.mode == "fail" or not column.schema.optional:
            raise ConvertError(
                f"column {column.name!r} cannot be converted: {reason}", table=str(table.id), type=column.type_name,
                stage="convert", hint=_ways_out(column.schema),
            ) from error
        if self.report is not None:
            self.report(str(table.id), column.name, reason)


_MODES = {
    DECIMAL: "decimal.handling.mode=string or double",
    "io.debezium.data.VariableScaleDecimal": "decimal.handling.mode=string or double",
    "io.debezium.time.MicroDuration": "interval.handling.mode=string",
    "io.debezium.time.NanoTime": "time.precision.mode=microseconds",
    "io.debezium.time.NanoTimestamp": "time.precision.mode=microseconds",
}
"""By the schema's name: the option with which a value that the schema cannot hold has a place in the events."""


def _ways_out(schema: Schema) -> str:
    """What helps against a value that *schema* cannot hold."""
    mode = _MODES.get(schema.name or "")
    ways = [f"set {mode}"] if mode else []
    if schema.optional:
        ways.append("set event.converting.failure.handling.mode=warn for a null in its place")
    ways.append("exclude the column (column.exclude.list)")
    return (f"A change of the row does not help, because the log keeps the value: {', '.join(ways)}, or set "
            "errors.tolerance=all to leave out such records.")


def left_out(table: TableSchema, column: Column, as_key: bool) -> ConvertError:
    """The error for a value that the log does not have, where nothing can stand for it. A placeholder or a null in a
    key would be the key of another row."""
    if as_key:
        return ConvertError(
            f"The log does not have the value of key column {column.name!r}, so the row's key is not known.",
            table=str(table.id), stage="convert",
            hint="Let the log have the whole key: on PostgreSQL with REPLICA IDENTITY FULL, on MySQL and MariaDB with"
                 " binlog_row_image=FULL. Or choose other columns in message.key.columns. A change that is in the log"
                 " already stays without its key; errors.tolerance=all leaves it out and logs that.")
    return ConvertError(
        f"The log does not have the unchanged value of column {column.name!r}, and no placeholder can stand for it.",
        table=str(table.id), type=column.type_name, stage="convert",
        hint="Set REPLICA IDENTITY FULL (on MySQL and MariaDB binlog_row_image=FULL), or exclude the column"
             " (column.exclude.list).")


def made_up(column: Column) -> bool:
    """Whether a null in place of *column*'s value would become a value, because the field has no null."""
    return not column.schema.optional and column.schema.default is None and column.null_value is None


class ColumnOp:
    """How one column is written: its union branch, a codec for each wire format, and ready bytes for a null and for a
    value that the log left out. `unchanged` is None if nothing can stand for such a value."""

    def __init__(self, column: Column, as_key: bool, null_is_default: bool) -> None:
        self.column = column
        self.index = column.index
        self.as_key = as_key
        self.codec = column.key_codec if as_key else column.codec
        self.binary_codec = column.key_binary_codec if as_key else column.binary_codec
        schema = column.key_schema if as_key else column.schema
        null_value = None if as_key else column.null_value
        value_first = schema.default is not None and schema.type != STRUCT
        self.branch = (0 if value_first else 2) if schema.optional else NO_PREFIX
        self.null = ready(schema, null_value, null_is_default)
        unchanged = column.unchanged
        self.unchanged: bytes | None = self.null
        if not column.unchanged_in_key and (as_key or (unchanged is None and made_up(column))):
            self.unchanged = None
        elif unchanged is not None:
            self.unchanged = ready(schema, unchanged, null_is_default)


def ready(schema: Schema, value: Any, null_is_default: bool) -> bytes:
    """The Avro bytes of a field's constant *value*. A null in a required field becomes its default or its type's
    fallback."""
    out = Writer()
    if value is None and not schema.optional and schema.default is None:
        value = fallback(schema)
    write_field(out, schema, value, null_is_default)
    return out.take()


class AvroPlan:
    """One table's keys and envelopes as Avro.

    *key_prefix*, *value_prefix*: the wire format's magic byte and schema id.
    *null_is_default*, *key_null_is_default*: write a null as the field's default, if it has one; the key's is the
    value's unless it is given.
    *out*: plans of one thread may share it, so that there is only one buffer, as large as the largest row.
    """

    def __init__(self, table: TableSchema, key_prefix: bytes, value_prefix: bytes, null_is_default: bool,
                 failures: ColumnFailures, out: Writer | None = None, key_null_is_default: bool | None = None) -> None:
        self.table = table
        self.key_prefix = key_prefix
        self.value_prefix = value_prefix
        self.null_is_default = null_is_default
        self.failures = failures
        self.columns = [ColumnOp(column, False, null_is_default) for column in table.columns]
        if key_null_is_default is None:
            key_null_is_default = null_is_default
        self.keys = [ColumnOp(column, True, key_null_is_default) for column in table.key]
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
        """The key struct of *row*; None without a row or a key. A value that the log left out comes from *other*.
        Raises ConvertError if that has none either."""
        if row is None or self.table.key_schema is None:
            return None
        out = self.out
        out.truncate(0)
        out.put_raw(self.key_prefix)
        self.write_row(out, self.keys, row, other)
        out.put_raw(self.key_tail)
        return out.take()

    def value(self, record: Record, now_us: int) -> bytes:
        """The envelope. *now_us*: the connector's clock, µs since 1970. Raises ConvertError."""
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
                        raise DecodeError("the value is in binary format, but the column is read as text")
                    codec.encode(out, image.data, image.starts[index], image.ends[index])
                except NoValue:
                    out.truncate(size)
                    out.put_raw(op.null)
                except (DecodeError, ValueError, OverflowError, ArithmeticError, TypeError, AttributeError) as exc:
                    out.truncate(size)
                    self.failures.tolerate(self.table, op.column, exc)
                    out.put_byte(2 if op.branch == 0 else 0)
            elif kind == UNCHANGED:
                if op.unchanged is None:
                    raise left_out(self.table, op.column, op.as_key)
                out.put_raw(op.unchanged)
            elif kind == ABSENT and op.as_key:
                raise left_out(self.table, op.column, True)
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
    """How a field of the source block is written. It must be fast: in small transactions each row has its own block."""

    def __init__(self, schema: Schema) -> None:
        plain = schema.default is None
        self.schema = schema
        self.optional = schema.optional
        self.text = plain and schema.type == STRING
        self.integer = plain and schema.type in (INT8, INT16, INT32, INT64)


def put_field(out: Writer, op: FieldOp, value: Any, null_is_default: bool) -> None:
    """Does the same as `write_field`, but faster for common types."""
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
    """The bytes of the source struct before, between and after its varying fields: one piece more than such fields."""
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
        fields = [self.column(column, row, other, True) for column in self.table.key]
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
        return tuple([self.column(column, row, other) for column in self.table.columns])

    def column(self, column: Column, row: Row, other: Row | None, as_key: bool = False) -> Any:
        """The value of *column*; one that *row* leaves out comes from *other*. Raises ConvertError."""
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
        if kind == UNCHANGED and column.unchanged is not None and (column.unchanged_in_key or not as_key):
            return column.unchanged
        if as_key and (kind == ABSENT or (kind == UNCHANGED and not column.unchanged_in_key)):
            raise left_out(self.table, column, True)
        if kind == UNCHANGED and not column.unchanged_in_key and made_up(column):
            raise left_out(self.table, column, False)
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
            raise ConvertError("the value is in binary format, but the column is read as text",
                               table=str(self.table.id), column=column.name)
        return codec


__all__ = ["AvroPlan", "ColumnFailures", "ValuePlan"]
