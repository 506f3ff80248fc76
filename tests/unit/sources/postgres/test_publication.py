"""Publications, replica identities and keys at start, without a server."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cdc.debezium.filters import Filters, parse_key_columns
from cdc.sources.postgres.catalog import ColumnCatalog, RelationCatalog
from cdc.sources.postgres.options import parse_postgres
from cdc.sources.postgres.publication import Publication, differences, harmless, warn_of_keys_not_logged

PUBLISHED = Publication("pub", True, frozenset("cud"), False, frozenset({("public", "t")}))


def relation(name: str = "t", *, key: tuple[str, ...] = ("id",), identity: tuple[str, ...] = ("id",),
             kind: str = "r") -> RelationCatalog:
    columns = tuple(ColumnCatalog(each, number, 23, -1, False, None, "", "")
                    for number, each in enumerate(("id", "code", "v"), 1))
    return RelationCatalog(16384, "public", name, kind, "d", columns, key, (), identity, None, 0)


@pytest.mark.parametrize(("table", "keys", "wanted"), [
    (relation(identity=("code",)), "", ["public.t (id)"]),
    (relation(key=("id", "code"), identity=("id", "v")), "", ["public.t (code)"]),
    (relation(), "public.t:code,v", ["public.t (code, v)"]),
    (relation(), "public.t:id", []),
    (relation(identity=("id", "code", "v")), "public.t:v", []),  # FULL
    (relation(identity=()), "", []),  # the server refuses UPDATE and DELETE, which is another warning
    (relation(identity=("code",), kind="p"), "", []),
])
def test_keys_outside_of_the_replica_identity_are_told(table: RelationCatalog, keys: str, wanted: list[str]) -> None:
    filters = Filters(keys=parse_key_columns(keys))
    assert warn_of_keys_not_logged([table], PUBLISHED, filters, "d") == wanted
    inserts = replace(PUBLISHED, operations=frozenset("c"))
    assert warn_of_keys_not_logged([table], inserts, filters, "d") == []


# -- publications ------------------------------------------------------------------------------------------------------


GIVEN = {"name": "n", "topic.prefix": "srv", "database.hostname": "h", "database.user": "u", "database.dbname": "d"}
LONE = relation("other", key=(), identity=())


@pytest.mark.parametrize(("given", "tables", "captured", "mode"), [
    ({}, [relation(), LONE], [("public", "t")], "filtered"),
    ({}, [relation(), LONE], [], "no_tables"),
    ({}, [relation()], [("public", "t")], "all_tables"),
    ({}, [relation(), LONE], [("public", "t"), ("public", "other")], "all_tables"),  # captured: another warning
    ({}, [relation(), relation("nothing", identity=())], [("public", "t")], "filtered"),  # REPLICA IDENTITY NOTHING
    ({}, [relation(), relation("root", identity=(), kind="p")], [("public", "t")], "all_tables"),
    ({"skipped.operations": "u,d"}, [relation(), LONE], [("public", "t")], "all_tables"),
    ({"publication.autocreate.mode": "all_tables"}, [relation(), LONE], [("public", "t")], "all_tables"),
    ({"publication.autocreate.mode": "disabled"}, [relation(), LONE], [("public", "t")], "disabled"),
])
def test_a_publication_for_all_tables_that_would_harm_others_is_narrower_unless_asked_for(
        given: dict[str, str], tables: list[RelationCatalog], captured: list[tuple[str, str]], mode: str) -> None:
    config, _ = parse_postgres({**GIVEN, **given})
    assert harmless(config, captured, tables).publication_autocreate_mode == mode


A, B, C, ROOT, LEAF = ("s", "a"), ("s", "b"), ("s", "c"), ("s", "root"), ("s", "leaf")


@pytest.mark.parametrize(("captured", "published", "members", "schemas", "wanted"), [
    ([A, B], [A, B], {A: [A], B: [B]}, [], ([], [])),
    ([A, B, C], [A, B], {A: [A], B: [B]}, [], ([C], [])),
    ([A], [A, B], {A: [A], B: [B]}, [], ([], [B])),
    ([B, C], [A, B], {A: [A], B: [B]}, [], ([C], [A])),
    ([A, ("o", "x")], [A], {}, ["s"], ([("o", "x")], [])),  # TABLES IN SCHEMA has those of s, also later ones
    ([A, C], [A, B, C], {}, ["s"], ([], [])),
    ([A, C], [A], {A: [A]}, ["s"], ([], [])),
    ([ROOT, LEAF], [LEAF], {ROOT: [ROOT, LEAF]}, [], ([], [])),
    ([LEAF], [LEAF], {ROOT: [ROOT, LEAF]}, [], ([], [])),
    ([LEAF], [ROOT], {ROOT: [ROOT, LEAF]}, [], ([], [])),  # published via the root
    ([A], [A, LEAF], {A: [A], ROOT: [ROOT, LEAF]}, [], ([], [ROOT])),
    ([ROOT, LEAF], [LEAF], {LEAF: [LEAF]}, [], ([ROOT], [])),
])
def test_a_publication_is_altered_by_what_differs(captured: Any, published: Any, members: Any, schemas: Any,
                                                  wanted: Any) -> None:
    assert differences(captured, published, members, schemas) == wanted
