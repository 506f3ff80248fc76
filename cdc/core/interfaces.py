"""Who promises what. These docstrings are the contract; `tests/conformance` holds implementations to it.

The life of a record, and what a crash costs at each point:

1. The **source** reads it and yields it within a `Batch` that ends at a `Position`.
   *Crash here*: nothing was acknowledged; the server sends it again.
2. **Transforms** and the **converter** turn it into an `Outgoing`: topic, key bytes, value bytes, headers.
   *Crash here*: as before.
3. The **sink** takes it. Taking is not delivering: it may sit in a queue of the client library.
   *Crash here*: it may or may not have arrived; it is sent again: a duplicate at worst.
4. The sink **acks** every outgoing of the batch: durably delivered.
   *Crash here*: sent again, a duplicate.
5. When a batch and all batches before it are acked, the task **commits** its position to the offset store. The
   store answers only when the offset is durable.
   *Crash here*: the server still has it, but the source drops everything that the committed position covers.
6. Only then the task **confirms** the position to the source, and the source may let the server forget it.
   *Crash here*: nothing is lost or repeated.

Ack, commit, confirm, in that order, is at-least-once. A failure in 3 or 4 stops the task at that batch: no later
position is ever committed.

Threads: a source may run a thread of its own that keeps the server's socket served; every method below is called
from the task's thread only, except `interrupt`, which may come from any.

What keeps offsets and connectors is in `stores.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import field
from typing import Any, NamedTuple, Protocol, runtime_checkable

from .control import Notification, Signal, SnapshotStatus
from .dataclass import dataclass
from .errors import RecordError
from .outcome import Outcome, Shaped, Transformed
from .position import Offset, Position
from .record import Batch, Message, Record
from .row import Row
from .schema import Schema
from .table import Column, TableId, TableSchema
from .view import Header, RecordView


class Outgoing(NamedTuple):
    """One record as bytes. A *key* or *value* of None is Kafka's null. With *kafka_partition* -1 the partitioner
    chooses (murmur2 of the key bytes, as in Java). *table* names the origin in messages about the record.
    *timestamp_ms*: Kafka's timestamp, ms since 1970; -1 for the producer's clock."""

    topic: str
    key: bytes | None
    value: bytes | None
    kafka_partition: int
    headers: Sequence[tuple[str, bytes | None]]
    table: str
    timestamp_ms: int = -1


class Failed(NamedTuple):
    """A record that did not become an outgoing. *stage* is Kafka Connect's name for what failed (`TRANSFORMATION`,
    `KEY_CONVERTER`, `VALUE_CONVERTER`, `HEADER_CONVERTER`)."""

    record: Transformed
    error: RecordError
    stage: str

    @property
    def source_record(self) -> Record | Message:
        """What the source yielded, whatever transforms made of it."""
        return self.record.record if isinstance(self.record, RecordView | Shaped) else self.record


class Warned(NamedTuple):
    """One warning that lasts: its *kind*, the table or other object it is *about*, a *text* and a *hint* (may be empty)
    for people, and since when, in milliseconds since the epoch."""

    kind: str
    about: str
    text: str
    hint: str
    since_ms: int


class Warnings(Protocol):
    """What a source warns of, beside its log lines. Any thread may ask."""

    def active(self) -> Sequence[Warned]:
        """Those that last, the oldest first."""
        ...

    def begun(self) -> Mapping[str, int]:
        """How many have begun in this run, by kind."""
        ...


class Source(Protocol):
    """One database's change log, read by one connection."""

    def start(self, offset: Offset | None) -> None:
        """Connect, check, and start after *offset* (None: nothing was ever committed).

        Raises SourceConnectionError (retriable), SourceRefusedError, PositionLostError, ConfigError.
        """
        ...

    def poll(self, timeout: float) -> Batch | None:
        """The next records, or None when *timeout* seconds brought none.

        A batch is bounded in bytes and records. A batch may hold no records and still move the position on.
        What was delivered before, as the offset given to `start` says, is not yielded again. Raises what `start`
        raises, and ProtocolError.
        """
        ...

    def confirm(self, position: Position) -> None:
        """*position* is durably committed: the server may forget everything before it. Never blocks."""
        ...

    def finished(self) -> bool:
        """Whether the source has ended: a snapshot without streaming, whose last batch was polled."""
        ...

    def state(self) -> str:
        """`snapshotting` or `streaming`; any thread."""
        ...

    def silence_s(self) -> float:
        """How long this process may stand still before the server may have ended the stream, or let another process
        read it. Cheap; the task asks before it sends."""
        ...

    def interrupt(self) -> None:
        """End a wait in `start`, or between snapshot and stream, soon, with or without an error: the task stops.
        Called from any thread; final."""
        ...

    def stop(self) -> None:
        """Disconnect from the server; end the stream in order if that takes little time. Idempotent."""
        ...

    def partition(self) -> Mapping[str, Any]:
        """The source partition, the offset's key: `{"server": <topic.prefix>}`."""
        ...

    def check_offset(self, offset: Offset) -> None:
        """Whether `start` would understand *offset*; nothing is connected. Raises PositionLostError if not."""
        ...

    def metrics(self) -> Mapping[str, float]:
        """Numbers for the metrics, by the metric's name; read from any thread."""
        ...

    @property
    def warnings(self) -> Warnings:
        """What is wrong with the database's side and does not stop the stream."""
        ...


