"""What a database fills in of the shell around its log (`source.LogSource`): how to connect, where snapshot and stream
meet, and how bytes of its log become records."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Final, Generic, TypeVar

from cdc.core.position import Offset
from cdc.core.record import Batch, Message
from cdc.core.table import TableId
from cdc.sources.snapshot.initial import BATCH_BYTES

from .blocking import Rows, Wanted
from .parts import LogPosition, Reader, SnapshotReader, Watcher

SILENCE_S: Final = 60.0
"""As `core.interfaces.Source.silence_s`."""

P = TypeVar("P", bound=LogPosition)


class LogDatabase(ABC, Generic[P]):
    """Called by the shell in the task's thread, unless a method says otherwise."""

    always_snapshots: ClassVar[bool] = False
    """Whether a first start takes a snapshot in every mode: MySQL's and MariaDB's table structures come from it."""

    @abstractmethod
    def _stored_position(self, offset: Offset) -> P:
        """The position of a stored *offset*. Raises PositionLostError."""

    @abstractmethod
    def _prepare(self, position: P | None) -> None:
        """Connect, and check or make what snapshot and stream need. *position*: the stored one, also that of a snapshot
        to go on with. May be called again with None after PositionLostError. Raises SourceError."""

    @abstractmethod
    def _open_snapshot(self, begun: P | None) -> SnapshotReader:
        """A snapshot that is ready to be read: a new one, or what is left of the one that *begun* belongs to. Raises
        SourceError."""

    @abstractmethod
    def _open_blocking(self, wanted: Wanted[P]) -> Rows:
        """As `BlockingSnapshots` wants it. The stream waits meanwhile, so what it uses may be used. Raises CdcError."""

    @abstractmethod
    def _cancel_blocking(self) -> None:
        """End what `_open_blocking` waits for, in another thread, with an error that passes. From any thread; raises
        nothing."""

    def _blocking_closed(self) -> None:
        """A blocking snapshot was closed."""

    @abstractmethod
    def _read_again(self, position: P) -> P:
        """A position of a snapshot of which nothing was read yet, and whose stream begins at *position*."""

    def _discard_lost(self) -> None:
        """The stored position is given up: remove what the server keeps for it, if that is of no use. Raises
        SourceError."""

    @abstractmethod
    def _check_log(self, begun: P) -> None:
        """Whether the server still has the log from where the snapshot of *begun* began. Raises PositionLostError."""

    @abstractmethod
    def _open_reader(self, position: P | None, *, after_snapshot: bool) -> Reader:
        """Start to read the log from *position*; None is where the server keeps it from. *after_snapshot*: it is where
        the snapshot that was just read in one go began. Raises SourceError."""

    @abstractmethod
    def _open_monitor(self) -> Watcher:
        """Start to watch the server."""

    @abstractmethod
    def _pending(self) -> bool:
        """Whether frames that were taken still hold records, so that nothing needs to be read first."""

    @abstractmethod
    def _read_batch(self, frames: Sequence[bytes], first: int) -> tuple[int, Batch]:
        """Make a batch of *frames* from index *first* on; returns the next index with it."""

    @abstractmethod
    def _tables_to_copy(self, lists: str) -> Sequence[TableId]:
        """As `added.tables_to_copy`. *lists*: those of the stored offset. Raises SourceError."""

    @abstractmethod
    def _heartbeat_record(self) -> Message: ...

    @abstractmethod
    def _cancel(self) -> None:
        """End whatever a server was asked before the stream. From any thread."""

    @abstractmethod
    def _close(self) -> None:
        """Close all connections. Called once reader, monitor and snapshot have stopped; may be called again."""

    @abstractmethod
    def _numbers(self) -> dict[str, float]:
        """The database's own metrics."""

    def _stream_silence_s(self) -> float:
        """`silence_s`, while the log is read."""
        return SILENCE_S

    def _check_snapshot(self, snapshot: Rows) -> None:
        """The last row was read: whether the snapshot holds. Raises SourceConnectionError when it must begin again."""

    def _take(self, reader: Reader, timeout: float) -> Sequence[bytes]:
        return reader.take(timeout, BATCH_BYTES)
