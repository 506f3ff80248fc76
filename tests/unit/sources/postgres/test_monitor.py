"""What PostgreSQL's monitor makes of what the server tells: lasting warnings, and errors that end the stream."""

from __future__ import annotations

from typing import Any, cast

import pytest

from cdc.core.errors import SourceRefusedError
from cdc.sources.postgres import checks, monitor, slots
from cdc.sources.postgres.monitor import PostgresMonitor
from cdc.sources.postgres.options import parse_postgres
from cdc.sources.postgres.slots import SlotLag
from cdc.sources.shared.warnings import Warnings

GIVEN = {"name": "n", "topic.prefix": "srv", "database.hostname": "h", "database.user": "u", "database.dbname": "d",
         "slot.name": "s"}


class Server:
    """What the next look finds."""

    def __init__(self) -> None:
        self.lag: SlotLag | None = SlotLag(5, 3, "reserved", None, 9)
        self.may_replicate = True
        self.error: SourceRefusedError | None = None

    def look(self, conn: Any) -> SourceRefusedError | None:
        return self.error


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    server = Server()
    monkeypatch.setattr(slots, "slot_lag", lambda conn, name: server.lag)
    monkeypatch.setattr(checks, "may_replicate", lambda conn: server.may_replicate)
    monkeypatch.setattr(monitor, "look_at_rows", lambda conn, watch, rows: None)
    return server


@pytest.fixture(name="watching")
def watching_fixture(server: Server, monkeypatch: pytest.MonkeyPatch) -> PostgresMonitor:
    config, _ = parse_postgres(GIVEN)
    unused: Any = None
    made = PostgresMonitor(config, unused, cast(Any, server), unused, Warnings())
    monkeypatch.setattr(made, "_connection", lambda: None)
    return made


def looked(watching: PostgresMonitor) -> list[tuple[str, str]]:
    watching._look()
    return [(each.kind, each.about) for each in watching._warnings.active()]


def test_a_server_that_keeps_everything_gives_no_warning(watching: PostgresMonitor) -> None:
    assert looked(watching) == []
    assert watching.numbers["cdc_retained_wal_bytes"] == 5
    assert watching.failure is None


@pytest.mark.parametrize("status", ["unreserved", "lost"])
def test_wal_that_the_server_may_remove_is_told_while_it_is_so(watching: PostgresMonitor, server: Server,
                                                               status: str) -> None:
    server.lag = SlotLag(None, None, status, None, 9)
    assert looked(watching) == [("slot_wal_not_kept", "s")]
    server.lag = SlotLag(1, 1, "extended", None, 9)
    assert looked(watching) == []


def test_a_slot_that_this_connection_does_not_see_is_no_error_of_the_monitor(watching: PostgresMonitor,
                                                                             server: Server) -> None:
    """It may be connected to another server than the stream, whose own error counts."""
    server.lag = None
    assert looked(watching) == []
    assert watching.failure is None


def test_a_user_who_may_not_replicate_any_more_is_told(watching: PostgresMonitor, server: Server) -> None:
    server.may_replicate = False
    assert looked(watching) == [("replication_not_permitted", "u")]


def test_a_loss_ends_the_stream(watching: PostgresMonitor, server: Server) -> None:
    server.error = SourceRefusedError("A table is unlogged.")
    looked(watching)
    assert watching.failure is server.error
