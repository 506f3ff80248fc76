"""Drains backlogs of a MySQL's or MariaDB's binary log with `cdc run` into Kafka as Avro.

    python -m tests.bench.mysql_drain [--mariadb] [--rows 1000000] [--pairs 3] [--only NAME …] [--pure]

Each backlog is drained beside two yardsticks, in turn, A B C A B C: what the library mysql-replication decodes of the
same log into nothing, and what a loop of nothing but `produce()` brings to Kafka in messages of the same size. Printed
are the rates of each and the medians of the paired ratios; memory is compared with that of the first backlog.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pymysqlreplication import BinLogStreamReader
from pymysqlreplication.row_event import DeleteRowsEvent, UpdateRowsEvent, WriteRowsEvent

from cdc import about
from cdc.runtime.offsets import FileOffsetStore
from tests.bench.common import Drained, Measured, Sinks, stopwatch
from tests.servers.kafka import KafkaServer
from tests.servers.mariadb import MariaDbServer
from tests.servers.mysql import BinlogServer, MySqlServer
from tests.servers.registry import RegistryServer

ORDERS: Final = """\
CREATE TABLE orders (
    id bigint PRIMARY KEY, customer_id int NOT NULL, status varchar(20) NOT NULL, amount decimal(12,2) NOT NULL,
    currency char(3) NOT NULL, note text, quantity int NOT NULL, paid boolean NOT NULL,
    created_at timestamp NOT NULL, updated_at datetime(3))"""
WIDE: Final = "CREATE TABLE orders (id bigint PRIMARY KEY, body mediumtext NOT NULL)"

# `%` is doubled for PyMySQL.
ROW: Final = """\
    n, n %% 10007, ELT(1 + n %% 4, 'new', 'paid', 'shipped', 'returned'), (n %% 100000) / 100, 'EUR',
    CONCAT('note for order ', n), 1 + n %% 9, n %% 3 = 0, TIMESTAMP('2024-01-01') + INTERVAL n SECOND,
    TIMESTAMP('2024-01-01') + INTERVAL n * 1000 MICROSECOND"""
BODY: Final = "n, REPEAT(SHA2(n, 256), 1600)"
RANGE: Final = "FROM (SELECT a.n * 1000 + b.n AS n FROM numbers a, numbers b WHERE a.n < %s) q WHERE n < %s"
SOME: Final = "FROM (SELECT %s + n AS n FROM numbers) q"
SINGLES: Final = f"""\
CREATE PROCEDURE singles(count INT) BEGIN
    DECLARE n INT DEFAULT 0;
    WHILE n < count DO
        INSERT INTO orders VALUES ({ROW.replace("%%", "%")});
        SET n = n + 1;
    END WHILE;
