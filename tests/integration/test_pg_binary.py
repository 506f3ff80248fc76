"""The binary and the text form of the same values, both printed by a real server, give the same events.

Values are generated from a seed (CDC_TEST_SEED; the failing type, index and seed are in the assertion).
"""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from cdc.codecs.postgres.binary import binary_codec
from cdc.core.avro import Writer
from cdc.core.codec import Codec
from cdc.sources.postgres.types import TypeInfo, resolve
from tests.conftest import Database

SEED = int(os.environ.get("CDC_TEST_SEED", "1"))
COUNT = 400

SETTINGS = ("TimeZone = 'UTC'", "DateStyle = 'ISO'", "IntervalStyle = 'postgres'", "extra_float_digits = 3",
            "bytea_output = 'hex'", "client_encoding = 'UTF8'", "lc_monetary = 'C'")

Generator = Callable[[random.Random], str]


def integer(low: int, high: int) -> Generator:
    return lambda rng: str(rng.choice([low, high, 0, 1, rng.randint(low, high), rng.randint(0, min(high, 70000))]))


def digits(rng: random.Random, most: int) -> str:
    return "".join(rng.choices("0009123456789", k=rng.randint(1, most)))


def numeric(rng: random.Random) -> str:
    if rng.random() < 0.05:
        return rng.choice(["NaN", "Infinity", "-Infinity"])
    sign = rng.choice(["", "-"])
    kind = rng.random()
    if kind < 0.2:
        return f"{sign}{digits(rng, 20)}e{rng.randint(-150, 150)}"
    return f"{sign}{digits(rng, 30)}" + (f".{digits(rng, 30)}" if kind < 0.8 else "")


def scaled(whole: int, fraction: int) -> Generator:
    def generate(rng: random.Random) -> str:
        number = f"{rng.choice(['', '-'])}{digits(rng, whole)}"
        return number + (f".{digits(rng, fraction)}" if fraction > 0 and rng.random() < 0.8 else "")
    return generate


def floating(exponent: int) -> Generator:
    def generate(rng: random.Random) -> str:
        if rng.random() < 0.1:
            return rng.choice(["NaN", "Infinity", "-Infinity", "0", "-0", "1"])
        if rng.random() < 0.3:
            return str(2.0 ** rng.randint(-exponent * 3, exponent * 3))
        return repr(rng.uniform(-1, 1) * 10.0 ** rng.randint(-exponent, exponent))
    return generate


CHARACTERS = "aB0 ,;\"'\\{}[]()<>=:\t\néß日本😀NULL%$\x01"


def text(rng: random.Random) -> str:
    return rng.choice(["", "NULL", "null", "a", "".join(rng.choices(CHARACTERS, k=rng.randint(0, 20)))])


def json(rng: random.Random, depth: int = 0) -> str:
    kind = rng.random()
    if depth > 2 or kind < 0.6:
        return rng.choice(["null", "true", "1.50", "-0", "1e10", '"é\\n\\"x"', '"\\ud83d\\ude00"', "{}", "[]"])
    if kind < 0.8:
        return "[" + ", ".join([json(rng, depth + 1) for _ in range(rng.randint(0, 3))]) + "]"
    return "{" + ",  ".join([f'"k{at}": {json(rng, depth + 1)}' for at in range(rng.randint(0, 3))]) + "}"


def bytea(rng: random.Random) -> str:
    return "\\x" + rng.randbytes(rng.choice([0, 1, 5, 300])).hex()


def uuid(rng: random.Random) -> str:
    return rng.choice(["0" * 32, "f" * 32, rng.randbytes(16).hex()])


def day(rng: random.Random) -> str:
    low, high = rng.choice([(1990, 2030), (1, 9999), (9990, 294275), (1, 20)])
    year = rng.randint(low, high)
    return f"{year:04d}-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}"


