"""Carries out the log's statements on the known structures, and gives the records that Debezium writes for them.

Statements that change no structure are only classified. A statement that we cannot read never stops the stream: the
structure of its table is dropped, and `Outcome.reread` names the table, so that it is read from the server.
MySQL Reference Manual, "CREATE TABLE Statement", "ALTER TABLE Statement", "RENAME TABLE Statement", "Atomic Data
Definition Statement Support"; MariaDB docs, the same titles. Debezium sources: BinlogDatabaseSchema.parseDdl.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Final, Literal

from cdc.core.dataclass import dataclass
from cdc.core.table import TableId
from cdc.sources.mysql.builtin import is_builtin

from .alter import apply_action
from .classify import Kind, is_about_tables, is_skipped, kind_of, written_table
from .columns import read_default, read_definition
from .elements import read_elements, read_options
from .row_changes import RowChange, by_alter, by_rename
from .schema_change_text import SchemaChange, StatementText, TableChange, drop_text
from .structure import ColumnDef, Structures, TableStructure
from .table_editor import TableEditor, key_parts
from .tokens import NAME, PLAIN, WORD, Cursor, Dialect, NotUnderstood, tokenize


@dataclass(frozen=True)
class Outcome:
    """What a statement did.

    `changes`: its records on the schema change topic.
    `truncated`: tables that lost all rows.
    `reread`: tables whose structure is not known now; `reason` says why, without values, for the log.
    `targets`: tables that a `dml` statement changes; empty where it does not name them plainly.
    `filled`: tables that got rows which the log does not have.
    `gone`: tables that do not exist under this name any more.
    `unseen`: tables that lost or got rows for which the log has no events, other than `truncated` and `filled`.
    """

    kind: Kind
    changes: tuple[SchemaChange, ...] = ()
    truncated: tuple[TableId, ...] = ()
    reread: tuple[TableId, ...] = ()
    reason: str = ""
    targets: tuple[TableId, ...] = ()
    filled: tuple[TableId, ...] = ()
    gone: tuple[TableId, ...] = ()
    unseen: tuple[RowChange, ...] = ()

    def succeeded(self) -> set[TableId]:
        """The names that lead to other tables now, or to other rows that the log does not have."""
        changes = [each.change for each in self.changes if each.change is not None]
        return {*self.gone, *(each.id for each in self.unseen), *(
            each.id for each in changes if each.type != "ALTER" or each.previous_id is not None)}


def complete(outcome: Outcome, structures: Structures) -> tuple[SchemaChange, ...]:
    """The changes, with the structures of tables that have been read again since."""
    return tuple(_completed(each, structures) for each in outcome.changes)


def _completed(each: SchemaChange, structures: Structures) -> SchemaChange:
    change = each.change
    if change is None or change.structure is not None or change.type == "DROP":
        return each
    return replace(each, change=replace(change, structure=structures.get(change.id)))


def read_create(text: str, database: str, structures: Structures, dialect: Dialect = PLAIN) -> TableStructure:
    """The table that a complete CREATE TABLE describes, as SHOW CREATE TABLE prints it. Changes nothing. Raises
    NotUnderstood."""
    return read_shown(text, database, structures, dialect)[0]


def read_shown(text: str, database: str, structures: Structures, dialect: Dialect = PLAIN,
               ) -> tuple[TableStructure, str]:
    """As `read_create`, and the statement as Debezium repeats it."""
    statement = _Statement(text, database, structures, dialect)
    if not statement.read_on():
        raise NotUnderstood(_TOO_LONG)
    statement.cursor.needs("CREATE")
    statement.cursor.takes("TEMPORARY")
    statement.cursor.needs("TABLE")
    statement.takes_if_not_exists()
    made = _new_table(statement, statement.table_id())
    if made is None:
        raise NotUnderstood("the columns come from somewhere else")
    return made, statement.text


def apply(text: str, database: str, structures: Structures, dialect: Dialect = PLAIN,
          session_charset: str | None = None) -> Outcome:
    """Carry out the statement *text* on *structures*. *database*: the session's default database. *session_charset*:
    its character_set_server, if it is known. Raises nothing."""
    if text in _OFTEN:
        return _OFTEN[text]
    statement = _Statement(text, database, structures, dialect, session_charset)
    kind = kind_of(statement.cursor)
    if kind == "dml":
        return _dml(statement)
    if kind != "ddl":
        return Outcome(kind)
    if is_skipped(text):
        return Outcome("other")
    if is_about_tables(statement.cursor):
        statement.read_on()
    try:
        outcome = _run(statement)
    except NotUnderstood as exc:  # before a table was named
        return Outcome("ddl", (SchemaChange(text.strip(), database, known=False),), reason=str(exc))
    if not outcome.changes and not outcome.truncated and outcome.kind == "ddl":
        return replace(outcome, changes=(SchemaChange(text.strip(), database, known=False),))
    return outcome


_TOO_LONG: Final = "the statement is too long"
_OFTEN: Final = {"BEGIN": Outcome("begin"), "COMMIT": Outcome("commit")}
"""Every transaction has one, so they are not parsed."""

_ROUTINES: Final = frozenset({
    "VIEW", "FUNCTION", "PROCEDURE", "TRIGGER", "USER", "ROLE", "PACKAGE", "AGGREGATE",
})
"""Objects whose CREATE, ALTER and DROP Debezium drops."""


class _Statement(StatementText):
    """One statement, and the structures that it runs on."""

    def __init__(self, text: str, database: str, structures: Structures, dialect: Dialect,
                 session_charset: str | None = None) -> None:
        super().__init__(text, dialect)
        self.server_charset = session_charset or structures.server_charset
        self.database = database
        self.structures = structures

    def table_id(self, cursor: Cursor | None = None) -> TableId:
        return self.id_of(*(cursor or self.cursor).qualified())

    def id_of(self, database: str | None, table: str) -> TableId:
        return self.structures.id_of(self.database if database is None else database, table)

    def editor(self, table: TableStructure) -> TableEditor:
        return TableEditor(table, self.structures.charset_of(table.id.catalog), self.dialect.grammar)

    def takes_if_not_exists(self) -> bool:
        return self.cursor.takes("IF", "NOT", "EXISTS")

    def changed(self, type: Literal["CREATE", "ALTER", "DROP"], id: TableId, structure: TableStructure | None = None, *,
                previous_id: TableId | None = None, ddl: str | None = None) -> SchemaChange:
        return SchemaChange(ddl or self.text, id.catalog, TableChange(type, id, structure, previous_id))

    def unknown(self, type: Literal["CREATE", "ALTER"], id: TableId, reason: str, *,
                previous_id: TableId | None = None) -> Outcome:
        """The table exists, but its structure is not known any more."""
        self.structures.drop(id)
        return Outcome("ddl", (self.changed(type, id, previous_id=previous_id),), reread=(id,), reason=reason)


def _dml(statement: _Statement) -> Outcome:
    """A change that is logged as a statement. One of the server's own tables is harmless: managed services log their
    heartbeats so."""
    try:
        name = written_table(statement.cursor)
    except NotUnderstood:
        name = None
    if name is None:
        return Outcome("dml")
    id = statement.id_of(*name)
    return Outcome("other") if is_builtin(id) else Outcome("dml", targets=(id,))


def _run(statement: _Statement) -> Outcome:
    cursor = statement.cursor
    word = cursor.next().value
    if word == "CREATE":
        return _create(statement)
    if word == "ALTER":
        return _alter(statement)
    if word == "DROP":
        return _drop(statement)
    if word == "RENAME" and not cursor.sees("USER"):
        return _rename(statement)
    if word == "TRUNCATE":
        cursor.takes("TABLE")
        return Outcome("ddl", truncated=(statement.table_id(),))
    return Outcome("ddl")


# -- CREATE ----------------------------------------------------------------------------------------------------------


def _create(statement: _Statement) -> Outcome:
    cursor = statement.cursor
    replaces = cursor.takes("OR", "REPLACE")
    if cursor.takes("TEMPORARY"):
        return Outcome("other" if not cursor.sees("SEQUENCE") else "ddl")
    if cursor.takes("TABLE"):
        return _create_table(statement, replaces)
    if cursor.takes_any("DATABASE", "SCHEMA"):
        return _create_database(statement, replaces)
    if cursor.takes("SEQUENCE"):
        statement.takes_if_not_exists()
        statement.structures.put(TableStructure(statement.table_id(), (), sequence=True))
        return Outcome("ddl")
    unique = cursor.takes("UNIQUE")
    cursor.takes("ONLINE") or cursor.takes("OFFLINE")
    if cursor.takes("INDEX") or cursor.takes("FULLTEXT", "INDEX") or cursor.takes("SPATIAL", "INDEX"):
        return _create_index(statement, unique)
    return _other_object(statement)


def _create_table(statement: _Statement, replaces: bool) -> Outcome:
    only_if_new = statement.takes_if_not_exists()
    id = statement.table_id()
    structures = statement.structures
    if only_if_new and structures.get(id) is not None:
        return Outcome("ddl")  # the statement changed nothing
    unseen: tuple[RowChange, ...] = ()
    if replaces and structures.drop(id) is not None:
        unseen = (RowChange(id, "CREATE OR REPLACE TABLE", "lost"),)
    reason = "its columns come from a query or from a table that is not known"
    try:
        if not statement.read_on():
            raise NotUnderstood(_TOO_LONG)
        made = _new_table(statement, id)
    except NotUnderstood as exc:
        made, reason = None, str(exc)
    if made is None:
        return replace(statement.unknown("CREATE", id, reason), filled=(id,) if _has_query(statement) else (),
                       unseen=unseen)
    structures.put(made)
    return Outcome("ddl", (statement.changed("CREATE", id, made),), unseen=unseen)


def _has_query(statement: _Statement) -> bool:
    """Whether a CREATE TABLE also fills the table. A server that logs rows leaves out the query, and logs the rows."""
    if not statement.read_on() and "select" in statement.source.lower():
        return True
    words = [token.value if token.kind == WORD else "" for token in statement.cursor.tokens]
    return "SELECT" in words or any(pair in (("AS", "VALUES"), ("AS", "TABLE")) for pair in itertools.pairwise(words))


def _new_table(statement: _Statement, id: TableId) -> TableStructure | None:
    """None if the statement alone does not describe the table."""
    cursor = statement.cursor
    if cursor.takes("LIKE") or cursor.takes("(", "LIKE"):
        original = statement.structures.get(statement.table_id())
        return None if original is None else replace(original, id=id, comment=None)
    if not cursor.sees("("):
        return None
    editor = statement.editor(TableStructure(id, ()))
    read_elements(cursor.inside(), editor)
    if not read_options(cursor, editor):
        return None
    return editor.finish()


def _create_database(statement: _Statement, replaces: bool = False) -> Outcome:
    """Also ALTER DATABASE. Later tables inherit the database's charset, which is the session's where the statement has
    none."""
    cursor = statement.cursor
    statement.takes_if_not_exists()
    token = cursor.peek()
    named = token.kind == NAME or (token.kind == WORD and token.value not in ("DEFAULT", "CHARACTER", "CHARSET"))
    database = cursor.name() if named else statement.database
    database = database.lower() if statement.structures.folds else database
    editor = TableEditor(TableStructure(TableId(database, "", ""), ()), statement.server_charset)
    gone = statement.structures.drop_database(database) if replaces else ()
    try:
        read_options(cursor, editor)
    except NotUnderstood:
        pass  # read-only, encryption, upgrade: nothing that tables inherit
    if editor.charset is not None:
        statement.structures.database_charsets[database] = editor.charset
    elif database not in statement.structures.database_charsets:
        statement.structures.database_charsets[database] = statement.server_charset
    alters = cursor.tokens[statement.begin].value == "ALTER"
    return Outcome("ddl", () if alters else (SchemaChange(statement.text, database),), gone=gone,
                   unseen=tuple(RowChange(id, "CREATE OR REPLACE DATABASE", "lost") for id in gone))


def _create_index(statement: _Statement, unique: bool) -> Outcome:
    cursor = statement.cursor
    statement.takes_if_not_exists()
    name = cursor.name()
    if cursor.takes_any("USING", "TYPE"):
        cursor.next()
    cursor.needs("ON")
    id = statement.table_id()
    table = statement.structures.get(id)
    if not unique or table is None:
        return Outcome("ddl")
    editor = statement.editor(table)
    editor.add_unique(name, key_parts(cursor))
    return _keys_changed(statement, table, editor, made_index=True)


def _keys_changed(statement: _Statement, table: TableStructure, editor: TableEditor, *, made_index: bool) -> Outcome:
    """A unique index was created, or an index dropped. Dropping one is a change only if it changes the table's key."""
    try:
        made = editor.finish()
    except NotUnderstood as exc:
        return statement.unknown("ALTER", table.id, str(exc))
    statement.structures.put(made)
    if not made_index and made.key == table.key:
        return Outcome("ddl")
    text = statement.without_create() if made_index else statement.text
    change = statement.changed("ALTER", table.id, made, ddl=text)
    return Outcome("ddl", (replace(change, whole=statement.text if made_index else None),))


