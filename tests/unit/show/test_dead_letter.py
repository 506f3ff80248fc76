"""Dead letters: a record as JSON, whatever is wrong with it."""

from __future__ import annotations

import json
from typing import Any

from cdc.codecs.wrappers import ConstantCodec, MappingCodec
from cdc.core.errors import ConvertError
from cdc.core.interfaces import Failed
from cdc.core.record import CREATE, DELETE, TOMBSTONE, TRUNCATE, Message
from cdc.core.schema import FLOAT64, STRING, Schema, struct
from cdc.show.dead_letter import dead_letter
from tests.unit.converters.tables import INT, LEFT_OUT, STR, column, record, row, table

ID = column(0, "id", INT)
OF = table([ID, column(1, "n", INT, optional=True), column(2, "s", STR, optional=True, unchanged="?")], [ID])


def letter(given: Any) -> tuple[Any, Any]:
    key, value = dead_letter(Failed(given, ConvertError("no"), "VALUE_CONVERTER"))
    return None if key is None else json.loads(key), json.loads(value)


def test_a_column_that_cannot_be_decoded_has_what_the_server_sent() -> None:
    key, value = letter(record(CREATE, OF, None, row(b"1", b"many", b"a")))
    assert key == {"id": 1}
    assert value["after"] == {"id": 1, "n": "many", "s": "a"}
    assert (value["op"], value["before"], value["source"]["table"]) == ("c", None, "t")
    key, value = letter(record(CREATE, OF, None, row(b"one", b"\xff\x00", LEFT_OUT)))
    assert key == {"id": "one"}
    assert value["after"] == {"id": "one", "n": "/wA=", "s": "?"}


def test_a_masked_column_stays_masked() -> None:
    masked = [column(1, "a", MappingCodec(INT, lambda value: -value), optional=True),
              column(2, "b", ConstantCodec(STR.schema, "***"), optional=True, null_value="***")]
    of = table([ID, *masked], [ID])
    assert letter(record(CREATE, of, None, row(b"1", b"7", b"geheim")))[1]["after"] == {"id": 1, "a": -7, "b": "***"}
    assert letter(record(CREATE, of, None, row(b"1", b"geheim", None)))[1]["after"] == {
        "id": 1, "a": "[hidden]", "b": "***"}


def test_every_kind_of_record_has_a_letter() -> None:
    old = row(b"1", None, None)
    assert letter(record(DELETE, OF, old, None))[1]["before"] == {"id": 1, "n": None, "s": None}
    assert letter(record(TOMBSTONE, OF, old, None)) == ({"id": 1}, None)
    assert letter(record(TRUNCATE, OF, None, None))[1]["after"] is None
    of = struct("x", [("a", Schema(FLOAT64)), ("b", Schema(STRING))])
    assert letter(Message("t", Schema(STRING), "k", of, (float("nan"), "\ud800"))) == ("k", {"a": "nan", "b": "?"})
    assert letter(Message("t", None, None, None, {"c": [float("inf"), b"x"]})) == (None, {"c": ["inf", "b'x'"]})
