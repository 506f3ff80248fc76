"""The system catalogs: they tell what the log leaves out, namely nullability, defaults, keys and types.

`read_catalog` reads them in one transaction, so all parts of its result belong together. `merge.merge` combines the
result with a Relation message. PostgreSQL docs, "System Catalogs".
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import psycopg
from psycopg import IsolationLevel
from psycopg.pq import TransactionStatus

from cdc.core.dataclass import dataclass

from .connection import any_text
from .errors import map_error
from .lsn import Lsn
from .protocol import Relation, RelationColumn
from .types import TypeInfo

_TOGETHER: Final = 1000
FIRST_USER_OID: Final = 16384
"""Types with a lower oid are built in and never change (src/include/access/transam.h, FirstNormalObjectId)."""


@dataclass(frozen=True)
class ColumnCatalog:
    """One column that is not dropped.

    `default`: the expression, as pg_get_expr prints it; None without one, and for a generated column.
    `identity`: pg_attribute.attidentity: empty, `a` or `d`.
    `generated`: pg_attribute.attgenerated: empty, `s` or `v`.
    """

    name: str
    attnum: int
    type_oid: int
    typmod: int
    nullable: bool
    default: str | None
    identity: str
    generated: str


@dataclass(frozen=True)
class RelationCatalog:
    """One table as it is now.

    `kind`: `r` for a table, `p` for a partitioned one.
    `replica_identity`: pg_class.relreplident.
    `primary_key`: its columns, in key order; empty without one, and for one that is deferrable unless only inserts are
    published: two rows may have the same values until the end of a transaction, so that the events of an update would
    delete another row.
    `unique_key`: the columns of the unique index that replaces a missing primary key; empty without one. No two
    rows ever agree in them: the index is not partial or deferrable, and has neither expressions nor nulls.
    `identity_key`: the columns by which the server identifies an old row; all columns for FULL. If it is empty, the
    server refuses UPDATE and DELETE once they are published.
    `root_oid`: the topmost partitioned table of a partition.
    `row_estimate`: pg_class.reltuples; -1 if the table was never analysed.
    `loose_key`: the columns of the unique index that Debezium takes for a missing primary key. It may be partial,
    deferrable, or have nulls, so that several rows have the same values.
    `deferrable`: the primary key is.
    `key_xid`: the transaction that made the index of the primary key, or changed it last; 0 without one. Another index
    can be older than the key, because it became the key when a primary key was dropped.
    `virtual`: the names of the virtual generated columns. The log never has them, so `columns` does not either.
    """

    oid: int
    namespace: str
    name: str
    kind: str
    replica_identity: str
    columns: tuple[ColumnCatalog, ...]
    primary_key: tuple[str, ...]
    unique_key: tuple[str, ...]
    identity_key: tuple[str, ...]
    root_oid: int | None
    row_estimate: int
    loose_key: tuple[str, ...] = ()
    virtual: tuple[str, ...] = ()
    deferrable: bool = False
    key_xid: int = 0

    @property
    def key(self) -> tuple[str, ...]:
        return self.primary_key or self.unique_key

    def column(self, name: str) -> ColumnCatalog | None:
        return next((column for column in self.columns if column.name == name), None)


@dataclass(frozen=True)
class Unlogged:
    """A relation whose rows can be read, but whose changes are not in the log. `why` says what it is."""

    namespace: str
    name: str
    why: str


@dataclass(frozen=True)
class CatalogSnapshot:
    """The result of one reading. It contains nothing that was committed after `lsn`."""

    lsn: Lsn
    relations: Mapping[int, RelationCatalog]
    types: Mapping[int, TypeInfo]


def relation_of(catalog: RelationCatalog) -> Relation:
    """The Relation message that the server would send for the table now; generated columns are included."""
    return Relation(catalog.oid, catalog.namespace, catalog.name, catalog.replica_identity, tuple(
        RelationColumn(column.name, column.type_oid, column.typmod, column.name in catalog.identity_key)
        for column in catalog.columns))


def read_catalog(conn: psycopg.Connection[Any], oids: Collection[int] | None = None, *, publication: str | None = None,
                 type_oids: Collection[int] = ()) -> CatalogSnapshot:
    """Reads the tables of *oids*, or those of *publication*, or all of the database; and the types of their columns.

    *type_oids*: more types to read, for columns that only the log still has. Tables and types that do not exist are
    left out. *conn* is an ordinary connection. If it has a transaction open, such as one with an imported snapshot, the
    reading is part of it. Raises SourceError.
    """
    try:
        with _one_look(conn), any_text(conn):
            lsn = Lsn.parse(conn.execute(_LSN).fetchall()[0][0])
            rows = {row[0]: row for row in conn.execute(*_relations_query(oids, publication))}
            relations: dict[int, RelationCatalog] = {}
            wanted = set(type_oids)
            for some in _chunks(list(rows)):
                columns = _group(conn.execute(_COLUMNS, {"oids": some}))
                indexes = _group(conn.execute(_INDEXES, {"oids": some}))
                wanted.update(row[3] for described in columns.values() for row in described)
                relations.update((oid, _relation(rows[oid], columns.get(oid, []), indexes.get(oid, [])))
                                 for oid in some)
            return CatalogSnapshot(lsn, relations, _read_types(conn, wanted))
    except psycopg.Error as exc:
        raise map_error(exc) from exc


def _chunks(oids: list[int]) -> Iterator[list[int]]:
    """The server's answer about 20,000 tables at once would take more memory than what we keep of it."""
    return (oids[first:first + _TOGETHER] for first in range(0, len(oids), _TOGETHER))


