"""`cdc describe`: one connector or one plugin, whole."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from cdc.cli.output import printable, terminal_width
from cdc.cli.table import text_of

from .options import NAME, OUTPUT, of_worker

if TYPE_CHECKING:
    from cdc.client.rest import Client

_LONGEST: Final = 50
"""So many characters of one value of an offset are shown."""


@click.group(short_help="Show one connector or plugin of a worker, with all about it.")
def describe() -> None:
    """Show one connector or plugin of the running worker.

    \b
    cdc describe connector shop
    cdc describe plugin io.debezium.connector.postgresql.PostgresConnector
    """


@describe.command()
@of_worker
@NAME
@OUTPUT
def connector(client: Client, name: str, output: str) -> None:
    """Show the state, the numbers, the configuration, the topics and the offsets of CONNECTOR. Secrets are hidden.

    \b
    cdc describe connector shop
    """
    from .get import connectors_of, topics_of

    found = connectors_of(client, [name])[0]
    found["numbers"] = _numbers(client, name)
    found["topics"] = topics_of(client, name)
    found["offsets"] = client.get("connectors", name, "offsets")["offsets"]
    if output != "table":
        click.echo(text_of(found, output), nl=False)
        return
    _print(name, _state(found))
    _print("Configuration", sorted(found["config"].items()))
    _print(f"Topics ({len(found['topics'])})", [(topic, "") for topic in found["topics"]])
    for each in found["offsets"]:
        partition = json.dumps(each["partition"], ensure_ascii=False)
        _print(f"Offset of {partition}", [(key, _short(value)) for key, value in (each["offset"] or {}).items()])


@describe.command()
@of_worker
@click.argument("name", metavar="PLUGIN")
@OUTPUT
def plugin(client: Client, name: str, output: str) -> None:
    """Show the configuration keys of PLUGIN, a class or an alias, as the worker has them.

    \b
    cdc describe plugin PostgresConnector -o json
    """
    found = client.get("connector-plugins", name, "config")
    if output != "table":
        click.echo(text_of(found, output), nl=False)
        return
    for key in found:
        default = "required" if key["required"] else f"default {key['default_value']}"
        _print(key["name"], [(f"{key['type'].lower()}, {default}", "")])
        click.echo(textwrap.indent(textwrap.fill(printable(key["documentation"] or ""), terminal_width() - 4), "    "))


def _state(found: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    status = found["status"]
    yield "class", found["config"].get("connector.class")
    yield "state", status["connector"]["state"]
    yield "reason", status["connector"].get("trace")
    for task in status["tasks"]:
        yield f"task {task['id']}", f"{task['state']} on {task.get('worker_id')}"
        yield "reason" if task["state"] == "FAILED" else "waits for", task.get("trace")
        for warning in task.get("warnings", ()):
            about = warning.get("about")
            yield f"warning {warning.get('kind')}", " ".join(
                str(part) for part in (about and f"{about}:", warning.get("text"), warning.get("hint")) if part)
    yield from found["numbers"].items()


def _numbers(client: Client, name: str) -> dict[str, Any]:
    from .numbers import numbers

    found = numbers(client)
    shown = {"phase": found.state(name) or None, "lag seconds": found.most("cdc_lag_seconds", name),
             "changes read": found.sum("cdc_events_total", name),
             "rows read": found.sum("cdc_snapshot_rows_total", name),
             "records sent": found.sum("cdc_records_sent_total", name), "errors": found.sum("cdc_errors_total", name)}
    return {key: value for key, value in shown.items() if value is not None}


def _print(title: str, lines: Iterable[tuple[str, Any]]) -> None:
    """A title, and below it names and values; names without a value are left out, if it is None."""
    shown: Sequence[tuple[str, str]] = [(printable(name), _text(value)) for name, value in lines if value is not None]
    click.echo(click.style(printable(title), bold=True))
    column = min(max((len(name) for name, value in shown if value), default=0), 44)
    for name, value in shown:
        click.echo(_wrapped(name, value, column, terminal_width()))


def _wrapped(name: str, value: str, column: int, width: int) -> str:
    head = f"  {name:<{column}}  "
    if not value:
        return head.rstrip()
    indent = " " * min(len(head), column + 4)
    parts = [textwrap.fill(printable(line), width, initial_indent=indent, subsequent_indent=indent,
                           break_on_hyphens=False) for line in value.splitlines()]
    text = "\n".join(parts)
    return f"{head.rstrip()}\n{text}" if len(head) > column + 4 else head + text[len(head):]


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if value == int(value) else f"{value:.3f}"
    return str(value)


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text):,} characters in all)"
