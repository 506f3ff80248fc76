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
   *Crash here*: the server still has it, but the source drops what the committed position says was delivered.
6. Only then the task **confirms** the position to the source, and the source may let the server forget it.
   *Crash here*: nothing is lost or repeated.

Ack, commit, confirm, in that order, is at-least-once. A failure in 3 or 4 stops the task at that batch; nothing
behind it is ever committed past it.

Threads: a source may run a thread of its own that keeps the server's socket served; every method below is called
from the task's thread only, except `interrupt`, which may come from any.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from .position import Offset, Position
from .record import Batch, Message, Record
from .schema import Schema


class Outgoing(NamedTuple):
    """One record as bytes. *key* or *value* None is Kafka's null; *kafka_partition* -1 leaves it to the partitioner
    (murmur2 of the key bytes, as Java's). *table* names the origin for messages about it."""

    topic: str
    key: bytes | None
    value: bytes | None
    kafka_partition: int
    headers: Sequence[tuple[str, bytes | None]]
    table: str


class Source(Protocol):
    """One database's change log, read by one connection."""

    def start(self, offset: Offset | None) -> None:
        """Connect, check, and begin after *offset* (None: nothing was ever committed).

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
        """Whether nothing more will ever come (a snapshot without streaming), after the last batch was polled."""
        ...

    def state(self) -> str:
        """`snapshotting` or `streaming`; any thread."""
        ...

    def interrupt(self) -> None:
        """A wait in `start`, or between snapshot and stream, ends soon, with an error or without: the task is to stop.
        From any thread; for good."""
        ...

    def stop(self) -> None:
        """Let go of the server: an orderly end of the stream when it can be had quickly. Idempotent."""
        ...

    def partition(self) -> Mapping[str, Any]:
        """The source partition, the offset's key: `{"server": <topic.prefix>}`."""
        ...

    def metrics(self) -> Mapping[str, float]:
        """Plain numbers for the dashboards, by their metric's name; read from any thread."""
        ...


class Transform(Protocol):
    """Record to record. Order is kept; None drops the record. Raises TransformError."""

    def apply(self, record: Record | Message) -> Record | Message | None: ...


class Converter(Protocol):
    """Connect values to bytes, for the key or the value side."""

    def from_connect(self, topic: str, schema: Schema | None, value: Any) -> bytes | None:
        """Serialise one value. Raises ConvertError, RegistryError."""
        ...


class Sink(Protocol):
    """Where outgoings go."""

    def start(self) -> None:
        """Open. Raises SinkConnectionError, SinkRefusedError, ConfigError. May follow `close`, to begin afresh."""
        ...

    def interrupt(self) -> None:
        """A wait in `start` ends soon, with SinkConnectionError: the task is to stop, for good. From any thread."""
        ...

    def send(self, batch: Sequence[Outgoing], first: int, ack: Ack) -> int:
        """Take outgoings from index *first* on, without blocking; returns the index of the first one not taken.

        Less than all is back-pressure: call `poll`, then send the rest. Each taken one is answered exactly once
        through *ack*, in `poll`, `flush` or this call. After a failure in this call nothing behind it is taken.
        """
        ...

    def poll(self, timeout: float) -> None:
        """Serve deliveries for up to *timeout* seconds. Raises nothing: failures reach the acks."""
        ...

    def flush(self, timeout: float) -> int:
        """Wait until all taken outgoings are answered; returns how many are not after *timeout* seconds."""
        ...

    def close(self) -> None:
        """Let go. What was not answered by then is not delivered as far as anybody knows."""
        ...

    def metrics(self) -> Mapping[str, float]: ...


class Ack(Protocol):
    """Counts down one batch's outgoings. `error` is the first failure, if any.

    `on_delivery(err, msg)` is the same in the shape of a Kafka client's callback, called per message and so bare of
    anything between: *err* None is delivered; else it failed, with what `explain(err, msg)`, set by the sink, gives.
    """

    error: Exception | None
    explain: Callable[[Any, Any], Exception] | None

    def delivered(self) -> None: ...

    def failed(self, error: Exception) -> None: ...

    def on_delivery(self, err: Any, msg: Any) -> None: ...


class OffsetStore(Protocol):
    """Offsets by connector and source partition, kept durably. Called from any thread."""

    def start(self) -> None:
        """Open; nothing if it is open. Raises OffsetStoreError, ConfigError."""
        ...

    def load(self, connector: str, partition: Mapping[str, Any]) -> dict[str, Any] | None:
        """The last committed offset, None when there is none. Raises OffsetStoreError."""
        ...

    def commit(self, connector: str, partition: Mapping[str, Any], offset: Offset | None) -> None:
        """Write; returns when it is durable. None deletes. Blocks, so it is called from a thread that may.
        Raises OffsetStoreError."""
        ...

    def close(self) -> None: ...
