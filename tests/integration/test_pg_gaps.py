"""Changes that no event can tell, because publication, slot or table were not there: never silence."""

from __future__ import annotations

from typing import Any

import pytest

from cdc.core.errors import PositionLostError
from tests.conftest import Database
from tests.integration.pg_source import Reading, brief, running, slot_of
from tests.servers.process import wait_until


@pytest.fixture
def base(database: Database) -> Database:
    """A table of its own, and the source's defaults: the publication is for all tables."""
    database.execute("CREATE TABLE t (id int PRIMARY KEY, v text)")
    return database


def until_it_fails(reading: Reading) -> tuple[list[Any], PositionLostError]:
    """What comes before the error, and the error."""
    records: list[Any] = []

    def keep(found: list[Any]) -> bool:
        records[:] = found
        return False

    with pytest.raises(PositionLostError) as caught:
        reading.until(keep)
    return brief(records), caught.value


def test_a_publication_that_is_missing_for_a_while_ends_the_stream_at_that_place(base: Database) -> None:
    with running(base) as reading:
        base.execute("INSERT INTO t VALUES (2, 'before')")
        reading.to_mark(base)
        base.execute("DROP PUBLICATION pub")
        base.execute("INSERT INTO t VALUES (3, 'no publication')")
        base.execute("CREATE PUBLICATION pub FOR ALL TABLES")
        base.execute("INSERT INTO t VALUES (4, 'again')")
        seen, error = until_it_fails(reading)
    assert seen == []
    assert slot_of(base) in error.message
    assert "pg_replication_slot_advance" in error.hint
    with pytest.raises(PositionLostError), running(base, offset=reading.offset) as again:
        again.until(lambda _: False)


def test_the_way_out_that_the_hint_names_goes_on_behind_the_gap(base: Database) -> None:
    with running(base) as reading:
        base.execute("INSERT INTO t VALUES (2, 'before')")
        reading.to_mark(base)
        base.execute("DROP PUBLICATION pub")
        base.execute("INSERT INTO t VALUES (3, 'no publication')")
        base.execute("CREATE PUBLICATION pub FOR ALL TABLES")
        until_it_fails(reading)
        offset = reading.offset
    slot = slot_of(base)
    wait_until(lambda: base.execute(f"SELECT active FROM pg_replication_slots WHERE slot_name = '{slot}'")
               == [(False,)], 30, "the slot to be let go")
    base.execute(f"SELECT pg_replication_slot_advance('{slot}', pg_current_wal_lsn())")
    with running(base, {"offset.mismatch.strategy": "trust_slot"}, offset) as again:
        base.execute("INSERT INTO t VALUES (4, 'again')")
        assert brief(again.to_mark(base)) == [("c", "t", 4)]
        assert "gap_accepted" in {each.kind for each in again.source.warnings.active()}
        offset = again.offset
    with running(base, offset=offset) as later:
        base.execute("INSERT INTO t VALUES (5, 'and on')")
        assert brief(later.to_mark(base)) == [("c", "t", 5)]


def test_a_slot_that_is_older_than_the_publication_is_an_error_too(base: Database) -> None:
    base.execute(f"SELECT pg_create_logical_replication_slot('{slot_of(base)}', 'pgoutput')")
    base.execute("INSERT INTO t VALUES (5, 'slot is there, publication is not')")
    base.execute("CREATE PUBLICATION pub FOR ALL TABLES; INSERT INTO t VALUES (6, 'after')")
    with pytest.raises(PositionLostError, match="did not exist yet"), running(base) as reading:
        reading.until(lambda _: False)
