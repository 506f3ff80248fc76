"""Reads lists of regular expressions as Debezium does: Java's syntax, separated by commas, each for a whole text.

Java's `java.util.regex.Pattern` (Java SE API, "Summary of regular-expression constructs") and Python's `re` differ in
some constructs. We translate them; those that Python lacks are refused, never given another meaning. As in Debezium,
matching ignores the case of ASCII letters only, and classes such as `\\w` contain ASCII only.

The package `regex` does the matching, because it can end it after a time: whoever may create tables chooses the names,
and some patterns (`(a|aa)+`) take years for some of them. An expression like `public\\.orders` or `public\\..*` cannot
take long; for those we use `re`, so that most processes do not load that package.
"""

from __future__ import annotations

import functools
import re
import sys
import unicodedata
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, cast

from cdc.core.errors import ConfigError
from cdc.core.late_regex import late_regex

if TYPE_CHECKING:
    import regex

    Match = re.Match[str] | regex.Match[str]

_FLAGS = re.IGNORECASE | re.ASCII
LIMIT_S: Final = 1.0
"""Far above what any name takes, and short enough that the database's connection is served meanwhile."""
_SHOWN: Final = 100
_NOT_SIMPLE: Final = late_regex(  # groups, classes, alternatives, or a second repetition
    r"[()\[\]{}|?^$]|\\[a-zA-Z0-9]|[*+].*[*+]", re.DOTALL)


class TooSlow(ConfigError):
    """A match takes longer than LIMIT_S. The message has the text."""


class JavaRegex:
    """A compiled expression. A match that takes longer than LIMIT_S raises TooSlow. For any thread."""

    __slots__ = ("_compiled", "_limits", "groupindex", "groups", "option", "pattern")

    def __init__(self, pattern: str, compiled: re.Pattern[str] | regex.Pattern[str], option: str) -> None:
        """*pattern* is Java's form. Errors name *option*, unless it is empty. One compiled by `re` has no limit."""
        self.pattern = pattern
        self.option = option
        self.groups = compiled.groups
        self.groupindex = compiled.groupindex
        self._compiled: Any = compiled
        self._limits: Mapping[str, Any] = {} if isinstance(compiled, re.Pattern) else {
            "timeout": LIMIT_S, "concurrent": True}

    def fullmatch(self, text: str) -> Match | None:
        """The match of all of *text*."""
        try:
            return cast("Match | None", self._compiled.fullmatch(text, **self._limits))
        except TimeoutError:
            raise self._endless(text) from None

    def search(self, text: str) -> Match | None:
        """The first match in *text*."""
        try:
            return cast("Match | None", self._compiled.search(text, **self._limits))
        except TimeoutError:
            raise self._endless(text) from None

    def _endless(self, text: str) -> TooSlow:
        return TooSlow(
            f'the regular expression "{self.pattern[:_SHOWN]}" takes longer than {LIMIT_S:g} s on "{text[:_SHOWN]}"',
            option=self.option, hint="Write it without a repetition in a repetition, such as (a|aa)+.")

    def __repr__(self) -> str:
        return f"JavaRegex({self.pattern!r})"


def split_list(text: str) -> tuple[str, ...]:
    """The items of a comma-separated list, trimmed, without empty ones. A comma after a backslash does not separate."""
    items = (item.replace("\\,", ",").strip() for item in re.split(r"(?<!\\),", text))
    return tuple(item for item in items if item)


def compile_list(text: str, option: str) -> tuple[JavaRegex, ...]:
    """The list as patterns for `fullmatch`. Raises ConfigError, which names *option*, the item and the position."""
    return compile_items(split_list(text), option)


def compile_items(items: Iterable[str], option: str) -> tuple[JavaRegex, ...]:
    """Does the same as `compile_list` for a list that is already split."""
    return tuple(_compile(item, option, number) for number, item in enumerate(items, 1))


