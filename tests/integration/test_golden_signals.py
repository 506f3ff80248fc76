"""Incremental snapshots by the signal table, beside the real Debezium's: the records and notifications after each
statement, in their order (tests/golden/README.md, `signals-*`).

Windows are numbered, because their ids are random. Debezium lists the tables of a blocking snapshot in any order.
"""

from __future__ import annotations

import itertools
import os
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from cdc.core.record import Message, Record
from tests.conftest import BinlogDatabase, Database
from tests.integration import mysql_source, pg_source
from tests.integration.pg_source import cells
from tests.unit.converters.connect_json import golden_records

GOLDEN = Path(__file__).parents[1] / "golden"

_WINDOW = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT[0-9:.]+Z")
_BY_CHANCE = ("('s5", "('s6", "('s7")
"""Two signals at once: where the second came between the windows on MySQL was chance. See `certain`."""

OPTIONS = {"signal.data.collection": "sig.signals", "incremental.snapshot.chunk.size": "2", "snapshot.mode": "no_data",
           "notification.enabled.channels": "sink", "notification.sink.topic.name": "srv.notifications",
           "tombstones.on.delete": "true"}
DELETES = {"incremental.snapshot.watermarking.strategy": "INSERT_DELETE", "provide.transaction.metadata": "true"}

_QUIET_S = 1.0
_MOST_S = 20.0
"""How long a slow machine may take for the records after one statement."""

_numbers = itertools.count()


@pytest.fixture(params=["postgres18", "mysql"])
def served(request: pytest.FixtureRequest) -> Iterator[Database | BinlogDatabase]:
    server = request.getfixturevalue(request.param)
    name = server.create_database(f"signals_{os.getpid()}_{next(_numbers)}")
    kind = Database if request.param == "postgres18" else BinlogDatabase
    yield kind(server, name)
    server.drop_database(name)


def normal(text: Any, database: str) -> Any:
    """Without what differs in each run; a MySQL database has another name."""
    if isinstance(text, str):
        text = _TIME.sub("TIME", _WINDOW.sub("UUID", text))
        return re.sub(rf"\b{re.escape(database)}\b", "sig", text)
    if isinstance(text, dict):
        return {name: normal(value, database) for name, value in text.items()}
    return text


def in_order(data: dict[str, str]) -> dict[str, str]:
    """*data* of a notification."""
    listed = data.get("data_collections")
    return data if listed is None else {**data, "data_collections": ",".join(sorted(listed.split(",")))}


def of_golden(record: dict[str, Any]) -> Any:
    value = (record.get("value") or {}).get("payload")
    topic = record["topic"]
    if value is None:
        return topic, "tombstone", normal(record["key"]["payload"], "sig")
    if topic == "srv.notifications":
        return topic, _WINDOW.sub("UUID", value["id"]), value["aggregate_type"], value["type"], in_order(
            value["additional_data"])
    if topic == "srv.transaction":
        return topic, value["status"], value["event_count"]
    image = value["before"] if value["op"] == "d" else value["after"]
    place = value["source"]
    return (topic, value["op"], normal(image, "sig"), place["snapshot"], value["transaction"] is None,
            place.get("txId") is None, place.get("row"), place.get("gtid") is None)


def of_ours(record: Record | Message, database: str) -> Any:
    if isinstance(record, Message):
        value = record.value
        topic = normal(record.topic, database)
        if topic == "srv.notifications":
            id, kind, aggregate, data, _ = value
            return topic, _WINDOW.sub("UUID", id), aggregate, kind, in_order(normal(dict(data), database))
        return topic, value[0], value[2]
    source = dict(zip([each.name for each in record.source.schema.fields],
                      record.source.merged(record.source_values), strict=True))
    topic = normal(record.table.topic, database)
    image = cells(record, "before" if record.op in ("d", "") else "after")
    assert image is not None
    shown = {name: None if value == "absent" else value for name, value in image.items()}
    if record.op == "":
        return topic, "tombstone", normal({"id": shown["id"]}, database)
    if record.op == "d" and shown.get("type") is None and "type" in shown:
        shown["type"] = ""  # a required field that the log's old row lacks
    return (topic, record.op, normal(shown, database), source["snapshot"] or "false", record.block is None,
            source.get("txId") is None, source.get("row"), source.get("gtid") is None)


