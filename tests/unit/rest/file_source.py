"""Kafka's file source, as far as the recorded requests see it: a plugin of another package would be like this one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from cdc.config.options import Option
from cdc.config.table import Note, OptionTable, Parsed
from cdc.core.errors import PositionLostError
from cdc.core.record import Batch, Message
from cdc.plugins import Plugin

OPTIONS = OptionTable((
    Option(key="file", importance="HIGH", doc="Source filename."),
    Option(key="topic", importance="HIGH", required=True, doc="The topic to publish data to."),
    Option(key="batch.size", type="INT", default="2000", importance="LOW", doc="Lines read at once."),
))


@dataclass(frozen=True, slots=True)
class Line:
    position: int

    def offset(self) -> dict[str, Any]:
        return {"position": self.position}


class FileSource:
    """Sends one line, once, and waits for more."""

    def __init__(self, config: Any) -> None:
        self.config = config
        self.sent = False
        self.warnings = SimpleNamespace(active=list, begun=dict)

    def start(self, offset: Any) -> None:
        self.sent = offset is not None

    def poll(self, timeout: float) -> Batch | None:
        if self.sent:
            return None
        self.sent = True
        return Batch([Message(self.config.topic, None, None, None, None)], Line(3), 10)

    def confirm(self, position: Any) -> None: ...

    def finished(self) -> bool:
        return False

    def state(self) -> str:
        return "streaming"

    def silence_s(self) -> float:
        return 1e9

    def interrupt(self) -> None: ...

    def stop(self) -> None: ...

    def partition(self) -> Mapping[str, Any]:
        return {"filename": self.config.file}

    def check_offset(self, offset: Any) -> None:
        if not isinstance(offset.get("position"), int):
            raise PositionLostError("position is no number")

    def metrics(self) -> Mapping[str, float]:
        return {}


def read(config: Mapping[str, str], *, strict: bool = False) -> Parsed:
    return OPTIONS.parse(config, strict=strict)


def parse(config: Mapping[str, str], *, strict: bool = False) -> tuple[Any, tuple[Note, ...]]:
    parsed = read(config)
    parsed.check("the connector's configuration")
    return SimpleNamespace(
        file=parsed.values["file"], topic=parsed.values["topic"], topic_prefix="f", max_queue_size=10,
        event_converting_failure_handling_mode="fail", extended_headers_enabled=False, database_hostname="",
        retriable_restart_connector_wait_ms=1000, errors_max_retries=-1, busy_retries=None, busy_delay_s=None), ()


_HERE = "tests.unit.rest.file_source"
PLUGIN = Plugin("connector", "org.apache.kafka.connect.file.FileStreamSourceConnector", f"{_HERE}:FileSource", (),
                f"{_HERE}:read", f"{_HERE}:parse", f"{_HERE}:OPTIONS")
SINK = Plugin("connector", "org.apache.kafka.connect.file.FileStreamSinkConnector", missing="Only sources run here.")
