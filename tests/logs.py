"""What is logged while a block runs."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from cdc.log import Logger


@contextmanager
def capture_logs() -> Iterator[list[MutableMapping[str, Any]]]:
    """Our lines of all threads and levels, which are not written: their names, with `event` and `log_level`."""
    lines: list[MutableMapping[str, Any]] = []

    def write(_logger: Logger, level: int, event: str, about: Mapping[str, Any]) -> None:
        lines.append({**about, "event": event, "log_level": logging.getLevelName(level).lower()})

    with patch.object(Logger, "write", write):
        yield lines
