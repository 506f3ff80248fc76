"""Makes plain JSON-like data from Connect values, for people: consoles, `cdc tail`, messages; never for topics.

Structs become dicts, bytes become base64 text as in Kafka Connect's JsonConverter, and decimals become their digits.
With *readable*, temporal values become ISO 8601 text, except infinities and years after 9999, which stay numbers.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Context, Decimal
from typing import Any, Final

from cdc.core.errors import NoValue
from cdc.core.outcome import Shaped, Transformed
from cdc.core.record import DELETE, TOMBSTONE, TRUNCATE, Message, Record
from cdc.core.row import ABSENT, BINARY, NULL, UNCHANGED, Row
from cdc.core.schema import ARRAY, BYTES, DECIMAL, MAP, STRUCT, Schema
from cdc.core.table import Column, TableSchema
from cdc.core.view import RecordView

VARIABLE_DECIMAL: Final = "io.debezium.data.VariableScaleDecimal"
_DAY_US: Final = 86_400_000_000
_EPOCH: Final = datetime(1970, 1, 1)
_EXACT: Final = Context(prec=200_000)

Cell = Callable[[Column, Row, bool], Any]
"""The value of a column in a row image, as `cell_of` gives it."""


def plain(schema: Schema | None, value: Any, readable: bool = False) -> Any:
    """*value* as None, bool, int, float, str, list or dict, by its *schema*; without a schema, unchanged."""
    if schema is None or value is None:
        return value
    if schema.type == STRUCT:
        return _struct(schema, value, readable)
    if schema.type == ARRAY:
        return [plain(schema.items, item, readable) for item in value]
    if schema.type == MAP:
        return {str(plain(schema.keys, key, readable)): plain(schema.items, item, readable)
                for key, item in value.items()}
    if schema.type == BYTES:
        return _bytes(schema, value)
    return readable_scalar(schema.name, value) if readable else value


def _struct(schema: Schema, value: Any, readable: bool) -> Any:
    fields = {field.name: item for field, item in zip(schema.fields, value, strict=True)}
    if schema.name == VARIABLE_DECIMAL:
        return unscaled(fields["value"], fields["scale"])
    return {field.name: plain(field.schema, fields[field.name], readable) for field in schema.fields}


def _bytes(schema: Schema, value: bytes) -> str:
    if schema.name == DECIMAL:
        return unscaled(value, int(schema.parameter("scale") or 0))
    return base64.b64encode(value).decode("ascii")


def unscaled(value: bytes, scale: int) -> str:
    """The decimal's digits; *value* is its big-endian two's complement."""
    number = Decimal(int.from_bytes(value, "big", signed=True)).scaleb(-scale, _EXACT)
    return format(number, "f")


def readable_scalar(name: str | None, value: Any) -> Any:
    """A temporal *value* as ISO text, by the semantic *name* of its schema; any other value unchanged."""
    make = _READABLE.get(name or "")
    if make is None or not isinstance(value, int):
        return value
    try:
        return make(value)
    except (OverflowError, ValueError):
        return value


def _moment(us: int) -> str:
    return (_EPOCH + timedelta(microseconds=us)).isoformat(sep=" ")


def _time(us: int) -> str:
    if not 0 <= us <= _DAY_US:
        raise ValueError
    return "24:00:00" if us == _DAY_US else (_EPOCH + timedelta(microseconds=us)).time().isoformat()


_TEMPORAL: Final[dict[str, Callable[[int], str]]] = {
    "Date": lambda days: (date(1970, 1, 1) + timedelta(days=days)).isoformat(),
    "Time": lambda ms: _time(ms * 1000),
    "Timestamp": lambda ms: _moment(ms * 1000),
}
_READABLE: Final[dict[str, Callable[[int], str]]] = {
    **{f"io.debezium.time.{name}": make for name, make in _TEMPORAL.items()},
    **{f"org.apache.kafka.connect.data.{name}": make for name, make in _TEMPORAL.items()},
    "io.debezium.time.MicroTime": _time,
    "io.debezium.time.NanoTime": lambda ns: _time(ns // 1000),
    "io.debezium.time.MicroTimestamp": _moment,
    "io.debezium.time.NanoTimestamp": lambda ns: _moment(ns // 1000),
    "io.debezium.time.MicroDuration": lambda us: str(timedelta(microseconds=us)),
    "io.debezium.time.NanoDuration": lambda ns: str(timedelta(microseconds=ns // 1000)),
}


def event_of(item: Transformed, now_ms: int | None = None, readable: bool = False) -> dict[str, Any]:
    """`{"topic", "key", "value"}` of a record, before a converter changes anything. Raises DecodeError.

    *now_ms* is the envelope's `ts_ms`. Columns that a row image does not have are left out.
    """
    if isinstance(item, Shaped):
        item = item.view((now_ms or _now_ms()) * 1000)
    if isinstance(item, RecordView):
        return _viewed(item, now_ms, readable)
    if isinstance(item, Message):
        return {"topic": item.topic, "key": plain(item.key_schema, item.key, readable),
                "value": plain(item.value_schema, item.value, readable)}
    table = item.table
    key = None if item.key_row is None else key_of(table, item.key_row, readable)
    value = None if item.op == TOMBSTONE else envelope(item, now_ms or _now_ms(), readable)
    return {"topic": table.topic, "key": key, "value": value}


def _viewed(view: RecordView, now_ms: int | None, readable: bool) -> dict[str, Any]:
    """Of a part that was not replaced, what the record has: a view belongs to its task's thread, which makes parts."""
    event = event_of(view.record, now_ms, readable) if not (view.key_replaced and view.value_replaced) else {}
    event["topic"] = view.topic
    if view.key_replaced:
        event["key"] = plain(view.key_schema, view.key, readable)
    if view.value_replaced:
        event["value"] = plain(view.value_schema, view.value, readable)
    return event


