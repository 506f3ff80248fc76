"""Events of the binary log, as two servers wrote them and as they might come damaged."""

from __future__ import annotations

import random
import struct
from collections import Counter

import pytest

from cdc.core.errors import ProtocolError, SourceRefusedError
from cdc.sources.mysql.binlog import const
from cdc.sources.mysql.binlog.decoder import BinlogDecoder
from cdc.sources.mysql.binlog.events import (
    FormatDescription,
    Gtid,
    GtidList,
    Heartbeat,
    Ignored,
    Incident,
    MariaGtid,
    PreviousGtids,
    Query,
    Rotate,
    RowsQuery,
    StatementPart,
    TableMap,
    TransactionPayload,
    XaPrepare,
    Xid,
)
from cdc.sources.mysql.binlog.rows import RowsEvent
from tests.unit.sources.mysql.binlog_files import (
    ALL,
    MARIADB,
    MARIADB_MINIMAL,
    MYSQL,
    MYSQL_MINIMAL,
    event,
    frames,
    messages,
    resized,
)


def decoder_of(name: str) -> BinlogDecoder:
    """One that has read the file's format description."""
    decoder = BinlogDecoder()
    decoder.decode(frames(name)[0])
    return decoder


def table_maps(name: str) -> dict[str, TableMap]:
    return {message.table: message for _, message in messages(name) if isinstance(message, TableMap)}


def of_kind(name: str, kind: type) -> list[object]:
    return [message for _, message in messages(name) if isinstance(message, kind)]


def test_every_event_of_mysql_is_known() -> None:
    kinds = Counter(type(message).__name__ for _, message in messages(MYSQL))
    assert kinds == {"FormatDescription": 1, "PreviousGtids": 1, "Gtid": 38, "Query": 44, "Xid": 29, "TableMap": 26,
                     "RowsEvent": 27, "TransactionPayload": 3, "XaPrepare": 1, "RowsQuery": 1, "StatementPart": 7,
                     "Rotate": 1}


def test_every_event_of_mariadb_is_known() -> None:
    kinds = Counter(type(message).__name__ for _, message in messages(MARIADB))
    assert kinds == {"FormatDescription": 1, "GtidList": 1, "Ignored": 1, "MariaGtid": 33, "Query": 15, "Xid": 23,
                     "RowsQuery": 20, "TableMap": 20, "RowsEvent": 20, "StatementPart": 7, "XaPrepare": 1, "Rotate": 1}


def test_the_format_description_names_the_server() -> None:
    descriptions = [next(iter(messages(name)))[1] for name in ALL]
    assert [isinstance(each, FormatDescription) and (each.server_version[:5], each.mariadb, each.checksum)
            for each in descriptions] == [
        ("9.7.4", False, True), ("9.7.4", False, False), ("10.11", True, True), ("10.11", True, False)]


def test_a_rotate_says_where_it_goes_on() -> None:
    assert of_kind(MYSQL, Rotate) == [Rotate("binlog.000002", 4)]
    assert of_kind(MARIADB, Rotate) == [Rotate("mbin.000002", 4)]


MADE_UP_ROTATE = bytes.fromhex(
    "0000000004010000002c000000000000002000040000000000000062696e6c6f672e303030303039db5a1160")


def test_a_made_up_rotate_before_the_format_description_may_have_a_checksum() -> None:
    assert BinlogDecoder().decode(MADE_UP_ROTATE)[1] == Rotate("binlog.000009", 4)
    plain = resized(MADE_UP_ROTATE, MADE_UP_ROTATE[19:-4], checksum=False)
    assert BinlogDecoder().decode(plain)[1] == Rotate("binlog.000009", 4)


def test_nothing_else_may_come_before_the_format_description() -> None:
    with pytest.raises(ProtocolError, match="before the format"):
        BinlogDecoder().decode(frames(MYSQL)[2])


