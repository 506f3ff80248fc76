"""`cdc init` and `cdc run --dry-run` look at real servers, and change nothing there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cdc import plugins
from cdc.cli.main import cli
from cdc.core.preview import TableNames
from tests.conftest import BinlogDatabase, Database
from tests.servers.mysql import BinlogServer
from tests.servers.postgres import PostgresServer


def previewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str,
              password: str) -> tuple[str, dict[str, Any], int]:
    """The configuration that `cdc init` writes for *url*, and what `cdc run --dry-run` says of it, with its code."""
    monkeypatch.setattr("cdc.log.configure", lambda *_: None)
    monkeypatch.setenv("DATABASE_PASSWORD", password)
    path = tmp_path / "made.properties"
    made = CliRunner().invoke(cli, ["init", url, "-f", str(path), "--force", "--name", "srv"], standalone_mode=False)
    assert made.exception is None, made.exception
    found = CliRunner().invoke(cli, ["run", "--dry-run", "--json", str(path)], standalone_mode=False)
    assert found.exception is None, found.exception
    shown = json.loads(found.stdout.splitlines()[-1])
    assert password not in path.read_text() + found.output + made.output
    return path.read_text(), shown, found.return_value


def tables(shown: dict[str, Any]) -> dict[str, tuple[str, list[str], list[str]]]:
    return {each["table"]: (each["topic"], [field["field"] for field in each["key"]],
                            [field["field"] for field in each["columns"]]) for each in shown["tables"]}


def test_postgres_is_looked_at_and_not_changed(postgres18: PostgresServer, tmp_path: Path,
                                               monkeypatch: pytest.MonkeyPatch) -> None:
    name = postgres18.create_database("preview")
    database = Database(postgres18, name)
    try:
        database.execute("CREATE TABLE orders (id int PRIMARY KEY, total numeric(5,2))")
        database.execute("CREATE TABLE bare (a int)")
        database.execute("CREATE ROLE preview_boss SUPERUSER LOGIN PASSWORD 'boss-geheim'")
        database.execute("CREATE ROLE preview_weak LOGIN PASSWORD 'weak-geheim'")
        port = postgres18.port
        text, shown, code = previewed(tmp_path, monkeypatch, f"postgresql://preview_boss@127.0.0.1:{port}/{name}",
                                      "boss-geheim")
        assert code == 0
        assert "table.include.list=public.bare,\\\n  public.orders\n" in text
        assert tables(shown) == {"public.bare": ("srv.public.bare", [], ["a"]),
                                 "public.orders": ("srv.public.orders", ["id"], ["id", "total"])}
        assert [note for note in shown["notes"] if "refuses UPDATE and DELETE on public.bare" in note]

        _, shown, code = previewed(tmp_path, monkeypatch, f"postgresql://preview_weak@127.0.0.1:{port}/{name}",
                                   "weak-geheim")
        assert code == 3
        told = " ".join(each["text"] for each in shown["problems"])
        for part in ("may not replicate", "Publication cdc_srv does not exist", "all columns of public.bare"):
            assert part in told

        assert database.execute("SELECT 1 FROM pg_publication") == []
        assert database.execute(f"SELECT 1 FROM pg_replication_slots WHERE database = '{name}'") == []
    finally:
        postgres18.drop_database(name)
        postgres18.execute("DROP ROLE IF EXISTS preview_boss, preview_weak")


def test_mysql_and_mariadb_are_looked_at(binlog_database: BinlogDatabase, tmp_path: Path,
                                         monkeypatch: pytest.MonkeyPatch) -> None:
    server: BinlogServer = binlog_database.server
    name = binlog_database.name
    kind = "mariadb" if "MARIADB" in server.version.upper() else "mysql"
    binlog_database.execute("CREATE TABLE orders (id int PRIMARY KEY, total decimal(5,2))")
    server.create_user("preview_boss", "boss-geheim", ["ALL PRIVILEGES ON *.*"])
    server.create_user("preview_weak", "weak-geheim")
    try:
        text, shown, code = previewed(tmp_path, monkeypatch, f"{kind}://preview_boss@127.0.0.1:{server.port}/{name}",
                                      "boss-geheim")
        assert code == 0, shown
        assert f"table.include.list={name}.orders\n" in text
        assert tables(shown) == {f"{name}.orders": (f"srv.{name}.orders", ["id"], ["id", "total"])}
        assert {"topic": "srv", "of": "statements that change tables"} in shown["topics"]

        _, shown, code = previewed(tmp_path, monkeypatch, f"{kind}://preview_weak@127.0.0.1:{server.port}/{name}",
                                   "weak-geheim")
        assert code == 3
        assert "lacks REPLICATION SLAVE" in shown["problems"][0]["text"]
    finally:
        server.drop_user("preview_boss")
        server.drop_user("preview_weak")


def test_tables_are_listed_with_estimates(postgres18: PostgresServer, binlog_database: BinlogDatabase) -> None:
    name = postgres18.create_database("named")
    database = Database(postgres18, name)
    try:
        database.execute("CREATE TABLE orders (id int PRIMARY KEY)")
        database.execute("CREATE TABLE other (id int PRIMARY KEY)")
        database.execute("INSERT INTO orders SELECT generate_series(1, 50)")
        database.execute("ANALYZE orders")
        found = named("postgres", {"database.dbname": name, "table.include.list": "public.orders",
                                   "database.port": str(postgres18.port), "database.user": "postgres"})
    finally:
        postgres18.drop_database(name)
    assert [str(id) for id in found.captured] == [str(id) for id in found.copied] == ["public.orders"]
    assert [str(id) for id in found.others] == ["public.other"]
    assert list(found.rows.values()) == [50]

    binlog_database.execute("CREATE TABLE orders (id int PRIMARY KEY)")
    binlog_database.execute("CREATE TABLE other (id int PRIMARY KEY)")
    binlog_database.execute("INSERT INTO orders VALUES (1), (2), (3)")
    binlog_database.execute("ANALYZE TABLE orders")
    kind = "mariadb" if "MARIADB" in binlog_database.server.version.upper() else "mysql"
    found = named(kind, {"table.include.list": f"{binlog_database.name}.orders", "database.user": "root",
                         "snapshot.include.collection.list": "other",
                         "database.port": str(binlog_database.server.port), "database.server.id": "77"})
    assert [str(id) for id in found.captured] == [f"{binlog_database.name}.orders"]
    assert found.copied == ()
    assert f"{binlog_database.name}.other" in [str(id) for id in found.others]
    assert list(found.rows.values()) == [3]


def named(kind: str, more: dict[str, str]) -> TableNames:
    plugin = plugins.find("connector", kind)
    config, _ = plugin.load_parse()({"name": "c", "connector.class": kind, "topic.prefix": "srv",
                                     "database.hostname": "127.0.0.1", **more})
    found: TableNames = plugin.load_look().tables(config)
    return found
