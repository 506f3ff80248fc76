"""Values of enums whose labels the schema does not name, found once for each value."""

from __future__ import annotations

from typing import Any

import pytest

from cdc.codecs.postgres.array import ArrayCodec
from cdc.codecs.text import TextCodec
from cdc.core.schema import ARRAY, STRING, Schema, semantic
from cdc.core.table import Column
from cdc.sources.postgres import enums
from cdc.sources.postgres.enums import EnumColumn


def enum_column(*labels: str, array: bool = False) -> EnumColumn:
    codec: Any = TextCodec(semantic(STRING, "io.debezium.data.Enum", allowed=",".join(labels)))
    if array:
        codec = ArrayCodec(Schema(ARRAY, items=codec.schema), codec)
    column = Column(0, "x", "x", "mood", codec.schema, codec, None, codec.schema, codec, None)
    known = set() if array else {label.encode() for label in labels}
    return EnumColumn(0, column, 20001, frozenset(labels), known)


@pytest.mark.parametrize(("array", "raw", "unknown"), [
    (False, b"c", ["c"]), (False, b"b,b", []), (True, b"{a,c,d}", ["c", "d"]), (True, b"{}", []),
    (True, b'{"b,b"}', []), (True, b"{{c},{d}}", []), (True, b"broken", []), (True, b"{a,NULL}", []),
])
def test_labels_that_the_schema_does_not_name(array: bool, raw: bytes, unknown: list[str]) -> None:
    assert enum_column("a", "b,b", array=array).unknown_labels(raw, binary=False) == unknown


def test_without_a_binary_codec_binary_values_have_no_labels() -> None:
    assert enum_column("a").unknown_labels(b"c", binary=True) == []


def test_the_known_values_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enums, "_MOST_KNOWN", 3)
    column = enum_column("a", array=True)
    for number in range(10):
        column.accept(b"{a%d}" % number)
        assert len(column.known) <= 4
