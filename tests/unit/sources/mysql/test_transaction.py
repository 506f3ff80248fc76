"""What of an open transaction may be delivered, and what a rollback in the log takes back."""

from __future__ import annotations

import pytest

from cdc.core.errors import PositionLostError
from cdc.core.record import Message
from cdc.core.schema import STRING, Schema
from cdc.sources.mysql.binlog import const
from cdc.sources.mysql.binlog.events import MariaGtid, Rotate
from cdc.sources.mysql.binlog.header import Header
from cdc.sources.mysql.position import MySqlPosition
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


# -- of Debezium's offsets ---------------------------------------------------------------------------------------------


def taken_over(event: int, row: int, *, pos: int = START) -> tuple[Stream, Transaction, MySqlPosition]:
    """A stream that goes on from Debezium's offset, at the GTID event of the transaction 0-1-7."""
    stream = reader_of(MARIADB).stream
    stored = MySqlPosition.from_offset({"file": "binlog.000001", "pos": pos, "gtids": "0-1-6", "event": event,
                                        "row": row, "server_id": 1, "ts_sec": 1_700_000_000})
    stream.resume(stored, by_gtid=True, server_uuid="7")
    stream.rotate(Rotate("binlog.000001", 4), made_up=True)
    assert stream.position().of_debezium
    stream.gtid(header(), MariaGtid(0, 1, 7, 0, None, None), START)
    assert stream.transaction is not None
    return stream, stream.transaction, stored


def test_events_that_debezium_delivered_are_counted_as_it_does() -> None:
    """GTID, text, table map, rows, text, table map, rows of which 2 were delivered."""
    stream, tx, stored = taken_over(6, 2)
    counted = []
    for text in (True, False, False, True, False):
        stream.text_only(tx) if text else stream.counted()
        counted.append((tx.event, tx.skip_event))
        assert stream.position() == stored
    assert counted == [(1, 5), (2, 5), (3, 5), (3, 4), (4, 4)]
    assert tx.skip_row == 2
    stream.counted()
    assert (stream.position().event, stream.position().row, stream.position().of_debezium) == (5, 0, False)
    stream.text_only(tx)
    assert tx.skip_event == 4


def test_a_transaction_elsewhere_is_delivered_whole() -> None:
    stream, tx, _ = taken_over(6, 2, pos=START + 8)
    assert (tx.skip_event, tx.skip_row, tx.debezium) == (0, 0, None)
    assert not stream.position().of_debezium


def test_a_transaction_with_fewer_events_than_were_delivered_is_another_one() -> None:
    stream, _, _ = taken_over(6, 2)
    with pytest.raises(PositionLostError, match="fewer events"):
        stream.end()


def test_a_statement_of_which_debezium_told_ends_nothing() -> None:
    stream = reader_of(MARIADB).stream
    stream.resume(MySqlPosition("binlog.000001", START, "0-1-6", event=1), by_gtid=True, server_uuid="7")
    stream.rotate(Rotate("binlog.000001", 4), made_up=True)
    stream.gtid(header(), MariaGtid(0, 1, 7, const.FL_STANDALONE, None, None), START)
    stream.over(stream.begin(header(), START, None))
    assert (str(stream.gtids), stream.position().of_debezium) == ("0-1-7", False)