def compile_java(text: str, flags: int = _FLAGS, option: str = "") -> JavaRegex:
    """A Java regex, ready to match. *flags* are those of `re`. Raises `Invalid`."""
    translator = _Translator(text)
    pieces = translator.run()
    translated = "".join(piece for piece, _ in pieces)
    try:
        strict = re.compile(translated, flags)  # than `regex`, as Java: fixed lengths in look-behinds, for example
    except re.error as exc:
        raise Invalid(exc.msg, _origin(pieces, exc.pos)) from None
    except (OverflowError, RecursionError):
        raise Invalid("it is too large", 0) from None
    if flags == _FLAGS and text.isascii() and not _NOT_SIMPLE.search(text):
        return JavaRegex(text, strict, option)

    import regex  # late: it takes 10 ms

    try:
        return JavaRegex(text, regex.compile(translated, _flags(flags)), option)
    except (OverflowError, RecursionError):
        raise Invalid("it is too large", 0) from None
    except regex.error as exc:
        raise Invalid(str(exc), 0) from None


def _flags(flags: int) -> int:
    """The flags of `re` as those of `regex`."""
    import regex

    return sum(theirs for ours, theirs in ((re.IGNORECASE, regex.IGNORECASE), (re.ASCII, regex.ASCII)) if flags & ours)


class Invalid(ValueError):
    """The reason why a regex is invalid, and the position (from 0) in its text."""

    def __init__(self, reason: str, position: int) -> None:
        super().__init__(f"{reason} at position {position}")
        self.reason = reason
        self.position = position


@functools.lru_cache(maxsize=4096)
def _compile(item: str, option: str, number: int) -> JavaRegex:
    try:
        return compile_java(item, option=option)
    except Invalid as exc:
        hint = ""
        if re.search(r"[{\[][^}\]]*$", item):
            hint = r"A comma that belongs to an item is written \, there."
        text = f'item {number}, "{item}", is not a regular expression: {exc}.'
        raise ConfigError(text, option=option, hint=hint) from None


def _origin(pieces: list[tuple[str, int]], position: int | None) -> int:
    """The place in the Java text that became *position* of the translation."""
    at = 0
    for piece, origin in pieces:
        at += len(piece)
        if position is not None and at > position:
            return origin
    return pieces[-1][1] if pieces else 0


# Character classes by name (`\p{…}`), each as the content of a Python class.

_ASCII_CLASSES = {
    "Lower": "a-z", "Upper": "A-Z", "ASCII": r"\x00-\x7f", "Alpha": "a-zA-Z", "Digit": "0-9", "Alnum": "a-zA-Z0-9",
    "Punct": r"!-/:-@\[-`{-~", "Graph": "!-~", "Print": " -~", "Blank": r" \t", "Cntrl": r"\x00-\x1f\x7f",
    "XDigit": "0-9a-fA-F", "Space": r" \t\n\x0b\f\r",
}  # fmt: skip
_JAVA_CLASSES = {
    "javaLowerCase": "Ll", "javaUpperCase": "Lu", "javaTitleCase": "Lt", "javaDigit": "Nd", "javaLetter": "L",
    "javaLetterOrDigit": "L Nd", "IsAlphabetic": "L Nl", "IsLetter": "L", "IsDigit": "Nd", "IsUppercase": "Lu",
    "IsLowercase": "Ll", "IsPunctuation": "P", "IsControl": "Cc",
}  # fmt: skip
_CATEGORY = late_regex(r"[LMNPSZC]|L[ultmo]|M[nce]|N[dlo]|P[cdseifo]|S[mcko]|Z[slp]|C[cfson]")
_HORIZONTAL = r" \t\xa0\u1680\u180e\u2000-\u200a\u202f\u205f\u3000"
_VERTICAL = r"\n\x0b\f\r\x85\u2028\u2029"
_ALL = (0, sys.maxunicode)


