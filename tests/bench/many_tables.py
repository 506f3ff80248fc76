"""What a database with very many tables costs: start, snapshot, the start after it, memory, bytes of the offset.

    python -m tests.bench.many_tables postgres|mysql|mariadb [--tables 20000] [--filled 20] [--captured few all]
                                      [--columns 8]
    python -m tests.bench.many_tables mysql --serve
    python -m tests.bench.many_tables mysql --port N

All tables but those named `filled_…` are empty. `few` captures those, `all` captures all tables. `--serve` makes the
tables and leaves the server running; `--port` measures such a server.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import psycopg
import pymysql

from tests.bench.common import cpu_seconds, status
from tests.servers.mariadb import MariaDbServer
from tests.servers.mysql import MySqlServer
from tests.servers.postgres import PostgresServer

_TYPES: Final = {
    "postgres": ("varchar(20)", "numeric(12,2) NOT NULL DEFAULT 0", "text", "timestamptz", "boolean NOT NULL",
                 "bigint", "date", "double precision"),
    "mysql": ("varchar(20)", "decimal(12,2) NOT NULL DEFAULT 0", "text", "datetime(3)", "tinyint(1) NOT NULL",
              "bigint", "date", "double"),
}
_ROWS: Final = 100
_THREADS: Final = 4
_CONNECTORS: Final = {"postgres": "postgresql.PostgresConnector", "mysql": "mysql.MySqlConnector",
                      "mariadb": "mariadb.MariaDbConnector"}


def connect(kind: str, port: int, database: str | None = "shop") -> Any:
    if kind == "postgres":
        return psycopg.connect(f"host=127.0.0.1 port={port} dbname={database or 'postgres'} user=postgres",
                               autocommit=True)
    return pymysql.connect(host="127.0.0.1", port=port, user="root", database=database, autocommit=True)


def execute(connection: Any, statement: str) -> None:
    connection.cursor().execute(statement)


def create_statement(kind: str, name: str, columns: int) -> str:
    types = _TYPES["postgres" if kind == "postgres" else "mysql"]
    listed = (f"{name}_column_{number} {types[number % len(types)]}" for number in range(columns))
    return f"CREATE TABLE {name} (id int PRIMARY KEY, {', '.join(listed)})"


def fill(kind: str, port: int, tables: int, columns: int, filled: int) -> None:
    with contextlib.closing(connect(kind, port, None)) as connection:
        execute(connection, "CREATE DATABASE shop")
    names = [f"filled_{number:02}" if number < filled else f"t{number:05}" for number in range(tables)]
    required = {1: "0", 4: "false"}
    values = ", ".join(required.get(number % 8, "NULL") for number in range(columns))

    def make(part: list[str]) -> None:
        with contextlib.closing(connect(kind, port)) as connection:
            for name in part:
                execute(connection, create_statement(kind, name, columns))
                if name.startswith("filled"):
                    rows = ", ".join(f"({row}, {values})" for row in range(_ROWS))
                    execute(connection, f"INSERT INTO {name} VALUES {rows}")

    threads = [threading.Thread(target=make, args=(names[number::_THREADS],)) for number in range(_THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def configuration(kind: str, port: int, captured: str) -> dict[str, object]:
    given: dict[str, object] = {
        "name": "many", "connector.class": f"io.debezium.connector.{_CONNECTORS[kind]}", "topic.prefix": "many",
        "database.hostname": "127.0.0.1", "database.port": port, "database.user": "root", "database.password": "",
        "tasks.max": 1}
    if kind == "postgres":
        given |= {"database.user": "postgres", "database.dbname": "shop", "plugin.name": "pgoutput",
                  "publication.autocreate.mode": "filtered"}
        lists = {"table.include.list": r"public\\.filled_.*"}
    else:
        given |= {"database.server.id": 4711, "database.include.list": "shop"}
        lists = {"table.include.list": r"shop\\.filled_.*"}
    return given | (lists if captured == "few" else {})


class Run:
    """`cdc run` with a file for its records and one for its offsets in *folder*."""

    def __init__(self, folder: Path, connector: Mapping[str, object]) -> None:
        properties = {
            "sink.type": "file", "sink.file.path": folder / "records",
            "offset.storage.file.filename": folder / "offsets",
            "key.converter": "org.apache.kafka.connect.json.JsonConverter",
            "value.converter": "org.apache.kafka.connect.json.JsonConverter",
            "key.converter.schemas.enable": "false", "value.converter.schemas.enable": "false",
            "offset.flush.interval.ms": 1000, "listeners": "http://127.0.0.1:0", **connector}
        file = folder / "bench.properties"
        file.write_text("".join(f"{key}={value}\n" for key, value in properties.items()))
        self.log = folder / "log"
        self.log.unlink(missing_ok=True)
        self.began = time.monotonic()
        with self.log.open("wb") as log:
            self.process = subprocess.Popen([sys.executable, "-m", "cdc", "run", str(file)], stdout=log, stderr=log,
                                            env={**os.environ, "CDC_LOG_FORMAT": "json"})

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]

    def seconds_to(self, event: str, timeout_s: float = 3600) -> float:
        while event.encode() not in self.log.read_bytes():
            if self.process.poll() is not None or time.monotonic() > self.began + timeout_s:
                print(self.log.read_text()[-1500:], file=sys.stderr)
                raise RuntimeError(f"no {event}")
            time.sleep(0.02)
        return time.monotonic() - self.began

    def seconds_to_rows(self, count: int) -> float:
        while self.rows() < count:
            if self.process.poll() is not None:
                print(self.log.read_text()[-1500:], file=sys.stderr)
                raise RuntimeError(f"no {count} rows")
            time.sleep(0.05)
        return time.monotonic() - self.began

    def rows(self) -> int:
        """Records of filled tables that are in the file, without those of the schema change topic."""
        records = self.log.with_name("records")
        return sum(b'"topic":"many.' in line for line in records.read_bytes().splitlines()) if records.exists() else 0

    def peak_mb(self) -> float:
        return status(self.process.pid, "VmHWM") / 1024

    def cpu_s(self) -> float:
        return cpu_seconds(self.process.pid)

    def stop(self) -> float:
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(120)
        return time.monotonic() - began


@contextlib.contextmanager
def clean(kind: str, port: int) -> Iterator[Path]:
    """A folder, and afterwards no slot or publication."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)
    if kind == "postgres":
        with contextlib.closing(connect(kind, port)) as connection:
            execute(connection, "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots")
            execute(connection, "DROP PUBLICATION IF EXISTS dbz_publication")


