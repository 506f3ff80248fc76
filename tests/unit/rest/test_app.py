"""cdc/rest: the HTTP side as clients meet it, over a real socket on loopback."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from cdc import about
from cdc.core.errors import ConfigError, SourceError, StateError
from cdc.core.record import Message
from cdc.core.schema import INT64, STRING, Schema, semantic, struct
from cdc.rest.app import App
from cdc.rest.server import RestServer, parse_listeners
from cdc.runtime.tap import LISTENERS

from .fakes import SECRET, Plugins, Worker


class Answer:
    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.text = response.read().decode()

    @property
    def json(self) -> Any:
        return json.loads(self.text)


class Client:
    def __init__(self, url: str) -> None:
        self.port = urlsplit(url).port

    def __call__(self, method: str, path: str, **headers: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request(method, path, headers=headers)
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self("GET", path, **headers)


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Client, App]]:
    app = App(Worker(), Plugins())
    server = RestServer(lambda: app, "http://127.0.0.1:0")
    yield Client(server.start()[0]), app
    server.stop()


@pytest.fixture
def worker(served: tuple[Client, App]) -> Worker:
    found = Worker()
    served[1].worker = found
    return found


@pytest.fixture
def client(served: tuple[Client, App], worker: Worker) -> Client:
    return served[0]


def test_the_root_says_which_connect_it_speaks(client: Client) -> None:
    answer = client.get("/")
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json == {"version": about.KAFKA_CONNECT_VERSION, "commit": f"cdc-{about.VERSION}",
                           "kafka_cluster_id": "cluster"}
    assert all(part.isdigit() for part in answer.json["version"].split("."))


def test_metrics_are_in_the_text_format(client: Client) -> None:
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "cdc_info{" in answer.text


@pytest.mark.parametrize(("status", "code"), [("healthy", 200), ("starting", 503), ("unhealthy", 500)])
def test_health_has_the_status_codes_of_kip_1017(client: Client, worker: Worker, status: str, code: int) -> None:
    worker.answer = (status, "Because.")
    answer = client.get("/health")
    assert (answer.status, answer.json) == (code, {"status": status, "message": "Because."})
    assert client.get("/healthz").status == 200


@pytest.mark.parametrize(("state", "code"), [
    ("streaming", 200), ("snapshotting", 200), ("paused", 200), ("finished", 200),
    ("starting", 503), ("retrying", 503), ("failed", 503),
])
def test_ready_means_every_task_works_or_was_asked_not_to(client: Client, worker: Worker, state: str,
                                                          code: int) -> None:
    worker.metrics[0].state = state
    worker.metrics[0].reason = f"lost postgresql://u:{SECRET}@h"
    answer = client.get("/readyz")
    assert answer.status == code
    if code == 503:
        assert answer.json == {"status": "not ready", "reasons": [
            {"connector": "a", "task": 0, "state": state, "reason": "lost postgresql://h"}]}


@pytest.mark.parametrize(("state", "code"), [("streaming", 503), ("snapshotting", 503), ("paused", 200)])
def test_a_task_whose_offsets_cannot_be_stored_is_not_ready(client: Client, worker: Worker, state: str,
                                                            code: int) -> None:
    worker.metrics[0].state = state
    worker.metrics[0].commit_failure = "The offset file cannot be written: database or disk is full."
    answer = client.get("/readyz")
    assert answer.status == code
    assert code == 200 or answer.json["reasons"] == [
        {"connector": "a", "task": 0, "state": state, "reason": worker.metrics[0].commit_failure}]
    worker.metrics[0].commit_failure = ""
    assert client.get("/readyz").status == 200


def test_a_connector_without_tasks_is_not_ready_unless_it_was_stopped(client: Client, worker: Worker) -> None:
    worker.metrics = []
    assert client.get("/readyz").json["reasons"][0]["connector"] == "a"
    worker.statuses["a"]["connector"] = {"state": "FAILED", "trace": f"no file at http://u:{SECRET}@h"}
    assert client.get("/readyz").json["reasons"] == [
        {"connector": "a", "state": "failed", "reason": "no file at http://h"}]
    worker.statuses["a"]["connector"]["state"] = "STOPPED"
    assert client.get("/readyz").status == 200


def test_a_starting_worker_is_not_ready(client: Client, worker: Worker) -> None:
    worker.answer = ("starting", "Reading topics.")
    assert client.get("/readyz").json["reasons"] == [{"state": "starting", "reason": "Reading topics."}]


def test_connectors_are_listed_and_expanded(client: Client, worker: Worker) -> None:
    worker.configs["unseen"] = {"name": "unseen"}
    assert client.get("/connectors").json == ["a", "unseen"]
    assert client.get("/connectors/").json == ["a", "unseen"]
    assert client.get("/connectors?expand=foo").json == {"a": {}}
    expanded = client.get("/connectors?expand=status&expand=info").json
    assert set(expanded["a"]) == {"status", "info"}
    assert expanded["a"]["info"]["tasks"] == [{"connector": "a", "task": 0}]


def test_secrets_are_in_no_answer(client: Client) -> None:
    for path in ("/connectors?expand=status&expand=info", "/connectors/a", "/connectors/a/config",
                 "/connectors/a/status", "/connectors/a/tasks", "/connectors/a/tasks/0/status", "/readyz"):
        assert SECRET not in client.get(path).text, path
    config = client.get("/connectors/a/config").json
    assert config == {"name": "a", "database.password": "[hidden]", "database.user": "${env:U}",
                      "ssl.key.password": "${env:K}", "value.converter.schema.registry.url": "http://h:1",
                      "producer.override.ssl.key.pem": "[hidden]", "value.converter.request.header.Cookie": "[hidden]",
                      "http.proxy": "http://h:1", "heartbeat.action.query": "select 1 /* identified by [hidden] */"}


def test_a_connector_has_name_config_tasks_type(client: Client) -> None:
    assert list(client.get("/connectors/a").json) == ["name", "config", "tasks", "type"]


@pytest.mark.parametrize(("path", "message"), [
    ("/connectors/nope", "Connector nope not found"),
    ("/connectors/nope/config", "Connector nope not found"),
    ("/connectors/nope/tasks", "Connector nope not found"),
    ("/connectors/nope/status", "No status found for connector nope"),
    ("/connectors/nope/tasks/0/status", "No status found for task nope-0"),
    ("/connectors/a/tasks/9/status", "No status found for task a-9"),
    ("/connectors/a/tasks/x/status", "HTTP 404 Not Found"),
    ("/connectors/%C3%BC%3E%20", "Connector ü>  not found"),
    ("/nope", "HTTP 404 Not Found"),
    ("/connectors/a/status/x", "HTTP 404 Not Found"),
])
def test_what_is_not_there_is_404_in_the_usual_shape(client: Client, path: str, message: str) -> None:
    answer = client.get(path)
    assert (answer.status, answer.json) == (404, {"error_code": 404, "message": message})


def test_a_slash_within_a_name_is_refused(client: Client) -> None:
    assert client.get("/connectors/a%2Fstatus").status == 400


def test_a_wrong_verb_is_405_and_says_which_are_right(client: Client) -> None:
    answer = client("PATCH", "/connectors")
    assert (answer.status, answer.headers["allow"]) == (405, "HEAD, GET, POST, OPTIONS")
    assert answer.json == {"error_code": 405, "message": "HTTP 405 Method Not Allowed"}


def test_options_lists_the_verbs(client: Client) -> None:
    answer = client("OPTIONS", "/connectors")
    allowed = "HEAD, GET, POST, OPTIONS"
    assert (answer.status, answer.headers["allow"], answer.text) == (200, allowed, allowed)


def test_head_works_where_get_does(client: Client) -> None:
    answer = client("HEAD", "/connectors")
    assert (answer.status, answer.text, answer.headers["content-length"]) == (200, "", "5")


@pytest.mark.parametrize(("accept", "code"), [
    ("text/plain", 406), ("application/json", 200), ("*/*", 200), ("text/html, application/*;q=0.5", 200)])
def test_json_must_be_acceptable(client: Client, accept: str, code: int) -> None:
    answer = client.get("/connectors", accept=accept)
    assert answer.status == code
    assert code == 200 or answer.json == {"error_code": 406, "message": "HTTP 406 Not Acceptable"}


@pytest.mark.parametrize(("problem", "code"), [
    (ConfigError(f"bad password={SECRET}"), 400), (StateError("busy", status=409), 409), (SourceError("gone"), 500),
    (ZeroDivisionError(SECRET), 500),
])
def test_errors_have_the_usual_shape_and_no_secret(client: Client, worker: Worker, problem: Exception,
                                                   code: int) -> None:
    worker.problem = problem
    answer = client.get("/connectors")
    assert (answer.status, answer.json["error_code"], set(answer.json)) == (code, code, {"error_code", "message"})
    assert SECRET not in answer.text


class Stream:
    """A client of /tail."""

    def __init__(self, client: Client, path: str = "/tail") -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", client.port, timeout=5)
        self.connection.request("GET", path)
        self.response = self.connection.getresponse()

    def block(self) -> list[str]:
        lines: list[str] = []
        while (line := self.response.readline().decode().rstrip("\n")) or not lines:
            lines.append(line)
        return lines

    def close(self) -> None:
        self.response.close()
        self.connection.close()


KEY = struct("k", (("id", Schema(INT64)),))
VALUE = struct("v", (("at", semantic(INT64, "io.debezium.time.MicroTimestamp")), ("text", Schema(STRING))))


def message(number: int, text: str = "x\n\ny\x1b") -> Message:
    return Message("t", KEY, (number,), VALUE, (1_000_000, text))


def wait_until(condition: Any) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_tail_sends_what_the_task_offers_while_somebody_listens(client: Client, worker: Worker) -> None:
    assert not worker.tap.active
    stream = Stream(client, "/tail?readable=true")
    assert stream.response.getheader("content-type", "").startswith("text/event-stream")
    assert stream.response.getheader("cache-control") == "no-cache"
    assert stream.block() == [": listening"]
    worker.tap.offer([message(1)])
    event, data = stream.block()
    assert event == "event: change"
    assert json.loads(data.removeprefix("data: ")) == {
        "topic": "t", "key": {"id": 1}, "value": {"at": "1970-01-01 00:00:01", "text": "x\n\ny\x1b"}}
    stream.close()
    wait_until(lambda: not worker.tap.active)


def test_tail_says_how_much_a_slow_client_missed(client: Client, worker: Worker) -> None:
    stream = Stream(client)
    stream.block()
    worker.tap.offer([message(number) for number in range(5000)])
    blocks = [stream.block() for _ in range(3)]
    stream.close()
    dropped = [json.loads(block[1].removeprefix("data: ")) for block in blocks if block[0] == "event: dropped"]
    assert dropped == [{"count": 3000}]


def test_tail_is_for_this_machine_only(client: Client) -> None:
    answer = client.get("/tail", Host="evil.example")
    assert (answer.status, answer.json["error_code"]) == (403, 403)


def test_tail_has_a_limited_number_of_onlookers(client: Client, worker: Worker) -> None:
    streams = [Stream(client) for _ in range(LISTENERS)]
    assert client.get("/tail").status == 503
    for stream in streams:
        stream.close()
    wait_until(lambda: not worker.tap.active)


def test_the_server_stops_quickly_while_somebody_listens() -> None:
    worker = Worker()
    server = RestServer(lambda: App(worker, Plugins()), "http://127.0.0.1:0")
    stream = Stream(Client(server.start()[0]))
    stream.block()
    started = time.monotonic()
    server.stop()
    assert time.monotonic() - started < 2
    assert "rest" not in [thread.name for thread in threading.enumerate() if thread is server._thread]
    server.stop()
    stream.close()


def test_who_connects_before_the_server_serves_is_answered_then() -> None:
    server = RestServer(lambda: App(Worker(), Plugins()), "http://127.0.0.1:0")
    connection = http.client.HTTPConnection("127.0.0.1", urlsplit(server.listen()[0]).port, timeout=20)
    try:
        connection.request("GET", "/healthz")
        server.serve()
        assert connection.getresponse().status == 200
    finally:
        connection.close()
        server.stop()


def test_the_interface_is_loaded_when_the_first_client_connects() -> None:
    loaded = threading.Event()

    def app() -> App:
        loaded.set()
        return App(Worker(), Plugins())

    server = RestServer(app, "http://127.0.0.1:0")
    port = urlsplit(server.listen()[0]).port
    server.serve(quiet_s=3600)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        assert not loaded.is_set()
        connection.request("GET", "/healthz")
        assert connection.getresponse().status == 200
    finally:
        connection.close()
        server.stop()


def test_without_a_client_the_interface_is_loaded_later() -> None:
    loaded = threading.Event()

    def app() -> App:
        loaded.set()
        return App(Worker(), Plugins())

    server = RestServer(app, "http://127.0.0.1:0")
    server.listen()
    server.serve(quiet_s=0.1)
    assert loaded.wait(20)
    server.stop()


def test_a_server_that_waits_for_its_first_client_stops() -> None:
    server = RestServer(lambda: App(Worker(), Plugins()), "http://127.0.0.1:0")
    port = urlsplit(server.listen()[0]).port
    server.serve(quiet_s=3600)
    server.stop()
    assert server._thread is not None
    assert not server._thread.is_alive()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port or 0), 10)


def test_a_server_that_stops_before_it_serves_closes_its_ports() -> None:
    server = RestServer(lambda: App(Worker(), Plugins()), "http://127.0.0.1:0")
    port = urlsplit(server.listen()[0]).port
    server.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port or 0), 10)


def test_a_server_whose_interface_cannot_be_loaded_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> App:
        raise ImportError("starlette")

    crashes: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", crashes.append)
    server = RestServer(broken, "http://127.0.0.1:0")
    with socket.create_connection(("127.0.0.1", urlsplit(server.listen()[0]).port or 0), 10) as early:
        server.serve()
        with contextlib.suppress(ConnectionResetError):
            assert early.recv(1) == b""
    server.stop()
    assert [crash.exc_type for crash in crashes] == [ImportError]


def test_a_taken_port_is_a_config_error_with_the_way_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError) as caught:
            RestServer(lambda: App(Worker(), Plugins()), f"http://127.0.0.1:0,http://127.0.0.1:{port}").start()
    assert str(port) in caught.value.message
    assert f"http://127.0.0.1:{port + 1}" in caught.value.hint


def test_an_address_of_another_machine_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match="cannot be opened"):
        RestServer(lambda: App(Worker(), Plugins()), "http://192.0.2.1:0").start()


@pytest.mark.parametrize(("text", "found"), [
    ("http://:8083", [("", 8083, False)]), ("http://127.0.0.1:0", [("127.0.0.1", 0, False)]),
    ("HTTP://[::1]:1/", [("::1", 1, False)]), ("http://a:1, HTTPS://b:2", [("a", 1, False), ("b", 2, True)]),
])
def test_listeners_are_read_as_kafka_connect_reads_them(text: str, found: list[tuple[str, int, bool]]) -> None:
    assert [tuple(each) for each in parse_listeners(text)] == found


@pytest.mark.parametrize("text", ["", "8083", "http://h", "http://h:99999", "ftp://h:1", "http://h:1/x", "://:1"])
def test_bad_listeners_are_config_errors(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_listeners(text)
    assert caught.value.option == "listeners"
    assert caught.value.hint


def test_all_interfaces_can_be_served() -> None:
    server = RestServer(lambda: App(Worker(), Plugins()), "http://:0")
    try:
        assert Client(server.start()[0]).get("/healthz").status == 200
    finally:
        server.stop()
