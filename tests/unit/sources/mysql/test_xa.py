"""XA transactions: their statements, their XIDs, and where in the log a prepared one is found again."""

from __future__ import annotations

import zlib
from collections.abc import Generator, Sequence
from typing import Any

import pytest

from cdc.core.errors import PositionLostError
from cdc.sources.mysql.binlog import const
from cdc.sources.mysql.binlog.decoder import BinlogDecoder
from cdc.sources.mysql.binlog.events import Gtid, MariaGtid, Query, Rotate, XaPrepare
from cdc.sources.mysql.xa import Prepared, begins, read_statement, xid_of
from tests.unit.sources.mysql.binlog_files import MARIADB, MYSQL, event, frames, messages

FILES = ["binlog.000001", "binlog.000002", "binlog.000003"]


def gtid(number: int) -> bytes:
    return event(const.GTID_LOG_EVENT, b"\0" + b"\x0a" * 16 + number.to_bytes(8, "little"), checksum=True)


def maria_gtid(number: int) -> bytes:
    return event(const.GTID_EVENT, number.to_bytes(8, "little") + b"\0" * 5, checksum=True)


def prepare(name: bytes) -> bytes:
    body = b"\0" + (1).to_bytes(4, "little") + len(name).to_bytes(4, "little") + b"\0" * 4 + name
    return event(const.XA_PREPARE_LOG_EVENT, body, checksum=True)


def packed(*inner: bytes) -> bytes:
    """A payload that is not compressed: type, length and value of its fields, then the events without checksums."""
    content = b"".join(inner)
    fields = bytes((2, 3)) + b"\xfc\xff\x00" + bytes((1, 3)) + b"\xfc" + len(content).to_bytes(2, "little") + b"\0"
    return event(const.TRANSACTION_PAYLOAD_EVENT, fields + content, checksum=True)


def inner(frame: bytes) -> bytes:
    """*frame* as it is within a payload."""
    return frame[:9] + (len(frame) - 4).to_bytes(4, "little") + frame[13:-4]


def rotate(file: str, position: int, artificial: bool = True) -> bytes:
    return event(const.ROTATE_EVENT, position.to_bytes(8, "little") + file.encode(),
                 flags=const.LOG_EVENT_ARTIFICIAL_F if artificial else 0, checksum=True)


def other(size: int = 1) -> bytes:
    """An event that says nothing about XA."""
    return event(const.ROWS_QUERY_LOG_EVENT, b"\0" + b"x" * size, checksum=True)


def placed(frame: bytes, at: int) -> bytes:
    """*frame* as it is at a place of its file: its header names the next event's."""
    head = frame[:13] + (at + len(frame)).to_bytes(4, "little") + frame[17:-4]
    return head + zlib.crc32(head).to_bytes(4, "little")


class FakeLog:
    """Binary logs of hand-made events, read as a server sends them: on through all files."""

    def __init__(self, *files: Sequence[bytes]) -> None:
        self.contents = dict(zip(FILES, files, strict=False))
        self.reads: list[tuple[str, int]] = []
        self.open = 0

    def files(self) -> Sequence[str]:
        return list(self.contents)

    def places(self, file: str) -> list[int]:
        """Where each event of *file* begins."""
        at = [4 + len(frames(MYSQL)[0])]
        for frame in self.contents[file]:
            at.append(at[-1] + len(frame))
        return at

    def read(self, file: str, position: int) -> Generator[bytes, None, None]:
        self.reads.append((file, position))
        self.open += 1
        try:
            for name in self.files()[self.files().index(file):]:
                begin = position if name == file else 4
                yield rotate(name, begin)
                yield frames(MYSQL)[0]
                for at, frame in zip(self.places(name), self.contents[name], strict=False):
                    if at >= begin:
                        yield placed(frame, at)
        finally:
            self.open -= 1


def xid(name: str) -> str:
    return f"X'{name.encode().hex().upper()}',X'',1"


def found(log: FakeLog, prepared: Prepared, name: str, file: str, position: int = 1 << 40) -> list[str]:
    return [type(message).__name__ for _, message in prepared.rows(xid(name), file, position)]


