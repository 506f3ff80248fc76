"""Transactions that wait for their end."""

from __future__ import annotations

from pathlib import Path

import pytest

from cdc.core.errors import SourceError
from cdc.sources.postgres.spill import MEMORY_BYTES, Prepared, Spill


def prepared(xid: int, lsn: int) -> Prepared:
    return Prepared(xid, lsn, lsn - 10, {})


def frames(spill: Spill, xid: int) -> list[bytes]:
    return [frame for frame, _ in spill.replay(xid)]


def test_frames_come_back_in_order_and_only_once() -> None:
    spill = Spill()
    for number in range(3):
        spill.append(1, 1, b"a%d" % number)
        spill.append(2, 2, b"b%d" % number)
    assert frames(spill, 1) == [b"a0", b"a1", b"a2"]
    assert frames(spill, 1) == []
    assert spill.size_bytes == 6
    assert frames(spill, 2) == [b"b0", b"b1", b"b2"]
    assert spill.size_bytes == 0


def test_rolled_back_subtransactions_are_left_out() -> None:
    spill = Spill()
    for subxid, frame in [(1, b"top"), (2, b"gone"), (3, b"kept"), (2, b"gone too")]:
        spill.append(1, subxid, frame)
    spill.abort(1, 2)
    assert frames(spill, 1) == [b"top", b"kept"]


def test_a_rolled_back_transaction_is_forgotten() -> None:
    spill = Spill()
    spill.append(1, 2, b"x")
    spill.abort(1, 1)
    spill.abort(7, 7)
    spill.abort(7, 8)
    assert (frames(spill, 1), spill.size_bytes) == ([], 0)


def test_what_does_not_fit_in_memory_is_on_disk(tmp_path: Path) -> None:
    spill = Spill(str(tmp_path))
    frame = bytes(range(256)) * 400
    count = MEMORY_BYTES // len(frame) * 3
    for _ in range(count):
        spill.append(1, 1, frame)
    assert frames(spill, 1) == [frame] * count
    assert list(tmp_path.iterdir()) == [], "the file has no name that could be left behind"


def test_many_transactions_together_keep_little_in_memory(tmp_path: Path) -> None:
    spill = Spill(str(tmp_path))
    frame = bytes(1000)
    for xid in range(1, 401):
        spill.append(xid, xid, frame)
    assert sum(each.memory_bytes for each in spill._transactions.values()) < 20 * MEMORY_BYTES
    assert all(frames(spill, xid) == [frame] for xid in range(1, 401))


def test_frames_say_whether_they_carry_an_xid() -> None:
    spill = Spill()
    spill.append(1, 1, b"a")
    spill.append(2, 2, b"b")
    spill.prepare("g", prepared(2, 100), streamed=False)
    assert list(spill.replay(1)) == [(b"a", True)]
    assert list(spill.replay(2)) == [(b"b", False)]


def test_the_oldest_prepared_one_holds_until_it_is_replayed_or_dropped() -> None:
    spill = Spill()
    assert spill.oldest_prepared_lsn() == 0
    for xid, lsn in [(1, 100), (2, 200), (3, 300)]:
        spill.append(xid, xid, b"x")
        spill.prepare(f"g{xid}", prepared(xid, lsn), streamed=True)
    assert spill.take_prepared("g1") == prepared(1, 100)
    assert spill.oldest_prepared_lsn() == 100
    assert frames(spill, 1) == [b"x"]
    assert spill.oldest_prepared_lsn() == 200
    spill.drop_prepared("g2")
    spill.drop_prepared("unknown")
    assert spill.oldest_prepared_lsn() == 300
    assert spill.take_prepared("g2") is None
    spill.clear()
    assert (spill.oldest_prepared_lsn(), spill.size_bytes) == (0, 0)


def test_no_room_is_a_retriable_error_that_names_the_option(tmp_path: Path) -> None:
    spill = Spill(str(tmp_path / "missing"))
    with pytest.raises(SourceError, match=r"cdc\.spool\.directory") as caught:
        spill.append(1, 1, bytes(MEMORY_BYTES))
    assert caught.value.retriable
