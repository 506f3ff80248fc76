"""README and cdc/docs say what the code says. `python -m tests.unit.test_readme` writes the option tables."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import click
import pytest

from cdc import docs, plugins
from cdc.cli.main import cli
from cdc.config.options import Effect
from cdc.config.table import OptionTable
from cdc.converters.apicurio.settings import COMMON as APICURIO_OPTIONS
from cdc.converters.registry.serializer import SHARED as SERIALIZER_OPTIONS
from cdc.metrics import connect, debezium
from cdc.metrics.catalogue import OWN
from cdc.runtime.options import CONNECTOR_OPTIONS
from cdc.sources.datagen.options import OPTIONS as DATAGEN_OPTIONS
from cdc.sources.mysql.options import MARIADB_OPTIONS
from cdc.sources.mysql.options import OPTIONS as MYSQL_OPTIONS
from cdc.sources.postgres.options import OPTIONS
from cdc.sources.query.options import OPTIONS as QUERY_OPTIONS

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
CI = ROOT / ".ci" / "run"
REFERENCE = docs.FOLDER / "reference"
TABLES = {
    "worker": plugins.worker_options(), "connector": CONNECTOR_OPTIONS, "postgres": OPTIONS, "mysql": MYSQL_OPTIONS,
    "mariadb": MARIADB_OPTIONS, "datagen": DATAGEN_OPTIONS, "query": QUERY_OPTIONS,
}
METRICS = {"own": OWN, "debezium": tuple(debezium.METRICS.values()), "connect": tuple(connect.METRICS.values())}
EFFECTS: tuple[Effect, ...] = ("normal", "inert", "later")


def rows(table: OptionTable, effect: Effect) -> list[str]:
    return table.markdown(effect).strip().splitlines()


def generated(name: str, effect: Effect) -> str:
    """The table for one marker. Of MariaDB's options only those that are not exactly as MySQL's."""
    lines = rows(TABLES[name], effect)
    if name == "mariadb":
        known = rows(MYSQL_OPTIONS, effect)[2:]
        lines = [line for line in lines if line not in known]
    return "\n".join(lines)


def plugin_sections(kind: plugins.Kind) -> str:
    """One section for each class of *kind*; its two variants, for keys and for values, share one."""
    sections: dict[str, str] = {}
    for plugin in plugins.available(kind):
        name, variant, _ = plugin.class_name.partition("$")
        classes = f"`{name}$Key` and `{name}$Value`" if variant else f"`{name}`"
        about = inspect.getdoc(plugins.resolve(plugin.factory.removesuffix(".of_key").removesuffix(".of_value")))
        assert about, plugin.class_name
        table = plugin.load_options().markdown() if plugin.load_options().options else "It has no options.\n"
        sections[name] = f"### {name.rpartition('.')[2]}\n\n{classes}\n\n{about}\n\n{table}\n"
    return "\n" + "".join(sections.values())


SHARED = {"registry": OptionTable(SERIALIZER_OPTIONS), "apicurio": OptionTable(APICURIO_OPTIONS)}
"""Options of several converters, which have one table."""


def converter_table(name: str) -> str:
    """The options of a converter's class without those that it shares, or the shared ones."""
    if name in SHARED:
        return SHARED[name].markdown()
    table = plugins.find("converter", name).option_table()
    assert table is not None
    shared = {option.key for each in SHARED.values() for option in each.options}
    return OptionTable(option for option in table.options if option.key not in shared).markdown()


def command_table() -> str:
    """All commands with their own commands, and what each says of itself."""
    lines = ["| Command | What it does |", "| --- | --- |"]
    context = click.Context(cli, info_name="cdc")

    def add(way: str, command: click.Command) -> None:
        if not isinstance(command, click.Group) or command.invoke_without_command:
            lines.append(f"| `{way}` | {command.get_short_help_str(200)} |")
        if isinstance(command, click.Group):
            for name in command.list_commands(context):
                below = command.get_command(context, name)
                assert below is not None
                if not below.hidden:
                    add(f"{way} {name}", below)

    add("cdc", cli)
    return "\n".join(lines)