END"""

_LIBRARY_ROWS: Final = 30_000
_LIBRARY_SERVER_ID: Final = 1001
_SERVER_ID: Final = 1000

Execute = Callable[..., Any]


def by_thousands(execute: Execute, rows: int) -> None:
    for first in range(0, rows, 1000):
        execute(f"INSERT INTO orders SELECT {ROW} {SOME}", (first,))


def at_once(execute: Execute, rows: int) -> None:
    execute(f"INSERT INTO orders SELECT {ROW} {RANGE}", (-(-rows // 1000), rows))


def one_by_one(execute: Execute, rows: int) -> None:
    execute("CALL singles(%s)", (rows,))


def wide_at_once(execute: Execute, rows: int) -> None:
    execute(f"INSERT INTO orders SELECT {BODY} {RANGE}", (-(-rows // 1000), rows))


def updates(execute: Execute, rows: int) -> None:
    for first in range(0, rows, 1000):
        execute("UPDATE orders SET quantity = quantity + 1, note = 'changed' WHERE id BETWEEN %s AND %s",
                (first, first + 999))


def nothing(execute: Execute, rows: int) -> None:
    """No rows before the backlog."""


@dataclass(frozen=True)
class Scenario:
    """A backlog: *fill* writes it, after *before*, which is not part of it. *share* of the rows asked for is enough."""

    title: str
    fill: Callable[[Execute, int], None]
    share: float = 1.0
    table: str = ORDERS
    before: Callable[[Execute, int], None] = nothing
    compressed: bool = False
    pairs: int | None = None


SCENARIOS: Final = {
    "statements": Scenario("statements of 1000 rows", by_thousands),
    "single": Scenario("transactions of one row", one_by_one, share=0.3),
    "large": Scenario("one transaction of all rows", at_once, pairs=1),
    "updates": Scenario("updates of 1000 rows", updates, before=at_once, share=0.5),
    "compressed": Scenario("statements of 1000 rows, compressed", by_thousands, compressed=True),
    "large_compressed": Scenario("one transaction of all rows, compressed", at_once, compressed=True, pairs=1),
    "wide": Scenario("one transaction of rows of 100 KB", wide_at_once, table=WIDE, share=0.01, pairs=1),
    "wide_compressed": Scenario("one transaction of rows of 100 KB, compressed", wide_at_once, table=WIDE, share=0.01,
                                compressed=True, pairs=1),
}


def main() -> None:
    args = _arguments()
    options: dict[str, Any] = {"innodb_buffer_pool_size": "512M", "max_binlog_size": "1G"}
    server = MariaDbServer(**options) if args.mariadb else MySqlServer(**options)
    with contextlib.ExitStack() as stack:
        stack.enter_context(server)
        kafka = stack.enter_context(KafkaServer(heap="1g", quick_start=False))
        registry = stack.enter_context(RegistryServer())
        bench = Bench(server, Sinks(kafka, registry, pure=args.pure))
        print(f"{server.title} {server.version}, core: {'python' if args.pure else about.core()}", flush=True)
        usual = None
        for name in args.only or SCENARIOS:
            drained = bench.run(name, SCENARIOS[name], args.rows, args.pairs, warm_up=usual is None)
            if usual is not None:
                print(f"  memory against the first: {(drained.peak_kib - usual.peak_kib) / 1024:+.0f} MB", flush=True)
            usual = usual or drained


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--mariadb", action="store_true")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=SCENARIOS)
    parser.add_argument("--pure", action="store_true", help="the uncompiled core")
    return parser.parse_args()


class Bench:
    def __init__(self, server: BinlogServer, sinks: Sinks) -> None:
        self.server = server
        self.sinks = sinks
        self.begin: dict[str, Any] = {}

    def run(self, name: str, scenario: Scenario, rows: int, pairs: int, *, warm_up: bool) -> Drained:
        """The drain with the highest peak of memory."""
        rows = int(rows * scenario.share)
        self._prepare(scenario, rows)
        print(f"{scenario.title}: {rows} rows", flush=True)
        if warm_up:
            self._drain(f"{name}_warmup", rows)
        rounds = [self._round(f"{name}_{number}", scenario, rows) for number in range(scenario.pairs or pairs)]
        for yardstick in rounds[0][1]:
            _print_ratios(yardstick, [(ours, others[yardstick]) for ours, others in rounds])
        return max((ours for ours, _ in rounds), key=lambda ours: ours.peak_kib)

    def _round(self, name: str, scenario: Scenario, rows: int) -> tuple[Drained, dict[str, Measured]]:
        """What was drained, and the yardsticks; the library does not know compressed transactions."""
        ours = self._drain(name, rows)
        print(f"  {'cdc':18}{ours}", flush=True)
        others = {"produce()": self.sinks.produce(f"{name}.produce", _topic(name), rows)}
        if not scenario.compressed and scenario.table == ORDERS:
            others["mysql-replication"] = self._library(min(rows, _LIBRARY_ROWS))
        for yardstick, measured in others.items():
            print(f"  {yardstick:18}{measured}", flush=True)
        return ours, others

    def _prepare(self, scenario: Scenario, rows: int) -> None:
        server = self.server
        server.drop_database("bench")
        server.create_database("bench")
        with server.connect("bench") as connection, connection.cursor() as cursor:
            cursor.execute("CREATE TABLE numbers (n INT PRIMARY KEY)")
            cursor.executemany("INSERT INTO numbers VALUES (%s)", [(number,) for number in range(1000)])
            cursor.execute(scenario.table)
            if scenario.table == ORDERS:
                cursor.execute(SINGLES)
            scenario.before(cursor.execute, rows)
            server.reset_binlogs()
            cursor.execute("CREATE TABLE before_it (n INT)")  # so that there is a GTID to begin after
            self.begin = self._position()
            self._compress(cursor.execute, scenario.compressed)
        with server.connect("bench") as connection, connection.cursor() as cursor:
            if server.flavor == "mysql":
                cursor.execute("SET SESSION binlog_transaction_compression = %s", (scenario.compressed,))
            scenario.fill(cursor.execute, rows)

    def _compress(self, execute: Execute, on: bool) -> None:
        if self.server.flavor == "mariadb":
            execute("SET GLOBAL log_bin_compress_min_len = 10")  # of a row; ours are shorter than the default
            execute(f"SET GLOBAL log_bin_compress = {'ON' if on else 'OFF'}")

    def _position(self) -> dict[str, Any]:
        file, pos = self.server.binlog_end()
        variable = "@@gtid_executed" if self.server.flavor == "mysql" else "@@gtid_binlog_pos"
        gtids = str(self.server.execute(f"SELECT {variable}")[0][0])
        return {"file": file, "pos": pos, "gtids": gtids}

    def _drain(self, name: str, rows: int) -> Drained:
        return self.sinks.drain(name, self._connector(name), _topic(name), rows, lambda path: self._store(path, name))

    def _store(self, path: Path, name: str) -> None:
        store = FileOffsetStore(path)
        store.start()
        store.commit(name, {"server": name}, self.begin)
        store.close()

    def _connector(self, name: str) -> dict[str, object]:
        title = "MariaDb" if self.server.flavor == "mariadb" else "MySql"
        return {
            "connector.class": f"io.debezium.connector.{self.server.flavor}.{title}Connector",
            "database.hostname": self.server.host,
            "database.port": self.server.port,
            "database.user": self.server.user,
            "database.password": "",
            "database.server.id": _SERVER_ID,
            "topic.prefix": name,
            "snapshot.mode": "no_data",
            "table.include.list": "bench.orders",
            "include.schema.changes": "false",
        }

    def _library(self, rows: int) -> Measured:
        """mysql-replication decodes the backlog's first *rows* rows."""
        settings = {"host": self.server.host, "port": self.server.port, "user": self.server.user, "passwd": ""}
        stream = BinLogStreamReader(
            connection_settings=settings, server_id=_LIBRARY_SERVER_ID, log_file=self.begin["file"],
            log_pos=self.begin["pos"], resume_stream=True, blocking=False,
            only_events=[WriteRowsEvent, UpdateRowsEvent, DeleteRowsEvent])
        count = 0
        took: list[float] = []
        with stopwatch(took):
            for event in stream:
                count += len(event.rows)
                if count >= rows:
                    break
        stream.close()
        return Measured(count, *took)


def _print_ratios(yardstick: str, pairs: list[tuple[Drained, Measured]]) -> None:
    for what, ratios in (("rate", [ours.rate / other.rate for ours, other in pairs]),
                         ("CPU time", [ours.cpu_per_million / other.cpu_per_million for ours, other in pairs])):
        print(f"  {what} against {yardstick}: median {statistics.median(ratios):.2f} (min {min(ratios):.2f}, "
              f"max {max(ratios):.2f})", flush=True)


def _topic(name: str) -> str:
    return f"{name}.bench.orders"


if __name__ == "__main__":
    main()
