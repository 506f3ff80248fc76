"""Compares two Avro schemas: whether the same values have the same bytes in both.

We need this when we write values under a registered schema that we did not make. Two schemas are alike if they have the
same types, unions in the same order, records with the same fields in the same order, and decimals of the same scale.
Docs, defaults, aliases and other attributes do not matter. Avro specification, "Parsing Canonical Form".
"""

from __future__ import annotations

import json
from typing import Any

Shape = Any
"""A primitive's name; `("ref", name)`; or a tuple that begins with the kind of type."""


def first_difference(ours: str, theirs: str) -> str | None:
    """The first place where the two schemas have different bytes, as `after.Value.amount: …`; None if there is none.

    Raises ValueError if *theirs* is not an Avro schema.
    """
    return _differ(_shape(ours), _shape(theirs), "")


def _shape(text: str) -> Shape:
    try:
        return _Reader().shape(json.loads(text), "")
    except (KeyError, TypeError, AttributeError) as exc:
        raise ValueError("this is not an Avro schema") from exc


class _Reader:
    """Reads one schema and resolves the names in it."""

    def __init__(self) -> None:
        self.named: set[str] = set()

    def shape(self, node: Any, space: str) -> Shape:
        if isinstance(node, str):
            return self.reference(node, space)
        if isinstance(node, list):
            return ("union", *(self.shape(branch, space) for branch in node))
        kind = node["type"]
        if isinstance(kind, (dict, list)):
            return self.shape(kind, space)
        if kind == "array":
            return ("array", self.shape(node["items"], space))
        if kind == "map":
            return ("map", self.shape(node["values"], space))
        if kind in ("record", "error", "enum", "fixed"):
            return self.definition(kind, node, space)
        if kind == "bytes" and node.get("logicalType") == "decimal":
            return ("decimal", node.get("scale", 0))
        return self.reference(kind, space)

    def reference(self, name: str, space: str) -> Shape:
        full = f"{space}.{name}" if space and "." not in name else name
        return ("ref", full) if full in self.named else name

    def definition(self, kind: str, node: dict[str, Any], space: str) -> Shape:
        space, _, name = node["name"].rpartition(".") if "." in node["name"] else (
            node.get("namespace", space), "", node["name"])
        full = f"{space}.{name}" if space else name
        self.named.add(full)
        if kind == "enum":
            return ("enum", full, *node["symbols"])
        if kind == "fixed":
            return ("fixed", full, node["size"])
        return ("record", full, *((field["name"], self.shape(field["type"], space)) for field in node["fields"]))


def _differ(ours: Shape, theirs: Shape, path: str) -> str | None:
    if ours == theirs:
        return None
    if not (isinstance(ours, tuple) and isinstance(theirs, tuple)) or ours[0] != theirs[0]:
        return f"{path or 'the schema'} is {_said(ours)} here and {_said(theirs)} there"
    if ours[0] == "record" and ours[1] == theirs[1]:
        return _differ_in_fields(ours, theirs, path)
    if ours[0] in ("array", "map", "union") and [*map(_kind, ours)] == [*map(_kind, theirs)]:
        for one, other in zip(ours[1:], theirs[1:], strict=True):
            found = _differ(one, other, path)
            if found:
                return found
    return f"{path or 'the schema'} is {_said(ours)} here and {_said(theirs)} there"


def _differ_in_fields(ours: Shape, theirs: Shape, path: str) -> str | None:
    here, there = [name for name, _ in ours[2:]], [name for name, _ in theirs[2:]]
    prefix = f"{path}." if path else ""
    for name in here:
        if name not in there:
            return f"{prefix}{name} is a field here only"
    for name in there:
        if name not in here:
            return f"{prefix}{name} is a field there only"
    if here != there:
        return f"the fields of {ours[1]} are in another order"
    for (name, one), (_, other) in zip(ours[2:], theirs[2:], strict=True):
        found = _differ(one, other, prefix + name)
        if found:
            return found
    return None


def _kind(shape: Shape) -> str:
    return shape if isinstance(shape, str) else str(shape[0])


def _said(shape: Shape) -> str:
    if isinstance(shape, str):
        return shape
    if shape[0] == "union":
        return "[" + ", ".join(_said(branch) for branch in shape[1:]) + "]"
    if shape[0] == "decimal":
        return f"a decimal of scale {shape[1]}"
    return f"{shape[0]} {shape[1]}" if shape[0] in ("record", "enum", "fixed", "ref") else str(shape[0])
