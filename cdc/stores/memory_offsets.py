"""Offsets that are kept as long as this object: for what runs once, and leaves nothing behind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cdc.core.owner import Claim
from cdc.core.position import Offset

from .file_offsets import json_text
from .process import this_process


class MemoryOffsetStore:
    """Implements `core.stores.OffsetStore`. Nobody else can have its offsets, so every claim holds."""

    def __init__(self) -> None:
        self._offsets: dict[tuple[str, str], tuple[Mapping[str, Any], dict[str, Any]]] = {}

    def start(self) -> None:
        """Nothing to open."""

    def hold(self, connector: str, partition: Mapping[str, Any]) -> None:
        """Nobody else is there."""

    def load(self, connector: str, partition: Mapping[str, Any]) -> dict[str, Any] | None:
        found = self._offsets.get((connector, json_text(partition)))
        return None if found is None else dict(found[1])

    def claim(self, connector: str, partition: Mapping[str, Any], offset: Offset | None) -> Claim:
        return Claim(this_process(), 1)

    def commit(self, connector: str, partition: Mapping[str, Any], offset: Offset | None) -> None:
        if offset is None:
            self._offsets.pop((connector, json_text(partition)), None)
        else:
            self._offsets[connector, json_text(partition)] = partition, dict(offset)

    def load_all(self, connector: str) -> Sequence[tuple[dict[str, Any], dict[str, Any]]]:
        return [(dict(partition), dict(offset)) for (of, _), (partition, offset) in sorted(
            self._offsets.items(), key=lambda each: each[0]) if of == connector]

    def commit_all(self, connector: str, offsets: Sequence[tuple[Mapping[str, Any], Offset | None]]) -> None:
        for partition, offset in offsets:
            self.commit(connector, partition, offset)

    def stored(self) -> Sequence[tuple[str, dict[str, Any]]]:
        return [(connector, dict(partition)) for (connector, _), (partition, _) in sorted(
            self._offsets.items(), key=lambda each: each[0])]

    def release(self, connector: str, partition: Mapping[str, Any]) -> None:
        """Nobody else is there."""

    def close(self) -> None:
        """Nothing to close."""
