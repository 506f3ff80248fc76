"""Who may commit to an offset topic, with the brokers' help and without it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer

from cdc.core.errors import OffsetsHeldError, OffsetStoreError, OwnerLostError
from cdc.core.owner import Owner
from cdc.stores import kafka_offsets, process
from cdc.stores.kafka_offsets import KafkaOffsetStore
from cdc.stores.topic_writer import TopicWriter
from tests.servers.kafka import KafkaServer, consume_all

PLACE = "shop", {"server": "s"}
Open = Callable[..., KafkaOffsetStore]


@pytest.fixture
def open_store(kafka: KafkaServer, topic_prefix: str) -> Iterator[Open]:
    opened: list[KafkaOffsetStore] = []

    def open_one(**more: Any) -> KafkaOffsetStore:
        store = KafkaOffsetStore(topic_prefix, {"bootstrap.servers": kafka.bootstrap}, partitions=3,
                                 replication_factor=1, timeout_s=20, **more)
        store.start()
        opened.append(store)
        return store

    yield open_one
    for store in opened:
        store.close()


@pytest.fixture(params=["fenced", "not allowed"])
def fenced(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the brokers allow transactions."""
    if request.param == "not allowed":
        def refuse(writer: TopicWriter, *_: Any) -> None:
            raise KafkaException(KafkaError(KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED))

        monkeypatch.setattr(TopicWriter, "fence", refuse)
    return bool(request.param == "fenced")


def test_who_was_replaced_commits_nothing_and_learns_by_whom(open_store: Open, fenced: bool) -> None:
    one, two = open_store(), open_store()
    one.claim(*PLACE, None)
    one.commit(*PLACE, {"lsn": 1})
    assert two.claim(*PLACE, two.load(*PLACE)).generation == 2
    two.commit(*PLACE, {"lsn": 2})
    for late in (lambda: one.commit(*PLACE, {"lsn": 1}), lambda: one.hold(*PLACE),
                 lambda: one.claim(*PLACE, {"lsn": 2}), lambda: one.commit(*PLACE, None)):
        with pytest.raises(OwnerLostError, match=f"process {os.getpid()} on host"):
            late()
    assert open_store().load(*PLACE) == {"lsn": 2}
    two.commit(*PLACE, {"lsn": 3})
    assert open_store().load(*PLACE) == {"lsn": 3}


def test_claims_one_after_the_other_have_one_winner(open_store: Open, fenced: bool) -> None:
    stores = [open_store() for _ in range(4)]
    for store in stores:
        store.claim(*PLACE, None)
    for store in stores[:-1]:
        with pytest.raises(OwnerLostError):
            store.commit(*PLACE, {"lsn": 1})
    stores[-1].commit(*PLACE, {"lsn": 4})
    assert open_store().load(*PLACE) == {"lsn": 4}


def test_a_process_that_writes_between_its_look_and_its_commit_does_not_count(
        open_store: Open, monkeypatch: pytest.MonkeyPatch, fenced: bool) -> None:
    """It was paused exactly there, while another one took over and went on."""
    one, two = open_store(), open_store()
    one.claim(*PLACE, None)
    one.commit(*PLACE, {"lsn": 1})
    write = KafkaOffsetStore._write

    def paused(store: KafkaOffsetStore, *args: Any) -> None:
        monkeypatch.undo()
        two.claim(*PLACE, {"lsn": 1})
        two.commit(*PLACE, {"lsn": 5})
        write(store, *args)

    monkeypatch.setattr(KafkaOffsetStore, "_write", paused)
    with pytest.raises(OwnerLostError):
        one.commit(*PLACE, {"lsn": 2})
    assert open_store().load(*PLACE) == {"lsn": 5}
    two.commit(*PLACE, {"lsn": 6})


def test_large_values_stay_whole_when_the_replaced_one_writes(open_store: Open, fenced: bool) -> None:
    one, two = open_store(), open_store()
    one.claim(*PLACE, None)
    one.commit(*PLACE, {"lsn": 1, "structures": "a" * 50_000})
    two.claim(*PLACE, two.load(*PLACE))
    two.commit(*PLACE, {"lsn": 2, "structures": "b" * 50_000})
    with pytest.raises(OwnerLostError):
        one.commit(*PLACE, {"lsn": 3, "structures": "c" * 50_000})
    assert open_store().load(*PLACE) == {"lsn": 2, "structures": "b" * 50_000}
    two.commit(*PLACE, {"lsn": 4, "structures": "b" * 50_000})
    assert open_store().load(*PLACE) == {"lsn": 4, "structures": "b" * 50_000}


def test_a_producer_that_lost_its_place_to_nobody_goes_on(open_store: Open, kafka: KafkaServer) -> None:
    """The coordinator ended its transaction, or forgot its id, while the claim is still ours."""
    store = open_store()
    store.claim(*PLACE, None)
    store.commit(*PLACE, {"lsn": 1})
    with Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": store._held[next(iter(store._held))].writer
                   ._settings["transactional.id"]}) as other:
        other.init_transactions(30)
    with pytest.raises(OffsetStoreError) as caught:
        store.commit(*PLACE, {"lsn": 2})
    assert caught.value.retriable
    store.commit(*PLACE, {"lsn": 3})
    assert open_store().load(*PLACE) == {"lsn": 3}


