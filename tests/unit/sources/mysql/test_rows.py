"""Row images, found in events that two servers wrote."""

from __future__ import annotations

import itertools
import json
import struct
import zlib

import pytest

from cdc.core.errors import ProtocolError, SourceRefusedError
from cdc.core.row import ABSENT, NULL
from cdc.sources.mysql.binlog import const
from cdc.sources.mysql.binlog.events import TableMap
from cdc.sources.mysql.binlog.json_diff import FromEnd, apply_diffs, parse_document, parse_path
from cdc.sources.mysql.binlog.rows import (
    Layout,
    RowsEvent,
    column_size,
    decimal_size,
    parse_rows,
    uncompress_buffer,
    uncompress_column,
)
from tests.unit.codecs.mysql.test_json import sharing
from tests.unit.sources.mysql.binlog_files import ALL, MARIADB, MYSQL, Change, changes, messages

BOTH = pytest.mark.parametrize("name", [MYSQL, MARIADB])


def ops(found: list[Change]) -> list[tuple[str, bytes | int | None]]:
    return [(each.op, each.cells("before" if each.op == "d" else "after")["id"]) for each in found]


def number(value: int) -> bytes:
    return struct.pack("<I", value)


@BOTH
def test_all_rows_of_a_table_come_in_order(name: str) -> None:
    found = ops(changes(name, "part"))
    assert found[:5] == [("c", number(1)), ("c", number(2)), ("u", number(3)), ("c", number(100)), ("c", number(30))]


@BOTH
def test_values_are_their_bytes_without_length_prefixes(name: str) -> None:
    cells = changes(name, "t")[0].cells()
    assert {key: cells[key] for key in ("id", "a", "b", "n", "o", "p", "q", "r", "v", "x")} == {
        "id": number(1), "a": b"\xff", "b": struct.pack("<q", 2), "n": b"varchar", "o": b"long", "p": b"char",
        "q": "çhar".encode(), "r": b"bin", "v": b"text", "x": b"lb"}
    assert cells["f"] == struct.pack("<f", 1.5)
    sizes = {"g": 10, "i": 3, "j": 5, "k": 8, "l": 5, "m": 1, "y": 1, "z": 1, "aa": 2, "cc": 25, "dd": 25}
    assert {key: len(cells[key]) for key in sizes} == sizes  # type: ignore[arg-type]
    assert (cells["y"], cells["z"], cells["aa"]) == (b"\2", b"\5", b"\2\xaa")


@BOTH
def test_null_is_not_the_empty_value(name: str) -> None:
    cells = changes(name, "t")[1].cells()
    assert cells["id"] == number(2)
    assert {value for key, value in cells.items() if key != "id"} == {None}


@BOTH
def test_an_update_has_both_images(name: str) -> None:
    first = changes(name, "t")[2]
    assert first.op == "u"
    assert (first.cells("before")["n"], first.cells()["n"]) == (b"varchar", b"changed")
    assert (first.cells("before")["a"], first.cells()["a"]) == (b"\xff", b"\5")


@BOTH
def test_minimal_images_leave_columns_absent(name: str) -> None:
    updated = next(each for each in changes(name, "t") if each.op == "u" and each.before is not None
                   and each.before.raw(0) == number(20))
    assert updated.cells("before") == {**dict.fromkeys(updated.cells(), ABSENT), "id": number(20)}
    assert updated.cells() == {**dict.fromkeys(updated.cells(), ABSENT), "a": b"\2"}


def test_noblob_images_leave_unchanged_blobs_absent() -> None:
    for name in (MYSQL, MARIADB):
        updated = next(each for each in changes(name, "t") if each.op == "u" and each.before is not None
                       and each.before.raw(0) == number(21))
        for which in ("before", "after"):
            cells = updated.cells(which)
            assert {key for key, value in cells.items() if value == ABSENT} | {"cc", "dd"} == {"v", "x", "cc", "dd"}
            assert cells["n"] is None


