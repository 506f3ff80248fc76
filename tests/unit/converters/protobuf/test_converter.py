"""ProtobufConverter: schemas and bytes as Confluent's, from values and from Avro, and what Confluent's client reads."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from confluent_kafka.schema_registry.protobuf import ProtobufDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

from cdc.converters.protobuf.compat import changes, first_misfit, message_path, parse
from cdc.converters.protobuf.converter import ProtobufConverter, message_indexes
from cdc.converters.protobuf.messages import ProtobufOptions, proto_file
from cdc.converters.protobuf.text import file_text
from cdc.converters.protobuf.values import date, time, timestamp
from cdc.converters.registry.client import MockRegistry
from cdc.core.errors import ConvertError, RegistryRefusedError
from cdc.core.schema import (
    ARRAY,
    BYTES,
    DECIMAL,
    INT32,
    INT64,
    MAP,
    STRING,
    Field,
    Schema,
    optional,
    struct,
)
from tests.unit.converters.confluent import Case, cases, connect, protobuf_bytes, recorded
from tests.unit.converters.from_avro import avro, random_values
from tests.unit.converters.protobuf.descriptors import message_class

_scopes = itertools.count()
ROW = struct("srv.t.Value", [("id", Schema(INT32)), ("name", optional(STRING))])
AMOUNT = Schema(BYTES, name=DECIMAL, version=1, parameters=(("scale", "2"), ("connect.decimal.precision", "10")))


def make(is_key: bool = False, /, **settings: str) -> tuple[ProtobufConverter, MockRegistry]:
    scope = f"proto{next(_scopes)}"
    made = ProtobufConverter()
    made.configure({"schema.registry.url": f"mock://{scope}"}
                   | {key.replace("_", "."): value for key, value in settings.items()}, is_key)
    return made, MockRegistry.named(scope)


def configured(case: Case) -> ProtobufConverter:
    return make(**{key.replace(".", "_"): value for key, value in case["config"].items()})[0]


def framed_as(case: Case) -> bytes:
    """A recorded value behind the id 1 and its message indexes."""
    return bytes(4) + b"\1" + message_indexes(case.get("indexes", [0])) + protobuf_bytes(case)


@pytest.mark.parametrize("name", cases("protobuf"))
def test_schema_and_value_as_confluents(name: str) -> None:
    for case in cases("protobuf")[name]:
        made = configured(case)
        schema, value = connect(case)
        if "error" in case:
            with pytest.raises(ConvertError):
                made.from_connect("t", schema, value)
            continue
        assert made.text_of(schema).text == case["schema"], case["config"]
        framed = made.from_connect("t", schema, value)
        if case["value"] is None:
            assert framed is None
            continue
        assert framed == framed_as(case), case["config"]
        if made.null_is_default or name not in ("dflt1", "fdef"):  # nested defaults: Avro always writes them
            assert made.printer("t", schema).printed(avro(schema, value, made.null_is_default)) == framed


def test_recorded_schemas_and_values_as_confluents() -> None:
    made, _ = make()
    for case, schema, value in recorded("protobuf"):
        assert made.text_of(schema).text == case["schema"]
        framed = made.from_connect("t", schema, value)
        assert framed is not None
        assert framed[5:] == b"\0" + protobuf_bytes(case)
        assert made.printer("t", schema).printed(avro(schema, value)) == framed


@pytest.mark.parametrize("settings", [{}, {"wrapper_for_nullables": "true"}, {"optional_for_nullables": "true"}],
                         ids=str)
def test_any_value_is_the_same_from_avro(settings: dict[str, str]) -> None:
    made, _ = make(**settings)
    for schema, value in random_values(600, protobuf=True):
        framed = made.from_connect("t", schema, value)
        assert framed is not None
        assert made.printer("t", schema).printed(avro(schema, value)) == framed


def test_any_value_is_read_by_the_protobuf_library() -> None:
    made, _ = make()
    for schema, value in random_values(60, protobuf=True):
        framed = made.from_connect("t", schema, value)
        assert framed is not None
        found = message_class(proto_file(schema, ProtobufOptions()))()
        found.ParseFromString(framed[6:])
        assert found.SerializeToString(deterministic=True) == framed[6:]


def test_confluents_client_reads_it() -> None:
    schema = struct("srv.t.Value", [
        ("id", Schema(INT32)), ("name", optional(STRING)), ("amount", AMOUNT),
        ("at", Schema(INT64, name="org.apache.kafka.connect.data.Timestamp", version=1)),
        ("tags", Schema(ARRAY, items=Schema(STRING))), ("inner", replace(ROW, name="x.In")),
        ("map", Schema(MAP, name="m", keys=Schema(STRING), items=Schema(INT64)))])
    made, _ = make(optional_for_nullables="true")
    framed = made.from_connect("t", schema, (
        -5, None, b"\x00\x96", 1_700_000_000_123, ["a", ""], (1, "x"), {"k": 9}))
    read = ProtobufDeserializer(message_class(proto_file(schema, ProtobufOptions(optional_for_nullables=True))),
                                {"use.deprecated.format": False})
    found: Any = read(framed, SerializationContext("t", MessageField.VALUE))
    assert (found.id, found.HasField("name"), found.inner.name) == (-5, False, "x")
    assert (found.amount.value, found.amount.precision, found.amount.scale) == (b"\x00\x96", 3, 2)
    assert found.at.ToMilliseconds() == 1_700_000_000_123
    assert list(found.tags) == ["a", ""]
    assert [(entry.key, entry.value) for entry in found.map] == [("k", 9)]


def test_message_indexes() -> None:
    assert message_indexes([0]) == b"\0"
    assert message_indexes([4]) == b"\x02\x08"
    assert message_indexes([1, 0, 70]) == b"\x06\x02\x00\x8c\x01"


def test_dates_of_all_times() -> None:
    for days in range(-141_427, 200_000, 997):
        moment = datetime.fromtimestamp(days * 86_400, UTC)
        fields = bytes((8,)) + _varint(moment.year) + bytes((16, moment.month, 24, moment.day))
        assert date(days) == fields
    assert date(-141_428) == date(-141_427)[:-4] + b"\x10\x0a\x18\x04"  # the day before 1582-10-15 was the 4th
    assert date(-719_164) == b"\x08\x01\x10\x01\x18\x01"  # 0001-01-01 in the Julian calendar
    assert date(-719_165) == b"\x08\x01\x10\x0c\x18\x1f"  # the last day of 1 BC


def _varint(value: int) -> bytes:
    return bytes((value & 127 | 128, value >> 7))


def test_times_outside_of_their_messages_are_refused() -> None:
    for message, refused in ((time, -1), (time, 86_400_001), (timestamp, 253_402_300_800_000)):
        with pytest.raises(ConvertError):
            message(refused)
    assert time(86_400_000) == b""


REFUSED = [
    (Schema(ARRAY, items=Schema(INT32)), "array"), (Schema(MAP, keys=Schema(STRING), items=Schema(INT32)), "map"),
    (AMOUNT, "not in a struct"), (struct("a.b-c", [("x", Schema(INT32))]), "legal name for a message"),
    (struct("s", [("a-b", Schema(INT32))]), "legal name for a field"),
    (struct("s", [("a", Schema(ARRAY, items=Schema(ARRAY, items=Schema(INT32))))]), "array within an array"),
    (struct("s", [("a", struct("x.In", [("p", Schema(INT32))])), ("b", struct("y.In", [("q", Schema(INT32))]))]),
     "same name have different fields"),
    (struct("x.Same", [("a", struct("y.Same", [("p", Schema(INT32))]))]), "same name have different fields"),
    (struct("s", [("In", Schema(INT32)), ("b", struct("y.In", [("q", Schema(INT32))]))]), "defined twice"),
]


@pytest.mark.parametrize(("schema", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_schemas_without_a_protobuf_form(schema: Schema, message: str) -> None:
    with pytest.raises(ConvertError, match=message):
        make()[0].schema_id("t", schema)


def test_a_null_within_an_array_is_refused() -> None:
    schema = struct("s", [("a", Schema(ARRAY, items=optional(STRING)))])
    made, _ = make()
    with pytest.raises(ConvertError, match="contains a null"):
        made.from_connect("t", schema, (["x", None],))
    with pytest.raises(ConvertError, match="contains a null"):
        made.printer("t", schema).printed(avro(schema, (["x", None],)))


def test_bytes_that_are_no_value_of_the_schema_are_an_error() -> None:
    schema = struct("s", [("a", Schema(STRING)), ("c", Schema(ARRAY, items=Schema(BYTES))), ("d", AMOUNT)])
    good = avro(schema, ("text", [b"x"], b"\1"))
    printer = make()[0].printer("t", schema)
    wanted = printer.printed(good)
    for broken in (*(good[:size] for size in range(len(good))), good + b"\0", b"\x01" + good[1:], b"\xff" * 30):
        with pytest.raises(ConvertError):
            printer.printed(broken)
        assert printer.printed(good) == wanted


def test_nulls_and_values_without_a_schema() -> None:
    made, registry = make()
    assert made.from_connect("t", None, None) is None
    assert made.from_connect("t", ROW, None) is None
    assert registry.subjects == {}
    with pytest.raises(ConvertError, match="has no schema"):
        made.from_connect("t", None, 1)


def test_subjects() -> None:
    for strategy, subject in (("TopicNameStrategy", "t-key"), ("RecordNameStrategy", "srv.t.Value"),
                              ("TopicRecordNameStrategy", "t-srv.t.Value")):
        made, registry = make(True, key_subject_name_strategy=strategy)
        made.from_connect("t", ROW, (1, None))
        assert list(registry.subjects) == [subject]


def test_without_registering() -> None:
    made, registry = make(auto_register_schemas="false")
    with pytest.raises(RegistryRefusedError, match="not registered"):
        made.from_connect("t", ROW, (1, None))
    number = registry.register("t-value", text_of(ROW), schema_type="PROTOBUF")
    assert made.schema_id("t", ROW) == number


def text_of(schema: Schema) -> str:
    return file_text(proto_file(schema, ProtobufOptions()))


OTHER_HAND = """
// a comment; with message Wrong {
syntax = "proto3"; package srv.t;
import "confluent/meta.proto";
option java_package = "x";
message First { map<string, int32> m = 1; oneof o { int32 a = 2; string b = 3 [deprecated = true]; } reserved 4, 5; }
enum E { A = 0; }
message Value {
  enum In { B = 0; }
  option (confluent.message_meta) = { doc: "a } b", tags: ["x"] };
  string name = 2 [(confluent.field_meta) = {params: [{key: "k", value: "]"}]}, json_name = "n"];
  int32 id = 1;
  string more = 9;
}
service S { rpc R (First) returns (Value) { option x = { y: 1 }; } }
"""


def test_the_latest_version() -> None:
    made, registry = make(auto_register_schemas="false", use_latest_version="true")
    number = registry.register("t-value", OTHER_HAND, schema_type="PROTOBUF")
    framed = made.from_connect("t", ROW, (1, None))
    assert framed == b"\0" + number.to_bytes(4, "big") + b"\x02\x02" + b"\x08\x01"
    registry.register("u-value", OTHER_HAND.replace("int32 id = 1", "int64 id = 1"), schema_type="PROTOBUF")
    with pytest.raises(ConvertError, match=r"Value\.id is int32 1 here and int64 1 there"):
        made.from_connect("u", ROW, (1, None))
    registry.register("v-value", OTHER_HAND.replace("message Value", "message Row"), schema_type="PROTOBUF")
    with pytest.raises(ConvertError, match=r"the message srv\.t\.Value is not there"):
        made.from_connect("v", ROW, (1, None))
    registry.register("w-value", "{}", schema_type="PROTOBUF")
    with pytest.raises(ConvertError, match="is not Protobuf"):
        made.from_connect("w", ROW, (1, None))


def test_reading_a_schema_of_another_hand() -> None:
    package, messages = parse(OTHER_HAND)
    assert (package, [message.name for message in messages]) == ("srv.t", ["First", "Value"])
    assert {name: str(kind) for name, kind in messages[0].fields.items()} == {
        "m": "repeated map<string,int32> 1", "a": "int32 2", "b": "string 3"}
    assert message_path(OTHER_HAND, "srv.t.Value") == [1]
    for broken in ("message {", "message A { int32 a; }", "message A { int32 a = x; }", "hello", "message A", '"'):
        with pytest.raises(ValueError, match="Protobuf schema"):
            parse(broken)


INNER = struct("srv.t.Value", [("in", struct("x.In", [("p", Schema(INT32))]))])


@pytest.mark.parametrize(("text", "misfit"), [
    ("message Value { In in = 1; } message In { int32 p = 1; }", None),
    ("message In { string p = 1; } message Value { In in = 1; }", "Value.In.p is int32 1 here and string 1 there"),
    ("message Value { .srv.t.In in = 1; } message In { int64 p = 1; }",
     "Value.In.p is int32 1 here and int64 1 there"),
    ("message Value { Other.In in = 1; message In { int32 p = 1; } } message Other { message In { string p = 1; } }",
     "Value.In.p is int32 1 here and string 1 there"),
    ('import "in.proto"; message Value { In in = 1; }', "the message In of Value.in is not there"),
], ids=["same", "beside it", "by its full name", "in another one", "in another file"])
def test_messages_that_another_hand_put_elsewhere_are_compared(text: str, misfit: str | None) -> None:
    assert first_misfit(text_of(INNER), f'syntax = "proto3"; package srv.t; {text}', "srv.t.Value") == misfit


def test_what_changed() -> None:
    nested = struct("srv.t.Value", [("in", struct("x.In", [("p", Schema(INT32))]))])
    more = struct("srv.t.Value", [("in", struct("x.In", [("p", Schema(STRING)), ("q", Schema(INT32))]))])
    assert changes(text_of(more), text_of(nested), "srv.t.Value") == (
        "Value.In.p is string 1 here and int32 1 there; Value.In.q is a field here only")
    assert first_misfit(text_of(ROW), text_of(ROW), "srv.t.Value") is None
    assert changes(text_of(Schema("STRUCT", name="srv.t.Value", fields=(Field("id", Schema(INT32)),))), text_of(ROW),
                   "srv.t.Value") == "Value.name is a field there only"