def read_types_named(conn: psycopg.Connection[Any], names: Collection[tuple[str, str]]) -> dict[int, TypeInfo]:
    """The types that have these names (schema, name) now, and those that they consist of. Raises SourceError."""
    try:
        with _one_look(conn), any_text(conn):
            schemas, types = zip(*names, strict=True)
            rows = conn.execute(_TYPES_NAMED, {"schemas": list(schemas), "names": list(types)})
            return _read_types(conn, [row[0] for row in rows])
    except psycopg.Error as exc:
        raise map_error(exc) from exc


def read_unlogged(conn: psycopg.Connection[Any]) -> list[Unlogged]:
    """The relations of the database that look like tables in an include list, but cannot be captured."""
    try:
        with any_text(conn):
            return [Unlogged(*row) for row in conn.execute(_UNLOGGED)]
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
    """Rows by their first item, in order."""
    groups: dict[int, list[tuple[Any, ...]]] = {}
    for row in rows:
        groups.setdefault(row[0], []).append(row)
    return groups


def _relation(row: tuple[Any, ...], column_rows: list[tuple[Any, ...]],
              index_rows: list[tuple[Any, ...]]) -> RelationCatalog:
    oid, namespace, name, kind, identity, root_oid, row_estimate = row
    described = [ColumnCatalog(*values) for _, *values in column_rows]
    columns = tuple(column for column in described if column.generated != "v")
    names = {column.attnum: column.name for column in columns}
    nullable = {column.name for column in columns if column.nullable}
    indexes = [_Index(primary, replica_identity, immediate, whole and (one_null or nullable.isdisjoint(plain)), xid,
                      plain)
               for _, primary, replica_identity, immediate, whole, one_null, xid, attnums in index_rows
               if (plain := tuple(names.get(number) for number in attnums))]
    primary = next((index for index in indexes if index.primary), None)
    unique = sorted((index for index in indexes if index.plain and index.whole and index.immediate),
                    key=lambda index: identity == "i" and not index.replica_identity)
    loose = primary or next((index for index in indexes if index.plain), None)
    if primary is not None and not primary.immediate and identity not in _NO_OLD_ROWS:
        primary = None
    key = primary or next(iter(unique), None)
    return RelationCatalog(
        oid, namespace, name, kind, identity, columns, primary.plain if primary else (),
        key.plain if key and not primary else (), _identity_key(identity, columns, indexes), root_oid,
        round(row_estimate), loose.plain if loose and not primary else (),
        tuple(column.name for column in described if column.generated == "v"),
        deferrable=primary is not None and not primary.immediate, key_xid=primary.xid if primary else 0)


