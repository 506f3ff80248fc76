"""The commands of a worker: what they change, what is kept of them, and what a restart of the process makes of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from cdc.config.secrets import HIDDEN, Secret, mask
from cdc.core.errors import ConfigError, OffsetStoreError, PositionLostError, SourceConnectionError, StateError
from cdc.core.preview import TableNames
from cdc.core.stores import ConfigStore, Kept
from cdc.core.table import TableId
from cdc.metrics.task import TaskMetrics
from cdc.runtime import connectors as runtime_connectors
from cdc.runtime.connectors import Builder, Connectors
from cdc.runtime.runner import Connector
from cdc.runtime.task import TaskParts, TaskSettings
from cdc.runtime.worker import Worker
from cdc.stores.file_offsets import FileOffsetStore
from cdc.stores.local_configs import FileConfigStore

from .test_task_turns import FakeConverter, FakeSink, FakeSource, batch


class Source(FakeSource):
    """Polls for ever; gives one batch when it is told to."""

    def __init__(self, fault: Exception | None, held: threading.Event | None = None) -> None:
        """Each poll waits for *held*."""
        super().__init__((), lambda: None)
        self.fault = fault
        self.held = held
        self.polls = 0

    def start(self, offset: Any) -> None:
        if self.fault is not None:
            raise self.fault

    def poll(self, timeout: float) -> Any:
        self.polls += 1
        time.sleep(0.002)
        if self.held is not None:
            self.held.wait(20)
        return super().poll(timeout)

    def partition(self) -> Mapping[str, Any]:
        return {"server": "srv"}

    def check_offset(self, offset: Any) -> None:
        if "lsn" not in offset:
            raise PositionLostError("it has no lsn")


class House:
    """A worker over the files of one folder; `again` is what a restart of the process makes of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sources: dict[str, list[Source]] = {}
        self.faults: dict[str, Exception] = {}
        self.broken: set[str] = set()
        self.held: threading.Event | None = None
        self.configs: ConfigStore | None = None
        self.open()

    def open(self, *files: Mapping[str, str]) -> Connectors:
        self.store = FileOffsetStore(self.folder / "offsets")
        self.worker = Worker(worker_id="h:1", pause=lambda stop, _: stop.wait(0.01), stores=[self.store])
        builder = Builder(lambda config: self.build(config, False), lambda config: self.build(config, True),
                          self.check, lambda config: {key: Secret(text) if key == "secret" else text
                                                      for key, text in config.items()},
                          lambda config, is_file: TableNames((TableId("", "s", config["name"]),), ()))
        configs = self.configs or FileConfigStore(self.folder / "offsets")
        self.connectors = Connectors(self.worker, builder, configs, self.store, 5.0)
        self.connectors.begin(files, threading.Event())
        self.worker.start()
        return self.connectors

    def again(self, *files: Mapping[str, str]) -> Connectors:
        self.close()
        return self.open(*files)

    def close(self) -> None:
        assert self.worker.stop(10)
        for thread in threading.enumerate():
            if thread.name == "offsets":  # a question that nobody waits for any more; it would open the store again
                thread.join(10)
        self.worker.close()

    def check(self, config: Mapping[str, str]) -> None:
        if "bad" in config:
            raise ConfigError("bad is no key", option="bad")

    def build(self, config: Mapping[str, str], of_service: bool) -> Connector:
        name = config["name"]
        if name in self.broken:
            raise ConfigError(f"{name}: the file with the password is gone")

        def parts(_stop: threading.Event) -> TaskParts:
            source = Source(self.faults.get(name), self.held)
            self.sources.setdefault(name, []).append(source)
            return TaskParts(source, None, FakeConverter(), FakeSink())

        return Connector(name, config, TaskSettings(name, 3600.0), parts, self.store, TaskMetrics(name),
                         of_service=of_service, patient=of_service)

    def states(self, name: str = "a") -> tuple[str, list[str]]:
        found: Any = self.connectors.status(name)
        return found["connector"]["state"], [task["state"] for task in found["tasks"]]

    def runs(self, name: str = "a") -> int:
        return len(self.sources.get(name, []))


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    made.close()


