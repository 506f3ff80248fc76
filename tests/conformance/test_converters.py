"""What every converter promises: core/interfaces.py, `Converter`; on the key, the value and the header side."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from cdc import plugins
from cdc.converters.plan import ColumnFailures, ValuePlan
from cdc.converters.records import RecordConverter
from cdc.converters.registry.client import MockRegistry
from cdc.converters.simple import SimpleHeaderConverter
from cdc.core.errors import ConfigError, ConvertError
from cdc.core.interfaces import Converter, Delegates
from cdc.core.record import CREATE, DELETE, TOMBSTONE, UPDATE, Message, Record
from cdc.core.schema import (
    BOOLEAN,
    BYTES,
    FLOAT32,
    FLOAT64,
    INT16,
    INT32,
    INT64,
    STRING,
    Schema,
    optional,
    struct,
)
from tests.unit.converters.tables import INT, LEFT_OUT, NOW_US, STR, TOPIC, column, read, record, row, table

_scopes = itertools.count()
ROW = struct("srv.t.Value", [("id", Schema(INT32)), ("name", optional(STRING))])
REFUSED = object()
"""Where an output is expected: ConvertError."""


@dataclass(frozen=True)
class Case:
    """One configuration of one converter."""

    name: str
    class_name: str
    schema: Schema
    value: Any
    wanted: bytes | Callable[[bytes], bool]
    """Of *value*: the bytes, or whether they are right."""
    bad: Any
    """A value that does not fit *schema*, and its text must not be in the error. None: every value fits."""
    settings: Mapping[str, str] = field(default_factory=dict)
    null: Any = None
    """Of a null of an optional schema."""
    required_null: Any = None
    """Of a null of a required schema."""
    schemaless: Any = REFUSED
    """Of *schemaless_value* without a schema."""
    schemaless_value: Any = "text"
    structs: bool = True
    """Whether it takes row changes."""


def _avro(framed: bytes) -> bool:
    return framed[0] == 0 and bool(read(ROW, framed[5:]) == {"id": 7, "name": "é"})


def _connect(name: str) -> str:
    return f"org.apache.kafka.connect.{name}"


def _number(name: str, kind: str, value: Any, wanted: str, bad: Any = "secret") -> Case:
    return Case(name, _connect(f"converters.{name}Converter"), Schema(kind), value, bytes.fromhex(wanted), bad,
                schemaless=bytes.fromhex(wanted), schemaless_value=value, structs=False)


def _confluent(name: str) -> str:
    return f"io.confluent.connect.{name}Converter"


def _apicurio(name: str) -> str:
    return f"io.apicurio.registry.utils.converter.{name}Converter"


_JSON = _connect("json.JsonConverter")
_BINARY = "io.debezium.converters.BinaryDataConverter"
_ARTIFACTS = {"apicurio.registry.url": "mock://", "apicurio.registry.auto-register": "true"}
_ANYTHING = b"\0\0\0\0\1" + bytes(6) + b"\2\x08text" + bytes(2)
"""Confluent's schema for values without one: the text is the seventh of its fields, and the others are null."""
CASES = [
    Case("Avro", "io.confluent.connect.avro.AvroConverter", ROW, (7, "é"), _avro, ("secret", None),
         {"schema.registry.url": "mock://"}, required_null=REFUSED, schemaless=_ANYTHING),
    Case("Avro, nulls kept", "io.confluent.connect.avro.AvroConverter", ROW, (7, "é"), _avro, ("secret", None),
         {"schema.registry.url": "mock://", "ignore.default.for.nullables": "true"}, required_null=REFUSED,
         schemaless=_ANYTHING),
    Case("JSON with schemas", _JSON, ROW, (7, "é"),
         lambda found: json.loads(found)["payload"] == {"id": 7, "name": "é"}
         and json.loads(found)["schema"]["name"] == ROW.name, (1, "secret", 2),
         null=b'{"schema":{"type":"string","optional":true},"payload":null}', required_null=REFUSED,
         schemaless=b'{"schema":null,"payload":"text"}'),
    Case("JSON without schemas", _JSON, ROW, (7, "é"), '{"id":7,"name":"é"}'.encode(), (1, "secret", 2),
         {"schemas.enable": "false"}, null=b"null", required_null=REFUSED, schemaless=b'"text"'),
    Case("String", _connect("storage.StringConverter"), ROW, (7, "é"), "Struct{id=7,name=é}".encode(), (1, b"secret"),
         schemaless=b"text"),
    Case("SimpleHeader", _connect("storage.SimpleHeaderConverter"), ROW, (7, "é"), '{"id":7,"name":"é"}'.encode(),
         (1, b"secret"), schemaless=b"text"),
    Case("ByteArray", _connect("converters.ByteArrayConverter"), Schema(BYTES), b"\0a", b"\0a", "secret",
         schemaless=b"\0a", schemaless_value=b"\0a", structs=False),
    Case("JSON Schema", _confluent("json.JsonSchema"), ROW, (7, "é"), '\0\0\0\0\1{"id":7,"name":"é"}'.encode(),
         (1, "secret", 2), {"schema.registry.url": "mock://"}, null=b"\0\0\0\0\1null"),
    Case("Protobuf", _confluent("protobuf.Protobuf"), ROW, (7, "é"), b"\0\0\0\0\1\0\x08\7\x12\2" + "é".encode(),
         ("secret", None), {"schema.registry.url": "mock://"}),
    Case("Apicurio Avro", _apicurio("Avro"), ROW, (7, "é"),
         lambda found: bool(read(ROW, found[5:]) == {"id": 7, "name": "é"}), ("secret", None), _ARTIFACTS,
         required_null=REFUSED, schemaless=b"\0\0\0\3\xe9" + _ANYTHING[5:]),
    Case("Apicurio Avro, ids in headers", _apicurio("Avro"), ROW, (7, "é"),
         lambda found: bool(read(ROW, found) == {"id": 7, "name": "é"}), ("secret", None),
         {**_ARTIFACTS, "apicurio.registry.headers.enabled": "true"}, required_null=REFUSED, schemaless=_ANYTHING[5:]),
    Case("Binary", _BINARY, Schema(BYTES), b"\0a", b"\0a", "secret", schemaless=b"\0a", schemaless_value=b"\0a",
         structs=False),
    Case("Binary, and JSON for the rest", _BINARY, ROW, (7, "é"), '{"id":7,"name":"é"}'.encode(), (1, "secret", 2),
         {"delegate.converter.type": _JSON, "delegate.converter.type.schemas.enable": "false"}, null=b"null",
         required_null=REFUSED, schemaless=b'"text"'),
    Case("Apicurio ExtJson", _apicurio("ExtJson"), ROW, (7, "é"),
         '{"schemaId":1001,"payload":{"id":7,"name":"é"}}'.encode(), (1, "secret", 2), _ARTIFACTS,
         null=b'{"schemaId":1001,"payload":null}', required_null=REFUSED),
    _number("Short", INT16, -2, "fffe", 7_777_777),
    _number("Integer", INT32, 1, "00000001", 7_777_777_777_777),
    _number("Long", INT64, 1, "0000000000000001", 7 << 77),
    _number("Float", FLOAT32, 1.5, "3fc00000"),
    _number("Double", FLOAT64, 1.5, "3ff8000000000000"),
    _number("Boolean", BOOLEAN, True, "01", None),
]


