"""The producers that a Kafka sink may have: our own calls of librdkafka, confluent-kafka's Producer, or one of our own.

The first two run the same librdkafka with the same settings. The native one has no Python object and no callback for a
message, so it is the choice where it was compiled and finds librdkafka; else there is confluent-kafka's. The third,
`batches`, makes Kafka's record batches itself, and takes only settings that it understands (`wire/`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final, Literal, Protocol

from confluent_kafka import KafkaError, KafkaException, Producer, cimpl

from cdc.core.errors import ConfigError
from cdc.core.interfaces import Ack, Outgoing
from cdc.core.named_tuple import NamedTuple
from cdc.log import get_logger
from cdc.native import module

from .producer import producer_settings

log = get_logger(__name__)

Kind = Literal["native", "python", "batches"]
Wanted = Literal["auto", "native", "python", "batches"]
_BATCH_BYTES: Final = "131072"
"""Of librdkafka, well below any sane `max.message.bytes` of a topic: it gives up a batch that is refused as too big."""


class Undelivered(NamedTuple):
    """A message that librdkafka gave up: its topic, its key (perhaps only the first bytes of it), and the sizes of key
    and value."""

    topic: str
    key: bytes | None
    key_bytes: int
    value_bytes: int


class Owner(Protocol):
    """What a client asks and tells the sink that owns it, in the thread that calls `send`, `poll` or `flush`."""

    def opened(self, topic: str, table: str) -> bool:
        """Whether records of *table* can be sent to *topic*. Raises SinkError."""
        ...

    def undelivered(self, error: KafkaError, message: Undelivered) -> Exception:
        """The error for the Ack of *message*."""
        ...

    def on_error(self, error: KafkaError) -> None:
        """librdkafka's error callback."""
        ...

    def on_log(self, level: int, text: str) -> None:
        """A log line of librdkafka, with its syslog level."""
        ...

    def on_statistics(self, text: str) -> None:
        """librdkafka's statistics, as JSON."""
        ...


class Client(Protocol):
    """A producer. One thread calls it; `len` may come from any, and `commit_transaction` while nothing else runs.

    What librdkafka refuses is raised as a KafkaException whose first argument is the KafkaError. `poll` and `flush`
    raise a fatal error so, once.
    """

    stopped: int
    size_bytes: int
    full_count: int

    def __len__(self) -> int:
        """Messages without an answer, and answers that `poll` has not handled."""
        ...

    def send(self, batch: Sequence[Outgoing], first: int, ack: Ack) -> int:
        """Take outgoings from index *first* on, which are answered through *ack*. Returns the index of the first one
        not taken: the queue is full (`full_count` rises), or its topic is not open. Raises KafkaException, or what
        `Owner.opened` raises, for the outgoing at index `stopped`. `size_bytes` counts the bytes of all values taken.
        """
        ...

    def send_batch(self, out: Any, first: int, ack: Ack) -> int:
        """As `send`, with the messages of a `native.batch.OutBatch`."""
        ...

    def poll(self, timeout: float) -> int:
        """Handle answers and callbacks, waiting up to *timeout* seconds for the first; returns how many there were."""
        ...

    def flush(self, timeout: float) -> int:
        """As `poll` until all is answered, and send without lingering; returns `len`."""
        ...

    def purge(self) -> None:
        """Give up all messages, without waiting: `poll` answers them."""
        ...

    def list_topics(self, *, timeout: float) -> Any:
        """Ask a broker for the cluster's metadata."""
        ...

    def init_transactions(self, timeout: float) -> None: ...

    def begin_transaction(self) -> None: ...

    def commit_transaction(self) -> None: ...

    def abort_transaction(self, timeout: float) -> None: ...

    def close(self) -> None:
        """Nobody waits for answers any more. librdkafka ends with the last reference to this client."""
        ...


def open_client(kind: Kind, settings: Mapping[str, Any], owner: Owner) -> Client:
    """A producer with *settings*, by librdkafka's names. Raises KafkaException."""
    if kind == "batches":
        from .wire.client import BatchClient  # only those who use it load it

        return BatchClient(settings, owner, Undelivered)
    settings = {"batch.size": _BATCH_BYTES, **settings}
    if kind == "native":
        assert not unavailable()
        client: Client = module("producer").NativeProducer(settings, owner, _failed, Undelivered)
        return client
    return PythonClient(settings, owner)


def choose(wanted: Wanted, settings: Mapping[str, str], *, transactional: bool = False) -> Kind:
    """The kind of client to use. With *transactional*, it must be able to run transactions. Raises ConfigError if
    *wanted* cannot be had; `auto` is `batches`, and instead of that it is librdkafka."""
    kind, reason = _chosen(wanted, settings, transactional)
    _tell(kind, reason)
    return kind


def usual() -> str:
    """The kind that `auto` is with default settings; `python` with the reason."""
    kind, reason = _chosen("auto", producer_settings({"bootstrap.servers": "localhost:9092"}).settings, False)
    return f"python: {reason}" if kind == "python" else kind


