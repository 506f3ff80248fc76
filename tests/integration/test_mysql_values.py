"""A value read by a snapshot and the same value read from the log give the same Connect value and the same Avro bytes,
for every type and character set, and it is the server's."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from typing import Any

import pytest

from cdc.core.avro import Writer
from cdc.core.codec import Codec
from cdc.core.errors import NoValue
from cdc.core.row import NULL
from cdc.sources.mysql.binlog.decoder import BinlogDecoder
from cdc.sources.mysql.binlog.events import TableMap
from cdc.sources.mysql.binlog.rows import Layout, RowsEvent
from cdc.sources.mysql.ddl.statements import read_create
from cdc.sources.mysql.ddl.structure import Structures
from cdc.sources.mysql.types import ColumnType, resolve
from tests.servers.mysql import BinlogServer
from tests.unit.sources.mysql.test_types import Config

SEED = 20240229
ROWS = 300
UNIFORM = Config(cdc_uniform_values=True)


@pytest.fixture(params=["mysql", "mariadb"])
def server(request: pytest.FixtureRequest) -> BinlogServer:
    found: BinlogServer = request.getfixturevalue(request.param)
    return found


def rows_of(server: BinlogServer, database: str, file: str, start: int) -> Iterator[list[bytes | None]]:
    """The inserted rows that the log has from byte *start* of *file* on, as their column bytes."""
    data = (server.data / file).read_bytes()
    decoder = BinlogDecoder()
    maps: dict[int, TableMap] = {}
    at = 4
    while at < len(data):
        size = int.from_bytes(data[at + 9:at + 13], "little")
        _, message = decoder.decode(data[at:at + size])
        if isinstance(message, TableMap):
            maps[message.table_id] = message
        elif isinstance(message, RowsEvent) and at >= start and maps[message.table_id].database == database:
            table = maps[message.table_id]
            for _, after in message.split(Layout(table.types, table.metadata)):
                assert after is not None
                yield [None if after.kind(index) == NULL else after.raw(index) for index in range(after.count)]
        at += size


def shown(codec: Codec, data: bytes | None) -> tuple[Any, bytes]:
    """Value and Avro bytes; a null for no value."""
    if data is None:
        return None, b""
    out = Writer()
    try:
        value = codec.value(data, 0, len(data))
    except NoValue:
        with pytest.raises(NoValue):
            codec.encode(out, data, 0, len(data))
        return None, b""
    codec.encode(out, data, 0, len(data))
    return value, out.take()


def same_on_both_wires(server: BinlogServer, database: str, columns: str, inserts: list[tuple[Any, ...]],
                       config: Config = UNIFORM) -> list[list[Any]]:
    """Make a table of *columns*, insert, read it by SELECT and from the log; the values, having seen they agree."""
    server.create_database(database)
    file, start = server.binlog_end()
    with server.connect(database, charset="utf8mb4") as connection, connection.cursor() as cursor:
        cursor.execute("SET sql_mode = '', time_zone = '+00:00'")
        cursor.execute(f"CREATE TABLE t (id int PRIMARY KEY AUTO_INCREMENT, {columns}) CHARACTER SET utf8mb4")
        marks = ",".join(["%s"] * len(inserts[0]))
        for values in inserts:
            cursor.execute(f"INSERT INTO t VALUES (DEFAULT,{marks})", values)
        connection.commit()
        cursor.execute("SHOW CREATE TABLE t")
        created = read_create(str(cursor.fetchone()[1]), database, Structures())
    types = [resolve(column, config=config) for column in created.columns]
    selects = [_select(type_, column.name) for type_, column in zip(types, created.columns, strict=True)]
    texts = select(server, database, f"SELECT {','.join(selects)} FROM t ORDER BY id")
    logged = list(rows_of(server, database, file, start))
    assert len(texts) == len(logged) == len(inserts)
    found = []
    for number, (by_text, by_log) in enumerate(zip(texts, logged, strict=True)):
        read: list[Any] = []
        for type_, column, text, binary in zip(types, created.columns, by_text, by_log, strict=True):
            assert type_ is not None, column
            snapshot, stream = shown(type_.codec, text), shown(type_.binary_codec, binary)
            assert snapshot == stream, (number, column.name, inserts[number])
            read.append(stream[0])
        found.append(read[1:])
    server.drop_database(database)
    return found


def _select(type_: ColumnType | None, name: str) -> str:
    assert type_ is not None
    return type_.select.format(f"`{name}`")


def select(server: BinlogServer, database: str, query: str) -> list[tuple[bytes | None, ...]]:
    """Rows as the text protocol has them."""
    connection: Any = server.connect(database, use_unicode=False)
    with connection, connection.cursor() as cursor:
        cursor.execute("SET time_zone = '+00:00', character_set_results = NULL")
        connection.decoders = {}
        cursor.execute(query)
        return list(cursor.fetchall())


def test_numbers_are_the_same_in_snapshot_and_stream(server: BinlogServer) -> None:
    columns = ("ti tinyint, tu tinyint unsigned, si smallint, su smallint unsigned, mi mediumint,"
               " mu mediumint unsigned, i int, iu int unsigned zerofill, bi bigint, bu bigint unsigned zerofill,"
               " f float, fu float(9,3),"
               " d double, dm double(12,4), n1 decimal(1,0), n9 decimal(9,9), n18 decimal(18,5),"
               " n19 decimal(19,10) unsigned, n65 decimal(65,30), b1 bit(1), b9 bit(9), b64 bit(64), y year,"
               " e enum('a','b,c','é'), s set('x','y','é')")
    pick = random.Random(SEED)

    def integer(bits: int, signed: bool) -> int:
        low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
        return pick.choice([low, high, 0, 1, pick.randint(low, high), pick.randint(low, high) >> pick.randrange(bits)])

    def decimal(precision: int, scale: int, signed: bool = True) -> str:
        number = pick.choice([10 ** precision - 1, 0, 1, pick.randrange(10 ** pick.randint(1, precision))])
        text = str(number).rjust(scale + 1, "0")
        sign = pick.choice(["", "-"]) if signed else ""
        return f"{sign}{text[:len(text) - scale]}.{text[len(text) - scale:]}"

    def single() -> float:
        number: float = struct.unpack("<f", struct.pack("<I", pick.getrandbits(32) & 0xBFFFFFFF))[0]
        return pick.choice([number, 16777217.0, 0.1, -3.4e38, 1.17549435e-38, 0.0])

    def double() -> float:
        number: float = struct.unpack("<d", struct.pack("<Q", pick.getrandbits(64) & 0xBFFFFFFFFFFFFFFF))[0]
        return pick.choice([number, 0.1, 1e22, 123456789012345680.0, -1.7976931348623157e308, 2.2250738585072014e-308])

    inserts = [(
        integer(8, True), integer(8, False), integer(16, True), integer(16, False), integer(24, True),
        integer(24, False), integer(32, True), integer(32, False), integer(64, True), integer(64, False), single(),
        pick.uniform(-99999, 99999), double(), pick.uniform(-99999999, 99999999), decimal(1, 0), decimal(9, 9),
        decimal(18, 5), decimal(19, 10, signed=False), decimal(65, 30), pick.getrandbits(1), pick.getrandbits(9),
        pick.getrandbits(64), pick.choice([0, 1901, 2155, 2000]), pick.choice([0, 1, 2, 3]), pick.randrange(8),
    ) for _ in range(ROWS)]
    found = same_on_both_wires(server, "prop_num", columns, inserts)
    for given, values in zip(inserts, found, strict=True):
        assert values[:9] == list(given[:9])
        assert values[9] == given[9] - (1 << 64) * (given[9] > (1 << 63) - 1)


def test_dates_and_times_are_the_same_in_snapshot_and_stream(server: BinlogServer) -> None:
    columns = "d date, " + ", ".join(
        f"t{digits} time({digits}), dt{digits} datetime({digits}), ts{digits} timestamp({digits}) NULL"
        for digits in range(7))
    pick = random.Random(SEED)

    def date() -> str:
        return pick.choice(["0000-00-00", "2024-00-00", "2024-02-00", "1000-01-01", "9999-12-31", "2024-02-29",
                            f"{pick.randint(1, 9999):04d}-{pick.randint(1, 12):02d}-{pick.randint(1, 28):02d}"])

    def clock(hours: int) -> str:
        return (f"{pick.randint(0, hours):02d}:{pick.randint(0, 59):02d}:{pick.randint(0, 58):02d}"
                f".{pick.choice([0, 1, 999999, 100000, pick.randrange(1000000)]):06d}")

    def span() -> str:
        return pick.choice(["-838:59:59", "838:59:59", "-00:00:00.000001", pick.choice(["", "-"]) + clock(837)])

    def moment() -> str:
        day = f"{pick.randint(1971, 2037)}-{pick.randint(1, 12):02d}-{pick.randint(1, 28):02d} {clock(23)}"
        return pick.choice(["0000-00-00 00:00:00", "1970-01-01 00:00:01", "2038-01-19 03:14:07", day])

    inserts = [(date(), *(value for _ in range(7) for value in (
        span(), pick.choice([date(), f"{date()} {clock(23)}"]), moment()))) for _ in range(ROWS)]
    found = same_on_both_wires(server, "prop_time", columns, inserts)
    assert any(values[0] is None for values in found)
    iso = Config(cdc_uniform_values=True, time_precision_mode="isostring")
    within = [(*row[:1], *("12:34:56.5" if index % 3 == 0 else value for index, value in enumerate(row[1:])))
              for row in inserts]
    same_on_both_wires(server, "prop_time", columns, within, iso)


CHARSETS = {
    "latin1": "é€ÿ\x81", "latin2": "ěščř", "cp1250": "ěšč", "cp1251": "Привет", "koi8r": "Привет", "koi8u": "Їжак",
    "cp866": "Привет", "greek": "αβγ", "hebrew": "שלום", "latin5": "ğış", "latin7": "āčē", "cp1256": "سلام",
    "cp1257": "āčē", "tis620": "สวัสดี",
    "sjis": "日本語ｱ", "cp932": "日本語①", "ujis": "日本語", "eucjpms": "日本語①",
    "euckr": "안녕", "gb2312": "你好", "gbk": "你好", "big5": "你好碁", "utf8mb4": "üñï 😀", "utf8mb3": "üñï",
    "ucs2": "aé日", "utf16": "aé日😀", "utf16le": "aé日😀", "utf32": "aé日😀", "armscii8": "Ա՝", "geostd8": "აბ",
    "dec8": "éŒ", "hp8": "é", "swe7": "ÅÄÖ",
    "keybcs2": "Čůň", "macce": "ěšč", "macroman": "é†", "cp850": "é", "cp852": "ě", "ascii": "plain",
}


def test_texts_of_every_charset_are_the_same_and_the_servers(server: BinlogServer) -> None:
    columns = ", ".join(f"c_{name} char(20) CHARACTER SET {name}, v_{name} varchar(20) CHARACTER SET {name}, "
                        f"t_{name} text CHARACTER SET {name}" for name in CHARSETS)
    given = tuple(text for text in CHARSETS.values() for _ in range(3))
    plain = tuple("x y " for _ in given)
    found = same_on_both_wires(server, "prop_text", columns, [given, plain, tuple("" for _ in given)])
    assert found[0] == list(given)
    assert found[1][:3] == ["x y", "x y ", "x y "]


def test_bytes_and_geometries_are_the_same_in_snapshot_and_stream(server: BinlogServer) -> None:
    columns = ("b binary(5), vb varbinary(300), tb tinyblob, bl blob, mb mediumblob, lb longblob")
    pick = random.Random(SEED)
    inserts = [tuple(pick.randbytes(size) for size in (
        pick.choice([0, 1, 5]), pick.choice([0, 256, 300]), pick.choice([0, 255]), 300, 70000, 1)) for _ in range(30)]
    inserts.append((b"a\0b", b"\0", b"", b"", b"", b""))
    found = same_on_both_wires(server, "prop_bin", columns, inserts)
    assert [row[0] for row in found] == [row[0].ljust(5, b"\0") for row in inserts]
    assert [row[1:] for row in found] == [list(row[1:]) for row in inserts]
    for mode in ("hex", "base64"):
        same_on_both_wires(server, "prop_bin", columns, inserts[:3], Config(binary_handling_mode=mode))


def test_points_and_shapes_are_the_same_in_snapshot_and_stream(server: BinlogServer) -> None:
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT ST_AsBinary(ST_GeomFromText('LINESTRING(0 0,1 1)'))")
        wkb = cursor.fetchone()[0]
    shape = struct.pack("<I", 0) + wkb
    point = struct.pack("<IBIdd", 4326 if server.flavor == "mysql" else 0, 1, 1, 1.5, -2.5)
    found = same_on_both_wires(server, "prop_geo", "g geometry, p point", [(shape, point), (None, None)])
    assert found[0] == [(wkb, None), (1.5, -2.5, point[4:], 4326 if server.flavor == "mysql" else None)]


DOCUMENTS = (
    "CAST('{\"b\": [1, 2.5, null, true], \"a\": {\"x\": \"y\"}, \"é\": \"q\\\\\"\\\\n\\\\u0001/\"}' AS JSON)",
    "CAST('[]' AS JSON)", "CAST('{}' AS JSON)", "CAST('\"text\"' AS JSON)", "CAST('null' AS JSON)",
    "CAST('true' AS JSON)",
    "CAST('[0, -1, 255, 256, 32767, 32768, 65535, 65536, -32769, 2147483647, 2147483648, 4294967296,"
    " 9223372036854775807, 18446744073709551615, -9223372036854775808]' AS JSON)",
    "CAST('[0.0, -0.0, 1.0, 1e15, 1e16, 1e22, 123456789012345678, 1.5e-10, 1e-14, 1e-15, 1.5e-15,"
    " 1.7976931348623157e308, 5e-324, 0.1, 1234567.5, 12345678.5, 0.001, 0.0001, 1e7, 1234567890123456.7]' AS JSON)",
    "JSON_ARRAY(CAST('2024-02-29' AS DATE), CAST('12:34:56.5' AS TIME(1)), CAST('-838:59:59' AS TIME),"
    " CAST('2024-02-29 12:34:56.789' AS DATETIME(3)), TIMESTAMP'2024-02-29 12:34:56')",
    "JSON_ARRAY(1.5, CAST('-99999999999999999999.123456789' AS DECIMAL(40,15)), 0.10)",
    "JSON_ARRAY(x'cafe', b'101', CAST(repeat('z', 100) AS BINARY))",
    "JSON_OBJECT('k', repeat('v', 70000), 'n', 70000, 'big',"
    " CAST(concat('[', repeat('123456,', 20000), '1]') AS JSON))",
    "CAST(concat(repeat('[', 99), '1', repeat(']', 99)) AS JSON)",
    "JSON_OBJECT('a', JSON_ARRAY(JSON_OBJECT('b', 4294967295, 'c', 1.25)))",
)


def test_documents_are_the_servers_text(request: pytest.FixtureRequest) -> None:
    server: BinlogServer = request.getfixturevalue("mysql")
    server.create_database("prop_json")
    file, start = server.binlog_end()
    with server.connect("prop_json", charset="utf8mb4") as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE t (j json)")
        for document in DOCUMENTS:
            cursor.execute(f"INSERT INTO t VALUES ({document})")
        connection.commit()
        cursor.execute("SHOW CREATE TABLE t")
        column = read_create(str(cursor.fetchone()[1]), "prop_json", Structures()).columns[0]
    uniform, compact = resolve(column, config=UNIFORM), resolve(column, config=Config())
    assert uniform is not None
    assert compact is not None
    texts = [row[0] for row in select(server, "prop_json", "SELECT j FROM t")]
    for (binary,), text in zip(rows_of(server, "prop_json", file, start), texts, strict=True):
        assert binary is not None
        assert text is not None
        assert uniform.binary_codec.value(binary, 0, len(binary)) == text.decode()
        assert uniform.codec.value(text, 0, len(text)) == text.decode()
        assert compact.binary_codec.value(binary, 0, len(binary))
    server.drop_database("prop_json")
