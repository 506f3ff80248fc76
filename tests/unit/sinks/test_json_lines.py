from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from cdc.core.interfaces import Outgoing
from cdc.sinks.json_lines import json_line


def line(key: bytes | None, value: bytes | None, **more: Any) -> object:
    outgoing = Outgoing("t", key, value, -1, (), "public.t")._replace(**more)
    text = json_line(outgoing)
    assert text.endswith(b"}\n")
    assert text.count(b"\n") == 1
    return json.loads(text)


def test_json_stands_as_it_is() -> None:
    assert json_line(Outgoing("t", b'{"id": 1.50}', b'"\xc3\xa9"', -1, (), "")) == (
        b'{"topic":"t","key":{"id": 1.50},"value":"\xc3\xa9"}\n'
    )


def test_null_is_null() -> None:
    assert line(None, None) == {"topic": "t", "key": None, "value": None}


@pytest.mark.parametrize("content", [b"", b"\x00\x00\x00\x00\x01\x02", b"abc", b"{", b"1 2", b'"\xff"', b"NaN"])
def test_anything_else_is_base64_under_another_name(content: bytes) -> None:
    found = line(b"1", content)
    assert found == {"topic": "t", "key": 1, "value_base64": base64.b64encode(content).decode()}


def test_json_of_several_lines_becomes_one() -> None:
    assert line(None, b'{\r\n "a": "x y"\n}') == {"topic": "t", "key": None, "value": {"a": "x y"}}


def test_headers_and_partition_are_there_when_given() -> None:
    headers = [("a", b'{"b":1}'), ("a", b"\xff"), ("n", None)]
    assert line(None, b"1", headers=headers, kafka_partition=0) == {
        "topic": "t", "key": None, "value": 1, "kafka_partition": 0,
        "headers": [
            {"name": "a", "value": {"b": 1}}, {"name": "a", "value_base64": "/w=="}, {"name": "n", "value": None},
        ],
    }