def clock(rng: random.Random) -> str:
    second = f"{rng.randint(0, 23):02d}:{rng.randint(0, 59):02d}:{rng.randint(0, 59):02d}"
    return second + rng.choice(["", ".1", ".120", ".123456", ".000001", ".999999", f".{rng.randint(0, 999999):06d}"])


def date(rng: random.Random) -> str:
    if rng.random() < 0.1:
        return rng.choice(["infinity", "-infinity", "4713-01-01 BC", "5874897-12-31", "1970-01-01", "0001-01-01"])
    shown = day(rng)
    return shown + " BC" if rng.random() < 0.1 and len(shown) == 10 and shown < "4714" else shown


def time(rng: random.Random) -> str:
    return "24:00:00" if rng.random() < 0.02 else clock(rng)


def timetz(rng: random.Random) -> str:
    zone = rng.choice(["+00", "-12", "+14", "+05:30", "-00:30", "+01:02:03", "-15:59:59", "+15:59:59"])
    return time(rng) + zone


def timestamp(rng: random.Random) -> str:
    if rng.random() < 0.1:
        return rng.choice(["infinity", "-infinity", "4713-11-24 00:00:00 BC", "294276-12-31 23:59:59.999999",
                           "9999-12-31 23:59:59.999999", "0001-01-01 00:00:00", "0001-12-31 23:59:59.9 BC",
                           "1970-01-01", "1677-09-21 00:12:43.145224", "2262-04-11 23:47:16.854775"])
    shown = day(rng)
    era = " BC" if rng.random() < 0.1 and len(shown) == 10 and shown < "4713" else ""
    return f"{shown} {clock(rng)}{era}"


def interval(rng: random.Random) -> str:
    signed = [f"{rng.choice(['', '-'])}{rng.choice([0, 0, 1, rng.randint(0, 40)])} {unit}"
              for unit in ("years", "mons", "days")]
    hours = rng.choice([0, 0, rng.randint(0, 30), rng.randint(0, 2000000)])
    span = f"{rng.choice(['', '-'])}{hours:02d}:{clock(rng)[3:]}"
    return " ".join([*signed, rng.choice(["", span])]) if rng.random() < 0.95 else "178000000 years"


def point(rng: random.Random) -> str:
    number = floating(300)
    return f"({number(rng)},{number(rng)})"


def inet(rng: random.Random, bits: bool = True) -> str:
    if rng.random() < 0.5:
        address = ".".join([str(rng.choice([0, 255, rng.randint(0, 255)])) for _ in range(4)])
        return address + (f"/{rng.randint(0, 32)}" if bits and rng.random() < 0.7 else "")
    words = [rng.choice([0, 0, 0, 0, 1, 0xFFFF, rng.randint(0, 0xFFFF)]) for _ in range(8)]
    if rng.random() < 0.3:
        words[:5] = [0] * 5
    mask = f"/{rng.randint(0, 128)}" if bits and rng.random() < 0.7 else ""
    return ":".join([f"{word:x}" for word in words]) + mask


def macaddr(size: int) -> Generator:
    return lambda rng: rng.randbytes(size).hex(":")


def bits(low: int, high: int) -> Generator:
    return lambda rng: "".join(rng.choices("01", k=rng.randint(low, high)))


def money(rng: random.Random) -> str:
    return rng.choice(["0", "-92233720368547758.08", "92233720368547758.07", "0.01", "-0.01", "1234.56",
                       f"{rng.choice(['', '-'])}{rng.randint(0, 10**rng.randint(1, 15))}.{rng.randint(0, 99):02d}"])


def range_of(bound: Generator, order: Callable[[str], Any]) -> Generator:
    def generate(rng: random.Random) -> str:
        if rng.random() < 0.05:
            return "empty"
        low, high = sorted([bound(rng), bound(rng)], key=order)
        low, high = (rng.choice([f'"{side}"'] * 4 + [""]) for side in (low, high))
        return f"{rng.choice('[(')}{low},{high}{rng.choice('])')}"
    return generate


