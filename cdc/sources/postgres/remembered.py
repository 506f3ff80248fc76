"""What we know of captured tables and of the types of their columns, by oid; it is stored with the offset.

The log names types by oid. When it is read, a type may be dropped, or made again under another oid: then the catalog
does not have it, and rows from before could not be read. An oid never means two types, except that an enum gets new
labels. Tables have other columns and keys than before; their last versions are kept.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import astuple, replace
from typing import Any, Final

from cdc.core.errors import PositionLostError
from cdc.core.packing import pack, unpack

from .merge import MergedColumn, MergedRelation
from .types import TypeInfo

_VERSIONS: Final = 3
"""A transaction that comes again may describe a table twice, before and after it changes it."""
_MOST_DROPPED: Final = 300
"""So many dropped tables, and dropped types that no known table has, are kept: their rows may still come."""


class Remembered:
    """`types`: by oid, with those that they consist of. `tables`: by oid, their versions, the newest last."""

    def __init__(self, packed: str | None = None) -> None:
        """*packed*: a former `text`. Raises PositionLostError if it is damaged."""
        self.types: dict[int, TypeInfo] = {}
        self.tables: dict[int, tuple[MergedRelation, ...]] = {}
        self._seen: dict[int, tuple[str, ...]] = {}
        self._packed: str | None = None
        if packed is not None:
            self._load(unpack(packed))
            self._packed = packed

    def learn_types(self, oids: Iterable[int], types: Mapping[int, TypeInfo]) -> None:
        """Remember the types *oids*, and those that they consist of, as they are in *types*."""
        for info in family(oids, types):
            self._learn(info)

    def learn_table(self, oid: int, table: MergedRelation) -> None:
        """Remember that the log, or the catalog, describes table *oid* like this."""
        if table.doubtful or not all(column.known for column in table.columns):
            columns = tuple(replace(column, known=True) for column in table.columns)
            table = replace(table, columns=columns, doubtful=False)
        versions = self.tables.get(oid, ())
        if versions and _covers(versions[-1], table):
            return
        self.tables[oid] = (*versions, table)[-_VERSIONS:]
        self._packed = None

    def forget(self, tables: Collection[int], types: Collection[int]) -> None:
        """Forget all but the last that were dropped: those that are neither in *tables* nor in *types*, which the
        catalog has."""
        dropped = [oid for oid in self.tables if oid not in tables][:-_MOST_DROPPED]
        for oid in dropped:
            del self.tables[oid]
        used = {info.oid for info in family((column.type_oid for versions in self.tables.values()
                                             for version in versions for column in version.columns), self.types)}
        lost = [oid for oid in self.types if oid not in types and oid not in used][:-_MOST_DROPPED]
        for oid in lost:
            del self.types[oid]
        if dropped or lost:
            self._packed = None

    def learn_labels(self, oid: int, labels: Collection[str]) -> None:
        """Rows have *labels* of enum *oid* that the catalog lacks: they were renamed, or the type was dropped."""
        self._seen[oid] = tuple(dict.fromkeys((*self._seen.get(oid, ()), *labels)))
        self._learn(self.types[oid])

    def _learn(self, info: TypeInfo) -> None:
        seen = self._seen.get(info.oid)
        if seen:
            info = replace(info, labels=tuple(dict.fromkeys((*info.labels, *seen))))
        if self.types.get(info.oid) != info:
            self.types[info.oid] = info
            self._packed = None

    def completed(self, types: Mapping[int, TypeInfo]) -> dict[int, TypeInfo]:
        """*types* of the catalog, with those that it does not have any more, and with labels that rows had."""
        found = {**self.types, **types}
        found.update((oid, self.types[oid]) for oid in self._seen if oid in self.types)
        return found

    def text(self) -> str:
        """All of it, in a form that an offset can hold. The same object as long as nothing is learned."""
        if self._packed is None:
            said = {"types": [astuple(info) for info in self.types.values()],
                    "tables": [(oid, [_stored(version) for version in versions])
                               for oid, versions in self.tables.items()]}
            self._packed = pack(json.dumps(said, ensure_ascii=False, separators=(",", ":")))
        return self._packed

    def _load(self, text: str) -> None:
        try:
            stored = json.loads(text)
            self.types = {info.oid: info for info in map(_type, stored["types"])}
            self.tables = {_number(oid): tuple(map(_table, versions)) for oid, versions in stored.get("tables", ())}
        except (ValueError, TypeError, KeyError, AttributeError) as exc:
            raise PositionLostError(
                "The types and tables stored with the offset cannot be read.", reason=type(exc).__name__,
                hint="Reset the connector's offset to start with a new snapshot.") from exc


def _covers(known: MergedRelation, table: MergedRelation) -> bool:
    """Whether *known* has all of *table*, which may lack generated columns, or those that are not published."""
    return (known.key, known.primary, known.identity) == (table.key, table.primary, table.identity) and (
        {*table.columns} <= {*known.columns})


def family(oids: Iterable[int], types: Mapping[int, TypeInfo]) -> list[TypeInfo]:
    """The types *oids* that are in *types*, and those that they consist of: a domain's base, an array's element."""
    found: dict[int, TypeInfo] = {}
    wanted = deque(oids)
    while wanted:
        info = types.get(wanted.popleft())
        if info is not None and info.oid not in found:
            found[info.oid] = info
            wanted += (info.base_oid, info.element_oid)
    return list(found.values())


def _type(values: Any) -> TypeInfo:
    oid, name, namespace, kind, base_oid, base_typmod, element_oid, labels = values
    return TypeInfo(_number(oid), _word(name), _word(namespace), _word(kind), _number(base_oid), _number(base_typmod),
                    _number(element_oid), tuple(map(_word, labels)))


def _stored(table: MergedRelation) -> list[Any]:
    columns = [(each.name, each.type_oid, each.typmod, each.nullable, each.default) for each in table.columns]
    return [columns, table.key, table.primary, table.identity]


def _table(values: Any) -> MergedRelation:
    columns, key, primary, identity = values
    return MergedRelation(tuple(_column(*each) for each in columns), tuple(map(_word, key)), bool(primary),
                          _word(identity))


def _column(name: Any, oid: Any, typmod: Any, nullable: Any, default: Any) -> MergedColumn:
    if (type(name), type(oid), type(typmod)) != (str, int, int) or not isinstance(default, str | None):
        raise TypeError
    return MergedColumn(name, oid, typmod, bool(nullable), default, True)


def _number(value: Any) -> int:
    if not isinstance(value, int):
        raise TypeError
    return value


def _word(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value
