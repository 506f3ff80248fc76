"""Which transactions a chunk shows, and the SQL that reads one."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any, cast

import pytest
from psycopg import sql

from cdc.sources.postgres import chunk_marks
from cdc.sources.postgres.chunk_marks import Seen, wait_until_seen
from cdc.sources.postgres.chunk_query import ChunkQuery
from cdc.sources.postgres.comparisons import Comparison


@pytest.mark.parametrize(("text", "xid", "sees"), [
    ("10:10:", 9, True), ("10:10:", 10, False), ("10:12:10", 10, False), ("10:12:10", 11, True),
    ("10:12:10", 12, False),
    ("4294967290:4294967300:4294967295", 3, True), ("4294967290:4294967300:4294967295", 4, False),
    ("4294967290:4294967300:4294967295", 4294967295, False), ("4294967290:4294967300:4294967295", 4294967294, True),
    ("4294967200:4294967290:", 5, False),
])
def test_a_snapshot_shows_what_was_over(text: str, xid: int, sees: bool) -> None:
    """Transaction ids of the log have 32 bits, and go round."""
    assert Seen.parse(text, standby=False).sees(xid) is sees


def test_on_a_standby_all_that_the_log_has_is_visible() -> None:
    assert Seen.parse("10:12:", standby=True).sees(11)


class Locks:
    """A server with synchronous standbys: the transactions that run, at each look at them."""

    def __init__(self, *running: set[int]) -> None:
        self.running = list(running)

    def query(self, conn: Any, text: Any) -> list[tuple[Any, ...]]:
        if "synchronous_standby_names" in str(text):
            return [("s1", False)]
        now = self.running.pop(0) if len(self.running) > 1 else self.running[0]
        if "pg_locks" in str(text):
            return [(xid,) for xid in now]
        return [(f"1:{max(now, default=99) + 1}:{','.join(map(str, now))}", False)]


@pytest.mark.parametrize(("running", "left"), [
    ([set()], set()), ([{5, 6}, {6, 7}, {7, 8}], set()), ([{5, 6}, {6, 7}, {6, 8}], {6}),
], ids=["none", "short ones", "a long one"])
def test_a_blocking_snapshot_waits_for_short_transactions_although_others_begin(
        monkeypatch: pytest.MonkeyPatch, running: list[set[int]], left: set[int]) -> None:
    monkeypatch.setattr(chunk_marks, "query", Locks(*running).query)
    monkeypatch.setattr(chunk_marks, "_SEEN_S", 0.2)
    conn = SimpleNamespace(info=SimpleNamespace(server_version=180000))
    assert wait_until_seen(cast(Any, conn), threading.Event()) == left


def query(*key: tuple[str, bool], condition: str | None = None, where: bool = False) -> ChunkQuery:
    return ChunkQuery(sql.SQL("SELECT *"), sql.SQL(" FROM t"), where, key, condition)


def text(composed: sql.Composed) -> str:
    return composed.as_string(None)


def test_the_first_chunk_has_only_an_end() -> None:
    assert text(query(("a", False)).rows(None, ("9",), 3)) == (
        """SELECT * FROM t WHERE ROW("a") <= ROW('9') ORDER BY "a" LIMIT 3""")


def test_later_chunks_begin_after_a_key() -> None:
    found = text(query(("a", False), ("b", False), condition="x -- y", where=True).rows(("1", "2"), ("9", "z"), 3))
    assert found == (
        """SELECT * FROM t AND ROW("a", "b") <= ROW('9', 'z') AND ROW("a", "b") > ROW('1', '2')"""
        """ AND (x -- y\n) ORDER BY "a", "b" LIMIT 3""")


def test_the_server_counts_what_comes_before_a_key_that_several_rows_have() -> None:
    assert text(query(("a", False)).count_before(("1",), ("2",))) == (
        """SELECT pg_catalog.count(*) FROM t WHERE NOT ROW("a") >= ROW('2') AND ROW("a") > ROW('1')""")
    assert text(query(("a", True)).count_before(None, ("2",))) == (
        "SELECT pg_catalog.count(*) FROM t"
        """ WHERE NOT ((("a" IS NULL OR "a" > '2')) OR (coalesce("a" = '2', false)))""")


def test_nulls_come_last() -> None:
    after = text(query(("a", True)).rows((None,), (None,), 3))
    assert "WHERE NOT ((false)) AND ((false))" in after
    assert """("a" IS NULL OR "a" > '1')""" in text(query(("a", True)).rows(("1",), (None,), 3))


def test_the_greatest_key_is_not_sorted_as_text() -> None:
    assert text(query(("a", False)).greatest()) == (
        'SELECT "a"::text AS "greatest 0" FROM t ORDER BY "a" DESC LIMIT 1')


def test_types_with_operators_of_their_own_are_compared_by_them() -> None:
    own = {"b": Comparison(sql.SQL("ext.citext"), {
        each: sql.SQL(f"OPERATOR(ext.{each})") for each in (">", ">=", "=")})}
    found = ChunkQuery(sql.SQL("SELECT *"), sql.SQL(" FROM t"), False, (("b", False), ("a", False)), None, own)
    assert text(found.rows(("x", "1"), ("z", "9"), 3)) == (
        """SELECT * FROM t WHERE NOT ("b" OPERATOR(ext.>=) 'z'::ext.citext AND (("b" OPERATOR(ext.>) 'z'::ext.citext)"""
        """ OR (coalesce("b" OPERATOR(ext.=) 'z'::ext.citext, false) AND "a" > '9')))"""
        """ AND ("b" OPERATOR(ext.>=) 'x'::ext.citext AND (("b" OPERATOR(ext.>) 'x'::ext.citext)"""
        """ OR (coalesce("b" OPERATOR(ext.=) 'x'::ext.citext, false) AND "a" > '1'))) ORDER BY "b", "a" LIMIT 3""")
