"""The tables' present structures: SHOW CREATE TABLE, read by the same reader as the log's statements.

information_schema lists the tables, and describes those whose CREATE statement we cannot read. What we read belongs to
a position of the log only if nothing changes meanwhile: read it inside the snapshot's transaction, or compare it before
and after. MySQL Reference Manual, "INFORMATION_SCHEMA Tables", "SHOW CREATE TABLE".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from cdc.core.dataclass import dataclass
from cdc.core.errors import SourceError, SourceRefusedError
from cdc.core.late_regex import late_regex
from cdc.core.table import TableId
from cdc.log import get_logger
from cdc.sources.mysql.ddl import statements as ddl
from cdc.sources.mysql.ddl.schema_change_text import statement_text
from cdc.sources.mysql.ddl.shown import ShownTables
from cdc.sources.mysql.ddl.structure import CHARACTER_TYPES, NOW, ColumnDef, Structures, TableStructure, UniqueKey
from cdc.sources.mysql.ddl.tokens import Dialect, NotUnderstood, tokenize

from .collations import Collation, Collations
from .connection import Connection, close, query, query_bytes
from .locks import LockWaits, is_locked
from .quoting import quoted, quoted_table
from .row_probe import RowProbe
from .schema_changes import Database
from .server import MySqlFacts
from .show_create import Answer, show_tables

log = get_logger(__name__)

_FEW: Final = 100
_TOGETHER: Final = 50
_UNKNOWN_COUNT: Final = (1 << 32) - 1
"""What MySQL says of a table that is locked."""
_TABLES: Final = ("BASE TABLE", "SYSTEM VERSIONED")
_COUNTER: Final = late_regex(rb" AUTO_INCREMENT=\d+")
"""Of a table's next row: each insert changes it."""
_NO_SUCH_TABLE: Final = (1146, 1049, 1932)  # ER_NO_SUCH_TABLE, ER_BAD_DB_ERROR, ER_NO_SUCH_TABLE_IN_ENGINE


@dataclass(frozen=True)
class Catalog:
    """All tables at one time. `creates`: their CREATE statements, as the schema change topic repeats them."""

    structures: Structures
    creates: dict[TableId, str]
    databases: tuple[Database, ...]
    row_estimates: dict[TableId, int]
    left_out: frozenset[TableId] = frozenset()
    """Tables that are not captured, and were locked or not shown."""

    def table(self, id: TableId) -> TableStructure | None:
        return self.structures.get(id)


def dialect_of(facts: MySqlFacts, *, ansi_quotes: bool = False, backslash_escapes: bool = True) -> Dialect:
    """How to read statements of this server. The modes are those of the session that ran them."""
    return Dialect(facts.flavor.grammar, facts.version_id, ansi_quotes, backslash_escapes)


def list_tables(conn: Connection, wanted: Callable[[TableId], bool]) -> list[TableId]:
    """The base tables *wanted*, in order of name. Without sequences, views and temporary tables."""
    return list(_list_tables(conn, wanted)[0])


def _list_tables(conn: Connection, wanted: Callable[[TableId], bool], *, counted: bool = False,
                 ) -> tuple[dict[TableId, int], list[TableId]]:
    """As `list_tables`, and the sequences. The estimates, which take the server about a millisecond for each table of
    every database, are -1 unless *counted*."""
    rows = query(conn, f"""\
SELECT TABLE_SCHEMA, TABLE_NAME, {"TABLE_ROWS" if counted else "NULL"}, TABLE_TYPE FROM information_schema.TABLES
WHERE TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED', 'SEQUENCE')""")
    tables: dict[TableId, int] = {}
    sequences = []
    for database, table, count, kind in rows:
        id = TableId(_text(database), "", _text(table))
        if not wanted(id):
            continue
        if _text(kind) == "SEQUENCE":
            sequences.append(id)
        else:
            tables[id] = -1 if count in (None, _UNKNOWN_COUNT) else int(count)
    return dict(sorted(tables.items(), key=lambda pair: (pair[0].catalog, pair[0].table))), sequences


def database_names(conn: Connection) -> list[str]:
    """All databases that the user sees."""
    return [_text(name) for name, in query(conn, "SHOW DATABASES")]


def tables_in(conn: Connection, databases: Iterable[str], wanted: Callable[[TableId], bool]) -> list[TableId]:
    """The names *wanted* of base tables in *databases*. It opens no table, and waits for no lock."""
    found = (TableId(database, "", _text(name)) for database in databases
             for name, kind in query(conn, f"SHOW FULL TABLES FROM {quoted(database)}") if _text(kind) in _TABLES)
    return [id for id in found if wanted(id)]


