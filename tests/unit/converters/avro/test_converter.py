"""AvroConverter: framing, which schema id, and what it refuses."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from cdc.converters.avro.converter import AvroConverter
from cdc.converters.registry.client import MockRegistry
from cdc.core.errors import ConfigError, ConvertError, RegistryRefusedError
from cdc.core.schema import ARRAY, BYTES, INT32, INT64, MAP, STRING, STRUCT, Field, Schema, optional, struct
from tests.unit.converters.connect_json import golden_files, golden_records, schema_of, value_of

_scopes = itertools.count()
ROW = struct("srv.t.Value", [("id", Schema(INT32)), ("name", optional(STRING))])


def make(**settings: str) -> tuple[AvroConverter, MockRegistry]:
    return make_side(False, **settings)


def make_side(is_key: bool, **settings: str) -> tuple[AvroConverter, MockRegistry]:
    scope = f"unit{next(_scopes)}"
    made = AvroConverter()
    made.configure({"schema.registry.url": f"mock://{scope}"}
                   | {key.replace("_", "."): value for key, value in settings.items()}, is_key)
    return made, MockRegistry.named(scope)


def unframed(framed: bytes | None) -> str:
    assert framed is not None
    assert framed[0] == 0
    return framed[5:].hex()


@pytest.mark.parametrize("path", golden_files(), ids=lambda path: path.name)
def test_golden_records_framed(path: Path) -> None:
    for is_key, side in ((True, "key"), (False, "value")):
        made, registry = make_side(is_key)
        for record in golden_records(path):
            wanted, source = record.get(f"avro_{side}"), record.get(side)
            if not wanted or not source or source["schema"] is None:
                continue
            schema = schema_of(source["schema"])
            framed = made.from_connect(record["topic"], schema, value_of(schema, source["payload"]))
            assert unframed(framed) == wanted["hex"]
        assert registry.subjects
        assert all(subject.endswith(f"-{side}") for subject in registry.subjects)


def test_frame_is_magic_byte_and_big_endian_id() -> None:
    made, registry = make()
    registry.schemas.update(dict.fromkeys(range(1, 258), ""))
    assert made.from_connect("t", ROW, (1, None)) == bytes.fromhex("00 00000102 02 00")
    assert made.wire_prefix("t", ROW) == bytes.fromhex("00 00000102")
    assert made.schema_id("t", ROW) == 258


def test_null_registers_nothing() -> None:
    made, registry = make()
    assert made.from_connect("t", None, None) is None
    assert made.from_connect("t", ROW.as_optional(), None) is None
    assert not registry.schemas


def test_null_of_a_required_schema_is_an_error() -> None:
    with pytest.raises(ConvertError, match="requires a value"):
        make()[0].from_connect("t", ROW, None)


def test_top_level_bytes_have_no_length() -> None:
    made, _ = make()
    assert unframed(made.from_connect("t", Schema(BYTES), b"ab")) == "6162"
    assert unframed(made.from_connect("t", optional(BYTES), b"ab")) == "02046162"


def test_null_with_default_is_the_default_unless_told_otherwise() -> None:
    schema = struct("x.Z", [("st", Schema(STRING, optional=True, default="new")), ("u", optional(INT32))])
    assert unframed(make()[0].from_connect("t", schema, (None, None))) == "00066e657700"
    made, _ = make(ignore_default_for_nullables="true")
    assert not made.null_is_default
    assert unframed(made.from_connect("t", schema, (None, None))) == "0200"


def test_ignoring_defaults_holds_in_nested_values() -> None:
    inner = struct("x.I", [("d", Schema(INT64, optional=True, default=5))])
    schema = struct("x.O", [("i", inner), ("a", Schema(ARRAY, items=inner)),
                            ("m", Schema(MAP, keys=Schema(STRING), items=inner))])
    made, _ = make(ignore_default_for_nullables="true")
    assert unframed(made.from_connect("t", schema, ((None,), [(None,)], {"k": (7,)}))) == "02" "020200" "02026b000e00"


def test_optional_struct_with_default_is_null_first() -> None:
    point = Schema(STRUCT, optional=True, name="x.P", fields=(Field("n", Schema(INT32)),), default=(3,))
    made, registry = make()
    assert unframed(made.from_connect("t", struct("x.Y", [("p", point)]), (None,))) == "0206"
    assert json.loads(registry.latest("t-value")[1])["fields"][0]["type"][0] == "null"


def test_a_value_that_does_not_fit_leaves_no_bytes_behind_and_is_not_shown() -> None:
    made, _ = make()
    for bad in ((1, 2), ("secret", None), (1,), (2**70, None), (None, None)):
        with pytest.raises(ConvertError) as caught:
            made.from_connect("t", ROW, bad)
        assert "secret" not in str(caught.value)
    assert unframed(made.from_connect("t", ROW, (1, None))) == "0200"


@pytest.mark.parametrize(("strategy", "subject"), [
    ("TopicNameStrategy", "t-value"),
    ("io.confluent.kafka.serializers.subject.RecordNameStrategy", "srv.t.Value"),
    ("io.confluent.kafka.serializers.subject.TopicRecordNameStrategy", "t-srv.t.Value"),
    ("io.confluent.kafka.serializers.subject.AssociatedNameStrategy", "t-value"),
])
def test_subject_strategies(strategy: str, subject: str) -> None:
    made, registry = make(value_subject_name_strategy=strategy)
    made.schema_id("t", ROW)
    assert list(registry.subjects) == [subject]


def test_an_associated_subject_wins() -> None:
    made, registry = make(value_subject_name_strategy="AssociatedNameStrategy")
    registry.associations["t", False] = ["mine"]
    made.schema_id("t", ROW)
    assert list(registry.subjects) == ["mine"]


def test_record_strategies_need_a_record() -> None:
    made, _ = make(value_subject_name_strategy="RecordNameStrategy")
    with pytest.raises(ConvertError, match="TopicNameStrategy"):
        made.schema_id("t", Schema(STRING))


def test_without_registering_the_schema_must_be_there() -> None:
    made, registry = make(auto_register_schemas="false")
    with pytest.raises(RegistryRefusedError, match=r"auto\.register\.schemas"):
        made.schema_id("t", ROW)
    assert not registry.schemas


def registered(registry: MockRegistry, fields: list[dict[str, Any]]) -> int:
    return registry.register("t-value", json.dumps(
        {"type": "record", "name": "Value", "namespace": "srv.t", "fields": fields, "doc": "ours"}))


ALIKE: list[dict[str, Any]] = [
    {"name": "id", "type": {"type": "int", "x": 1}},
    {"name": "name", "type": ["null", "string"], "default": None},
]


@pytest.mark.parametrize("settings", [{"use_latest_version": "true"}, {"use_schema_id": "1"}])
def test_writing_under_a_registered_schema_that_is_alike(settings: dict[str, str]) -> None:
    made, registry = make(auto_register_schemas="false", **settings)
    number = registered(registry, ALIKE)
    assert made.schema_id("t", ROW) == number
    assert len(registry.schemas) == 1


@pytest.mark.parametrize("settings", [{"use_latest_version": "true"}, {"use_schema_id": "1"}])
def test_a_registered_schema_that_differs_is_refused_with_the_place(settings: dict[str, str]) -> None:
    made, registry = make(auto_register_schemas="false", **settings)
    registered(registry, [{"name": "id", "type": "long"}, ALIKE[1]])
    with pytest.raises(ConvertError, match="id is int here and long there"):
        made.schema_id("t", ROW)


def test_a_newer_latest_version_heals_the_refusal() -> None:
    made, registry = make(auto_register_schemas="false", use_latest_version="true")
    registered(registry, ALIKE[:1])
    with pytest.raises(ConvertError, match="name is a field here only"):
        made.schema_id("t", ROW)
    number = registered(registry, ALIKE)
    assert made.schema_id("t", ROW) == number


def test_registering_goes_before_the_latest_version() -> None:
    made, registry = make(use_latest_version="true")
    made.schema_id("t", ROW)
    assert registry.latest("t-value")[1].startswith('{"type":"record"')


@pytest.mark.parametrize(("key", "value"), [
    ("connect.meta.data", "perhaps"),
    ("value.subject.name.strategy", "org.example.MyStrategy"),
    ("use.schema.guid", "abc"),
    ("value.schema.id.serializer", "io.confluent.kafka.serializers.schema.id.HeaderSchemaIdSerializer"),
])
def test_what_is_not_done_is_refused(key: str, value: str) -> None:
    with pytest.raises(ConfigError) as caught:
        AvroConverter().configure({"schema.registry.url": "mock://x", key: value}, False)
    assert caught.value.option == key


def test_illegal_names_name_the_topic_too() -> None:
    with pytest.raises(ConvertError, match=r"topic=t"):
        make()[0].schema_id("t", struct("x.Y", [("a-b", Schema(INT32))]))
