"""Default expressions, as pg_get_expr prints them, become the defaults of fields."""

from __future__ import annotations

from typing import Any

import pytest

from cdc.core.codec import Codec
from cdc.core.schema import (
    BOOLEAN,
    BYTES,
    DECIMAL,
    FLOAT32,
    FLOAT64,
    INT16,
    INT32,
    INT64,
    STRING,
    STRUCT,
    Schema,
    semantic,
)
from cdc.sources.postgres.defaults import default_value
from cdc.sources.shared.columns import Default


class Text(Codec):
    """A codec whose values are the texts it was given."""

    def value(self, data: bytes, start: int, end: int) -> Any:
        return data[start:end].decode()


class Integer(Text):
    def value(self, data: bytes, start: int, end: int) -> Any:
        value = int(super().value(data, start, end))
        if not -(2**31) <= value < 2**31:
            raise ValueError("out of range")
        return value


TEXT = Text(Schema(STRING))
INT = Integer(Schema(INT32))
BOOL = Text(Schema(BOOLEAN))
BITS = Text(Schema(BYTES))
VARIABLE = Text(Schema(STRUCT))


def numeric(precision: int, scale: int) -> int:
    return ((precision << 16) | (scale & 0x7FF)) + 4


@pytest.mark.parametrize(("type_name", "codec", "expression", "value"), [
    ("int4", INT, "42", 42),
    ("int4", INT, "'-7'::integer", -7),
    ("int4", INT, " 1 ", 1),
    ("int4", INT, "nextval('inv.t_num_s_seq'::regclass)", 0),
    ("int2", Text(Schema(INT16)), "nextval('s'::regclass)", "0"),
    ("int8", Text(Schema(INT64)), "'9223372036854775807'::bigint", "9223372036854775807"),
    ("float8", Text(Schema(FLOAT64)), "2.5", 2.5),
    ("float8", Text(Schema(FLOAT64)), "random()", 0.0),
    ("float4", Text(Schema(FLOAT32)), "1.1", 1.1),
    ("float4", Text(Schema(FLOAT32)), "1234567890.5", 1234567900.0),
    ("bool", BOOL, "true", True),
    ("bool", BOOL, "false", False),
    ("bool", BOOL, "f()", False),
    ("text", TEXT, "'hey ''q'''::text", "hey 'q'"),
    ("text", TEXT, "''::text", ""),
    ("text", TEXT, r"'a\b'::text", r"a\b"),
    ("text", TEXT, "'text(parens)'::text", "text(parens)"),
    ("text", TEXT, "upper('x'::text)", ""),
    ("text", TEXT, "('a'::text || 'b'::text)", "a"),
    ("text", TEXT, "CURRENT_USER", "CURRENT_USER"),
    ("text", TEXT, " 1 ", " 1 "),
    ("varchar", TEXT, "'two\nlines'::character varying", "two\nlines"),
    ("bpchar", TEXT, "'abcd'::bpchar", "abcd"),
    ("json", TEXT, "'{\"a\": 1}'::json", '{"a": 1}'),
    ("jsonb", TEXT, "jsonb_build_object()", "{}"),
    ("uuid", TEXT, "gen_random_uuid()", "00000000-0000-0000-0000-000000000000"),
    ("uuid", TEXT, "'00000000-0000-0000-0000-000000000001'::uuid", "00000000-0000-0000-0000-000000000001"),
    ("date", TEXT, "'1999-12-31'::date", "1999-12-31"),
    ("date", TEXT, "CURRENT_DATE", "1970-01-01"),
    ("time", TEXT, "LOCALTIME(3)", "00:00:00"),
    ("timestamp", TEXT, "LOCALTIMESTAMP", "1970-01-01 00:00:00"),
    ("timestamp", TEXT, "timezone('utc'::text, now())", "1970-01-01 00:00:00"),
    ("timestamptz", TEXT, "(now() + '1 day'::interval)", "1970-01-01 00:00:00+00"),
    ("timestamptz", TEXT, "CURRENT_TIMESTAMP", "1970-01-01 00:00:00+00"),
    ("interval", TEXT, "'1 day'::interval", "1 day"),
    ("bit", BOOL, "'1'::\"bit\"", True),
    ("bit", BOOL, "B'0'::\"bit\"", False),
    ("bit", BITS, "B'101'::\"bit\"", "101"),
    ("bit", BITS, "B'0'::\"bit\"", b"\0"),
    ("bit", BOOL, "f()", False),
    ("bit", BITS, "f()", "00"),
    ("varbit", BITS, "B'110'::\"bit\"", "110"),
    ("varbit", BITS, "f()", "0"),
    ("varbit", BOOL, "f()", False),
])
def test_literal_or_call_gives_default(type_name: str, codec: Codec, expression: str, value: Any) -> None:
    assert default_value(expression, type_name, codec) == Default(value, True)


