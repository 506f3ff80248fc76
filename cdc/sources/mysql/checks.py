"""Whether a server and its settings allow streaming, checked before the first event."""

from __future__ import annotations

from collections.abc import Iterator

from cdc.core.errors import SourceRefusedError

from .connection import Connection
from .errors import CLASH_HINT
from .grants import check_grants
from .options import MySqlConfig
from .server import MySqlFacts


def check_server(conn: Connection, facts: MySqlFacts, config: MySqlConfig, *, snapshot: bool = False) -> None:
    """Whether we can stream from this server with this user, and with *snapshot* whether we can copy its tables. Raises
    SourceRefusedError, whose hint says what to change."""
    for problem in server_problems(conn, facts, config, snapshot=snapshot):
        raise problem


def server_problems(conn: Connection, facts: MySqlFacts, config: MySqlConfig, *,
                    snapshot: bool = False) -> Iterator[SourceRefusedError]:
    """All that `check_server` would raise, one after the other."""
    yield from _of_flavor(facts, config)
    yield from _of_log(facts)
    if facts.server_id == config.database_server_id:
        yield SourceRefusedError(f"The server itself has server_id {facts.server_id}.", hint=CLASH_HINT)
    try:
        check_grants(conn, facts, needed_grants(facts, config, snapshot=snapshot))
    except SourceRefusedError as exc:
        yield exc


def _of_flavor(facts: MySqlFacts, config: MySqlConfig) -> Iterator[SourceRefusedError]:
    if facts.flavor != config.flavor:
        yield SourceRefusedError(f"The server is {facts.flavor.product} {facts.version}.",
                                 hint=f"Set connector.class to {facts.flavor.connector_class}.")
    if facts.version_id < facts.flavor.minimum_version_id:
        yield SourceRefusedError(f"Version {facts.version} of the server is too old.",
                                 hint=f"{facts.flavor.minimum_version} or later is needed.")


def _of_log(facts: MySqlFacts) -> Iterator[SourceRefusedError]:
    if not facts.log_bin:
        yield SourceRefusedError("The server writes no binary log.",
                                 hint="Start it with log_bin (on RDS and Cloud SQL: switch backups on).")
    if facts.binlog_format != "ROW":
        yield SourceRefusedError(f"binlog_format is {facts.binlog_format}; it must be ROW.",
                                 hint="Run SET GLOBAL binlog_format = 'ROW', make it permanent in the server's"
                                      " configuration, and reconnect all clients.")


def needed_grants(facts: MySqlFacts, config: MySqlConfig, *, snapshot: bool = False) -> list[str]:
    """The global privileges for a stream, and with *snapshot* for a snapshot too."""
    needed = ["REPLICATION SLAVE", "REPLICATION CLIENT"]
    if snapshot and config.snapshot_locking_mode != "none" and not (
            facts.flavor.snapshot_has_position and config.snapshot_locking_mode == "minimal"):
        needed.append("RELOAD")
    return needed
