"""Our own producer against brokers that refuse, forget, move, hang up and talk nonsense."""

from __future__ import annotations

import json
import random
import socket
import threading
import time
from collections import deque

import pytest
from confluent_kafka import KafkaError, KafkaException

from cdc import native
from cdc.kafka.statistics import Statistics
from tests.unit.kafka.wire.fake_cluster import (
    NEWEST,
    NOT_LEADER,
    OLDEST,
    PRODUCE,
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


def refused_port() -> int:
    """Of a listener that takes no connection: nobody else gets it meanwhile."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port: int = held.getsockname()[1]
        return port


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
        producer.deliver(batch)
        assert cluster.values() == [each.value for each in batch * 2]


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


def test_brokers_that_are_away_are_told_of_and_found_again() -> None:
    with FakeCluster({"t": 2}, brokers=2) as cluster, producing(cluster.bootstrap, batch_size="300") as producer:
        producer.deliver(records(10, kafka_partition=0))
        for each in cluster.listeners:
            each.stop()
        delivery = producer.send(records(50, 10, kafka_partition=0))
        producer.until(lambda: KafkaError._ALL_BROKERS_DOWN in producer.owner.codes())
        assert KafkaError._TRANSPORT in producer.owner.codes()
        for each in cluster.listeners:
            each.start()
        producer.until(delivery.acked)
        assert cluster.values() == numbers(60)


def test_a_broker_that_names_no_broker_is_not_believed() -> None:
    """Brokers that shut down answer so."""
    with FakeCluster({"t": 1}) as cluster:
        with producing(cluster.bootstrap, metadata_max_age_ms="20") as producer:
            producer.deliver(records(1))
            cluster.name_brokers = False
            asked = len(cluster.asked)
            producer.until(lambda: len(cluster.asked) > asked + 3)
            producer.deliver(records(1, 1))
        assert cluster.values() == numbers(2)


def test_a_leader_that_moves_is_followed() -> None:
    with FakeCluster({"t": 1}, brokers=2) as cluster, producing(cluster.bootstrap) as producer:
        for number in range(6):
            cluster.leaders["t", 0] = number % 2
            producer.deliver(records(1, number))
        assert cluster.values() == numbers(6)


def test_a_topic_without_a_leader_waits_for_one() -> None:
    with FakeCluster({"t": 1}) as cluster, producing(cluster.bootstrap) as producer:
        cluster.leaders["t", 0] = -1
        delivery = producer.send(records(3))
        asked = len(cluster.asked)
        producer.until(lambda: len(cluster.asked) > asked + 3)
        assert delivery.remaining == 3
        del cluster.leaders["t", 0]
        producer.until(delivery.acked)


def test_a_topic_that_is_made_again_goes_on() -> None:
    with FakeCluster({"t": 1}) as cluster, producing(cluster.bootstrap, batch_size="300") as producer:
        producer.deliver(records(5))
        cluster.make_again("t", 0)
        delivery = producer.send(records(50, 5))
        asked = len(cluster.asked)
        producer.until(lambda: len(cluster.asked) > asked + 3)
        cluster.make_again("t", 1)
        producer.until(delivery.acked)
        assert cluster.values() == numbers(55)[5:]


def test_a_topic_takes_nothing_until_it_is_known() -> None:
    with FakeCluster({"t": 1}, unknown=4) as cluster, producing(cluster.bootstrap) as producer:
        assert producer.client.send(records(1), 0, producer.expect(0)) == 0
        assert producer.client.full_count == 0
        producer.deliver(records(1))
        assert len(cluster.asked) >= 4


@pytest.mark.parametrize(("code", "told"), [(KafkaError.TOPIC_EXCEPTION, KafkaError.TOPIC_EXCEPTION),
                                            (UNKNOWN_TOPIC, KafkaError._UNKNOWN_TOPIC),
                                            (KafkaError.TOPIC_AUTHORIZATION_FAILED,) * 2])
def test_a_topic_that_cannot_be_is_refused(code: int, told: int) -> None:
    properties = {"topic_metadata_propagation_max_ms": "50"}
    with FakeCluster({}, topic_code=code) as cluster, producing(cluster.bootstrap, **properties) as producer:
        with pytest.raises(KafkaException) as caught:
            producer.send(records(1))
        assert caught.value.args[0].code() == told


def test_a_topic_that_goes_for_good_fails_what_waits_for_it() -> None:
    properties = {"topic_metadata_propagation_max_ms": "50"}
    with FakeCluster({"t": 1}) as cluster, producing(cluster.bootstrap, **properties) as producer:
        producer.deliver(records(1))
        cluster.make_again("t", 0)
        delivery = producer.send(records(3, 1))
        producer.until(lambda: delivery.remaining == 0)
        assert producer.owner.failures[0][0] == KafkaError._UNKNOWN_TOPIC


def test_new_partitions_are_used() -> None:
    with FakeCluster({"t": 1}) as cluster:
        with producing(cluster.bootstrap, metadata_max_age_ms="20") as producer:
            producer.deliver(records(20))
            cluster.topics["t"] = 4
            number = 20
            while len(cluster.logs) < 4:
                producer.deliver(records(20, number))
                number += 20
        assert sum(map(len, cluster.logs.values())) == number


def test_a_closed_topic_holds_back_what_follows_and_is_not_asked_for() -> None:
    """The broker would make it, with other settings than those it is to have."""
    module = native.module("batch")
    out = module.OutBatch()
    for each in (record(0), record(1, topic="closed"), record(2)):
        out.append(each)
    with FakeCluster({"t": 1, "closed": 1}) as cluster, producing(cluster.bootstrap) as producer:
        producer.owner.closed = {"closed"}
        delivery, first = producer.expect(3), 0
        while first < 1:
            first = producer.client.send_batch(out, first, delivery)
            producer.client.poll(0.01)
        assert producer.client.send_batch(out, 1, delivery) == 1
        producer.until(lambda: delivery.remaining == 2)
        assert "closed" not in {name for names in cluster.asked for name in names}
        producer.owner.closed = set()
        while first < 3:
            first = producer.client.send_batch(out, first, delivery)
            producer.client.poll(0.01)
        producer.until(delivery.acked)
        assert cluster.values() == [b"0", b"2"]


def test_a_full_queue_takes_no_more_until_there_is_room() -> None:
    gate = threading.Event()
    properties = {"queue_buffering_max_messages": "10"}
    with FakeCluster({"t": 1}) as cluster, producing(cluster.bootstrap, **properties) as producer:
        producer.deliver(records(1))
        cluster.steps.append(Step(until=gate))
        batch, delivery = records(25, 1), producer.expect(25)
        first = producer.client.send(batch, 0, delivery)
        assert first == 10
        assert producer.client.send(batch, first, delivery) == 10
        assert producer.client.full_count == 2
        gate.set()
        while first < 25:
            first = producer.client.send(batch, first, delivery)
            producer.client.poll(0.01)
        producer.until(delivery.acked)
        assert cluster.values() == numbers(26)


def test_what_takes_too_long_ends_the_producer() -> None:
    with FakeCluster({"t": 1}) as cluster, producing(cluster.bootstrap, delivery_timeout_ms="300") as producer:
        producer.deliver(records(1))
        cluster.listeners[0].stop()
        delivery = producer.send(records(3, 1))
        producer.until(lambda: delivery.remaining == 0)
        assert producer.owner.failures[0] == (KafkaError._MSG_TIMED_OUT, ("t", b"k1", 2, 1))


def test_an_answer_that_never_comes_is_not_waited_for() -> None:
    gate = threading.Event()
    properties = {"request_timeout_ms": "200"}
    with FakeCluster({"t": 1}) as cluster, producing(cluster.bootstrap, **properties) as producer:
        producer.deliver(records(1))
        cluster.steps.append(Step(until=gate))
        producer.deliver(records(3, 1))
        gate.set()
        assert KafkaError._TIMED_OUT in producer.owner.codes()
        assert cluster.values() == numbers(4)


@pytest.mark.parametrize("garbage", [b"", b"\0", b"\0\0\0\x01", b"\x7f\xff\xff\xff", b"\0\0\0\0\0\0\0\0",
                                     b"\0\0\0\1\0\1x\0\0\0\1" + b"\0" * 40, b"\0" * 500])
def test_an_answer_that_is_none_is_told_and_asked_for_again(garbage: bytes) -> None:
    with FakeCluster({"t": 1}) as cluster, producing(cluster.bootstrap) as producer:
        producer.deliver(records(1))
        cluster.steps.append(Step(append=True, then="garbage", garbage=garbage))
        producer.deliver(records(3, 1))
        assert KafkaError._BAD_MSG in producer.owner.codes()
        assert cluster.values() == numbers(4)


def test_a_throttled_producer_waits() -> None:
    with FakeCluster({"t": 1}) as cluster, producing(cluster.bootstrap) as producer:
        producer.deliver(records(1))
        cluster.steps.append(Step(throttle_ms=300))
        producer.deliver(records(1, 1))
        began = time.monotonic()
        producer.deliver(records(1, 2))
        assert time.monotonic() - began > 0.25


def test_what_is_given_up_fails_record_by_record() -> None:
    gate = threading.Event()
    with FakeCluster({"t": 2}) as cluster, producing(cluster.bootstrap) as producer:
        producer.deliver(records(1, kafka_partition=0))
        cluster.steps.append(Step(until=gate))
        delivery = producer.send([record(1, kafka_partition=0), record(2, kafka_partition=1, key=None, value=None)])
        node = producer.client._sender.cluster.nodes[0]
        producer.until(lambda: node.connection is not None and len(node.connection.pending) >= 1)
        producer.client.purge()
        producer.client.poll(0)
        gate.set()
        assert len(producer.client) == 0
        assert delivery.remaining == 0
        assert {message for _, message in producer.owner.failures} == {("t", None, 0, 0), ("t", b"k1", 2, 1)}
        assert {code for code, _ in producer.owner.failures} <= {KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT}


def test_a_close_does_not_wait_for_brokers() -> None:
    with producing(f"127.0.0.1:{refused_port()}") as producer:
        assert producer.client.send(records(3), 0, producer.expect(3)) == 0
        producer.until(lambda: KafkaError._ALL_BROKERS_DOWN in producer.owner.codes())
        with pytest.raises(KafkaException) as caught:
            producer.client.list_topics(timeout=0.05)
        assert caught.value.args[0].code() in (KafkaError._TIMED_OUT, KafkaError._TRANSPORT)


def test_a_list_of_brokers_comes() -> None:
    with FakeCluster({}) as cluster, producing(cluster.bootstrap) as producer:
        producer.client.list_topics(timeout=30)


def test_a_broker_that_is_too_old_is_told_of() -> None:
    old = {**NEWEST, PRODUCE: (0, 2)}
    with FakeCluster({}, versions=old) as cluster, producing(cluster.bootstrap) as producer:
        producer.until(lambda: bool(producer.owner.errors))
        assert "Produce we know versions 3 to 8, the broker versions 0 to 2" in producer.owner.errors[0].str()


def test_a_producer_id_is_asked_for_until_it_comes() -> None:
    codes = deque([KafkaError.COORDINATOR_LOAD_IN_PROGRESS, KafkaError.NOT_COORDINATOR])
    with FakeCluster({"t": 1}, init_codes=codes) as cluster, producing(cluster.bootstrap) as producer:
        producer.deliver(records(1))


def test_a_producer_id_that_is_refused_ends_the_producer() -> None:
    codes = deque([KafkaError.CLUSTER_AUTHORIZATION_FAILED])
    with FakeCluster({"t": 1}, init_codes=codes) as cluster, producing(cluster.bootstrap) as producer:
        producer.until(lambda: KafkaError.CLUSTER_AUTHORIZATION_FAILED in producer.owner.codes())
        with pytest.raises(KafkaException) as caught:
            producer.client.send(records(1), 0, producer.expect(1))
        assert caught.value.args[0].code() == KafkaError.CLUSTER_AUTHORIZATION_FAILED


def test_statistics_are_those_that_the_sink_reads() -> None:
    with FakeCluster({"t": 1}) as cluster:
        with producing(cluster.bootstrap, statistics_interval_ms="50") as producer:
            producer.deliver(records(10))
            producer.owner.statistics.clear()
            producer.until(lambda: bool(producer.owner.statistics))
        statistics = Statistics()
        statistics.take(producer.owner.statistics[-1])
        assert not statistics.lost
        assert statistics.numbers["cdc_kafka_connections"] == 1
        assert statistics.numbers["cdc_kafka_sent_bytes_total"] > 100
        assert statistics.numbers["cdc_kafka_round_trip_p99_seconds"] > 0
        assert set(json.loads(producer.owner.statistics[-1])["brokers"]) >= {f"{cluster.bootstrap}/0"}


def test_an_idle_connection_is_closed_and_made_again() -> None:
    with FakeCluster({"t": 1}) as cluster, producing(cluster.bootstrap, connections_max_idle_ms="50") as producer:
        producer.deliver(records(1))
        made = cluster.connections
        producer.until(lambda: cluster.connections > made)
        producer.deliver(records(1, 1))
        assert producer.owner.errors == []


def test_many_topics_are_asked_for_together() -> None:
    """Not one by one: each would wait for an answer."""
    topics = {f"t{number}": 1 for number in range(1200)}
    module = native.module("batch")
    out = module.OutBatch()
    for number, topic in enumerate(topics):
        out.append(record(number, topic=topic))
    with FakeCluster(topics) as cluster, producing(cluster.bootstrap) as producer:
        delivery, first = producer.expect(len(topics)), 0
        while first < len(topics):
            first = producer.client.send_batch(out, first, delivery)
            producer.client.poll(0.01)
        producer.until(delivery.acked)
        assert len(cluster.asked) < 20
        assert len(cluster.requests) < 600