def _other_object(statement: _Statement) -> Outcome:
    """A view, a routine, an event, a server: objects without rows of their own."""
    first = statement.begin + 1
    words = {token.value for token in statement.cursor.tokens[first:first + 13] if token.kind == WORD}
    return Outcome("other" if words & _ROUTINES else "ddl")


# -- ALTER -----------------------------------------------------------------------------------------------------------


def _alter(statement: _Statement) -> Outcome:
    cursor = statement.cursor
    if cursor.takes_any("DATABASE", "SCHEMA"):
        return _create_database(statement)
    ignore = False
    while word := cursor.takes_any("ONLINE", "OFFLINE", "IGNORE"):
        ignore = ignore or word == "IGNORE"
    if not cursor.takes("TABLE"):
        return _other_object(statement)
    cursor.takes("IF", "EXISTS")
    id = statement.table_id()
    if cursor.takes("WAIT"):
        cursor.next()
    cursor.takes("NOWAIT")
    whole = statement.read_on()
    new_id = _new_name(statement, cursor.fork(cursor.at)) or id
    moved = by_rename([(id, new_id)]) if new_id != id else ()
    known = statement.structures.get(id)
    unseen = moved + by_alter(id, cursor, statement.table_id, ignore=ignore,
                              versioned=known is not None and (known.versioned or known.period_end is not None))
    return replace(_altered(statement, id, new_id, whole=whole), unseen=unseen)


