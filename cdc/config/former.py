"""Keys and values of earlier releases, and what stands for them now.

A connector lists its `Former`s. `changes` says what they do to one configuration, `applied` does it, and `upgrade` in
`cdc config upgrade` writes it into the file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from cdc.core.dataclass import dataclass
from cdc.core.named_tuple import NamedTuple

from .limits import limits_capture
from .regex import split_list
from .secrets import is_reference


@dataclass(frozen=True)
class Former:
    """One key of an earlier release, or all keys that fully match *pattern*, which *now* then is a template for.

    *now* is the present key; empty if there is none, and *why* says what that means. *values* are the old values that
    have a new form; others stay as they are. *convert* gives the new form of any value, or None if it has none.
    *upgrade_only*: `cdc config upgrade` writes the present key, but the old one is an option that is still read.
    """

    key: str
    now: str = ""
    since: str = "2.0"
    values: Mapping[str, str] | None = None
    convert: Callable[[str], str | None] | None = None
    why: str = ""
    pattern: re.Pattern[str] | None = None
    upgrade_only: bool = False

    def present(self, key: str) -> str | None:
        """The present key for *key*; None if this is about other keys."""
        if self.pattern is None:
            return self.now if key == self.key else None
        match = self.pattern.fullmatch(key)
        return match.expand(self.now) if match else None

    def value(self, text: str) -> str | None:
        """The new form of the value *text*."""
        if is_reference(text):
            return text
        if self.convert is not None:
            return self.convert(text)
        return (self.values or {}).get(text.strip().lower(), text)


class Change(NamedTuple):
    """What becomes of one key: it is now called *now* and has *value*. An empty *now*: the key is not read.

    *text* tells a person. *wrong*: both names are given, and they contradict each other in what is captured.
    """

    key: str
    now: str
    value: str
    text: str
    wrong: bool = False


def changes(config: Mapping[str, str], formers: Sequence[Former], *, upgrade: bool = False) -> list[Change]:
    """What *formers* do to *config*, in the order of its keys. Keys that stay as they are give nothing.

    With *upgrade*, also the changes that a reader does not need.
    """
    found = []
    for key, text in config.items():
        for former in formers:
            now = former.present(key)
            if now is None or (former.upgrade_only and not upgrade):
                continue
            change = _change(former, key, now, text, config)
            if change is not None:
                found.append(change)
            break
    if upgrade:
        found += [Change(each.now, "", "", f"is empty; its value is that of {each.key}.") for each in found
                  if each.now and each.now != each.key and each.now in config]
    return found


def _change(former: Former, key: str, now: str, text: str, config: Mapping[str, str]) -> Change | None:
    value = former.value(text)
    if now == key:
        renamed = f"{text.strip()} is now called {value}."
        return None if value in (text, None) else Change(key, key, value or "", renamed)
    dropped = f"Debezium {former.since} dropped this key"
    if not now:
        return Change(key, "", "", f"{dropped}. It has no effect. {former.why}".strip())
    if value is None:
        return Change(key, "", "", f"{dropped}, and {now} has no form for its value. It has no effect. {former.why}"
                      .strip())
    other = config.get(now)
    if other is None or not other.strip():
        return Change(key, now, value, f"is taken as {now}, its name since Debezium {former.since}.")
    if split_list(other) == split_list(value):
        return Change(key, "", "", f"is the former name of {now}, which is set to the same value. Remove this key.")
    if limits_capture(now):
        return Change(key, "", "", f"is the former name of {now}, which is set to something else.", wrong=True)
    return Change(key, "", "", f"is the former name of {now}, which is set too and counts. Remove this key.")


def applied(config: Mapping[str, str], made: Iterable[Change]) -> dict[str, str]:
    """*config* with the changes *made*, in the same order of keys."""
    by_key = {change.key: change for change in made}
    new: dict[str, str] = {}
    for key, text in config.items():
        change = by_key.get(key)
        if change is None:
            if text.strip() or key not in new:
                new[key] = text
        elif change.now:
            new[change.now] = change.value
    return new