def certain(records: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """What is no matter of chance: notifications other than those of chunks, and the signals' own rows, each in their
    order."""
    told = [each for each in records if each[0] == "srv.notifications" and "IN_PROGRESS" not in each]
    return told, [each for each in records if each[0].endswith(".signals") and "UUID" not in str(each)]


def read(records: list[Any], *, stopped: bool) -> list[Any]:
    """The rows that a snapshot read, in their order. *stopped*: without those of the table that was stopped, where
    chance says how many were read."""
    return [each for each in records if each[1] == "r" and not (stopped and each[0] == "srv.sig.big")]


def rest(source: Any, database: str) -> list[Any]:
    """The records until the stream has had nothing."""
    found: list[Any] = []
    while (batch := source.poll(0.1)) is not None:
        found += [of_ours(each, database) for each in batch.records]
    return [each for each in found if "Initial Snapshot" not in each]


def all_of(source: Any, database: str, wanted: Sequence[Any] = ()) -> list[Any]:
    """The records until what is `certain` of them is that of *wanted*, and there is none for a while."""
    found: list[Any] = []
    until = time.monotonic() + _QUIET_S
    deadline = time.monotonic() + _MOST_S
    while (now := time.monotonic()) < until or (now < deadline and certain(found) != certain(wanted)):
        batch = source.poll(0.2)
        if batch is not None and len(batch.records):
            found += [of_ours(each, database) for each in batch.records]
            until = time.monotonic() + _QUIET_S
    return found


@pytest.mark.parametrize("deletes", [False, True], ids=["insert-insert", "insert-delete"])
def test_signals_give_what_debezium_gives(served: Database | BinlogDatabase, deletes: bool,
                                          monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cdc.sources.shared.source.MARKED_WAIT_S", 20.0)  # however slow the machine is
    postgres = isinstance(served, Database)
    database = "sig" if postgres else served.name
    name = f"signals-{'postgres' if postgres else 'mysql'}{'-insert-delete' if deletes else ''}.jsonl.gz"
    lines = list(golden_records(GOLDEN / name))
    start = next(index for index, line in enumerate(lines) if line.get("action") == "start the connector")
    for line in lines[:start]:
        if "create database" not in line["action"]:
            served.execute(line["action"].replace("sig.", f"{database}."))
    options = {**OPTIONS, "signal.data.collection": f"{database}.signals", **(DELETES if deletes else {})}
    source: Any = (pg_source.make_source(served, options) if isinstance(served, Database)
                   else mysql_source.make_source(served, options))
    source.prefer_native()
    source.start(None)
    try:
        while source.state() != "streaming":
            source.poll(0.2)
        lines = lines[next(index for index in range(start + 1, len(lines)) if "action" in lines[index]):]
        position = 0
        read_here: list[Any] = []
        read_there: list[Any] = []
        while position < len(lines):
            actions = list(itertools.takewhile(lambda line: "action" in line, lines[position:]))
            records = list(itertools.takewhile(lambda line: "action" not in line, lines[position + len(actions):]))
            position += len(actions) + len(records)
            assert rest(source, database) == []
            for action in actions:
                served.execute(action["action"].replace("sig.", f"{database}."))
            wanted = [of_golden(record) for record in records]
            found: list[Any]
            if not postgres and any(mark in action["action"] for action in actions for mark in _BY_CHANCE):
                found = all_of(source, database, wanted)
                assert certain(found) == certain(wanted), actions
                stopped = "('s5" not in actions[0]["action"]
                read_here += read(found, stopped=stopped)
                read_there += read(wanted, stopped=stopped)
                continue
            found = []
            deadline = time.monotonic() + _MOST_S
            while len(found) < len(wanted) and time.monotonic() < deadline:
                batch = source.poll(0.2)
                ours = [of_ours(each, database) for each in batch.records] if batch is not None else []
                found += [each for each in ours if "SKIPPED" not in each]
            assert found == wanted, actions
        assert all_of(source, database) == []
        assert read_here == read_there
    finally:
        source.stop()
