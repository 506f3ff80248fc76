"""A PostgreSQL of the imagination: tables, partitions, one publication, and what its log shows of each row written.

`connected` puts it in the place of the catalog queries of `published.py`, so that the real watch looks at it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

from cdc.sources.postgres import published, watch
from cdc.sources.postgres.published import Name, SeenPublication, _Node


@dataclass
class Table:
    oid: int
    name: Name
    made: int
    kind: str = "r"
    parent: int | None = None
    logged: bool = True
    identity: bool = True
    renamed: bool = False


@dataclass
class Publication:
    oid: int
    row: int
    all_tables: bool
    operations: frozenset[str] = frozenset("cudt")
    via_root: bool = False
    owner: int = 10
    members: dict[int, tuple[int, int, str]] = field(default_factory=dict)
    """By table: the oid of the row, its transaction, the filter."""
    schemas: dict[str, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """A row that was written: to which table, and under which names of then; `under`: as what the log shows it, None if
    it does not."""

    table: int
    op: str
    names: tuple[Name, ...]
    under: Name | None
    why: str


class World:
    def __init__(self) -> None:
        self.tables: dict[int, Table] = {}
        self.publication: Publication | None = None
        self.oid = 20_000
        self.xid = 1000

    def new_oid(self) -> int:
        self.oid += 1
        return self.oid

    def new_xid(self) -> int:
        self.xid += 1
        return self.xid

    # -- statements -----------------------------------------------------------------------------------------------

    def create(self, name: Name, **given: Any) -> Table:
        assert self.find(name) is None
        table = Table(self.new_oid(), name, self.new_xid(), **given)
        self.tables[table.oid] = table
        return table

    def drop(self, table: Table) -> None:
        for child in [each for each in self.tables.values() if each.parent == table.oid]:
            self.drop(child)
        del self.tables[table.oid]
        if self.publication is not None:
            self.publication.members.pop(table.oid, None)

    def rename(self, table: Table, name: Name) -> None:
        self.new_xid()
        table.name, table.renamed = name, True

    def publish(self, all_tables: bool, tables: Collection[int] = (), schemas: Collection[str] = ()) -> None:
        xid = self.new_xid()
        self.publication = Publication(self.new_oid(), xid, all_tables)
        self.publication.members = {oid: (self.new_oid(), xid, "") for oid in tables}
        self.publication.schemas = {name: (self.new_oid(), xid) for name in schemas}

    def add(self, oid: int, part: str = "") -> None:
        assert self.publication is not None
        self.publication.members[oid] = (self.new_oid(), self.new_xid(), part)

    def alter(self, **changes: Any) -> None:
        assert self.publication is not None
        for name, value in changes.items():
            setattr(self.publication, name, value)
        self.publication.row = self.new_xid()

    # -- the log --------------------------------------------------------------------------------------------------

    def write(self, table: Table, op: str) -> Row:
        assert table.kind == "r"
        self.new_xid()
        names = tuple(each.name for each in self.line(table))
        found = self.publication
        under = self.under(table)
        why = "no publication" if found is None else "" if under is not None else "table"
        if not table.logged:
            under, why = None, "unlogged"
        elif found is not None and under is not None and op not in found.operations:
            under, why = None, "operation"
        return Row(table.oid, op, names, under, why)

    def under(self, table: Table) -> Name | None:
        found = self.publication
        if found is None:
            return None
        line = self.line(table)
        here = [each for each in line
                if found.all_tables or each.oid in found.members or each.name[0] in found.schemas]
        return None if not here else here[-1].name if found.via_root else table.name

    def line(self, table: Table) -> list[Table]:
        line = [table]
        while (parent := line[-1].parent) is not None:
            line.append(self.tables[parent])
        return line

    def find(self, name: Name) -> Table | None:
        return next((each for each in self.tables.values() if each.name == name), None)

    # -- catalogs -------------------------------------------------------------------------------------------------

    def seen_publication(self) -> SeenPublication | None:
        found = self.publication
        return None if found is None else SeenPublication(
            "pub", found.oid, str(found.row), found.owner, found.all_tables, found.operations, found.via_root)

    def nodes(self, names: Collection[Name], oids: Collection[int], newer_than: int | None) -> dict[int, _Node]:
        wanted = [each for each in self.tables.values()
                  if each.name in names or each.oid in oids or (newer_than is not None and each.oid > newer_than)]
        here = {each.oid for table in wanted for each in self.line(table)}
        below = {each.oid for each in self.tables.values()
                 if any(above in wanted for above in self.line(each))}
        return {oid: self._node(self.tables[oid]) for oid in here | below}

    def _node(self, table: Table) -> _Node:
        found = self.publication
        row = found.members.get(table.oid) if found is not None else None
        schema = found.schemas.get(table.name[0]) if found is not None else None
        number = sum(table.name[0].encode())
        ages = [self.xid - each[1] for each in (row, schema) if each is not None]
        return _Node(table.oid, table.name, table.kind, "p" if table.logged else "u", table.parent, number,
                     table.identity, table.renamed, self.xid - table.made,
                     None if row is None else f"t{table.oid}.{row[0]}", row[2] if row is not None else "",
                     None if schema is None else f"s{number}.{schema[0]}", max([0, *ages]))

    @contextmanager
    def connected(self) -> Iterator[None]:
        tables = self.tables
        with (mock.patch.multiple(
                watch, read_publication=lambda conn, name: self.seen_publication(), newest_oid=lambda conn: self.oid,
                read_names=lambda conn: [each.name for each in tables.values()], _in_recovery=lambda conn: False,
                names_digest=lambda conn: str(sorted((each.oid, each.name) for each in tables.values()))),
              mock.patch.multiple(published, _nodes=lambda conn, found, *asked: self.nodes(*asked))):
            yield
