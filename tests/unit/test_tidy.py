"""The shape of the tree: which room may import which, that no file is dead, that every option is documented."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from pkgutil import resolve_name

import pytest

from cdc import plugins
from cdc.config.table import OptionTable
from cdc.runtime.options import CONNECTOR_OPTIONS

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "cdc"

PLAIN = {"config", "codecs", "debezium"}
"""The pure rooms that stand on core."""

MAY_IMPORT: dict[str, set[str]] = {
    "core": set(),
    "config": set(),
    "codecs": set(),
    "debezium": {"config", "codecs"},
    "native": set(),
    "sources/shared": PLAIN | {"sources/snapshot"},
    "sources/snapshot": PLAIN,
    "sources/postgres": PLAIN | {"native", "sources/shared", "sources/snapshot"},
    "sources/mysql": PLAIN | {"native", "sources/shared", "sources/snapshot"},
    "sources/datagen": PLAIN | {"sources/shared"},
    "sources/query": PLAIN | {"sources/shared"},
    "converters": {"config", "codecs", "debezium", "native"},
    "transforms": {"config", "codecs", "debezium"},
    "kafka": {"config", "native"},
    "stores": {"config", "kafka"},
    "sinks": {"config", "kafka", "native"},
    "runtime": {"config", "metrics", "about"},
    "metrics": {"about"},
    "rest": {"config", "metrics", "show", "runtime.tap", "about", "levels"},
    "client": {"config"},
    "show": {"config", "codecs"},
    "log": {"config"},
    "about": set(),
    "levels": set(),
    "permitted": {"config"},
    "docs": set(),
    "other_connectors": set(),
    "plugins": {"config", "other_connectors", "runtime.options"},
}
"""Which rooms, or single modules of a room, each room may import. All may import themselves and core; all but NO_LOG
may import log."""
MAY_IMPORT["privacy"] = {"config", "kafka", "plugins"}
MAY_IMPORT["configinfos"] = {"config", "plugins", "permitted", "about", "runtime.options"}
MAY_IMPORT["operate"] = {"client", "config", "kafka", "other_connectors", "plugins", "stores"}
MAY_IMPORT["assembly"] = set(MAY_IMPORT)
MAY_IMPORT["validate"] = set(MAY_IMPORT)
MAY_IMPORT["preview"] = set(MAY_IMPORT)
MAY_IMPORT["direct"] = set(MAY_IMPORT)
MAY_IMPORT["upgrade"] = {"config", "plugins", "transforms"}
MAY_IMPORT["demo"] = set(MAY_IMPORT)
MAY_IMPORT["cli"] = set(MAY_IMPORT)

NO_LOG = {"core", "config", "codecs", "debezium", "native", "about", "docs", "log"}
PURE = ("core", "config", "codecs", "debezium", "native")
NO_IO = {"socket", "select", "selectors", "sqlite3", "subprocess", "threading", "tempfile", "psycopg", "pymysql",
         "confluent_kafka", "requests", "urllib", "http", "asyncio"}
NO_IO_FILES = (
    "sources/postgres/protocol.py", "sources/postgres/copytext.py",
    "sources/snapshot/markers.py", "sources/snapshot/initial.py",
    *(f"sources/shared/{name}.py" for name in (
        "accepted_options", "columns", "conversions", "foreign_keys", "former_keys", "options",
        "parsing", "selection", "source_block")),
    "sources/mysql/position.py", "sources/mysql/textrow.py", "sources/mysql/types.py",
    *(str(path.relative_to(PACKAGE)) for room in ("binlog", "ddl")
      for path in sorted((PACKAGE / "sources" / "mysql" / room).rglob("*.py"))),
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
    """The room of a file: its folder under cdc/, of sources the folder below, or the file's own name."""
    return room_of(".".join(path.relative_to(ROOT).with_suffix("").parts))


def room_of(name: str) -> str:
    parts = name.split(".")
    if parts[1] == "sources":
        return "/".join(parts[1:3])
    return parts[1]


