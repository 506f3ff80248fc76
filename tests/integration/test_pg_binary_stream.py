"""The golden scripts' tables, streamed as text and as binary: the same outgoing bytes, key, value and headers."""

from __future__ import annotations

from typing import Any

import pytest

from cdc.converters.json import JsonConverter
from cdc.converters.plan import ColumnFailures
from cdc.converters.records import RecordConverter
from cdc.converters.simple import SimpleHeaderConverter
from cdc.core.interfaces import Outgoing
from cdc.core.record import Message
from tests.conftest import Database
from tests.integration.pg_source import running, slot_of
from tests.integration.test_golden_postgres import GOLDEN, SHAPES
from tests.integration.test_golden_postgres import _run as run_script


def converted(records: list[Any]) -> list[Outgoing]:
    key, value = JsonConverter(), JsonConverter()
    key.configure({"schemas.enable": "true"}, True)
    value.configure({"schemas.enable": "true"}, False)
    rows = [record for record in records if not isinstance(record, Message)]  # a message's time is its reading's
    return RecordConverter(key, value, SimpleHeaderConverter(), ColumnFailures(), []).convert(rows, 0)


@pytest.mark.parametrize("options", [
    {}, {"decimal.handling.mode": "string", "interval.handling.mode": "string", "hstore.handling.mode": "json",
         "binary.handling.mode": "hex", "time.precision.mode": "connect"},
    {"decimal.handling.mode": "double", "time.precision.mode": "isostring", "binary.handling.mode": "base64"},
], ids=["defaults", "strings", "doubles"])
@pytest.mark.parametrize("script", ["postgres-types.sql", "postgres-shapes.sql"])
def test_text_and_binary_give_the_same_bytes(database: Database, script: str, options: dict[str, str]) -> None:
    setup, data = (GOLDEN / script).read_text(encoding="utf-8").split("-- data\n")
    slots = {binary: f"{slot_of(database)}_{binary}" for binary in ("false", "true")}
    if script == "postgres-types.sql" and not database.server.has_extension("hstore"):
        pytest.skip("the script needs contrib's extensions")
    with database.connect() as conn:
        run_script(conn, setup)
        conn.execute(b"CREATE PUBLICATION pub FOR ALL TABLES")
        for slot in slots.values():
            conn.execute(f"SELECT pg_create_logical_replication_slot('{slot}', 'pgoutput')".encode())
        run_script(conn, data)
    found = {}
    for binary, slot in slots.items():
        given = {**SHAPES, **options, "cdc.binary": binary, "slot.name": slot, "cdc.debezium.faults": "true"}
        with running(database, given) as reading:  # the script deletes a row whose key the log does not have
            found[binary] = converted(reading.to_mark(database))
            assert reading.source._lookup.binary is (binary == "true")
    assert len(found["false"]) > 5
    assert found["true"] == found["false"]
