"""Statements of the binary log that change structures: what they do to the tables known, and what Debezium says of it.

Everything else is told apart and harmless. A statement that touches a table and is not understood never stops
anything: the table's structure is dropped and named in `Outcome.reread`, to be read from the server.
MySQL Reference Manual, "CREATE TABLE Statement", "ALTER TABLE Statement", "RENAME TABLE Statement", "Atomic Data
Definition Statement Support"; MariaDB docs, the same titles. Debezium sources: BinlogDatabaseSchema.parseDdl.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, replace
from typing import Final, Literal

from cdc.core.filters import is_builtin
from cdc.core.schema import TableId

from .alter import TableEditor, apply_action, read_elements, read_options
from .columns import read_default, read_definition
from .structure import ColumnDef, Structures, TableStructure
from .tokens import MYSQL, NAME, STRING, WORD, Cursor, Dialect, NotUnderstood, Token, tokenize

Kind = Literal["ddl", "begin", "commit", "rollback", "savepoint", "xa", "dml", "other"]


@dataclass(frozen=True, slots=True)
class TableChange:
    """`structure` is None for a DROP, and where it must be read again first."""

    type: Literal["CREATE", "ALTER", "DROP"]
    id: TableId
    structure: TableStructure | None = None
    previous_id: TableId | None = None


@dataclass(frozen=True, slots=True)
class SchemaChange:
    """One record of the schema change topic. Without a `change` it is about the database, or where that is not
    `known` about nothing that Debezium makes out. `whole` is the statement where Debezium cuts it, for an index."""

    ddl: str
    database: str
    change: TableChange | None = None
    known: bool = True
    whole: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a statement did. `reread` names tables whose structure is not known now, `reason` says why, in words fit
    for a log; `truncated` those that lost all rows. `targets` are the tables that a "dml" statement writes to; empty
    where it does not say so plainly. `filled` are those that got rows which the log does not have."""

    kind: Kind
    changes: tuple[SchemaChange, ...] = ()
    truncated: tuple[TableId, ...] = ()
    reread: tuple[TableId, ...] = ()
    reason: str = ""
    targets: tuple[TableId, ...] = ()
    filled: tuple[TableId, ...] = ()


def complete(outcome: Outcome, structures: Structures) -> tuple[SchemaChange, ...]:
    """The changes, with structures for those tables that have been read again since."""
    return tuple(_completed(each, structures) for each in outcome.changes)


def _completed(each: SchemaChange, structures: Structures) -> SchemaChange:
    change = each.change
    if change is None or change.structure is not None or change.type == "DROP":
        return each
    return replace(each, change=replace(change, structure=structures.get(change.id)))


def read_create(text: str, database: str, structures: Structures, dialect: Dialect = MYSQL) -> TableStructure:
    """The table that a complete CREATE TABLE describes, as SHOW CREATE TABLE prints it. Changes nothing. Raises
    NotUnderstood."""
    statement = _Statement(text, database, structures, dialect)
    statement.cursor.needs("CREATE")
    statement.cursor.takes("TEMPORARY")
    statement.cursor.needs("TABLE")
    statement.takes_if_not_exists()
    made = _new_table(statement, statement.table_id())
    if made is None:
        raise NotUnderstood("the columns come from somewhere else")
    return made


def apply(text: str, database: str, structures: Structures, dialect: Dialect = MYSQL) -> Outcome:
    """Carry out the statement *text*, run with default database *database*, on *structures*. Raises nothing."""
    if text in _OFTEN:
        return _OFTEN[text]
    statement = _Statement(text, database, structures, dialect)
    kind = _kind(statement)
    if kind == "dml":
        return _dml(statement)
    if kind != "ddl":
        return Outcome(kind)
    if _QUIET.match(text.strip()):
        return Outcome("other")
    try:
        outcome = _run(statement)
    except NotUnderstood as exc:  # before a table was named
        return Outcome("ddl", (SchemaChange(text.strip(), database, known=False),), reason=str(exc))
    if not outcome.changes and not outcome.truncated and outcome.kind == "ddl":
        return replace(outcome, changes=(SchemaChange(text.strip(), database, known=False),))
    return outcome


