"""Values without a schema, as Confluent's `Anything`."""

from __future__ import annotations

import io
import json
from typing import Any

import fastavro
import pytest

from cdc.converters.avro.schemaless import TEXT
from cdc.core.errors import ConvertError
from tests.unit.converters.tables import avro

SCHEMA = fastavro.parse_schema(json.loads(TEXT))


def plain(found: Any) -> Any:
    """A record `Anything` as the value it stands for."""
    given = {name: value for name, value in found.items() if value is not None}
    assert len(given) <= 1
    for name, value in given.items():
        if name == "array":
            return [plain(item) for item in value]
        if name == "map":
            return {plain(item["key"]): plain(item["value"]) for item in value}
        return value
    return None


@pytest.mark.parametrize("value", [
    True, False, 7, -(2**63), 1.5, "text", b"\0\1", [], [1, None, ["a"]], {}, {"a": 1, "b": {"c": None}},
])
def test_each_type_has_its_field(value: Any) -> None:
    converter = avro()
    data = converter.from_connect("t", None, value)
    assert data is not None
    assert converter.schema_text(int.from_bytes(data[1:5])) == TEXT
    stream = io.BytesIO(data[5:])
    assert plain(fastavro.schemaless_reader(stream, SCHEMA, None)) == value
    assert stream.read() == b""


def test_the_bytes_are_confluents() -> None:
    """From a recording: a missing key that HoistField wrapped."""
    data = avro(True).from_connect("t", None, {"k": None})
    assert data is not None
    assert data[5:].hex() == "0000000000000000020200000000000002026b000000000000000000000000"


def test_other_types_are_refused_and_null_is_kafkas() -> None:
    assert avro().from_connect("t", None, None) is None
    with pytest.raises(ConvertError, match="does not fit its schema"):
        avro().from_connect("t", None, object())
