"""Which batch goes where and when, and what an answer to it means. It runs in the sender's thread.

A set of records that is full goes out as soon as its partition may send. One that is open goes out when nothing of its
partition is under way and its owner has nothing more to add for now (`pushed`), or has had `linger.ms`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final

from confluent_kafka import KafkaError

from cdc.core.named_tuple import NamedTuple
from cdc.kafka.linger import LINGER_S, MOST_LINGER_S
from cdc.native import module

from . import protocol
from .cluster import Cluster, Node
from .compression import CODES, compressor, decompressor
from .connection import Broken, Connection, Request
from .outbox import Delivered, Item, Told, Undeliverable
from .partition import (
    DELIVERED,
    OUT_OF_ORDER,
    OVERSIZED,
    RETRIABLE,
    STALE,
    Batch,
    Partition,
    Topic,
)
from .protocol import Piece, ProtocolError, Reader
from .settings import WireSettings

if TYPE_CHECKING:
    from cdc.native.recordsets import RecordSet, RecordSets

_REQUEST_BYTES: Final = 1 << 20
"""No further batch joins a request that has so many."""

_TELL_FAILURES: Final = 3
"""After so many in a row, which takes most of a second, somebody should know."""


class Failure(NamedTuple):
    """Why the producer ended, as the code and text of a KafkaError."""

    code: int
    text: str


class Producing:
    """*failure*: set once the producer has ended; nothing is sent any more, and all that it had was given up.
    *pushed*: another thread sets it while the owner of the records has nothing to add to them. *numbered*: whether any
    batch was sent. *broken*: connections that broke while they were written to; the sender takes them from there.
    """

    def __init__(self, settings: WireSettings, cluster: Cluster, sets: RecordSets, outbox: SimpleQueue[Item]) -> None:
        self._settings, self._cluster, self._sets, self._outbox = settings, cluster, sets, outbox
        self._compress = compressor(settings.compression, settings.level)
        self._decompress = decompressor(settings.compression)
        self._attributes = CODES[settings.compression]
        self._batch_head = module("recordsets").batch_head
        self._waiting: dict[Partition, None] = {}
        self._again = 0.0
        self.producer: tuple[int, int] | None = None
        self.failure: Failure | None = None
        self.pushed = False
        self.broken: list[tuple[Node, Broken]] = []
        self.numbered = False

    # -- sending --------------------------------------------------------------------------------------------------

    def dispatch(self, now: float) -> tuple[float, set[int]]:
        """Sends what may be sent. Returns when to call again at the latest, and which brokers are needed that have no
        connection."""
        missing = set[int]()
        while not self.broken and (plan := self._plan(now, missing)):
            now = time.monotonic()  # compressing takes a while
            for node, batches in plan.items():
                self._send(node, batches, now)
        return self._again, missing

    def _plan(self, now: float, missing: set[int]) -> dict[Node, list[Batch]]:
        """For each broker the batches of the next request: one of each partition that may send."""
        self._again = now + 1.0
        plan: dict[Node, list[Batch]] = {}
        sizes: dict[Node, int] = {}
        for partition in list(self._waiting):
            node = self._free(partition, now, missing)
            if node is None:
                continue
            batch = partition.waiting(node.connection)
            if batch is None:
                if partition.under_way == len(partition.batches):
                    del self._waiting[partition]
            elif sizes.get(node, 0) < _REQUEST_BYTES:
                sizes[node] = sizes.get(node, 0) + self._prepare(batch)
                plan.setdefault(node, []).append(batch)
        for number, at in self._sets.ready(all=True):
            topic = self._cluster.topics.get(number)
            if topic is None or at >= len(topic.partitions):
                continue
            partition = topic.partitions[at]
            node = None if partition in self._waiting else self._free(partition, now, missing)
            if node is None or sizes.get(node, 0) >= _REQUEST_BYTES:
                continue
            records = self._sets.take(number, at, False)
            if records is None:
                due = self._open_until(partition, now)
                if due > now:
                    self._look_at(due)
                    continue
                records = self._sets.take(number, at, True)
                if records is None:
                    continue
            batch = self._add(partition, records, now)
            sizes[node] = sizes.get(node, 0) + self._prepare(batch)
            plan.setdefault(node, []).append(batch)
        return plan

    def _look_at(self, when: float) -> None:
        self._again = min(self._again, when)

    def _add(self, partition: Partition, records: RecordSet, now: float) -> Batch:
        since = now if partition.seen_at is None else partition.seen_at
        partition.seen_at = None
        self._waiting[partition] = None
        batches = [partition.add(part, since) for part in self._fitting(records, partition.topic.most_bytes)]
        return batches[0]

    def _fitting(self, records: RecordSet, most_bytes: int) -> list[RecordSet]:
        """*records* in parts that a broker took before: one above the topic's limit is refused each time."""
        if records.count == 1 or records.raw_bytes <= most_bytes:
            return [records]
        return [part for half in records.split() for part in self._fitting(half, most_bytes)]

    def _free(self, partition: Partition, now: float, missing: set[int]) -> Node | None:
        """The broker that takes a batch of *partition* now."""
        node = self._cluster.leader(partition)
        if node is None:
            if self._cluster.want(partition.topic):
                self._look_at(now)
            return None
        connection = node.connection
        if connection is None:
            missing.add(node.id)
            return None
        if not partition.may_send(self._settings.in_flight, now):
            if not partition.under_way:
                self._look_at(partition.retry_at)
            return None
        if not connection.is_free(now):
            if now < connection.quiet_until:
                self._look_at(connection.quiet_until)
            return None
        return node

    def _open_until(self, partition: Partition, now: float) -> float:
        """When the open set of *partition* is to go out."""
        if partition.seen_at is None:
            partition.seen_at = now
        linger_s = self._settings.linger_s
        if linger_s is None:
            if not partition.under_way:
                return now if self.pushed else partition.seen_at + LINGER_S
            return partition.seen_at + MOST_LINGER_S
        return now if self.pushed else partition.seen_at + linger_s

    def _prepare(self, batch: Batch) -> int:
        """Makes the bytes of *batch*, once; returns how many they are."""
        if not batch.head:
            assert self.producer is not None
            records = batch.records
            batch.payload = records.records() if self._compress is None else self._compressed(records)
            producer_id, epoch = self.producer
            sequence = batch.partition.number_of(batch)
            batch.head = self._batch_head(records.base_ms, records.max_ms, records.count, batch.payload,
                                          self._attributes, producer_id, epoch, sequence)
        return len(batch.head) + len(batch.payload)

    def _compressed(self, records: RecordSet) -> bytes:
        """They stay in the memory in this form only."""
        assert self._compress is not None
        with records.records() as raw:
            payload = self._compress(raw)
        records.pack(payload, self._decompress)
        return payload

    def _send(self, node: Node, batches: list[Batch], now: float) -> None:
        if len(batches) > 1:
            batches.sort(key=lambda batch: batch.partition.topic.number)
        for batch in batches:
            partition = batch.partition
            if batch.attempts:
                node.retries += 1
            partition.sent(batch)
            if partition.under_way == len(partition.batches):
                self._waiting.pop(partition, None)
        self.numbered = True
        connection = node.connection
        assert connection is not None
        pieces = [Piece(batch.partition.topic.data, batch.partition.number, batch.head, batch.payload)
                  for batch in batches]
        try:
            connection.produce(pieces, batches, now)
        except Broken as exc:
            self.broken.append((node, exc))

    # -- answers --------------------------------------------------------------------------------------------------

    def answered(self, node: Node, connection: Connection, request: Request, reader: Reader, now: float) -> None:
        """Of a Produce request. Raises ProtocolError if the answer is none; then the request counts as unanswered."""
        found, throttle_ms = protocol.produce_answer(reader, request.version)
        answers = {(each.topic, each.partition): each for each in found}
        batches: list[Batch] = request.about
        if len(answers) != len(batches) or any(
                (each.partition.topic.name, each.partition.number) not in answers for each in batches):
            raise ProtocolError("the answer to a Produce request is about other partitions")
        if throttle_ms > 0:
            connection.quiet_until = now + throttle_ms / 1000
        node.round_trips.append(now - request.sent_at)
        if self.failure is not None:
            return  # all was given up meanwhile
        delivered: list[tuple[int, int]] = []
        refused = []
        for batch in batches:
            answer = answers[batch.partition.topic.name, batch.partition.number]
            if answer.code in DELIVERED:
                delivered += self._delivered(batch)
            else:
                node.errors += 1
                refused.append((batch, answer))
        if delivered:
            self._outbox.put(Delivered(delivered))
        for batch, answer in refused:
            if self.failure is None:
                self._refused(batch, answer, connection, now)

    def _delivered(self, batch: Batch) -> list[tuple[int, int]]:
        """Returns the deliveries of all that is in the log now."""
        partition, found = batch.partition, list[tuple[int, int]]()
        for each in partition.delivered(batch):
            found += each.records.deliveries
            each.payload = b""
            each.records.give_back()
        if not partition.batches:
            self._waiting.pop(partition, None)
        return found

    def _refused(self, batch: Batch, answer: protocol.Produced, connection: Connection, now: float) -> None:
        partition, code = batch.partition, answer.code
        if code in RETRIABLE or (code in OUT_OF_ORDER and partition.explained(batch)):
            self.retry([batch], now)
            if partition.failures == _TELL_FAILURES:
                reason = answer.message or KafkaError(code).str()
                self._outbox.put(Told(code, f"{partition}: {reason}; it is tried again"))
            if code in STALE:
                self._cluster.want(partition.topic)
        elif code == KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER and partition.doubts(batch, connection):
            self._waiting[partition] = None
        elif code in OVERSIZED and batch.records.count > 1:
            batch.payload = b""
            partition.topic.most_bytes = min(partition.topic.most_bytes, batch.records.raw_bytes - 1)
            partition.split(batch, batch.records.split())
            self._waiting[partition] = None
        else:
            text = KafkaError(code).str()
            details = "; ".join([*([answer.message] if answer.message else []),
                                 *(f"record {index}: {why}" for index, why in answer.refused[:3] if why)])
            self.fail(code, f"{text}: {details}" if details else text, batch, [index for index, _ in answer.refused])

    def retry(self, batches: Iterable[Batch], now: float) -> None:
        """They were sent, and are to be sent again."""
        for batch in batches:
            batch.partition.failed(batch, now, self._settings.retry_s, self._settings.retry_most_s)
            self._waiting[batch.partition] = None

    # -- the end --------------------------------------------------------------------------------------------------

    def expire(self, now: float) -> None:
        """Ends the producer if a record is older than its time limit."""
        limit_s = self._settings.delivery_s
        if not limit_s or self.failure is not None:
            return
        for number, at in self._sets.ready(all=True):  # one set of each partition, for its age
            topic = self._cluster.topics.get(number)
            if topic is not None and at < len(topic.partitions) and not topic.partitions[at].batches:
                partition = topic.partitions[at]
                records = self._sets.take(number, at, True)
                if records is not None:
                    self._add(partition, records, now)
        for topic in self._cluster.topics.values():
            for partition in topic.partitions:
                if partition.batches and now - partition.batches[0].since >= limit_s:
                    code = KafkaError._MSG_TIMED_OUT
                    self.fail(code, KafkaError(code).str(), partition.batches[0])
                    return

    def check(self, topics: Iterable[Topic]) -> None:
        """Ends the producer if it has records for one of *topics* that cannot be delivered."""
        for topic in topics:
            if topic.refused is None or self.failure is not None:
                continue
            first = next((each.batches[0] for each in topic.partitions if each.batches), None)
            if first is not None:
                self.fail(*topic.refused, first)
            elif ready := self._sets.ready(topic.number, all=True):
                records = self._sets.take(*ready[0], True)
                if records is not None:
                    partition = topic.partitions[ready[0][1]]
                    self.fail(*topic.refused, partition.add(records, 0.0))

    def fail(self, code: int, text: str, culprit: Batch | None = None, records: Sequence[int] = ()) -> None:
        """Ends the producer. *culprit*, and of it *records* if there are any, is told first, with this error: what is
        told later changes nothing. So it is in the outbox before anybody may see `failure`. All else is given up with
        it."""
        if self.failure is not None:
            return
        if culprit is not None:
            self._give_up(culprit, code, text, records)
        self.failure = Failure(code, text)
        self.give_up_all()

    def give_up_all(self) -> None:
        """All batches, and all records that wait."""
        for topic in self._cluster.topics.values():
            for partition in topic.partitions:
                for batch in list(partition.batches):
                    sent = batch.attempts > 0
                    code = KafkaError._PURGE_INFLIGHT if sent else KafkaError._PURGE_QUEUE
                    self._give_up(batch, code, KafkaError(code).str())
        self._waiting.clear()
        give_up_waiting(self._sets, self._cluster, self._outbox)

    def _give_up(self, batch: Batch, code: int, text: str, culprits: Sequence[int] = ()) -> None:
        partition = batch.partition
        partition.batches.remove(batch)
        if batch.under_way:
            partition.under_way -= 1
        batch.payload = b""
        self._outbox.put(Undeliverable(batch.records, partition.topic.name, code, text, culprits))


def give_up_waiting(sets: RecordSets, cluster: Cluster, outbox: SimpleQueue[Item]) -> None:
    """Records that nobody has taken to send. Any thread."""
    code = KafkaError._PURGE_QUEUE
    text = KafkaError(code).str()
    while ready := sets.ready(all=True):
        for number, at in ready:
            records = sets.take(number, at, True)
            if records is not None:
                outbox.put(Undeliverable(records, cluster.topics[number].name, code, text, ()))