def test_offsets_of_other_programs_count_at_once(open_store: Open, kafka: KafkaServer, topic_prefix: str) -> None:
    """A person, or Kafka Connect, that writes an offset while nothing runs."""
    store = open_store()
    store.claim(*PLACE, None)
    store.commit(*PLACE, {"lsn": 9})
    store.close()
    plain = Producer({"bootstrap.servers": kafka.bootstrap, "partitioner": "murmur2_random"})
    plain.produce(topic_prefix, b'{"lsn":3}', b'["shop",{"server":"s"}]')
    assert plain.flush(30) == 0
    again = open_store()
    assert again.load(*PLACE) == {"lsn": 3}
    again.claim(*PLACE, {"lsn": 3})
    again.commit(*PLACE, {"lsn": 4})
    assert open_store().load(*PLACE) == {"lsn": 4}


def test_the_value_is_still_kafka_connects(open_store: Open, kafka: KafkaServer, topic_prefix: str) -> None:
    store = open_store()
    store.claim(*PLACE, None)
    store.commit(*PLACE, {"lsn": 9})
    found = {message.key: message.value for message in consume_all(kafka.bootstrap, topic_prefix)}
    assert found[b'["shop",{"server":"s"}]'] == b'{"lsn":9}'
    assert b'["shop",{"server":"s"},"owner"]' in found, "of three elements, which Kafka Connect leaves out"


def test_a_process_of_this_host_that_runs_is_waited_for(open_store: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = process.this_process()
    parent = Owner(mine.host, os.getppid(), mine.since, "other")
    one, two = open_store(owner=parent), open_store()
    one.claim(*PLACE, None)
    with pytest.raises(OffsetsHeldError, match=f"process {parent.pid} on host {parent.host}"):
        two.hold(*PLACE)
    monkeypatch.setattr("cdc.stores.kafka_offsets.is_paused", lambda owner: True)
    two.hold(*PLACE)
    for gone in (Owner(mine.host, parent.pid, "2001-01-01T00:00:00Z", "x"), Owner("elsewhere", parent.pid, "", "x"),
                 Owner(mine.host, 2**22 + 5, mine.since, "x")):
        assert not process.runs_here(gone), "it has ended, or cannot be seen"


def test_an_open_transaction_of_another_connector_hides_nothing(kafka: KafkaServer, topic_prefix: str) -> None:
    """It was killed in the middle of a commit. What was written since then is in the topic, but cannot be read."""
    with closing(KafkaOffsetStore(topic_prefix, {"bootstrap.servers": kafka.bootstrap}, partitions=1,
                                  replication_factor=1, timeout_s=20)) as store, \
            Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": topic_prefix}) as killed:
        store.start()
        killed.init_transactions(30)
        for offset in ({"lsn": 1}, {"lsn": 2}):
            killed.begin_transaction()
            killed.produce(topic_prefix, b"{}", b'["other",{}]')
            assert killed.flush(30) == 0
            end = threading.Timer(1.0, killed.abort_transaction, (30,))
            end.start()
            before = store.load(*PLACE) if offset["lsn"] == 1 else {"lsn": 1}
            store.claim(*PLACE, before)
            store.commit(*PLACE, offset)
            end.join()

            killed.begin_transaction()
            killed.produce(topic_prefix, b"{}", b'["other",{}]')
            assert killed.flush(30) == 0
            store.commit(*PLACE, offset)
            end = threading.Timer(1.0, killed.abort_transaction, (30,))
            end.start()
            assert store.load(*PLACE) == offset
            end.join()


def test_a_transaction_that_does_not_end_is_waited_for_and_named(kafka: KafkaServer, topic_prefix: str) -> None:
    with closing(KafkaOffsetStore(topic_prefix, {"bootstrap.servers": kafka.bootstrap}, partitions=1,
                                  replication_factor=1, timeout_s=3)) as store, \
            Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": topic_prefix}) as killed:
        store.start()
        killed.init_transactions(30)
        killed.begin_transaction()
        killed.produce(topic_prefix, b"{}", b'["other",{}]')
        assert killed.flush(30) == 0
        with pytest.raises(OffsetStoreError, match="transaction is open") as caught:
            store.load(*PLACE)
        assert caught.value.retriable
        killed.abort_transaction(30)
        assert store.load(*PLACE) is None


def test_the_owner_is_seen_without_a_trace(open_store: Open, kafka: KafkaServer, topic_prefix: str,
                                           monkeypatch: pytest.MonkeyPatch) -> None:
    looking = KafkaOffsetStore(topic_prefix, {"bootstrap.servers": kafka.bootstrap}, partitions=3, replication_factor=1)
    monkeypatch.setattr(kafka_offsets, "_LOOK_S", 1.0)
    with pytest.raises(OffsetStoreError):
        looking.owner(*PLACE)
    other = Owner("elsewhere", 12, "2026-01-02T03:04:05Z", "r")
    open_store(owner=other).claim(*PLACE, None)
    before = len(consume_all(kafka.bootstrap, topic_prefix))
    assert looking.owner(*PLACE) == (other, False), "nobody knows whether it runs"
    monkeypatch.setattr(kafka_offsets, "runs_here", lambda owner: True)
    assert looking.owner(*PLACE) == (other, True)
    assert looking.owner("none", PLACE[1]) == (None, False)
    assert len(consume_all(kafka.bootstrap, topic_prefix)) == before
