"""Captured pgoutput streams: read as psql writes them, and printed one line a message."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cdc.core.errors import ProtocolError
from cdc.sources.postgres.__main__ import main
from cdc.sources.postgres.capture import Printer, read_capture
from tests.unit.sources.postgres import pgoutput_frames as frames
from tests.unit.sources.postgres.test_changes import make, ops

REAL = Path(__file__).parent / "captures" / "orders.txt"
"""What a server of version 18 sent for INSERT, two UPDATEs and DELETE of one row, a message, and TRUNCATE."""


def printed(*messages: bytes, values: bool = False) -> list[str]:
    printer = Printer(values=values)
    return [printer.describe(message) for message in messages]


def test_each_message_is_one_line() -> None:
    lines = printed(*frames.one_of_each().values())
    assert len(lines) == 19
    assert all("\n" not in line for line in lines)
    assert lines[0] == "Begin final_lsn=0/64 commit_time_us=2022-03-07 20:26:40+00:00 xid=5"
    assert lines[3] == ("Relation oid=16384 namespace=public name=t replica_identity=d columns=id:23*,naïve:25")


def test_rows_have_the_names_of_their_relation_and_no_values() -> None:
    relation = frames.relation(1, "t", [("id", 23, True), ("note", 25, False)])
    _, inserted, updated, deleted = printed(
        relation, frames.insert(1, "12", None), frames.update(1, "12", frames.UNCHANGED, key=("11", None)),
        frames.delete(1, "12", "secret", full=True))
    assert inserted == "Insert public.t new(id=text:2, note=null)"
    assert updated == "Update public.t key(id=text:2, note=null) new(id=text:2, note=unchanged)"
    assert deleted == "Delete public.t old(id=text:2, note=text:6)"
    assert printed(frames.insert(7, "1", b"\xff"), values=True) == [
        "Insert relation 7 (not described) new(0='1', 1='\\\\xff')"]


def test_messages_in_a_stream_block_have_the_xid_of_their_subtransaction() -> None:
    relation = frames.relation(1, "t", [("id", 23, True)], xid=8)
    lines = printed(frames.stream_start(8, first=True), relation, frames.insert(1, "1", xid=9), frames.STREAM_STOP,
                    frames.insert(1, "2"))
    assert lines[2] == "Insert xid=9 public.t new(id=text:1)"
    assert lines[3:] == ["StreamStop", "Insert public.t new(id=text:1)"]


@pytest.mark.parametrize("message", [b"", b"?", frames.begin(1, 2)[:-1], frames.insert(1, "12")[:-1]])
def test_a_message_that_cannot_be_read_is_a_protocol_error(message: bytes) -> None:
    with pytest.raises(ProtocolError):
        printed(message)


def test_lines_are_read_with_and_without_xids() -> None:
    assert list(read_capture(["0/10|731|\\x4200", "", "1/A|\\x43\n"])) == [(16, b"B\0"), ((1 << 32) + 10, b"C")]


@pytest.mark.parametrize("line", ["\\x42", "0/10|7", "0/10|7|42", "0/10|\\x4", "no|\\x42"])
def test_another_form_of_line_is_refused(line: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        list(read_capture([line]))


def test_a_real_capture_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(REAL)]) == 0
    lines = capsys.readouterr().out.splitlines()
    kinds = [line.split()[1] for line in lines]
    assert kinds == ["Begin", "Relation", "Insert", "Commit", "Begin", "Update", "Commit", "Begin", "Update", "Commit",
                     "Begin", "Delete", "Commit", "LogicalMessage", "Begin", "Relation", "Truncate", "Commit"]
    assert not [line for line in lines if "secret" in line]
    assert main(["--values", str(REAL)]) == 0
    assert "'secret'" in capsys.readouterr().out


def test_a_capture_is_a_fixture() -> None:
    decoder = make(skipped=())
    found: list[Any] = []
    for lsn, message in read_capture(REAL.read_text(encoding="utf-8").splitlines()):
        decoder.feed(frames.xlog(lsn, message))
        found += decoder.emitter.take()
    assert ops(found) == ["c", "u", "d", "", "c", "d", "", "m", "t"]


def test_a_bad_message_is_named_and_the_others_are_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "capture"
    file.write_text("0/10|\\x3f\n0/20|\\x45\n", encoding="utf-8")
    assert main([str(file)]) == 1
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("0/10 b'?' cannot be read: unknown pgoutput message type")
    assert second == "0/20 StreamStop"


@pytest.mark.parametrize("arguments", [[], ["--help"], ["a", "b"]])
def test_other_arguments_show_how_to_take_a_capture(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert "pg_logical_slot_peek_binary_changes" in capsys.readouterr().out


def test_a_file_that_is_no_capture_is_said_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "capture"
    file.write_text("nonsense\n", encoding="utf-8")
    assert main([str(file)]) == 2
    assert "line 1 is not" in capsys.readouterr().err
