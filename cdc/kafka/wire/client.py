"""The `Client` of `cdc/kafka/client.py` over our own record batches.

Whoever sends fills record sets, which copy the bytes, and whoever polls handles what the sender's thread has left in
its outbox. A topic whose partitions no broker has told yet takes no records, as one that is not open.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from queue import Empty
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException

from cdc.core.errors import SinkError
from cdc.core.interfaces import Ack, Outgoing
from cdc.kafka.linger import FEW
from cdc.native import module

from .outbox import Counted, Delivered, Item, Told, Undeliverable
from .partition import Topic
from .producing import give_up_waiting
from .sender import Sender
from .settings import not_understood, wire_settings

_MOST_HEADER_SETS: Final = 64
"""Of one topic; records with further ones bring their own lists."""
_END_S: Final = 2.0
"""So long a close waits for the thread, which does nothing that takes long."""
_PURGE_S: Final = 10.0
_PASSING: Final = frozenset({KafkaError.INVALID_MSG, KafkaError._UNKNOWN_PARTITION})
"""Errors that end this producer, but not the next one: bytes damaged on the way, a topic made again with fewer
partitions."""


def error_of(code: int, text: str) -> KafkaError:
    return KafkaError(code, text or None, False, code in _PASSING)


class BatchClient:
    """*settings* by librdkafka's names, *owner*: a `cdc.kafka.client.Owner`, *undelivered* its `Undelivered`. Raises
    KafkaException for settings that `not_understood` names."""

    def __init__(self, settings: Mapping[str, Any], owner: Any, undelivered: Callable[..., Any]) -> None:
        reason = not_understood(settings)
        if reason:
            raise KafkaException(KafkaError(KafkaError._INVALID_ARG, reason))
        self._module = module("recordsets")
        wire = wire_settings(settings)
        self.stopped = self.size_bytes = self.full_count = 0
        self._owner, self._undelivered = owner, undelivered
        self._lingers = wire.linger_s is not None
        self._sets = self._module.RecordSets(wire.batch_bytes, wire.held_bytes, wire.held_count)
        self._sets.most_record_bytes = wire.record_bytes
        self._sender = Sender(wire, self._sets)
        self._outbox = self._sender.outbox
        self._topics: dict[str, Topic] = {}
        self._routes: dict[tuple[str, str, tuple[tuple[str, bytes | None], ...]], int] = {}
        self._header_sets: dict[str, int] = {}
        self._token = object()
        self._acks: dict[int, Ack] = {}
        self._left: dict[int, int] = {}
        self._next_delivery = 0
        self._unanswered = 0

    def __del__(self) -> None:
        with suppress(AttributeError):
            self._sender.end(0)

    def __len__(self) -> int:
        return self._unanswered + self._outbox.qsize()

    # -- sending --------------------------------------------------------------------------------------------------

    def send(self, batch: Sequence[Outgoing], first: int, ack: Ack) -> int:
        sets, put, now_ms = self._sets, self._sets.put, time.time_ns() // 1_000_000
        end, route, own, reason = len(batch), self._module.NONE, None, 0
        last_topic = last_table = last_headers = None
        self.stopped = first
        delivery = self._expect(ack)
        try:
            while self.stopped < end:
                topic, key, value, partition, headers, table, timestamp_ms = batch[self.stopped]
                if topic is not last_topic or table is not last_table or headers is not last_headers:
                    last_topic = None
                    route, own = self._route(topic, table, headers)
                    if route == self._module.NONE:
                        self._look_ahead(batch[self.stopped:])
                        break
                    last_topic, last_table, last_headers = topic, table, headers
                reason = put(route, key, value, partition, timestamp_ms, delivery, now_ms, own)
                if reason:
                    break
                self.stopped += 1
        finally:
            self._took(delivery, self.stopped - first)
            self.size_bytes = sets.value_bytes
        self._judge(reason)
        return self.stopped

    def send_batch(self, out: Any, first: int, ack: Ack) -> int:
        sets, none, now_ms = self._sets, self._module.NONE, time.time_ns() // 1_000_000
        routes = [self._known(each) for each in out.routes]
        self.stopped, end, reason = first, len(out), 0
        delivery = self._expect(ack)
        try:
            while True:
                self.stopped = sets.put_batch(out, self.stopped, routes, delivery, now_ms)
                reason = sets.reason
                if reason != self._module.NO_ROUTE:
                    break
                outgoing = out.outgoing(self.stopped)
                route, own = self._route(outgoing.topic, outgoing.table, outgoing.headers)
                reason = 0
                if route == none:
                    self._look_ahead(out.routes)
                    break
                if own is None:
                    routes = [self._known(each) for each in out.routes]
                    continue
                reason = sets.put(route, outgoing.key, outgoing.value, outgoing.kafka_partition,
                                  outgoing.timestamp_ms, delivery, now_ms, own)
                if reason:
                    break
                self.stopped += 1
                if self.stopped == end:
                    break
        finally:
            self._took(delivery, self.stopped - first)
            self.size_bytes = sets.value_bytes
        self._judge(reason)
        return self.stopped

    def _known(self, route: Any) -> int:
        """The number of a route that `_route` has made, or NONE."""
        cache = route.cache
        if type(cache) is not tuple or cache[0] is not self._token:
            found = self._routes.get((route.topic, route.table, tuple(route.headers)))
            if found is None:
                none: int = self._module.NONE
                return none
            cache = route.cache = self._token, found
        known: int = cache[1]
        return known

    def _route(self, topic: str, table: str, headers: Sequence[tuple[str, bytes | None]]) -> tuple[
            int, Sequence[tuple[str, bytes | None]] | None]:
        """The number of a route, NONE if its topic is not open yet, and headers that each record must bring. Raises
        what the owner's `opened` raises, and KafkaException if nothing can be sent to the topic."""
        key = topic, table, tuple(headers)
        found = self._routes.get(key)
        if found is not None:
            return found, None
        if not self._owner.opened(topic, table):
            return self._module.NONE, None
        known = self._learn(topic)
        if known.refused is not None:
            raise KafkaException(error_of(*known.refused))
        if not known.count:
            return self._module.NONE, None
        own = None
        if headers and self._header_sets.get(topic, 0) >= _MOST_HEADER_SETS:
            own, key = headers, (topic, table, ())
            found = self._routes.get(key)
        elif headers:
            self._header_sets[topic] = self._header_sets.get(topic, 0) + 1
        if found is None:
            found = self._routes[key] = self._sets.route(known.number, key[2])
        return found, own

    def _look_ahead(self, further: Sequence[Any]) -> None:
        """Asks for the partitions of all topics of *further* that are open, so that they come with one answer. An error
        of another record's topic comes again when it is that one's turn."""
        with suppress(SinkError):
            for each in further:
                if each.topic not in self._topics and self._owner.opened(each.topic, each.table):
                    self._learn(each.topic)

    def _learn(self, name: str) -> Topic:
        topic = self._topics.get(name)
        if topic is None:
            topic = self._topics[name] = Topic(name, self._sets.topic(name))
            self._sender.add(topic)
        return topic

    def _expect(self, ack: Ack) -> int:
        failure = self._sender.producing.failure
        if failure is not None:
            self._handle(0)  # the ack of the record that is the reason is to be the first
            raise KafkaException(error_of(*failure))
        number = self._next_delivery
        while number in self._acks:
            number = (number + 1) & 0x7FFFFFFF
        self._next_delivery = (number + 1) & 0x7FFFFFFF
        self._acks[number] = ack
        self._left[number] = 0
        return number

    def _took(self, delivery: int, count: int) -> None:
        self._unanswered += count
        self._left[delivery] += count
        if not self._left[delivery]:
            del self._left[delivery], self._acks[delivery]
        self._sender.producing.pushed = not self._lingers and self._unanswered <= FEW
        self._sender.wake()
        if self._sender.producing.failure is not None:  # it came meanwhile
            give_up_waiting(self._sets, self._sender.cluster, self._outbox)

    def _judge(self, reason: int) -> None:
        """What *reason* means: a full queue, or an error of the record at `stopped`."""
        if reason == self._module.FULL:
            self._sender.producing.pushed = True
            self._sender.wake()
            self.full_count += 1
        elif reason == self._module.TOO_LARGE:
            raise KafkaException(error_of(KafkaError.MSG_SIZE_TOO_LARGE, ""))
        elif reason == self._module.BAD_PARTITION:
            raise KafkaException(KafkaError(KafkaError._UNKNOWN_PARTITION))
        assert reason in (0, self._module.FULL), "a route has a topic whose partitions are known"

    # -- answers --------------------------------------------------------------------------------------------------

    def poll(self, timeout: float) -> int:
        if timeout > 0 and not self._lingers and self._unanswered and not self._sender.producing.pushed:
            self._sender.producing.pushed = True
            self._sender.wake()
        return self._handle(timeout)

    def flush(self, timeout: float) -> int:
        self._sender.producing.pushed = True
        self._sender.wake()
        deadline = time.monotonic() + timeout
        while len(self):
            left_s = deadline - time.monotonic()
            self._handle(max(0.0, left_s))
            if left_s <= 0:
                break
        return len(self)

    def _handle(self, timeout: float) -> int:
        """Handles all that is there, after up to *timeout* seconds for the first; returns how many answers and notes
        these were."""
        told = 0
        try:
            item = self._outbox.get(timeout=timeout) if timeout > 0 else self._outbox.get_nowait()
            while True:
                told += self._tell(item)
                item = self._outbox.get_nowait()
        except Empty:
            return told

    def _tell(self, item: Item) -> int:
        if isinstance(item, Delivered):
            count = 0
            for number, part in item.deliveries:
                ack = self._answered(number, part)
                count += part
                if ack is not None:
                    ack.delivered(part)
            return count
        if isinstance(item, Undeliverable):
            return self._give_up(item)
        if isinstance(item, Told):
            self._owner.on_error(error_of(item.code, item.text))
        elif isinstance(item, Counted):
            self._owner.on_statistics(item.text)
        elif item is None:
            return 0
        else:
            self._owner.on_log(item.level, item.text)
        return 1

    def _answered(self, number: int, count: int) -> Ack | None:
        """The ack of a delivery, *count* of whose records have their answer now; None after `close`."""
        self._unanswered -= count
        ack = self._acks.get(number)
        if ack is not None:
            self._left[number] -= count
            if not self._left[number]:
                del self._left[number], self._acks[number]
        return ack

    def _give_up(self, item: Undeliverable) -> int:
        """Tells each record's ack; first of those that are the reason."""
        records, acks = item.records, list[tuple[int, Ack | None]]()
        at = 0
        for number, count in records.deliveries:
            ack = self._answered(number, count)
            acks += [(index, ack) for index in range(at, at + count)]
            at += count
        culprits = set(item.culprits)
        error = error_of(item.code, item.text)
        for index, ack in sorted(acks, key=lambda pair: pair[0] not in culprits) if culprits else acks:
            if ack is not None:
                ack.failed(self._owner.undelivered(error, self._undelivered(item.topic, *records.sizes(index))))
        records.give_back()
        return at

    # -- brokers and the end --------------------------------------------------------------------------------------

    def purge(self) -> None:
        self._sender.give_up(_PURGE_S)

    def list_topics(self, *, timeout: float) -> None:
        answer = self._sender.ask()
        try:
            error = answer.get(timeout=timeout if 0 <= timeout < math.inf else None)
        except Empty:
            error = KafkaError(KafkaError._TIMED_OUT)
        if error is not None:
            raise KafkaException(error)

    def close(self) -> None:
        self._acks.clear()
        self._left.clear()
        self._sender.end(_END_S)

    def init_transactions(self, timeout: float) -> None:
        raise KafkaException(KafkaError(KafkaError._NOT_CONFIGURED))

    def begin_transaction(self) -> None:
        raise KafkaException(KafkaError(KafkaError._NOT_CONFIGURED))

    def commit_transaction(self) -> None:
        raise KafkaException(KafkaError(KafkaError._NOT_CONFIGURED))

    def abort_transaction(self, timeout: float) -> None:
        raise KafkaException(KafkaError(KafkaError._NOT_CONFIGURED))
