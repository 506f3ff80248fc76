"""`cdc init`: the configuration that it makes of a URL. `tests/integration/test_preview.py` looks at real servers."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cdc.cli.first_config import Found, parse_url, written
from cdc.cli.main import cli
from cdc.config.files import read_properties
from cdc.core.errors import CdcError, ConfigError, SourceRefusedError
from cdc.validate import validate_files

URLS = {
    "postgresql": "postgresql://cdc@db:6432/shop?sslmode=verify-full&application_name=x",
    "mysql": "mysql://cdc@db/shop",
    "mariadb": "jdbc:mariadb://cdc@db/shop",
}


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["init", *arguments], standalone_mode=False)


@pytest.mark.parametrize("kind", URLS)
@pytest.mark.parametrize("registry", ["", "http://registry:8081"])
def test_what_it_writes_is_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, registry: str) -> None:
    monkeypatch.setenv("DATABASE_PASSWORD", "hunter2-geheim")
    url = parse_url(URLS[kind])
    found = Found("Server 1", "", ("public.orders", "public.a|b", "public.c,d"),
                  (SourceRefusedError("No.", hint="Do."),), ("A note.",))
    text = written(url, "shop", "DATABASE_PASSWORD", "kafka:9092", registry, found)
    assert "geheim" not in text
    assert "# To be changed on the server" in text
    assert all(len(line) <= 120 for line in text.splitlines())
    path = tmp_path / "shop.properties"
    path.write_text(text)
    assert [each for each in validate_files([path], True) if each["level"] != "info"] == []
    config = read_properties(text)
    assert config["database.password"] == "${env:DATABASE_PASSWORD}"
    assert config["table.include.list"] == r"public.orders,public.a\|b,public.c\,d"
    assert config["database.port"] == {"postgresql": "6432"}.get(kind, "3306")


def test_parameters_of_the_url_become_keys_or_are_told() -> None:
    url = parse_url(URLS["postgresql"])
    assert url.settings == (("database.sslmode", "verify-full"),)
    assert "have no key here: application_name." in written(url, "shop", "P", "k:1", "", Found())


def test_a_password_is_read_and_never_shown() -> None:
    url = parse_url("postgresql+psycopg://me:p%40ss%2Fgeheim@[::1]/shop")
    assert (url.password, url.host, url.port) == ("p@ss/geheim", "::1", 5432)
    assert "geheim" not in repr(url) + url.shown + written(url, "shop", "P", "k:1", "", Found())


@pytest.mark.parametrize("text", [
    "", "db", "oracle://u:geheim@h/d", "postgresql://u:geheim@h", "postgresql://h/d", "postgresql://u:geheim@/d",
    "mysql://u:geheim@h:x/d", "mysql://u:geheim@[::1/d", "mysql://u@h/a/b",
])
def test_what_is_no_url_is_said_without_the_password(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_url(text)
    assert "geheim" not in str(caught.value)


def test_a_file_is_not_replaced_without_being_told(tmp_path: Path) -> None:
    path = tmp_path / "shop.properties"
    path.write_text("mine")
    error = run(URLS["mysql"], "--no-look", "-f", str(path)).exception
    assert "exists" in str(error)
    assert path.read_text() == "mine"
    found = run(URLS["mysql"], "--no-look", "-f", str(path), "--force")
    assert found.exception is None
    assert path.read_text().startswith("# Made by `cdc init` for mysql://cdc@db:3306/shop.\n")
    assert "--no-look was given" in found.stderr


def test_a_file_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    error = run(URLS["mysql"], "--no-look", "-f", str(tmp_path / "away" / "shop.properties")).exception
    assert isinstance(error, CdcError)
    assert "No such file or directory" in error.message


def test_a_server_that_is_away_gives_a_configuration_all_the_same() -> None:
    found = run("mysql://cdc:geheim@127.0.0.1:1/shop")
    assert (found.exception, found.return_value) == (None, 0)
    assert "#table.include.list=shop.orders" in found.stdout
    assert "The server was not looked at: " in found.stderr
    assert "geheim" not in found.output