@runtime_checkable
class NativeSource(Protocol):
    """What a Source may have besides: it can leave the reading of its log to C."""

    def prefer_native(self) -> None:
        """Called before `start`: whoever takes the batches does not look at each record. From now on `Batch.native` is
        set if this installation can do it."""
        ...


@runtime_checkable
class Resting(Protocol):
    """What a Source may have besides: between two calls of `poll` the database keeps something open for it."""

    def rest(self) -> None:
        """The task is paused: end what the database keeps open. The next `poll` goes on behind the last batch."""
        ...


@runtime_checkable
class Pacing(Protocol):
    """What a Source may have besides: it sends only as much ahead of the commits as a restart may repeat."""

    def follow_commits(self, wait: Callable[[float], None]) -> None:
        """Each position that is committed will be given to `confirm`. *wait(seconds)*, for `poll`, waits at most so
        long until the store has answered. Called once, after `start`."""
        ...


@runtime_checkable
class Divided(Protocol):
    """What a Source may have besides: its offset is stored in parts, each in a source partition of its own. One claim
    covers them all (`core.owner.claimed_by`)."""

    def divided(self, offset: Offset) -> Sequence[tuple[Mapping[str, Any], Offset]]:
        """The source partitions and offsets that *offset* is stored in."""
        ...

    def joined(self, stored: Sequence[tuple[Mapping[str, Any], Offset]]) -> dict[str, Any] | None:
        """The offset that these source partitions and offsets make; None if no partition is of this source. Raises
        PositionLostError."""
        ...


@runtime_checkable
class CopiesOnce(Protocol):
    """What a Source may have besides: it can copy tables without a stream, and leave the server as it is."""

    def copy_once(self, tables: Mapping[TableId, str | None]) -> None:
        """Called before `start`, which is then given no offset: read *tables* once, as they are now, and be finished.
        What the service keeps on the server, such as a replication slot, is neither made nor changed; nothing goes out
        but the rows. Each table may have a condition in SQL that its rows must fulfil; it is checked when `start` is
        called, which raises SourceRefusedError for one that the server does not take."""
        ...

    def copied(self, offset: Offset) -> Collection[str]:
        """The names of the tables that had rows, all of which are delivered when *offset* is committed, as
        `Controlled.snapshots` has them; none for the last offset. Any thread."""
        ...


@runtime_checkable
class Controlled(Protocol):
    """What a Source may have besides: operators can talk to it while it runs."""

    def signal(self, signal: Signal) -> None:
        """Act on *signal* in one of the next calls of `poll`. A signal that is not understood is logged, and changes
        nothing. Any thread; never blocks. Raises StateError while too many wait."""
        ...

    def notifications(self) -> Sequence[Notification]:
        """What has happened since the last call, in order. Those that go to a topic are records of a batch as well."""
        ...

    def snapshots(self) -> Sequence[SnapshotStatus]:
        """The snapshots that run or wait, and the last one that has ended. Any thread."""
        ...


