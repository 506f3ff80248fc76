"""What the signs and methods of expressions do, by Groovy's rules: a null is smaller than everything; a null, a zero
and an empty text or list count as false."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from decimal import Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow
from operator import add, mul, sub
from typing import Any, Final, Protocol, runtime_checkable

from cdc.codecs.java import double_text
from cdc.config.regex import Invalid, JavaRegex, TooSlow, compile_java
from cdc.core.errors import TransformError

MAX_RESULT: Final = 1 << 20
"""The longest text that an expression makes, in characters."""
_MAX_BITS: Final = 4096
_MAX_REGEXES: Final = 100
_EXACT: Final = Context(prec=200_000, traps=[InvalidOperation, DivisionByZero, Overflow, Inexact])
"""A decimal of any column has fewer digits. Nothing is rounded."""
_REGEXES: dict[str, JavaRegex] = {}


@runtime_checkable
class Holder(Protocol):
    """A part of the record that has parts of its own."""

    def get(self, name: str) -> Any:
        """Raises TransformError if there is no such part."""
        ...

    def call(self, name: str, arguments: list[Any]) -> Any:
        """Raises TransformError if there is no such method."""
        ...


def failure(message: str, hint: str = "") -> TransformError:
    return TransformError(f"the expression failed: {message}", exception="io.debezium.DebeziumException", hint=hint)


def truth(value: Any) -> bool:
    return bool(value) if not isinstance(value, Holder) else True


def shown(value: Any) -> str:
    """A value within a text."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return double_text(value)
    if isinstance(value, str | int | Decimal):
        return str(value)
    raise failure(f"{_kind(value)} cannot be part of a text")


def binary(sign: str, left: Any, right: Any) -> Any:
    """The value of *left* *sign* *right*. Raises TransformError."""
    if sign in ("==", "==="):
        return _equal(left, right)
    if sign in ("!=", "!=="):
        return not _equal(left, right)
    if sign == "==~":
        return _matches(left, right)
    if sign == "in":
        return any(_equal(left, each) for each in _list(right))
    if sign in _COMPARISONS:
        return _COMPARISONS[sign](_order(left, right))
    if sign == "+" and (isinstance(left, str) or isinstance(right, str)):
        return _short(shown(left) + shown(right))
    return _arithmetic(sign, left, right)


_COMPARISONS: Final[dict[str, Callable[[int], bool]]] = {
    "<": lambda order: order < 0, "<=": lambda order: order <= 0,
    ">": lambda order: order > 0, ">=": lambda order: order >= 0}


def _number(value: Any) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def _equal(left: Any, right: Any) -> bool:
    if _number(left) and _number(right):
        left, right = _alike(left, right)
        return bool(left == right)
    return type(left) is type(right) and bool(left == right)


def _order(left: Any, right: Any) -> int:
    if left is None or right is None:
        return (left is not None) - (right is not None)
    if _number(left) and _number(right):
        left, right = _alike(left, right)
        return int(left > right) - int(left < right)
    if type(left) is type(right) and isinstance(left, str | bool):
        return int(left > right) - int(left < right)
    raise failure(f"{_kind(left)} and {_kind(right)} cannot be compared")


def _arithmetic(sign: str, left: Any, right: Any) -> Any:
    if not (_number(left) and _number(right)):
        raise failure(f"{_kind(left)} {sign} {_kind(right)} has no meaning")
    left, right = _alike(left, right)
    try:
        result = _divided(left, right) if sign == "/" else _exactly(sign, left, right)
    except (ArithmeticError, ValueError) as exc:
        raise failure(f"{type(exc).__name__} in {sign}") from None
    if isinstance(result, int) and result.bit_length() > _MAX_BITS:
        raise failure("a number is too large")
    return result


def _alike(left: Any, right: Any) -> tuple[Any, Any]:
    """Two numbers, both as doubles if one is a double: so Java compares them, and calculates with them."""
    if isinstance(left, float) or isinstance(right, float):
        return _double(left), _double(right)
    return left, right


def _double(number: Any) -> float:
    return number if isinstance(number, float) else float(Decimal(number))


def _exactly(sign: str, left: Any, right: Any) -> Any:
    if isinstance(left, Decimal) or isinstance(right, Decimal):
        return {"+": _EXACT.add, "-": _EXACT.subtract, "*": _EXACT.multiply, "%": _EXACT.remainder}[sign](left, right)
    return {"+": add, "-": sub, "*": mul, "%": _remainder}[sign](left, right)


def _divided(left: Any, right: Any) -> Any:
    if isinstance(left, int) and isinstance(right, int) and left % right == 0:
        return left // right
    return Decimal(left) / Decimal(right) if not isinstance(left, float) else left / right


