"""The bench's PostgreSQL: each drain has a copy of one slot, made before the rows were written, and so the same WAL."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tests.servers.postgres import PostgresServer

from .common import Measured, at_a_rate, stopwatch, until_output
from .workloads import COLUMNS, Workload

_TABLES: Final = {
    "narrow": """CREATE TABLE orders (
        id bigint PRIMARY KEY, customer_id int NOT NULL, status text NOT NULL, amount numeric(12,2) NOT NULL,
        currency char(3) NOT NULL, note text, quantity int NOT NULL, paid boolean NOT NULL,
        created_at timestamptz NOT NULL, updated_at timestamp)""",
    "wide": "CREATE TABLE orders (id bigint PRIMARY KEY, body text NOT NULL)",
}
_ROWS: Final = {
    "narrow": """INSERT INTO orders SELECT g, g %% 10007, (ARRAY['new', 'paid', 'shipped', 'returned'])[1 + g %% 4],
        (g %% 100000) / 100.0, 'EUR', 'note for order ' || g, 1 + g %% 9, g %% 3 = 0,
        timestamptz '2024-01-01' + g * interval '1 second', timestamp '2024-01-01' + g * interval '1 millisecond'
        FROM generate_series(%s::bigint, %s::bigint) g""",
    "wide": """INSERT INTO orders SELECT g, repeat(md5(g::text) || md5((-g)::text), 1600)
        FROM generate_series(%s::bigint, %s::bigint) g""",
}
_STEP: Final = {"thousands": 1000, "singles": 1, "updates": 1000}
_TICK: Final = "INSERT INTO ticks (at) VALUES ((extract(epoch FROM clock_timestamp()) * 1e6)::bigint)"


class Postgres:
    name = "PostgreSQL"
    kinds: Sequence[str] = ("W1", "W2", "W3", "W4", "W5", "W6", "W7", "W8", "W9", "W10", "W11", "W12")

    def __init__(self) -> None:
        self.server = PostgresServer(15, shared_buffers="512MB", max_wal_size="8GB")
        self.end_lsn = ""

    def prepare(self, workload: Workload, rows: int) -> None:
        if self.end_lsn:
            self._drop("base")
            self.server.drop_database("bench")
        self.server.create_database("bench")
        with self.server.connect("bench") as conn:
            conn.execute(_TABLES[workload.table])
            conn.execute("CREATE TABLE ticks (id bigserial PRIMARY KEY, at bigint NOT NULL)")
            conn.execute("CREATE TABLE archive (LIKE orders INCLUDING ALL)")
            if workload.beside == "archive":
                conn.execute(_ROWS[workload.table].replace("INTO orders", "INTO archive"), (1, rows))
            if workload.full_identity:
                conn.execute("ALTER TABLE orders REPLICA IDENTITY FULL")
            if workload.fill == "updates":
                conn.execute(_ROWS[workload.table], (1, rows))
            conn.execute("CREATE PUBLICATION bench FOR TABLE orders, archive, ticks")
            conn.execute("SELECT pg_create_logical_replication_slot('base', 'pgoutput')")
            self._fill(conn, workload, rows)
            self.end_lsn = conn.execute("SELECT pg_current_wal_lsn()::text").fetchone()[0]  # type: ignore[index]

    def _fill(self, conn: Any, workload: Workload, rows: int) -> None:
        step = _STEP.get(workload.fill, rows)
        for first in range(1, rows + 1, step):
            last = min(first + step - 1, rows)
            if workload.fill == "updates":
                conn.execute("UPDATE orders SET quantity = quantity + 1, note = 'changed' WHERE id BETWEEN %s AND %s",
                             (first, last))
            else:
                conn.execute(_ROWS[workload.table], (first, last))

    @contextmanager
    def draining(self, name: str, workload: Workload) -> Iterator[dict[str, object]]:
        if not workload.snapshot:
            self._copy_slot(name)
        try:
            yield {
                "connector.class": "io.debezium.connector.postgresql.PostgresConnector", "plugin.name": "pgoutput",
                "database.hostname": self.server.host, "database.port": self.server.port,
                "database.user": "postgres", "database.password": "unused", "database.dbname": "bench",
                "topic.prefix": name, "slot.name": name, "publication.name": "bench",
                "publication.autocreate.mode": "disabled",
                "snapshot.mode": "initial" if workload.snapshot else "no_data",
                "table.include.list": "public.orders,public.archive,public.ticks", **workload.settings}
        finally:
            self._drop(name)

    def offsets(self, path: Path, name: str) -> None:
        """The slot has the place."""

    def begin(self) -> dict[str, Any] | None:
        return None

    def topic(self, name: str) -> str:
        return f"{name}.public.orders"

    def floor(self, workload: Workload, rows: int) -> tuple[str, Measured]:
        if workload.snapshot:
            return "COPY", self._copy_out(rows)
        self._copy_slot("floor")
        took: list[float] = []
        with stopwatch(took):
            subprocess.run([*self._recvlogical("/dev/null"), "-E", self.end_lsn], check=True, stderr=subprocess.DEVNULL)
        self._drop("floor")
        return "pg_recvlogical", Measured(rows, *took)

    def first_s(self) -> float:
        self._copy_slot("floor")
        took = until_output(self._recvlogical("-"))
        while self.server.execute("SELECT FROM pg_replication_slots WHERE slot_name = 'floor' AND active", "bench"):
            time.sleep(0.05)  # its session has not ended yet
        self._drop("floor")
        return took

    def _recvlogical(self, file: str) -> list[str]:
        """The server's own program, which writes the slot `floor` to *file*."""
        return [str(Path(self.server.bindir) / "pg_recvlogical"), "-h", self.server.host, "-p", str(self.server.port),
                "-U", "postgres", "-d", "bench", "-S", "floor", "--start", "-f", file, "-o", "proto_version=1",
                "-o", "publication_names=bench", "--no-loop"]

    def _copy_out(self, rows: int) -> Measured:
        took: list[float] = []
        with self.server.connect("bench") as conn, conn.cursor() as cursor, stopwatch(took), \
                cursor.copy("COPY orders TO STDOUT") as copy:
            for _ in copy:
                pass
        return Measured(rows, *took)

    def rows(self, step: int) -> dict[int, tuple[object, ...]]:
        with self.server.connect("bench") as conn:
            columns = [str(each[0]) for each in conn.execute(
                "SELECT attname FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attnum > 0")]
            wanted = ", ".join(COLUMNS) if "note" in columns else "id, length(body)"
            found = conn.execute(f"SELECT {wanted} FROM orders WHERE id % {step} = 0").fetchall()
        return {int(each[0]): tuple(each) for each in found}

    def write(self, seconds: float, per_second: int) -> int:
        with self.server.connect("bench") as conn:
            return at_a_rate(lambda: conn.execute(_TICK), seconds, per_second)

    def _copy_slot(self, name: str) -> None:
        self.server.execute(f"SELECT pg_copy_logical_replication_slot('base', '{name}')", "bench")

    def _drop(self, name: str) -> None:
        self.server.execute(f"SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots "
                            f"WHERE slot_name = '{name}'", "bench")