_OFTEN: Final = {"BEGIN": Outcome("begin"), "COMMIT": Outcome("commit")}
"""One for each transaction: not worth a look at their letters."""

_QUIET: Final = re.compile(
    r"drop\s+temporary\s+table\s+if\s+exists\s.+/\*\s*generated\s+by\s+server\s*\*/|flush\s+relay\s+logs"
    r"|\s*\#\s*dummy\s+event", re.IGNORECASE | re.DOTALL)
"""What Debezium filters before it reads it (SchemaHistory.DDL_FILTER), as far as it is not told by its first words."""

_DML: Final = frozenset({
    "INSERT", "UPDATE", "DELETE", "REPLACE", "LOAD", "CALL", "DO", "SELECT", "WITH", "VALUES", "HANDLER", "TABLE",
})
_HARMLESS: Final = frozenset({
    "GRANT", "REVOKE", "ANALYZE", "OPTIMIZE", "REPAIR", "CHECK", "CHECKSUM", "SET", "USE", "LOCK", "UNLOCK",
    "INSTALL", "UNINSTALL", "PURGE", "RESET", "CHANGE", "START", "STOP", "KILL", "SHUTDOWN", "BACKUP", "CLONE", "SHOW",
    "EXPLAIN", "DESCRIBE", "DESC", "HELP", "PREPARE", "EXECUTE", "DEALLOCATE", "IMPORT", "CACHE", "BINLOG", "SIGNAL",
})
_ROUTINES: Final = frozenset({
    "VIEW", "FUNCTION", "PROCEDURE", "TRIGGER", "USER", "ROLE", "PACKAGE", "AGGREGATE",
})
"""Things whose CREATE, ALTER and DROP Debezium filters."""


class _Statement:
    """One statement on its way through: text, tokens and what it runs on."""

    def __init__(self, text: str, database: str, structures: Structures, dialect: Dialect) -> None:
        self.source = text
        self.database = database
        self.structures = structures
        self.dialect = dialect
        tokens = tokenize(text, dialect)
        while tokens and tokens[-1].value == ";" and tokens[-1].kind == "symbol":
            tokens = tokens[:-1]
        self.cursor = Cursor(tokens, mariadb=dialect.mariadb)
        if self.cursor.takes("SET", "STATEMENT"):  # MariaDB: SET STATEMENT name=value FOR statement
            while not self.cursor.done and not self.cursor.takes("FOR"):
                self.cursor.next()
            if self.cursor.done:
                self.cursor.at = 0
        self.begin = self.cursor.at

    @property
    def text(self) -> str:
        """Without comments around it, and without what follows the last token."""
        tokens = self.cursor.tokens
        return self.cut(tokens[self.begin], tokens[-1].end) if self.begin < len(tokens) else ""

    def cut(self, first: Token, end: int) -> str:
        """From *first* to *end*. Debezium repeats MySQL's strings in single quotes (DdlNormalizer)."""
        pieces, at = [], first.start
        for token in () if self.dialect.mariadb else self.cursor.tokens:
            if token.kind == STRING and token.text.startswith('"') and at <= token.start < end:
                pieces += [self.source[at:token.start], "'", token.text[1:-1].replace("'", "''"), "'"]
                at = token.end
        return "".join([*pieces, self.source[at:end]])

    def table_id(self, cursor: Cursor | None = None) -> TableId:
        return self.id_of(*(cursor or self.cursor).qualified())

    def id_of(self, database: str | None, table: str) -> TableId:
        database = self.database if database is None else database
        return TableId(database.lower(), "", table.lower()) if self.structures.folds else TableId(database, "", table)

    def editor(self, table: TableStructure) -> TableEditor:
        return TableEditor(table, self.structures.charset_of(table.id.catalog), mariadb=self.dialect.mariadb)

    def takes_if_not_exists(self) -> bool:
        return self.cursor.takes("IF", "NOT", "EXISTS")

    def changed(self, type: Literal["CREATE", "ALTER", "DROP"], id: TableId, structure: TableStructure | None = None, *,
                previous_id: TableId | None = None, ddl: str | None = None) -> SchemaChange:
        return SchemaChange(ddl or self.text, id.catalog, TableChange(type, id, structure, previous_id))

    def unknown(self, type: Literal["CREATE", "ALTER"], id: TableId, reason: str, *,
                previous_id: TableId | None = None) -> Outcome:
        """The table is there and its structure is not known any more."""
        self.structures.drop(id)
        return Outcome("ddl", (self.changed(type, id, previous_id=previous_id),), reread=(id,), reason=reason)


