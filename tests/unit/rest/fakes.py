"""A worker and its plugins as the HTTP side sees them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cdc.core.control import Notification, Signal, SnapshotStatus, TableCopy
from cdc.core.preview import TableNames
from cdc.core.table import TableId
from cdc.metrics.task import TaskMetrics
from cdc.runtime.tap import EventTap

SECRET = "hunter2-geheim"


class Worker:
    """It has one connector. Commands are noted in `asked`, and raise `problem` if it is set."""

    def __init__(self) -> None:
        self.tap = EventTap()
        self.answer = ("healthy", "All is well.")
        self.metrics = [TaskMetrics("a", server="srv")]
        self.metrics[0].state = "streaming"
        self.configs: dict[str, dict[str, str | None]] = {"a": {
            "name": "a", "database.password": SECRET, "database.user": "${env:U}", "ssl.key.password": "${env:K}",
            "value.converter.schema.registry.url": f"http://u:{SECRET}@h:1",
            "producer.override.ssl.key.pem": f"-----BEGIN PRIVATE KEY-----{SECRET}-----END PRIVATE KEY-----",
            "value.converter.request.header.Cookie": SECRET, "http.proxy": f"http://u:{SECRET}/x@h:1",
            "heartbeat.action.query": f"select 1 /* identified by '{SECRET}' */",
        }}
        self.statuses: dict[str, dict[str, Any]] = {"a": {
            "name": "a", "connector": {"state": "RUNNING", "worker_id": "h:8083", "version": "0.1.0"},
            "tasks": [{"id": 0, "state": "FAILED", "worker_id": "h:8083", "version": "0.1.0",
                       "trace": f"lost postgresql://u:{SECRET}@h/db"}], "type": "source"}}
        self.problem: Exception | None = None
        self.asked: list[tuple[Any, ...]] = []

    def kafka_cluster_id(self) -> str:
        return "cluster"

    def health(self) -> tuple[str, str]:
        return self.answer

    def connectors(self) -> Sequence[str]:
        if self.problem:
            raise self.problem
        return list(self.configs)

    def config(self, name: str) -> Mapping[str, str | None] | None:
        return self.configs.get(name)

    def status(self, name: str) -> Mapping[str, Any] | None:
        return self.statuses.get(name)

    def task_class(self, name: str) -> str:
        return "c.ATask"

    def tasks(self) -> Sequence[TaskMetrics]:
        return self.metrics

    def topics(self, name: str) -> Sequence[str]:
        return ["t"] if name in self.configs else []

    def _note(self, *asked: Any) -> None:
        if self.problem:
            raise self.problem
        self.asked.append(asked)

    def create(self, name: str, config: Mapping[str, str], target: str) -> None:
        self._note("create", name, config, target)
        self.configs[name] = {**config}

    def put_config(self, name: str, config: Mapping[str, str]) -> bool:
        self._note("put", name, config)
        is_new = name not in self.configs
        self.configs[name] = {**config}
        return is_new

    def patch_config(self, name: str, changes: Mapping[str, str | None]) -> None:
        self._note("patch", name, changes)

    def delete(self, name: str) -> None:
        self._note("delete", name)

    def pause(self, name: str) -> None:
        self._note("pause", name)

    def resume(self, name: str) -> None:
        self._note("resume", name)

    def stop(self, name: str) -> None:
        self._note("stop", name)

    def restart(self, name: str, include_tasks: bool, only_failed: bool) -> Mapping[str, Any]:
        self._note("restart", name, include_tasks, only_failed)
        return self.statuses[name]

    def restart_task(self, name: str, number: int) -> None:
        self._note("restart task", name, number)

    def reset_topics(self, name: str) -> None:
        self._note("reset topics", name)

    def offsets(self, name: str) -> list[dict[str, Any]]:
        self._note("offsets", name)
        return [{"partition": {"server": "srv"}, "offset": {"lsn": 1}}]

    def alter_offsets(self, name: str, offsets: Any) -> None:
        self._note("alter offsets", name, offsets)

    def reset_offsets(self, name: str) -> None:
        self._note("reset offsets", name)

    def signal(self, name: str, signal: Signal) -> None:
        self._note("signal", name, signal)

    def snapshots(self, name: str) -> Sequence[SnapshotStatus]:
        self._note("snapshots", name)
        return [SnapshotStatus("s1", "incremental", "running", (TableCopy("s.a", "running", 5, 9, "5", "9"),), 1)]

    def tables(self, name: str) -> TableNames:
        self._note("tables", name)
        return TableNames((TableId("d", "s", "a"),), (TableId("d", "s", "b"),), {TableId("d", "s", "a"): 7})

    def notifications(self, name: str) -> Sequence[Notification]:
        self._note("notifications", name)
        return [Notification("s1", "Incremental Snapshot", "IN_PROGRESS", {"last_processed_key": "5"}, 1)]


class Plugins:
    def plugins(self, connectors_only: bool) -> list[dict[str, str]]:
        return [{"class": "c.A", "type": "source", "version": "1"}]

    def plugin_config(self, name: str, version: str) -> list[dict[str, Any]]:
        return []

    def validate(self, name: str, config: Mapping[str, str | None]) -> dict[str, Any]:
        return {"name": name, "error_count": 0, "groups": [], "configs": []}