def test_heartbeats_say_where_the_server_is() -> None:
    old = bytes.fromhex("000000001b0100000024000000f6000000000062696e6c6f672e3030303030393676113b")
    new = bytes.fromhex("0000000029010000002a000000f60000000000010d62696e6c6f672e3030303030390201f600aac936f0")
    decoder = decoder_of(MYSQL)
    assert decoder.decode(old)[1] == decoder.decode(new)[1] == Heartbeat("binlog.000009", 246)


def test_mysql_gtids_carry_times_and_length() -> None:
    first = of_kind(MYSQL, Gtid)[0]
    assert isinstance(first, Gtid)
    assert str(first) == f"{first.uuid}:1"
    assert not first.anonymous
    assert first.immediate_commit_us is not None
    assert first.immediate_commit_us == first.original_commit_us
    assert first.immediate_commit_us // 10 ** 15 == 1
    headers = [header for header, _ in messages(MYSQL)]
    assert first.transaction_length == headers[2].length + headers[3].length


def test_a_tagged_gtid_is_a_gtid() -> None:
    tagged = [each for each in of_kind(MYSQL, Gtid) if isinstance(each, Gtid) and each.tag]
    assert [(each.tag, each.gno, str(each).split(":")[1:]) for each in tagged] == [("my_tag", 1, ["my_tag", "1"])]
    assert tagged[0].immediate_commit_us is not None
    assert tagged[0].transaction_length == 307


def test_anonymous_transactions_have_no_number() -> None:
    gtids = of_kind(MYSQL_MINIMAL, Gtid)
    assert len(gtids) == 7
    assert all(isinstance(each, Gtid) and each.anonymous for each in gtids)


def test_a_file_opens_with_the_gtids_before_it() -> None:
    previous = of_kind(MYSQL_MINIMAL, PreviousGtids)[0]
    assert isinstance(previous, PreviousGtids)
    assert str(previous.gtids).endswith(":1-37:my_tag:1")
    assert [str(each.gtids) for each in of_kind(MARIADB_MINIMAL, GtidList) if isinstance(each, GtidList)] == ["0-1-33"]


def test_mariadb_gtids_tell_single_statements_from_transactions() -> None:
    gtids = [each for each in of_kind(MARIADB, MariaGtid) if isinstance(each, MariaGtid)]
    assert [str(each) for each in gtids] == [f"0-1-{number}" for number in range(1, 34)]
    assert gtids[0].standalone
    assert not gtids[2].standalone
    assert [each.xid for each in gtids if each.xid] == [(7, b"x", b"y")] * 2


@pytest.mark.parametrize("name", [MYSQL, MARIADB])
def test_a_prepared_transaction_names_its_xid(name: str) -> None:
    assert of_kind(name, XaPrepare) == [XaPrepare(False, 7, b"x", b"y")]


def test_a_query_says_whose_it_is() -> None:
    query = of_kind(MYSQL, Query)[0]
    assert isinstance(query, Query)
    assert (query.database, query.sql, query.error_code) == ("shop", b"create database shop", 0)
    assert query.client_collation == 255
    assert query.sql_mode


@pytest.mark.parametrize(("flags", "undecided"), [
    (b"", False), (b"\x82\x02", True), (b"\x82\x04" + bytes(8), False), (b"\x82\x08" + bytes(8), True),
])
def test_an_alter_in_two_phases_counts_when_it_is_committed(flags: bytes, undecided: bool) -> None:
    status = (b"\0\0\0\0\0" b"\x04\x08\0\x08\0\x08\0" b"\x05\x03UTC" b"\x07\0\0" b"\x08\0\0" b"\x80\0\0\0"
              b"\x81" + bytes(8) + flags)
    body = struct.pack("<IIBHH", 8, 0, 1, 0, len(status)) + status + b"d\0ALTER TABLE t FORCE"
    header = struct.pack("<IBIIIH", 0, const.QUERY_EVENT, 1, const.HEADER_LEN + len(body), 0, 0)
    _, query = BinlogDecoder().decode_inner(header + body)
    assert isinstance(query, Query)
    assert (query.database, query.sql, query.client_collation, query.time_zone, query.undecided) == (
        "d", b"ALTER TABLE t FORCE", 8, "UTC", undecided)


