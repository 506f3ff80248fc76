"""Signals, snapshots and notifications over REST."""

from __future__ import annotations

import http.client
import json
from typing import Any

import pytest

from cdc.core.control import Signal
from cdc.core.errors import StateError
from cdc.rest.app import App

from .fakes import Worker
from .test_app import Client, client, served, worker  # noqa: F401


def post(client: Client, body: Any, name: str = "a") -> tuple[int, Any]:  # noqa: F811
    connection = http.client.HTTPConnection("127.0.0.1", client.port, timeout=5)
    try:
        connection.request("POST", f"/connectors/{name}/signals", json.dumps(body),
                           {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def test_a_signal_goes_to_the_connector(client: Client, worker: Worker) -> None:  # noqa: F811
    assert post(client, {"id": "s1", "type": "log", "data": {"message": "m"}}) == (202, {"id": "s1"})
    assert worker.asked == [("signal", "a", Signal("s1", "log", {"message": "m"}, "rest"))]


def test_a_signal_without_an_id_gets_one(client: Client, worker: Worker) -> None:  # noqa: F811
    status, answer = post(client, {"type": "log", "data": '{"message": "m"}'})
    assert status == 202
    assert len(answer["id"]) == 36
    assert worker.asked[0][2].data == {"message": "m"}


@pytest.mark.parametrize(("body", "why"), [
    ({}, "no type"), ({"type": 1}, "no type"), ({"type": "log", "data": []}, "no JSON object"),
    ({"type": "log", "data": "x"}, "no JSON"), ({"type": "log", "more": 1}, "unknown members: more"),
    ([], "JSON object"),
])
def test_what_is_no_signal_is_refused(client: Client, worker: Worker, body: Any, why: str) -> None:  # noqa: F811
    status, answer = post(client, body)
    assert status == 400
    assert why in answer["message"]
    assert worker.asked == []


def test_a_connector_that_does_not_run_takes_no_signal(client: Client, worker: Worker) -> None:  # noqa: F811
    worker.problem = StateError("It is stopped.")
    assert post(client, {"type": "log"}) == (409, {"error_code": 409, "message": "It is stopped."})


def test_tables_are_listed(client: Client) -> None:  # noqa: F811
    assert client.get("/connectors/a/tables").json == {
        "captured": ["s.a"], "others": ["s.b"], "estimated_rows": {"s.a": 7}}


def test_snapshots_and_notifications_are_shown(client: Client) -> None:  # noqa: F811
    table = {"name": "s.a", "state": "running", "rows": 5, "estimated_rows": 9, "current_key": "5", "maximum_key": "9"}
    assert client.get("/connectors/a/snapshots").json == {"snapshots": [
        {"id": "s1", "kind": "incremental", "state": "running", "tables": [table], "started_ms": 1}]}
    assert client.get("/connectors/a/notifications").json == {"notifications": [
        {"id": "s1", "aggregate_type": "Incremental Snapshot", "type": "IN_PROGRESS", "timestamp": 1,
         "additional_data": {"last_processed_key": "5"}}]}


def test_keys_of_rows_are_shown_on_this_machine_only(
        served: tuple[Client, App], client: Client) -> None:  # noqa: F811
    table = client.get("/connectors/a/snapshots", Host="example.org").json["snapshots"][0]["tables"][0]
    assert (table["rows"], table["current_key"], table["maximum_key"]) == (5, None, None)
    told = client.get("/connectors/a/notifications", Host="example.org").json["notifications"][0]
    assert told["additional_data"] == {}
