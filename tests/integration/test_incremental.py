"""Snapshots of real servers beside the stream, or while it waits: under writers and restarts, the topics end up like
the tables."""

from __future__ import annotations

import itertools
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, ClassVar

import pymysql
import pytest

from cdc.core import control
from cdc.core.control import Signal
from cdc.core.errors import SourceConnectionError
from cdc.core.record import Record
from cdc.sources.shared import visible
from tests.conftest import BinlogDatabase, Database
from tests.integration import mysql_source, pg_source
from tests.integration.pg_source import cells
from tests.servers.postgres import PostgresServer
from tests.servers.process import wait_until

Rows = dict[tuple[Any, ...], dict[str, Any]]

_numbers = itertools.count()

KEYS = ("Zoë", "a", "B", "ab ", "ç", "z'x", "")


class Postgres:
    """One database, and how a source reads it."""

    text = "text"
    swap = "BEGIN; ALTER TABLE t RENAME TO old; ALTER TABLE other RENAME TO t; COMMIT"

    def __init__(self, database: Database) -> None:
        self.database = database
        self.schema = "public"

    def prepare(self) -> None:
        self.database.execute("CREATE TABLE t (id bigint PRIMARY KEY, v int, w text)")
        self.database.execute("CREATE TABLE c (a text, b int, id int, PRIMARY KEY (a, b))")

    orders: ClassVar[dict[str, tuple[str, list[str]]]] = {
        "u": ("k uuid PRIMARY KEY", ["gen_random_uuid()"] * 7),
        "e": ("k mood PRIMARY KEY", ["'sad'", "'ok'", "'happy'"]),
        "f": ("k float8 PRIMARY KEY", ["'NaN'", "0.1", "1e300", "'-Infinity'", "-0.1"]),
        "n": ("k numeric PRIMARY KEY", ["1.10", "1.2", "-5", "100000000000000000000.5"]),
        "x": ("k bytea PRIMARY KEY", [r"'\x00'", r"'\x5c27'", r"'\xff'"]),
        "d": ("k timestamptz, l date, PRIMARY KEY (k, l)",
              ["'2020-01-01', '2021-01-01'", "'2020-01-01', 'infinity'", "'0001-01-01 BC', '2020-02-02'"]),
        "y": ("k varchar(20) COLLATE either_case, l int, PRIMARY KEY (k, l)",
              ["'a', 1", "'A', 2", "'b', 1", "'B', 0", "'ä', 5", "'', 0", "'Ab', 1"]),
        "p": ("k char(6), l numrange, PRIMARY KEY (k, l)",
              ["'x', '[1,2)'", "'x y', 'empty'", "'x', '[1,3)'", "'', '(,1)'"]),
        "z": ('k text COLLATE "C" PRIMARY KEY', [r"E'a\tb'", r"E'\\'", "'a''b'", "'ü'", "' '"]),
        "s": ("k int", ["1", "1", "1", "1", "2", "NULL", "NULL", "NULL", "NULL", "0"]),
        "q": ("k numeric", ["1.0", "1.00", "1", "NULL", "1.000", "2", "2.0", "0"]),
    }

    before_change: ClassVar[list[str]] = ['ALTER TABLE o ALTER id TYPE varchar(9) COLLATE "en-x-icu"']
    changes_of_order: ClassVar[dict[str, list[str]]] = {
        "key": ["ALTER TABLE o DROP CONSTRAINT o_pkey", "ALTER TABLE o ADD PRIMARY KEY (v)"],
        "type": ["ALTER TABLE o ALTER id TYPE int USING id::int"],
        "collation": ['ALTER TABLE o ALTER id TYPE varchar(9) COLLATE "C"'],
    }

    @property
    def has_collations(self) -> bool:
        """Whether the server was built with ICU."""
        return bool(self.database.execute("SELECT FROM pg_collation WHERE collname = 'en-x-icu'"))

    def before_orders(self) -> None:
        self.database.execute("CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy')")
        self.database.execute(
            "CREATE COLLATION either_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false)"
            if self.has_collations else 'CREATE COLLATION either_case FROM "C"')

    def source(self, options: Mapping[str, str]) -> Any:
        source = pg_source.make_source(self.database, options)
        source.prefer_native()
        return source

    def end_helpers(self) -> int:
        """End all our sessions but that of the stream. Returns how many these were."""
        return len(self.database.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
            " AND application_name LIKE 'cdc%' AND backend_type = 'client backend'"))

    def end(self) -> Callable[[Any, list[Any]], bool]:
        """Whether the stream is past what is committed now."""
        self.database.execute("SELECT pg_logical_emit_message(true, 'mark', '')")
        return lambda offset, records: any(map(pg_source.is_mark, records))


