"""Types and defaults: the schemas that the real Debezium gave for the golden tables, and each option."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import pytest

from cdc.core.errors import NoValue
from cdc.core.schema import INT32, STRING, Schema
from cdc.sources.mysql.ddl.statements import apply
from cdc.sources.mysql.ddl.structure import NOW, ColumnDef, Structures
from cdc.sources.mysql.defaults import default_value
from cdc.sources.mysql.flavor import MYSQL, Flavor
from cdc.sources.mysql.types import ColumnType, resolve
from tests.unit.converters.connect_json import GOLDEN, golden_records, schema_of


@dataclass(frozen=True)
class Config:
    decimal_handling_mode: str = "precise"
    time_precision_mode: str = "adaptive_time_microseconds"
    binary_handling_mode: str = "bytes"
    bigint_unsigned_handling_mode: str = "long"
    enable_time_adjuster: bool = True
    cdc_uniform_values: bool = False
    flavor: Flavor = MYSQL


CONFIG = Config()


def typed(column: ColumnDef, **options: Any) -> ColumnType:
    found = resolve(column, config=dataclasses.replace(CONFIG, **options))
    assert found is not None
    return found


def column_schema(column: ColumnDef) -> Schema:
    found = typed(column)
    default = default_value(column, found)
    assert default.understood
    return dataclasses.replace(found.schema, optional=column.nullable or found.always_optional, default=default.value)


def as_shown(column: ColumnDef) -> ColumnDef:
    """As SHOW CREATE TABLE has it."""
    return dataclasses.replace(column, type_name="TINYINT", length=1) if column.base == "BOOLEAN" else column


def golden_tables(script: str) -> Structures:
    structures = Structures()
    database = ""
    for statement in (GOLDEN / script).read_text(encoding="utf-8").split(";\n"):
        for line in statement.split("; "):
            text = "\n".join(part for part in line.splitlines() if not part.startswith("--")).strip()
            if text.startswith("USE "):
                database = text.split()[1].strip(";")
            elif text.startswith("CREATE"):
                apply(text, database, structures)
    return structures


@pytest.mark.parametrize("name", ["mysql-types-stream", "mysql-types-snapshot", "mariadb-types-stream"])
def test_golden_schemas_are_given_for_every_column(name: str) -> None:
    tables = {f"srv.{table.id.catalog}.{table.id.table}": table for table in golden_tables("mysql-types.sql")}
    seen = set()
    for record in golden_records(GOLDEN / f"{name}.jsonl.gz"):
        if record["topic"] not in tables or record["value"] is None:
            continue
        row = next(f for f in record["value"]["schema"]["fields"] if f["field"] == "after")
        expected = {field.name: field.schema for field in schema_of(row).fields}
        table = tables[record["topic"]]
        columns = {column.name: as_shown(column) for column in table.columns}
        if name.startswith("mariadb") and "j" in columns:
            columns["j"] = dataclasses.replace(columns["j"], type_name="LONGTEXT", charset="utf8mb4")
        made = {n: column_schema(column) for n, column in columns.items() if n != "id"}
        assert made == {n: schema for n, schema in expected.items() if n != "id"}
        seen.add(record["topic"])
    assert seen == set(tables)


def read(found: ColumnType, text: bytes, binary: bytes) -> Any:
    """What both codecs make of one value; they agree."""
    value = found.codec.value(text, 0, len(text))
    assert found.binary_codec.value(binary, 0, len(binary)) == value
    return value


def test_decimals_in_every_mode() -> None:
    column = ColumnDef("n", "DECIMAL", 5, 2)
    binary = bytes.fromhex("8003" "0e")
    assert read(typed(column), b"3.14", binary) == b"\x01\x3a"
    assert read(typed(column, decimal_handling_mode="double"), b"3.14", binary) == 3.14
    assert read(typed(column, decimal_handling_mode="string"), b"3.14", binary) == "3.14"


def test_unsigned_bigint_wraps_or_is_a_decimal() -> None:
    column = ColumnDef("n", "BIGINT UNSIGNED")
    assert read(typed(column), b"18446744073709551615", b"\xff" * 8) == -1
    precise = typed(column, bigint_unsigned_handling_mode="precise")
    assert precise.schema.parameter("connect.decimal.precision") == "20"
    assert read(precise, b"18446744073709551615", b"\xff" * 8) == b"\0" + b"\xff" * 8


@pytest.mark.parametrize(("mode", "expected"), [
    ("bytes", b"\xfb\xff\0\0"), ("hex", "fbff0000"), ("base64", "+/8AAA=="), ("base64-url-safe", "-_8AAA=="),
])
def test_binary_is_padded_and_shown_in_every_mode(mode: str, expected: Any) -> None:
    found = typed(ColumnDef("b", "BINARY", 4), binary_handling_mode=mode)
    assert read(found, b"\xfb\xff\0\0", b"\xfb\xff") == expected


@pytest.mark.parametrize(("mode", "date", "time", "moment"), [
    ("adaptive_time_microseconds", 19782, 45296000000, 1709210096000),
    ("microseconds", 19782, 45296000000, 1709210096000000),
    ("nanoseconds", 19782, 45296000000000, 1709210096000000000),
    ("connect", 19782, 45296000, 1709210096000),
    ("isostring", "2024-02-29Z", "12:34:56Z", "2024-02-29T12:34:56Z"),
])
def test_dates_and_times_in_every_mode(mode: str, date: Any, time: Any, moment: Any) -> None:
    def of(type_name: str) -> ColumnType:
        return typed(ColumnDef("t", type_name), time_precision_mode=mode)

    assert read(of("DATE"), b"2024-02-29", bytes.fromhex("5dd00f")) == date
    assert read(of("TIME"), b"12:34:56", bytes.fromhex("80c8b8")) == time
    assert read(of("DATETIME"), b"2024-02-29 12:34:56", bytes.fromhex("99b2bac8b8")) == moment


def test_adaptive_datetime_follows_the_declared_digits() -> None:
    names = [typed(ColumnDef("t", "DATETIME", digits)).schema.name for digits in (None, 3, 4, 6)]
    assert names == ["io.debezium.time.Timestamp"] * 2 + ["io.debezium.time.MicroTimestamp"] * 2


@pytest.mark.parametrize(("type_name", "text", "binary"), [
    ("DATE", b"0000-00-00", bytes(3)), ("DATE", b"2024-00-00", bytes.fromhex("00d00f")),
    ("DATETIME", b"0000-00-00 00:00:00", bytes.fromhex("8000000000")),
    ("TIMESTAMP", b"0000-00-00 00:00:00", bytes(4)),
])
def test_zero_and_partial_dates_are_no_value(type_name: str, text: bytes, binary: bytes) -> None:
    found = typed(ColumnDef("t", type_name))
    with pytest.raises(NoValue):
        found.codec.value(text, 0, len(text))
    with pytest.raises(NoValue):
        found.binary_codec.value(binary, 0, len(binary))


def test_year_zero_and_short_fractions_differ_as_in_debezium_unless_uniform() -> None:
    year, timestamp = ColumnDef("y", "YEAR"), ColumnDef("t", "TIMESTAMP", 3)
    text, binary = b"2024-02-29 12:34:56.100", bytes.fromhex("65e07b7003e8")
    assert (typed(year).codec.value(b"0000", 0, 4), typed(year).binary_codec.value(b"\0", 0, 1)) == (2000, 1900)
    assert typed(timestamp).codec.value(text, 0, len(text)).endswith(":56.1Z")
    assert typed(timestamp).binary_codec.value(binary, 0, 6).endswith(".100Z")
    assert read(typed(year, cdc_uniform_values=True), b"0000", b"\0") == 0
    assert read(typed(timestamp, cdc_uniform_values=True), b"2024-02-29 12:41:20.100", binary).endswith(":20.100Z")


def test_two_digit_years_are_adjusted_only_if_asked() -> None:
    column = ColumnDef("d", "DATE")
    binary = (50 << 9 | 1 << 5 | 1).to_bytes(3, "little")
    assert read(typed(column), b"0050-01-01", binary) == 29220
    assert read(typed(column, enable_time_adjuster=False), b"0050-01-01", binary) == -701265


def test_labels_are_escaped_in_the_parameter_and_in_streams_unless_values_are_uniform() -> None:
    column = ColumnDef("e", "ENUM", enum_values=("a,b", "c\\", "d"))
    for uniform, streamed in ((False, "a\\,b"), (True, "a,b")):
        found = typed(column, cdc_uniform_values=uniform)
        assert found.schema.parameter("allowed") == "a\\,b,c\\\\,d"
        assert found.codec.value(b"1", 0, 1) == "a,b"
        assert found.binary_codec.value(b"\1", 0, 1) == streamed
    assert read(typed(column), b"0", b"\0") == ""


def test_sets_join_labels_in_order_of_definition() -> None:
    found = typed(ColumnDef("s", "SET", enum_values=("x", "y", "z w")))
    assert read(found, b"5", b"\5") == "x,z w"
    assert read(found, b"0", b"\0") == ""


def test_unknown_charset_is_told() -> None:
    assert typed(ColumnDef("c", "VARCHAR", 5, charset="klingon")).charset_unknown
    assert not typed(ColumnDef("c", "VARCHAR", 5, charset="latin1")).charset_unknown


def test_unknown_type_has_no_place_in_the_row() -> None:
    assert resolve(ColumnDef("x", "XMLTYPE"), config=CONFIG) is None


def test_float_is_asked_for_as_double_since_its_text_is_cut() -> None:
    found = typed(ColumnDef("f", "FLOAT"))
    assert found.select.format("`f`") == "CAST(`f` AS DOUBLE)"
    assert read(found, b"16777217.0", bytes.fromhex("0000804b")) == 16777216.0
    widened = typed(ColumnDef("f", "FLOAT", 7, 4))
    assert read(widened, b"1.100000023841858", bytes.fromhex("cdcc8c3f")) == 1.100000023841858


def test_boolean_as_spelt_in_a_statement() -> None:
    found = typed(ColumnDef("b", "BOOLEAN"))
    assert read(found, b"-1", b"\xff") is True
    assert read(found, b"0", b"\0") is False


def test_mariadb_types() -> None:
    binary = bytes.fromhex("0123456789ab1def8123456789abcdef")
    assert read(typed(ColumnDef("u", "UUID")), b"01234567-89ab-1def-8123-456789abcdef", binary).startswith("01234567")
    assert read(typed(ColumnDef("i", "INET6")), b"2001:db8::1", bytes.fromhex("20010db8" + "00" * 11 + "01"))
    assert read(typed(ColumnDef("i", "INET4")), b"10.0.0.0", b"\x0a") == "10.0.0.0"


@pytest.mark.parametrize(("column", "expected"), [
    (ColumnDef("c", "INT", default="1.5"), 2),
    (ColumnDef("c", "INT", default="-1.5"), -1),
    (ColumnDef("c", "INT", default="true"), 1),
    (ColumnDef("c", "BIGINT UNSIGNED", default="7"), 7),
    (ColumnDef("c", "DECIMAL", 6, 2, default="1.005"), b"\x65"),
    (ColumnDef("c", "DECIMAL", 6, 2, default="false"), b"\0"),
    (ColumnDef("c", "FLOAT", default="0.1"), 0.1),
    (ColumnDef("c", "BIT", 1, default="1"), True),
    (ColumnDef("c", "BIT", 12, default="101"), b"\5\0"),
    (ColumnDef("c", "BIT", 12, default="100000001"), b"\1\1"),
    (ColumnDef("c", "BOOLEAN", default="TRUE"), True),
    (ColumnDef("c", "VARCHAR", 9, charset="utf8mb4", default="it''s"), "it''s"),
    (ColumnDef("c", "VARCHAR", 9, charset="sjis", default="日本"), "日本"),
    (ColumnDef("c", "VARCHAR", 9, charset="utf8mb4", default="_utf8mb4'x'"), "x"),
    (ColumnDef("c", "BINARY", 4, default="ab"), b"ab"),
    (ColumnDef("c", "UUID", default="11111111-2222-3333-4444-555555555555"), None),
    (ColumnDef("c", "ENUM", 1, enum_values=("a", "b"), default="b"), "b"),
    (ColumnDef("c", "YEAR", default="2001"), 2001),
    (ColumnDef("c", "YEAR", default="69"), 2069),
    (ColumnDef("c", "DATE", default="1999-12-31"), 10956),
    (ColumnDef("c", "DATE", default="0000-00-00"), None),
    (ColumnDef("c", "DATE", default="0000-00-00", nullable=False), 0),
    (ColumnDef("c", "DATE", default="nonsense"), None),
    (ColumnDef("c", "DATE", default="nonsense", nullable=False), 0),
    (ColumnDef("c", "TIME", default="12:34:56"), 45296000000),
    (ColumnDef("c", "TIME", default="-1:02:03.5"), -3723500000),
    (ColumnDef("c", "TIME", default="1:2"), 3720000000),
    (ColumnDef("c", "DATETIME", default=NOW), 0),
    (ColumnDef("c", "DATETIME", default=NOW, nullable=False), 0),
    (ColumnDef("c", "DATETIME", 6, default="2020-01-02 03:04:05.678901"), 1577934245678901),
    (ColumnDef("c", "DATETIME", default="0000-00-00 00:00:00"), None),
    (ColumnDef("c", "TIMESTAMP", default=NOW), None),
    (ColumnDef("c", "TIMESTAMP", default=NOW, nullable=False), "1970-01-01T00:00:00Z"),
    (ColumnDef("c", "TIMESTAMP", 3, default="2020-01-02 03:04:05.6", nullable=False), "2020-01-02T03:04:05.600Z"),
    (ColumnDef("c", "INT"), None),
])
def test_defaults_as_debezium_reads_them(column: ColumnDef, expected: Any) -> None:
    default = default_value(column, typed(column))
    assert default.understood
    assert default.value == expected


@pytest.mark.parametrize("column", [
    ColumnDef("c", "INT", default="x"), ColumnDef("c", "TINYINT", default="70000"),
    ColumnDef("c", "TIMESTAMP", default="never"), ColumnDef("c", "TIME", default="soon"),
    ColumnDef("c", "DECIMAL", 5, 2, default="1e999999"), ColumnDef("c", "BIT", 4, default="12"),
])
def test_texts_that_are_no_default_are_told_apart(column: ColumnDef) -> None:
    assert default_value(column, typed(column)) == (None, False)


def test_type_is_described_for_mappers() -> None:
    found = typed(ColumnDef("c", "VARCHAR", 20, charset="latin1"))
    assert (found.schema, found.length, found.is_character) == (Schema(STRING), 20, True)
    assert typed(ColumnDef("c", "MEDIUMINT UNSIGNED")).schema == Schema(INT32)
