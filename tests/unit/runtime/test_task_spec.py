"""A task is built from plain data, in this process or in another."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from cdc import assembly
from cdc.config.secrets import Secret
from cdc.metrics.task import TaskMetrics
from cdc.runtime.task_spec import TaskSpec
from cdc.sinks.file import FileSink
from cdc.sources.postgres.source import PostgresSource


def spec(folder: Path) -> TaskSpec:
    worker = {"sink.type": "file", "sink.file.path": str(folder / "events"),
              "offset.storage.file.filename": str(folder / "offsets")}
    config = {"name": "a", "connector.class": "postgres", "topic.prefix": "srv", "database.hostname": "h",
              "database.user": "u", "database.dbname": "d", "database.password": Secret("geheim"),
              "transforms": "r", "transforms.r.type": "RegexRouter", "transforms.r.regex": "a",
              "transforms.r.replacement": "b"}
    return TaskSpec("a", 0, "run", config, worker)


def test_json_and_back_is_the_same_and_knows_its_secrets(tmp_path: Path) -> None:
    made = TaskSpec.from_json(spec(tmp_path).to_json())
    assert made == spec(tmp_path)
    assert isinstance(made.config["database.password"], Secret)
    assert not isinstance(made.config["database.user"], Secret)
    assert "geheim" not in repr(made)


def test_a_task_is_built_from_its_json(tmp_path: Path) -> None:
    made = TaskSpec.from_json(spec(tmp_path).to_json())
    parts = assembly.parts_of(made, TaskMetrics("a"), threading.Event())
    parts.converter.close()
    assert isinstance(parts.source, PostgresSource)
    assert isinstance(parts.sink, FileSink)
    assert parts.source.partition() == {"server": "srv"}
    assert parts.transforms is not None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"connector": "a", "task": "x"}'])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        TaskSpec.from_json(text)
