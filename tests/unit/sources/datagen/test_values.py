"""Values by the rules of `arg.properties`, and random numbers as Java draws them."""

from __future__ import annotations

import re
from typing import Any

import pytest

from cdc.codecs.java import float32
from cdc.core.schema import Schema
from cdc.sources.datagen import avro
from cdc.sources.datagen.randoms import JavaRandom
from cdc.sources.datagen.regexes import Regex
from cdc.sources.datagen.values import Made, Node


def node(type_: Any) -> Node:
    return avro.read({"type": "record", "name": "R", "fields": [{"name": "x", "type": type_}]}, Made())


def values(type_: Any, count: int = 200, seed: int = 3) -> list[Any]:
    made, rng = node(type_), JavaRandom(seed)
    return [made.make(rng)[0] for _ in range(count)]


def typed(kind: str, **rules: Any) -> dict[str, Any]:
    return {"type": kind, "arg.properties": rules}


def test_numbers_are_those_of_javas_random() -> None:
    """As `jshell` prints them for `new Random(42)`."""
    rng = JavaRandom(42)
    assert [rng.int32() for _ in range(3)] == [-1170105035, 234785527, -1360544799]
    rng.seed(42)
    assert [rng.below(10) for _ in range(10)] == [0, 3, 8, 4, 0, 5, 5, 8, 9, 3]
    rng.seed(42)
    assert rng.int64() == -5025562857975149833
    rng.seed(42)
    assert rng.double() == 0.7275636800328681
    rng.seed(42)
    assert rng.boolean() is True


@pytest.mark.parametrize("pattern", [
    "User_[1-9]", "Item_[1-9][0-9]{0,2}", r"\[[0-9][0-9],[0-9][0-9]\]", "https://www[.]acme[.]com/[a-z]{5}",
    "(a|bc)*d+",
    "[^a]x?", "a{2,}", r"[A-Z]{2}\d{6}[A-Z]", "(ab?){2,3}", r"^\w+\.\w{2}$", "|a", r"[a\-\]]{3}", "(?:x|yy){3}z??",
])
def test_a_text_matches_its_regex(pattern: str) -> None:
    regex, rng = Regex(pattern), JavaRandom(1)
    texts = {regex.text(rng) for _ in range(300)}
    assert [text for text in texts if not re.fullmatch(pattern, text)] == []


def test_a_regex_with_a_length_gives_texts_of_that_length() -> None:
    assert {len(text) for text in values(typed("string", regex="(ab|c)*", length={"min": 5, "max": 8}))} == {5, 6, 7}


def test_a_range_of_characters_leaves_out_what_utf8_does_not_have() -> None:
    rng = JavaRandom(1)
    assert {Regex(r"[\uD7FF-\uE000]").text(rng) for _ in range(50)} == {"\ud7ff", "\ue000"}


