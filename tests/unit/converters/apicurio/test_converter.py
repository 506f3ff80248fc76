"""Apicurio's converters: which artifact, which id, and what stands before the value."""

from __future__ import annotations

import itertools
import json
import threading
from pathlib import Path
from typing import Any

import pytest

from cdc.converters.apicurio import client as apicurio
from cdc.converters.apicurio.client import Artifact, MockArtifacts, open_artifacts
from cdc.converters.apicurio.converter import EXT_JSON_OPTIONS, ApicurioAvroConverter, ExtJsonConverter
from cdc.converters.apicurio.settings import COMMON, ApicurioSettings
from cdc.converters.avro.schema import avro_schema
from cdc.converters.json import JsonConverter
from cdc.converters.plan import ColumnFailures
from cdc.converters.records import RecordConverter
from cdc.converters.simple import SimpleHeaderConverter
from cdc.core.errors import ConfigError, ConvertError, RegistryRefusedError
from cdc.core.interfaces import SinkSettings, WritesHeaders
from cdc.core.record import Message, Record
from cdc.core.schema import INT32, STRING, Schema, optional, struct
from cdc.sinks.file import build as file_sink
from tests.unit.converters.from_avro import avro, random_values
from tests.unit.converters.tables import NOW_US, TOPIC, read
from tests.unit.transforms.worlds import TABLE, chain, change, message, one_step

_scopes = itertools.count()
ROW = struct("srv.t.Value", [("id", Schema(INT32)), ("name", optional(STRING))])
LESS = struct("srv.t.Value", [("id", Schema(INT32))])


def make(kind: Any, is_key: bool = False, /, **settings: str) -> tuple[Any, MockArtifacts]:
    url = f"mock://apicurio{next(_scopes)}"
    made = kind()
    given = {f"apicurio.registry.{key.replace('_', '-').replace('--', '.')}": value for key, value in settings.items()}
    made.configure({"apicurio.registry.url": url, "apicurio.registry.auto-register": "true", **given}, is_key)
    return made, MockArtifacts.named(url)


def test_avro_behind_a_content_id_of_four_bytes() -> None:
    made, registry = make(ApicurioAvroConverter)
    framed = made.from_connect("t", ROW, (1, "a"))
    (ids, text), = registry.versions["default", "t-value"]
    assert framed == b"\0" + ids.content_id.to_bytes(4, "big") + avro(ROW, (1, "a"))
    assert text == avro_schema(ROW)
    assert registry.kinds == {"t-value": "AVRO"}
    assert made.wire_prefix("t", ROW) == framed[:5]
    assert made.from_connect("t", None, None) is None


def test_a_global_id_of_eight_bytes() -> None:
    made, registry = make(ApicurioAvroConverter, use_id="globalId",
                          id_handler="io.apicurio.registry.serde.Legacy8ByteIdHandler")
    framed = made.from_connect("t", ROW, (1, None))
    number = registry.versions["default", "t-value"][0][0].global_id
    assert framed[:9] == b"\0" + number.to_bytes(8, "big")


@pytest.mark.parametrize(("strategy", "is_key", "artifact"), [
    ("TopicIdStrategy", True, ("default", "t-key")), ("SimpleTopicIdStrategy", False, ("default", "t")),
    ("io.apicurio.registry.serde.avro.strategy.RecordIdStrategy", False, ("srv.t", "Value")),
    ("TopicRecordIdStrategy", False, ("srv.t", "t-Value")),
    ("QualifiedRecordIdStrategy", False, ("default", "srv.t.Value")),
])
def test_strategies(strategy: str, is_key: bool, artifact: tuple[str, str]) -> None:
    made, registry = make(ApicurioAvroConverter, is_key, artifact_resolver_strategy=strategy)
    made.from_connect("t", ROW, (1, None))
    assert list(registry.versions) == [artifact]


def test_an_explicit_artifact() -> None:
    made, registry = make(ApicurioAvroConverter, artifact__group_id="g", artifact__artifact_id="a")
    made.from_connect("t", ROW, (1, None))
    assert list(registry.versions) == [("g", "a")]
    made, _ = make(ApicurioAvroConverter, artifact_resolver_strategy="RecordIdStrategy")
    with pytest.raises(ConvertError, match="works only for records"):
        made.from_connect("t", Schema(INT32), 1)