def creation_times(conn: Connection, ids: Collection[TableId]) -> dict[TableId, Any]:
    """CREATE_TIME of each table. If it differs later, another table has taken that name.

    MariaDB opens every table for it that the query does not name.
    """
    statement = "SELECT TABLE_SCHEMA, TABLE_NAME, CREATE_TIME FROM information_schema.TABLES"
    if len(ids) > _FEW:
        rows = list(query(conn, statement))
    else:
        rows = [row for some in _chunks(ids) for row in query(conn, " UNION ALL ".join(
            [f"{statement} WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s"] * len(some)),
            *(name for id in some for name in (id.catalog, id.table)))]
    found = ((TableId(_text(database), "", _text(table)), time) for database, table, time in rows)
    wanted = set(ids)
    return {id: time for id, time in found if id in wanted}


def row_estimates(conn: Connection, ids: Collection[TableId]) -> dict[TableId, int]:
    """The server's estimates of the rows of *ids*, where it has one; none for very many tables, which would take it
    long."""
    if len(ids) > _FEW:
        return {}
    statement = "SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_ROWS FROM information_schema.TABLES"
    rows = [row for some in _chunks(ids) for row in query(conn, " UNION ALL ".join(
        [f"{statement} WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s"] * len(some)),
        *(name for id in some for name in (id.catalog, id.table)))]
    return {TableId(_text(database), "", _text(table)): int(count) for database, table, count in rows
            if count not in (None, _UNKNOWN_COUNT)}


def _chunks(ids: Iterable[TableId]) -> Iterator[list[TableId]]:
    rest = list(ids)
    for first in range(0, len(rest), _TOGETHER):
        yield rest[first:first + _TOGETHER]


def marks(conn: Connection, wanted: Callable[[TableId], bool], needed: Callable[[TableId], bool],
          waits: LockWaits) -> dict[TableId, Any]:
    """By table, something that differs once its structure was changed; None for one that is not *needed* and is locked;
    a text for a sequence, and for a table that the server does not open. Of few tables these are their CREATE
    statements; of many, sums over what information_schema says, because a statement for each of them takes long."""
    tables, sequences = _list_tables(conn, wanted)
    if len(tables) <= _FEW:
        return {**dict.fromkeys(sequences, "sequence"), **{id: _shown(conn, id, needed, waits) for id in tables}}
    found: dict[TableId, list[Any]] = {id: [] for id in tables}
    for statement in _SUMS:
        for database, table, *values in query(conn, statement):
            known = found.get(TableId(_text(database), "", _text(table)))
            if known is not None:
                known.append(tuple(values))
    return {**dict.fromkeys(sequences, "sequence"), **{
        id: values if len(values) >= _OPENED else _shown(conn, id, needed, waits) for id, values in found.items()}}


def same(before: Mapping[TableId, Any], after: Mapping[TableId, Any]) -> bool:
    """Whether `marks` were equal, as far as both times they could be read."""
    return before.keys() == after.keys() and all(
        mark == after[id] or mark is None or after[id] is None for id, mark in before.items())


_OPENED: Final = 2
"""Rows about a table that the server could open to describe it: about itself, and about its columns."""
_SUMS: Final = (
    "SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE, TABLE_COLLATION, TABLE_COMMENT FROM information_schema.TABLES",
    """\
SELECT TABLE_SCHEMA, TABLE_NAME, COUNT(*), SUM(CRC32(CONCAT_WS('|', ORDINAL_POSITION, COLUMN_NAME, COLUMN_TYPE,
       IS_NULLABLE, IFNULL(COLUMN_DEFAULT, '~'), CHARACTER_SET_NAME, COLLATION_NAME, EXTRA, COLUMN_COMMENT)))
FROM information_schema.COLUMNS GROUP BY TABLE_SCHEMA, TABLE_NAME""", """\
SELECT TABLE_SCHEMA, TABLE_NAME, COUNT(*), SUM(CRC32(CONCAT_WS('|', INDEX_NAME, SEQ_IN_INDEX, COLUMN_NAME)))
FROM information_schema.STATISTICS WHERE NON_UNIQUE = 0 GROUP BY TABLE_SCHEMA, TABLE_NAME""")


def _shown(conn: Connection, id: TableId, needed: Callable[[TableId], bool], waits: LockWaits) -> Any:
    def ask() -> Any:
        return _COUNTER.sub(b"", query_bytes(conn, f"SHOW CREATE TABLE {quoted_table(id)}")[0][1] or b"")

    try:
        return waits.patiently(id, ask) if needed(id) else ask()
    except SourceError as exc:
        if is_locked(exc):
            if needed(id):
                raise
            return None
        if isinstance(exc, SourceRefusedError):
            return str(exc)
        raise


