"""Rows from a JSON schema."""

from __future__ import annotations

import re
from typing import Any

import pytest

from cdc.core.view import Struct
from cdc.sources.datagen import json_schema
from cdc.sources.datagen.randoms import JavaRandom
from cdc.sources.datagen.values import Made


def values(property_: dict[str, Any], **more: Any) -> list[Any]:
    schema = {"type": "object", "title": "R", "properties": {"x": property_}, "required": ["x"], **more}
    node, rng = json_schema.read(schema, Made()), JavaRandom(5)
    return [Struct(node.schema, node.make(rng))["x"] for _ in range(200)]


@pytest.mark.parametrize(("property_", "allowed"), [
    ({"type": "integer", "minimum": 2, "maximum": 4}, {2, 3, 4}),
    ({"type": "integer", "exclusiveMinimum": 2, "exclusiveMaximum": 4}, {3}),
    ({"type": "integer", "minimum": 1, "maximum": 20, "multipleOf": 10}, {10, 20}),
    ({"enum": ["a", "b", None]}, {"a", "b", None}), ({"const": 7}, {7}), ({"enum": [1, 2.5]}, {1.0, 2.5}),
    ({"type": ["boolean", "null"]}, {True, False, None}), ({"type": "string", "pattern": "^a|b$"}, {"a", "b"}),
    ({"type": "string", "examples": ["p", "q"]}, {"p", "q"}), ({"$ref": "#/$defs/one"}, {1}),
    ({"anyOf": [{"const": 1}, {"type": "null"}]}, {1, None}),
], ids=["bounds", "exclusive", "multiples", "enum", "const", "numbers", "nullable", "pattern", "examples", "ref",
        "anyOf"])
def test_values_stay_within_the_schema(property_: dict[str, Any], allowed: set[Any]) -> None:
    assert set(values(property_, **{"$defs": {"one": {"const": 1}}})) == allowed


@pytest.mark.parametrize(("form", "pattern"), [
    ("date-time", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"), ("date", r"\d{4}-\d\d-\d\d"), ("email", r"[a-z]+@example\.com"),
    ("uuid", r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"), ("ipv4", r"198\.51\.100\.\d+"),
])
def test_formats_look_like_what_they_are(form: str, pattern: str) -> None:
    assert all(re.fullmatch(pattern, text) for text in values({"type": "string", "format": form}))


def test_numbers_lists_and_lengths() -> None:
    assert all(0 < value < 1 for value in values({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}))
    lists = values({"type": "array", "items": {"const": "a"}, "minItems": 1, "maxItems": 2})
    assert {tuple(each) for each in lists} == {("a",), ("a", "a")}
    assert {len(text) for text in values({"type": "string", "minLength": 2, "maxLength": 3})} == {2, 3}


def test_a_property_that_is_not_required_is_optional_and_sometimes_null() -> None:
    node = json_schema.read({"properties": {"x": {"const": 1}}}, Made())
    rng = JavaRandom(5)
    assert node.schema.fields[0].schema.optional
    assert {node.make(rng) for _ in range(100)} == {(1,), (None,)}


def test_arg_properties_work_in_it() -> None:
    assert values({"type": "integer", "arg.properties": {"iteration": {"start": 5}}})[:3] == [5, 6, 7]


@pytest.mark.parametrize(("property_", "says"), [
    ({}, "x: type must name one type"), ({"allOf": []}, "allOf is not understood"),
    ({"$ref": "http://x"}, "same schema"),
    ({"$ref": "#/$defs/loop"}, "contains itself"), ({"type": "string", "format": "iri"}, "format iri"),
    ({"type": "integer", "minimum": 5, "maximum": 4}, "no number"),
    ({"oneOf": [{"const": 1}, {"const": "a"}]}, "oneOf"),
    ({"enum": [1, "a"]}, "of one type"), ({"type": "object"}, "needs properties"), ({"type": "array"}, r"x\[\]"),
], ids=["untyped", "allOf", "far", "loop", "format", "bounds", "oneOf", "mixed", "object", "items"])
def test_what_is_not_understood_is_an_error(property_: dict[str, Any], says: str) -> None:
    loop = {"type": "object", "properties": {"again": {"$ref": "#/$defs/loop"}}}
    with pytest.raises(ValueError, match=says):
        values(property_, **{"$defs": {"loop": loop}})