@pytest.mark.parametrize(("pattern", "says"), [
    ("(a", "ends too early"), ("a)", r"unexpected \)"), ("(?=a)", r"\(\?"), (r"\b", "not understood"),
    ("a{b}", "repetitions"),
    ("[z-a]", "no range"), ("*a", r"unexpected \*"), ("a{9999}", "more than 4096"), ("a^b", r"unexpected \^"),
    ("((a{0,4096}){0,4096}){0,4096}", "repeated too often"), (r"[\uD800-\uDFFF]", "without characters"),
])
def test_a_regex_that_is_not_understood_says_why(pattern: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Regex(pattern)


@pytest.mark.parametrize(("kind", "rules", "first"), [
    ("int", {"start": 0}, [0, 1, 2, 3]), ("int", {"start": 5, "restart": 7}, [5, 6, 5, 6]),
    ("long", {"start": 5, "restart": 2}, [5, 4, 3, 5]), ("long", {"start": 0, "step": 10}, [0, 10, 20, 30]),
    ("int", {"start": 0, "restart": 10, "step": 4}, [0, 4, 8, 2]),
    ("int", {"start": 0, "restart": 5, "initial": 3}, [3, 4, 0, 1]), ("string", {"start": 7}, ["7", "8", "9", "10"]),
    ("double", {"start": 0, "step": 0.1}, [0.0, 0.1, 0.2, 0.3]),
    ("double", {"start": 1, "restart": 0, "step": -0.25}, [1.0, 0.75, 0.5, 0.25]),
    ("boolean", {"start": True}, [True, False, True, False]),
])
def test_an_iteration_goes_by_its_steps(kind: str, rules: dict[str, Any], first: list[Any]) -> None:
    assert values(typed(kind, iteration=rules), 4) == first


@pytest.mark.parametrize(("type_", "allowed"), [
    (typed("int", range={"min": -2, "max": 2}), {-2, -1, 0, 1}),
    (typed("long", options=[1, 5]), {1, 5}), (typed("boolean", odds=1.0), {True}),
    (["null", typed("string", options=["a"])], {None, "a"}),
    ({"type": "enum", "name": "E", "symbols": ["A", "B"]}, {"A", "B"}),
    ({"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2,
      "arg.properties": {"range": {"min": 1.25, "max": 1.27}}}, {b"\x7d", b"\x7e"}),
], ids=["range", "options", "odds", "optional", "enum", "decimal"])
def test_values_stay_within_their_rules(type_: Any, allowed: set[Any]) -> None:
    assert set(values(type_)) == allowed


def test_a_float_has_32_bits_and_a_double_stays_in_its_range() -> None:
    assert all(0.1 <= value < 10 for value in values(typed("double", range={"min": 0.1, "max": 10})))
    assert all(float32(value) == value and 0 <= value < 1 for value in values("float"))
    huge = values(typed("double", range={"min": -1.7e308, "max": 1.7e308}))
    assert all(-1.7e308 <= value <= 1.7e308 for value in huge)


def test_lists_maps_and_records_nest() -> None:
    inner = {"type": "record", "name": "I", "fields": [{"name": "a", "type": typed("int", options=[4])}]}
    items = {"type": "array", "items": inner, "arg.properties": {"length": {"min": 1, "max": 3}}}
    assert {tuple(value) for value in values(items)} == {((4,),), ((4,), (4,))}
    map_ = {"type": "map", "values": "int", "arg.properties": {"length": 1, "keys": {"options": ["k"]}}}
    assert {tuple(value) for value in values(map_)} == {("k",)}


def test_options_of_a_record_fill_defaults() -> None:
    record = {"type": "record", "name": "I", "arg.properties": {"options": [{"a": 1}, {"a": 2, "b": "y"}]}, "fields": [
        {"name": "a", "type": "int"}, {"name": "b", "type": "string", "default": "x"}]}
    assert set(values(record)) == {(1, "x"), (2, "y")}


def test_a_union_of_several_types_is_a_struct_with_one_value() -> None:
    found = values(["null", "int", typed("string", options=["a"])])
    assert {(None if value is None else [each is None for each in value].count(True)) for value in found} == {None, 1}
    schema = node(["null", "int", "string"]).schema.fields[0].schema
    assert (schema.name, schema.optional) == ("io.confluent.connect.avro.Union", True)
    assert [field.name for field in schema.fields] == ["int", "string"]


def test_the_connect_schema_is_the_one_of_confluents_avro_data() -> None:
    made = avro.read({"type": "record", "name": "R", "namespace": "n", "doc": "d", "fields": [
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}, "doc": "when"},
        {"name": "e", "type": {"type": "enum", "name": "E", "symbols": ["A"]}},
        {"name": "i", "type": "int", "default": 3}, {"name": "o", "type": ["null", "string"], "default": None}]},
        Made())
    avro_ = "io.confluent.connect.avro."
    assert (made.schema.name, made.schema.parameters) == (
        "n.R", ((f"{avro_}record.doc", "d"), (f"{avro_}field.doc.at", "when")))
    at, enum, number, text = (field.schema for field in made.schema.fields)
    assert at == Schema("INT64", name="org.apache.kafka.connect.data.Timestamp", version=1)
    assert (enum.name, enum.parameters) == ("n.E", ((f"{avro_}Enum", "n.E"), (f"{avro_}Enum.A", "A")))
    assert (number.default, number.parameters) == (3, ((f"{avro_}field.default", "true"),))
    assert text == Schema("STRING", optional=True)


@pytest.mark.parametrize(("type_", "says"), [
    ("what", "x: there is no type what"), ("null", "null stands in unions only"),
    (typed("int", range={"min": 5, "max": 5}), "min of range"), (typed("int", range={"max": 2**31}), "type's range"),
    (typed("int", options=[]), "not empty"), (typed("int", options=["a"]), "'a' is no int"),
    (typed("int", options={"file": "/etc/passwd", "encoding": "json"}), "from a file"),
    (typed("int", options=[1], range={"min": 1}), "cannot be combined"), (typed("string", regexp="a"), "has no regexp"),
    (typed("string", regex="a", length=9), "no text of this length"), (typed("string", length=10**9), "100000"),
    (typed("int", iteration={"start": 1, "step": 0}), "step"),
    (typed("bytes", iteration={"start": 1}), "not for bytes"),
    (typed("int", iteration={"start": 1, "restart": 5, "step": -1}), "lead"), (["null"], "beside null"),
    ({"type": "array", "items": typed("string", length=10**5), "arg.properties": {"length": 10**4}}, "MiB"),
    ({"type": "record", "name": "L", "fields": [{"name": "next", "type": ["null", "L"]}]},
    r"x\.next: L contains itself"),
    (typed("boolean", odds=2), "odds"), ({"type": "fixed", "name": "F"}, "size"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_what_is_wrong_in_a_schema_is_said_with_its_place(type_: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        node(type_)