def test_a_compressed_query_is_a_query() -> None:
    queries = [each for header, each in messages(MARIADB) if header.type == const.QUERY_COMPRESSED_EVENT]
    assert len(queries) == 1
    assert isinstance(queries[0], Query)
    assert queries[0].sql.startswith(b"alter table part comment 'cccc")
    assert queries[0].sql.endswith(b"ccc'")


@pytest.mark.parametrize("name", [MYSQL, MARIADB])
def test_row_changes_logged_as_statements_are_seen(name: str) -> None:
    found = [each for each in of_kind(name, Query) if isinstance(each, Query) and b"part values(4" in each.sql]
    assert len(found) == 2
    assert [each.load_data for each in of_kind(name, Query) if isinstance(each, Query)].count(True) == 1
    parts = {each.type for each in of_kind(name, StatementPart) if isinstance(each, StatementPart)}
    assert parts == {const.INTVAR_EVENT, const.RAND_EVENT, const.USER_VAR_EVENT, const.BEGIN_LOAD_QUERY_EVENT}


def test_the_rows_query_is_the_statement() -> None:
    assert of_kind(MYSQL, RowsQuery) == [RowsQuery(b"insert into part values(50,'q')")]
    assert RowsQuery(b"delete from t where id=2") in of_kind(MARIADB, RowsQuery)


def test_a_payload_holds_a_transaction() -> None:
    decoder = decoder_of(MYSQL)
    payloads = [each for each in of_kind(MYSQL, TransactionPayload) if isinstance(each, TransactionPayload)]
    kinds = [[type(decoder.decode_inner(each)[1]) for each in payload.events()] for payload in payloads]
    assert kinds == [[Query, TableMap, RowsEvent, Xid]] * 3
    assert payloads[0].uncompressed_size == sum(map(len, payloads[0].events()))


def test_a_payload_may_be_uncompressed() -> None:
    inner = event(const.XID_EVENT, b"\1" + b"\0" * 7)
    body = b"\2\3\xfc\xff\x00" + b"\1\1" + bytes((len(inner),)) + b"\0" + inner
    _, message = decoder_of(MYSQL_MINIMAL).decode(event(const.TRANSACTION_PAYLOAD_EVENT, body))
    assert isinstance(message, TransactionPayload)
    assert list(message.events()) == [inner]


@pytest.mark.parametrize("length", [1 << 16, (1 << 20) - 19, 1 << 20, (3 << 20) + 5])
def test_long_events_of_a_payload_are_whole(length: int) -> None:
    small = event(const.XID_EVENT, b"\1" + b"\0" * 7)
    long = event(const.WRITE_ROWS_EVENT, random.Random(length).randbytes(length))
    data = small + long + small + long + small
    payload = TransactionPayload(TransactionPayload.NONE, None, data, 0, len(data))
    assert list(payload.events()) == [small, long, small, long, small]
    for end in (len(small) + 18, len(small) + len(long) - 1, len(data) - 1):
        with pytest.raises(ProtocolError, match="payload ends within an event"):
            list(TransactionPayload(TransactionPayload.NONE, None, data, 0, end).events())


def test_a_payload_that_is_cut_or_no_zstd_is_an_error() -> None:
    frame = next(each for each in frames(MYSQL) if each[4] == const.TRANSACTION_PAYLOAD_EVENT)
    _, message = decoder_of(MYSQL).decode(frame)
    assert isinstance(message, TransactionPayload)
    for end in range(message.start + 1, message.end):
        with pytest.raises(ProtocolError):
            list(TransactionPayload(message.compression, None, message.data, message.start, end).events())
    with pytest.raises(ProtocolError, match="does not unpack"):
        list(TransactionPayload(message.compression, None, message.data, message.start + 1, message.end).events())
    with pytest.raises(ProtocolError, match="unknown compression"):
        list(TransactionPayload(7, None, message.data, message.start, message.end).events())


