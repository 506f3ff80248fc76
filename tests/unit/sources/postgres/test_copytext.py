"""COPY's text format, as src/backend/commands/copyto.c (`CopyAttributeOutText`) writes it, gives the values back."""

from __future__ import annotations

import os
import random

import pytest

from cdc.core.errors import ProtocolError
from cdc.core.row import ABSENT
from cdc.sources.postgres.copytext import copy_row

ESCAPES = {8: b"\\b", 12: b"\\f", 10: b"\\n", 13: b"\\r", 9: b"\\t", 11: b"\\v", 92: b"\\\\"}


def written(values: list[bytes | None]) -> bytes:
    fields = [b"\\N" if value is None else b"".join(ESCAPES.get(byte, bytes((byte,))) for byte in value)
              for value in values]
    return b"\t".join(fields) + b"\n"


def test_whatever_the_values_they_come_back() -> None:
    rng = random.Random(int(os.environ.get("CDC_TEST_SEED", "1")))
    special = b"\t\n\r\b\f\v\\\\\\N.0x7nbt"
    for _ in range(5000):
        values: list[bytes | None] = []
        for _ in range(rng.randint(1, 6)):
            pool = rng.choice([special, bytes(range(256)), b"abc"])
            values.append(None if rng.random() < 0.2 else bytes(rng.choices(pool, k=rng.randint(0, 8))))
        places = tuple(rng.sample(range(8), len(values)))
        row = copy_row(written(values), places, 8)
        assert [row.raw(place) for place in places] == values
        assert all(row.kind(index) == ABSENT for index in range(8) if index not in places)


@pytest.mark.parametrize(("line", "values"), [
    (b"\n", [b""]),
    (b"\t\n", [b"", b""]),
    (b"a\t\n", [b"a", b""]),
    (b"\ta\n", [b"", b"a"]),
    (b"\\N\n", [None]),
    (b"\\\\N\n", [b"\\N"]),
    (b"\\\\.\n", [b"\\."]),
    (b"\\101\\x41\\q\n", [b"AAq"]),
    (b"a", [b"a"]),
])
def test_lines(line: bytes, values: list[bytes | None]) -> None:
    row = copy_row(line, tuple(range(len(values))), len(values))
    assert [row.raw(index) for index in range(len(values))] == values


def test_rows_without_columns() -> None:
    assert copy_row(b"\n", (), 3).count == 3


@pytest.mark.parametrize("line", [b"a\n", b"a\tb\tc\n", b"\\\\\n", b"a\tb\t\\\\\n", b"\n"])
def test_another_number_of_fields_is_a_protocol_error(line: bytes) -> None:
    with pytest.raises(ProtocolError):
        copy_row(line, (0, 1), 2)
