"""Reads the column definitions of CREATE TABLE and ALTER TABLE.

MySQL Reference Manual, "CREATE TABLE Statement" (column_definition), "Data Types"; MariaDB docs, "CREATE TABLE":
"Column Definitions". Type names, lengths and default texts are those that Debezium gives.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from cdc.core.dataclass import dataclass

from .grammar import TYPE_SCHEMAS, Grammar
from .structure import NOW, ColumnDef
from .tokens import BITS, CHARSET, HEX, NAME, NUMBER, STRING, SYMBOL, WORD, Cursor

_PHRASES: Final = (
    ("NATIONAL", "CHARACTER", "VARYING"), ("NATIONAL", "CHAR", "VARYING"), ("NATIONAL", "CHARACTER"),
    ("NATIONAL", "CHAR"), ("NATIONAL", "VARCHAR"), ("NCHAR", "VARCHAR"), ("NCHAR", "VARYING"),
    ("CHARACTER", "VARYING"), ("CHAR", "VARYING"), ("LONG", "CHARACTER", "VARYING"), ("LONG", "CHAR", "VARYING"),
    ("LONG", "VARCHAR"), ("LONG", "VARBINARY"), ("DOUBLE", "PRECISION"),
)
"""Types of several words, longest first."""
_NATIONAL: Final = ("NATIONAL", "NCHAR", "NVARCHAR")
_NATIONAL_CHARSET: Final = "utf8"
"""The charset that Debezium gives national types; the server uses utf8mb3."""
_DECIMALS: Final = ("DECIMAL", "DEC", "NUMERIC", "FIXED")
_NOWS: Final = ("CURRENT_TIMESTAMP", "NOW", "LOCALTIME", "LOCALTIMESTAMP")
_OTHER_NOWS: Final = ("LOCALTIME", "LOCALTIMESTAMP", "CURDATE", "CURTIME")
_SIZED: Final = ("CHAR", "CHARACTER", "VARCHAR", "CHARACTER VARYING", "CHAR VARYING", "BINARY", "VARBINARY")
_ATTRIBUTES: Final = frozenset({
    "NOT", "NULL", "DEFAULT", "ON", "AUTO_INCREMENT", "UNIQUE", "PRIMARY", "KEY", "COMMENT", "COLLATE", "CHARACTER",
    "CHARSET", "COLUMN_FORMAT", "STORAGE", "ENGINE_ATTRIBUTE", "SECONDARY_ENGINE_ATTRIBUTE", "VISIBLE", "INVISIBLE",
    "GENERATED", "AS", "VIRTUAL", "STORED", "PERSISTENT", "REFERENCES", "CONSTRAINT", "CHECK", "ENFORCED", "SRID",
    "SERIAL", "REF_SYSTEM_ID", "COMPRESSED", "WITH", "WITHOUT", "FIRST", "AFTER",
})
_TO_BINARY: Final = {
    "CHAR": "BINARY", "CHARACTER": "BINARY", "VARCHAR": "VARBINARY", "CHARACTER VARYING": "VARBINARY",
    "CHAR VARYING": "VARBINARY", "TINYTEXT": "TINYBLOB", "TEXT": "BLOB", "MEDIUMTEXT": "MEDIUMBLOB",
    "LONGTEXT": "LONGBLOB", "LONG": "MEDIUMBLOB", "LONG VARCHAR": "MEDIUMBLOB",
}
"""The type that a character type with charset binary becomes (sql/sql_yacc.yy: the server makes the same change)."""


@dataclass
class Definition:
    """A column, and the rest of its definition. `place`: None to stay in place, `""` to become the first column,
    otherwise the column before it."""

    column: ColumnDef
    unique: bool = False
    primary: bool = False
    versioned: bool = False
    """It says WITH SYSTEM VERSIONING, which makes the whole table versioned."""
    place: str | None = None


def read_definition(cursor: Cursor, name: str) -> Definition:
    """Reads type and attributes of column *name*, up to the cursor's end. Raises NotUnderstood."""
    made = Definition(_read_type(cursor, name))
    if made.column.type_name == "SERIAL":
        made.column = replace(made.column, type_name="BIGINT UNSIGNED", nullable=False, auto_increment=True)
        made.unique = True
    while not cursor.done:
        if not _read_attribute(cursor, made):
            _skip_unknown(cursor)
    return made


def _skip_unknown(cursor: Cursor) -> None:
    """An attribute that we do not know does not change the column's name and type, so the rest of the table stays
    known. The rows' table map tells whether it did."""
    if cursor.sees("("):
        cursor.skip_parens()
    else:
        cursor.next()


