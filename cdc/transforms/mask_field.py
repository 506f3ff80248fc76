"""MaskField (`org.apache.kafka.connect.transforms.MaskField`)."""

from __future__ import annotations

import decimal
from collections.abc import Mapping
from typing import Any, Final

from cdc.codecs.decimals import unscaled_bytes
from cdc.codecs.java import float32
from cdc.config.options import option, settings
from cdc.config.table import OptionTable
from cdc.core.schema import BOOLEAN, DECIMAL, FLOAT32, FLOAT64, INT8, INT16, INT32, INT64, STRING, Schema
from cdc.core.view import RecordView

from .cast import cast
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

_PURPOSE: Final = "mask fields"
_ZEROS: Final[Mapping[str, Any]] = {
    BOOLEAN: False, INT8: 0, INT16: 0, INT32: 0, INT64: 0, FLOAT32: 0.0, FLOAT64: 0.0, STRING: "",
}
_EXACT: Final = decimal.Context(prec=1000, traps=[decimal.InvalidOperation])


@settings
class MaskFieldSettings:
    fields: tuple[str, ...] = option("fields", "LIST", required=True, importance="HIGH", doc="The fields.")
    replacement: str | None = option("replacement", default=None, importance="LOW",
                                     doc="Replaces numbers and text; without it they become 0 and empty.")
    replace_null_with_default: bool = replace_null_option()


OPTIONS = OptionTable.of(MaskFieldSettings)


class MaskField(PartTransform):
    """Hides the values of fields: they become 0, false, empty text, an empty list or the epoch, by their type; numbers
    and text become `replacement`, if there is one. A null field stays null, and the schema stays as it is."""

    def __init__(self, config: Mapping[str, str], is_key: bool) -> None:
        super().__init__(is_key)
        self._settings = configured(MaskFieldSettings, OPTIONS, config, "MaskField")
        self._fields = frozenset(self._settings.fields)

    def apply(self, view: RecordView) -> RecordView:
        schema, value = self.schema(view), self.value(view)
        if schema is None:
            known = required_map(value, _PURPOSE)
            return self.replace(view, None, known | {name: self._masked(None, known.get(name))
                                                     for name in self._settings.fields})
        values = filled(schema, required_struct(schema, value, _PURPOSE), self._settings.replace_null_with_default)
        return self.replace(view, schema, tuple([
            self._masked(field.schema, each) if field.name in self._fields else each
            for field, each in zip(schema.fields, values)]))

    def _masked(self, schema: Schema | None, value: Any) -> Any:
        if value is None:
            return None
        return _nothing(schema, value) if self._settings.replacement is None else _replaced(
            schema, value, self._settings.replacement)


def _nothing(schema: Schema | None, value: Any) -> Any:
    kind = schema.type if schema is not None else schemaless_type(value)
    if schema is not None and schema.name == DECIMAL:
        return _decimal(schema, "0")
    if kind in _ZEROS:
        return _ZEROS[kind]
    if kind == "ARRAY":
        return []
    if kind == "MAP":
        return {}
    raise data_error(f"Cannot mask value of type: class {java_class(schema, value)}")


def _replaced(schema: Schema | None, value: Any, replacement: str) -> Any:
    kind = schema.type if schema is not None else schemaless_type(value)
    if schema is not None and schema.name == DECIMAL:
        return _decimal(schema, replacement)
    if kind == STRING:
        return replacement
    if kind not in _ZEROS or kind == BOOLEAN or (schema is not None and schema.name in (DATE, TIME, TIMESTAMP)):
        raise data_error(f"Cannot mask value of type class {java_class(schema, value)} with custom replacement.")
    if kind == FLOAT64:
        return float(_number(replacement))
    if kind == FLOAT32:
        return float32(float(_number(replacement)))
    return cast(Schema(INT64), cast(Schema("INT64"), int(_number(replacement)), INT64), kind)


def _decimal(schema: Schema, text: str) -> bytes:
    """Kafka Connect's converters refuse a decimal whose scale is not its schema's."""
    number = _number(text, "to number").as_tuple()
    assert isinstance(number.exponent, int)
    scale = schema.parameter("scale") or "0"
    if scale != str(-number.exponent):
        raise data_error("Decimal value has mismatching scale for given Decimal schema. Schema has scale "
                         f"{scale}, value has scale {-number.exponent}.")
    digits = int("".join(map(str, number.digits)))
    return unscaled_bytes(-digits if number.sign else digits)


def _number(text: str, to: str = "to a number") -> decimal.Decimal:
    """As Java's `new BigDecimal(text)`. Raises TransformError."""
    try:
        number = _EXACT.create_decimal(text)
        if number.is_finite() and "_" not in text and text == text.strip():
            return number
    except decimal.InvalidOperation:
        pass
    raise data_error(f"Unable to convert {text} (class java.lang.String) {to}")
