"""TimestampConverter (`org.apache.kafka.connect.transforms.TimestampConverter`).

A moment is milliseconds since 1970; finer digits are lost, as in Kafka Connect. A moment without a schema is a
`datetime`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cdc.config.options import option, settings
from cdc.config.table import OptionTable
from cdc.core.errors import ConfigError
from cdc.core.schema import INT32, INT64, STRING, Field, Schema
from cdc.core.view import PerSchema, RecordView

from .date_format import DateFormat
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
)

_PURPOSE: Final = "converting timestamp formats"
_DAY_MS: Final = 86_400_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_PER_MS: Final = {"seconds": (1000, 1), "milliseconds": (1, 1), "microseconds": (1, 1000), "nanoseconds": (1, 10**6)}
"""By precision: milliseconds in one unit, and units in one millisecond."""
_SCHEMAS: Final = {
    "string": Schema(STRING), "unix": Schema(INT64), "Date": Schema(INT32, name=DATE, version=1),
    "Time": Schema(INT32, name=TIME, version=1), "Timestamp": Schema(INT64, name=TIMESTAMP, version=1),
}
_NAMED: Final = {TIMESTAMP: "Timestamp", DATE: "Date", TIME: "Time"}
_TYPES: Final = {STRING: "string", INT64: "unix"}


def date_format(text: str) -> DateFormat | None:
    """For options that hold a pattern of Java's SimpleDateFormat; None if it is empty. Raises ValueError."""
    return DateFormat(text) if text.strip() else None


@settings
class TimestampConverterSettings:
    field: str = option("field", default="", importance="HIGH", doc="The field; empty for the whole key or value.")
    target_type: str = option("target.type", required=True, importance="HIGH", one_of=tuple(_SCHEMAS),
                              doc="The type that it becomes.")
    format: DateFormat | None = option("format", convert=date_format,
                                       doc="Java's SimpleDateFormat pattern of text, in UTC.")
    unix_precision: str = option("unix.precision", default="milliseconds", importance="LOW", one_of=tuple(_PER_MS),
                                 doc="Unit of numbers.")
    replace_null_with_default: bool = replace_null_option()


OPTIONS = OptionTable.of(TimestampConverterSettings)


class TimestampConverter(PartTransform):
    """Turns moments into another type: text, a number, or Connect's Date, Time or Timestamp. A null stays null."""

    def __init__(self, config: Mapping[str, str], is_key: bool) -> None:
        super().__init__(is_key)
        self._settings = configured(TimestampConverterSettings, OPTIONS, config, "TimestampConverter")
        if self._settings.target_type == "string" and self._settings.format is None:
            raise ConfigError("TimestampConverter requires format option to be specified when using string timestamps",
                              option="format")
        self._target = _SCHEMAS[self._settings.target_type]
        self._updated = PerSchema(self._build)
        self._whole = PerSchema(lambda schema: self._target.as_optional(schema.optional))

    def apply(self, view: RecordView) -> RecordView:
        schema, value = self.schema(view), self.value(view)
        name = self._settings.field
        if schema is None:
            if value is None:
                return view
            if not name:
                return self.replace(view, None, self._schemaless(value))
            known = required_map(value, _PURPOSE)
            return self.replace(view, None, known | {name: self._schemaless(known.get(name))})
        if not name:
            source = _source(schema)
            return self.replace(view, self._whole(schema), self._converted(source, value))
        if value is not None:
            value = self._in_struct(schema, required_struct(schema, value, _PURPOSE))
        return self.replace(view, self._updated(schema), value)

    def _in_struct(self, schema: Schema, values: tuple[Any, ...]) -> tuple[Any, ...]:
        values = filled(schema, values, self._settings.replace_null_with_default)
        return tuple([self._converted(_source(field.schema), each)
                      if field.name == self._settings.field else each
                      for field, each in zip(schema.fields, values)])

    def _build(self, schema: Schema) -> Schema:
        fields = tuple(Field(field.name, self._target.as_optional(field.schema.optional))
                       if field.name == self._settings.field else field for field in schema.fields)
        default = None if schema.default is None else self._in_struct(schema, schema.default)
        return replace(schema, fields=fields, default=default)

    def _converted(self, source: str, value: Any) -> Any:
        if value is None:
            return None
        if source == "unix":
            ms = self._ms_of_number(value)
        elif source == "string":
            ms = self._parsed(value)
        else:
            ms = value * _DAY_MS if source == "Date" else value
        return self._of_ms(ms)

    def _of_ms(self, ms: int) -> Any:
        target = self._settings.target_type
        if target == "string":
            assert self._settings.format is not None
            try:
                return self._settings.format.format(ms)
            except OverflowError:
                raise data_error("The moment is outside of the years 1 to 9999") from None
        if target == "unix":
            unit_ms, per_ms = _PER_MS[self._settings.unix_precision]
            return max(-2**63, min(2**63 - 1, _quotient(ms * per_ms, unit_ms)))
        if target == "Date" and not -(2**31) <= ms // _DAY_MS < 2**31:
            raise data_error("The moment is too far away for the days of a Date")
        return {"Date": ms // _DAY_MS, "Time": ms % _DAY_MS}.get(target, ms)

    def _parsed(self, text: str) -> int:
        form = self._settings.format
        if form is None:
            raise data_error("Text is no moment without the format option", "java.lang.NullPointerException")
        ms = form.parse(text)
        if ms is None:
            raise data_error(f"Could not parse timestamp: value does not match pattern ({form.pattern})")
        return ms

    def _schemaless(self, value: Any) -> Any:
        if value is None:
            return None
        if isinstance(value, datetime):
            ms = (value - _EPOCH) // timedelta(milliseconds=1)
        elif isinstance(value, str):
            ms = self._parsed(value)
        elif isinstance(value, int) and not isinstance(value, bool):
            ms = self._ms_of_number(value)
        else:
            raise data_error(f"TimestampConverter does not support class {java_class(None, value)} objects as "
                             "timestamps")
        made = self._of_ms(ms)
        if self._settings.target_type in ("string", "unix"):
            return made
        return _EPOCH + timedelta(milliseconds=made * _DAY_MS if self._settings.target_type == "Date" else made)

    def _ms_of_number(self, value: int) -> int:
        unit_ms, per_ms = _PER_MS[self._settings.unix_precision]
        return _quotient(value * unit_ms, per_ms)


def _source(schema: Schema) -> str:
    """The type of moments with this schema. Raises TransformError."""
    found = _NAMED.get(schema.name or "") or _TYPES.get(schema.type)
    if found is None:
        name = f"{schema.name}:{schema.type}" if schema.name else schema.type
        raise data_error(f"Schema Schema{{{name}}} does not correspond to a known timestamp type format",
                         "org.apache.kafka.connect.errors.ConnectException")
    return found


def _quotient(number: int, divisor: int) -> int:
    """Towards zero, as Java divides."""
    return number // divisor if number >= 0 else -(-number // divisor)
