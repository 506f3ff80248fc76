"""The stream on real servers: transactions in progress and prepared, DDL, restarts, snapshots that join it."""

from __future__ import annotations

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from cdc.core.errors import SourceRefusedError
from cdc.core.record import Record
from tests.conftest import Database
from tests.integration.pg_source import brief, cells, described, running, slot_of
from tests.servers.process import wait_until

TABLE = "CREATE TABLE t (id int PRIMARY KEY, note text, big text)"
WHOLE = {"provide.transaction.metadata": "true", "skipped.operations": "none"}


@pytest.fixture
def prepared(database: Database) -> Database:
    database.execute(f"{TABLE}; CREATE TABLE u (id int PRIMARY KEY, x int); CREATE PUBLICATION pub FOR ALL TABLES")
    return database


def make_slot(database: Database, *, two_phase: bool = False, name: str = "") -> None:
    database.execute(f"SELECT pg_create_logical_replication_slot('{name or slot_of(database)}', 'pgoutput', false, "
                     f"{two_phase})")


# -- transactions in progress ------------------------------------------------------------------------------------------


def interleaved(database: Database, seed: int) -> None:
    """Three connections with large transactions at the same time, savepoints and rollbacks among them."""
    rng = random.Random(seed)
    with database.connect(autocommit=False) as a, database.connect(autocommit=False) as b, \
            database.connect(autocommit=False) as c:
        connections = [a, b, c]
        next_id = 0
        for round_ in range(60):
            conn = rng.choice(connections)
            depth = conn.execute("SELECT 1").fetchone() and round_ % 3
            first, next_id = next_id, next_id + rng.randint(1, 120)
            conn.execute(f"SAVEPOINT s{round_}".encode())
            numbers = f"generate_series({first}, {next_id - 1}) i"
            conn.execute(f"INSERT INTO t SELECT i, 'n' || i, repeat('x', 500) FROM {numbers}".encode())
            if depth:
                conn.execute(f"SAVEPOINT inner{round_}".encode())
                conn.execute(f"UPDATE t SET note = 'changed' WHERE id BETWEEN {first} AND {first + 20}".encode())
                conn.execute(f"INSERT INTO u SELECT i, {round_} FROM {numbers}".encode())
                if depth == 2:
                    conn.execute(f"ROLLBACK TO inner{round_}".encode())
            if rng.random() < 0.3:
                conn.execute(f"ROLLBACK TO s{round_}".encode())
            if rng.random() < 0.15:
                rng.choice([conn.commit, conn.commit, conn.rollback])()
        for conn in connections:
            conn.commit()


@pytest.mark.parametrize("mode", ["on", "parallel"])
def test_transactions_sent_in_progress_give_the_same_records(prepared: Database, mode: str) -> None:
    with prepared.connect() as conn:
        conn.execute(f"ALTER DATABASE {prepared.name} SET logical_decoding_work_mem = '64kB'".encode())
    other = f"{slot_of(prepared)}_plain"
    make_slot(prepared)
    make_slot(prepared, name=other)
    interleaved(prepared, seed=5)
    with running(prepared, {**WHOLE, "slot.name": other}) as plain:
        wanted = plain.to_mark(prepared)
    with running(prepared, {**WHOLE, "cdc.streaming": mode}) as reading:
        found = reading.until(lambda records: len(records) > len(wanted))
    streamed = prepared.execute("SELECT stream_txns FROM pg_stat_replication_slots WHERE slot_name = "
                                f"'{slot_of(prepared)}'")
    assert [without_begin_id(described(record, source=True)) for record in found[:len(wanted)]] == [
        without_begin_id(described(record, source=True)) for record in wanted]
    assert brief(wanted)
    assert streamed[0][0] > 0, "the server streamed nothing: the test tests nothing"


def without_begin_id(said: Any) -> Any:
    """A transaction's BEGIN names its first record, which may be one that is not decoded."""
    if said[0] == "srv.transaction" and said[2][0] == "BEGIN":
        return said[0], said[1][0].split(":")[0]
    return said


