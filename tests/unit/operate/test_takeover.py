"""Taking connectors over from a Kafka Connect: in which order, and what becomes of them when something fails."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cdc.client.address import connect_address
from cdc.client.credentials import credentials
from cdc.client.errors import NotReadyError
from cdc.client.rest import Answer, Client
from cdc.core.errors import CdcError, ConfigError, OffsetStoreError
from cdc.core.handover import Remark
from cdc.operate import takeover
from cdc.operate.connect_rest import ConnectError, ConnectRest
from cdc.operate.giving_back import given_back
from cdc.operate.takeover import Candidate, Files, Service, TakeoverError, survey, take
from cdc.sources.snapshot.copies import Copies, Copy
from cdc.stores.file_offsets import FileOffsetStore

CONFIG = {"connector.class": "io.debezium.connector.postgresql.PostgresConnector", "topic.prefix": "shop",
          "key.converter": "JsonConverter", "value.converter": "JsonConverter", "database.password": "hunter2"}
ROW = {"lsn_proc": 900, "messageType": "INSERT", "lsn_commit": 800, "lsn": 900, "txId": 7, "ts_usec": 5}
LATER = {**ROW, "lsn_proc": 950, "lsn": 950}
PARTITION = {"server": "shop"}


class Connect(ConnectRest):
    """A Kafka Connect by what it answers. `modern`: from 3.5 on. `offsets_now`: one answer after another, the last one
    again and again; `states` as well."""

    def __init__(self, *, modern: bool = True, config: dict[str, str] = CONFIG) -> None:  # noqa: B006  never changed
        url, given = connect_address("http://user:secret@connect:8083/base/")
        super().__init__(Client(url, credentials(given=given)), pause=lambda _: None)
        self.modern = modern
        self.all = {"orders": dict(config)}
        self.offsets_now: list[Any] = [ROW]
        self.states: list[Any] = [("RUNNING", ["RUNNING"]), ("STOPPED", ["RUNNING"]), ("STOPPED", [])]
        self.asked: list[str] = []
        self.refused: dict[str, list[int]] = {}

    def _once(self, method: str, *parts: str, body: Any) -> Answer:
        return Answer(*self._answer(method, "/" + "/".join(parts)))

    def _answer(self, method: str, path: str) -> tuple[int, Any]:
        self.asked.append(f"{method} {path}")
        if self.refused.get(f"{method} {path}"):
            return self.refused[f"{method} {path}"].pop(0), {"message": "no"}
        parts = path.strip("/").split("/")
        if path == "/":
            return 200, {"version": "3.9.0"}
        if path == "/connectors":
            return 200, list(self.all)
        if method == "DELETE":
            return 204, None
        if parts[1] not in self.all:
            return 404, {"message": "unknown"}
        if parts[2] == "config":
            return 200, self.all[parts[1]]
        if parts[2] == "status":
            state, tasks = self.states.pop(0) if len(self.states) > 1 else self.states[0]
            return 200, {"connector": {"state": state}, "tasks": [{"state": each} for each in tasks]}
        if parts[2] in ("offsets", "stop") and not self.modern:
            return 404, {"message": "HTTP 404 Not Found"}
        if parts[2] == "offsets":
            offset = self.offsets_now.pop(0) if len(self.offsets_now) > 1 else self.offsets_now[0]
            return 200, {"offsets": [{"partition": PARTITION, "offset": offset},
                                     {"partition": {"server": "former"}, "offset": {"lsn": 1}}]}
        return 204, None


class Target:
    """Keeps what is put into it; *fails* once."""

    def __init__(self, connect: Connect, fails: CdcError | None = None) -> None:
        self.connect = connect
        self.fails = fails

    def prepare(self, candidate: Candidate) -> None: ...

    def put(self, candidate: Candidate) -> None:
        self.connect.asked.append(f"put {json.dumps(candidate.offsets)}")
        if self.fails:
            raise self.fails

    def begin(self, candidate: Candidate) -> str:
        self.connect.asked.append("begin")
        return "It runs."


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_POLL_S", "_SETTLE_S", "_SETTLE_UNSEEN_S"):
        monkeypatch.setattr(takeover, name, 0.0)


def looked(connect: Connect, offsets: takeover.Offsets | None = None, *said: Remark) -> Candidate:
    found, = survey(connect, [], offsets or connect.offsets, lambda config: said)
    connect.asked.clear()
    return found


def taken(connect: Connect, target: Target, offsets: takeover.Offsets | None = None) -> tuple[str, list[str]]:
    told: list[str] = []
    return take(looked(connect, offsets), connect, offsets or connect.offsets, target, told.append, 5), told


def texts(candidate: Candidate, level: str) -> str:
    return " ".join(f"{each.about}: {each.text}" for each in candidate.remarks if each.level == level)


# -- looking -----------------------------------------------------------------------------------------------------------


def test_a_connector_that_has_nothing_against_it_is_ready() -> None:
    found = looked(Connect())
    assert (found.ready, found.kind, found.state, found.offsets) == (
        True, "PostgresConnector", "RUNNING", [(PARTITION, ROW)])
    assert "within transaction 7" in texts(found, "info")
    assert "hunter2" not in repr(found)


@pytest.mark.parametrize(("config", "text"), [
    ({"connector.class": "io.confluent.connect.jdbc.JdbcSinkConnector"}, "sink connector"),
    ({"connector.class": "com.example.Mine"}, "Mine is not among the connectors"),
    ({"connector.class": "io.debezium.connector.oracle.OracleConnector"}, "Oracle"),
    ({**CONFIG, "topic.prefix": "other"}, "stored none for topic.prefix=other"),
])
def test_what_cannot_be_taken_over_says_why(config: dict[str, str], text: str) -> None:
    found = looked(Connect(config=config))
    assert not found.ready
    assert text in texts(found, "error")


def test_converters_of_kafka_connects_worker_are_a_warning() -> None:
    found = looked(Connect(config={key: text for key, text in CONFIG.items() if key != "key.converter"}))
    assert found.ready
    assert "key.converter: " in texts(found, "warning")
    assert "value.converter: " not in texts(found, "warning")


def test_an_error_of_the_check_counts_and_another_topic_prefix_has_other_offsets() -> None:
    found = looked(Connect(), None, Remark("error", "snapshot.mode", "it is custom."))
    assert not found.ready
    assert texts(found, "error") == "snapshot.mode: it is custom."


def test_a_kafka_connect_that_tells_no_offsets_needs_its_topic() -> None:
    assert "--offset-topic" in texts(looked(Connect(modern=False)), "error")
    assert looked(Connect(modern=False), lambda name: [(PARTITION, ROW)]).ready


def test_a_topic_prefix_behind_a_reference_is_that_of_the_only_offset() -> None:
    connect = Connect(config={**CONFIG, "topic.prefix": "${env:PREFIX}"})
    assert not looked(connect).ready
    assert looked(connect, lambda name: [(PARTITION, ROW)]).offsets == [(PARTITION, ROW)]


def test_a_connector_without_an_offset_that_needs_none_is_ready(store: FileOffsetStore, tmp_path: Path) -> None:
    config = {**CONFIG, "connector.class": "io.confluent.connect.jdbc.JdbcSourceConnector", "mode": "bulk"}
    connect = Connect(config=config)
    found = looked(connect)
    assert (found.ready, found.offsets) == (True, [])
    Service(connect, timeout_s=5).put(found)
    assert not any(each.startswith("PATCH") for each in connect.asked)
    Files(store, tmp_path, "w", replace=False).put(found)
    assert json.loads((tmp_path / "orders.json").read_text())["config"] == config
    assert store.stored() == []


def test_a_name_that_is_not_there_is_refused_with_those_that_are() -> None:
    connect = Connect()
    with pytest.raises(ConfigError, match="no connector payments") as caught:
        survey(connect, ["payments"], connect.offsets, lambda config: ())
    assert caught.value.hint == "It has orders."


# -- taking over -------------------------------------------------------------------------------------------------------


def test_it_is_stopped_its_last_offset_is_read_and_then_it_begins_here() -> None:
    connect = Connect()
    connect.offsets_now = [ROW, ROW, LATER, LATER]
    following, told = taken(connect, Target(connect))
    assert following == "It runs."
    assert told == ["orders: stopping it in Kafka Connect."]
    assert connect.asked[0] == "PUT /connectors/orders/stop"
    assert connect.asked[-2:] == [f"put {json.dumps([[PARTITION, LATER]])}", "begin"]
    assert connect.asked.index("GET /connectors/orders/status") < connect.asked.index("GET /connectors/orders/offsets")


@pytest.mark.parametrize("fault", ["store", "snapshot"])
def test_if_it_fails_it_runs_again_where_it_was(fault: str) -> None:
    connect = Connect()
    if fault == "snapshot":
        connect.offsets_now = [ROW, {"lsn": 5, "snapshot": "INITIAL", "snapshot_completed": False}]
    with pytest.raises(TakeoverError) as caught:
        taken(connect, Target(connect, OffsetStoreError("The disk is full.", hint="Make room.")
                              if fault == "store" else None))
    assert connect.asked[-1] == "PUT /connectors/orders/resume"
    assert "runs again in Kafka Connect" in caught.value.hint
    assert ("The disk is full." if fault == "store" else "snapshot is not complete") in caught.value.message


def test_ctrl_c_lets_it_run_again_too() -> None:
    connect = Connect()
    target = Target(connect)
    target.put = interrupted  # type: ignore[method-assign]
    told: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        take(looked(connect), connect, connect.offsets, target, told.append, 5)
    assert connect.asked[-1] == "PUT /connectors/orders/resume"
    assert told[-1] == "Connector orders runs again in Kafka Connect."


def interrupted(candidate: Candidate) -> None:
    raise KeyboardInterrupt


def test_if_it_can_be_neither_taken_nor_resumed_the_error_says_how() -> None:
    connect = Connect()
    connect.refused["PUT /connectors/orders/resume"] = [500]
    with pytest.raises(TakeoverError) as caught:
        taken(connect, Target(connect, OffsetStoreError("The disk is full.")))
    assert "curl -X PUT http://connect:8083/base/connectors/orders/resume" in caught.value.hint


def test_one_that_was_stopped_before_stays_stopped() -> None:
    connect = Connect()
    connect.states = [("STOPPED", [])]
    with pytest.raises(TakeoverError, match="full") as caught:
        taken(connect, Target(connect, OffsetStoreError("The disk is full.")))
    assert "PUT /connectors/orders/resume" not in connect.asked
    assert "is as it was" in caught.value.hint


def test_one_that_was_paused_is_paused_again() -> None:
    connect = Connect()
    connect.states = [("PAUSED", ["PAUSED"]), ("STOPPED", [])]
    with pytest.raises(TakeoverError, match="full") as caught:
        taken(connect, Target(connect, OffsetStoreError("The disk is full.")))
    assert connect.asked[-1] == "PUT /connectors/orders/pause"
    assert "PUT /connectors/orders/resume" not in connect.asked
    assert "is paused again" in caught.value.hint


def test_tasks_that_do_not_end_are_not_taken_over(monkeypatch: pytest.MonkeyPatch) -> None:
    connect = Connect()
    connect.states = [("RUNNING", ["RUNNING"]), ("STOPPED", ["RUNNING"])]
    found = looked(connect)
    with pytest.raises(TakeoverError, match=r"did not stop within 0 s\. Its state is STOPPED, task R"):
        take(found, connect, connect.offsets, Target(connect), lambda text: None, 0)
    assert connect.asked[-1] == "PUT /connectors/orders/resume"


def test_before_3_5_a_person_ends_the_connector(monkeypatch: pytest.MonkeyPatch) -> None:
    connect = Connect(modern=False)
    told: list[str] = []

    def tell(text: str) -> None:
        told.append(text)
        if "curl" in text:
            connect.all.clear()

    found = looked(connect, lambda name: [(PARTITION, ROW)])
    assert take(found, connect, lambda name: [(PARTITION, LATER)], Target(connect), tell, 5) == "It runs."
    assert "curl -X DELETE http://connect:8083/base/connectors/orders" in told[-1]
    assert connect.asked[-2:] == [f"put {json.dumps([[PARTITION, LATER]])}", "begin"]


# -- into files --------------------------------------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FileOffsetStore]:
    made = FileOffsetStore(tmp_path / "offsets")
    made.start()
    yield made
    made.close()


def test_files_get_configuration_and_offset(store: FileOffsetStore, tmp_path: Path) -> None:
    connect = Connect()
    found = looked(connect)
    target = Files(store, tmp_path, "worker.properties", replace=False)
    target.prepare(found)
    target.put(found)
    file = tmp_path / "orders.json"
    assert json.loads(file.read_text()) == {"name": "orders", "config": CONFIG}
    assert file.stat().st_mode & 0o777 == 0o600
    assert store.load("orders", PARTITION) == ROW
    assert target.begin(found) == f"Start it: cdc run worker.properties {file}"
    with pytest.raises(OffsetStoreError, match="already"):
        target.prepare(found)
    Files(store, tmp_path, "worker.properties", replace=True).prepare(found)


def test_files_that_are_there_stay(store: FileOffsetStore, tmp_path: Path) -> None:
    (tmp_path / "orders.json").write_text("{}")
    target = Files(store, tmp_path, "worker.properties", replace=False)
    with pytest.raises(ConfigError, match="another content"):
        target.prepare(looked(Connect()))
    with pytest.raises(ConfigError, match="no folder"):
        Files(store, tmp_path / "none", "w", replace=False).prepare(looked(Connect()))
    bad = looked(Connect())
    bad.name = "../orders"
    with pytest.raises(ConfigError, match="cannot be that of a file"):
        target.prepare(bad)


class BrokenStore(FileOffsetStore):
    def commit(self, connector: str, partition: Any, offset: Any) -> None:
        raise OffsetStoreError("The disk is full.")


def test_without_its_offset_no_file_is_written(tmp_path: Path) -> None:
    """A connector of such a file would begin with a snapshot. Its passwords stay in no other file."""
    target = Files(BrokenStore(tmp_path / "offsets"), tmp_path, "worker.properties", replace=False)
    with pytest.raises(OffsetStoreError, match="full"):
        target.put(looked(Connect()))
    assert [each.name for each in tmp_path.iterdir() if "orders" in each.name] == []


# -- into a service ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [ConnectError("no", status=400), KeyboardInterrupt()], ids=["refused", "Ctrl-C"])
def test_a_connector_without_its_offset_does_not_stay_in_the_service(fault: BaseException) -> None:
    service = Connect()

    def fails(name: str, offsets: Any) -> None:
        raise fault

    service.alter_offsets = fails  # type: ignore[method-assign]
    with pytest.raises(type(fault)):
        Service(service, timeout_s=5).put(looked(Connect()))
    assert service.asked == ["POST /connectors", "DELETE /connectors/orders"]


# -- the client --------------------------------------------------------------------------------------------------------


def test_requests_are_repeated_while_the_group_rebalances() -> None:
    connect = Connect()
    connect.refused["GET /connectors"] = [409, 409]
    assert connect.connectors() == ["orders"]
    assert connect.asked == ["GET /connectors"] * 3


def test_a_refusal_says_who_refused_what_and_hides_the_user() -> None:
    connect = Connect()
    connect.refused["GET /connectors"] = [401]
    with pytest.raises(ConnectError) as caught:
        connect.connectors()
    text = str(caught.value)
    assert "GET http://connect:8083/base/connectors was answered with HTTP status 401: no." in text
    assert "CDC_CLI_USER" in text
    assert "secret" not in text


@pytest.mark.parametrize("url", ["connect:8083", "ftp://connect", "http://", "http://connect:port", "http://c/?x=1"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="http://host:port"):
        connect_address(url)


def test_nobody_answers() -> None:
    with pytest.raises(NotReadyError, match=r"answers at http://127\.0\.0\.1:1"):
        ConnectRest(Client("http://127.0.0.1:1")).check()


# -- and back ----------------------------------------------------------------------------------------------------------


def test_offsets_are_given_back_by_the_keys_that_they_have() -> None:
    assert given_back({"file": "b.1", "pos": 4, "structures": "x"}) == {"file": "b.1", "pos": 4}
    assert given_back({"lsn": 5, "lsn_commit": 7, "system_id": "7", "timeline": 1})["lsn_commit"] == 7
    with pytest.raises(ConfigError, match="Debezium has too"):
        given_back({"position": 8})


def test_an_incremental_snapshot_is_not_forgotten_when_offsets_are_given_back() -> None:
    copies = Copies((Copy("1", "public.items", after=("5",), upto=("9",), rows=5),))
    for offset in ({"file": "b.1", "pos": 4}, {"lsn": 5, "lsn_commit": 7, "system_id": "7", "timeline": 1}):
        assert given_back({**offset, **Copies().offset()})
        with pytest.raises(ConfigError, match="An incremental snapshot is not complete"):
            given_back({**offset, **copies.offset()})
