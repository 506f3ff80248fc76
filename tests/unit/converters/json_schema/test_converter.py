"""JsonSchemaConverter: schemas and bytes as Confluent's, from values and from Avro; what Confluent's client reads."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from confluent_kafka.schema_registry.json_schema import JSONDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext
from jsonschema import Draft7Validator

from cdc.converters.json_schema.compat import changes, first_misfit
from cdc.converters.json_schema.converter import JsonSchemaConverter
from cdc.converters.json_schema.schema import json_schema
from cdc.converters.registry.client import MockRegistry
from cdc.core.errors import ConfigError, ConvertError, RegistryRefusedError
from cdc.core.schema import FLOAT64, INT32, INT64, STRING, STRUCT, Field, Schema, optional, struct
from tests.unit.converters.confluent import Case, cases, connect, recorded
from tests.unit.converters.from_avro import avro, random_values

_scopes = itertools.count()
ROW = struct("srv.t.Value", [("id", Schema(INT32)), ("name", optional(STRING))])
LESS = struct("srv.t.Value", [("id", Schema(INT32))])


def make(is_key: bool = False, /, **settings: str) -> tuple[JsonSchemaConverter, MockRegistry]:
    scope = f"json{next(_scopes)}"
    made = JsonSchemaConverter()
    made.configure({"schema.registry.url": f"mock://{scope}"}
                   | {key.replace("_", "."): value for key, value in settings.items()}, is_key)
    return made, MockRegistry.named(scope)


def configured(case: Case) -> JsonSchemaConverter:
    return make(**{key.replace(".", "_"): value for key, value in case["config"].items()})[0]


def text(framed: bytes | None) -> str:
    assert framed is not None
    assert framed[0] == 0
    return framed[5:].decode()


@pytest.mark.parametrize("name", cases("json"))
def test_schema_and_value_as_confluents(name: str) -> None:
    for case in cases("json")[name]:
        made = configured(case)
        schema, value = connect(case)
        assert made.text_of(schema).text == case["schema"], case["config"]
        framed = made.from_connect("t", schema, value)
        if case["value"] is None:
            assert framed is None
            continue
        assert text(framed) == case["value"], case["config"]
        Draft7Validator(json.loads(case["schema"])).validate(json.loads(case["value"]))
        if made.null_is_default or name not in ("dflt1", "fdef"):  # nested defaults: Avro always writes them
            assert made.printer("t", schema).printed(avro(schema, value, made.null_is_default)) == framed


def test_recorded_schemas_and_values_as_confluents() -> None:
    made, _ = make()
    for case, schema, value in recorded("json"):
        assert json_schema(schema) == case["schema"]
        framed = made.from_connect("t", schema, value)
        assert text(framed) == case["value"]
        assert made.printer("t", schema).printed(avro(schema, value)) == framed


@pytest.mark.parametrize("settings", [{}, {"decimal_format": "numeric"}], ids=str)
def test_any_value_is_the_same_from_avro(settings: dict[str, str]) -> None:
    made, _ = make(**settings)
    for schema, value in random_values(800):
        if value is not None:
            assert made.printer("t", schema).printed(avro(schema, value)) == made.from_connect("t", schema, value)


def test_confluents_client_reads_it() -> None:
    made, registry = make()
    framed = made.from_connect("t", ROW, (7, None))
    schema = registry.schema_text(1)
    read = JSONDeserializer(schema)
    assert read(framed, SerializationContext("t", MessageField.VALUE)) == {"id": 7, "name": None}


def test_subjects() -> None:
    for strategy, is_key, subject in (
            ("TopicNameStrategy", False, "t-value"), ("TopicNameStrategy", True, "t-key"),
            ("RecordNameStrategy", False, "srv.t.Value"), ("TopicRecordNameStrategy", False, "t-srv.t.Value")):
        side = "key" if is_key else "value"
        made, registry = make(is_key, **{f"{side}_subject_name_strategy":
                                         f"io.confluent.kafka.serializers.subject.{strategy}"})
        made.from_connect("t", ROW, (1, None))
        assert list(registry.subjects) == [subject]


def test_a_schema_without_a_name_has_no_record_name() -> None:
    made, _ = make(value_subject_name_strategy="RecordNameStrategy")
    with pytest.raises(ConvertError, match="works only for records with a name"):
        made.from_connect("t", ROW.as_optional(), (1, None))


def test_nulls() -> None:
    made, registry = make()
    assert made.from_connect("t", None, None) is None
    assert made.from_connect("t", ROW, None) is None
    assert registry.subjects == {}
    assert text(made.from_connect("t", ROW.as_optional(), None)) == "null"


def test_a_value_without_a_schema_is_refused() -> None:
    with pytest.raises(ConvertError, match="has no schema"):
        make()[0].from_connect("t", None, {"a": 1})


def test_a_value_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ConvertError, match="does not fit"):
        make()[0].from_connect("t", ROW, (1,))
    with pytest.raises(ConvertError, match="null in a required field"):
        make()[0].from_connect("t", ROW, (None, None))


def test_without_registering() -> None:
    made, registry = make(auto_register_schemas="false")
    with pytest.raises(RegistryRefusedError, match="not registered"):
        made.from_connect("t", ROW, (1, None))
    number = registry.register("t-value", json_schema(ROW), schema_type="JSON")
    assert made.schema_id("t", ROW) == number


def test_the_latest_version() -> None:
    made, registry = make(auto_register_schemas="false", use_latest_version="true")
    looser = json.loads(json_schema(ROW))
    looser["properties"]["more"] = {"type": "string"}
    number = registry.register("t-value", json.dumps(looser))
    framed = made.from_connect("t", ROW, (1, None))
    assert framed is not None
    assert int.from_bytes(framed[1:5], "big") == number
    registry.register("u-value", json_schema(struct("srv.t.Value", [("id", Schema(STRING))])))
    with pytest.raises(ConvertError, match="id is integer here and string there"):
        made.from_connect("u", ROW, (1, None))
    registry.register("w-value", "3")
    with pytest.raises(ConvertError, match="is not a JSON Schema"):
        made.from_connect("w", ROW, (1, None))


COMPARED: list[tuple[Any, Any, str | None, str | None]] = [
    (ROW, ROW, None, None),
    (ROW, LESS, None, "name is a property here only"),
    (LESS, ROW, None, "name is a property there only"),
    (struct("s", [("a", Schema(INT64))]), struct("s", [("a", Schema(FLOAT64))]), None,
     "a is integer here and number there"),
    (struct("s", [("a", optional(INT64))]), struct("s", [("a", Schema(INT64))]),
     "a may be null here and is required there", "a may be null here and is required there"),
    (struct("s", [("a", Schema("ARRAY", items=Schema(STRING)))]), struct("s", [("a", Schema("ARRAY", items=ROW))]),
     "a is string here and object there", "a is string here and object there"),
    (Schema(STRUCT, fields=(Field("in", ROW),)), Schema(STRUCT, fields=(Field("in", LESS),)), None,
     "in.name is a property here only"),
]


@pytest.mark.parametrize(("ours", "theirs", "misfit", "difference"), COMPARED)
def test_comparison(ours: Schema, theirs: Schema, misfit: str | None, difference: str | None) -> None:
    assert first_misfit(json_schema(ours), json_schema(theirs)) == misfit
    assert changes(json_schema(ours), json_schema(theirs)) == difference


def test_comparison_with_schemas_of_other_hands() -> None:
    ours = json_schema(ROW)
    assert first_misfit(ours, '{"type":"object","additionalProperties":false,"properties":{"id":{"type":"integer"}}}'
                        ) == "name is a property here only"
    assert first_misfit(ours, '{"type":"object","required":["x"],"properties":{"x":true}}'
                        ) == "x is a property there only"
    assert first_misfit(ours, '{"type":"object","properties":{"id":{"type":"integer"},"name":{"type":["null","string"'
                              ']}}}') is None
    assert first_misfit(ours, "true") is None
    assert first_misfit(ours, '{"type":"object","properties":{"id":true},"additionalProperties":{"type":"integer"}}'
                        ) == "name may be null here and is required there"
    for broken in ('{"type":"object","properties":null}', '{"type":"object","required":true,"properties":{"x":{}}}'):
        with pytest.raises(ValueError, match="no JSON Schema"):
            first_misfit(ours, broken)


def test_what_cannot_be_a_default_is_left_out() -> None:
    schema = struct("s", [("a", Schema(FLOAT64, default=float("nan")))])
    assert "default" not in json_schema(schema)


def test_settings_are_checked() -> None:
    with pytest.raises(ConfigError, match=r"decimal\.format"):
        make(decimal_format="text")
    with pytest.raises(ConfigError, match=r"schema\.registry\.url"):
        JsonSchemaConverter().configure({}, False)