def test_an_insert_of_defaults_alone_is_a_row_without_columns() -> None:
    assert changes(MYSQL, "z")[0].cells() == {"a": ABSENT, "b": ABSENT}
    assert changes(MARIADB, "z")[0].cells() == {"a": number(1), "b": number(2)}


def test_compressed_rows_are_rows() -> None:
    for name in (MYSQL, MARIADB):
        wanted = (number(10), number(11))
        found = [each for each in changes(name, "t") if ops([each])[0][1] in wanted]
        assert [each.op for each in found] == ["c", "c", "u", "u", "d", "d"]
        assert found[0].cells()["v"] == b"x" * (1000 if name == MYSQL else 400)
        assert found[3].cells()["v"] == b"y" * (1000 if name == MYSQL else 400) + b"z"


def test_what_is_unpacked_counts() -> None:
    """A batch is bounded in bytes, and small events may hold large rows."""
    unpacked = {"t": 0, "c1": 0, "z": 0}
    maps: dict[int, TableMap] = {}
    for _, message in messages(MARIADB):
        if isinstance(message, TableMap):
            maps[message.table_id] = message
        elif isinstance(message, RowsEvent) and maps[message.table_id].table in unpacked:
            rows = message.split(maps[message.table_id].layout)
            unpacked[maps[message.table_id].table] += message.unpacked_bytes
            assert message.unpacked_bytes in (0, sum(len(row.data) for pair in rows for row in pair if row), len(
                message.data))
    assert unpacked["t"] > 2000
    assert unpacked["c1"] > 4000
    assert unpacked["z"] == 0


def test_compressed_columns_are_unpacked() -> None:
    found = changes(MARIADB, "c1")
    first, second, changed = found[0].cells(), found[1].cells(), found[2]
    assert (first["a"], first["b"]) == (b"ab" * 100, b"text" * 500)
    assert first["u"] == bytes.fromhex("123e4567e89b12d3a45642665544")  # zeros at the end are left out, as of BINARY
    assert first["i"] == b"\0" * 15 + b"\1"
    assert first["j"] == b'{"a": 1}'
    assert (second["a"], second["b"], second["u"], second["j"]) == (b"s", b"", None, None)
    assert (changed.cells("before")["b"], changed.cells()["b"]) == (b"text" * 500, b"b")


def test_partial_json_gives_the_document_that_the_next_update_starts_from() -> None:
    updates = [each for each in changes(MYSQL, "doc") if each.op == "u"]
    assert len(updates) == 4
    for one, following in itertools.pairwise(updates):
        assert _json(one.cells()["j"]) == _json(following.cells("before")["j"])
        assert one.cells()["inv"] == number(3)
    assert _json(updates[0].cells()["j"]) == {"a": [1, 2, 3], "name": "short", "o": {"k": 2, "z": None}}
    assert _json(updates[3].cells()["j"]) == {"a": [99, 1, 3], "name": "short", "o": {"k": 2, "z": None},
                                              "new": {"q": [1, 2]}}


def _json(raw: object) -> object:
    """A document of objects, arrays, strings, small integers and null as Python values."""
    assert isinstance(raw, bytes)

    def value(node: object) -> object:
        if isinstance(node, dict):
            return {key.decode(): value(item) for key, item in node.items()}
        if isinstance(node, list):
            return [value(item) for item in node]
        assert isinstance(node, tuple)
        kind, body = node
        if kind == 5:
            return int.from_bytes(body, "little", signed=True)
        return body[1:].decode() if kind == 12 else None

    return value(parse_document(raw))


