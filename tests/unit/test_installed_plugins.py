"""Plugins of other packages, which entry points offer: tests/unit/example_package is one."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from cdc import plugins
from cdc.cli.main import main
from cdc.core.errors import ConfigError
from cdc.core.interfaces import SinkSettings
from tests.unit.converters.tables import NOW_US
from tests.unit.transforms.worlds import change, converter, kept, message, one_step, problems

PACKAGE = Path(__file__).parent / "example_package"
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(PACKAGE))
    plugins.installed.cache_clear()
    yield
    plugins.installed.cache_clear()
    sys.modules.pop("acme_cdc", None)


def test_a_transform_and_a_predicate_are_named_by_the_old_java_class() -> None:
    config = one_step("com.acme.kafka.Label", header="how") | {
        "predicates": "k", "predicates.k.type": "HasKey", "transforms.x.predicate": "k"}
    view = kept(config, change())
    assert [(header.name, header.value) for header in view.headers] == [("ctx", "mysql"), ("how", "c")]
    assert list(converter().convert([view], NOW_US)[0].headers) == [("ctx", b"mysql"), ("how", b"c")]
    assert kept(config, message("x")).headers == []


def test_its_options_are_checked_with_ours() -> None:
    assert list(problems(one_step("Label"))) == ["transforms.x.header"]


def test_a_post_processor_comes_before_all_transforms_and_sees_changes_of_rows_only() -> None:
    config = one_step("com.acme.kafka.Label", header="how") | {
        "post.processors": "s", "s.type": "com.acme.kafka.Stamp", "s.text": "x"}
    assert [header.name for header in kept(config, change()).headers][-2:] == ["stamp", "how"]
    assert [header.name for header in kept({"post.processors": "s", "s.type": "Stamp"}, message("x")).headers] == []


def test_a_post_processor_that_asks_the_database_comes_first() -> None:
    config = {"post.processors": "s,r", "post.processors.s.type": "Stamp", "s.type": "not used",
              "r.type": "io.debezium.processors.reselect.ReselectColumnsPostProcessor"}
    assert problems(config) == {"post.processors": "r comes after s, but it needs events that no other post-processor"
                                                   " has changed."}
    assert problems({**config, "post.processors": "r,s"}) == {}


def test_its_options_are_described(capsys: pytest.CaptureFixture[str]) -> None:
    for name, code, says in (("Isbn", 0, "schema.name"), ("com.acme.kafka.Label", 0, "header"),
                             ("Stamp", 2, "no list of options"), ("Stmp", 2, "Did you mean com.acme.kafka.Stamp?")):
        with pytest.raises(SystemExit) as ended:
            main(["plugins", "describe", name])
        captured = capsys.readouterr()
        assert (ended.value.code, says in captured.out + captured.err) == (code, True), captured


def test_a_post_processor_in_java_is_an_error_that_says_what_to_do() -> None:
    assert list(problems({"post.processors": "r", "r.type": "org.other.Cleaner"})) == ["r.type"]
    with pytest.raises(ConfigError) as caught:
        plugins.find("post processor", "org.other.Cleaner", option="r.type")
    assert "Write it in Python" in caught.value.hint


def test_a_converter_and_a_sink_are_found_and_listed() -> None:
    made = plugins.find("converter", "hex").load()()
    assert made.from_connect("t", None, "ab") == b"6162"
    assert "acme" in plugins.worker_options()["sink.type"].one_of
    sink = plugins.find("sink", "acme").load()(SinkSettings({}, {}, {}, {}, made))
    assert sink.flush(0) == 0
    assert plugins.find("transform", "label") in plugins.available("transform")


def test_a_package_that_does_not_load_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        value = "acme_broken:PLUGINS"

        def load(self) -> Any:
            raise ImportError("no module named acme_broken")

    monkeypatch.setattr(metadata, "entry_points", lambda group: [Broken()])
    plugins.installed.cache_clear()
    with pytest.raises(ConfigError, match=r"acme_broken:PLUGINS cannot be loaded: ImportError"):
        plugins.find("transform", "Label")


def test_packages_in_an_archive_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tmp_path / "packages.zip"
    with zipfile.ZipFile(archive, "w") as written:
        for file in PACKAGE.rglob("*"):
            if file.is_file() and "__pycache__" not in file.parts:
                written.write(file, file.relative_to(PACKAGE))
    monkeypatch.setattr(sys, "path", [str(archive), *(each for each in sys.path if each != str(PACKAGE))])
    assert plugins.find("transform", "label") in plugins.available("transform")


def test_without_such_packages_their_list_is_not_loaded(tmp_path: Path) -> None:
    """It takes longer than all that asks for it: `importlib.metadata`."""
    script = ("import sys; from cdc import plugins; print(plugins.installed(), 'importlib.metadata' in sys.modules)")
    done = subprocess.run([sys.executable, "-S", "-c", script], capture_output=True, text=True, cwd=tmp_path,
                          env={"PYTHONPATH": str(ROOT)})
    assert done.stdout.split() == ["()", "False"], done.stderr