def wait_for(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.005)


CONFIG = {"name": "a", "connector.class": "x", "secret": "geheim"}


def test_a_connector_is_kept_with_its_state_until_it_is_deleted(house: House) -> None:
    house.connectors.create("a", CONFIG)
    assert house.states() == ("RUNNING", ["RUNNING"])
    connectors = house.again()
    assert connectors.config("a") == CONFIG
    wait_for(lambda: house.runs() == 2)
    connectors.pause("a")
    connectors = house.again()
    assert house.states() == ("PAUSED", ["PAUSED"])
    assert house.runs() == 2, "a paused connector is not started"
    connectors.stop("a")
    connectors = house.again()
    assert house.states() == ("STOPPED", [])
    connectors.delete("a")
    connectors = house.again()
    assert (connectors.connectors(), connectors.status("a")) == ([], None)


def test_one_that_cannot_be_run_or_kept_is_not_there(house: House) -> None:
    with pytest.raises(ConfigError, match="bad"):
        house.connectors.create("a", {**CONFIG, "bad": "1"})
    for name in ("", "a\x00", "a\nb", " a", "a ", "a/b"):
        with pytest.raises(ConfigError, match="name"):
            house.connectors.create(name, {**CONFIG, "name": name})
    (house.folder / "offsets").unlink(missing_ok=True)
    (house.folder / "offsets").mkdir()
    with pytest.raises(Exception, match="offset"):
        house.connectors.create("a", CONFIG)
    assert house.connectors.connectors() == []
    assert house.runs() == 0
    (house.folder / "offsets").rmdir()


def test_a_name_is_taken_once(house: House) -> None:
    house.connectors.create("a", CONFIG)
    with pytest.raises(StateError, match="already exists") as caught:
        house.connectors.create("a", CONFIG)
    assert caught.value.status == 409


def test_an_initial_state_is_as_if_it_had_been_asked_for(house: House) -> None:
    house.connectors.create("a", CONFIG, "STOPPED")
    house.connectors.create("b", {**CONFIG, "name": "b"}, "PAUSED")
    assert (house.states(), house.states("b")) == (("STOPPED", []), ("PAUSED", ["PAUSED"]))
    house.connectors.resume("a")
    house.connectors.resume("b")
    wait_for(lambda: house.states() == house.states("b") == ("RUNNING", ["RUNNING"]))


def test_only_a_changed_configuration_restarts_the_task(house: House) -> None:
    assert house.connectors.put_config("a", CONFIG)
    wait_for(lambda: house.runs() == 1)
    assert not house.connectors.put_config("a", CONFIG)
    assert house.runs() == 1
    house.connectors.patch_config("a", {"x": "1"})
    wait_for(lambda: house.runs() == 2)
    house.connectors.patch_config("a", {"x": None, "y": "2"})
    assert house.again().config("a") == {**CONFIG, "y": "2"}


def test_what_we_hide_may_be_sent_back_and_changes_nothing(house: House) -> None:
    house.connectors.create("a", CONFIG)
    shown = {key: str(text) for key, text in mask(house.connectors.config("a") or {}).items()}
    assert shown["secret"] == HIDDEN
    house.connectors.put_config("a", {**shown, "x": "1"})
    assert house.again().config("a") == {**CONFIG, "x": "1"}
    with pytest.raises(ConfigError, match="in place of a secret"):
        house.connectors.put_config("a", {**CONFIG, "other": HIDDEN})


def test_a_salt_that_we_hide_stays_when_its_columns_change(house: House) -> None:
    start = "column.mask.hash.v2.SHA-256.with.salt."
    house.connectors.create("a", {**CONFIG, f"{start}pepper": "s.t.c"})
    assert mask(house.connectors.config("a") or {})[f"{start}{HIDDEN}"] == "s.t.c"
    house.connectors.patch_config("a", {f"{start}{HIDDEN}": "s.t.d"})
    assert house.again().config("a") == {**CONFIG, f"{start}pepper": "s.t.d"}
    house.connectors.patch_config("a", {f"{start}{HIDDEN}": None})
    assert house.again().config("a") == CONFIG
    with pytest.raises(ConfigError, match="in place of a salt"):
        house.connectors.put_config("a", {**CONFIG, f"{start}{HIDDEN}": "s.t.c"})


