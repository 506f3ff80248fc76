"""What makes values: one `Node` for each place in a schema, with the rules of `arg.properties`.

The rules, their defaults and the order in which random numbers are drawn are those of avro-random-generator
(`Generator.java`), so that a seed gives the same numbers there and here. Texts of a `regex` differ. Where that library
ignores a rule (`range` of a decimal, numbers that overflow), the rule applies here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, NamedTuple

from cdc.codecs.decimals import unscaled_bytes
from cdc.codecs.java import float32
from cdc.core.schema import BOOLEAN, DECIMAL, FLOAT32, FLOAT64, INT32, INT64, STRING, Schema

from .randoms import JavaRandom
from .regexes import Regex

Make = Callable[[JavaRandom], Any]
Rules = Mapping[str, Any]
"""The members of `arg.properties`."""

RULES: Final = ("length", "regex", "prefix", "suffix", "options", "keys", "range", "odds", "iteration")
DEFAULT_LENGTH: Final = (8, 15)
MAX_ROW_BYTES: Final = 16 << 20
"""The largest row that a schema may ask for."""
MAX_ITEMS: Final = 100_000
"""The highest length of a list, a map, bytes or a text without regex."""
_LIMITS: Final = {"int": (-(2**31), 2**31 - 1), "long": (-(2**63), 2**63 - 1)}
_LARGEST: Final = {"float": 3.4028234663852886e38, "double": 1.7976931348623157e308}


class Node(NamedTuple):
    """One place in a schema. `make` gives its next Connect value; `read` makes one of JSON data, and raises ValueError
    with the reason. `most` is about the highest number of bytes of a value."""

    schema: Schema
    make: Make
    read: Callable[[Any], Any]
    most: int = 8


class Steps:
    """A value that goes up or down by steps (`iteration`). `count` values were made so far."""

    def __init__(self, at: Callable[[int], Any]) -> None:
        self._at = at
        self.count = 0

    def __call__(self, rng: JavaRandom) -> Any:
        found = self._at(self.count)
        self.count += 1
        return found


@dataclass(slots=True)
class Made:
    """What is collected while a schema is read: `steps` are its iterations, in the schema's order."""

    steps: list[Steps] = field(default_factory=list)


def number_of(rules: Rules, name: str, where: str, *, whole: bool) -> Any:
    """Member *name* of *rules*, None if it is not there. Raises ValueError if it is no number, or no whole number."""
    value = rules.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
        raise ValueError(f"{name} of {where} must be a {'whole ' if whole else ''}number")
    return value


def object_of(rules: Rules, name: str) -> Rules:
    """Member *name* of *rules*, an object. Raises ValueError."""
    value = rules[name]
    if not isinstance(value, Mapping):
        raise ValueError(f"{name} must be an object")
    return value


def lengths(rules: Rules, most: int = MAX_ITEMS) -> tuple[int, int] | None:
    """The shortest and the longest length that `length` allows; None without it. Raises ValueError."""
    value = rules.get("length")
    if value is None:
        return None
    if isinstance(value, Mapping):
        low = number_of(value, "min", "length", whole=True)
        high = number_of(value, "max", "length", whole=True)
        if low is None and high is None:
            raise ValueError("length needs min or max")
        low, high = low or 0, most if high is None else high - 1
    else:
        low = high = number_of(rules, "length", "arg.properties", whole=True)
    if not 0 <= low <= high:
        raise ValueError("length allows none: max is not included, and must be greater than min")
    if high > most:
        raise ValueError(f"length goes up to {high}, and {most} is the highest that is made here")
    return low, high


def length(rng: JavaRandom, bounds: tuple[int, int]) -> int:
    low, high = bounds
    return low + rng.below(high - low + 1)


def checked(rules: Any) -> Rules:
    """*rules*, if they are an object with known members only. Raises ValueError."""
    if not isinstance(rules, Mapping):
        raise ValueError("arg.properties must be an object")
    unknown = [name for name in rules if name not in RULES]
    if unknown:
        raise ValueError(f"arg.properties has no {unknown[0]}; known: {', '.join(RULES)}")
    for first, others in (("options", ("length", "regex", "iteration", "range")),
                          ("iteration", ("length", "regex", "options", "range"))):
        both = [name for name in others if first in rules and name in rules]
        if both:
            raise ValueError(f"{first} and {both[0]} cannot be combined")
    return rules


def chosen(node: Node, options: Any) -> Node:
    """*node* with one of *options* each time. Raises ValueError."""
    if isinstance(options, Mapping):
        raise ValueError("options from a file are not read; write them as a list")
    if not isinstance(options, Sequence) or isinstance(options, str) or not options:
        raise ValueError("options must be a list that is not empty")
    known = [node.read(each) for each in options]
    return node._replace(make=lambda rng: known[rng.below(len(known))])


