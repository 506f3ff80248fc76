"""Warns of rows of captured tables that came or went by a statement for which the log has no row events."""

from __future__ import annotations

from typing import Final

from cdc.log import get_logger
from cdc.sources.mysql.ddl.row_changes import RowChange
from cdc.sources.shared.warnings import Warnings

log = get_logger(__name__)

KIND: Final = "rows_without_events"
_DONE: Final = {
    "lost": "took rows away", "may have lost": "may have taken rows away", "got": "put rows in",
    "exchanged": "put other rows in",
}
_HINT: Final = (
    "Consumers of the table's topic do not know of it: take a new snapshot (reset the connector's offset), or change"
    " the rows there too."
)
TRUNCATE_HINT: Final = "With skipped.operations=none the connector sends an event for it."


class RowWarnings:
    """The warnings of one stream. One of a table lasts until the connector starts again; later ones of the same table
    are only logged."""

    def __init__(self, warnings: Warnings) -> None:
        self._warnings = warnings
        self._told: set[str] = set()

    def tell(self, change: RowChange, file: str, pos: int, hint: str = "") -> None:
        """*file* and *pos*: where the log has the statement."""
        about = str(change.id)
        text = f"{change.statement} at {file}:{pos} {_DONE[change.effect]}, and the log has no events of these rows"
        hint = f"{_HINT} {hint}" if hint else _HINT
        if about in self._told:
            log.warning(KIND, about=about, why=text, hint=hint)
        else:
            self._told.add(about)
            self._warnings.put(KIND, about, text, hint)