# -- prepared transactions ---------------------------------------------------------------------------------------------


def ids(records: list[Any]) -> list[Any]:
    return [id_ for _, _, id_ in brief(records)]


def test_prepared_transactions_come_when_committed_and_survive_restarts(prepared: Database) -> None:
    make_slot(prepared, two_phase=True)
    with running(prepared) as reading, prepared.connect() as conn:
        for number, gid in enumerate(["committed", "rolled back", "late"]):
            conn.execute(f"BEGIN; INSERT INTO t VALUES ({number}, 'p'); PREPARE TRANSACTION '{gid}'".encode())
        conn.execute(b"INSERT INTO t VALUES (10, 'plain')")
        assert ids(reading.to_mark(prepared)) == [10]
        conn.execute(b"COMMIT PREPARED 'committed'")
        conn.execute(b"ROLLBACK PREPARED 'rolled back'")
        assert ids(reading.to_mark(prepared)) == [0]
        offset = reading.offset
        assert offset is not None
        assert 0 < offset["hold_lsn"] < offset["lsn_commit"]
        position = reading.source._changes.position()  # the runtime confirms what it committed
        reading.source.confirm(position)
        wait_until(lambda: prepared.execute(
            "SELECT confirmed_flush_lsn - '0/0'::pg_lsn FROM pg_replication_slots WHERE slot_name = "
            f"'{slot_of(prepared)}'")[0][0] == position.hold_lsn, 10, "the held position to be confirmed")
    with running(prepared, offset=offset) as reading:
        prepared.execute("INSERT INTO t VALUES (11, 'plain')")
        assert ids(reading.to_mark(prepared)) == [11]
        offset = reading.offset
    prepared.execute("COMMIT PREPARED 'late'")
    prepared.execute("INSERT INTO t VALUES (12, 'plain')")
    with running(prepared, offset=offset) as reading:
        assert ids(reading.to_mark(prepared)) == [2, 12]
        assert "hold_lsn" not in (reading.offset or {})


def test_large_prepared_transactions_are_streamed(prepared: Database) -> None:
    prepared.execute(f"ALTER DATABASE {prepared.name} SET logical_decoding_work_mem = '64kB'")
    make_slot(prepared, two_phase=True)
    with running(prepared, {"cdc.streaming": "on"}) as reading, prepared.connect() as conn:
        conn.execute(b"BEGIN; INSERT INTO t SELECT i, 'n', repeat('x', 300) FROM generate_series(1, 2000) i;"
                     b"SAVEPOINT s;"
                     b"INSERT INTO t SELECT i, 'gone', repeat('x', 300) FROM generate_series(3000, 4000) i;"
                     b"ROLLBACK TO s; PREPARE TRANSACTION 'big'")
        assert reading.to_mark(prepared) == []
        conn.execute(b"INSERT INTO t VALUES (5000)")
        assert ids(reading.to_mark(prepared)) == [5000]
        conn.execute(b"COMMIT PREPARED 'big'")
        assert ids(reading.to_mark(prepared)) == list(range(1, 2001))
        conn.execute(b"INSERT INTO t VALUES (5001)")
        assert ids(reading.to_mark(prepared)) == [5001]


# -- structure ---------------------------------------------------------------------------------------------------------


