"""What the server must show again before anything counts as delivered."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from cdc.core.errors import PositionLostError, SourceRefusedError
from cdc.core.record import Record
from cdc.sources.postgres.changes import ChangeReader
from cdc.sources.postgres.position import PostgresPosition
from cdc.sources.postgres.protocol import POSTGRES_EPOCH_US
from cdc.sources.postgres.resume import delivered_lsn, first_lsn_to_ask, held, witness_of
from cdc.sources.postgres.witness import Shown, Witness, shown_message
from tests.unit.sources.postgres.pgoutput_frames import (
    TIME,
    begin,
    commit,
    insert,
    keepalive,
    message,
    stream_commit,
    xlog,
)
from tests.unit.sources.postgres.test_changes import OID, RELATIONS, make, notes

NOW = TIME + POSTGRES_EPOCH_US
SHOWN = Shown(5000, 5048, 9, NOW)
STORED = PostgresPosition(end_lsn=7000, last_lsn=7000, shown=SHOWN, begin_lsn=1000, system_id="7", timeline=1)


def reader_at(stored: PostgresPosition, confirmed: int) -> ChangeReader:
    position = replace(stored, end_lsn=delivered_lsn(stored, confirmed))
    reader = make()
    reader.resume(held(position, confirmed), witness_of(position, confirmed))
    reader.feed(xlog(confirmed, RELATIONS[OID]))
    return reader


def transaction(reader: ChangeReader, lsn: int, xid: int, *rows: str, time: int = TIME) -> list[str]:
    """Feeds one whose commit record starts at *lsn*; returns what is delivered of it."""
    bodies = [begin(lsn, xid, time), *[insert(OID, row, "x") for row in rows], commit(lsn, lsn + 48, time)]
    for number, body in enumerate(bodies):
        reader.feed(xlog(lsn - 100 + number, body))
    return notes(reader.emitter.take())


# -- the stream proves it ----------------------------------------------------------------------------------------------


def test_what_was_delivered_is_dropped_once_the_server_has_shown_it_again() -> None:
    reader = reader_at(STORED, 4000)
    assert transaction(reader, 4500, 8, "1") == []
    assert transaction(reader, 5000, 9, "2") == []
    assert transaction(reader, 5200, 10, "3") == ["3"]
    assert reader.position().shown == Shown(5200, 5248, 10, NOW)


def test_what_the_server_shows_after_it_is_new_even_below_the_stored_lsn() -> None:
    """Log without transactions of ours was counted, and is another one now."""
    reader = reader_at(STORED, 4000)
    transaction(reader, 5000, 9, "2")
    assert transaction(reader, 6000, 10, "3") == ["3"]
    assert reader.position().end_lsn == 6048


@pytest.mark.parametrize(("lsn", "xid", "time"), [
    (5000, 10, TIME), (5000, 9, TIME + 1), (5001, 9, TIME), (5200, 9, TIME)],
    ids=["another xid", "another time", "a byte later", "later"])
def test_another_transaction_in_its_place_or_later_is_a_lost_position(lsn: int, xid: int, time: int) -> None:
    reader = reader_at(STORED, 4000)
    transaction(reader, 4500, 8, "1")
    with pytest.raises(PositionLostError, match="last transaction") as caught:
        transaction(reader, lsn, xid, "2", time=time)
    assert "transaction 9 at 0/1388" in caught.value.context["expected"]
    assert "snapshot" in caught.value.hint
    assert reader.emitter.take() == []


def test_log_that_went_on_without_it_is_a_lost_position() -> None:
    reader = reader_at(STORED, 4000)
    reader.run([keepalive(4000), keepalive(5000)], 0, 10, 1 << 20)
    with pytest.raises(PositionLostError, match="last transaction"):
        reader.run([keepalive(5001)], 0, 10, 1 << 20)


def test_a_streamed_transaction_counts_by_its_commit() -> None:
    reader = reader_at(STORED, 4000)
    with pytest.raises(PositionLostError, match="last transaction"):
        reader.feed(xlog(6000, stream_commit(30, 5100, 5148, TIME)))


def test_until_then_the_position_stays_and_the_slot_too() -> None:
    reader = reader_at(STORED, 4000)
    for frame in (keepalive(4800), keepalive(4900)):
        reader.run([frame], 0, 10, 1 << 20)
        assert reader.position().shown == SHOWN
        assert reader.position().confirmable() == 4000
    transaction(reader, 5000, 9, "2")
    assert reader.position().confirmable() == 5048  # a server that stops now waits for just that
    reader.run([keepalive(5100)], 0, 10, 1 << 20)
    assert reader.position().confirmable() == 5100


@pytest.mark.parametrize("metadata", [False, True])
def test_what_is_dropped_need_not_be_readable_any_more(metadata: bool) -> None:
    """The type of a column, say, is gone since the rows were delivered."""
    stored = replace(STORED, end_lsn=5048)
    reader = make(metadata=metadata)
    readable = reader.relations.resolve
    refuses = True

    def resolve(found: Any, xid: int, final_lsn: int) -> Any:
        if refuses:
            raise SourceRefusedError("the type is gone")
        return readable(found, xid, final_lsn)

    reader.relations.resolve = resolve
    reader.resume(held(stored, 4000), witness_of(stored, 4000))
    reader.feed(xlog(4000, RELATIONS[OID]))
    transaction(reader, 4500, 8, "1")
    transaction(reader, 5000, 9, "2")
    assert reader.position().shown == SHOWN
    with pytest.raises(SourceRefusedError):
        transaction(reader, 5200, 10, "3")
    reader.stream.transaction = None
    refuses = False
    reader.feed(xlog(5300, RELATIONS[OID]))
    reader.emitter.take()
    bodies = [begin(5500, 11), insert(OID, "4", "x"), commit(5500, 5548)]
    for number, body in enumerate(bodies):
        reader.feed(xlog(5400 + number, body))
    assert notes(each for each in reader.emitter.take() if isinstance(each, Record)) == ["4"]


# -- the slot proves it ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("confirmed", [5048, 6000, 7000])
def test_a_slot_beyond_it_is_the_proof(confirmed: int) -> None:
    assert witness_of(STORED, confirmed) is None
    reader = reader_at(STORED, confirmed)
    assert transaction(reader, confirmed + 200, 10, "3") == ["3"]


@pytest.mark.parametrize("confirmed", [1000, 4000, 5000])
def test_the_server_is_asked_for_all_that_its_slot_has(confirmed: int) -> None:
    assert first_lsn_to_ask(STORED, confirmed) == confirmed
    assert witness_of(STORED, confirmed) is not None


# -- parts of transactions, messages, snapshots ------------------------------------------------------------------------


PARTLY = replace(STORED, end_lsn=5048, tx_lsn=6000, tx_changes=1, last_lsn=5901, xid=11, time_us=NOW)


def test_a_transaction_delivered_in_part_must_be_shown_again() -> None:
    reader = reader_at(PARTLY, 4000)
    assert transaction(reader, 5000, 9, "1") == []
    assert transaction(reader, 6000, 11, "2", "3") == ["3"]
    for xid, time in ((12, TIME), (11, TIME + 1)):
        reader = reader_at(PARTLY, 4000)
        with pytest.raises(PositionLostError, match="last transaction"):
            transaction(reader, 6000, xid, "2", "3", time=time)


def test_a_message_must_be_shown_again_with_its_content() -> None:
    stored = replace(STORED, shown=shown_message(5000, "p", b"said"))
    same, other = (xlog(5000, message("p", content, 1, transactional=False)) for content in (b"said", b"else"))
    reader = reader_at(stored, 4000)
    reader.feed(same)
    assert reader.emitter.take() == []
    assert transaction(reader, 5100, 9, "1") == ["1"]
    reader = reader_at(stored, 4000)
    with pytest.raises(PositionLostError, match="last transaction") as caught:
        reader.feed(other)
    assert "said" not in str(caught.value)
    assert witness_of(stored, 5000) is None


def test_a_commit_that_follows_a_message_at_once_is_not_confirmed_with_it() -> None:
    """A message's LSN is the end of its record, where the next record may begin."""
    reader = make()
    reader.resume(PostgresPosition(4000, begin_lsn=4000))
    reader.feed(xlog(5000, message("p", b"", 1, transactional=False)))
    assert reader.position().confirmable() == 5000


