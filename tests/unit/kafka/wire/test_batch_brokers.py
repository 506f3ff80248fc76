"""Our own producer against brokers that go, move, do not answer or talk nonsense, and topics that come and go."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from cdc import native
from cdc.kafka.statistics import Statistics
from tests.servers.certificates import write_certificate
from tests.unit.kafka.wire.fake_cluster import (
    NEWEST,
    PRODUCE,
    UNKNOWN_TOPIC,
    FakeCluster,
    Step,
)
from tests.unit.kafka.wire.producer import Producer, needs_recordsets, numbers, producing, record, records

pytestmark = needs_recordsets


def refused_port() -> int:
    """Of a listener that takes no connection: nobody else gets it meanwhile."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port: int = held.getsockname()[1]
        return port


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


@pytest.mark.parametrize(("says", "code"), [(b"", KafkaError._TRANSPORT), (b"\0\0\0\4 no TLS", KafkaError._SSL)],
                         ids=["goes", "speaks no TLS"])
def test_who_goes_away_during_a_handshake_has_refused_nothing(says: bytes, code: int) -> None:
    """A refusal ends the connector after a while; what stands before brokers that start is to be waited for."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def meet() -> None:
            with suppress(OSError):
                while True:
                    met, _ = listening.accept()
                    with met:
                        met.recv(4096)
                        met.sendall(says)

        threading.Thread(target=meet, daemon=True).start()
        with producing(f"127.0.0.1:{listening.getsockname()[1]}", security_protocol="SSL") as producer:
            producer.until(lambda: KafkaError._ALL_BROKERS_DOWN in producer.owner.codes())
            assert producer.owner.codes() == {code, KafkaError._ALL_BROKERS_DOWN}
        listening.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_a_broker_that_wants_a_certificate_says_so(version: str, tmp_path: Path) -> None:
    """With TLS 1.3 our handshake is over before it can."""
    write_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    context.load_cert_chain(tmp_path / "server.pem")
    context.load_verify_locations(tmp_path / "cert.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def meet() -> None:
            while True:
                try:
                    met, _ = listening.accept()
                except OSError:
                    return
                with met, suppress(OSError):
                    context.wrap_socket(met, server_side=True).close()

        threading.Thread(target=meet, daemon=True).start()
        properties = {"security_protocol": "SSL", "ssl_truststore_type": "PEM",
                      "ssl_truststore_location": str(tmp_path / "cert.pem")}
        with producing(f"localhost:{listening.getsockname()[1]}", **properties) as producer:
            producer.until(lambda: KafkaError._ALL_BROKERS_DOWN in producer.owner.codes())
            told = [each for each in producer.owner.errors if each.code() == KafkaError._SSL]
            assert "ssl.keystore.location" in told[0].str()
        listening.shutdown(socket.SHUT_RDWR)


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


@pytest.mark.parametrize("first", [True, False], ids=["before", "behind"])
def test_a_server_that_takes_connections_and_does_not_answer_holds_up_no_other(first: bool) -> None:
    with FakeCluster({"t": 1}) as cluster, socket.create_server(("127.0.0.1", 0)) as silent:
        servers = [f"127.0.0.1:{silent.getsockname()[1]}", cluster.bootstrap]
        with producing(",".join(servers if first else servers[::-1])) as producer:
            producer.client.list_topics(timeout=10)
            producer.deliver(records(1))


def test_a_broker_that_names_no_broker_is_not_asked_again_and_again() -> None:
    with FakeCluster({"t": 1}) as cluster:
        cluster.name_brokers = False
        with producing(cluster.bootstrap, retry_backoff_ms="20", statistics_interval_ms="20") as producer:
            producer.until(lambda: len(producer.owner.statistics) > 20)
            assert len(cluster.asked) < 2 * len(producer.owner.statistics)
            cluster.name_brokers = True
            producer.deliver(records(1))


def test_a_topic_that_somebody_deletes_is_not_asked_for_until_there_are_records_for_it() -> None:
    """With such a request a broker makes it again."""
    properties = {"metadata_max_age_ms": "20"}
    with FakeCluster({"t": 1, "other": 1}) as cluster, producing(cluster.bootstrap, **properties) as producer:
        producer.deliver([record(0), record(0, topic="other")])
        cluster.make_again("t", 0)
        cluster.to_make.clear()
        asked = len(cluster.asked)
        producer.until(lambda: len(cluster.asked) > asked + 5)
        assert "t" not in cluster.to_make
        delivery = producer.send(records(1, 1))
        producer.until(lambda: "t" in cluster.to_make)
        cluster.make_again("t", 1)
        producer.until(delivery.acked)


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


def test_ten_thousand_partitions_are_learned_and_used() -> None:
    topics = {f"t{number}": 1000 for number in range(10)}
    batch = [record(number, topic=f"t{number // 1000}", kafka_partition=number % 1000) for number in range(10_000)]
    with FakeCluster(topics, brokers=3) as cluster, producing(cluster.bootstrap) as producer:
        producer.deliver(batch)
        assert {place: cluster.values(*place) for place in cluster.logs} == {
            (each.topic, each.kafka_partition): [each.value] for each in batch}
        assert len(cluster.requests) < 1000, "a request has many partitions"


def test_a_name_is_looked_up_and_all_its_addresses_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    there = socket.getaddrinfo
    dead = refused_port()

    def look_up(host: str, port: int, **more: int) -> list[tuple[object, ...]]:
        if host != "broker.example":
            return list(there(host, port, **more))
        if more.get("flags"):
            raise socket.gaierror(socket.EAI_NONAME, "not a number")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", each)) for each in (dead, port)]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with (FakeCluster({"t": 1}) as cluster,
          producing(cluster.bootstrap.replace("127.0.0.1", "broker.example")) as producer):
        producer.deliver(records(1))
        assert producer.owner.errors == []


def test_a_name_that_is_not_known_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    def look_up(*_: object, **__: object) -> list[object]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with producing("broker.example:9092") as producer:
        producer.until(lambda: KafkaError._ALL_BROKERS_DOWN in producer.owner.codes())
        assert producer.owner.errors[0].code() == KafkaError._RESOLVE
        assert "broker.example" in producer.owner.errors[0].str()


def turns_of(producer: Producer) -> list[int]:
    """Grows by one with each turn of the sender's thread."""
    turns: list[int] = []
    sender: Any = producer.client._sender
    turn = sender._turn

    def counted() -> None:
        turns.append(1)
        turn()

    sender._turn = counted
    sender.wake()
    return turns


def test_the_thread_sleeps_while_brokers_are_away() -> None:
    """With records that wait, topics to be asked for, and brokers to be tried."""
    with FakeCluster({"t": 1}) as cluster, producing(cluster.bootstrap) as producer:
        producer.deliver(records(1))
        cluster.listeners[0].stop()
        delivery = producer.send(records(50, 1))
        turns, before = turns_of(producer), len(producer.owner.errors)
        producer.until(lambda: len(producer.owner.errors) > before + 20)
        assert len(turns) < 200, "a few for each attempt"
        cluster.listeners[0].start()
        producer.until(delivery.acked)


def test_the_thread_sleeps_while_an_answer_is_late() -> None:
    gate = threading.Event()
    with FakeCluster({"t": 1}) as cluster, producing(cluster.bootstrap, statistics_interval_ms="20") as producer:
        producer.deliver(records(1))
        cluster.steps.append(Step(until=gate))
        delivery = producer.send(records(50, 1))
        turns, before = turns_of(producer), len(producer.owner.statistics)
        producer.until(lambda: len(producer.owner.statistics) > before + 20)
        assert len(turns) < 200, "a few for each of the statistics"
        gate.set()
        producer.until(delivery.acked)