def test_a_json_diff_without_its_document_is_refused() -> None:
    layout = Layout(bytes((const.MYSQL_TYPE_LONG, const.MYSQL_TYPE_JSON)), (0, 4))
    diffs = b"\2\3$.a"
    after = b"\1\1" + b"\0" + number(1) + number(len(diffs)) + diffs
    body = b"\x09\0\0\0\0\0\1\0\2\0\2" + b"\1\3" + b"\0" + number(1) + after
    event = parse_rows(body, const.PARTIAL_UPDATE_ROWS_EVENT, 0, len(body), 10)
    with pytest.raises(SourceRefusedError, match="old document"):
        event.split(layout)


def test_large_documents_come_out_as_they_went_in() -> None:
    small = b"\0" + bytes.fromhex("0100 0c00 0b00 0100 05 0700 61".replace(" ", ""))
    assert _json(small) == {"a": 7}
    text = b"x" * 70_000
    length = bytes((len(text) & 127 | 128, len(text) >> 7 & 127 | 128, len(text) >> 14))
    grown = apply_diffs(small, b"\1\3$.b" + b"\xfd" + (4 + len(text)).to_bytes(3, "little") + b"\x0c" + length + text)
    assert grown[0] == 1
    again = apply_diffs(grown, b"\2\3$.b")
    assert again == small


def test_paths_are_read_as_the_server_writes_them() -> None:
    assert parse_path(b"$") == []
    assert parse_path(b'$.a[10]."x.y\\"z".b') == [b"a", 10, b'x.y"z', b"b"]
    assert parse_path("$.\"é\"".encode()) == ["é".encode()]
    assert parse_path(b"$.a[last][last-3]") == [b"a", FromEnd(0), FromEnd(3)]
    for bad in (b"", b"a", b"$a", b"$[x]", b"$[1", b'$."a', b"$[*]", b"\xff", b"$[last-]", b"$[-1]", b"$[last+1]",
                b"$[last", b"$[1 to 2]", b"$[]", b"$[" + b"9" * 5000 + b"]", "$[\u0661]".encode()):
        with pytest.raises(ProtocolError):
            parse_path(bad)


def diff(operation: int, path: str, number: int = 9) -> bytes:
    """One diff; its value is an int16."""
    value = b"\3\5" + number.to_bytes(2, "little")
    return bytes((operation, len(path))) + path.encode() + (b"" if operation == 2 else value)


REPLACE, INSERT, REMOVE = 0, 1, 2
ARRAYS = b"\0" + bytes.fromhex("010019000b000100020c006103000d00050100050200050300")
"""{"a": [1, 2, 3]}"""


@pytest.mark.parametrize(("operation", "path", "expected"), [
    (REPLACE, "$.a[last]", [1, 2, 9]), (REPLACE, "$.a[last-1]", [1, 9, 3]), (REPLACE, "$.a[last-2]", [9, 2, 3]),
    (REPLACE, "$.a[0]", [9, 2, 3]), (REMOVE, "$.a[last]", [1, 2]), (REMOVE, "$.a[last-2]", [2, 3]),
    (INSERT, "$.a[last]", [1, 2, 9, 3]), (INSERT, "$.a[last-2]", [9, 1, 2, 3]), (INSERT, "$.a[last-7]", [9, 1, 2, 3]),
    (INSERT, "$.a[3]", [1, 2, 3, 9]), (INSERT, "$.a[99]", [1, 2, 3, 9]),
])
def test_cells_are_counted_from_both_ends(operation: int, path: str, expected: list[int]) -> None:
    """The results are those of MySQL's `apply_json_diff`, where a place before the first cell is the first."""
    assert _json(apply_diffs(ARRAYS, diff(operation, path))) == {"a": expected}


@pytest.mark.parametrize("operation", [REPLACE, REMOVE])
@pytest.mark.parametrize("path", ["$.a[last-3]", "$.a[3]", "$[last]", "$.a[last][last]", "$.a[last-3][0]"])
def test_a_cell_that_is_not_there_is_an_error(operation: int, path: str) -> None:
    with pytest.raises(ProtocolError, match="does not fit"):
        apply_diffs(ARRAYS, diff(operation, path))