def test_before_a_snapshot_lie_transactions_older_than_it() -> None:
    stored = PostgresPosition(end_lsn=5000, last_lsn=5000, begin_lsn=5000, begin_time_us=NOW)
    reader = reader_at(stored, 4000)
    assert transaction(reader, 4500, 8, "1") == []
    with pytest.raises(PositionLostError, match="snapshot"):
        transaction(reader, 4700, 9, "2", time=TIME + 1)


def test_where_nothing_was_shown_yet_everything_is_new() -> None:
    stored = PostgresPosition(end_lsn=7000, last_lsn=7000, begin_lsn=4000)
    assert transaction(reader_at(stored, 4000), 5000, 8, "1") == ["1"]


# -- offsets -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("position", [
    STORED, PARTLY, replace(STORED, shown=shown_message(5000, "p", b"said")),
    PostgresPosition(end_lsn=7000, begin_lsn=4000), PostgresPosition(end_lsn=7000, begin_lsn=4000, begin_time_us=NOW)])
def test_offsets_keep_what_was_shown(position: PostgresPosition) -> None:
    offset = json.loads(json.dumps(position.offset()))
    assert all(isinstance(value, (str, int, float, bool)) for value in offset.values())
    read = PostgresPosition.from_offset(offset)
    assert (read.shown, read.partly_delivered()) == (position.shown, position.partly_delivered())
    if position.shown is None:
        assert (read.begin_lsn, read.begin_time_us) == (position.begin_lsn, position.begin_time_us)


