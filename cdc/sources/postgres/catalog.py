"""What the log leaves out, read from the system catalogs: nullability, defaults, keys, types.

`read_catalog` looks once, in one transaction, so that all it returns belongs together; `merge` combines it with a
Relation message. The log is right about names, types and order, for it speaks of the moment of the change; the
catalog speaks of now. So only what still fits by name and type is taken from it.
PostgreSQL docs, "System Catalogs"; src/backend/replication/logical/proto.c, logicalrep_write_attrs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg import IsolationLevel
from psycopg.pq import TransactionStatus

from .lsn import Lsn
from .protocol import Relation
from .server import map_error
from .types import TypeInfo

FIRST_USER_OID: Final = 16384
"""Types below it are the server's own and never change (src/include/access/transam.h, FirstNormalObjectId)."""


@dataclass(frozen=True, slots=True)
class ColumnCatalog:
    """One live column. `default` is pg_get_expr's text, None without one; `identity` and `generated` are
    pg_attribute's letters (empty, `a`, `d`; empty, `s`, `v`)."""

    name: str
    attnum: int
    type_oid: int
    typmod: int
    nullable: bool
    default: str | None
    identity: str
    generated: str


@dataclass(frozen=True, slots=True)
class RelationCatalog:
    """One table as it is now. `primary_key` is in key order; `unique_key` the columns of the unique index that stands
    in for it, empty when there is none. `kind` is `r` or `p`, `replica_identity` pg_class.relreplident."""

    oid: int
    namespace: str
    name: str
    kind: str
    replica_identity: str
    columns: tuple[ColumnCatalog, ...]
    primary_key: tuple[str, ...]
    unique_key: tuple[str, ...]
    identity_key: tuple[str, ...]
    """Columns the server can identify an old row by; empty where it refuses UPDATE and DELETE once they are
    published. All columns for FULL."""
    root_oid: int | None
    """The topmost partitioned table of a partition."""
    row_estimate: int
    """pg_class.reltuples; -1 when never analysed."""

    @property
    def key(self) -> tuple[str, ...]:
        return self.primary_key or self.unique_key

    def column(self, name: str) -> ColumnCatalog | None:
        return next((column for column in self.columns if column.name == name), None)


@dataclass(frozen=True, slots=True)
class CatalogSnapshot:
    """One look. Nothing that committed after `lsn` is in it."""

    lsn: Lsn
    relations: Mapping[int, RelationCatalog]
    types: Mapping[int, TypeInfo]


@dataclass(frozen=True, slots=True)
class MergedColumn:
    """A column as the log has it, with what the catalog could add. `known` is False where the catalog had nothing."""

    name: str
    type_oid: int
    typmod: int
    nullable: bool
    default: str | None
    known: bool


@dataclass(frozen=True, slots=True)
class MergedRelation:
    """Columns in the order of the log's row images, and the names of the key columns in key order."""

    columns: tuple[MergedColumn, ...]
    key: tuple[str, ...]


def merge(relation: Relation, catalog: RelationCatalog | None) -> MergedRelation:
    """A Relation message completed from *catalog*, which may be newer, older, or None (the table is gone).

    A column the catalog does not know under this name and type is optional without default: any value fits.
    """
    return MergedRelation(tuple(_merged(column.name, column.type_oid, column.typmod, catalog)
                                for column in relation.columns), _merged_key(relation, catalog))


def _merged(name: str, type_oid: int, typmod: int, catalog: RelationCatalog | None) -> MergedColumn:
    found = catalog.column(name) if catalog is not None else None
    if found is None or found.type_oid != type_oid:
        return MergedColumn(name, type_oid, typmod, True, None, False)
    return MergedColumn(name, type_oid, typmod, found.nullable, None if found.generated else found.default, True)


