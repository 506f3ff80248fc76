"""The plain C of `cdc/native` reads and writes nothing beyond its blocks, whatever the bytes are."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cdc._build.modules import C_FILES
from tests.unit.sources.postgres import native_world

NATIVE = Path(__file__).parents[3] / "cdc" / "native"
SANITIZE = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g", "-O1")
FILES = sorted({*C_FILES["cdc.native.records"], *C_FILES["cdc.native.pgoutput"], *C_FILES["cdc.native.copytext"],
                *C_FILES["cdc.native.mysql"], *C_FILES["cdc.native.binlog"], *C_FILES["cdc.native.libpq"]})
ROUNDS = 1000


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    folder = tmp_path_factory.mktemp("asan")
    empty = folder / "empty.c"
    empty.write_text("int main(void) { return 0; }\n")
    probe = [compiler, *SANITIZE, str(empty), "-o", str(folder / "empty")]
    if subprocess.run(probe, capture_output=True).returncode or subprocess.run([folder / "empty"]).returncode:
        pytest.skip("the C compiler has no AddressSanitizer")
    built = folder / "damage"
    sources = [str(Path(__file__).with_name("damage.c")), *(str(NATIVE / each) for each in FILES)]
    command = [compiler, *SANITIZE, "-Wall", "-Wextra", "-Werror", f"-I{NATIVE}", *sources, "-lm", "-o", str(built)]
    subprocess.run(command, check=True)
    return built


@pytest.mark.parametrize("seed", range(4))
def test_damaged_bytes_touch_nothing_else(program: Path, seed: int) -> None:
    stream = native_world.stream_of(random.Random(seed), transactions=20)
    frames = b"".join(len(each).to_bytes(4, sys.byteorder) + each for each in stream)
    done = subprocess.run([program, str(ROUNDS), str(seed)], input=frames, capture_output=True)
    assert (done.stdout, done.stderr.decode()) == (b"done\n", "")
