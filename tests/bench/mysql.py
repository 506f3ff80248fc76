"""The bench's MySQL and MariaDB: each drain starts from one position, noted before the rows were written."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, Final

from cdc.stores.file_offsets import FileOffsetStore
from tests.servers.mysql import BinlogServer

from .common import Measured, at_a_rate, stopwatch, until_output
from .workloads import COLUMNS, Workload

_TABLES: Final = {
    "narrow": """CREATE TABLE orders (
        id bigint PRIMARY KEY, customer_id int NOT NULL, status varchar(20) NOT NULL, amount decimal(12,2) NOT NULL,
        currency char(3) NOT NULL, note text, quantity int NOT NULL, paid boolean NOT NULL,
        created_at timestamp NOT NULL, updated_at datetime(3))""",
    "wide": "CREATE TABLE orders (id bigint PRIMARY KEY, body mediumtext NOT NULL)",
}
# `%` is doubled for PyMySQL.
_ROW: Final = {
    "narrow": """n, n %% 10007, ELT(1 + n %% 4, 'new', 'paid', 'shipped', 'returned'), (n %% 100000) / 100, 'EUR',
        CONCAT('note for order ', n), 1 + n %% 9, n %% 3 = 0, TIMESTAMP('2024-01-01') + INTERVAL n SECOND,
        TIMESTAMP('2024-01-01') + INTERVAL n * 1000 MICROSECOND""",
    "wide": "n, REPEAT(SHA2(n, 256), 1600)",
}
_ALL: Final = "FROM (SELECT a.n * 1000 + b.n AS n FROM numbers a, numbers b WHERE a.n < %s) q WHERE n < %s"
_SOME: Final = "FROM (SELECT %s + n AS n FROM numbers) q WHERE n < %s"
_SINGLES: Final = f"""\
CREATE PROCEDURE singles(count INT) BEGIN
    DECLARE n INT DEFAULT 0;
    WHILE n < count DO
        INSERT INTO orders VALUES ({_ROW["narrow"].replace("%%", "%")});
        SET n = n + 1;
    END WHILE;
