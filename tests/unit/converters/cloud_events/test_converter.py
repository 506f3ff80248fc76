"""CloudEventsConverter: events as Debezium's, from values and from Avro, and what the CloudEvents library reads."""

from __future__ import annotations

import itertools
import json
import weakref
from typing import Any

import pytest
from cloudevents.v1.http import from_json

from cdc.converters.apicurio.converter import ApicurioAvroConverter
from cdc.converters.avro.converter import AvroConverter
from cdc.converters.cloud_events.converter import CloudEventsConverter
from cdc.converters.cloud_events.event import event_time, extension_name
from cdc.converters.registry.client import MockRegistry
from cdc.core.avro import Writer
from cdc.core.errors import ConfigError, ConvertError
from cdc.core.interfaces import PrintsAvro, ReadsHeaders
from cdc.core.schema import INT32, INT64, STRING, Schema, optional, struct
from cdc.core.view import Header
from tests.unit.converters.connect_json import GOLDEN, golden_records, schema_of, value_of
from tests.unit.converters.from_avro import avro

_scopes = itertools.count()
RECORDED = list(golden_records(GOLDEN / "cloud-events" / "recorded.jsonl.gz"))
FILES = sorted({case["file"] for case in RECORDED})
SOURCE = struct("io.debezium.connector.mariadb.Source", [
    ("version", Schema(STRING)), ("connector", Schema(STRING)), ("name", Schema(STRING)), ("ts_ms", Schema(INT64)),
    ("snapshot", Schema(STRING, optional=True, default="false")), ("db", Schema(STRING)),
    ("file", Schema(STRING)), ("pos", Schema(INT64)), ("row", Schema(INT32))])
ROW = struct("srv.d.t.Value", [("id", Schema(INT32)), ("name", optional(STRING))], optional=True)
ENVELOPE = struct("srv.d.t.Envelope", [("before", ROW), ("after", ROW), ("source", SOURCE), ("op", Schema(STRING)),
                                       ("ts_ms", optional(INT64))])
EVENT = (None, (1, "a"), ("3", "mariadb", "srv", 1_700_000_000_123, None, "d", "bin.1", 4, 0), "c", 5)


class Told:
    """Stands for the Avro converter, as in the recording: it is told what to write."""

    null_is_default = True

    def __init__(self) -> None:
        self.seen: list[tuple[str, Schema, Any]] = []

    def from_connect(self, topic: str, schema: Schema, value: Any) -> bytes:
        self.seen.append((topic, schema, value))
        return bytes((0, 0, 0, 0, len(self.seen), 65))


def make(**settings: str) -> CloudEventsConverter:
    return made_of({key.replace("_", "."): value for key, value in settings.items()})


def made_of(settings: dict[str, str]) -> CloudEventsConverter:
    made = CloudEventsConverter()
    made.configure(settings, False)
    return made


@pytest.mark.parametrize("file", FILES)
def test_events_as_debeziums(file: str) -> None:
    sources = list(golden_records(GOLDEN / file))
    for case in RECORDED:
        if case["file"] != file:
            continue
        made, told = made_of(case["config"]), Told()
        if made._avro is not None:
            made._avro = told  # type: ignore[assignment]
        source = sources[case["record"]]["value"]
        schema = schema_of(source["schema"])
        value = value_of(schema, source["payload"])
        if case.get("row"):
            schema, value = schema.fields[1].schema, value[1]
        headers = [Header(name, schema_of(each["schema"]), value_of(schema_of(each["schema"]), each["payload"]))
                   for name, each in case.get("headers", {}).items()]
        found = made._with_headers("t", headers, schema, value)
        if "value" in case:
            assert (found and found.decode()) == case["value"], case["config"]
        assert [(topic, name, [*map(repr, values)]) for topic, name, values in told.seen] == [
            (each["topic"], schema_of(each["connect"]["schema"]),
             [*map(repr, value_of(schema_of(each["connect"]["schema"]), each["connect"]["payload"]))])
            for each in case["avro"]]