DEBEZIUM = {"lsn": 5048, "lsn_proc": 5048, "lsn_commit": 5048, "messageType": "COMMIT", "txId": 9, "ts_usec": NOW}


def test_an_offset_of_debezium_after_a_commit_tells_which() -> None:
    stored = PostgresPosition.from_offset(DEBEZIUM)
    assert transaction(reader_at(stored, 4000), 5000, 9, "1") == []
    for xid, lsn, time in ((10, 5000, TIME), (9, 5000, TIME + 1), (9, 5010, TIME), (9, 5100, TIME)):
        with pytest.raises(PositionLostError, match="last transaction"):
            transaction(reader_at(stored, 4000), lsn, xid, "1", time=time)
    assert witness_of(stored, 5048) is None


def test_an_offset_of_debezium_within_a_transaction_tells_which() -> None:
    stored = PostgresPosition.from_offset({**DEBEZIUM, "lsn": 5902, "lsn_proc": 5902, "messageType": "INSERT",
                                           "txId": 11})
    reader = reader_at(stored, 4000)
    assert transaction(reader, 5000, 9, "1") == []
    assert transaction(reader, 6000, 11, "2", "3", "4") == ["4"]
    for xid, time in ((12, TIME), (11, TIME + 1)):
        with pytest.raises(PositionLostError, match="last transaction"):
            transaction(reader_at(stored, 4000), 6000, xid, "2", "3", time=time)
    assert transaction(reader_at(stored, 5048), 6000, 12, "2", "3") == ["2", "3"]


def test_an_offset_that_does_not_tell_is_gone_on_from_by_order() -> None:
    stored = PostgresPosition.from_offset({"lsn": 5048, "lsn_proc": 5048, "lsn_commit": 5048, "system_id": "7",
                                           "timeline": 1})
    assert (first_lsn_to_ask(stored, 4000), witness_of(stored, 4000)) == (5048, None)


@pytest.mark.parametrize("damaged", [{"shown_end_lsn": None}, {"shown_xid": -1}, {"shown_ts_usec": "x"},
                                     {"shown_lsn": 1 << 63}, {"begin_lsn": -1}])
def test_damage_is_refused(damaged: dict[str, Any]) -> None:
    with pytest.raises(PositionLostError, match="cannot be read"):
        PostgresPosition.from_offset({**STORED.offset(), **damaged})


def test_a_time_beyond_all_calendars_is_told_as_a_number() -> None:
    assert "µs after 1970" in str(Witness(Shown(5000, 0, 9, (1 << 63) - 1), 0).lost(None))
