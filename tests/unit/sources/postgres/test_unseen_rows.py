"""Which differences between two looks at the catalog mean that rows changed without events."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cdc.core.errors import PositionLostError
from cdc.core.packing import pack
from cdc.sources.postgres import unseen_rows
from cdc.sources.postgres.unseen_rows import Table, UnseenRows, differences
from cdc.sources.shared.warnings import Warnings

OLD = Table("s.t", 100, 3, {})
ROOT = Table("s.root", 0, 2, {11: "s.one", 12: "s.two"})


@pytest.mark.parametrize(("new", "published", "said"), [
    (OLD, True, ""), (replace(OLD, file=101), True, ""), (replace(OLD, file=101), False, ""),
    (replace(OLD, altered=2), True, ""), (replace(OLD, emptied=True), False, ""),
    (replace(OLD, file=101, altered=2), True, "rewrote its rows"), (replace(OLD, file=101, altered=4), True, ""),
    (replace(OLD, file=101, emptied=True), False, "emptied"), (replace(OLD, file=101, emptied=True), True, ""),
    (None, True, "dropped"),
])
def test_a_new_file_alone_is_no_sign(new: Table | None, published: bool, said: str) -> None:
    found = differences({7: OLD}, {7: new} if new else {}, truncates_published=published)
    assert [name for name, _ in found] == (["s.t"] if said else [])
    assert said in "".join(text for _, text in found)


def test_partitions_come_with_rows_only_if_they_were_tables_before() -> None:
    now = replace(ROOT, leaves={12: "s.two", 13: "s.made", 14: "s.filled"}, attached=frozenset({12, 14}))
    assert [text.split()[1] for _, text in differences({7: ROOT}, {7: now}, truncates_published=True)] == [
        "s.filled", "s.one"]


def test_each_look_is_compared_with_the_last_one_and_a_restart_too(monkeypatch: pytest.MonkeyPatch) -> None:
    now = {7: OLD, 8: ROOT}
    monkeypatch.setattr(unseen_rows, "_SHARE", 0)
    monkeypatch.setattr(unseen_rows, "read_tables", lambda conn, oids, via_root: {
        oid: table for oid, table in now.items() if oid in oids})
    conn: object = None
    warnings = Warnings()
    rows = UnseenRows(warnings)
    rows.resume(None)
    rows.look(conn, [7, 8], via_root=True, truncates_published=True)  # type: ignore[arg-type]
    kept = rows.text
    now[8] = replace(ROOT, leaves={11: "s.one"})
    rows.look(conn, [7, 8], via_root=True, truncates_published=True)  # type: ignore[arg-type]
    rows.look(conn, [8], via_root=True, truncates_published=True)  # type: ignore[arg-type]
    assert [each.about for each in warnings.active()] == ["s.root"]
    assert rows.text != kept
    del now[7]
    again = UnseenRows(Warnings())
    again.resume(kept)
    again.look(conn, [8], via_root=True, truncates_published=True)  # type: ignore[arg-type]
    again.truncated("s.root")
    assert sorted(each.about for each in again._warnings.active()) == ["s.root", "s.t"]
    assert again.text != kept


@pytest.mark.parametrize("text", ["x", pack("x"), pack("[[1]]"), pack("7"), pack('[["a","t",1,1,[]]]')])
def test_a_damaged_text_is_refused(text: str) -> None:
    with pytest.raises(PositionLostError):
        UnseenRows(Warnings()).resume(text)
