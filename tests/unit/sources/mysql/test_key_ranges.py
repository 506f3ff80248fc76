"""The ranges of a key: together they have each row once, in order, and none has many more rows than wanted."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from cdc.core.table import TableId
from cdc.sources.mysql import key_ranges
from cdc.sources.mysql.key_order import Order
from cdc.sources.mysql.key_ranges import KeyRange
from cdc.sources.snapshot.progress import Place

ID = TableId("shop", "", "orders")
CONN: Any = None
WANTED = 20


def order(type_name: str = "BIGINT") -> Order:
    column = SimpleNamespace(name="id", base=type_name, type_name=type_name, length=None, charset=None, collation=None)
    return Order(cast(Any, (column,)), (0,))


def place(value: int) -> Place:
    return Place(json.dumps([[["id", "BIGINT", None, None, None]], [str(value).encode().hex()]]))


class Table:
    """A table with *keys*. The server's estimates are wrong by up to *wrong* times."""

    def __init__(self, keys: Sequence[int], seed: int = 0, wrong: float = 1) -> None:
        self.keys = sorted(keys)
        self.asked = 0
        self.pick = random.Random(seed)
        self.wrong = wrong

    def query(self, conn: Any, text: str, *parameters: Any) -> Any:
        if "AVG_ROW_LENGTH" in text:
            return ((100,),)
        return ((self.keys[0], self.keys[-1]) if self.keys else (None, None),)

    def explain(self, conn: Any, text: str) -> list[dict[str, Any]]:
        self.asked += 1
        low, high = (re.search(rf"`id` {sign} (-?\d+)", text) for sign in (">", "<="))
        count = sum((low is None or key > int(low[1])) and (high is None or key <= int(high[1])) for key in self.keys)
        return [{"rows": int(count * self.pick.uniform(1 / self.wrong, self.wrong))}]


def all_ranges(table: Table, monkeypatch: pytest.MonkeyPatch, after: Place | None = None,
               fewest: int = 4) -> list[KeyRange]:
    monkeypatch.setattr(key_ranges, "query", table.query)
    monkeypatch.setattr(key_ranges, "query_named", table.explain)
    monkeypatch.setattr(key_ranges, "CHUNK_ROWS", WANTED)
    monkeypatch.setattr(key_ranges, "_SMALLEST_ROWS", WANTED)
    left = [key_ranges.whole(CONN, ID, order(), after, fewest)]
    found: list[KeyRange] = []
    while left:
        each = left.pop()
        smaller = key_ranges.divided(CONN, ID, order(), each) if each.rows else []
        left.extend(reversed(smaller))
        found += [] if smaller else [each]
    return found


def rows(table: Table, ranges: Sequence[KeyRange]) -> list[list[int]]:
    """Of each range, as the server would give them."""
    behind = [int(bytes.fromhex(json.loads(each.after.text)[1][0])) if each.after is not None else None
              for each in ranges]
    return [[key for key in table.keys if (each.low is None or key > each.low)
             and (each.high is None or key <= each.high) and (after is None or key > after)]
            for each, after in zip(ranges, behind, strict=True)]


def keys(seed: int) -> list[int]:
    pick = random.Random(seed)
    kinds = [range(1, 1000), [pick.randrange(-(1 << 62), 1 << 62) for _ in range(500)],
             [*range(1, 500), 99_999_999, *range(10_000_000, 10_000_300)], [7], [], [-5, 5],
             [key << 22 for key in range(600)], [*range(-300, 300)], [0, (1 << 64) - 1]]
    return list(set(kinds[seed % len(kinds)]))


@pytest.mark.parametrize("seed", range(27))
@pytest.mark.parametrize("wrong", [1, 3])
def test_each_row_is_in_one_range_and_the_ranges_are_in_order(
        seed: int, wrong: float, monkeypatch: pytest.MonkeyPatch) -> None:
    table = Table(keys(seed), seed, wrong)
    found = all_ranges(table, monkeypatch)
    assert [key for part in rows(table, found) for key in part] == table.keys
    if wrong == 1 and table.keys:
        assert max(map(len, rows(table, found))) <= WANTED * 3 // 2
        assert len(found) <= 4 * len(table.keys) // WANTED + 3
    assert (found[0].low, found[-1].high) == (None, None), "rows outside of what was asked are in the outer ranges"


@pytest.mark.parametrize("seed", range(9))
def test_a_later_attempt_has_the_rows_behind_its_place(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    table = Table(keys(seed))
    if not table.keys:
        return
    reached = table.keys[len(table.keys) // 3]
    found = all_ranges(table, monkeypatch, place(reached))
    assert [key for part in rows(table, found) for key in part] == [key for key in table.keys if key > reached]


def test_a_large_table_is_divided_as_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """The plan does not take longer for a larger table."""
    table = Table(range(5000))
    monkeypatch.setattr(key_ranges, "query", table.query)
    monkeypatch.setattr(key_ranges, "query_named", table.explain)
    monkeypatch.setattr(key_ranges, "CHUNK_ROWS", WANTED)
    first = key_ranges.whole(CONN, ID, order(), None, 4)
    assert len(key_ranges.divided(CONN, ID, order(), first)) == 1 + 15
    assert table.asked == 1 + 16


def test_a_key_of_texts_is_one_range(monkeypatch: pytest.MonkeyPatch) -> None:
    assert key_ranges.whole(CONN, ID, order("VARCHAR"), place(1), 4) == KeyRange(place(1))
