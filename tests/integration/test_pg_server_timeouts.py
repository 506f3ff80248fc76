"""Timeouts that an administrator set for everybody, and what of ours may take longer."""

from __future__ import annotations

import time

from tests.conftest import Database
from tests.integration.pg_source import running


def test_a_snapshot_outlasts_the_servers_timeouts(database: Database) -> None:
    """While the sink is away a snapshot is not polled; it would begin again and again, and never come to its end."""
    database.execute("CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY)")
    database.execute("INSERT INTO a VALUES (1), (2); INSERT INTO b VALUES (3)")
    database.execute(f"ALTER DATABASE {database.name} SET idle_in_transaction_session_timeout = '300ms'")
    database.execute(f"ALTER DATABASE {database.name} SET statement_timeout = '300ms'")
    if int(database.execute("SHOW server_version_num")[0][0]) >= 170000:
        database.execute(f"ALTER DATABASE {database.name} SET transaction_timeout = '300ms'")
    with running(database, {"snapshot.mode": "initial_only", "max.batch.size": "1"}) as reading:
        found = reading.batch() or []
        time.sleep(0.7)
        found += reading.to_end()
    assert len(found) == 3