@runtime_checkable
class ReadsRows(Protocol):
    """What a Source may have besides: it reads columns of a row again, as they are now, on a connection of its own."""

    def reads(self, table: TableSchema) -> bool:
        """Whether rows of *table* may be read; not those of a table of ours."""
        ...

    def read_row(self, record: Record, columns: Sequence[Column], *, event_key: bool) -> Row | None:
        """The *columns* of the row that *record*, an insert or an update with a key, describes, each at its index; None
        if there is no such row any more. They are as after *record*, or newer: the log may have a transaction before
        others see it, which is waited for.

        The key is the message key with *event_key*, else the table's own. Blocks for seconds at most, unless the server
        takes longer for a query without a lock. Raises SourceConnectionError (retriable), SourceStoppedError once the
        source was interrupted, and SourceRefusedError.
        """
        ...


@runtime_checkable
class Parting(Protocol):
    """What a Source may have besides: something to say when it has to stop."""

    def last_words(self) -> Batch | None:
        """What goes out as the last, at the position of the last batch; None for nothing. Called in the task's thread
        after the last `poll`, also if that raised, and before `stop`."""
        ...


class Transform(Protocol):
    """Changes a record in place, and returns it; None drops it. Called in the records' order, by one thread.

    It may also have a method `outcome(known)`: what `apply` makes of all records with the `Outcome` *known*, or None if
    that depends on the record. If all transforms of a chain know it, records do not become views.
    """

    def apply(self, view: RecordView) -> RecordView | None:
        """Raises TransformError."""
        ...


class Predicate(Protocol):
    """Decides whether a transform applies to a record. Changes nothing.

    It may also have a method `decided(known)`: what `test` says of all records with the `Outcome` *known*, or None if
    that depends on the record.
    """

    def test(self, view: RecordView) -> bool:
        """Raises TransformError."""
        ...


class Transforms(Protocol):
    """All transforms of a connector, in order."""

    def apply(self, records: Sequence[Record | Message], now_us: int, failed: list[Failed] | None = None,
              ) -> Sequence[Transformed]:
        """What is left of *records*, in order. *now_us*: the connector's clock, µs since 1970. Raises
        TransformError, ConvertError."""
        ...

    def outcome(self, table: TableSchema, op: str) -> Outcome | None:
        """What all records of *table* with *op* become; None if that depends on the record."""
        ...


class Converter(Protocol):
    """Connect values to bytes, for the key or the value side."""

    def from_connect(self, topic: str, schema: Schema | None, value: Any) -> bytes | None:
        """Serialise one value. Raises ConvertError, RegistryError."""
        ...


@runtime_checkable
class ReadsHeaders(Protocol):
    """A converter of values that looks at the record's headers. It is called for records that transforms have seen;
    only these have further headers."""

    def from_connect_with(self, topic: str, headers: Sequence[Header], schema: Schema | None, value: Any,
                          ) -> bytes | None:
        """As `from_connect`. Raises ConvertError, RegistryError."""
        ...


@runtime_checkable
class Delegates(Protocol):
    """A converter that leaves some values to another one, whose class is in its configuration."""

    def find_with(self, make: Callable[[str], Converter]) -> None:
        """*make* gives the converter of a class, not configured; it raises ConfigError. Called before `configure`."""
        ...


@runtime_checkable
class WritesHeaders(Protocol):
    """A converter that adds headers to the record of each key or value that is not null, such as the schema's id."""

    def headers_of(self, topic: str, schema: Schema | None) -> Sequence[tuple[str, bytes]]:
        """The headers of all values of *schema* on *topic*, in order; they follow the record's own. Raises
        ConvertError, RegistryError."""
        ...


@runtime_checkable
class PrefixedAvro(Protocol):
    """A converter whose bytes are a prefix, fixed for a topic and a schema, and then the value as Avro.

    Row changes skip such a converter: a compiled plan writes the prefix and then Avro straight from column bytes.
    """

    null_is_default: bool
    """Write a null as the field's default, if it has one."""

    def wire_prefix(self, topic: str, schema: Schema) -> bytes:
        """The bytes before the Avro value. Raises ConvertError, RegistryError."""
        ...


class AvroPrinter(Protocol):
    """Writes values of one schema in another format, from their Avro bytes."""

    def printed(self, avro: bytes) -> bytes:
        """*avro*, one whole value, in the converter's format. Raises ConvertError."""
        ...