def _altered(statement: _Statement, id: TableId, new_id: TableId, *, whole: bool) -> Outcome:
    """*id* becomes *new_id*, which may be the same; the cursor is at the actions. *whole*: all of them were read."""
    cursor = statement.cursor
    gone: tuple[TableId, ...] = (id,) if new_id != id else ()
    table = statement.structures.get(id)
    if table is None:
        reason = "the table was not known"
        if new_id != id:
            statement.structures.drop(new_id)
        return Outcome("ddl", (statement.changed("ALTER", new_id),), reread=(new_id,), reason=reason, gone=gone)
    editor = statement.editor(table)
    try:
        if not whole:
            raise NotUnderstood(_TOO_LONG)
        _apply_actions(cursor.fork(cursor.at), editor)
        made = replace(editor.finish(), id=new_id)
    except NotUnderstood as exc:
        statement.structures.drop(id)
        return replace(statement.unknown("ALTER", new_id, str(exc)), gone=gone)
    statement.structures.drop(id)
    statement.structures.put(made)
    gone += _convert_partition(statement, cursor, made)
    return Outcome("ddl", (statement.changed("ALTER", new_id, made),), gone=gone)


def _convert_partition(statement: _Statement, cursor: Cursor, table: TableStructure) -> tuple[TableId, ...]:
    """MariaDB: a partition becomes a table, or a table a partition. Returns the table that is none any more. MariaDB
    docs, "Partition Maintenance"."""
    if cursor.takes("CONVERT", "PARTITION"):
        cursor.name()
        cursor.needs("TO", "TABLE")
        statement.structures.put(replace(table, id=statement.table_id()))
    elif cursor.takes("CONVERT", "TABLE"):
        id = statement.table_id()
        statement.structures.drop(id)
        return (id,)
    return ()


