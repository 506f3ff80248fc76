"""The parts of an expression. Each gives its value for one record; none keeps anything between records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from .operators import binary, call, failure, index, member, shown, truth

Scope = dict[str, Any]
"""Values by name: those of the record, and what the statements before defined."""


class Node(Protocol):
    def value(self, scope: Scope) -> Any:
        """Raises TransformError."""
        ...


class Returned(Exception):
    """Ends the statements with `result`."""

    def __init__(self, result: Any) -> None:
        self.result = result


@dataclass(frozen=True, slots=True)
class Literal:
    constant: Any

    def value(self, scope: Scope) -> Any:
        return self.constant


@dataclass(frozen=True, slots=True)
class Name:
    name: str

    def value(self, scope: Scope) -> Any:
        if self.name not in scope:
            raise failure(f"{self.name} has no value yet")
        found = scope[self.name]
        return found() if callable(found) else found


@dataclass(frozen=True, slots=True)
class ListOf:
    items: tuple[Node, ...]

    def value(self, scope: Scope) -> Any:
        return [item.value(scope) for item in self.items]


@dataclass(frozen=True, slots=True)
class Parts:
    """A text with expressions in it."""

    parts: tuple[Node, ...]

    def value(self, scope: Scope) -> Any:
        result = ""
        for part in self.parts:
            result = binary("+", result, shown(part.value(scope)))
        return result


@dataclass(frozen=True, slots=True)
class Unary:
    sign: str
    operand: Node

    def value(self, scope: Scope) -> Any:
        found = self.operand.value(scope)
        return not truth(found) if self.sign == "!" else binary("-", 0, found)


@dataclass(frozen=True, slots=True)
class Binary:
    sign: str
    left: Node
    right: Node

    def value(self, scope: Scope) -> Any:
        left = self.left.value(scope)
        if self.sign == "&&":
            return truth(left) and truth(self.right.value(scope))
        if self.sign == "||":
            return truth(left) or truth(self.right.value(scope))
        if self.sign == "?:":
            return left if truth(left) else self.right.value(scope)
        if self.sign == "??":
            return self.right.value(scope) if left is None else left
        return binary(self.sign, left, self.right.value(scope))


@dataclass(frozen=True, slots=True)
class Choice:
    condition: Node
    then: Node
    otherwise: Node

    def value(self, scope: Scope) -> Any:
        return (self.then if truth(self.condition.value(scope)) else self.otherwise).value(scope)


@dataclass(frozen=True, slots=True)
class Member:
    """`holder.name`; with *safe* a null holder gives null."""

    holder: Node
    name: str
    safe: bool

    def value(self, scope: Scope) -> Any:
        found = self.holder.value(scope)
        return None if found is None and self.safe else member(found, self.name)


@dataclass(frozen=True, slots=True)
class Call:
    """`holder.name(arguments)`."""

    holder: Node
    name: str
    arguments: tuple[Node, ...]
    safe: bool

    def value(self, scope: Scope) -> Any:
        found = self.holder.value(scope)
        if found is None and self.safe:
            return None
        return call(found, self.name, [argument.value(scope) for argument in self.arguments])


@dataclass(frozen=True, slots=True)
class Index:
    holder: Node
    key: Node

    def value(self, scope: Scope) -> Any:
        return index(self.holder.value(scope), self.key.value(scope))


@dataclass(frozen=True, slots=True)
class Function:
    """`header('name')`: the header's value, null if there is none."""

    arguments: tuple[Node, ...]

    def value(self, scope: Scope) -> Any:
        if len(self.arguments) != 1:
            raise failure("header(…) takes one name")
        headers: Mapping[str, Any] = scope["header"]()
        found = headers.get(self.arguments[0].value(scope))
        return None if found is None else found.content()


@dataclass(frozen=True, slots=True)
class Define:
    name: str
    expression: Node

    def value(self, scope: Scope) -> Any:
        scope[self.name] = self.expression.value(scope)
        return scope[self.name]


@dataclass(frozen=True, slots=True)
class Return:
    expression: Node

    def value(self, scope: Scope) -> Any:
        raise Returned(self.expression.value(scope))


@dataclass(frozen=True, slots=True)
class Block:
    """Statements. The last one's value is the result."""

    statements: tuple[Node, ...]

    def value(self, scope: Scope) -> Any:
        result = None
        for statement in self.statements:
            result = statement.value(scope)
        return result

    def result(self, scope: Scope) -> Any:
        """As `value`, or what a `return` gives. Raises TransformError."""
        try:
            return self.value(scope)
        except Returned as returned:
            return returned.result


@dataclass(frozen=True, slots=True)
class If:
    condition: Node
    then: Block
    otherwise: Block

    def value(self, scope: Scope) -> Any:
        return (self.then if truth(self.condition.value(scope)) else self.otherwise).value(scope)
