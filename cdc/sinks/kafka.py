"""To Kafka through librdkafka: idempotent, acks=all, keys on the partitions where Java's clients put them.

librdkafka keeps what it took in a queue bounded in bytes and messages, and tries again for as long as it takes unless
`delivery.timeout.ms` says otherwise: brokers that are away become back-pressure, not errors. Everything, callbacks
too, runs in the thread that calls `send`, `poll` and `flush`; `interrupt` and `metrics` may come from any.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import structlog
from confluent_kafka import KafkaError, KafkaException, Producer

from cdc.core.errors import ConfigError, SinkConnectionError, SinkError, SinkRefusedError
from cdc.core.interfaces import Ack, Outgoing

from .kafka_errors import DENIED, PURGED, TOO_LARGE, sink_error
from .kafka_options import ClientSettings, client_settings
from .kafka_topics import TopicCreator, TopicGroup

log = structlog.stdlib.get_logger(__name__)

DEFAULTS: Final[Mapping[str, str]] = {
    "enable.idempotence": "true",
    "acks": "all",
    "max.in.flight.requests.per.connection": "5",
    "partitioner": "murmur2_random",
    "linger.ms": "5",
    "batch.size": "131072",  # A batch above a topic's max.message.bytes is refused whole, so well below any sane one.
    "message.max.bytes": "1048576",
    "message.timeout.ms": "0",
    "queue.buffering.max.kbytes": "32768",
    "queue.buffering.max.messages": "50000",  # Each costs some 200 bytes beside its own.
    "reconnect.backoff.max.ms": "1000",
    "socket.keepalive.enable": "true",
}
"""By librdkafka's names; where Java's client has a default for it, that one, but for idempotence as Kafka Connect."""

_SAME_LOG_S: Final = 60.0
_DENIED_GRACE_S: Final = 30.0
"""Credentials may be refused for a moment while brokers start; after this long without a delivery it is a failure."""


class KafkaSink:
    """One producer. `start` may follow `close`: a producer that failed for good is replaced by a new one."""

    def __init__(self, properties: Mapping[str, object], *, topic_groups: Sequence[TopicGroup] = (),
                 admin_properties: Mapping[str, object] | None = None, start_timeout_s: float = 10.0) -> None:
        """*properties* and *admin_properties* by the Java clients' names, or librdkafka's; see `kafka_options`.

        Raises ConfigError.
        """
        self._client = producer_settings(properties)
        admin = client_settings(properties if admin_properties is None else admin_properties, "admin").settings
        self._topic_groups = topic_groups
        self._admin_settings = admin
        self._start_timeout_s = start_timeout_s
        self._stopped = threading.Event()
        self._producer: Producer | None = None
        self._state = _BrokerState(self._client.settings.get("bootstrap.servers", ""))
        self._creator = TopicCreator((), {})
        self._tables: dict[str, set[str]] = {}
        self._message_count = self._size_bytes = self._failure_count = self._full_count = 0

    def start(self) -> None:
        """Raises SinkConnectionError when no broker answers in time, SinkRefusedError when one says no, ConfigError."""
        self._tell(self._client)
        self._state = _BrokerState(self._client.settings.get("bootstrap.servers", ""))
        self._creator = TopicCreator(self._topic_groups, self._admin_settings)
        self._tables = {}
        self._producer = self._make_producer()
        try:
            self._await_brokers(self._producer)
        except SinkError:
            self.close()
            raise

    def interrupt(self) -> None:
        """A wait in `start` ends now, with SinkConnectionError. From any thread; for good."""
        self._stopped.set()

    def send(self, batch: Sequence[Outgoing], first: int, ack: Ack) -> int:
        assert self._producer is not None, "not started"
        produce, report = self._producer.produce, ack.on_delivery
        ack.explain = self._explain
        index, size_bytes = first, 0
        last_topic = last_table = None
        try:
            for index in range(first, len(batch)):  # noqa: B007  needed after the loop
                topic, key, value, kafka_partition, headers, table = batch[index]
                if topic is not last_topic or table is not last_table:
                    if not self._opened(topic, table):
                        break
                    last_topic, last_table = topic, table
                if headers:
                    produce(topic, value, key, kafka_partition, report, None, 0, list(headers))
                else:
                    produce(topic, value, key, kafka_partition, report)
                if value is not None:
                    size_bytes += len(value)
            else:
                index = len(batch)
        except BufferError:
            self._full_count += 1
        except KafkaException as exc:
            ack.failed(self._failure(exc.args[0], batch[index]))
            index += 1
        except SinkError as exc:
            self._failure_count += 1
            ack.failed(exc)
            index += 1
        self._message_count += index - first
        self._size_bytes += size_bytes
        return index

    def poll(self, timeout: float) -> None:
        producer = self._producer
        assert producer is not None, "not started"
        served = producer.poll(timeout)
        self._state.served(served)
        if self._state.denied_for_s() > _DENIED_GRACE_S and len(producer):
            producer.purge(blocking=False)

    def flush(self, timeout: float) -> int:
        deadline = time.monotonic() + timeout
        while left := len(self._producer or ()):
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return left
            self.poll(min(remaining, 0.1))
        return 0

    def close(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            self._state.close()
            producer.purge(blocking=False)
            producer.poll(0)

    def metrics(self) -> Mapping[str, float]:
        producer = self._producer
        return {
            "cdc_sink_queued_messages": len(producer) if producer is not None else 0,
            "cdc_sink_messages_total": self._message_count,
            "cdc_sink_bytes_total": self._size_bytes,
            "cdc_sink_failures_total": self._failure_count,
            "cdc_sink_queue_full_total": self._full_count,
            "cdc_sink_unreachable": float(self._state.unreachable),
        }

    def _make_producer(self) -> Producer:
        settings: dict[str, Any] = {**self._client.settings, "error_cb": self._state.on_error, "logger": self._state}
        try:
            return Producer(settings)
        except KafkaException as exc:
            raise ConfigError(f"The Kafka producer's settings are not usable: {exc.args[0].str()}.") from exc

    def _await_brokers(self, producer: Producer) -> None:
        deadline = time.monotonic() + self._start_timeout_s
        reason, patience_s = "no answer", 0.25
        while not self._stopped.is_set():
            patience_s *= 2  # Short at first, to hear of an interrupt; but a large cluster needs time to answer.
            step_s = min(deadline - time.monotonic(), patience_s)
            if step_s <= 0:
                raise self._no_broker(reason)
            try:
                producer.list_topics(timeout=step_s)
                return
            except KafkaException as exc:
                producer.poll(0)
                reason = self._state.reason or exc.args[0].str()
                if exc.args[0].code() != KafkaError._TIMED_OUT:
                    self._stopped.wait(min(0.1, step_s))
        raise SinkConnectionError("Stopped while waiting for Kafka.")

    def _no_broker(self, reason: str) -> SinkError:
        servers = self._client.settings.get("bootstrap.servers")
        if self._state.denied is not None:
            return sink_error(self._state.denied, "Kafka refused the connection", bootstrap_servers=servers)
        return SinkConnectionError(
            f"No Kafka broker answered within {self._start_timeout_s:g} s: {reason}.",
            hint="Check that bootstrap.servers is right and reachable from here, that the brokers' "
                 "advertised.listeners are too, and that security.protocol is theirs.",
            bootstrap_servers=servers,
        )

    def _opened(self, topic: str, table: str) -> bool:
        """Whether *topic* can be sent to; remembers which tables go there. Raises SinkError."""
        tables = self._tables.get(topic)
        if tables is None:
            if not self._creator.ready(topic):
                return False
            tables = self._tables[topic] = set()
        tables.add(table)
        return True

    def _explain(self, error: KafkaError, message: Any) -> Exception:
        """A delivery report's failure. Kafka's message does not know its table, so those of its topic are named."""
        topic = message.topic()
        if error.code() in PURGED and self._state.denied is not None:
            error = self._state.denied
        tables = sorted(self._tables.get(topic, ()))
        named = ", ".join(tables[:3]) + (f" or {len(tables) - 3} more" if len(tables) > 3 else "")
        return self._failure(error, Outgoing(topic, message.key(), message.value(), -1, (), named))

    def _failure(self, error: KafkaError, outgoing: Outgoing) -> SinkError:
        self._failure_count += 1
        size_bytes = len(outgoing.key or b"") + len(outgoing.value or b"")
        if error.code() in TOO_LARGE:
            return self._too_large(error, outgoing, size_bytes)
        return sink_error(error, f"A record of {outgoing.table} was not delivered to topic {outgoing.topic}",
                          key_bytes=len(outgoing.key or b""), size_bytes=size_bytes)

    def _too_large(self, error: KafkaError, outgoing: Outgoing, size_bytes: int) -> SinkRefusedError:
        limit = int(self._client.settings["message.max.bytes"])
        ours = f"Set producer.override.max.request.size, and the topic's max.message.bytes, above {size_bytes + 1024}."
        theirs = "The topic's limit is below ours: raise its max.message.bytes."
        hint = ours if size_bytes > limit - 1024 else theirs
        return SinkRefusedError(
            f"A record of {outgoing.table} with key {key_text(outgoing.key)} is too large for topic {outgoing.topic}.",
            hint=hint, size_bytes=size_bytes, limit_bytes=limit, code=error.name(),
        )

    @staticmethod
    def _tell(client: ClientSettings) -> None:
        for note in client.notes:
            log.info("kafka_setting_noted", note=note)
        for warning in client.warnings:
            log.warning("kafka_setting_ignored", reason=warning)


def producer_settings(properties: Mapping[str, object]) -> ClientSettings:
    """The producer's settings, defaults included. Raises ConfigError."""
    given = client_settings(properties)
    if not (given.settings.get("bootstrap.servers") or given.settings.get("metadata.broker.list")):
        raise ConfigError("bootstrap.servers is missing.", option="bootstrap.servers",
                          hint="It lists Kafka brokers as host:port.")
    settings = {**DEFAULTS, **_renamed(given.settings)}
    if settings["enable.idempotence"].lower() in ("false", "f", "0"):  # as librdkafka reads it
        settings["enable.idempotence"] = "false"
    warnings = list(given.warnings)
    if settings["acks"] not in ("all", "-1") or settings["enable.idempotence"] == "false":
        if "enable.idempotence" not in given.settings:
            settings["enable.idempotence"] = "false"
        if "max.in.flight.requests.per.connection" not in given.settings:
            settings["max.in.flight.requests.per.connection"] = "1"  # As Kafka Connect: a retry must not overtake.
        if settings["acks"] not in ("all", "-1"):
            warnings.append(f"acks={settings['acks']}: Kafka may lose records it has confirmed.")
    elif _number(settings, "max.in.flight.requests.per.connection") > 5:
        settings["max.in.flight.requests.per.connection"] = "5"
        warnings.append("max.in.flight.requests.per.connection is 5, the most with enable.idempotence=true.")
    _make_room(settings, given.settings, warnings)
    return ClientSettings(settings, given.notes, tuple(warnings))