def _apply_actions(cursor: Cursor, editor: TableEditor) -> None:
    cursor = cursor.before(("PARTITION", "BY"), ("REMOVE", "PARTITIONING"))  # no comma precedes them
    while not cursor.done:
        ahead = cursor.fork(cursor.at + 1)
        if cursor.sees("PARTITION") or cursor.sees("ORDER", "BY") or ahead.sees("PARTITION") or ahead.sees("TABLE"):
            cursor.to_end()  # they come last, and contain commas
        else:
            apply_action(cursor.item(), editor)


def _new_name(statement: _Statement, cursor: Cursor) -> TableId | None:
    """The new name in ALTER TABLE … RENAME [TO], which may be any of the actions."""
    found = None
    while not cursor.done:
        item = cursor.item()
        if item.takes("RENAME") and not (item.sees("COLUMN") or item.sees("INDEX") or item.sees("KEY")):
            item.takes_any("TO", "AS", "=")
            found = statement.table_id(item)
    return found


# -- DROP, RENAME ----------------------------------------------------------------------------------------------------


def _drop(statement: _Statement) -> Outcome:
    cursor = statement.cursor
    if cursor.takes("TEMPORARY"):
        return Outcome("other")
    if cursor.takes_any("TABLE", "TABLES"):
        return _drop_tables(statement)
    if cursor.takes_any("DATABASE", "SCHEMA"):
        cursor.takes("IF", "EXISTS")
        database = cursor.name()
        gone = statement.structures.drop_database(database.lower() if statement.structures.folds else database)
        return Outcome("ddl", (SchemaChange(statement.text, database),), gone=gone,
                       unseen=tuple(RowChange(id, "DROP DATABASE", "lost") for id in gone))
    if cursor.takes("INDEX"):
        return _drop_index(statement)
    if cursor.takes("SEQUENCE"):
        return _drop_sequences(statement)
    return _other_object(statement)


