"""Who keeps offsets and connectors. As in `interfaces.py`, these docstrings are the contract, and `tests/conformance`
holds implementations to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any, Protocol, runtime_checkable

from .dataclass import dataclass
from .named_tuple import NamedTuple
from .owner import Claim, Owner
from .position import Offset


@dataclass(frozen=True)
class StoreSettings:
    """What an offset store builds itself from."""

    worker: Mapping[str, str] = field(repr=False)
    """The worker's whole configuration; a store parses its own keys out of it."""
    client: Mapping[str, str] = field(repr=False)
    """Properties of the worker's own Kafka clients, by the names of Java's."""


class OffsetStore(Protocol):
    """Durable offsets, by connector and source partition. Called from any thread.

    A task that writes them calls `hold`, then `load`, and `claim` once its source has the stream. What only reads, or
    changes an offset once while no task runs, needs no claim; `hold` says whether a task runs elsewhere.
    """

    def start(self) -> None:
        """Open, if it is not open. Raises OffsetStoreError, ConfigError."""
        ...

    def hold(self, connector: str, partition: Mapping[str, Any]) -> None:
        """Keep other processes away from the offset, as far as the store can see whether they run, until `release` or
        `close`. May be called again.

        Raises OffsetsHeldError if another process holds it, OwnerLostError if this store has claimed it and another
        process claimed it since, OffsetStoreError.
        """
        ...

    def load(self, connector: str, partition: Mapping[str, Any]) -> dict[str, Any] | None:
        """The last committed offset, None when there is none. Raises OffsetStoreError."""
        ...

    def claim(self, connector: str, partition: Mapping[str, Any], offset: Offset | None) -> Claim:
        """From now on only this process commits: every older claim is void.

        *offset* is what `load` gave. If another one is stored by now, nothing changes, and a retriable
        OffsetStoreError is raised. Raises also what `hold` raises.
        """
        ...

    def commit(self, connector: str, partition: Mapping[str, Any], offset: Offset | None) -> None:
        """Write, and return when the offset is durable. None deletes it. Blocks, so never call it where that matters.

        If this store has claimed the offset and the claim is void, nothing is written, and OwnerLostError is raised.
        Raises OffsetStoreError.
        """
        ...

    def stored(self) -> Sequence[tuple[str, dict[str, Any]]]:
        """The connectors and source partitions that have an offset, in order of their names. Raises
        OffsetStoreError."""
        ...

    def load_all(self, connector: str) -> Sequence[tuple[dict[str, Any], dict[str, Any]]]:
        """All source partitions of *connector* and their offsets, as they are at one moment. Raises
        OffsetStoreError."""
        ...

    def commit_all(self, connector: str, offsets: Sequence[tuple[Mapping[str, Any], Offset | None]]) -> None:
        """As `commit`, of several source partitions that one claim covers: all of them, or none."""
        ...

    def release(self, connector: str, partition: Mapping[str, Any]) -> None:
        """The connector has ended here: no longer keep others away. Raises nothing."""
        ...

    def close(self) -> None: ...


@runtime_checkable
class ShowsOwner(Protocol):
    """What an OffsetStore may have besides: it can tell who runs a connector, without `start`."""

    def owner(self, connector: str, partition: Mapping[str, Any]) -> tuple[Owner | None, bool]:
        """The process that claimed the offset last, if that can be seen, and whether it runs now for certain. Nothing
        is created, changed or kept. Raises OffsetStoreError."""
        ...


class Kept(NamedTuple):
    """A connector that a client of the REST interface asked for. *config* None: a file has its configuration, and only
    its *state* (STARTED, PAUSED, STOPPED) is kept."""

    name: str
    config: Mapping[str, str] | None
    state: str


class ConfigStore(Protocol):
    """The connectors that clients of the REST interface asked for, durable. Called from any thread."""

    def load(self) -> Sequence[Kept]:
        """All of them, in order of their names. Raises OffsetStoreError, ConfigError."""
        ...

    def save(self, kept: Kept) -> None:
        """Write, and return when it is durable. Without a configuration, only the state is written: one that is there
        stays. Raises OffsetStoreError, ConfigError."""
        ...

    def delete(self, name: str) -> None:
        """Forget one, if it is there. Raises OffsetStoreError, ConfigError."""
        ...
