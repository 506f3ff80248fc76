"""Counts by table, for the metrics. A schema may have thousands of tables, and a series for each costs Prometheus
memory, so only the busiest have series of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from .names import MOST_TABLES

OTHERS: Final = "(other tables)"


class Tables:
    """Chooses the tables with series of their own.

    Until there are *most* tables each one has. Beyond, those that were chosen stay, so that no counter ever falls, and
    what the others count comes under OTHERS.
    """

    def __init__(self, counts: Mapping[tuple[str, str], int], most: int = MOST_TABLES) -> None:
        """*counts*, by table and op, may grow at any time in another thread."""
        self.most = most
        self._counts = counts
        self._chosen: dict[str, None] = {}

    def changes(self) -> dict[tuple[str, str], int]:
        """The counts by (table, op), those of the tables that were not chosen together."""
        counts = dict(self._counts)
        self._choose(counts)
        found: dict[tuple[str, str], int] = {}
        for (table, op), count in counts.items():
            key = (table if table in self._chosen else OTHERS, op)
            found[key] = found.get(key, 0) + count
        return found

    def rows(self) -> dict[str, int]:
        """Rows of snapshots by table."""
        return {table: count for (table, op), count in self.changes().items() if op == "r"}

    def _choose(self, counts: Mapping[tuple[str, str], int]) -> None:
        """Of the tables that appeared since the last call the busiest come first."""
        room = self.most - len(self._chosen)
        if room <= 0:
            return
        totals: dict[str, int] = {}
        for (table, _), count in counts.items():
            if table not in self._chosen:
                totals[table] = totals.get(table, 0) + count
        self._chosen |= dict.fromkeys(sorted(totals, key=lambda table: (-totals[table], table))[:room])
