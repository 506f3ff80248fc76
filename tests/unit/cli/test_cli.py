"""cdc/cli: what a person at a shell sees."""

from __future__ import annotations

import json
import subprocess
import sys
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from cdc import about
from cdc.cli.main import main
from cdc.cli.output import explain
from cdc.cli.tail import pipeline
from cdc.cli.tail.printer import Dropped, Event
from cdc.core.errors import CdcError, ConfigError, SourceRefusedError

HEAVY = ("psycopg", "confluent_kafka", "rich", "starlette", "structlog", "prometheus_client", "fastavro", "yaml",
         "uvicorn", "msgspec", "asyncio", "json", "http.client")


class Ended(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def cdc(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr("cdc.log.configure", lambda *_: None)

    def run(*arguments: str) -> Ended:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        captured = capsys.readouterr()
        return Ended(int(ended.value.code or 0), captured.out, captured.err)

    return run


def stand_in(monkeypatch: pytest.MonkeyPatch, name: str, **members: Any) -> None:
    """A module of the given name, which another part of the package provides."""
    module = types.ModuleType(name)
    for member, value in members.items():
        setattr(module, member, value)
    monkeypatch.setitem(sys.modules, name, module)
    package, _, last = name.rpartition(".")
    monkeypatch.setattr(sys.modules[package], last, module, raising=False)


@pytest.mark.parametrize("arguments", [
    ["--help"], ["run", "--help"], ["version"], ["--version"], ["health", "--help"]])
def test_help_and_version_import_nothing_heavy(arguments: list[str]) -> None:
    script = f"""
import sys
from cdc.cli.main import main
try:
    main({arguments!r})
except SystemExit as ended:
    assert not ended.code, ended.code
print("\\n".join(name for name in {HEAVY!r} if name in sys.modules), file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr.split() == []
    assert done.stdout


def test_a_reader_that_has_enough_is_no_failure() -> None:
    script = "import sys; sys.stdin.read(); from cdc.cli.main import main; main(['version'])"
    process = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    process.stdin.close()
    said = process.stderr.read()
    process.stderr.close()
    assert (process.wait(), said) == (0, "")


@pytest.mark.parametrize("arguments", [
    ["nope"], ["--bogus"], ["run"], ["run", "--bogus", "f"], ["tail", "--topic", "t"], ["tail", "u", "--topic", "t"],
    ["tail", "--registry", "http://h"], ["tail", "-n", "x"], ["plugins", "nope"], ["validate"],
])
def test_wrong_usage_exits_2_and_says_so(cdc: Any, arguments: Sequence[str]) -> None:
    ended = cdc(*arguments)
    assert ended.code == 2
    assert "Error: " in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("arguments", [("validate", "--json"), ("config", "explain", "topic.prefix")])
def test_standard_output_has_what_was_asked_for_and_no_lines_of_the_log(arguments: Sequence[str],
                                                                         tmp_path: Path) -> None:
    """In a process of its own: the tests of this one have set up a log."""
    file = tmp_path / "all.properties"
    file.write_text("bootstrap.servers=k:9092\noffset.storage.file.filename=offsets\nname=shop\n"
                    "connector.class=io.debezium.connector.postgresql.PostgresConnector\nno.such.key=1\n")
    done = subprocess.run([sys.executable, "-m", "cdc", *arguments, *([file] if "validate" in arguments else [])],
                          capture_output=True, text=True, check=False)
    assert "kafka_client_chosen" not in done.stdout + done.stderr
    assert done.stderr == ""
    if "--json" in arguments:
        assert {"level", "option", "text"} <= json.loads(done.stdout.splitlines()[0]).keys()


def test_version_says_which_core_runs(cdc: Any) -> None:
    assert cdc("version") == cdc("--version") == (0, f"cdc {about.VERSION} (core: {about.core()})\n", "")
    assert "librdkafka" in cdc("version", "--verbose").out


@pytest.mark.parametrize("code", [0, 1])
def test_run_passes_its_files_on_and_the_exit_code_back(cdc: Any, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    calls: list[Any] = []

    def run_files(files: Sequence[str], strict: bool, flags: Sequence[str]) -> int:
        calls.append((files, strict, flags))
        return code

    stand_in(monkeypatch, "cdc.assembly", run_files=run_files)
    assert cdc("run", "--strict", "a", "b").code == code
    assert cdc("run", "--set", "a=b", "--set", "c:d=e", "a").code == code
    assert calls == [(("a", "b"), True, ()), (("a",), False, ("a=b", "c:d=e"))]


@pytest.mark.parametrize(("error", "code"), [
    (ConfigError("slot.name: bad.", option="slot.name", hint="Use letters."), 2),
    (SourceRefusedError("wal_level is replica.", hint="Use letters.", host="h"), 1),
])
def test_an_expected_error_is_one_paragraph_with_the_fix(cdc: Any, monkeypatch: pytest.MonkeyPatch, error: CdcError,
                                                         code: int) -> None:
    def fail(*_: Any) -> int:
        raise error

    stand_in(monkeypatch, "cdc.assembly", run_files=fail)
    ended = cdc("run", "f")
    assert ended.code == code
    assert ended.err.startswith("cdc: " + error.message)
    assert "Use letters." in ended.err
    assert "Traceback" not in ended.err
    assert len(ended.err.strip().splitlines()) == 1


def test_ctrl_c_is_not_an_error_report(cdc: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> int:
        raise KeyboardInterrupt

    stand_in(monkeypatch, "cdc.assembly", run_files=interrupted)
    ended = cdc("run", "f")
    assert (ended.code, ended.out, ended.err.strip()) == (130, "", "")


def test_a_bug_shows_its_stack_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, "cdc.assembly", run_files=lambda *_: 1 // 0)
    monkeypatch.setattr("cdc.log.configure", lambda *_: None)
    with pytest.raises(ZeroDivisionError):
        main(["run", "f"])


def test_explained_errors_are_wrapped_scrubbed_and_harmless() -> None:
    error = SourceRefusedError("No to postgresql://u:geheim@h/db \x1b[2J", hint="Grant it. " * 20, table="a\x07b")
    text = explain(error, 60)
    assert "geheim" not in text
    assert "\x1b" not in text
    assert "\x07" not in text
    assert all(len(line) <= 60 for line in text.splitlines())


def test_a_list_of_problems_keeps_its_lines() -> None:
    text = explain(ConfigError("f has 2 problems:\n  - a.b: wrong\n  - c: " + "very " * 20 + "wrong"), 60)
    lines = text.splitlines()
    assert lines[:2] == ["cdc: f has 2 problems:", "  - a.b: wrong"]
    assert lines[2].startswith("  - c: very")
    assert lines[3].startswith("    very")


FINDINGS = [
    {"file": "f", "option": "slot.nam", "level": "warning", "text": "unknown key; did you mean slot.name?"},
    {"file": "f", "option": "slot.name", "level": "error", "text": "bad"},
]


def test_validate_lists_findings_and_fails_on_errors_only(cdc: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, "cdc.validate", validate_files=lambda files, strict, flags: FINDINGS)
    ended = cdc("validate", "f")
    assert ended.code == 2
    assert ended.out.splitlines() == ["warning: f: slot.nam: unknown key; did you mean slot.name?",
                                      "error: f: slot.name: bad"]
    assert ended.err == "1 problem\n"
    stand_in(monkeypatch, "cdc.validate", validate_files=lambda files, strict, flags: FINDINGS[:1])
    assert cdc("validate", "f").code == 0
    assert [json.loads(line) for line in cdc("validate", "f", "--json").out.splitlines()] == FINDINGS[:1]


def test_plugins_are_listed_by_all_their_names(cdc: Any) -> None:
    line = next(line for line in cdc("plugins", "list").out.splitlines() if "PostgresConnector" in line)
    assert line.split()[:2] == ["connector", "io.debezium.connector.postgresql.PostgresConnector"]
    assert "(PostgresConnector, Postgres, postgresql" in line
    known = [json.loads(line) for line in cdc("plugins", "list", "--json").out.splitlines()]
    assert {each["class"].rpartition(".")[2]: each["available"] for each in known}["BinaryDataConverter"] is True


@pytest.mark.parametrize("name", ["postgres", "io.debezium.connector.postgresql.PostgresConnector"])
def test_a_connector_describes_its_options(cdc: Any, name: str) -> None:
    assert "slot.name  string, default 'debezium'\n    " in cdc("plugins", "describe", name).out
    found = [json.loads(line) for line in cdc("plugins", "describe", name, "--json").out.splitlines()]
    assert "slot.name" in {each["name"] for each in found}


def test_the_worker_describes_its_options(cdc: Any) -> None:
    assert "\nlisteners  " in cdc("plugins", "describe", "worker").out


@pytest.mark.parametrize(("name", "key"), [
    ("JsonConverter", "schemas.enable"), ("ReselectColumnsPostProcessor", "reselect.null.values"),
    ("io.debezium.connector.mysql.converters.TinyIntOneToBooleanConverter", "length.checker"),
    ("ApicurioAvro", "apicurio.registry.headers.enabled"), ("Cast$Value", "spec"), ("TopicNameMatches", "pattern")])
def test_plugins_of_every_kind_describe_their_options(cdc: Any, name: str, key: str) -> None:
    assert f"{key}  " in cdc("plugins", "describe", name).out
    assert key in [json.loads(line)["name"] for line in cdc("plugins", "describe", name, "--json").out.splitlines()]


def test_all_plugins_of_one_name_are_described(cdc: Any) -> None:
    confluent = "io.confluent.connect.avro.AvroConverter"
    apicurio = "io.apicurio.registry.utils.converter.AvroConverter"
    said = cdc("plugins", "describe", "avroconverter").out
    assert said.startswith("avroconverter is the name of 2 plugins. A configuration means the first of a kind by it")
    first, second = said.index(f"\n{confluent}\n\n"), said.index(f"\n{apicurio}\n\n")
    assert first < said.index("\nschema.registry.url  ") < second < said.index("\napicurio.registry.url  ")
    found = [json.loads(line) for line in cdc("plugins", "describe", "Avro", "--json").out.splitlines()]
    assert {each["plugin"] for each in found if each["name"].endswith("registry.url")} == {confluent, apicurio}
    only = cdc("plugins", "describe", apicurio).out
    assert (apicurio in only, "\nschema.registry.url  " in only) == (False, False)


def test_plugins_of_one_name_with_the_same_options_are_described_once(cdc: Any) -> None:
    said = cdc("plugins", "describe", "ReadToInsertEvent").out
    assert "is the name of" not in said
    assert "It has no options." in cdc("plugins", "describe", "Filter").out


@pytest.mark.parametrize(("name", "says"), [
    ("postgrse", "Did you mean"), ("StringConverter", "no list of options"), ("stdout", "plugins describe worker")])
def test_what_has_no_options_is_explained(cdc: Any, name: str, says: str) -> None:
    ended = cdc("plugins", "describe", name)
    assert ended.code == 2
    assert says in ended.err.replace("\n", " ")


def test_demo_gets_its_own_arguments(cdc: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    got: list[list[str]] = []

    def run_demo(arguments: list[str]) -> int:
        got.append(arguments)
        return 0

    stand_in(monkeypatch, "cdc.demo", main=run_demo)
    assert cdc("demo", "--seconds", "3", "--help").code == 0
    assert got == [["--seconds", "3", "--help"]]


def events(*_: Any, **__: Any) -> Any:
    yield Event("t", {"id": 1}, None)
    yield Dropped(3)
    yield Event("t", {"id": 2}, {"blob": b"\x00\xff"})
    raise AssertionError("read too far")


def test_tail_stops_after_n_events_and_says_what_was_dropped(cdc: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "pipeline_events", events)
    ended = cdc("tail", "-n", "2", "--json")
    assert ended.code == 0
    assert [json.loads(line) for line in ended.out.splitlines()] == [
        {"topic": "t", "key": {"id": 1}, "value": None}, {"topic": "t", "key": {"id": 2}, "value": {"blob": "AP8="}}]
    assert "3 events not shown" in ended.err


def test_tail_of_nothing_says_where_to_look(cdc: Any) -> None:
    ended = cdc("tail", "http://127.0.0.1:1")
    assert ended.code == 1
    assert "rest_listening" in ended.err.replace("\n", " ")
    assert cdc("tail", "ftp://h").code == 2
    assert cdc("tail", "http://h:99999").code == 2


def test_config_upgrade_prints_the_file_and_tells_the_changes(cdc: Any, tmp_path: Path) -> None:
    path = tmp_path / "c.properties"
    path.write_text("connector.class=postgres\n# comment\ndatabase.server.name=${env:A}\n")
    found = cdc("config", "upgrade", str(path))
    assert (found.code, found.out) == (0, "connector.class=postgres\n# comment\ntopic.prefix=${env:A}\n")
    assert "changed: database.server.name: " in found.err
    path.write_text(found.out)
    assert "Nothing to change." in cdc("config", "upgrade", str(path)).err
    path.write_text("connector.class=postgres\ntable.whitelist=a.b\ntable.include.list=a.c\n")
    found = cdc("config", "upgrade", str(path))
    assert found.code == 2
    assert "error: table.whitelist: " in found.err
    path.write_text("bootstrap.servers=k:1\n")
    assert "names no connector.class" in cdc("config", "upgrade", str(path)).err
