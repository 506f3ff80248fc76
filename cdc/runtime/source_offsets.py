"""The offset of one source in its store: in one source partition, or in several that one claim covers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cdc.core.errors import OffsetStoreError
from cdc.core.interfaces import Divided, Source
from cdc.core.owner import Claim
from cdc.core.position import Offset
from cdc.core.stores import OffsetStore


class SourceOffsets:
    """Calls the store as `OffsetStore` says, for *connector*. Raises what its methods raise."""

    def __init__(self, connector: str, source: Source, store: OffsetStore) -> None:
        self._connector = connector
        self._store = store
        self._partition = source.partition()
        self._divided = source if isinstance(source, Divided) else None
        self._stored: list[tuple[Mapping[str, Any], Offset]] = []

    def open(self) -> None:
        self._store.start()

    def hold(self) -> None:
        self._store.hold(self._connector, self._partition)

    def load(self) -> dict[str, Any] | None:
        """The offset for the source's `start`."""
        if self._divided is None:
            return self._store.load(self._connector, self._partition)
        self._stored = list(self._store.load_all(self._connector))
        return self._divided.joined(self._stored)

    def claim(self, offset: Offset | None) -> Claim:
        """*offset* is what `load` gave."""
        if self._divided is None:
            return self._store.claim(self._connector, self._partition, offset)
        whole = next((each for partition, each in self._stored if partition == self._partition), None)
        claim = self._store.claim(self._connector, self._partition, whole)
        if self.load() != offset:  # the store has compared the claimed partition alone
            raise OffsetStoreError(f"An offset of connector {self._connector} changed while it started. It starts "
                                   "again from there.", retriable=True, connector=self._connector)
        return claim

    def commit(self, offset: Offset) -> None:
        """Of parts, only those are written that have changed. What a former release stored undivided is deleted."""
        if self._divided is None:
            self._store.commit(self._connector, self._partition, offset)
            return
        parts = list(self._divided.divided(offset))
        known = {_key(partition): stored for partition, stored in self._stored}
        changed: list[tuple[Mapping[str, Any], Offset | None]] = [
            (partition, part) for partition, part in parts if known.get(_key(partition)) != part]
        whole = _key(self._partition)
        if whole in known and all(_key(partition) != whole for partition, _ in parts):
            changed.append((self._partition, None))
        if changed:
            self._store.commit_all(self._connector, changed)
        self._stored = parts

    def release(self) -> None:
        self._store.release(self._connector, self._partition)


def _key(partition: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted(partition.items()))
