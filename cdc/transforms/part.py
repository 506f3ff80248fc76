"""What transforms of a key or a value share: which part they work on, how they read their options, and Kafka Connect's
errors (`org.apache.kafka.connect.transforms.util.Requirements` and `SchemaUtil`).

An error's `exception` is the class that Kafka Connect throws in that place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, Self, TypeVar

from cdc.config.options import option
from cdc.config.table import OptionTable
from cdc.core.errors import TransformError
from cdc.core.schema import (
    ARRAY,
    BOOLEAN,
    BYTES,
    DECIMAL,
    FLOAT32,
    FLOAT64,
    INT8,
    INT16,
    INT32,
    INT64,
    MAP,
    STRING,
    STRUCT,
    Field,
    Schema,
)
from cdc.core.view import RecordView

DATA_EXCEPTION: Final = "org.apache.kafka.connect.errors.DataException"
DATE: Final = "org.apache.kafka.connect.data.Date"
TIME: Final = "org.apache.kafka.connect.data.Time"
TIMESTAMP: Final = "org.apache.kafka.connect.data.Timestamp"

_CLASSES: Final = {
    INT8: "java.lang.Byte", INT16: "java.lang.Short", INT32: "java.lang.Integer", INT64: "java.lang.Long",
    FLOAT32: "java.lang.Float", FLOAT64: "java.lang.Double", BOOLEAN: "java.lang.Boolean",
    STRING: "java.lang.String", BYTES: "java.nio.HeapByteBuffer", ARRAY: "java.util.ArrayList",
    MAP: "java.util.HashMap", STRUCT: "org.apache.kafka.connect.data.Struct", DECIMAL: "java.math.BigDecimal",
    DATE: "java.util.Date", TIME: "java.util.Date", TIMESTAMP: "java.util.Date",
}
_TYPES: Final[tuple[tuple[type, str], ...]] = (
    (bool, BOOLEAN), (int, INT64), (float, FLOAT64), (str, STRING), (bytes, BYTES), (list, ARRAY), (tuple, ARRAY),
    (dict, MAP),
)

S = TypeVar("S")


def replace_null_option() -> Any:
    return option("replace.null.with.default", "BOOLEAN", default="true",
                  doc="Read a null in a field that has a default as this default.")


def configured(settings: type[S], options: OptionTable, config: Mapping[str, str], what: str) -> S:
    """The settings object for *config*. Plain text is taken as it is, spaces included. Raises ConfigError; *what* says
    whose configuration it is."""
    parsed = options.parse(config)
    parsed.check(what)
    for each in options.options:
        if each.type == "STRING" and each.key in parsed.given and not each.one_of and each.convert is None:
            parsed.values[each.attribute] = config[each.key]
    return settings(**parsed.values)


class PartTransform:
    """A transform of the key or of the value. Subclasses define `__init__(config, is_key)` and `apply`."""

    def __init__(self, is_key: bool) -> None:
        self.is_key = is_key

    @classmethod
    def of_key(cls, config: Mapping[str, str]) -> Self:
        """`…$Key`. Raises ConfigError."""
        return cls(config, True)  # type: ignore[call-arg,arg-type]

    @classmethod
    def of_value(cls, config: Mapping[str, str]) -> Self:
        """`…$Value`. Raises ConfigError."""
        return cls(config, False)  # type: ignore[call-arg,arg-type]

    def schema(self, view: RecordView) -> Schema | None:
        return view.key_schema if self.is_key else view.value_schema

    def value(self, view: RecordView) -> Any:
        return view.key if self.is_key else view.value

    def is_null(self, view: RecordView) -> bool:
        """Whether the part is null. Does not decode a value for it."""
        return view.key is None if self.is_key else view.is_tombstone

    def replace(self, view: RecordView, schema: Schema | None, value: Any) -> RecordView:
        if self.is_key:
            view.set_key(schema, value)
        else:
            view.set_value(schema, value)
        return view


def data_error(message: str, exception: str = DATA_EXCEPTION) -> TransformError:
    return TransformError(message, exception=exception)


def java_class(schema: Schema | None, value: Any) -> str:
    """The class that *value* has in Kafka Connect; `null` for None."""
    if value is None:
        return "null"
    if schema is not None:
        return _CLASSES.get(schema.name or "") or _CLASSES[schema.type]
    return _CLASSES[schemaless_type(value)] if schemaless_type(value) else type(value).__name__


def schemaless_type(value: Any) -> str:
    """The Connect type of a value without schema; empty if it has none."""
    return next((name for python_type, name in _TYPES if isinstance(value, python_type)), "")


def required_map(value: Any, purpose: str) -> dict[str, Any]:
    """*value*, which has no schema, if it is a map. Raises TransformError."""
    if not isinstance(value, dict):
        raise data_error(f"Only Map objects supported in absence of schema for [{purpose}], found: "
                         f"{java_class(None, value)}")
    return value


def required_struct(schema: Schema, value: Any, purpose: str) -> tuple[Any, ...]:
    """*value*, if it is a struct. Raises TransformError."""
    if schema.type != STRUCT or value is None:
        raise data_error(f"Only Struct objects supported for [{purpose}], found: {java_class(schema, value)}")
    found: tuple[Any, ...] = value
    return found


def struct_like(schema: Schema, fields: Iterable[tuple[str, Schema]]) -> Schema:
    """A struct with other *fields*. As in Kafka Connect, it keeps name, version, doc and parameters, and is required.
    Raises TransformError if two fields have one name."""
    made: dict[str, Field] = {}
    for name, each in fields:
        if name in made:
            raise data_error(f"Cannot create field because of field name duplication {name}",
                             "org.apache.kafka.connect.errors.SchemaBuilderException")
        made[name] = Field(name, each)
    return Schema(STRUCT, name=schema.name, version=schema.version, doc=schema.doc, parameters=schema.parameters,
                  fields=tuple(made.values()))


def filled(schema: Schema, values: tuple[Any, ...], replace: bool) -> tuple[Any, ...]:
    """A struct's *values*; with *replace*, defaults in place of nulls."""
    if not replace:
        return values
    return tuple(field.schema.default if value is None else value
                 for field, value in zip(schema.fields, values, strict=True))


def unique(values: tuple[str, ...]) -> str | None:
    """A check of options: no item twice."""
    return None if len(set(values)) == len(values) else "values must not be duplicated"