class Binlog:
    text = "LONGTEXT"
    swap = "RENAME TABLE t TO old, other TO t"

    def __init__(self, database: BinlogDatabase) -> None:
        self.database = database
        self.schema = database.name

    def prepare(self) -> None:
        self.database.execute("CREATE TABLE t (id BIGINT PRIMARY KEY, v INT, w TEXT)")
        self.database.execute("CREATE TABLE c (a VARCHAR(20) COLLATE utf8mb4_general_ci, b INT, id INT,"
                              " PRIMARY KEY (a, b DESC))")

    orders: ClassVar[dict[str, tuple[str, list[str]]]] = {
        "u": ("k BIGINT UNSIGNED PRIMARY KEY", ["18446744073709551615", "0", "9223372036854775808"]),
        "e": ("k ENUM('sad', 'ok', 'happy') PRIMARY KEY", ["'sad'", "'ok'", "'happy'"]),
        "f": ("k FLOAT, l DOUBLE, PRIMARY KEY (k, l)",
              ["0.1, 0.1", "0.1, 0.2", "1e30, 1e300", "-0.3, 5", "0.30000001, 1"]),
        "n": ("k DECIMAL(30, 5) PRIMARY KEY", ["1.10", "1.2", "-5", "1000000000000000000000.5"]),
        "x": ("k VARBINARY(10) PRIMARY KEY", ["X'00'", "X'5c27'", "X'ff'", "X''"]),
        "d": ("k DATETIME(6), l TIME(3), PRIMARY KEY (k, l)",
              ["'2020-01-01', '-10:00:00.5'", "'2020-01-01 00:00:00.000001', '00:00:00'", "'2020-01-01', '838:00:00'"]),
        "y": ("k VARCHAR(20) COLLATE utf8mb4_unicode_ci, l TIMESTAMP(6), PRIMARY KEY (k DESC, l)",
              ["'a', '2020-01-01'", "'B', '2020-01-01'", "'b', '2020-01-01 00:00:00.000001'",
               "'ä', '2020-10-25 01:30:00'", "'A', '2021-10-25 02:30:00'", "'', '2020-10-25 00:30:00'"]),
        "z": ("k VARCHAR(20) CHARACTER SET latin1 PRIMARY KEY", [r"'a\tb'", r"'\\'", "'a''b'", "'ü'", "'z'", "''"]),
        "b": ("k BIT(10), l YEAR, PRIMARY KEY (k, l DESC)",
              ["b'1', 2000", "b'1', 1999", "b'1000000000', 0", "0, 2024"]),
        "j": ("k VARCHAR(20) CHARACTER SET cp932 COLLATE cp932_bin PRIMARY KEY",  # some codes have one character
              ["X'ed40'", "X'fa5c'", "'a'", "X'ee50'", "X'81ca'", "X'eef9'", "X'fa54'"]),
        "s": ("k INT", ["1", "1", "1", "1", "2", "NULL", "NULL", "NULL", "NULL", "0"]),
        "q": ("k VARCHAR(9) COLLATE utf8mb4_general_ci", ["'a'", "'A'", "'a '", "NULL", "'á'", "'b'", "'B'", "''"]),
    }

    before_change: ClassVar[list[str]] = ["ALTER TABLE o MODIFY id varchar(9) COLLATE utf8mb4_general_ci"]
    changes_of_order: ClassVar[dict[str, list[str]]] = {
        "key": ["ALTER TABLE o DROP PRIMARY KEY, ADD PRIMARY KEY (v)"],
        "type": ["ALTER TABLE o MODIFY id int"],
        "collation": ["ALTER TABLE o MODIFY id varchar(9) COLLATE utf8mb4_bin"],
    }
    has_collations = True

    def before_orders(self) -> None:
        pass

    def source(self, options: Mapping[str, str]) -> Any:
        source = mysql_source.make_source(self.database, options)
        source.prefer_native()
        return source

    def end_helpers(self) -> int:
        numbers = mysql_source.own_sessions(self.database, "command = 'Sleep'")
        for number in numbers:
            with suppress(pymysql.err.OperationalError):  # it has ended meanwhile
                self.database.execute(f"KILL {number}")
        return len(numbers)

    def end(self) -> Callable[[Any, list[Any]], bool]:
        end = self.database.server.binlog_end()
        return lambda offset, records: (str(offset.get("file", "")), int(offset.get("pos", 0))) >= end


