"""What an offset remembers of the log before it."""

from __future__ import annotations

import zlib

import pytest

from cdc.core.errors import PositionLostError
from cdc.sources.mysql.binlog import const
from cdc.sources.mysql.position import MySqlPosition
from cdc.sources.mysql.witness import LastRead, Seen, Witness, checksum
from tests.unit.sources.mysql.binlog_files import event

A = "aaaaaaaa-0000-0000-0000-000000000000"
DAY_US = 86_400_000_000
XID = event(const.XID_EVENT, b"\1" * 8, checksum=True)


def test_a_witness_survives_the_offset() -> None:
    for witness in (Witness("binlog.000007", 500, 17, (Seen(f"{A}:11", 5), Seen(f"{A}:tag:3", 0))),
                    Witness(seen=(Seen("0-1-100", 4_000_000),)), Witness("binlog.000007", 500, 17), None):
        position = MySqlPosition("binlog.000007", 531, witness=witness)
        assert MySqlPosition.from_offset(position.offset()) == position


@pytest.mark.parametrize("damaged", [
    {"witness_gtids": "nonsense@5"}, {"witness_gtids": f"{A}:1@x"}, {"witness_gtids": f"{A}:1"},
    {"witness_file": "b.1", "witness_pos": -1}, {"witness_file": "b.1", "witness_crc": "x"}])
def test_a_damaged_one_is_no_offset(damaged: dict[str, object]) -> None:
    with pytest.raises(PositionLostError):
        MySqlPosition.from_offset({"file": "binlog.000007", "pos": 4, **damaged})


def test_a_checksum_differs_with_the_event_although_each_ends_in_its_own() -> None:
    other = event(const.XID_EVENT, b"\2" * 8, checksum=True)
    assert zlib.crc32(XID) == zlib.crc32(other)
    assert checksum(XID) != checksum(other)


def test_before_anything_was_read_the_stored_one_holds() -> None:
    stored = Witness("binlog.000007", 500, 17, (Seen("0-1-5", 9),))
    here, elsewhere = LastRead(), LastRead()
    here.resume(stored, same_server=True)
    elsewhere.resume(stored, same_server=False)
    assert here.witness() == stored
    assert elsewhere.witness() == Witness(seen=stored.seen)
    assert here.within(event(const.HEARTBEAT_LOG_EVENT, b""), "f", 9) == stored


def test_what_was_read_takes_its_place() -> None:
    last = LastRead()
    last.resume(Witness("binlog.000007", 500, 17, (Seen(f"{A}:1", 5),)), same_server=True)
    last.transaction(A, f"{A}:2", 6)
    last.event(XID, "binlog.000008", 1000)
    assert last.witness() == Witness("binlog.000008", 1000 - len(XID), checksum(XID), (Seen(f"{A}:2", 6),))
    rows = event(const.WRITE_ROWS_EVENT, b"\3" * 20)
    within = last.within(rows, "binlog.000008", 2000)
    assert within is not None
    assert (within.pos, within.crc) == (2000 - len(rows), checksum(rows))


def test_sources_that_are_silent_for_a_day_are_forgotten() -> None:
    last = LastRead()
    for domain in range(40):
        last.transaction(domain, f"{domain}-1-1", 2 * DAY_US + domain)
    last.transaction(50, "50-1-1", DAY_US)
    last.event(XID, "f", 100)
    made = last.witness()
    assert made is not None
    assert [each.gtid for each in made.seen] == [f"{domain}-1-1" for domain in range(39, 23, -1)]