# -- statements and XIDs -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "wanted"), [
    ("XA START X'61',X'',1", ("START", "X'61',X'',1")),
    ("xa begin x'6a',x'6b',7", ("BEGIN", "X'6A',X'6B',7")),
    ("  XA  END\tX'61',X'',1 ", ("END", "X'61',X'',1")),
    ("XA PREPARE X'61',X'',1", ("PREPARE", "X'61',X'',1")),
    ("XA COMMIT X'61',X'',1 ONE PHASE", ("COMMIT", "X'61',X'',1")),
    ("XA COMMIT X'61',X'',1 one phase", ("COMMIT", "X'61',X'',1")),
    ("XA ROLLBACK X'61',X'',1", ("ROLLBACK", "X'61',X'',1")),
    ("XA RECOVER", None), ("BEGIN", None), ("COMMIT", None), ("", None), ("XA", None), ("EXA START X'61'", None),
])
def test_statements(text: str, wanted: tuple[str, str] | None) -> None:
    assert read_statement(text) == wanted


@pytest.mark.parametrize("name", [MYSQL, MARIADB])
def test_in_recorded_logs_an_event_and_its_statements_have_one_xid(name: str) -> None:
    """Of a transaction that was prepared, and what the log says about it before and after."""
    kinds = [message for _, message in messages(name) if isinstance(message, XaPrepare | Query)]
    one, = (message for message in kinds if isinstance(message, XaPrepare))
    statements = [statement for message in kinds if isinstance(message, Query)
                  if (statement := read_statement(message.sql.decode("utf-8", "replace"))) is not None]
    assert {of for _, of in statements} == {xid_of(one)}
    assert {"COMMIT", "ROLLBACK"} & {verb for verb, _ in statements}


def test_an_xid_has_its_parts_in_capital_hexadecimals() -> None:
    assert xid_of(XaPrepare(False, 7, b"\xab", b"")) == "X'AB',X'',7"


@pytest.mark.parametrize(("message", "wanted"), [
    (MariaGtid(0, 1, 5, const.FL_PREPARED_XA, None, (1, b"a", b"")), True),
    (MariaGtid(0, 1, 5, const.FL_COMPLETED_XA, None, (1, b"a", b"")), False),
    (MariaGtid(0, 1, 5, 0, None, None), False),
    (Gtid("a", "", 5, 0, 0, None, None, None), False),
])
def test_mariadbs_gtid_says_that_its_group_is_prepared_only(message: Any, wanted: bool) -> None:
    assert begins(message) is wanted


def test_the_fake_log_is_read_as_a_servers_is() -> None:
    log, decoder = FakeLog([gtid(1), other()], [gtid(2)]), BinlogDecoder()
    decoded = [decoder.decode(frame) for frame in log.read(FILES[0], 4)]
    assert [message.file for _, message in decoded if isinstance(message, Rotate)] == FILES[:2]
    assert [header.next_position for header, message in decoded if isinstance(message, Gtid)] == [
        log.places(FILES[0])[1], log.places(FILES[1])[1]]


# -- prepared transactions that are known ------------------------------------------------------------------------------


@pytest.mark.parametrize("begin", [gtid, maria_gtid])
def test_a_known_group_is_read_from_its_place_up_to_its_end(begin: Any) -> None:
    log = FakeLog([begin(1), other(), prepare(b"a"), begin(2), other(), prepare(b"b"), begin(3)])
    prepared = Prepared(log)
    place = log.places(FILES[0])[3]
    prepared.add(xid("b"), FILES[0], place, captured=True)
    kinds = found(log, prepared, "b", FILES[0])
    assert kinds[-3:] == ["Gtid" if begin is gtid else "MariaGtid", "RowsQuery", "XaPrepare"]
    assert log.reads == [(FILES[0], place)]
    assert log.open == 0


def test_a_group_of_no_captured_table_is_not_read() -> None:
    log = FakeLog([gtid(1), prepare(b"a")])
    prepared = Prepared(log)
    prepared.add(xid("a"), FILES[0], 4, captured=False)
    assert found(log, prepared, "a", FILES[0]) == []
    assert log.reads == []


def test_a_compressed_group_is_unpacked() -> None:
    log = FakeLog([gtid(1), packed(inner(other()), inner(prepare(b"a"))), gtid(2)])
    prepared = Prepared(log)
    prepared.add(xid("a"), FILES[0], log.places(FILES[0])[0], captured=True)
    assert found(log, prepared, "a", FILES[0])[-3:] == ["Gtid", "RowsQuery", "XaPrepare"]