def test_without_registering() -> None:
    made, registry = make(ApicurioAvroConverter, auto_register="false")
    with pytest.raises(RegistryRefusedError, match="not registered"):
        made.from_connect("t", ROW, (1, None))
    ids = registry.create(Artifact("default", "t-value", "AVRO"), avro_schema(ROW))
    assert made.schema_id("t", ROW) == ids.content_id
    latest, registry = make(ApicurioAvroConverter, auto_register="false", find_latest="true")
    registry.create(Artifact("default", "t-value", "AVRO"), avro_schema(ROW))
    latest.from_connect("t", ROW, (1, None))
    with pytest.raises(ConvertError, match="name is a field there only"):
        latest.from_connect("t", LESS, (1,))


def test_ext_json() -> None:
    made, registry = make(ExtJsonConverter, True)
    framed = made.from_connect("t", ROW, (1, "a"))
    (ids, text), = registry.versions["default", "t-key"]
    assert framed == b'{"schemaId":%d,"payload":{"id":1,"name":"a"}}' % ids.content_id
    plain = JsonConverter().from_connect("t", ROW, (1, "a"))
    assert plain is not None
    assert json.loads(text) == json.loads(plain)["schema"]
    assert registry.kinds == {"t-key": "KCONNECT"}
    assert made.from_connect("t", None, None) is None
    with pytest.raises(ConvertError, match="has no schema"):
        made.from_connect("t", None, 1)


def test_ext_json_of_any_value_is_the_same_from_avro() -> None:
    made, _ = make(ExtJsonConverter)
    for schema, value in random_values(200):
        assert made.printer("t", schema).printed(avro(schema, value)) == made.from_connect("t", schema, value)


@pytest.mark.parametrize(("settings", "option"), [
    ({}, "apicurio.registry.url"), ({"url": "registry:8080"}, "apicurio.registry.url"),
    ({"url": "http://a/apis/ccompat/v7"}, "apicurio.registry.url"),
    ({"url": "http://a", "artifact-resolver-strategy": "Mine"}, "apicurio.registry.artifact-resolver-strategy"),
    ({"url": "http://a", "schema-resolver": "Mine"}, "apicurio.registry.schema-resolver"),
    ({"url": "http://a", "serde.contract-rules.enabled": "true"}, "apicurio.registry.serde.contract-rules.enabled"),
    ({"url": "http://a", "auth.username": "me"}, "apicurio.registry.auth.password"),
    ({"url": "http://a", "auth.service.token.endpoint": "http://o"}, "apicurio.registry.auth.client.id"),
])
def test_settings_are_checked(settings: dict[str, str], option: str) -> None:
    for kind in (ApicurioAvroConverter, ExtJsonConverter):
        with pytest.raises(ConfigError) as caught:
            kind().configure({f"apicurio.registry.{key}": value for key, value in settings.items()}, False)
        assert caught.value.option == option


@pytest.mark.parametrize(("key", "value"), [
    ("id-handler", "Mine"), ("headers.handler", "com.acme.Mine"), ("use-schema-from-headers", "true"),
    ("use-id", "guid")])
def test_settings_of_ids_are_checked_where_they_have_an_effect(key: str, value: str) -> None:
    given = {"apicurio.registry.url": "mock://a", f"apicurio.registry.{key}": value}
    with pytest.raises(ConfigError) as caught:
        ApicurioAvroConverter().configure(given, False)
    assert caught.value.option == f"apicurio.registry.{key}"


@pytest.mark.parametrize(("handler", "size"), [
    ("Default4ByteIdHandler", 4), ("io.apicurio.registry.serde.OptimisticFallbackIdHandler", 4),
    ("DefaultIdHandler", 8), ("io.apicurio.registry.serde.Legacy8ByteIdHandler", 8), ("Legacy4ByteIdHandler", 4)])
@pytest.mark.parametrize("use_id", ["contentId", "globalId"])
def test_what_stands_before_the_value(handler: str, size: int, use_id: str) -> None:
    made, registry = make(ApicurioAvroConverter, use_id=use_id, id_handler=handler)
    framed = made.from_connect("t", ROW, (1, "a"))
    ids = registry.versions["default", "t-value"][0][0]
    number = ids.global_id if use_id == "globalId" else ids.content_id
    assert framed == b"\0" + number.to_bytes(size, "big") + avro(ROW, (1, "a"))
    assert not isinstance(made, WritesHeaders)


