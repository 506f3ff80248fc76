"""Reads a registered `.proto` text, and compares its messages with ours: what changed, and whether our bytes mean the
same there.

Only what the bytes depend on is compared: numbers, types and labels of fields, by their names. Source: Protocol
Buffers, "Protocol Buffers Version 3 Language Specification".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from cdc.core.late_regex import late_regex

MAX_SHOWN: Final = 3
"""How many differences a message names."""
_TOKEN: Final = late_regex(
    r'\s+|//[^\n]*|/\*.*?\*/|("(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|[A-Za-z0-9_.+-]+|[{}\[\]()<>=;:,])', re.DOTALL)
_LABELS: Final = frozenset(("optional", "required", "repeated"))


@dataclass(slots=True)
class Message:
    """*fields* by name; *nested* in the order of the file, which message indexes count."""

    name: str
    fields: dict[str, FieldKind] = field(default_factory=dict)
    nested: list[Message] = field(default_factory=list)


class FieldKind(NamedTuple):
    number: int
    type: str
    label: str

    def __str__(self) -> str:
        return f"{self.label + ' ' if self.label else ''}{self.type} {self.number}"


class Difference(NamedTuple):
    """*harmful*: our bytes mean something else there, or nothing."""

    text: str
    harmful: bool


def first_misfit(ours: str, theirs: str, full_name: str) -> str | None:
    """The first place where bytes of our message *full_name* have another meaning in *theirs*; None if there is none.
    Raises ValueError if *theirs* is no Protobuf schema."""
    return next((found.text for found in _compared(ours, theirs, full_name) if found.harmful), None)


def changes(ours: str, theirs: str, full_name: str) -> str | None:
    """The first differences, such as `Value.amount is int64 3 here and string 3 there`; None if there are none. Raises
    ValueError as above."""
    found = [each.text for each in _compared(ours, theirs, full_name)]
    more = f"; and {len(found) - MAX_SHOWN} more" if len(found) > MAX_SHOWN else ""
    return "; ".join(found[:MAX_SHOWN]) + more if found else None


def message_path(text: str, full_name: str) -> list[int]:
    """The index of the message *full_name* in *text*, and before it those of the messages it is nested in. Raises
    ValueError if it is not there."""
    package, messages = parse(text)
    rest = _within(package, full_name)
    path = []
    for part in rest.split("."):
        index = next((index for index, each in enumerate(messages) if each.name == part), -1)
        if index < 0:
            raise ValueError(f"it has no message {full_name}")
        path.append(index)
        messages = messages[index].nested
    return path


def _within(package: str, full_name: str) -> str:
    if not package:
        return full_name
    if not full_name.startswith(package + "."):
        raise ValueError(f"it has no message {full_name}")
    return full_name[len(package) + 1:]


def _compared(ours: str, theirs: str, full_name: str) -> Iterator[Difference]:
    their_package, messages = parse(theirs)
    others = dict(_named(messages, f"{their_package}." if their_package else ""))
    if full_name not in others:
        yield Difference(f"the message {full_name} is not there", True)
        return
    package, mine = parse(ours)
    name = _within(package, full_name)
    here = next(each for each in mine if each.name == name)
    yield from _differ(here, full_name, others, here.name)


def _named(messages: list[Message], scope: str) -> Iterator[tuple[str, Message]]:
    """*messages* and those nested in them, by their full names."""
    for each in messages:
        yield scope + each.name, each
        yield from _named(each.nested, f"{scope}{each.name}.")


def _differ(here: Message, full_name: str, others: Mapping[str, Message], path: str) -> Iterator[Difference]:
    """*here* is ours. *others* are theirs, by their full names, and *full_name* is the one to compare it with."""
    there = others[full_name]
    nested = {each.name: each for each in here.nested}
    deeper: dict[tuple[str, str], None] = {}
    for name, kind in here.fields.items():
        other = there.fields.get(name)
        if other is None:
            yield Difference(f"{path}.{name} is a field here only", True)
        elif _meaning(kind) != _meaning(other):
            yield Difference(f"{path}.{name} is {kind} here and {other} there", True)
        elif kind.type in nested:
            found = _resolved(other.type, full_name, others)
            if found is None:
                yield Difference(f"the message {other.type} of {path}.{name} is not there", True)
            else:
                deeper[kind.type, found] = None
    for name in there.fields:
        if name not in here.fields:
            yield Difference(f"{path}.{name} is a field there only", False)
    for name, found in deeper:
        yield from _differ(nested[name], found, others, f"{path}.{name}")


def _resolved(name: str, scope: str, others: Mapping[str, Message]) -> str | None:
    """The full name of the message that *name* means within the message *scope*: the innermost one (Language
    Guide (proto 3), "Packages and Name Resolution"). None if it is not in the file."""
    if name.startswith("."):
        return name[1:] if name[1:] in others else None
    while scope:
        if f"{scope}.{name}" in others:
            return f"{scope}.{name}"
        scope = scope.rpartition(".")[0]
    return name if name in others else None


def _meaning(kind: FieldKind) -> tuple[int, str, bool]:
    return kind.number, kind.type.rpartition(".")[2], kind.label == "repeated"


def parse(text: str) -> tuple[str, list[Message]]:
    """The package, empty if there is none, and the messages. Raises ValueError if *text* is no Protobuf schema."""
    return _Parser(text).file()


class _Parser:
    def __init__(self, text: str) -> None:
        self.tokens: list[str] = []
        at = 0
        while at < len(text):
            found = _TOKEN.match(text, at)
            if found is None:
                raise ValueError("this is no Protobuf schema")
            if found[1] is not None:
                self.tokens.append(found[1])
            at = found.end()
        self.at = 0

    def file(self) -> tuple[str, list[Message]]:
        package, messages = "", []
        while self.at < len(self.tokens):
            word = self.next()
            if word == "message":
                messages.append(self.message())
            elif word == "package":
                package = self.next()
                self.skip()
            elif word in ("syntax", "edition", "import", "option", "enum", "service", "extend", ";"):
                self.skip(word == ";")
            else:
                raise ValueError("this is no Protobuf schema")
        return package, messages

    def next(self) -> str:
        if self.at >= len(self.tokens):
            raise ValueError("the Protobuf schema ends too soon")
        self.at += 1
        return self.tokens[self.at - 1]

    def skip(self, ended: bool = False) -> None:
        """To the end of a statement: a semicolon, or the end of its block."""
        depth = 0
        while not ended:
            word = self.next()
            if word in "{[(<":
                depth += 1
            elif word in "}])>":
                depth -= 1
                ended = depth == 0 and word == "}" and self.peek() not in ("]", ";", ",")
            elif word == ";" and depth == 0:
                ended = True

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def message(self) -> Message:
        made = Message(self.next())
        self.expect("{")
        self.body(made)
        return made

    def body(self, made: Message) -> None:
        """The fields and messages up to the closing brace; those of a `oneof` belong to the message."""
        while (word := self.next()) != "}":
            if word == "message":
                made.nested.append(self.message())
            elif word == "oneof":
                self.next()
                self.expect("{")
                self.body(made)
            elif word in ("option", "enum", "reserved", "extensions", "extend"):
                self.skip()
            elif word != ";":
                self.field(made, word)

    def field(self, made: Message, word: str) -> None:
        label = word if word in _LABELS else ""
        kind = self.next() if label else word
        if kind == "map" and self.peek() == "<":
            kind = self.map()
            label = "repeated"
        name = self.next()
        self.expect("=")
        number = self.next()
        if not number.isdigit():
            raise ValueError("this is no Protobuf schema")
        made.fields[name] = FieldKind(int(number), kind, label)
        if self.peek() == "[":
            self.options()
        self.expect(";")

    def map(self) -> str:
        """`map<…>` is a repeated message of its entries."""
        parts = []
        while (word := self.next()) != ">":
            parts.append(word)
        return "map" + "".join(parts) + ">"

    def options(self) -> None:
        depth = 0
        while True:
            word = self.next()
            depth += (word in ("[", "{")) - (word in ("]", "}"))
            if depth == 0:
                return

    def expect(self, word: str) -> None:
        if self.next() != word:
            raise ValueError("this is no Protobuf schema")
