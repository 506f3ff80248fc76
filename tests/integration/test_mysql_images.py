"""Row images that lack columns, beside those that do not: what is unknown is never told as a value."""

from __future__ import annotations

from typing import Any

import pytest

from cdc.core.errors import SourceRefusedError
from tests.conftest import BinlogDatabase
from tests.integration.mysql_source import running

_TABLE = """\
CREATE TABLE t (id int PRIMARY KEY, v int NOT NULL DEFAULT 5, n int DEFAULT 7, tx text, nn varchar(10) NOT NULL,
 b varbinary(20) NOT NULL, d decimal(5,2) NOT NULL DEFAULT 1.5)"""
UNKNOWN = "__debezium_unavailable_value"


def run(database: BinlogDatabase, image: str, *statements: str) -> None:
    with database.connect() as conn, conn.cursor() as cursor:
        cursor.execute(f"SET SESSION binlog_row_image = {image}")
        for statement in statements:
            cursor.execute(statement)


def row(**values: Any) -> dict[str, Any]:
    return {"id": 1, "v": None, "n": None, "tx": UNKNOWN, "nn": UNKNOWN, "b": UNKNOWN.encode(), "d": None, **values}


def test_minimal_images_tell_what_they_have(binlog_database: BinlogDatabase) -> None:
    binlog_database.execute(_TABLE)
    with running(binlog_database) as reading:
        run(binlog_database, "MINIMAL", "INSERT INTO t (id, nn, b) VALUES (1, 'x', 'y')", "UPDATE t SET v = 9",
            "UPDATE t SET n = NULL, tx = 'new'", "UPDATE t SET id = 2", "DELETE FROM t")
        inserted, changed, nulled, gone, come, deleted = reading.changes(6)
    whole = {"id": 1, "v": 5, "n": 7, "tx": None, "nn": "x", "b": b"y", "d": b"\x00\x96"}
    nothing = {"v": None, "n": None, "tx": None, "nn": None, "b": None, "d": None}
    assert inserted == ("c", None, whole, (1,))
    assert changed == ("u", {"id": 1, **nothing}, row(v=9), (1,))
    assert nulled == ("u", {"id": 1, **nothing}, row(n=None, tx="new"), (1,))
    assert gone == ("d", {"id": 1, **nothing}, None, (1,))
    assert come == ("c", None, row(id=2), (2,))
    assert deleted == ("d", {"id": 2, **nothing}, None, (2,))


def test_only_large_columns_are_unknown_without_them(binlog_database: BinlogDatabase) -> None:
    binlog_database.execute(_TABLE)
    with running(binlog_database) as reading:
        run(binlog_database, "FULL", "INSERT INTO t VALUES (1, 1, 1, 'text', 'nn', 'b', 2)")
        run(binlog_database, "NOBLOB", "UPDATE t SET v = 2", "UPDATE t SET tx = 'other'")
        run(binlog_database, "FULL", "UPDATE t SET v = 3")
        first, second, third, fourth = reading.changes(4)
    assert first[2]["tx"] == "text"
    assert second[2] == {**first[2], "v": 2, "tx": UNKNOWN}
    assert second[1] == {**first[2], "tx": None}
    assert third[2] == {**second[2], "tx": "other"}
    assert (fourth[1], fourth[2]) == (third[2], {**third[2], "v": 3})


def test_a_key_that_the_image_lacks_stops_the_stream(binlog_database: BinlogDatabase) -> None:
    binlog_database.execute(_TABLE)
    with running(binlog_database, {"message.key.columns": f"{binlog_database.name}.t:nn"}) as reading:
        run(binlog_database, "MINIMAL", "INSERT INTO t (id, nn, b) VALUES (1, 'x', 'y')", "UPDATE t SET nn = 'z'")
        assert [each[3] for each in reading.changes(2)] == [("x",), ("z",)]
        run(binlog_database, "MINIMAL", "UPDATE t SET v = 6")
        with pytest.raises(SourceRefusedError, match="without its key") as caught:
            reading.changes(1)
    assert "message.key.columns" in caught.value.hint
