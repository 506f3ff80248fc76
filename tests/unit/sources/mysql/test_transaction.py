"""What of an open transaction may be delivered, and what a rollback in the log takes back."""

from __future__ import annotations

import pytest

from cdc.core.record import Message
from cdc.core.schema import STRING, Schema
from cdc.sources.mysql.binlog import const
from cdc.sources.mysql.binlog.events import MariaGtid, Rotate
from cdc.sources.mysql.binlog.header import Header
from cdc.sources.mysql.transaction import Stream, Transaction
from tests.unit.sources.mysql.binlog_files import MARIADB
from tests.unit.sources.mysql.test_changes import reader_of

START, END, LIMIT = 300, 400, 10
MEGABYTE = 1 << 20


def header() -> Header:
    return Header(1_700_000_000, const.GTID_EVENT, 1, END - START, END, 0)


def begun() -> tuple[Stream, Transaction]:
    """A stream whose transaction 0-1-7 has just begun, after one record of the transaction before."""
    stream = reader_of(MARIADB).stream
    add(stream, "before")
    stream.gtid(header(), MariaGtid(0, 1, 7, 0, None, None), START)
    assert stream.transaction is not None
    return stream, stream.transaction


def add(stream: Stream, *names: str) -> None:
    stream.emitter.records.extend(Message(name, None, None, Schema(STRING), name) for name in names)


def topics(stream: Stream) -> list[str]:
    return [record.topic for record in stream.emitter.records if isinstance(record, Message)]


def test_an_open_transaction_waits_and_the_position_stays_before_it() -> None:
    stream, _ = begun()
    add(stream, "a", "b")
    count, position = stream.ready(LIMIT)
    assert count == 1
    assert (position.pos, position.event, position.row) == (START, 0, 0)


def test_its_end_releases_it() -> None:
    stream, _ = begun()
    add(stream, "a", "b")
    stream.end()
    count, position = stream.ready(LIMIT)
    assert (count, position.gtids, position.transaction) == (3, "0-1-7", None)
    assert stream.transactions == 1


@pytest.mark.parametrize("why", ["records", "bytes"])
def test_a_large_one_is_released_before_its_end(why: str) -> None:
    stream, tx = begun()
    add(stream, *("row" for _ in range(LIMIT if why == "records" else 1)))
    stream.size_bytes += MEGABYTE if why == "bytes" else 0
    tx.event = 4
    count, position = stream.ready(LIMIT)
    assert count == len(stream.emitter.records)
    assert (position.pos, position.event, position.transaction) == (START, 4, "0-1-7")


def test_a_rollback_takes_back_what_is_not_delivered() -> None:
    stream, _ = begun()
    add(stream, "a", "b")
    stream.rolled_back()
    assert topics(stream) == ["before"]
    assert str(stream.gtids) == "0-1-7"


def test_a_rollback_cannot_take_back_what_was_delivered() -> None:
    stream, _ = begun()
    add(stream, *("row" for _ in range(LIMIT)))
    stream.emitter.take(stream.ready(LIMIT)[0])
    add(stream, "later")
    stream.rolled_back()
    assert topics(stream) == ["later"]


def test_a_rollback_to_a_savepoint_takes_back_what_came_after_it() -> None:
    stream, tx = begun()
    add(stream, "a")
    tx.counters.next("t", tx.id)
    stream.savepoint(tx, "SAVEPOINT `s`")
    add(stream, "b")
    tx.counters.next("t", tx.id)
    stream.savepoint(tx, "ROLLBACK TO `s`")
    assert topics(stream) == ["before", "a"]
    assert (tx.counters.total, tx.counters.per_table) == (1, {"t": 1})


def test_savepoints_keep_their_place_when_earlier_records_are_taken() -> None:
    stream, tx = begun()
    add(stream, "a")
    stream.savepoint(tx, "SAVEPOINT s")
    add(stream, "b")
    stream.emitter.take(stream.ready(LIMIT)[0])
    stream.savepoint(tx, "ROLLBACK WORK TO SAVEPOINT s")
    assert topics(stream) == ["a"]


def test_an_unknown_savepoint_takes_back_nothing() -> None:
    stream, tx = begun()
    add(stream, "a")
    stream.savepoint(tx, "ROLLBACK TO other")
    assert topics(stream) == ["before", "a"]


def test_a_transaction_that_a_rotate_cuts_is_taken_back() -> None:
    stream, _ = begun()
    add(stream, "a")
    stream.rotate(Rotate("binlog.000002", 4))
    assert topics(stream) == ["before"]
    assert (stream.transaction, stream.position().file, stream.position().pos) == (None, "binlog.000002", 4)
