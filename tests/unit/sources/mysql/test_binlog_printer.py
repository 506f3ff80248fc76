"""A binary log file on paper: `python -m cdc.sources.mysql.binlog FILE`."""

from __future__ import annotations

from pathlib import Path

import pytest

from cdc.sources.mysql.binlog.__main__ import main
from tests.unit.sources.mysql.binlog_files import ALL, FOLDER, MARIADB, MYSQL, changes, messages


def printed(capsys: pytest.CaptureFixture[str], path: Path, *more: str) -> tuple[int, list[str], str]:
    code = main([str(path), *more])
    out, err = capsys.readouterr()
    return code, out.splitlines(), err


@pytest.mark.parametrize("name", ALL)
def test_every_event_is_a_line_with_its_type(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, lines, err = printed(capsys, FOLDER / f"{name}.binlog")
    types = [each.replace("  ", " ").split()[1 if each[:11].strip() else 0] for each in lines]
    assert (code, err) == (0, "")
    assert len(lines) == len(list(messages(name)))
    assert lines[0].startswith("         4  FORMAT_DESCRIPTION_EVENT  ")
    assert all("_EVENT" in each for each in types)


@pytest.mark.parametrize(("name", "line"), [
    (MYSQL, "158  GTID_LOG_EVENT  fa9734a8-e566-11f1-ac32-02fc00000001:1"),
    (MYSQL, "1262  WRITE_ROWS_EVENT  shop.t, insert, 2 rows"),
    (MYSQL, "422  QUERY_EVENT  shop: create table t …"),
    (MARIADB, "323  GTID_EVENT  0-1-1"),
    (MARIADB, "1859  ANNOTATE_ROWS_EVENT  update t set …"),
    (MARIADB, "1786  XID_EVENT  101"),
])
def test_what_events_say(name: str, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert line in [each.strip() for each in printed(capsys, FOLDER / f"{name}.binlog")[1]]


@pytest.mark.parametrize("name", ALL)
def test_values_are_shown_only_if_asked_for(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = FOLDER / f"{name}.binlog"
    texts = {cell.decode() for change in changes(name) for row in (change.before, change.after) if row is not None
             for index in range(row.count)
             if isinstance(cell := row.raw(index), bytes) and len(cell) > 4 and cell.isascii() and cell.isalpha()}
    plain, whole = ("\n".join(printed(capsys, path, *more)[1]) for more in ((), ("--values",)))
    assert texts
    assert not [text for text in texts if text in plain]
    assert all(text in whole for text in texts)


@pytest.mark.parametrize("name", [MYSQL, MARIADB])
def test_a_damaged_file_is_printed_up_to_the_damage(
        name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = (FOLDER / f"{name}.binlog").read_bytes()
    file = tmp_path / "cut.binlog"
    file.write_bytes(data[:1600])
    code, lines, err = printed(capsys, file)
    whole = printed(capsys, FOLDER / f"{name}.binlog")[1]
    assert code == 1
    assert lines == whole[:len(lines)]
    assert len(lines) > 5
    assert "event does not fit the file" in err


def test_another_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "other"
    file.write_bytes(b"#!/bin/sh\n")
    assert printed(capsys, file)[0] == 1
    assert printed(capsys, tmp_path / "none")[0] == 1