END"""
_TICK: Final = "INSERT INTO ticks (at) VALUES (FLOOR(UNIX_TIMESTAMP(SYSDATE(6)) * 1000000))"

Execute = Callable[..., Any]


class MySql:
    def __init__(self, server: BinlogServer) -> None:
        self.server = server
        self.name = server.title
        mariadb = server.flavor == "mariadb"
        self.kinds: Sequence[str] = ("W1", "W2", "W3", "W4", "W4Z", "W5", "W6", "W7", "W8", "W9", "W10", "W11", "W12")
        self._begin: dict[str, Any] = {}
        # Each drain has its own. MariaDB takes 100 ms to end a stream that it believes alive for a new one with its id.
        self._server_ids = count(1000)
        self._gtids = "@@gtid_binlog_pos" if mariadb else "@@gtid_executed"

    def prepare(self, workload: Workload, rows: int) -> None:
        server = self.server
        server.drop_database("bench")
        server.create_database("bench")
        with server.connect("bench") as connection, connection.cursor() as cursor:
            cursor.execute("CREATE TABLE numbers (n INT PRIMARY KEY)")
            cursor.executemany("INSERT INTO numbers VALUES (%s)", [(number,) for number in range(1000)])
            cursor.execute(_TABLES[workload.table])
            cursor.execute("CREATE TABLE ticks (id bigint AUTO_INCREMENT PRIMARY KEY, at bigint NOT NULL)")
            cursor.execute("CREATE TABLE archive LIKE orders")
            if workload.beside == "archive":
                self._insert(cursor.execute, workload, rows, "archive")
            if workload.table == "narrow":
                cursor.execute(_SINGLES)
            if workload.fill == "updates":
                self._insert(cursor.execute, workload, rows)
            server.reset_binlogs()
            cursor.execute("CREATE TABLE before_it (n INT)")  # so that there is a GTID to begin after
            self._begin = self._position()
            if server.flavor == "mariadb":
                cursor.execute("SET GLOBAL log_bin_compress_min_len = 10")  # ours are shorter than the default
                cursor.execute(f"SET GLOBAL log_bin_compress = {'ON' if workload.compressed else 'OFF'}")
        with server.connect("bench") as connection, connection.cursor() as cursor:
            if server.flavor == "mysql":
                cursor.execute("SET SESSION binlog_transaction_compression = %s", (workload.compressed,))
            self._fill(cursor.execute, workload, rows)

    def _fill(self, execute: Execute, workload: Workload, rows: int) -> None:
        if workload.fill == "singles":
            execute("CALL singles(%s)", (rows,))
        elif workload.fill == "at_once":
            self._insert(execute, workload, rows)
        else:
            for first in range(0, rows, 1000):
                if workload.fill == "updates":
                    execute("UPDATE orders SET quantity = quantity + 1, note = 'changed' WHERE id BETWEEN %s AND %s",
                            (first, first + 999))
                else:
                    execute(f"INSERT INTO orders SELECT {_ROW['narrow']} {_SOME}", (first, rows))

    @staticmethod
    def _insert(execute: Execute, workload: Workload, rows: int, table: str = "orders") -> None:
        execute(f"INSERT INTO {table} SELECT {_ROW[workload.table]} {_ALL}", (-(-rows // 1000), rows))

    def _position(self) -> dict[str, Any]:
        file, pos = self.server.binlog_end()
        return {"file": file, "pos": pos, "gtids": str(self.server.execute(f"SELECT {self._gtids}")[0][0])}

    @contextmanager
    def draining(self, name: str, workload: Workload) -> Iterator[dict[str, object]]:
        title = "MariaDb" if self.server.flavor == "mariadb" else "MySql"
        yield {
            "connector.class": f"io.debezium.connector.{self.server.flavor}.{title}Connector",
            "database.hostname": self.server.host, "database.port": self.server.port,
            "database.user": self.server.user, "database.password": "", "database.server.id": next(self._server_ids),
            "topic.prefix": name, "snapshot.mode": "initial" if workload.snapshot else "no_data",
            "table.include.list": "bench.orders,bench.archive,bench.ticks", "include.schema.changes": "false",
            **workload.settings}

    def offsets(self, path: Path, name: str) -> None:
        store = FileOffsetStore(path)
        store.start()
        store.commit(name, {"server": name}, self._begin)
        store.close()

    def begin(self) -> dict[str, Any] | None:
        return self._begin

    def topic(self, name: str) -> str:
        return f"{name}.bench.orders"

    def floor(self, workload: Workload, rows: int) -> tuple[str, Measured] | None:
        """The server's own program copies the log; of a snapshot there is none."""
        if workload.snapshot:
            return None
        took: list[float] = []
        with tempfile.TemporaryDirectory() as folder:
            words = self._binlog("--raw", "--to-last-log", f"--result-file={folder}/")
            with stopwatch(took):
                subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return f"{self.server.binlog_program} --raw", Measured(rows, *took)

    def first_s(self) -> float:
        return until_output(self._binlog(f"--start-position={self._begin['pos']}"))

    def _binlog(self, *more: str) -> list[str]:
        """The server's own program, which reads its log from the first file on."""
        return [*self.server.installation.command(self.server.binlog_program), "--no-defaults",
                "--read-from-remote-server", f"--host={self.server.host}", f"--port={self.server.port}",
                f"--user={self.server.user}", *more, str(self._begin["file"])]

    def rows(self, step: int) -> dict[int, tuple[object, ...]]:
        columns = {str(each[0]) for each in self.server.execute("SHOW COLUMNS FROM orders", "bench")}
        wanted = ", ".join(COLUMNS) if "note" in columns else "id, LENGTH(body)"
        found = self.server.execute(f"SELECT {wanted} FROM orders WHERE id % {step} = 0", "bench")
        return {int(each[0]): tuple(each) for each in found}

    def write(self, seconds: float, per_second: int) -> int:
        with self.server.connect("bench") as connection, connection.cursor() as cursor:
            return at_a_rate(lambda: cursor.execute(_TICK), seconds, per_second)