def make(case: Case, is_key: bool = False) -> Any:
    made = plugins.find("converter", case.class_name).load()()
    if isinstance(made, Delegates):
        made.find_with(lambda name: plugins.find("converter", name).load()())
    made.configure(settings(case), is_key)
    return made


def settings(case: Case) -> dict[str, str]:
    """Those of *case*, with an empty registry."""
    return {key: value + (f"conformance{next(_scopes)}" if value == "mock://" else "")
            for key, value in case.settings.items()}


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.param
    return found


@pytest.fixture
def made(case: Case) -> Any:
    return make(case)


def cases(wanted: Callable[[Case], bool]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", [case for case in CASES if wanted(case)], ids=lambda case: case.name)


def outcome(made: Converter, schema: Schema | None, value: Any) -> Any:
    try:
        return made.from_connect(TOPIC, schema, value)
    except ConvertError:
        return REFUSED


def test_every_converter_of_the_product_is_here() -> None:
    """But the one for CloudEvents, which takes changes only: `tests/unit/converters/cloud_events`."""
    available = {plugin.class_name for plugin in plugins.PLUGINS if plugin.kind == "converter" and plugin.available}
    assert available - {"io.debezium.converters.CloudEventsConverter"} == {case.class_name for case in CASES}


def test_a_value_becomes_its_bytes_every_time(case: Case, made: Any) -> None:
    found = made.from_connect(TOPIC, case.schema, case.value)
    assert isinstance(found, bytes)
    assert case.wanted(found) if callable(case.wanted) else found == case.wanted
    assert made.from_connect(TOPIC, case.schema, case.value) == found
    assert made.from_connect(TOPIC, replace(case.schema), case.value) == found


def test_no_schema_and_no_value_is_a_tombstone(made: Any) -> None:
    assert made.from_connect(TOPIC, None, None) is None


def test_nulls(case: Case, made: Any) -> None:
    assert outcome(made, optional(STRING) if case.structs else case.schema.as_optional(), None) == case.null
    assert outcome(made, case.schema, None) == case.required_null


def test_values_without_a_schema(case: Case, made: Any) -> None:
    assert outcome(made, None, case.schemaless_value) == case.schemaless


@cases(lambda case: case.bad is not None)
def test_a_value_that_does_not_fit_is_an_error_with_topic_and_reason_and_without_the_value(case: Case,
                                                                                          made: Any) -> None:
    with pytest.raises(ConvertError) as caught:
        made.from_connect(TOPIC, case.schema, case.bad)
    error = caught.value
    assert error.context["topic"] == TOPIC
    assert error.context.get("cause") or error.context.get("field_type") or error.hint
    assert not error.retriable
    text = str(case.bad if not isinstance(case.bad, tuple) else "secret")
    assert text not in str(error)


def test_a_failure_leaves_nothing_behind(case: Case, made: Any) -> None:
    wanted = made.from_connect(TOPIC, case.schema, case.value)
    for _ in range(3):
        if case.bad is not None:
            assert outcome(made, case.schema, case.bad) is REFUSED
        assert made.from_connect(TOPIC, case.schema, case.value) == wanted


def test_topics_do_not_mix(case: Case, made: Any) -> None:
    first = made.from_connect("one", case.schema, case.value)
    second = made.from_connect("two", case.schema, case.value)
    assert second == first or case.settings == _ARTIFACTS  # elsewhere one schema has one id, whatever the subject
    assert made.from_connect("one", case.schema, case.value) == first


def test_keys_are_written_as_values_are(case: Case) -> None:
    assert make(case, True).from_connect(TOPIC, case.schema, case.value) == make(case).from_connect(
        TOPIC, case.schema, case.value)


def test_configuring_again_starts_afresh(case: Case, made: Any) -> None:
    wanted = made.from_connect(TOPIC, case.schema, case.value)
    made.configure(settings(case), False)
    assert made.from_connect(TOPIC, case.schema, case.value) == wanted


def test_check_and_close_may_come_at_any_time(case: Case, made: Any) -> None:
    for _ in range(2):
        for name in ("check", "close"):
            getattr(made, name, lambda: None)()
    made.from_connect(TOPIC, case.schema, case.value)
    getattr(made, "close", lambda: None)()


@pytest.mark.parametrize(("class_name", "settings", "option"), [
    ("io.confluent.connect.avro.AvroConverter", {}, "schema.registry.url"),
    ("io.confluent.connect.avro.AvroConverter", {"schema.registry.url": "mock://x", "auto.register.schemas": "?"},
     "auto.register.schemas"),
    (_JSON, {"decimal.format": "HEX"}, "decimal.format"),
    (_connect("storage.StringConverter"), {"converter.encoding": "UTF-99"}, "converter.encoding"),
])
def test_settings_that_make_no_sense_are_refused_by_name(class_name: str, settings: dict[str, str],
                                                         option: str) -> None:
    with pytest.raises(ConfigError) as caught:
        plugins.find("converter", class_name).load()().configure(settings, False)
    assert caught.value.option == option


# -- in a task: batches, by compiled plans where a converter has them --------------------------------------------------

ID = column(0, "id", INT)
NAME = column(1, "name", STR, optional=True, default="new", unchanged="?")
NOTE = column(2, "note", STR, optional=True, unchanged="?")
TABLE = table([ID, NAME, NOTE], [ID, NAME])


def changes() -> list[Record | Message]:
    old, new = row("1", "a", None), row("2", "é", LEFT_OUT)
    return [
        record(CREATE, TABLE, None, row("1", None, "x"), block=("571", 1, 1)),
        record(UPDATE, TABLE, old, row("1", LEFT_OUT, "y")),
        record(DELETE, TABLE, old, None, headers=(("__debezium.newkey", new),)),
        record(TOMBSTONE, TABLE, old, None),
        record(CREATE, TABLE, None, new, headers=(("__debezium.oldkey", old),)),
    ]


@cases(lambda case: case.structs)
def test_batches_give_the_bytes_of_from_connect(case: Case) -> None:
    key, value = make(case, True), make(case)
    alone_key, alone_value = make(case, True), make(case)
    values = ValuePlan(TABLE, ColumnFailures("fail"))
    found = RecordConverter(key, value, SimpleHeaderConverter(), ColumnFailures("fail")).convert(changes(), NOW_US)
    assert len(found) == 5
    for outgoing, change in zip(found, changes(), strict=True):
        assert isinstance(change, Record)
        other = change.before if change.key_row is change.after else None
        assert outgoing.key == alone_key.from_connect(TOPIC, TABLE.key_schema, values.key(change.key_row, other))
        assert outgoing.value == (None if change.op == TOMBSTONE else alone_value.from_connect(
            TOPIC, TABLE.envelope_schema, values.value(change, NOW_US)))


@cases(lambda case: not case.structs)
def test_a_converter_that_takes_no_rows_says_so(case: Case) -> None:
    converter = RecordConverter(make(case, True), make(case), SimpleHeaderConverter(), ColumnFailures("skip"))
    with pytest.raises(ConvertError, match="JsonConverter") as caught:
        converter.convert(changes(), NOW_US)
    assert caught.value.context["topic"] == TOPIC


@cases(lambda case: case.structs)
def test_on_the_header_side_key_structs_and_texts_are_taken(case: Case) -> None:
    header = make(case)
    converter = RecordConverter(make(case, True), make(case), header, ColumnFailures("fail"), [("context", "mysql")])
    found = converter.convert(changes(), NOW_US)[4]
    assert list(found.headers)[:2] == [
        ("__debezium.oldkey", header.from_connect(TOPIC, TABLE.key_schema, (1, "a"))),
        ("context", header.from_connect(TOPIC, Schema(STRING), "mysql")),
    ]


def test_avro_names_its_subjects_by_side() -> None:
    scope = f"conformance{next(_scopes)}"
    for is_key in (True, False):
        made = plugins.find("converter", "io.confluent.connect.avro.AvroConverter").load()()
        made.configure({"schema.registry.url": f"mock://{scope}"}, is_key)
        made.from_connect(TOPIC, ROW, (7, "é"))
    assert sorted(MockRegistry.named(scope).subjects) == [f"{TOPIC}-key", f"{TOPIC}-value"]
