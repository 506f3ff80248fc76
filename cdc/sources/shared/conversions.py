"""Converts option texts that several sources have into values. All functions raise ValueError or ConfigError."""

from __future__ import annotations

from collections.abc import Callable

from cdc.config import regex
from cdc.config.checks import matching
from cdc.debezium.filters import parse_key_columns

TOPIC_PART = matching(r"[a-zA-Z0-9_.\-]+", "only letters, digits, dots, hyphens and underscores are allowed")


def regexes(option_key: str) -> Callable[[str], tuple[str, ...]]:
    """A conversion to a tuple of regexes, which checks that each one compiles."""

    def convert(text: str) -> tuple[str, ...]:
        items = regex.split_list(text)
        regex.compile_items(items, option_key)
        return items

    return convert


def placeholder_bytes(text: str) -> bytes:
    """`unavailable.value.placeholder`: the text's UTF-8, or with the prefix `hex:` the bytes it spells."""
    return bytes.fromhex(text[4:]) if text.startswith("hex:") else text.encode("utf-8")


def key_columns(text: str) -> str | None:
    """`message.key.columns`, checked; `debezium.filters` reads it."""
    parse_key_columns(text)
    return text or None


def statements(text: str) -> tuple[str, ...]:
    """SQL statements separated by `;`, where `;;` is a semicolon within one."""
    parts = (part.strip().replace("\0", ";") for part in text.replace(";;", "\0").split(";"))
    return tuple(part for part in parts if part)


def operations(text: str) -> tuple[str, ...]:
    """`skipped.operations`: any of c, u, d, t, r; or none."""
    items = tuple(part.strip().lower() for part in text.split(",") if part.strip())
    if items == ("none",):
        return ()
    bad = [item for item in items if item not in ("c", "u", "d", "t", "r")]
    if bad:
        raise ValueError("allowed: none, or a list of c, u, d, t, r")
    return tuple(dict.fromkeys(items))


def tags(text: str) -> tuple[tuple[str, str], ...]:
    """`custom.metric.tags`: a comma list of name=value."""
    pairs = [part.partition("=") for part in text.split(",") if part.strip()]
    if any(not name.strip() or not equals for name, equals, _ in pairs):
        raise ValueError("it must be a list of name=value, separated by commas")
    return tuple((name.strip(), value.strip()) for name, _, value in pairs)
