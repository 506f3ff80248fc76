"""InsertHeader and DropHeaders, and the types that a literal has (tried with Kafka Connect 4.1's `Values`)."""

from __future__ import annotations

from typing import Any

import pytest

from cdc.converters.simple import SimpleHeaderConverter
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
    Schema,
)
from cdc.transforms.literal import parse_literal
from tests.unit.converters.tables import TOPIC
from tests.unit.transforms.worlds import change, kept, one_step

DATE, TIME, STAMP = (f"org.apache.kafka.connect.data.{name}" for name in ("Date", "Time", "Timestamp"))


@pytest.mark.parametrize(("text", "schema", "value"), [
    ("true", Schema(BOOLEAN), True), ("false", Schema(BOOLEAN), False), ("null", None, None),
    ("42", Schema(INT8), 42), ("-129", Schema(INT16), -129), ("70000", Schema(INT32), 70_000),
    ("3000000000", Schema(INT64), 3_000_000_000), ("3.5", Schema(FLOAT32), 3.5), ("1e3", Schema(INT16), 1000),
    ("1e300", Schema(FLOAT64), 1e300), ("1.5e300", Schema(FLOAT64), 1.5e300), ("+7", Schema(INT8), 7),
    ("txt", Schema(STRING), "txt"), ("a, b", Schema(STRING), "a, b"), (" x", Schema(STRING), " x"),
    ("1.2.3", Schema(STRING), "1.2.3"), ("true}", Schema(STRING), "true}"), ('"quoted"', Schema(STRING), '"quoted"'),
    ("2024-01-02", Schema(INT32, name=DATE, version=1), 19_724),
    ("03:04:05.678Z", Schema(INT32, name=TIME, version=1), 11_045_678),
    ("2024-01-02T03:04:05.678Z", Schema(INT64, name=STAMP, version=1), 1_704_164_645_678),
    ("[1,2]", Schema(ARRAY, items=Schema(INT8)), [1, 2]), ("[1, 300]", Schema(ARRAY, items=Schema(INT16)), [1, 300]),
    ('["a", null]', Schema(STRING), '["a", null]'), ("[]", Schema(ARRAY), []),
    ('[1,"a"]', Schema(ARRAY), [1, "a"]), ("[1,", Schema(STRING), "[1,"), ("[a]", Schema(STRING), "[a]"),
    ('{"a":1,"b":2.5}', Schema(MAP, keys=Schema(STRING), items=Schema(FLOAT32)), {"a": 1.0, "b": 2.5}),
    ('{"a":[true]}', Schema(MAP, keys=Schema(STRING), items=Schema(ARRAY, items=Schema(BOOLEAN))), {"a": [True]}),
    ('[[1],["a"]]', Schema(ARRAY, items=Schema(ARRAY, items=Schema(STRING))), [[1], ["a"]]),
    ("99999999999999999999", Schema(BYTES, name=DECIMAL, version=1, parameters=(("scale", "0"),)),
     (10**20 - 1).to_bytes(9, "big")),
    ("{}", Schema(MAP), {}), ("{a", Schema(STRING), "{a"),
])
def test_a_literal_has_the_type_that_kafka_connect_reads(text: str, schema: Schema | None, value: Any) -> None:
    found = parse_literal(text)
    assert (found.schema, found.value) == (schema, value)
    assert isinstance(found.value, type(value))


def test_a_header_is_added_behind_others_of_its_name() -> None:
    config = {"transforms": "a,b", **{f"transforms.{alias}.{key}": text for alias, value in (("a", "1"), ("b", "x"))
              for key, text in (("type", "InsertHeader"), ("header", "n"), ("value.literal", value))}}
    view = kept(config, change())
    assert [(header.name, header.value) for header in view.headers] == [("ctx", "mysql"), ("n", 1), ("n", "x")]
    texts = [SimpleHeaderConverter().from_connect(TOPIC, header.schema, header.value) for header in view.headers]
    assert texts == [b"mysql", b"1", b"x"]
    assert not view.value_replaced


def test_all_headers_of_a_name_are_dropped() -> None:
    view = kept(one_step("DropHeaders", headers="ctx, other"), change())
    assert list(view.headers) == []
    untouched = kept(one_step("DropHeaders", headers="other"), change())
    assert (len(untouched.headers), untouched.headers_replaced) == (1, False)


@pytest.mark.parametrize("text", ["[" * 5000, '{"a":' * 5000])
def test_a_literal_that_is_nested_too_deeply_is_text(text: str) -> None:
    assert parse_literal(text) == (Schema(STRING), text)
