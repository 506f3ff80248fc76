"""A connector's offsets, as the REST interface reads and changes them. KIP-875."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from cdc.core.errors import CdcError, ConfigError, StateError
from cdc.core.interfaces import Divided, Source
from cdc.core.stores import OffsetStore

from .runner import Connector


class Offsets:
    """Over the worker's offset store. Calls wait for the store."""

    def __init__(self, store: OffsetStore) -> None:
        self._store = store

    def read(self, name: str) -> list[dict[str, Any]]:
        """`[{"partition": {…}, "offset": {…}}]`. Raises OffsetStoreError."""
        self._store.start()
        return [{"partition": partition, "offset": offset} for partition, offset in self._store.load_all(name)]

    def alter(self, connector: Connector, wanted: Sequence[tuple[Mapping[str, Any], Mapping[str, Any] | None]]) -> None:
        """Store each offset of *wanted*, by its partition; None deletes one. The connector does not run.

        Raises ConfigError for a partition or an offset that the connector would not understand; then nothing has
        changed. Raises OffsetStoreError.
        """
        parts = connector.parts(threading.Event())
        parts.converter.close()
        self._write(connector.name, [each for partition, offset in wanted
                                     for each in self._understood(connector.name, parts.source, partition, offset)])

    def _understood(self, name: str, source: Source, partition: Mapping[str, Any], offset: Mapping[str, Any] | None,
                    ) -> Sequence[tuple[Mapping[str, Any], Mapping[str, Any] | None]]:
        """The source partitions and offsets that are stored for these."""
        if offset is None:  # with the keys in the order in which they are stored
            self._store.start()
            return [(next((each for each in self._partitions(name) if each == partition), partition), None)]
        found: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]] = []
        try:
            source.check_offset(offset)
            if isinstance(source, Divided):
                joined = source.joined([(partition, offset)])
                found = [] if joined is None else source.divided(joined)
            elif dict(partition) == dict(source.partition()):
                found = [(source.partition(), offset)]
        except CdcError as exc:
            raise ConfigError(f"The connector would not understand the offset: {exc}") from exc
        if not found:
            raise ConfigError(f"The connector has no partition like that: its partition is {source.partition()}.")
        return found

    def reset(self, name: str) -> None:
        """Delete all offsets of the connector. Raises OffsetStoreError."""
        self._store.start()
        self._write(name, [(partition, None) for partition in self._partitions(name)])

    def _partitions(self, name: str) -> list[dict[str, Any]]:
        return [partition for connector, partition in self._store.stored() if connector == name]

    def _write(self, name: str, wanted: Sequence[tuple[Mapping[str, Any], Mapping[str, Any] | None]]) -> None:
        self._store.start()
        try:
            for partition, _ in wanted:
                self._store.hold(name, partition)
            for partition, offset in wanted:
                self._store.commit(name, partition, offset)
        except CdcError as exc:
            if exc.retriable:
                raise StateError(f"{exc.message} Try again: conflicting operation.", status=409) from exc
            raise
        finally:
            for partition, _ in wanted:
                self._store.release(name, partition)
