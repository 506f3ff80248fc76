"""Types to schemas, codecs and placeholders, by option."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from typing import Any

import pytest

from cdc.core.avro import Writer, write_value
from cdc.core.errors import DecodeError
from cdc.core.fallback import fallback
from cdc.core.schema import (
    ARRAY,
    BOOLEAN,
    BYTES,
    DECIMAL,
    FLOAT32,
    FLOAT64,
    INT32,
    INT64,
    MAP,
    STRING,
    STRUCT,
    Schema,
    semantic,
)
from cdc.sources.postgres.types import ColumnType, TypeInfo, numeric_modifier, resolve
from cdc.sources.shared.conversions import placeholder_bytes

PLACEHOLDER = "__debezium_unavailable_value"


@dataclass(frozen=True)
class Config:
    decimal_handling_mode: str = "precise"
    time_precision_mode: str = "adaptive"
    binary_handling_mode: str = "bytes"
    interval_handling_mode: str = "numeric"
    hstore_handling_mode: str = "json"
    money_fraction_digits: int = 2
    include_unknown_datatypes: bool = False
    unavailable_value_placeholder: str = PLACEHOLDER
    cdc_debezium_faults: bool = False


NAMES = """
    int2 int4 int8 oid bool text varchar bpchar char name json jsonb xml uuid bytea bit varbit float4 float8 numeric
    money date time timetz timestamp timestamptz interval point inet cidr macaddr tsvector tsquery pg_lsn box int4range
    hstore citext ltree isbn geometry geography vector halfvec sparsevec refcursor int2vector
