"""What every offset store promises: core/stores.py, `OffsetStore`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cdc.core.errors import OffsetStoreError, OwnerLostError
from cdc.core.stores import OffsetStore
from cdc.stores.file_offsets import FileOffsetStore
from cdc.stores.kafka_offsets import KafkaOffsetStore
from tests.servers.kafka import KafkaServer

PARTITION = {"server": "shop"}
Open = Callable[[], OffsetStore]


@pytest.fixture(params=["file", "kafka"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path, topic_prefix: str) -> Iterator[Open]:
    """Opens the same store again and again, as processes one after the other would."""
    opened: list[OffsetStore] = []

    def open_one() -> OffsetStore:
        store: OffsetStore
        if request.param == "file":
            store = FileOffsetStore(tmp_path / "offsets.db")
        else:
            server: KafkaServer = request.getfixturevalue("kafka")
            store = KafkaOffsetStore(f"{topic_prefix}.offsets", {"bootstrap.servers": server.bootstrap}, partitions=5,
                                     replication_factor=1)
        store.start()
        opened.append(store)
        return store

    yield open_one
    for store in opened:
        store.close()


def test_nothing_was_committed_at_first(open_store: Open) -> None:
    assert open_store().load("inventory", PARTITION) is None


def test_what_was_committed_last_is_loaded(open_store: Open) -> None:
    store = open_store()
    store.commit("inventory", PARTITION, {"lsn": 1, "snapshot": None})
    store.commit("inventory", PARTITION, {"lsn": 2**62, "text": "Straße", "last": True, "part": 0.5})
    expected: dict[str, Any] = {"lsn": 2**62, "text": "Straße", "last": True, "part": 0.5}
    assert store.load("inventory", PARTITION) == expected
    assert open_store().load("inventory", PARTITION) == expected


def test_connectors_and_partitions_are_apart(open_store: Open) -> None:
    store = open_store()
    places = [("a", {"server": "x"}), ("b", {"server": "x"}), ("a", {"server": "y"})]
    for number, (connector, partition) in enumerate(places):
        store.commit(connector, partition, {"lsn": number})
    assert [store.load(*place) for place in places] == [{"lsn": 0}, {"lsn": 1}, {"lsn": 2}]


def test_none_deletes(open_store: Open) -> None:
    store = open_store()
    store.commit("inventory", PARTITION, {"lsn": 1})
    store.commit("inventory", PARTITION, None)
    assert store.load("inventory", PARTITION) is None
    assert open_store().load("inventory", PARTITION) is None


def test_what_another_process_commits_is_seen(open_store: Open) -> None:
    one, two = open_store(), open_store()
    one.commit("inventory", PARTITION, {"lsn": 1})
    assert two.load("inventory", PARTITION) == {"lsn": 1}
    two.commit("inventory", PARTITION, {"lsn": 2})
    assert one.load("inventory", PARTITION) == {"lsn": 2}


def test_starting_twice_is_fine(open_store: Open) -> None:
    store = open_store()
    store.commit("inventory", PARTITION, {"lsn": 1})
    store.start()
    assert store.load("inventory", PARTITION) == {"lsn": 1}


def test_closing_twice_is_fine(open_store: Open) -> None:
    store = open_store()
    store.close()
    store.close()


PLACE = "inventory", PARTITION


def test_who_took_over_is_the_only_one_that_commits(open_store: Open) -> None:
    one = open_store()
    first = one.claim(*PLACE, None)
    one.commit(*PLACE, {"lsn": 1})
    one.close()
    two = open_store()
    two.hold(*PLACE)
    second = two.claim(*PLACE, {"lsn": 1})
    assert second.generation > first.generation
    two.commit(*PLACE, {"lsn": 2})
    assert open_store().load(*PLACE) == {"lsn": 2}


def test_the_same_process_claims_again_after_an_error(open_store: Open) -> None:
    store = open_store()
    generations = []
    for lsn in range(3):
        store.hold(*PLACE)
        generations.append(store.claim(*PLACE, store.load(*PLACE)).generation)
        store.commit(*PLACE, {"lsn": lsn})
    assert generations == sorted(set(generations))
    assert open_store().load(*PLACE) == {"lsn": 2}


def test_an_offset_that_changed_since_it_was_loaded_is_not_claimed(open_store: Open) -> None:
    store = open_store()
    store.commit(*PLACE, {"lsn": 2})
    with pytest.raises(OffsetStoreError, match="changed while it started") as caught:
        store.claim(*PLACE, {"lsn": 1})
    assert caught.value.retriable
    assert store.claim(*PLACE, {"lsn": 2})


def test_a_released_offset_may_be_claimed_by_others(open_store: Open) -> None:
    one, two = open_store(), open_store()
    one.hold(*PLACE)
    one.claim(*PLACE, None)
    one.release(*PLACE)
    one.release(*PLACE)
    two.hold(*PLACE)
    two.claim(*PLACE, None)
    two.commit(*PLACE, {"lsn": 3})
    two.release(*PLACE)
    one.hold(*PLACE)
    one.claim(*PLACE, {"lsn": 3})
    one.commit(*PLACE, {"lsn": 4})
    assert two.load(*PLACE) == {"lsn": 4}


def test_what_is_stored_is_listed_by_name(open_store: Open) -> None:
    store = open_store()
    assert store.stored() == []
    for connector, server in (("b", "x"), ("a", "y"), ("a", "x"), ("gone", "x")):
        store.commit(connector, {"server": server}, {"lsn": 1, "large": "z" * 1_000_000})
    store.commit("gone", {"server": "x"}, None)
    expected = [("a", {"server": "x"}), ("a", {"server": "y"}), ("b", {"server": "x"})]
    assert list(store.stored()) == expected
    assert list(open_store().stored()) == expected


def test_the_partitions_of_one_task_are_loaded_and_committed_together(open_store: Open) -> None:
    store = open_store()
    tables = [{"protocol": "1", "table": name} for name in ("shop.a", "shop.b")]
    store.commit("q", tables[0], {"incrementing": 1})
    store.commit("other", tables[0], {"incrementing": 5})
    store.commit_all("q", [(tables[0], None), (tables[1], {"incrementing": 2, "text": "x" * 50_000})])
    assert store.load_all("q") == [(tables[1], {"incrementing": 2, "text": "x" * 50_000})]
    store.commit_all("q", [(each, {"incrementing": 3}) for each in tables])
    assert open_store().load_all("q") == [(each, {"incrementing": 3}) for each in tables]
    assert open_store().load_all("none") == []


def test_who_lost_the_claim_on_all_tables_writes_none_of_them(open_store: Open) -> None:
    one, two = open_store(), open_store()
    whole, table = {"protocol": "1", "table": "*"}, {"protocol": "1", "table": "shop.a"}
    one.claim("q", whole, None)
    one.commit_all("q", [(table, {"incrementing": 1})])
    one.release("q", table)
    two.hold("q", table)
    two.claim("q", whole, None)
    with pytest.raises(OwnerLostError):
        one.commit_all("q", [(table, {"incrementing": 2}), (whole, None)])
    two.commit("q", table, {"incrementing": 3})
    assert two.load_all("q") == [(table, {"incrementing": 3})]
