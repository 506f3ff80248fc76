"""Java's replacement strings: `$1`, `${name}`, `\\$` (Java SE API, `java.util.regex.Matcher`, "replaceFirst",
"appendReplacement")."""

from __future__ import annotations

import re

from cdc.core.errors import ConfigError
from cdc.core.late_regex import late_regex

from .regex import Invalid, JavaRegex, compile_java


def compile_for(option: str, regex: str) -> JavaRegex:
    """*regex* with case, as Java's Pattern.compile(regex). Raises ConfigError, which names *option*."""
    try:
        return compile_java(regex, re.ASCII, option)
    except Invalid as exc:
        raise ConfigError(f"Not a regular expression: {exc}.", option=option) from exc


_REFERENCE = late_regex(r"\\(?P<literal>.)|\$(?P<number>\d+)|\$\{(?P<name>[a-zA-Z][a-zA-Z0-9]*)\}|\$", re.DOTALL)


def rewrite(pattern: JavaRegex, replacement: str, text: str) -> str:
    """Java's `if (matches()) replaceFirst(replacement)`: the whole text must match, then the first match found is
    replaced (java.util.regex.Matcher.appendReplacement)."""
    if not pattern.fullmatch(text):
        return text
    found = pattern.search(text)
    assert found is not None

    def expand(reference: re.Match[str]) -> str:
        if reference["literal"] is not None:
            return reference["literal"]
        if reference["name"] is not None:
            return found[reference["name"]] or ""
        group = _group_digits(pattern, reference["number"])
        return (found[int(group)] or "") + reference["number"][len(group):]

    return text[:found.start()] + _REFERENCE.sub(expand, replacement) + text[found.end():]


def _group_digits(pattern: JavaRegex, digits: str) -> str:
    """As many of *digits* as still name a group; the first always does."""
    count = 1
    while count < len(digits) and int(digits[:count + 1]) <= pattern.groups:
        count += 1
    return digits[:count]


def check_replacement(option: str, pattern: JavaRegex, replacement: str) -> None:
    """Raises ConfigError, which names *option*, for a reference to a group that *pattern* does not have."""
    for reference in _REFERENCE.finditer(replacement):
        if not _is_known(pattern, reference):
            raise ConfigError(f"{reference[0]!r} in the replacement names no group of the regex.", option=option,
                              hint="Write \\$ for a dollar sign.")


def _is_known(pattern: JavaRegex, reference: re.Match[str]) -> bool:
    if reference["literal"] is not None:
        return True
    if reference["name"] is not None:
        return reference["name"] in pattern.groupindex
    return reference["number"] is not None and int(reference["number"][0]) <= pattern.groups
