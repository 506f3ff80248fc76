"""A record that cannot be sent, as JSON: the key and the value of a dead letter.

The value is the record as the source yielded it, before any transform, in the shape of Debezium's envelope. A column
that cannot be decoded has what the server sent: text, or base64 where that is no text. Masks hold here too.
"""

from __future__ import annotations

import base64
import json
import math
import time
from typing import Any

from cdc.codecs.wrappers import ConstantCodec, MappingCodec
from cdc.config.secrets import HIDDEN
from cdc.core.errors import RecordError
from cdc.core.interfaces import Failed
from cdc.core.record import TOMBSTONE, Message, Record
from cdc.core.row import Row
from cdc.core.table import Column

from .plain import cell_of, envelope, key_of, plain


def dead_letter(failed: Failed) -> tuple[bytes | None, bytes]:
    """The key, None for a record without one, and the value, as UTF-8. Raises nothing that a record's content causes.
    """
    record = failed.source_record
    if isinstance(record, Message):
        key = None if record.key is None else plain(record.key_schema, record.key)
        return None if key is None else _json(key), _json(plain(record.value_schema, record.value))
    value = None if record.op == TOMBSTONE else envelope(record, time.time_ns() // 1_000_000, False, _cell)
    return None if record.key_row is None else _json(_key(record, record.key_row)), _json(value)


def _key(record: Record, row: Row) -> dict[str, Any]:
    try:
        return key_of(record.table, row, False)
    except (RecordError, ValueError):
        return {column.field: _raw(row.raw(column.index)) for column in record.table.key}


def _cell(column: Column, row: Row, readable: bool) -> Any:
    """The value, or what the server sent. What a column option hides or changes is never shown as it was."""
    try:
        found = cell_of(column, row, readable)
    except (RecordError, ValueError):
        mapped = isinstance(column.codec, ConstantCodec | MappingCodec)
        return HIDDEN if mapped else _raw(row.raw(column.index))
    return plain(column.schema, column.null_value, readable) if found is None else found


def _raw(data: bytes | None) -> str | None:
    if data is None:
        return None
    try:
        return bytes(data).decode("utf-8")
    except UnicodeDecodeError:
        return base64.b64encode(data).decode("ascii")


def _json(value: Any) -> bytes:
    return json.dumps(_finite(value), ensure_ascii=False, default=str, allow_nan=False).encode("utf-8", "replace")


def _finite(value: Any) -> Any:
    """*value* with infinities and NaN, which JSON does not have, as text."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
