"""Checks and conversions of single values, for declarations of options."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

Check = Callable[[Any], str | None]
"""Takes a converted value, and returns what is wrong with it, or None."""

_RANGES = {"SHORT": (-(2**15), 2**15 - 1), "INT": (-(2**31), 2**31 - 1), "LONG": (-(2**63), 2**63 - 1)}


def at_least(low: int) -> Check:
    return lambda value: None if value >= low else f"must be {low} or more"


def between(low: int, high: int) -> Check:
    return lambda value: None if low <= value <= high else f"must be between {low} and {high}"


def matching(pattern: str, says: str) -> Check:
    """A check that the whole text matches *pattern*; *says* explains the pattern to a person."""
    compiled = re.compile(pattern)
    return lambda value: None if compiled.fullmatch(value) else says


def to_list(text: str) -> tuple[str, ...]:
    """A comma list, items trimmed, empty ones dropped."""
    return tuple(item for item in (part.strip() for part in text.split(",")) if item)


def to_bool(text: str) -> bool:
    word = text.strip().lower()
    if word not in ("true", "false"):
        raise ValueError("allowed: true, false")
    return word == "true"


def _integer(kind: str) -> Callable[[str], int]:
    low, high = _RANGES[kind]

    def convert(text: str) -> int:
        if not re.fullmatch(r"[+-]?[0-9]{1,19}", text):
            raise ValueError("must be a whole number")
        if not low <= int(text) <= high:
            raise ValueError(f"must be between {low} and {high}")
        return int(text)

    return convert


def _double(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError("must be a number") from None


def _text(text: str) -> str:
    return text


TYPES: dict[str, Callable[[str], Any]] = {
    "BOOLEAN": to_bool, "STRING": _text, "CLASS": _text, "LIST": to_list, "DOUBLE": _double, "PASSWORD": _text,
    "INT": _integer("INT"), "SHORT": _integer("SHORT"), "LONG": _integer("LONG"),
}
"""For each option type, the function that turns text into a value. It raises ValueError with the reason."""
