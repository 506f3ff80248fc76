"""The Kafka sink: idempotent, acks=all, each key on the partition where Java's clients put it.

Its client (`cdc/kafka/client.py` says which) has a queue bounded in bytes and messages, and retries without limit
unless `delivery.timeout.ms` sets one: while brokers are away the queue fills and the task waits; nothing fails.
All code, callbacks included, runs in the thread that calls `send`, `poll` and `flush`; only `interrupt` and `metrics`
may be called from other threads.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence, Sized
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException

from cdc.core.errors import ConfigError, SinkConnectionError, SinkError, SinkFencedError, SinkRefusedError
from cdc.core.interfaces import Ack, Outgoing, SinkSettings
from cdc.kafka.brokers import BrokerState
from cdc.kafka.client import Client, Undelivered, choose, open_client
from cdc.kafka.errors import FENCED, PURGED, TOO_LARGE, error_of, sink_error
from cdc.kafka.linger import FEW, Linger, client_ms
from cdc.kafka.producer import producer_settings, transactional
from cdc.kafka.settings import ClientSettings, client_settings
from cdc.kafka.statistics import EVERY_MS, Statistics
from cdc.kafka.topics import TopicCreator, TopicGroup, only_topic, topic_groups
from cdc.log import get_logger

from .kafka_options import OPTIONS, ClientKind, Fencing, KafkaSinkConfig
from .transactions import Transactions

log = get_logger(__name__)

_NO_FENCING: Final = (
    "Records that a paused process still sends after another one took over may arrive late. Grant the producer's "
    "principal WRITE and DESCRIBE on the transactional id, or set sink.kafka.fencing=off.")
_FENCED_HINT: Final = (
    "If it happens again, a second process runs a connector of this name and topic.prefix with other offsets: end one "
    "of them.")
_LOST: Final = "The Kafka client has lost its brokers and does not look for them any more."
_Give = Callable[[Client, Ack], int]
_PUSH_S: Final = 0.001
"""So long a flush lasts that has librdkafka's thread send."""
_DENIED_GRACE_S: Final = 30.0
"""Brokers that start may refuse good credentials for a moment. After this long without a delivery we fail."""


def build(settings: SinkSettings) -> KafkaSink:
    """The sink for `sink.type=kafka`. Raises ConfigError."""
    if not settings.producer.get("bootstrap.servers"):
        raise ConfigError("bootstrap.servers is not set.", option="bootstrap.servers",
                          hint="Name the Kafka brokers as host:port, or choose sink.type=stdout or file.")
    parsed = OPTIONS.parse(settings.worker, partial=True)
    parsed.check("the worker's configuration")
    config = KafkaSinkConfig(**parsed.values)
    wanted = config.sink_kafka_fencing
    fencing: Fencing = "off" if wanted == "auto" and not settings.shared_offsets else wanted
    return KafkaSink(dict(settings.producer), topic_groups=_groups(settings),
                     admin_properties=dict(settings.admin), fencing=fencing,
                     transactional_id=f"cdc-{settings.connector}-{settings.topic_prefix}",
                     client=config.sink_kafka_client)


def _groups(settings: SinkSettings) -> tuple[TopicGroup, ...]:
    """How topics are created. Dead letters have settings of their own, also without any `topic.creation.*`."""
    letters = settings.dead_letters
    first = () if letters is None else (only_topic(letters.topic, letters.replication_factor),)
    return (*first, *topic_groups(settings.topic_creation))


