"""Outgoings in one arena come out as they went in."""

from __future__ import annotations

import pytest

from cdc import native
from cdc.core.interfaces import Outgoing

batch = native.module("batch")
pytestmark = pytest.mark.skipif(batch is None, reason="no native modules were built")

HEADERS = [("a", b"1"), ("b", None)]
OUTGOINGS = [
    Outgoing("t", b"key", b"value", -1, HEADERS, "db.t"),
    Outgoing("t", None, b"", 3, HEADERS, "db.t"),
    Outgoing("t", b"", None, -1, HEADERS, "db.t"),
    Outgoing("u", b"k", b"v" * 100_000, -1, (), "db.u", 1_700_000_000_000),
]


def test_outgoings_come_out_as_they_went_in() -> None:
    out = batch.OutBatch()
    for each in OUTGOINGS * 100:
        out.append(each)
    assert [out.outgoing(index) for index in range(len(out))] == OUTGOINGS * 100
    assert out.size_bytes == sum(len(each.key or b"") + len(each.value or b"") for each in OUTGOINGS) * 100


def test_messages_of_the_same_kind_share_a_route() -> None:
    out = batch.OutBatch()
    for each in OUTGOINGS:
        out.append(each)
    assert [(route.topic, route.table, route.headers) for route in out.routes] == [
        ("t", "db.t", HEADERS), ("u", "db.u", ())]


def test_an_arena_that_is_used_again_holds_nothing_of_the_batch_before() -> None:
    for count in (3, 1, 2):
        out = batch.OutBatch()
        for each in OUTGOINGS[:count]:
            out.append(each)
        assert [out.outgoing(index) for index in range(len(out))] == OUTGOINGS[:count]
        with pytest.raises(IndexError):
            out.outgoing(count)
        del out
