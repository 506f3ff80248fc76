"""What the log tells of tables without any statement, and in which character set statements are."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cdc.core.errors import ProtocolError
from cdc.core.table import TableId
from cdc.sources.mysql import flavor as flavors
from cdc.sources.mysql.binlog import const
from cdc.sources.mysql.binlog.events import Query, TableMap
from cdc.sources.mysql.collations import Collation, Collations
from cdc.sources.mysql.ddl import statements as ddl
from cdc.sources.mysql.ddl.structure import Structures, TableStructure, UniqueKey
from cdc.sources.mysql.ddl.tokens import Dialect
from cdc.sources.mysql.flavor import flavor_of
from cdc.sources.mysql.structure_from_log import fits, from_log
from tests.unit.sources.mysql.binlog_files import MARIADB, MARIADB_MINIMAL, MYSQL, MYSQL_MINIMAL, messages

KNOWN = Collations({
    8: Collation("latin1", "latin1_swedish_ci", 1), 28: Collation("gbk", "gbk_chinese_ci", 2),
    33: Collation("utf8mb3", "utf8mb3_general_ci", 3), 45: Collation("utf8mb4", "utf8mb4_general_ci", 4),
    46: Collation("utf8mb4", "utf8mb4_bin", 4), 63: Collation("binary", "binary", 1),
    10: Collation("swe7", "swe7_swedish_ci", 1), 255: Collation("utf8mb4", "utf8mb4_0900_ai_ci", 4),
})


def described(name: str) -> list[tuple[TableMap, TableStructure]]:
    """The table maps of a recorded log, with the structures that the statements before them give."""
    flavor = flavor_of(name)
    structures = Structures("latin1" if flavor is flavors.MARIADB else "utf8mb4")
    found = []
    for _, message in messages(name):
        if isinstance(message, Query):
            ddl.apply(KNOWN.statement(message.sql, message.client_collation), message.database, structures,
                      Dialect(flavor.grammar))
        elif isinstance(message, TableMap):
            structure = structures.get(TableId(message.database, "", message.table))
            assert structure is not None
            found.append((message, structure))
    return found


@pytest.mark.parametrize("name", [MYSQL, MARIADB, MYSQL_MINIMAL, MARIADB_MINIMAL])
def test_rows_fit_the_structures_that_statements_give(name: str) -> None:
    assert all(fits(structure, message, KNOWN, flavor_of(name)) for message, structure in described(name))


@pytest.mark.parametrize("name", [MYSQL, MARIADB])
def test_the_log_alone_gives_a_structure_that_fits(name: str) -> None:
    for message, structure in described(name):
        alone = from_log(message, KNOWN)
        assert fits(alone, message, KNOWN, flavor_of(name))
        assert alone.primary_key == structure.primary_key
        assert [(each.name, each.nullable, each.unsigned, each.enum_values) for each in alone.columns] == [
            (each.name, each.nullable, each.unsigned, each.enum_values) for each in structure.columns]


@pytest.mark.parametrize("name", [MYSQL, MARIADB])
def test_what_the_log_lacks_comes_from_a_structure_that_has_it(name: str) -> None:
    for message, structure in described(name):
        assert columns(from_log(message, KNOWN, None, structure)) == columns(structure)
        worse = replace(structure, columns=structure.columns[:1], primary_key=())
        assert columns(from_log(message, KNOWN, worse, structure)) == columns(structure)
        assert from_log(message, KNOWN, worse).columns[0].comment == structure.columns[0].comment


def columns(structure: TableStructure) -> list[object]:
    """Without the collation's name, which a statement need not say."""
    return [replace(each, collation=None) for each in structure.columns]


def test_only_mariadb_has_hidden_columns_of_unique_keys() -> None:
    message, structure = next(pair for pair in described(MARIADB) if pair[1].columns[0].base == "INT")
    hashed = replace(
        message, types=message.types + bytes((const.MYSQL_TYPE_LONGLONG,)), metadata=(*message.metadata, 0),
        nullable=(*message.nullable, True), names=(*(message.names or ()), "DB_ROW_HASH_1"),
        unsigned=(*(message.unsigned or ()), True), charsets=(*(message.charsets or ()), None))
    keyed = replace(structure, unique_keys=(UniqueKey("u", (structure.columns[-1].name,)),))
    assert fits(keyed, hashed, KNOWN, flavors.MARIADB)
    assert not fits(keyed, hashed, KNOWN, flavors.MYSQL)
    assert not fits(replace(keyed, unique_keys=()), hashed, KNOWN, flavors.MARIADB)
    assert fits(keyed, replace(hashed, names=None), KNOWN, flavors.MARIADB)
    assert from_log(hashed, KNOWN).columns == from_log(message, KNOWN).columns


def test_a_column_of_another_type_keeps_no_default() -> None:
    message, structure = next((message, structure) for message, structure in described(MYSQL))
    text = replace(structure.columns[0], type_name="VARCHAR", length=7, default="x", comment="c")
    other = replace(structure, columns=(text, *structure.columns[1:]))
    found = from_log(message, KNOWN, other).columns[0]
    assert (found.type_name, found.default, found.comment) == (structure.columns[0].type_name, None, "c")


def test_a_character_set_that_no_server_has_is_an_error() -> None:
    message = next(message for message, _ in described(MYSQL) if any(message.charsets or ()))
    with pytest.raises(ProtocolError, match="character set"):
        from_log(message, Collations({}))


@pytest.mark.parametrize(("sql", "collation", "expected"), [
    (b"BEGIN", 45, "BEGIN"), (b"ALTER TABLE t ADD { int", 10, "ALTER TABLE t ADD ä int"),
    (b"ALTER TABLE t ADD \xe4 int", 8, "ALTER TABLE t ADD ä int"),
    ("ALTER TABLE t COMMENT '乗'".encode("gbk"), 28, "ALTER TABLE t COMMENT '乗'"),
    ("ALTER TABLE t ADD ä int".encode(), 45, "ALTER TABLE t ADD ä int"),
    ("ALTER TABLE t ADD ä int".encode(), None, "ALTER TABLE t ADD ä int"),
    ("ALTER TABLE t ADD ä int".encode(), 9999, "ALTER TABLE t ADD ä int"),
    ("ALTER TABLE t ADD ä int".encode(), 63, "ALTER TABLE t ADD ä int"),
    ("CREATE TABLE `ä` (\n  `ö` int\n) START".encode(), 8, "CREATE TABLE `ä` (\n  `ö` int\n) START"),
    ("CREATE OR REPLACE TABLE `d`.`ä` (\n  `ö` int\n)".encode(), 28, "CREATE OR REPLACE TABLE `d`.`ä` (\n  `ö` int\n)"),
    (b"CREATE TABLE `\xe4` (\n  `\xf6` int\n)", 8, "CREATE TABLE `ä` (\n  `ö` int\n)"),
])
def test_a_statement_is_in_its_clients_character_set_unless_the_server_wrote_it(
        sql: bytes, collation: int | None, expected: str) -> None:
    assert KNOWN.statement(sql, collation) == expected
