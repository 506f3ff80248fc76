"""Our own producer: what arrives, in which order, after which errors, and what ends it."""

from __future__ import annotations

import random
import threading
import time

import pytest
from confluent_kafka import KafkaError, KafkaException

from cdc import native
from tests.servers.process import wait_until
from tests.unit.kafka.wire.fake_cluster import (
    NEWEST,
    NOT_LEADER,
    OLDEST,
    UNKNOWN_TOPIC,
    FakeCluster,
    Step,
)
from tests.unit.kafka.wire.producer import needs_recordsets, numbers, producing, record, records

pytestmark = needs_recordsets

PASSING = [KafkaError.LEADER_NOT_AVAILABLE, NOT_LEADER, KafkaError.REQUEST_TIMED_OUT, KafkaError.NETWORK_EXCEPTION,
           KafkaError.NOT_ENOUGH_REPLICAS, KafkaError.KAFKA_STORAGE_ERROR, KafkaError.COORDINATOR_NOT_AVAILABLE,
           KafkaError.THROTTLING_QUOTA_EXCEEDED, UNKNOWN_TOPIC]
FATAL = [KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER, KafkaError.UNKNOWN_PRODUCER_ID, KafkaError.INVALID_PRODUCER_EPOCH,
         KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.INVALID_RECORD, KafkaError.INVALID_MSG, -1, 12345]


@pytest.mark.parametrize("versions", [NEWEST, OLDEST], ids=["newest", "oldest"])
def test_all_parts_of_a_record_arrive(versions: dict[int, tuple[int, int]]) -> None:
    batch = [record(0, headers=[("a", b"\x00\xff"), ("a", b""), ("n", None)]), record(1, key=None),
             record(2, value=None), record(3, key=b"", value=b""), record(4, timestamp_ms=1_700_000_000_000),
             record(5, value=b"x" * 1_000_000)]
    with FakeCluster({"t": 1}, versions=versions) as cluster, producing(cluster.bootstrap) as producer:
        before_ms = time.time() * 1000 - 1
        producer.deliver(batch)
        found = cluster.logs["t", 0]
        assert [(each.key, each.value, each.headers) for each in found] == [
            (each.key, each.value, list(each.headers)) for each in batch]
        assert found[4].timestamp_ms == 1_700_000_000_000
        assert before_ms <= found[0].timestamp_ms <= time.time() * 1000 + 1
        assert producer.client.size_bytes == sum(len(each.value or b"") for each in batch)


def test_an_arena_and_a_list_of_the_same_records_arrive_alike() -> None:
    batch = [record(number, topic=f"t{number % 3}", headers=[("h", b"%d" % (number % 2))]) for number in range(300)]
    module = native.module("batch")
    out = module.OutBatch()
    for each in batch:
        out.append(each)
    with FakeCluster({f"t{number}": 4 for number in range(3)}) as cluster:
        logs = []
        for arena in (False, True):
            with producing(cluster.bootstrap) as producer:
                delivery, first = producer.expect(len(batch)), 0
                while first < len(batch):
                    first = (producer.client.send_batch(out, first, delivery) if arena
                             else producer.client.send(batch, first, delivery))
                    producer.client.poll(0.01)
                producer.until(delivery.acked)
            logs.append({place: [each[:3] for each in log] for place, log in cluster.logs.items()})
            cluster.logs.clear()
        assert logs[0] == logs[1]
        assert sum(map(len, logs[0].values())) == 300


def test_more_sets_of_headers_than_are_kept() -> None:
    batch = [record(number, headers=[("id", b"%d" % number)]) for number in range(200)]
    module = native.module("batch")
    out = module.OutBatch()
    for each in batch:
        out.append(each)
    with FakeCluster({"t": 1}) as cluster, producing(cluster.bootstrap) as producer:
        producer.deliver(batch)
        delivery = producer.expect(len(batch))
        assert producer.client.send_batch(out, 0, delivery) == len(batch)
        producer.until(delivery.acked)
        assert [(each.value, each.headers) for each in cluster.logs["t", 0]] == [
            (each.value, list(each.headers)) for each in batch * 2]


@pytest.mark.parametrize("code", PASSING)
def test_an_error_that_passes_costs_nothing(code: int) -> None:
    """Whether the broker has kept the batch or not."""
    with FakeCluster({"t": 1}) as cluster, producing(cluster.bootstrap, batch_size="300") as producer:
        for append in (False, True):
            cluster.steps.extend([Step(code, append)] * 3)
            producer.deliver(records(20, 20 * append))
        assert cluster.values() == numbers(40)