def test_structure_changes_between_and_within_transactions(prepared: Database) -> None:
    make_slot(prepared)
    with running(prepared) as reading, prepared.connect() as conn:
        conn.execute(b"INSERT INTO t VALUES (1, 'a', 'b')")
        conn.execute(b"ALTER TABLE t ADD COLUMN more int DEFAULT 7")
        conn.execute(b"INSERT INTO t VALUES (2, 'a', 'b', 3)")
        conn.execute(b"BEGIN; INSERT INTO t VALUES (3, 'a', 'b', 4); ALTER TABLE t RENAME more TO less;"
                     b"INSERT INTO t VALUES (4, 'a', 'b', 5); ALTER TABLE t DROP note;"
                     b"INSERT INTO t VALUES (5, 'b', 6); COMMIT")
        found = [cells(record) for record in reading.to_mark(prepared)]
    assert found == [
        {"id": 1, "note": "a", "big": "b"}, {"id": 2, "note": "a", "big": "b", "more": 3},
        {"id": 3, "note": "a", "big": "b", "more": 4}, {"id": 4, "note": "a", "big": "b", "less": 5},
        {"id": 5, "big": "b", "less": 6}]


@pytest.mark.parametrize("binary", ["false", "true"])
@pytest.mark.parametrize(("change", "wanted"), [
    ("DROP COLUMN note", {"note": "a"}),
    ("RENAME COLUMN note TO other", {"note": "a"}),
    ("RENAME COLUMN note TO old; ALTER TABLE t RENAME COLUMN big TO note", {"note": "a", "big": None}),
    ("ALTER COLUMN note TYPE int USING 5", {"note": "a"}),
    ("ALTER COLUMN note TYPE varchar(1)", {"note": "a"}),
    ("DROP CONSTRAINT t_pkey; ALTER TABLE t ADD PRIMARY KEY (note)", {"note": "a"}),
    ("RENAME TO renamed", {"note": "a"}),
    ("ADD COLUMN x int NOT NULL DEFAULT 5", {"note": "a"}),
])
def test_a_catalog_newer_than_the_log_corrupts_nothing(prepared: Database, change: str, wanted: dict[str, Any],
                                                       binary: str) -> None:
    make_slot(prepared)
    prepared.execute("INSERT INTO t VALUES (1, 'a', NULL)")
    prepared.execute(f"ALTER TABLE t {change}")
    with running(prepared, {"cdc.binary": binary}) as reading:
        record, = reading.to_mark(prepared)
    assert record.table.id.table == "t"
    assert cells(record) == {"id": 1, "big": None, **wanted}


def test_a_table_dropped_since_is_read_as_the_log_has_it(prepared: Database) -> None:
    make_slot(prepared)
    prepared.execute("CREATE TYPE mood AS ENUM ('ok'); CREATE TABLE gone (id int PRIMARY KEY, state mood)")
    prepared.execute("INSERT INTO gone VALUES (1, 'ok')")
    prepared.execute("DROP TABLE gone; DROP TYPE mood")
    with running(prepared) as reading, pytest.raises(SourceRefusedError, match=r"Column state of table public\.gone"):
        reading.to_mark(prepared)
    with running(prepared, {"include.unknown.datatypes": "true"}) as reading:
        record, = reading.to_mark(prepared)
    assert cells(record) == {"id": 1, "state": b"ok"}


@pytest.mark.parametrize("image", ["after", "before"])
def test_nulls_written_before_a_column_became_not_null(prepared: Database, image: str) -> None:
    prepared.execute("ALTER TABLE t REPLICA IDENTITY FULL; INSERT INTO t VALUES (1, NULL, 'b')")
    make_slot(prepared)
    if image == "after":
        prepared.execute("INSERT INTO t VALUES (2, NULL, 'b')")
    prepared.execute("DELETE FROM t")
    prepared.execute("ALTER TABLE t ALTER note SET NOT NULL")
    with running(prepared) as reading:
        found = [record for record in reading.to_mark(prepared) if record.op]
    for record in found:
        column = next(column for column in record.table.columns if column.name == "note")
        assert column.schema.optional
        assert (cells(record) or cells(record, "before") or {})["note"] is None


# -- partitions, generated columns, identities -------------------------------------------------------------------------


