"""The readers of `snapshot.max.threads`. One that loses its connection cannot join the others' transactions again: the
one in its place reads as of a later time, as a later attempt of the snapshot would (`sources.snapshot.progress`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from cdc.core.errors import SourceConnectionError
from cdc.sources.snapshot.readers import Readers

from .connection import Connection
from .position import MySqlPosition
from .snapshot import TextReader
from .snapshot_plan import SnapshotPlan


def several_readers(plan: SnapshotPlan, readers: Sequence[TextReader], make: Callable[[Connection], TextReader],
                    read_at: Callable[[MySqlPosition], None] | None, *, max_bytes: int,
                    apart: bool = False) -> Readers | None:
    """*readers*, and those in the place of others, which *make* makes; None if there is but one, unless that one should
    read *apart*, in a thread of its own: the server may take long to answer.

    *read_at* is told how far the log is at least of which such a reader sees the rows. None if no stream follows: then
    a lost reader ends the snapshot.
    """
    if len(readers) < 2 and not apart:
        return None

    def another(left: Sequence[Any]) -> TextReader:
        if read_at is None:
            raise SourceConnectionError("A connection of the snapshot was lost, and no other can see the same rows.",
                                        hint="The snapshot begins again.")
        conn, position = plan.another()
        read_at(position)
        return make(conn)

    return Readers(readers, another, max_bytes=max_bytes)
