"""Signals about snapshots in mixes: several at once, the same table in several ways, odd names, stops in the middle."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from typing import Any

import pytest

from cdc.core import control
from cdc.core.control import Signal
from cdc.core.record import Record
from cdc.sources.snapshot import incremental
from tests.integration.pg_source import cells
from tests.integration.test_incremental import Binlog, Postgres
from tests.integration.test_incremental import served as served  # noqa: PLC0414

ROWS = 60


class Shop:
    """A source that streams, over tables of 60 rows with the numbers 1 to 60. `rows`: how often a snapshot gave each,
    by table; `changes`: other records; `told`: notifications."""

    def __init__(self, served: Postgres | Binlog, **options: str) -> None:
        self.served = served
        self.options = {"incremental.snapshot.chunk.size": "10", "max.batch.size": "20",
                        **{key.replace("__", "."): text for key, text in options.items()}}
        self.rows: dict[str, Counter[int]] = {}
        self.changes: list[tuple[str, str, int]] = []
        self.told: list[tuple[str, str]] = []
        self.offset: dict[str, Any] | None = None
        self.source: Any = None

    def table(self, *names: str) -> None:
        for name in names:
            name = self.quoted(name)
            self.served.database.execute(f"CREATE TABLE {name} (id int PRIMARY KEY, w varchar(40))")
            self.served.database.execute(f"INSERT INTO {name} VALUES " + ", ".join(
                f"({number}, '{number % 7}%')" for number in range(1, ROWS + 1)))

    def quoted(self, name: str) -> str:
        quote = '"' if isinstance(self.served, Postgres) else "`"
        return f"{quote}{name}{quote}"

    def start(self, **options: str) -> None:
        self.options |= {key.replace("__", "."): text for key, text in options.items()}
        self.source = self.served.source(self.options)
        self.source.start(self.offset)
        before = self.told.copy()
        self.until(lambda: self.source.state() == "streaming")
        self.told = before  # MySQL and MariaDB take one of no rows at each first start

    def restart(self, **options: str) -> None:
        self.source.stop()
        self.start(**options)

    def poll(self) -> None:
        batch = self.source.poll(0.05)
        self.told += [(each.type, each.additional_data.get("scanned_collection") or each.additional_data.get(
            "data_collections", "")) for each in self.source.notifications() if each.type != "IN_PROGRESS"]
        if batch is None:
            return
        for each in batch.records:
            if isinstance(each, Record) and each.op:
                id = (cells(each) or cells(each, "before") or {})["id"]
                if each.op == "r":
                    self.rows.setdefault(each.table.id.table, Counter())[id] += 1
                else:
                    self.changes.append((each.op, each.table.id.table, id))
        self.offset = dict(batch.position.offset())

    def until(self, done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not done():
            assert time.monotonic() < deadline, (self.source.snapshots(), self.rows, self.told)
            self.poll()

    def signal(self, kind: str, id: str = "", **data: Any) -> None:
        data = {key.replace("_", "-"): value for key, value in data.items()}
        self.source.signal(Signal(id, kind, data, "file"))

    def asks(self, id: str, *names: str, filters: Mapping[str, str] | None = None, **data: Any) -> None:
        """An `execute-snapshot` of tables of the schema; *filters* by table."""
        conditions = [{"data-collection": self.name(name), "filter": text} for name, text in (filters or {}).items()]
        self.signal(control.EXECUTE_SNAPSHOT, id, data_collections=[self.name(each) for each in names],
                    additional_conditions=conditions, **data)

    def name(self, table: str) -> str:
        return f"{self.served.schema}.{table}"

    def state(self, id: str) -> str:
        return next((each.state for each in reversed(self.source.snapshots()) if each.id == id), "")

    def tables(self, id: str) -> dict[str, str]:
        """How each table of the snapshot ended."""
        return {each.name.partition(".")[2]: each.state for status in self.source.snapshots() if status.id == id
                for each in status.tables}

    def over(self) -> bool:
        """Nothing is asked for any more, and the offset says so."""
        return not self.source.control.due and "incremental_snapshot_collections" not in (self.offset or {}) and (
            "blocking_snapshot" not in (self.offset or {})) and not self.source.control.active and not (
                self.source.control._waiting)

    def whole(self, table: str, times: int = 1) -> bool:
        return self.rows.get(table) == Counter(dict.fromkeys(range(1, ROWS + 1), times))


@pytest.fixture
def shop(served: Postgres | Binlog) -> Iterator[Shop]:
    made = Shop(served)
    yield made
    if made.source is not None:
        made.source.stop()


def test_one_table_in_several_ways_at_once(shop: Shop) -> None:
    """Two conditions, none, another order, and the same again: each is a copy of its own but for the last."""
    shop.table("a")
    shop.start()
    shop.asks("low", "a", filters={"a": "id <= 20 OR id = 60"})
    shop.asks("high", "a", filters={"A": "w LIKE '%0%' AND id > 20 -- all weeks"})
    shop.asks("whole", "a")
    shop.asks("by w", "a", surrogate_key="w")
    shop.asks("again", "a")
    shop.until(shop.over)
    found = shop.rows["a"]
    assert {id for id in found if found[id] == 3} == {*range(1, 22), 28, 35, 42, 49, 56, 60}
    assert {found[id] for id in range(1, ROWS + 1)} == {2, 3}
    assert [each for each in shop.told if each[0] in ("STARTED", "COMPLETED")] == [
        ("STARTED", shop.name("a")), ("COMPLETED", "")] * 4


def test_names_as_people_write_them(shop: Shop) -> None:
    """Any case, parts in quotes, expressions that find several tables, some of them twice, or none."""
    shop.table("My.Odd table", "UPPER", "part_1", "part_2", "part(")
    shop.start()
    schema = shop.served.schema
    shop.signal(control.EXECUTE_SNAPSHOT, "s", data_collections=[
        f'"{schema}"."My.Odd table"', f"{schema}.upper", rf"{schema}\.part_[12]", f"{schema}.part_.", f"{schema}.none",
        f'"{schema}"."part("'], additional_conditions=[
            {"data-collection": f'"{schema}"."My.Odd table"', "filter": "id < 4"}])
    shop.until(shop.over)
    assert shop.tables("s") == {"My.Odd table": "done", "UPPER": "done", "part_1": "done", "part_2": "done",
                                "none": "UNKNOWN_SCHEMA", "part(": "done"}
    assert set(shop.rows.pop("My.Odd table")) == {1, 2, 3}
    assert all(map(shop.whole, shop.rows))
    assert len(shop.rows) == 4


def test_one_table_of_three_is_stopped_another_one_before_its_turn_and_asked_for_again(shop: Shop) -> None:
    shop.table("a", "b", "d")
    shop.start()
    shop.asks("s", "a", "b", "d")
    shop.until(lambda: len(shop.rows.get("a", ())) >= 10)
    shop.signal(control.STOP_SNAPSHOT, data_collections=[shop.name("A")])
    shop.signal(control.STOP_SNAPSHOT, data_collections=[shop.name("[bx]")])
    shop.asks("t", "b")
    shop.until(shop.over)
    assert len(shop.rows["a"]) < ROWS
    assert (shop.whole("b"), shop.whole("d")) == (True, True)
    assert sorted(each for each in shop.told if each[0] == "ABORTED") == [("ABORTED", shop.name("a")),
                                                                          ("ABORTED", shop.name("b"))]
    assert (shop.state("s"), shop.state("t")) == ("", "completed")


def test_a_paused_copy_rests_over_restarts_and_is_stopped_or_goes_on(shop: Shop) -> None:
    shop.table("a", "b")
    shop.start()
    shop.signal(control.PAUSE_SNAPSHOT)  # nothing runs
    shop.asks("s", "a", "b")
    shop.until(lambda: len(shop.rows.get("a", ())) >= 10)
    shop.signal(control.PAUSE_SNAPSHOT)
    shop.until(lambda: shop.state("s") == "paused" and not shop.source.control.active and not shop.source.control.due)
    for _ in range(2):
        before = deepcopy(shop.rows)
        shop.restart()
        for _ in range(10):
            shop.poll()
        assert (shop.state("s"), shop.rows) == ("paused", before)
    shop.asks("t", "b", filters={"b": "id = 1"})
    shop.signal(control.STOP_SNAPSHOT, data_collections=[shop.name("a")])
    shop.signal(control.RESUME_SNAPSHOT)
    shop.until(shop.over)
    assert len(shop.rows["a"]) < ROWS
    assert shop.rows["b"] == Counter({**dict.fromkeys(range(1, ROWS + 1), 1), 1: 2})


def test_a_table_that_a_changed_list_adds_is_also_asked_for(shop: Shop) -> None:
    """The signal waits in its channel while the connector is stopped."""
    shop.table("a", "b")
    shop.start(table__include__list=shop.name("a"), snapshot__mode="initial")
    assert shop.whole("a")
    shop.source.stop()
    shop.source = shop.served.source({**shop.options, "table.include.list": f"{shop.name('a')},{shop.name('b')}"})
    shop.asks("s", "b")
    shop.source.start(shop.offset)
    shop.until(shop.over)
    assert (shop.whole("a"), shop.whole("b")) == (True, True)
    assert shop.changes == []


@pytest.mark.parametrize("paused", [False, True])
def test_a_blocking_snapshot_in_the_middle_of_one_beside_the_stream(shop: Shop, paused: bool) -> None:
    shop.table("a", "b")
    shop.start()
    shop.asks("beside", "a")
    shop.until(lambda: len(shop.rows.get("a", ())) >= 10)
    if paused:
        shop.signal(control.PAUSE_SNAPSHOT)
    shop.asks("blocking", "a", "b", type="blocking", filters={"b": f"SELECT * FROM {shop.name('b')} WHERE id > 30"})
    shop.until(lambda: shop.state("blocking") == "completed")
    assert set(shop.rows["b"]) == set(range(31, ROWS + 1))
    shop.served.database.execute("UPDATE a SET w = 'x' WHERE id > 50")
    shop.signal(control.RESUME_SNAPSHOT)
    shop.until(shop.over)
    assert min(shop.rows["a"][id] for id in range(1, ROWS + 1)) >= 1
    assert set(range(1, 51)) <= {id for id, count in shop.rows["a"].items() if count == 2}
    assert sorted(each for each in shop.changes if each[1] == "a") == [("u", "a", id) for id in range(51, ROWS + 1)]


@pytest.mark.parametrize("threads", ["1", "3"])
@pytest.mark.parametrize("restarted", [False, True])
def test_a_blocking_snapshot_is_stopped_and_the_stream_goes_on(shop: Shop, threads: str, restarted: bool) -> None:
    shop.table("a", "b", "d")
    shop.start(snapshot__max__threads=threads, max__batch__size="5")
    shop.asks("first", "a", "b", type="blocking")
    shop.asks("next", "d", type="blocking")
    shop.until(lambda: len(shop.rows.get("a", ())) >= 5)
    shop.served.database.execute("UPDATE d SET w = 'x' WHERE id = 1")
    shop.served.database.execute("DELETE FROM a WHERE id = 1")
    shop.signal(control.STOP_SNAPSHOT, type="blocking", data_collections=[shop.name("d")])
    shop.signal(control.STOP_SNAPSHOT, type="blocking", data_collections=[shop.name("[ab]")])
    if restarted:
        shop.until(lambda: "blocking_snapshot" not in (shop.offset or {}))
        shop.restart()
    shop.until(lambda: ("d", "a", 1) in shop.changes and ("u", "d", 1) in shop.changes)
    assert shop.over()
    assert "d" not in shop.rows
    assert len(shop.rows["a"]) + len(shop.rows.get("b", ())) < 2 * ROWS
    if not restarted:
        assert (shop.state("first"), shop.state("next")) == ("stopped", "stopped")
    assert [each for each in shop.told if each[0] in ("ABORTED", "COMPLETED")] == [
        ("ABORTED", shop.name("d")), ("ABORTED", f"{shop.name('a')},{shop.name('b')}")]
    shop.asks("last", "d", type="blocking")
    shop.until(lambda: shop.state("last") == "completed")
    assert shop.whole("d")


def test_a_blocking_snapshot_that_waits_for_the_server_is_stopped(shop: Shop) -> None:
    """A SELECT that sorts for a minute before its first row."""
    shop.table("a")
    shop.start()
    sleeps = "pg_sleep(60)::text" if isinstance(shop.served, Postgres) else "sleep(60)"
    shop.asks("s", "a", type="blocking", filters={
        "a": f"SELECT id, {sleeps} AS w FROM {shop.name('a')} WHERE id = 1"})
    shop.until(lambda: shop.source.state() == "snapshotting" and shop.state("s") == "running")
    shop.served.database.execute("DELETE FROM a WHERE id = 2")
    shop.signal(control.STOP_SNAPSHOT, type="blocking")
    shop.until(lambda: ("d", "a", 2) in shop.changes)
    assert (shop.state("s"), shop.rows) == ("stopped", {})
    if isinstance(shop.served, Postgres):  # which looks every two seconds whether somebody is there
        deadline = time.monotonic() + 30
        while shop.served.database.execute(
                "SELECT FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'COPY%pg_sleep%'"):
            assert time.monotonic() < deadline
            time.sleep(0.1)


@pytest.mark.parametrize("connector", [False, True])
def test_a_blocking_snapshot_that_waits_for_a_lock_is_stopped(shop: Shop, connector: bool) -> None:
    """Or the *connector* is: the next start asks for the lock again."""
    shop.table("a", "b")
    postgres = isinstance(shop.served, Postgres)
    shop.start(snapshot__locking__mode="shared" if postgres else "extended", snapshot__lock__timeout__ms="300000")
    locks, unlocks, waiting = (
        "BEGIN; LOCK TABLE a IN ACCESS EXCLUSIVE MODE", "ROLLBACK",
        "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'a'::regclass") if postgres else (
        "LOCK TABLES a WRITE", "UNLOCK TABLES",
        "SELECT 1 FROM information_schema.processlist WHERE info LIKE 'FLUSH TABLES%' AND state LIKE 'Waiting%'")
    with shop.served.database.connect() as conn:
        cursor = conn.cursor()
        cursor.execute(locks)
        shop.asks("s", "a", type="blocking")
        shop.until(lambda: bool(shop.served.database.execute(waiting)))
        if connector:
            shop.source.interrupt()
            shop.source.stop()
            assert not [each for each in threading.enumerate() if each.name == "blocking-snapshot"]
        else:
            shop.signal(control.STOP_SNAPSHOT, type="blocking")
            shop.until(lambda: shop.state("s") == "stopped")
        cursor.execute(unlocks)
    if connector:
        shop.start()
        shop.until(lambda: shop.whole("a"))
        return
    shop.served.database.execute("DELETE FROM b WHERE id = 1")
    shop.until(lambda: ("d", "b", 1) in shop.changes)
    assert shop.rows == {}


def test_signals_of_a_table_in_one_transaction(shop: Shop) -> None:
    """Each takes effect in the log's order: the copy of a is stopped before it begins, and b is paused and resumed."""
    shop.served.database.execute(
        "CREATE TABLE signals (id varchar(42) PRIMARY KEY, type varchar(32) NOT NULL, data varchar(2048))")
    shop.table("a", "b")
    shop.start(signal__data__collection=shop.name("signals"))
    ask = json.dumps({"data-collections": [shop.name("a"), shop.name("b")]})
    stop = json.dumps({"data-collections": [shop.name("a")]})
    with shop.served.database.connect() as conn:
        cursor = conn.cursor()
        cursor.execute("BEGIN")
        for number, (type, data) in enumerate((
                ("execute-snapshot", ask), ("stop-snapshot", stop), ("pause-snapshot", "{}"),
                ("resume-snapshot", "{}"))):
            cursor.execute(f"INSERT INTO signals VALUES ('{number}', '{type}', '{data}')")
        cursor.execute("COMMIT")
    shop.until(lambda: ("COMPLETED", "") in shop.told and shop.over())
    assert len(shop.rows.get("a", ())) <= 10
    assert shop.whole("b")