def tsvector(rng: random.Random) -> str:
    def lexeme() -> str:
        word = "".join(rng.choices("abé' \\,:日", k=rng.randint(1, 6))).replace("\\", "\\\\").replace("'", "''")
        places = [f"{rng.randint(1, 20000)}{rng.choice(['', 'A', 'B', 'C', 'D'])}" for _ in range(rng.randint(0, 4))]
        return f"'{word}'" + (":" + ",".join(places) if places else "")
    return " ".join([lexeme() for _ in range(rng.randint(0, 5))])


def quoted(shown: str) -> str:
    return '"' + shown.replace("\\", "\\\\").replace('"', '\\"') + '"'


def hstore(rng: random.Random) -> str:
    pairs = [(text(rng), rng.choice([None, text(rng)])) for _ in range(rng.randint(0, 30))]
    return ",".join([f"{quoted(key)}=>{'NULL' if value is None else quoted(value)}" for key, value in pairs])


def vector(size: int) -> Generator:
    number = floating(4)
    finite = {"NaN": "1", "Infinity": "2", "-Infinity": "3"}

    def generate(rng: random.Random) -> str:
        numbers = [number(rng) for _ in range(size)]
        return "[" + ",".join([finite.get(shown, shown) for shown in numbers]) + "]"
    return generate


def sparsevec(rng: random.Random) -> str:
    places = sorted(rng.sample(range(1, 9), rng.randint(0, 5)))
    return "{" + ",".join([f"{place}:{rng.uniform(-9, 9)}" for place in places]) + "}/9"


def array_of(element: Generator) -> Generator:
    def generate(rng: random.Random) -> str:
        items = ["NULL" if rng.random() < 0.1 else quoted(element(rng)) for _ in range(rng.randint(0, 5))]
        if items and rng.random() < 0.1:
            return "{{" + items[0] + "},{" + items[0] + "}}"
        if items and rng.random() < 0.1:
            return f"[-1:{len(items) - 2}]={{{','.join(items)}}}"
        return "{" + ",".join(items) + "}"
    return generate


def day_order(shown: str) -> tuple[int, ...]:
    return tuple(map(int, shown.split(" ")[0].split("-")))


def plain_timestamp(rng: random.Random) -> str:
    return f"{day(rng)} {clock(rng)}"


