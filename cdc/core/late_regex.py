"""Regular expressions of modules, compiled when they are first used.

A module of ours that says `re.compile` would make all its expressions while it is imported: a tenth of the time that
`cdc run` needs until its first event, and few of them are used by then.
"""

from __future__ import annotations

import re
from typing import Any, AnyStr, Final, cast

_ATTRIBUTES: Final = ("findall", "finditer", "fullmatch", "groupindex", "groups", "match", "search", "split", "sub",
                      "subn")


class _LateRegex:
    def __init__(self, pattern: str | bytes, flags: int) -> None:
        self.pattern, self.flags = pattern, flags

    def __getattr__(self, name: str) -> Any:
        if name not in _ATTRIBUTES:
            raise AttributeError(f"a regular expression has no {name}", name=name)
        made: Any = re.compile(self.pattern, self.flags)
        self.__dict__.update({each: getattr(made, each) for each in _ATTRIBUTES})
        return self.__dict__[name]

    def __repr__(self) -> str:
        return repr(re.compile(self.pattern, self.flags))


def late_regex(pattern: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
    """As `re.compile`, but an invalid *pattern* raises when the expression is first used. Functions of `re` such as
    `re.sub` take text or what `re.compile` made; call the methods of this instead."""
    return cast("re.Pattern[AnyStr]", _LateRegex(pattern, int(flags)))
