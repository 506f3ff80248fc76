"""`cdc config explain`: what one configuration key means."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import click

from cdc.core.errors import StateError

from .output import OK, printable, terminal_width
from .table import text_of

if TYPE_CHECKING:
    from cdc.config.options import Option
    from cdc.config.table import OptionTable


@click.command(short_help="Say what a configuration key means, for the worker and each connector.")
@click.argument("key")
@click.option("-o", "--output", type=click.Choice(["table", "json", "yaml"]), default="table", show_default=True,
              help="How to print what was found.")
def explain(key: str, output: str) -> int:
    """Say what KEY means: its type, default and values, whose it is, and the variable that sets it. KEY may be a former
    name, or a key that contains names of tables.

    \b
    cdc config explain table.include.list
    cdc config explain database.server.name
    """
    found = [(owner, option, now) for owner, table in _tables() for option, now in _declared(table, key)]
    if not found:
        near = sorted({name for _, table in _tables() if (name := table.nearest(key))})
        raise StateError(f"There is no key {key}.", status=404, hint=(
            f"Did you mean {' or '.join(near)}?" if near else "`cdc plugins describe` lists all keys."))
    same: dict[tuple[Any, ...], tuple[Option, str, list[str]]] = {}
    for owner, option, now in found:
        same.setdefault(_facts(option), (option, now, []))[2].append(owner)
    rows = [_described(key, owners, option, now) for option, now, owners in same.values()]
    click.echo(text_of(rows, output) if output != "table" else "\n".join(map(_paragraph, rows)), nl=output == "table")
    return OK


def _tables() -> list[tuple[str, OptionTable]]:
    from cdc.plugins import available, worker_options
    from cdc.runtime.options import CONNECTOR_OPTIONS

    return [("worker", worker_options()), ("every connector", CONNECTOR_OPTIONS),
            *((plugin.short_name, plugin.load_options()) for plugin in available("connector"))]


def _declared(table: OptionTable, key: str) -> list[tuple[Option, str]]:
    """The option that *key* is, and its present name, if *key* is a former one."""
    option = table.find(key)
    if option is not None:
        return [(option, "")]
    now = next((found for former in table.formers if (found := former.present(key))), "")
    option = table.find(now) if now else None
    return [] if option is None else [(option, now)]


def _facts(option: Option) -> tuple[Any, ...]:
    return option.key, option.type, option.default, option.doc, option.effect, option.one_of


def _described(key: str, owners: list[str], option: Option, now: str) -> dict[str, Any]:
    from cdc.config.environment import PREFIX, variable_of
    from cdc.config.secrets import HIDDEN

    hidden = option.hidden and option.default is not None
    effect = {"inert": "accepted, without effect", "later": "not available yet"}.get(option.effect, "")
    return {
        "key": option.key, "asked": key, "present_name": now or None, "of": owners, "type": option.type.lower(),
        "required": option.required, "default": HIDDEN if hidden else option.default,
        "importance": option.importance.lower(), "allowed": list(option.one_of), "meaning": option.doc,
        "effect": f"{effect}{f': {option.why}' if option.why else ''}" or None, "secret": option.hidden,
        "variable": None if option.pattern is not None else PREFIX + variable_of(option.key),
    }


def _paragraph(row: dict[str, Any]) -> str:
    width = terminal_width()
    lines = [click.style(printable(row["asked"] if row["variable"] is None else row["key"]), bold=True)]
    if row["present_name"]:
        lines.append(f"  {printable(row['asked'])} is a former name of {printable(row['present_name'])}.")
    text = row["meaning"] + (f" One of: {', '.join(row['allowed'])}." if row["allowed"] else "")
    lines.append(textwrap.fill(text, width, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False))
    default = "required" if row["required"] else "none" if row["default"] is None else row["default"] or "empty"
    facts = {"of": ", ".join(row["of"]), "type": row["type"], "default": default, "effect": row["effect"],
             "variable": row["variable"], "secret": "yes, so it is never shown" if row["secret"] else None}
    lines += [f"  {name:<9} {printable(str(value))}" for name, value in facts.items() if value]
    return "\n".join(lines)
