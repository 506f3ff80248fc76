"""`cdc snapshot --direct`: what it takes, where rows and progress go, and what it says when it ends."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import click
import pytest
from click.shell_completion import ShellComplete
from structlog.testing import capture_logs

from cdc import plugins
from cdc.cli import direct as command
from cdc.cli.main import cli, main
from cdc.core.control import TableCopy
from cdc.direct import Copy
from cdc.sinks.kafka import KafkaSink
from cdc.sources.snapshot.progress import Progress
from cdc.stores.file_offsets import FileOffsetStore
from cdc.stores.memory_offsets import MemoryOffsetStore
from tests.servers.process import wait_until
from tests.unit.rest.file_source import PLUGIN as OTHER

from . import once_source
from .once_source import ROWS


class Ended(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """Standard error, on one line."""
        return " ".join(self.err.split())


Shell = Callable[..., Ended]


@pytest.fixture(name="shell")
def shell_fixture(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
                  tmp_path: Path) -> Iterator[Shell]:
    """`cdc snapshot --direct` with a connector `shop`, whose worker's sink is standard output."""
    monkeypatch.setattr(plugins, "installed", lambda: (once_source.PLUGIN, OTHER))
    monkeypatch.setattr(command, "_POLL_S", 0.01)
    monkeypatch.chdir(tmp_path)
    state: list[list[Any]] = [once_source.asked, once_source.threads, once_source.holds, once_source.breaks,
                              once_source.reading]
    for each in state:
        each.clear()
    (tmp_path / "w.properties").write_text(
        "sink.type=stdout\noffset.storage.file.filename=offsets\nkey.converter=json\nvalue.converter=json\n"
        "key.converter.schemas.enable=false\nvalue.converter.schemas.enable=false\nbootstrap.servers=127.0.0.1:1\n")
    (tmp_path / "shop.properties").write_text(
        "name=shop\nconnector.class=OnceSource\ntopic=t\nfile=in\n")

    def run(*arguments: str) -> Ended:
        capfd.readouterr()
        with capture_logs(), pytest.raises(SystemExit) as ended:  # log lines would stand between the records
            main(["snapshot", "--direct", *(() if "-h" in arguments else ("w.properties", "shop.properties")),
                  *arguments])
        captured = capfd.readouterr()
        return Ended(int(ended.value.code or 0), captured.out, captured.err)

    yield run
    for each in state:
        each.clear()


def topics(text: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for line in text.splitlines():
        topic = json.loads(line)["topic"]
        found[topic] = found.get(topic, 0) + 1
    return found


def test_a_table_goes_to_the_configured_sink_by_a_name_in_any_case(shell: Shell) -> None:
    found = shell("--table", "CUSTOMERS", "--where", "id > 5", "--threads", "3")
    assert found.code == 0, found.err
    assert topics(found.out) == {"f.public.Customers": ROWS}, "standard output has the rows, and nothing else"
    assert "CUSTOMERS is public.Customers of connector shop." in found.err
    assert "public.Customers: copied, 1,000 rows\n" in found.err
    assert found.err.splitlines()[-1].startswith("The snapshot is complete: 1,000 rows in ")
    assert once_source.asked == [{"public.Customers": "id > 5"}]
    assert once_source.threads == ["3"]
    assert not Path("offsets").exists(), "the offsets of a service are not touched"


def test_without_names_all_captured_tables_are_copied(shell: Shell) -> None:
    found = shell("--to", "rows.jsonl")
    assert found.code == 0, found.err
    assert topics(Path("rows.jsonl").read_text()) == {
        f"f.{name}": ROWS for name in ("public.Customers", "public.orders", "sales.orders")}
    lines = found.out.splitlines()
    assert "public.empty: copied, 0 rows" in lines
    assert lines[-1].startswith("The snapshot is complete: 3,000 rows in ")
    assert once_source.asked == [dict.fromkeys(once_source.CAPTURED)]


def test_names_that_are_unknown_or_ambiguous_list_the_candidates(shell: Shell) -> None:
    for name, code, says in (
            ("ORDERS", 2, "ORDERS is ambiguous: public.orders, sales.orders."),
            ("custmers", 4, "There is no table custmers. Did you mean public.Customers?"),
            ("AUDIT", 4, "public.audit exists, but connector shop does not capture it. Add it to table.include.list in"
                         " the file.")):
        found = shell("--table", name)
        assert (found.code, says in found.said) == (code, True), found.err
    assert shell("--where", "id > 5").code == 2
    assert shell("--table", "empty", "--threads", "0").code == 2
    assert shell("--table", "empty", "--connector", "none").code == 4
    assert once_source.asked == []


def test_progress_as_json_lines_ends_with_what_was_delivered(shell: Shell) -> None:
    found = shell("--table", "sales.orders", "--table", "empty", "--to", "rows.jsonl", "--json")
    assert (found.code, found.err) == (0, "")
    last = json.loads(found.out.splitlines()[-1])
    assert (last["connector"], last["state"], last["rows"]) == ("shop", "completed", ROWS)
    assert [(each["name"], each["state"], each["rows"], each["estimated_rows"]) for each in last["tables"]] == [
        ("sales.orders", "done", ROWS, 2000), ("public.empty", "done", 0, 2000)]
    to_stdout = shell("--table", "sales.orders", "--json")
    assert topics(to_stdout.out) == {"f.sales.orders": ROWS}
    assert json.loads(to_stdout.err.splitlines()[-1])["state"] == "completed"


def test_a_dry_run_shows_tables_and_estimates_and_reads_nothing(shell: Shell) -> None:
    found = shell("--table", "sales.orders", "--table", "empty", "--where", "id > 5", "--dry-run")
    assert found.code == 0
    assert found.out.splitlines() == ["TABLE         ROWS", "sales.orders  ~2,000", "public.empty  ?",
                                      "Only rows with id > 5",
                                      "Nothing was read. The rows would go to standard output."]
    shown = json.loads(shell("--dry-run", "--json", "--to", "x.jsonl").out)
    assert shown == {"connector": "shop", "target": "x.jsonl", "where": None, "tables": [
        {"name": name, "estimated_rows": 2000 if name == "sales.orders" else None} for name in once_source.CAPTURED]}
    assert once_source.asked == []
    assert not Path("x.jsonl").exists()


def test_a_file_with_something_is_left_as_it_is(shell: Shell, tmp_path: Path) -> None:
    Path("full.jsonl").write_text("{}\n")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "t-0001.avro").write_bytes(b"Obj")
    for place in ("full.jsonl", "folder"):
        found = shell("--table", "empty", "--to", place)
        assert (found.code, f"{place} has something already" in found.said) == (5, True)
    assert shell("--table", "empty", "--to", "").code == 2, "it is not the present folder"
    found = shell("--table", "empty", "--to", "new/")
    assert (found.code, "needs Avro converters" in found.said) == (2, True)
    assert Path("full.jsonl").read_text() == "{}\n"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 1)])
