"""The offsets of the query source: a source partition for each table, as Confluent's JDBC source has them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cdc.core.errors import ConfigError, PositionLostError
from cdc.core.owner import claimed_by
from cdc.runtime.offsets import Offsets
from cdc.runtime.source_offsets import SourceOffsets
from cdc.sources.query.marks import divided, joined
from cdc.stores.file_offsets import FileOffsetStore
from tests.unit.sources.query.polling import World, values

COUNTED = {"mode": "incrementing", "batch.max.rows": "2"}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, "CREATE TABLE a (id INTEGER PRIMARY KEY)", "CREATE TABLE b (id INTEGER PRIMARY KEY)")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FileOffsetStore]:
    made = FileOffsetStore(tmp_path / "offsets")
    made.start()
    yield made
    made.close()


def of(table: str) -> Mapping[str, Any]:
    return {"protocol": "1", "table": table}


def began(world: World, store: FileOffsetStore) -> SourceOffsets:
    """As a task begins."""
    world.committed = None
    offsets = SourceOffsets("q", world.begin(**COUNTED), store)
    offsets.hold()
    world.committed = offsets.load()
    offsets.claim(world.committed)
    world.begin()
    return offsets


def rows(world: World) -> list[tuple[Any, ...]]:
    """The new rows of all tables, delivered and committed."""
    assert world.source is not None
    found: list[tuple[Any, ...]] = []
    for reader in world.source._readers.values():
        reader.due = 0.0
    for _ in range(12):
        world.source._due = 0.0
        batch = world.source.poll(0.01)
        if batch is not None:
            found += values(batch)
            world.commit(batch)
    return found


def test_each_table_has_an_offset_of_its_own_and_only_what_changed_is_written(
        world: World, store: FileOffsetStore, monkeypatch: pytest.MonkeyPatch) -> None:
    world.write("INSERT INTO a VALUES (1), (2)")
    world.write("INSERT INTO b VALUES (7)")
    offsets = began(world, store)
    assert world.committed is None
    rows(world)
    assert world.committed is not None
    offsets.commit(world.committed)
    assert store.load_all("q") == [(of("a"), {"incrementing": 2}), (of("b"), {"incrementing": 7})]
    world.write("INSERT INTO b VALUES (8)")
    offsets = began(world, store)
    assert rows(world) == [(8,)]
    written: list[Any] = []
    monkeypatch.setattr(store, "commit_all", lambda name, each: written.extend(each))
    offsets.commit(world.committed)
    assert written == [(of("b"), {"incrementing": 8})]


def test_an_offset_of_all_tables_is_read_and_replaced(world: World, store: FileOffsetStore) -> None:
    world.write("INSERT INTO a VALUES (1), (2), (3)")
    world.write("INSERT INTO b VALUES (7)")
    store.commit("q", of("*"), {"a|incrementing": 2})
    offsets = began(world, store)
    assert rows(world) == [(3,), (7,)]
    offsets.commit(world.committed or {})
    assert store.load_all("q") == [(of("a"), {"incrementing": 3}), (of("b"), {"incrementing": 7})]


def test_confluents_offsets_are_continued(world: World, store: FileOffsetStore) -> None:
    world.write("INSERT INTO a VALUES (1), (2)")
    store.commit("q", of("a"), {"timestamp_nanos": 0, "incrementing": 1, "timestamp": 1_000})
    began(world, store)
    batch = world.batch()
    assert batch is not None
    assert values(batch) == [(2,)]


def test_one_claim_covers_all_tables(world: World, store: FileOffsetStore) -> None:
    assert claimed_by(of("a")) == claimed_by(of("b")) == of("*")
    assert claimed_by({"server": "s"}) == {"server": "s"}
    assert claimed_by({"protocol": "2", "table": "a"}) == {"protocol": "2", "table": "a"}


def test_offsets_of_single_tables_are_altered_over_rest(world: World, store: FileOffsetStore) -> None:
    parts = SimpleNamespace(source=world.begin(**COUNTED), converter=SimpleNamespace(close=lambda: None))
    connector: Any = SimpleNamespace(name="q", parts=lambda _: parts)
    offsets = Offsets(store)
    offsets.alter(connector, [({"table": "a", "protocol": "1"}, {"incrementing": 4})])
    assert offsets.read("q") == [{"partition": of("a"), "offset": {"incrementing": 4}}]
    assert list(offsets.read("q")[0]["partition"]) == ["protocol", "table"], "keys are compared as bytes"
    offsets.alter(connector, [(of("*"), {"b|incrementing": 1})])
    assert [each["partition"]["table"] for each in offsets.read("q")] == ["a", "b"]
    offsets.alter(connector, [({"table": "a", "protocol": "1"}, None)])
    assert offsets.read("q") == [{"partition": of("b"), "offset": {"incrementing": 1}}]
    with pytest.raises(ConfigError, match="no partition like that"):
        offsets.alter(connector, [({"server": "a"}, {"incrementing": 1})])
    with pytest.raises(ConfigError, match="would not understand"):
        offsets.alter(connector, [(of("a"), {"lsn": 1})])


@pytest.mark.parametrize(("wanted", "left"), [
    ((of("a"), None), {"b": 5}), ((of("a"), {"incrementing": 9}), {"a": 9, "b": 5}),
    ((of("*"), {"a|incrementing": 9}), {"a": 9, "b": 5}), ((of("*"), None), {"b": 5})])
def test_what_is_altered_holds_over_an_offset_of_all_tables(
        world: World, store: FileOffsetStore, wanted: tuple[Any, Any], left: Mapping[str, int]) -> None:
    """Else the table would go on from its mark in there, which is the earlier one, or the only one."""
    parts = SimpleNamespace(source=world.begin(**COUNTED), converter=SimpleNamespace(close=lambda: None))
    connector: Any = SimpleNamespace(name="q", parts=lambda _: parts)
    store.commit("q", of("*"), {"a|incrementing": 2, "b|incrementing": 7})
    store.commit("q", of("b"), {"incrementing": 5})
    Offsets(store).alter(connector, [wanted])
    assert {partition["table"]: offset["incrementing"] for partition, offset in store.load_all("q")} == left
    world.write("INSERT INTO a VALUES (1), (2), (3)")
    world.write("INSERT INTO b VALUES (5), (6)")
    began(world, store)
    assert set(rows(world)) == {(each,) for each in (1, 2, 3) if each > left.get("a", 0)} | {(6,)}


def test_an_offset_of_all_tables_that_cannot_be_read_is_told(world: World, store: FileOffsetStore) -> None:
    parts = SimpleNamespace(source=world.begin(**COUNTED), converter=SimpleNamespace(close=lambda: None))
    connector: Any = SimpleNamespace(name="q", parts=lambda _: parts)
    store.commit("q", of("*"), {"lsn": 1})
    with pytest.raises(ConfigError, match="cannot be read"):
        Offsets(store).alter(connector, [(of("a"), None)])
    Offsets(store).alter(connector, [(of("*"), None)])
    assert store.load_all("q") == []


def test_of_two_marks_the_earlier_counts() -> None:
    whole = {"a|incrementing": 2, "a|timestamp": 5_000, "a|timestamp_nanos": 0, "c|incrementing": 1}
    tables = {"a": {"incrementing": 9, "timestamp": 4_000, "timestamp_nanos": 0}, "b": {"incrementing": 3}}
    found = divided(joined(whole, tables))
    assert found == {"a": {"incrementing": 2, "timestamp": 4_000, "timestamp_nanos": 0}, "b": {"incrementing": 3},
                     "c": {"incrementing": 1}}


def test_keys_of_all_tables_in_the_offset_of_one_are_refused() -> None:
    with pytest.raises(PositionLostError):
        joined({}, {"a": {"b|incrementing": 1}})