def _named_class(name: str) -> str | None:
    """The content of a class for `\\p{name}`; None if the name is unknown."""
    if name in _ASCII_CLASSES:
        return _ASCII_CLASSES[name]
    categories = _JAVA_CLASSES.get(name)
    if categories is None:
        bare = re.sub(r"^(Is|general_category=|gc=)", "", name)
        categories = bare if _CATEGORY.fullmatch(bare) else None
    return _categories(categories) if categories else None


@functools.lru_cache(maxsize=32)
def _categories(names: str) -> str:
    """The characters of the Unicode categories *names*, as ranges. The first call takes about 0.2 s."""
    wanted = tuple(names.split())
    pieces, start = [], -1
    for code in range(sys.maxunicode + 2):
        inside = code <= sys.maxunicode and unicodedata.category(chr(code)).startswith(wanted)
        if inside and start < 0:
            start = code
        elif not inside and start >= 0:
            pieces.append(f"\\U{start:08x}-\\U{code - 1:08x}")
            start = -1
    return "".join(pieces)


_SIMPLE_ESCAPES = {"z": r"\Z", "Z": r"(?=\n?\Z)", "R": r"(?:\r\n|[" + _VERTICAL + "])"}
_SETS = {
    "d": "0-9", "w": "a-zA-Z0-9_", "s": r" \t\n\x0b\f\r", "h": _HORIZONTAL, "v": _VERTICAL,
}  # fmt: skip
_FLAG_GROUP = late_regex(r"\?([idmsuxU]*)(?:-([idmsuxU]*))?([:)])")
_NAME = late_regex(r"[a-zA-Z][a-zA-Z0-9]*")
_REPEAT = late_regex(r"\{\d+(?:,\d*)?\}")


