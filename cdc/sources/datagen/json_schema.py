"""A JSON schema becomes a node that makes its rows. `arg.properties` work as in an Avro schema, where they stand.

Sources: JSON Schema, "Validation" (draft 2020-12), sections 6 and 7. An object is a struct, an integer an INT64, a
number a FLOAT64. Properties that are not required are optional; every fifth value of them is null.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cdc.core.schema import ARRAY, FLOAT64, INT64, MAP, STRING, STRUCT, Field, Schema

from .randoms import JavaRandom
from .values import MAX_ITEMS, MAX_ROW_BYTES, Made, Make, Node, chosen, length, scalar, text_node

_TYPES: Final = {"string": "string", "integer": "long", "number": "double", "boolean": "boolean"}
_NULL_ONE_IN: Final = 5
_MOST_ITEMS: Final = 5
"""How long a list may become that has no `maxItems`, beyond its `minItems`."""
_REFUSED: Final = ("allOf", "not", "if", "patternProperties", "prefixItems", "contains", "dependentSchemas")
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"
_DAYS_FROM: Final = datetime(2020, 1, 1, tzinfo=UTC)
_SECONDS: Final = 6 * 365 * 86400


def looks_like(schema: Any) -> bool:
    """Whether *schema*, JSON data, is a JSON schema and no Avro schema."""
    return isinstance(schema, Mapping) and ("$schema" in schema or schema.get("type") == "object"
                                            or ("properties" in schema and "fields" not in schema))


def read(schema: Any, made: Made) -> Node:
    """The node of *schema*, JSON data. Raises ValueError with the place and the reason."""
    node = _Reader(schema, made).node(schema, "", ())
    if node.schema.type != STRUCT:
        raise ValueError("the schema must be of an object with properties")
    return node


class _Reader:
    def __init__(self, root: Mapping[str, Any], made: Made) -> None:
        self._root = root
        self._made = made
        self._count = 0

    def node(self, schema: Any, where: str, within: tuple[str, ...]) -> Node:
        """The node of *schema*; *where* is its path, for errors. *within*: the references around it."""
        self._count += 1
        if self._count > MAX_ITEMS:
            raise ValueError("the schema has too many parts")
        try:
            found = self._node(schema, where, within)
            if found.most > MAX_ROW_BYTES:
                raise ValueError(f"a value could have {found.most >> 20} MiB; {MAX_ROW_BYTES >> 20} are the most")
            return found
        except _AtError:
            raise
        except ValueError as exc:
            raise _AtError(f"{where or 'the schema'}: {exc}") from exc

    def _node(self, schema: Any, where: str, within: tuple[str, ...]) -> Node:
        if not isinstance(schema, Mapping):
            raise ValueError("a schema must be an object")
        refused = [name for name in _REFUSED if name in schema]
        if refused:
            raise ValueError(f"{refused[0]} is not understood")
        if "$ref" in schema:
            name = schema["$ref"]
            if name in within:
                raise ValueError(f"{name} contains itself, so its values would have no end")
            return self.node(self._referred(name), where, (*within, name))
        for key in ("oneOf", "anyOf"):
            if key in schema:
                return self._either(schema[key], key, where, within)
        if "const" in schema or "enum" in schema:
            return _listed(schema)
        kinds = schema.get("type", "object" if "properties" in schema else None)
        kinds = kinds if isinstance(kinds, list) else [kinds]
        real = [kind for kind in kinds if kind != "null"]
        if len(real) != 1 or real[0] is None:
            raise ValueError("type must name one type, or one and null")
        node = self._typed(real[0], schema, where, within)
        return _optional(node) if len(real) < len(kinds) else node

    def _referred(self, name: Any) -> Any:
        if not isinstance(name, str) or not name.startswith("#/"):
            raise ValueError("a $ref must point into the same schema: #/$defs/NAME")
        found: Any = self._root
        for part in name[2:].split("/"):
            part = part.replace("~1", "/").replace("~0", "~")
            if not isinstance(found, Mapping) or part not in found:
                raise ValueError(f"{name} is not there")
            found = found[part]
        return found

    def _either(self, members: Any, key: str, where: str, within: tuple[str, ...]) -> Node:
        if not isinstance(members, list):
            raise ValueError(f"{key} must be a list")
        real = [each for each in members if each != {"type": "null"}]
        if len(real) != 1:
            raise ValueError(f"{key} must have one schema, or one and null")
        node = self.node(real[0], where, within)
        return _optional(node) if len(real) < len(members) else node

    def _typed(self, kind: Any, schema: Mapping[str, Any], where: str, within: tuple[str, ...]) -> Node:
        if kind == "object":
            return self._object(schema, where, within)
        if kind == "array":
            return self._array(schema, where, within)
        if not isinstance(kind, str) or kind not in _TYPES:
            raise ValueError(f"there is no type {kind}")
        if "arg.properties" in schema:
            return scalar(_TYPES[kind], schema["arg.properties"], self._made)
        if schema.get("examples"):
            return chosen(scalar(_TYPES[kind], {}, self._made), schema["examples"])
        if kind == "string":
            return _text(schema)
        return scalar("boolean", {}, self._made) if kind == "boolean" else _number(kind, schema)

    def _object(self, schema: Mapping[str, Any], where: str, within: tuple[str, ...]) -> Node:
        properties, more = schema.get("properties"), schema.get("additionalProperties")
        if not properties and isinstance(more, Mapping):
            values, key = self.node(more, f"{where}{{}}", within), text_node({"regex": "[a-z]{4,8}"})
            return Node(Schema(MAP, keys=Schema(STRING), items=values.schema),
                        lambda rng: {key.make(rng): values.make(rng) for _ in range(1 + rng.below(_MOST_ITEMS))},
                        _no_reading, _MOST_ITEMS * (8 + values.most))
        if not isinstance(properties, Mapping) or not properties:
            raise ValueError("an object needs properties")
        required = schema.get("required", [])
        if not isinstance(required, list):
            raise ValueError("required must be a list")
        nodes = []
        for name, each in properties.items():
            node = self.node(each, f"{where}.{name}" if where else name, within)
            nodes.append((name, node if name in required else _optional(node)))
        for word in ("title", "description"):
            if not isinstance(schema.get(word, ""), str):
                raise ValueError(f"{word} must be text")
        makers = [node.make for _, node in nodes]
        made = Schema(STRUCT, name=schema.get("title") or (where.replace(".", "_") or "Record"),
                      doc=schema.get("description"), fields=tuple(Field(name, node.schema) for name, node in nodes))
        return Node(made, lambda rng: tuple([make(rng) for make in makers]), _no_reading,
                    sum(node.most for _, node in nodes))

    def _array(self, schema: Mapping[str, Any], where: str, within: tuple[str, ...]) -> Node:
        items = self.node(schema.get("items"), f"{where}[]", within)
        low = _count(schema, "minItems") or 0
        most = _count(schema, "maxItems")
        high = low + _MOST_ITEMS if most is None else most
        if not low <= high <= MAX_ITEMS:
            raise ValueError(f"maxItems must be from minItems to {MAX_ITEMS}")
        return Node(Schema(ARRAY, items=items.schema),
                    lambda rng: [items.make(rng) for _ in range(length(rng, (low, high)))], _no_reading,
                    high * items.most)


def _no_reading(data: Any) -> Any:
    raise ValueError("examples of objects and lists are not read")


def _optional(node: Node) -> Node:
    if node.schema.optional:
        return node
    return Node(node.schema.as_optional(),
                lambda rng: None if rng.below(_NULL_ONE_IN) == 0 else node.make(rng), node.read, node.most)


def _listed(schema: Mapping[str, Any]) -> Node:
    values = [schema["const"]] if "const" in schema else schema["enum"]
    if not isinstance(values, list) or not values:
        raise ValueError("enum must be a list that is not empty")
    real = [each for each in values if each is not None]
    kinds = {"boolean" if isinstance(each, bool) else "long" if isinstance(each, int) else
             "double" if isinstance(each, float) else "string" for each in real}
    if kinds == {"long", "double"}:
        kinds = {"double"}
    if len(kinds) != 1:
        raise ValueError("the values of enum or const must be of one type, or null")
    node = scalar(kinds.pop(), {"options": real}, Made())
    return _optional(node) if len(real) < len(values) else node


def _count(schema: Mapping[str, Any], name: str) -> int | None:
    value = schema.get(name)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
        raise ValueError(f"{name} must be a whole number from 0 on")
    return value


def _number(kind: str, schema: Mapping[str, Any]) -> Node:
    """An integer or number within its bounds; without any, from 0 to 1,000,000."""
    bounds: dict[str, float | None] = {}
    for name in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"):
        value = schema.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise ValueError(f"{name} must be a number")
        bounds[name] = value
    step = bounds["multipleOf"]
    if step is None and kind == "integer":
        step = 1
    if step is not None and step <= 0:
        raise ValueError("multipleOf must be greater than 0")
    if step is not None:
        return _multiples(kind, bounds, step)
    lows = [each for each in (bounds["minimum"], bounds["exclusiveMinimum"]) if each is not None]
    highs = [each for each in (bounds["maximum"], bounds["exclusiveMaximum"]) if each is not None]
    low, high = max(lows, default=None), min(highs, default=None)
    low = low if low is not None else 0.0 if high is None or high > 0 else high - 1_000_000
    high = high if high is not None else low + 1_000_000
    if low >= high:
        raise ValueError("the bounds leave no number")
    least, width = float(low), float(high - low)
    start = 0.5 if bounds["exclusiveMinimum"] is not None else 0.0
    return Node(Schema(FLOAT64), lambda rng: least + (rng.double() or start) * width,
                scalar("double", {}, Made()).read)


def _multiples(kind: str, bounds: Mapping[str, float | None], step: float) -> Node:
    least, most = bounds["minimum"], bounds["maximum"]
    low = None if least is None else math.ceil(least / step)
    high = None if most is None else math.floor(most / step)
    above, below = bounds["exclusiveMinimum"], bounds["exclusiveMaximum"]
    if above is not None:
        low = max(math.floor(above / step) + 1, low if low is not None else math.floor(above / step) + 1)
    if below is not None:
        high = min(math.ceil(below / step) - 1, high if high is not None else math.ceil(below / step) - 1)
    first = low if low is not None else 0 if high is None or high >= 0 else high - 1_000_000
    last = high if high is not None else first + 1_000_000
    if first > last:
        raise ValueError("the bounds leave no number")
    if kind == "integer":
        whole = int(step)
        if whole != step or max(abs(first), abs(last)) * whole >= 1 << 63:
            raise ValueError("an integer and its multipleOf must be whole numbers of 64 bits")
        return Node(Schema(INT64), lambda rng: (first + int(rng.double() * (last - first + 1))) * whole,
                    scalar("long", {}, Made()).read)
    return Node(Schema(FLOAT64), lambda rng: (first + int(rng.double() * (last - first + 1))) * step,
                scalar("double", {}, Made()).read)


def _text(schema: Mapping[str, Any]) -> Node:
    low, high = _count(schema, "minLength"), _count(schema, "maxLength")
    pattern, form = schema.get("pattern"), schema.get("format")
    if pattern is not None:
        rules: dict[str, Any] = {"regex": pattern}
        if low is not None or high is not None:
            rules["length"] = {"min": low or 0, **({} if high is None else {"max": high + 1})}
        return text_node(rules)
    if form is not None and low is None and high is None:
        if form not in _FORMATS:
            raise ValueError(f"format {form} is not made here; made are {', '.join(_FORMATS)}; or use a pattern")
        return text_node({})._replace(make=_FORMATS[form], most=48)
    shortest = min(8, high) if low is None and high is not None else 8 if low is None else low
    longest = max(shortest, 15) if high is None else high
    return text_node({"regex": f"[{_LETTERS}]{{{shortest},{longest}}}"})


def _moment(rng: JavaRandom) -> datetime:
    return _DAYS_FROM + timedelta(seconds=rng.below(_SECONDS))


def _word(rng: JavaRandom) -> str:
    return "".join(_LETTERS[rng.below(26)] for _ in range(4 + rng.below(5)))


_FORMATS: Final[Mapping[str, Make]] = {
    "date-time": lambda rng: _moment(rng).strftime("%Y-%m-%dT%H:%M:%SZ"),
    "date": lambda rng: _moment(rng).strftime("%Y-%m-%d"),
    "time": lambda rng: _moment(rng).strftime("%H:%M:%SZ"),
    "uuid": lambda rng: str(uuid.UUID(bytes=rng.data(16), version=4)),
    "email": lambda rng: f"{_word(rng)}@example.com",
    "hostname": lambda rng: f"{_word(rng)}.example.com",
    "uri": lambda rng: f"https://example.com/{_word(rng)}",
    "ipv4": lambda rng: f"198.51.100.{rng.below(256)}",
}
"""For each `format`, what makes its texts. Names and addresses are reserved for documentation (RFC 2606, 5737)."""


class _AtError(ValueError):
    """An error that says where it is."""
