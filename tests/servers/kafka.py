"""Apache Kafka: one KRaft node from Maven Central, and what a test needs to look into it."""

from __future__ import annotations

import base64
import re
import shutil
import socket
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from tests.servers import fetch, java
from tests.servers.process import free_port, remove_folder, temp_folder, wait_until
from tests.servers.server import Server

_POM = Path(__file__).with_name("kafka.pom.xml")
MINIMUM_JAVA = 17

_NO_LEADER = (KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE)

_SETTINGS: Mapping[str, str | int] = {
    "process.roles": "broker,controller",
    "node.id": 1,
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "inter.broker.listener.name": "PLAINTEXT",
    "auto.create.topics.enable": "true",
    "num.partitions": 1,
    "offsets.topic.replication.factor": 1,
    "offsets.topic.num.partitions": 4,
    "transaction.state.log.replication.factor": 1,
    "transaction.state.log.min.isr": 1,
    "transaction.state.log.num.partitions": 4,
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": 1000,
    "share.coordinator.state.topic.replication.factor": 1,
    "share.coordinator.state.topic.min.isr": 1,
    "group.initial.rebalance.delay.ms": 0,
    "log.retention.ms": -1,
    # After a crash the controller takes the broker back only when its old session has ended: 9 s by default.
    "broker.session.timeout.ms": 3000,
    "broker.heartbeat.interval.ms": 500,
    # The cleaner takes its table from the heap at each start: 128 MiB by default. A broker that is started again
    # beside the partitions of a whole test session then runs out of memory.
    "log.cleaner.dedupe.buffer.size": 16 << 20,
}


def version() -> str:
    found = re.search(r"<server\.version>(.+?)</server\.version>", _POM.read_text())
    assert found, f"{_POM} has no server.version"
    return found[1]


