"""Lengths and scales, as the JDBC driver gives them to Debezium."""

from __future__ import annotations

import pytest

from cdc.sources.postgres import jdbc


@pytest.mark.parametrize(("type_name", "typmod", "length", "scale"), [
    ("int2", -1, 5, 0), ("int4", -1, 10, 0), ("int8", -1, 19, 0), ("float4", -1, 8, 8), ("float8", -1, 17, 17),
    ("numeric", -1, 131089, 0), ("numeric", (5 << 16) + 2 + 4, 5, 2), ("varchar", -1, jdbc.UNLIMITED, 0),
    ("varchar", 14, 10, 0), ("bpchar", 9, 5, 0), ("text", -1, jdbc.UNLIMITED, 0), ("bit", 8, 8, 0),
    ("varbit", 12, 12, 0), ("varbit", -1, jdbc.UNLIMITED, 0),
    ("date", -1, 13, 0), ("time", -1, 15, 6), ("time", 0, 8, 0), ("time", 1, 11, 1),
    ("timestamp", -1, 29, 6), ("timestamp", 3, 26, 3), ("timestamptz", -1, 35, 6), ("timetz", -1, 21, 6),
    ("interval", -1, 49, 6), ("vector", 3, 3, 0), ("vector", -1, None, 0), ("jsonb", -1, jdbc.UNLIMITED, 0),
])
def test_length_and_scale(type_name: str, typmod: int, length: int | None, scale: int) -> None:
    assert (jdbc.length(type_name, typmod), jdbc.scale(type_name, typmod)) == (length, scale)


def test_integer_fed_by_a_sequence_is_named_serial() -> None:
    assert jdbc.serial_name("int4", "nextval('s'::regclass)") == "serial"
    assert jdbc.serial_name("int4", "42") == "int4"
    assert jdbc.serial_name("int4", None) == "int4"
    assert jdbc.serial_name("numeric", "nextval('s'::regclass)") == "numeric"


def test_character_types_are_those_of_the_driver() -> None:
    assert jdbc.is_character("varchar", False)
    assert jdbc.is_character("mood", True)
    assert not jdbc.is_character("citext", False)
