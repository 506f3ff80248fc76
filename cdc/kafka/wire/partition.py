"""One partition's batches from the first request to the answer: their sequences, their order, and what an error means.

An idempotent producer numbers the records of each partition. A broker takes a batch only if its number follows that of
the batch before, and knows again the last five batches it has; so a batch may be sent again as long as it has the same
bytes and the same number (KIP-98; Java: `Sender`, `TransactionManager`, `ProducerStateManager`). The rules here:

- Batches go out in order. Several are under way only to one broker, and only once the first of them was acknowledged
  alone: a broker that has nothing of a producer, as after a topic was made again, takes any number as the first.
- After an error that may pass, nothing more is sent until all that is under way is answered. Then the oldest batch goes
  first, alone, and the others follow in order.
- No number is ever given twice, and none is left out: a batch that cannot be delivered ends the whole producer.
- A broker that was shut down in order knows again only the last batch of a producer (`ProducerSnapshot`), and calls
  those before it out of order. So if such an error is the answer to a batch that was sent before, the next one that was
  sent before goes, alone and on the same connection. Once one is taken, or known again, all before it are in the log,
  since a broker that knows a producer takes only what follows. If none is, the producer ends.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

from confluent_kafka import KafkaError

if TYPE_CHECKING:
    from cdc.native.recordsets import RecordSet

STALE: Final = frozenset({
    KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE, KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError.REPLICA_NOT_AVAILABLE, KafkaError.KAFKA_STORAGE_ERROR, KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.UNKNOWN_LEADER_EPOCH, KafkaError.BROKER_NOT_AVAILABLE,
})
"""Errors after which the partition may have another leader."""
RETRIABLE: Final = STALE | {
    KafkaError.REQUEST_TIMED_OUT, KafkaError.NETWORK_EXCEPTION, KafkaError.NOT_ENOUGH_REPLICAS,
    KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND, KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE, KafkaError.NOT_COORDINATOR, KafkaError.NOT_CONTROLLER,
    KafkaError.THROTTLING_QUOTA_EXCEEDED,
}
"""Errors that may pass: the same batch is sent again."""
DELIVERED: Final = frozenset({KafkaError.NO_ERROR, KafkaError.DUPLICATE_SEQUENCE_NUMBER})
OUT_OF_ORDER: Final = frozenset({KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER, KafkaError.UNKNOWN_PRODUCER_ID})
OVERSIZED: Final = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE})
_SEQUENCES: Final = 2**31
NO_LEADER: Final = -1


class Batch:
    """*records*: the set. *head* and *payload*: its bytes, which `producing.py` makes once, for all attempts.
    *sequence*: of its first record; -1 until it is sent. *since*: when its first record came, in seconds of the
    monotonic clock."""

    __slots__ = ("attempts", "head", "partition", "payload", "records", "sequence", "since", "under_way")

    def __init__(self, partition: Partition, records: RecordSet, since: float) -> None:
        self.partition, self.records, self.since = partition, records, since
        self.head = b""
        self.payload: bytes | memoryview = b""
        self.sequence = -1
        self.attempts = 0
        self.under_way = False


class Topic:
    """*count*: how many partitions it has; 0 until a broker has told. *refused*: why nothing can be sent to it, as the
    code and text of a KafkaError. *most_bytes*: batches with more records were refused as too large.

    The sender's thread changes it; other threads may read `count` and `refused`.
    """

    __slots__ = ("ask_at", "asks", "count", "data", "lacking_since", "most_bytes", "name", "number", "partitions",
                 "refused")

    def __init__(self, name: str, number: int) -> None:
        self.name, self.number, self.data = name, number, name.encode()
        self.partitions: list[Partition] = []
        self.count = 0
        self.most_bytes = 2**31
        self.refused: tuple[int, str] | None = None
        self.lacking_since: float | None = None
        self.asks, self.ask_at = 0, 0.0


class Partition:
    """*batches*: those without an answer, in order. *under_way*: how many of them were sent and not answered, all to
    the broker *sent_to*. *settled*: several may be. *doubted*: so many, from the first on, are out of order for the
    broker on *doubted_on*."""

    __slots__ = ("batches", "doubted", "doubted_on", "failures", "leader", "next_sequence", "number", "retry_at",
                 "seen_at", "sent_to", "settled", "topic", "under_way")

    def __init__(self, topic: Topic, number: int) -> None:
        self.topic, self.number = topic, number
        self.leader = self.sent_to = NO_LEADER
        self.batches: list[Batch] = []
        self.under_way = self.next_sequence = self.failures = self.doubted = 0
        self.doubted_on: object = None
        self.settled = False
        self.retry_at = 0.0
        self.seen_at: float | None = None

    def __repr__(self) -> str:
        return f"{self.topic.name} [{self.number}]"

    def may_send(self, most: int, now: float) -> bool:
        """Whether one batch more may go to the leader, with at most *most* under way."""
        if not self.under_way:
            return now >= self.retry_at
        return self.settled and self.under_way < most and self.sent_to == self.leader

    def waiting(self, connection: object) -> Batch | None:
        """The batch to be sent next on *connection*, of those that were taken already; `may_send` has said yes."""
        if self.doubted and self.doubted_on is not connection:
            self.doubted = 0
        at = self.doubted + self.under_way
        return self.batches[at] if at < len(self.batches) else None

    def add(self, records: RecordSet, since: float) -> Batch:
        batch = Batch(self, records, since)
        self.batches.append(batch)
        return batch

    def number_of(self, batch: Batch) -> int:
        """Gives *batch* its sequence, unless it has one."""
        if batch.sequence < 0:
            batch.sequence = self.next_sequence
            self.next_sequence = following(batch.sequence, batch.records.count)
        return batch.sequence

    def sent(self, batch: Batch) -> None:
        assert batch is self.batches[self.doubted + self.under_way], "out of order"
        batch.under_way = True
        batch.attempts += 1
        self.under_way += 1
        self.sent_to = self.leader

    def delivered(self, batch: Batch) -> list[Batch]:
        """Returns the batches that are in the log now: *batch*, after those that were doubted before it."""
        self._answered(batch)
        if batch is not self.batches[self.doubted]:
            self.batches.remove(batch)
            return [batch]
        found = self.batches[:self.doubted + 1]
        del self.batches[:self.doubted + 1]
        self.failures, self.retry_at, self.doubted = 0, 0.0, 0
        if not self.under_way:
            self.settled = True
        return found

    def doubts(self, batch: Batch, connection: object) -> bool:
        """*batch* is out of order for the broker on *connection*. Whether it may be in the log all the same: then it
        was sent before, as the next one was, which goes now."""
        at = self.batches.index(batch)
        further = self.batches[at + 1:at + 2]
        if at != self.doubted or batch.attempts < 2 or not further or not further[0].attempts:
            return False
        self._answered(batch)
        self.settled = False
        self.doubted, self.doubted_on = at + 1, connection
        return True

    def explained(self, batch: Batch) -> bool:
        """Whether a batch before *batch*, and not doubted, was not taken: a broker then must find the sequence of
        *batch* wrong."""
        return any(not each.under_way for each in self.batches[self.doubted:self.batches.index(batch)])

    def failed(self, batch: Batch, now: float, first_s: float, most_s: float) -> None:
        """*batch* is to be sent again, after a pause that doubles."""
        self._answered(batch)
        self.settled, self.doubted = False, 0
        if now >= self.retry_at:
            self.failures += 1
            pause = min(first_s * 2 ** min(self.failures - 1, 20), most_s)
            self.retry_at = now + pause * random.uniform(0.8, 1.2)

    def split(self, batch: Batch, parts: list[RecordSet]) -> None:
        """*parts* take the place of *batch*, which a broker has refused whole, and share its sequences."""
        self._answered(batch)
        self.settled, self.doubted = False, 0
        at, sequence = self.batches.index(batch), batch.sequence
        made = []
        for records in parts:
            part = Batch(self, records, batch.since)
            part.sequence, part.attempts = sequence, batch.attempts
            sequence = following(sequence, records.count)
            made.append(part)
        self.batches[at:at + 1] = made

    def _answered(self, batch: Batch) -> None:
        assert batch.under_way, "answered twice"
        batch.under_way = False
        self.under_way -= 1


def following(sequence: int, count: int) -> int:
    """The sequence after *count* records from *sequence* on (`DefaultRecordBatch.incrementSequence`)."""
    return (sequence + count) % _SEQUENCES
