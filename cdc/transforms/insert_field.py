"""InsertField (`org.apache.kafka.connect.transforms.InsertField`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from cdc.config.options import option, settings
from cdc.config.table import OptionTable
from cdc.core.errors import ConfigError
from cdc.core.schema import INT32, INT64, STRING, Schema
from cdc.core.view import PerSchema, RecordView

from .part import (
    TIMESTAMP,
    PartTransform,
    configured,
    data_error,
    filled,
    replace_null_option,
    required_map,
    required_struct,
    struct_like,
)

_PURPOSE: Final = "field insertion"
_NAME: Final = " A name with `!` at its end is a required field; with `?`, or without either, it is optional."


@settings
class InsertFieldSettings:
    topic_field: str | None = option("topic.field", default=None, doc="Field for the topic, as text." + _NAME)
    partition_field: str | None = option("partition.field", default=None,
                                         doc="Field for the partition (int32), null where none is chosen.")
    offset_field: str | None = option("offset.field", default=None,
                                      doc="Field for Kafka's offset; only sink connectors know it.")
    timestamp_field: str | None = option("timestamp.field", default=None,
                                         doc="Field for the record's timestamp, null where it has none.")
    static_field: str | None = option("static.field", default=None, doc="Field for `static.value`, as text.")
    static_value: str | None = option("static.value", default=None, doc="Value of `static.field`.")
    replace_null_with_default: bool = replace_null_option()


OPTIONS = OptionTable.of(InsertFieldSettings)


class _Insertion(NamedTuple):
    name: str
    schema: Schema
    value: Callable[[RecordView], Any]


class InsertField(PartTransform):
    """Adds fields behind those of the key or the value. A null stays null."""

    def __init__(self, config: Mapping[str, str], is_key: bool) -> None:
        super().__init__(is_key)
        self._settings = s = configured(InsertFieldSettings, OPTIONS, config, "InsertField")
        if s.static_field is not None and s.static_value is None:
            raise ConfigError(f"No value specified for static field: {s.static_field}", option="static.value")
        wanted = (
            _insertion(s.topic_field, Schema(STRING), lambda view: view.topic),
            _insertion(s.partition_field, Schema(INT32), lambda view: view.kafka_partition),
            _insertion(s.offset_field, Schema(INT64), _offset),
            _insertion(s.timestamp_field, Schema(INT64, name=TIMESTAMP, version=1), lambda view: view.timestamp_ms),
            _insertion(s.static_field, Schema(STRING), lambda view: s.static_value),
        )
        self._insertions = tuple(each for each in wanted if each is not None)
        if not self._insertions:
            raise ConfigError("No field insertion configured", option="static.field")
        self._extended = PerSchema(lambda schema: struct_like(schema, (
            *((field.name, field.schema) for field in schema.fields),
            *((each.name, each.schema) for each in self._insertions))))

    def apply(self, view: RecordView) -> RecordView:
        if self.is_null(view):
            return view
        schema, value = self.schema(view), self.value(view)
        if schema is None:
            known = required_map(value, _PURPOSE)
            added = ((each.name, each.value(view)) for each in self._insertions)
            return self.replace(view, None, known | {name: value for name, value in added if value is not None})
        values = filled(schema, required_struct(schema, value, _PURPOSE), self._settings.replace_null_with_default)
        extended = self._extended(schema)
        return self.replace(view, extended, (*values, *(each.value(view) for each in self._insertions)))


def _insertion(spec: str | None, schema: Schema, value: Callable[[RecordView], Any]) -> _Insertion | None:
    if spec is None:
        return None
    return _Insertion(spec[:-1] if spec[-1:] in "?!" else spec, schema.as_optional(not spec.endswith("!")), value)


def _offset(view: RecordView) -> Any:
    raise data_error(f"Only SinkRecord supported for [{_PURPOSE}], found: "
                     "org.apache.kafka.connect.source.SourceRecord")