def test_a_paused_task_polls_no_more_and_keeps_its_parts(house: House) -> None:
    house.connectors.create("a", CONFIG)
    wait_for(lambda: house.runs() == 1 and house.sources["a"][0].polls > 0)
    house.connectors.pause("a")
    assert house.states() == ("PAUSED", ["PAUSED"])
    polls = house.sources["a"][0].polls
    house.sources["a"][0].batches.append(batch(1, 1))
    house.connectors.resume("a")
    wait_for(lambda: house.sources["a"][0].polls > polls and not house.sources["a"][0].batches)
    assert house.runs() == 1


def test_a_file_has_priority_and_its_connector_can_be_paused_but_not_changed(house: House) -> None:
    connectors = house.again(CONFIG)
    for forbidden in (lambda: connectors.put_config("a", {**CONFIG, "x": "1"}), lambda: connectors.delete("a"),
                      lambda: connectors.patch_config("a", {"x": "1"})):
        with pytest.raises(StateError, match="comes from a file") as caught:
            forbidden()
        assert caught.value.status == 403
    connectors.stop("a")
    connectors = house.again(CONFIG)
    assert house.states() == ("STOPPED", []), "what was asked for holds until somebody asks for something else"
    assert connectors.goes_on()
    connectors.resume("a")
    assert not connectors.goes_on(), "the process ends with the connectors of its files"


def test_a_connector_in_a_file_hides_the_one_that_was_sent(house: House) -> None:
    house.connectors.create("a", CONFIG)
    connectors = house.again({**CONFIG, "of": "the file"})
    assert (connectors.config("a") or {})["of"] == "the file"
    connectors.pause("a")
    connectors.resume("a")
    connectors = house.again()
    assert connectors.config("a") == CONFIG, "it is still there"


def test_an_unreachable_server_is_waited_for_and_the_status_says_so(house: House) -> None:
    house.faults["a"] = SourceConnectionError("the server is away")
    house.connectors.create("a", CONFIG)
    wait_for(lambda: house.runs() > 3)
    assert house.states() == ("RUNNING", ["RUNNING"])
    wait_for(lambda: "the server is away" in str(house.connectors.status("a")))
    del house.faults["a"]
    wait_for(lambda: house.sources["a"][-1].polls > 0)


def test_one_of_several_connectors_in_files_is_patient_because_nobody_would_start_it_again(house: House) -> None:
    house.again(CONFIG)
    runner = house.worker.runner("a")
    assert runner is not None
    assert not runner.connector.patient
    house.again(CONFIG, {**CONFIG, "name": "b"})
    for name in ("a", "b"):
        runner = house.worker.runner(name)
        assert runner is not None
        assert runner.connector.patient


def test_what_a_person_must_mend_stays_failed_until_it_is_restarted(house: House) -> None:
    house.faults["a"] = PositionLostError("the log is gone", hint="Take a new snapshot.")
    house.connectors.create("a", CONFIG)
    wait_for(lambda: house.states() == ("RUNNING", ["FAILED"]))
    assert "Take a new snapshot." in str(house.connectors.status("a"))
    house.connectors.restart("a", False, False)
    assert house.states() == ("RUNNING", ["FAILED"]), "a restart without includeTasks is of the connector alone"
    del house.faults["a"]
    found = house.connectors.restart("a", True, True)
    assert [task["state"] for task in found["tasks"]] == ["RESTARTING"]
    assert found["connector"]["state"] == "RUNNING"
    wait_for(lambda: house.runs() == 2 and house.states() == ("RUNNING", ["RUNNING"]))
    assert house.connectors.restart("a", True, True)["tasks"][0]["state"] == "RUNNING", "nothing has failed"
    house.connectors.restart_task("a", 0)
    wait_for(lambda: house.runs() == 3)