def _merged_key(relation: Relation, catalog: RelationCatalog | None) -> tuple[str, ...]:
    """The catalog's key, unless the log contradicts it.

    With replica identity DEFAULT the log's flags are the primary key at that time, so another set of columns in the
    catalog is a later (or earlier) key and would find nothing in old row images. With INDEX the flags are that
    index's, with FULL they are all columns, and say nothing about the primary key.
    """
    flagged = tuple(column.name for column in relation.columns if column.in_key)
    key = catalog.key if catalog is not None else ()
    present = {column.name for column in relation.columns}
    if relation.replica_identity == "d" and flagged:
        return key if set(key) == set(flagged) else flagged
    if set(key) <= present:
        return key
    if relation.replica_identity == "i" and flagged:
        return flagged
    return tuple(name for name in key if name in present)


def read_catalog(conn: psycopg.Connection[Any], oids: Collection[int] | None = None, *, publication: str | None = None,
                 type_oids: Collection[int] = ()) -> CatalogSnapshot:
    """Read the tables of *oids*, those of *publication*, or with neither all of the database, and their types.

    *type_oids* are read too: types that only the log still speaks of. Tables and types that do not exist (any more)
    are missing from the answer. *conn* is an ordinary connection; a transaction that it has open already, such as one
    with an imported snapshot, is used as it is. Raises what `map_error` gives.
    """
    try:
        with _one_look(conn):
            lsn = Lsn.parse(conn.execute(_LSN).fetchall()[0][0])
            relations = {row[0]: row for row in conn.execute(*_relations_query(oids, publication))}
            found = list(relations)
            columns = _group(conn.execute(_COLUMNS, {"oids": found}))
            indexes = _group(conn.execute(_INDEXES, {"oids": found}))
            wanted = {*type_oids, *(row[3] for rows in columns.values() for row in rows)}
            return CatalogSnapshot(
                lsn,
                {oid: _relation(row, columns.get(oid, []), indexes.get(oid, [])) for oid, row in relations.items()},
                _read_types(conn, wanted),
            )
    except psycopg.Error as exc:
        raise map_error(exc) from exc


@contextmanager
def _one_look(conn: psycopg.Connection[Any]) -> Iterator[None]:
    if conn.info.transaction_status != TransactionStatus.IDLE:
        yield
        return
    before = (conn.isolation_level, conn.read_only)
    conn.isolation_level, conn.read_only = IsolationLevel.REPEATABLE_READ, True
    try:
        with conn.transaction():
            yield
    finally:
        if not conn.closed and conn.info.transaction_status == TransactionStatus.IDLE:
            conn.isolation_level, conn.read_only = before


def _group(rows: Iterable[tuple[Any, ...]]) -> dict[int, list[tuple[Any, ...]]]:
    """By the first item, in order."""
    groups: dict[int, list[tuple[Any, ...]]] = {}
    for row in rows:
        groups.setdefault(row[0], []).append(row)
    return groups


def _relation(row: tuple[Any, ...], column_rows: list[tuple[Any, ...]],
              index_rows: list[tuple[Any, ...]]) -> RelationCatalog:
    oid, namespace, name, kind, identity, root_oid, row_estimate = row
    columns = tuple(ColumnCatalog(*values) for _, *values in column_rows)
    names = {column.attnum: column.name for column in columns}
    indexes = [_Index(primary, replica_identity, immediate, tuple(names.get(number) for number in attnums))
               for _, primary, replica_identity, immediate, attnums in index_rows]
    primary = next((index.plain for index in indexes if index.primary), ())
    unique = next((index.plain for index in indexes if index.plain), ())
    return RelationCatalog(oid, namespace, name, kind, identity, columns, primary, () if primary else unique,
                           _identity_key(identity, columns, indexes), root_oid, round(row_estimate))


@dataclass(frozen=True, slots=True)
class _Index:
    primary: bool
    replica_identity: bool
    immediate: bool
    names: tuple[str | None, ...]
    """None for an expression."""

    @property
    def plain(self) -> tuple[str, ...]:
        """The columns, none if one is an expression."""
        names = tuple(name for name in self.names if name is not None)
        return names if len(names) == len(self.names) else ()


