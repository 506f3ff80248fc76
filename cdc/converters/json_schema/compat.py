"""Compares two JSON Schemas: what changed from one to the other, and whether what we write is valid in the other.

Only the keywords that the converter itself writes are compared, and `required`. Titles, descriptions, defaults and
`connect.*` members do not matter. JSON Schema draft 7, "Validation".
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

MAX_SHOWN: Final = 3
"""How many differences a message names."""


class Difference(NamedTuple):
    """*harmful*: a value of our schema may be invalid in the other one."""

    text: str
    harmful: bool


def first_misfit(ours: str, theirs: str) -> str | None:
    """The first place where a value of ours may be invalid in *theirs*; None if there is none. Raises ValueError if
    *theirs* is no JSON Schema."""
    return next((found.text for found in _compared(ours, theirs) if found.harmful), None)


def changes(ours: str, theirs: str) -> str | None:
    """The first differences, as `after.amount is a number here and a string there`; None if there are none. Raises
    ValueError as above."""
    found = [each.text for each in _compared(ours, theirs)]
    more = f"; and {len(found) - MAX_SHOWN} more" if len(found) > MAX_SHOWN else ""
    return "; ".join(found[:MAX_SHOWN]) + more if found else None


def _compared(ours: str, theirs: str) -> Iterator[Difference]:
    other = json.loads(theirs)
    if not isinstance(other, dict | bool):
        raise ValueError("this is no JSON Schema")
    try:
        yield from _differ(json.loads(ours), other, "")
    except (TypeError, AttributeError) as exc:
        raise ValueError("this is no JSON Schema") from exc


def _differ(ours: Any, theirs: Any, path: str) -> Iterator[Difference]:
    if theirs is True or theirs == {}:
        return
    (here, null_here), (there, null_there) = _nullable(ours), _nullable(theirs)
    if null_here != null_there:
        yield Difference(f"{_place(path)} {'may be null' if null_here else 'is required'} here and "
                         f"{'may be null' if null_there else 'is required'} there", null_here)
    if _kind(here) != _kind(there):
        yield Difference(f"{_place(path)} is {_kind(here)} here and {_kind(there)} there",
                         (_kind(here), _kind(there)) != ("integer", "number"))
    elif _kind(here) == "object":
        yield from _differ_in_properties(here, there, path)
    elif _kind(here) == "array":
        yield from _differ(here.get("items", True), there.get("items", True), path)


def _differ_in_properties(ours: dict[str, Any], theirs: dict[str, Any], path: str) -> Iterator[Difference]:
    here, there = ours.get("properties", {}), theirs.get("properties", {})
    prefix = f"{path}." if path else ""
    rest = theirs.get("additionalProperties", True)
    closed = rest is False
    for name, schema in here.items():
        if name in there:
            yield from _differ(schema, there[name], prefix + name)
        else:
            if isinstance(rest, dict):
                yield from _differ(schema, rest, prefix + name)
            yield Difference(f"{prefix}{name} is a property here only", closed)
    needed = theirs.get("required", ())
    for name in there:
        if name not in here:
            yield Difference(f"{prefix}{name} is a property there only", name in needed)
    if isinstance(ours.get("additionalProperties"), dict):
        yield from _differ(ours["additionalProperties"], rest, path)
    elif (ours.get("additionalProperties", True) is False) != closed:
        yield Difference(f"{_place(path)} {'is open' if not closed else 'is closed'} to further properties there",
                         False)


def _nullable(schema: Any) -> tuple[dict[str, Any], bool]:
    """The schema without null, and whether null is allowed."""
    if not isinstance(schema, dict):
        return {}, True
    for key in ("oneOf", "anyOf"):
        branches = schema.get(key)
        if isinstance(branches, list):
            others = [branch for branch in branches if branch != {"type": "null"}]
            if len(others) == 1 and isinstance(others[0], dict):
                return others[0], len(branches) > 1
    kinds = schema.get("type")
    if isinstance(kinds, list) and "null" in kinds and len(kinds) == 2:
        return {**schema, "type": next(kind for kind in kinds if kind != "null")}, True
    return schema, False


def _kind(schema: dict[str, Any]) -> str:
    kind = schema.get("type")
    return kind if isinstance(kind, str) else "of another kind"


def _place(path: str) -> str:
    return path or "the value"
