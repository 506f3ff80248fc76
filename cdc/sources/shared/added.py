"""Tables that a changed configuration has added. The stream brings what changes in them from now on, and a snapshot
beside it brings the rows that they have.

The offset keeps the lists that chose the tables, so a start sees which ones they did not choose before. A table that
was left out for a while and is captured again counts as added: nobody has read its changes meanwhile.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any, Final

from cdc.core import control
from cdc.core.control import Signal
from cdc.core.errors import PositionLostError
from cdc.core.table import TableId
from cdc.debezium.filters import Filters
from cdc.log import get_logger

from .selection import SnapshotSelection

log = get_logger(__name__)

KEY: Final = "captured_lists"
"""The offset's key."""

_LISTS: Final = ("database_include_list", "database_exclude_list", "schema_include_list", "schema_exclude_list",
                 "table_include_list", "table_exclude_list", "table_ignore_builtin", "signal_data_collection")


def lists_of(config: Any) -> str:
    """The options of *config* that choose the captured tables, for the offset; empty if all tables are captured, since
    nothing can be added then."""
    found = {name: getattr(config, name) for name in _LISTS if getattr(config, name, None) not in (None, (), True)}
    return json.dumps(found, separators=(",", ":")) if found else ""


def former_filters(lists: str, builtin: Callable[[TableId], bool]) -> Filters:
    """What the *lists* of a stored offset chose, as `lists_of` gave them. Raises PositionLostError if they are damaged.
    """
    try:
        return Filters.from_config(SimpleNamespace(**json.loads(lists)), builtin)
    except (ValueError, TypeError) as exc:
        raise PositionLostError("What the stored offset remembers of the lists of tables cannot be read.",
                                hint="Reset the connector's offset to start with a new snapshot.") from exc


def tables_to_copy(captured: Iterable[TableId], stored: str, builtin: Callable[[TableId], bool],
                   selection: SnapshotSelection) -> list[TableId]:
    """Those of *captured* that the lists of a stored offset did not choose, and whose rows a snapshot would copy whole.
    Raises PositionLostError if those lists are damaged."""
    before = former_filters(stored, builtin)
    added = selection.tables([id for id in captured if not before.table(id)], {})
    partly = [str(id) for id in added if selection.override(id)]
    if partly:
        log.warning("added_tables_not_copied", tables=partly,
                    why="snapshot.select.statement.overrides chooses their rows", hint=(
                        "Their changes are captured. A blocking snapshot copies rows that a SELECT of yours chooses."))
    return [id for id in added if not selection.override(id)]


def request(tables: Iterable[TableId]) -> Signal:
    """Asks for the rows of *tables*."""
    names = [str(id) for id in tables]
    log.info("tables_added", tables=names, effect="their present rows are copied while the stream goes on")
    return Signal(str(uuid.uuid4()), control.EXECUTE_SNAPSHOT,
                  {"type": "incremental", "data-collections": [f"(?-i:{re.escape(name)})" for name in names]}, "start")
