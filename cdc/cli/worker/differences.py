"""What a connector's configuration in a file and that of a worker differ in, without showing secrets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import click

from cdc.cli.output import printable
from cdc.config.secrets import mask, sealed
from cdc.core.errors import ConfigError


@dataclass(slots=True)
class Differences:
    """By key, as people may see it. *hidden* are keys whose values the worker does not show, so they may differ."""

    is_new: bool = False
    added: dict[str, str | None] = field(default_factory=dict)
    removed: dict[str, str | None] = field(default_factory=dict)
    changed: dict[str, tuple[str | None, str | None]] = field(default_factory=dict)
    hidden: list[str] = field(default_factory=list)

    @property
    def count(self) -> int:
        """How many keys differ for certain."""
        return len(self.added) + len(self.removed) + len(self.changed)

    def as_json(self) -> dict[str, Any]:
        """What `--output json` prints."""
        return {"new": self.is_new, "added": self.added, "removed": self.removed, "may_differ": self.hidden,
                "changed": {key: {"from": old, "to": new} for key, (old, new) in self.changed.items()}}

    def lines(self) -> Iterator[str]:
        """What a person reads, with colours."""
        for key, text in self.added.items():
            yield click.style(f"  + {printable(f'{key}={text}')}", fg="green")
        for key, text in self.removed.items():
            yield click.style(f"  - {printable(f'{key}={text}')}", fg="red")
        for key, (old, new) in self.changed.items():
            yield click.style(f"  ~ {printable(f'{key}={old}')} -> {printable(str(new))}", fg="yellow")
        for key in self.hidden:
            yield f"  ? {printable(key)}: the worker does not show it, so it may differ"


def differences(running: Mapping[str, str | None] | None, wanted: Mapping[str, str]) -> Differences:
    """From the configuration that a worker shows (None: it has no such connector) to the one *wanted*."""
    shown = shown_config(wanted)
    if running is None:
        return Differences(is_new=True, added=shown)
    found = Differences(removed={key: text for key, text in mask(running).items() if key not in shown})
    old = mask(running)
    for (key, text), (name, public) in zip(wanted.items(), shown.items(), strict=True):
        if name not in running:
            found.added[name] = public
        elif running[name] == text and name == key:
            continue
        elif running[name] == public:
            found.hidden.append(name)
        else:
            found.changed[name] = old[name], public
    return found


def shown_config(config: Mapping[str, str]) -> dict[str, str | None]:
    """*config* for people, its keys in the same order. Values of a class that is not installed here are hidden."""
    from cdc import plugins
    from cdc.privacy import public_config

    try:
        public = public_config(config, plugins.find("connector", config.get("connector.class", "")))
    except ConfigError:
        public = sealed(config, lambda key: key in _HARMLESS)
    return mask(public)


_HARMLESS: Sequence[str] = ("name", "connector.class", "tasks.max", "topic", "topics")