def test_table_maps_with_full_metadata_describe_the_table() -> None:
    table = table_maps(MYSQL)["t"]
    assert (table.database, table.table) == ("shop", "t")
    assert table.names == ("id", "a", "b", "f", "g", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r", "v", "x", "y",
                           "z", "aa", "cc", "dd")
    by = dict(zip(table.names, range(22), strict=True))
    assert table.unsigned is not None
    assert [name for name in table.names if table.unsigned[by[name]]] == ["id", "b"]
    assert table.charsets is not None
    assert {name: table.charsets[at] for name, at in by.items() if table.charsets[at]} == {
        "n": 255, "o": 8, "p": 255, "q": 255, "r": 63, "v": 255, "x": 63, "y": 255, "z": 255}
    assert table.enum_members is not None
    assert table.enum_members[by["y"]] == (b"a", b"b", "çé".encode())
    assert table.set_members is not None
    assert table.set_members[by["z"]] == (b"x", b"y", b"z")
    assert table.geometry_types is not None
    assert (table.geometry_types[by["cc"]], table.geometry_types[by["dd"]]) == (0, 1)
    assert table.primary_key == ((0, 0),)
    assert table.types[by["y"]] == const.MYSQL_TYPE_ENUM
    assert not table.nullable[0]
    assert all(table.nullable[1:])


def test_mariadb_tells_the_same() -> None:
    table = table_maps(MARIADB)["t"]
    assert table.names
    assert table.names == table_maps(MYSQL)["t"].names
    by = dict(zip(table.names, range(22), strict=True))
    assert table.charsets is not None
    assert {name for name, at in by.items() if table.charsets[at]} == {"n", "o", "p", "q", "r", "v", "x", "y", "z",
                                                                       "cc", "dd"}
    assert table.charsets[by["o"]] == 8
    assert table.enum_members is not None
    assert table.enum_members[by["y"]] == (b"a", b"b", "çé".encode())


@pytest.mark.parametrize("name", [MYSQL, MARIADB])
def test_keys_keep_their_order_and_prefixes(name: str) -> None:
    assert table_maps(name)["part"].primary_key == ((1, 0), (0, 0))
    assert table_maps(name)["pk"].primary_key == ((1, 10), (0, 5))


def test_mysql_tells_hidden_columns_and_vectors() -> None:
    table = table_maps(MYSQL)["doc"]
    assert table.names == ("id", "j", "vv", "inv", "k", "gv", "gs")
    assert table.visible == (True, True, True, False, True, True, True)
    assert table.vector_dimensions == (None, None, 3, None, None, None, None)


def test_minimal_metadata_still_tells_signs_and_character_sets() -> None:
    mysql, maria = table_maps(MYSQL_MINIMAL)["t"], table_maps(MARIADB_MINIMAL)["t"]
    for table in (mysql, maria):
        assert table.unsigned is not None
        assert table.unsigned[0]
        assert table.names is None
        assert table.primary_key is None
        assert table.enum_members is None
    assert mysql.charsets is not None
    assert mysql.charsets[11] == 8
    assert maria.charsets is not None
    assert maria.charsets[11] == 8


def test_an_unchanged_table_is_the_same_object() -> None:
    maps = [message for _, message in messages(MYSQL) if isinstance(message, TableMap) and message.table == "part"]
    assert len(maps) > 3
    assert all(each is maps[0] for each in maps)


def test_unknown_metadata_of_a_table_map_is_stepped_over() -> None:
    frame = next(each for each in frames(MYSQL) if each[4] == const.TABLE_MAP_EVENT)
    extended = resized(frame, frame[19:-4] + b"\xc8\3new", checksum=True)
    decoder = decoder_of(MYSQL)
    assert decoder.decode(extended)[1] == decoder.decode(frame)[1]


def test_an_incident_is_told() -> None:
    body = b"\1\0" + b"\4lost"
    assert decoder_of(MYSQL_MINIMAL).decode(event(const.INCIDENT_EVENT, body))[1] == Incident(1, "lost")


