"""Cast (`org.apache.kafka.connect.transforms.Cast`): numbers, booleans and text into each other, as Java does it."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Context, Decimal
from typing import Any, Final

from cdc.codecs.java import date_text, decimal_text, double_text, float32, float_text
from cdc.config.checks import to_list
from cdc.config.options import option, settings
from cdc.config.table import OptionTable
from cdc.core.late_regex import late_regex
from cdc.core.schema import BOOLEAN, BYTES, DECIMAL, FLOAT32, FLOAT64, INT8, INT16, INT32, INT64, STRING, Field, Schema
from cdc.core.view import PerSchema, RecordView

from .part import (
    DATE,
    TIME,
    TIMESTAMP,
    PartTransform,
    configured,
    data_error,
    filled,
    java_class,
    replace_null_option,
    required_map,
    required_struct,
    schemaless_type,
)

INPUTS: Final = (INT8, INT16, INT32, INT64, FLOAT32, FLOAT64, BOOLEAN, STRING, BYTES)
OUTPUTS: Final = INPUTS[:-1]
_TYPES: Final = (*INPUTS, "ARRAY", "MAP", "STRUCT")
_BITS: Final = {INT8: 8, INT16: 16, INT32: 32, INT64: 64}
_DAY_MS: Final = 86_400_000
_INTEGER: Final = late_regex(r"[+-]?\d{1,40}")
_FLOAT: Final = late_regex(r"[+-]?(NaN|Infinity|([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?[fFdD]?)")
_PURPOSE: Final = "cast types"
_EXACT: Final = Context(prec=200_000)


def parse_spec(text: str) -> Mapping[str, str]:
    """The type by field; the field is empty for the whole part. Raises ValueError."""
    found: dict[str, str] = {}
    items = to_list(text)
    for item in items:
        parts = item.split(":")
        if len(parts) > 2:
            raise ValueError(f"Invalid rename mapping: {item}")
        name, type_ = parts[0].strip() if len(parts) == 2 else "", parts[-1].strip()
        if type_.upper() not in _TYPES:
            raise ValueError(f"Invalid type found in casting spec: {type_}")
        if type_.upper() not in OUTPUTS:
            raise ValueError(f"Cast transformation does not support casting to {type_.upper()}; supported types are "
                             f"[{', '.join(OUTPUTS)}]")
        found[name] = type_.upper()
    if not items:
        raise ValueError("Must specify at least one field to cast.")
    if "" in found and len(items) > 1:
        raise ValueError("Cast transformations that specify a type to cast the entire value to may only specify a "
                         "single cast in their spec")
    return found


@settings
class CastSettings:
    spec: Mapping[str, str] = option(
        "spec", "LIST", required=True, importance="HIGH", convert=parse_spec,
        doc="Pairs `field:type`, or one type for the whole key or value. Types: int8, int16, int32, int64, float32,"
            " float64, boolean, string.")
    replace_null_with_default: bool = replace_null_option()


OPTIONS = OptionTable.of(CastSettings)


class Cast(PartTransform):
    """Casts fields, or the whole key or value, to another type.

    Integers keep their low bits, numbers with a fraction lose it, text must be a number of the type's range. Bytes
    become base64 text, Connect's dates and times ISO 8601 text.
    """

    def __init__(self, config: Mapping[str, str], is_key: bool) -> None:
        super().__init__(is_key)
        self._settings = configured(CastSettings, OPTIONS, config, "Cast")
        self._whole = self._settings.spec.get("")
        self._cast_schema = PerSchema(self._build)

    def apply(self, view: RecordView) -> RecordView:
        if self.is_null(view):
            return view
        schema, value = self.schema(view), self.value(view)
        if schema is None:
            return self.replace(view, None, self._schemaless(value))
        updated = self._cast_schema(schema)
        if self._whole is not None:
            return self.replace(view, updated, cast(schema, value, self._whole))
        spec = self._settings.spec
        values = filled(schema, required_struct(schema, value, _PURPOSE), self._settings.replace_null_with_default)
        return self.replace(view, updated, tuple([
            cast(field.schema, each, spec[field.name]) if field.name in spec else each
            for field, each in zip(schema.fields, values)]))

    def _schemaless(self, value: Any) -> Any:
        if self._whole is not None:
            return cast(None, value, self._whole)
        known = required_map(value, _PURPOSE)
        return known | {name: cast(None, known.get(name), type_) for name, type_ in self._settings.spec.items()}

    def _build(self, schema: Schema) -> Schema:
        if self._whole is not None:
            return replace(schema, type=self._whole, fields=(), items=None, keys=None,
                           default=cast(schema, schema.default, self._whole))
        spec = self._settings.spec
        return replace(schema, fields=tuple(
            Field(field.name, _plain(field.schema, spec[field.name])) if field.name in spec else field
            for field in schema.fields))


def _plain(schema: Schema, type_: str) -> Schema:
    return Schema(type_, optional=schema.optional, default=cast(schema, schema.default, type_))


def cast(schema: Schema | None, value: Any, target: str) -> Any:
    """*value* as *target*; null stays null. Raises TransformError."""
    if value is None:
        return None
    kind = schemaless_type(value) if schema is None else schema.type
    if not kind:
        raise data_error(f"Cast transformation was passed a value of type class {java_class(schema, value)} which is "
                         "not supported by Connect's data API")
    if kind not in INPUTS:
        raise data_error(f"Cast transformation does not support casting from {kind}; supported types are "
                         f"[{', '.join(INPUTS)}]")
    if target == STRING:
        return _text(schema, kind, value)
    if kind == BYTES and schema is not None and schema.name == DECIMAL:
        value = Decimal(int.from_bytes(value, "big", signed=True)).scaleb(
            -int(schema.parameter("scale") or 0), _EXACT)
    elif kind == BYTES:
        raise data_error(f"Unexpected type in Cast transformation: class {java_class(schema, value)}")
    elif kind == STRING:
        return _parsed(value, target)
    return _NUMBERS[target](value)


def _text(schema: Schema | None, kind: str, value: Any) -> str:
    name = schema.name if schema is not None else None
    if kind == STRING:
        return str(value)
    if kind == BOOLEAN:
        return "true" if value else "false"
    if kind == FLOAT64:
        return double_text(value)
    if kind == FLOAT32:
        return float_text(value)
    if kind == BYTES:
        if schema is not None and name == DECIMAL:
            return decimal_text(value, int(schema.parameter("scale") or 0))
        return base64.b64encode(value).decode("ascii")
    if name in (DATE, TIME, TIMESTAMP):
        return date_text(value * _DAY_MS if name == DATE else value)
    return str(value)


def _parsed(text: str, target: str) -> Any:
    if target == BOOLEAN:
        return text.lower() == "true"
    if target in _BITS and _INTEGER.fullmatch(text) and -(2 ** (_BITS[target] - 1)) <= int(text) < 2 ** (
            _BITS[target] - 1):
        return int(text)
    stripped = text.strip()
    if target not in _BITS and _FLOAT.fullmatch(stripped):
        return _NUMBERS[target](float(stripped.rstrip("fFdD") if stripped[-1:] in "fFdD" else stripped))
    raise data_error(f"Value was out of range for requested data type {target}: the text is no number of its range")


def _narrow(number: int, bits: int) -> int:
    """The low *bits*, as Java's cast of one integer to another."""
    half = 1 << (bits - 1)
    return ((number + half) & ((1 << bits) - 1)) - half


def _integer(bits: int) -> Callable[[Any], int]:
    def convert(value: Any) -> int:
        if isinstance(value, float):
            if math.isnan(value):
                return 0
            most = 2 ** (63 if bits == 64 else 31)
            value = max(-most, min(most - 1, int(value) if math.isfinite(value) else math.copysign(most, value)))
        return _narrow(int(value), bits)

    return convert


_NUMBERS: Final[Mapping[str, Callable[[Any], Any]]] = {
    **{name: _integer(bits) for name, bits in _BITS.items()},
    FLOAT32: lambda value: float32(float(value)),
    FLOAT64: float,
    BOOLEAN: lambda value: value if isinstance(value, bool) else _integer(64)(value) != 0,
}
