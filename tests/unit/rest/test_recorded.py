"""The requests that a real Kafka Connect 4.3.0 answered, sent to ours.

Equal must be: the status, the keys at every level and their types, the states, the headers that clients read. Message
texts are free. `recorded_differences.tsv` lists what differs, each with the reason; what it lists must differ.
"""

from __future__ import annotations

import csv
import gzip
import http.client
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cdc import assembly, plugins
from cdc.config.providers import Providers
from cdc.rest.server import RestServer
from tests.servers.process import wait_until

from .file_source import PLUGIN

HERE = Path(__file__).parent
GOLDEN = HERE.parents[1] / "golden"
FREE = ("message", "documentation", "version", "commit", "worker_id", "last_modified", "kafka_cluster_id", "seconds",
        "trace", "order_in_group", "width", "display_name", "dependents")
"""Members whose values may differ; their types may not."""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RestServer]:
    monkeypatch.setattr(plugins, "installed", lambda: (PLUGIN,))
    raw = {"sink.type": "file", "sink.file.path": str(tmp_path / "events"), "listeners": "http://127.0.0.1:0",
           "offset.storage.file.filename": str(tmp_path / "offsets"), "value.converter.schemas.enable": "false"}
    settings, _ = assembly.parse_worker(raw)
    providers = Providers.of(raw)
    connectors = assembly.assemble(settings, [], providers)
    made = assembly.rest_server(settings, connectors, providers)
    connectors.worker.worker_id = made.start()[0]
    connectors.worker.start()
    yield made
    assert connectors.worker.stop(20)
    connectors.worker.close()
    made.stop()


def recorded(name: str = "connect-rest-standalone") -> list[dict[str, Any]]:
    with gzip.open(GOLDEN / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def differences(name: str = "recorded_differences") -> dict[int, tuple[str, str]]:
    """By the number of the request: what differs, and why."""
    with (HERE / f"{name}.tsv").open(encoding="utf-8", newline="") as file:
        return {int(row["request"]): (row["differs"], row["why"]) for row in csv.DictReader(file, delimiter="\t")}


def ask(url: str, asked: dict[str, Any]) -> tuple[int, dict[str, str], Any]:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)
    headers = {name: asked[key] for name, key in (("Content-Type", "content_type"), ("Accept", "accept"))
               if asked[key] is not None}
    body = asked["request"]
    if body is not None and not isinstance(body, str):
        body = json.dumps(body)
    try:
        connection.request(asked["method"], asked["path"], None if body is None else body.encode(), headers)
        response = connection.getresponse()
        text = response.read().decode()
    finally:
        connection.close()
    found = {name.lower(): value for name, value in response.getheaders()}
    is_json = found.get("content-type", "").startswith("application/json") and text
    return response.status, found, json.loads(text) if is_json else text


def shape(value: Any, name: str = "") -> Any:
    """What must be equal of a body. Elements of lists of objects count together."""
    if name == "config" and isinstance(value, dict):
        return sorted(value)  # values that nobody declared are hidden here
    if isinstance(value, dict):
        return {key: shape(inner, key) for key, inner in value.items()}
    if isinstance(value, list) and len(value) == 1:
        return [shape(value[0])]
    if isinstance(value, list) and any(isinstance(each, dict) for each in value):
        merged: dict[str, set[str]] = {}
        for each in value:
            for key, inner in each.items():
                if key == "documentation":  # left out of the recording
                    continue
                merged.setdefault(key, set()).add(json.dumps(kind(inner), sort_keys=True))
        return [sorted(merged)]
    return kind(value) if name in FREE or not isinstance(value, str) else value


def kind(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: kind(inner) for key, inner in value.items()}
    return type(value).__name__


def same_headers(ours: dict[str, str], recorded: dict[str, str]) -> bool:
    """Those that were recorded: the content type, the verbs of `Allow`, and the path of `Location`."""
    def read(name: str, text: str) -> Any:
        return text.partition("/connectors/")[2] if name == "location" else sorted(text.replace(" ", "").split(","))

    return all(read(name, ours.get(name, "")) == read(name, text) for name, text in recorded.items()
               if not text.startswith("text/html"))


def difference(url: str, asked: dict[str, Any]) -> str:
    """What differs between our answer and the recorded one; empty if nothing does."""
    status, headers, body = ask(url, asked)
    if status != asked["status"]:
        return f"status {status}"
    if asked["method"] == "OPTIONS":
        body, asked["body"] = sorted(body.split(", ")), sorted(asked["body"].split(", "))
    name = "config" if asked["path"].endswith("/config") and asked["method"] == "GET" and status == 200 else ""
    if shape(body, name) != shape(asked["body"], name):
        return f"body {json.dumps(shape(body, name))}"
    return "" if same_headers(headers, asked["headers"]) else f"headers {headers}"


def test_the_recorded_requests_get_the_same_answers(server: RestServer) -> None:
    known = differences()
    for number, asked in enumerate(recorded()):
        if asked["path"] == "/connectors/a/topics":
            wait_until(lambda asked=asked: not difference(server.urls[0], asked), 20, "the first record")  # type: ignore[misc]
        found = difference(server.urls[0], asked)
        wanted, _ = known.get(number, ("", ""))
        same = found.startswith(wanted) if wanted else not found
        assert same, f"request {number}, {asked['method']} {asked['path']} {asked['request']}: {found or 'nothing'}"


@pytest.mark.parametrize("name", ["recorded_differences", "recorded_postgres_differences"])
def test_every_difference_has_a_reason(name: str) -> None:
    assert all(why for _, why in differences(name).values())


NOT_OURS = re.compile(r"snapshot\.mode\.configuration\.based\..+|openlineage\..+|column\..+"
                      r"|heartbeat\.topics\.prefix|converter\.type|schema\.content")
"""What we do not have, what is a family of keys here, and a former name that we read."""
OTHER_TYPES = {"converters", "post.processors", "snapshot.select.statement.overrides"}
"""Lists here, and text in Debezium."""


@pytest.mark.parametrize("plugin", ["PostgresConnector", "MySqlConnector", "JsonConverter", "RegexRouter"])
def test_a_plugin_has_the_keys_and_types_that_were_recorded(server: RestServer, plugin: str) -> None:
    with gzip.open(GOLDEN / "connect-plugin-configs.tsv.gz", "rt", encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file, delimiter="\t")
                if row["plugin"].endswith(f".{plugin}") and not NOT_OURS.fullmatch(row["key"])]
    asked = {"method": "GET", "path": f"/connector-plugins/{plugin}/config", "content_type": None, "accept": None,
             "request": None}
    keys = {key["name"]: key for key in ask(server.urls[0], asked)[2]}
    assert [row["key"] for row in rows if row["key"] not in keys] == []
    assert {row["key"] for row in rows if keys[row["key"]]["type"] != row["type"]} <= OTHER_TYPES
    assert [row["key"] for row in rows if keys[row["key"]]["importance"] != row["importance"]] == []
