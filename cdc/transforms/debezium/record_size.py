"""EnforceRecordSize: cuts long texts and bytes of records that are too large.

Debezium sources: `io.debezium.transforms.EnforceRecordSize` and `io.debezium.util.ApproximateStructSizeCalculator`,
whose estimate of a record's size in the memory of a JVM decides. The place in the log counts as a fixed size here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from cdc.config.options import option, settings
from cdc.config.table import OptionTable
from cdc.core.schema import ARRAY, BYTES, DECIMAL, MAP, STRING, STRUCT, Schema
from cdc.core.view import RecordView, places

from ..part import configured
from .envelope import AFTER, BEFORE

_ENTRY: Final = 100
"""For each header, and each entry of the source partition and of the offset."""
_ENTRIES: Final = 8
"""Of the source partition and of the offset."""
_TIMESTAMP: Final = 8
_REFERENCE: Final = 8
_STRUCT: Final = 56
_TEXT: Final = 56
_BYTES: Final = 24
_ARRAY: Final = 64
_MAP: Final = 88
_PRIMITIVE: Final = 24


@settings
class RecordSizeConfig:
    """The keys of EnforceRecordSize."""

    max_bytes: int = option(
        "max.bytes", "INT", required=True, importance="HIGH",
        check=lambda number: None if number > 0 else "Must be a positive integer",
        doc="The estimated size, in bytes, above which texts and bytes are cut.")
    compression_ratio: float = option(
        "compression.ratio", "DOUBLE", default="1.0",
        check=lambda number: None if number > 0 else "Must be a positive number",
        doc="The estimate is multiplied by this, for example 0.5 if the sent record is half as large.")
    min_field_size: int = option(
        "min.field.size", "INT", default="25000",
        check=lambda number: None if number >= 0 else "Must be non-negative",
        doc="Values of this size in bytes, or smaller ones, are not cut.")


OPTIONS = OptionTable.of(RecordSizeConfig)


class EnforceRecordSize:
    """Cuts columns of both rows in proportion to their sizes."""

    options = OPTIONS

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._config = configured(RecordSizeConfig, OPTIONS, settings, "EnforceRecordSize")

    def apply(self, view: RecordView) -> RecordView:
        """Raises TransformError."""
        schema = view.value_schema
        if view.is_tombstone or schema is None or schema.type != STRUCT:
            return view
        config = self._config
        excess = math.ceil(_record_size(view, schema) * config.compression_ratio) - config.max_bytes
        if excess <= 0:
            return view
        rows = [(places(schema)[name], self._long(schema, view.value, name))
                for name in (BEFORE, AFTER) if name in places(schema)]
        total = sum(sum(sizes.values()) for _, sizes in rows)
        if total > 0:
            values = list(view.value)
            for at, sizes in rows:
                share = math.ceil(sum(sizes.values()) / total * excess)
                values[at] = _shortened(values[at], sizes, share)
            view.set_value(schema, tuple(values))
        return view

    def _long(self, schema: Schema, values: Sequence[Any], name: str) -> dict[int, int]:
        """The sizes of the row's long values, by their places."""
        at = places(schema)[name]
        row, inner = values[at], schema.fields[at].schema
        if row is None or inner.type != STRUCT:
            return {}
        sizes = {index: _length(field.schema, row[index]) for index, field in enumerate(inner.fields)}
        return {index: size for index, size in sizes.items() if size > self._config.min_field_size}


def _length(schema: Schema, value: Any) -> int:
    """UTF-16 code units of a text, or bytes; 0 for what cannot be cut."""
    if value is None or schema.name == DECIMAL:
        return 0
    size = len(value) if schema.type in (STRING, BYTES) else 0
    return size + sum(char > "\uffff" for char in value) if schema.type == STRING else size


def _shortened(row: tuple[Any, ...] | None, sizes: Mapping[int, int], excess: int) -> tuple[Any, ...] | None:
    total = sum(sizes.values())
    if row is None or excess <= 0 or total == 0:
        return row
    values = list(row)
    for index, size in sizes.items():
        values[index] = _cut(values[index], max(0, size - math.ceil(size / total * excess)))
    return tuple(values)


def _cut(value: Any, size: int) -> Any:
    """The first *size* bytes, or UTF-16 code units without half a character at the end."""
    if not isinstance(value, str):
        return value[:size]
    return value.encode("utf-16-le", "surrogatepass")[:2 * size].decode("utf-16-le", "ignore")


def _record_size(view: RecordView, schema: Schema) -> int:
    key = 0 if view.key is None or view.key_schema is None else _size(view.key_schema, view.key)
    return ((_ENTRIES + len(view.headers)) * _ENTRY + _TIMESTAMP + key + _size(schema, view.value)
            + len(view.topic.encode()))


def _size(schema: Schema, value: Any) -> int:
    if schema.type not in (STRING, BYTES, STRUCT, ARRAY, MAP):
        return _PRIMITIVE
    if value is None:
        return 0
    if schema.type == STRING:
        return _TEXT + len(value.encode("utf-8", "surrogatepass"))
    if schema.type == BYTES:
        return _BYTES + len(value)
    if schema.type == STRUCT:
        return _STRUCT + sum(_REFERENCE + _size(field.schema, each)
                             for field, each in zip(schema.fields, value, strict=True))
    assert schema.items is not None
    if schema.type == ARRAY:
        return _ARRAY + sum(_REFERENCE + _size(schema.items, each) for each in value)
    assert schema.keys is not None
    return _MAP + sum(2 * _REFERENCE + _size(schema.keys, key) + _size(schema.items, each)
                      for key, each in value.items())
