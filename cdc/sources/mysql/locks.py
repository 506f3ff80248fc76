"""Questions about a table that another session has locked: an ALTER TABLE in its last phase, a RENAME TABLE that waits
for its second table, LOCK TABLES. MySQL Reference Manual, "Metadata Locking".

A session that asks gives up after `SHORT_S`, so that a lock of one table does not hold up what needs another.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

from pymysql.constants import ER

from cdc.core.errors import SourceConnectionError, SourceError
from cdc.core.table import TableId
from cdc.sources.shared.warnings import Warnings

SHORT_S: Final = 2
SHORT_WAITS: Final = f"SET SESSION lock_wait_timeout = {SHORT_S}"
_KIND: Final = "table_locked"
_HINT: Final = (
    "Find the session that holds it: SHOW PROCESSLIST; on MySQL performance_schema.metadata_locks, on MariaDB"
    " information_schema.METADATA_LOCK_INFO."
)

T = TypeVar("T")


def is_locked(error: SourceError) -> bool:
    """Whether a statement gave up waiting for a lock."""
    return error.context.get("errno") == ER.LOCK_WAIT_TIMEOUT


class LockWaits:
    """Waits for tables that are locked, and tells which ones. One for each source."""

    def __init__(self, warnings: Warnings, limit_s: float) -> None:
        """*limit_s*: how long to wait for one table at most; 0 sets no limit."""
        self._warnings = warnings
        self._limit_s = limit_s

    def patiently(self, id: TableId, ask: Callable[[], T], *, limited: bool = True) -> T:
        """The result of *ask*, a question about table *id* in a session of SHORT_WAITS. Asks again while the table is
        locked. Raises SourceConnectionError, which names the table, at the limit, unless not *limited*."""
        began = time.monotonic()
        told = False
        try:
            while True:
                try:
                    return ask()
                except SourceConnectionError as exc:
                    waited_s = time.monotonic() - began
                    if not is_locked(exc):
                        raise
                    if limited and self._limit_s and waited_s >= self._limit_s:
                        raise SourceConnectionError(f"Another session has locked table {id} for {waited_s:.0f} s.",
                                                    hint=_HINT) from exc
                    told = True
                    self._warnings.put(_KIND, str(id), "another session has locked the table, and we wait to read its"
                                       " structure or its rows", _HINT)
        finally:
            if told:
                self._warnings.end(_KIND, str(id))