def settled(column: ColumnDef, charset: str | None, grammar: Grammar) -> ColumnDef:
    """*column* as a server of *grammar* keeps it in a table of *charset*. What is settled stays as it is."""
    return with_table_charset(json_as_longtext(column) if grammar.json_is_longtext else column, charset)


def with_table_charset(column: ColumnDef, charset: str | None) -> ColumnDef:
    """Whether the column may inherit the table's charset."""
    if not column.is_character:
        return column
    charset = column.charset or charset
    if charset is not None and charset.lower() == "binary" and column.base in _TO_BINARY:
        return replace(column, type_name=_TO_BINARY[column.base], charset=None, collation=None)
    return column if charset == column.charset else replace(column, charset=charset)


def json_as_longtext(column: ColumnDef) -> ColumnDef:
    """*column* as MariaDB stores it; JSON is another name for LONGTEXT there. MariaDB docs, "JSON Data Type"."""
    if column.type_name != "JSON":
        return column
    return replace(column, charset="utf8mb4", collation="utf8mb4_bin")


def charset_of_collation(collation: str) -> str | None:
    """The charset of a collation: `utf8mb4` of `utf8mb4_0900_ai_ci`; `binary` of itself; None of MariaDB's
    `uca1400_ai_ci`, which fits any charset. MySQL Reference Manual, "Collation Naming Conventions"; MariaDB docs,
    "Supported Character Sets and Collations"."""
    charset = collation.partition("_")[0]
    return None if charset.lower() == "uca1400" else charset


def charset_name(cursor: Cursor) -> str:
    """The name of a charset or collation, which a statement may write as a string."""
    token = cursor.next()
    if token.kind not in (STRING, NAME, WORD):
        raise cursor.surprise("the name of a charset is missing")
    return token.text if token.kind == WORD else token.value


# -- types -----------------------------------------------------------------------------------------------------------


def _read_type(cursor: Cursor, name: str) -> ColumnDef:
    base = next((" ".join(phrase) for phrase in _PHRASES if cursor.takes(*phrase)), "")
    if not base:
        base = _type_word(cursor)
    if base in ("SET", "ENUM"):
        return _read_labels(cursor, name, base)
    length, scale = _read_numbers(cursor)
    if length == 0 and base in _SIZED:
        length = cursor.grammar.length_of_zero
    if base in _DECIMALS:
        length, scale = 10 if length is None else length, scale or 0
    elif base == "BIT" or (base.startswith(("NCHAR", "NATIONAL CHAR")) and "VAR" not in base):
        length = 1 if length is None else length
    charset = _NATIONAL_CHARSET if base.startswith(_NATIONAL) else None
    return _read_modifiers(cursor, ColumnDef(name, base, length, scale, charset))


def _type_word(cursor: Cursor) -> str:
    """A type of one word, as it is called without any sql_mode."""
    types = cursor.types
    if cursor.peek(1).value == "." and cursor.peek().value.upper() in TYPE_SCHEMAS:
        types = TYPE_SCHEMAS[cursor.next().value.upper()]
        cursor.next()
    token = cursor.next()
    if token.kind != WORD:
        raise cursor.surprise("a type is missing")
    if token.value == "NUMBER" and "NUMBER" in types and not cursor.sees("("):
        return "DOUBLE"
    return types.get(token.value, token.value)


def _read_labels(cursor: Cursor, name: str, base: str) -> ColumnDef:
    """ENUM and SET. Debezium gives an ENUM the length 1, and a SET the length of as many one-letter labels with
    commas."""
    labels = []
    inside = cursor.inside()
    while not inside.done:
        token = inside.next()
        if token.kind == HEX:
            labels.append(bytes.fromhex(token.value).decode("utf-8", "replace"))
        elif token.kind == STRING:
            labels.append(token.value.rstrip(" "))  # the server cuts them (prepare_set_and_enum_columns)
        elif not (token.value == "," or token.kind == CHARSET):
            raise inside.surprise("a label is missing")
    length = 1 if base == "ENUM" else max(0, 2 * len(labels) - 1)
    return _read_modifiers(cursor, ColumnDef(name, base, length, None, enum_values=tuple(labels)))


def _read_numbers(cursor: Cursor) -> tuple[int | None, int | None]:
    """`(n)`, `(n, m)` or nothing."""
    if not cursor.sees("("):
        return None, None
    inside = cursor.inside()
    numbers = []
    while not inside.done:
        token = inside.next()
        if token.kind == NUMBER:
            numbers.append(int(token.value.partition(".")[0] or 0))
        elif token.value not in (",", "CHAR", "BYTE"):
            raise inside.surprise("a length is missing")
    return (*numbers, None, None)[0], (*numbers, None, None)[1]