def test_diffs_of_one_column_count_from_the_end_that_the_one_before_left() -> None:
    diffs = diff(REMOVE, "$.a[last]") + diff(REPLACE, "$.a[last]") + diff(INSERT, "$.a[last-1]", 7)
    assert _json(apply_diffs(ARRAYS, diffs)) == {"a": [7, 1, 9]}


def test_a_document_whose_containers_share_their_places_is_refused() -> None:
    with pytest.raises(ProtocolError, match="overlap"):
        apply_diffs(sharing(6, 17), diff(REPLACE, "$[0]"))


def test_an_object_with_a_key_twice_is_refused() -> None:
    twice = b"\0" + bytes.fromhex("020014001200010013000100050100050200" + "6161")
    with pytest.raises(ProtocolError, match="twice"):
        parse_document(twice)


def test_damaged_documents_and_diffs_are_errors() -> None:
    before = next(each for each in changes(MYSQL, "doc") if each.op == "u").before
    document = before.raw(1) if before is not None else None
    assert document is not None
    for length in range(1, len(document)):
        with pytest.raises(ProtocolError):
            parse_document(document[:length])
    diffs = b"\0\5$.o.k\3\5\2\0"
    assert json.dumps(_json(apply_diffs(document, diffs)))
    for length in range(1, len(diffs)):
        with pytest.raises(ProtocolError):
            apply_diffs(document, diffs[:length])
    for wrong in (b"\0\5$.o.q\3\5\2\0", b"\2\4$[0]", b"\1\5$.o.k\3\5\2\0", b"\3\1$", b"\2\1$"):
        with pytest.raises(ProtocolError):
            apply_diffs(document, wrong)


def test_a_document_cannot_nest_without_end() -> None:
    looped = b"\2" + bytes.fromhex("0100 0700 02 0000".replace(" ", ""))
    with pytest.raises(ProtocolError, match="nested"):
        parse_document(looped)


# -- events made by hand -----------------------------------------------------------------------------------------

INTS = Layout(bytes((const.MYSQL_TYPE_LONG, const.MYSQL_TYPE_LONG)), (0, 0))


def rows(body: bytes, kind: int = const.WRITE_ROWS_EVENT, post_header: int = 10) -> RowsEvent:
    return parse_rows(body, kind, 0, len(body), post_header)


def test_high_bits_of_the_bitmaps_say_nothing() -> None:
    body = b"\x09\0\0\0\0\0\1\0\2\0" + b"\2\xff" + b"\xfe" + number(5)
    (before, after), = rows(body).split(INTS)
    assert before is None
    assert after is not None
    assert (after.raw(0), after.kind(1)) == (number(5), NULL)


def test_extra_row_info_is_stepped_over() -> None:
    body = b"\x09\0\0\0\0\0\1\0\5\0\1\7\0" + b"\2\3" + b"\0" + number(5) + number(6)
    event = rows(body)
    assert (event.table_id, event.flags, event.op) == (9, 1, "c")
    (_, after), = event.split(INTS)
    assert after is not None
    assert (after.raw(0), after.raw(1)) == (number(5), number(6))


def test_events_of_version_one_have_no_extra_row_info() -> None:
    (before, after), = rows(b"\x09\0\0\0\0\0\1\0" + b"\2\3" + b"\0" + number(5) + number(6),
                            const.DELETE_ROWS_EVENT_V1, 8).split(INTS)
    assert after is None
    assert before is not None
    assert before.raw(1) == number(6)


def test_a_rows_event_of_another_width_than_its_table_map_is_an_error() -> None:
    with pytest.raises(ProtocolError, match="differ"):
        rows(b"\x09\0\0\0\0\0\1\0\2\0" + b"\3\7" + b"\0" + b"\0" * 12).split(INTS)