def _kind(statement: _Statement) -> Kind:
    cursor = statement.cursor
    first = cursor.peek()
    if first.kind != WORD:
        return "dml" if first.value == "(" else "other"
    word = first.value
    if word == "BEGIN" or cursor.sees("START", "TRANSACTION"):
        return "begin"
    if word == "COMMIT":
        return "commit"
    if word == "ROLLBACK":
        return "savepoint" if any(each.value == "TO" for each in cursor.tokens[1:3]) else "rollback"
    if word == "SAVEPOINT" or word == "RELEASE":
        return "savepoint"
    if word == "XA":
        return "xa"
    if word in _DML:
        return "dml"
    return "other" if word in _HARMLESS else "ddl"


def _dml(statement: _Statement) -> Outcome:
    """A change logged as a statement. What writes to the server's own tables alone is harmless: managed services log
    their heartbeats so."""
    try:
        targets = _targets(statement)
    except NotUnderstood:
        targets = ()
    if targets and all(is_builtin(id) for id in targets):
        return Outcome("other")
    return Outcome("dml", targets=targets)


_DML_NOISE: Final = ("LOW_PRIORITY", "HIGH_PRIORITY", "DELAYED", "QUICK", "IGNORE", "INTO", "FROM")


def _targets(statement: _Statement) -> tuple[TableId, ...]:
    """Of an INSERT, REPLACE, UPDATE or DELETE on one table."""
    cursor = statement.cursor
    word = cursor.next().value
    if word not in ("INSERT", "REPLACE", "UPDATE", "DELETE"):
        return ()
    while cursor.takes_any(*_DML_NOISE):
        pass
    id = statement.table_id()
    several = cursor.sees(",") or cursor.sees("JOIN") or (word == "DELETE" and cursor.sees("FROM"))
    return () if several or (word == "UPDATE" and not _is_one_table(cursor)) else (id,)


def _is_one_table(cursor: Cursor) -> bool:
    """Whether SET comes before anything but an alias."""
    return any(cursor.peek(ahead).value == "SET" for ahead in range(3))


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
        return _create_database(statement)
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
        return Outcome("ddl")  # nothing was made, or the server would not have had it before
    if replaces:
        structures.drop(id)
    reason = "its columns come from a query or from a table that is not known"
    try:
        made = _new_table(statement, id)
    except NotUnderstood as exc:
        made, reason = None, str(exc)
    if made is None:
        return replace(statement.unknown("CREATE", id, reason), filled=(id,) if _has_query(statement) else ())
    structures.put(made)
    return Outcome("ddl", (statement.changed("CREATE", id, made),))


def _has_query(statement: _Statement) -> bool:
    """Whether a CREATE TABLE fills the table, too; where rows are logged the query is left out and they follow."""
    words = [token.value if token.kind == WORD else "" for token in statement.cursor.tokens]
    return "SELECT" in words or any(pair in (("AS", "VALUES"), ("AS", "TABLE")) for pair in itertools.pairwise(words))


