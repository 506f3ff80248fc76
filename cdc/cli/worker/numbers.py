"""The numbers of `/metrics`, read back from Prometheus' text format."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from cdc.core.late_regex import late_regex

if TYPE_CHECKING:
    from cdc.client.rest import Client

_LINE: Final = late_regex(
    r'(?P<name>[A-Za-z_:][\w:]*)(?:\{(?P<labels>(?:[^"}]|"(?:[^"\\]|\\.)*")*)\})?\s+(?P<value>\S+)')
_LABEL: Final = late_regex(r'(\w+)="((?:[^"\\]|\\.)*)"')
_ESCAPED: Final = {"n": "\n"}


class Sample(NamedTuple):
    name: str
    labels: Mapping[str, str]
    value: float


class Numbers:
    """The samples of one scrape whose names begin with `cdc_`."""

    def __init__(self, text: str) -> None:
        self._by_name: dict[str, list[Sample]] = {}
        for sample in _samples(text):
            self._by_name.setdefault(sample.name, []).append(sample)

    def __bool__(self) -> bool:
        return bool(self._by_name)

    def of(self, name: str, connector: str | None = None) -> list[Sample]:
        """The samples called *name*, of one connector if it is given."""
        return [each for each in self._by_name.get(name, ()) if connector in (None, each.labels.get("connector"))]

    def sum(self, name: str, connector: str) -> float | None:
        """The sum over all tasks and other labels; None without a sample."""
        found = [each.value for each in self.of(name, connector)]
        return sum(found) if found else None

    def most(self, name: str, connector: str) -> float | None:
        """The greatest of all tasks; None without a sample."""
        return max((each.value for each in self.of(name, connector)), default=None)

    def connectors(self) -> list[str]:
        """The connectors that have a task."""
        return sorted({each.labels["connector"] for each in self.of("cdc_task_state")})

    def state(self, connector: str) -> str:
        """The task's state; empty without one."""
        return next((each.labels["state"] for each in self.of("cdc_task_state", connector) if each.value), "")


def numbers(client: Client) -> Numbers:
    """The worker's numbers; empty if it publishes none of ours, as Kafka Connect's."""
    return Numbers(client.text("metrics"))


def _samples(text: str) -> Iterator[Sample]:
    for line in text.splitlines():
        match = _LINE.match(line) if line.startswith("cdc_") else None
        if match:
            labels = {name: re.sub(r"\\(.)", lambda found: _ESCAPED.get(found[1], found[1]), text)
                      for name, text in _LABEL.findall(match["labels"] or "")}
            yield Sample(match["name"], labels, float(match["value"]))
