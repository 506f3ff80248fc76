"""What an offset topic holds: the last value of each offset's key, and where the parts of large values are."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

_PART: Final = b',"part","'
_STEP_S: Final = 1.0
NO_ANSWER: Final = frozenset({KafkaError._TIMED_OUT, KafkaError._TRANSPORT})
_HIDDEN: Final = "somebody's transaction is open and hides records; the brokers end it after its time"
GENERATION: Final = "cdc.generation"
"""The header of what is written under a claim: the claim's generation, in digits."""


def part_key(key: bytes, name: str) -> bytes:
    """`["<connector>",{<partition>},"part","<name>"]`. *key* is the offset's own key. Kafka Connect leaves out keys
    that do not have two elements (OffsetUtils.processPartitionKey)."""
    return key[:-1] + _PART + name.encode() + b'"]'


def owner_key(key: bytes) -> bytes:
    """Where the claim on the offset with *key* is: `["<connector>",{<partition>},"owner"]`."""
    return key[:-1] + b',"owner"]'


def _part_of(key: bytes) -> tuple[bytes, str] | None:
    """The offset's key and the part's name; None if *key* is not a part's."""
    head, mark, name = key[:-2].rpartition(_PART)
    return (head + b"]", name.decode(errors="replace")) if mark and key.endswith(b'"]') else None