def _new_table(statement: _Statement, id: TableId) -> TableStructure | None:
    """None where the statement alone does not say what the table looks like."""
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


def _create_database(statement: _Statement) -> Outcome:
    """Also for ALTER: the charset is what tables made later inherit."""
    cursor = statement.cursor
    statement.takes_if_not_exists()
    token = cursor.peek()
    named = token.kind == NAME or (token.kind == WORD and token.value not in ("DEFAULT", "CHARACTER", "CHARSET"))
    database = cursor.name() if named else statement.database
    database = database.lower() if statement.structures.folds else database
    editor = TableEditor(TableStructure(TableId(database, "", ""), ()), statement.structures.server_charset)
    try:
        read_options(cursor, editor)
    except NotUnderstood:
        pass  # read-only, encryption, upgrade: nothing that tables inherit
    if editor.charset is not None:
        statement.structures.database_charsets[database] = editor.charset
    elif database not in statement.structures.database_charsets:
        statement.structures.database_charsets[database] = statement.structures.server_charset
    alters = cursor.tokens[statement.begin].value == "ALTER"
    return Outcome("ddl", () if alters else (SchemaChange(statement.text, database),))


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
    editor.add_unique(name, cursor)
    return _keys_changed(statement, table, editor, made_index=True)


def _keys_changed(statement: _Statement, table: TableStructure, editor: TableEditor, *, made_index: bool) -> Outcome:
    """A unique index was made, or an index dropped, which is a change where that changes what identifies a row."""
    try:
        made = editor.finish()
    except NotUnderstood as exc:
        return statement.unknown("ALTER", table.id, str(exc))
    statement.structures.put(made)
    if not made_index and made.key == table.key:
        return Outcome("ddl")
    cut = made_index and not statement.dialect.mariadb
    text = statement.text[len("CREATE"):].lstrip() if cut else statement.text
    change = statement.changed("ALTER", table.id, made, ddl=text)
    return Outcome("ddl", (replace(change, whole=statement.text if made_index else None),))


def _other_object(statement: _Statement) -> Outcome:
    """A view, a routine, an event, a server: nothing that rows are of."""
    first = statement.begin + 1
    words = {token.value for token in statement.cursor.tokens[first:first + 13] if token.kind == WORD}
    return Outcome("other" if words & _ROUTINES else "ddl")


# -- ALTER -----------------------------------------------------------------------------------------------------------


def _alter(statement: _Statement) -> Outcome:
    cursor = statement.cursor
    if cursor.takes_any("DATABASE", "SCHEMA"):
        return _create_database(statement)
    while cursor.takes_any("ONLINE", "OFFLINE", "IGNORE"):
        pass
    if not cursor.takes("TABLE"):
        return _other_object(statement)
    cursor.takes("IF", "EXISTS")
    id = statement.table_id()
    if cursor.takes("WAIT"):
        cursor.next()
    cursor.takes("NOWAIT")
    new_id = _new_name(statement, Cursor(cursor.tokens, cursor.at)) or id
    table = statement.structures.get(id)
    if table is None:
        reason = "the table was not known"
        if new_id != id:
            statement.structures.drop(new_id)
        return Outcome("ddl", (statement.changed("ALTER", new_id),), reread=(new_id,), reason=reason)
    editor = statement.editor(table)
    try:
        _apply_actions(Cursor(cursor.tokens, cursor.at), editor)
        made = replace(editor.finish(), id=new_id)
    except NotUnderstood as exc:
        statement.structures.drop(id)
        return statement.unknown("ALTER", new_id, str(exc))
    statement.structures.drop(id)
    statement.structures.put(made)
    _convert_partition(statement, cursor, made)
    return Outcome("ddl", (statement.changed("ALTER", new_id, made),))