@pytest.mark.parametrize("settings", [
    {}, {"json.schemas.enable": "false"}, {"extension.attributes.enable": "false", "json.decimal.format": "numeric"},
    {"data.serializer.type": "avro"}, {"data.serializer.type": "avro", "serializer.type": "avro"}], ids=str)
def test_events_are_the_same_from_avro(settings: dict[str, str]) -> None:
    registry = {"avro.schema.registry.url": f"mock://ce{next(_scopes)}"} if "avro" in str(settings) else {}
    made = made_of({**settings, **registry})
    for file in FILES:
        for record in golden_records(GOLDEN / file):
            source = record["value"]
            if source and (source["schema"].get("name") or "").endswith(".Envelope"):
                schema = schema_of(source["schema"])
                value = value_of(schema, source["payload"])
                assert made._printer("t", schema).printed(avro(schema, value)) == made.from_connect("t", schema, value)


def test_mariadbs_data_are_the_whole_event() -> None:
    for settings in ({"json.schemas.enable": "false"}, {
            "data.serializer.type": "avro", "avro.schema.registry.url": f"mock://ce{next(_scopes)}"}):
        made = made_of(settings)
        found = made.from_connect("t", ENVELOPE, EVENT)
        assert made._printer("t", ENVELOPE).printed(avro(ENVELOPE, EVENT)) == found
    event = json.loads(make(json_schemas_enable="false").from_connect("t", ENVELOPE, EVENT) or b"")
    assert event["id"] == "name:srv;file:bin.1;pos:4"
    assert event["iodebeziumpos"] == "4"
    assert event["iodebeziumrow"] == 0
    assert event["iodebeziumsnapshot"] == "false"
    assert event["iodebeziumtxid"] is None
    assert list(event["data"]) == ["before", "after", "source", "op", "ts_ms"]


def test_the_cloudevents_library_reads_it() -> None:
    found = from_json((make(json_schemas_enable="false").from_connect("t", ENVELOPE, EVENT) or b"").decode())
    assert (found["specversion"], found["type"], found["source"], found["time"], found["datacontenttype"]) == (
        "1.0", "io.debezium.connector.mariadb.DataChangeEvent", "/debezium/mariadb/srv", "2023-11-14T22:13:20.123Z",
        "application/json")
    assert found["iodebeziumop"] == "c"
    assert found.data["after"] == {"id": 1, "name": "a"}


def test_avro_within_json_and_avro_within_avro() -> None:
    scope = f"ce{next(_scopes)}"
    given = {"data.serializer.type": "avro", "avro.schema.registry.url": f"mock://{scope}"}
    event = json.loads(made_of(given).from_connect("t", ENVELOPE, EVENT) or b"")
    assert event["dataschema"] == f"mock://{scope}/schemas/ids/1"
    assert event["datacontenttype"] == "application/avro"
    framed = made_of({**given, "serializer.type": "avro"}).from_connect("t", ENVELOPE, EVENT)
    assert framed is not None
    assert int.from_bytes(framed[1:5], "big") == 2
    registry = MockRegistry.named(scope)
    assert set(registry.subjects) == {"t-value", "t-data-value"}
    assert json.loads(registry.schemas[2])["namespace"] == "srv.d.CloudEvents"


def test_which_avro() -> None:
    for key, kind in (("schema.registry.url", AvroConverter), ("apicurio.registry.url", ApicurioAvroConverter)):
        made = made_of({"data.serializer.type": "avro", f"avro.{key}": "mock://some"})
        assert type(made._avro) is kind