def stepped(node: Node, kind: str, rules: Rules, made: Made) -> Node:
    """*node*, whose values are those of `iteration`. *kind*: Avro's type. Raises ValueError."""
    given = object_of(rules, "iteration")
    if kind == "boolean":
        if not isinstance(given.get("start"), bool) or set(given) - {"start"}:
            raise ValueError("iteration of a boolean has start only, true or false")
        first: bool = given["start"]
        steps = Steps(lambda count: first ^ bool(count % 2))
    elif kind in ("int", "long", "string"):
        at = _whole_steps("int" if kind == "string" else kind, given)
        fixed = _affixes(rules)
        steps = Steps(at if kind != "string" else lambda count: fixed(str(at(count))))
    elif kind in ("float", "double"):
        steps = Steps(_decimal_steps(kind, given))
    else:
        raise ValueError(f"iteration is for numbers, booleans and strings, and not for {kind}")
    made.steps.append(steps)
    return node._replace(make=steps)


def _bounds(given: Rules, *, whole: bool, low: Any, high: Any) -> tuple[Any, Any, Any, Any]:
    """start, restart, step and initial of an iteration, defaults filled in."""
    start, restart, step, initial = (
        number_of(given, name, "iteration", whole=whole) for name in ("start", "restart", "step", "initial"))
    if start is None:
        raise ValueError("iteration needs start")
    if step is None:
        step = 1 if restart is None or restart > start else -1
    if step == 0 or restart == start:
        raise ValueError("step of iteration must not be 0, and restart must differ from start")
    if restart is None:
        restart = high if step > 0 else low
    if (restart > start) != (step > 0):
        raise ValueError("step of iteration must lead from start to restart")
    for value in (start, restart, start if initial is None else initial):
        if not low <= value <= high:
            raise ValueError(f"iteration leaves the type's range, {low} to {high}")
    return start, restart, step, start if initial is None else initial


def _whole_steps(kind: str, given: Rules) -> Callable[[int], int]:
    low, high = _LIMITS[kind]
    start, restart, step, initial = _bounds(given, whole=True, low=low, high=high)
    first, around, sign = initial - start, abs(restart - start), 1 if step > 0 else -1
    return lambda count: start + (abs(count * step + first) % around * sign if count else first)


def _decimal_steps(kind: str, given: Rules) -> Callable[[int], float]:
    most = _LARGEST[kind]
    start, restart, step, initial = (
        Decimal(repr(float(each))) for each in _bounds(given, whole=False, low=-most, high=most))
    first, around = initial - start, restart - start
    narrow = float32 if kind == "float" else float

    def at(count: int) -> float:
        moved = Decimal(count) * step + first
        turns = int(moved / around)
        return narrow(float(start + (moved - turns * around if count else first)))

    return at


def scalar(kind: str, rules: Rules, made: Made) -> Node:
    """A value of one of Avro's simple types but `null`, `fixed` and `enum`. Raises ValueError."""
    rules = checked(rules)
    node = _PLAIN[kind](rules)
    if "options" in rules:
        return chosen(node, rules["options"])
    return stepped(node, kind, rules, made) if "iteration" in rules else node


def _range(rules: Rules, *, whole: bool, low: Any, high: Any) -> tuple[Any, Any] | None:
    if "range" not in rules:
        return None
    given = object_of(rules, "range")
    least = number_of(given, "min", "range", whole=whole)
    most = number_of(given, "max", "range", whole=whole)
    least, most = low if least is None else least, high if most is None else most
    if not low <= least < most <= high:
        raise ValueError("min of range must be less than max, both within the type's range")
    return least, most


def _between(rng: JavaRandom, low: int, high: int) -> int:
    return low + int(rng.double() * (high - low))


def _whole(kind: str) -> Callable[[Rules], Node]:
    low, high = _LIMITS[kind]

    def node(rules: Rules) -> Node:
        bounds = _range(rules, whole=True, low=low, high=high)
        every: Make = JavaRandom.int32 if kind == "int" else JavaRandom.int64
        make = every if bounds is None else lambda rng: _between(rng, *bounds)
        return Node(Schema(INT32 if kind == "int" else INT64), make, read)

    def read(data: Any) -> int:
        if isinstance(data, bool) or not isinstance(data, int) or not low <= data <= high:
            raise ValueError(f"{_shown(data)} is no {kind}")
        return data

    return node