def filled(page: Path) -> str:
    text, name = page.read_text(encoding="utf-8"), page.stem
    for effect in EFFECTS:
        start, end = f"<!-- options: {name} {effect} -->\n", "<!-- end -->"
        head, found, rest = text.partition(start)
        if found:
            text = f"{head}{start}{generated(name, effect)}\n{end}{rest.partition(end)[2]}"
    kinds: tuple[plugins.Kind, ...] = ("transform", "predicate", "post processor")
    for kind in kinds:
        start, end = f"<!-- plugins: {kind} -->\n", "<!-- end -->"
        head, found, rest = text.partition(start)
        if found:
            text = f"{head}{start}{plugin_sections(kind)}{end}{rest.partition(end)[2]}"
    for converter in re.findall(r"<!-- converter: (\S+) -->", text):
        start, end = f"<!-- converter: {converter} -->\n", "<!-- end -->"
        head, _, rest = text.partition(start)
        text = f"{head}{start}{converter_table(converter).strip()}\n{end}{rest.partition(end)[2]}"
    start, end = "<!-- commands -->\n", "<!-- end -->"
    head, found, rest = text.partition(start)
    if found:
        text = f"{head}{start}{command_table()}\n{end}{rest.partition(end)[2]}"
    for group, metrics in METRICS.items():
        start, end = f"<!-- metrics: {group} -->\n", "<!-- end -->"
        head, found, rest = text.partition(start)
        if found:
            table = "\n".join(("| Name | Kind | Labels | Meaning |", "| --- | --- | --- | --- |",
                               *(metric.row() for metric in metrics)))
            text = f"{head}{start}{table}\n{end}{rest.partition(end)[2]}"
    return text


def pages() -> list[Path]:
    names = (*TABLES, "metrics", "transforms", "converters")
    return [*(REFERENCE / f"{name}.md" for name in names), docs.FOLDER / "commands.md"]


def commands() -> list[str]:
    return re.findall(r"^python3 -m venv .*$", README.read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.stem)
def test_option_tables_are_current(page: Path) -> None:
    assert page.read_text(encoding="utf-8") == filled(page), "run python -m tests.unit.test_readme"


@pytest.mark.parametrize("name", ["worker", "connector", "postgres", "mysql", "datagen", "query"])
def test_the_reference_has_every_option(name: str) -> None:
    text = docs.read(f"reference/{name}")
    assert not [option.key for option in TABLES[name].options if f"\n| `{option.key}` |" not in text]


def test_the_reference_has_every_converter() -> None:
    text = docs.read("reference/converters")
    for plugin in plugins.available("converter"):
        assert f"`{plugin.class_name}`" in text or f"`{plugin.class_name.rpartition('.')[2]}`" in text
        assert not plugin.options or f"<!-- converter: {plugin.class_name} -->" in text


def test_options_of_mariadb_that_differ_only_in_being_unavailable_are_none() -> None:
    """So its page needs one table only."""
    assert [len(generated("mariadb", effect).splitlines()) for effect in ("inert", "later")] == [2, 2]


def test_ci_runs_the_second_command() -> None:
    assert commands()[1] in CI.read_text(encoding="utf-8").splitlines()


LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)[^)]*\)")
PATH = re.compile(r"`((?:cdc|tests|sql|\.github|\.ci)/[\w./-]+)`")
WRITTEN = [README, *sorted(docs.FOLDER.rglob("*.md")), *sorted((ROOT / ".github").glob("*.md")),
           *sorted((ROOT / "tests").rglob("*.md"))]


def short(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", WRITTEN, ids=short)
def test_what_a_page_links_to_exists(page: Path) -> None:
    links = LINK.findall(page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", WRITTEN, ids=short)
def test_every_path_that_a_page_names_exists(page: Path) -> None:
    """In backticks, from the root of the repository. NAME stands for what a reader chooses."""
    named = PATH.findall(page.read_text(encoding="utf-8"))
    assert [path for path in named if "NAME" not in path and not (ROOT / path).exists()] == []


def test_readme_fits_on_four_screens() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 170


def test_readme_leads_to_a_file_for_each_step_of_an_event() -> None:
    text = README.read_text(encoding="utf-8")
    steps = re.findall(r"^\d\. (?:.*\n(?:   .*\n)*)", docs.section(text, "The map") + "\n", re.MULTILINE)
    assert len(steps) == 8
    assert all(LINK.search(step) for step in steps)


def test_readme_names_every_room() -> None:
    text = docs.section(README.read_text(encoding="utf-8"), "The map")
    rooms = [path.parent.name for path in (ROOT / "cdc").glob("[!_]*/__init__.py")]
    assert [room for room in rooms if f"`{room}`" not in text] == []


def test_pages_are_found_by_name() -> None:
    assert {"differences", "changelog", "reference/worker", "decisions/0001-bytes-stay-bytes"} <= set(docs.pages())
    assert docs.read("changelog").startswith("# ")
    with pytest.raises(KeyError):
        docs.read("../../README")


def test_decisions_say_context_decision_and_consequences() -> None:
    names = [name for name in docs.pages() if name.startswith("decisions/")]
    assert [name[10:14] for name in names] == [f"{number:04}" for number in range(1, len(names) + 1)]
    for name in names:
        text = docs.read(name)
        assert text.startswith(f"# {int(name[10:14])}. ")
        assert all(f"**{part}.**" in text for part in ("Context", "Decision", "Consequences")), name


if __name__ == "__main__":
    for each in pages():
        each.write_text(filled(each), encoding="utf-8")
