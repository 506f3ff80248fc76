"""Whose a key is that stands where a worker's keys and a connector's are together."""

from __future__ import annotations

from typing import Final

from cdc.config.table import OptionTable
from cdc.core.late_regex import late_regex

from .options import CONNECTOR_OPTIONS

CONVERTER: Final = late_regex(r"(key|value|header)\.converter(\..+)?")
"""Keys that the worker and a connector both have, with the same meaning."""
_MEANT_FOR_CONNECTOR: Final = frozenset({"heartbeat.interval.ms"})
"""Keys that a worker and a connector may both have, with different meanings. We take them as the connector's."""


def is_workers(key: str, worker_options: OptionTable) -> bool:
    """Whether *key* is the worker's and not a connector's. Unknown keys are the connector's."""
    if key in _MEANT_FOR_CONNECTOR or not worker_options.knows(key):
        return False
    return key in worker_options.keys or not CONNECTOR_OPTIONS.knows(key)