@pytest.mark.parametrize(("via_root", "names"), [("true", {"part"}), ("false", {"part_1", "part_2"})])
@pytest.mark.parametrize("mode", ["initial", "no_data"])
def test_partitions_come_as_themselves_or_as_their_root(database: Database, via_root: str, names: set[str],
                                                        mode: str) -> None:
    database.execute("CREATE TABLE part (id int PRIMARY KEY, x int) PARTITION BY RANGE (id);"
                     "CREATE TABLE part_2 (x int, id int NOT NULL);"
                     "CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (10);"
                     "ALTER TABLE part ATTACH PARTITION part_2 FOR VALUES FROM (10) TO (20);"
                     "INSERT INTO part VALUES (1, 100), (11, 1100)")
    with running(database, {"snapshot.mode": mode, "publish.via.partition.root": via_root}) as reading:
        rows = reading.until(lambda records: len(records) >= 4) if mode == "initial" else []
        database.execute("INSERT INTO part VALUES (2, 200), (12, 1200)")
        database.execute("UPDATE part SET id = 13 WHERE id = 2")
        found = [record for record in reading.to_mark(database) if record.op]
    assert {record.table.id.table for record in found} == names
    # A snapshot reads every captured table, the root as well as its leaves, as Debezium does.
    assert {record.table.id.table for record in rows} == ({"part", "part_1", "part_2"} if rows else set())
    found = rows + found
    assert all((cells(record) or {"id": 1, "x": 100})["x"] in (100, 200, 1100, 1200) for record in found)
    after_move = found[-1]
    assert cells(after_move) == {"id": 13, "x": 200}
    assert sorted(record.op for record in found[-2:]) == ["c", "d"]


def test_generated_columns(database: Database) -> None:
    stored = database.server.version >= 18
    database.execute("CREATE TABLE g (id int PRIMARY KEY, twice int GENERATED ALWAYS AS (id * 2) STORED);"
                     "CREATE PUBLICATION pub FOR ALL TABLES"
                     + (" WITH (publish_generated_columns = stored)" if stored else ""))
    with running(database) as reading:
        database.execute("INSERT INTO g (id) VALUES (4)")
        record, = reading.to_mark(database)
    assert cells(record) == ({"id": 4, "twice": 8} if stored else {"id": 4})


def test_replica_identity_nothing_streams_what_it_can(prepared: Database) -> None:
    prepared.execute("CREATE TABLE n (id int PRIMARY KEY, x int); ALTER TABLE n REPLICA IDENTITY NOTHING")
    with running(prepared) as reading:
        prepared.execute("INSERT INTO n VALUES (1, 2)")
        record, = reading.to_mark(prepared)
        with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState):
            prepared.execute("DELETE FROM n")
    assert (record.op, cells(record)) == ("c", {"id": 1, "x": 2})


# -- restarts ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"cdc.streaming": "on"}], ids=["plain", "streaming"])
def test_a_restart_at_any_record_neither_loses_nor_repeats(prepared: Database, options: dict[str, str]) -> None:
    prepared.execute(f"ALTER DATABASE {prepared.name} SET logical_decoding_work_mem = '64kB'")
    make_slot(prepared)
    with prepared.connect() as conn:
        conn.execute(b"INSERT INTO t VALUES (0, 'before')")
        conn.execute(b"BEGIN; INSERT INTO t SELECT i, 'n', repeat('x', 600) FROM generate_series(1, 300) i;"
                     b"UPDATE t SET id = id + 1000 WHERE id % 50 = 0; SAVEPOINT s; INSERT INTO t VALUES (9999);"
                     b"ROLLBACK TO s; TRUNCATE u; DELETE FROM t WHERE id % 7 = 0; COMMIT")
        conn.execute(b"COPY t (id) FROM PROGRAM 'seq 5001 5040'")  # many rows at one LSN
    options = {**options, **WHOLE}
    with running(prepared, options) as reading:
        wanted = [described(record, source=True) for record in reading.to_mark(prepared)]
    found: list[Any] = []
    offset = None
    starts = 0
    while len(found) < len(wanted):
        starts += 1
        with running(prepared, {**options, "max.batch.size": str(17 + starts)}, offset=offset) as reading:
            for _ in range(2):
                if len(found) < len(wanted):
                    found += [described(record, source=True) for record in reading.until(bool)]
            offset = reading.offset
        assert starts < 60
    assert starts > 5
    assert found[:len(wanted)] == wanted


