"""Column mappers: which applies, what it does to schema, values, nulls and left-out values."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import pytest

from cdc.core.avro import Writer
from cdc.core.codec import Codec
from cdc.core.errors import ConfigError
from cdc.core.schema import BYTES, DECIMAL, INT32, STRING, Schema, optional, semantic
from cdc.core.table import TableId
from cdc.debezium.mappers import ColumnSource, Mapped, cut, java_serialized, map_column, mapper_for, mapper_rules

TABLE = TableId("db", "inv", "customers")
EMAIL = ColumnSource("email", "varchar", 255, 0, True)
UNLIMITED = 2147483647
OPTIONAL_TEXT = optional(STRING)


class Text(Codec):
    def value(self, data: bytes, start: int, end: int) -> Any:
        return data[start:end].decode()


class Raw(Codec):
    def value(self, data: bytes, start: int, end: int) -> Any:
        return data[start:end]


def mapped(option: str, column: ColumnSource = EMAIL, schema: Schema = OPTIONAL_TEXT, codec: Codec | None = None,
           **stand_ins: Any) -> Mapped:
    mapper = mapper_for(mapper_rules({option: ".*"}), TABLE, column)
    assert mapper is not None
    codec = codec or Text(schema.as_optional(False))
    return map_column(mapper, column, schema, codec, codec, **stand_ins)


def value(field: Mapped, data: bytes) -> Any:
    """What *data* becomes, the same by both codecs and both ways."""
    assert field.binary_codec is not None
    out = Writer()
    for codec in (field.codec, field.binary_codec):
        codec.encode(out, b"<" + data + b">", 1, 1 + len(data))
        assert field.codec.value(b"<" + data + b">", 1, 1 + len(data)) == codec.value(data, 0, len(data))
    result = field.codec.value(data, 0, len(data))
    expected = Writer()
    expected.put_bytes(result if isinstance(result, bytes) else result.encode())
    assert out.take() == 2 * expected.take()
    return result


def test_truncate_cuts_text_and_says_so_in_the_schema() -> None:
    field = mapped("column.truncate.to.3.chars", unchanged="__debezium_unavailable_value")
    assert field.schema.parameters == (("truncateLength", "3"),)
    assert value(field, b"abcdef") == "abc"
    assert value(field, b"ab") == "ab"
    assert field.unchanged == "__d"
    assert field.null_value is None


def test_truncate_leaves_columns_alone_that_are_no_longer() -> None:
    field = mapped("column.truncate.to.255.chars")
    assert field.schema.parameters == ()
    assert value(field, b"x" * 300) == "x" * 300
    assert mapped("column.truncate.to.255.chars", replace(EMAIL, length=None)).schema.parameters


def test_truncate_cuts_plain_bytes_and_no_decimals() -> None:
    data = ColumnSource("data", "bytea", UNLIMITED, 0, False)
    assert value(mapped("column.truncate.to.2.chars", data, optional(BYTES), Raw(Schema(BYTES))), b"\1\2\3") == b"\1\2"
    decimal = semantic(BYTES, DECIMAL, scale="2")
    field = mapped("column.truncate.to.2.chars", ColumnSource("n", "numeric", 9, 2, False), decimal, Raw(decimal))
    assert field.schema.parameters == (("scale", "2"), ("truncateLength", "2"))
    assert value(field, b"\1\2\3") == b"\1\2\3"


@pytest.mark.parametrize(("text", "limit", "kept"), [
    ("abc", 0, ""), ("abc", 5, "abc"), ("é日本", 2, "é日"), ("a😀b", 3, "a😀"), ("a😀b", 2, "a?"),
    ("😀", 1, "?"), ("😀", 0, ""), ("a😀b", 4, "a😀b"),
])
def test_cut_counts_utf16_units(text: str, limit: int, kept: str) -> None:
    assert cut(text, limit) == kept


def test_mask_hides_texts_and_nulls() -> None:
    field = mapped("column.mask.with.4.chars", unchanged="__debezium_unavailable_value")
    assert field.schema.parameters == (("masked", "true"),)
    assert value(field, b"secret") == "****"
    assert (field.null_value, field.unchanged, field.ineffective) == ("****", "****", False)
    assert mapped("column.mask.with.0.chars").null_value == ""


def test_mask_on_another_type_is_without_effect_and_says_so() -> None:
    column = ColumnSource("id", "int4", 10, 0, False)
    field = mapped("column.mask.with.4.chars", column, Schema(INT32), Text(Schema(INT32)))
    assert field.ineffective
    assert field.schema.parameters == (("masked", "true"),)
    assert field.codec.value(b"12", 0, 2) == "12"
    assert field.null_value is None


def test_hash_is_of_salt_and_java_serialized_text() -> None:
    field = mapped("column.mask.hash.SHA-256.with.salt.CzQMA0cB5K")
    digest = hashlib.sha256(b"CzQMA0cB5K" + bytes.fromhex("aced000574000474657374")).hexdigest()
    assert value(field, b"test") == digest
    assert field.schema.parameters == (("masked", "true"),)
    assert field.null_value is None


def test_hash_v2_is_of_salt_and_utf8() -> None:
    field = mapped("column.mask.hash.v2.MD5.with.salt.a.b")
    assert value(field, "ü".encode()) == hashlib.md5("a.bü".encode()).hexdigest()


def test_hash_is_cut_to_the_length_of_the_column() -> None:
    field = mapped("column.mask.hash.v2.SHA-256.with.salt.s", replace(EMAIL, length=10))
    assert value(field, b"x") == hashlib.sha256(b"sx").hexdigest()[:10]
    assert len(value(mapped("column.mask.hash.v2.SHA-256.with.salt.s", replace(EMAIL, length=None)), b"x")) == 64


def test_null_of_required_column_is_mapped_as_what_stands_for_it() -> None:
    option = "column.mask.hash.v2.SHA-1.with.salt.s"
    assert mapped(option, schema=Schema(STRING), fallback="").null_value == hashlib.sha1(b"s").hexdigest()
    field = mapped(option, schema=Schema(STRING, default="x"), fallback="")
    assert field.null_value == hashlib.sha1(b"sx").hexdigest()
    assert field.schema.default == "x"


@pytest.mark.parametrize(("text", "written"), [
    ("", "aced0005740000"), ("A", "aced000574000141"), ("\0é", "aced0005740004c080c3a9"),
    ("😀", "aced0005740006eda0bdedb880"),
])
def test_java_serialized_is_modified_utf8(text: str, written: str) -> None:
    assert java_serialized(text).hex() == written


def test_java_serialized_long_text_has_a_long_length() -> None:
    assert java_serialized("x" * 65535)[:7].hex() == "aced000574ffff"
    assert java_serialized("x" * 65536)[:13].hex() == "aced00057c0000000000010000"


@pytest.mark.parametrize(("name", "bits"), [
    ("MD5", 128), ("SHA", 160), ("SHA1", 160), ("sha-1", 160), ("SHA-224", 224), ("SHA-384", 384), ("SHA-512", 512),
    ("SHA-512/256", 256), ("SHA3-256", 256), ("SHA3-512", 512),
])
def test_hash_algorithms_have_their_java_names(name: str, bits: int) -> None:
    assert len(value(mapped(f"column.mask.hash.{name}.with.salt.s", replace(EMAIL, length=None)), b"x")) == bits // 4


@pytest.mark.parametrize("name", ["SHA256", "MD2", "sha3_256", "CRC32", "blake2b", "v2"])
def test_unknown_hash_algorithm_is_refused_without_telling_the_salt(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        mapper_rules({f"column.mask.hash.{name}.with.salt.pepper": "a"})
    assert "pepper" not in str(caught.value) + str(caught.value.option)
    assert caught.value.option == f"column.mask.hash.{name}.with.salt.*"


def test_salt_is_not_in_the_repr() -> None:
    assert "pepper" not in repr(mapper_rules({"column.mask.hash.MD5.with.salt.pepper": "a"}))


def test_propagate_notes_source_type_in_order() -> None:
    field = mapped("column.propagate.source.type", replace(EMAIL, comment="c", type_name="varchar"))
    prefix = "__debezium.source.column."
    assert field.schema.parameters == tuple((prefix + key, text) for key, text in [
        ("type", "VARCHAR"), ("length", "255"), ("scale", "0"), ("comment", "c"), ("name", "email")])
    assert not field.ineffective
    bare = mapped("column.propagate.source.type", replace(EMAIL, length=None, scale=None, comment=""))
    assert [key for key, _ in bare.schema.parameters] == [prefix + "type", prefix + "name"]


@pytest.mark.parametrize(("pattern", "matches"), [
    ("inv.customers.email", True), ("INV.Customers.EMAIL", True), ("db.inv.customers.email", True),
    (r".*\.email", True), ("customers.email", False), ("email", False),
    ("inv.customers.email2, inv.customers.email", True),
])
def test_columns_are_named_with_or_without_database(pattern: str, matches: bool) -> None:
    rules = mapper_rules({"column.mask.with.1.chars": pattern})
    assert (mapper_for(rules, TABLE, EMAIL) is not None) == matches


def test_datatype_is_matched_by_table_and_type() -> None:
    rules = mapper_rules({"datatype.propagate.source.type": r".+\.serial,inv\.customers\.VARCHAR"})
    assert mapper_for(rules, TABLE, EMAIL) is not None
    assert mapper_for(rules, TABLE, replace(EMAIL, type_name="text")) is None
    assert mapper_for(rules, TABLE, replace(EMAIL, type_name="serial")) is not None


def test_first_rule_wins_whatever_the_order_of_keys() -> None:
    options = ["column.mask.hash.v2.MD5.with.salt.s", "column.mask.hash.MD5.with.salt.s",
               "datatype.propagate.source.type", "column.propagate.source.type",
               "column.mask.with.1.chars", "column.truncate.to.1.chars"]
    names = [type(rule.mapper).__name__ for rule in mapper_rules(dict.fromkeys(options, ".*"))]
    assert names == ["Truncate", "Mask", "Propagate", "Propagate", "Hash", "Hash"]
    serialized = [rule.mapper.serialized for rule in mapper_rules(dict.fromkeys(options, ".*"))[4:]]  # type: ignore[attr-defined]
    assert serialized == [True, False]


def test_other_keys_are_nobodys_business() -> None:
    config = {"column.mask.with.x.chars": "a", "column.include.list": "b", "column.mask.with.1.chars": None}
    assert mapper_rules(config) == ()
