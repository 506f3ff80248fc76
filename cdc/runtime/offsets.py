"""A connector's offsets, as the REST interface reads and changes them. KIP-875."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from cdc.core.errors import CdcError, ConfigError, StateError
from cdc.core.interfaces import Divided, Source
from cdc.core.stores import OffsetStore

from .runner import Connector

_Stored = tuple[Mapping[str, Any], Mapping[str, Any] | None]


class Offsets:
    """Over the worker's offset store. Calls wait for the store."""

    def __init__(self, store: OffsetStore) -> None:
        self._store = store

    def read(self, name: str) -> list[dict[str, Any]]:
        """`[{"partition": {…}, "offset": {…}}]`. Raises OffsetStoreError."""
        self._store.start()
        return [{"partition": partition, "offset": offset} for partition, offset in self._store.load_all(name)]

    def alter(self, connector: Connector, wanted: Sequence[_Stored]) -> None:
        """Store each offset of *wanted*, by its partition; None deletes one. The connector does not run.

        Raises ConfigError for a partition or an offset that the connector would not understand; then nothing has
        changed. Raises OffsetStoreError.
        """
        parts = connector.parts(threading.Event())
        parts.converter.close()
        understood = [each for partition, offset in wanted
                      for each in self._understood(connector.name, parts.source, partition, offset)]
        if isinstance(parts.source, Divided):
            understood += self._former(connector.name, parts.source, parts.source.partition(), understood)
        self._write(connector.name, understood)

    def _understood(self, name: str, source: Source, partition: Mapping[str, Any], offset: Mapping[str, Any] | None,
                    ) -> Sequence[_Stored]:
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

    def _former(self, name: str, source: Divided, whole: Mapping[str, Any], wanted: Sequence[_Stored],
                ) -> Sequence[_Stored]:
        """What a former release stored undivided, as *whole*, in parts: whole it would go before *wanted*. Nothing
        where *wanted* deletes it. Raises ConfigError."""
        self._store.start()
        stored = self._store.load_all(name)
        if all(partition != whole for partition, _ in stored) or (whole, None) in wanted:
            return []
        try:
            parts = source.divided(source.joined(stored) or {})
        except CdcError as exc:
            raise ConfigError(f"The stored offset {dict(whole)} cannot be read: {exc}", hint="Reset it, too.") from exc
        if any(partition == whole for partition, _ in parts):
            return []
        changed = [partition for partition, _ in wanted]
        return [*((partition, offset) for partition, offset in parts if partition not in changed), (whole, None)]

    def reset(self, name: str) -> None:
        """Delete all offsets of the connector. Raises OffsetStoreError."""
        self._store.start()
        self._write(name, [(partition, None) for partition in self._partitions(name)])

    def _partitions(self, name: str) -> list[dict[str, Any]]:
        return [partition for connector, partition in self._store.stored() if connector == name]

    def _write(self, name: str, wanted: Sequence[_Stored]) -> None:
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