class _Translator:
    """Translates a Java regex in one pass. `pieces`: the translated parts, each with its place in the Java text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.pieces: list[tuple[str, int]] = []
        self.groups: list[list[str]] = [[]]
        """For each open group, the inline flags in it. Each of them opened a group too, which ends together with it."""

    def run(self) -> list[tuple[str, int]]:
        while self.at < len(self.text):
            start = self.at
            self.pieces.append((self._next(), start))
        self.pieces.append((")" * len(self.groups[0]), max(len(self.text) - 1, 0)))
        return self.pieces

    def _next(self) -> str:
        char = self.text[self.at]
        if char == "\\":
            return self._escape()
        if char == "[":
            return _whole(self._class())
        if char == "(":
            return self._open()
        if char == "{":
            return self._repeat()
        self.at += 1
        if char == ")":
            if len(self.groups) == 1:
                raise Invalid("unbalanced parenthesis", self.at - 1)
            return ")" * (1 + len(self.groups.pop()))
        if char == "|":
            flags = self.groups[-1]
            return ")" * len(flags) + "|" + "".join(flags)
        return char

    def _repeat(self) -> str:
        match = _REPEAT.match(self.text, self.at)
        if match is None:
            raise Invalid("a repetition {n}, {n,} or {n,m} is wanted", self.at)
        self.at = match.end()
        return match[0]

    def _open(self) -> str:
        start = self.at
        self.at += 1
        if not self.text.startswith("?", self.at):
            self.groups.append([])
            return "("
        for opening in ("?:", "?=", "?!", "?>", "?<=", "?<!"):
            if self.text.startswith(opening, self.at):
                self.at += len(opening)
                self.groups.append([])
                return "(" + opening
        if self.text.startswith("?<", self.at):
            return self._named_group(start)
        match = _FLAG_GROUP.match(self.text, self.at)
        if match is None:
            raise Invalid("unknown group", start)
        if "x" in match[1]:
            raise Invalid("the comments flag x is not supported", start)
        self.at = match.end()
        opened = _flag_group(match[1], match[2] or "")
        if match[3] == ":":
            self.groups.append([])
        else:
            self.groups[-1].append(opened)
        return opened

    def _named_group(self, start: int) -> str:
        match = _NAME.match(self.text, self.at + 2)
        if match is None or not self.text.startswith(">", match.end()):
            raise Invalid("a group name of letters and digits is wanted", start)
        self.at = match.end() + 1
        self.groups.append([])
        return f"(?P<{match[0]}>"

    def _escape(self) -> str:
        """An escape outside a class."""
        start = self.at
        if start + 1 >= len(self.text):
            raise Invalid("nothing follows the backslash", start)
        char = self.text[start + 1]
        if char == "Q":
            return re.escape(self._quoted())
        if char in _SIMPLE_ESCAPES:
            self.at += 2
            return _SIMPLE_ESCAPES[char]
        if char in "bBA" or char in "123456789":
            self.at += 2
            return "\\" + char
        if char == "k":
            return self._back_reference()
        found = self._class_escape()
        return f"[{found}]" if found is not None else self._character()

    def _quoted(self) -> str:
        end = self.text.find("\\E", self.at + 2)
        inside = self.text[self.at + 2 : end if end >= 0 else len(self.text)]
        self.at = end + 2 if end >= 0 else len(self.text)
        return inside

    def _back_reference(self) -> str:
        match = re.compile(r"\\k<([a-zA-Z][a-zA-Z0-9]*)>").match(self.text, self.at)
        if match is None:
            raise Invalid(r"\k<name> is wanted", self.at)
        self.at = match.end()
        return f"(?P={match[1]})"

    def _class_escape(self) -> str | None:
        """The content of a class for `\\d`, `\\p{…}` and similar; None for any other escape."""
        start, char = self.at, self.text[self.at + 1]
        if char.lower() in _SETS:
            self.at += 2
            return _SETS[char] if char.islower() else _complement(_SETS[char.lower()])
        if char not in "pP":
            return None
        match = re.compile(r"\\[pP](?:\{(\^?)([^{}]+)\}|()([A-Z]))").match(self.text, start)
        inside = _named_class(match[2] or match[4]) if match else None
        if match is None or inside is None:
            raise Invalid("unknown character class", start)
        self.at = match.end()
        return inside if (char == "p") != bool(match[1]) else _complement(inside)

    def _character(self) -> str:
        """The single character of an escape, in the form that Python allows inside and outside classes."""
        start, char = self.at, self.text[self.at + 1]
        if not char.isascii() or not char.isalnum():
            self.at += 2
            return re.escape(char)
        if char in "ae":
            self.at += 2
            return r"\x07" if char == "a" else r"\x1b"
        for pattern, base in _CODES:
            match = pattern.match(self.text, start)
            if match:
                self.at = match.end()
                code = ord(match[1]) ^ 0x40 if base == 0 else int(match[1], base)
                if code > sys.maxunicode:
                    raise Invalid("there is no such character", start)
                return f"\\U{code:08x}"
        if char in "tnrf":
            self.at += 2
            return "\\" + char
        raise Invalid(f"unknown escape \\{char}", start)

    # Classes, which may contain classes: `[a-z&&[^aeiou]]`, `[a-c[x-z]]`. Such a class becomes look-aheads.

    def _class(self) -> str:
        """A bracketed class as a Python regex that matches one character."""
        start = self.at
        self.at += 1
        negated = self.text.startswith("^", self.at)
        self.at += negated
        operands: list[str] = []
        items, nested = "", list[str]()
        first = True
        while True:
            if self.at >= len(self.text):
                raise Invalid("the class is not closed", start)
            if self.text[self.at] == "]" and not first:
                self.at += 1
                break
            if self.text.startswith("&&", self.at):
                self.at += 2
                if items or nested:
                    operands.append(_union(items, nested))
                items, nested = "", []
            elif self.text[self.at] == "[":
                nested.append(self._class())
            else:
                items += self._class_item()
            first = False
        if items or nested:
            operands.append(_union(items, nested))
        return _intersection(operands, negated)

    def _class_item(self) -> str:
        """One character, range or named class within a class."""
        start = self.at
        if self.text.startswith("\\Q", start):
            return "".join(_class_literal(char) for char in self._quoted())
        if self.text[start] == "\\":
            if start + 1 >= len(self.text):
                raise Invalid("nothing follows the backslash", start)
            inside = self._class_escape()
            if inside is not None:
                return inside
        low = self._class_character()
        following = self.text[self.at + 1 : self.at + 2]
        if not self.text.startswith("-", self.at) or following in ("", "]", "["):
            return low
        self.at += 1
        return f"{low}-{self._class_character()}"

    def _class_character(self) -> str:
        if self.text[self.at] == "\\" and self.at + 1 < len(self.text):
            return self._character()
        self.at += 1
        return _class_literal(self.text[self.at - 1])


_CODES = (
    (late_regex(r"\\x\{([0-9a-fA-F]{1,8})\}"), 16),
    (late_regex(r"\\x([0-9a-fA-F]{2})"), 16),
    (late_regex(r"\\u([0-9a-fA-F]{4})"), 16),
    (late_regex(r"\\0([0-3][0-7]{2}|[0-7]{1,2})"), 8),
    (late_regex(r"\\c([\x20-\x7e])"), 0),
)


def _flag_group(on: str, off: str) -> str:
    """The start of a group with flags. Python has nothing like Java's d (line ends) and u (non-ASCII case); U is u."""
    wanted = "".join(dict.fromkeys(flag for flag in on if flag in "ims")) + ("u" if "U" in on else "")
    without = "".join(dict.fromkeys(flag for flag in off if flag in "ims" and flag not in wanted))
    return f"(?{wanted}{'-' + without if without else ''}:"