def converted(key: Any, value: Any, *records: Any) -> list[Any]:
    return RecordConverter(key, value, SimpleHeaderConverter(), ColumnFailures("fail"), [("ctx", "mysql")]).convert(
        records, NOW_US)


def test_its_values_are_nothing_for_avro_files(tmp_path: Path) -> None:
    """Their first bytes are no id of Confluent's, although they may look so."""
    with pytest.raises(ConfigError, match="Confluent's Schema Registry"):
        file_sink(SinkSettings({"sink.file.path": str(tmp_path), "sink.file.format": "avro"}, {}, {}, {},
                               make(ApicurioAvroConverter)[0]))


def test_ids_in_headers_follow_those_of_the_record() -> None:
    key, keys = make(ApicurioAvroConverter, True, headers__enabled="true", use_id="globalId")
    value, values = make(ApicurioAvroConverter, headers__enabled="true")
    created, gone = converted(key, value, change(), change(""))
    ids, = (found for found, _ in keys.versions["default", f"{TOPIC}-key"])
    key_headers = [("apicurio.key.globalId", ids.global_id.to_bytes(8, "big")), ("apicurio.key.encoding", b"BINARY")]
    ids, = (found for found, _ in values.versions["default", f"{TOPIC}-value"])
    assert list(created.headers) == [
        ("ctx", b"mysql"), *key_headers, ("apicurio.value.contentId", ids.content_id.to_bytes(8, "big")),
        ("apicurio.value.encoding", b"BINARY")]
    assert TABLE.key_schema is not None
    assert read(TABLE.key_schema, created.key) == {"id": 1}
    assert read(TABLE.envelope_schema, created.value)["op"] == "c"
    assert list(gone.headers) == [("ctx", b"mysql"), *key_headers], "a null has no schema"


@pytest.mark.parametrize("config", [
    {}, one_step("io.debezium.transforms.ExtractNewRecordState"),
    one_step("InsertField$Value", static_field="a", static_value="b"), one_step("RegexRouter", regex=".*",
                                                                               replacement="other")])
def test_ids_in_headers_come_with_every_way_a_record_may_take(config: dict[str, str]) -> None:
    """And a batch gives the bytes of a converter that writes them before the value, but for these."""
    with_headers, _ = make(ApicurioAvroConverter, headers__enabled="true")
    before, _ = make(ApicurioAvroConverter)
    records: list[Record | Message] = [change(), message({"a": 1})]
    shaped = chain(config).apply(records, NOW_US) if config else [*records, message("x", Schema(STRING))]
    found = converted(with_headers, with_headers, *shaped)
    for each, wanted in zip(found, converted(before, before, *shaped), strict=True):
        assert (each.topic, each.value) == (wanted.topic, wanted.value[5:])
        assert dict(each.headers)["apicurio.value.contentId"][4:] == wanted.value[1:5]


def test_header_names_can_be_chosen() -> None:
    made, _ = make(ApicurioAvroConverter, headers__enabled="true", headers__value__contentId__name="id")
    assert [name for name, _ in made.headers_of("t", ROW)] == ["id", "apicurio.value.encoding"]


def test_ext_json_writes_its_id_where_apicurio_does() -> None:
    """Whatever the settings of ids say, and it says so."""
    made, _ = make(ExtJsonConverter, headers__enabled="true", use_id="globalId", id_handler="Legacy8ByteIdHandler")
    assert not isinstance(made, WritesHeaders)
    assert json.loads(made.from_connect("t", ROW, (1, "a")))["schemaId"] == 1001
    given = {"apicurio.registry.url": "mock://a", "apicurio.registry.headers.enabled": "true"}
    notes = EXT_JSON_OPTIONS.parse(given).notes
    assert ["schemaId in the JSON" in note.text for note in notes] == [True]


