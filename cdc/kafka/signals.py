"""The signal channel `kafka`: signals from a topic, read in a thread of its own.

The connector's offset says which signals were handled, in its key `signal_kafka`; so what was handled is not read
again, and what was not is. Before the first signal of a connector, its consumer group says it, as Debezium's; the
group's offset follows when the connector's is durable. Debezium source: KafkaSignalChannel.
"""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Mapping
from typing import Any, Final

from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    OFFSET_STORED,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from cdc.core.control import Signal, parse_signal
from cdc.core.errors import ConfigError
from cdc.log import carry, get_logger

from .errors import UNKNOWN_TOPIC
from .settings import client_settings

log = get_logger(__name__)

MARK: Final = "signal_kafka"
_OF_CONSUMERS: Final = frozenset(("isolation.level", "auto.offset.reset", "group.id", "enable.auto.commit"))
_JVM: Final = ("key.", "value.", "fetch.", "max.poll.", "max.partition.", "session.", "heartbeat.", "auto.commit.")
"""What a reader of one partition that is in no group has no use for."""
_MOST: Final = 1000
_AT_END: Final = frozenset(("latest", "largest", "end"))
_STEP_S: Final = 0.2
_GROUP_S: Final = 10.0
_RETRY_S: Final = 5.0


def consumer_settings(properties: Mapping[str, str], group: str) -> dict[str, str]:
    """Those of the channel's consumer by librdkafka's names, from *properties* of Java's. Raises ConfigError."""
    if not properties.get("bootstrap.servers", "").strip():
        raise ConfigError("The signal channel kafka has no cluster.", option="signal.kafka.bootstrap.servers",
                          hint="Name its brokers; the worker has none of its own.")
    found = client_settings({key: text for key, text in properties.items()
                             if key not in _OF_CONSUMERS and not key.startswith(_JVM)}, "consumer")
    for warning in found.warnings:
        log.warning("option_noted", option="signal.consumer", note=warning)
    return {
        **found.settings, "group.id": group, "isolation.level": properties.get("isolation.level", "read_committed"),
        "auto.offset.reset": properties.get("auto.offset.reset", "earliest").replace("none", "error"),
        "enable.auto.commit": "false", "enable.auto.offset.store": "false", "allow.auto.create.topics": "false",
        "queued.max.messages.kbytes": "1024", "fetch.message.max.bytes": "1048576",
    }


