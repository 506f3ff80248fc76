"""Avro schema text, against what Confluent's converter wrote and the cases its source decides."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cdc.converters.avro.schema import AvroOptions, avro_schema, record_name, scrubbed
from cdc.core.avro import Writer, write_field
from cdc.core.errors import ConvertError
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
    optional,
    semantic,
    struct,
)
from tests.unit.converters.connect_json import golden_files, golden_records, schema_of, value_of

VARIABLE = struct("io.debezium.data.VariableScaleDecimal", [("scale", Schema(INT32)), ("value", Schema(BYTES))], 1,
                  doc="Variable scaled decimal")
SCRUB = AvroOptions(scrub_invalid_names=True)


def field_of(schema: Schema, options: AvroOptions | None = None) -> Any:
    text = avro_schema(struct("x.Y", [("a", schema)]), options)
    return json.loads(text)["fields"][0]


@pytest.mark.parametrize("path", golden_files(), ids=lambda path: path.name)
def test_text_and_bytes_are_the_java_converters(path: Path) -> None:
    compared = 0
    for record in golden_records(path):
        for side in ("key", "value"):
            avro, json_form = record.get(f"avro_{side}"), record.get(side)
            if not avro or not json_form or json_form["schema"] is None:
                continue
            schema = schema_of(json_form["schema"])
            if "schema" in avro:
                assert avro_schema(schema) == avro["schema"]
                compared += 1
            out = Writer()
            write_field(out, schema, value_of(schema, json_form["payload"]))
            assert out.take().hex() == avro["hex"], record["topic"]
    assert compared


@pytest.mark.parametrize(("schema", "text"), [
    (Schema(INT8), '{"type":"int","connect.type":"int8"}'),
    (Schema(INT16), '{"type":"int","connect.type":"int16"}'),
    (Schema(INT32), '"int"'),
    (Schema(INT64), '"long"'),
    (Schema(FLOAT32), '"float"'),
    (Schema(FLOAT64), '"double"'),
    (Schema(BOOLEAN), '"boolean"'),
    (optional(STRING), '["null","string"]'),
    (Schema(MAP, keys=Schema(STRING), items=optional(STRING)), '{"type":"map","values":["null","string"]}'),
    (semantic(STRING, "io.debezium.data.Uuid", doc='a "b"'),
     '{"type":"string","connect.doc":"a \\"b\\"","connect.version":1,"connect.name":"io.debezium.data.Uuid"}'),
    (semantic(INT64, "org.apache.kafka.connect.data.Timestamp"),
     '{"type":"long","connect.version":1,"connect.name":"org.apache.kafka.connect.data.Timestamp",'
     '"logicalType":"timestamp-millis"}'),
    (Schema(BYTES, name=DECIMAL, version=1, parameters=(("scale", "2"),)),
     '{"type":"bytes","scale":2,"precision":64,"connect.version":1,"connect.parameters":{"scale":"2"},'
     f'"connect.name":"{DECIMAL}","logicalType":"decimal"}}'),
])
def test_types(schema: Schema, text: str) -> None:
    assert avro_schema(schema) == text


def test_required_field_with_default_says_it_twice() -> None:
    text = avro_schema(struct("x.Y", [("a", Schema(INT32, default=0))]))
    assert text == ('{"type":"record","name":"Y","namespace":"x","fields":[{"name":"a","type":{"type":"int",'
                    '"connect.default":0},"default":0}],"connect.name":"x.Y"}')


def test_optional_field_with_default_is_value_first() -> None:
    assert field_of(Schema(STRING, optional=True, default="new")) == {
        "name": "a", "type": [{"type": "string", "connect.default": "new"}, "null"], "default": "new"}


def test_optional_struct_with_default_stays_null_first() -> None:
    found = field_of(Schema(STRUCT, optional=True, name="x.P", fields=(Field("n", Schema(INT32)),), default=(3,)))
    assert found["type"][0] == "null"
    assert found["default"] == {"n": 3}


def test_byte_defaults_are_latin_1_written_raw() -> None:
    text = avro_schema(struct("x.Y", [("a", Schema(BYTES, default=b"\xff\x01\x1f"))]))
    assert '"default":"ÿ\\u0001\\u001F"}' in text


def test_float_default_of_a_field_is_the_double_it_equals() -> None:
    text = avro_schema(struct("x.Y", [("a", Schema(FLOAT32, default=0.1))]))
    assert '"connect.default":0.1},"default":0.10000000149011612' in text


@pytest.mark.parametrize("schema", [
    Schema(FLOAT64, default=float("nan")),
    Schema(MAP, keys=Schema(INT32), items=Schema(STRING), default={1: "a"}),
])
def test_default_that_avro_rejects_is_dropped(schema: Schema) -> None:
    assert "default" not in field_of(schema)


def test_second_use_of_a_struct_is_its_name() -> None:
    text = avro_schema(struct("x.Y", [("a", VARIABLE.as_optional()), ("b", VARIABLE),
                                      ("c", Schema(ARRAY, items=VARIABLE.as_optional()))]))
    fields = json.loads(text)["fields"]
    assert fields[0]["type"][1]["namespace"] == "io.debezium.data"
    assert fields[1] == {"name": "b", "type": "io.debezium.data.VariableScaleDecimal"}
    assert fields[2]["type"]["items"] == ["null", "io.debezium.data.VariableScaleDecimal"]


def test_short_name_within_the_same_namespace() -> None:
    row = struct("x.Value", [("n", Schema(INT32))], optional=True)
    fields = json.loads(avro_schema(struct("x.Y", [("before", row), ("after", row)])))["fields"]
    assert "namespace" not in fields[0]["type"][1]
    assert fields[1]["type"] == ["null", "Value"]


def test_first_definition_of_a_name_wins_over_other_parameters() -> None:
    first, second = (Schema(STRUCT, name="x.P", fields=(Field("n", Schema(INT32)),), parameters=(("column", name),))
                     for name in "ab")
    fields = json.loads(avro_schema(struct("x.Y", [("a", first), ("b", second)])))["fields"]
    assert fields[0]["type"]["connect.parameters"] == {"column": "a"}
    assert fields[1] == {"name": "b", "type": "P"}


@pytest.mark.parametrize("other", [
    struct("x.P", [("n", Schema(INT64))]),
    struct("x.P", [("n", optional(INT32))]),
    struct("x.P", [("m", Schema(INT32))]),
    struct("x.P", []),
])
def test_two_layouts_of_one_name_are_refused(other: Schema) -> None:
    with pytest.raises(ConvertError, match=r"x\.P"):
        avro_schema(struct("x.Y", [("a", struct("x.P", [("n", Schema(INT32))])), ("b", other)]))


def test_unnamed_structs_are_numbered() -> None:
    one, two = (Schema(STRUCT, fields=(Field(name, Schema(INT32)),)) for name in "pq")
    text = avro_schema(Schema(STRUCT, fields=(Field("a", one), Field("b", two), Field("c", one))))
    parsed = json.loads(text)
    assert parsed["name"] == "ConnectDefault"
    assert parsed["namespace"] == "io.confluent.connect.avro"
    assert [field["type"] if isinstance(field["type"], str) else field["type"]["name"]
            for field in parsed["fields"]] == ["ConnectDefault2", "ConnectDefault3", "ConnectDefault2"]


def test_map_with_other_keys_is_an_array_of_entries() -> None:
    vector = Schema(MAP, keys=Schema(INT16), items=Schema(FLOAT64))
    assert field_of(vector)["type"] == {"type": "array", "items": {
        "type": "record", "name": "MapEntry", "namespace": "io.confluent.connect.avro", "fields": [
            {"name": "key", "type": {"type": "int", "connect.type": "int16"}}, {"name": "value", "type": "double"}]}}


def test_without_meta_data_only_avros_own_attributes_remain() -> None:
    amount = Schema(BYTES, name=DECIMAL, version=1, parameters=(("scale", "2"), ("connect.decimal.precision", "10")))
    text = avro_schema(struct("x.Y", [("a", amount), ("b", Schema(INT16, optional=True, default=7))], 1),
                       AvroOptions(connect_meta_data=False))
    assert text == ('{"type":"record","name":"Y","namespace":"x","fields":[{"name":"a","type":{"type":"bytes",'
                    '"scale":2,"precision":10,"logicalType":"decimal"}},{"name":"b","type":["int","null"],"default":7}]}')


def test_parameters_named_avro_are_repeated_as_attributes() -> None:
    found = field_of(Schema(STRING, parameters=(("avro.java.string", "String"),)))
    assert found["type"]["avro.java.string"] == "String"


def test_doc_of_fields_with_discard_type_doc_default() -> None:
    schema = Schema(STRING, doc="a comment")
    assert "doc" not in field_of(schema)
    assert field_of(schema, AvroOptions(discard_type_doc_default=True))["doc"] == "a comment"


def test_illegal_field_name_says_which_and_how_to_fix_it() -> None:
    with pytest.raises(ConvertError, match=r"1a.*x\.Y.*field\.name\.adjustment\.mode=avro"):
        avro_schema(struct("x.Y", [("1a", Schema(INT32))]))


def test_illegal_record_name_says_how_to_fix_it() -> None:
    with pytest.raises(ConvertError, match=r"schema\.name\.adjustment\.mode=avro"):
        avro_schema(struct("x.a-b", []))


def test_letters_of_any_script_are_legal() -> None:
    assert '"name":"größe"' in avro_schema(struct("x.Y", [("größe", Schema(INT32))]))


def test_namespace_is_not_checked_as_in_java() -> None:
    assert '"namespace":"srv.public.t-1"' in avro_schema(struct("srv.public.t-1.Key", []))


@pytest.mark.parametrize(("name", "legal"), [
    ("a_b1", "a_b1"), ("t-1", "t_1"), ("1st", "x1st"), ("a b", "a_b"), ("ü", "_C3_BC"), ("a~b", "a_7Eb"), ("a*", "a_"),
])
def test_scrubbing(name: str, legal: str) -> None:
    assert scrubbed(name) == legal


def test_scrubbed_names_keep_the_connect_name() -> None:
    text = avro_schema(struct("srv.t-1.Key", [("a-b", Schema(INT32))]), SCRUB)
    assert text == ('{"type":"record","name":"Key","namespace":"srv.t_1","fields":[{"name":"a_b","type":"int"}],'
                    '"connect.name":"srv.t-1.Key"}')


def test_names_that_scrubbing_makes_equal_are_refused() -> None:
    with pytest.raises(ConvertError, match="two fields"):
        avro_schema(struct("x.Y", [("a-b", Schema(INT32)), ("a.b", Schema(INT32))]), SCRUB)


def test_record_name_is_for_subjects() -> None:
    assert record_name(struct("x.a-b.Key", []), SCRUB) == "x.a_b.Key"
    assert record_name(Schema(STRING)) is None
