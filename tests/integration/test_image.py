"""The steps of `deploy/Dockerfile`, executed without Docker, and what comes out of them, run as its own user."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from cdc import about
from tests import release
from tests.conftest import Database
from tests.integration import dockerfile
from tests.integration.other_user import other_python
from tests.servers.process import free_port, remove_folder, temp_folder, wait_until

ROOT = Path(__file__).parents[2]
IS_ROOT = os.geteuid() == 0


@pytest.fixture(scope="module")
def image() -> Iterator[dockerfile.Build]:
    """Built once. The compiler's work is not done again: the modules of `tests.release` stand in for it.
    """
    root = temp_folder("image")
    root.chmod(0o755)
    tools = root / "tools"
    tools.mkdir()
    (tools / "python").write_text(f'#!/bin/sh\nexec {other_python() if IS_ROOT else sys.executable} "$@"\n')
    (tools / "python").chmod(0o755)
    core = "python" if about.core() == "python" else "compiled"
    build = dockerfile.Build(ROOT, root, {"CORE": core, "VERSION": about.VERSION}, f"{tools}:/usr/bin:/bin")
    first, last = dockerfile.stages(dockerfile.read(ROOT / "deploy" / "Dockerfile"))

    def before_run(text: str) -> None:
        if core == "compiled" and "pip wheel" in text:
            _stand_in_for_the_compiler(root / "src" / "build")

    build.before_run = before_run
    build.run([each for each in first if each.name != "ENV"])  # it only switches pip's cache off
    build.run(last)
    worker = Path(build.below("/etc/cdc/worker.properties"))
    worker.write_text(build.below(worker.read_text()))
    yield build
    remove_folder(root)


def _stand_in_for_the_compiler(target: Path) -> None:
    """First the C, then what is compiled from it: each is newer than what it is made of, Cython's own files too."""
    compiled = release.modules()
    shutil.copytree(ROOT / "build" / "cython", target / "cython", copy_function=shutil.copyfile)
    shutil.copytree(compiled, target / f"lib.{sysconfig.get_platform()}-{sys.implementation.cache_tag}",
                    copy_function=shutil.copyfile)


def command(image: dockerfile.Build, words: list[str]) -> list[str]:
    """*words* as the image's user runs them."""
    user, group = image.user.split(":")
    change = ["setpriv", "--reuid", user, "--regid", group, "--clear-groups"] if IS_ROOT else []
    return [*change, *(image.below(word) for word in words)]


def test_its_user_is_no_root_and_may_write_nothing_but_the_offsets(image: dockerfile.Build) -> None:
    assert image.user == "10001:10001"
    assert image.labels["org.opencontainers.image.version"] == about.VERSION
    assert "tests" not in os.listdir(image.below("/src")), "the context has only what the image is made of"
    state = Path(image.below("/var/lib/cdc")).stat()
    assert state.st_mode & 0o777 == 0o700
    if IS_ROOT:
        assert (state.st_uid, state.st_gid) == (10001, 10001)
        run = ["find", *(image.below(path) for path in ("/opt/cdc", "/etc/cdc")), "-writable", "-not", "-type", "l"]
        assert subprocess.run(command(image, run), capture_output=True, text=True, check=True).stdout == ""


def test_it_has_nothing_that_only_the_build_needs(image: dockerfile.Build) -> None:
    names = {path.name for path in Path(image.below("/opt/cdc/bin")).iterdir()}
    assert {"cdc", "python"} <= names
    assert not [name for name in names if name.startswith("pip")]


@pytest.mark.parametrize("postgres", ["postgres18"], indirect=True)
def test_it_runs_and_says_so(image: dockerfile.Build, database: Database, tmp_path: Path) -> None:
    """GIVEN all keys in the environment WHEN the container's command runs THEN its health check passes, what it writes
    is in its volume, and SIGTERM ends it with 0."""
    database.execute("CREATE TABLE items (id int PRIMARY KEY); INSERT INTO items VALUES (1)")
    environment = {
        **image.environment, "CDC_LISTENERS": f"http://127.0.0.1:{free_port()}", "CDC_SINK_TYPE": "stdout",
        "CDC_NAME": "shop", "CDC_CONNECTOR_CLASS": "io.debezium.connector.postgresql.PostgresConnector",
        "CDC_TOPIC_PREFIX": "shop", "CDC_PLUGIN_NAME": "pgoutput", "CDC_DATABASE_HOSTNAME": database.server.host,
        "CDC_DATABASE_PORT": str(database.server.port), "CDC_DATABASE_USER": "postgres",
        "CDC_DATABASE_DBNAME": database.name, "CDC_SLOT_NAME": database.name,
        "CDC_SERVICE_HOST": "10.0.0.1", "CDC_SERVICE_PORT": "8083", "CDC_PORT": "tcp://10.0.0.1:8083",
    }
    work = image.below(image.working_directory)
    with (tmp_path / "out").open("wb") as out, (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command(image, [*image.entrypoint, *image.command]), cwd=work, env=environment,
                                   stdout=out, stderr=log)
    try:
        def healthy() -> bool:
            assert process.poll() is None, (tmp_path / "log").read_text()[-4000:]
            check = subprocess.run(command(image, image.healthcheck), cwd=work, env=environment, capture_output=True,
                                   check=False)
            return check.returncode == 0

        wait_until(healthy, 60, "the health check to pass", 0.2)
        wait_until(lambda: '"op":"r"' in (tmp_path / "out").read_text().replace(" ", ""), 30, "the row")
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
    assert [path.name for path in Path(work).iterdir() if path.name.startswith("offsets")]
    assert "variables_ignored" in (tmp_path / "log").read_text()