SCALARS: dict[str, Generator] = {
    "bool": lambda rng: rng.choice("tf"),
    "int2": integer(-(2**15), 2**15 - 1), "int4": integer(-(2**31), 2**31 - 1), "int8": integer(-(2**63), 2**63 - 1),
    "oid": integer(0, 2**32 - 1), "float4": floating(37), "float8": floating(300),
    "numeric": numeric, "numeric(38,10)": scaled(28, 10), "numeric(18,2)": scaled(16, 2), "numeric(5,0)": scaled(5, 0),
    "numeric(19,0)": scaled(19, 0), "numeric(20,20)": lambda rng: "0." + digits(rng, 20),
    "text": text, "varchar": text, "varchar(20)": text, "bpchar": text, "char(30)": text, "name": text,
    '"char"': lambda rng: rng.choice(["", "a", "\x01", " ", "~"]),
    "mood": lambda rng: rng.choice(["sad", "o'k", "hap,py"]), "citext": text,
    "json": json, "jsonb": json, "xml": lambda rng: rng.choice([
        "<a>é</a>", "<!-- c -->", '<?xml version="1.0" standalone="yes"?><a/>', '<?xml version="1.1"?>\n<a/>',
        '<?xml version="1.0" encoding="UTF-8"?>\n<a/>', ""]),
    "bytea": bytea, "uuid": uuid, "date": date, "time": time, "time(3)": time, "time(0)": time, "timetz": timetz,
    "timestamp": timestamp, "timestamp(3)": timestamp, "timestamp(0)": timestamp, "timestamptz": timestamp,
    "timestamptz(3)": timestamp, "timestamptz(0)": timestamp, "interval": interval, "point": point,
    "inet": inet, "cidr": lambda rng: inet(rng, False), "macaddr": macaddr(6), "macaddr8": macaddr(8),
    "bit": bits(1, 1), "bit(8)": bits(8, 8), "bit(77)": bits(77, 77), "varbit": bits(0, 40), "varbit(1)": bits(0, 1),
    "money": money, "tsvector": tsvector, "hstore": hstore, "ltree": lambda rng: rng.choice(["", "a.b", "Top.Ä_1"]),
    "vector(3)": vector(3), "halfvec(5)": vector(5), "sparsevec(9)": sparsevec,
    "int4range": range_of(integer(-99, 99), int), "int8range": range_of(integer(-(2**40), 2**40), int),
    "numrange": range_of(scaled(10, 3), float), "daterange": range_of(day, day_order),
    "tsrange": range_of(plain_timestamp, day_order), "tstzrange": range_of(plain_timestamp, day_order),
    "posint": integer(1, 99), "price": scaled(7, 2), "moody": lambda rng: "sad",
    "pg_lsn": lambda rng: f"{rng.randint(0, 2**32 - 1):X}/{rng.choice([0, 15, rng.randint(0, 2**32 - 1)]):X}",
}
ARRAYS = ["bool", "int2", "int4", "int8", "oid", "float4", "float8", "numeric", "numeric(38,10)", "text", "varchar(20)",
          "char(30)", "mood", "citext", "json", "jsonb", "bytea", "uuid", "date", "time", "timetz", "timestamp",
          "timestamp(3)", "timestamptz", "inet", "cidr", "macaddr", "macaddr8", "int4range", "numrange", "tsrange",
          "hstore", "ltree", "tsvector", '"char"']
GENERATORS = SCALARS | {f"{name}[]": array_of(SCALARS[name]) for name in ARRAYS}

MODES = {
    "decimal_handling_mode": ["precise", "string", "double"],
    "time_precision_mode": ["adaptive", "connect", "isostring", "microseconds", "nanoseconds"],
    "binary_handling_mode": ["bytes", "base64", "hex"],
    "interval_handling_mode": ["numeric", "string"],
    "hstore_handling_mode": ["json", "map"],
}


def configs() -> Iterator[SimpleNamespace]:
    """Every value of every mode at least once."""
    for values in itertools.zip_longest(*MODES.values()):
        chosen = {name: value or MODES[name][0] for name, value in zip(MODES, values, strict=True)}
        yield SimpleNamespace(**chosen, money_fraction_digits=2, include_unknown_datatypes=True,
                              unavailable_value_placeholder="x", cdc_debezium_faults=False)


@pytest.fixture
def connection(database: Database) -> Iterator[psycopg.Connection[Any]]:
    with database.connect(autocommit=True) as connection:
        connection.execute("CREATE TYPE mood AS ENUM ('sad', 'o''k', 'hap,py')")
        connection.execute("CREATE DOMAIN posint AS int4")
        connection.execute("CREATE DOMAIN price AS numeric(9,2)")
        connection.execute("CREATE DOMAIN moody AS mood")
        for setting in SETTINGS:
            connection.execute(f"SET {setting}")
        for extension in ("hstore", "citext", "ltree", "vector"):
            try:
                connection.execute(f"CREATE EXTENSION {extension}")
            except psycopg.Error:
                connection.execute("SELECT 1")
        yield connection


def catalog(connection: psycopg.Connection[Any]) -> dict[int, TypeInfo]:
    rows = connection.execute(
        "SELECT oid::int8, typname, typnamespace::regnamespace::text, typtype, typbasetype::int8, typtypmod,"
        " CASE typcategory WHEN 'A' THEN typelem::int8 ELSE 0 END FROM pg_type").fetchall()
    return {row[0]: TypeInfo(*row) for row in rows}


