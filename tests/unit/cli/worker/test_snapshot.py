"""`cdc snapshot` against a worker whose source acts on signals."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cdc import plugins
from cdc.cli.main import main
from cdc.cli.worker import progress
from cdc.cli.worker.progress import Screen, became, follow, share_of
from cdc.cli.worker.snapshot_state import Snapshot, copying, find
from cdc.cli.worker.table_names import Chosen, matches
from cdc.client.errors import NotReadyError
from tests.servers.process import wait_until

from . import copying_source
from .live import FILE, Shell, running, shell, written  # noqa: F401

COPYING = {**FILE, "connector.class": "CopyingSource"}


@pytest.fixture
def shop(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:  # noqa: F811
    monkeypatch.setattr(plugins, "installed", lambda: (copying_source.PLUGIN,))
    monkeypatch.setattr(progress, "_POLL_S", 0.01)
    copying_source.taken.clear()
    copying_source.held.clear()
    assert shell("apply", "-f", written(tmp_path, "shop", COPYING)).code == 0
    wait_until(lambda: bool(shell("offsets", "export").out), 20, "the first offset")
    yield shell
    copying_source.held.clear()


def collections() -> list[str]:
    found: list[str] = copying_source.taken[-1].data["data-collections"]
    return found


def test_a_table_is_copied_by_a_name_in_any_case(shop: Shell) -> None:
    found = shop("snapshot", "--table", "CUSTOMERS", "--table", "Public.Orders", "--where", "id > 5")
    assert found.code == 0, found.err
    assert "CUSTOMERS is public.Customers of connector shop." in found.err
    lines = found.out.splitlines()
    assert "public.Customers: copied, 1,000 rows" in lines
    assert lines[-1].startswith("The snapshot is complete: 2,000 rows in ")
    assert copying_source.taken[-1].data == {
        "type": "incremental", "data-collections": ["public.Customers", "public.orders"],
        "additional-conditions": [{"data-collection": "public.Customers", "filter": "id > 5"},
                                  {"data-collection": "public.orders", "filter": "id > 5"}]}


def test_names_that_are_unknown_or_ambiguous_list_the_candidates(shop: Shell) -> None:
    for name, code, says in (
            ("ORDERS", 2, "ORDERS is ambiguous: public.orders, sales.orders."),
            ("custmers", 4, "There is no table custmers. Did you mean public.Customers?"),
            ("xyz", 4, "Captured are public.Customers, public.bare, public.orders, sales.orders."),
            ("AUDIT", 4, "public.audit exists, but connector shop does not capture it. Add it to table.include.list")):
        found = shop("snapshot", "--table", name)
        assert (found.code, says in found.err.replace("\n", " ")) == (code, True), found.err
    assert copying_source.taken == []
    assert shop("snapshot").code == 2
    assert shop("snapshot", "--table", "bare", "status").code == 2
    assert shop("snapshot", "--table", "bare", "--connector", "none").code == 4


def test_a_table_that_cannot_be_read_is_exit_code_1(shop: Shell) -> None:
    found = shop("snapshot", "--table", "bare")
    assert found.code == 1
    assert "public.bare: not copied, because it has no key, 0 rows" in found.out
    assert "has ended, and not all tables could be read" in found.out


def test_progress_as_json_lines(shop: Shell) -> None:
    found = shop("snapshot", "--table", "sales.orders", "--json")
    rows = [json.loads(line) for line in found.out.splitlines()]
    assert [(each["state"], each["rows"]) for each in rows] == [
        ("running", 500), ("running", 1000), ("running", 1000), ("completed", 1000)]
    assert rows[-1]["tables"][0]["estimated_rows"] == 2000
    assert (rows[-1]["connector"], rows[-1]["tables"][0]["state"], found.err) == ("shop", "done", "")


def test_without_waiting_and_without_doing(shop: Shell) -> None:
    dry = shop("snapshot", "--table", "sales.orders", "--dry-run")
    assert dry.json["signal"]["data"]["data-collections"] == ["sales.orders"]
    assert copying_source.taken == []
    found = shop("snapshot", "--table", "sales.orders", "--no-wait", "--json")
    assert found.json == {"connector": "shop", "id": copying_source.taken[-1].id}


def test_the_stream_can_wait_for_a_snapshot_with_a_select_of_its_own(shop: Shell) -> None:
    signal = shop("snapshot", "--table", "bare", "--blocking", "--select", "SELECT 1", "--dry-run").json["signal"]
    assert signal["data"] == {"type": "blocking", "data-collections": ["public.bare"], "additional-conditions": [
        {"data-collection": "public.bare", "filter": "SELECT 1"}]}
    assert "filter" not in str(shop("snapshot", "--table", "bare", "--blocking", "--dry-run").json)
    for wrong in (("--blocking", "--where", "x"), ("--select", "SELECT 1"),
                  ("--blocking", "--select", "SELECT 1", "--table", "sales.orders")):
        assert shop("snapshot", "--table", "bare", *wrong).code == 2


def test_a_snapshot_is_shown_paused_resumed_and_cancelled(shop: Shell) -> None:
    assert "No snapshot runs." in shop("snapshot", "status").err
    found = shop("snapshot", "pause")
    assert (found.code, "A blocking one cannot be paused, but cancelled." in " ".join(found.err.split())) == (4, True)
    copying_source.held.append(True)
    shop("snapshot", "--table", "sales.orders", "--no-wait")
    assert shop("snapshot", "status").out.splitlines()[1].split() == [
        "shop", "incremental", "running", "sales.orders", "waiting", "0", "1000"]
    assert shop("snapshot", "pause", "--dry-run").out == "shop: would be paused\n"
    assert shop("snapshot", "pause").out == "shop: paused\n"
    assert shop("snapshot", "status", "-o", "json").json[0]["state"] == "paused"
    assert shop("snapshot", "pause").code == 4
    assert shop("snapshot", "resume").out == "shop: resumed\n"
    assert shop("snapshot", "cancel", "--connector", "shop").out == "shop: cancelled\n"
    assert shop("snapshot", "status", "-o", "json").json[0]["state"] == "stopped"
    assert [each.type for each in copying_source.taken] == [
        "execute-snapshot", "pause-snapshot", "resume-snapshot", "stop-snapshot"]


def test_a_blocking_snapshot_is_cancelled(shop: Shell) -> None:
    copying_source.held.append(True)
    shop("snapshot", "--table", "bare", "--blocking", "--no-wait")
    assert shop("snapshot", "pause").code == 4
    assert shop("snapshot", "cancel").out == "shop: cancelled\n"
    assert copying_source.taken[-1].data == {"type": "blocking"}
    assert shop("snapshot", "status", "-o", "json").json[0]["state"] == "stopped"
    assert shop("snapshot", "cancel").code == 4


def test_ctrl_c_leaves_it_running_and_says_so(shop: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    copying_source.held.append(True)

    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(progress, "time", SimpleNamespace(sleep=interrupted, monotonic=time.monotonic))
    found = shop("snapshot", "--table", "sales.orders")
    assert found.code == 130
    assert "The snapshot goes on without this command." in found.err
    assert [each.type for each in copying_source.taken] == ["execute-snapshot"]


def test_a_snapshot_that_is_cancelled_meanwhile_ends_with_code_1(shop: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    copying_source.held.append(True)
    cancelled: list[int] = []

    def cancel(_: float) -> None:
        if not cancelled:
            cancelled.append(1)
            with pytest.raises(SystemExit):
                main(["snapshot", "cancel"])

    monkeypatch.setattr(progress, "time", SimpleNamespace(sleep=cancel, monotonic=time.monotonic))
    found = shop("snapshot", "--table", "sales.orders")
    assert found.code == 1
    assert "shop: cancelled" in found.out
    assert found.out.splitlines()[-1].startswith("The snapshot was cancelled: 0 rows in ")


def test_one_of_several_connectors_is_found_by_its_tables(shop: Shell, tmp_path: Path) -> None:
    assert shop("apply", "-f", written(tmp_path, "other", {**COPYING, "topic": "u"})).code == 0
    found = shop("snapshot", "--table", "sales.orders", "--dry-run")
    assert (found.code, "other, shop all capture sales.orders." in found.err) == (2, True)
    assert shop("snapshot", "--table", "sales.orders", "--dry-run", "--connector", "other").json["connector"] == "other"
    assert shop("delete", "other").code == 0


def test_a_stopped_connector_takes_no_signal(shop: Shell) -> None:
    shop("stop", "shop", "--wait", "20")
    assert shop("snapshot", "--table", "sales.orders").code == 5


def test_names_are_completed(shop: Shell) -> None:
    from .. import test_help

    assert test_help.completed("snapshot", "--table", "sal") == ["sales.orders"]
    assert test_help.completed("snapshot", "status", "--connector", "") == ["shop"]


@pytest.mark.parametrize(("name", "found"), [
    ("a.T", ["a.T"]), ("T", ["a.T"]), ("t", ["a.t"]), ("A.t", ["a.T", "a.t"]), ("u", ["b.u", "c.u"]), ("x", []),
    ("b.v", ["b.v"]), ("d.v", ["d.v"]), ("V", ["b.v", "d.v", "e.d.v"]), ("D.V", ["d.v"]),
])
def test_names_match_whole_or_by_their_end(name: str, found: list[str]) -> None:
    assert matches(name, ["a.T", "a.t", "b.u", "c.u", "b.v", "d.v", "e.d.v"]) == found


def test_a_name_in_a_signal_means_that_table_only() -> None:
    assert Chosen("c", {}).pattern("public.orders") == "public.orders"
    assert Chosen("c", {}).pattern("public.a$b c") == r"public.a\$b\ c"
    assert Chosen("c", {}).pattern("public.a.b") == r"public\.a\.b", "not a_b, too"
    assert Chosen("c", {}).pattern("public.a ") == r"(?-i:public.a\ )", "a channel may take spaces at the end away"
    assert Chosen("c", {}, frozenset({"public.T"})).pattern("public.T") == "(?-i:public.T)"


def copy(name: str, state: str, rows: int = 0, **more: Any) -> dict[str, Any]:
    return {"name": name, "state": state, "rows": rows, "estimated_rows": None, "current_key": None,
            "maximum_key": None, **more}


def test_the_bar_shows_rate_share_and_time_left(monkeypatch: pytest.MonkeyPatch,
                                                capsys: pytest.CaptureFixture[str]) -> None:
    clock = iter([0.0, 0.0, 10.0, 20.0, 20.0])
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    screen = Screen(live=True, as_json=False, connector="shop")
    for rows in (0, 250, 500):
        tables = [copy("a.t", "done", 7), copy("a.u", "running", rows, current_key=str(rows), maximum_key="1000"),
                  copy("a.v", "waiting")]
        screen.show(Snapshot("1", "running", tables))
    out = capsys.readouterr().out
    assert out.count("a.t: copied, 7 rows\n") == 1
    assert out.endswith("a.u  table 2 of 3  [##########..........]  50%  500 rows  25 rows/s  0:20 left")


@pytest.mark.parametrize(("columns", "live", "text"), [
    (100, True, "sales.order_positions  table 1 of 2  [##########..........]  50%  500 rows  25 rows/s  0:20 left"),
    (90, True, "sales.order_positions  table 1 of 2  [#####.....]  50%  500 rows  25 rows/s  0:20 left"),
    (80, True, "sales.order_positions  1/2  [#####.....]  50%  500 rows  25 rows/s  0:20 left"),
    (70, True, "sales.order_positions  1/2  50%  500 rows  25 rows/s  0:20 left"),
    (60, True, "….order_positions  1/2  50%  500 rows  25 rows/s  0:20 left"),
    (40, False, "sales.order_positions  table 1 of 2  50%  500 rows  25 rows/s  0:20 left\n"),
])
def test_a_narrow_terminal_has_the_numbers(columns: int, live: bool, text: str, monkeypatch: pytest.MonkeyPatch,
                                           capsys: pytest.CaptureFixture[str]) -> None:
    clock = iter([0.0, 0.0, 20.0])
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    monkeypatch.setenv("COLUMNS", str(columns))
    screen = Screen(live=live, as_json=False, connector="shop")
    for rows in (0, 500):
        screen.show(Snapshot("1", "running", [copy("sales.order_positions", "running", rows, estimated_rows=1000),
                                              copy("a", "waiting")]))
    assert capsys.readouterr().out.rpartition("\x1b[K")[2].endswith(text)
    assert not live or len(text) < columns


def test_the_end_of_a_snapshot_that_is_followed_tells_rows_and_rate(
        monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    clock = iter([0.0, 4.0])
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    screen = Screen(live=False, as_json=False, connector="shop")
    assert screen.end(Snapshot("1", "completed", [copy("a", "done", 1000)])) == 0
    assert capsys.readouterr().out == "The snapshot is complete: 1,000 rows in 4.0 s, 250 rows/s.\n"


def test_how_much_is_read_is_said_only_if_it_is_known() -> None:
    assert share_of(copy("a", "running", 5, estimated_rows=10)) == 0.5
    assert share_of(copy("a", "running", 50, estimated_rows=10)) == 0.99
    assert share_of(copy("a", "running", current_key="3", maximum_key="4")) == 0.75
    assert share_of(copy("a", "running", current_key="x", maximum_key="y")) is None
    assert share_of(copy("a", "running", maximum_key="1,2")) is None
    assert became(copy("a", "ODD_STATE", 3)) == "ODD_STATE, 3 rows"


class Answers:
    """A worker's client: of its answers, those of the two paths that count here."""

    def __init__(self, snapshots: list[Any], told: list[Any]) -> None:
        self.answers = {"snapshots": {"snapshots": snapshots}, "notifications": {"notifications": told}}

    def get(self, *path: str) -> Any:
        return self.answers[path[-1]]


