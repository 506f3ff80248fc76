"""Schemas and values made from JSON texts."""

from __future__ import annotations

from typing import Any

import pytest

from cdc.core.errors import TransformError
from cdc.core.schema import ARRAY, BOOLEAN, BYTES, FLOAT64, INT32, INT64, STRING, STRUCT, Schema, optional
from cdc.transforms.debezium.json_payload import JsonShapes, NotJson, parse


def expanded(text: str, **more: Any) -> tuple[Schema, Any]:
    shapes, value = JsonShapes(**more), parse(text)
    schema = shapes.schema("payload", value)
    assert schema is not None
    return schema, shapes.value(schema, value)


def fields(schema: Schema) -> dict[str, Schema]:
    return {field.name: field.schema for field in schema.fields}


def test_each_type_has_its_schema() -> None:
    schema, value = expanded('{"i":1,"l":3000000000,"d":1.0,"e":1e3,"t":"x","b":true,"o":{"n":2},"a":["x"]}')
    assert fields(schema) == {
        "i": optional(INT32), "l": optional(INT64), "d": optional(FLOAT64), "e": optional(FLOAT64),
        "t": optional(STRING), "b": optional(BOOLEAN),
        "o": Schema(STRUCT, optional=True, name="payload.o", fields=fields_of("n")),
        "a": Schema(ARRAY, optional=True, items=optional(STRING)),
    }
    assert value == (1, 3000000000, 1.0, 1000.0, "x", True, (2,), ["x"])


def fields_of(*names: str) -> tuple[Any, ...]:
    schema, _ = expanded("{" + ",".join(f'"{name}":1' for name in names) + "}")
    return schema.fields


def test_nulls_and_empty_arrays_are_left_out_or_kept() -> None:
    text = '{"n":null,"a":[],"x":1}'
    assert list(fields(expanded(text)[0])) == ["x"]
    schema, value = expanded(text, null_fields=True, empty_arrays=True)
    assert fields(schema) == {"n": optional(BYTES), "a": Schema(ARRAY, optional=True, items=optional(STRING)),
                              "x": optional(INT32)}
    assert value == (None, [], 1)


def test_objects_of_an_array_are_merged() -> None:
    schema, value = expanded('{"a":[{"x":1},{"y":"z"},null]}')
    assert list(fields(schema.fields[0].schema.items or Schema(STRUCT))) == ["x", "y"]
    assert value == ([(1, None), (None, "z"), None],)


@pytest.mark.parametrize("text", [
    '"x"', "1", "", "null", "{", '{"a":NaN}', "[1,2", '{"a":"\\ud800"}', '{"\\udc00":1}', "[" * 100_000])
def test_what_is_no_object_or_array_is_not_json(text: str) -> None:
    with pytest.raises(NotJson):
        parse(text)


@pytest.mark.parametrize("text", [
    '{"a":[1,"x"]}', '{"a":[1,1.5]}', '{"a":[1,3000000000]}', '{"a":[null]}', '{"a":[[]]}'])
def test_an_array_of_several_types_has_no_schema(text: str) -> None:
    with pytest.raises(NotJson):
        JsonShapes().schema("payload", parse(text))


@pytest.mark.parametrize("text", ['{"a":[{"x":1},{"x":"y"}]}', '{"a":123456789012345678901234567890}'])
def test_values_that_fit_no_schema_are_errors(text: str) -> None:
    with pytest.raises(TransformError):
        expanded(text)


def test_what_follows_the_value_is_ignored_as_by_jackson() -> None:
    assert parse('{"a":1} rest') == {"a": 1}