def _drop_tables(statement: _Statement) -> Outcome:
    """One record per table, as if each had been dropped by its own statement."""
    cursor = statement.cursor
    only_if_known = cursor.takes("IF", "EXISTS")
    prefix = statement.cut(cursor.tokens[statement.begin], cursor.peek().start)
    ids = []
    while True:
        ids.append(statement.table_id())
        if not cursor.takes(","):
            break
    if cursor.takes("WAIT"):
        cursor.next()
    suffix = "".join(f" {word}" for word in ("RESTRICT", "CASCADE") if cursor.takes(word))
    known = [id for id in ids if statement.structures.drop(id) is not None or not only_if_known]
    return Outcome("ddl", tuple(
        statement.changed("DROP", id, ddl=drop_text(prefix, id, suffix)) for id in ids), gone=tuple(ids),
        unseen=tuple(RowChange(id, "DROP TABLE", "lost") for id in known))


def _drop_sequences(statement: _Statement) -> Outcome:
    """Debezium does not read this statement, so it gives no record for each of them."""
    cursor = statement.cursor
    cursor.takes("IF", "EXISTS")
    while True:
        statement.structures.drop(statement.table_id())
        if not cursor.takes(","):
            return Outcome("ddl")


def read_type(text: str, name: str, dialect: Dialect = PLAIN) -> ColumnDef:
    """A column of the type *text* alone, such as `int(10) unsigned`. Raises NotUnderstood."""
    return read_definition(Cursor(tokenize(text, dialect), grammar=dialect.grammar), name).column


def read_default_text(text: str, dialect: Dialect = PLAIN) -> str | None:
    """The text after DEFAULT, in the form of `ColumnDef.default`."""
    return read_default(Cursor(tokenize(text, dialect), grammar=dialect.grammar))


def _drop_index(statement: _Statement) -> Outcome:
    cursor = statement.cursor
    cursor.takes("IF", "EXISTS")
    name = cursor.name()
    cursor.needs("ON")
    id = statement.table_id()
    table = statement.structures.get(id)
    if table is None:
        return Outcome("ddl")
    editor = statement.editor(table)
    editor.drop_index(name)
    return _keys_changed(statement, table, editor, made_index=False)


def _rename(statement: _Statement) -> Outcome:
    """Renames pair by pair, in order, so that tables can be swapped. Each record has the structure that the whole
    statement left under its name. If the former name is not known, the new one is read from the server."""
    cursor = statement.cursor
    if not cursor.takes_any("TABLE", "TABLES"):
        return Outcome("other")
    cursor.takes("IF", "EXISTS")
    prefix = statement.cut(cursor.tokens[statement.begin], cursor.peek().start)
    changes = []
    renamed: dict[TableId, bool] = {}
    pairs = []
    while True:
        first = cursor.peek()
        old = statement.table_id()
        if cursor.takes("WAIT"):
            cursor.next()
        cursor.takes("NOWAIT")
        cursor.needs("TO")
        new = statement.table_id()
        statement.structures.rename(old, new)
        renamed[new] = statement.structures.get(new) is None
        renamed.pop(old, None)
        pairs.append((old, new))
        ddl = prefix + statement.cut(first, cursor.peek(-1).end)
        changes.append(statement.changed("ALTER", new, previous_id=old, ddl=ddl))
        if not cursor.takes(","):
            break
    unknown = tuple(id for id, is_unknown in renamed.items() if is_unknown)
    return Outcome("ddl", tuple(changes), reread=unknown, reason="the table was not known" if unknown else "",
                   gone=tuple(old for old, _ in pairs if old not in renamed), unseen=by_rename(pairs))
