"""`cdc plugins`."""

from __future__ import annotations

import difflib
import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from cdc.core.errors import ConfigError

from .output import print_json, terminal_width

if TYPE_CHECKING:
    from cdc.config.table import OptionTable


@click.group(short_help="List plugins that are installed, and describe their options.")
def plugins() -> None:
    """List connectors, transforms, converters, post-processors, sinks and offset stores, and describe their options."""


@plugins.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per plugin.")
def list_plugins(as_json: bool) -> None:
    """List the plugins. A configuration names one by its Java class, as in Kafka Connect, or by a name in brackets.

    \b
    cdc plugins list
    """
    from cdc.plugins import PLUGINS, installed

    for plugin in (*PLUGINS, *installed()):
        if as_json:
            print_json({"class": plugin.class_name, "type": plugin.kind, "aliases": plugin.aliases,
                         "available": plugin.available})
        elif plugin.available:
            aliases = ", ".join(alias for alias in plugin.aliases if alias != plugin.class_name)
            click.echo(f"{plugin.kind:<16} {click.style(plugin.class_name, bold=True)}"
                       f"{f'  ({aliases})' if aliases else ''}")


@plugins.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per option.")
def describe(name: str, as_json: bool) -> None:
    """Describe NAME, a connector, converter, transform, predicate, custom converter or post-processor, or the `worker`:
    its options, and differences from Debezium.

    \b
    cdc plugins describe postgres
    """
    tables = _option_tables(name)
    if len(tables) > 1 and not as_json:
        click.echo(f"{name} is the name of {len(tables)} plugins. A configuration means the first of a kind by it; "
                   "name the others by their classes.\n")
    for place, (plugin, table) in enumerate(tables):
        if len(tables) > 1 and not as_json:
            click.echo(("\n" if place else "") + click.style(plugin, bold=True) + "\n")
        for found in table.describe():
            if as_json:
                print_json({"plugin": plugin, **found})
            else:
                click.echo(_described(found, terminal_width()))
        if not as_json and not table.options:
            click.echo("It has no options.")
    if not as_json:
        _print_documentation(name)


def _option_tables(name: str) -> list[tuple[str, OptionTable]]:
    """Each plugin called *name* with its options, by its class; plugins with the same options once. Raises ConfigError.
    """
    if name.lower() == "worker":
        from cdc.plugins import worker_options

        return [("worker", worker_options())]
    from cdc.plugins import PLUGINS, installed

    every = (*PLUGINS, *installed())
    named = [plugin for plugin in every if plugin.goes_by(name)]
    described = {plugin.options: plugin for plugin in reversed(named)
                 if plugin.options and plugin.kind not in ("sink", "offset store")}
    if described:
        return [(plugin.class_name, plugin.load_options()) for plugin in named if plugin in described.values()]
    if named:
        raise ConfigError(f"{name} has no list of options.", hint=(
            "Sinks and offset stores have theirs in the worker's: cdc plugins describe worker."))
    names = {each.lower(): plugin.class_name for plugin in every for each in (plugin.class_name, *plugin.aliases)}
    near = difflib.get_close_matches(name.lower(), names, n=1)
    raise ConfigError(f"There is no plugin {name}.", hint=(
        f"Did you mean {names[near[0]]}?" if near else "cdc plugins list shows all."))


def _print_documentation(name: str) -> None:
    from cdc import docs
    from cdc.plugins import PLUGINS

    plugin = next((each for each in PLUGINS if each.goes_by(name)), None)
    page = docs.reference(plugin.aliases if plugin else (name,))
    if not page:
        return
    differences = docs.differences(page)
    if differences:
        click.echo(f"\n{click.style('Differences from Debezium', bold=True)}\n\n{differences}")
    click.echo(f"\nThe same as a page: cdc docs {page}" + ("; cdc docs differences" if differences else ""))


def _described(found: Mapping[str, Any], width: int) -> str:
    default = "required" if found["required"] else f"default {found['default_value']!r}"
    if not found["required"] and found["default_value"] is None:
        default = "no default"
    effect = {"inert": "accepted, without effect", "later": "not available yet"}.get(found["effect"], "")
    facts = ", ".join(part for part in (found["type"].lower(), default, effect) if part)
    allowed = f" One of: {', '.join(found['allowed'])}." if found["allowed"] else ""
    text = textwrap.fill(f"{found['documentation']}{allowed}".strip(), width, initial_indent="    ",
                         subsequent_indent="    ", break_on_hyphens=False)
    return f"{click.style(found['name'], bold=True)}  {click.style(facts, dim=True)}\n{text}"
