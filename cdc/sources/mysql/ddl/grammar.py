"""In what MySQL's and MariaDB's statements differ, and what Debezium's two readers make of the same text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from cdc.core.dataclass import dataclass

MODE_ORACLE: Final = 0x200
MODE_MAXDB: Final = 0x1000
"""Bits of sql_mode: MariaDB sql/sql_class.h."""
NO_TYPES: Final[Mapping[str, str]] = {}
ORACLE_TYPES: Final[Mapping[str, str]] = {
    "NUMBER": "DECIMAL", "RAW": "VARBINARY", "VARCHAR2": "VARCHAR", "CLOB": "LONGTEXT", "BLOB": "LONGBLOB",
    "DATE": "DATETIME",
}
"""What types mean under MariaDB's sql_mode=ORACLE; a NUMBER without numbers is a DOUBLE. MariaDB docs,
"sql_mode=ORACLE", "Synonyms for Basic SQL Types"; sql/sql_yacc.yy, field_type."""
MAXDB_TYPES: Final[Mapping[str, str]] = {"TIMESTAMP": "DATETIME"}
"""Under MariaDB's sql_mode=MAXDB."""
TYPE_SCHEMAS: Final[Mapping[str, Mapping[str, str]]] = {
    "MARIADB_SCHEMA": NO_TYPES, "ORACLE_SCHEMA": ORACLE_TYPES, "MAXDB_SCHEMA": MAXDB_TYPES,
}
"""Qualifiers of types, such as `oracle_schema.DATE`, which choose a mode's meaning whatever the session's mode is."""


@dataclass(frozen=True)
class Grammar:
    """One server's. Each attribute is one difference."""

    mariadb_comments: bool
    """The server runs `/*M! … */`, and skips `/*!50700 … */` to `/*!99999 … */`, which are for MySQL only."""
    json_is_longtext: bool
    """JSON is another name for LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin."""
    length_of_zero: int
    """The length that Debezium gives a string type declared with length 0, such as `varchar(0)`."""
    keeps_introducers: bool
    """Debezium keeps the introducer (`_utf8mb4'a'`) of a default; its reader of MySQL's statements drops it."""
    cuts_hex_defaults: bool
    """Debezium's reader of MySQL's statements drops the last digit of the defaults `0x1F` and `0b101`
    (DefaultValueParserListener); its reader of MariaDB's keeps all of `0b101` and drops all of `0x1F`."""
    more_nows: bool
    """Debezium keeps CURDATE() and the like, as defaults, as they were written."""
    single_quotes: bool
    """Debezium repeats strings in single quotes (DdlNormalizer)."""
    cuts_create_index: bool
    """Debezium drops the word CREATE from the text of a CREATE UNIQUE INDEX."""
    catalog_defaults_as_written: bool
    """information_schema has a default as a statement writes it; MySQL's has a literal without quotes."""
    types_by_mode: tuple[tuple[int, Mapping[str, str]], ...]
    """Bits of sql_mode, and the types that mean others under it."""


MYSQL: Final = Grammar(
    mariadb_comments=False, json_is_longtext=False, length_of_zero=10, keeps_introducers=False, cuts_hex_defaults=True,
    more_nows=False, single_quotes=True, cuts_create_index=True, catalog_defaults_as_written=False,
    types_by_mode=(),
)
MARIADB: Final = Grammar(
    mariadb_comments=True, json_is_longtext=True, length_of_zero=0, keeps_introducers=True, cuts_hex_defaults=False,
    more_nows=True, single_quotes=False, cuts_create_index=False, catalog_defaults_as_written=True,
    types_by_mode=((MODE_ORACLE, ORACLE_TYPES), (MODE_MAXDB, MAXDB_TYPES)),
)
