"""The table structures that the offset keeps: there is no schema history topic.

Of few tables they are one value, `structures`. Of many they are values of their own for each group of tables,
`structures.0` and so on, and `structures` has the rest: so a statement on one table changes little of the offset.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from cdc.core.errors import PositionLostError
from cdc.core.packing import pack, unpack
from cdc.debezium.filters import Filters
from cdc.sources.mysql.ddl.structure import Structures, TableStructure, dump, dump_head, dump_tables, load

from .position import STRUCTURES, MySqlPosition

_FEW: Final = 500


def stored_structures(position: MySqlPosition) -> Structures | None:
    """The structures that were kept with *position*; None for an offset of another program. Raises
    PositionLostError."""
    stored = position.structures
    if stored is None:
        return None
    try:
        return load(unpack(stored[STRUCTURES]), _parts(stored) if len(stored) > 1 else None)
    except (ValueError, KeyError) as exc:
        raise PositionLostError("The table structures stored with the offset cannot be read.", reason=str(exc),
                                hint="Reset the connector's offset to start with a new snapshot.") from exc


class _parts:
    """Unpacks one group of tables at a time."""

    def __init__(self, stored: Mapping[str, str]) -> None:
        self._stored = stored

    def __call__(self, number: int) -> str:
        return unpack(self._stored[f"{STRUCTURES}.{number}"])


class Packed:
    """Packs structures for the offset, and each group of tables again only when one of them has changed.

    The offset keeps the captured tables, and the other tables that statements in the log made: one of those may be
    renamed to a captured name later.
    """

    def __init__(self, filters: Filters) -> None:
        self._filters = filters
        self._last: tuple[int, Kept] | None = None
        self._groups: dict[int, tuple[object, str]] = {}

    def at(self, structures: Structures, version: int) -> Kept:
        """*structures* as they are now. *version* must differ whenever they do."""
        if self._last is None or self._last[0] != version:
            self._last = version, Kept(self, structures.copy())
        return self._last[1]

    def pack(self, structures: Structures) -> dict[str, str]:
        if len(structures) <= _FEW:
            return {STRUCTURES: pack(dump(structures, [each for each in structures if self._kept(each)]))}
        groups = structures.buckets()
        found = {STRUCTURES: pack(dump_head(structures, len(groups)))}
        for number, group in enumerate(groups):
            known, text = self._groups.get(number, (None, ""))
            if known is not group:
                text = pack(dump_tables([each for each in group.values() if self._kept(each)]))
                self._groups[number] = group, text
            found[f"{STRUCTURES}.{number}"] = text
        return found

    def _kept(self, table: TableStructure) -> bool:
        return self._filters.table(table.id) or self._filters.databases(table.id.catalog)


class Kept(Mapping[str, str]):
    """The offset's values about structures at one position. They are made when the offset is written: of the positions
    that are reached between two commits only the last one costs that."""

    def __init__(self, packed: Packed, structures: Structures) -> None:
        self._packed = packed
        self._structures: Structures | None = structures
        self._values: dict[str, str] = {}

    def _made(self) -> dict[str, str]:
        if self._structures is not None:
            self._values = self._packed.pack(self._structures)
            self._structures = None
        return self._values

    def __getitem__(self, key: str) -> str:
        return self._made()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._made())

    def __len__(self) -> int:
        return len(self._made())