class KafkaSignals:
    """Signals of partition 0 of *topic* whose key is *prefix*. Implements `runtime.signals.Channel`.

    Brokers may come and go: they are waited for. What is no signal is logged and passed over.
    """

    def __init__(self, topic: str, prefix: str, settings: Mapping[str, str],
                 most: int = _MOST) -> None:
        """*settings* as `consumer_settings` gives them. At most *most* signals wait."""
        self._topic = topic
        self._prefix = prefix.encode()
        self._settings = settings
        self._most = most
        self._found: deque[Signal] = deque()
        self._begin = OFFSET_STORED
        self._durable = -1
        self._committed = -1
        self._stop = threading.Event()
        self._told: set[int] = set()
        self._thread: threading.Thread | None = None

    # -- the task's thread ----------------------------------------------------------------------------------------

    def start(self, offset: Mapping[str, Any]) -> None:
        self._begin = self._place(offset)
        self._thread = threading.Thread(target=carry(self._run), name="signals-kafka", daemon=True)
        self._thread.start()

    def take(self) -> Signal | None:
        return self._found.popleft() if self._found else None

    def committed(self, offset: Mapping[str, Any]) -> None:
        self._durable = max(self._durable, self._place(offset))

    def close(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(2.0)

    def _place(self, offset: Mapping[str, Any]) -> int:
        """Of the first message behind the signals that were handled; OFFSET_STORED if *offset* does not tell."""
        topic, _, place = str(offset.get(MARK) or "").rpartition("/0/")
        return int(place) if topic == self._topic and place.isdigit() else OFFSET_STORED

    # -- the channel's thread -------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._read()
            except Exception as exc:  # nobody would notice the end of this thread
                error = exc.args[0] if exc.args else exc
                if isinstance(error, KafkaError):
                    self._problem(error)
                else:
                    reason = str(error) if isinstance(exc, ValueError | RuntimeError) else type(exc).__name__
                    log.warning("signals_not_read", topic=self._topic, error=reason, retry_in_s=_RETRY_S)
                self._stop.wait(_RETRY_S)

    def _read(self) -> None:
        consumer = Consumer({**self._settings, "logger": _Quiet()})
        try:
            if self._begin == OFFSET_STORED:
                self._begin = self._of_group(consumer)
            consumer.assign([TopicPartition(self._topic, 0, self._begin)])
            while not self._stop.is_set():
                self._commit(consumer)
                if len(self._found) >= self._most:
                    self._stop.wait(_STEP_S)
                    continue
                message = consumer.poll(_STEP_S)
                if message is not None:
                    self._message(message)
            self._commit(consumer)
        finally:
            consumer.close()

    def _of_group(self, consumer: Consumer) -> int:
        """Where the group goes on, or begins. Raises KafkaException.

        librdkafka would ask, too, if it is assigned OFFSET_STORED. But after some answers, such as "Not coordinator" of
        a broker that starts, it does not ask again, and would never read anything.
        """
        found, = consumer.committed([TopicPartition(self._topic, 0)], timeout=_GROUP_S)
        if found.error is not None:
            raise KafkaException(found.error)
        if found.offset >= 0:
            return int(found.offset)
        reset = self._settings.get("auto.offset.reset")
        if reset == "error":
            raise KafkaException(KafkaError(KafkaError._AUTO_OFFSET_RESET, "The group has no offset yet, and "
                                            "auto.offset.reset=none lets it begin nowhere."))
        return int(OFFSET_END if reset in _AT_END else OFFSET_BEGINNING)

    def _message(self, message: Message) -> None:
        error = message.error()
        if error is not None:
            self._problem(error)
            return
        self._told.clear()
        place = message.offset() or 0
        self._begin = place + 1
        signal = self.signal_of(message.key(), message.value(), place)
        if signal is not None:
            self._found.append(signal)

    def signal_of(self, key: bytes | str | None, value: bytes | str | None, place: int) -> Signal | None:
        """The signal of a message at offset *place*; None if it is another connector's, or none."""
        name = key.encode() if isinstance(key, str) else key
        if name != self._prefix:
            log.debug("signal_of_another", topic=self._topic, offset=place)
            return None
        try:
            return parse_signal(json.loads(value or b"null"), "kafka", {MARK: f"{self._topic}/0/{place + 1}"})
        except (ValueError, RecursionError) as exc:
            why = str(exc) if not isinstance(exc, json.JSONDecodeError | UnicodeDecodeError) else f"no JSON: {exc}"
            log.warning("signal_ignored", channel="kafka", topic=self._topic, offset=place, why=why)
            return None

    def _problem(self, error: KafkaError) -> None:
        """Log it once, until messages come again: librdkafka goes on trying."""
        if error.code() in self._told or error.code() == KafkaError._PARTITION_EOF:
            return
        self._told.add(error.code())
        missing = error.code() in UNKNOWN_TOPIC
        log.warning("signals_not_read", topic=self._topic, error=error.str(), hint=(
            "Create the topic, with one partition; it is read as soon as it is there." if missing else
            "The brokers are asked again."))

    def _commit(self, consumer: Consumer) -> None:
        """Let the group follow the connector's offset. If the brokers refuse it, the connector's offset counts."""
        durable = self._durable
        if durable <= self._committed:
            return
        self._committed = durable
        try:
            consumer.commit(offsets=[TopicPartition(self._topic, 0, durable)], asynchronous=True)
        except KafkaException as exc:
            log.info("signal_group_not_committed", topic=self._topic, error=exc.args[0].str())


class _Quiet:
    """librdkafka's own lines: what matters comes back as an error, too."""

    def log(self, level: int, form: str, *args: object) -> None:
        log.debug("librdkafka", severity=level, line=form % args if args else form)


