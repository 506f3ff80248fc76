"""`cdc docs`, and what `cdc plugins describe` shows of the same pages."""

from __future__ import annotations

import pytest

from cdc import docs
from cdc.cli.main import main


def output(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == code
    captured = capsys.readouterr()
    return captured.err if code else captured.out


def test_all_pages_are_listed_with_their_titles(capsys: pytest.CaptureFixture[str]) -> None:
    lines = output(capsys, "docs").splitlines()
    assert [line.split()[0] for line in lines] == docs.pages()
    assert any(line.startswith("differences ") and line.endswith(" Differences from Debezium") for line in lines)


def test_a_page_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert output(capsys, "docs", "reference/postgres") == docs.read("reference/postgres")


def test_an_unknown_page_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert "There is no page nothing. `cdc docs` lists all pages." in output(capsys, "docs", "nothing", code=2)


@pytest.mark.parametrize(("name", "page", "own", "others"), [
    ("postgres", "reference/postgres", "TOAST", "GTID"),
    ("io.debezium.connector.mysql.MySqlConnector", "reference/mysql", "GTID", "TOAST"),
    ("mariadb", "reference/mariadb", "GTID", "TOAST"),
])
def test_a_connector_is_described_with_its_page_and_differences(
        capsys: pytest.CaptureFixture[str], name: str, page: str, own: str, others: str) -> None:
    text = output(capsys, "plugins", "describe", name)
    described = text.partition("Differences from Debezium")[2]
    assert "Unknown configuration keys" in described
    assert own in described
    assert others not in described
    assert text.endswith(f"\nThe same as a page: cdc docs {page}; cdc docs differences\n")


def test_the_worker_has_a_page_and_no_differences(capsys: pytest.CaptureFixture[str]) -> None:
    text = output(capsys, "plugins", "describe", "worker")
    assert text.endswith("\nThe same as a page: cdc docs reference/worker\n")
    assert "Differences" not in text