def _chosen(wanted: Wanted, settings: Mapping[str, str], transactional: bool) -> tuple[Kind, str]:
    """As `choose`, with the reason for the log."""
    unfit = ""
    if wanted in ("auto", "batches"):
        unfit = _only_librdkafka(settings, transactional)
        if not unfit:
            return "batches", "sink.kafka.client" if wanted == "batches" else ""
    reason = _only_python(settings) or unavailable()
    if wanted == "native" and reason:
        raise ConfigError(f"The native Kafka client cannot be used: {reason}.", option="sink.kafka.client",
                          hint="Set sink.kafka.client=auto, or install cdc with a C compiler.")
    kind: Kind = "python" if wanted == "python" or reason else "native"
    return kind, unfit or (reason if wanted != "python" else "sink.kafka.client")


@cache
def _tell(kind: Kind, reason: str) -> None:
    """Log the choice, once."""
    log.info("kafka_client_chosen", client=kind, reason=reason)


def _only_python(settings: Mapping[str, str]) -> str:
    """Why only confluent-kafka can do what *settings* ask for; empty if that is not so."""
    name: Final = "sasl.oauthbearer.metadata.authentication.type"
    if settings.get(name) == "aws_iam":
        return f"{name}=aws_iam is a feature of confluent-kafka"
    if settings.get("plugin.library.paths"):
        return "plugin.library.paths: a plugin may change headers, which messages share in the native client"
    return ""


def _only_librdkafka(settings: Mapping[str, str], transactional: bool) -> str:
    """Why our own producer cannot do what *settings* ask for; empty if that is not so. It names no secret."""
    if module("recordsets") is None:
        return "this installation has no compiled modules"
    if transactional:
        return "sink.kafka.fencing: transactions are librdkafka's"
    from .wire.settings import not_understood

    return not_understood(settings)


@cache
def unavailable() -> str:
    """Why there is no native client; empty if there is one."""
    native = module("producer")
    if native is None:
        return "this installation has no compiled modules"
    try:
        native.load(cimpl.__file__)
    except (OSError, AttributeError) as exc:
        return f"librdkafka's functions are not to be found in confluent_kafka ({exc})"
    return ""


def _failed(code: int, text: str, fatal: bool, retriable: bool, abort: bool) -> KafkaException:
    return KafkaException(KafkaError(code, text or None, fatal, retriable, abort))


class PythonClient:
    """A `Client` made of confluent-kafka's Producer."""

    def __init__(self, settings: Mapping[str, Any], owner: Owner) -> None:
        self.stopped = self.size_bytes = self.full_count = 0
        self._owner = owner
        self._producer = Producer({**settings, "stats_cb": owner.on_statistics, "error_cb": owner.on_error,
                                   "logger": _Logger(owner)})
        self.poll = self._producer.poll
        self.flush = self._producer.flush
        self.list_topics = self._producer.list_topics
        self.init_transactions = self._producer.init_transactions
        self.begin_transaction = self._producer.begin_transaction
        self.commit_transaction = self._producer.commit_transaction
        self.abort_transaction = self._producer.abort_transaction

    def __len__(self) -> int:
        return len(self._producer)

    def send(self, batch: Sequence[Outgoing], first: int, ack: Ack) -> int:
        produce, report, opened = self._producer.produce, ack.on_delivery, self._owner.opened
        ack.explain = self._explain
        index, size_bytes = first, 0
        last_topic = last_table = None
        try:
            for index in range(first, len(batch)):
                topic, key, value, kafka_partition, headers, table, timestamp_ms = batch[index]
                if topic is not last_topic or table is not last_table:
                    if not opened(topic, table):
                        return index
                    last_topic, last_table = topic, table
                if headers or timestamp_ms >= 0:  # a client's 0 is its own clock
                    produce(topic, value, key, kafka_partition, report, None, max(timestamp_ms, 0), list(headers))
                else:
                    produce(topic, value, key, kafka_partition, report)
                if value is not None:
                    size_bytes += len(value)
            return len(batch)
        except BufferError:
            self.full_count += 1
            return index
        finally:
            self.stopped = index
            self.size_bytes += size_bytes

    def send_batch(self, out: Any, first: int, ack: Ack) -> int:
        rest = [out.outgoing(index) for index in range(first, len(out))]
        try:
            return first + self.send(rest, 0, ack)
        finally:
            self.stopped += first

    def purge(self) -> None:
        self._producer.purge(blocking=False)

    def close(self) -> None:
        """The Producer holds the callbacks of what is unanswered until it ends."""

    def _explain(self, error: KafkaError, message: Any) -> Exception:
        key = message.key()
        return self._owner.undelivered(error, Undelivered(message.topic(), key, len(key or b""), len(message)))


class _Logger:
    """What confluent-kafka takes for a `logging.Logger`."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner

    def log(self, level: int, form: str, *args: object) -> None:
        self._owner.on_log(level, form % args if args else form)
