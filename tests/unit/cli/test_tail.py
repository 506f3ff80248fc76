"""cdc/cli/tail: decoding, without a broker or a pipeline."""

from __future__ import annotations

import io
import json
from decimal import Decimal
from typing import Any

import fastavro
import pytest

from cdc.cli.tail.decode import Decoder, Registry, avro_plain
from cdc.cli.tail.pipeline import _server_sent
from cdc.cli.tail.printer import Dropped, Event
from cdc.core.errors import ConfigError

NUMBER = {"type": "record", "name": "VariableScaleDecimal", "namespace": "io.debezium.data",
          "connect.name": "io.debezium.data.VariableScaleDecimal",
          "fields": [{"name": "scale", "type": "int"}, {"name": "value", "type": "bytes"}]}
ROW = {"type": "record", "name": "Value", "namespace": "srv.t", "fields": [
    {"name": "id", "type": "int"},
    {"name": "day", "type": ["null", {"type": "int", "connect.name": "io.debezium.time.Date"}], "default": None},
    {"name": "price", "type": {"type": "bytes", "scale": 2, "precision": 5, "logicalType": "decimal",
                               "connect.name": "org.apache.kafka.connect.data.Decimal"}},
    {"name": "raw", "type": "bytes"},
    {"name": "n", "type": NUMBER},
    {"name": "m", "type": ["null", "io.debezium.data.VariableScaleDecimal"], "default": None},
]}
TIME = {"type": "long", "connect.name": "io.debezium.time.MicroTimestamp"}
ENVELOPE = {"type": "record", "name": "Envelope", "namespace": "srv.t", "fields": [
    {"name": "before", "type": ["null", ROW], "default": None},
    {"name": "after", "type": ["null", "Value"], "default": None},
    {"name": "times", "type": {"type": "array", "items": TIME}},
]}
VALUE = {"before": None, "times": [0], "after": {
    "id": 1, "day": 1, "price": Decimal("1.50"), "raw": b"\x00\xff", "n": {"scale": 1, "value": b"\x0f"},
    "m": {"scale": 0, "value": b"\x02"}}}


class FakeRegistry(Registry):
    """Answers from a dict instead of a socket."""

    def __init__(self, answers: dict[str, Any]) -> None:
        super().__init__("http://u:p@h:1/base/")
        self.answers = answers
        self.asked: list[str] = []

    def _get(self, path: str) -> Any:
        self.asked.append(path)
        return self.answers[path]


def framed(schema_id: int, body: bytes) -> bytes:
    return b"\0" + schema_id.to_bytes(4, "big") + body


def encoded() -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(ENVELOPE), VALUE)
    return out.getvalue()


def test_avro_is_decoded_with_the_schema_of_its_id_asked_once() -> None:
    registry = FakeRegistry({"/schemas/ids/7": {"schema": json.dumps(ENVELOPE)}})
    decoder = Decoder(registry, readable=True)
    for _ in range(2):
        assert decoder.decode(framed(7, encoded())) == {
            "before": None, "times": ["1970-01-01 00:00:00"],
            "after": {"id": 1, "day": "1970-01-02", "price": "1.50", "raw": "AP8=", "n": "1.5", "m": "2"}}
    assert registry.asked == ["/schemas/ids/7"]


def test_values_stay_as_they_are_for_machines() -> None:
    registry = FakeRegistry({"/schemas/ids/7": {"schema": json.dumps(ENVELOPE)}})
    value = Decoder(registry, readable=False).decode(framed(7, encoded()))
    assert (value["after"]["day"], value["times"]) == (1, [0])


def test_bytes_that_do_not_fit_are_said_not_skipped() -> None:
    registry = FakeRegistry({"/schemas/ids/7": {"schema": json.dumps(ENVELOPE)}})
    assert "do not fit schema 7" in Decoder(registry, readable=True).decode(framed(7, b"\x02"))


def test_framed_json_is_json() -> None:
    registry = FakeRegistry({"/schemas/ids/7": {"schema": "{}", "schemaType": "JSON"}})
    assert Decoder(registry, readable=True).decode(framed(7, b'{"a": 1}')) == {"a": 1}


def test_without_a_registry_framed_values_say_what_is_missing() -> None:
    with pytest.raises(ConfigError) as caught:
        Decoder(None, readable=True).decode(framed(7, b""))
    assert caught.value.option == "--registry"


@pytest.mark.parametrize(("data", "value"), [
    (None, None), (b'{"a": 1}', {"a": 1}), (b'{"schema": {}, "payload": {"a": 1}}', {"a": 1}), (b"text", "text"),
    (b"\xff\x01", "\\xff\x01"), (b"", ""), (b"12", 12),
])
def test_json_and_text_need_no_registry(data: bytes | None, value: Any) -> None:
    assert Decoder(None, readable=True).decode(data) == value


def test_a_union_of_several_types_is_left_alone() -> None:
    assert avro_plain(["null", "int", "string"], "x") == "x"


def test_the_registrys_user_is_sent_and_never_shown() -> None:
    registry = Registry("https://user:p%40w@h:1/base/")
    assert registry._headers["Authorization"] == "Basic dXNlcjpwQHc="
    assert registry._url == "https://h:1/base"


@pytest.mark.parametrize("url", ["h:1", "ftp://h", "http://", "http://h:x", "http://[h"])
def test_a_bad_registry_address_is_a_config_error(url: str) -> None:
    with pytest.raises(ConfigError):
        Registry(url)


def test_server_sent_events_are_read() -> None:
    lines = [b": listening\n", b"\n", b"event: change\n",
             b'data: {"topic": "t", "key": null, "value": {"a": "\xc3\xa9"}}\n', b"\n",
             b"event: dropped\r\n", b'data: {"count": 3}\r\n', b"\n", b"event: other\n", b"data: {}\n", b"\n"]
    assert list(_server_sent(lines)) == [Event("t", None, {"a": "é"}), Dropped(3)]