@pytest.mark.parametrize("served", ["mysql"], indirect=True)
def test_a_chunk_that_ends_for_its_size_is_of_the_structure_it_was_planned_for(
        shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The schema stays, but the bytes are those of another character set."""
    monkeypatch.setattr(incremental, "CHUNK_BYTES", 2000)
    shop.served.database.execute("CREATE TABLE a (id int PRIMARY KEY, w varchar(900)) CHARACTER SET latin1")
    shop.served.database.execute("INSERT INTO a VALUES " + ", ".join(
        f"({id}, concat('ä', repeat('x', {899 if id > 20 else 9})))" for id in range(1, 31)))
    shop.start()
    shop.asks("s", "a")
    found: dict[int, str] = {}
    poll = shop.source.poll

    def looking(timeout: float) -> Any:
        batch = poll(timeout)
        for each in batch.records if batch is not None else ():
            if isinstance(each, Record) and each.op == "r":
                row = cells(each) or {}
                found[row["id"]] = row["w"][:2]
        return batch

    monkeypatch.setattr(shop.source, "poll", looking)
    shop.until(lambda: len(found) >= 10)
    shop.served.database.execute("ALTER TABLE a CONVERT TO CHARACTER SET utf8mb4")
    shop.until(shop.over)
    assert found == dict.fromkeys(range(1, 31), "äx")
