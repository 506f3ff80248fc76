"""Kafka's transforms, one table each: null, tombstone, missing field, wrong type, no schema; and what their options do.

What they give for real records, the recordings in tests/golden/transforms say.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

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
    optional,
    struct,
)
from cdc.core.view import RecordView, Struct
from tests.unit.converters.tables import NOW_US
from tests.unit.transforms.worlds import applied, chain, change, kept, message, one_step, problems, steps

DATA = "org.apache.kafka.connect.errors.DataException"
INNER = struct("Inner", (("c", Schema(INT32)), ("d", optional(STRING))), optional=True)
ROW = struct("Row", (
    ("a", Schema(INT32)), ("b", Schema(STRING, optional=True, default="dflt")), ("s", INNER),
    ("n", Schema(BYTES, name=DECIMAL, version=1, parameters=(("scale", "2"),), optional=True)),
    ("raw", optional(BYTES)), ("yes", optional(BOOLEAN)), ("list", Schema(ARRAY, optional=True, items=Schema(INT32))),
    ("t", Schema(INT64, name="org.apache.kafka.connect.data.Timestamp", version=1, optional=True)),
), version=3, doc="about", optional=True)
VALUES = (7, None, (1, "x"), b"\x04\xd2", b"\1\2", True, [1, 2], 1_709_370_245_678)
SPARSE = (7, "txt", None, None, None, None, None, None)


def of_value(name: str, schema: Schema | None, value: Any, **options: str) -> RecordView:
    return kept(one_step(f"{name}$Value" if name[-1] != "!" else name[:-1], **options), message(value, schema))


def result(name: str, schema: Schema | None, value: Any, **options: str) -> Any:
    """The value that comes out: a struct as a dict."""
    view = of_value(name, schema, value, **options)
    found = view.value
    if view.value_schema is not None and view.value_schema.type == STRUCT and found is not None:
        return dict(Struct(view.value_schema, found))
    return found


TOMBSTONES = [
    ("Cast$Value", {"spec": "a:int64"}, None), ("ExtractField$Value", {"field": "a"}, None),
    ("Flatten$Value", {}, None), ("InsertField$Value", {"topic.field": "t"}, None),
    ("ReplaceField$Value", {"exclude": "a"}, None), ("SetSchemaMetadata$Value", {"schema.name": "n"}, None),
    ("TimestampConverter$Value", {"field": "a", "target.type": "unix"}, None),
    ("HeaderFrom$Value", {"fields": "a", "headers": "h", "operation": "copy"}, "header copy"),
    ("MaskField$Value", {"fields": "a"}, "mask fields"),
    ("ValueToKey", {"fields": "a"}, "copying fields from value to key"),
]


@pytest.mark.parametrize(("name", "options", "purpose"), TOMBSTONES, ids=[name for name, _, _ in TOMBSTONES])
def test_a_tombstone_passes_unless_the_transform_needs_a_value(name: str, options: dict[str, str],
                                                               purpose: str | None) -> None:
    config = one_step(name, **options)
    for given in (change(""), message()):
        if purpose is None:
            view = kept(config, given)
            assert (view.value_schema, view.value) == (None, None)
            continue
        with pytest.raises(TransformError) as caught:
            applied(config, given)
        assert caught.value.message == \
            f"Only Map objects supported in absence of schema for [{purpose}], found: null"
        assert caught.value.context["exception"] == DATA


KEYS = [
    ("Cast$Key", {"spec": "id:int64"}), ("ExtractField$Key", {"field": "id"}), ("Flatten$Key", {}),
    ("InsertField$Key", {"topic.field": "t"}), ("ReplaceField$Key", {"exclude": "id"}),
    ("SetSchemaMetadata$Key", {"schema.name": "n"}), ("TimestampConverter$Key", {"field": "x", "target.type": "unix"}),
]


@pytest.mark.parametrize(("name", "options"), KEYS, ids=[name for name, _ in KEYS])
def test_a_record_without_a_key_passes(name: str, options: dict[str, str]) -> None:
    view = kept(one_step(name, **options), message(VALUES, ROW))
    assert (view.key_schema, view.key, view.value) == (None, None, VALUES)


@pytest.mark.parametrize(("name", "options", "text", "exception"), [
    ("Cast", {"spec": "s:int8"}, "Cast transformation does not support casting from STRUCT; supported types are [INT8, "
     "INT16, INT32, INT64, FLOAT32, FLOAT64, BOOLEAN, STRING, BYTES]", DATA),
    ("Cast", {"spec": "raw:int8"}, "Unexpected type in Cast transformation: class java.nio.HeapByteBuffer", DATA),
    ("Cast", {"spec": "b:int32"}, "Value was out of range for requested data type INT32: the text is no number of its "
     "range", DATA),
    ("Cast", {"spec": "int8"}, "Cast transformation does not support casting from STRUCT; supported types are [INT8, "
     "INT16, INT32, INT64, FLOAT32, FLOAT64, BOOLEAN, STRING, BYTES]", DATA),
    ("ExtractField", {"field": "nope"}, "Unknown field: nope", "java.lang.IllegalArgumentException"),
    ("ExtractField", {"field": "s.nope", "field.syntax.version": "V2"}, "Unknown field: s.nope",
     "java.lang.IllegalArgumentException"),
    ("HeaderFrom", {"fields": "nope", "headers": "h", "operation": "copy"}, "Unknown field: nope",
     "java.lang.NullPointerException"),
    ("InsertField", {"offset.field": "o"}, "Only SinkRecord supported for [field insertion], found: "
     "org.apache.kafka.connect.source.SourceRecord", DATA),
    ("InsertField", {"topic.field": "a"}, "Cannot create field because of field name duplication a",
     "org.apache.kafka.connect.errors.SchemaBuilderException"),
    ("MaskField", {"fields": "n"}, "Decimal value has mismatching scale for given Decimal schema. Schema has scale 2, "
     "value has scale 0.", DATA),
    ("MaskField", {"fields": "raw"}, "Cannot mask value of type: class java.nio.HeapByteBuffer", DATA),
    ("MaskField", {"fields": "s"}, "Cannot mask value of type: class org.apache.kafka.connect.data.Struct", DATA),
    ("MaskField", {"fields": "a", "replacement": "***"}, "Unable to convert *** (class java.lang.String) to a number",
     DATA),
    ("MaskField", {"fields": "yes", "replacement": "x"},
     "Cannot mask value of type class java.lang.Boolean with custom replacement.", DATA),
    ("MaskField", {"fields": "t", "replacement": "1"},
     "Cannot mask value of type class java.util.Date with custom replacement.", DATA),
    ("ReplaceField", {"renames": "nope:a"}, "nope is not a valid field name", DATA),
    ("ReplaceField", {"renames": "a:b", "exclude": "a"},
     'Invalid Java object for schema with type STRING: a INT32 for field: "b"', DATA),
    ("TimestampConverter", {"field": "yes", "target.type": "unix"},
     "Schema Schema{BOOLEAN} does not correspond to a known timestamp type format",
     "org.apache.kafka.connect.errors.ConnectException"),
    ("TimestampConverter", {"field": "b", "target.type": "unix", "format": "yyyy-MM-dd"},
     "Could not parse timestamp: value does not match pattern (yyyy-MM-dd)", DATA),
    ("TimestampConverter", {"target.type": "unix"},
     "Schema Schema{Row:STRUCT} does not correspond to a known timestamp type format",
     "org.apache.kafka.connect.errors.ConnectException"),
    ("ValueToKey!", {"fields": "nope"}, "Field does not exist: nope", DATA),
    ("TimestampRouter!", {}, "Timestamp missing on record", DATA),
])
def test_a_failure_says_what_kafka_connect_says(name: str, options: dict[str, str], text: str, exception: str) -> None:
    values = (7, "zqx", *VALUES[2:])
    with pytest.raises(TransformError) as caught:
        of_value(name, ROW, values, **options)
    assert (caught.value.message, caught.value.context["exception"]) == (text, exception)
    assert "zqx" not in str(caught.value)


@pytest.mark.parametrize(("name", "options", "purpose"), [
    ("Cast", {"spec": "a:int8"}, "cast types"), ("ExtractField", {"field": "a"}, "field extraction"),
    ("Flatten", {}, "flattening"), ("HeaderFrom", {"fields": "a", "headers": "h", "operation": "move"}, "header move"),
    ("InsertField", {"topic.field": "t"}, "field insertion"), ("MaskField", {"fields": "a"}, "mask fields"),
    ("ReplaceField", {"exclude": "a"}, "field replacement"),
    ("TimestampConverter", {"field": "a", "target.type": "unix"}, "converting timestamp formats"),
    ("ValueToKey!", {"fields": "a"}, "copying fields from value to key"),
])
def test_a_value_that_is_no_struct_is_refused(name: str, options: dict[str, str], purpose: str) -> None:
    for schema, text in ((Schema(STRING), "Only Struct objects supported for"),
                         (None, "Only Map objects supported in absence of schema for")):
        with pytest.raises(TransformError) as caught:
            of_value(name, schema, "x", **options)
        assert caught.value.message == f"{text} [{purpose}], found: java.lang.String"


MAPPED = {"a": 7, "b": None, "s": {"c": 1, "d": None}, "list": [1]}


@pytest.mark.parametrize(("name", "options", "wanted"), [
    ("Cast", {"spec": "a:string,z:int8"}, MAPPED | {"a": "7", "z": None}),
    ("ExtractField", {"field": "a"}, 7),
    ("ExtractField", {"field": "nope"}, None),
    ("ExtractField", {"field": "s.c", "field.syntax.version": "V2"}, 1),
    ("ExtractField", {"field": "b.c", "field.syntax.version": "V2"}, None),
    ("Flatten", {"delimiter": "_"}, {"a": 7, "b": None, "s_c": 1, "s_d": None, "list": [1]}),
    ("HoistField", {"field": "row"}, {"row": MAPPED}),
    ("InsertField", {"topic.field": "t", "partition.field": "p", "static.field": "x!", "static.value": "1"},
     MAPPED | {"t": "t", "x": "1"}),
    ("MaskField", {"fields": "a,z"}, MAPPED | {"a": 0, "z": None}),
    ("ReplaceField", {"exclude": "s,list", "renames": "a:z"}, {"z": 7, "b": None}),
    ("TimestampConverter", {"field": "a", "target.type": "string", "format": "s.SSS"}, MAPPED | {"a": "0.007"}),
    ("HeaderFrom", {"fields": "a,z", "headers": "h,i", "operation": "move"},
     {key: each for key, each in MAPPED.items() if key != "a"}),
])
def test_without_a_schema_a_map_takes_the_place_of_a_struct(name: str, options: dict[str, str], wanted: Any) -> None:
    view = of_value(name, None, MAPPED, **options)
    assert (view.value_schema, view.value) == (None, wanted)
    if name == "HeaderFrom":
        assert [tuple(header) for header in view.headers] == [("h", None, 7), ("i", None, None)]


@pytest.mark.parametrize(("type_", "given", "wanted"), [
    (INT8, 300, 44), (INT8, -129, 127), (INT16, 70_000, 4464), (INT32, 2**31, -(2**31)), (INT64, 5, 5),
    (INT8, True, 1), (FLOAT64, False, 0.0), (BOOLEAN, 2, True), (BOOLEAN, 0, False), (STRING, 12, "12"),
    (FLOAT64, 9007199254740993, 9007199254740992.0),
])
def test_cast_of_an_integer_or_boolean_is_javas(type_: str, given: Any, wanted: Any) -> None:
    schema = Schema(BOOLEAN if isinstance(given, bool) else INT64)
    view = of_value("Cast", schema, given, spec=type_.lower())
    assert (view.value_schema, view.value) == (Schema(type_), wanted)


@pytest.mark.parametrize(("type_", "given", "wanted"), [
    (INT8, 300.9, 44), (INT32, 1e20, 2**31 - 1), (INT16, -1e20, 0), (INT64, -1e300, -(2**63)),
    (INT32, float("nan"), 0), (INT64, float("inf"), 2**63 - 1), (BOOLEAN, 0.5, False), (BOOLEAN, -1.5, True),
    (STRING, 1e21, "1.0E21"), (FLOAT32, 0.1, 0.10000000149011612),
])
def test_cast_of_a_double_is_javas(type_: str, given: float, wanted: Any) -> None:
    assert of_value("Cast", Schema(FLOAT64), given, spec=type_.lower()).value == wanted


@pytest.mark.parametrize(("type_", "given", "wanted"), [
    (INT8, "-128", -128), (INT8, "128", None), (INT32, "+5", 5), (INT32, "5.0", None), (INT32, " 5", None),
    (INT64, "1_0", None), (FLOAT64, " 1e3 ", 1000.0), (FLOAT64, "1.5d", 1.5), (FLOAT32, "NaN", "nan"),
    (FLOAT64, "-Infinity", float("-inf")), (FLOAT64, "inf", None), (FLOAT64, "", None), (BOOLEAN, "TRUE", True),
    (BOOLEAN, "yes", False),
])
def test_cast_of_text_is_javas(type_: str, given: str, wanted: Any) -> None:
    if wanted is None:
        with pytest.raises(TransformError):
            of_value("Cast", Schema(STRING), given, spec=type_.lower())
    elif wanted == "nan":
        assert str(of_value("Cast", Schema(STRING), given, spec=type_.lower()).value) == "nan"
    else:
        assert of_value("Cast", Schema(STRING), given, spec=type_.lower()).value == wanted


def test_cast_of_decimals_bytes_and_moments() -> None:
    assert result("Cast", ROW, VALUES, spec="n:string,raw:string,t:string") == dict(Struct(ROW, VALUES)) | {
        "b": "dflt", "n": "12.34", "raw": "AQI=", "t": "2024-03-02T09:04:05.678Z"}
    assert result("Cast", ROW, VALUES, spec="n:int32")["n"] == 12
    assert result("Cast", ROW, VALUES, spec="n:float64")["n"] == 12.34
    assert result("Cast", ROW, VALUES, spec="n:boolean,t:int64")["t"] == 1_709_370_245_678
    large = Schema(BYTES, name=DECIMAL, parameters=(("scale", "2"),))
    unscaled = 80_996_843_821_643_416_331_057_899_011_577
    assert of_value("Cast", large, unscaled.to_bytes(14, "big"), spec="int32").value == 531_725_347


def test_cast_keeps_what_is_optional_and_casts_defaults() -> None:
    numbers = struct("N", (("a", Schema(INT32, optional=True, default=300)), ("z", Schema(STRING))), optional=True)
    schema = of_value("Cast", numbers, (1, "x"), spec="a:int8").value_schema
    assert schema == replace(numbers, fields=(Field("a", Schema(INT8, optional=True, default=44)), numbers.fields[1]))


@pytest.mark.parametrize("null_is_default", [True, False])
def test_a_null_is_read_as_the_default_unless_switched_off(null_is_default: bool) -> None:
    given = {"replace.null.with.default": str(null_is_default).lower()}
    wanted = "dflt" if null_is_default else None
    for name, options in (("Cast", {"spec": "a:int64"}), ("InsertField", {"topic.field": "new"}),
                          ("MaskField", {"fields": "a"}), ("ReplaceField", {"exclude": "a"}),
                          ("SetSchemaMetadata", {"schema.version": "1"}),
                          ("TimestampConverter", {"field": "x", "target.type": "unix"}),
                          ("HeaderFrom", {"fields": "a", "headers": "h", "operation": "move"})):
        assert result(name, ROW, VALUES, **options, **given)["b"] == wanted, name
    assert result("ExtractField", ROW, VALUES, field="b", **given) == wanted
    assert of_value("ValueToKey!", ROW, VALUES, fields="b", **given).key == (wanted,)
    header = of_value("HeaderFrom", ROW, VALUES, fields="b", headers="h", operation="copy", **given).headers[-1]
    assert header.value == wanted


def test_a_changed_struct_keeps_name_version_and_doc_and_becomes_required() -> None:
    for name, options in (("InsertField", {"topic.field": "new"}), ("ReplaceField", {"exclude": "a"}), ("Flatten", {}),
                          ("HeaderFrom", {"fields": "a", "headers": "h", "operation": "move"})):
        schema = of_value(name, ROW, VALUES, **options).value_schema
        assert schema is not None
        assert (schema.name, schema.version, schema.doc, schema.optional) == ("Row", 3, "about", False), name


def test_the_schema_of_a_result_is_one_object() -> None:
    made = chain(one_step("InsertField$Value", topic_field="new"))
    one, two = made.apply([message(VALUES, ROW), message(SPARSE, ROW)], NOW_US)
    assert isinstance(one, RecordView)
    assert isinstance(two, RecordView)
    assert one.value_schema is two.value_schema


def test_extract_field_of_a_null_struct_has_its_schema() -> None:
    view = of_value("ExtractField", ROW, None, field="b")
    assert (view.value_schema, view.value) == (ROW.fields[1].schema, None)
    assert result("ExtractField", ROW, SPARSE, field="s.d", field_syntax_version="V2") is None


@pytest.mark.parametrize(("path", "steps"), [
    ("a", ["a"]), ("a.b", ["a", "b"]), ("`a.b`.c", ["a.b", "c"]), ("a.", ["a", ""]), ("`a`b`.c", ["a`b", "c"]),
    (r"`a\`.b`", ["a`.b"]),
])
def test_a_path_has_steps(path: str, steps: list[str]) -> None:
    value: Any = 5
    for step in reversed(steps):
        value = {step: value}
    assert of_value("ExtractField", None, value, field=path, field_syntax_version="V2").value == 5


def test_extract_field_takes_a_row_image_as_it_is() -> None:
    config = one_step("ExtractField$Value", field="after")
    view = kept(config, change())
    assert view.row_image is not None
    assert view.value == (1, "a")
    gone = kept(config, change("d"))
    assert (gone.value, gone.is_tombstone, gone.value_schema) == (None, True, view.value_schema)


def test_flatten_joins_names_and_what_is_optional() -> None:
    inner = replace(INNER, default=(5, "deep"))
    nested = struct("N", (("s", inner), ("b", Schema(INT32))))
    view = of_value("Flatten", nested, ((1, None), 2), delimiter="")
    assert view.value_schema == struct("N", (
        ("sc", Schema(INT32, optional=True, default=5)), ("sd", Schema(STRING, optional=True, default="deep")),
        ("b", Schema(INT32))))
    assert view.value == (1, None, 2)
    assert of_value("Flatten", nested, (None, 2), delimiter="").value == (5, "deep", 2)
    assert of_value("Flatten", struct("N", (("s", INNER),)), (None,)).value == (None, None)


def test_flatten_refuses_a_map() -> None:
    schema = struct("M", (("m", Schema(MAP, keys=Schema(STRING), items=Schema(INT32))),))
    with pytest.raises(TransformError, match="does not support MAP for record with schemas \\(for field m\\)"):
        of_value("Flatten", schema, ({},))


def test_hoist_wraps_null_too() -> None:
    assert of_value("HoistField", None, None, field="k").value == {"k": None}
    view = of_value("HoistField", ROW, None, field="k")
    assert (view.value_schema, view.value) == (Schema(STRUCT, fields=(Field("k", ROW),)), (None,))


def test_insert_field_knows_the_record() -> None:
    view = of_value("InsertField", ROW, VALUES, topic_field="t1!", partition_field="p", timestamp_field="ts?",
                    static_field="st", static_value=" x ")
    assert view.value_schema is not None
    assert [(field.name, field.schema.type, field.schema.optional) for field in view.value_schema.fields[8:]] == [
        ("t1", STRING, False), ("p", INT32, True), ("ts", INT64, True), ("st", STRING, True)]
    assert view.value[8:] == ("t", None, None, " x ")


def test_mask_field_keeps_types() -> None:
    assert result("MaskField", ROW, VALUES, fields="a,b,yes,list,t") == dict(Struct(ROW, VALUES)) | {
        "a": 0, "b": "", "yes": False, "list": [], "t": 0}
    assert result("MaskField", ROW, VALUES, fields="a,b", replacement="7.9") == dict(Struct(ROW, VALUES)) | {
        "a": 7, "b": "7.9"}
    assert result("MaskField", ROW, VALUES, fields="n", replacement="1.50")["n"] == b"\x00\x96"
    assert result("MaskField", ROW, SPARSE, fields="n")["n"] is None


def test_replace_field_lets_exclude_go_first_and_renames_the_rest() -> None:
    assert result("ReplaceField", ROW, VALUES, include="a,b,t", exclude="t", renames="a:x,t:y") == {
        "x": 7, "b": "dflt"}


def test_set_schema_metadata_needs_a_schema() -> None:
    view = of_value("SetSchemaMetadata", ROW, SPARSE, schema_name="n", schema_version="9")
    assert view.value_schema == replace(ROW, name="n", version=9)
    with pytest.raises(TransformError, match=r"Schema required for \[updating schema metadata\]"):
        of_value("SetSchemaMetadata", None, 1, schema_name="n")
    with pytest.raises(TransformError, match="Cannot list fields on non-struct type"):
        of_value("SetSchemaMetadata", Schema(STRING), "x", schema_name="n")


@pytest.mark.parametrize(("target", "wanted"), [
    ("string", "Sat 02/03/24"), ("unix", 1_709_370_245), ("Date", 19_784), ("Time", 32_645_678),
    ("Timestamp", 1_709_370_245_678),
])
def test_timestamps_become_every_type(target: str, wanted: Any) -> None:
    options = {"target.type": target, "format": "EEE dd/MM/yy", "unix.precision": "seconds", "field": "t"}
    view = of_value("TimestampConverter", ROW, VALUES, **options)
    assert view.value_schema is not None
    assert view.value[7] == wanted
    assert view.value_schema.optional
    field = view.value_schema.fields[7].schema
    assert (field.type, field.optional) == ({"string": STRING, "Date": INT32, "Time": INT32}.get(target, INT64), True)


@pytest.mark.parametrize(("precision", "given", "wanted"), [
    ("seconds", -1, -1000), ("milliseconds", 5, 5), ("microseconds", -1999, -1), ("nanoseconds", 1_999_999, 1),
])
def test_numbers_are_read_in_their_unit_and_lose_what_is_finer(precision: str, given: int, wanted: int) -> None:
    view = of_value("TimestampConverter", Schema(INT64), given, target_type="Timestamp", unix_precision=precision)
    assert view.value == wanted


def test_a_moment_too_far_away_is_refused() -> None:
    for target in ("Date", "string"):
        with pytest.raises(TransformError, match=r"too far away|outside of the years"):
            of_value("TimestampConverter", Schema(INT64), 2**60, target_type=target, format="yyyy")


def test_value_to_key_keeps_the_value_and_the_order_of_the_list() -> None:
    view = of_value("ValueToKey!", ROW, VALUES, fields="b,a")
    assert view.key_schema == Schema(STRUCT, fields=(ROW.fields[1], ROW.fields[0]))
    assert (view.key, view.value, view.value_replaced) == (("dflt", 7), VALUES, False)
    assert of_value("ValueToKey!", None, {"a": 1}, fields="a,z").key == {"a": 1, "z": None}


def test_timestamp_router_uses_the_timestamp() -> None:
    step, = steps(one_step("TimestampRouter", topic_format="${topic}_${timestamp}", timestamp_format="yyyy-MM"))
    view = kept(one_step("RegexRouter", regex="(.*)", replacement="$1"), message(topic="a$1"))
    view.timestamp_ms = 0
    assert step.apply(view) is view
    assert view.topic == "a$1_1970-01"


@pytest.mark.parametrize(("name", "options", "option", "text"), [
    ("Cast$Value", {"spec": "a:int33"}, "spec", "Invalid type found in casting spec: int33"),
    ("Cast$Value", {"spec": "a:int8,int8"}, "spec", "may only specify a single cast"),
    ("Cast$Value", {"spec": "a:array"}, "spec", "does not support casting to ARRAY"),
    ("Cast$Value", {"spec": "a:b:c"}, "spec", "Invalid rename mapping: a:b:c"),
    ("ExtractField$Key", {}, "field", "required"),
    ("ExtractField$Key", {"field": "`a", "field.syntax.version": "V2"}, "field", "Incomplete backtick pair"),
    ("HeaderFrom$Value", {"fields": "a,b", "headers": "h", "operation": "copy"}, "fields", "same number of elements"),
    ("HeaderFrom$Value", {"fields": "a", "headers": "h", "operation": "drop"}, "operation", "allowed: move, copy"),
    ("InsertField$Value", {}, "static.field", "No field insertion configured"),
    ("InsertField$Value", {"static.field": "a"}, "static.value", "No value specified for static field: a"),
    ("ReplaceField$Value", {"exclude": "a,a"}, "exclude", "values must not be duplicated"),
    ("ReplaceField$Value", {"renames": "a"}, "renames", "Invalid rename mapping: a"),
    ("SetSchemaMetadata$Value", {}, "schema.name", "Neither schema name nor version configured"),
    ("TimestampConverter$Value", {"target.type": "string"}, "format", "requires format option"),
    ("TimestampConverter$Value", {"target.type": "unix", "format": "bbb"}, "format", "Illegal pattern character"),
    ("TimestampRouter", {"timestamp.format": "yyyy'"}, "timestamp.format", "Unterminated quote"),
])
def test_a_mistake_in_the_configuration_names_its_key(name: str, options: dict[str, str], option: str,
                                                      text: str) -> None:
    found = problems(one_step(name, **options))
    assert list(found) == [f"transforms.x.{option}"]
    assert text in found[f"transforms.x.{option}"]
