"""How commands print what they found: as a table for people, as JSON or YAML for programs."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import Any, Final

import click

from .output import printable, terminal_width

_GAP: Final = "  "
_LEAST: Final = 8
_COLORS: Final = {"RUNNING": "green", "FAILED": "red", "PAUSED": "yellow", "STOPPED": "yellow", "RESTARTING": "yellow",
                  "UNASSIGNED": "yellow", "streaming": "green", "snapshotting": "green", "failed": "red",
                  "retrying": "red", "created": "green", "changed": "yellow", "deleted": "red"}


def show(found: Any, output: str, head: Sequence[str], rows: Iterable[Sequence[Any]], nothing: str = "") -> None:
    """Print *found* as JSON or YAML, or *rows* as a table below *head*; without rows, *nothing* on standard error."""
    if output != "table":
        click.echo(text_of(found, output), nl=False)
        return
    lines = table(head, rows, terminal_width())
    if lines:
        click.echo("\n".join(lines))
    elif nothing:
        click.echo(nothing, err=True)


def text_of(found: Any, output: str) -> str:
    """*found* as `json` or `yaml`."""
    if output == "yaml":
        import yaml

        return str(yaml.safe_dump(found, sort_keys=False, allow_unicode=True, width=1000))
    import json

    return json.dumps(found, indent=2, ensure_ascii=False) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[Any]], width: int) -> list[str]:
    """Lines of *width* columns at most; a cell that does not fit is wrapped. No lines without rows."""
    cells = [[printable("" if cell is None else str(cell)) for cell in row] for row in rows]
    if not cells:
        return []
    widths = _widths([max(map(len, column)) for column in zip(head, *cells, strict=True)], width)
    lines = [_line([(click.style(name, dim=True) if name else "") + " " * (space - len(name))
                    for name, space in zip(head, widths, strict=True)])]
    for row in cells:
        wrapped = [textwrap.wrap(cell, space, break_on_hyphens=False) or [""]
                   for cell, space in zip(row, widths, strict=True)]
        for number in range(max(map(len, wrapped))):
            parts = [part[number] if number < len(part) else "" for part in wrapped]
            lines.append(_line([_painted(part, cell, space)
                                for part, cell, space in zip(parts, row, widths, strict=True)]))
    return lines


def _widths(wanted: list[int], most: int) -> list[int]:
    """*wanted*, the widest columns made narrower until all fit into *most*."""
    space = most - len(_GAP) * (len(wanted) - 1)
    found = list(wanted)
    while sum(found) > space and max(found) > _LEAST:
        widest = found.index(max(found))
        second = max([each for each in found if each < found[widest]], default=_LEAST)
        found[widest] = max(second, found[widest] - (sum(found) - space), _LEAST)
        if found[widest] == max(found) and found.count(found[widest]) > 1 and sum(found) > space:
            found[widest] -= 1
    return found


def _painted(part: str, cell: str, space: int) -> str:
    return (click.style(part, fg=_COLORS.get(cell)) if cell in _COLORS else part) + " " * (space - len(part))


def _line(parts: Sequence[str]) -> str:
    return _GAP.join(parts).rstrip()