def _now_ms() -> int:
    return int(datetime.now(UTC).timestamp() * 1000)


def envelope(record: Record, now_ms: int, readable: bool, cell: Cell | None = None) -> dict[str, Any]:
    """A row change as Debezium's envelope. *cell* makes the values of columns, if not `cell_of`."""
    table = record.table
    after = None if record.op in (DELETE, TRUNCATE) else record.after
    return {
        "before": _row(table.columns, record.before, readable, cell or cell_of),
        "after": _row(table.columns, after, readable, cell or cell_of),
        "source": plain(record.source.schema, record.source.merged(record.source_values)),
        "op": record.op,
        "ts_ms": now_ms,
        "transaction": record.block and dict(zip(("id", "total_order", "data_collection_order"), record.block)),
    }


def _row(columns: tuple[Column, ...], row: Row | None, readable: bool, cell: Cell) -> dict[str, Any] | None:
    if row is None:
        return None
    return {column.field: cell(column, row, readable) for column in columns if row.kind(column.index) != ABSENT}


def cell_of(column: Column, row: Row, readable: bool) -> Any:
    """The value of *column* in *row*. Raises DecodeError."""
    kind = row.kind(column.index)
    if kind == UNCHANGED:
        return plain(column.schema, column.unchanged, readable)
    data = row.raw(column.index)
    if kind == NULL or data is None:
        return None
    codec = column.binary_codec if kind == BINARY and column.binary_codec else column.codec
    try:
        return plain(column.schema, codec.value(data, 0, len(data)), readable)
    except NoValue:
        return None


def key_of(table: TableSchema, row: Row, readable: bool) -> dict[str, Any]:
    """The key that *row* gives. Raises DecodeError."""
    key: dict[str, Any] = {}
    for column in table.key:
        data = row.raw(column.index)
        binary = row.kind(column.index) == BINARY and column.key_binary_codec
        codec = column.key_binary_codec if binary and column.key_binary_codec else column.key_codec
        value = None if data is None else codec.value(data, 0, len(data))
        key[column.field] = plain(column.key_schema, value, readable)
    return key | dict(table.key_constant)