def module_names() -> set[str]:
    return {module_name(path) for path in modules()}


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("path", [each for each in modules() if room(each) in MAY_IMPORT],
                         ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_one_way(path: Path) -> None:
    here = room(path)
    allowed = MAY_IMPORT[here] | {here, "core"} | (set() if here in NO_LOG else {"log"})
    for name in imports(path):
        if name.startswith("cdc.") and name.split(".")[1] != "__version__":
            assert room_of(name) in allowed or any(
                f"{name}.".startswith(f"cdc.{module}.") for module in allowed if "." in module
            ), f"{path.relative_to(ROOT)} imports {name}"


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py[xi]")) + sorted(PACKAGE.glob("native/*.pxd")),
                         ids=lambda path: str(path.relative_to(PACKAGE)))
def test_cython_files_import_core_and_their_own_room(path: Path) -> None:
    named = re.findall(r"^(?:from|c?import)\s+cdc\.(\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert path.parent == PACKAGE / "native"
    assert set(named) <= {"core", "native"}


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.[ch]")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_plain_c_knows_no_python(path: Path) -> None:
    assert "Python.h" not in path.read_text(encoding="utf-8")


ONLY_IN = {
    "confluent_kafka": {"kafka", "sinks", "stores", "cli", "about"},
    "psycopg": {"sources/postgres", "sources/query", "demo", "about"},
    "pymysql": {"sources/mysql", "sources/query", "demo"},
    "starlette": {"rest"},
    "uvicorn": {"rest"},
    "prometheus_client": {"metrics"},
    "click": {"cli", "demo"},
}
"""Libraries of one kind of system, and the rooms that may know it; `about` asks for their versions."""


@pytest.mark.parametrize("library", ONLY_IN)
def test_a_library_is_known_where_it_is_needed_only(library: str) -> None:
    users = {room(path) for path in modules() if any(name.split(".")[0] == library for name in imports(path))}
    assert users <= ONLY_IN[library]


def test_every_room_is_in_the_table() -> None:
    rooms = {room(path) for path in modules()} - {"__init__", "__main__", "_build", "_pure", "sources/__init__"}
    assert rooms == set(MAY_IMPORT)


def test_no_import_circle_even_within_a_room() -> None:
    """Imports inside functions and those for type checkers count too."""
    names = module_names()
    imported = {module_name(path): {name for name in imports(path) if name in names} for path in modules()}
    for name, targets in imported.items():
        # `from package import module` names the package too, which is no import of what its __init__ does not need.
        imported[name] = {target for target in targets - {name} if not any(
            other.startswith(f"{target}.") for other in targets)}
    done: set[str] = set()

    def walk(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, " -> ".join([*way[way.index(name):], name])
        if name not in done:
            for target in sorted(imported[name]):
                walk(target, (*way, name))
            done.add(name)

    for name in sorted(names):
        walk(name, ())


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
        if room(path).startswith("sources/") or room(path) in ("plugins", "assembly", "demo", "cli"):
            continue
        assert not [name for name in imports(path) if name.startswith("cdc.sources.")], path


def test_no_file_is_dead() -> None:
    used = {name for path in modules() for name in imports(path)}
    named = {reference.split(":")[0] for plugin in plugins.PLUGINS
             for reference in (plugin.factory, plugin.parse, plugin.options, plugin.configs, plugin.handover,
                               plugin.look) if reference}
    entry = {"cdc.cli.main", "cdc.rest.openapi", "cdc._build.commands", "cdc.demo.workload"}
    for path in modules():
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        if path.name not in ("__init__.py", "__main__.py") and name not in entry | named:
            assert name in used, f"nothing imports {name}"


def test_files_that_a_text_names_exist() -> None:
    """Such as `json_diff.py` or `config/secrets.py`: files move, and docstrings stay."""
    files = [path for folder in ("cdc", "tests") for path in sorted((ROOT / folder).rglob("*.p*"))
             if path.suffix in (".py", ".pxd", ".pyx", ".pyi")]
    known = [f"/{path.relative_to(ROOT).as_posix()}" for path in files]
    for path in files:
        named = re.findall(r"`((?:\w+/)*[a-z_]\w*\.(?:py|pxd|pyx))`", path.read_text(encoding="utf-8"))
        missing = [name for name in named if not any(each.endswith(f"/{name}") for each in known)]
        assert missing == [], path.relative_to(ROOT)


def test_names_that_tests_replace_exist() -> None:
    """Such as `monkeypatch.setattr("cdc.log.configure", …)`: names move, and no type checker reads a string."""
    for path in sorted((ROOT / "tests").rglob("*.py")):
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "setattr":
                name = call.args[0]
                if isinstance(name, ast.Constant) and str(name.value).startswith("cdc."):
                    assert resolve_name(str(name.value)), f"{path.relative_to(ROOT)}:{call.lineno}"


def when_imported(node: ast.AST) -> Iterator[ast.AST]:
    """What is below *node*, without what is in functions."""
    for each in ast.iter_child_nodes(node):
        if not isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield each
            yield from when_imported(each)


def test_no_import_compiles_a_regular_expression() -> None:
    """`late_regex` is for modules: a start of `cdc run` imports most of them and uses few of their expressions."""
    for path in modules():
        compiled = [node.lineno for node in when_imported(ast.parse(path.read_text(encoding="utf-8")))
                    if isinstance(node, ast.Call) and ast.unparse(node.func) in ("re.compile", "regex.compile")]
        assert compiled == [], path.relative_to(ROOT)


def test_rooms_say_what_they_are_for() -> None:
    for path in PACKAGE.rglob("__init__.py"):
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), f"{path} has no docstring"


def tables() -> list[OptionTable]:
    return [plugins.worker_options(), CONNECTOR_OPTIONS,
            *(each.load_options() for each in plugins.PLUGINS if each.options and each.kind == "connector")]


@pytest.mark.parametrize("table", tables(), ids=["worker", "connector", *(
    each.short_name for each in plugins.PLUGINS if each.options and each.kind == "connector")])
def test_every_option_is_documented(table: OptionTable) -> None:
    for option in table.describe():
        assert option["documentation"], option["name"]