def _remainder(left: Any, right: Any) -> Any:
    """With the sign of *left*, as in Java."""
    if isinstance(left, float):
        return math.fmod(left, right)
    result = abs(left) % abs(right)
    return -result if left < 0 else result


def member(holder: Any, name: str) -> Any:
    """`holder.name`."""
    if isinstance(holder, Holder):
        return holder.get(name)
    if isinstance(holder, str | list) and name in ("length", "size"):
        return len(holder)
    raise failure(f"{_kind(holder)} has no {name!r}",
                  "Write ?. instead of the dot, so that a null gives a null." if holder is None else "")


def index(holder: Any, key: Any) -> Any:
    """`holder[key]`."""
    if isinstance(holder, Holder) and isinstance(key, str):
        return holder.get(key)
    if isinstance(holder, list | str) and isinstance(key, int) and -len(holder) <= key < len(holder):
        return holder[key]
    if isinstance(holder, dict):
        return holder.get(key)
    raise failure(f"{_kind(holder)} has no such element")


def call(holder: Any, name: str, arguments: list[Any]) -> Any:
    """`holder.name(arguments)`."""
    if isinstance(holder, Holder):
        return holder.call(name, arguments)
    if name == "toString" and not arguments:
        return shown(holder)
    if name == "equals" and len(arguments) == 1:
        return _equal(holder, arguments[0])
    methods = _TEXT_METHODS if isinstance(holder, str) else _LIST_METHODS if isinstance(holder, list) else {}
    if name not in methods:
        raise failure(f"{_kind(holder)} has no method {name}()",
                      "Write ?. instead of the dot, so that a null gives a null." if holder is None else
                      f"It has {', '.join(sorted(methods))}." if methods else "")
    try:
        return methods[name](holder, *arguments)
    except (TypeError, ValueError, IndexError):
        raise failure(f"{name}() does not take these arguments") from None


def _replaced(text: str, old: str, new: str) -> str:
    if len(text) + text.count(old) * len(new) > MAX_RESULT:
        raise failure("a text is too long")
    return text.replace(old, new)


def _substring(text: str, start: int, end: int | None = None) -> str:
    stop = len(text) if end is None else end
    if not 0 <= start <= stop <= len(text):
        raise failure("substring() goes beyond the text")
    return text[start:stop]


def _matches(text: Any, pattern: Any) -> bool:
    """Whether the Java regex matches the whole text."""
    if not isinstance(text, str) or not isinstance(pattern, str):
        raise failure(f"{_kind(text)} cannot be matched")
    found = _REGEXES.get(pattern)
    if found is None:
        try:
            found = compile_java(pattern, re.ASCII)
        except Invalid as exc:
            raise failure(f"no regular expression: {exc}") from None
        if len(_REGEXES) >= _MAX_REGEXES:
            _REGEXES.clear()
        _REGEXES[pattern] = found
    try:
        return found.fullmatch(text) is not None
    except TooSlow:  # it has the text and the pattern, which may be a cell's
        raise failure("a regular expression takes too long on a text",
                      "Write it without a repetition in a repetition, such as (a|aa)+.") from None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


_TEXT_METHODS: Final[dict[str, Callable[..., Any]]] = {
    "startsWith": lambda text, start: text.startswith(_text(start)),
    "endsWith": lambda text, end: text.endswith(_text(end)),
    "contains": lambda text, part: _text(part) in text,
    "includes": lambda text, part: _text(part) in text,
    "equalsIgnoreCase": lambda text, other: text.lower() == _text(other).lower(),
    "matches": _matches,
    "indexOf": lambda text, part: text.find(_text(part)),
    "substring": _substring,
    "replace": lambda text, old, new: _replaced(text, _text(old), _text(new)),
    "concat": lambda text, other: _short(text + _text(other)),
    "toLowerCase": lambda text: text.lower(),
    "toUpperCase": lambda text: text.upper(),
    "trim": lambda text: text.strip(),
    "length": len,
    "size": len,
    "isEmpty": lambda text: not text,
    "isBlank": lambda text: not text.strip(),
    "toInteger": int,
    "toLong": int,
}
_LIST_METHODS: Final[dict[str, Callable[..., Any]]] = {
    "contains": lambda items, item: any(_equal(item, each) for each in items),
    "includes": lambda items, item: any(_equal(item, each) for each in items),
    "size": len,
    "length": len,
    "isEmpty": lambda items: not items,
    "get": lambda items, at: items[at],
}


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise failure(f"{_kind(value)} is no list")
    return value


def _short(text: str) -> str:
    if len(text) > MAX_RESULT:
        raise failure("a text is too long")
    return text


def _kind(value: Any) -> str:
    """What a value is, without the value."""
    if value is None:
        return "null"
    names = {bool: "a boolean", int: "a number", float: "a number", Decimal: "a number", str: "a text",
             list: "a list", bytes: "a value of bytes"}
    return names.get(type(value), "a part of the record")
