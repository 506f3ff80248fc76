"""Which part of a table a later attempt of the first copy may leave out."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from cdc.sources.postgres import chunks
from cdc.sources.postgres.chunks import SMALLEST_BLOCKS, Blocks, Chunks, Extent
from cdc.sources.snapshot.progress import Place


def places(extent: Extent, after: Place | None = None) -> list[str | None]:
    return [each.place.text if each.place is not None else None for each in extent.after(after)]


def test_a_copy_goes_on_at_its_place_in_the_same_file() -> None:
    assert places(Extent(7, 10, 4, True)) == ["[7, 4]", "[7, 8]", None]
    assert places(Extent(7, 10, 4, True), Place("[7, 8]")) == [None]
    assert places(Extent(8, 10, 4, True), Place("[7, 8]")) == ["[8, 4]", "[8, 8]", None]


def test_ranges_of_a_large_table_are_made_when_their_turn_comes() -> None:
    """8 TB have so many that they would not fit into memory."""
    extent = Extent(7, 1 << 30, 1, True)
    ranges = extent.after(Place("[7, 5]"))
    assert len(ranges) == (1 << 30) - 5
    assert ranges[1 << 29] == Blocks((1 << 29) + 5, (1 << 29) + 6, 7, Place(f"[7, {(1 << 29) + 6}]"))
    assert ranges[len(ranges) - 2:] == [
        Blocks((1 << 30) - 2, (1 << 30) - 1, 7, Place(f"[7, {(1 << 30) - 1}]")), Blocks((1 << 30) - 1, None, 7)]


@pytest.mark.parametrize("blocks", range(12))
@pytest.mark.parametrize("after", [None, Place("[7, 4]"), Place("[7, 40]")])
def test_ranges_follow_each_other_to_the_end_of_the_file(blocks: int, after: Place | None) -> None:
    found = list(Extent(7, blocks, 4, True).after(after))
    first = 0 if after is None else 4 if after.text == "[7, 4]" else 40
    assert [each.first for each in found] == [first, *(each.end for each in found[:-1])]
    assert found[-1].end is None
    assert all(each.end is not None and each.end - each.first == 4 and each.end < blocks for each in found[:-1])
    assert blocks - found[-1].first <= 4


def test_no_place_is_named_while_updates_may_lack_values() -> None:
    """The identity may be FULL by the next attempt, but was not while rows moved to blocks that were read."""
    assert places(Extent(7, 10, 4, False)) == [None]


@pytest.mark.parametrize(("options", "whole"), [
    ({}, True), ({"skipped_operations": ("t",)}, True), ({"skipped_operations": ("d",)}, False),
    ({"skip_messages_without_change": True}, False), ({"slot_stream_params": (("origin", "none"),)}, False),
    ({"slot_stream_params": (("publication_names", "other"),)}, False), ({"published": False}, False),
], ids=str)
def test_a_place_needs_a_stream_of_all_changes(
        monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], whole: bool) -> None:
    published = options.get("published", True)
    monkeypatch.setattr(chunks, "query", lambda conn, text, *values: [(published,)])
    config = SimpleNamespace(**{"cdc_debezium_faults": False, "publication_name": "p", "skipped_operations": (),
                                "skip_messages_without_change": False, "slot_stream_params": (), **options})
    conn = SimpleNamespace(info=SimpleNamespace(server_version=170000))
    extent = Chunks(cast(Any, conn), cast(Any, config)).extent([[b"7", b"10", b"10", b"1000", b"1", b"1", b"0"]])
    assert extent.whole == whole


def test_several_readers_divide_what_has_no_places_too() -> None:
    extent = Extent(7, 10, 4, False)
    assert [(each.first, each.end) for each in extent.after(Place("[7, 8]"), several=True)] == [
        (0, 4), (4, 8), (8, None)]
    assert places(extent) == [None]


@pytest.mark.parametrize(("blocks", "toast", "fewest", "step"), [
    (100_000, 0, 1, 200), (100_000, 0, 4, 64), (200, 0, 4, 50), (100, 0, 4, SMALLEST_BLOCKS),
    (1000, 1 << 40, 1, 1), (1000, 1 << 27, 1, 117), (1000, 1 << 30, 4, 1), (1000, 1 << 27, 4, 3), (10, 1 << 40, 4, 1),
])
def test_ranges_are_not_too_few_or_too_large(
        monkeypatch: pytest.MonkeyPatch, blocks: int, toast: int, fewest: int, step: int) -> None:
    monkeypatch.setattr(chunks, "query", lambda conn, text, *values: [(True,)])
    conn, config = SimpleNamespace(info=SimpleNamespace(server_version=170000)), SimpleNamespace(
        cdc_debezium_faults=False, publication_name="p", skipped_operations=(), skip_messages_without_change=False,
        slot_stream_params=())
    numbers = (7, blocks, 10, 1000, 1, 1, toast)
    found = Chunks(cast(Any, conn), cast(Any, config)).extent([[b"%d" % each for each in numbers]], fewest)
    assert found.step == step