@pytest.fixture(params=["postgres18", "mysql", "mariadb"])
def served(request: pytest.FixtureRequest) -> Iterator[Postgres | Binlog]:
    server = request.getfixturevalue(request.param)
    name = server.create_database(f"incremental_{os.getpid()}_{next(_numbers)}")
    found = Postgres(Database(server, name)) if request.param == "postgres18" else Binlog(BinlogDatabase(server, name))
    found.prepare()
    yield found
    server.drop_database(name)


@pytest.fixture
def database18(postgres18: PostgresServer) -> Iterator[Database]:
    name = postgres18.create_database(f"waits_{os.getpid()}_{next(_numbers)}")
    yield Database(postgres18, name)
    postgres18.drop_database(name)


@contextmanager
def writing(served: Postgres | Binlog, seed: int) -> Iterator[None]:
    """Two sessions change rows until the block ends."""
    over = threading.Event()
    failures: list[BaseException] = []

    def write(number: int) -> None:
        rand = random.Random(seed + number)
        with served.database.connect() as conn, conn.cursor() as cursor:
            cursor.execute("SET lock_timeout = '2s'" if isinstance(served, Postgres)
                           else "SET innodb_lock_wait_timeout = 2")
            while not over.is_set():
                try:
                    cursor.execute("BEGIN")
                    for _ in range(rand.choice((1, 1, 3, 8))):
                        change(cursor, rand)
                        time.sleep(rand.choice((0, 0, 0.002)))
                    cursor.execute("ROLLBACK" if rand.random() < 0.1 else "COMMIT")
                except Exception as exc:  # deadlocks, keys that exist already
                    if "closed" in str(exc):
                        failures.append(exc)
                        return
                    cursor.execute("ROLLBACK")

    def change(cursor: Any, rand: random.Random) -> None:
        id, other = rand.randrange(600), rand.randrange(600)
        kind = rand.random()
        if kind < 0.35:
            cursor.execute("UPDATE t SET v = v + 1 WHERE id = %s", (id,))
        elif kind < 0.5:
            cursor.execute("DELETE FROM t WHERE id = %s", (id,))
        elif kind < 0.65:
            cursor.execute("UPDATE t SET id = %s, v = v + 1 WHERE id = %s", (other, id))
        elif kind < 0.8:
            cursor.execute("INSERT INTO t VALUES (%s, 0, 'new')", (id,))
        elif kind < 0.9:
            cursor.execute("UPDATE c SET b = %s WHERE a = %s AND b = %s", (other, rand.choice(KEYS), id))
        else:
            cursor.execute("DELETE FROM c WHERE a = %s AND b = %s", (rand.choice(KEYS), id))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(2)]
    for each in threads:
        each.start()
    try:
        yield
    finally:
        over.set()
        for each in threads:
            each.join()
        assert not failures, failures


def fill(served: Postgres | Binlog) -> None:
    rand = random.Random(1)
    with served.database.connect() as conn, conn.cursor() as cursor:
        cursor.execute("BEGIN")
        for id in rand.sample(range(600), 400):
            cursor.execute("INSERT INTO t VALUES (%s, 0, %s)", (id, "x" * rand.randrange(20)))
        for key in KEYS:
            for number in rand.sample(range(600), 20):
                cursor.execute("INSERT INTO c VALUES (%s, %s, %s)", (key, number, number))
        cursor.execute("COMMIT")


def completed(source: Any, id: str) -> bool:
    return any(each.id == id and each.state == "completed" for each in source.snapshots())


class Replay:
    """What a consumer of all topics has in the end. `reads`: rows of the snapshot by table."""

    def __init__(self) -> None:
        self.rows: Rows = {}
        self.reads: dict[str, int] = {}
        self.read: Counter[tuple[Any, ...]] = Counter()
        self.seen: list[dict[str, Any]] = []
        self.markers: set[str] = set()

    def take(self, records: list[Any]) -> None:
        for record in records:
            if not isinstance(record, Record) or not record.op:
                continue
            table = record.table.id.table
            if record.op == "t":
                for each in [each for each in self.rows if each[0] == table]:
                    del self.rows[each]
                continue
            image = cells(record, "before" if record.op == "d" else "after")
            assert image is not None
            key = (table, *(image[column.name] for column in record.table.key))
            if record.op == "d":
                self.rows.pop(key, None)
            else:
                self.rows[key] = image
                self.seen.append(image)
            if record.op == "r":
                self.markers.add(record.source.values[4])
                self.reads[table] = self.reads.get(table, 0) + 1
                self.read[key] += 1

    @property
    def repeats(self) -> int:
        return self.read.total() - len(self.read)


