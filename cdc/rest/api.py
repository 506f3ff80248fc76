"""What the HTTP side may ask of a worker; no HTTP in it.

A command raises StateError, whose `status` is the answer's, ConfigError for what the client must change, and other
errors of `core/errors.py`. Commands may wait: for a task to stop, or for a store.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from cdc.core.control import Notification, Signal, SnapshotStatus
from cdc.core.preview import TableNames
from cdc.metrics.task import TaskMetrics
from cdc.runtime.tap import EventTap

NewOffset = tuple[Mapping[str, Any], Mapping[str, Any] | None]
"""A source partition, and the offset that it shall have; None for none."""


class WorkerView(Protocol):
    """A worker, standalone or one of several. Every call answers from memory, at once, in any thread."""

    @property
    def tap(self) -> EventTap: ...

    def kafka_cluster_id(self) -> str:
        """The id of the Kafka cluster; empty without Kafka, and before the brokers have told it."""
        ...

    def health(self) -> tuple[str, str]:
        """`healthy`, `starting` or `unhealthy`, and a sentence that says why."""
        ...

    def connectors(self) -> Sequence[str]:
        """The connectors' names, in the order they were configured."""
        ...

    def config(self, name: str) -> Mapping[str, str | None] | None:
        """The configuration as submitted, `name` included; None when there is no such connector."""
        ...

    def status(self, name: str) -> Mapping[str, Any] | None:
        """`{"name", "connector": {"state", "worker_id", "version"}, "tasks": [{"id", "state", …}], "type"}`.

        States are Kafka Connect's: RUNNING, FAILED (with a `trace`), PAUSED, STOPPED, UNASSIGNED, RESTARTING. Beside
        Kafka Connect's own fields, a task of which the source warns has `warnings`: a list of objects with `kind`,
        `about`, `text`, `hint` and `since`.
        """
        ...

    def task_class(self, name: str) -> str:
        """The class of the connector's tasks in Kafka Connect; empty while it has none."""
        ...

    def tasks(self) -> Sequence[TaskMetrics]:
        """The metrics of all tasks of this worker."""
        ...

    def topics(self, name: str) -> Sequence[str]:
        """The topics that the connector has used since `reset_topics`, by name; none for an unknown connector."""
        ...


class Commands(Protocol):
    """What changes the connectors of a worker. All raise StateError with 404 for a connector that does not exist."""

    def create(self, name: str, config: Mapping[str, str], target: str) -> None:
        """*target*: STARTED, PAUSED or STOPPED. Raises StateError with 409 if there is one of this name."""
        ...

    def put_config(self, name: str, config: Mapping[str, str]) -> bool:
        """Create or change; whether the connector is new. A configuration without changes restarts nothing."""
        ...

    def patch_config(self, name: str, changes: Mapping[str, str | None]) -> None:
        """Change some keys; None removes one."""
        ...

    def delete(self, name: str) -> None:
        """End the connector and forget it. Its offsets stay."""
        ...

    def pause(self, name: str) -> None: ...

    def resume(self, name: str) -> None: ...

    def stop(self, name: str) -> None: ...

    def restart(self, name: str, include_tasks: bool, only_failed: bool) -> Mapping[str, Any]:
        """Restart the connector, its tasks too, or what has failed alone (KIP-745). Returns the status, in which what
        restarts is RESTARTING."""
        ...

    def restart_task(self, name: str, number: int) -> None: ...

    def reset_topics(self, name: str) -> None:
        """Forget which topics the connector used. Nothing happens for an unknown connector."""
        ...

    def offsets(self, name: str) -> list[dict[str, Any]]:
        """`[{"partition": {…}, "offset": {…}}]`."""
        ...

    def alter_offsets(self, name: str, offsets: Sequence[NewOffset]) -> None:
        """The connector must be stopped."""
        ...

    def reset_offsets(self, name: str) -> None:
        """The connector must be stopped."""
        ...


class Operating(Protocol):
    """Signals to running connectors, and what they tell. All raise StateError with 404 for one that does not exist."""

    def signal(self, name: str, signal: Signal) -> None:
        """Give it to the connector's source, which acts on it soon. Raises StateError with 409 while there is none."""
        ...

    def snapshots(self, name: str) -> Sequence[SnapshotStatus]:
        """The snapshots that run or wait, and the last one that has ended."""
        ...

    def tables(self, name: str) -> TableNames:
        """The tables that the connector captures, and the others of its server. The server is asked, so it may wait.
        Raises SourceError, and StateError for a class that has none."""
        ...

    def notifications(self, name: str) -> Sequence[Notification]:
        """The newest ones, the oldest of them first."""
        ...


class PluginView(Protocol):
    """What plugins there are, and how they are configured."""

    def plugins(self, connectors_only: bool) -> list[dict[str, str]]:
        """`[{"class", "type", "version"}]`, in Kafka Connect's order."""
        ...

    def plugin_config(self, name: str, version: str) -> list[dict[str, Any]]:
        """The keys of the plugin of this class or alias, as `ConfigKeyInfo`; *version* is empty, or must be the
        plugin's. Raises StateError with 404 or 400."""
        ...

    def validate(self, name: str, config: Mapping[str, str | None]) -> dict[str, Any]:
        """`ConfigInfos` of *config* for the connector class or alias *name*. Raises ConfigError, StateError."""
        ...


class Api(WorkerView, Commands, Operating, Protocol):
    """A worker with its commands."""