"""
BASES = NAMES.split()
TYPES = {
    oid: TypeInfo(oid, name, "pg_catalog", "r" if name == "int4range" else "b") for oid, name in enumerate(BASES, 1)
}
TYPES |= {
    1000 + oid: TypeInfo(1000 + oid, "_" + info.name, "pg_catalog", "b", element_oid=oid) for oid, info in TYPES.items()
}
TYPES |= {
    info.oid: info
    for info in (
        TypeInfo(3001, "mood", "inv", "e", labels=("sad", "ok")),
        TypeInfo(3002, "_mood", "inv", "b", element_oid=3001),
        TypeInfo(3003, "price", "inv", "d", base_oid=BASES.index("numeric") + 1, base_typmod=(10 << 16 | 2) + 4),
        TypeInfo(3004, "net", "inv", "d", base_oid=3003),
        TypeInfo(3005, "_price", "inv", "b", element_oid=3003),
        TypeInfo(3006, "point3", "inv", "c"),
        TypeInfo(3007, "int4multirange", "pg_catalog", "m"),
        TypeInfo(3008, "orphan", "inv", "d", base_oid=9999),
        TypeInfo(3009, "_lost", "inv", "b", element_oid=9999),
        TypeInfo(3010, "point", "inv", "c"),
    )
}
OIDS = {info.name: oid for oid, info in TYPES.items() if oid != 3010}


def find(name: str, typmod: int = -1, **options: Any) -> ColumnType | None:
    return resolve(TYPES[OIDS[name]], typmod, config=Config(**options), types=TYPES)


def kind(name: str, typmod: int = -1, **options: Any) -> ColumnType:
    found = find(name, typmod, **options)
    assert found is not None
    return found


def schema(name: str, typmod: int = -1, **options: Any) -> Schema:
    return kind(name, typmod, **options).schema


@pytest.mark.parametrize(
    "name",
    [
        "tsquery",
        "pg_lsn",
        "box",
        "point3",
        "int4multirange",
        "orphan",
        "_lost",
        "refcursor",
        "int2vector",
        "_price",
        "_box",
        "_tsquery",
    ],
)
def test_types_without_mapping_are_left_out_unless_asked_for(name: str) -> None:
    assert find(name) is None
    assert find(name, include_unknown_datatypes=True) is not None


@pytest.mark.parametrize("name", ["_money", "_name", "_interval", "_varbit", "_xml", "_point"])
def test_arrays_of_some_types_are_left_out_even_if_asked_for(name: str) -> None:
    assert find(name, include_unknown_datatypes=True) is None


def test_unmapped_geometry_has_numbers_as_java_writes_them() -> None:
    found = kind("box", include_unknown_datatypes=True)
    text = b"(3,4.5),(1e+20,-0.0001)"
    assert found.codec.value(text, 0, len(text)) == b"(3.0,4.5),(1.0E20,-1.0E-4)"


def test_unknown_types_appear_as_binary_of_their_text() -> None:
    assert schema("tsquery", include_unknown_datatypes=True) == Schema(BYTES)
    for mode, text in (("hex", "61"), ("base64", "YQ=="), ("base64-url-safe", "YQ==")):
        found = kind("tsquery", include_unknown_datatypes=True, binary_handling_mode=mode)
        assert found.schema == Schema(STRING)
        assert found.codec.value(b"a", 0, 1) == text
    assert schema("_tsquery", include_unknown_datatypes=True) == Schema(ARRAY, items=Schema(BYTES))


def test_a_composite_named_like_a_base_type_is_not_taken_for_it() -> None:
    assert resolve(TYPES[3010], -1, config=Config(), types=TYPES) is None


@pytest.mark.parametrize(
    ("mode", "typmod", "time", "timestamp"),
    [
        ("adaptive", -1, ("MicroTime", INT64), ("MicroTimestamp", INT64)),
        ("adaptive", 6, ("MicroTime", INT64), ("MicroTimestamp", INT64)),
        ("adaptive", 3, ("Time", INT32), ("Timestamp", INT64)),
        ("adaptive", 0, ("Time", INT32), ("Timestamp", INT64)),
        ("adaptive_time_microseconds", 3, ("MicroTime", INT64), ("Timestamp", INT64)),
        ("adaptive_time_microseconds", 4, ("MicroTime", INT64), ("MicroTimestamp", INT64)),
        ("microseconds", 0, ("MicroTime", INT64), ("MicroTimestamp", INT64)),
        ("nanoseconds", 0, ("NanoTime", INT64), ("NanoTimestamp", INT64)),
        ("isostring", 0, ("IsoTime", STRING), ("IsoTimestamp", STRING)),
    ],
)
def test_time_precision_mode(mode: str, typmod: int, time: tuple[str, str], timestamp: tuple[str, str]) -> None:
    for name, (wanted, type_) in (("time", time), ("timestamp", timestamp)):
        assert schema(name, typmod, time_precision_mode=mode) == semantic(type_, f"io.debezium.time.{wanted}")
    date = (
        semantic(STRING, "io.debezium.time.IsoDate")
        if mode == "isostring"
        else semantic(INT32, "io.debezium.time.Date")
    )
    assert schema("date", time_precision_mode=mode) == date
    assert schema("timestamptz", typmod, time_precision_mode=mode) == semantic(
        STRING, "io.debezium.time.ZonedTimestamp"
    )
    assert schema("timetz", typmod, time_precision_mode=mode) == semantic(STRING, "io.debezium.time.ZonedTime")


def test_connect_mode_has_connects_own_types() -> None:
    connect = "org.apache.kafka.connect.data."
    for name, type_, title in (("date", INT32, "Date"), ("time", INT32, "Time"), ("timestamp", INT64, "Timestamp")):
        assert schema(name, 6, time_precision_mode="connect") == semantic(type_, connect + title)
    codec = kind("timestamp", 6, time_precision_mode="connect").codec
    assert codec.value(b"1970-01-01 00:00:00.001999", 0, 26) == 1


def test_decimals_by_mode() -> None:
    typmod = (5 << 16 | 2) + 4
    fixed = Schema(BYTES, name=DECIMAL, version=1, parameters=(("scale", "2"), ("connect.decimal.precision", "5")))
    assert schema("numeric", typmod) == fixed
    assert schema("numeric").name == "io.debezium.data.VariableScaleDecimal"
    assert schema("money") == semantic(BYTES, DECIMAL, scale="2")
    assert schema("money", money_fraction_digits=4) == semantic(BYTES, DECIMAL, scale="4")
    for mode, type_ in (("double", FLOAT64), ("string", STRING)):
        for name, modifier in (("numeric", typmod), ("numeric", -1), ("money", -1)):
            assert schema(name, modifier, decimal_handling_mode=mode) == Schema(type_)
    assert schema("_numeric", typmod) == Schema(ARRAY, items=fixed.as_optional())


@pytest.mark.parametrize(
    ("precision", "scale", "wanted"),
    [
        (5, 2, (5, 2)),
        (38, 0, (38, 0)),
        (1000, 1000, (1000, 1000)),
        (3, 5, (3, 5)),
        (5, -2, (7, 0)),
        (2, -1000, (1002, 0)),
    ],
)
def test_numeric_modifier(precision: int, scale: int, wanted: tuple[int, int]) -> None:
    assert numeric_modifier((precision << 16 | scale & 0x7FF) + 4) == wanted


def test_domains_appear_as_their_root_with_the_nearest_modifier() -> None:
    for name in ("price", "net"):
        found = kind(name)
        assert found.schema == schema("numeric", (10 << 16 | 2) + 4)
        assert (found.type_name, found.length, found.scale) == (name, 10, 2)


def test_arrays_of_bit_have_the_schema_of_one_value_and_none_is_ever_shown() -> None:
    found = kind("_bit", 3)
    assert found.schema == schema("bit", 3)
    assert found.always_optional
    with pytest.raises(DecodeError):
        found.codec.value(b"{101}", 0, 5)


@pytest.mark.parametrize(("type_name", "text", "wanted"), [
    ("_time", b"{12:34:56.789012,24:00:00,NULL}", [45296789000, 0, None]),
    ("_timetz", b"{12:34:56.789012+02,24:00:00+00}", ["10:34:56Z", "00:00:00Z"]),
])
def test_times_within_arrays_are_cut_as_debezium_cuts_them(type_name: str, text: bytes, wanted: list[Any]) -> None:
    assert kind(type_name).codec.value(text, 0, len(text)) == wanted


@pytest.mark.parametrize("type_name", ["json", "jsonb"])
def test_a_missing_required_json_is_an_empty_text(type_name: str) -> None:
    assert kind(type_name).null_value == ""


def test_a_missing_required_decimal_shown_as_text_has_the_columns_scale() -> None:
    assert kind("numeric", decimal_handling_mode="string").null_value == "0"
    assert kind("numeric", (5 << 16 | 2) + 4, decimal_handling_mode="string").null_value == "0.00"
    assert kind("money", decimal_handling_mode="string").null_value == "0.00"
    assert kind("numeric", decimal_handling_mode="double").null_value is None


def test_bits_of_one_are_booleans() -> None:
    assert schema("bit", 1) == schema("varbit", 1) == Schema(BOOLEAN)
    assert schema("bit", 8) == semantic(BYTES, "io.debezium.data.Bits", length="8")
    assert schema("varbit") == semantic(BYTES, "io.debezium.data.Bits", length="2147483647")


def test_enums_list_their_labels() -> None:
    enum = semantic(STRING, "io.debezium.data.Enum", allowed="sad,ok")
    assert schema("mood") == enum
    assert schema("_mood") == Schema(ARRAY, items=enum)
    assert kind("mood").is_character


@pytest.mark.parametrize(
    "name", ["int4", "text", "uuid", "jsonb", "bytea", "timestamptz", "hstore", "ltree", "geography"]
)
def test_array_elements_are_optional(name: str) -> None:
    assert schema("_" + name) == Schema(ARRAY, items=schema(name).as_optional())


@pytest.mark.parametrize("name", ["tsvector", "vector", "isbn"])
def test_elements_of_other_arrays_are_required(name: str) -> None:
    assert schema("_" + name) == Schema(ARRAY, items=schema(name))


def test_only_geometry_is_always_optional() -> None:
    assert [name for name in BASES if (found := find(name)) and found.always_optional] == ["geometry"]


def test_vectors_and_maps() -> None:
    assert schema("vector") == Schema(ARRAY, name="io.debezium.data.DoubleVector", version=1, items=Schema(FLOAT64))
    assert schema("halfvec") == Schema(ARRAY, name="io.debezium.data.FloatVector", version=1, items=Schema(FLOAT32))
    assert schema("sparsevec").fields[1].schema.type == MAP
    assert schema("hstore") == semantic(STRING, "io.debezium.data.Json")
    assert schema("hstore", hstore_handling_mode="map") == Schema(
        MAP, keys=Schema(STRING), items=Schema(STRING, optional=True)
    )
    assert schema("interval", interval_handling_mode="string") == semantic(STRING, "io.debezium.time.Interval")


PLACEHOLDER_UUID = "b68a35a7-17ad-35b3-af2a-ae46edb4545a"


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("text", PLACEHOLDER),
        ("jsonb", PLACEHOLDER),
        ("xml", PLACEHOLDER),
        ("mood", PLACEHOLDER),
        ("tsvector", PLACEHOLDER),
        ("bytea", PLACEHOLDER.encode()),
        ("_text", [PLACEHOLDER]),
        ("_varchar", [PLACEHOLDER]),
        ("_json", [PLACEHOLDER]),
        ("_bytea", [PLACEHOLDER.encode()]),
        ("_int4", list(PLACEHOLDER.encode())),
        ("_int8", list(PLACEHOLDER.encode())),
        ("_date", list(PLACEHOLDER.encode())),
        ("_uuid", [PLACEHOLDER_UUID]),
        ("hstore", f'{{"{PLACEHOLDER}":"{PLACEHOLDER}"}}'),
        ("int4", None),
        ("bool", None),
        ("_bit", None),  # every value is null
    ],
)
def test_what_stands_for_an_unchanged_value(name: str, wanted: Any) -> None:
    assert kind(name).unchanged == wanted
    assert kind(name, cdc_debezium_faults=True).unchanged == wanted


BYTES_OF_IT = list(PLACEHOLDER.encode())


@pytest.mark.parametrize(
    ("name", "typmod", "wanted"),
    [
        ("numeric", -1, (0, PLACEHOLDER.encode())),
        ("numeric", (60 << 16 | 2) + 4, PLACEHOLDER.encode()),
        ("varbit", -1, PLACEHOLDER.encode()),
        ("bit", 20000, PLACEHOLDER.encode()),
        ("vector", -1, BYTES_OF_IT),
        ("halfvec", -1, BYTES_OF_IT),
        ("sparsevec", -1, (len(PLACEHOLDER), dict(enumerate(BYTES_OF_IT, 1)))),
        ("geometry", -1, (PLACEHOLDER.encode(), None)),
        ("geography", -1, (PLACEHOLDER.encode(), None)),
        ("_float8", -1, BYTES_OF_IT),
        ("_float4", -1, BYTES_OF_IT),
        ("_int2", -1, BYTES_OF_IT),
        ("_oid", -1, BYTES_OF_IT),
        ("_timestamp", -1, BYTES_OF_IT),
        ("_numeric", -1, [(0, PLACEHOLDER.encode())]),
        ("_bool", -1, [digit == "1" for byte in BYTES_OF_IT for digit in f"{byte:08b}"]),
    ],
)
def test_placeholders_where_debezium_has_none(name: str, typmod: int, wanted: Any) -> None:
    """A null or an empty list would be taken for the value."""
    found = kind(name, typmod)
    assert found.unchanged == wanted
    write_value(Writer(), found.schema, found.unchanged)  # the schema can hold it
    assert kind(name, typmod, cdc_debezium_faults=True).unchanged is None
    assert kind(name, typmod, unavailable_value_placeholder="").unchanged is None


def test_a_double_of_a_numeric_is_the_placeholders_number() -> None:
    assert kind("numeric", decimal_handling_mode="double").unchanged == float(int.from_bytes(PLACEHOLDER.encode()))
    assert kind("numeric", decimal_handling_mode="double", unavailable_value_placeholder="x" * 1000).unchanged > 1e200
    assert kind("_numeric", decimal_handling_mode="double").unchanged == BYTES_OF_IT
    assert kind("_numeric", decimal_handling_mode="string").unchanged == [PLACEHOLDER]


def test_what_stands_for_an_unchanged_value_by_mode() -> None:
    for mode in ("hex", "base64", "base64-url-safe"):
        assert kind("bytea", binary_handling_mode=mode).unchanged == PLACEHOLDER
    assert kind("hstore", hstore_handling_mode="map").unchanged == {PLACEHOLDER: PLACEHOLDER}
    assert kind("numeric", decimal_handling_mode="string").unchanged == PLACEHOLDER
    assert kind("_int4", unavailable_value_placeholder="hex:7fff").unchanged == [127, -1]
    assert kind("bytea", unavailable_value_placeholder="hex:00ff").unchanged == b"\0\xff"
    assert kind("text", unavailable_value_placeholder="hex:00ff").unchanged == "\0\ufffd"
    assert uuid.UUID(PLACEHOLDER_UUID).version == 3


def test_malformed_placeholder_is_refused() -> None:
    with pytest.raises(ValueError, match="hex"):
        placeholder_bytes("hex:zz")


@pytest.mark.parametrize(
    ("name", "typmod", "wanted"),
    [
        ("int4", -1, 0),
        ("bool", -1, False),
        ("text", -1, ""),
        ("uuid", -1, ""),
        ("jsonb", -1, "{}"),
        ("bytea", -1, b""),
        ("float8", -1, 0.0),
        ("numeric", (5 << 16 | 2) + 4, b"\0"),
        ("numeric", -1, (0, b"\0")),
        ("money", -1, b"\0"),
        ("date", -1, 0),
        ("timestamp", -1, 0),
        ("timestamptz", -1, "1970-01-01T00:00:00Z"),
        ("timetz", -1, "00:00:00Z"),
        ("bit", 8, b""),
        ("_text", -1, []),
        ("mood", -1, ""),
        ("interval", -1, 0),
        ("hstore", -1, "{}"),
    ],
)
def test_what_stands_for_a_null_in_a_required_column(name: str, typmod: int, wanted: Any) -> None:
    assert fallback(schema(name, typmod)) == wanted


def test_structs_fall_back_to_their_fields() -> None:
    found = schema("point")
    assert fallback(found)[:2] == (0.0, 0.0)
    assert fallback(replace(found, name="other")) == (0.0, 0.0, None, None)
    assert [fallback(schema("hstore", hstore_handling_mode="map")), fallback(schema("sparsevec"))] == [{}, (0, {})]
    assert schema("geography").type == STRUCT
    assert fallback(schema("geography")) == (bytes.fromhex("010700000000000000"), None)