def _make_room(settings: dict[str, str], given: Mapping[str, str], warnings: list[str]) -> None:
    """One record of the largest size must fit into an empty queue, or it would be waited for without end."""
    needed = _number(settings, "message.max.bytes") // 1024 + 1024
    if _number(settings, "queue.buffering.max.kbytes") < needed:
        settings["queue.buffering.max.kbytes"] = str(needed)
        if "queue.buffering.max.kbytes" in given:
            warnings.append(f"buffer.memory is raised to {needed * 1024}, so that a record of max.request.size fits.")


def _number(settings: Mapping[str, str], name: str) -> int:
    try:
        return int(settings[name])
    except ValueError:
        raise ConfigError(f"{name} of the Kafka producer is no integer.", option=name) from None


_ALIASES: Final[Mapping[str, str]] = {
    "max.in.flight": "max.in.flight.requests.per.connection",
    "request.required.acks": "acks",
    "queue.buffering.max.ms": "linger.ms",
    "delivery.timeout.ms": "message.timeout.ms",
}


def _renamed(settings: Mapping[str, str]) -> dict[str, str]:
    """librdkafka's aliases by the name that DEFAULTS has, or both would be set."""
    return {_ALIASES.get(name, name): text for name, text in settings.items()}


def key_text(key: bytes | None) -> str:
    """A key for a message about one record: text when it is printable, else hexadecimal; at most 200 characters."""
    if key is None:
        return "null"
    try:
        text = key.decode()
    except UnicodeDecodeError:
        text = ""
    shown = text if text.isprintable() and text else f"0x{key.hex()}"
    return shown if len(shown) <= 200 else f"{shown[:199]}…"


