"""Structures as the server has them now: SHOW CREATE TABLE, read by the same reader as the log's statements.

information_schema says which tables there are, and completes a table whose CREATE statement is not understood. What is
read belongs to a position only if nothing changes meanwhile: read it inside the snapshot's lock or transaction, or
compare the log's position before and after. MySQL Reference Manual, "INFORMATION_SCHEMA Tables", "SHOW CREATE TABLE".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from cdc.core.errors import SourceRefusedError
from cdc.core.schema import TableId
from cdc.log import get_logger

from . import ddl
from .collations import Collation, Collations
from .schema_changes import Database
from .server import Connection, MySqlFacts, query, query_bytes
from .structure import CHARACTER_TYPES, NOW, ColumnDef, Structures, TableStructure, UniqueKey
from .tokens import Dialect, NotUnderstood, tokenize

log = get_logger(__name__)

_NO_SUCH_TABLE: Final = (1146, 1049, 1932)  # ER_NO_SUCH_TABLE, ER_BAD_DB_ERROR, ER_NO_SUCH_TABLE_IN_ENGINE


@dataclass(frozen=True, slots=True)
class Catalog:
    """One look. `creates` are the CREATE statements as the schema change topic repeats them, by table."""

    structures: Structures
    creates: dict[TableId, str]
    databases: tuple[Database, ...]
    row_estimates: dict[TableId, int]

    def table(self, id: TableId) -> TableStructure | None:
        return self.structures.get(id)


def dialect_of(facts: MySqlFacts, *, ansi_quotes: bool = False, backslash_escapes: bool = True) -> Dialect:
    """How statements of this server are read; the modes are those of the session that ran them."""
    return Dialect(facts.mariadb, facts.version_id, ansi_quotes, backslash_escapes)


def list_tables(conn: Connection, wanted: Callable[[TableId], bool]) -> dict[TableId, int]:
    """The base tables *wanted*, in order of name, each with the server's estimate of its rows (-1 without one).
    Sequences, views and temporary tables are not among them."""
    rows = query(conn, """\
SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_ROWS FROM information_schema.TABLES
WHERE TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')""")
    found = ((TableId(_text(database), "", _text(table)), rows_) for database, table, rows_ in rows)
    return {id: -1 if count is None else int(count)
            for id, count in sorted(found, key=lambda pair: (pair[0].catalog, pair[0].table)) if wanted(id)}


def creation_times(conn: Connection, wanted: Callable[[TableId], bool]) -> dict[TableId, Any]:
    """When each of the tables *wanted* was made: under one name another time is another table."""
    rows = query(conn, "SELECT TABLE_SCHEMA, TABLE_NAME, CREATE_TIME FROM information_schema.TABLES")
    found = ((TableId(_text(database), "", _text(table)), time) for database, table, time in rows)
    return {id: time for id, time in found if wanted(id)}


def read_collations(conn: Connection, facts: MySqlFacts) -> Collations:
    """All that the server knows. From MariaDB 10.10 on, one name may be of several character sets."""
    several = facts.mariadb and facts.version_id >= 101001
    name, table = (("FULL_COLLATION_NAME", "COLLATION_CHARACTER_SET_APPLICABILITY") if several
                   else ("COLLATION_NAME", "COLLATIONS"))
    rows = query(conn, f"""\
SELECT ID, CHARACTER_SET_NAME, {name}, MAXLEN FROM information_schema.{table} JOIN information_schema.CHARACTER_SETS
USING (CHARACTER_SET_NAME) WHERE ID IS NOT NULL""")
    return Collations({int(number): Collation(_text(charset), _text(name), int(size))
                       for number, charset, name, size in rows})


def read_databases(conn: Connection) -> tuple[Database, ...]:
    """All databases the user sees, with their defaults."""
    rows = query(conn, """\
SELECT SCHEMA_NAME, DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA
ORDER BY SCHEMA_NAME""")
    return tuple(Database(*map(_text, row)) for row in rows)


def read_catalog(conn: Connection, facts: MySqlFacts, wanted: Callable[[TableId], bool],
                 needed: Callable[[TableId], bool] | None = None) -> Catalog:
    """The structures of all tables *wanted*. A table dropped meanwhile is left out, and one that the server does not
    show unless it is *needed*. Raises a SourceError."""
    databases = read_databases(conn)
    structures = Structures(facts.charset, {each.name: each.charset for each in databases}, facts.folds_names)
    estimates = list_tables(conn, wanted)
    creates: dict[TableId, str] = {}
    for id in estimates:
        found = read_table(conn, facts, id, structures, needed=needed is None or needed(id))
        if found is not None:
            structure, creates[id] = found
            structures.put(structure)
    return Catalog(structures, creates, databases, {id: rows for id, rows in estimates.items() if id in creates})


