"""The readers of `snapshot.max.threads`: sessions that see the same rows, because they share an exported snapshot.

PostgreSQL docs, "Snapshot Synchronization Functions".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from cdc.core.errors import SourceConnectionError, SourceError
from cdc.sources.snapshot.readers import Readers

from .connection import Connection
from .options import PostgresConfig
from .snapshot import CopyReader
from .snapshot_plan import snapshot_connection
from .waits import WaitWatch


def several_readers(config: PostgresConfig, first: CopyReader, make: Callable[[Connection], CopyReader],
                    waits: WaitWatch) -> Readers | None:
    """*first* and the others, which *make* makes; None if one is enough. Each exports what it sees, so that others can
    join as long as one of them lives. Raises SourceError, and closes all, *first* too."""
    if config.snapshot_max_threads == 1:
        return None
    readers: list[CopyReader] = [first]
    names: dict[CopyReader, str] = {}

    def another(left: Sequence[Any]) -> CopyReader:
        reason: SourceError | None = None
        for name in (names[each] for each in left if each in names):
            try:
                conn = snapshot_connection(config, name)
            except SourceError as exc:  # it ended with the session that exported it
                reason = exc
                continue
            made = make(conn)
            names[made] = made.export()
            waits.add(conn.info.backend_pid)
            return made
        raise SourceConnectionError("All connections of the snapshot were lost.",
                                    reason=reason.message if reason is not None else None)

    try:
        names[first] = first.export()
        for _ in range(config.snapshot_max_threads - 1):
            readers.append(another(readers))
    except BaseException:
        for each in readers:
            each.close()
        raise
    return Readers(readers, another, max_bytes=config.cdc_queue_bytes)