class _BrokerState:
    """What the error callback told, boiled down to changes: librdkafka repeats itself with each retry."""

    def __init__(self, servers: str) -> None:
        self._servers = servers
        self._logged: dict[int, float] = {}
        self._told = self._lines = 0
        self._denied_since: float | None = None
        self._closed = False
        self.unreachable = False
        self.denied: KafkaError | None = None
        self.reason = ""

    def on_error(self, error: KafkaError) -> None:
        self._told += 1
        code = error.code()
        if code == KafkaError._ALL_BROKERS_DOWN:
            self.unreachable = True
        else:
            self.reason = error.str()
        if code in DENIED:
            self.denied = error
            if self._denied_since is None:
                self._denied_since = time.monotonic()
        if not self._closed:
            self._log(error)

    def served(self, count: int) -> None:
        """*count* events were served by a poll: errors, log lines and deliveries.

        Deliveries mean that brokers answer, but ones that came with an error are from before it.
        """
        told, self._told = self._told, 0
        lines, self._lines = self._lines, 0
        if told or count <= lines:
            return
        if self.unreachable:
            log.info("kafka_reachable", bootstrap_servers=self._servers)
            self._logged.clear()
        self.unreachable, self.denied, self._denied_since, self.reason = False, None, None, ""

    def log(self, level: int, form: str, *args: object) -> None:
        """A log line of librdkafka, at debug: what matters of them comes through the error callback too."""
        self._lines += 1
        log.debug("librdkafka", severity=level, line=form % args if args else form)

    def denied_for_s(self) -> float:
        return 0.0 if self._denied_since is None else time.monotonic() - self._denied_since

    def close(self) -> None:
        self._closed = True

    def _log(self, error: KafkaError) -> None:
        now = time.monotonic()
        last = self._logged.get(error.code())
        if last is not None and now - last < _SAME_LOG_S:
            return
        self._logged[error.code()] = now
        denied = error.code() in DENIED
        write = log.error if denied else log.warning
        write("kafka_refused" if denied else "kafka_error", code=error.name(), reason=error.str(),
              bootstrap_servers=self._servers)
