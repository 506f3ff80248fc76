"""The C of record sets loses and mixes up nothing, and touches only its own memory, also with two threads."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from cdc._build.modules import C_FILES

from .test_asan import NATIVE, SANITIZE

WAYS = {"one thread": ("1", "60", SANITIZE), "two threads": ("2", "8", ("-fsanitize=thread", "-g", "-O1"))}
"""Threads, rounds, and what watches them."""


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("seed", range(3))
def test_what_goes_in_comes_out_once_and_in_order(
        tmp_path_factory: pytest.TempPathFactory, way: str, seed: int) -> None:
    threads, rounds, sanitize = WAYS[way]
    program = built(tmp_path_factory.getbasetemp() / f"recordset_use_{threads}", sanitize)
    done = subprocess.run([program, rounds, str(seed), threads], capture_output=True)
    assert (done.stdout, done.stderr.decode()) == (b"done\n", "")


def built(program: Path, sanitize: tuple[str, ...]) -> Path:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    if not program.exists():
        empty = program.with_suffix(".c")
        empty.write_text("int main(void) { return 0; }\n")
        probe = program.with_suffix(".probe")
        if (subprocess.run([compiler, *sanitize, str(empty), "-o", str(probe)], capture_output=True).returncode
                or subprocess.run([probe], capture_output=True).returncode):
            pytest.skip(f"the C compiler has no {sanitize[0]}")
        files = [str(Path(__file__).with_name("recordset_use.c")),
                 *(str(NATIVE / each) for each in C_FILES["cdc.native.recordsets"])]
        subprocess.run([compiler, *sanitize, "-Wall", "-Wextra", "-Werror", f"-I{NATIVE}", *files, "-lpthread",
                        "-o", str(program)], check=True)
    return program
