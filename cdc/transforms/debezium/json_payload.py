"""JSON texts as Connect values, with a schema made from the text itself.

Debezium sources: `io.debezium.transforms.outbox.JsonSchemaData`. Jackson reads the first value of a text and ignores
what follows it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from cdc.core.errors import TransformError
from cdc.core.schema import ARRAY, BOOLEAN, BYTES, FLOAT64, INT32, INT64, STRING, STRUCT, Field, Schema, optional

_TEXT: Final = optional(STRING)
_BOOLEAN: Final = optional(BOOLEAN)
_INT: Final = optional(INT32)
_LONG: Final = optional(INT64)
_DOUBLE: Final = optional(FLOAT64)
_BYTES: Final = optional(BYTES)


_MAX_DEPTH: Final = 100
"""So many objects and arrays may be within one another. Converters walk through schemas with Python's stack."""


class NotJson(Exception):
    """The text cannot be read as an object or an array with one kind of elements. The message has no values of it."""


def parse(text: str) -> Any:
    """The value of *text*, which begins with an object or an array. Raises NotJson."""
    if not text.startswith(("{", "[")):
        raise NotJson("the text is neither an object nor an array")
    try:
        value, _ = _DECODER.raw_decode(text)
        text.encode()
    except RecursionError:
        raise NotJson("the text is nested too deeply") from None
    except UnicodeEncodeError:
        raise NotJson("the text has half of a surrogate pair") from None
    except ValueError as exc:
        reason = exc.msg if isinstance(exc, json.JSONDecodeError) else "a value is not valid"
        raise NotJson(f"the text is not valid JSON: {reason}") from None
    if _depth(value) > _MAX_DEPTH:
        raise NotJson("the text is nested too deeply")
    if not _encodable(value):
        raise NotJson("the text has half of a surrogate pair")
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(name)


_DECODER: Final = json.JSONDecoder(parse_constant=_no_constant)


def _depth(value: Any) -> int:
    """How many objects and arrays are within one another, or more than _MAX_DEPTH."""
    depth, level = 0, [value]
    while depth <= _MAX_DEPTH and level:
        level = [each for item in level if isinstance(item, dict | list)
                 for each in (item.values() if isinstance(item, dict) else item)]
        depth += bool(level)
    return depth


def _encodable(value: Any) -> bool:
    """Whether all texts of *value* are valid Unicode: an escape such as \\ud800 need not be."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


class JsonShapes:
    """Schemas for JSON values. *null_fields*: a null is an optional bytes field; otherwise it gives no field.
    *empty_arrays*: an empty array is an array of optional texts; otherwise it gives no field. *adjust* names the
    fields."""

    def __init__(self, *, null_fields: bool = False, empty_arrays: bool = False,
                 adjust: Callable[[str], str] = str) -> None:
        self._null = _BYTES if null_fields else None
        self._empty = Schema(ARRAY, optional=True, items=_TEXT) if empty_arrays else None
        self._adjust = adjust

    def schema(self, name: str | None, value: Any) -> Schema | None:
        """The schema of *value*, called *name* if it is an object; None for a value that gives no field. Raises
        NotJson."""
        if isinstance(value, dict):
            return self._object(name, value)
        if isinstance(value, list):
            return self._array(name, value)
        return self._null if value is None else _scalar(value)

    def _object(self, name: str | None, value: dict[str, Any]) -> Schema:
        fields: dict[str, Field] = {}
        for key, each in value.items():
            field = self._adjust(key)
            schema = self.schema(f"{name}.{field}" if name and name.strip() else field, each)
            if schema is not None and field not in fields:
                fields[field] = Field(field, schema)
        return Schema(STRUCT, optional=True, name=name, fields=tuple(fields.values()))

    def _array(self, name: str | None, value: list[Any]) -> Schema | None:
        if not value:
            return self._empty
        sample = _first(value)
        if isinstance(sample, dict):
            found: Schema | None = None
            for each in value:
                if isinstance(each, dict):
                    found = _merged(found, self._object(name, each))
        else:
            found = self.schema(None, sample)
        if found is None:
            raise NotJson("an array has elements of no known type")
        return Schema(ARRAY, optional=True, items=found)

    def value(self, schema: Schema, value: Any) -> Any:
        """The Connect value of *value* by *schema*. Raises TransformError if it does not fit, as objects of one array
        with different types of one member do not."""
        if schema.type == STRUCT and isinstance(value, dict):
            return tuple([self.value(field.schema, value.get(field.name)) for field in schema.fields])
        if schema.type == ARRAY and isinstance(value, list):
            assert schema.items is not None
            return [self.value(schema.items, each) for each in value]
        if value is None:
            return None
        if isinstance(value, dict | list) or _scalar(value).type != schema.type:
            raise TransformError("the members of the JSON payload do not have one type each", type=schema.type,
                                 hint="Write members of one name with one type, or leave the payload unexpanded.")
        return value


def _scalar(value: Any) -> Schema:
    if isinstance(value, str):
        return _TEXT
    if isinstance(value, bool):
        return _BOOLEAN
    if isinstance(value, int):
        if -(1 << 31) <= value < 1 << 31:
            return _INT
        if -(1 << 63) <= value < 1 << 63:
            return _LONG
        raise TransformError("a number of the JSON payload has more than 64 bits",
                             hint="Write it as a text, or leave the payload unexpanded.")
    return _DOUBLE


def _first(values: list[Any]) -> Any:
    """The first element that is not null; all others must have its type. Raises NotJson."""
    found: Any = None
    for value in values:
        if value is None:
            continue
        if found is None:
            found = value
        if _kind(value) != _kind(found):
            raise NotJson("an array has elements of several types")
    return found


def _kind(value: Any) -> str:
    if isinstance(value, dict | list):
        return type(value).__name__
    return _scalar(value).type


def _merged(left: Schema | None, right: Schema) -> Schema:
    """The fields of both; of two with one name the first, unless only the second is known to be more than a null."""
    if left is None:
        return right
    fields = {field.name: field for field in left.fields}
    for field in right.fields:
        known = fields.get(field.name)
        if known is None or (known.schema.type == BYTES and field.schema.type != BYTES):
            fields[field.name] = field
    return replace(left, fields=tuple(fields.values()))
