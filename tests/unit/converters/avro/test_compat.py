"""When two Avro schemas mean the same bytes."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from cdc.converters.avro.compat import first_difference

ROW = {"type": "record", "name": "Value", "fields": [{"name": "n", "type": "int"}]}


def record(*fields: tuple[str, Any], **more: Any) -> str:
    return json.dumps({"type": "record", "name": "Envelope", "namespace": "x",
                       "fields": [{"name": name, "type": kind} for name, kind in fields], **more})


@pytest.mark.parametrize(("ours", "theirs"), [
    (record(("a", "int")), record(("a", {"type": "int", "connect.type": "int16"}), doc="d", aliases=["z"])),
    (record(("a", ["null", ROW]), ("b", "Value")), record(("a", ["null", ROW]), ("b", "x.Value"))),
    (record(("a", "string")), record(("a", {"type": "string", "avro.java.string": "String"}))),
    ('"bytes"', '{"type":"bytes"}'),
    ('{"type":"record","name":"x.Y","fields":[]}', '{"type":"record","name":"Y","namespace":"x","fields":[]}'),
    (record(("a", {"type": "array", "items": {"type": "map", "values": "long"}})),
     record(("a", {"type": {"type": "array", "items": {"type": "map", "values": {"type": "long"}}}}))),
])
def test_alike(ours: str, theirs: str) -> None:
    assert first_difference(ours, theirs) is None


@pytest.mark.parametrize(("ours", "theirs", "said"), [
    (record(("a", "int")), record(("a", "long")), "a is int here and long there"),
    (record(("a", "int")), record(), "a is a field here only"),
    (record(), record(("a", "int")), "a is a field there only"),
    (record(("a", "int"), ("b", "int")), record(("b", "int"), ("a", "int")), "another order"),
    (record(("a", ["null", "int"])), record(("a", ["int", "null"])), r"\[null, int\] here"),
    (record(("a", ["null", ROW])), record(("a", ["null", {**ROW, "fields": []}])), "a.n is a field here only"),
    (record(("a", {"type": "bytes", "logicalType": "decimal", "scale": 2})),
     record(("a", {"type": "bytes", "logicalType": "decimal", "scale": 3})), "scale 2 here and a decimal of scale 3"),
    (record(("a", "string")), record(("a", {"type": "enum", "name": "E", "symbols": ["A"]})), "enum x.E there"),
    (record(("a", "string")), '"string"', "the schema is record x.Envelope here and string there"),
])
def test_differing(ours: str, theirs: str, said: str) -> None:
    found = first_difference(ours, theirs)
    assert found is not None
    assert re.search(said, found), found


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"type":"record","name":"x"}'])
def test_what_is_no_schema_says_so(text: str) -> None:
    with pytest.raises(ValueError, match=r"not an Avro schema|Expecting value"):
        first_difference('"int"', text)