@runtime_checkable
class PrintsAvro(Protocol):
    """A converter that can make its bytes from a value's Avro bytes. A compiled plan then writes rows as Avro first,
    and no Connect value is made."""

    @property
    def null_is_default(self) -> bool:
        """Write a null as the field's default, if it has one."""
        ...

    def printer(self, topic: str, schema: Schema) -> AvroPrinter:
        """Prints the values of *schema* for *topic* as `from_connect` does. Raises ConvertError, RegistryError."""
        ...


@dataclass(frozen=True)
class DeadLetters:
    """`errors.deadletterqueue.*`: where records go that cannot be sent. *headers*: with headers that say why."""

    topic: str
    replication_factor: int = 3
    headers: bool = False


@dataclass(frozen=True)
class SinkSettings:
    """What a sink builds itself from: one connector's keys, as the configuration has them."""

    worker: Mapping[str, str] = field(repr=False)
    """The worker's whole configuration; a sink parses its own keys out of it."""
    producer: Mapping[str, str] = field(repr=False)
    """Properties of the connector's Kafka producer, by the names of Java's clients."""
    admin: Mapping[str, str] = field(repr=False)
    """The same for its admin client."""
    topic_creation: Mapping[str, str]
    """The connector's `topic.creation.*` keys; empty when the worker does not allow them."""
    value_converter: Converter
    """The converter that makes the values this sink will get."""
    connector: str = ""
    topic_prefix: str = ""
    shared_offsets: bool = False
    """Whether processes of several hosts can reach the offsets, so that none knows whether another one still runs."""
    dead_letters: DeadLetters | None = None
    """The topic for records that cannot be sent; it needs settings of its own when it is created."""


class Sink(Protocol):
    """Where outgoings go."""

    def start(self) -> None:
        """Open. Raises SinkConnectionError, SinkRefusedError, ConfigError. After `close` it may be called again."""
        ...

    def interrupt(self) -> None:
        """End a wait in `start` soon, with SinkConnectionError: the task stops. Called from any thread; final."""
        ...

    def fence(self) -> None:
        """Called once after `start`, when this process has claimed the offsets, and before the first `send`. From now
        on nothing arrives that another process has sent for this connector, if the sink can ensure that. Raises what
        `start` raises."""
        ...

    def send(self, batch: Sequence[Outgoing], first: int, ack: Ack) -> int:
        """Take outgoings from index *first* on, without blocking; returns the index of the first one not taken.

        If not all were taken, call `poll` and then send the rest (back-pressure). Each one taken is answered exactly
        once through *ack*, in `poll`, `flush` or this call. After a failure in this call, no further one is taken.
        """
        ...

    def poll(self, timeout: float) -> None:
        """Handle deliveries for up to *timeout* seconds. Raises nothing: failures reach the acks."""
        ...

    def flush(self, timeout: float) -> int:
        """Wait until all taken outgoings are answered; returns the number that are not after *timeout* seconds."""
        ...

    def close(self) -> None:
        """Close. An outgoing that was not answered until then counts as not delivered."""
        ...

    def metrics(self) -> Mapping[str, float]: ...


@runtime_checkable
class BatchSink(Protocol):
    """What a Sink may have besides: it takes the messages of a `native.batch.OutBatch` without an Outgoing for each."""

    def send_batch(self, out: Any, first: int, ack: Ack) -> int:
        """As `Sink.send`, with the messages of *out*, an OutBatch. What was taken is copied, so *out* may be changed
        after all of it was taken."""
        ...


class Ack(Protocol):
    """Counts down one batch's outgoings. `error` is the first failure, if any.

    `on_delivery(err, msg)` does the same with the signature of a Kafka client's callback, which is called per message
    and must be fast. If *err* is None, the message was delivered; otherwise `explain(err, msg)`, which the sink sets,
    gives the error.
    """

    error: Exception | None
    explain: Callable[[Any, Any], Exception] | None

    def delivered(self, count: int = 1) -> None:
        """*count* outgoings more arrived."""
        ...

    def failed(self, error: Exception) -> None: ...

    def on_delivery(self, err: Any, msg: Any) -> None: ...
