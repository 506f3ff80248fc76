"""What both databases' looks at a server have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from cdc.core.errors import CdcError
from cdc.debezium.naming import TopicNaming


def raised(check: Callable[[], object]) -> list[CdcError]:
    """The error that *check* raises, in a list; an empty one if it raises none."""
    try:
        check()
    except CdcError as exc:
        return [exc]
    return []


def other_topics(config: Any, naming: TopicNaming) -> Iterator[tuple[str, str]]:
    """The topics beside those of the tables, and what is in each."""
    if config.provide_transaction_metadata:
        yield naming.transaction_topic(), "beginning and end of each transaction"
    if config.heartbeat_interval_ms > 0:
        yield naming.heartbeat_topic(), "heartbeats"
    if getattr(config, "include_schema_changes", False):
        yield naming.schema_change_topic(), "statements that change tables"