def _floating(kind: str) -> Callable[[Rules], Node]:
    narrow = float32 if kind == "float" else float

    def node(rules: Rules) -> Node:
        bounds = _range(rules, whole=False, low=-_LARGEST[kind], high=_LARGEST[kind])
        drawn: Callable[[JavaRandom], float] = JavaRandom.single if kind == "float" else JavaRandom.double
        if bounds is None:
            return Node(Schema(FLOAT32 if kind == "float" else FLOAT64), drawn, read)
        low, high = (narrow(float(each)) for each in bounds)

        def make(rng: JavaRandom) -> float:
            part = drawn(rng)
            wide = high - low
            return narrow(low + part * wide if math.isfinite(wide) else low * (1 - part) + high * part)

        return Node(Schema(FLOAT32 if kind == "float" else FLOAT64), make, read)

    def read(data: Any) -> float:
        if isinstance(data, bool) or not isinstance(data, int | float):
            raise ValueError(f"{_shown(data)} is no number")
        return narrow(float(data))

    return node


def _boolean(rules: Rules) -> Node:
    odds = number_of(rules, "odds", "arg.properties", whole=False)
    if odds is not None and not 0 <= odds <= 1:
        raise ValueError("odds must be from 0 to 1")

    def read(data: Any) -> bool:
        if not isinstance(data, bool):
            raise ValueError(f"{_shown(data)} is neither true nor false")
        return data

    return Node(Schema(BOOLEAN), JavaRandom.boolean if odds is None else lambda rng: rng.double() < odds, read)


def text_node(rules: Rules) -> Node:
    """A text by `regex`, `length`, `prefix` and `suffix`. Raises ValueError."""
    def read(data: Any) -> str:
        if not isinstance(data, str):
            raise ValueError(f"{_shown(data)} is no text")
        return data

    bounds, pattern, fixed = lengths(rules), rules.get("regex"), _affixes(rules)
    if pattern is None:
        size = bounds or DEFAULT_LENGTH
        return Node(Schema(STRING), lambda rng: fixed("".join([chr(rng.below(128)) for _ in range(length(rng, size))])),
                    read, size[1])
    if not isinstance(pattern, str):
        raise ValueError("regex must be text")
    regex = Regex(pattern, *bounds) if bounds else Regex(pattern)
    return Node(Schema(STRING), lambda rng: fixed(regex.text(rng)), read, regex.longest)


def _affixes(rules: Rules) -> Callable[[str], str]:
    prefix, suffix = rules.get("prefix", ""), rules.get("suffix", "")
    if not isinstance(prefix, str) or not isinstance(suffix, str):
        raise ValueError("prefix and suffix must be text")
    return lambda text: f"{prefix}{text}{suffix}"


def _bytes(rules: Rules) -> Node:
    size = lengths(rules) or DEFAULT_LENGTH
    return Node(Schema("BYTES"), lambda rng: rng.data(length(rng, size)), read_bytes, size[1])


def read_bytes(data: Any) -> bytes:
    """Bytes of options: a text's UTF-8, as avro-random-generator reads them."""
    if not isinstance(data, str):
        raise ValueError(f"{_shown(data)} is no text for bytes")
    return data.encode()


_PLAIN: Final[Mapping[str, Callable[[Rules], Node]]] = {
    "int": _whole("int"), "long": _whole("long"), "float": _floating("float"), "double": _floating("double"),
    "boolean": _boolean, "string": text_node, "bytes": _bytes,
}
SCALARS: Final = tuple(_PLAIN)


def decimal_node(precision: int, scale: int, rules: Rules) -> Node:
    """A decimal of up to *precision* digits, *scale* of them behind the point. Raises ValueError."""
    if not 0 <= scale <= precision or not 1 <= precision <= 1000:
        raise ValueError("precision must be from 1 to 1000, and scale from 0 to precision")
    more = (("connect.decimal.precision", str(precision)),) if precision != 64 else ()
    schema = Schema("BYTES", name=DECIMAL, version=1, parameters=(("scale", str(scale)), *more))
    most = 10 ** precision
    bounds = _range(rules, whole=False, low=-most, high=most)
    if bounds is not None:
        low, high = (int((Decimal(str(each)) * 10 ** scale).to_integral_value()) for each in bounds)
        if not -most < low < high < most:
            raise ValueError("range has more digits than precision")
        return Node(schema, lambda rng: unscaled_bytes(_between(rng, low, high)), read_bytes)

    def make(rng: JavaRandom) -> bytes:
        number, digits = 0, 0
        while digits < precision:
            number = number * 10 ** 15 + int(rng.double() * 10 ** 15)
            digits += 15
        number //= 10 ** (digits - precision)
        return unscaled_bytes(-number if rng.boolean() else number)

    return Node(schema, make, read_bytes)


def _shown(data: Any) -> str:
    return repr(data)[:80]