class AwayConfigs:
    """A store of connectors that does not answer until `answers` is set; then it has *found*, or fails with *error*."""

    def __init__(self, found: Sequence[Kept] = (), error: OffsetStoreError | None = None) -> None:
        self.answers = threading.Event()
        self.found = found
        self.error = error

    def load(self) -> Sequence[Kept]:
        if not self.answers.is_set():
            raise OffsetStoreError("The brokers are away.", retriable=True)
        if self.error is not None:
            raise self.error
        return self.found

    def save(self, kept: Kept) -> None: ...

    def delete(self, name: str) -> None: ...


def test_while_the_store_of_connectors_is_away_rest_answers_and_nothing_runs(
        house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime_connectors, "KEPT_WAIT_S", 0.01)
    house.configs = away = AwayConfigs([Kept("a", None, "PAUSED"), Kept("b", {"name": "b"}, "STARTED")])
    connectors = house.again({"name": "a"})
    assert connectors.health() == ("starting", "The worker is starting: The brokers are away.")
    assert connectors.goes_on()
    assert house.states() == ("UNASSIGNED", [])
    for command in (lambda: connectors.create("c", {"name": "c"}), lambda: connectors.offsets("a"),
                    lambda: connectors.resume("a"), lambda: connectors.restart("a", True, False)):
        with pytest.raises(StateError, match="The brokers are away") as caught:
            command()
        assert caught.value.status == 503
    assert house.sources == {}
    away.answers.set()
    wait_for(lambda: house.runs("b") == 1 and connectors.health()[0] == "healthy")
    assert house.states() == ("PAUSED", ["PAUSED"]), "nothing ran before it was known that it is paused"
    assert house.runs("a") == 0


def test_a_store_of_connectors_that_cannot_be_read_ends_the_worker(
        house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime_connectors, "KEPT_WAIT_S", 0.01)
    house.configs = away = AwayConfigs(error=OffsetStoreError("A stored connector is damaged."))
    connectors = house.again()
    away.answers.set()
    with pytest.raises(OffsetStoreError, match="damaged"):
        wait_for(lambda: not connectors.goes_on())


def test_a_kept_connector_that_cannot_be_built_is_failed_and_the_others_run(house: House) -> None:
    house.connectors.create("a", CONFIG)
    house.connectors.create("b", {**CONFIG, "name": "b"})
    house.broken.add("a")
    connectors = house.again()
    found: Any = connectors.status("a")
    assert (found["connector"]["state"], found["tasks"]) == ("FAILED", [])
    assert "the file with the password is gone" in found["connector"]["trace"]
    assert house.states("b") == ("RUNNING", ["RUNNING"])
    house.broken.clear()
    connectors.restart("a", False, True)
    wait_for(lambda: house.states() == ("RUNNING", ["RUNNING"]))


def test_a_connector_of_a_file_that_a_client_broke_by_a_restart_keeps_the_process(house: House) -> None:
    connectors = house.again(CONFIG)
    assert not connectors.goes_on()
    house.broken.add("a")
    connectors.restart("a", True, False)
    assert house.states() == ("FAILED", [])
    assert connectors.goes_on(), "else it would end, as if all had been done"


def test_offsets_are_changed_only_while_the_connector_is_stopped(house: House) -> None:
    house.connectors.create("a", CONFIG)
    with pytest.raises(StateError, match="STOPPED") as caught:
        house.connectors.reset_offsets("a")
    assert caught.value.status == 400
    with pytest.raises(StateError, match="STOPPED"):
        house.connectors.alter_offsets("a", [])
    house.connectors.stop("a")
    house.connectors.alter_offsets("a", [({"server": "srv"}, {"lsn": 3})])
    expected = [{"partition": {"server": "srv"}, "offset": {"lsn": 3}}]
    assert house.connectors.offsets("a") == expected
    for partition, offset in (({"server": "other"}, {"lsn": 1}), ({"server": "srv"}, {"file": "x"})):
        with pytest.raises(ConfigError):
            house.connectors.alter_offsets("a", [(partition, offset)])
    assert house.connectors.offsets("a") == expected
    house.connectors.delete("a")
    house.connectors.create("a", CONFIG, "STOPPED")
    assert house.connectors.offsets("a") == expected, "offsets outlive their connector"
    house.connectors.alter_offsets("a", [({"server": "srv"}, None)])
    assert house.connectors.offsets("a") == []
    house.connectors.reset_offsets("a")