class OffsetTopic:
    """Each `catch_up` reads the topic from where the last one stopped to its end. Not thread-safe.

    `values`: the last value of each key that is not a part's. What an earlier claim wrote after a later one is left
    out.
    `parts`: by an offset's key and a part's name, the part's place: `kafka_partition` and `kafka_offset`. Parts are too
    large to keep.
    """

    def __init__(self, topic: str, settings: Mapping[str, str], timeout_s: float,
                 hear: Callable[[KafkaError], None] | None = None) -> None:
        """*settings*, by librdkafka's names, are for our consumers. *timeout_s* limits a wait for brokers. *hear* gets
        what librdkafka says of its connections."""
        self._topic = topic
        self._settings: dict[str, Any] = {**settings, **({"error_cb": hear} if hear else {})}
        self._timeout_s = timeout_s
        self.closing = False
        """Set from any thread, to end a wait for brokers soon."""
        self._next: dict[int, int] = {}
        self._generations: dict[bytes, int] = {}
        self.values: dict[bytes, bytes] = {}
        self.parts: dict[bytes, dict[str, tuple[int, int]]] = {}

    def clear(self) -> None:
        """Read again from the beginning."""
        for known in (self._next, self._generations, self.values, self.parts):
            known.clear()

    def catch_up(self) -> None:
        """Read what is new. Raises KafkaException.

        A transaction that somebody else has open hides all that was written after it began, our own records too. So
        its end is waited for: without them an old offset would pass for the last one.
        """
        with self._consumer() as consumer:
            self._each(consumer, {number: self._next.get(number, OFFSET_BEGINNING)
                                  for number in self._partition_numbers(consumer)}, self._take, hidden_too=True)

    def fetch(self, key: bytes, names: Iterator[str]) -> dict[str, bytes]:
        """The parts *names* of the offset with *key*, as far as they are in the topic. Raises KafkaException."""
        places = self.parts.get(key, {})
        wanted = {places[name]: name for name in names if name in places}
        begin: dict[int, int] = {}
        end: dict[int, int] = {}
        for number, place in wanted:
            begin[number] = min(place, begin.get(number, place))
            end[number] = max(place, end.get(number, place))
        found: dict[str, bytes] = {}

        def take(message: Message) -> bool:
            number, place = message.partition(), message.offset()
            assert number is not None
            assert place is not None
            name, value = wanted.get((number, place)), message.value()
            if name is not None and value is not None:
                found[name] = bytes(value)
            return place >= end[number]

        if wanted:
            with self._consumer() as consumer:
                self._each(consumer, begin, take)
        return found

    def _take(self, message: Message) -> bool:
        number, key, value, place = message.partition(), message.key(), message.value(), message.offset()
        assert number is not None
        assert place is not None
        self._next[number] = place + 1
        if key is None:
            return False
        part = _part_of(bytes(key))
        if part is None:
            if not self._is_current(bytes(key), message):
                return False
            if value is None:
                self.values.pop(bytes(key), None)
            else:
                self.values[bytes(key)] = bytes(value)
        elif value is None:
            self.parts.get(part[0], {}).pop(part[1], None)
        else:
            self.parts.setdefault(part[0], {})[part[1]] = number, place
        return False

    def generation(self, key: bytes) -> int:
        """The latest under which the offset with *key*, or its claim, was written; 0 if none is known."""
        return max(self._generations.get(key, 0), self._generations.get(owner_key(key), 0))

    def _is_current(self, key: bytes, message: Message) -> bool:
        """Whether no record of a later generation came before. One without a generation, as people and Kafka Connect
        write it, always counts."""
        headers = dict(message.headers() or ())
        value = headers.get(GENERATION)
        generation = int(value) if isinstance(value, bytes) and value.isdigit() else None
        if generation is None:
            return True
        if generation < self._generations.get(key, 0):
            return False
        self._generations[key] = generation
        return True

    @contextmanager
    def _consumer(self) -> Iterator[Consumer]:
        consumer = Consumer({
            **self._settings, "group.id": "unused", "enable.auto.commit": "false",
            "enable.auto.offset.store": "false", "auto.offset.reset": "error", "check.crcs": "true",
            "isolation.level": "read_committed", "enable.partition.eof": "true",
            "fetch.wait.max.ms": "50", "queued.max.messages.kbytes": "4096",
        })
        try:
            yield consumer
        finally:
            consumer.close()

    def _partition_numbers(self, consumer: Consumer) -> set[int]:
        """The topic's partitions. A topic that was just created may take a moment to appear."""
        deadline = time.monotonic() + self._timeout_s
        while True:
            try:
                remaining = min(_STEP_S, max(deadline - time.monotonic(), 0.1))
                topic = consumer.list_topics(self._topic, timeout=remaining).topics[self._topic]
            except KafkaException as exc:
                consumer.poll(0)  # tells `hear` why
                if exc.args[0].code() not in NO_ANSWER or self.closing or time.monotonic() > deadline:
                    raise
                continue
            if topic.error is None and topic.partitions:
                return set(topic.partitions)
            if self.closing or time.monotonic() > deadline:
                raise KafkaException(topic.error or KafkaError(KafkaError._TIMED_OUT))
            time.sleep(0.05)

    def _each(self, consumer: Consumer, begin: Mapping[int, int], take: Callable[[Message], bool], *,
              hidden_too: bool = False) -> None:
        """Give *take* the records of each partition from an offset on, until it returns True or the last stable offset
        is reached, where librdkafka reports `_PARTITION_EOF`. *hidden_too*: also those that the partition has beyond
        it at that time."""
        ends: dict[int, int] = {}
        consumer.assign([TopicPartition(self._topic, number, offset) for number, offset in begin.items()])
        waiting = set(begin)
        deadline = time.monotonic() + self._timeout_s
        while waiting:
            messages = consumer.consume(500, timeout=0.1)
            if messages:
                deadline = time.monotonic() + self._timeout_s
            elif self.closing or time.monotonic() > deadline:
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT, _HIDDEN) if ends.keys() & waiting
                                     else KafkaError(KafkaError._TIMED_OUT))
            for message in messages:
                error, number = message.error(), message.partition()
                assert number is not None
                if error is not None and error.code() != KafkaError._PARTITION_EOF:
                    raise KafkaException(error)
                if error is None:
                    done = number in waiting and take(message)
                else:
                    place = message.offset()
                    done = not hidden_too or place is None or place >= ends.setdefault(number, _end(consumer, message))
                if done:
                    waiting.discard(number)


def _end(consumer: Consumer, message: Message) -> int:
    """Where the partition of *message* ends, its hidden records included; as the last answer to a fetch said."""
    known = consumer.get_watermark_offsets(TopicPartition(message.topic() or "", message.partition() or 0), cached=True)
    return known[1] if known else -1