def test_the_log_is_let_go_when_the_reader_stops_early() -> None:
    log = FakeLog([gtid(1), other(), prepare(b"a")])
    prepared = Prepared(log)
    prepared.add(xid("a"), FILES[0], log.places(FILES[0])[0], captured=True)
    rows = prepared.rows(xid("a"), FILES[0], 1 << 40)
    next(rows)
    assert log.open == 1
    rows.close()
    assert log.open == 0


# -- prepared transactions that are looked for -------------------------------------------------------------------------


def test_a_group_prepared_earlier_is_found_in_the_newest_file_that_has_it() -> None:
    old, new = [gtid(1), other(9), prepare(b"a")], [gtid(2), other(), prepare(b"a"), gtid(3), other()]
    log = FakeLog(old, new, [gtid(4)])
    prepared = Prepared(log)
    assert found(log, prepared, "a", FILES[2])[-3:] == ["Gtid", "RowsQuery", "XaPrepare"]
    assert log.reads == [(FILES[2], 4), (FILES[1], 4), (FILES[1], log.places(FILES[1])[0])]
    assert log.open == 0


def test_of_one_file_the_last_group_of_the_xid_counts() -> None:
    """The same XID may be used again after a rollback."""
    log = FakeLog([gtid(1), prepare(b"a"), gtid(2), prepare(b"b"), gtid(3), prepare(b"a"), gtid(4)])
    found(log, prepared := Prepared(log), "a", FILES[0])
    assert log.reads[-1] == (FILES[0], log.places(FILES[0])[4])
    found(log, prepared, "a", FILES[0])
    assert log.reads[-2:] == [log.reads[-1]] * 2  # known from then on


def test_only_what_was_prepared_before_the_commit_counts() -> None:
    log = FakeLog([gtid(1), prepare(b"a"), gtid(2), other(), gtid(3), prepare(b"a")])
    found(log, Prepared(log), "a", FILES[0], log.places(FILES[0])[3])
    assert log.reads[-1] == (FILES[0], log.places(FILES[0])[0])


def test_a_group_within_a_payload_is_found() -> None:
    log = FakeLog([gtid(1), packed(inner(other()), inner(prepare(b"a"))), gtid(2)])
    assert found(log, Prepared(log), "a", FILES[0])[-3:] == ["Gtid", "RowsQuery", "XaPrepare"]
    assert log.reads[-1] == (FILES[0], log.places(FILES[0])[0])


def test_files_behind_the_commits_are_not_read() -> None:
    log = FakeLog([gtid(1), prepare(b"a")], [gtid(2)], [gtid(3), prepare(b"a")])
    found(log, Prepared(log), "a", FILES[1])
    assert [file for file, _ in log.reads] == [FILES[1], FILES[0], FILES[0]]


def test_a_commit_in_a_file_that_is_gone_is_looked_for_in_all() -> None:
    log = FakeLog([gtid(1), prepare(b"a")])
    found(log, Prepared(log), "a", "binlog.000099")
    assert log.reads[0] == (FILES[0], 4)


@pytest.mark.parametrize("files", [[], [[gtid(1), prepare(b"other")], [gtid(2)]]], ids=["no logs", "other XIDs"])
def test_a_group_that_is_in_no_log_is_a_lost_position(files: list[list[bytes]]) -> None:
    log = FakeLog(*files)
    prepared = Prepared(log)
    for _ in range(2):
        with pytest.raises(PositionLostError, match="X'61',X'',1") as caught:
            found(log, prepared, "a", FILES[1])
        assert caught.value.context["file"] == FILES[1]
        assert "binlog_expire_logs_seconds" in caught.value.hint
    assert log.open == 0


def test_what_was_rolled_back_is_forgotten_and_looked_for_if_it_comes_again() -> None:
    log = FakeLog([gtid(1), prepare(b"a")])
    prepared = Prepared(log)
    prepared.add(xid("a"), FILES[0], 4, captured=False)
    prepared.discard(xid("a"))
    prepared.discard(xid("never seen"))
    assert found(log, prepared, "a", FILES[0])[-1] == "XaPrepare"