def snapshot(id: str, state: str, *tables: Any) -> dict[str, Any]:
    return {"id": id, "kind": "incremental", "state": state, "tables": list(tables)}


def test_a_request_that_another_snapshot_took_with_it_has_ended_with_that_one() -> None:
    """The table was being copied when it was asked for, and that copy has ended before the first look."""
    going = snapshot("1", "running", copy("a", "done"), copy("b", "running"))
    client: Any = Answers([going, snapshot("0", "completed", copy("a", "done"))], [])
    assert copying(client, "shop", ["b"]) == ["1"]
    assert copying(client, "shop", ["a"]) == []
    done = snapshot("1", "completed", copy("a", "done"), copy("b", "done", 5))
    of_notifications = [
        {"id": "1", "type": "TABLE_SCAN_COMPLETED", "additional_data": {
            "scanned_collection": "b", "status": "SUCCEEDED", "total_rows_scanned": "5"}},
        {"id": "1", "type": "COMPLETED", "additional_data": {}}]
    for client in (Answers([done], []), Answers([], of_notifications)):
        assert find(client, "shop", "2", ["b"], seen=False) is None
        found = find(client, "shop", "2", ["b"], seen=False, others=["1"])
        assert found is not None
        assert (found.id, found.state, found.rows) == ("1", "completed", 5)


