"""`cdc config explain`."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner, Result

from cdc.cli.main import cli
from cdc.core.errors import StateError


def explained(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["config", "explain", *arguments], standalone_mode=False)


def test_a_key_is_explained_with_its_owners_and_its_variable() -> None:
    text = explained("table.include.list").output
    assert text.startswith("table.include.list\n  Regexes of the tables to capture")
    assert "postgres, mysql, mariadb" in text
    assert "CDC_TABLE_INCLUDE_LIST" in text


@pytest.mark.parametrize(("key", "says"), [
    ("database.server.name", "database.server.name is a former name of topic.prefix."),
    ("snapshot.select.statement.overrides.public.orders", "The SELECT for one of those tables."),
    ("database.password", "yes, so it is never shown"),
    ("listeners", "of        worker"),
])
def test_former_names_families_secrets_and_a_workers_keys(key: str, says: str) -> None:
    text = explained(key).output
    assert says in text
    assert max(map(len, text.splitlines())) <= 100


def test_a_key_that_means_two_things_is_explained_for_each() -> None:
    found = json.loads(explained("key.converter", "-o", "json").output)
    assert [each["of"] for each in found] == [["worker"], ["every connector"]]
    assert explained("key.converter", "-o", "yaml").output.startswith("- key: key.converter\n")


@pytest.mark.parametrize(("key", "says"), [("tabel.include.list", "Did you mean table.include.list?"),
                                           ("zzz", "lists all keys")])
def test_an_unknown_key_names_a_similar_one(key: str, says: str) -> None:
    error = explained(key).exception
    assert isinstance(error, StateError)
    assert (error.status, says in error.hint) == (404, True)