@pytest.mark.parametrize("append", [False, True], ids=["before", "after"])
def test_a_connection_that_ends_around_an_append_costs_nothing(append: bool) -> None:
    with FakeCluster({"t": 1}) as cluster, producing(cluster.bootstrap, batch_size="300") as producer:
        producer.deliver(records(1))
        cluster.steps.extend([Step(0, append, "drop"), Step(), Step(KafkaError.REQUEST_TIMED_OUT, append, "drop")])
        producer.deliver(records(99, 1))
        assert cluster.values() == numbers(100)


def test_batches_under_way_behind_one_that_is_refused_keep_their_order() -> None:
    """They are refused too, because of their numbers: that is no reason to end."""
    with FakeCluster({"t": 1}) as cluster, producing(cluster.bootstrap, batch_size="300") as producer:
        producer.deliver(records(1))
        gate = threading.Event()
        cluster.steps.extend([Step(KafkaError.NOT_ENOUGH_REPLICAS, until=gate)])
        delivery = producer.send(records(100, 1))
        connection = producer.client._sender.cluster.nodes[0].connection
        producer.until(lambda: connection is not None and len(connection.pending) == 5)
        gate.set()
        producer.until(delivery.acked)
        assert cluster.values() == numbers(101)
        firsts = [request.batches["t", 0].sequence for request in cluster.requests]
        assert firsts[1] == firsts[6], "the one that was refused comes again only when the others are answered"


@pytest.mark.parametrize("seed", range(5))
def test_whatever_happens_each_record_arrives_once_and_in_order(seed: int) -> None:
    """Requests of several partitions to two brokers, whose leaders move meanwhile."""
    rng = random.Random(seed)
    steps = [Step(), Step(), Step(), Step(KafkaError.REQUEST_TIMED_OUT, True), Step(KafkaError.NOT_ENOUGH_REPLICAS),
             Step(then="drop"), Step(KafkaError.NETWORK_EXCEPTION, True, "drop"), Step(then="garbage", garbage=b"\7")]
    with FakeCluster({"t": 3}, brokers=2) as cluster, producing(cluster.bootstrap, batch_size="400") as producer:
        cluster.steps.extend(rng.choices(steps, k=60))
        sent: dict[int, list[bytes]] = {0: [], 1: [], 2: []}
        deliveries = []
        for number in range(0, 1200, 20):
            batch = [record(each, kafka_partition=rng.randrange(3)) for each in range(number, number + 20)]
            for each in batch:
                sent[each.kafka_partition].append(each.value or b"")
            deliveries.append(producer.send(batch))
            if rng.random() < 0.2:
                cluster.leaders["t", rng.randrange(3)] = rng.randrange(2)
        producer.until(lambda: len(producer.client) == 0)
        assert all(each.acked() for each in deliveries)
        assert {number: cluster.values("t", number) for number in sent} == sent


@pytest.mark.parametrize("appended", [1, 3, 5])
def test_a_broker_that_was_shut_down_in_order_knows_the_last_batch_only(appended: int) -> None:
    """Each of the five has 20 records; so many of them were appended before the answers were lost."""
    with FakeCluster({"t": 1}) as cluster, producing(cluster.bootstrap, batch_size="300") as producer:
        producer.deliver(records(1))
        gate = threading.Event()
        cluster.steps.extend(Step(then="mute") for _ in range(appended))
        cluster.steps[-1].then = "drop"
        cluster.steps[0].until = gate
        delivery = producer.send(records(200, 1))
        connection = producer.client._sender.cluster.nodes[0].connection
        producer.until(lambda: connection is not None and len(connection.pending) == 5)
        cluster.at_drop = cluster.forget
        gate.set()
        producer.until(lambda: delivery.remaining == 0)
        assert delivery.acked(), delivery.error
        assert cluster.values() == numbers(201)


def test_a_broker_that_lost_what_it_had_acknowledged_ends_the_producer() -> None:
    """Then none of the batches that wait is next for it."""
    with FakeCluster({"t": 1}) as cluster, producing(cluster.bootstrap, batch_size="300") as producer:
        producer.deliver(records(60))
        cluster.steps.append(Step(then="drop", code=KafkaError.NETWORK_EXCEPTION))
        cluster.at_drop = lambda: cluster.lose(30)
        delivery = producer.send(records(100, 60))
        producer.until(lambda: delivery.remaining == 0)
        assert producer.owner.failures[0][0] == KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER
        assert cluster.values() == numbers(30)


