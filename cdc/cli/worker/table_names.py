"""Which tables a person means who writes `ORDERS`, and of which connector."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from cdc.core.errors import ConfigError, StateError

from .states import unknown

if TYPE_CHECKING:
    from cdc.client.rest import Client

_MOST_NAMED: Final = 12


@dataclass(frozen=True, slots=True)
class Tables:
    """The tables of one connector: those that it captures, the others of its server, and estimates of rows."""

    connector: str
    captured: Sequence[str]
    others: Sequence[str]
    rows: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Chosen:
    """Tables of one connector. *matched*: what was asked for, by the table that it matched."""

    connector: str
    matched: Mapping[str, str]
    twins: frozenset[str] = frozenset()
    """Those that differ from another captured table in the case of letters only."""
    rows: Mapping[str, int] = field(default_factory=dict)

    def pattern(self, table: str) -> str:
        """The name in a signal, where names are also read as regular expressions, without regard to case."""
        plain = r"[^\w.\-]" if table.count(".") == 1 else r"[^\w\-]"  # a single dot can stand for no other name's
        escaped = re.sub(plain, lambda found: f"\\{found[0]}", table)
        return f"(?-i:{escaped})" if table in self.twins or table[-1:].isspace() else escaped


def choose(known: Sequence[str], look: Callable[[str], Tables], wanted: Sequence[str], connector: str | None,
           add: str = "") -> Chosen:
    """The tables that *wanted* name, of *connector*, or of the only one of the *known* connectors that has them. *look*
    gives the tables of a connector, and raises StateError for one that has none. *add*: how a table is added to those
    that are captured. Raises StateError for a name that is unknown, ConfigError for one that is ambiguous."""
    if connector is not None and connector not in known:
        raise unknown(connector, known)
    if not known:
        raise StateError("The worker has no connectors.", status=404)
    candidates = [connector] if connector is not None else sorted(known)
    found = [look(name) for name in candidates] if len(candidates) == 1 else [
        each for name in candidates if (each := _if_it_has_any(look, name)) is not None]
    having = [each for each in found if all(matches(name, each.captured) for name in wanted)]
    if len(having) > 1:
        names = ", ".join(each.connector for each in having)
        raise ConfigError(f"{names} all capture {', '.join(wanted)}.", hint="Say which of them with --connector NAME.")
    chosen = having[0] if having else found[0] if len(found) == 1 else None
    if chosen is None:
        raise _unknown_table(next((name for name in wanted if not any(
            matches(name, each.captured) for each in found)), wanted[0]), found, add)
    matched = {_one(name, chosen, add): name for name in wanted}
    folded = [each.casefold() for each in chosen.captured]
    return Chosen(chosen.connector, matched, frozenset(
        table for table in matched if folded.count(table.casefold()) > 1), chosen.rows)


def only(known: Sequence[str], connector: str | None) -> str:
    """*connector*, or the only one that is *known*. Raises StateError, and ConfigError if there are several."""
    if connector is not None and connector not in known:
        raise unknown(connector, known)
    if connector is None and len(known) > 1:
        raise ConfigError(f"There are several connectors: {listed(sorted(known))}.",
                          hint="Say which of them with --connector NAME, or name tables with --table.")
    return connector if connector is not None else known[0]


def of_connector(client: Client, name: str) -> Tables:
    """The tables of a connector; its server is asked."""
    found = client.get("connectors", name, "tables")
    return Tables(name, found["captured"], found["others"], found.get("estimated_rows") or {})


def _if_it_has_any(look: Callable[[str], Tables], name: str) -> Tables | None:
    try:
        return look(name)
    except StateError:
        return None


def matches(name: str, tables: Sequence[str]) -> list[str]:
    """Those of *tables* that *name* names, whole or without the schema or database. Case does not matter, but where
    only one has the same case, that is it."""
    def named(fold: bool) -> list[str]:
        wanted = name.casefold() if fold else name
        parts = [(each, each.casefold() if fold else each) for each in tables]
        whole = [each for each, shown in parts if shown == wanted]
        return whole or [each for each, shown in parts if shown.endswith(f".{wanted}")]

    exact = named(False)
    found = named(True)
    return exact if len(exact) == 1 else found


def _one(name: str, tables: Tables, add: str) -> str:
    found = matches(name, tables.captured)
    if len(found) > 1:
        raise ConfigError(f"{name} is ambiguous: {listed(found)}.", hint="Write one of these names.")
    if not found:
        raise _unknown_table(name, [tables], add)
    return found[0]


def _unknown_table(name: str, places: Sequence[Tables], add: str) -> StateError:
    for place in places:
        there = matches(name, place.others)
        if there:
            return StateError(
                f"{listed(there)} exists, but connector {place.connector} does not capture it.", status=404,
                hint=add or f"Add it to table.include.list of {place.connector}, then repeat this command: cdc get "
                     f"connectors {place.connector} -o json shows the configuration, and cdc apply -f FILE changes it.")
    known = sorted({each for place in places for each in place.captured})
    if not known:
        return StateError(f"There is no table {name}: nothing is captured.", status=404)
    short = {each.rpartition(".")[2].casefold(): each for each in known} | {each.casefold(): each for each in known}
    near = list(dict.fromkeys(short[each] for each in difflib.get_close_matches(name.casefold(), short, n=3)))
    hint = f"Did you mean {' or '.join(near)}?" if near else f"Captured are {listed(known)}."
    return StateError(f"There is no table {name}.", status=404, hint=hint)


def listed(names: Sequence[str]) -> str:
    """Some of *names*, and how many are left out."""
    rest = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {rest} more" if rest > 0 else "")
