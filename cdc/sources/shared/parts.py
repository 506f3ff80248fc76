"""The parts that a database gives to `LogSource`, and what the shell asks of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from cdc.core.errors import CdcError
from cdc.core.position import Position
from cdc.sources.snapshot.progress import Progress

from .blocking import Rows


class LogPosition(Position, Protocol):
    """What the shell asks of a database's position."""

    @property
    def snapshot(self) -> str | None:
        """`INITIAL` while the snapshot is not complete: the stream cannot begin yet."""
        ...

    @property
    def progress(self) -> Progress | None:
        """How far that snapshot is; None if the position does not tell."""
        ...

    @property
    def control(self) -> Mapping[str, Any]:
        """The offset's keys of signals and of the snapshots that they ask for (`control.OFFSET_KEYS`)."""
        ...


class Settings(Protocol):
    """What the shell asks of a connector's settings."""

    @property
    def topic_prefix(self) -> str: ...
    @property
    def snapshot_mode(self) -> str: ...
    @property
    def snapshot_mode_configured(self) -> Sequence[str]: ...
    @property
    def snapshot_delay_ms(self) -> int: ...
    @property
    def snapshot_max_threads(self) -> int: ...
    @property
    def streaming_delay_ms(self) -> int: ...
    @property
    def heartbeat_interval_ms(self) -> int: ...
    @property
    def max_batch_size(self) -> int: ...
    @property
    def signal_enabled_channels(self) -> Sequence[str]: ...
    @property
    def cdc_snapshot_added_tables(self) -> str: ...
    @property
    def notification_enabled_channels(self) -> Sequence[str]: ...
    @property
    def notification_sink_topic_name(self) -> str | None: ...


class SnapshotReader(Rows, Protocol):
    """A snapshot being read (`cdc.sources.snapshot`)."""

    final: Any
    """The position to stream from."""

    def follow_commits(self, wait: Callable[[float], None]) -> None: ...

    def committed(self, progress: Progress | None) -> None: ...


class Reader(Protocol):
    """The thread that keeps the server's socket served."""

    @property
    def queued_bytes(self) -> int: ...

    def take(self, timeout: float, max_bytes: int) -> Sequence[bytes]: ...

    def stop(self) -> None: ...


class Watcher(Protocol):
    """What asks the server now and then (`monitor.Monitor`)."""

    @property
    def numbers(self) -> Mapping[str, float]: ...

    @property
    def failure(self) -> CdcError | None: ...

    def wake(self) -> None: ...

    def stop(self) -> None: ...