def _read_modifiers(cursor: Cursor, column: ColumnDef) -> ColumnDef:
    """Reads the modifiers, which belong to the type and precede the attributes."""
    sign = ""
    zerofill = binary = False
    charset, collation = column.charset, None
    while not cursor.done:
        if cursor.sees("UNSIGNED") or cursor.sees("SIGNED"):
            sign = f" {cursor.next().value}"
        elif cursor.takes("ZEROFILL"):
            zerofill = True
        elif cursor.takes("BINARY"):
            binary = True
        elif cursor.takes("ASCII"):
            charset = "latin1"
        elif cursor.takes("UNICODE"):
            charset = "ucs2"
        elif cursor.takes("BYTE"):
            charset = "binary"
        elif cursor.takes("CHARACTER", "SET") or cursor.takes("CHAR", "SET") or cursor.takes("CHARSET"):
            charset = charset_name(cursor)
        else:
            break
    suffix = (" UNSIGNED ZEROFILL" if zerofill else sign) + (" BINARY" if binary else "")
    return replace(column, type_name=column.type_name + suffix, charset=charset, collation=collation)


# -- attributes ------------------------------------------------------------------------------------------------------


def _read_attribute(cursor: Cursor, made: Definition) -> bool:
    """Reads one attribute into *made*. Returns whether there was one."""
    column = made.column
    if cursor.takes("NOT", "NULL"):
        made.column = replace(column, nullable=False)
    elif cursor.takes("NULL"):
        made.column = replace(column, nullable=True)
    elif cursor.takes("DEFAULT"):
        made.column = replace(column, default=read_default(cursor))
    elif cursor.takes("ON", "UPDATE"):
        _read_now(cursor)
        made.column = replace(column, on_update=True)
    elif cursor.takes("AUTO_INCREMENT"):
        made.column = replace(column, auto_increment=True)
    elif cursor.takes("SERIAL", "DEFAULT", "VALUE"):
        made.column, made.unique = replace(column, nullable=False, auto_increment=True), True
    elif cursor.takes("UNIQUE"):
        cursor.takes("KEY")
        made.unique = True
    elif cursor.takes("PRIMARY", "KEY") or cursor.takes("PRIMARY") or cursor.takes("KEY"):
        made.primary = True
    elif cursor.takes("COMMENT"):
        cursor.takes("=")
        cursor.string()
        made.column = replace(column, comment=cursor.peek(-1).text[1:-1])
    elif cursor.takes("FIRST"):
        made.place = ""
    elif cursor.takes("AFTER"):
        made.place = cursor.column()
    else:
        return _read_charset(cursor, made) or _read_generated(cursor, made) or _skip_attribute(cursor, made)
    return True


def _read_charset(cursor: Cursor, made: Definition) -> bool:
    if cursor.takes("COLLATE"):
        cursor.takes("=")
        collation = charset_name(cursor)
        charset = made.column.charset
        if made.column.is_character and collation.upper() != "DEFAULT":
            made.column = replace(made.column, collation=collation, charset=charset or charset_of_collation(collation))
    elif cursor.takes("CHARACTER", "SET") or cursor.takes("CHARSET"):
        cursor.takes("=")
        made.column = replace(made.column, charset=charset_name(cursor))
    else:
        return False
    return True


def _read_generated(cursor: Cursor, made: Definition) -> bool:
    if cursor.takes("GENERATED", "ALWAYS") or cursor.takes("GENERATED"):
        cursor.needs("AS")
    elif not cursor.takes("AS"):
        return cursor.takes_any("VIRTUAL", "STORED", "PERSISTENT") is not None
    nullable = made.column.nullable
    if cursor.takes("ROW"):  # START or END: MariaDB's system versioning
        cursor.next()
        nullable = False
    else:
        cursor.skip_parens()
    made.column = replace(made.column, generated=True, nullable=nullable)
    return True


