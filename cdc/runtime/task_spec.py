"""What a task is built from, as plain data: so it can be built in this process, or in another one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import field
from typing import Any

from cdc.config.secrets import Secret
from cdc.core.dataclass import dataclass


@dataclass(frozen=True)
class TaskSpec:
    """`config` and `worker` are the connector's and the worker's configurations with their references resolved, so
    that they hold secrets. `run_id` names the connector's run in headers."""

    connector: str
    task: int
    run_id: str
    config: Mapping[str, str] = field(repr=False)
    worker: Mapping[str, str] = field(repr=False)

    def to_json(self) -> str:
        """One line. It holds secrets; which values were `Secret` is kept."""
        return json.dumps({
            "connector": self.connector, "task": self.task, "run_id": self.run_id,
            "config": _plain(self.config), "worker": _plain(self.worker)})

    @classmethod
    def from_json(cls, text: str) -> TaskSpec:
        """What `to_json` wrote. Raises ValueError, KeyError or TypeError for anything else."""
        found = json.loads(text)
        return cls(str(found["connector"]), int(found["task"]), str(found["run_id"]), _typed(found["config"]),
                   _typed(found["worker"]))


def _plain(config: Mapping[str, str]) -> dict[str, Any]:
    return {"values": {key: str(text) for key, text in config.items()},
            "secret": [key for key, text in config.items() if isinstance(text, Secret)]}


def _typed(found: Mapping[str, Any]) -> dict[str, str]:
    secret = set(found["secret"])
    return {key: Secret(text) if key in secret else str(text) for key, text in found["values"].items()}