def in_tables(served: Postgres | Binlog) -> Rows:
    found: Rows = {}
    for table, names in (("t", ("id", "v", "w")), ("c", ("a", "b", "id"))):
        for row in served.database.execute(f"SELECT {', '.join(names)} FROM {table}"):
            found[table, *row[:1 if table == "t" else 2]] = dict(zip(names, row, strict=True))
    return found


MARKERS = {"first", "first_in_data_collection", "true", "last_in_data_collection", "last"}


@pytest.mark.parametrize("kind", ["incremental", "blocking"])
def test_topics_are_like_the_tables_under_writers_and_restarts(served: Postgres | Binlog, kind: str) -> None:
    rand = random.Random(7)
    fill(served)
    replay = Replay()
    options = {"incremental.snapshot.chunk.size": "17", "max.batch.size": "40", "snapshot.max.threads": "2"}
    kept = "incremental_snapshot_collections" if kind == "incremental" else "blocking_snapshot"
    source = served.source(options)
    source.start(None)
    taken: list[tuple[list[Any], dict[str, Any]]] = []

    def poll(timeout: float = 0.05) -> list[Any]:
        batch = source.poll(timeout)
        if batch is None:
            return []
        records = list(batch.records)
        replay.take(records)
        taken.append((records, dict(batch.position.offset())))
        return records

    deadline = time.monotonic() + 180  # after each of up to five starts a busy stream goes first, for ten seconds
    while source.state() != "streaming":
        poll()
    with writing(served, 5):
        source.signal(Signal("s", control.EXECUTE_SNAPSHOT, {
            "type": kind, "data-collections": [f"{served.schema}.t", f"{served.schema}.c"]}, "file"))
        restarts = lost = 0
        while True:
            assert time.monotonic() < deadline
            poll()
            if rand.random() < 0.1:
                source.signal(Signal("p", rand.choice((control.PAUSE_SNAPSHOT, control.RESUME_SNAPSHOT)), {}, "file"))
            if restarts < 4 and taken and taken[-1][1].get(kept) and rand.random() < 0.15:
                restarts += 1
                source.stop()
                chosen = rand.choice([number for number, (_, each) in enumerate(taken) if number >= len(taken) - 3
                                      and each.get(kept)])
                lost += sum(isinstance(each, Record) and each.op == "r" for records, _ in taken[chosen + 1:]
                            for each in records)
                offset = taken[chosen][1]
                source = served.source(options)
                source.start(offset)
            if completed(source, "s"):
                break
            if len(taken) % 20 == 19:
                source.signal(Signal("p", control.RESUME_SNAPSHOT, {}, "file"))
    try:
        over = served.end()
        while not over(taken[-1][1] if taken else {}, taken[-1][0] if taken else []):
            assert time.monotonic() < deadline
            poll()
    finally:
        source.stop()
    assert replay.rows == in_tables(served)
    assert replay.reads["t"] > 100
    if kind == "incremental":
        assert replay.repeats <= lost, "a restart reads what was sent after its offset again, and nothing else"
    assert replay.markers <= ({"incremental"} if kind == "incremental" else MARKERS)


def finished(source: Any, id: str) -> list[Any]:
    """The records until the snapshot *id* is completed."""
    records: list[Any] = []
    deadline = time.monotonic() + 40
    while not completed(source, id) or source.control.due:
        assert time.monotonic() < deadline
        batch = source.poll(0.05)
        records += batch.records if batch is not None else []
    return records


def numbers(records: list[Any]) -> dict[str, list[int]]:
    """Of the rows that a snapshot gave, by table."""
    found: dict[str, list[int]] = {}
    for each in records:
        if isinstance(each, Record) and each.op == "r":
            found.setdefault(each.table.id.table, []).append((cells(each) or {})["n"])
    return {name: sorted(values) for name, values in found.items()}


