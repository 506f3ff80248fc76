"""A stream captured as the reader's help says, from a real server."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.conftest import Database


def test_a_capture_taken_with_peek_is_printed(database: Database, tmp_path: Path) -> None:
    slot = f"capture_{database.name}"
    database.execute("CREATE TABLE orders (id int PRIMARY KEY, note text)")
    database.execute("CREATE PUBLICATION pub FOR TABLE orders")
    database.execute(f"SELECT pg_create_logical_replication_slot('{slot}', 'pgoutput')")
    database.execute("INSERT INTO orders VALUES (1, 'secret')")
    database.execute("UPDATE orders SET note = 'other'")
    database.execute("UPDATE orders SET id = 2")
    database.execute("DELETE FROM orders")
    database.execute("SELECT pg_logical_emit_message(false, 'p', 'content')")
    database.execute("TRUNCATE orders")
    rows = database.execute(
        f"SELECT lsn::text, xid::text, data::text FROM pg_logical_slot_peek_binary_changes('{slot}', NULL, NULL, "
        "'proto_version', '1', 'publication_names', 'pub', 'messages', 'true')")
    capture = tmp_path / "capture"
    capture.write_text("".join("|".join(row) + "\n" for row in rows), encoding="utf-8")
    result = subprocess.run([sys.executable, "-m", "cdc.sources.postgres", "--values", str(capture)],
                            capture_output=True, text=True, check=True)
    lines = [line.split(" ", 1)[1] for line in result.stdout.splitlines()]
    assert [line for line in lines if line.startswith(("Insert", "Update", "Delete"))] == [
        "Insert public.orders new(id='1', note='secret')",
        "Update public.orders new(id='1', note='other')",
        "Update public.orders key(id='1', note=null) new(id='2', note='other')",
        "Delete public.orders key(id='2', note=null)"]
    assert [line.split()[0] for line in lines if line.startswith(("L", "T"))] == ["LogicalMessage", "Truncate"]