def _skip_attribute(cursor: Cursor, made: Definition) -> bool:
    """Attributes that have no effect on values."""
    if cursor.takes_any("VISIBLE", "INVISIBLE"):
        made.column = replace(made.column, invisible=cursor.peek(-1).value == "INVISIBLE")
    elif cursor.takes_any("COLUMN_FORMAT", "STORAGE", "SRID", "REF_SYSTEM_ID", "ENGINE_ATTRIBUTE",
                          "SECONDARY_ENGINE_ATTRIBUTE"):
        cursor.takes("=")
        cursor.next()
    elif cursor.takes("COMPRESSED"):
        if cursor.takes("="):
            cursor.next()
    elif cursor.takes_any("WITH", "WITHOUT"):
        made.versioned = made.versioned or cursor.peek(-1).value == "WITH"
        cursor.needs("SYSTEM", "VERSIONING")
    elif cursor.takes("REFERENCES"):
        skip_reference(cursor)
    elif cursor.takes("CONSTRAINT"):
        if not cursor.sees("CHECK"):
            cursor.name()
    elif cursor.takes("CHECK"):
        cursor.skip_parens()
        if cursor.takes("NOT"):
            cursor.needs("ENFORCED")
        cursor.takes("ENFORCED")
    elif cursor.peek(1).value == "=" and cursor.peek(2).kind in (WORD, STRING, NUMBER):
        cursor.at += 3  # MariaDB's engine-defined attributes
    else:
        return False
    return True


def skip_reference(cursor: Cursor) -> None:
    """`table (columns) [MATCH …] [ON DELETE …] [ON UPDATE …]`, REFERENCES taken."""
    cursor.qualified()
    if cursor.sees("("):
        cursor.skip_parens()
    while True:
        if cursor.takes("MATCH"):
            cursor.next()
        elif cursor.sees("ON", "DELETE") or (cursor.sees("ON", "UPDATE") and cursor.peek(2).value not in _NOWS):
            cursor.at += 2
            if not (cursor.takes("SET", "NULL") or cursor.takes("SET", "DEFAULT") or cursor.takes("NO", "ACTION")):
                cursor.next()
        else:
            return


# -- defaults --------------------------------------------------------------------------------------------------------


def read_default(cursor: Cursor) -> str | None:
    """The text after DEFAULT, as Debezium writes it; see `ColumnDef.default`."""
    if cursor.sees("("):
        cursor.skip_parens()
        return None
    if cursor.grammar.more_nows and cursor.peek().value in _OTHER_NOWS and cursor.peek().kind == WORD:
        return _as_written(cursor)
    if _read_now(cursor):
        return NOW
    text = _literal(cursor)
    if not cursor.done and not _ends_default(cursor):
        while not cursor.done and not _ends_default(cursor):  # an expression, which MariaDB allows without parentheses
            if cursor.sees("("):
                cursor.skip_parens()
            else:
                cursor.next()
        return None
    return text


def _ends_default(cursor: Cursor) -> bool:
    token = cursor.peek()
    return token.kind == WORD and token.value in _ATTRIBUTES


def _as_written(cursor: Cursor) -> str:
    """A function of the current time that Debezium's parser for MariaDB reads as a literal."""
    begin = cursor.at
    _read_now(cursor)
    return "".join(token.text for token in cursor.tokens[begin:cursor.at])


def _read_now(cursor: Cursor) -> bool:
    if not cursor.takes_any(*_NOWS) and not (cursor.grammar.more_nows and cursor.takes_any(*_OTHER_NOWS)):
        return False
    if cursor.sees("("):
        cursor.skip_parens()
    return True


def _literal(cursor: Cursor) -> str | None:
    """Debezium loses the last digit of `0x1F` and `0b101` (DefaultValueParserListener), and all digits of MariaDB's
    `0x1F`."""
    sign = introducer = ""
    if cursor.peek().kind == SYMBOL and cursor.peek().value in "+-":
        sign = cursor.next().value
    elif cursor.peek().kind == CHARSET:
        introducer = cursor.next().text
    elif cursor.peek(1).kind == STRING:
        cursor.takes_any("DATE", "TIME", "TIMESTAMP")
    token = cursor.next()
    if token.kind == STRING:
        return sign + _string_literal((introducer if cursor.grammar.keeps_introducers else "") + token.text, cursor)
    if token.kind in (HEX, BITS) and cursor.grammar.cuts_hex_defaults:
        return token.text[2:-1]
    if token.kind in (NUMBER, BITS):
        return sign + token.value
    if token.kind == WORD and token.value in ("TRUE", "FALSE"):
        return token.text
    return None


def _string_literal(text: str, cursor: Cursor) -> str:
    """The string with all strings that follow it, including the quotes between them. With an introducer, all quotes
    stay."""
    while cursor.peek().kind == STRING:
        text += cursor.next().text
    return text[1:-1] if text[0] == text[-1] else text


def enum_literals(column: ColumnDef) -> tuple[str, ...]:
    """The labels as SHOW CREATE TABLE writes them; Debezium gives them so too."""
    return tuple("'" + label.replace("\\", "\\\\").replace("'", "''") + "'" for label in column.enum_values)
