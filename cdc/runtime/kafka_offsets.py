"""The offset store in a Kafka topic, record by record as Kafka Connect's: either may take over from the other.

Key: `["<connector>",{<partition>}]`, value: `{<offset>}` or null, compact JSON; the topic is compacted, the last
record wins. Kafka Connect: KafkaOffsetBackingStore, OffsetUtils; KIP-875.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from typing import Any, Final

import structlog
from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType  # type: ignore[attr-defined]

from cdc.core.errors import ConfigError, OffsetStoreError
from cdc.core.position import Offset

from .offsets import json_text

log = structlog.stdlib.get_logger(__name__)

OPTION: Final = "offset.storage.topic"
_DENIED: Final = frozenset({
    KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED, KafkaError.UNSUPPORTED_VERSION,
})
_FINAL: Final = _DENIED | {
    KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED, KafkaError.INVALID_REPLICATION_FACTOR,
    KafkaError.INVALID_PARTITIONS, KafkaError.INVALID_CONFIG, KafkaError.POLICY_VIOLATION, KafkaError.TOPIC_EXCEPTION,
    KafkaError.MSG_SIZE_TOO_LARGE, KafkaError._INVALID_ARG,
}


def offset_key(connector: str, partition: Mapping[str, Any]) -> bytes:
    """Keys are compared as bytes, so the order within *partition* counts."""
    return json_text([connector, dict(partition)]).encode()


class KafkaOffsetStore:
    """Reads the topic to its end on `load`, from where the last read stopped, and keeps the last value of each key.

    Any thread may call.
    """

    def __init__(self, topic: str, settings: Mapping[str, str], *, partitions: int = 25, replication_factor: int = 3,
                 topic_config: Mapping[str, str] | None = None, timeout_s: float = 30.0) -> None:
        """*settings*, by librdkafka's names, are those that all clients share; *partitions*, *replication_factor* and
        *topic_config* are for a topic that is not there yet; *timeout_s* is for each call."""
        self._topic = topic
        self._settings = {"log_level": "0", **settings}  # Failures come back as results.
        self._partitions = partitions
        self._replication_factor = replication_factor
        self._topic_config = dict(topic_config or {})
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._closing = False
        self._producer: Producer | None = None
        self._values: dict[bytes, bytes] = {}
        self._next: dict[int, int] = {}

    def start(self) -> None:
        """Make the topic if missing, and read it; nothing if that is done. Raises OffsetStoreError, ConfigError."""
        with self._lock:
            if self._producer is not None:
                return
            self._closing = False
            self._prepare_topic()
            self._values.clear()
            self._next.clear()
            self._catch_up()
            self._producer = self._make_producer()

    def load(self, connector: str, partition: Mapping[str, Any]) -> dict[str, Any] | None:
        key = offset_key(connector, partition)
        with self._lock:
            assert self._producer is not None, "not started"
            self._catch_up()
            value = self._values.get(key)
        return None if value is None else self._object(value, connector)

    def commit(self, connector: str, partition: Mapping[str, Any], offset: Offset | None) -> None:
        key = offset_key(connector, partition)
        value = None if offset is None else json_text(dict(offset)).encode()
        with self._lock:
            assert self._producer is not None, "not started"
            self._produce(self._producer, key, value)

    def close(self) -> None:
        self._closing = True  # a commit that waits for brokers which are away ends now
        with self._lock:
            producer, self._producer = self._producer, None
            if producer is not None:
                producer.purge(blocking=False)
                producer.poll(0)

    def _make_producer(self) -> Producer:
        # librdkafka itself gives up in time, so that a commit has an answer and nothing is left in its queue.
        return Producer({
            **self._settings, "enable.idempotence": "true", "acks": "all", "partitioner": "murmur2_random",
            "linger.ms": "0", "message.timeout.ms": str(int(self._timeout_s * 1000)),
            "queue.buffering.max.kbytes": "4096",
        })

    def _produce(self, producer: Producer, key: bytes, value: bytes | None) -> None:
        answers: list[KafkaError | None] = []
        try:
            producer.produce(self._topic, value, key, -1, lambda error, _: answers.append(error))
        except (BufferError, KafkaException) as exc:
            self._replace_producer(exc)
            raise self._error("could not be written", exc) from exc
        deadline = time.monotonic() + self._timeout_s + 5
        while not answers and not self._closing and time.monotonic() < deadline:
            producer.poll(0.1)
        error = answers[0] if answers else KafkaError(KafkaError._TIMED_OUT)
        if error is not None:
            failure = KafkaException(error)
            self._replace_producer(failure)
            raise self._error("could not be written", failure)

    def _replace_producer(self, exc: Exception) -> None:
        """A fatal error makes every later call fail too, so the next commit gets a new producer."""
        if exc.args and isinstance(exc.args[0], KafkaError) and exc.args[0].fatal():
            self._producer = self._make_producer()

    def _prepare_topic(self) -> None:
        try:
            admin = AdminClient(dict(self._settings))
            topics = admin.list_topics(timeout=self._timeout_s).topics
            if self._topic in topics:
                self._check_policy(admin)
            else:
                self._create(admin)
        except KafkaException as exc:
            raise self._error("could not be opened", exc) from exc

    def _create(self, admin: AdminClient) -> None:
        new = NewTopic(self._topic, num_partitions=self._partitions, replication_factor=self._replication_factor,
                       config={**self._topic_config, "cleanup.policy": "compact"})
        timeouts = {"operation_timeout": self._timeout_s, "request_timeout": self._timeout_s}
        try:
            admin.create_topics([new], **timeouts)[self._topic].result(self._timeout_s)
        except KafkaException as exc:
            code = exc.args[0].code()
            if code not in _DENIED and code != KafkaError.TOPIC_ALREADY_EXISTS:
                raise
            if code in _DENIED:
                log.warning("offset_topic_not_created", topic=self._topic, reason=exc.args[0].str())
        else:
            log.info("offset_topic_created", topic=self._topic, partitions=self._partitions)

    def _check_policy(self, admin: AdminClient) -> None:
        """A topic that forgets by time would lose offsets. Unknown for want of rights is a warning, as in Connect."""
        resource = ConfigResource(ResourceType.TOPIC, self._topic)
        try:
            future = admin.describe_configs([resource], request_timeout=self._timeout_s)[resource]
            policy = future.result(self._timeout_s)["cleanup.policy"].value
        except KafkaException as exc:
            if exc.args[0].code() not in _DENIED:
                raise
            log.warning("offset_topic_not_checked", topic=self._topic, reason=exc.args[0].str())
            return
        if policy != "compact":
            raise ConfigError(f'{OPTION}: {self._topic} has cleanup.policy "{policy}" and would lose offsets.',
                              option=OPTION, hint='Set it to "compact", or name another topic.')

    def _catch_up(self) -> None:
        try:
            consumer = Consumer({
                **self._settings, "group.id": "unused", "enable.auto.commit": "false",
                "enable.auto.offset.store": "false", "auto.offset.reset": "earliest",
                "isolation.level": "read_committed", "enable.partition.eof": "true",
                "fetch.wait.max.ms": "50", "queued.max.messages.kbytes": "4096",
            })
        except KafkaException as exc:
            raise self._error("cannot be read", exc) from exc
        try:
            self._read(consumer, time.monotonic() + self._timeout_s)
        except KafkaException as exc:
            raise self._error("could not be read", exc) from exc
        finally:
            consumer.close()

    def _read(self, consumer: Consumer, deadline: float) -> None:
        """To the end of every partition: the last stable offset, which is what `_PARTITION_EOF` tells."""
        open_partitions = self._partition_numbers(consumer, deadline)
        starts = ((number, self._next.get(number, OFFSET_BEGINNING)) for number in open_partitions)
        consumer.assign([TopicPartition(self._topic, number, start) for number, start in starts])
        while open_partitions:
            if time.monotonic() > deadline:
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
            for message in consumer.consume(500, timeout=0.1):
                self._take(message, open_partitions)

    def _take(self, message: Message, open_partitions: set[int]) -> None:
        error, number = message.error(), message.partition()
        assert number is not None
        if error is not None:
            if error.code() != KafkaError._PARTITION_EOF:
                raise KafkaException(error)
            open_partitions.discard(number)
            return
        key, value, place = message.key(), message.value(), message.offset()
        assert place is not None
        self._next[number] = place + 1
        if key is None:
            return
        if value is None:
            self._values.pop(bytes(key), None)
        else:
            self._values[bytes(key)] = bytes(value)

    def _partition_numbers(self, consumer: Consumer, deadline: float) -> set[int]:
        """Of a topic that may just have been made."""
        while True:
            remaining = max(deadline - time.monotonic(), 0.1)
            topic = consumer.list_topics(self._topic, timeout=remaining).topics[self._topic]
            if topic.error is None and topic.partitions:
                return set(topic.partitions)
            if time.monotonic() > deadline:
                raise KafkaException(topic.error or KafkaError(KafkaError._TIMED_OUT))
            time.sleep(0.05)

    def _object(self, value: bytes, connector: str) -> dict[str, Any]:
        try:
            offset = json.loads(value)
        except ValueError:
            offset = None
        if not isinstance(offset, dict):
            raise OffsetStoreError("A stored offset is not a JSON object.", topic=self._topic, connector=connector)
        return offset

    def _error(self, what: str, exc: Exception) -> OffsetStoreError:
        error = exc.args[0] if exc.args else None
        final = isinstance(error, KafkaError) and error.code() in _FINAL
        text = error.str() if isinstance(error, KafkaError) else str(exc)
        return OffsetStoreError(
            f"The offset topic {what}: {text}.", retriable=not final, topic=self._topic,
            bootstrap_servers=self._settings.get("bootstrap.servers"),
            hint=f"Check {OPTION}, bootstrap.servers and the rights on the topic." if final else "",
        )