def test_the_position_of_an_idle_stream_moves_on(prepared: Database) -> None:
    with running(prepared) as reading:
        reading.to_mark(prepared)
        before = (reading.offset or {})["lsn_commit"]
        prepared.execute("CREATE TABLE unlogged_work (x int); DROP TABLE unlogged_work")
        reading.source._replication.confirm(before)  # type: ignore[union-attr]
        wait_until(lambda: reading.batch() is not None and (reading.offset or {})["lsn_commit"] > before, 20,
                   "a keepalive")


# -- snapshots ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("slot_exists", [False, True])
def test_snapshot_and_stream_join_without_gap_or_overlap(prepared: Database, slot_exists: bool) -> None:
    if slot_exists:
        make_slot(prepared)
    prepared.execute("INSERT INTO t SELECT i, 'n' FROM generate_series(1, 3000) i")
    stop = threading.Event()

    def write(number: int) -> None:
        with prepared.connect() as conn:
            at = 10_000 * number
            while not stop.is_set():
                at += 1
                conn.execute(f"INSERT INTO t VALUES ({at}, 'w');"
                             f"UPDATE t SET note = note || '.' WHERE id = {at % 3000 + 1};"
                             f"DELETE FROM t WHERE id = {at - 5} AND id > 3000".encode())

    with ThreadPoolExecutor(2) as pool:
        writers = [pool.submit(write, number) for number in (1, 2)]
        try:
            with running(prepared, {"snapshot.mode": "initial", "tombstones.on.delete": "false"}) as reading:
                rows = reading.until(lambda records: reading.source.state() == "streaming")
                time.sleep(0.3)
                stop.set()
                for writer in writers:
                    writer.result()
                rows += reading.to_mark(prepared)
        finally:
            stop.set()
    table: dict[int, str] = {}
    for record in rows:
        after, before = cells(record), cells(record, "before")
        if record.op in ("r", "c"):
            assert after is not None
            assert after["id"] not in table, f"{record.op} of {after['id']} twice"
            table[after["id"]] = after["note"]
        elif record.op == "u":
            assert after is not None
            assert after["note"] == table[after["id"]] + ".", "a change is missing or was applied before"
            table[after["id"]] = after["note"]
        else:
            assert before is not None
            del table[before["id"]]
    assert table == dict(prepared.execute("SELECT id, note FROM t"))
    assert {record.op for record in rows} >= {"r", "c", "u"}


def test_an_unfinished_snapshot_goes_on_and_the_stream_begins_where_it_began(prepared: Database) -> None:
    prepared.execute("INSERT INTO t SELECT i, 'n' FROM generate_series(1, 500) i")
    options = {"snapshot.mode": "initial", "max.batch.size": "100"}
    with running(prepared, options) as reading:
        reading.batch()
        offset = reading.offset
    assert offset is not None
    assert offset["snapshot"] == "INITIAL"
    prepared.execute("INSERT INTO t VALUES (501, 'meanwhile')")
    with running(prepared, options, offset=offset) as reading:
        rows = reading.until(lambda records: reading.source.state() == "streaming")
        prepared.execute("INSERT INTO t VALUES (502, 'later')")
        found = rows + reading.to_mark(prepared)
        offset = reading.offset
    assert ids(found) == [*range(1, 502), 501, 502]
    assert [record.op for record in found[-3:]] == ["r", "c", "c"]
    assert "snapshot" not in (offset or {})