class KafkaServer(Server):
    """One broker.

    `bootstrap` is the broker itself. `proxied_bootstrap` is a second listener whose advertised port is free for a
    Proxy from `proxied_port` to `proxied_target_port`: clients that start there never bypass the proxy.
    """

    title = "Kafka"

    def __init__(self, *, heap: str = "256m", quick_start: bool = True, settings: Mapping[str, str | int] = {}) -> None:
        """*quick_start* limits the JIT to its first tier: False, with a heap of 1g, for benchmarks."""
        super().__init__()
        self.proxied_port, self.proxied_target_port, self._controller_port = free_port(), free_port(), free_port()
        self._settings = settings
        self._jvm = [f"-Xmx{heap}", "-XX:+UseSerialGC", *(java.QUICK_START if quick_start else ())]

    @property
    def bootstrap(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def proxied_bootstrap(self) -> str:
        return f"{self.host}:{self.proxied_port}"

    def _prepare(self, folder: Path) -> list[str]:
        runtime = str(java.fetch_java(MINIMUM_JAVA))
        name = f"kafka-{version()}"
        libraries = fetch.maven_libraries(_POM, name, "44 MB")
        command = [runtime, *self._jvm, "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", f"{libraries}/*"]
        config = folder / "server.properties"
        config.write_text(self._properties(folder / "data"))
        # Formatting takes a second and gives the same few files each time, so it is done once.
        formatted = fetch.cached(f"{name}-formatted", lambda data: _format(command, self._properties(data)))
        shutil.copytree(formatted, folder / "data")
        return [*command, "kafka.Kafka", str(config)]

    def _answers(self) -> bool:
        try:
            socket.create_connection((self.host, self.port), 1).close()
            admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
            return bool(admin.list_topics(timeout=2).brokers)
        except (OSError, KafkaException):
            return False

    def _properties(self, data: Path) -> str:
        ports = {"PLAINTEXT": self.port, "PROXIED": self.proxied_target_port, "CONTROLLER": self._controller_port}
        settings: dict[str, str | int] = {
            **_SETTINGS,
            "log.dirs": str(data),
            "controller.quorum.voters": f"1@{self.host}:{self._controller_port}",
            "listeners": ",".join(f"{name}://{self.host}:{port}" for name, port in ports.items()),
            "advertised.listeners": f"PLAINTEXT://{self.bootstrap},PROXIED://{self.proxied_bootstrap}",
            **self._settings,
        }
        return "".join(f"{name}={value}\n" for name, value in settings.items())


def _format(command: list[str], properties: str) -> None:
    folder = temp_folder("kafka-format")
    try:
        config = folder / "server.properties"
        config.write_text(properties)
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        fetch.run(*command, "kafka.tools.StorageTool", "format", f"--cluster-id={cluster_id}", "-c", config)
    finally:
        remove_folder(folder)


@dataclass(frozen=True, slots=True)
class KafkaMessage:
    """One message of a topic, bytes as they are there."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, str | bytes | None]]
    kafka_partition: int
    kafka_offset: int
    timestamp_ms: int


def create_topic(
    bootstrap: str, topic: str, partition_count: int = 1, config: Mapping[str, str] = {}, timeout_s: float = 30
) -> None:
    """Returns once the topic's partitions have leaders."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    new = NewTopic(topic, num_partitions=partition_count, replication_factor=1, config=dict(config))
    admin.create_topics([new])[topic].result(timeout_s)
    wait_until(lambda: len(_partitions(admin, topic)) == partition_count, timeout_s, f"the leaders of {topic}")


def topic_names(bootstrap: str) -> set[str]:
    """Without Kafka's internal topics."""
    topics = AdminClient({"bootstrap.servers": bootstrap}).list_topics(timeout=10).topics
    return {name for name in topics if not name.startswith("__")}


def consume_all(
    bootstrap: str, topic: str, *, timeout_s: float = 30, config: Mapping[str, Any] = {}
) -> list[KafkaMessage]:
    """Every message below the high watermarks of now, by partition and offset; none if there is no such topic."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": f"consume-all-{uuid.uuid4()}",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
            "isolation.level": "read_committed",
            "fetch.wait.max.ms": 50,
            **config,
        }
    )
    try:
        places = [TopicPartition(topic, number) for number in _partitions(consumer, topic)]
        found = {place.partition: watermarks(consumer, place, timeout_s) for place in places}
        ends = {number: high for number, (low, high) in found.items() if low < high}
        consumer.assign([TopicPartition(topic, number, found[number][0]) for number in ends])
        messages = _consume_up_to(consumer, ends, timeout_s)
    finally:
        consumer.close()
    return sorted(messages, key=lambda message: (message.kafka_partition, message.kafka_offset))


def wait_for_messages(bootstrap: str, topic: str, count: int, timeout_s: float = 30) -> list[KafkaMessage]:
    """As consume_all, once the topic has at least *count* messages; raises TimeoutError if it does not get them."""
    messages: list[KafkaMessage] = []

    def enough() -> bool:
        messages[:] = consume_all(bootstrap, topic, timeout_s=timeout_s)
        return len(messages) >= count

    try:
        wait_until(enough, timeout_s, f"{count} messages in {topic}")
    except TimeoutError as exc:
        raise TimeoutError(f"{exc}, which has {len(messages)}") from None
    return messages


def watermarks(consumer: Consumer, place: TopicPartition, timeout_s: float = 30) -> tuple[int, int]:
    """The first offset of a partition, and the one after its last. After the broker has started, it may answer for some
    seconds that it does not lead the partition."""
    found: list[tuple[int, int]] = []

    def answered() -> bool:
        try:
            found[:] = [consumer.get_watermark_offsets(place, timeout=timeout_s)]
        except KafkaException as exc:
            if exc.args[0].code() not in _NO_LEADER:
                raise
        return bool(found)

    wait_until(answered, timeout_s, f"a leader of {place.topic}")
    return found[0]


def _consume_up_to(consumer: Consumer, ends: Mapping[int, int], timeout_s: float) -> list[KafkaMessage]:
    found: list[KafkaMessage] = []
    unfinished = set(ends)
    deadline = time.monotonic() + timeout_s
    while unfinished:
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout_s:g} s for partitions {sorted(unfinished)}")
        for message in consumer.consume(1000, timeout=0.05):
            error, number, offset = message.error(), message.partition(), message.offset()
            assert number is not None
            assert offset is not None
            if error is not None and error.code() != KafkaError._PARTITION_EOF:
                raise KafkaException(error)
            if error is None and offset < ends[number]:
                found.append(_plain(message, number, offset))
            if offset + 1 >= ends[number]:
                unfinished.discard(number)
    return found


def _plain(message: Message, number: int, offset: int) -> KafkaMessage:
    topic = message.topic()
    assert topic is not None
    headers = message.headers() or []
    assert isinstance(headers, list)  # a dict is for producing only
    return KafkaMessage(topic, message.key(), message.value(), headers, number, offset, message.timestamp()[1])


def _partitions(client: AdminClient | Consumer, topic: str) -> list[int]:
    """The partitions that have a leader; none if there is no such topic."""
    metadata = client.list_topics(topic, timeout=10).topics[topic]
    if metadata.error is not None:
        return []
    return [number for number, partition in metadata.partitions.items() if partition.leader >= 0]