def test_rows_are_read_in_the_order_of_any_key(served: Postgres | Binlog) -> None:
    served.before_orders()
    wanted = {}
    for table, (columns, values) in served.orders.items():
        names = "k, l" if ", l " in columns else "k"
        served.database.execute(f"CREATE TABLE o_{table} (n int, {columns})")
        for number, value in enumerate(values):
            served.database.execute(f"INSERT INTO o_{table} (n, {names}) VALUES ({number}, {value})")
        wanted[f"o_{table}"] = list(range(len(values)))
    served.database.execute(f"CREATE TABLE wide (n int PRIMARY KEY, b {served.text})")
    for number in range(6):
        served.database.execute(f"INSERT INTO wide VALUES ({number}, repeat('x', 5000000))")
    served.database.execute(f"CREATE TABLE lengthy (n int PRIMARY KEY, b {served.text})")
    served.database.execute("INSERT INTO lengthy VALUES " + ", ".join(
        f"({n}, concat(repeat('x', 3000), '{n * 5 % 9}'))" for n in range(9)))
    source = served.source({"incremental.snapshot.chunk.size": "3"})
    source.start(None)
    try:
        while source.state() != "streaming":
            source.poll(0.2)
        source.signal(Signal("w", control.EXECUTE_SNAPSHOT, {
            "data-collections": [f"{served.schema}.o_[^sq]", f"{served.schema}.wide", f"{served.schema}.o_s"],
            "additional-conditions": [{"data-collection": f"{served.schema}.wide", "filter": "n <> 3 -- not this"}],
        }, "file"))
        found = numbers(finished(source, "w"))
        states = {each.name.rpartition(".")[2]: each.state
                  for run in source.snapshots() if run.id == "w" for each in run.tables}
        assert states.pop("o_s") == "NO_PRIMARY_KEY"
        assert set(states.values()) == {"done"}
        keyless = {name: wanted.pop(name) for name in ("o_s", "o_q")}
        assert found == {**wanted, "wide": [0, 1, 2, 4, 5]}
        source.signal(Signal("k", control.EXECUTE_SNAPSHOT, {
            "data-collections": [f"{served.schema}.o_[sq]"], "surrogate-key": "k"}, "file"))
        assert numbers(finished(source, "k")) == keyless
        source.signal(Signal("b", control.EXECUTE_SNAPSHOT, {
            "data-collections": [f"{served.schema}.lengthy"], "surrogate-key": "b"}, "file"))
        assert numbers(finished(source, "b")) == {"lengthy": [*range(9)]}
    finally:
        source.stop()


@pytest.mark.parametrize("postgres", ["postgres15"], indirect=True)
def test_keys_of_an_extensions_type_are_read_in_their_own_order(database: Database) -> None:
    """The extension is in a schema that nobody's search_path has."""
    if not database.server.has_extension("citext"):
        pytest.skip("this build has no contrib")
    database.execute("CREATE SCHEMA \"Ext\"; CREATE EXTENSION citext SCHEMA \"Ext\";"
                     " CREATE EXTENSION ltree SCHEMA \"Ext\"; CREATE DOMAIN mail AS \"Ext\".citext;"
                     " CREATE TABLE o_c (n int, k \"Ext\".citext PRIMARY KEY);"
                     " CREATE TABLE o_l (n int, k \"Ext\".ltree, l int, PRIMARY KEY (k, l));"
                     " CREATE TABLE o_m (n int, k int, l mail, PRIMARY KEY (k, l))")
    values = ["a", "B", "c", "D", "e", "Zz", "ab", "AC"]
    for n, value in enumerate(values):
        database.execute(f"INSERT INTO o_c VALUES ({n}, '{value}'); INSERT INTO o_l VALUES ({n}, '{value}', {n});"
                         f" INSERT INTO o_m VALUES ({n}, {n % 2}, '{value}')")
    served = Postgres(database)
    source = served.source({"incremental.snapshot.chunk.size": "1"})
    source.start(None)
    try:
        while source.state() != "streaming":
            source.poll(0.2)
        source.signal(Signal("w", control.EXECUTE_SNAPSHOT, {"data-collections": ["public.o_."]}, "file"))
        assert numbers(finished(source, "w")) == {
            name: [*range(len(values))] for name in ("o_c", "o_l", "o_m")}
    finally:
        source.stop()


