"""The small converters' output, against Kafka Connect's rules and the golden headers."""

from __future__ import annotations

import math
from typing import Any

import pytest

from cdc.converters import simple
from cdc.core.errors import ConfigError, ConvertError
from cdc.core.schema import (
    ARRAY,
    BOOLEAN,
    BYTES,
    DECIMAL,
    FLOAT32,
    FLOAT64,
    INT16,
    INT32,
    INT64,
    MAP,
    STRING,
    Schema,
    optional,
    semantic,
    struct,
)

KEY = struct("srv.inv.t.Key", [("id", Schema(INT32)), ("code", Schema(STRING)), ("n", optional(STRING))])
AMOUNT = Schema(BYTES, name=DECIMAL, version=1, parameters=(("scale", "2"),))


def header(schema: Schema | None, value: Any) -> bytes | None:
    return simple.SimpleHeaderConverter().from_connect("t", schema, value)


def text(schema: Schema | None, value: Any) -> bytes | None:
    return simple.StringConverter().from_connect("t", schema, value)


@pytest.mark.parametrize(("schema", "value", "wanted"), [
    (Schema(STRING), 'plain "text"', b'plain "text"'),
    (KEY, (1001, 'a"\\', None), b'{"id":1001,"code":"a\\"\\\\","n":null}'),
    (Schema(BYTES), b"\x00\x96", b"AJY="),
    (Schema(ARRAY, items=Schema(BYTES)), [b"\x00\x96"], b'["AJY="]'),
    (Schema(MAP, keys=Schema(STRING), items=Schema(FLOAT64)), {"a": 1e21}, b'{"a":1.0E21}'),
    (AMOUNT, b"\x00\x96", b"1.50"),
    (struct("x.Y", [("a", AMOUNT)]), (b"\x00\x96",), b'{"a":1.50}'),
    (struct("x.Y", [("a", Schema(STRING, optional=True, default="new"))]), (None,), b'{"a":"new"}'),
    (semantic(INT32, "org.apache.kafka.connect.data.Date"), 19482, b"2023-05-05"),
    (semantic(INT32, "org.apache.kafka.connect.data.Time"), 3_661_001, b"01:01:01.001Z"),
    (semantic(INT64, "org.apache.kafka.connect.data.Timestamp"), 1_683_244_800_001, b"2023-05-05T00:00:00.001Z"),
    (semantic(INT32, "io.debezium.time.Date"), 19482, b"19482"),
    (None, [1, "a", None, True], b'[1,"a",null,true]'),
    (optional(STRING), None, None),
])
def test_headers(schema: Schema | None, value: Any, wanted: bytes | None) -> None:
    assert header(schema, value) == wanted


@pytest.mark.parametrize(("schema", "value", "wanted"), [
    (KEY, (1, "x", None), b"Struct{id=1,code=x}"),
    (Schema(ARRAY, items=optional(INT64)), [1, None], b"[1, null]"),
    (Schema(MAP, keys=Schema(STRING), items=Schema(BOOLEAN)), {"a": True, "b": False}, b"{a=true, b=false}"),
    (Schema(FLOAT32), 0.1, b"0.1"),
    (Schema(FLOAT64), math.nan, b"NaN"),
    (Schema(STRING), "é", "é".encode()),
    (AMOUNT, b"\x00\x96", b"1.50"),
    (None, None, None),
])
def test_strings(schema: Schema | None, value: Any, wanted: bytes | None) -> None:
    assert text(schema, value) == wanted


def test_string_encoding_can_be_chosen() -> None:
    made = simple.StringConverter()
    made.configure({"converter.encoding": "ISO-8859-1"}, False)
    assert made.from_connect("t", Schema(STRING), "é\u0416") == b"\xe9?"
    with pytest.raises(ConfigError, match="character encoding"):
        made.configure({"converter.encoding": "UTF-99"}, False)


@pytest.mark.parametrize(("made", "schema", "value", "wanted"), [
    (simple.ShortConverter(), Schema(INT16), -2, b"\xff\xfe"),
    (simple.IntegerConverter(), Schema(INT32), 1, b"\0\0\0\1"),
    (simple.LongConverter(), Schema(INT64), 1, b"\0\0\0\0\0\0\0\1"),
    (simple.FloatConverter(), Schema(FLOAT32), 1.5, b"\x3f\xc0\0\0"),
    (simple.DoubleConverter(), Schema(FLOAT64), 1.5, b"\x3f\xf8\0\0\0\0\0\0"),
    (simple.BooleanConverter(), Schema(BOOLEAN), True, b"\1"),
    (simple.ByteArrayConverter(), Schema(BYTES), b"ab", b"ab"),
    (simple.ByteArrayConverter(), optional(BYTES), None, None),
    (simple.IntegerConverter(), None, None, None),
])
def test_single_values(made: Any, schema: Schema | None, value: Any, wanted: bytes | None) -> None:
    assert made.from_connect("t", schema, value) == wanted


@pytest.mark.parametrize("made", [simple.ByteArrayConverter(), simple.IntegerConverter()])
def test_other_types_are_refused(made: Any) -> None:
    with pytest.raises(ConvertError, match="JsonConverter"):
        made.from_connect("t", Schema(STRING), "x")


def test_a_number_too_large_is_refused_without_showing_it() -> None:
    with pytest.raises(ConvertError) as caught:
        simple.ShortConverter().from_connect("t", Schema(INT16), 123456)
    assert "123456" not in str(caught.value)
