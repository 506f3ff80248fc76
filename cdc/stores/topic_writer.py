"""Writes to the offset topic, and returns when what it wrote is durable.

With a transactional id each write is one transaction, and `fence` has the brokers refuse every older writer of that id.
librdkafka, INTRODUCTION.md: "Transactional producer".
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from cdc.kafka.errors import FENCED, error_of
from cdc.log import get_logger

from .parts import PART_BYTES

log = get_logger(__name__)

QUEUE_BYTES: Final = 4 << 20
"""So much of the parts of an offset is in librdkafka's queue at once."""
_NO_ANSWER: Final = frozenset({KafkaError._MSG_TIMED_OUT, KafkaError._TIMED_OUT})
_ABORT_S: Final = 5.0
_FENCE_S: Final = 10.0

Record = tuple[bytes, bytes | None]
Headers = list[tuple[str, bytes]]
Written = Callable[[int, tuple[int, int]], None]


class _Quiet:
    """librdkafka prints fatal errors to standard error at any log level, unless its lines go elsewhere. They come back
    as exceptions too."""

    def log(self, level: int, form: str, *args: object) -> None:
        log.debug("librdkafka", severity=level, line=form % args if args else form)


class TopicWriter:
    """One producer. Only `close` may be called from another thread."""

    def __init__(self, topic: str, settings: Mapping[str, str], timeout_s: float, transactional_id: str = "") -> None:
        """*settings*, by librdkafka's names. *timeout_s* limits each write."""
        self._topic = topic
        self._timeout_s = timeout_s
        # With a timeout of its own librdkafka answers every write, and leaves nothing in its queue.
        self._settings = {
            **settings, "enable.idempotence": "true", "acks": "all", "partitioner": "murmur2_random",
            "linger.ms": "0", "message.timeout.ms": str(int(timeout_s * 1000)),
            "queue.buffering.max.kbytes": str(2 * QUEUE_BYTES >> 10), "batch.size": str(PART_BYTES),
            # What a process leaves open that was stopped within a write hides later records until the brokers end it.
            **({"transactional.id": transactional_id,
                "transaction.timeout.ms": str(int(timeout_s * 1000) + 1000)} if transactional_id else {}),
        }
        self.transactional = bool(transactional_id)
        self.broken = self.transactional
        """It may write only after `fence`: at first, and when the brokers have given its place to another one."""
        self._closing = False
        self._producer = self._make_producer()

    def fence(self, stopped: Callable[[], bool] = lambda: False) -> None:
        """Take the place of older writers with this id. Raises KafkaException when the brokers refuse it or do not
        answer in time."""
        self._producer = self._make_producer()
        deadline = time.monotonic() + min(_FENCE_S, self._timeout_s)
        while True:
            try:
                self._producer.init_transactions(0.5)
            except KafkaException as exc:
                if not exc.args[0].retriable() or time.monotonic() >= deadline or self._closing or stopped():
                    raise
                time.sleep(0.05)
            else:
                self.broken = False
                return

    def write(self, records: Sequence[Record], written: Written = lambda *_: None, headers: Headers | None = None,
              ) -> None:
        """Write *records*, and return when they are durable. *written* gets each one's index, and its
        `kafka_partition` and `kafka_offset`. Raises KafkaException; then `broken` may be set."""
        if not records:
            return
        try:
            if self.transactional:
                self._producer.begin_transaction()
            self._send(records, written, headers or [])
            if self.transactional:
                self._commit()
        except (BufferError, KafkaException, SystemError) as exc:
            error = error_of(exc)
            self._recover(error)
            raise KafkaException(error) from exc

    def close(self) -> None:
        """From any thread: a write that waits for brokers ends now."""
        self._closing = True

    def discard(self) -> None:
        """Drop what is in the queue; after `close`."""
        try:
            self._producer.purge(blocking=False)
            self._producer.poll(0)
        except (KafkaException, SystemError):
            pass  # a fatal error, which nobody waits for

    def _make_producer(self) -> Producer:
        return Producer({**self._settings, "logger": _Quiet()})

    def _send(self, records: Sequence[Record], written: Written, headers: Headers) -> None:
        answers: list[KafkaError | None] = []
        producer = self._producer

        def answer(number: int, error: KafkaError | None, message: Message) -> None:
            answers.append(error)
            partition, offset = message.partition(), message.offset()
            if error is None and partition is not None and offset is not None:
                written(number, (partition, offset))

        for number, (key, value) in enumerate(records):
            while len(producer) * PART_BYTES >= QUEUE_BYTES and not self._closing:
                producer.poll(0.1)
            producer.produce(self._topic, value, key, -1, partial(answer, number), headers=list(headers))
        deadline = time.monotonic() + self._timeout_s + 5
        while len(answers) < len(records) and not self._closing and time.monotonic() < deadline:
            producer.poll(0.1)
        error = next((each for each in answers if each is not None), None)
        if error is None and len(answers) < len(records):
            error = KafkaError(KafkaError._TIMED_OUT)
        if error is not None:
            raise KafkaException(error)

    def _commit(self) -> None:
        deadline = time.monotonic() + self._timeout_s + 5
        while True:
            try:
                self._producer.commit_transaction(min(1.0, self._timeout_s))
                return
            except KafkaException as exc:
                if not exc.args[0].retriable() or self._closing or time.monotonic() > deadline:
                    raise

    def _recover(self, error: KafkaError) -> None:
        """Make the next write possible. After a fatal error every later call of a producer fails, so it gets a new
        one. So it does when nothing came back in time: it may have lost its brokers (`cdc.kafka.statistics`)."""
        if not self.transactional:
            if error.fatal() or error.code() in _NO_ANSWER:
                self._producer = self._make_producer()
        elif error.fatal() or error.code() in FENCED or self._closing:
            self.broken = True
        else:
            try:
                self._producer.abort_transaction(_ABORT_S)
            except (KafkaException, SystemError):
                self.broken = True