def test_a_copy_that_is_ended_claims_only_what_was_delivered_whole(shell: Shell, number: signal.Signals,
                                                                   code: int) -> None:
    once_source.holds.append("public.orders")

    def end() -> None:
        wait_until(lambda: Path("rows.jsonl").exists() and "f.public.orders" in Path("rows.jsonl").read_text(), 20,
                   "the first rows of the second table")
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=end)
    thread.start()
    found = shell("--table", "Customers", "--table", "public.orders", "--table", "sales.orders", "--to", "rows.jsonl")
    thread.join()
    assert found.code == code, found.err
    assert ("The copy is not complete. Delivered whole: public.Customers. Only in part: public.orders, 500 rows at"
            " most. rows.jsonl holds no more than that.") in found.said
    assert "is complete:" not in found.out
    assert topics(Path("rows.jsonl").read_text()) == {"f.public.Customers": ROWS, "f.public.orders": ROWS // 2}


def test_a_lost_server_is_an_error_and_what_was_delivered_is_told(shell: Shell) -> None:
    once_source.breaks.append("public.orders")
    found = shell("--table", "Customers", "--table", "public.orders", "--to", "rows.jsonl", "--json")
    assert found.code == 1
    assert "Delivered whole: public.Customers. Only in part: public.orders" in found.said
    assert found.err.splitlines()[-1] == "cdc: The connection to the server is lost."
    assert json.loads(found.out.splitlines()[-1])["state"] == "failed"


def test_rows_are_not_sent_to_kafka_beside_a_service(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """What can be seen of it: the lock of its offsets, and who reads the log."""
    once_source.reading.append("the replication slot s is in use")
    kafka = ("--table", "Customers", "--set", "sink.type=kafka")
    found = shell(*kafka)
    assert found.code == 5
    assert "Connector shop runs: the replication slot s is in use." in found.said
    assert "Ask the service, which keeps the order: cdc snapshot --table public.Customers." in found.said
    found = shell(*kafka, "--where", "id > 5")
    assert "cdc snapshot --table public.Customers --where 'id > 5'. Or stop it" in found.said, "no more rows than these"
    once_source.reading.clear()

    store = FileOffsetStore("offsets")
    store.start()
    store.hold("shop", {"server": "f"})
    try:
        before = Path("offsets").read_bytes()
        found = shell(*kafka)
        assert found.code == 5
        assert f"Connector shop runs: process {os.getpid()} on host" in found.said
        assert Path("offsets").read_bytes() == before
        assert shell("--table", "Customers").code == 0, "there is no order to keep on standard output"
        built: list[KafkaSink] = []

        def start(sink: KafkaSink) -> None:
            built.append(sink)
            raise RuntimeError("no Kafka here")

        monkeypatch.setattr(KafkaSink, "start", start)
        found = shell(*kafka, "--beside-service", "--set", "sink.kafka.fencing=on")
    except RuntimeError:
        assert built[0]._fenced_client is None, "it would end the producer of the service"
    finally:
        store.close()
    assert built


def test_another_sink_that_a_service_writes_to_is_no_place_for_rows_either(shell: Shell) -> None:
    """Its file would have an older row behind a newer change."""
    once_source.reading.append("the replication slot s is in use")
    own = ("--table", "Customers", "--set", "sink.type=file", "--set", "sink.file.path=events.jsonl")
    found = shell(*own)
    assert (found.code, "Connector shop runs: the replication slot s is in use." in found.said) == (5, True)
    assert not Path("events.jsonl").exists()
    Path("events.jsonl").write_text('{"topic":"before"}\n')
    found = shell(*own, "--beside-service")
    assert found.code == 0, found.err
    assert "To events.jsonl. While a service sends changes" in found.said
    assert topics(Path("events.jsonl").read_text()) == {"before": 1, "f.public.Customers": ROWS}
    once_source.breaks.append("public.orders")
    found = shell("--table", "public.orders", *own[2:], "--beside-service")
    assert "Only in part: public.orders" in found.said
    assert "holds no more than that" not in found.said, "it has the service's changes too"


def test_records_that_were_left_out_are_told_and_are_no_success(shell: Shell) -> None:
    found = shell("--table", "sales.orders", "--to", "rows.jsonl", "--set", "errors.tolerance=all",
                  "--set", "transforms=k", "--set", "transforms.k.type=org.apache.kafka.connect.transforms.ValueToKey",
                  "--set", "transforms.k.fields=id")
    assert (found.code, f"But {ROWS:,} records were left out" in found.said) == (1, True), found.err
    assert Path("rows.jsonl").read_text() == ""


def test_classes_without_tables_are_refused(shell: Shell, tmp_path: Path) -> None:
    found = shell("--set", "connector.class=FileStreamSource")
    assert (found.code, "cannot be copied directly" in found.said) == (2, True)
    (tmp_path / "more.properties").write_text("name=more\nconnector.class=FileStreamSource\ntopic=t\nfile=in\n")
    found = shell("more.properties", "--table", "sales.orders", "--dry-run", "--json")
    assert json.loads(found.out)["connector"] == "shop"


def test_one_of_several_connectors_is_named(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "more.properties").write_text("name=more\nconnector.class=OnceSource\ntopic=t\nfile=in\n")
    found = shell("more.properties", "--dry-run")
    assert (found.code, "There are several connectors: more, shop." in found.said) == (2, True)
    assert json.loads(shell("more.properties", "--dry-run", "--json", "--connector", "more").out)["connector"] == "more"


def test_the_help_says_what_it_does_and_leaves_alone(shell: Shell) -> None:
    found = shell("-h")
    assert found.code == 0
    assert found.out.startswith("Usage: cdc snapshot --direct [OPTIONS] FILE…")
    for part in ("--beside-service", "op `r`", "no defined order", "cdc snapshot --direct shop.properties"):
        assert part in found.out
    assert max(map(len, found.out.splitlines())) <= 100
    words = ShellComplete(cli, {}, "cdc", "_CDC_COMPLETE").get_completions(["snapshot", "--direct"], "--thr")
    assert [each.value for each in words] == ["--threads"]
    group = cli.get_command(click.Context(cli), "snapshot")
    assert group is not None
    assert "cdc snapshot --direct shop.properties" in group.get_help(click.Context(group, info_name="cdc snapshot"))


def test_a_table_counts_as_copied_when_its_rows_are_delivered() -> None:
    """Not when they were read."""
    source: Any = once_source.OnceSource(once_source.parse({"topic": "t", "file": "f"})[0])
    source.tables = [TableCopy("a", "done", 5), TableCopy("b", "done"), TableCopy("c", "waiting")]
    task: Any = SimpleNamespace(parts=SimpleNamespace(source=source))
    store = MemoryOffsetStore()
    copy = Copy("shop", task, store, threading.Event())
    copy._thread = threading.current_thread()  # it runs
    assert states(copy) == ["running", "done", "waiting"]
    store.commit("shop", source.partition(), Progress().after_table("a").offset())
    assert states(copy) == ["done", "done", "waiting"]


def states(copy: Copy) -> list[str]:
    found = copy.look()
    assert found is not None
    return [each.state for each in found.tables]