def read_collations(conn: Connection, facts: MySqlFacts) -> Collations:
    """All that the server knows."""
    since = facts.flavor.full_collation_names_since
    several = since is not None and facts.version_id >= since
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
                 needed: Callable[[TableId], bool] | None = None, waits: LockWaits | None = None, *,
                 counted: bool = False, helper: Callable[[], Connection] | None = None,
                 probe: RowProbe | None = None) -> Catalog:
    """The structures of all tables *wanted*, and if *counted* estimates of their rows. Leaves out tables that were
    dropped meanwhile, and tables that are not *needed* and that are locked or that the server does not show. *waits*:
    as in `read_table`. *helper* opens a second connection, which is used for very many tables and closed; *probe*, if
    given, has the connections instead. Raises a SourceError."""
    databases = read_databases(conn)
    structures = Structures(facts.charset, {each.name: each.charset for each in databases}, facts.folds_names)
    estimates, sequences = _list_tables(conn, wanted, counted=counted)
    for id in sequences:
        structures.put(TableStructure(id, (), sequence=True))
    shown = ShownTables(structures, dialect_of(facts))
    creates: dict[TableId, str] = {}
    alone: list[TableId] = []
    for id, answer in _shown_all(conn, list(estimates), helper, probe):
        if isinstance(answer, SourceError):
            if not _may_lack(id, answer, needed=needed is None or needed(id)):
                alone.append(id)
            continue
        try:
            structure, creates[id] = shown.read(_text(answer), id.catalog)
            structures.put(structure)
        except NotUnderstood:
            alone.append(id)
    for id in alone:  # it may have to be waited for, or be described otherwise
        found = read_table(conn, facts, id, structures, needed=needed is None or needed(id), waits=waits)
        if found is not None:
            structure, creates[id] = found
            structures.put(structure)
    creates = {id: creates[id] for id in estimates if id in creates}
    left_out = frozenset(id for id in estimates if id not in creates and needed is not None and not needed(id))
    return Catalog(structures, creates, databases, {id: rows for id, rows in estimates.items() if id in creates},
                   left_out)


def _shown_all(conn: Connection, ids: Sequence[TableId], helper: Callable[[], Connection] | None,
               probe: RowProbe | None) -> Iterator[Answer]:
    """The CREATE statements of *ids*. Of few tables each is asked for by itself."""
    if probe is not None:
        yield from show_tables(probe.connections, ids, probe=probe)
        return
    if helper is None or len(ids) <= _FEW:
        yield from show_tables([conn], ids, together=1)
        return
    second = helper()
    try:
        yield from show_tables([conn, second], ids)
    finally:
        close(second)


def reread(conn: Connection, facts: MySqlFacts, ids: Iterable[TableId], structures: Structures) -> list[TableId]:
    """Put the present structures of *ids* into *structures*. Drops and returns tables that do not exist any more."""
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
               needed: bool = True, waits: LockWaits | None = None) -> tuple[TableStructure, str] | None:
    """One table and its CREATE statement; None if it does not exist, or if it is not *needed* and is locked or the
    server does not show it. *waits*: how to wait for a lock of a table that is needed; by default as the session is set
    to. Raises a SourceError."""
    try:
        if needed and waits is not None:
            return waits.patiently(id, lambda: _read_table(conn, facts, id, structures))
        return _read_table(conn, facts, id, structures)
    except SourceError as exc:
        if _may_lack(id, exc, needed=needed):
            return None
        raise


def _may_lack(id: TableId, error: SourceError, *, needed: bool) -> bool:
    """Whether table *id*, which the server does not show because of *error*, can be left out."""
    if error.context.get("errno") in _NO_SUCH_TABLE:
        return True
    if needed or not (is_locked(error) or isinstance(error, SourceRefusedError)):
        return False
    log.info("table_not_shown", table=str(id), reason=str(error))
    return True


def _read_table(conn: Connection, facts: MySqlFacts, id: TableId,
                structures: Structures) -> tuple[TableStructure, str]:
    text = _text(query_bytes(conn, f"SHOW CREATE TABLE {quoted_table(id)}")[0][1])
    dialect = dialect_of(facts)
    try:
        return ddl.read_shown(text, id.catalog, structures, dialect)
    except NotUnderstood as exc:
        log.warning("create_table_not_understood", table=str(id), reason=str(exc))
        return read_information_schema(conn, id, structures, dialect), statement_text(text, dialect)


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
    """The same from information_schema: slower, and without what only the statement says."""
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
    """As `ColumnDef.default`. MySQL has literals without quotes, and marks expressions; MariaDB has SQL."""
    if text is None:
        return None
    if re.match(r"(current_timestamp|now|localtime)", text, re.IGNORECASE):
        return NOW
    if dialect.grammar.catalog_defaults_as_written:
        return ddl.read_default_text(text, dialect)
    if "DEFAULT_GENERATED" in extra:
        return None
    bits = tokenize(text, dialect)
    return bits[0].value if len(bits) == 1 and bits[0].kind in ("bits", "hex") else text.replace("'", "''")


def _text(value: Any) -> str:
    """MySQL 8 gives some columns of information_schema as bytes. Bytes that are no text become U+FFFD."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
