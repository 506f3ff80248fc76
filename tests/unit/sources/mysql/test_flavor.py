"""What differs between MySQL and MariaDB, and how names are quoted for both."""

from __future__ import annotations

from dataclasses import fields

import pytest

from cdc.core.table import TableId
from cdc.sources.mysql.ddl.grammar import Grammar
from cdc.sources.mysql.flavor import MARIADB, MYSQL, Flavor, flavor_of
from cdc.sources.mysql.quoting import quoted, quoted_table


@pytest.mark.parametrize(("version", "flavor"), [
    ("9.7.4", MYSQL), ("8.0.36-28.1", MYSQL), ("10.11.19-MariaDB-log", MARIADB), ("5.5.5-10.6.3-MariaDB", MARIADB),
    ("11.4.2-mariadb", MARIADB),
])
def test_a_server_is_known_by_its_version(version: str, flavor: Flavor) -> None:
    assert flavor_of(version) is flavor


@pytest.mark.parametrize("kind", [Flavor, Grammar])
def test_each_attribute_is_a_difference(kind: type) -> None:
    pair = (MYSQL, MARIADB) if kind is Flavor else (MYSQL.grammar, MARIADB.grammar)
    same = [field.name for field in fields(kind) if getattr(pair[0], field.name) == getattr(pair[1], field.name)]
    assert same == []


def test_gtids_are_read_in_the_servers_own_form() -> None:
    uuid = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
    assert str(MYSQL.parse_gtids(f"{uuid}:1-3,\n{uuid}:5")) == f"{uuid}:1-3:5"
    assert str(MARIADB.parse_gtids("1-1-5,0-1-100")) == "0-1-100,1-1-5"


def test_statements_have_a_time_limit_in_the_servers_own_unit() -> None:
    assert MYSQL.session_timeouts(1500) == {"max_execution_time": "1500"}
    assert MARIADB.session_timeouts(1500)["max_statement_time"] == "1.5"


def test_only_mariadb_is_told_its_gtids_by_statements() -> None:
    assert MYSQL.dump_settings(MYSQL.parse_gtids("")) == []
    assert MARIADB.dump_settings(None) == ["SET @mariadb_slave_capability = 4"]
    assert "'0-1-7'" in MARIADB.dump_settings(MARIADB.parse_gtids("0-1-7"))[1]


def test_names_are_quoted() -> None:
    assert quoted("a`b") == "`a``b`"
    assert quoted_table(TableId("my db", "", "t")) == "`my db`.`t`"