def test_a_connector_that_is_deleted_while_its_parts_are_made_starts_none_of_them(
        house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    made, deleted, started, build = threading.Event(), threading.Event(), threading.Event(), house.build

    def slow(config: Mapping[str, str], of_service: bool) -> Connector:
        connector = build(config, of_service)
        parts = connector.parts

        def slow_parts(stop: threading.Event) -> TaskParts:
            found = parts(stop)
            monkeypatch.setattr(found.sink, "start", started.set)
            made.set()
            assert deleted.wait(20)
            return found

        connector.parts = slow_parts
        return connector

    monkeypatch.setattr(house, "build", slow)
    house.connectors._stop_s = 0.01
    house.connectors.create("a", CONFIG)
    assert made.wait(20)
    house.connectors.delete("a")
    deleted.set()
    wait_for(lambda: not house.worker.is_leaving("a"))
    assert not started.is_set(), "nobody would interrupt what it waits for"


def test_nothing_takes_the_place_of_a_task_that_does_not_end(house: House) -> None:
    house.connectors._stop_s = 0.01
    held = house.held = threading.Event()
    house.connectors.create("a", CONFIG)
    wait_for(lambda: bool(house.runs() and house.sources["a"][0].polls))
    for value in "12":  # each replaces the one before, which waits for the one that does not end
        house.connectors.put_config("a", {**CONFIG, "x": value})
    house.connectors.stop("a")
    assert house.runs() == 1
    with pytest.raises(StateError, match="has not stopped yet"):
        house.connectors.alter_offsets("a", [({"server": "srv"}, {"lsn": 3})])
    house.connectors.resume("a")
    house.connectors.restart_task("a", 0)
    time.sleep(0.3)
    assert house.runs() == 1, "two tasks of one connector would send everything twice"
    held.set()
    wait_for(lambda: house.runs() == 2)
    runner: Any = house.worker.runner("a")
    assert runner._after is None, "former runs are forgotten"


@pytest.mark.parametrize("command", ["pause", "resume", "stop", "delete", "offsets", "reset_offsets"])
def test_an_unknown_connector_is_not_found(house: House, command: str) -> None:
    with pytest.raises(StateError) as caught:
        getattr(house.connectors, command)("zz")
    assert caught.value.status == 404


def test_topics_are_those_that_were_sent_to_until_they_are_forgotten(house: House) -> None:
    house.connectors.create("a", CONFIG)
    wait_for(lambda: house.runs() == 1)
    house.sources["a"][0].batches.append(batch(1, 2))
    wait_for(lambda: house.connectors.topics("a") == ["t"])
    house.connectors.restart("a", True, False)
    assert house.connectors.topics("a") == ["t"]
    house.connectors.stop("a")
    assert house.connectors.topics("a") == ["t"]
    house.connectors.resume("a")
    assert house.connectors.topics("a") == ["t"]
    house.connectors.reset_topics("a")
    assert house.connectors.topics("a") == house.connectors.topics("zz") == []


def test_a_connector_that_was_deleted_leaves_no_topics(house: House) -> None:
    house.connectors.create("a", CONFIG)
    wait_for(lambda: house.runs() == 1)
    house.sources["a"][0].batches.append(batch(1, 2))
    wait_for(lambda: house.connectors.topics("a") == ["t"])
    house.connectors.delete("a")
    house.connectors.create("a", CONFIG)
    assert house.connectors.topics("a") == []


def test_the_tables_of_a_connector_come_from_its_server(house: House) -> None:
    house.connectors.create("a", {"name": "a"})
    assert [str(each) for each in house.connectors.tables("a").captured] == ["s.a"]
    with pytest.raises(StateError):
        house.connectors.tables("b")