def test_what_is_no_change_event() -> None:
    made = make()
    for name in ("io.debezium.connector.common.Heartbeat", "io.debezium.connector.common.TransactionMetadataValue",
                 "io.debezium.connector.mysql.SchemaChangeValue"):
        assert made.from_connect("t", struct(name, [("ts_ms", Schema(INT64))]), (1,)) is None
    assert made.from_connect("t", ENVELOPE, None) is None
    assert made.from_connect("t", None, None) is None
    for schema, value in ((ROW, (1, "a")), (Schema(STRING), "a")):
        with pytest.raises(ConvertError, match="no change event"):
            made.from_connect("t", schema, value)
        with pytest.raises(ConvertError, match="no change event"):
            made._printer("t", schema)
    with pytest.raises(ConvertError, match="no change event of a connector"):
        made.from_connect("t", ENVELOPE, (*EVENT[:2], ("3", "oracle", *EVENT[2][2:]), *EVENT[3:]))
    with pytest.raises(ConvertError, match="does not fit its schema"):
        made.from_connect("t", ENVELOPE, (*EVENT[:2], (1, 2, 3, "no"), *EVENT[3:]))


def test_headers() -> None:
    made = make(metadata_source="header")
    assert isinstance(made, ReadsHeaders)
    assert not isinstance(made, PrintsAvro)
    assert isinstance(make(), PrintsAvro)
    assert not isinstance(make(), ReadsHeaders)
    with pytest.raises(ConvertError, match="no headers source and op"):
        made.from_connect("t", ROW, (1, "a"))
    with pytest.raises(ConvertError, match="no header id"):
        make(metadata_source="value,id:header").from_connect("t", ENVELOPE, EVENT)


def test_bytes_that_are_no_envelope_are_an_error() -> None:
    good = avro(ENVELOPE, EVENT)
    printer = make()._printer("t", ENVELOPE)
    wanted = printer.printed(good)
    for broken in (*(good[:size] for size in range(len(good))), good + b"\0", b"\x01" + good[1:]):
        with pytest.raises(ConvertError):
            printer.printed(broken)
        assert printer.printed(good) == wanted
    out = Writer()
    out.put_byte(0)
    with pytest.raises(ConvertError):
        make()._printer("t", ENVELOPE.as_optional()).printed(out.take())


def test_times() -> None:
    assert [event_time(ms) for ms in (0, -1, 1_700_000_000_120, -62_135_596_800_000)] == [
        "1970-01-01T00:00:00.000Z", "1969-12-31T23:59:59.999Z", "2023-11-14T22:13:20.120Z", "0001-01-01T00:00:00.000Z"]
    with pytest.raises(ConvertError, match="outside of the years"):
        event_time(1 << 60)


def test_names_of_extension_attributes() -> None:
    assert extension_name("ts_ms") == "iodebeziumtsms"
    assert extension_name("txId") == "iodebeziumtxId"
    assert extension_name("total_order", "tx") == "iodebeziumtxtotalorder"


@pytest.mark.parametrize(("settings", "option"), [
    ({"serializer.type": "xml"}, "serializer.type"), ({"serializer.type": "avro"}, "data.serializer.type"),
    ({"data.serializer.type": "avro"}, "avro.schema.registry.url"),
    ({"metadata.source": "generate"}, "metadata.source"),
    ({"metadata.source": "value,name:header"}, "metadata.source"), ({"json.decimal.format": "x"}, "decimal.format"),
    ({"opentelemetry.tracing.attributes.enable": "true", "metadata.source": "value,traceparent:generate"},
     "metadata.source"),
])
def test_settings_are_checked(settings: dict[str, str], option: str) -> None:
    with pytest.raises(ConfigError) as caught:
        made_of(settings)
    assert caught.value.option == option


def test_keys_are_refused() -> None:
    with pytest.raises(ConfigError, match="values only"):
        CloudEventsConverter().configure({}, True)


def test_what_is_prepared_keeps_the_source_that_it_is_known_by() -> None:
    """If not, another source could get its identity, and so events of a wrong schema."""
    made = make()
    made.from_connect("t", ENVELOPE, EVENT)
    source = weakref.ref(made.source(SOURCE))
    made._sources.clear()
    assert source() is not None
