"""What include lists name, and what cannot be captured, without a server."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cdc.core.errors import ConfigError
from cdc.debezium.filters import Filters
from cdc.sources.postgres import captured
from cdc.sources.postgres.builtin import is_builtin
from cdc.sources.postgres.catalog import ColumnCatalog, RelationCatalog, Unlogged
from cdc.sources.postgres.options import parse_postgres

GIVEN = {"name": "n", "topic.prefix": "srv", "database.hostname": "h", "database.user": "u", "database.dbname": "d"}
OTHERS = [Unlogged("public", "u", "unlogged"), Unlogged("public", "mv", "a materialized view"),
          Unlogged("public", "far", "a foreign table"), Unlogged("pg_temp_3", "tmp", "temporary"),
          Unlogged("s", "v", "a view")]


def table(name: str, **others: tuple[str, ...]) -> RelationCatalog:
    return RelationCatalog(20000, "public", name, "r", "d", (), others.get("key", ("id",)), (), (), None, 0,
                           others.get("loose_key", ()), others.get("virtual", ()))


class Log:
    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []

    def warning(self, event: str, **names: object) -> None:
        self.seen.append((event, str(names.get("table", names.get("entry")))))


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Log:
    found = Log()
    monkeypatch.setattr(captured, "log", found)
    return found


def check(tables: list[RelationCatalog], **given: str) -> None:
    config, _ = parse_postgres({**GIVEN, **{key.replace("_", "."): value for key, value in given.items()}})
    captured.check_captured(tables, OTHERS, config, Filters.from_config(config, is_builtin))


@pytest.mark.parametrize(("entry", "said"), [
    ("public.u", "public.u is unlogged"), ("public.mv", "public.mv is a materialized view"),
    ("public.far", "public.far is a foreign table"), ("public.tmp", "public.tmp is temporary"),
    ("s\\..*", "s.v is a view"), ("public.(u|mv)", "public.mv is a materialized view, public.u is unlogged")])
def test_a_list_that_names_only_what_has_no_log_says_so(entry: str, said: str) -> None:
    with pytest.raises(ConfigError, match="the log has no changes of it") as caught:
        check([], table_include_list=entry)
    assert said in str(caught.value)
    assert "spelling" not in str(caught.value)


def test_a_list_that_names_nothing_asks_for_the_spelling() -> None:
    with pytest.raises(ConfigError, match="check spelling"):
        check([], table_include_list="public.nope")


def test_beside_other_tables_it_is_a_warning(log: Log) -> None:
    check([table("t")], table_include_list="public.t,public.u,public.mv,public.nope")
    assert log.seen == [("include_list_entry_matches_nothing", "public.nope"), ("table_cannot_be_captured", "public.u"),
                        ("table_cannot_be_captured", "public.mv")]


def test_views_that_a_broad_list_takes_are_not_worth_a_word_but_unlogged_tables_are(log: Log) -> None:
    check([table("t")], table_include_list=r"public\..*")
    assert log.seen == [("table_cannot_be_captured", "public.u")]
    log.seen.clear()
    check([table("t")])
    assert log.seen == [("table_cannot_be_captured", "public.u")]


def test_what_the_events_of_a_table_will_not_have_is_told(log: Log) -> None:
    check([table("t", key=(), loose_key=("a",)), table("w", virtual=("x",)), table("ok", loose_key=("a",))],
          table_exclude_list="public.u")
    assert log.seen == [("unique_index_is_no_key", "public.t"), ("virtual_columns_left_out", "public.w")]
    log.seen.clear()
    check([replace(table("t", key=(), loose_key=("a",)), columns=(ColumnCatalog("a", 1, 23, -1, True, None, "", ""),))],
          table_exclude_list="public.u", message_key_columns="public.t:a")
    assert log.seen == []
