"""What the first copy reads: one transaction's view of the database, and the SELECT of each table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import psycopg
from psycopg import sql

from cdc.core.dataclass import dataclass
from cdc.core.errors import SourceRefusedError
from cdc.core.table import TableId, TableSchema
from cdc.log import get_logger
from cdc.sources.shared.selection import SnapshotSelection

from .catalog import CatalogSnapshot, RelationCatalog, relation_of
from .connection import check_condition, connect, users_search_path
from .errors import map_error
from .options import PostgresConfig
from .protocol import Relation
from .publication import Part
from .tables import TableBuilder

log = get_logger(__name__)

_TOGETHER: Final = 100


@dataclass(frozen=True)
class TableRead:
    """A table and the SELECT that gives its rows. The fields are the row image's columns *indexes*."""

    table: TableSchema
    select: sql.Composable
    indexes: tuple[int, ...]
    column_count: int
    names: tuple[str, ...]
    """The columns that are read, to check the user's privileges; empty for a configured SELECT."""
    oid: int
    partitioned: bool
    more: sql.SQL | None = None
    """What stands between the SELECT and a further condition; None if it must not have one."""
    users_sql: bool = False
    """Whether a part of it is SQL of the user (see `users_search_path`)."""


def snapshot_connection(config: PostgresConfig, snapshot: str | None) -> psycopg.Connection[Any]:
    """A connection with an open transaction that sees the database at *snapshot*, or at present if it is None."""
    conn = connect(config, query_timeout=False)
    try:
        _end_with_us(conn)
        conn.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        if snapshot is not None:
            conn.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(snapshot)))
    except psycopg.Error as exc:
        conn.close()
        raise map_error(exc) from exc
    return conn


def _end_with_us(conn: psycopg.Connection[Any]) -> None:
    """Have the server look every two seconds whether we are still there, also while it sorts: else what it reads for us
    goes on until it has the first row. Since version 14, and not on all platforms. PostgreSQL docs, "Connections and
    Authentication", client_connection_check_interval."""
    if conn.info.server_version < 140000:
        return
    try:
        conn.execute("SET client_connection_check_interval = '2s'")
    except psycopg.Error as exc:
        log.debug("connection_check_not_set", error=type(exc).__name__)


def export_snapshot(conn: psycopg.Connection[Any]) -> str:
    """The name by which `snapshot_connection` gives others what the open transaction of *conn* sees, while that lasts.
    PostgreSQL docs, "Snapshot Synchronization Functions"."""
    try:
        return str(conn.execute("SELECT pg_catalog.pg_export_snapshot()").fetchall()[0][0])
    except psycopg.Error as exc:
        raise map_error(exc) from exc


def lock_tables(conn: psycopg.Connection[Any], tables: Sequence[RelationCatalog], timeout_ms: int) -> None:
    """`snapshot.locking.mode=shared`: lock *tables* so that nobody can alter them until their rows are read."""
    try:
        conn.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(timeout_ms)))
        for first in range(0, len(tables), _TOGETHER):
            names = sql.SQL(", ").join(sql.Identifier(each.namespace, each.name)
                                       for each in tables[first:first + _TOGETHER])
            conn.execute(sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(names))
    except psycopg.Error as exc:
        raise map_error(exc) from exc


