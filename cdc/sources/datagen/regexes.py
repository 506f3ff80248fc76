"""Random text that matches a regular expression, within bounds of its length.

Understood: literals, escapes, classes, groups, alternatives and quantifiers, as avro-random-generator's library does
(dk.brics.automaton). Look-around, back references and anchors within the text are not.
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import Final

from .randoms import JavaRandom

MAX_LENGTH: Final = 4096
"""The longest text of a pattern."""
OPEN_REPEATS: Final = 15
"""How often `*` and `+` repeat at most, unless a longer length was asked for."""
_MOST_SUMS: Final = 500_000
"""So many sums of lengths may one repetition need: about 0.2 s."""
_PRINTABLE: Final = "".join(map(chr, range(32, 127)))
_SETS: Final = {"d": string.digits, "w": string.ascii_letters + string.digits + "_", "s": " \t"}
_CHARACTERS: Final = {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "a": "\a", "e": "\x1b"}


class _Part:
    """A part of a pattern. Bit *n* of `lengths` says that it can be *n* characters long."""

    lengths: int

    def text(self, length: int, rng: JavaRandom) -> str:
        """Text of exactly *length* characters, which `lengths` has."""
        raise NotImplementedError


class _One(_Part):
    """One of some characters. Halves of surrogate pairs are left out: no text in UTF-8 has them."""

    def __init__(self, characters: str) -> None:
        characters = "".join(each for each in characters if not "\ud800" <= each <= "\udfff")
        if not characters:
            raise ValueError("a class without characters")
        self.characters = characters
        self.lengths = 2

    def text(self, length: int, rng: JavaRandom) -> str:
        return self.characters[rng.below(len(self.characters))]


class _Choice(_Part):
    def __init__(self, parts: Sequence[_Part]) -> None:
        self.parts = parts
        self.lengths = 0
        for part in parts:
            self.lengths |= part.lengths

    def text(self, length: int, rng: JavaRandom) -> str:
        able = [part for part in self.parts if part.lengths >> length & 1]
        return able[rng.below(len(able))].text(length, rng)


class _Sequence(_Part):
    """One part after the other. `rest[i]` are the lengths of all from part *i* on."""

    def __init__(self, parts: Sequence[_Part]) -> None:
        self.parts = parts
        self.rest = [1]
        for part in reversed(parts):
            self.rest.append(_sum(part.lengths, self.rest[-1]))
        self.rest.reverse()
        self.lengths = self.rest[0]

    def text(self, length: int, rng: JavaRandom) -> str:
        found = []
        for part, rest in zip(self.parts, self.rest[1:], strict=True):
            own = _pick(_both(part.lengths, rest, length), rng)
            found.append(part.text(own, rng))
            length -= own
        return "".join(found)


class _Repeat(_Part):
    """*low* to *high* times the same. `powers[k]` are the lengths of *k* of them."""

    def __init__(self, part: _Part, low: int, high: int) -> None:
        if high > MAX_LENGTH:
            raise ValueError(f"a part is repeated more than {MAX_LENGTH} times")
        if high * part.lengths.bit_count() > _MOST_SUMS:
            raise ValueError("a part with so many lengths is repeated too often")
        self.part, self.low = part, low
        self.powers = [1]
        for _ in range(high):
            self.powers.append(_sum(self.powers[-1], part.lengths))
        self.lengths = 0
        for lengths in self.powers[low:]:
            self.lengths |= lengths

    def text(self, length: int, rng: JavaRandom) -> str:
        able = [count for count in range(self.low, len(self.powers)) if self.powers[count] >> length & 1]
        count = able[rng.below(len(able))]
        found = []
        for left in range(count - 1, -1, -1):
            own = _pick(_both(self.part.lengths, self.powers[left], length), rng)
            found.append(self.part.text(own, rng))
            length -= own
        return "".join(found)


class Regex:
    """Makes texts that match *pattern*, *low* to *high* characters long (None: of any length that it has). Raises
    ValueError with the reason if there are none, or the pattern is not understood."""

    def __init__(self, pattern: str, low: int = 0, high: int | None = None) -> None:
        self._part = _Reader(pattern, OPEN_REPEATS if high is None else min(high, MAX_LENGTH)).whole()
        wanted = (1 << (1 + (MAX_LENGTH if high is None else min(high, MAX_LENGTH)))) - (1 << low)
        self._lengths = self._part.lengths & wanted
        if not self._lengths:
            raise ValueError(f"no text of this length matches {pattern}")
        self.longest = self._lengths.bit_length() - 1

    def text(self, rng: JavaRandom) -> str:
        """The next text; all possible lengths are equally likely."""
        return self._part.text(_pick(self._lengths, rng), rng)


class _Reader:
    """Reads a pattern into parts. `*` and `+` repeat up to *repeats* times."""

    def __init__(self, pattern: str, repeats: int) -> None:
        self._text = pattern.removeprefix("^")
        if self._text.endswith("$") and not self._text.endswith("\\$"):
            self._text = self._text[:-1]
        self._repeats = repeats
        self._at = 0

    def whole(self) -> _Part:
        found = self._choice()
        if self._at < len(self._text):
            raise ValueError(f"unexpected {self._text[self._at]} at character {self._at + 1}")
        return found

    def _peek(self) -> str:
        return self._text[self._at:self._at + 1]

    def _take(self) -> str:
        if self._at >= len(self._text):
            raise ValueError("the pattern ends too early")
        self._at += 1
        return self._text[self._at - 1]

    def _choice(self) -> _Part:
        parts = [self._sequence()]
        while self._peek() == "|":
            self._at += 1
            parts.append(self._sequence())
        return parts[0] if len(parts) == 1 else _Choice(parts)

    def _sequence(self) -> _Part:
        parts = []
        while self._peek() not in ("", "|", ")"):
            parts.append(self._quantified(self._atom()))
        return parts[0] if len(parts) == 1 else _Sequence(parts)

    def _atom(self) -> _Part:
        char = self._take()
        if char == "(":
            if self._text.startswith("?", self._at):
                if not self._text.startswith("?:", self._at):
                    raise ValueError("groups that begin with (? are not understood, except (?:")
                self._at += 2
            found = self._choice()
            if self._take() != ")":
                raise ValueError("a group has no end")
            return found
        if char == "[":
            return _One(self._class())
        if char == ".":
            return _One(_PRINTABLE)
        if char == "\\":
            return _One(self._escaped())
        if char in "*+?{^$":
            raise ValueError(f"unexpected {char} at character {self._at}")
        return _One(char)

    def _escaped(self) -> str:
        char = self._take()
        if char in _SETS:
            return _SETS[char]
        if char.lower() in _SETS:
            return "".join(each for each in _PRINTABLE if each not in _SETS[char.lower()])
        if char in _CHARACTERS:
            return _CHARACTERS[char]
        if char == "u":
            return chr(int("".join(self._take() for _ in range(4)), 16))
        if char.isalnum():
            raise ValueError(f"\\{char} is not understood")
        return char

    def _class(self) -> str:
        negated = self._peek() == "^"
        self._at += negated
        found: list[str] = []
        while (char := self._take()) != "]":
            if char == "[":
                raise ValueError("a class within a class is not understood; write \\[ for the character")
            first = self._escaped() if char == "\\" else char
            if self._peek() == "-" and self._text[self._at + 1:self._at + 2] not in ("]", "") and len(first) == 1:
                self._at += 1
                last = self._take()
                last = self._escaped() if last == "\\" else last
                if len(last) != 1 or last < first:
                    raise ValueError(f"{first}-{last} is no range")
                found += map(chr, range(ord(first), ord(last) + 1))
            else:
                found += first
        if negated:
            return "".join(each for each in _PRINTABLE if each not in found)
        return "".join(dict.fromkeys(found))

    def _quantified(self, part: _Part) -> _Part:
        bounds = self._bounds()
        while bounds is not None:
            low, high = bounds
            if high < low:
                raise ValueError(f"{{{low},{high}}} is no range")
            part = _Repeat(part, low, high)
            if self._peek() in ("?", "+"):  # reluctant or possessive: the same texts
                self._at += 1
            bounds = self._bounds()
        return part

    def _bounds(self) -> tuple[int, int] | None:
        char = self._peek()
        if char not in ("*", "+", "?", "{"):
            return None
        self._at += 1
        if char == "?":
            return 0, 1
        if char in "*+":
            low = int(char == "+")
            return low, max(low, self._repeats)
        end = self._text.find("}", self._at)
        low_text, comma, high_text = self._text[self._at:end].partition(",")
        if end < 0 or not low_text.isdecimal() or not (high_text == "" or high_text.isdecimal()):
            raise ValueError("a { begins no number of repetitions; write \\{ for the character")
        self._at = end + 1
        low = int(low_text)
        if not comma:
            return low, low
        return low, int(high_text) if high_text else max(low, self._repeats)


def _sum(one: int, other: int) -> int:
    """All sums of a length of *one* and a length of *other*, up to the longest text."""
    if one.bit_count() > other.bit_count():
        one, other = other, one
    found = 0
    while one:
        lowest = one & -one
        found |= other << (lowest.bit_length() - 1)
        one ^= lowest
    return found & ((1 << (MAX_LENGTH + 1)) - 1)


def _both(one: int, rest: int, length: int) -> int:
    """The lengths *n* of *one* for which *rest* has *length* - *n*."""
    found, left = 0, one & ((1 << (length + 1)) - 1)
    while left:
        lowest = left & -left
        if rest >> (length - (lowest.bit_length() - 1)) & 1:
            found |= lowest
        left ^= lowest
    return found


def _pick(lengths: int, rng: JavaRandom) -> int:
    """One of the bits that are set."""
    for _ in range(rng.below(lengths.bit_count()) if lengths & (lengths - 1) else 0):
        lengths &= lengths - 1
    return (lengths & -lengths).bit_length() - 1
