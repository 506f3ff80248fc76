"""The values that replace a null in a column that allows none.

If a table has the default replica identity, a delete carries only the key. The other required columns of its old row
get these values. Consumers of Debezium's events know them (`JdbcValueConverters` and the converters built on it).
"""

from __future__ import annotations

import struct
from typing import Any, Final

from .schema import ARRAY, BOOLEAN, BYTES, DECIMAL, FLOAT32, FLOAT64, MAP, STRING, STRUCT, Schema

_ORIGIN: Final = b"\x01\x01\x00\x00\x00" + struct.pack("<dd", 0.0, 0.0)
_EMPTY_GEOMETRY: Final = bytes.fromhex("010700000000000000")
"""WKB of GEOMETRYCOLLECTION EMPTY."""

_BY_NAME: Final[dict[str, Any]] = {
    DECIMAL: b"\0",
    "io.debezium.data.Json": "{}",
    "io.debezium.data.VariableScaleDecimal": (0, b"\0"),
    "io.debezium.data.SparseDoubleVector": (0, {}),
    "io.debezium.data.geometry.Point": (0.0, 0.0, _ORIGIN, None),
    "io.debezium.data.geometry.Geometry": (_EMPTY_GEOMETRY, None),
    "io.debezium.data.geometry.Geography": (_EMPTY_GEOMETRY, None),
    "io.debezium.time.ZonedTimestamp": "1970-01-01T00:00:00Z",
    "io.debezium.time.ZonedTime": "00:00:00Z",
    "io.debezium.time.IsoDate": "1970-01-01Z",
    "io.debezium.time.IsoTime": "00:00:00Z",
    "io.debezium.time.IsoTimestamp": "1970-01-01T00:00:00Z",
    "io.debezium.time.Interval": "P0Y0M0DT0H0M0S",
}
_BY_TYPE: Final[dict[str, Any]] = {STRING: "", BYTES: b"", BOOLEAN: False, FLOAT32: 0.0, FLOAT64: 0.0}


def fallback(schema: Schema) -> Any:
    """The Connect value for *schema*, whatever its default is. Times are the epoch; texts and lists are empty."""
    if schema.name in _BY_NAME:
        value = _BY_NAME[schema.name]
        return {} if value == {} else value
    if schema.type == ARRAY:
        return []
    if schema.type == MAP:
        return {}
    if schema.type == STRUCT:
        return tuple(None if field.schema.optional else fallback(field.schema) for field in schema.fields)
    return _BY_TYPE.get(schema.type, 0)
