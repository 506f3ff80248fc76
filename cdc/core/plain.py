"""Connect values as plain JSON-like data, for people: consoles, `cdc tail`, messages. Topics never see these.

Structs become dicts, bytes base64 text as in Kafka Connect's JsonConverter, decimals their digits. With *readable*,
temporal values become ISO 8601 text; what does not fit a calendar (infinity, years past 9999) stays a number.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Context, Decimal
from typing import Any, Final

from .errors import NoValue
from .record import DELETE, TOMBSTONE, TRUNCATE, Message, Record
from .row import ABSENT, BINARY, NULL, UNCHANGED, Row
from .schema import ARRAY, BYTES, DECIMAL, MAP, STRUCT, Column, Schema, TableSchema

VARIABLE_DECIMAL: Final = "io.debezium.data.VariableScaleDecimal"
_DAY_US: Final = 86_400_000_000
_EPOCH: Final = datetime(1970, 1, 1)
_EXACT: Final = Context(prec=200_000)


def plain(schema: Schema | None, value: Any, readable: bool = False) -> Any:
    """*value* of *schema* as None, bool, int, float, str, list or dict. Without a schema it is returned as it is."""
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
    """The digits of a decimal, from its big-endian two's complement."""
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


def event_of(item: Record | Message, now_ms: int | None = None, readable: bool = False) -> dict[str, Any]:
    """`{"topic", "key", "value"}` of what goes to a topic, before any change by a converter. Raises DecodeError.

    *now_ms* becomes the envelope's `ts_ms`. Columns that an image does not have are left out of it.
    """
    if isinstance(item, Message):
        return {"topic": item.topic, "key": plain(item.key_schema, item.key, readable),
                "value": plain(item.value_schema, item.value, readable)}
    table = item.table
    key = None if item.key_row is None else _key(table, item.key_row, readable)
    value = None if item.op == TOMBSTONE else _envelope(item, now_ms or _now_ms(), readable)
    return {"topic": table.topic, "key": key, "value": value}


def _now_ms() -> int:
    return int(datetime.now(UTC).timestamp() * 1000)


def _envelope(record: Record, now_ms: int, readable: bool) -> dict[str, Any]:
    table = record.table
    after = None if record.op in (DELETE, TRUNCATE) else record.after
    return {
        "before": _row(table.columns, record.before, readable),
        "after": _row(table.columns, after, readable),
        "source": plain(record.source.schema, record.source.merged(record.source_values)),
        "op": record.op,
        "ts_ms": now_ms,
        "transaction": record.block and dict(zip(("id", "total_order", "data_collection_order"), record.block)),
    }


def _row(columns: tuple[Column, ...], row: Row | None, readable: bool) -> dict[str, Any] | None:
    if row is None:
        return None
    return {column.field: _cell(column, row, readable) for column in columns if row.kind(column.index) != ABSENT}


def _cell(column: Column, row: Row, readable: bool) -> Any:
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


def _key(table: TableSchema, row: Row, readable: bool) -> dict[str, Any]:
    key: dict[str, Any] = {}
    for column in table.key:
        data = row.raw(column.index)
        binary = row.kind(column.index) == BINARY and column.key_binary_codec
        codec = column.key_binary_codec if binary and column.key_binary_codec else column.key_codec
        value = None if data is None else codec.value(data, 0, len(data))
        key[column.field] = plain(column.key_schema, value, readable)
    return key | dict(table.key_constant)