class Plan:
    """The tables to copy, in their order, and the read of each. *parts*: what the publication has of some of them, by
    oid."""

    def __init__(self, catalog: CatalogSnapshot, builder: TableBuilder, tables: Sequence[RelationCatalog],
                 selection: SnapshotSelection, conn: psycopg.Connection[Any], parts: Mapping[int, Part]) -> None:
        self.tables = tables
        self._catalog = catalog
        self._builder = builder
        self._selection = selection
        self._conn = conn
        self._parts = parts
        self._overridden: dict[int, TableRead] = {}
        for each in tables:
            _check_names(each)
            if self.override(each):  # a SELECT that the server does not understand is an error now, not in an hour
                self._overridden[each.oid] = self._read(each)
            self._check_condition(each)
            part = parts.get(each.oid)
            if part is not None:
                log.info("snapshot_follows_publication", table=f"{each.namespace}.{each.name}",
                         columns=list(part.columns) or None, filtered=part.where is not None)

    def override(self, table: RelationCatalog) -> str | None:
        """The SELECT that is configured for the table's rows."""
        return self._selection.override(self._id(table))

    def rows_of(self, table: RelationCatalog) -> sql.Composed:
        """FROM and WHERE of the rows to read. The rows of tables that inherit from it come in the stream under their
        own names, so they are only read with Debezium's faults."""
        source, conditions = self._source(table), self._conditions(table)
        return source + sql.SQL(" WHERE ") + sql.SQL(" AND ".join(conditions)) if conditions else source

    def _source(self, table: RelationCatalog) -> sql.Composed:
        inherited = self._builder.config.cdc_debezium_faults
        return sql.SQL(" FROM {}" if table.kind == "p" or inherited else " FROM ONLY {}").format(
            sql.Identifier(table.namespace, table.name))

    def has_conditions(self) -> bool:
        """Whether rows are asked for by a condition of the user."""
        return any(self._selection.asked.values())

    def _conditions(self, table: RelationCatalog) -> list[str]:
        """Of the rows to read: that of the publication, and the one that was asked for."""
        published, asked = self._parts.get(table.oid, _WHOLE).where, self._condition(table)
        return [*([] if published is None else [f"({published})"]), *([] if asked is None else [asked])]

    def _condition(self, table: RelationCatalog) -> str | None:
        return self._selection.condition(self._id(table))

    def _id(self, table: RelationCatalog) -> TableId:
        return TableId(self._builder.database, table.namespace, table.name)

    def _check_condition(self, table: RelationCatalog) -> None:
        """Now, before any row is sent. Raises SourceRefusedError."""
        for condition in self._selection.checks(self._id(table)):
            override = self.override(table)
            source = sql.SQL(" FROM ") + _as_table(override) if override else self._source(table)
            check_condition(self._conn, f"{table.namespace}.{table.name}",
                            sql.SQL("SELECT") + source + sql.SQL(f" WHERE {condition}"))

    def read(self, table: RelationCatalog) -> TableRead:
        """From any thread, but only from one at a time."""
        return self._overridden.get(table.oid) or self._read(table)

    def _read(self, table: RelationCatalog) -> TableRead:
        part = self._parts.get(table.oid, _WHOLE)
        each = table
        if part.columns:
            each = replace(each, columns=tuple(column for column in each.columns if column.name in part.columns))
        relation = relation_of(each)
        schema = self._builder.build(relation, self._catalog)
        override = self.override(table)
        if override:
            return _override_read(schema, relation, each, override, self._conn, self._condition(table))
        needed = {column.index for column in (*schema.columns, *schema.key)}
        indexes = tuple(index for index in range(len(each.columns)) if index in needed)
        names = tuple(each.columns[index].name for index in indexes)
        select = sql.SQL("SELECT ") + sql.SQL(", ").join(map(sql.Identifier, names)) + self.rows_of(each)
        return TableRead(schema, select, indexes, len(each.columns), names, each.oid, each.kind == "p",
                         sql.SQL(" AND " if self._conditions(table) else " WHERE ") if each.kind == "r" else None,
                         self._condition(table) is not None)


_WHOLE: Final = Part((), None)


def _check_names(table: RelationCatalog) -> None:
    """In a database of the encoding SQL_ASCII a name can be any bytes, but our statements are UTF-8."""
    for name in (table.namespace, table.name, *(column.name for column in table.columns)):
        if "\ufffd" in name:
            raise SourceRefusedError(
                f"A name of table {table.namespace}.{table.name} is no UTF-8, so a snapshot cannot read the table.",
                name=name, hint="Rename it, or take the table out of the lists.")


def _override_read(table: TableSchema, relation: Relation, catalog: RelationCatalog, override: str,
                    conn: psycopg.Connection[Any], condition: str | None = None) -> TableRead:
    """A read of the configured SELECT *override*, of those of its rows that fulfil *condition*. Its columns are matched
    by name with those of the table; others are left out."""
    inner = _as_table(override) + sql.SQL(f" WHERE {condition}" if condition else "")
    try:
        with users_search_path(conn):
            cursor = conn.execute(sql.SQL("SELECT * FROM {} LIMIT 0").format(inner))
    except psycopg.Error as exc:
        raise map_error(exc) from exc
    places = {column.name: index for index, column in enumerate(relation.columns)}
    names = [each.name for each in cursor.description or () if each.name in places]
    select = sql.SQL("SELECT {} FROM {}").format(sql.SQL(", ").join(map(sql.Identifier, names)), inner)
    return TableRead(table, select, tuple(places[name] for name in names), len(relation.columns), (),
                     catalog.oid, catalog.kind == "p", users_sql=True)


def _as_table(override: str) -> sql.Composed:
    return sql.SQL("(") + sql.SQL(override) + sql.SQL("\n) AS q")  # it may end in a comment
