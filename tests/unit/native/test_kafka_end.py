"""A Kafka client that ends frees all it has once, however long librdkafka keeps its messages."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from .test_asan import NATIVE, SANITIZE


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    built = tmp_path_factory.mktemp("kafka") / "kafka_end"
    files = [str(Path(__file__).with_name("kafka_end.c")), str(NATIVE / "kafka.c")]
    command = [compiler, *SANITIZE, "-Wall", "-Wextra", f"-I{NATIVE}", *files, "-lpthread", "-o", str(built)]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("the C compiler has no AddressSanitizer")
    return built


@pytest.mark.parametrize("polls", [0, 5, 1000])
def test_what_is_kept_for_long_is_freed_by_another_thread(program: Path, polls: int) -> None:
    done = subprocess.run([program, str(polls)], capture_output=True)
    assert (done.stdout, done.stderr.decode()) == (b"ended\n", "")