def _convert_partition(statement: _Statement, cursor: Cursor, table: TableStructure) -> None:
    """MariaDB: a partition becomes a table, or a table a partition. MariaDB docs, "Partition Maintenance"."""
    if cursor.takes("CONVERT", "PARTITION"):
        cursor.name()
        cursor.needs("TO", "TABLE")
        statement.structures.put(replace(table, id=statement.table_id()))
    elif cursor.takes("CONVERT", "TABLE"):
        statement.structures.drop(statement.table_id())


def _apply_actions(cursor: Cursor, editor: TableEditor) -> None:
    cursor = cursor.before(("PARTITION", "BY"), ("REMOVE", "PARTITIONING"))  # they follow the last action as they are
    while not cursor.done:
        ahead = Cursor(cursor.tokens, cursor.at + 1, cursor.stop)
        if cursor.sees("PARTITION") or cursor.sees("ORDER", "BY") or ahead.sees("PARTITION") or ahead.sees("TABLE"):
            cursor.to_end()  # they come last and have commas of their own
        else:
            apply_action(cursor.item(), editor)


def _new_name(statement: _Statement, cursor: Cursor) -> TableId | None:
    """What ALTER TABLE … RENAME [TO] says, wherever among the actions it is."""
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
        statement.structures.drop_database(database.lower() if statement.structures.folds else database)
        return Outcome("ddl", (SchemaChange(statement.text, database),))
    if cursor.takes("INDEX"):
        return _drop_index(statement)
    return _other_object(statement)


def _drop_tables(statement: _Statement) -> Outcome:
    """One record a table, as if each had been dropped by a statement of its own."""
    cursor = statement.cursor
    cursor.takes("IF", "EXISTS")
    prefix = statement.cut(cursor.tokens[statement.begin], cursor.peek().start)
    ids = []
    while True:
        ids.append(statement.table_id())
        if not cursor.takes(","):
            break
    if cursor.takes("WAIT"):
        cursor.next()
    suffix = "".join(f" {word}" for word in ("RESTRICT", "CASCADE") if cursor.takes(word))
    for id in ids:
        statement.structures.drop(id)
    return Outcome("ddl", tuple(
        statement.changed("DROP", id, ddl=f"{prefix}{quoted(id.catalog)}.{quoted(id.table)}{suffix}") for id in ids))


def read_type(text: str, name: str, dialect: Dialect = MYSQL) -> ColumnDef:
    """A column of the type *text* alone, such as `int(10) unsigned`. Raises NotUnderstood."""
    return read_definition(Cursor(tokenize(text, dialect), mariadb=dialect.mariadb), name).column


def read_default_text(text: str, dialect: Dialect = MYSQL) -> str | None:
    """What follows DEFAULT, as `ColumnDef.default` has it."""
    return read_default(Cursor(tokenize(text, dialect), mariadb=dialect.mariadb))


def statement_text(text: str, dialect: Dialect = MYSQL) -> str:
    """*text* as Debezium repeats it: from its first token to its last, without comments around them."""
    return _Statement(text, "", Structures(), dialect).text


def quoted(name: str) -> str:
    """*name* as an identifier."""
    return "`" + name.replace("`", "``") + "`"


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
    """Pair by pair, in order, so that tables can be swapped: each record has what the whole statement left under its
    name. A table that was not known comes to be."""
    cursor = statement.cursor
    if not cursor.takes_any("TABLE", "TABLES"):
        return Outcome("other")
    cursor.takes("IF", "EXISTS")
    prefix = statement.cut(cursor.tokens[statement.begin], cursor.peek().start)
    changes = []
    renamed: dict[TableId, bool] = {}
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
        ddl = prefix + statement.cut(first, cursor.peek(-1).end)
        changes.append(statement.changed("ALTER", new, previous_id=old, ddl=ddl))
        if not cursor.takes(","):
            break
    unknown = tuple(id for id, is_unknown in renamed.items() if is_unknown)
    return Outcome("ddl", tuple(changes), reread=unknown, reason="the table was not known" if unknown else "")
