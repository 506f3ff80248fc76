"""Reads an expression into nodes.

Precedence, lowest first: `? :` and `?:`, `||`, `&&`, `== != === !== ==~`, `< <= > >= in`, `+ -`, `* / %`, `! -`, and
then `.name`, `?.name`, `.name(…)`, `[…]`. Statements: `return`, `if … else`, `def NAME = …` (or `var`, `let`, `const`).
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, Final

from cdc.core.late_regex import late_regex

from .nodes import (
    Binary,
    Block,
    Call,
    Choice,
    Define,
    Function,
    If,
    Index,
    ListOf,
    Literal,
    Member,
    Name,
    Node,
    Parts,
    Return,
    Unary,
)
from .tokens import ExpressionError, Token, tokens_of, unescaped

MAX_DEPTH: Final = 60
MAX_NODES: Final = 2_000
MAX_HEIGHT: Final = 600
"""The most parts within one another. Each takes a frame of Python's stack, which has room for 1000."""
ROOTS: Final = ("value", "key", "topic", "header", "headers", "valueSchema", "keySchema")
_LEVELS: Final = (("||", "??"), ("&&",), ("==", "!=", "===", "!==", "==~"), ("<", "<=", ">", ">=", "in"), ("+", "-"),
                  ("*", "/", "%"))
_CONSTANTS: Final = {"true": True, "false": False, "null": None, "undefined": None}
_DEFINERS: Final = frozenset({"def", "var", "let", "const", "String", "boolean", "int", "long"})
_REFUSED: Final = {"new": "makes an object", "function": "defines a function", "for": "is a loop", "while": "is a loop",
                   "import": "loads code", "class": "defines a class", "try": "catches errors", "throw": "throws",
                   "assert": "asserts"}
_PART: Final = late_regex(r"\$\{([^{}]*)\}|\$([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)", re.ASCII)


def parse(text: str) -> Block:
    """The statements of *text*. Raises ExpressionError."""
    found = _Parser(text, frozenset(ROOTS)).block_to_end()
    waiting: list[tuple[Any, int]] = [(found, 1)]
    while waiting:
        node, height = waiting.pop()
        if height > MAX_HEIGHT:
            raise ExpressionError("the expression is nested too deeply", 0)
        parts = [getattr(node, name) for name in node.__slots__]
        waiting += [(part, height + 1) for part in (*parts, *(each for item in parts if isinstance(item, tuple)
                                                              for each in item)) if hasattr(part, "value")]
    return found


