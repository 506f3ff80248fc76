"""Facts about the server: version, identity, timelines."""

from __future__ import annotations

from typing import Final

import psycopg
from psycopg import sql

from cdc.core.dataclass import dataclass

from .connection import Connection, query
from .errors import map_error
from .lsn import Lsn

_OTHER_CLOCK_US: Final = 600_000_000
"""How much later the clock of a standby's primary, which wrote the commits, may be."""


@dataclass(frozen=True)
class ServerFacts:
    """What a server says of itself.

    `version`: as the server counts (150018).
    `system_id`: identifies the cluster.
    `timeline`: changes with each failover and point-in-time recovery.
    `flushed_lsn`: up to here WAL is durable now; on a standby, received.
    """

    version: int
    in_recovery: bool
    system_id: str
    timeline: int
    wal_level: str
    user: str
    database: str
    flushed_lsn: Lsn


def read_facts(conn: Connection) -> ServerFacts:
    """Asks over a replication connection; IDENTIFY_SYSTEM needs one."""
    system_id, timeline, lsn, database = query(conn, "IDENTIFY_SYSTEM")[0]
    (in_recovery, wal_level, user), = query(
        conn, "SELECT pg_catalog.pg_is_in_recovery(), pg_catalog.current_setting('wal_level'), current_user::text")
    return ServerFacts(conn.info.server_version, in_recovery, system_id, int(timeline), wal_level, user, database,
                       Lsn.parse(lsn))


def durable_lsn(conn: Connection) -> int:
    """The end of the log that is on the server's disk; on a standby, of what it has applied. Raises SourceError."""
    (text,), = query(conn, """\
SELECT (CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()
             ELSE pg_catalog.pg_current_wal_flush_lsn() END)::text""")
    return int(Lsn.parse(text))


def time_us(conn: Connection) -> int:
    """A time after all commits that the server has now, µs since 1970. Asks over an ordinary connection."""
    (now_us, in_recovery), = query(conn, """\
SELECT (extract(epoch FROM pg_catalog.clock_timestamp()) * 1000000)::int8, pg_catalog.pg_is_in_recovery()""")
    return int(now_us) + (_OTHER_CLOCK_US if in_recovery else 0)


def timeline_history(conn: Connection, timeline: int) -> tuple[tuple[int, Lsn], ...]:
    """The timelines before *timeline*, oldest first, each with the LSN at which the server left it. Asks over a
    replication connection. PostgreSQL docs, "Streaming Replication Protocol": TIMELINE_HISTORY."""
    if timeline <= 1:
        return ()  # the first has no history file
    try:
        cursor = conn.execute(sql.SQL("TIMELINE_HISTORY {}").format(sql.Literal(timeline)))
    except psycopg.Error as exc:
        raise map_error(exc) from exc
    content = cursor.pgresult.get_value(0, 1) if cursor.pgresult else None
    lines = (content or b"").decode("utf-8", "replace").splitlines()
    rows = [line.split("\t") for line in lines if line.strip() and not line.lstrip().startswith("#")]
    return tuple((int(row[0]), Lsn.parse(row[1].strip())) for row in rows)


def money_digits(conn: Connection) -> int:
    """How many fraction digits amounts of type money have with the lc_monetary that our session had at first: cash_send
    gives one unit of the currency in its smallest units. *conn* is in autocommit, so the two statements are one
    transaction. Raises SourceError."""
    try:
        cursor = conn.execute(
            "SELECT pg_catalog.set_config('lc_monetary', reset_val, true) FROM pg_catalog.pg_settings"
            " WHERE name = 'lc_monetary'; SELECT pg_catalog.cash_send(1::pg_catalog.money)")
        cursor.nextset()
        sent = cursor.fetchall()[0][0]
    except psycopg.Error as exc:
        raise map_error(exc) from exc
    return len(str(int.from_bytes(sent))) - 1
