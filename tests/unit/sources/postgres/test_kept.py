"""What an offset remembers of the publication: small, the same for the same, and refused when it is damaged."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from cdc.core.errors import PositionLostError
from cdc.core.packing import pack, unpack
from cdc.sources.postgres.kept import Kept, read_kept

SOME = Kept("pub", 16400, "745", 10, frozenset("cud"), True,
            {16390: {"a": ""}, 16398: {"t16398.16450": ""}, 16399: {"t16399.16449": "f"},
             16400: {"t16391.16449": ""}, 16397: {"t16397.16470": ""}, 16395: {}, 16396: {"a": ""},
             16385: {"t16385.16401": "f00", "s2200.16402": ""}})


def test_it_reads_what_it_wrote() -> None:
    assert read_kept(SOME.text()) == (SOME, "")


def test_the_lists_that_earlier_versions_kept_here_are_read() -> None:
    lists = '{"table_include_list": ["a"]}'
    text = pack(json.dumps(json.loads(unpack(SOME.text())) | {"lists": lists}))
    assert read_kept(text) == (SOME, lists)


def test_the_order_of_tables_does_not_change_the_text() -> None:
    other = replace(SOME, tables=dict(reversed(list(SOME.tables.items()))))
    assert other.text() == SOME.text()


@pytest.mark.parametrize("all_tables", [True, False])
def test_twenty_thousand_tables_take_little_room(all_tables: bool) -> None:
    tables = {oid: {"a" if all_tables else f"t{oid}.{oid + 200_000}": ""} for oid in range(16384, 136384, 6)}
    many = replace(SOME, tables=tables)
    assert len(many.text()) < 2000
    assert read_kept(many.text()) == (many, "")


@pytest.mark.parametrize("text", ["", "no base64", pack("no JSON"), pack("[]"), pack("{}"), pack('{"name": 1}'),
                                  SOME.text()[:-9]])
def test_damage_is_an_error_and_never_counts_as_nothing_remembered(text: str) -> None:
    with pytest.raises(PositionLostError):
        read_kept(text)


@pytest.mark.parametrize("name", json.loads(unpack(SOME.text())))
def test_each_part_is_needed(name: str) -> None:
    found = json.loads(unpack(SOME.text()))
    with pytest.raises(PositionLostError):
        read_kept(pack(json.dumps({key: value for key, value in found.items() if key != name})))
    with pytest.raises(PositionLostError):
        read_kept(pack(json.dumps(found | {"tables": 5})))