def record_bytes(folder: Path) -> tuple[int, int]:
    """Of the offset's own record, and of all that is stored for it."""
    import sqlite3

    with contextlib.closing(sqlite3.connect(folder / "offsets")) as connection:
        (record,), = connection.execute("SELECT length(offset_json) FROM offsets").fetchall()
        (parts,), = connection.execute("SELECT coalesce(sum(length(data)), 0) FROM parts").fetchall()
    return record, record + parts


def measure(kind: str, port: int, captured: str, filled: int) -> None:
    with clean(kind, port) as folder:
        connector = configuration(kind, port, captured)
        run = Run(folder, connector)
        planned = run.seconds_to('"snapshot_started"')
        streams = run.seconds_to('"streaming_started"')
        records = filled * _ROWS
        copied = run.seconds_to_rows(records)
        with contextlib.closing(connect(kind, port)) as connection:
            execute(connection, "DELETE FROM filled_00 WHERE id = 0")
        changed = run.seconds_to_rows(records + 1)
        peak, cpu, count = run.peak_mb(), run.cpu_s(), len(run.lines())
        stopped = run.stop()
        print(f"  {captured:4} first start: planned {planned:.1f} s, copied {copied:.1f} s, streams {streams:.1f} s, "
              f"first change {changed:.1f} s, CPU {cpu:.1f} s, peak RSS {peak:.0f} MB, {count} log lines; "
              f"stop {stopped:.1f} s", flush=True)
        record, everything = record_bytes(folder)
        again = Run(folder, connector)
        streams = again.seconds_to('"streaming_started"')
        with contextlib.closing(connect(kind, port)) as connection:
            values = connection.cursor()
            values.execute("INSERT INTO filled_00 SELECT 0, " + ", ".join(
                f"filled_00_column_{number}" for number in range(column_count(connection, kind))) +
                " FROM filled_00 WHERE id = 1")
        changed = again.seconds_to_rows(records + 3)
        peak, cpu = again.peak_mb(), again.cpu_s()
        again.stop()
        print(f"  {captured:4} next start: streams {streams:.1f} s, first change {changed:.1f} s, CPU {cpu:.1f} s, "
              f"peak RSS {peak:.0f} MB; offset record {record} B, in all {everything} B", flush=True)


def column_count(connection: Any, kind: str) -> int:
    cursor = connection.cursor()
    cursor.execute("SELECT count(*) FROM information_schema.columns WHERE table_name = 'filled_00'")
    return int(cursor.fetchone()[0]) - 1


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=_CONNECTORS)
    parser.add_argument("--tables", type=int, default=20_000)
    parser.add_argument("--filled", type=int, default=20)
    parser.add_argument("--columns", type=int, default=8)
    parser.add_argument("--captured", nargs="+", choices=("few", "all"), default=("few", "all"))
    parser.add_argument("--serve", action="store_true")
    parser.add_argument("--port", type=int)
    args = parser.parse_args()
    with contextlib.ExitStack() as stack:
        port = args.port
        if port is None:
            server: Any = (PostgresServer(18) if args.kind == "postgres" else MySqlServer() if args.kind == "mysql"
                           else MariaDbServer())
            stack.enter_context(server)
            port = server.port
            began = time.monotonic()
            fill(args.kind, port, args.tables, args.columns, args.filled)
            print(f"{server.title} {server.version}, {args.tables} tables made in {time.monotonic() - began:.0f} s, "
                  f"port {port}", flush=True)
        if args.serve:
            signal.pause()
        for captured in args.captured:
            measure(args.kind, port, captured, args.filled)


if __name__ == "__main__":
    main()
