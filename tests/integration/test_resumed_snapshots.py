"""A first copy that ends early: the next start reads what is left, and the stream has what changed meanwhile."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from typing import Any, Self

import pymysql
import pytest

from cdc.core.errors import SourceConnectionError
from cdc.core.record import Record
from cdc.sources.mysql import key_ranges
from cdc.sources.mysql import snapshot as mysql_snapshot
from cdc.sources.mysql.source import MySqlSource
from cdc.sources.postgres import chunks
from cdc.sources.postgres.source import PostgresSource
from tests.conftest import BinlogDatabase, Database
from tests.integration import mysql_source, pg_source
from tests.servers.process import wait_until

ROWS = 400
CHUNK = 50
LONG = "md5(n::text) || md5((n + 1)::text)"


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "CHUNK_ROWS", CHUNK)
    monkeypatch.setattr(mysql_snapshot, "CHUNK_ROWS", CHUNK)
    monkeypatch.setattr(key_ranges, "CHUNK_ROWS", CHUNK)
    monkeypatch.setattr(key_ranges, "_SMALLEST_ROWS", CHUNK)
    monkeypatch.setattr(chunks, "SMALLEST_BLOCKS", 1)


class Attempt:
    """The rows that one start reads: `ids` of each table. `offset`: of the last batch."""

    def __init__(self, source: PostgresSource | MySqlSource, offset: Mapping[str, Any] | None) -> None:
        self.source = source
        self.ids: dict[str, list[Any]] = {}
        self.changes: list[tuple[str, Any]] = []
        self.offset: dict[str, Any] = {}
        try:
            source.start(offset)
        except BaseException:
            source.stop()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.source.stop()

    def batch(self) -> None:
        batch = self.source.poll(0.5)
        if batch is None:
            return
        self.offset = dict(batch.position.offset())
        for record in batch.records:
            if isinstance(record, Record):
                id = (pg_source.cells(record) or pg_source.cells(record, "before") or {})["id"]
                if record.op == "r":
                    self.ids.setdefault(record.table.id.table, []).append(id)
                else:
                    self.changes.append((record.op, id))

    def until(self, done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not done():
            assert time.monotonic() < deadline, (self.ids, self.changes)
            self.batch()

    def rows(self, count: int) -> dict[str, Any]:
        """Read about so many rows, and return the offset of the last batch."""
        self.until(lambda: sum(map(len, self.ids.values())) >= count)
        return self.offset

    def to_stream(self) -> None:
        self.until(lambda: self.source.state() == "streaming")

    def to_change(self, change: tuple[str, Any]) -> None:
        self.until(lambda: change in self.changes)


# -- PostgreSQL --------------------------------------------------------------------------------------------------------

OPTIONS = {"snapshot.mode": "initial", "max.batch.size": "20"}


def postgres(database: Database, offset: Mapping[str, Any] | None = None, **more: str) -> Attempt:
    options = {**OPTIONS, **{key.replace("_", "."): value for key, value in more.items()}}
    return Attempt(pg_source.make_source(database, options), offset)


@pytest.fixture
def shop(database: Database) -> Database:
    for table in ("a", "b", "c"):
        database.execute(f"CREATE TABLE {table} (id int PRIMARY KEY, note text)")
        database.execute(f"INSERT INTO {table} SELECT n, {LONG} FROM generate_series(1, {ROWS}) n")
    database.execute("ANALYZE")
    return database


def interrupted(database: Database, count: int, **more: str) -> dict[str, Any]:
    with postgres(database, None, **more) as first:
        return first.rows(count)


@pytest.mark.parametrize("threads", ["1", "4"])
def test_what_was_read_is_left_out_and_what_changed_comes_in_the_stream(shop: Database, threads: str) -> None:
    offset = interrupted(shop, ROWS + ROWS // 2, snapshot_max_threads=threads)
    shop.execute("DELETE FROM a WHERE id = 1")  # read
    shop.execute("UPDATE b SET note = 'moved' WHERE id = 399")  # not read yet, and now in another block
    shop.execute("CREATE TABLE d (id int PRIMARY KEY)")
    shop.execute("INSERT INTO d VALUES (7)")
    with postgres(shop, offset, snapshot_max_threads=threads) as again:
        again.to_stream()
        assert again.offset["read_lsn"] > again.offset["begin_lsn"]
        assert "a" not in again.ids
        assert 399 in again.ids["b"]
        assert ROWS // 2 - CHUNK <= len(again.ids["b"]) <= ROWS // 2 + 2 * CHUNK
        assert (sorted(again.ids["c"]), again.ids["d"]) == (list(range(1, ROWS + 1)), [7])
        again.to_change(("c", 7))
        assert again.changes[0] == ("d", 1), "the stream begins where the first attempt began"
        assert ("u", 399) in again.changes
        assert "snapshot" not in again.offset


@pytest.mark.parametrize("change", [
    ["VACUUM FULL b"],
    ["ALTER TABLE b ALTER note SET STORAGE EXTERNAL", "UPDATE b SET note = repeat('x', 9000) WHERE id = 1"],
], ids=["new file", "values outside of rows"])
def test_a_table_whose_places_do_not_hold_is_read_again(shop: Database, change: list[str]) -> None:
    offset = interrupted(shop, ROWS + ROWS // 2)
    for statement in change:
        shop.execute(statement)
    with postgres(shop, offset) as again:
        again.to_stream()
        assert "a" not in again.ids
        assert len(again.ids["b"]) == ROWS


def test_where_the_stream_leaves_out_updates_a_table_is_read_again(shop: Database) -> None:
    offset = interrupted(shop, ROWS + ROWS // 2, skipped_operations="u,t")
    with postgres(shop, offset, skipped_operations="u,t") as again:
        again.to_stream()
        assert ("a" in again.ids, len(again.ids["b"])) == (False, ROWS)


def test_without_the_slot_everything_is_read_again(shop: Database) -> None:
    offset = interrupted(shop, ROWS + ROWS // 2)
    shop.execute(f"SELECT pg_drop_replication_slot('{pg_source.slot_of(shop)}')")
    with postgres(shop, offset) as again:
        again.to_stream()
        assert [len(again.ids[table]) for table in "abc"] == [ROWS] * 3


def test_a_table_whose_updates_told_all_values_only_later_is_read_again(shop: Database) -> None:
    shop.execute("ALTER TABLE b ALTER note SET STORAGE EXTERNAL")
    shop.execute("UPDATE b SET note = repeat('x', 9000)")
    shop.execute("ANALYZE b")
    offset = interrupted(shop, ROWS + ROWS // 2)
    shop.execute("ALTER TABLE b REPLICA IDENTITY FULL")
    with postgres(shop, offset) as again:
        again.to_stream()
        assert len(again.ids["b"]) == ROWS


def test_a_table_that_takes_the_name_of_another_one_is_read(shop: Database) -> None:
    shop.execute("CREATE SCHEMA hidden; CREATE SCHEMA attic")
    shop.execute("CREATE TABLE hidden.b (LIKE b INCLUDING ALL)")
    with postgres(shop, schema_include_list="public") as first:
        shop.execute(f"INSERT INTO hidden.b SELECT n, 'new' FROM generate_series(1001, {1000 + ROWS}) n")
        shop.execute("ALTER TABLE b SET SCHEMA attic; ALTER TABLE hidden.b SET SCHEMA public")
        with pytest.raises(SourceConnectionError, match="another one took its name"):
            first.to_stream()
    with postgres(shop, first.offset, schema_include_list="public") as again:
        again.to_stream()
        assert sorted(again.ids["b"]) == list(range(1001, 1001 + ROWS))


def test_a_table_is_read_again_if_another_one_has_its_name_at_the_next_start(shop: Database) -> None:
    shop.execute("CREATE SCHEMA hidden; CREATE SCHEMA attic")
    for table in "ab":
        shop.execute(f"CREATE TABLE hidden.{table} (LIKE {table} INCLUDING ALL)")
        shop.execute(f"INSERT INTO hidden.{table} SELECT n, 'new' FROM generate_series(1, 5) n")
    offset = interrupted(shop, ROWS + ROWS // 2, schema_include_list="public")
    for table in "ab":
        shop.execute(f"ALTER TABLE {table} SET SCHEMA attic; ALTER TABLE hidden.{table} SET SCHEMA public")
    with postgres(shop, offset, schema_include_list="public") as again:
        again.to_stream()
        assert (sorted(again.ids["a"]), sorted(again.ids["b"])) == ([1, 2, 3, 4, 5], [1, 2, 3, 4, 5])


def test_a_copy_does_not_go_on_over_a_gap_that_the_stream_may_have(shop: Database) -> None:
    offset = interrupted(shop, ROWS + ROWS // 2)
    shop.execute("DROP PUBLICATION pub")
    shop.execute("UPDATE b SET note = 'moved' WHERE id = 399")  # not published
    shop.execute("CREATE PUBLICATION pub FOR ALL TABLES")
    with postgres(shop, offset, offset_mismatch_strategy="trust_slot") as again:
        again.to_stream()
        assert [len(again.ids[table]) for table in "abc"] == [ROWS] * 3


def test_always_copies_at_each_start_and_then_brings_what_was_deleted(shop: Database) -> None:
    with postgres(shop, snapshot_mode="always") as first:
        first.to_stream()
    shop.execute("DELETE FROM a WHERE id = 1")
    with postgres(shop, first.offset, snapshot_mode="always") as again:
        again.to_stream()
        assert (len(again.ids["a"]), len(again.ids["b"])) == (ROWS - 1, ROWS)
        again.to_change(("d", 1))


@pytest.mark.parametrize("loss", ["dropped", "removed"])
def test_when_needed_copies_again_if_the_slot_is_lost(shop: Database, loss: str) -> None:
    with postgres(shop, snapshot_mode="when_needed") as first:
        first.to_stream()
    slot = pg_source.slot_of(shop)
    if loss == "dropped":
        shop.execute(f"SELECT pg_drop_replication_slot('{slot}')")
    shop.execute("DELETE FROM a WHERE id = 1")
    if loss == "removed":
        lose_wal(shop, slot)
    with postgres(shop, first.offset, snapshot_mode="when_needed") as again:
        again.to_stream()
        assert (len(again.ids["a"]), len(again.ids["b"])) == (ROWS - 1, ROWS)
        shop.execute("DELETE FROM a WHERE id = 2")
        again.to_change(("d", 2))
        assert again.changes[0] == ("d", 2)


def lose_wal(database: Database, slot: str) -> None:
    """Have the server remove WAL that the slot needs."""
    for statement in ("ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'", "SELECT pg_reload_conf()"):
        database.execute(statement)
    try:
        for _ in range(4):
            database.execute("SELECT pg_switch_wal()")
            database.execute("INSERT INTO c SELECT n, 'x' FROM generate_series(1000000, 1000001) n; DELETE FROM c"
                             " WHERE id >= 1000000")
        database.execute("CHECKPOINT")
        (status,), = database.execute(f"SELECT wal_status FROM pg_replication_slots WHERE slot_name = '{slot}'")
        assert status == "lost"
    finally:
        database.execute("ALTER SYSTEM RESET max_slot_wal_keep_size")
        database.execute("SELECT pg_reload_conf()")


def test_a_session_that_ends_between_ranges_is_replaced(shop: Database) -> None:
    with postgres(shop, snapshot_max_threads="3", max_batch_size="1", cdc_queue_bytes="65536") as first:
        first.batch()
        waiting = shop.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'cdc'"
            " AND state = 'idle in transaction'")
        assert waiting
        shop.execute(f"SELECT pg_terminate_backend({waiting[0][0]})")
        first.to_stream()
    assert [first.ids[table] for table in "abc"] == [sorted(first.ids[table]) for table in "abc"]
    assert [len(first.ids[table]) for table in "abc"] == [ROWS] * 3


@pytest.mark.parametrize("threads", ["1", "3"])
def test_after_all_its_sessions_have_ended_the_next_attempt_goes_on(shop: Database, threads: str) -> None:
    with postgres(shop, snapshot_max_threads=threads, cdc_queue_bytes="65536") as first:
        first.rows(ROWS + ROWS // 2)
        shop.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
                     " AND application_name LIKE 'cdc%' AND backend_type = 'client backend'")
        with pytest.raises(SourceConnectionError):
            first.to_stream()
    with postgres(shop, first.offset, snapshot_max_threads=threads) as again:
        again.to_stream()
        assert "a" not in again.ids
        for table in "bc":
            both = first.ids.get(table, []) + again.ids.get(table, [])
            assert set(both) == set(range(1, ROWS + 1))
            assert len(both) <= ROWS + 2 * CHUNK


# -- MySQL and MariaDB -------------------------------------------------------------------------------------------------


def binlog(database: BinlogDatabase, offset: Mapping[str, Any] | None = None, native: bool = False,
           **more: str) -> Attempt:
    options = {**OPTIONS, **{key.replace("_", "."): value for key, value in more.items()}}
    return Attempt(mysql_source.make_source(database, options, native=native), offset)


KEYS: dict[str, tuple[str, Callable[[int], str]]] = {
    "numbers": ("id bigint unsigned PRIMARY KEY", lambda n: str(2 * n)),
    "texts": ("id varchar(40) COLLATE utf8mb4_general_ci PRIMARY KEY", lambda n: f"'Key''{n % 7}\\\\ é{n}'"),
    "latin": ("id char(20) CHARACTER SET latin1 PRIMARY KEY", lambda n: f"'ß{n:04}'"),
    "bytes": ("id varbinary(20) PRIMARY KEY", lambda n: f"x'{n:04x}00'"),
    "times": ("id datetime(3) PRIMARY KEY", lambda n: f"'2026-01-01 00:00:{n % 60:02}.{n:03}'"),
    "decimals": ("id decimal(10,2) PRIMARY KEY", lambda n: f"{n - 200}.5"),
}
COMPOSITE = "id int, part varchar(10), PRIMARY KEY (part, id)"


def fill(database: BinlogDatabase, table: str, columns: str, rows: list[str]) -> None:
    database.execute(f"CREATE TABLE {table} ({columns}, note varchar(100) NOT NULL DEFAULT 'n') CHARACTER SET utf8mb4")
    names = "id, part" if columns == COMPOSITE else "id"
    database.execute(f"INSERT INTO {table} ({names}) VALUES " + ", ".join(f"({row})" for row in rows))


@pytest.mark.parametrize("kind", KEYS)
def test_a_table_goes_on_behind_the_last_key(binlog_database: BinlogDatabase, kind: str) -> None:
    columns, key = KEYS[kind]
    fill(binlog_database, "t", columns, [key(n) for n in range(1, ROWS + 1)])
    with binlog(binlog_database) as first:
        offset = first.rows(ROWS // 2)
    with binlog(binlog_database, offset) as again:
        again.to_stream()
        both = [*first.ids["t"], *again.ids["t"]]
        assert len(set(both)) == ROWS
        assert ROWS <= len(both) <= ROWS + 2 * CHUNK


@pytest.mark.parametrize("threads", ["1", "4"])
def test_rows_that_c_reads_go_on_behind_the_last_chunk(binlog_database: BinlogDatabase, threads: str) -> None:
    """It takes as many as the socket brings, which may be the whole table."""
    fill(binlog_database, "t", "id int PRIMARY KEY", [str(n) for n in range(1, ROWS + 1)])
    offset: dict[str, Any] | None = None
    seen: list[int] = []
    for _ in range(3):
        with binlog(binlog_database, offset, native=True, snapshot_max_threads=threads) as attempt:
            offset = attempt.rows(2 * CHUNK)
            seen += attempt.ids["t"]
    assert max(seen) >= 3 * CHUNK, "each attempt came further"
    with binlog(binlog_database, offset, native=True, snapshot_max_threads=threads) as last:
        last.to_stream()
        seen += last.ids["t"]
    assert set(seen) == set(range(1, ROWS + 1))
    assert len(seen) <= ROWS + 3 * 2 * CHUNK


@pytest.mark.parametrize("threads", ["1", "4"])
def test_what_changed_meanwhile_comes_in_the_stream(binlog_database: BinlogDatabase, threads: str) -> None:
    fill(binlog_database, "a", "id int PRIMARY KEY", [str(n) for n in range(1, ROWS + 1)])
    fill(binlog_database, "b", COMPOSITE, [f"{n}, '{'xyz'[n % 3]}'" for n in range(1, ROWS + 1)])
    with binlog(binlog_database, snapshot_max_threads=threads) as first:
        offset = first.rows(ROWS + ROWS // 2)
    binlog_database.execute("DELETE FROM a WHERE id = 1")
    binlog_database.execute("UPDATE b SET part = 'a' WHERE id = 398")  # 'z', not read yet; 'a' is before all others
    binlog_database.execute("INSERT INTO b (id, part) VALUES (1000, 'zz')")
    with binlog(binlog_database, offset, snapshot_max_threads=threads) as again:
        again.rows(1)
        assert (again.offset["read_file"], again.offset["read_pos"]) > (offset["file"], offset["pos"])
        again.to_stream()
        assert "read_file" not in again.offset
        assert "a" not in again.ids
        assert 398 not in again.ids["b"]
        assert {*first.ids["b"], *again.ids["b"]} == {*range(1, ROWS + 1), 1000} - {398}
        again.to_change(("c", 1000))
        assert again.changes == [("d", 1), ("d", 398), ("c", 398), ("c", 1000)]


@pytest.mark.parametrize("threads", ["1", "3"])
def test_after_all_sessions_have_ended_the_next_attempt_goes_on(binlog_database: BinlogDatabase, threads: str) -> None:
    for table in "abc":
        fill(binlog_database, table, "id int PRIMARY KEY", [str(n) for n in range(1, ROWS + 1)])
    with binlog(binlog_database, snapshot_max_threads=threads, cdc_queue_bytes="65536") as first:
        first.rows(ROWS + ROWS // 2)
        sessions = mysql_source.own_sessions(binlog_database)
        for number in sessions:
            with contextlib.suppress(pymysql.err.OperationalError):  # it has ended meanwhile
                binlog_database.execute(f"KILL {number}")
        with contextlib.suppress(SourceConnectionError):  # one of several is replaced at once
            first.to_stream()
    with binlog(binlog_database, first.offset, snapshot_max_threads=threads) as again:
        again.to_stream()
        assert len(sessions) >= int(threads)
        assert "a" not in again.ids
        for table in "bc":
            both = first.ids.get(table, []) + again.ids.get(table, [])
            assert set(both) == set(range(1, ROWS + 1))
            assert len(both) <= ROWS + 2 * CHUNK


def test_when_needed_copies_again_if_the_log_is_purged(binlog_database: BinlogDatabase) -> None:
    fill(binlog_database, "a", "id int PRIMARY KEY", [str(n) for n in range(1, ROWS + 1)])
    with binlog(binlog_database, snapshot_mode="when_needed") as first:
        first.to_stream()
    binlog_database.execute("DELETE FROM a WHERE id = 1")
    binlog_database.execute("FLUSH BINARY LOGS")

    def purged() -> bool:  # MariaDB leaves what another session reads, as ours may for a moment after its end
        (newest, *_), = binlog_database.execute("SHOW BINARY LOGS")[-1:]
        binlog_database.execute(f"PURGE BINARY LOGS TO '{newest}'")
        return len(binlog_database.execute("SHOW BINARY LOGS")) == 1

    wait_until(purged, 60, "the log to be purged", 0.1)
    offset = first.offset
    for _ in range(2):  # MariaDB may tell it only when it is to send the log; then the next start copies
        with binlog(binlog_database, offset, snapshot_mode="when_needed") as again:
            try:
                again.rows(1)
            except SourceConnectionError:
                offset = again.offset
                continue
            again.to_stream()
            assert again.ids["a"] == list(range(2, ROWS + 1))
            binlog_database.execute("DELETE FROM a WHERE id = 2")
            again.to_change(("d", 2))
            return
    pytest.fail("no copy was made")


def test_recovery_reads_structures_from_the_server(binlog_database: BinlogDatabase) -> None:
    fill(binlog_database, "a", "id int PRIMARY KEY", ["1"])
    with binlog(binlog_database) as first:
        first.to_stream()
    binlog_database.execute("INSERT INTO a (id) VALUES (2)")
    offset = {key: value for key, value in first.offset.items() if not key.startswith("structures")}
    with binlog(binlog_database, offset, snapshot_mode="recovery") as again:
        again.to_change(("c", 2))
        assert again.ids == {}


def test_a_table_that_is_swapped_for_another_one_is_read(binlog_database: BinlogDatabase) -> None:
    for table in "abc":
        fill(binlog_database, table, "id int PRIMARY KEY", [str(n) for n in range(ROWS)])
    time.sleep(1.1)  # the server has creation times in whole seconds
    fill(binlog_database, "shadow", "id int PRIMARY KEY", ["2"])
    lists = rf"{binlog_database.name}\.[abc]"
    with binlog(binlog_database, table_include_list=lists) as first:
        binlog_database.execute("INSERT INTO shadow (id) VALUES (3)")
        binlog_database.execute("RENAME TABLE b TO old, shadow TO b")
        with pytest.raises(SourceConnectionError, match="swapped"):
            first.to_stream()
    with binlog(binlog_database, first.offset, table_include_list=lists) as again:
        again.to_stream()
        assert again.ids["b"] == [2, 3]


def test_a_table_is_read_again_if_it_was_swapped_before_the_next_start(binlog_database: BinlogDatabase) -> None:
    for table in "ab":
        fill(binlog_database, table, "id int PRIMARY KEY", [str(n) for n in range(ROWS)])
    time.sleep(1.1)  # the server has creation times in whole seconds
    for table in "ab":
        fill(binlog_database, f"new_{table}", "id int PRIMARY KEY", ["2", "3"])
    lists = rf"{binlog_database.name}\.[ab]"
    with binlog(binlog_database, table_include_list=lists) as first:
        offset = first.rows(ROWS + ROWS // 2)
    for table in "ab":
        binlog_database.execute(f"RENAME TABLE {table} TO old_{table}, new_{table} TO {table}")
    with binlog(binlog_database, offset, table_include_list=lists) as again:
        again.to_stream()
        assert (again.ids["a"], again.ids["b"]) == ([2, 3], [2, 3])


def test_a_table_whose_keys_follow_those_of_another_one_is_read_again(binlog_database: BinlogDatabase) -> None:
    rows = [str(n) for n in range(1, ROWS + 1)]
    fill(binlog_database, "a", "id int PRIMARY KEY", rows)
    fill(binlog_database, "b", "id int PRIMARY KEY, FOREIGN KEY (id) REFERENCES a (id) ON UPDATE CASCADE", rows)
    with binlog(binlog_database) as first:
        offset = first.rows(ROWS + ROWS // 2)
    binlog_database.execute(f"UPDATE a SET id = 0 WHERE id = {ROWS}")  # of b the log has nothing
    with binlog(binlog_database, offset) as again:
        again.to_stream()
        assert again.ids["b"] == list(range(ROWS))


@pytest.mark.parametrize("change", ["ALTER TABLE b MODIFY id int unsigned NOT NULL", "ALTER TABLE b DROP PRIMARY KEY"])
def test_a_table_whose_key_is_another_is_read_again(binlog_database: BinlogDatabase, change: str) -> None:
    fill(binlog_database, "b", "id int PRIMARY KEY", [str(n) for n in range(1, ROWS + 1)])
    with binlog(binlog_database) as first:
        offset = first.rows(ROWS // 2)
    binlog_database.execute(change)
    with binlog(binlog_database, offset, message_key_columns=f"{binlog_database.name}.b:id") as again:
        again.to_stream()
        assert len(again.ids["b"]) == ROWS
