"""What `cdc run --dry-run` prints."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from .output import NOT_READY, OK, print_json, printable, terminal_width
from .table import table


def print_previews(found: Sequence[Mapping[str, Any]], as_json: bool) -> int:
    """Print what `preview_files` gave; the exit code: NOT_READY if something would stop a connector."""
    for number, each in enumerate(found):
        if as_json:
            print_json(each)
        else:
            click.echo(("\n" if number else "") + "\n".join(_lines(each)))
    if not as_json:
        click.echo("\nNothing was changed." if found else "There is no connector.")
    return NOT_READY if any(each["problems"] for each in found) else OK


def _lines(found: Mapping[str, Any]) -> Iterator[str]:
    width = terminal_width()
    server = f" on {printable(found['server'])}" if found["server"] else ""
    yield click.style(f"{printable(found['connector'])}: {printable(found['class'])}{server}", bold=True)
    for each in found["problems"]:
        yield _paragraph(click.style("problem", fg="red"), f"{each['text']} {each['hint']}", width)
    for each in found["notes"]:
        yield _paragraph("note", each, width)
    if found["transforms"]:
        names = ", ".join(found["transforms"])
        yield _paragraph("note", f"The transforms {names} change topics and records after this.", width)
    if found["tables"]:
        yield ""
        yield from table(("TABLE", "ROWS", "TOPIC", "KEY"), [
            (each["table"], "?" if each["rows"] is None else f"~{each['rows']:,}", each["topic"],
             ", ".join(field["field"] for field in each["key"]) or "none") for each in found["tables"]], width)
    elif found["server"]:
        yield "  No table would be captured."
    if found["topics"]:
        yield ""
        yield from table(("TOPIC BESIDES", "OF"), [(each["topic"], each["of"]) for each in found["topics"]], width)
    for each in found["tables"]:
        yield ""
        keys = [field["field"] for field in each["key"]]
        yield click.style(f"{printable(each['topic'])}: {printable(each['schemas']['value'])}", bold=True)
        yield from table(("FIELD", "TYPE", "MEANS", ""), [
            (field["field"], field["type"], _meaning(field),
             "key" if field["field"] in keys else "optional" if field["optional"] else "")
            for field in each["columns"]], width)


def _meaning(field: Mapping[str, Any]) -> str:
    """The semantic type with its parameters, as in `Decimal (scale=2)`; empty without one."""
    parameters = ", ".join(f"{key}={text}" for key, text in field["parameters"].items())
    return f"{field['name'] or ''}{f' ({parameters})' if parameters else ''}".strip()


def _paragraph(head: str, text: str, width: int) -> str:
    plain = click.unstyle(head)
    wrapped = textwrap.fill(printable(text.strip()), width, initial_indent=f"  {plain}: ", subsequent_indent="    ",
                            break_on_hyphens=False, break_long_words=False)
    return wrapped.replace(plain, head, 1)