_NO_OLD_ROWS: Final = frozenset({"d", "n"})
"""With these replica identities, the server refuses UPDATE and DELETE on tables without an immediate primary key."""


@dataclass(frozen=True)
class _Index:
    primary: bool
    replica_identity: bool
    immediate: bool
    whole: bool
    """It holds all rows of the table, and no two with the same columns."""
    xid: int
    """Of the transaction that made or changed it."""
    names: tuple[str | None, ...]
    """None for an expression."""

    @property
    def plain(self) -> tuple[str, ...]:
        """The columns; empty if one of them is an expression."""
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
    """The types *oids*, and the types they consist of: a domain's base, an array's element."""
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


_UNLOGGED: Final = """\
SELECT n.nspname, c.relname,
       CASE WHEN c.relpersistence = 't' THEN 'temporary' WHEN c.relkind = 'v' THEN 'a view'
            WHEN c.relkind = 'm' THEN 'a materialized view' WHEN c.relkind = 'f' THEN 'a foreign table'
            ELSE 'unlogged' END
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid >= 16384 AND n.nspname !~ '^pg_toast'
  AND (c.relkind IN ('v', 'm', 'f') OR c.relkind IN ('r', 'p') AND c.relpersistence <> 'p')
ORDER BY 1, 2"""

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


# pg_get_expr locks the table it is given. A default names no columns, so it needs none, and waits for nobody's lock.
# A NOT NULL that was not validated (PostgreSQL 18) may have nulls from before.
_COLUMNS: Final = """\
SELECT a.attrelid::int8, a.attname, a.attnum, a.atttypid::int8, a.atttypmod,
       NOT (a.attnotnull OR (t.typtype = 'd' AND t.typnotnull)) OR EXISTS (
           SELECT FROM pg_catalog.pg_constraint n
           WHERE n.conrelid = a.attrelid AND n.contype = 'n' AND n.conkey = ARRAY[a.attnum] AND NOT n.convalidated),
       CASE WHEN a.attgenerated = '' THEN pg_catalog.pg_get_expr(d.adbin, 0) END,
       a.attidentity::text, a.attgenerated::text
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum AND a.atthasdef
WHERE a.attrelid = ANY(%(oids)s::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attrelid, a.attnum"""

# In the order of pgjdbc's DatabaseMetaData.getIndexInfo: a clustered index first, then by name. A failed CREATE UNIQUE
# INDEX CONCURRENTLY leaves an invalid index, which does not guarantee uniqueness; it is left out. PostgreSQL 14 has no
# indnullsnotdistinct.
_INDEXES: Final = """\
SELECT i.indrelid::int8, i.indisprimary, i.indisreplident, i.indimmediate, i.indpred IS NULL,
       coalesce((pg_catalog.to_jsonb(i) ->> 'indnullsnotdistinct')::bool, false),
       i.xmin::text::int8,
       (string_to_array(i.indkey::text, ' ')::int2[])[:i.indnkeyatts]
FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
WHERE i.indrelid = ANY(%(oids)s::oid[]) AND i.indisunique AND i.indisvalid
ORDER BY i.indrelid, i.indisclustered DESC, c.relname"""

_TYPES: Final = """\
SELECT t.oid::int8, t.typname, n.nspname, t.typtype::text, t.typbasetype::int8, t.typtypmod,
       CASE WHEN t.typcategory = 'A' THEN t.typelem::int8 ELSE 0 END
FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
WHERE t.oid = ANY(%(oids)s::oid[])"""

_TYPES_NAMED: Final = """\
SELECT t.oid::int8
FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
WHERE (n.nspname, t.typname) IN (SELECT * FROM unnest(%(schemas)s::text[], %(names)s::text[]))"""

_LABELS: Final = """\
SELECT e.enumtypid::int8, array_agg(e.enumlabel::text ORDER BY e.enumsortorder)
FROM pg_catalog.pg_enum e WHERE e.enumtypid = ANY(%(oids)s::oid[]) GROUP BY e.enumtypid"""
