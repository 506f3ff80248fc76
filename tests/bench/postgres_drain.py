"""Drains one backlog of `orders` inserts with `cdc run` into Kafka as Avro, and with pg_recvlogical into nothing.

    python -m tests.bench.postgres_drain [--rows 1000000] [--per-transaction 1000] [--pairs 3] [--pure]

Both read exactly the same WAL: their slots are copies of one slot made before the rows were written. They run in turn,
A B A B, and what is printed is the median of the paired ratios beside the rates of each. Then one transaction of all
rows is drained, for its memory.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import subprocess
import time
from pathlib import Path
from typing import Any

from cdc import about
from tests.bench.common import Drained, Sinks
from tests.servers.kafka import KafkaServer
from tests.servers.postgres import PostgresServer
from tests.servers.registry import RegistryServer

TABLE = """\
CREATE TABLE orders (
    id bigint PRIMARY KEY, customer_id int NOT NULL, status text NOT NULL, amount numeric(12,2) NOT NULL,
    currency char(3) NOT NULL, note text, quantity int NOT NULL, paid boolean NOT NULL,
    created_at timestamptz NOT NULL, updated_at timestamp)"""

ROWS = """\
INSERT INTO orders SELECT g, g %% 10007, (ARRAY['new', 'paid', 'shipped', 'returned'])[1 + g %% 4],
    (g %% 100000) / 100.0, 'EUR', 'note for order ' || g, 1 + g %% 9, g %% 3 = 0,
    timestamptz '2024-01-01' + g * interval '1 second', timestamp '2024-01-01' + g * interval '1 millisecond'
FROM generate_series(%s::bigint, %s::bigint) g"""


def main() -> None:
    args = _arguments()
    with contextlib.ExitStack() as stack:
        postgres = stack.enter_context(PostgresServer(15, shared_buffers="512MB", max_wal_size="8GB"))
        kafka = stack.enter_context(KafkaServer(heap="1g", quick_start=False))
        registry = stack.enter_context(RegistryServer())
        bench = Bench(postgres, Sinks(kafka, registry, pure=args.pure), args.rows, args.per_transaction)
        bench.prepare()
        _compare(bench, args.pairs)
        if args.large:
            bench.large_transaction()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--per-transaction", type=int, default=1000)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--pure", action="store_true", help="the uncompiled core")
    parser.add_argument("--large", action="store_true", help="also one transaction of all rows")
    return parser.parse_args()


def _compare(bench: Bench, pairs: int) -> None:
    print(f"core: {'python' if bench.sinks.pure else about.core()}, rows: {bench.rows}", flush=True)
    bench.drain_cdc("warmup", report=False)
    ratios = []
    for number in range(pairs):
        floor = bench.drain_recvlogical(f"floor{number}")
        ours = bench.drain_cdc(f"cdc{number}")
        ratios.append(ours.rate / floor)
    print(f"ratio to pg_recvlogical: median {statistics.median(ratios):.2f} (min {min(ratios):.2f}, "
          f"max {max(ratios):.2f})", flush=True)


class Bench:
    def __init__(self, postgres: PostgresServer, sinks: Sinks, rows: int, per_transaction: int) -> None:
        self.postgres = postgres
        self.sinks = sinks
        self.rows = rows
        self.per_transaction = per_transaction
        self.end_lsn = ""
        self.usual_kib = 0

    def prepare(self) -> None:
        self.postgres.create_database("bench")
        with self.postgres.connect("bench") as conn:
            conn.execute(TABLE)
            conn.execute("CREATE PUBLICATION bench FOR TABLE orders")
            conn.execute("SELECT pg_create_logical_replication_slot('base', 'pgoutput')")
            self._fill(conn, self.per_transaction)
        print(f"backlog of {self.rows} rows written", flush=True)

    def _fill(self, conn: Any, step: int) -> None:
        for first in range(1, self.rows + 1, step):
            conn.execute(ROWS, (first, min(first + step - 1, self.rows)))
        self.end_lsn = conn.execute("SELECT pg_current_wal_lsn()::text").fetchone()[0]

    def _slot(self, name: str, base: str = "base") -> None:
        self.postgres.execute(f"SELECT pg_copy_logical_replication_slot('{base}', '{name}')", "bench")

    def _drop(self, name: str) -> None:
        self.postgres.execute(f"SELECT pg_drop_replication_slot('{name}')", "bench")

    def drain_recvlogical(self, name: str, base: str = "base") -> float:
        self._slot(name, base)
        command = [str(Path(self.postgres.bindir) / "pg_recvlogical"), "-h", self.postgres.host, "-p",
                   str(self.postgres.port), "-U", "postgres", "-d", "bench", "-S", name, "--start", "-f", "/dev/null",
                   "-E", self.end_lsn, "-o", "proto_version=1", "-o", "publication_names=bench", "--no-loop"]
        began = time.monotonic()
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        rate = self.rows / (time.monotonic() - began)
        self._drop(name)
        print(f"  pg_recvlogical        {rate:10.0f} rows/s", flush=True)
        return rate

    def drain_cdc(self, name: str, base: str = "base", *, report: bool = True) -> Drained:
        self._slot(name, base)
        drained = self.sinks.drain(name, self._connector(name), f"{name}.public.orders", self.rows)
        self._drop(name)
        if report:
            print(f"  cdc                   {drained}", flush=True)
        self.usual_kib = drained.peak_kib
        return drained

    def large_transaction(self) -> None:
        """One transaction of all rows: what it adds to the memory of the drain before."""
        usual_kib = self.usual_kib
        with self.postgres.connect("bench") as conn:
            conn.execute("TRUNCATE orders")
            conn.execute("SELECT pg_create_logical_replication_slot('large', 'pgoutput')")
            self._fill(conn, self.rows)
        print("one transaction of all rows:", flush=True)
        floor = self.drain_recvlogical("largefloor", "large")
        ours = self.drain_cdc("largecdc", "large")
        print(f"ratio to pg_recvlogical: {ours.rate / floor:.2f}; memory {(ours.peak_kib - usual_kib) / 1024:+.0f} MB",
              flush=True)

    def _connector(self, name: str) -> dict[str, object]:
        return {
            "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
            "plugin.name": "pgoutput",
            "database.hostname": self.postgres.host,
            "database.port": self.postgres.port,
            "database.user": "postgres",
            "database.password": "unused",
            "database.dbname": "bench",
            "topic.prefix": name,
            "slot.name": name,
            "publication.name": "bench",
            "publication.autocreate.mode": "disabled",
            "snapshot.mode": "no_data",
            "table.include.list": "public.orders",
        }


if __name__ == "__main__":
    main()
