"""README says what the code says. `python -m tests.unit.test_readme` writes its option tables anew."""

from __future__ import annotations

import re
from pathlib import Path

from cdc.runtime.options import WORKER_OPTIONS
from cdc.sources.mysql.options import MARIADB_OPTIONS
from cdc.sources.mysql.options import OPTIONS as MYSQL_OPTIONS
from cdc.sources.postgres.options import OPTIONS

README = Path(__file__).parents[2] / "README.md"
CI = README.parent / ".ci" / "run"


def tables() -> dict[str, str]:
    """Of MariaDB's options those that are not just as MySQL's."""
    made = {name: table.markdown().strip() for name, table in (
        ("worker", WORKER_OPTIONS), ("postgres", OPTIONS), ("mysql", MYSQL_OPTIONS), ("mariadb", MARIADB_OPTIONS))}
    head, known = made["mysql"].splitlines()[:2], set(made["mysql"].splitlines())
    made["mariadb"] = "\n".join([*head, *(line for line in made["mariadb"].splitlines() if line not in known)])
    return made


def filled(text: str) -> str:
    for name, table in tables().items():
        start, end = f"<!-- options: {name} -->\n", "<!-- end -->"
        head, _, rest = text.partition(start)
        tail = rest.partition(end)[2]
        text = f"{head}{start}{table}\n{end}{tail}"
    return text


def commands() -> list[str]:
    return re.findall(r"^python3 -m venv .*$", README.read_text(encoding="utf-8"), re.MULTILINE)


def test_option_tables_are_current() -> None:
    text = README.read_text(encoding="utf-8")
    assert text == filled(text), "run python -m tests.unit.test_readme"


def test_ci_runs_the_second_command() -> None:
    assert commands()[1] in CI.read_text(encoding="utf-8").splitlines()


if __name__ == "__main__":
    README.write_text(filled(README.read_text(encoding="utf-8")), encoding="utf-8")
