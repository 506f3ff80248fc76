"""The clients of the Kafka sink, without the sink: what arrives, what fails, and what is left behind."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from cdc import native
from cdc.core.errors import ConfigError
from cdc.core.interfaces import Outgoing
from cdc.kafka.client import Client, Kind, Undelivered, choose, open_client, unavailable
from cdc.kafka.producer import producer_settings
from cdc.runtime.inflight import Delivery, Inflight
from tests.integration.kafka_clients import CLIENTS, LIBRDKAFKA
from tests.servers.kafka import KafkaServer, consume_all, create_topic

NOWHERE = "127.0.0.1:1"
Make = Callable[..., Client]


class Recorder:
    """An Owner that notes what it is told; `closed` are topics that cannot be sent to yet."""

    def __init__(self) -> None:
        self.closed: set[str] = set()
        self.asked: list[tuple[str, str]] = []
        self.errors: list[int] = []
        self.lines: list[str] = []
        self.statistics: list[str] = []
        self.failures: list[tuple[int, Undelivered]] = []

    def opened(self, topic: str, table: str) -> bool:
        self.asked.append((topic, table))
        return topic not in self.closed

    def undelivered(self, error: KafkaError, message: Undelivered) -> Exception:
        self.failures.append((error.code(), message))
        return KafkaException(error)

    def on_error(self, error: KafkaError) -> None:
        self.errors.append(error.code())

    def on_log(self, level: int, text: str) -> None:
        self.lines.append(text)

    def on_statistics(self, text: str) -> None:
        self.statistics.append(text)


@pytest.fixture
def owner() -> Recorder:
    return Recorder()


@pytest.fixture(params=CLIENTS)
def make(request: pytest.FixtureRequest, owner: Recorder) -> Iterator[Make]:
    kind: Kind = request.param
    made: list[Client] = []

    def make(bootstrap: str, properties: Mapping[str, str] = {}) -> Client:  # noqa: B006  never changed
        settings = producer_settings({"bootstrap.servers": bootstrap, **properties}).settings
        made.append(open_client(kind, settings, owner))
        return made[-1]

    yield make
    for client in made:
        client.purge()
        client.poll(0)
        client.close()


def expecting(count: int) -> Delivery:
    return Inflight().add(None, count)  # type: ignore[arg-type]


def until(client: Client, done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not done():
        assert time.monotonic() < deadline
        client.poll(0.05)


def give(client: Client, batch: Any, delivery: Delivery, first: int = 0, last: int | None = None) -> None:
    """All of *batch*, a list or an arena, up to *last*. Our own client takes nothing of a topic before a broker has
    told its partitions."""
    send = client.send if isinstance(batch, list) else client.send_batch
    taken, end = first, len(batch) if last is None else last

    def all_taken() -> bool:
        nonlocal taken
        taken = send(batch, taken, delivery)
        return taken == end

    until(client, all_taken)


librdkafka = pytest.mark.parametrize("make", LIBRDKAFKA, indirect=True)
"""For tests without a broker: our own client then takes nothing. tests/unit/kafka/wire has its own ones."""


def outgoing(topic: str, number: int, **more: Any) -> Outgoing:
    return Outgoing(topic, b"k%d" % number, b"%d" % number, -1, (), "public.t")._replace(**more)


def in_arena(batch: list[Outgoing]) -> Any:
    module = native.module("batch")
    if module is None:
        pytest.skip("no native modules were built")
    out = module.OutBatch()
    for each in batch:
        out.append(each)
    return out


SETS: list[list[tuple[str, bytes | None]]] = [[], [("a", b"1"), ("a", b""), ("n", None)], [("b", b"\xff" * 300)]]


@pytest.mark.parametrize("arena", [False, True], ids=["list", "arena"])
def test_each_message_arrives_with_its_own_headers_and_partition(
        kafka: KafkaServer, topic_prefix: str, make: Make, arena: bool) -> None:
    """Also after deliveries: in the native client all messages of a topic share one list of headers."""
    create_topic(kafka.bootstrap, topic_prefix, 2)
    batch = [outgoing(topic_prefix, number, headers=SETS[number % 3], kafka_partition=number % 2)
             for number in range(90)]
    batch[10] = batch[10]._replace(key=None)
    batch[11] = batch[11]._replace(value=None)
    batch[12] = batch[12]._replace(key=b"", value=b"", timestamp_ms=1_700_000_000_000)
    client = make(kafka.bootstrap)
    out: Any = in_arena(batch) if arena else batch
    for _ in range(3):
        delivery = expecting(len(batch))
        give(client, out, delivery)
        until(client, delivery.acked)
    found = [(each.key, each.value, each.kafka_partition, list(each.headers))
             for each in consume_all(kafka.bootstrap, topic_prefix)]
    wanted = [(each.key, each.value, each.kafka_partition, list(each.headers)) for each in batch * 3]
    assert sorted(found, key=repr) == sorted(wanted, key=repr)
    assert 1_700_000_000_000 in {each.timestamp_ms for each in consume_all(kafka.bootstrap, topic_prefix)}
    assert client.size_bytes == sum(len(each.value or b"") for each in batch) * 3


def test_headers_that_differ_in_each_message_arrive(kafka: KafkaServer, topic_prefix: str, make: Make) -> None:
    """More sets of headers than the native client keeps."""
    batch = [outgoing(topic_prefix, number, headers=[("id", b"%d" % number)]) for number in range(200)]
    client = make(kafka.bootstrap)
    for _ in range(2):
        delivery = expecting(len(batch))
        give(client, batch, delivery)
        until(client, delivery.acked)
    found = consume_all(kafka.bootstrap, topic_prefix)
    assert len(found) == 400
    assert all(list(each.headers) == [("id", each.value)] for each in found)


def test_an_arena_of_empty_messages(kafka: KafkaServer, topic_prefix: str, make: Make) -> None:
    """It has no bytes at all, but empty is not null."""
    client, delivery = make(kafka.bootstrap), expecting(1)
    give(client, in_arena([outgoing(topic_prefix, 0, key=b"", value=b"")]), delivery)
    until(client, delivery.acked)
    (found,) = consume_all(kafka.bootstrap, topic_prefix)
    assert (found.key, found.value) == (b"", b"")


@pytest.mark.parametrize("arena", [False, True], ids=["list", "arena"])
def test_a_topic_that_is_not_open_holds_back_what_follows(
        kafka: KafkaServer, topic_prefix: str, make: Make, owner: Recorder, arena: bool) -> None:
    other = f"{topic_prefix}.other"
    batch = [outgoing(topic_prefix, 0), outgoing(other, 1), outgoing(topic_prefix, 2)]
    client = make(kafka.bootstrap)
    out: Any = in_arena(batch) if arena else batch
    send = client.send_batch if arena else client.send
    owner.closed = {other}
    delivery = expecting(3)
    give(client, out, delivery, last=1)
    assert send(out, 1, delivery) == 1
    owner.closed = set()
    give(client, out, delivery, 1)
    until(client, delivery.acked)
    assert set(owner.asked) == {(topic_prefix, "public.t"), (other, "public.t")}


@librdkafka
def test_a_refused_message_is_named_by_its_index(make: Make) -> None:
    client = make(NOWHERE)
    batch = [outgoing("t", 0), outgoing("t", 1, value=b"x" * 2_000_000), outgoing("t", 2)]
    with pytest.raises(KafkaException) as caught:
        client.send(batch, 0, expecting(3))
    assert client.stopped == 1
    assert caught.value.args[0].code() == KafkaError.MSG_SIZE_TOO_LARGE
    out = in_arena(batch)
    for first in (0, 1):  # a queue that was full leaves the rest for another call
        with pytest.raises(KafkaException):
            client.send_batch(out, first, expecting(3 - first))
        assert client.stopped == 1


@librdkafka
def test_what_is_given_up_fails_message_by_message(make: Make, owner: Recorder) -> None:
    client = make(NOWHERE)
    long_key = b"k" * 5000
    batch = [outgoing("t", 0, headers=SETS[1]), outgoing("t", 1, key=long_key, value=None),
             outgoing("t", 2, key=None)]
    first, second = expecting(3), expecting(1)
    assert client.send(batch, 0, first) == 3
    assert client.send([outgoing("t", 3)], 0, second) == 1
    client.purge()
    until(client, lambda: first.remaining == second.remaining == 0)
    until(client, lambda: len(client) == 0)  # it counts what librdkafka still tells, too: that no broker answers
    assert first.error is not None
    assert second.error is not None
    assert {code for code, _ in owner.failures} == {KafkaError._PURGE_QUEUE}
    told = {message.value_bytes: message for _, message in owner.failures if message.key_bytes != 2}
    assert len(owner.failures) == 4
    assert told[0].key_bytes == 5000
    assert long_key.startswith(told[0].key or b"no")
    assert told[1] == Undelivered("t", None, 0, 1)


@librdkafka
def test_a_full_queue_takes_no_more_until_there_is_room(make: Make) -> None:
    client = make(NOWHERE, {"queue.buffering.max.messages": "10"})
    delivery = expecting(20)
    batch = [outgoing("t", number, headers=SETS[1]) for number in range(20)]
    assert client.send(batch, 0, delivery) == 10
    assert client.send(batch, 10, delivery) == 10
    assert client.full_count == 2
    client.purge()
    until(client, lambda: delivery.remaining == 10)
    assert client.send(batch, 10, delivery) == 20


class Referred(Delivery):
    """The compiled class cannot be referred to weakly."""


def test_a_close_lets_go_of_what_waits(owner: Recorder) -> None:
    if unavailable():
        pytest.skip(unavailable())
    client = open_client("native", producer_settings({"bootstrap.servers": NOWHERE}).settings, owner)
    delivery = Referred(Inflight(), None, 1, 0)  # type: ignore[arg-type]
    gone = weakref.ref(delivery)
    client.send([outgoing("t", 0)], 0, delivery)
    client.close()
    del delivery
    assert gone() is None
    client.poll(0)
    assert owner.failures == []


@pytest.mark.parametrize("answers", [False, True], ids=["waiting", "in flight"])
def test_an_end_with_messages_that_share_headers(kafka: KafkaServer, topic_prefix: str, owner: Recorder,
                                                 answers: bool) -> None:
    """librdkafka frees headers with their message: a process that freed them twice would not come to the next test."""
    if unavailable():
        pytest.skip(unavailable())
    settings = {"bootstrap.servers": kafka.bootstrap if answers else NOWHERE, "linger.ms": "0"}
    client = open_client("native", producer_settings(settings).settings, owner)
    batch = [outgoing(topic_prefix, number, headers=SETS[1 + number % 2]) for number in range(5000)]
    if answers:
        first = expecting(1)
        client.send(batch[:1], 0, first)
        until(client, first.acked)
    assert client.send(batch, 0, expecting(len(batch))) == len(batch)
    client.close()
    del client


def test_headers_take_no_room_in_each_message(owner: Recorder) -> None:
    if unavailable():
        pytest.skip(unavailable())
    client = open_client("native", producer_settings({"bootstrap.servers": NOWHERE}).settings, owner)
    headers = [(f"__debezium.context.{name}", b"x" * 100) for name in "abcd"]
    batch = [outgoing("t", number, headers=headers, value=b"v" * 100) for number in range(15_000)]
    client.send(batch[:100], 0, expecting(100))
    before = resident_bytes()
    assert client.send(batch, 100, expecting(len(batch) - 100)) == len(batch)
    assert resident_bytes() - before < 500 * len(batch), "with a list for each message it would be 1,000"
    client.purge()
    client.poll(0)
    client.close()


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def test_librdkafkas_plugins_see_the_messages_of_confluent_kafka_only() -> None:
    """They may change headers."""
    settings = producer_settings({"bootstrap.servers": NOWHERE, "plugin.library.paths": "some.so"}).settings
    assert choose("auto", settings) == "python"
    with pytest.raises(ConfigError, match=r"plugin\.library\.paths"):
        choose("native", settings)


def test_a_poll_counts_what_it_tells(make: Make, owner: Recorder) -> None:
    """More would pass for deliveries, which show that brokers answer."""
    client = make(NOWHERE, {"statistics.interval.ms": "20"})
    deadline = time.monotonic() + 60
    while len(client) < 16:  # the first few are of brokers, the others statistics
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert client.poll(0) == len(owner.errors) + len(owner.lines) + len(owner.statistics)


@librdkafka
def test_brokers_that_are_away_are_told_of_and_lines_and_statistics_come(make: Make, owner: Recorder) -> None:
    client = make(NOWHERE, {"statistics.interval.ms": "100", "debug": "broker"})
    until(client, lambda: bool(owner.errors and owner.lines and owner.statistics))
    assert {KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN} & set(owner.errors)
    assert owner.statistics[0].startswith("{")


def test_a_setting_that_is_refused_is_named(make: Make) -> None:
    with pytest.raises(KafkaException, match=r"queue\.buffering\.max\.ms|linger\.ms"):
        make(NOWHERE, {"linger.ms": "soon"})
