"""An offset's record stays small, and a value that did not change costs nothing."""

from __future__ import annotations

import random

import pytest

from cdc.stores import parts
from cdc.stores.parts import PART_BYTES, WHOLE_LENGTH, Splitter, join, references

BIG = random.Random(8).randbytes((3 * PART_BYTES + 5) // 2).hex() + "x"


def again(splitter: Splitter, offset: dict[str, object]) -> parts.Split:
    split = splitter.split("place", offset)
    splitter.written("place", split)
    return split


def test_a_small_offset_stays_whole() -> None:
    offset = {"lsn": 1, "gtids": "x" * (WHOLE_LENGTH - 1), "snapshot": None, "last": True}
    split = Splitter().split("place", offset)
    assert split.record == offset
    assert not split.names()


def test_large_values_leave_the_record_and_come_back() -> None:
    offset = {"lsn": 1, "one": BIG, "two": "ß" * 20_000, "gtids": "short", "none": None}
    split = Splitter().split("place", offset)
    assert len(str(split.record)) < 500
    assert split.record["gtids"] == "short"
    assert all(len(data) <= PART_BYTES for data in split.new.values())
    assert len(split.new) == 5
    assert join(split.record, references(split.record), split.new) == offset


def test_many_values_that_are_large_only_together_are_apart() -> None:
    offset = {f"structures.{number}": f"{number:04}" * 500 for number in range(256)}
    split = Splitter().split("place", offset)
    assert len(str(split.record)) < 32 << 10
    assert join(split.record, references(split.record), split.new) == offset


def test_the_same_object_is_not_even_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    splitter = Splitter()
    first = again(splitter, {"lsn": 1, "structures": BIG})
    monkeypatch.setattr(parts, "_checksum", None)
    second = again(splitter, {"lsn": 2, "structures": BIG})
    assert not second.new
    assert second.names() == first.names()
    assert second.record == {**first.record, "lsn": 2}


def test_an_equal_value_is_not_written_again() -> None:
    splitter = Splitter()
    first = again(splitter, {"structures": BIG})
    assert not again(splitter, {"structures": "".join([BIG[0], BIG[1:]])}).new
    changed = again(splitter, {"structures": BIG + "y"})
    assert len(changed.new) == 4
    assert not changed.names() & first.names()


def test_after_reading_an_equal_value_is_not_written_again() -> None:
    first = Splitter().split("place", {"structures": BIG})
    splitter = Splitter()
    splitter.read("place", references(first.record))
    assert splitter.split("place", {"structures": BIG}).record == first.record
    splitter.forget("place")
    assert splitter.split("place", {"structures": BIG}).new


def test_two_places_share_no_part() -> None:
    splitter = Splitter()
    splits = [splitter.split(place, {"structures": BIG}) for place in ("one", "two")]
    assert not splits[0].names() & splits[1].names()


@pytest.mark.parametrize("value", ["cdc-parts:", "cdc-parts:1:" + "0" * 32 + ":5:" + "0" * 16])
def test_a_value_that_looks_like_a_reference_is_none(value: str) -> None:
    split = Splitter().split("place", {"text": value})
    assert split.record["text"] != value
    assert join(split.record, references(split.record), split.new) == {"text": value}


@pytest.mark.parametrize("value", ["cdc-parts:2:x", "cdc-parts:1:zz:5:aa", f"cdc-parts:1:{'0' * 32}:-5:{'0' * 16}"])
def test_a_reference_of_another_kind_is_an_error(value: str) -> None:
    with pytest.raises(ValueError, match="structures"):
        references({"structures": value})


def test_any_damage_is_noticed() -> None:
    split = Splitter().split("place", {"structures": BIG})
    found = references(split.record)
    pick = random.Random(1)
    for name, data in split.new.items():
        place = pick.randrange(len(data))
        for damaged in (data[:place] + bytes((data[place] ^ 1,)) + data[place + 1:], data[:-1], data + b"x", b""):
            with pytest.raises(ValueError, match="structures"):
                join(split.record, found, {**split.new, name: damaged})
        with pytest.raises(ValueError, match="structures"):
            join(split.record, found, {each: kept for each, kept in split.new.items() if each != name})
    names = list(split.new)
    with pytest.raises(ValueError, match="structures"):
        join(split.record, found, {**split.new, names[0]: split.new[names[3]], names[3]: split.new[names[0]]})