def reread(conn: Connection, facts: MySqlFacts, ids: Iterable[TableId], structures: Structures) -> list[TableId]:
    """Put the present structures of *ids* into *structures*; those that do not exist now are returned, and dropped."""
    gone = []
    for id in ids:
        found = read_table(conn, facts, id, structures)
        if found is None:
            structures.drop(id)
            gone.append(id)
        else:
            structures.put(found[0])
        log.info("table_structure_read_again", table=str(id), found=found is not None)
    return gone


def read_table(conn: Connection, facts: MySqlFacts, id: TableId, structures: Structures, *,
               needed: bool = True) -> tuple[TableStructure, str] | None:
    """One table and its CREATE statement; None when it does not exist, or is not *needed* and the server does not show
    it. Raises a SourceError."""
    try:
        row = query_bytes(conn, f"SHOW CREATE TABLE {ddl.quoted(id.catalog)}.{ddl.quoted(id.table)}")[0]
    except SourceRefusedError as exc:
        if exc.context.get("errno") in _NO_SUCH_TABLE:
            return None
        if not needed:
            log.info("table_not_shown", table=str(id), reason=str(exc))
            return None
        raise
    text = _text(row[1])
    dialect = dialect_of(facts)
    try:
        return ddl.read_create(text, id.catalog, structures, dialect), ddl.statement_text(text, dialect)
    except NotUnderstood as exc:
        log.warning("create_table_not_understood", table=str(id), reason=str(exc))
        return read_information_schema(conn, id, structures, dialect), ddl.statement_text(text, dialect)


# -- information_schema ----------------------------------------------------------------------------------------------

_COLUMNS: Final = """\
SELECT COLUMN_NAME, COLUMN_TYPE, IS_NULLABLE, COLUMN_DEFAULT, CHARACTER_SET_NAME, COLLATION_NAME, EXTRA, COLUMN_COMMENT
FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s ORDER BY ORDINAL_POSITION"""
_KEYS: Final = """\
SELECT INDEX_NAME, COLUMN_NAME FROM information_schema.STATISTICS
WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s AND NON_UNIQUE = 0 ORDER BY INDEX_NAME, SEQ_IN_INDEX"""
_TABLE: Final = """\
SELECT TABLE_COLLATION, TABLE_COMMENT, TABLE_TYPE FROM information_schema.TABLES
WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s"""


def read_information_schema(conn: Connection, id: TableId, structures: Structures, dialect: Dialect) -> TableStructure:
    """The same table from information_schema. Slower, and without what only the statement tells."""
    columns = tuple(_column(row, dialect) for row in query(conn, _COLUMNS, id.catalog, id.table))
    keys: dict[str, list[str | None]] = {}
    for name, column in query(conn, _KEYS, id.catalog, id.table):
        keys.setdefault(_text(name), []).append(None if column is None else _text(column))
    collation, comment, kind = (*query(conn, _TABLE, id.catalog, id.table), (None, None, ""))[0]
    versioned = _text(kind) == "SYSTEM VERSIONED" and not any(c.generated and not c.nullable for c in columns)
    unique = tuple(UniqueKey(name, () if None in parts else tuple(part for part in parts if part is not None))
                   for name, parts in keys.items() if name != "PRIMARY")
    charset = _text(collation).partition("_")[0] if collation else structures.charset_of(id.catalog)
    return TableStructure(
        id, columns, tuple(part for part in keys.get("PRIMARY", ()) if part is not None), unique, charset,
        _text(collation) if collation else None, _text(comment) if comment else None, versioned)


def _column(row: tuple[Any, ...], dialect: Dialect) -> ColumnDef:
    name, type_, nullable, default, charset, collation, extra, comment = (
        None if value is None else _text(value) for value in row)
    assert name is not None
    assert type_ is not None
    extra = (extra or "").upper()
    made = ddl.read_type(type_, name, dialect)
    generated = "GENERATED" in extra and "DEFAULT_GENERATED" not in extra
    return ColumnDef(
        name, made.type_name, made.length, made.scale, charset if made.base in CHARACTER_TYPES else None,
        collation if made.base in CHARACTER_TYPES else None, made.enum_values, nullable == "YES",
        None if generated else _default(default, extra, dialect), "AUTO_INCREMENT" in extra, "ON UPDATE" in extra,
        generated, (comment or "").replace("'", "''") or None, "INVISIBLE" in extra,
    )


def _default(text: str | None, extra: str, dialect: Dialect) -> str | None:
    """As `ColumnDef.default`. MySQL gives a literal bare and marks expressions; MariaDB gives what a statement has."""
    if text is None:
        return None
    if re.match(r"(current_timestamp|now|localtime)", text, re.IGNORECASE):
        return NOW
    if dialect.mariadb:
        return ddl.read_default_text(text, dialect)
    if "DEFAULT_GENERATED" in extra:
        return None
    bits = tokenize(text, dialect)
    return bits[0].value if len(bits) == 1 and bits[0].kind in ("bits", "hex") else text.replace("'", "''")


def _text(value: Any) -> str:
    """MySQL 8 gives some columns of information_schema as bytes; what is no text shows as U+FFFD."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
