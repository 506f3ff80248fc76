"""The levels of loggers while the process runs, by the names that Kafka Connect has for them."""

from __future__ import annotations

import logging
import threading
import time
from typing import Final

from cdc.core.errors import ConfigError

_LEVELS: Final = {"TRACE": 5, "DEBUG": logging.DEBUG, "INFO": logging.INFO, "WARN": logging.WARNING,
                  "ERROR": logging.ERROR, "FATAL": logging.CRITICAL, "OFF": logging.CRITICAL + 50}
ROOT: Final = "root"
MOST: Final = 1000
"""So many loggers may have levels that were set here."""

_lock = threading.Lock()
_changed_ms: dict[str, int] = {}


def is_level(name: object) -> bool:
    """Whether there is a level of this name, in any case of letters."""
    return isinstance(name, str) and name.upper() in _LEVELS


def names() -> list[str]:
    """The loggers that there are, sorted: root, this service's, and those whose level was set here."""
    with logging._lock:  # type: ignore[attr-defined]  # others make loggers meanwhile
        known = [name for name, each in logging.root.manager.loggerDict.items() if isinstance(each, logging.Logger)]
    ours = [name for name in known if name == "cdc" or name.startswith("cdc.")]
    return sorted({ROOT, *ours, *_changed_ms})


def get(name: str) -> tuple[str, int | None]:
    """The level of a logger, and when it was last set here, in milliseconds since the epoch."""
    number = _logger(name).getEffectiveLevel()
    level = max((each for each in _LEVELS.items() if each[1] <= number), key=lambda each: each[1],
                default=("TRACE", 0))[0]
    return level, _changed_ms.get(name)


def set_level(name: str, level: str) -> list[str]:
    """Set the level of a logger and of all known ones below it; return their names. Raises ConfigError for an
    unknown name if MOST have been set: a logger is never removed."""
    if name not in names() and len(_changed_ms) >= MOST:
        raise ConfigError(f"At most {MOST} loggers can be named.", option="logger")
    below = [each for each in names() if name == ROOT or each == name or each.startswith(f"{name}.")]
    touched = sorted({name, *below})
    now = time.time_ns() // 1_000_000
    with _lock:
        for each in touched:
            _logger(each).setLevel(_LEVELS[level.upper()])
            _changed_ms[each] = now
    return touched


def _logger(name: str) -> logging.Logger:
    return logging.getLogger(None if name == ROOT else name)
