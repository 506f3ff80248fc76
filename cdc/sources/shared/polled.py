"""What the sources without a log share: rows are made, or asked for, when it is time for them.

`PolledConfig` has the settings that every connector's assembly asks for, `PolledOptions` reads a configuration, and
`PolledSource` is the part of `core.interfaces.Source` that is the same for both.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final, Generic, TypeVar

from cdc.config.checks import at_least
from cdc.config.options import option, settings
from cdc.config.table import Note, OptionTable, Parsed
from cdc.core.position import Offset, Position

from .warnings import Warnings

Check = Callable[[Parsed, Mapping[str, str]], None]
"""Looks at what was parsed and at the configuration itself; changes values, adds problems and notes."""

_SILENCE_S: Final = 60.0


@settings
class PolledConfig:
    """The settings that every source without a log has."""

    errors_max_retries: int = option(
        "errors.max.retries", "INT", default="-1", importance="LOW", check=at_least(-1), group="Connector",
        doc="How often a lost connection is retried; -1 without limit.",
    )
    retriable_restart_connector_wait_ms: int = option(
        "retriable.restart.connector.wait.ms", "LONG", default="10000", importance="LOW", check=at_least(0),
        doc="Longest wait before the next attempt after a retriable error.", group="Connector",
    )
    database_hostname: str = field(default="")
    """The server, for warnings about connections that are not encrypted; empty if there is none."""
    max_queue_size: int = field(default=8192)
    busy_retries: int | None = field(default=None)
    busy_delay_s: float | None = field(default=None)
    event_converting_failure_handling_mode: ClassVar[str] = "fail"
    extended_headers_enabled: ClassVar[bool] = False


C = TypeVar("C", bound=PolledConfig)


@dataclass(frozen=True, slots=True, kw_only=True)
class PolledOptions(Generic[C]):
    """The options of one such source, and how its configuration is read."""

    settings: type[C]
    table: OptionTable
    check: Check

    def read(self, config: Mapping[str, str], *, strict: bool = False) -> Parsed:
        """Convert and check a connector's configuration. Raises nothing."""
        parsed = self.table.parse(config, strict=strict)
        self.check(parsed, config)
        return parsed

    def parse(self, config: Mapping[str, str], *, strict: bool = False) -> tuple[C, Sequence[Note]]:
        """The settings, and what a person should know about them. Raises ConfigError with all problems."""
        parsed = self.read(config, strict=strict)
        parsed.check(f"connector {config['name']}" if config.get("name") else "the connector's configuration")
        own = self.settings.__dataclass_fields__
        return self.settings(**{name: each for name, each in parsed.values.items() if name in own}), tuple(parsed.notes)


class PolledSource:
    """The same part of both sources. Built for one run: after `stop` make a new one."""

    def __init__(self) -> None:
        self.warnings = Warnings()
        self._interrupted = threading.Event()
        self._finished = False
        self._due = 0.0

    def state(self) -> str:
        return "streaming"

    def finished(self) -> bool:
        return self._finished

    def silence_s(self) -> float:
        return _SILENCE_S

    def confirm(self, position: Position) -> None:
        """Nothing is kept for us anywhere."""

    def interrupt(self) -> None:
        self._interrupted.set()

    def stop(self) -> None:
        self._interrupted.set()

    def context_headers(self, run_id: str) -> Sequence[tuple[str, str]]:
        return ()

    def metrics(self) -> Mapping[str, float]:
        return {}

    def _is_due(self, timeout: float) -> bool:
        """Wait up to *timeout* seconds until `_due`; whether it is time, and nobody stops the task."""
        wait = self._due - time.monotonic()
        if wait > 0:
            self._interrupted.wait(min(wait, timeout))
        return not self._interrupted.is_set() and time.monotonic() >= self._due


def whole_of(offset: Offset, key: str, low: int, high: int) -> int | None:
    """The number under *key* of a stored *offset*, None without one. Raises ValueError if it is none from *low* to
    *high*."""
    value = offset.get(key)
    if value is None:
        return None
    if type(value) is not int or not low <= value <= high:
        raise ValueError(f"{key} is no number of an offset")
    return value