def _identity_key(identity: str, columns: Iterable[ColumnCatalog], indexes: Iterable[_Index]) -> tuple[str, ...]:
    """src/backend/utils/cache/relcache.c, RelationGetIndexList: a deferrable primary key identifies nothing."""
    if identity == "f":
        return tuple(column.name for column in columns)
    if identity == "d":
        return next((index.plain for index in indexes if index.primary and index.immediate), ())
    if identity == "i":
        return next((index.plain for index in indexes if index.replica_identity), ())
    return ()


def _read_types(conn: psycopg.Connection[Any], oids: Collection[int]) -> dict[int, TypeInfo]:
    """The types and those they are made of: a domain's base, an array's element."""
    rows: dict[int, tuple[Any, ...]] = {}
    wanted = {oid for oid in oids if oid}
    while wanted:
        found = {row[0]: row for row in conn.execute(_TYPES, {"oids": sorted(wanted)})}
        rows.update(found)
        wanted = {oid for row in found.values() for oid in (row[4], row[6]) if oid} - rows.keys()
    enums = [oid for oid, row in rows.items() if row[3] == "e"]
    labels = {oid: tuple(label) for oid, label in conn.execute(_LABELS, {"oids": enums})} if enums else {}
    return {oid: TypeInfo(oid, row[1], row[2], row[3], row[4], row[5], row[6], labels.get(oid, ()))
            for oid, row in rows.items()}


_LSN: Final = """\
SELECT (CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()
             ELSE pg_catalog.pg_current_wal_insert_lsn() END)::text"""

_RELATIONS: Final = """\
SELECT c.oid::int8, n.nspname, c.relname, c.relkind::text, c.relreplident::text,
       CASE WHEN c.relispartition THEN pg_catalog.pg_partition_root(c.oid)::oid::int8 END, c.reltuples
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND """


_PUBLISHED: Final = """\
(n.nspname, c.relname) IN (
    SELECT p.schemaname, p.tablename FROM pg_catalog.pg_publication_tables p WHERE p.pubname = %(publication)s)"""


def _relations_query(oids: Collection[int] | None, publication: str | None) -> tuple[str, dict[str, Any]]:
    if oids is not None:
        return _RELATIONS + "c.oid = ANY(%(oids)s::oid[])", {"oids": list(oids)}
    if publication is not None:
        return _RELATIONS + _PUBLISHED, {"publication": publication}
    ordinary = "c.relpersistence = 'p' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
    return _RELATIONS + ordinary, {}


_COLUMNS: Final = """\
SELECT a.attrelid::int8, a.attname, a.attnum, a.atttypid::int8, a.atttypmod,
       NOT (a.attnotnull OR (t.typtype = 'd' AND t.typnotnull)),
       pg_catalog.pg_get_expr(d.adbin, d.adrelid), a.attidentity::text, a.attgenerated::text
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum AND a.atthasdef
WHERE a.attrelid = ANY(%(oids)s::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attrelid, a.attnum"""

# The order is that of pgjdbc's DatabaseMetaData.getIndexInfo: a clustered index, then by name. An index that a failed
# CREATE UNIQUE INDEX CONCURRENTLY left behind is not unique and does not count.
_INDEXES: Final = """\
SELECT i.indrelid::int8, i.indisprimary, i.indisreplident, i.indimmediate,
       (string_to_array(i.indkey::text, ' ')::int2[])[:i.indnkeyatts]
FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
WHERE i.indrelid = ANY(%(oids)s::oid[]) AND i.indisunique AND i.indisvalid
ORDER BY i.indrelid, i.indisclustered DESC, c.relname"""

_TYPES: Final = """\
SELECT t.oid::int8, t.typname, n.nspname, t.typtype::text, t.typbasetype::int8, t.typtypmod,
       CASE WHEN t.typcategory = 'A' THEN t.typelem::int8 ELSE 0 END
FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
WHERE t.oid = ANY(%(oids)s::oid[])"""

_LABELS: Final = """\
SELECT e.enumtypid::int8, array_agg(e.enumlabel::text ORDER BY e.enumsortorder)
FROM pg_catalog.pg_enum e WHERE e.enumtypid = ANY(%(oids)s::oid[]) GROUP BY e.enumtypid"""