class KafkaSink:
    """One producer. `start` may follow `close`, and then makes a new producer."""

    def __init__(self, properties: Mapping[str, object], *, topic_groups: Sequence[TopicGroup] = (),
                 admin_properties: Mapping[str, object] | None = None, start_timeout_s: float = 10.0,
                 fencing: Fencing = "off", transactional_id: str = "", client: ClientKind = "auto") -> None:
        """*properties* and *admin_properties* by the Java clients' names, or librdkafka's; see `cdc.kafka.settings`.
        *fencing*: whether `fence` keeps older producers out, by the *transactional_id*, unless *properties* have one.
        *client*: which of the clients to use.

        Raises ConfigError.
        """
        self._client = producer_settings(properties)
        fenced = fencing != "off" and transactional(self._client, transactional_id) is not None
        self._kind = choose(client, self._client.settings, transactional=fenced)
        own_linger = self._kind == "batches" or "linger.ms" in self._client.settings
        self._linger = None if own_linger else Linger()
        if self._linger is not None:
            self._client.settings["linger.ms"] = client_ms(self._client.settings)
        self._fencing = fencing
        self._fenced_client = transactional(self._client, transactional_id) if fencing != "off" else None
        self._client.settings.pop("transactional.id", None)
        self._transactions: Transactions | None = None
        admin = client_settings(properties if admin_properties is None else admin_properties, "admin").settings
        self._topic_groups = topic_groups
        self._admin_settings = admin
        self._start_timeout_s = start_timeout_s
        self._stopped = threading.Event()
        self._producer: Client | None = None
        self._state = BrokerState(self._client.settings.get("bootstrap.servers", ""))
        self._creator = TopicCreator((), {})
        self._tables: dict[str, set[str]] = {}
        self._statistics = Statistics()
        self._lost = False
        self._message_count = self._size_bytes = self._failure_count = self._full_count = 0

    def start(self) -> None:
        """Connect. Raises SinkConnectionError when no broker answers in time, SinkRefusedError when one refuses us, and
        ConfigError."""
        self._tell(self._client)
        self._state = BrokerState(self._client.settings.get("bootstrap.servers", ""))
        self._creator = TopicCreator(self._topic_groups, self._admin_settings)
        self._tables = {}
        self._transactions = None
        self._lost = False
        self._producer = self._make_producer(self._fenced_client or self._client)
        try:
            self._await_brokers(self._producer)
        except SinkError:
            self.close()
            raise

    def interrupt(self) -> None:
        """End a wait in `start` now, with SinkConnectionError, and every later one. From any thread."""
        self._stopped.set()

    def fence(self) -> None:
        if self._fenced_client is None:
            return
        producer = self._producer
        assert producer is not None, "not started"
        try:
            self._init_transactions(producer)
        except SinkError as exc:
            if self._fencing == "on" or self._stopped.is_set():
                raise
            self._await_brokers(producer)  # if none answers at all, that is the error
            log.warning("kafka_fencing_not_available", reason=exc.message, hint=_NO_FENCING)
            self.close()
            self._producer = self._make_producer(self._client)
        else:
            self._transactions = Transactions(producer, self._end_failure)

    def _init_transactions(self, producer: Client) -> None:
        """Have brokers refuse older producers with our id. Raises SinkConnectionError, SinkRefusedError."""
        deadline = time.monotonic() + self._start_timeout_s
        while True:
            try:
                producer.init_transactions(0.5)
                return
            except (KafkaException, SystemError) as exc:
                error = error_of(exc)
                if self._stopped.is_set():
                    raise SinkConnectionError("Stopped while waiting for Kafka.") from exc
                if error.retriable() and time.monotonic() < deadline:
                    self._stopped.wait(0.05)
                    continue
                raise sink_error(error, "Kafka refused a transactional producer") from exc

    def _end_failure(self, error: KafkaError) -> SinkError:
        self._failure_count += 1
        return self._fenced(error) or sink_error(error, "A transaction was not committed")

    def _fenced(self, error: KafkaError) -> SinkError | None:
        """The error for a producer whose transactional id is no longer its own."""
        if self._transactions is None or error.code() not in FENCED:
            return None
        return SinkFencedError(
            "Kafka takes nothing more from this producer: another one with its transactional id has started, or its "
            "transaction took longer than transaction.timeout.ms.", code=error.name(), hint=_FENCED_HINT,
            transactional_id=(self._fenced_client or self._client).settings.get("transactional.id"))

    def send(self, batch: Sequence[Outgoing], first: int, ack: Ack) -> int:
        return self._send(lambda producer, to: producer.send(batch, first, to), batch, batch.__getitem__, first, ack)

    def send_batch(self, out: Any, first: int, ack: Ack) -> int:
        return self._send(lambda producer, to: producer.send_batch(out, first, to), out, out.outgoing, first, ack)

    def _send(self, give: _Give, batch: Sized, outgoing: Callable[[int], Outgoing], first: int, ack: Ack) -> int:
        """*give* gives *batch* to the client, from *first* on; *outgoing* gives us one of it, for an error."""
        transactions = self._transactions
        if transactions is None:
            return self._take(give, outgoing, first, ack)
        if transactions.error is not None and first < len(batch):  # nobody may have waited who could be told
            ack.failed(transactions.error)
            return first + 1
        try:
            if first == len(batch) or not transactions.begin():
                return first
        except KafkaException as exc:
            ack.failed(self._failure(exc.args[0], outgoing(first)))
            return first + 1
        index = self._take(give, outgoing, first, transactions)
        transactions.took(ack, index - first)
        return index

    def _take(self, give: _Give, outgoing: Callable[[int], Outgoing], first: int, ack: Ack) -> int:
        producer = self._producer
        assert producer is not None, "not started"
        size_bytes, full_count = producer.size_bytes, producer.full_count
        try:
            index = give(producer, ack)
        except KafkaException as exc:
            index = producer.stopped + 1
            ack.failed(self._failure(exc.args[0], outgoing(producer.stopped)))
        except SinkError as exc:
            index = producer.stopped + 1
            self._failure_count += 1
            ack.failed(exc)
        if index > first:
            self._hurry(producer, index - first)
        self._message_count += index - first
        self._size_bytes += producer.size_bytes - size_bytes
        self._full_count += producer.full_count - full_count
        return index

    def _hurry(self, producer: Client, taken: int) -> None:
        """*taken* records were given to the client: have them sent now if they are few, because then no backlog waits
        behind them."""
        if self._linger is not None:
            self._linger.given()
            if taken <= FEW and len(producer) <= FEW:
                self._push(producer)

    def _push(self, producer: Client) -> bool:
        """Have the client send what it holds, by a flush of a millisecond; returns whether answers came meanwhile."""
        before, linger = len(producer), self._linger
        if linger is not None:
            linger.told()
        self._guarded(lambda: self._state.served(before - producer.flush(_PUSH_S)))
        left = len(producer)
        if linger is not None and (left < before or not left):
            linger.answered(left)
        return left < before

    def poll(self, timeout: float) -> None:
        if self._transactions is None:
            self._serve(timeout)
        else:
            self._transactions.poll(timeout, self._serve)

    def _serve(self, timeout: float) -> None:
        producer = self._producer
        assert producer is not None, "not started"
        linger = self._linger
        if linger is not None and linger.is_due(idle=timeout > 0) and self._push(producer):
            timeout = 0
        self._guarded(lambda: self._poll(producer, timeout))
        if self._state.denied_for_s() > _DENIED_GRACE_S and len(producer):
            producer.purge()
        if self._statistics.lost:
            self._replace(producer)

    def _poll(self, producer: Client, timeout: float) -> None:
        served = producer.poll(timeout)
        self._state.served(served)
        if served and self._linger is not None:
            self._linger.answered(len(producer))

    def _guarded(self, work: Callable[[], object]) -> None:
        """Do *work*, which may raise a fatal error. What is in the queue then gets a report of its own."""
        try:
            work()
        except (KafkaException, SystemError) as exc:
            log.warning("kafka_producer_ended", reason=error_of(exc).str())
            if self._transactions is not None:
                self._transactions.failed(self._end_failure(error_of(exc)))

    def _replace(self, producer: Client) -> None:
        """Give up a producer that knows no broker any more: what is in its queue fails, and the task starts again."""
        log.warning("kafka_client_lost_its_brokers", queued=len(producer))
        self._statistics.lost = False
        if self._transactions is not None:
            self._transactions.failed(SinkConnectionError(_LOST))
        elif len(producer):
            self._lost = True
            producer.purge()
        else:
            self._producer = self._make_producer(self._client)

    def flush(self, timeout: float) -> int:
        deadline = time.monotonic() + timeout
        while left := self._unanswered():
            if self._transactions is not None:
                self._transactions.end_soon()
            elif self._linger is None and self._producer is not None:
                self._push(self._producer)  # as a flush of Kafka's client, whatever its linger.ms
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return left
            self.poll(min(remaining, 0.1))
        return 0

    def _unanswered(self) -> int:
        if self._producer is None:
            return 0
        return len(self._producer) if self._transactions is None else len(self._transactions)

    def close(self) -> None:
        producer, self._producer = self._producer, None
        transactions, self._transactions = self._transactions, None
        if producer is not None:
            self._state.close()
            producer.purge()
            if transactions is not None:
                transactions.close()
            try:
                producer.poll(0)
            except (KafkaException, SystemError) as exc:
                log.debug("kafka_producer_ended", reason=error_of(exc).str())
            producer.close()

    def metrics(self) -> Mapping[str, float]:
        producer = self._producer
        return {
            **self._statistics.numbers,
            "cdc_sink_queued_messages": len(producer) if producer is not None else 0,
            "cdc_sink_messages_total": self._message_count,
            "cdc_sink_bytes_total": self._size_bytes,
            "cdc_sink_failures_total": self._failure_count,
            "cdc_sink_queue_full_total": self._full_count,
            "cdc_sink_unreachable": float(self._state.unreachable),
        }

    def _make_producer(self, client: ClientSettings) -> Client:
        every_ms = client.settings.get("statistics.interval.ms", "0")
        settings = {**client.settings, "statistics.interval.ms": str(EVERY_MS) if every_ms == "0" else every_ms}
        self._statistics.lost = False
        try:
            return open_client(self._kind, settings, self)
        except KafkaException as exc:
            raise ConfigError(f"The Kafka producer's settings are not usable: {exc.args[0].str()}.") from exc

    def on_statistics(self, text: str) -> None:
        self._state.noted()
        self._statistics.take(text)

    def on_error(self, error: KafkaError) -> None:
        self._state.on_error(error)

    def on_log(self, level: int, text: str) -> None:
        self._state.log(level, text)

    def _await_brokers(self, producer: Client) -> None:
        deadline = time.monotonic() + self._start_timeout_s
        reason, patience_s = "no answer", 0.25
        while not self._stopped.is_set():
            patience_s *= 2  # Short at first, to notice an interrupt; but a large cluster needs time to answer.
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

    def opened(self, topic: str, table: str) -> bool:
        """Whether records can be sent to *topic*. Remembers which tables go there. Raises SinkError."""
        tables = self._tables.get(topic)
        if tables is None:
            if not self._creator.ready(topic):
                return False
            tables = self._tables[topic] = set()
        tables.add(table)
        return True

    def undelivered(self, error: KafkaError, message: Undelivered) -> Exception:
        """The error for a failed delivery report. A Kafka message does not name its table, so we name the topic's."""
        if error.code() in PURGED and self._lost:
            self._failure_count += 1
            return SinkConnectionError(_LOST)
        if error.code() in PURGED and self._state.denied is not None:
            error = self._state.denied
        tables = sorted(self._tables.get(message.topic, ()))
        named = ", ".join(tables[:3]) + (f" or {len(tables) - 3} more" if len(tables) > 3 else "")
        return self._failed(error, message, named)

    def _failure(self, error: KafkaError, outgoing: Outgoing) -> SinkError:
        """The error for an outgoing that the client did not take."""
        key, value = outgoing.key or b"", outgoing.value or b""
        return self._failed(error, Undelivered(outgoing.topic, outgoing.key, len(key), len(value)), outgoing.table)

    def _failed(self, error: KafkaError, message: Undelivered, table: str) -> SinkError:
        self._failure_count += 1
        fenced = self._fenced(error)
        if fenced is not None:
            return fenced
        if error.code() in TOO_LARGE:
            return self._too_large(error, message, table)
        return sink_error(error, f"A record of {table} was not delivered to topic {message.topic}",
                          key_bytes=message.key_bytes, size_bytes=message.key_bytes + message.value_bytes)

    def _too_large(self, error: KafkaError, message: Undelivered, table: str) -> SinkRefusedError:
        size_bytes = message.key_bytes + message.value_bytes
        limit = int(self._client.settings["message.max.bytes"])
        ours = f"Set producer.override.max.request.size, and the topic's max.message.bytes, above {size_bytes + 1024}."
        theirs = "The topic's limit is below ours: raise its max.message.bytes."
        hint = ours if size_bytes > limit - 1024 else theirs
        return SinkRefusedError(
            f"A record of {table} with key {key_text(message.key)} is too large for topic {message.topic}.",
            hint=hint, size_bytes=size_bytes, limit_bytes=limit, code=error.name(),
        )

    @staticmethod
    def _tell(client: ClientSettings) -> None:
        for note in client.notes:
            log.info("kafka_setting_noted", note=note)
        for warning in client.warnings:
            log.warning("kafka_setting_ignored", reason=warning)


def key_text(key: bytes | None) -> str:
    """A key for an error about one record: text if it is printable, else hexadecimal; at most 200 characters."""
    if key is None:
        return "null"
    try:
        text = key.decode()
    except UnicodeDecodeError:
        text = ""
    shown = text if text.isprintable() and text else f"0x{key.hex()}"
    return shown if len(shown) <= 200 else f"{shown[:199]}…"
