"""Watches that the publication has the captured tables, at start and while the stream runs.

What is lost is an error, what is not captured a warning; `verdict.py` says which is which. What was seen last goes into
the offset (`kept.py`), so that a start sees what happened while nobody looked.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from cdc.core.errors import PositionLostError, SourceError
from cdc.core.table import TableId
from cdc.debezium.filters import Filters
from cdc.log import get_logger
from cdc.sources.shared.added import former_filters, lists_of
from cdc.sources.shared.warnings import Warnings

from .builtin import is_builtin
from .checks import listed
from .connection import Connection, query
from .kept import Kept, kept_of, read_kept
from .options import PostgresConfig
from .published import OPERATIONS, Name, Seen, names_digest, newest_oid, read_names, read_publication, read_seen
from .resume import accepts_gaps
from .verdict import STATES, Verdict, judge

log = get_logger(__name__)

ALL_NAMES_EVERY: Final = 6
"""A look in so many reads the names of all tables, if any has changed: a table that was renamed into the lists."""
_SHARE: Final = 20
"""A look takes at most one part in so many of the time, whatever the number of captured tables."""


class Watch:
    """One source's. `start` and `look` are called by one thread at a time."""

    def __init__(self, config: PostgresConfig, filters: Filters, warnings: Warnings) -> None:
        self._config = config
        self._filters = filters
        self._warnings = warnings
        self._lists = self._former_lists = lists_of(config)
        self._kept: Kept | None = None
        self._text: str | None = None
        self._names: set[Name] = set()
        self._newest = 0
        self._digest = ""
        self._looks = 0
        self._next_look = 0.0
        self.in_recovery = False

    @property
    def text(self) -> str | None:
        """What the offset is to hold. From any thread."""
        return self._text

    @property
    def kept(self) -> Kept | None:
        """What was seen last; None without a publication."""
        return self._kept

    # -- start ----------------------------------------------------------------------------------------------------

    def before_start(self, conn: Connection, stored: str | None, lists: str | None, *, resumes: bool,
                     copies: bool = False) -> None:
        """Before the publication is made or altered. *stored*: what the offset holds, None in those of others. *lists*:
        those of the offset that chose the tables (`added.lists_of`), None if it has none. *resumes*: there is an
        offset; *copies*: of a snapshot that is not complete, which must not go on over a gap. Raises SourceError for
        what was lost, unless the operator accepts it."""
        self.in_recovery = _in_recovery(conn)
        self._read_names(conn)
        if not resumes:
            return
        self._kept = None
        if stored is not None:
            self._kept, earlier = read_kept(stored)
            self._former_lists = earlier if lists is None else lists
        seen = self._seen(conn)
        verdict = self._judge(seen, resumes)
        error = verdict.error()
        if error is not None and (not accepts_gaps(self._config) or (copies and isinstance(error, PositionLostError))):
            raise error
        if error is not None:
            self._show(verdict)
        for loss in verdict.losses:
            self._warnings.put("gap_accepted", loss.about, loss.text, "offset.mismatch.strategy accepts it.")
        if self._kept is None or error is not None:
            self._kept, self._former_lists = kept_of(seen), self._lists

    def after_start(self, conn: Connection, *, resumes: bool) -> None:
        """After that: shows what is not captured, and keeps what is so now."""
        seen = self._seen(conn)
        self._show(self._judge(seen, resumes))
        self._remember(seen)

    # -- while running --------------------------------------------------------------------------------------------

    def look(self, conn: Connection) -> SourceError | None:
        """What the stream must end with, if anything. Raises SourceError when the server does not tell."""
        began = time.monotonic()
        if began < self._next_look or _in_recovery(conn) != self.in_recovery:
            return None
        newest = newest_oid(conn)
        self._looks += 1
        if self._looks % ALL_NAMES_EVERY == 0:
            self._read_names(conn)
        seen = self._seen(conn, self._newest)
        self._newest = newest
        self._names.update(seen.tables)
        verdict = self._judge(seen, True)
        self._show(verdict)
        error = verdict.error()
        if error is None:
            self._remember(seen)
        self._next_look = began + _SHARE * (time.monotonic() - began)
        return error

    # -- both -----------------------------------------------------------------------------------------------------

    def _captured(self, name: Name) -> bool:
        return self._filters.table(TableId(self._config.database_dbname, *name))

    def _read_names(self, conn: Connection) -> None:
        digest = names_digest(conn)
        if digest != self._digest:
            self._newest = newest_oid(conn)
            self._names = {name for name in read_names(conn) if self._captured(name)}
            self._digest = digest

    def _seen(self, conn: Connection, newer_than: int | None = None) -> Seen:
        publication = read_publication(conn, self._config.publication_name)
        kept = self._kept.tables if self._kept is not None else ()
        return read_seen(conn, publication, self._names, self._captured, kept, newer_than)

    def _judge(self, seen: Seen, resumes: bool) -> Verdict:
        return judge(self._kept, seen, resumes=resumes, publication=self._config.publication_name,
                     operations=frozenset(OPERATIONS) - set(self._config.skipped_operations),
                     captured_before=self._captured_before())

    def _captured_before(self) -> Callable[[Name], bool]:
        """By the lists by which `_kept` came about."""
        if self._kept is None or self._former_lists == self._lists:
            return self._captured
        filters = former_filters(self._former_lists or "{}", is_builtin)
        return lambda name: filters.table(TableId(self._config.database_dbname, *name))

    def _show(self, verdict: Verdict) -> None:
        for kind in STATES:
            self._warnings.show(kind, verdict.warnings.get(kind, {}))
        for kind, found in verdict.warnings.items():
            for about, (text, hint) in found.items() if kind not in STATES else ():
                self._warnings.put(kind, about, text, hint)
        if verdict.joined:
            log.info("tables_joined", tables=listed(sorted(verdict.joined)))

    def _remember(self, seen: Seen) -> None:
        kept, self._former_lists = kept_of(seen), self._lists
        if (kept is not None and kept != self._kept) or self._text is None:
            self._kept = kept
            self._text = kept.text() if kept is not None else None


def _in_recovery(conn: Connection) -> bool:
    """A connection may reach another server than the stream's, which may lag behind."""
    return bool(query(conn, "SELECT pg_catalog.pg_is_in_recovery()")[0][0])