class Recorded:
    """Stands for `RegistryHttp`: answers in order, and what was asked."""

    def __init__(self, *answers: tuple[int, Any]) -> None:
        self.answers = list(answers)
        self.seen: list[tuple[Any, ...]] = []

    def __call__(self, settings: Any, url: str, stop: Any) -> Recorded:
        self.url = url
        return self

    def request(self, method: str, path: str, body: Any = None, **more: Any) -> tuple[int, Any]:
        self.seen.append((method, path, body, more))
        return self.answers.pop(0)

    def shown(self) -> str:
        return self.url


def opened(monkeypatch: pytest.MonkeyPatch, http: Recorded, **settings: Any) -> Any:
    monkeypatch.setattr(apicurio, "_http", http)
    return open_artifacts(ApicurioSettings(**{"apicurio_registry_url": "http://a:8080", **settings}), threading.Event())


FOUND = {"globalId": 3, "contentId": 4}
ONE = Artifact("my group", "t/1", "AVRO")


def test_requests_of_version_3(monkeypatch: pytest.MonkeyPatch) -> None:
    http = Recorded((200, {"version": FOUND}), (200, {"versions": [{"state": "DISABLED"}, FOUND]}), (200, FOUND),
                    (200, {"type": "int"}))
    found = opened(monkeypatch, http)
    assert http.url == "http://a:8080/apis/registry/v3"
    assert found.create(ONE, "{}") == found.find(ONE, "{}") == (3, 4)
    assert found.version(ONE, None) == ((3, 4), '{"type": "int"}')
    assert [(method, path.partition("?")[0]) for method, path, *_ in http.seen] == [
        ("POST", "/groups/my%20group/artifacts"), ("POST", "/search/versions"),
        ("GET", "/groups/my%20group/artifacts/t%2F1/versions/branch=latest"), ("GET", "/ids/globalIds/3")]
    assert http.seen[0][2]["firstVersion"] == {"content": {"content": "{}", "contentType": "application/json"}}


def test_requests_of_version_2(monkeypatch: pytest.MonkeyPatch) -> None:
    http = Recorded((200, FOUND), (200, FOUND), (200, FOUND), (200, "int"))
    found = opened(monkeypatch, http, apicurio_registry_url="http://a/apis/registry/v2")
    assert found.create(ONE, "{}") == found.find(ONE, "{}") == (3, 4)
    assert found.version(ONE, "5") == ((3, 4), '"int"')
    assert http.seen[0][1] == "/groups/my%20group/artifacts?ifExists=RETURN_OR_UPDATE&canonical=false"
    assert http.seen[0][3]["headers"] == {"X-Registry-ArtifactId": "t/1", "X-Registry-ArtifactType": "AVRO"}
    assert http.seen[2][1] == "/groups/my%20group/artifacts/t%2F1/versions/5/meta"


@pytest.mark.parametrize(("answer", "message", "hint"), [
    ((404, {"title": "No artifact"}), "not registered", "apicurio.registry.auto-register=true"),
    ((409, {"title": "Rule"}), "not compatible", "compatibility rule"),
    ((400, {"title": "Incompatible artifact: t [AVRO]", "name": "RuleViolationException"}), "not compatible",
     "compatibility rule"),
    ((409, {"title": "Syntax", "name": "RuleViolationException"}), "calls the schema invalid", "adjustment.mode"),
    ((409, {"title": "An artifact with ID 't' in group 'g' already exists."}), "exists already", "if-exists=FIND_OR"),
    ((401, {}), "credentials", "apicurio.registry.auth"), ((403, {}), "denies access", "artifact"),
    ((200, {"version": {"globalId": "3"}}), "without the ids", "apicurio.registry.url"),
    ((405, None), "this does not answer as Apicurio Registry does", "apicurio.registry.url"),
])
def test_what_it_refuses_and_which_of_its_keys_helps(monkeypatch: pytest.MonkeyPatch, answer: tuple[int, Any],
                                                     message: str, hint: str) -> None:
    with pytest.raises(RegistryRefusedError, match=message) as caught:
        opened(monkeypatch, Recorded(answer)).create(ONE, "{}")
    assert hint in caught.value.hint
    assert "Schema Registry" not in str(caught.value) + caught.value.hint
    for confluents in ("schema.registry", "basic.auth", "auto.register", "bearer"):
        assert confluents not in caught.value.hint


def test_every_key_has_an_attribute() -> None:
    assert {each.attribute for each in COMMON} == set(ApicurioSettings.__dataclass_fields__)