def test_an_unknown_event_is_ignored_only_where_the_server_allows_it() -> None:
    decoder = decoder_of(MYSQL_MINIMAL)
    allowed = event(200, b"?", flags=const.LOG_EVENT_IGNORABLE_F)
    assert decoder.decode(allowed)[1] == Ignored(200)
    with pytest.raises(ProtocolError, match="unknown event"):
        decoder.decode(event(200, b"?"))


def test_a_wrong_checksum_is_an_error() -> None:
    decoder = decoder_of(MYSQL)
    for frame in frames(MYSQL)[1:]:
        damaged = frame[:25] + bytes((frame[25] ^ 1,)) + frame[26:]
        with pytest.raises(ProtocolError, match="checksum"):
            decoder.decode(damaged)


def test_a_format_description_in_use_has_the_checksum_of_one_that_is_not() -> None:
    frame = frames(MYSQL)[0]
    in_use = frame[:17] + bytes((frame[17] | const.LOG_EVENT_BINLOG_IN_USE_F,)) + frame[18:]
    assert BinlogDecoder().decode(in_use)[1] == BinlogDecoder().decode(frame)[1]


@pytest.mark.parametrize("name", ALL)
def test_a_cut_event_is_an_error(name: str) -> None:
    decoder = decoder_of(name)
    for frame in frames(name):
        for length in range(len(frame)):
            with pytest.raises(ProtocolError):
                decoder.decode(frame[:length])


@pytest.mark.parametrize("name", ALL)
def test_no_cut_body_reads_past_its_end(name: str) -> None:
    """As if the server had written less: a ProtocolError or, where a text ends early, a message; nothing else."""
    decoder = decoder_of(name)
    checksum = decoder.format is not None and decoder.format.checksum
    maps: dict[int, TableMap] = {}
    seen = set()
    errors = 0
    for frame in frames(name)[1:]:
        body = frame[19:-4] if checksum else frame[19:]
        if (frame[4], len(body)) not in seen:
            seen.add((frame[4], len(body)))
            for length in range(len(body)):
                errors += not _survives(decoder, resized(frame, body[:length], checksum), dict(maps))
        _read_all(decoder, frame, maps)
    assert errors > 500


@pytest.mark.parametrize("name", ALL)
def test_no_changed_byte_breaks_more_than_its_event(name: str) -> None:
    decoder = decoder_of(name)
    checksum = decoder.format is not None and decoder.format.checksum
    seed = random.Random(20)
    maps: dict[int, TableMap] = {}
    for frame in frames(name)[1:]:
        body = bytearray(frame[19:-4] if checksum else frame[19:])
        for _ in range(30):
            if not body:
                break
            damaged = bytearray(body)
            for _ in range(seed.randint(1, 3)):
                damaged[seed.randrange(len(damaged))] = seed.choice((0, 1, 127, 128, 250, 252, 254, 255))
            _survives(decoder, resized(frame, bytes(damaged), checksum), dict(maps))
        _read_all(decoder, frame, maps)


def _survives(decoder: BinlogDecoder, frame: bytes, maps: dict[int, TableMap]) -> bool:
    try:
        _read_all(decoder, frame, maps)
    except (ProtocolError, SourceRefusedError):
        return False
    return True


def _read_all(decoder: BinlogDecoder, frame: bytes, maps: dict[int, TableMap]) -> None:
    """Decode down to the last cell."""
    _, message = decoder.decode(frame)
    inner = [message]
    if isinstance(message, TransactionPayload):
        inner = [decoder.decode_inner(each)[1] for each in message.events()]
    for each in inner:
        if isinstance(each, TableMap):
            maps[each.table_id] = each
        elif isinstance(each, RowsEvent) and each.table_id in maps:
            for pair in each.split(maps[each.table_id].layout):
                for row in pair:
                    for index in range(row.count if row else 0):
                        assert row is not None
                        row.raw(index)
