"""Drains one backlog of `orders` inserts with `cdc run` into Kafka as Avro, and with pg_recvlogical into nothing.

    python -m tests.bench.postgres_drain [--rows 1000000] [--per-transaction 1000] [--pairs 3] [--pure]

Both read exactly the same WAL: their slots are copies of one slot made before the rows were written. They run in turn,
A B A B, and what is printed is the median of the paired ratios beside the rates of each. Then one transaction of all
rows is drained, for its memory.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from cdc import about
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
        bench = Bench(postgres, kafka, registry, args.rows, args.per_transaction, args.pure)
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
    print(f"core: {'python' if bench.pure else about.core()}, rows: {bench.rows}", flush=True)
    bench.drain_cdc("warmup", report=False)
    ratios = []
    for number in range(pairs):
        floor = bench.drain_recvlogical(f"floor{number}")
        ours = bench.drain_cdc(f"cdc{number}")
        ratios.append(ours / floor)
    print(f"ratio to pg_recvlogical: median {statistics.median(ratios):.2f} (min {min(ratios):.2f}, "
          f"max {max(ratios):.2f})", flush=True)


class Bench:
    def __init__(self, postgres: PostgresServer, kafka: KafkaServer, registry: RegistryServer, rows: int,
                 per_transaction: int, pure: bool) -> None:
        self.postgres = postgres
        self.kafka = kafka
        self.registry = registry
        self.rows = rows
        self.per_transaction = per_transaction
        self.pure = pure
        self.end_lsn = ""

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

    def drain_cdc(self, name: str, base: str = "base", *, report: bool = True) -> float:
        """The rate between the first and the last record's arrival; start-up is not in it."""
        self._slot(name, base)
        topic = f"{name}.public.orders"
        with tempfile.TemporaryDirectory() as folder, self._run(Path(folder), name) as process:
            first, last = self._await(topic, process)
            memory = _status(process.pid, "VmHWM")
            cpu = _cpu_seconds(process.pid)
        rate = self.rows / (last - first)
        self._drop(name)
        if report:
            print(f"  cdc                   {rate:10.0f} rows/s, {cpu / self.rows * 1e6:.1f} CPU-s/M, "
                  f"peak RSS {memory / 1024:.0f} MB", flush=True)
        self.memory_kib = memory
        return rate

    def large_transaction(self) -> None:
        """One transaction of all rows: what it adds to the memory of the drain before."""
        usual = self.memory_kib
        with self.postgres.connect("bench") as conn:
            conn.execute("TRUNCATE orders")
            conn.execute("SELECT pg_create_logical_replication_slot('large', 'pgoutput')")
            self._fill(conn, self.rows)
        print("one transaction of all rows:", flush=True)
        floor = self.drain_recvlogical("largefloor", "large")
        ours = self.drain_cdc("largecdc", "large")
        print(f"ratio to pg_recvlogical: {ours / floor:.2f}; memory {(self.memory_kib - usual) / 1024:+.0f} MB",
              flush=True)

    @contextlib.contextmanager
    def _run(self, folder: Path, name: str) -> Iterator[subprocess.Popen[bytes]]:
        file = folder / "bench.properties"
        file.write_text(f"""\
bootstrap.servers={self.kafka.bootstrap}
key.converter=io.confluent.connect.avro.AvroConverter
key.converter.schema.registry.url={self.registry.url}
value.converter=io.confluent.connect.avro.AvroConverter
value.converter.schema.registry.url={self.registry.url}
offset.storage.file.filename={folder}/offsets
offset.flush.interval.ms=1000
listeners=http://127.0.0.1:0
name={name}
connector.class=io.debezium.connector.postgresql.PostgresConnector
plugin.name=pgoutput
database.hostname={self.postgres.host}
database.port={self.postgres.port}
database.user=postgres
database.password=unused
database.dbname=bench
topic.prefix={name}
slot.name={name}
publication.name=bench
publication.autocreate.mode=disabled
snapshot.mode=no_data
table.include.list=public.orders
""")
        environment = {**os.environ, **({"CDC_PURE": "1"} if self.pure else {})}
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen([sys.executable, "-m", "cdc", "run", str(file)], env=environment, stdout=log,
                                       stderr=log)
            try:
                yield process
            except BaseException:
                print((folder / "log").read_text()[-4000:], file=sys.stderr)
                raise
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(60)

    def _await(self, topic: str, process: subprocess.Popen[bytes]) -> tuple[float, float]:
        consumer = Consumer({"bootstrap.servers": self.kafka.bootstrap, "group.id": "bench",
                             "allow.auto.create.topics": False})
        first = 0.0
        try:
            while True:
                if process.poll() is not None:
                    raise RuntimeError(f"cdc ended with {process.returncode}")
                count = _high_watermark(consumer, topic)
                now = time.monotonic()
                if count and not first:
                    first = now
                if count >= self.rows:
                    return first, now
                time.sleep(0.05)
        finally:
            consumer.close()


def _high_watermark(consumer: Consumer, topic: str) -> int:
    try:
        return int(consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=5)[1])
    except Exception:
        return 0


def _status(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1])
    return 0


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