class _Parser:
    def __init__(self, text: str, names: frozenset[str], depth: int = 0) -> None:
        self._text_given = text
        self._tokens = tokens_of(text)
        self._at = 0
        self._names = set(names)
        self._depth = depth
        self._nodes = 0

    def block_to_end(self) -> Block:
        found = self._statements("end")
        if not found:
            raise ExpressionError("the expression is empty", 0)
        return Block(tuple(found))

    def expression_to_end(self) -> Node:
        node = self._expression()
        self._expect("end")
        return node

    def _statements(self, end: str) -> list[Node]:
        found: list[Node] = []
        while not self._is(end):
            if self._skip(";"):
                continue
            if found and not self._apart():
                raise ExpressionError("an operator, or a ; between two statements, is missing", self._peek().position)
            found.append(self._statement())
        return found

    def _apart(self) -> bool:
        """Whether a new statement may begin here: behind a semicolon, a block or the end of a line."""
        last = self._tokens[self._at - 1]
        return last.text in (";", "}") or "\n" in self._text_given[last.position:self._peek().position]

    def _statement(self) -> Node:
        token = self._peek()
        if token.kind == "name" and token.text in _DEFINERS and self._tokens[self._at + 1].kind == "name":
            return self._definition()
        if self._skip("return"):
            return Return(Literal(None) if self._is(";") or self._is("}") else self._expression())
        if self._skip("if"):
            return self._if()
        return self._expression()

    def _definition(self) -> Node:
        self._next()
        name = self._next()
        if name.text in ROOTS:
            raise ExpressionError(f"{name.text} is a name of the record", name.position)
        self._expect("=")
        node = Define(name.text, self._expression())
        self._names.add(name.text)
        return node

    def _if(self) -> Node:
        self._deeper()
        self._expect("(")
        condition = self._expression()
        self._expect(")")
        then = self._branch()
        while self._is(";") and self._tokens[self._at + 1].text == "else":
            self._next()
        otherwise = self._branch() if self._skip("else") else Block(())
        self._depth -= 1
        return If(condition, then, otherwise)

    def _branch(self) -> Block:
        if not self._skip("{"):
            return Block((self._statement(),))
        found = self._statements("}")
        self._expect("}")
        return Block(tuple(found))

    def _expression(self) -> Node:
        self._deeper()
        node = self._binary(0)
        if self._skip("?:"):
            node = Binary("?:", node, self._expression())
        elif self._skip("?"):
            then = self._expression()
            self._expect(":")
            node = Choice(node, then, self._expression())
        self._depth -= 1
        return node

    def _binary(self, level: int) -> Node:
        if level == len(_LEVELS):
            return self._unary()
        node = self._binary(level + 1)
        while self._peek().kind in ("sign", "name") and self._peek().text in _LEVELS[level]:
            sign = self._next().text
            node = self._counted(Binary(sign, node, self._binary(level + 1)))
        return node

    def _unary(self) -> Node:
        token = self._peek()
        if token.kind == "sign" and token.text in ("!", "-"):
            self._next()
            self._deeper()
            node = Unary(token.text, self._unary())
            self._depth -= 1
            return node
        return self._postfix(self._primary())

    def _postfix(self, node: Node) -> Node:
        while True:
            if self._is(".") or self._is("?."):
                safe = self._next().text == "?."
                name = self._next()
                if name.kind not in ("name", "text"):
                    raise ExpressionError("a name must follow the dot", name.position)
                if self._skip("("):
                    node = self._counted(Call(node, name.text, self._arguments(")"), safe))
                else:
                    node = self._counted(Member(node, name.text, safe))
            elif self._skip("["):
                node = self._counted(Index(node, self._expression()))
                self._expect("]")
            else:
                return node

    def _arguments(self, end: str) -> tuple[Node, ...]:
        found: list[Node] = []
        while not self._skip(end):
            if found:
                self._expect(",")
            found.append(self._expression())
        return tuple(found)

    def _primary(self) -> Node:
        token = self._next()
        self._counted(Literal(None))
        if token.kind == "number":
            return Literal(_number(token.text))
        if token.kind == "text":
            return self._text(token)
        if token.kind == "name":
            return self._name(token)
        if token.text == "(":
            node = self._expression()
            self._expect(")")
            return node
        if token.text == "[":
            return ListOf(self._arguments("]"))
        raise ExpressionError("something is missing" if token.kind == "end" else f"{token.text!r} is not expected",
                              token.position)

    def _name(self, token: Token) -> Node:
        if token.text in _CONSTANTS:
            return Literal(_CONSTANTS[token.text])
        if token.text in _REFUSED:
            raise ExpressionError(f"{token.text!r} {_REFUSED[token.text]}, which is not possible here", token.position)
        if token.text in ("header", "headers") and self._skip("("):
            return Function(self._arguments(")"))
        if token.text not in self._names:
            raise ExpressionError(f"there is no {token.text!r}; known are {', '.join(ROOTS)}", token.position)
        return Name(token.text)

    def _text(self, token: Token) -> Node:
        """A text, with `${…}` in it if its quotes are not single ones."""
        parts: list[Node] = []
        at = 0
        for match in () if token.quote == "'" else _PART.finditer(token.text):
            if match.start() and token.text[match.start() - 1] == "\\":
                continue
            parts.append(Literal(unescaped(token.text[at:match.start()])))
            inner = _Parser(match[1] or match[2], frozenset(self._names), self._depth + 1)
            parts.append(inner.expression_to_end())
            at = match.end()
        if not parts:
            return Literal(unescaped(token.text))
        return Parts((*parts, Literal(unescaped(token.text[at:]))))

    def _peek(self) -> Token:
        return self._tokens[self._at]

    def _next(self) -> Token:
        token = self._tokens[self._at]
        self._at = min(self._at + 1, len(self._tokens) - 1)
        return token

    def _is(self, word: str) -> bool:
        token = self._peek()
        return token.kind == "end" if word == "end" else token.kind in ("sign", "name") and token.text == word

    def _skip(self, word: str) -> bool:
        found = self._is(word)
        if found:
            self._next()
        return found

    def _expect(self, word: str) -> None:
        if not self._skip(word):
            token = self._peek()
            wanted = "the end" if word == "end" else repr(word)
            got = "the end" if token.kind == "end" else repr(token.text)
            raise ExpressionError(f"{wanted} is expected, not {got},", token.position)

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ExpressionError("the expression is nested too deeply", self._peek().position)

    def _counted(self, node: Node) -> Node:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise ExpressionError("the expression is too long", self._peek().position)
        return node


def _number(text: str) -> float | int | Decimal:
    """As in Groovy, a number with a fraction is a decimal unless a letter makes it a double."""
    digits = text.rstrip("lLdDfFgG")
    if text[-1] in "dDfF":
        return float(digits)
    return Decimal(digits) if "." in digits else int(digits)