def _class_literal(char: str) -> str:
    return char if char.isalnum() else f"\\U{ord(char):08x}"


def _whole(pattern: str) -> str:
    return pattern if pattern.startswith("[") else f"(?:{pattern})"


def _union(items: str, nested: list[str]) -> str:
    parts = ([f"[{items}]"] if items else []) + nested
    return parts[0] if len(parts) == 1 else "(?:" + "|".join(parts) + ")"


def _intersection(operands: list[str], negated: bool) -> str:
    """A regex for one character that all *operands* match; if *negated*, that not all of them match."""
    if len(operands) == 1:
        return _negated(operands[0]) if negated else operands[0]
    joined = "".join(f"(?={operand})" for operand in operands) + r"[\s\S]"
    return f"(?!{joined})[\\s\\S]" if negated else joined


def _negated(operand: str) -> str:
    simple = operand.startswith("[") and not operand.startswith("[^")
    return f"[^{operand[1:]}" if simple else f"(?!{operand})[\\s\\S]"


def _complement(inside: str) -> str:
    """The content of a class for all characters that *inside* does not contain."""
    pattern = re.compile(r"\\U[0-9a-f]{8}|\\x[0-9a-f]{2}|\\u[0-9a-f]{4}|\\.|.", re.DOTALL)
    tokens = [_code(token) for token in pattern.findall(inside)]
    ranges, at = [], 0
    while at < len(tokens):
        if at + 2 < len(tokens) and tokens[at + 1] == -1:
            ranges.append((tokens[at], tokens[at + 2]))
            at += 3
        else:
            ranges.append((tokens[at], tokens[at]))
            at += 1
    pieces, low = [], _ALL[0]
    for start, end in sorted(ranges):
        if start > low:
            pieces.append(f"\\U{low:08x}-\\U{start - 1:08x}")
        low = max(low, end + 1)
    if low <= _ALL[1]:
        pieces.append(f"\\U{low:08x}-\\U{_ALL[1]:08x}")
    return "".join(pieces)


def _code(token: str) -> int:
    """The code of a class token's character; -1 for the hyphen of a range, the only unescaped one."""
    if token == "-":
        return -1
    if token[0] != "\\":
        return ord(token)
    if token[1] in "xuU":
        return int(token[2:], 16)
    return {"t": 9, "n": 10, "r": 13, "f": 12}.get(token[1], ord(token[1]))