def test_initial_only_ends_and_needs_no_slot(prepared: Database) -> None:
    prepared.execute("INSERT INTO t VALUES (1), (2); INSERT INTO u VALUES (3)")
    options = {"snapshot.mode": "initial_only"}
    with running(prepared, options) as reading:
        assert sorted(ids(reading.to_end())) == [1, 2, 3]
        offset = reading.offset
    assert prepared.execute(f"SELECT 1 FROM pg_replication_slots WHERE slot_name = '{slot_of(prepared)}'") == []
    with running(prepared, options, offset=offset) as reading:
        assert reading.to_end() == []


def test_snapshot_of_chosen_tables_and_statements(prepared: Database) -> None:
    prepared.execute("INSERT INTO t VALUES (1, 'a'), (2, 'b'); INSERT INTO u VALUES (3)")
    select = "SELECT id, upper(note) AS note, 1 AS extra FROM t WHERE id > 1;"
    options = {"snapshot.mode": "initial", "snapshot.include.collection.list": "public.t",
               "snapshot.select.statement.overrides": "public.t",
               "snapshot.select.statement.overrides.public.t": select}
    with running(prepared, options) as reading:
        rows = reading.until(lambda records: reading.source.state() == "streaming")
        prepared.execute("INSERT INTO u VALUES (4)")
        found = rows + reading.to_mark(prepared)
    assert brief(found) == [("r", "t", 2), ("c", "u", 4)]
    assert (cells(found[0]) or {})["note"] == "B"


def test_empty_tables_lead_straight_to_the_stream(prepared: Database) -> None:
    with running(prepared, {"snapshot.mode": "initial"}) as reading:
        prepared.execute("INSERT INTO t VALUES (1)")
        assert brief(reading.to_mark(prepared)) == [("c", "t", 1)]


# -- lookups, keys -----------------------------------------------------------------------------------------------------


def test_a_lost_lookup_connection_does_not_end_the_stream(prepared: Database) -> None:
    with running(prepared) as reading:
        reading.to_mark(prepared)
        prepared.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'cdc' "
                         f"AND backend_type = 'client backend' AND datname = '{prepared.name}'")
        prepared.execute("INSERT INTO t VALUES (1)")
        assert ids(reading.to_mark(prepared)) == [1]


def test_a_regex_strategy_gives_keys_where_tables_have_none(prepared: Database) -> None:
    prepared.execute("CREATE TABLE log_1 (line text)")
    strategy = {"topic.naming.strategy": "io.debezium.schema.DefaultRegexTopicNamingStrategy",
                "topic.regex.enable": "true", "topic.regex": r"(.*)log_\d+", "topic.replacement": "$1logs",
                "topic.key.field.name": "__dbz__physicalTableIdentifier"}
    with running(prepared, strategy) as reading:
        prepared.execute("INSERT INTO log_1 VALUES ('x')")
        record, = reading.to_mark(prepared)
    assert isinstance(record, Record)
    assert record.table.topic.endswith("logs")
    assert record.table.key_schema is not None
    assert record.key_row is record.after
    assert record.table.key_constant


# -- binary ------------------------------------------------------------------------------------------------------------


def test_binary_is_not_used_where_a_type_can_only_be_read_as_text(prepared: Database) -> None:
    prepared.execute("CREATE TYPE pair AS (a int, b int); CREATE TABLE odd (id int PRIMARY KEY, p pair)")
    options = {"cdc.binary": "true", "include.unknown.datatypes": "true"}
    with running(prepared, options) as reading:
        prepared.execute("INSERT INTO odd VALUES (1, ROW(1, 2))")
        record, = reading.to_mark(prepared)
    assert record.after.raw(0) == b"1"


def test_binary_is_used_otherwise(prepared: Database) -> None:
    with running(prepared, {"cdc.binary": "true"}) as reading:
        prepared.execute("INSERT INTO t VALUES (1, 'a')")
        record, = reading.to_mark(prepared)
    assert record.after.raw(0) == b"\0\0\0\1"
    assert cells(record) == {"id": 1, "note": "a", "big": None}