@pytest.mark.parametrize(("type_name", "expression"), [
    ("int4", None),
    ("int4", "NULL::integer"),
    ("text", "NULL::character varying"),
    ("text", "NULL"),
    ("posint", "5"),
    ("_int4", "'{1,2}'::integer[]"),
    ("bytea", "'\\x00'::bytea"),
    ("inet", "'::1'::inet"),
])
def test_no_default_and_nothing_to_warn_of(type_name: str, expression: str | None) -> None:
    assert default_value(expression, type_name, TEXT) == Default(None, True)


@pytest.mark.parametrize(("type_name", "codec", "expression"), [
    ("int4", INT, "(-7)"),
    ("int4", INT, "(1 + 2)"),
    ("int4", INT, "1.5"),
    ("int4", INT, "99999999999"),
    ("int4", INT, "'open"),
    ("numeric", TEXT, "'NaN'::numeric"),
    ("float8", Text(Schema(FLOAT64)), "'NaN'::double precision"),
    ("float4", Text(Schema(FLOAT32)), "1e39"),
    ("numeric", TEXT, "(1.5 * 2)"),
    ("numeric", VARIABLE, "1.5"),
    ("bit", BOOL, "''::\"bit\""),
])
def test_what_does_not_parse_gives_no_default_and_says_so(type_name: str, codec: Codec, expression: str) -> None:
    assert default_value(expression, type_name, codec) == Default(None, False)


@pytest.mark.parametrize(("expression", "scale", "text"), [
    ("1.5", 3, "1.500"), ("'-1'::integer", 2, "-1.00"), ("f()", 0, "0"), ("1.50", 1, "1.5"), ("100", -2, "100"),
    ("'1e5'::numeric", 2, "100000.00"), ("0", 16000, "0." + "0" * 16000),
])
def test_decimal_is_padded_to_the_scale_of_the_column(expression: str, scale: int, text: str) -> None:
    precise = Text(semantic(BYTES, DECIMAL, scale=str(scale)))
    assert default_value(expression, "numeric", precise) == Default(text, True)
    if -1000 <= scale <= 1000:
        assert default_value(expression, "numeric", TEXT, typmod=numeric(10, scale)) == Default(text, True)


def test_decimal_default_with_more_digits_than_its_column_is_left_out() -> None:
    assert default_value("1.55", "numeric", TEXT, typmod=numeric(6, 1)) == Default(None, False)


def test_decimal_without_modifier_is_taken_as_written() -> None:
    assert default_value("1.50", "numeric", TEXT) == Default("1.50", True)


@pytest.mark.parametrize(("expression", "label"), [
    ("'ok'::inv.mood", "ok"), ("'ok'::mood", "ok"), ("'ok'::\"inv\".\"mood\"", "ok"), ("''::mood", ""),
    ("'it''s'::mood", "it''s"), ("'a::b'::mood", "a::b"),
    ("'ok'::other", None), ("next_mood()", None), ("lower('OK'::text)::mood", None), ("NULL::mood", None),
])
def test_enum_default_needs_a_cast_to_the_enum(expression: str, label: str | None) -> None:
    assert default_value(expression, "mood", TEXT, is_enum=True) == Default(label, True)


def test_enum_name_may_need_quotes() -> None:
    assert default_value("'x'::\"a.b\".\"My \"\"T\"\"\"", 'My "T"', TEXT, is_enum=True) == Default("x", True)