def test_a_table_is_altered_emptied_and_dropped_meanwhile(served: Postgres | Binlog) -> None:
    fill(served)
    source = served.source({"incremental.snapshot.chunk.size": "5", "skipped.operations": "none"})
    replay = Replay()
    source.start(None)
    try:
        while source.state() != "streaming":
            source.poll(0.2)
        source.signal(Signal("s", control.EXECUTE_SNAPSHOT, {
            "data-collections": [f"{served.schema}.t", f"{served.schema}.c"]}, "file"))
        statements = ["ALTER TABLE t ADD COLUMN y int DEFAULT 7", "UPDATE t SET v = 5 WHERE id % 7 = 0",
                      "DELETE FROM t WHERE id < 100", "ALTER TABLE t DROP COLUMN w",
                      f"TRUNCATE TABLE {served.schema}.c",
                      "INSERT INTO c VALUES ('a', 1, 1), ('a', 2, 2)"]
        deadline = time.monotonic() + 40
        read = 0
        offset: dict[str, Any] = {}
        while not completed(source, "s"):
            assert time.monotonic() < deadline
            batch = source.poll(0.05)
            if batch is not None:
                offset = dict(batch.position.offset())
                replay.take(list(batch.records))
            if statements and sum(replay.reads.values()) > read + 20:
                read = sum(replay.reads.values())
                served.database.execute(statements.pop(0))
        assert len(statements) < 2, "it was over too early"
        for each in statements:
            served.database.execute(each)
        over = served.end()
        records: list[Any] = []
        while not over(offset, records):
            assert time.monotonic() < deadline
            batch = source.poll(0.05)
            records = list(batch.records) if batch is not None else []
            offset = dict(batch.position.offset()) if batch is not None else offset
            replay.take(records)
        rows = set(served.database.execute("SELECT id, v FROM t"))
        assert {(row["id"], row["v"]) for key, row in replay.rows.items() if key[0] == "t"} == rows
        assert sorted(key[1:] for key in replay.rows if key[0] == "c") == [("a", 1), ("a", 2)]
        assert {"y", "w"} <= {name for row in replay.seen for name in row}
        served.database.execute("DROP TABLE c")
        source.signal(Signal("d", control.EXECUTE_SNAPSHOT, {"data-collections": [f"{served.schema}.c"]}, "file"))
        finished(source, "d")
        assert next(each for each in source.snapshots() if each.id == "d").tables[0].state == "UNKNOWN_SCHEMA"
    finally:
        source.stop()


@pytest.mark.parametrize("condition", ["id < 3) OR (id < 3", "nothing = 1"])
def test_a_condition_that_is_no_expression_is_refused(served: Postgres | Binlog, condition: str) -> None:
    """Within parentheses, the first would be one: the bounds of a chunk would then limit only its second half."""
    fill(served)
    source = served.source({})
    source.start(None)
    try:
        while source.state() != "streaming":
            source.poll(0.2)
        name = f"{served.schema}.t"
        source.signal(Signal("s", control.EXECUTE_SNAPSHOT, {
            "data-collections": [name], "additional-conditions": [{"data-collection": name, "filter": condition}]},
            "file"))
        finished(source, "s")
        copied = next(each for each in source.snapshots() if each.id == "s").tables[0]
        assert (copied.state, copied.rows) == ("SQL_EXCEPTION", 0)
    finally:
        source.stop()


