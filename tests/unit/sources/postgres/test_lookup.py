"""Look-ups while rows stream: once per relation, again after a lost connection, and which columns need text format."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from cdc.core.errors import SourceConnectionError, SourceRefusedError
from cdc.core.schema import STRING, Schema
from cdc.sources.postgres import lookup
from cdc.sources.postgres.catalog import CatalogSnapshot, RelationCatalog
from cdc.sources.postgres.lookup import Lookup, check_binary, text_only
from cdc.sources.postgres.lsn import Lsn
from cdc.sources.postgres.options import parse_postgres
from cdc.sources.postgres.protocol import Relation, RelationColumn, Type
from cdc.sources.postgres.remembered import Remembered
from cdc.sources.postgres.types import TypeInfo

RELATION = Relation(1, "public", "t", "d", (RelationColumn("id", 23, -1, True), RelationColumn("note", 25, -1, False)))
CONFIG, _ = parse_postgres({"name": "n", "topic.prefix": "p", "database.hostname": "h", "database.user": "u",
                            "database.dbname": "d"})


def column(name: str, *, binary: bool = True, key_binary: bool = True) -> Any:
    schema = Schema(STRING, optional=True)
    return SimpleNamespace(name=name, index=0, binary_codec=object() if binary else None, schema=schema,
                           key_schema=schema, key_binary_codec=object() if key_binary else None, codec=None,
                           key_codec=None)


def table(*columns: Any, key: tuple[Any, ...] = ()) -> Any:
    return SimpleNamespace(id="d.public.t", columns=columns, key=key)


class Builder:
    """Stands in for the TableBuilder."""

    def __init__(self, built: Any = None, *, captured: bool = True) -> None:
        self.built = built or table(column("id"), column("note"))
        self.is_captured = captured
        self.relaxed: list[Any] = []

    def captured(self, relation: Relation) -> bool:
        return self.is_captured

    def build(self, relation: Relation, catalog: Any, merged: Any) -> Any:
        return self.built

    def relation_in(self, catalog: CatalogSnapshot, oid: int) -> RelationCatalog | None:
        return catalog.relations.get(oid)

    def as_configured(self, table: RelationCatalog) -> RelationCatalog:
        return table

    def relax(self, oid: int, names: list[str], catalog: Any) -> Any:
        self.relaxed.append((oid, names))
        return self.built


class Server:
    """Connections that count, and a catalog whose first *failures* readings lose theirs."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, failures: int = 0) -> None:
        self.opened: list[Any] = []
        self.read: list[Any] = []
        self.failures = failures
        self.types = {oid: TypeInfo(oid, name, "pg_catalog", "b") for oid, name in ((23, "int4"), (25, "text"))}
        monkeypatch.setattr(lookup, "connect", self.connect)
        monkeypatch.setattr(lookup, "read_catalog", self.read_catalog)
        monkeypatch.setattr(lookup, "read_types_named", self.read_types_named)

    def connect(self, config: Any) -> Any:
        conn = SimpleNamespace(closed=False, broken=False)
        conn.close = lambda: setattr(conn, "closed", True)
        self.opened.append(conn)
        return conn

    def read_catalog(self, conn: Any, oids: list[int], *, type_oids: set[int]) -> CatalogSnapshot:
        self.read.append((conn, oids, sorted(type_oids)))
        if len(self.read) <= self.failures:
            raise SourceConnectionError("lost")
        return CatalogSnapshot(Lsn(1), {}, {oid: self.types[oid] for oid in type_oids if oid in self.types})

    def read_types_named(self, conn: Any, names: set[tuple[str, str]]) -> dict[int, TypeInfo]:
        return {oid: info for oid, info in self.types.items() if (info.namespace, info.name) in names}


def make(builder: Builder) -> Lookup:
    stand_in: Any = builder
    return Lookup(CONFIG, stand_in)


def test_a_relation_that_is_not_captured_is_not_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(monkeypatch)
    assert make(Builder(captured=False)).resolve(RELATION, 0, 0).table is None
    assert server.opened == []


def test_a_captured_relation_is_looked_up_with_the_types_that_the_log_names(monkeypatch: pytest.MonkeyPatch) -> None:
    server, builder = Server(monkeypatch), Builder()
    found = make(builder).resolve(RELATION, 0, 0)
    assert (found.table, found.column_count) == (builder.built, 2)
    assert server.read == [(server.opened[0], [1], [23, 25])]


def test_a_lost_connection_is_replaced_once(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(monkeypatch, failures=1)
    make(Builder()).resolve(RELATION, 0, 0)
    assert [conn.closed for conn in server.opened] == [True, False]
    Server(monkeypatch, failures=2)
    with pytest.raises(SourceConnectionError):
        make(Builder()).resolve(RELATION, 0, 0)


def test_a_broken_connection_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    server, looked = Server(monkeypatch), make(Builder())
    first = looked.connection()
    assert looked.connection() is first
    first.broken = True  # type: ignore[misc]
    assert looked.connection() is server.opened[1]


def test_relaxing_names_the_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    Server(monkeypatch)
    builder = Builder()
    looked = make(builder)
    assert looked.relax(looked.resolve(RELATION, 0, 0), [1]).table is builder.built
    assert builder.relaxed == [(1, ["note"])]


def test_a_type_that_the_catalog_lost_is_taken_from_what_is_remembered_or_from_the_logs_name(
        monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(monkeypatch)
    mood = TypeInfo(20001, "mood", "public", "e", labels=("a",))
    looked = make(Builder())
    looked.remembered.learn_types([20001], {20001: mood})
    for said in (Type(20002, "pg_catalog", "text"), Type(20003, "public", "nobody")):
        looked.name_type(said)
    relation = Relation(1, "public", "t", "d", tuple(RelationColumn(f"c{oid}", oid, -1, False)
                                                    for oid in (20001, 20002, 20003, 25)))
    looked.resolve(relation, 0, 0)
    kept = Remembered(looked.remembered.text()).types
    assert kept == {20001: mood, 20002: TypeInfo(20002, "text", "pg_catalog", "d", base_oid=25), 25: server.types[25]}


def test_columns_without_a_binary_codec_in_row_or_key_need_text() -> None:
    key = column("id", key_binary=False)
    assert text_only(table(column("a"), column("b", binary=False), key=(key,))) == ["b", "id"]


def test_binary_format_is_refused_for_a_column_that_needs_text(monkeypatch: pytest.MonkeyPatch) -> None:
    Server(monkeypatch)
    builder = Builder(table(column("a", binary=False)))
    assert make(builder).resolve(RELATION, 0, 0).table is builder.built
    looked = make(builder)
    looked.binary = True
    with pytest.raises(SourceRefusedError, match="in text format only") as caught:
        looked.resolve(RELATION, 0, 0)
    assert (caught.value.context, caught.value.hint) == ({"columns": "a"}, "Set cdc.binary=false.")
    check_binary(table(column("a")))
