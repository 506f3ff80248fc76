"""The datagen source: options, pace, and the same sequence after a restart."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from cdc import plugins
from cdc.converters.json import JsonConverter
from cdc.converters.plan import ColumnFailures
from cdc.converters.records import RecordConverter
from cdc.converters.simple import LongConverter
from cdc.converters.views import Views
from cdc.core.errors import ConfigError, PositionLostError
from cdc.core.record import Message
from cdc.sources.datagen.options import FOLDER, QUICKSTARTS, parse_datagen
from cdc.sources.datagen.source import DatagenSource

NAME = "io.confluent.kafka.connect.datagen.DatagenConnector"


def source(**keys: str) -> DatagenSource:
    given = {key.replace("_", "."): text for key, text in keys.items()}
    base = {"name": "d", "connector.class": NAME, "kafka.topic": "t", "max.interval": "0", "random.seed": "11"}
    if "schema.string" not in given:
        base["quickstart"] = "orders"
    config, _ = parse_datagen({**base, **given})
    return DatagenSource(config)


def rows(made: DatagenSource, offset: dict[str, Any] | None = None, batches: int = 1) -> list[Message]:
    made.start(offset)
    found: list[Message] = []
    for _ in range(batches):
        batch = made.poll(0)
        if batch is not None:
            found += [each for each in batch.records if isinstance(each, Message)]
    return found


def test_names_that_configurations_have() -> None:
    assert plugins.find("connector", "datagen") is plugins.find("connector", NAME)
    assert plugins.find("connector", "DatagenConnector").short_name == "datagen"


def test_every_quickstart_makes_rows_with_its_key() -> None:
    assert {path.stem for path in FOLDER.glob("*.avro")} == {file for file, _ in QUICKSTARTS.values()}
    for name in QUICKSTARTS:
        found = rows(source(quickstart=name, iterations="20"))
        assert len(found) == 20, name
        assert None not in [each.key for each in found], name


@pytest.mark.parametrize("schema", ["", json.dumps({"type": "record", "name": "R", "fields": [
    {"name": "list", "type": {"type": "array", "items": {"type": "int", "arg.properties": {"iteration": {"start": 0}}},
                              "arg.properties": {"length": {"min": 0, "max": 4}}}}]})], ids=["quickstart", "uneven"])
def test_a_restart_continues_the_same_sequence(schema: str) -> None:
    """After each batch that may be the last one committed; also where a row has several steps of an iteration."""
    keys = {"schema_string": schema} if schema else {}
    whole = [each.value for each in rows(source(**keys, iterations="900"), batches=9)]
    assert len(whole) == 900
    made = source(**keys, iterations="900")
    made.start(None)
    found: list[Any] = []
    while not made.finished():
        batch = made.poll(0)
        assert batch is not None
        found += [each.value for each in batch.records if isinstance(each, Message)]
        made = source(**keys, iterations="900")
        made.start(json.loads(json.dumps(batch.position.offset())))
    assert found == whole


def test_an_offset_of_confluents_is_continued() -> None:
    """It has no counts of steps: each iteration has made one value a row."""
    made = rows(source(), {"task.generation": 3, "current.iteration": 40, "random.seed": -5})
    assert made[0].key == 40
    assert [header[2] for header in made[0].headers] == [3, 0, 40]


def test_the_task_ends_after_its_rows() -> None:
    made = source(iterations="3")
    assert len(rows(made)) == 3
    assert made.finished()
    assert made.poll(0) is None
    again = source(iterations="3")
    assert rows(again, {"task.generation": 1, "current.iteration": 3, "random.seed": 1}) == []
    assert again.finished()


def test_the_pace_is_that_of_the_rate() -> None:
    made = source(cdc_datagen_rate="0.001")
    assert len(rows(made, batches=3)) == 1
    made.interrupt()
    assert made.poll(60) is None


def test_another_offset_is_refused() -> None:
    for offset in ({"lsn": 5}, {"current.iteration": "x", "random.seed": 1}, {"current.iteration": -1}):
        with pytest.raises(PositionLostError, match="none of this connector"):
            source().check_offset(offset)


def test_rows_pass_converters_and_views_with_their_headers() -> None:
    record = rows(source())[0]
    value, key, header = JsonConverter(threading.Event()), JsonConverter(threading.Event()), LongConverter()
    value.configure({"schemas.enable": "false"}, False)
    key.configure({"schemas.enable": "false"}, True)
    failures = ColumnFailures("fail")
    outgoing = RecordConverter(key, value, header, failures).convert([record], 0)[0]
    assert outgoing.key == b"0"
    assert list(json.loads(outgoing.value or b"")) == ["ordertime", "orderid", "itemid", "orderunits", "address"]
    assert outgoing.headers[2] == ("current.iteration", bytes(8))
    assert [header.name for header in Views(failures).view(record, 0).headers] == [
        "task.generation", "task.id", "current.iteration"]


@pytest.mark.parametrize(("keys", "says"), [
    ({}, "set one of schema.string, schema.filename, quickstart"),
    ({"quickstart": "orders", "schema.string": "{}"}, "and only one"), ({"quickstart": "nope"}, "allowed: clickstream"),
    ({"schema.string": "{"}, "no schema that can be used"), ({"schema.string": '"int"'}, "must be of a record"),
    ({"schema.filename": "/nowhere/x.avro"}, "cannot be read"),
    ({"quickstart": "orders", "schema.keyfield": "nope"}, "no such field; it has ordertime"),
    ({"quickstart": "orders", "kafka.topic": ""}, "required"),
])
def test_a_configuration_that_cannot_work_says_why(keys: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        parse_datagen({"name": "d", "kafka.topic": "t", **keys})


def test_a_schema_comes_from_a_file_with_comments(tmp_path: Path) -> None:
    file = tmp_path / "s.avro"
    file.write_text('{"type": "record", "name": "R", /* two */ "fields": [ // a field\n'
                    '{"name": "a", "type": {"type": "string", "arg.properties": {"options": ["http://x"]}}}]}')
    config, _ = parse_datagen({"name": "d", "kafka.topic": "t", "schema.filename": str(file), "max.interval": "0"})
    record = rows(DatagenSource(config))[0]
    assert (record.key, record.value) == (None, ("http://x",))
    of_ours, _ = parse_datagen({"name": "d", "kafka.topic": "t", "schema.filename": "product.avro"})
    assert of_ours.schema["name"] == "product"


@pytest.mark.parametrize("part", [
    '"type": "int", "logicalType": []', '"type": "int", "connect.name": []', '"type": "double", "connect.version": "1"',
    '"type": "double", "arg.properties": {"iteration": {"start": 1, "step": 1e999}}',
    '"type": "double", "arg.properties": {"iteration": {"start": 1, "step": NaN}}',
    f'"type": "double", "arg.properties": {{"iteration": {{"start": 1, "step": 1{"0" * 400}}}}}',
], ids=["logical", "name", "version", "endless", "nan", "digits"])
def test_parts_of_an_avro_schema_that_are_of_the_wrong_type_end_nothing(part: str) -> None:
    text = f'{{"type": "record", "name": "R", "fields": [{{"name": "a", "type": {{{part}}}}}]}}'
    if "logical" in part:
        assert len(rows(source(**{"schema.string": text}))) == 500
        return
    with pytest.raises(ConfigError, match=r"schema\.string: no schema that can be used"):
        source(**{"schema.string": text})


@pytest.mark.parametrize("text", [
    '{"type": {}, "properties": {"a": {"type": "string"}}}', '{"type": "object", "properties": {"a": {"type": {}}}}',
    '{"type": "object", "required": null, "properties": {"a": {"type": "string"}}}',
    '{"type": "object", "title": [], "properties": {"a": {"type": "string"}}}',
    '{"type": "object", "properties": {"a": {"type": "integer", "minimum": 1e999}}}',
], ids=["type", "inner", "required", "title", "endless"])
def test_parts_of_a_json_schema_that_are_of_the_wrong_type_are_an_error(text: str) -> None:
    with pytest.raises(ConfigError, match=r"schema\.string: no schema that can be used"):
        source(**{"schema.string": text})
