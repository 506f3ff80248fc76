"""What existing clients of Kafka Connect call, and what they look for in the answers."""

from __future__ import annotations

import json
from typing import Any

import kafka_connect
import pytest

from cdc.rest.server import RestServer

from .test_recorded import ask, server  # noqa: F401

FILE = {"connector.class": "FileStreamSource", "topic": "t", "file": "in", "tasks.max": 1}


def call(server: RestServer, method: str, path: str, body: Any = None) -> tuple[int, Any]:  # noqa: F811
    status, _, found = ask(server.urls[0], {"method": method, "path": path, "request": body, "accept": None,
                                           "content_type": "application/json" if body is not None else None})
    return status, found


def test_kafka_connect_py_runs_unchanged(server: RestServer) -> None:  # noqa: F811
    client = kafka_connect.KafkaConnect(url=server.urls[0])
    assert client.get_cluster_info()["version"].split(".")[0].isdigit()
    assert client.create_connector({"name": "a", "config": FILE})["name"] == "a"
    assert client.update_connector("a", {**FILE, "topic": "u"})["config"]["topic"] == "u"
    assert client.list_connectors() == ["a"]
    assert client.list_connectors(state="running") == ["a"]
    assert client.list_connectors(expand="status")["a"]["status"]["connector"]["state"] == "RUNNING"
    assert client.get_connector("a")["type"] == "source"
    assert client.get_connector_config("a")["topic"] == "u"
    assert client.list_connector_tasks("a")[0]["id"] == {"connector": "a", "task": 0}
    assert client.get_connector_task_status("a", 0)["state"] == "RUNNING"
    assert client.restart_connector("a", include_tasks=True)["connector"]["state"] == "RESTARTING"
    assert client.restart_connector("a") is None
    client.restart_connector_task("a", 0)
    client.pause_connector("a")
    assert client.get_connector_status("a")["connector"]["state"] == "PAUSED"
    client.resume_connector("a")
    client.list_connector_topics("a")
    client.reset_connector_topics("a")
    client.stop_connector("a")
    assert client.get_connector_status("a")["tasks"] == []
    assert {each["type"] for each in client.list_connector_plugins()} == {"source"}
    client.validate_connector_config("FileStreamSource", {"name": "b", **FILE})
    client.delete_all_connectors()
    assert client.list_connectors() == []
    with pytest.raises(Exception, match="404"):
        client.get_connector("a")


CALLS = [
    # kcctl
    ("GET", "/", None, 200), ("GET", "/connectors?expand=status&expand=info", None, 200),
    ("GET", "/connector-plugins?connectorsOnly=false", None, 200), ("GET", "/connectors/a/offsets", None, 200),
    ("GET", "/connector-plugins/FileStreamSource/config", None, 200), ("GET", "/admin/loggers", None, 200),
    ("PUT", "/admin/loggers/cdc.runtime", {"level": "INFO"}, 200), ("PATCH", "/connectors/a/config", {"x": "1"}, 200),
    ("POST", "/connectors/a/restart", "", 204), ("POST", "/connectors/a/tasks/0/restart", "", 204),
    # kafka-ui
    ("GET", "/connectors/a", None, 200), ("GET", "/connectors/a/topics", None, 200),
    ("POST", "/connectors/a/restart?includeTasks=true&onlyFailed=false", "", 202),
    ("PUT", "/connectors/a/topics/reset", "", 202), ("GET", "/connectors/a/tasks", None, 200),
    # AKHQ asks for each plugin without a name
    ("PUT", "/connector-plugins/FileStreamSource/config/validate",
     {"connector.class": "FileStreamSource", "topics": "getPlugins"}, 200),
    ("PUT", "/connector-plugins/io.debezium.connector.postgresql.PostgresConnector/config/validate",
     {"connector.class": "io.debezium.connector.postgresql.PostgresConnector", "topics": "getPlugins"}, 200),
    ("PUT", "/connectors/a/pause", "null", 202), ("PUT", "/connectors/a/resume", "{}", 202),
    # Strimzi and the Terraform provider
    ("PUT", "/connectors/a/config", {**FILE, "x": "1"}, 200), ("PUT", "/connectors/b/config", FILE, 201),
    ("GET", "/connectors/a/status", None, 200), ("GET", "/connectors/a/config", None, 200),
    ("PUT", "/connectors/b/stop", "", 204), ("DELETE", "/connectors/b/offsets", None, 200),
    ("DELETE", "/connectors/b", None, 204), ("GET", "/connectors/b/status", None, 404),
]


def test_the_calls_of_clients_get_the_statuses_they_check(server: RestServer) -> None:  # noqa: F811
    assert call(server, "POST", "/connectors", {"name": "a", "config": FILE})[0] == 201
    assert [(method, path, call(server, method, path, body)[0]) for method, path, body, _ in CALLS] == [
        (method, path, status) for method, path, _, status in CALLS]


def test_texts_that_clients_look_for_are_there(server: RestServer) -> None:  # noqa: F811
    status, found = call(server, "POST", "/connectors", {"name": "a", "config": {"connector.class": "Nope"}})
    assert (status, found["message"].startswith("Failed to find any class that implements Connector")) == (400, True)
    status, found = call(server, "POST", "/connectors", {"name": "a", "config": {"connector.class": "postgres"}})
    lines = found["message"].split("\n")
    assert lines[-1].startswith("You can also find the above list of errors")
    assert f"{len(lines) - 2} error(s)" in lines[0]
    report = call(server, "PUT", "/connector-plugins/FileStreamSource/config/validate", {
        "connector.class": "FileStreamSource", "topics": "getPlugins"})[1]
    assert report["error_count"] == len([each for each in report["configs"] if each["value"]["errors"]])
    assert all(each["definition"] for each in report["configs"] if each["value"]["errors"])


def test_a_report_shows_no_secret(server: RestServer) -> None:  # noqa: F811
    _, report = call(server, "PUT", "/connector-plugins/postgres/config/validate", {
        "connector.class": "postgres", "name": "a", "database.password": "geheim", "odd.password": "geheim",
        "heartbeat.action.query": "geheim", "tasks.max": "${env:HOME}"})
    text = json.dumps(report)
    assert "geheim" not in text
    assert "${env:HOME}" in text