def fetched(connection: psycopg.Connection[Any], query: str, binary: bool) -> list[bytes | None]:
    cursor = connection.cursor(binary=binary)
    cursor.execute(query)
    assert cursor.pgresult is not None
    return [cursor.pgresult.get_value(row, 0) for row in range(cursor.pgresult.ntuples)]


def outcome(codec: Codec, data: bytes) -> tuple[Any, ...]:
    """Value and Avro bytes, or that both ways refuse."""
    out = Writer()
    out.put_raw(b"before")
    try:
        value = repr(codec.value(b"<" + data + b">", 1, len(data) + 1))
    except ValueError as exc:
        value = type(exc).__name__
    except Exception as exc:
        if not type(exc).__name__ == "DecodeError":
            raise
        value = "DecodeError"
    try:
        codec.encode(out, b"<" + data + b">", 1, len(data) + 1)
    except Exception as exc:
        if type(exc).__name__ not in ("DecodeError", "ValueError"):
            raise
        return value, "refused"
    return value, out.take()


def types_here(connection: psycopg.Connection[Any], names: list[str]) -> list[str]:
    """Without the types of extensions, and without xml, where the server was built without them."""
    known = {info.name for info in catalog(connection).values()}
    there = [name for name in names if name.strip('[]"').split("(")[0] in known | {"char"}]
    try:
        connection.execute("SELECT '<a/>'::xml")
    except psycopg.Error:
        there = [name for name in there if not name.startswith("xml")]
    return there


@pytest.mark.parametrize("many", [list(SCALARS), [name for name in GENERATORS if name not in SCALARS]],
                         ids=["scalars", "arrays"])
def test_binary_and_text_of_a_value_give_the_same_event(connection: psycopg.Connection[Any], many: list[str]) -> None:
    rng = random.Random(SEED)
    problems = []
    for name in types_here(connection, many):
        values = [GENERATORS[name](rng) for _ in range(COUNT)]
        connection.execute(f"DROP TABLE IF EXISTS v; CREATE TABLE v (id serial, v {name})")
        for value in values:
            try:
                connection.execute(f"INSERT INTO v (v) VALUES (%s::text::{name})", (value,))
            except (psycopg.errors.DataError, psycopg.errors.SyntaxError):
                continue  # the generators are simpler than some types' rules
        problems += differences(connection, name)
    assert not problems, f"seed {SEED}: {problems[:10]}"


def differences(connection: psycopg.Connection[Any], name: str) -> list[Any]:
    texts = fetched(connection, "SELECT v FROM v ORDER BY id", False)
    binaries = fetched(connection, "SELECT v FROM v ORDER BY id", True)
    assert len(texts) > COUNT // 8, f"{name}: only {len(texts)} values were valid"
    ((oid, typmod),) = connection.execute(
        "SELECT atttypid::int8, atttypmod FROM pg_attribute WHERE attrelid = 'v'::regclass AND attname = 'v'"
    ).fetchall()
    types = catalog(connection)
    found = []
    for config in configs():
        column = resolve(types[oid], typmod, config=config, types=types)
        assert column is not None
        binary = column.binary_codec
        assert binary is not None, name
        for at, (shown, sent) in enumerate(zip(texts, binaries, strict=True)):
            assert shown is not None
            assert sent is not None
            if outcome(column.codec, shown) != outcome(binary, sent):
                found.append((name, at, shown, sent, outcome(column.codec, shown), outcome(binary, sent)))
    return found


def test_types_that_cannot_be_read_in_binary_have_no_binary_codec() -> None:
    assert binary_codec("box", resolve_text()) is None
    assert binary_codec("int4multirange", resolve_text()) is None


def resolve_text() -> Codec:
    config = next(configs())
    column = resolve(TypeInfo(25, "text", "pg_catalog", "b"), -1, config=config, types={})
    assert column is not None
    return column.codec