def test_helpers_that_end_are_replaced_and_the_copy_goes_on(served: Postgres | Binlog) -> None:
    fill(served)
    source = served.source({"incremental.snapshot.chunk.size": "50"})
    replay = Replay()
    source.start(None)

    def poll_until(done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not done():
            assert time.monotonic() < deadline
            batch = source.poll(0.05)
            replay.take(list(batch.records) if batch is not None else [])

    try:
        poll_until(lambda: source.state() == "streaming")
        source.signal(Signal("s", control.EXECUTE_SNAPSHOT, {"data-collections": [f"{served.schema}.t"]}, "file"))
        for rows in (100, 200):
            poll_until(lambda rows=rows: replay.reads.get("t", 0) >= rows)  # type: ignore[misc]
            source.signal(Signal("p", control.PAUSE_SNAPSHOT, {}, "file"))
            poll_until(lambda: source.snapshots()[-1].state == "paused" and not source.control.active)
            assert served.end_helpers() >= 2, "that which reads chunks, and that which looks at tables"
            source.signal(Signal("r", control.RESUME_SNAPSHOT, {}, "file"))
        poll_until(lambda: completed(source, "s"))
        assert replay.rows == {key: row for key, row in in_tables(served).items() if key[0] == "t"}
        assert replay.repeats == 0
    finally:
        source.stop()


@pytest.mark.parametrize("change", ["key", "type", "collation"])
def test_a_table_whose_order_is_changed_is_read_from_its_start(served: Postgres | Binlog, change: str) -> None:
    served.database.execute("CREATE TABLE o (id varchar(9) PRIMARY KEY, v int NOT NULL)")
    if change == "collation" and not served.has_collations:
        pytest.skip("this server has no collation other than C")
    for number in range(26):  # in the new order, some that are read last come first
        name = f"{'b' if number < 13 else 'B'}{chr(97 + number)}" if change == "collation" else str(number)
        served.database.execute(f"INSERT INTO o VALUES ('{name}', {-number})")
    for statement in served.before_change if change == "collation" else ():
        served.database.execute(statement)
    source = served.source({"incremental.snapshot.chunk.size": "4"})
    source.start(None)
    read: list[int] = []

    def poll_until(done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not done():
            assert time.monotonic() < deadline, read
            batch = source.poll(0.05)
            read.extend((cells(each) or {})["v"] for each in (batch.records if batch is not None else ())
                        if isinstance(each, Record) and each.op == "r")

    try:
        poll_until(lambda: source.state() == "streaming")
        source.signal(Signal("s", control.EXECUTE_SNAPSHOT, {"data-collections": [f"{served.schema}.o"]}, "file"))
        poll_until(lambda: len(read) >= 4)
        source.signal(Signal("p", control.PAUSE_SNAPSHOT, {}, "file"))
        poll_until(lambda: source.snapshots()[-1].state == "paused" and not source.control.active)
        read.clear()
        for statement in served.changes_of_order[change]:
            served.database.execute(statement)
        source.signal(Signal("r", control.RESUME_SNAPSHOT, {}, "file"))
        poll_until(lambda: completed(source, "s"))
    finally:
        source.stop()
    assert sorted(read) == sorted(-number for number in range(26))


def test_another_table_takes_the_name_in_the_middle_of_a_copy(served: Postgres | Binlog) -> None:
    """It has rows behind those that were read, and before them."""
    served.database.execute("CREATE TABLE other (id bigint PRIMARY KEY, v int, w varchar(20))")
    for table, numbers, v in (("t", range(10, 90), 1), ("other", (*range(1, 9), *range(50, 120)), 2)):
        served.database.execute(f"INSERT INTO {table} VALUES " + ", ".join(f"({each}, {v}, '')" for each in numbers))
    source = served.source({"incremental.snapshot.chunk.size": "5"})
    replay = Replay()
    swap = [served.swap]
    source.start(None)
    try:
        while source.state() != "streaming":
            source.poll(0.2)
        source.signal(Signal("s", control.EXECUTE_SNAPSHOT, {"data-collections": [f"{served.schema}.t"]}, "file"))
        deadline = time.monotonic() + 40
        while not completed(source, "s") or source.control.due:
            assert time.monotonic() < deadline
            batch = source.poll(0.05)
            replay.take(list(batch.records) if batch is not None else [])
            if swap and replay.reads.get("t", 0) > 20:
                served.database.execute(swap.pop(0))
    finally:
        source.stop()
    assert {key[1] for key, row in replay.rows.items() if key[0] == "t" and row["v"] == 2} == {
        *range(1, 9), *range(50, 120)}


def test_a_blocking_snapshot_reads_a_table_without_a_key_and_gives_up_what_is_refused(
        served: Postgres | Binlog) -> None:
    served.database.execute("CREATE TABLE nokey (n int)")
    served.database.execute("INSERT INTO nokey VALUES (1), (1), (2)")
    name = f"{served.schema}.nokey"
    source = served.source({})
    source.start(None)

    def asked(id: str, *selects: str) -> tuple[str, dict[str, list[int]]]:
        """How the snapshot ended, and its rows."""
        source.signal(Signal(id, control.EXECUTE_SNAPSHOT, {
            "type": "blocking", "data-collections": [name],
            "additional-conditions": [{"data-collection": name, "filter": each} for each in selects]}, "rest"))
        records: list[Any] = []
        deadline = time.monotonic() + 40
        while not any(each.id == id and each.state in ("completed", "stopped") for each in source.snapshots()):
            assert time.monotonic() < deadline
            batch = source.poll(0.05)
            records += batch.records if batch is not None else []
        return next(each.state for each in source.snapshots() if each.id == id), numbers(records)

    try:
        while source.state() != "streaming":
            source.poll(0.2)
        assert asked("bad", f"SELECT nothing FROM {name}") == ("stopped", {})
        assert asked("all") == ("completed", {"nokey": [1, 1, 2]})
        assert asked("some", f"SELECT * FROM {name} WHERE n > 1;") == ("completed", {"nokey": [2]})
        served.database.execute("INSERT INTO nokey VALUES (3)")
        deadline = time.monotonic() + 40
        while not (batch := source.poll(0.2)) or not any(
                isinstance(each, Record) and each.op == "c" for each in batch.records):
            assert time.monotonic() < deadline
    finally:
        source.stop()


def test_an_added_table_is_copied_beside_the_others(served: Postgres | Binlog) -> None:
    """The lists are changed, and the connector is started again: no request, and no snapshot of what it has."""
    served.database.execute("INSERT INTO t VALUES (1, 0, 'old')")
    served.database.execute("INSERT INTO c VALUES ('a', 1, 1)")
    t, c = (f"{served.schema}.{name}" for name in "tc")
    offset: dict[str, Any] | None = None
    rows: set[Any] = set()

    def run(tables: str, until: Callable[[Any, list[tuple[str, str]]], bool], **options: str) -> list[tuple[str, str]]:
        nonlocal offset
        source = served.source({"table.include.list": tables, "snapshot.mode": "initial", **options})
        source.start(offset)
        found: list[tuple[str, str]] = []
        deadline = time.monotonic() + 60
        try:
            while not until(source, found):
                assert time.monotonic() < deadline, found
                batch = source.poll(0.05)
                if batch is not None:
                    found += [(each.table.id.table, each.op) for each in batch.records
                              if isinstance(each, Record) and each.op]
                    rows.update(cells(each, "after")["id"] for each in batch.records  # type: ignore[index]
                                if isinstance(each, Record) and each.table.id.table == "c" and each.op)
                    offset = dict(batch.position.offset())
        finally:
            source.stop()
        return found

    assert run(t, lambda source, found: source.state() == "streaming") == [("t", "r")]
    served.database.execute("INSERT INTO t VALUES (2, 0, 'new')")
    served.database.execute("INSERT INTO c VALUES ('a', 2, 2)")
    found = run(f"{t},{c}", lambda source, _: any(each.state == "completed" for each in source.snapshots()))
    served.database.execute("INSERT INTO t VALUES (3, 0, 'newer')")
    found += run(f"{t},{c}", lambda source, found: ("t", "c") in found)
    assert sorted(each for each in found if each[0] == "t") == [("t", "c"), ("t", "c")]
    assert rows == {1, 2}


def waits(admin: Any) -> bool:
    return bool(admin.execute("SELECT FROM pg_stat_activity WHERE wait_event = 'SyncRep'").fetchall())


@pytest.mark.parametrize("kind", ["incremental", "blocking"])
def test_a_commit_that_waits_for_a_standby_is_not_undone(
        database18: Database, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """The log has the transaction, but a snapshot does not show it, nor a row that is read again: it would be the older
    one."""
    monkeypatch.setattr(visible, "_PATIENCE_S", 0.1)
    database18.execute("CREATE TABLE t (id int PRIMARY KEY, v int)")
    database18.execute("INSERT INTO t SELECT i, 0 FROM generate_series(1, 9) i")
    source = pg_source.make_source(database18, {"incremental.snapshot.chunk.size": "4"})
    source.start(None)
    updates = 0
    threads: list[threading.Thread] = []
    with database18.connect(autocommit=True) as admin:
        try:
            admin.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
            admin.execute("SELECT pg_reload_conf()")
            while not waits(admin):  # the server notices the setting a little later
                updates += 1
                threads.append(threading.Thread(
                    target=lambda: database18.execute("UPDATE t SET v = v + 1 WHERE id = 5")))
                threads[-1].start()
                wait_until(lambda: not threads[-1].is_alive() or waits(admin), 10, "the update")
            records: list[Any] = []
            deadline = time.monotonic() + 20
            while sum(isinstance(each, Record) and each.op == "u" for each in records) < updates:
                assert time.monotonic() < deadline
                batch = source.poll(0.05)
                records += batch.records if batch is not None else []
            with pytest.raises(SourceConnectionError, match="do not see yet"):
                source.read_row(records[-1], records[-1].table.columns, event_key=False)
            source.signal(Signal("s", control.EXECUTE_SNAPSHOT, {
                "type": kind, "data-collections": ["public.t"]}, "file"))
            for _ in range(20):
                batch = source.poll(0.05)
                records += batch.records if batch is not None else []
            assert not any(each.op == "r" for each in records)
        finally:
            admin.execute("ALTER SYSTEM RESET synchronous_standby_names")
            admin.execute("SELECT pg_reload_conf()")
            for each in threads:
                each.join(20)
        try:
            again = source.read_row(records[-1], records[-1].table.columns, event_key=False)
            assert again is not None
            assert again.raw(1) == str(updates).encode()
            rows = {(cells(each) or {})["id"]: (cells(each) or {})["v"] for each in finished(source, "s")}
        finally:
            source.stop()
    assert rows == {id: updates if id == 5 else 0 for id in range(1, 10)}
