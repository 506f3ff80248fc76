"""Offsets that Confluent's JDBC source stored in Kafka Connect, and those that go back to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from cdc.core.errors import ConfigError, PositionLostError
from cdc.core.handover import Given
from cdc.operate.giving_back import given_back
from cdc.sources.query.handover import HANDOVER

TIMED = {"timestamp": 1_000, "timestamp_nanos": 0, "incrementing": 7}
TABLES: Given = [({"table": "public.a", "protocol": "1"}, TIMED), ({"protocol": "1", "table": "public.b"}, TIMED),
                 ({"query": "query"}, {"incrementing": 3}), ({"table": "a"}, {"incrementing": 1})]


def chosen(given: Given, **keys: str) -> tuple[Given, dict[str, str]]:
    found, remarks = HANDOVER.chosen({key.replace("_", "."): text for key, text in keys.items()}, given)
    return found, {each.level: each.text for each in remarks}


def test_all_tables_go_on_from_their_offsets() -> None:
    found, told = chosen(TABLES, mode="timestamp+incrementing")
    assert found == [({"protocol": "1", "table": "public.a"}, TIMED), ({"protocol": "1", "table": "public.b"}, TIMED)]
    assert [list(partition) for partition, _ in found] == [["protocol", "table"]] * 2, "keys are compared as bytes"
    assert list(told) == ["info"]
    assert "of each of 2 tables" in told["info"]


@pytest.mark.parametrize("key", ["query", "query_masked"])
def test_a_query_goes_on_from_its_own(key: str) -> None:
    found, told = chosen(TABLES, mode="incrementing", **{key: "SELECT 1"})
    assert found == [({"query": "query"}, {"incrementing": 3})]
    assert list(told) == ["info"]


@pytest.mark.parametrize(("given", "keys"), [
    ([], {}), ([({"query": "query"}, {"incrementing": 3})], {}), (TABLES[:1], {"query": "SELECT 1"})])
def test_without_an_offset_it_is_refused(given: Given, keys: Mapping[str, str]) -> None:
    found, told = chosen(given, mode="incrementing", **keys)
    assert (found, list(told)) == ([], ["error"])
    assert "has stored none" in told["error"]


def test_with_mode_bulk_there_is_none() -> None:
    assert chosen([], mode="bulk")[0] == []
    assert list(chosen([], mode="Bulk")[1]) == ["info"]


def test_an_offset_without_a_schema_is_refused_unless_there_is_a_later_one() -> None:
    _, told = chosen([*TABLES, ({"table": "old"}, {"incrementing": 1})], mode="incrementing")
    assert "of old it was stored before" in told["error"]


@pytest.mark.parametrize(("offset", "refused"), [
    (TIMED, False), ({"incrementing": 0}, False), ({"lsn": 1}, True), ({"a|incrementing": 1}, True),
    ({"incrementing": "7"}, True)])
def test_what_cannot_be_read_is_an_error(offset: dict[str, Any], refused: bool) -> None:
    assert [each.level for each in HANDOVER.taken_over(offset)] == ["error"] * refused


def test_it_goes_back_as_it_is() -> None:
    assert given_back(TIMED) == TIMED
    with pytest.raises(ConfigError, match="all tables together"):
        given_back({"a|incrementing": 1})
    with pytest.raises(PositionLostError):
        HANDOVER.given_back({"lsn": 1})
