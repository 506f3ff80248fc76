"""The connectors of a worker, and what a person may ask of them: the standalone side of `rest/api.py`.

A connector comes from a file, or from a client of the REST interface. The file has priority: while it is given, it says
what the configuration is, and nobody changes that here. What clients ask for is kept in a `ConfigStore` before anything
runs, so a restart of the process loses nothing: neither a configuration nor that a connector is paused or stopped.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cdc import about
from cdc.config.secrets import HIDDEN, mask
from cdc.core.control import Notification, Signal, SnapshotStatus
from cdc.core.dataclass import dataclass
from cdc.core.errors import CdcError, ConfigError, StateError
from cdc.core.preview import TableNames
from cdc.core.stores import ConfigStore, Kept, OffsetStore
from cdc.log import get_logger
from cdc.metrics.task import TaskMetrics

from .kept import KeptConnectors
from .offsets import Offsets
from .runner import Connector
from .states import TARGETS, Target
from .tap import EventTap
from .worker import Worker

log = get_logger(__name__)

KEPT_WAIT_S = 2.0
"""The start waits so long for the store of connectors before the REST interface answers without it."""
PAUSE_WAIT_S = 1.0
"""So long a command waits for a task to pause or to resume, so that the status tells it. It does so later too."""

Config = Mapping[str, str]


@dataclass(frozen=True)
class Builder:
    """How a configuration becomes a connector (`assembly`). References in it are resolved each time.

    `of_file` and `of_client` raise ConfigError; a client's may use fewer config providers. `check` raises one for
    everything that a client may not set or got wrong. `shown` is the configuration for people. `tables` asks the
    server; its second argument says whether the configuration is a file's.
    """

    of_file: Callable[[Config], Connector]
    of_client: Callable[[Config], Connector]
    check: Callable[[Config], None]
    shown: Callable[[Config], Mapping[str, str | None]]
    tables: Callable[[Config, bool], TableNames]


@dataclass
class _Entry:
    """`error`: why it could not be built."""

    config: Config
    shown: Mapping[str, str | None]
    target: Target = "STARTED"
    of_file: bool = False
    error: CdcError | None = None


class Connectors:
    """Fulfils `rest.api.Api`, except for what concerns plugins. Reads answer at once; commands wait for each other."""

    def __init__(self, worker: Worker, builder: Builder, configs: ConfigStore, offsets: OffsetStore,
                 stop_s: float = 15.0) -> None:
        """*stop_s*: how long a connector may take to stop before a command goes on without it."""
        self.worker = worker
        self._builder = builder
        self._configs = configs
        self._stop_s = stop_s
        self._lock = threading.RLock()
        self._entries: dict[str, _Entry] = {}
        self._offsets = Offsets(offsets)
        self._kept = KeptConnectors(configs, lambda _: None)

    # -- at the start ----------------------------------------------------------------------------------------------

    def begin(self, files: Sequence[Config], stop: threading.Event) -> None:
        """Take the connectors of *files*, then those that are kept. Raises ConfigError for a file's; one that is kept
        and cannot be built is FAILED. None runs before the store has answered, for it may say that one is paused; if
        that takes long, this returns, and the connectors follow, unless *stop* is set. Raises OffsetStoreError if
        what is kept cannot be read."""
        built = {config["name"].strip(): self._builder.of_file(config) for config in files}
        for config in files:
            self._entries[config["name"].strip()] = _Entry(config, self._builder.shown(config), of_file=True)
        self._kept = KeptConnectors(self._configs, lambda kept: self._take(built, kept))
        self._kept.read(stop, KEPT_WAIT_S)

    def _take(self, built: Mapping[str, Connector], found: Sequence[Kept]) -> None:
        with self._lock:
            kept = {each.name: each for each in found}
            for name, connector in built.items():
                connector.patient = len(built.keys() | kept.keys()) > 1
                entry, known = self._entries[name], kept.pop(name, None)
                if known is not None and known.config is not None:
                    log.warning("connector_defined_twice", connector=name, hint=(
                        "The file is used. The configuration that was given over REST is kept, and is used when no "
                        "file defines this connector."))
                if known is not None and known.state != "STARTED":
                    entry.target = _target(known.state)
                    log.warning("connector_stays_as_it_was", connector=name, state=entry.target, hint=(
                        f"Somebody asked for it over REST. PUT /connectors/{name}/resume starts it."))
                if entry.target != "STOPPED":
                    self.worker.add(connector, paused=entry.target == "PAUSED")
            for each in kept.values():
                if each.config is not None:
                    self._entries[each.name] = _Entry(each.config, self._builder.shown(each.config),
                                                      _target(each.state))
                    if each.state != "STOPPED":
                        self._run(each.name)

    def goes_on(self) -> bool:
        """Whether the worker has something to wait for although no connector runs: it has none from a file, or one
        that is not simply finished or failed. One that a client restarted and that could not be built again counts:
        the client that asked sees why, and asks again. Raises OffsetStoreError if what is kept cannot be read."""
        self._kept.check()
        if not self._kept.taken:
            return True
        entries = list(self._entries.values())
        return not any(each.of_file for each in entries) or any(
            not each.of_file or each.target != "STARTED" or each.error is not None for each in entries)

    # -- looking ---------------------------------------------------------------------------------------------------

    @property
    def tap(self) -> EventTap:
        return self.worker.tap

    def kafka_cluster_id(self) -> str:
        return self.worker.cluster_id

    def health(self) -> tuple[str, str]:
        if self.worker.stopping:
            return "unhealthy", "The worker is stopping."
        if not self._kept.taken:
            return "starting", f"The worker is starting: {self._kept.reason}."
        return "healthy", "The worker has started and answers."

    def connectors(self) -> Sequence[str]:
        return list(self._entries)

    def config(self, name: str) -> Mapping[str, str | None] | None:
        entry = self._entries.get(name)
        return None if entry is None else entry.shown

    def status(self, name: str) -> Mapping[str, Any] | None:
        entry = self._entries.get(name)
        if entry is None:
            return None
        task = self.worker.task_status(name)
        mine: dict[str, Any] = {"state": _STATES[entry.target], "worker_id": self.worker.worker_id,
                                "version": about.VERSION}
        if not self._kept.taken:
            mine["state"] = "UNASSIGNED"
        elif entry.error is not None and entry.target != "STOPPED":
            mine |= {"state": "FAILED", "trace": str(entry.error)}
        elif task is not None and task["state"] == "STOPPED":
            mine["state"] = "STOPPED"
        return {"name": name, "connector": mine, "tasks": [] if task is None else [task], "type": "source"}

    def task_class(self, name: str) -> str:
        runner = self.worker.runner(name)
        return "" if runner is None else runner.connector.task_class

    def tasks(self) -> Sequence[TaskMetrics]:
        return self.worker.tasks()

    def topics(self, name: str) -> Sequence[str]:
        return sorted(self.worker.topics(name))

    def reset_topics(self, name: str) -> None:
        if name in self._entries:
            self.worker.topics(name).clear()

    # -- changing --------------------------------------------------------------------------------------------------

    def create(self, name: str, config: Config, target: str = "STARTED") -> None:
        with self._lock:
            self._kept.require()
            if name in self._entries:
                raise StateError(f"Connector {name} already exists", status=409)
            self._put(name, config, _target(target))

    def put_config(self, name: str, config: Config) -> bool:
        with self._lock:
            self._kept.require()
            entry = self._entries.get(name)
            if entry is None:
                self._put(name, config, "STARTED")
                return True
            self._check_ours(name, entry)
            config = _unmasked(config, entry)
            if dict(config) != dict(entry.config) or entry.error is not None:
                self._put(name, config, entry.target)
            return False

    def patch_config(self, name: str, changes: Mapping[str, str | None]) -> None:
        with self._lock:
            entry = self._entry(name)
            self._check_ours(name, entry)
            changed = _unmasked({key: text for key, text in changes.items() if text is not None}, entry)
            removed = _unmasked({key: "" for key, text in changes.items() if text is None}, entry)
            config = {key: text for key, text in entry.config.items() if key not in removed}
            self.put_config(name, {**config, **changed})

    def delete(self, name: str) -> None:
        with self._lock:
            entry = self._entry(name)
            self._check_ours(name, entry)
            self._configs.delete(name)
            del self._entries[name]
            self._end(name)
            self.worker.topics(name).clear()

    def pause(self, name: str) -> None:
        self._set_target(name, "PAUSED")

    def resume(self, name: str) -> None:
        self._set_target(name, "STARTED")

    def stop(self, name: str) -> None:
        self._set_target(name, "STOPPED")

    def restart(self, name: str, include_tasks: bool, only_failed: bool) -> Mapping[str, Any]:
        """Restart the connector, and with *include_tasks* its task; with *only_failed* what has failed alone. Returns
        the status, in which what restarts is RESTARTING. KIP-745."""
        with self._lock:
            entry = self._entry(name)
            status: Any = self.status(name)
            mine = not only_failed or status["connector"]["state"] == "FAILED"
            tasks = [task for task in status["tasks"] if include_tasks and (
                not only_failed or task["state"] == "FAILED")]
            if entry.target != "STOPPED" and (tasks or (mine and entry.error is not None)):
                self._run(name)
            for each in (*([status["connector"]] if mine and entry.target != "STOPPED" else ()), *tasks):
                each["state"] = "RESTARTING"
                each.pop("trace", None)
            return {**status}

    def restart_task(self, name: str, number: int) -> None:
        with self._lock:
            self._entry(name)
            if number != 0 or self.worker.runner(name) is None:
                raise StateError(f"Task {name}-{number} not found", status=404)
            self._run(name)

    # -- signals ---------------------------------------------------------------------------------------------------

    def signal(self, name: str, signal: Signal) -> None:
        self._entry(name)
        runner = self.worker.runner(name)
        if runner is None:
            raise StateError(f"Connector {name} is stopped and takes no signal.", hint=f"PUT /connectors/{name}/resume"
                             " starts it.")
        runner.signal(signal)

    def snapshots(self, name: str) -> Sequence[SnapshotStatus]:
        self._entry(name)
        runner = self.worker.runner(name)
        return () if runner is None else runner.snapshots()

    def tables(self, name: str) -> TableNames:
        return self._builder.tables(self._entry(name).config, self._entry(name).of_file)

    def notifications(self, name: str) -> Sequence[Notification]:
        self._entry(name)
        runner = self.worker.runner(name)
        told = None if runner is None else runner.connector.notifications
        return () if told is None else told.newest()

    # -- offsets ---------------------------------------------------------------------------------------------------

    def offsets(self, name: str) -> list[dict[str, Any]]:
        self._entry(name)
        return self._offsets.read(name)

    def alter_offsets(self, name: str, offsets: Sequence[tuple[Mapping[str, Any], Mapping[str, Any] | None]]) -> None:
        with self._lock:
            entry = self._stopped(name)
            self._offsets.alter(self._build(entry), offsets)

    def reset_offsets(self, name: str) -> None:
        with self._lock:
            self._stopped(name)
            self._offsets.reset(name)

    def _build(self, entry: _Entry) -> Connector:
        return (self._builder.of_file if entry.of_file else self._builder.of_client)(entry.config)

    # -- inside ----------------------------------------------------------------------------------------------------

    def _entry(self, name: str) -> _Entry:
        self._kept.require()
        entry = self._entries.get(name)
        if entry is None:
            raise StateError(f"Connector {name} not found", status=404)
        return entry

    def _check_ours(self, name: str, entry: _Entry) -> None:
        if entry.of_file:
            raise StateError(f"The configuration of connector {name} comes from a file.", status=403,
                             hint="Change the file and restart the worker; or take the connector out of it, and create "
                                  "it over REST.")

    def _stopped(self, name: str) -> _Entry:
        entry = self._entry(name)
        if entry.target != "STOPPED":
            raise StateError(
                "Connectors must be in the STOPPED state before their offsets can be modified. This can be done for "
                f"the specified connector by issuing a 'PUT' request to the '/connectors/{name}/stop' endpoint",
                status=400)
        if self.worker.is_leaving(name):
            raise StateError(f"The task of connector {name} has not stopped yet: conflicting operation.", status=409)
        return entry

    def _put(self, name: str, config: Config, target: Target) -> None:
        """Check, keep, then run. Nothing has changed if this raises."""
        if not name or name != name.strip() or any(ord(each) < 32 or ord(each) == 127 or each == "/" for each in name):
            raise ConfigError("The name of a connector must not be empty, must not begin or end with a blank, and must"
                              " not contain slashes or control characters.", option="name")
        _check_shown(config)
        self._builder.check(config)
        connector = self._builder.of_client(config)
        self._configs.save(Kept(name, config, target))
        self._entries[name] = _Entry(config, self._builder.shown(config), target)
        if target != "STOPPED":
            self.worker.add(connector, paused=target == "PAUSED")
        log.info("connector_configured", connector=name, state=target)

    def _set_target(self, name: str, target: Target) -> None:
        with self._lock:
            self._kept.require()
            entry = self._entries.get(name)
            if entry is None:
                raise StateError(f"Unknown connector {name}", status=404)
            if entry.target == target:
                return
            self._configs.save(Kept(name, None if entry.of_file else entry.config, target))
            entry.target = target
            log.info("connector_asked", connector=name, state=target)
            if target == "STOPPED":
                self._end(name)
            else:
                self._rest_or_run(name, paused=target == "PAUSED")

    def _rest_or_run(self, name: str, *, paused: bool) -> None:
        runner = self.worker.runner(name)
        if runner is None:
            self._run(name)
        elif paused:
            runner.pause(PAUSE_WAIT_S)
        else:
            runner.resume(PAUSE_WAIT_S)

    def _run(self, name: str) -> None:
        """Build the connector again, so that its references are resolved again, and run it in the place of a former
        run. If it cannot be built, it is FAILED."""
        entry = self._entries[name]
        try:
            connector = self._build(entry)
        except ConfigError as exc:
            entry.error = exc
            log.error("connector_failed", connector=name, error=exc.message, hint=exc.hint)
            self._end(name)
        else:
            entry.error = None
            connector.patient = True
            self.worker.add(connector, paused=entry.target == "PAUSED")

    def _end(self, name: str) -> None:
        if not self.worker.remove(name, self._stop_s):
            log.warning("task_abandoned", connector=name)


_STATES: Mapping[Target, str] = {"STARTED": "RUNNING", "PAUSED": "PAUSED", "STOPPED": "STOPPED"}


def _target(text: str) -> Target:
    return next((each for each in TARGETS if each == text), "STARTED")


def _unmasked(config: Config, entry: _Entry) -> dict[str, str]:
    """*config* with the stored keys and values where it has what we show in their place: clients read a configuration,
    change it, and send all of it back. A key whose salt is hidden is the stored one, also with another value."""
    stored = {name: (key, masked, text) for (name, masked), (key, text) in zip(
        mask(entry.shown).items(), entry.config.items(), strict=True)}
    made = {}
    for name, text in config.items():
        key, masked, kept = stored.get(name, (name, None, ""))
        made[key] = kept if text == masked else text
    return made


def _check_shown(config: Config) -> None:
    for key, text in config.items():
        if text == HIDDEN:
            raise ConfigError(f"{key}: the value is {HIDDEN}, which is what we show in place of a secret.", option=key,
                              hint="Send the value itself, or a reference to a config provider.")
        if HIDDEN in key:
            raise ConfigError(f"{key}: the key has {HIDDEN}, which is what we show in place of a salt.", option=key,
                              hint="Send the salt itself.")
