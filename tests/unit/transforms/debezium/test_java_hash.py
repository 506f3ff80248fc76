"""Hash codes, against those that OpenJDK 21 and Debezium's MurmurHash3 print."""

from __future__ import annotations

from typing import Any

import pytest

from cdc.core.schema import (
    ARRAY,
    BOOLEAN,
    BYTES,
    DECIMAL,
    FLOAT32,
    FLOAT64,
    INT32,
    INT64,
    MAP,
    STRING,
    Schema,
)
from cdc.transforms.debezium.java_hash import hash_code, murmur

TEXT = Schema(STRING)


def decimal(scale: int) -> Schema:
    return Schema(BYTES, name=DECIMAL, parameters=(("scale", str(scale)),))


@pytest.mark.parametrize(("schema", "value", "code", "murmured"), [
    (TEXT, "", 0, 89125410),
    (TEXT, "ann lee", -854601907, 1650628390),
    (TEXT, "abcdefghijklmnop", -2093879032, 123423003),
    (TEXT, "abcdefghijklmnopqüx", 1354881317, 1034901682),
    (TEXT, "a😀b", 57849694, -916027309),
    (TEXT, "ÿ" * 20, 1796482752, 112536959),
    (Schema(INT32), -7, -7, -1990014637),
    (Schema(INT64), 9007199254740993, 2097153, 422728009),
    (Schema(INT64), -5, 4, 1233385530),
    (Schema(BOOLEAN), True, 1231, -1891831265),
    (Schema(BOOLEAN), False, 1237, -682375457),
    (Schema(FLOAT64), 1.5, 1073217536, -1122085266),
    (Schema(FLOAT64), float("nan"), 2146959360, -1249978784),
    (Schema(FLOAT64), -0.0, -2147483648, -797218156),
    (Schema(FLOAT32), 1.5, 1069547520, 1166483436),
    (decimal(2), (1250).to_bytes(2), 38752, -1550805569),
    (decimal(3), (-123456789012).to_bytes(6, signed=True), -344625541, 1652655977),
    (decimal(5), (-123456789012345678901234567890).to_bytes(13, signed=True), 748148574, -1147982208),
    (Schema(BYTES), b"\1\2\xff", 28893, -113237671),
    (Schema(ARRAY, items=TEXT), ["x", None, "y"], 145232, -1706059796),
    (Schema(MAP, keys=TEXT, items=TEXT), {"k": "v", "n": None}, 139, -1368109974),
    (Schema(INT32, name="org.apache.kafka.connect.data.Date"), 19000, 922493310, -1695593378),
    (Schema(INT64, name="org.apache.kafka.connect.data.Timestamp"), -1, 0, 1805505889),
])
def test_hashes_are_javas(schema: Schema, value: Any, code: int, murmured: int) -> None:
    assert (hash_code(schema, value), murmur(schema, value)) == (code, murmured)
