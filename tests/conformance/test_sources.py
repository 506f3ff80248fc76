"""What every source promises: core/interfaces.py, `Source`. By that interface alone, on each kind of database."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from typing import Any

import pytest

from cdc.core.errors import CdcError, PositionLostError, SourceConnectionError, SourceRefusedError
from cdc.core.interfaces import Source
from cdc.metrics.catalogue import NUMBERS
from tests.conformance.databases import PREFIX, BinlogSide, PostgresSide, SourceDatabase, make_source
from tests.conformance.reading import Event, Reading, brief, running
from tests.conftest import BinlogDatabase, Database
from tests.servers.mysql import BinlogServer
from tests.servers.postgres import PostgresServer
from tests.servers.process import free_port, wait_until

COLUMNS = "id int PRIMARY KEY, name varchar(20), hidden varchar(20)"
INITIAL = {"snapshot.mode": "initial"}
_numbers = count(1)


@pytest.fixture(params=["postgres18", "mysql", "mariadb"])
def database(request: pytest.FixtureRequest) -> Iterator[SourceDatabase]:
    """With an empty table t."""
    server: PostgresServer | BinlogServer = request.getfixturevalue(request.param)
    name = server.create_database(f"conform_{os.getpid()}_{next(_numbers)}")
    side: SourceDatabase = (PostgresSide(Database(server, name)) if isinstance(server, PostgresServer)
                            else BinlogSide(BinlogDatabase(server, name)))
    side.create("t", COLUMNS)
    yield side
    server.drop_database(name)


@contextmanager
def in_thread(work: Callable[[], Any]) -> Iterator[threading.Thread]:
    """*work*, which may raise CdcError, beside the block; the block ends it."""

    def run() -> None:
        with suppress(CdcError):
            work()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield thread
    thread.join(20)
    assert not thread.is_alive(), "it still waits"


def insert(database: SourceDatabase, *ids: int, name: str = "a") -> None:
    rows = ", ".join(f"({id}, '{name}', 'h')" for id in ids)
    database.execute(f"INSERT INTO t VALUES {rows}")


def row(id: int, name: str | None = "a", hidden: str | None = "h") -> dict[str, Any]:
    return {"id": id, "name": name, "hidden": hidden}


def await_end_of_sessions(database: SourceDatabase, others: set[int]) -> None:
    """A server that sends its log notices the end of a connection when it has something to send: so there is."""
    ids = count(100_000)

    def ended() -> bool:
        insert(database, next(ids))
        return not database.sessions() - others

    wait_until(ended, 20, "the source's connections to end")


# -- start -------------------------------------------------------------------------------------------------------------


def test_without_an_offset_the_rows_come_first_and_then_the_changes(database: SourceDatabase) -> None:
    insert(database, 1, 2)
    with running(database, INITIAL) as reading:
        insert(database, 3)
        events = reading.changes()
    assert brief(events) == [("r", 1), ("r", 2), ("c", 3)]
    assert [event.row for event in events] == [row(1), row(2), row(3)]
    assert {event.topic for event in events} == {f"{PREFIX}.{database.schema}.t"}


def test_the_state_is_snapshotting_until_the_last_row_was_given(database: SourceDatabase) -> None:
    insert(database, 1, 2, 3)
    source = make_source({**database.configuration(), **INITIAL, "max.batch.size": "1"})
    try:
        assert source.state() == "snapshotting"
        source.start(None)
        reading = Reading(source, database)
        assert source.state() == "snapshotting"
        reading.first()
        assert source.state() == "snapshotting"
        reading.to_stream()
        insert(database, 4)
        assert brief(reading.changes()) == [("c", 4)]
        assert source.state() == "streaming"
    finally:
        source.stop()


def test_a_snapshot_that_did_not_end_starts_over(database: SourceDatabase) -> None:
    insert(database, 1, 2, 3)
    with running(database, {**INITIAL, "max.batch.size": "1"}) as reading:
        assert brief(reading.first()) == [("r", 1)]
        offset = reading.offset
    with running(database, INITIAL, offset) as reading:
        assert brief(reading.changes()) == [("r", 1), ("r", 2), ("r", 3)]


def test_after_initial_only_nothing_more_comes(database: SourceDatabase) -> None:
    insert(database, 1, 2)
    with running(database, {"snapshot.mode": "initial_only"}) as reading:
        assert not reading.source.finished()
        events = reading.until(lambda _: reading.source.finished())
        insert(database, 3)
        assert brief(events) == [("r", 1), ("r", 2)]
        assert reading.source.poll(0) is None
        offset = reading.offset
    with running(database, {"snapshot.mode": "initial_only"}, offset) as reading:
        assert reading.source.finished()
        assert reading.source.poll(0) is None


def test_a_stream_is_never_finished(database: SourceDatabase) -> None:
    with running(database) as reading:
        insert(database, 1)
        reading.changes()
        assert not reading.source.finished()


def test_the_partition_is_the_topic_prefix(database: SourceDatabase) -> None:
    assert make_source(database.configuration()).partition() == {"server": PREFIX}


def test_a_server_that_is_not_there_is_tried_again(database: SourceDatabase) -> None:
    source = make_source({**database.configuration(), "database.port": str(free_port())})
    with pytest.raises(SourceConnectionError) as caught:
        source.start(None)
    source.stop()
    assert caught.value.retriable


def test_a_user_who_is_not_let_in_is_told_what_to_check(database: SourceDatabase) -> None:
    source = make_source({**database.configuration(), "database.user": "stranger", "database.password": "wr0ng-w0rd"})
    with pytest.raises(SourceRefusedError) as caught:
        source.start(None)
    source.stop()
    assert "database.user" in caught.value.hint or "database.password" in caught.value.hint
    assert "wr0ng-w0rd" not in f"{caught.value} {caught.value.hint}"


def test_a_log_that_is_gone_is_not_passed_over(database: SourceDatabase) -> None:
    with running(database) as reading:
        insert(database, 1)
        reading.changes()
        offset = reading.offset
    insert(database, 2)
    database.lose_log()
    with pytest.raises(PositionLostError) as caught, running(database, offset=offset) as reading:
        reading.changes()
    assert not caught.value.retriable
    assert "new snapshot" in caught.value.hint


# -- poll and resume ---------------------------------------------------------------------------------------------------


def test_a_poll_without_news_gives_nothing_after_its_timeout(database: SourceDatabase) -> None:
    with running(database) as reading:
        while True:
            began = time.monotonic()
            batch = reading.source.poll(0.2)
            if batch is None:
                break
            assert not batch.records
        assert 0.15 <= time.monotonic() - began < 5


def test_a_batch_is_bounded_in_records(database: SourceDatabase) -> None:
    """One event of a binary log holds all rows of a small statement, and is not divided."""
    with running(database, {"max.batch.size": "4"}) as reading:
        database.transaction(*(f"INSERT INTO t VALUES ({id}, 'a', 'h')" for id in range(1, 31)))
        assert len(reading.changes()) == 30
    assert max(reading.sizes) <= 4


def test_an_offset_is_json_of_single_values(database: SourceDatabase) -> None:
    with running(database) as reading:
        insert(database, 1)
        reading.changes()
        assert reading.position is not None
        offset = reading.position.offset()
    assert offset == reading.offset
    assert all(value is None or isinstance(value, str | int | float | bool) for value in offset.values())


def test_a_restart_after_a_batch_goes_on_behind_it(database: SourceDatabase) -> None:
    with running(database) as reading:
        insert(database, 1)
        reading.changes()
        offset = reading.offset
    insert(database, 2)
    with running(database, offset=offset) as reading:
        insert(database, 3)
        assert brief(reading.changes()) == [("c", 2), ("c", 3)]


def test_a_restart_within_a_transaction_goes_on_within_it(database: SourceDatabase) -> None:
    with running(database, {"max.batch.size": "4"}) as reading:
        database.transaction(*(f"INSERT INTO t VALUES ({id}, 'a', 'h')" for id in range(1, 11)))
        before = reading.first()
        offset = reading.offset
    assert 0 < len(before) < 10
    with running(database, offset=offset) as reading:
        after = reading.changes()
    assert brief(before + after) == [("c", id) for id in range(1, 11)]


def test_restarts_after_each_batch_lose_and_repeat_nothing(database: SourceDatabase) -> None:
    options = {"max.batch.size": "3", "skipped.operations": "none"}
    with running(database, options) as reading:
        insert(database, 0)
        reading.changes()
        start = reading.offset
    database.transaction(
        "INSERT INTO t VALUES (1, 'a', 'h'), (2, 'b', 'h'), (3, 'c', 'h'), (4, 'd', 'h'), (5, 'e', 'h')",
        "UPDATE t SET name = 'x' WHERE id IN (1, 2, 3)", "UPDATE t SET id = id + 100 WHERE id IN (4, 5)",
        "DELETE FROM t WHERE id = 1")
    database.transaction("DELETE FROM t WHERE id = 2", "INSERT INTO t VALUES (6, 'f', 'h')")
    with running(database, options, start) as reading:
        wanted = [event.change for event in reading.changes()]
    found: list[tuple[Any, ...]] = []
    offset = start
    while len(found) < len(wanted):
        with running(database, options, offset) as reading:
            found += [event.change for event in reading.first()]
            offset = reading.offset
    assert found[:len(wanted)] == wanted
    assert len(wanted) > 12


def test_the_same_offset_gives_the_same_again(database: SourceDatabase) -> None:
    with running(database) as reading:
        insert(database, 1)
        reading.changes()
        offset = reading.offset
    insert(database, 2, 3)
    found = []
    for _ in range(2):
        with running(database, offset=offset) as reading:
            found.append([event.change for event in reading.until(lambda events: len(events) >= 2)][:2])
    assert found[0] == found[1]
    assert [op for _, op, *_ in found[0]] == ["c", "c"]


# -- confirm, interrupt, stop ------------------------------------------------------------------------------------------


def test_what_is_confirmed_the_server_may_forget_and_nothing_else(database: SourceDatabase) -> None:
    with running(database) as reading:
        before = database.kept_from()
        insert(database, 1)
        reading.changes()
        assert database.kept_from() == before
        offset, position = reading.offset, reading.position
        assert position is not None
        reading.source.confirm(position)
        if before is not None:
            wait_until(lambda: (database.kept_from() or 0) > before, 20, "the server to forget")
        insert(database, 2)
        assert brief(reading.changes()) == [("c", 2)]
    with running(database, offset=offset) as reading:
        assert ("c", 2) in brief(reading.changes())


def test_an_interrupt_ends_a_wait_of_the_start(database: SourceDatabase) -> None:
    insert(database, 1)
    source = make_source({**database.configuration(), **INITIAL, "snapshot.delay.ms": "600000"})
    others = database.sessions()
    with in_thread(lambda: source.start(None)):
        wait_until(lambda: database.sessions() - others, 20, "the source to connect")
        source.interrupt()
    source.stop()


def test_an_interrupt_ends_the_wait_between_snapshot_and_stream(database: SourceDatabase) -> None:
    insert(database, 1, 2)
    given = {**database.configuration(), **INITIAL, "streaming.delay.ms": "600000", "max.batch.size": "1"}
    source = make_source(given)
    source.start(None)
    reading = Reading(source, database)
    events: list[Event] = []

    def read() -> None:
        while len(events) < 2:
            events.extend(reading.batch())
        reading.to_stream()

    with in_thread(read):
        wait_until(lambda: events, 20, "the first row")
        source.interrupt()
    source.stop()


def test_stop_lets_go_of_the_server_and_may_come_twice(database: SourceDatabase) -> None:
    others = database.sessions()
    with running(database) as reading:
        insert(database, 1)
        reading.changes()
        assert database.sessions() - others
        reading.source.stop()
        await_end_of_sessions(database, others)
        reading.source.stop()


def test_stop_may_come_before_a_start_and_within_a_snapshot(database: SourceDatabase) -> None:
    make_source(database.configuration()).stop()
    insert(database, 1, 2, 3)
    others = database.sessions()
    with running(database, {**INITIAL, "max.batch.size": "1"}) as reading:
        reading.first()
        reading.source.stop()
        await_end_of_sessions(database, others)


def test_the_same_connector_starts_again_at_once(database: SourceDatabase) -> None:
    configuration = database.configuration()
    offset = None
    found: list[tuple[str, Any]] = []
    for id in range(1, 4):
        source = make_source(configuration)
        source.start(offset)
        reading = Reading(source, database)
        if offset is None:
            reading.to_stream()
        insert(database, id)
        found += brief(reading.changes())
        offset = reading.offset
        source.stop()
        database.execute("DELETE FROM t WHERE id > 100")
    assert [each for each in found if each[0] == "c"] == [("c", 1), ("c", 2), ("c", 3)]


# -- heartbeats --------------------------------------------------------------------------------------------------------


def is_heartbeat(event: Event) -> bool:
    return event.topic.startswith("__debezium-heartbeat")


def test_heartbeats_come_on_a_quiet_server(database: SourceDatabase) -> None:
    with running(database, {"heartbeat.interval.ms": "100"}) as reading:
        events = reading.until(lambda events: sum(map(is_heartbeat, events)) >= 3)
    first = next(event for event in events if is_heartbeat(event))
    assert first.topic == f"__debezium-heartbeat.{PREFIX}"
    assert first.key == {"serverName": PREFIX}
    assert first.value is not None
    assert abs(first.value["ts_ms"] / 1000 - time.time()) < 60


def test_without_an_interval_there_are_no_heartbeats(database: SourceDatabase) -> None:
    with running(database) as reading:
        insert(database, 1)
        assert not any(map(is_heartbeat, reading.changes()))


def test_heartbeats_carry_the_position_past_the_changes_of_other_tables(database: SourceDatabase) -> None:
    database.create("other", COLUMNS)
    options = {"heartbeat.interval.ms": "100", "table.include.list": f"{database.schema}.t"}
    with running(database, options) as reading:
        reading.until(lambda events: any(map(is_heartbeat, events)))
        before = reading.offset
        database.execute("INSERT INTO other VALUES (1, 'a', 'h')")
        events = reading.until(lambda events: reading.offset != before and any(map(is_heartbeat, events)))
        assert all(map(is_heartbeat, events))
        offset = reading.offset
    insert(database, 1)
    with running(database, options, offset) as reading:
        assert [each for each in brief(reading.changes()) if each[0] != "other"] == [("c", 1)]


# -- filters -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("list_", ["table.include.list", "table.exclude.list"])
@pytest.mark.parametrize("mode", ["initial", "no_data"])
def test_tables_that_the_lists_leave_out_give_no_events(database: SourceDatabase, list_: str, mode: str) -> None:
    database.create("other", COLUMNS)
    named = "t" if "include" in list_ else "other"
    for table in ("t", "other"):
        database.execute(f"INSERT INTO {table} VALUES (1, 'a', 'h')")
    with running(database, {list_: f"{database.schema}.{named}", "snapshot.mode": mode}) as reading:
        events = reading.to_stream() if mode == "initial" else []
        for table in ("t", "other"):
            database.execute(f"INSERT INTO {table} VALUES (2, 'a', 'h')")
        events += reading.changes()
    assert brief(events) == ([("r", 1)] if mode == "initial" else []) + [("c", 2)]
    assert {event.topic for event in events} == {f"{PREFIX}.{database.schema}.t"}


@pytest.mark.parametrize(("list_", "named"), [
    ("column.exclude.list", ("hidden",)), ("column.include.list", ("id", "name")),
])
def test_columns_that_the_lists_leave_out_are_in_no_image(database: SourceDatabase, list_: str,
                                                          named: tuple[str, ...]) -> None:
    insert(database, 1)
    columns = ",".join(f"{database.schema}.t.{column}" for column in named)
    with running(database, {**INITIAL, list_: columns}) as reading:
        events = reading.to_stream()
        database.execute("UPDATE t SET name = 'b', hidden = 'i'")
        events += reading.changes()
    assert brief(events) == [("r", 1), ("u", 1)]
    read, update = (event.value or {} for event in events)
    assert (read["after"], update["before"], update["after"]) == (
        {"id": 1, "name": "a"}, {"id": 1, "name": "a"}, {"id": 1, "name": "b"})


# -- keys, tombstones, what is skipped ---------------------------------------------------------------------------------


def test_changes_have_both_images_and_the_key(database: SourceDatabase) -> None:
    with running(database) as reading:
        insert(database, 1)
        database.execute("UPDATE t SET name = 'b'")
        database.execute("DELETE FROM t")
        events = reading.changes()
    assert brief(events) == [("c", 1), ("u", 1), ("d", 1), ("tombstone", 1)]
    assert [(event.value["before"], event.value["after"]) for event in events if event.value] == [
        (None, row(1)), (row(1), row(1, "b")), (row(1, "b"), None)]


def test_a_changed_key_is_a_delete_a_tombstone_and_a_create_that_know_each_other(database: SourceDatabase) -> None:
    with running(database) as reading:
        insert(database, 1)
        database.execute("UPDATE t SET id = 2")
        events = reading.changes()[1:]
    assert brief(events) == [("d", 1), ("tombstone", 1), ("c", 2)]
    deleted, _, created = events
    assert (deleted.value or {})["before"] == row(1)
    assert created.row == row(2)
    assert deleted.headers == {"__debezium.newkey": {"id": 2}}
    assert created.headers == {"__debezium.oldkey": {"id": 1}}


def test_without_tombstones_a_delete_stands_alone(database: SourceDatabase) -> None:
    with running(database, {"tombstones.on.delete": "false"}) as reading:
        insert(database, 1, 2)
        database.execute("DELETE FROM t WHERE id = 1")
        database.execute("UPDATE t SET id = 3")
        assert brief(reading.changes()) == [("c", 1), ("c", 2), ("d", 1), ("d", 2), ("c", 3)]


@pytest.mark.parametrize(("skipped", "left"), [
    ("u", ["c", "d", "tombstone"]), ("d", ["c", "u"]), ("u,d", ["c"]),
])
def test_skipped_operations_give_no_events(database: SourceDatabase, skipped: str, left: list[str]) -> None:
    with running(database, {"skipped.operations": skipped}) as reading:
        insert(database, 1)
        database.execute("UPDATE t SET name = 'b'")
        database.execute("DELETE FROM t")
        assert [event.op for event in reading.changes()] == left


def test_skipped_creates_give_no_events(database: SourceDatabase) -> None:
    with running(database, {"skipped.operations": "c"}) as reading:
        insert(database, 1)
        database.execute("UPDATE t SET name = 'b'")
        database.execute("DELETE FROM t")
        events = reading.until(lambda events: ("tombstone", 1) in brief(events))
    assert brief(events) == [("u", 1), ("d", 1), ("tombstone", 1)]


@pytest.mark.parametrize(("skipped", "ops"), [("t", []), ("none", ["t"])])
def test_a_truncate_comes_when_it_is_not_skipped(database: SourceDatabase, skipped: str, ops: list[str]) -> None:
    with running(database, {"skipped.operations": skipped}) as reading:
        insert(database, 1)
        database.execute("TRUNCATE TABLE t")
        events = reading.changes()[1:]
    assert [event.op for event in events] == ops
    assert all(event.key is None and event.row is None for event in events)


def test_updates_that_change_no_captured_column_may_be_skipped(database: SourceDatabase) -> None:
    options = {"skip.messages.without.change": "true", "column.exclude.list": f"{database.schema}.t.hidden"}
    with running(database, options) as reading:
        insert(database, 1)
        database.execute("UPDATE t SET hidden = 'i'")
        database.execute("UPDATE t SET name = 'b'")
        events = reading.changes()
        assert brief(events) == [("c", 1), ("u", 1)]
        assert events[1].row == {"id": 1, "name": "b"}
        assert reading.source.metrics()["cdc_events_filtered_total"] == 1


# -- metrics -----------------------------------------------------------------------------------------------------------


def test_metrics_have_names_of_the_catalogue_from_the_first_to_the_last(database: SourceDatabase) -> None:

    def check(source: Source) -> None:
        for name, value in source.metrics().items():
            assert name in NUMBERS
            assert isinstance(value, int | float)

    source = make_source({**database.configuration(), **INITIAL, "max.batch.size": "1"})
    check(source)
    insert(database, 1, 2)
    source.start(None)
    check(source)
    reading = Reading(source, database)
    reading.first()
    check(source)
    reading.to_stream()
    check(source)
    source.stop()
    check(source)


def test_batches_count_the_changes_of_each_table(database: SourceDatabase) -> None:
    with running(database) as reading:
        insert(database, 1, 2, 3)
        database.execute("UPDATE t SET name = 'b' WHERE id < 3")
        database.execute("DELETE FROM t WHERE id = 1")
        reading.changes()
    table = f"{database.schema}.t"
    assert reading.counts == Counter({(table, "c"): 4, (table, "u"): 2, (table, "d"): 1})


def test_transactions_are_counted(database: SourceDatabase) -> None:
    with running(database) as reading:
        reading.changes()
        before = reading.source.metrics()["cdc_transactions_total"]
        insert(database, 1, 2, 3)
        database.transaction("INSERT INTO t VALUES (4, 'a', 'h')", "DELETE FROM t WHERE id = 1")
        insert(database, 5)
        reading.changes()
        wait_until(lambda: not reading.batch(0.1), 20, "the stream to be quiet")
        assert reading.source.metrics()["cdc_transactions_total"] == before + 4


def test_a_snapshot_tells_how_many_tables_are_left(database: SourceDatabase) -> None:
    for table in ("u", "v"):
        database.create(table, COLUMNS)
        database.execute(f"INSERT INTO {table} VALUES (1, 'a', 'h'), (2, 'a', 'h')")
    insert(database, 1, 2)
    with running(database, {**INITIAL, "max.batch.size": "1"}) as reading:
        numbers = reading.source.metrics()
        assert numbers["cdc_snapshot_tables"] == 3
        left = [numbers["cdc_snapshot_tables_remaining"]]
        while reading.source.state() == "snapshotting":
            reading.batch()
            numbers = reading.source.metrics()
            if "cdc_snapshot_tables_remaining" in numbers:
                left.append(numbers["cdc_snapshot_tables_remaining"])
        assert numbers["cdc_events_filtered_total"] == 0
    assert left == sorted(left, reverse=True)
    assert left[0] == 3
    assert {2, 1} <= set(left)