def test_a_rows_event_without_rows_is_an_error() -> None:
    with pytest.raises(ProtocolError, match="without rows"):
        rows(b"\x09\0\0\0\0\0\1\0\2\0" + b"\2\3").split(INTS)
    with pytest.raises(ProtocolError, match="no bytes"):
        rows(b"\x09\0\0\0\0\0\1\0\2\0" + b"\2\0" + b"x").split(INTS)


@pytest.mark.parametrize("prefix", [1, 2, 3, 4])
def test_a_length_beyond_the_event_is_an_error(prefix: int) -> None:
    layout = Layout(bytes((const.MYSQL_TYPE_BLOB,)), (prefix,))
    head = b"\x09\0\0\0\0\0\1\0\2\0" + b"\1\1" + b"\0"
    (_, after), = rows(head + (3).to_bytes(prefix, "little") + b"abc").split(layout)
    assert after is not None
    assert after.raw(0) == b"abc"
    for length in (4, 255, (1 << 8 * prefix) - 1):
        with pytest.raises(ProtocolError, match="too early"):
            rows(head + length.to_bytes(prefix, "little") + b"abc").split(layout)


@pytest.mark.parametrize("width", [0, 4097, 250_000])
def test_an_impossible_width_is_an_error(width: int) -> None:
    with pytest.raises(ProtocolError):
        rows(b"\x09\0\0\0\0\0\1\0\2\0" + b"\xfd" + width.to_bytes(3, "little") + b"\0" * 100)


def test_compressed_data_is_held_to_its_stated_length() -> None:
    packed = zlib.compress(b"x" * 1000)
    assert uncompress_buffer(b"\x82\3\xe8" + packed, 0, len(packed) + 3) == b"x" * 1000
    for head in (b"\x82\3\xe7", b"\x82\3\xe9", b"\x84\xff\xff\xff\xff", b"\x92\3\xe8", b"\x02\3\xe8", b"\x80", b""):
        with pytest.raises(ProtocolError):
            uncompress_buffer(head + packed, 0, len(head) + (len(packed) if head else 0))
    for length in range(3 + len(packed)):
        with pytest.raises(ProtocolError):
            uncompress_buffer((b"\x82\3\xe8" + packed)[:length], 0, length)
    with pytest.raises(ProtocolError):
        uncompress_column(b"\x70abc")


def test_sizes_of_types_are_the_servers() -> None:
    assert [decimal_size(*each) for each in ((10, 2), (65, 30), (1, 0), (9, 9), (20, 5))] == [5, 30, 1, 4, 10]
    assert [column_size(const.MYSQL_TYPE_DATETIME2, digits)[1] for digits in range(7)] == [5, 6, 6, 7, 7, 8, 8]
    assert column_size(const.MYSQL_TYPE_BIT, 0x0102) == (0, 2)
    assert column_size(const.MYSQL_TYPE_VARCHAR, 256) == (2, 0)
    assert column_size(const.MYSQL_TYPE_STRING, 0xEE90) == (2, 0)  # CHAR(100) of four bytes each
    assert column_size(const.MYSQL_TYPE_STRING, 0xF702) == (0, 2)  # ENUM
    for code, metadata in ((20, 0), (99, 0), (const.MYSQL_TYPE_BLOB, 5), (const.MYSQL_TYPE_NEWDECIMAL, 0x0203),
                           (const.MYSQL_TYPE_NEWDECIMAL, 0xFF00), (const.MYSQL_TYPE_TIME2, 7),
                           (const.MYSQL_TYPE_FLOAT, 200)):
        with pytest.raises(ProtocolError):
            column_size(code, metadata)


@pytest.mark.parametrize("name", ALL)
def test_every_row_lies_within_its_event(name: str) -> None:
    for change in changes(name):
        for row in (change.before, change.after):
            if row is not None:
                assert row.count == len(change.table.types)
                assert sum(len(row.raw(index) or b"") for index in range(row.count)) <= len(row.data)
