"""The shape of the tree: which room may import which, that no file is dead, that every option is documented."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cdc import plugins
from cdc.core.options import OptionTable
from cdc.runtime.options import CONNECTOR_OPTIONS, WORKER_OPTIONS

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "cdc"

SHARED = {"core"}
TOP = {"about", "log", "metrics"}
"""Top-level modules that any room but core and codecs may use."""

MAY_IMPORT = {
    "core": SHARED,
    "codecs": SHARED | {"codecs"},
    "sources": SHARED | TOP | {"codecs", "sources"},
    "converters": SHARED | TOP | {"codecs", "converters"},
    "sinks": SHARED | TOP | {"sinks"},
    "runtime": SHARED | TOP | {"runtime"},
    "rest": SHARED | TOP | {"runtime", "rest"},
}
PURE = ("core", "codecs")
NO_IO = {"socket", "select", "selectors", "sqlite3", "subprocess", "threading", "tempfile", "psycopg", "pymysql",
         "confluent_kafka", "requests", "urllib", "http", "asyncio"}
NO_IO_FILES = (
    "sources/postgres/protocol.py", "sources/postgres/copytext.py",
    *(f"sources/mysql/{name}.py" for name in (
        "alter", "binlog", "columns", "const", "ddl", "gtid", "header", "jsondiff", "messages", "packets", "position",
        "reader", "rows", "structure", "tablemap", "textrow", "tokens", "types")),
)


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """Absolute names of what the file imports at run time."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = list(package[:len(package) - node.level + 1]) if node.level else []
            name = ".".join([*base, *([node.module] if node.module else [])])
            yield name
            yield from (f"{name}.{alias.name}" for alias in node.names)


def room(path: Path) -> str:
    parts = path.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", [each for each in modules() if room(each) in MAY_IMPORT],
                         ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_one_way(path: Path) -> None:
    allowed = MAY_IMPORT[room(path)]
    for name in imports(path):
        parts = name.split(".")
        if parts[0] == "cdc" and len(parts) > 1 and parts[1] != "__version__":
            assert parts[1] in allowed, f"{path.relative_to(ROOT)} imports {name}"


@pytest.mark.parametrize("path", [each for each in modules() if room(each) in PURE]
                         + [PACKAGE / name for name in NO_IO_FILES], ids=lambda path: str(path.relative_to(PACKAGE)))
def test_decoders_touch_no_socket_or_file(path: Path) -> None:
    assert not {name.split(".")[0] for name in imports(path)} & NO_IO


@pytest.mark.parametrize("path", [each for each in modules() if room(each) == "core"],
                         ids=lambda path: str(path.relative_to(PACKAGE)))
def test_core_needs_the_standard_library_only(path: Path) -> None:
    foreign = {name.split(".")[0] for name in imports(path)} - set(sys.stdlib_module_names) - {"cdc", "cython"}
    assert not foreign


def test_sources_and_sinks_are_named_by_plugins_only() -> None:
    """Apart from the source's own files, and the assembly, which configures them."""
    for path in modules():
        if room(path) in ("sources", "plugins", "assembly", "demo", "cli", "tail"):
            continue
        assert not [name for name in imports(path) if name.startswith("cdc.sources.")], path


def test_no_file_is_dead() -> None:
    used = {name for path in modules() for name in imports(path)}
    named = {reference.split(":")[0] for plugin in plugins.PLUGINS
             for reference in (plugin.factory, plugin.parse, plugin.options) if reference}
    entry = {"cdc.cli", "cdc.__main__", "cdc._build"}
    for path in modules():
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        if path.name != "__init__.py" and name not in entry | named:
            assert name in used, f"nothing imports {name}"


def test_rooms_say_what_they_are_for() -> None:
    for path in PACKAGE.rglob("__init__.py"):
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), f"{path} has no docstring"


def tables() -> list[OptionTable]:
    return [WORKER_OPTIONS, CONNECTOR_OPTIONS, *(each.load_options() for each in plugins.PLUGINS if each.options)]


@pytest.mark.parametrize("table", tables(), ids=["worker", "connector", "postgres", "mysql", "mariadb"])
def test_every_option_is_documented(table: OptionTable) -> None:
    for option in table.describe():
        assert option["documentation"], option["name"]