@pytest.mark.parametrize("code", FATAL)
def test_an_error_that_does_not_pass_ends_the_producer(code: int) -> None:
    """And no record that came later is delivered: the task begins again with a new one."""
    with FakeCluster({"t": 1}) as cluster, producing(cluster.bootstrap, batch_size="300") as producer:
        producer.deliver(records(1))
        cluster.steps.append(Step(code, message="why"))
        delivery = producer.send(records(50, 1))
        producer.until(lambda: len(producer.client) == 0)
        assert delivery.error is not None
        assert producer.owner.failures[0][0] == code
        assert {failed for failed, _ in producer.owner.failures} <= {
            code, KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT}
        with pytest.raises(KafkaException) as caught:
            producer.client.send(records(1), 0, producer.expect(1))
        assert caught.value.args[0].code() == code
        assert producer.client.stopped == 0


def test_a_duplicate_is_a_delivery() -> None:
    with FakeCluster({"t": 1}) as cluster, producing(cluster.bootstrap) as producer:
        cluster.steps.append(Step(KafkaError.DUPLICATE_SEQUENCE_NUMBER, True))
        producer.deliver(records(3))
        producer.deliver(records(3, 3))
        assert cluster.values() == numbers(6)


def test_a_batch_above_the_topics_limit_is_split() -> None:
    batch = [record(number, value=b"%-200d" % number) for number in range(64)]
    with FakeCluster({"t": 1}, most_batch=1000) as cluster, producing(cluster.bootstrap) as producer:
        producer.deliver(batch)
        refused = len(cluster.requests)
        producer.deliver(batch)
        assert cluster.values() == [each.value for each in batch * 2]
        assert len(cluster.requests) - refused == 16, "what is too large is known now: each batch has four records"


def test_a_record_above_the_topics_limit_is_named() -> None:
    batch = [record(0), record(1, value=b"x" * 2000), record(2)]
    with FakeCluster({"t": 1}, most_batch=1000) as cluster, producing(cluster.bootstrap) as producer:
        delivery = producer.send(batch)
        producer.until(lambda: len(producer.client) == 0)
        assert delivery.error is not None
        code, message = producer.owner.failures[0]
        assert code == KafkaError.MSG_SIZE_TOO_LARGE
        assert message == ("t", b"k1", 2, 2000)
        assert cluster.values() == [b"0"]


def test_the_record_that_ended_the_producer_is_named_before_a_later_one() -> None:
    """Also if records are sent before its answer is polled for."""
    with FakeCluster({"t": 1}) as cluster, producing(cluster.bootstrap) as producer:
        producer.deliver(records(1))
        cluster.steps.append(Step(KafkaError.MSG_SIZE_TOO_LARGE))
        first, later = producer.expect(1), producer.expect(1)
        producer.client.send([record(1)], 0, first)
        wait_until(lambda: producer.client._sender.producing.failure is not None, 10, "the producer to end", 0.001)
        with pytest.raises(KafkaException):
            producer.client.send([record(2)], 0, later)
        assert producer.owner.failures == [(KafkaError.MSG_SIZE_TOO_LARGE, ("t", b"k1", 2, 1))]
        assert first.error is not None


def test_a_record_above_our_limit_is_refused_by_its_index() -> None:
    with FakeCluster({"t": 1}) as cluster, producing(cluster.bootstrap, max_request_size="2000") as producer:
        producer.deliver(records(1))
        batch = [record(1), record(2, value=b"x" * 3000), record(3)]
        delivery = producer.expect(1)
        with pytest.raises(KafkaException) as caught:
            producer.client.send(batch, 0, delivery)
        assert (producer.client.stopped, caught.value.args[0].code()) == (1, KafkaError.MSG_SIZE_TOO_LARGE)
        producer.until(delivery.acked)
        assert cluster.values() == [b"0", b"1"]


def test_a_partition_that_a_topic_does_not_have_is_refused() -> None:
    with FakeCluster({"t": 1}) as cluster, producing(cluster.bootstrap) as producer:
        producer.deliver(records(1))
        with pytest.raises(KafkaException) as caught:
            producer.client.send([record(1, kafka_partition=1)], 0, producer.expect(1))
        assert caught.value.args[0].code() == KafkaError._UNKNOWN_PARTITION