class Looks:
    """A worker's client that has a list of snapshots for each look, and the last one for all looks after it."""

    def __init__(self, *looks: list[Any]) -> None:
        self.looks = list(looks)

    def get(self, *path: str) -> Any:
        if path[-1] == "notifications":
            return {"notifications": []}
        return {"snapshots": self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each pause is a second long, and nobody waits."""
    now = [0.0]

    def sleep(_seconds: float) -> None:
        now[0] += 1

    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: now[0], sleep=sleep))


def test_the_snapshot_that_has_the_request_is_followed_to_its_end(
        clock: None, capsys: pytest.CaptureFixture[str]) -> None:
    """However long it takes: the request's own id never comes."""
    going = [snapshot("1", "running", copy("a", "running", rows)) for rows in range(40)]
    client: Any = Looks(*([each] for each in going), [snapshot("1", "completed", copy("a", "done", 50))])
    assert follow(client, "shop", "2", ["a"], as_json=True) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(each["id"], each["state"], each["rows"]) for each in lines[-2:]] == [
        ("1", "running", 39), ("1", "completed", 50)]


def test_the_end_of_another_snapshot_is_not_the_end_of_the_request(
        clock: None, capsys: pytest.CaptureFixture[str]) -> None:
    """The task had not read the signal at the first look; the request has a condition of its own."""
    over = snapshot("1", "completed", copy("a", "done", 9))
    client: Any = Looks(
        [snapshot("1", "running", copy("a", "running", 8))], [over],
        [over, snapshot("2", "running", copy("a", "running", 1))], [snapshot("2", "completed", copy("a", "done", 3))])
    assert follow(client, "shop", "2", ["a"], as_json=True) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["rows"] == 3


@pytest.mark.parametrize(("looks", "said"), [
    ([[]], "took the signal, but has not begun a snapshot within 20 s"),
    ([[snapshot("2", "running", copy("a", "running"))], []], "has said nothing of the snapshot for 20 s"),
])
def test_a_snapshot_that_is_not_heard_of_is_no_success(
        clock: None, looks: list[list[Any]], said: str) -> None:
    client: Any = Looks(*looks)
    with pytest.raises(NotReadyError, match=said):
        follow(client, "shop", "2", ["a"], as_json=True)
