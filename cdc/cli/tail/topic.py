"""Events of a topic, from its brokers."""

from __future__ import annotations

import uuid
from collections.abc import Generator, Sequence
from typing import Any

import confluent_kafka
from confluent_kafka import OFFSET_BEGINNING, KafkaException, TopicPartition

from cdc.core.errors import ConfigError, SinkConnectionError
from cdc.kafka.statistics import EVERY_MS, Statistics

from .decode import Decoder, Registry
from .printer import Event, Seen

_TIMEOUT_SECONDS = 10.0


def topic_events(topic: str, brokers: str, registry: str | None, properties: Sequence[str], from_beginning: bool,
                 readable: bool) -> Generator[Seen]:
    """Yield every record of *topic* from now on, or *from_beginning*, without end.

    *properties* are librdkafka's, as `key=value`. Raises ConfigError, SinkConnectionError, RegistryError.
    """
    decoder = Decoder(Registry(registry) if registry else None, readable)
    reader = _Reader(brokers, properties)
    try:
        reader.open(topic, from_beginning)
    except KafkaException as exc:
        raise SinkConnectionError(f"Nothing can be read at {brokers}: {reader.heard.text or exc.args[0].str()}.",
                                  hint="Check --bootstrap-server, and -X if it wants TLS or a login.") from exc
    try:
        while True:
            message = reader.poll(0.5)
            if message is None:
                continue
            if message.error() is not None:
                raise SinkConnectionError(f"Reading {topic} failed: {message.error().str()}.")
            yield Event(topic, decoder.decode(message.key()), decoder.decode(message.value()))
    finally:
        reader.close()


class _LastError:
    """librdkafka's `error_cb`; keeps the last error, which says why no broker answers (refused, TLS, login)."""

    def __init__(self) -> None:
        self.text = ""

    def __call__(self, error: Any) -> None:
        if not self.text or error.name() != "_ALL_BROKERS_DOWN":
            self.text = error.str().partition(" (after ")[0]


class _Reader:
    """Reads all partitions of one topic. A client that has lost its brokers for good (`cdc.kafka.statistics`) is
    replaced by another one, which goes on where it was."""

    def __init__(self, brokers: str, properties: Sequence[str]) -> None:
        """Raises ConfigError."""
        self.heard = _LastError()
        self._statistics = Statistics()
        self._config = _consumer_config(brokers, properties)
        self._next: dict[int, int] = {}
        self._topic = ""
        self._consumer: Any = None

    def open(self, topic: str, from_beginning: bool) -> None:
        """Read *topic* from its present end, or *from_beginning*. Raises ConfigError, KafkaException."""
        self._topic = topic
        self._consumer = consumer = self._made()
        try:
            found = consumer.list_topics(topic, timeout=_TIMEOUT_SECONDS).topics[topic]
            if found.error is not None or not found.partitions:
                raise ConfigError(f"There is no topic {topic} at {self._config['bootstrap.servers']}.",
                                  option="--topic", hint="Topics are created with the first event:"
                                                         " <topic.prefix>.<schema>.<table>.")
            for number in found.partitions:
                self._next[number] = OFFSET_BEGINNING if from_beginning else self._end(number)
            self._assign()
        except BaseException:
            consumer.close()
            raise

    def _end(self, number: int) -> int:
        _, end = self._consumer.get_watermark_offsets(TopicPartition(self._topic, number), timeout=_TIMEOUT_SECONDS)
        return int(end)

    def poll(self, timeout: float) -> Any:
        """The next message or error, None without one."""
        message = self._consumer.poll(timeout)
        if message is not None and message.error() is None:
            self._next[message.partition()] = message.offset() + 1
        if self._statistics.lost:
            self._consumer.close()
            self._consumer = self._made()
            self._assign()
        return message

    def close(self) -> None:
        self._consumer.close()

    def _assign(self) -> None:
        self._consumer.assign([TopicPartition(self._topic, *place) for place in sorted(self._next.items())])

    def _made(self) -> Any:
        self._statistics.lost = False
        try:
            return confluent_kafka.Consumer(self._config | {"error_cb": self.heard, "stats_cb": self._statistics.take})
        except KafkaException as exc:
            raise ConfigError(f"librdkafka refused the consumer's settings: {exc.args[0].str()}.", option="-X",
                              hint="-X takes the properties of librdkafka.") from exc


def _consumer_config(brokers: str, properties: Sequence[str]) -> dict[str, Any]:
    config: dict[str, Any] = {
        "bootstrap.servers": brokers,
        "group.id": f"cdc-tail-{uuid.uuid4()}",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "earliest",
        "log_level": 0,
        "statistics.interval.ms": EVERY_MS,
    }
    for text in properties:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise ConfigError("-X needs key=value.", option="-X", hint="For example -X security.protocol=SASL_SSL.")
        config[key.strip()] = value
    return config
