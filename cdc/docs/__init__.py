"""The documentation that is installed with the package: Markdown pages, found by name.

`reference/` lists every option (generated from the option tables), `differences` says where this service departs from
Debezium, `decisions/` records why it is built as it is, `changelog` says what changed for users.

This room knows no other: it only finds and reads files.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent
_SECTIONS: Final = {
    "reference/postgres": "PostgreSQL",
    "reference/mysql": "MySQL and MariaDB",
    "reference/mariadb": "MySQL and MariaDB",
}
"""For each connector's page: the section of `differences` that is about its database."""


def pages() -> list[str]:
    """The names of all pages, sorted: the path below this folder without `.md`, as in `reference/postgres`."""
    return sorted(path.relative_to(FOLDER).with_suffix("").as_posix() for path in FOLDER.rglob("*.md"))


def read(name: str) -> str:
    """The Markdown text of the page *name*. Raises KeyError if there is no such page."""
    if name not in pages():
        raise KeyError(name)
    return (FOLDER / f"{name}.md").read_text(encoding="utf-8")


def title(name: str) -> str:
    """The heading of the page *name*, without markup. Raises KeyError if there is no such page."""
    return read(name).partition("\n")[0].lstrip("# ")


def section(text: str, heading: str) -> str:
    """The part of *text* under the second-level *heading*, without the heading. Empty if there is none."""
    _, found, rest = text.partition(f"\n## {heading}\n")
    return rest.partition("\n## ")[0].strip() if found else ""


def reference(names: Iterable[str]) -> str:
    """The page with the options of the plugin with these *names*. Empty if there is none."""
    wanted = [f"reference/{name.lower()}" for name in names]
    return next((page for page in pages() if page in wanted), "")


def differences(page: str) -> str:
    """How the connector of the reference *page* differs from Debezium's. Empty if it is no connector's page."""
    if page not in _SECTIONS:
        return ""
    text = read("differences")
    return "\n\n".join(section(text, heading) for heading in ("All connectors", _SECTIONS[page]))
