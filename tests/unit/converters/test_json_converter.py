"""JsonConverter's output, against the real one's."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from cdc.converters.json import JsonConverter
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
    struct,
)
from tests.unit.converters.connect_json import golden_files, golden_records, schema_of, value_of

AMOUNT = Schema(BYTES, name=DECIMAL, version=1, parameters=(("scale", "2"),))


def converter(**settings: str) -> JsonConverter:
    made = JsonConverter()
    made.configure({key.replace("_", "."): value for key, value in settings.items()}, False)
    return made


def payload(schema: Schema | None, value: Any, **settings: str) -> str:
    found = converter(schemas_enable="false", **settings).from_connect("t", schema, value)
    assert found is not None
    return found.decode()


@pytest.mark.parametrize("path", golden_files(), ids=lambda path: path.name)
def test_golden_records_member_by_member(path: Path) -> None:
    made = converter()
    for record in golden_records(path):
        for side in ("key", "value"):
            wanted = record.get(side)
            if wanted is None:
                continue
            schema = schema_of(wanted["schema"])
            text = made.from_connect(record["topic"], schema, value_of(schema, wanted["payload"]))
            assert text is not None
            assert json.dumps(json.loads(text)) == json.dumps(wanted)


def test_documented_example() -> None:
    schema = struct("srv.public.t.Value", [
        ("id", Schema(INT32)),
        ("dec", Schema(BYTES, name=DECIMAL, version=1,
                       parameters=(("scale", "2"), ("connect.decimal.precision", "10")))),
        ("d", Schema(INT16, optional=True, default=7)),
    ], 3, optional=True)
    assert converter().from_connect("t", schema, (1, b"\x00\x96", None)) == (
        b'{"schema":{"type":"struct","fields":[{"type":"int32","optional":false,"field":"id"},'
        b'{"type":"bytes","optional":false,"name":"org.apache.kafka.connect.data.Decimal","version":1,'
        b'"parameters":{"scale":"2","connect.decimal.precision":"10"},"field":"dec"},'
        b'{"type":"int16","optional":true,"default":7,"field":"d"}],"optional":true,"name":"srv.public.t.Value",'
        b'"version":3},"payload":{"id":1,"dec":"AJY=","d":7}}')


@pytest.mark.parametrize(("schema", "value", "text"), [
    (Schema(FLOAT64), 1e21, "1.0E21"),
    (Schema(FLOAT64), 1, "1.0"),
    (Schema(FLOAT32), 0.1, "0.1"),
    (Schema(FLOAT64), math.nan, '"NaN"'),
    (Schema(FLOAT32), -math.inf, '"-Infinity"'),
    (Schema(BOOLEAN), True, "true"),
    (Schema(STRING), 'é"\\\n\x1f', '"é\\"\\\\\\n\\u001F"'),
    (Schema(BYTES), b"\x00\x96", '"AJY="'),
    (Schema(ARRAY, items=optional(FLOAT64)), [1.5, None], "[1.5,null]"),
    (Schema(MAP, keys=Schema(STRING), items=Schema(INT64)), {"a": 1}, '{"a":1}'),
    (Schema(MAP, keys=Schema(INT32), items=Schema(STRING)), {1: "a"}, '[[1,"a"]]'),
    (AMOUNT, b"\x00\x96", '"AJY="'),
    (None, {"a": [1, 2.0, b"\x00"]}, '{"a":[1,2.0,"AA=="]}'),
    (optional(STRING), None, "null"),
])
def test_payloads(schema: Schema | None, value: Any, text: str) -> None:
    assert payload(schema, value) == text


def test_numeric_decimals_keep_their_zeros() -> None:
    assert payload(AMOUNT, b"\x00\x96", decimal_format="numeric") == "1.50"


def test_null_with_default_is_the_default_unless_told_otherwise() -> None:
    schema = struct("x.Y", [("a", Schema(STRING, optional=True, default="new"))])
    assert payload(schema, (None,)) == '{"a":"new"}'
    assert payload(schema, (None,), replace_null_with_default="false") == '{"a":null}'


def test_no_schema_and_no_value_is_a_tombstone() -> None:
    assert converter().from_connect("t", None, None) is None


def test_null_with_a_schema_is_not_a_tombstone() -> None:
    found = converter().from_connect("t", optional(STRING), None)
    assert found == b'{"schema":{"type":"string","optional":true},"payload":null}'


def test_no_schema_is_written_as_null() -> None:
    assert converter().from_connect("t", None, "x") == b'{"schema":null,"payload":"x"}'


def test_null_where_a_value_is_required_names_topic_and_type() -> None:
    with pytest.raises(ConvertError, match="INT32"):
        converter().from_connect("t", struct("x.Y", [("a", Schema(INT32))]), (None,))


def test_a_value_that_does_not_fit_is_not_shown() -> None:
    with pytest.raises(ConvertError) as caught:
        converter().from_connect("t", struct("x.Y", [("a", Schema(STRING))]), ("secret", "more"))
    assert "secret" not in str(caught.value)


def test_unknown_decimal_format_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"decimal\.format"):
        converter(decimal_format="HEX")
