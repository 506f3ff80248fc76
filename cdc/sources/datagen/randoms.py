"""Java's generator of random numbers, so that a stored seed means the same here and there.

Source: Java SE API, `java.util.Random` (the algorithm is part of its documentation).
"""

from __future__ import annotations

from typing import Final

_MASK: Final = (1 << 48) - 1
_FACTOR: Final = 0x5DEECE66D


def signed(number: int, bits: int) -> int:
    """The low *bits* bits of *number* as a two's complement number."""
    number &= (1 << bits) - 1
    return number - (1 << bits) if number >> (bits - 1) else number


class JavaRandom:
    """`java.util.Random`. A *seed* is any number of 64 bits."""

    def __init__(self, seed: int) -> None:
        self.seed(seed)

    def seed(self, seed: int) -> None:
        """Continue from *seed*, as `setSeed`."""
        self._state = (seed ^ _FACTOR) & _MASK

    def bits(self, count: int) -> int:
        """The next *count* bits (1 to 32), signed when there are 32."""
        self._state = (self._state * _FACTOR + 0xB) & _MASK
        return signed(self._state >> (48 - count), 32)

    def below(self, bound: int) -> int:
        """A number from 0 up to *bound*, which is not included; *bound* is from 1 to 2^31-1."""
        if bound & -bound == bound:
            return (bound * self.bits(31)) >> 31
        while True:
            drawn = self.bits(31)
            found = drawn % bound
            if drawn - found + (bound - 1) < 1 << 31:
                return found

    def int32(self) -> int:
        return self.bits(32)

    def int64(self) -> int:
        return signed((self.bits(32) << 32) + self.bits(32), 64)

    def double(self) -> float:
        """From 0 up to 1, which is not included."""
        return ((self.bits(26) << 27) + self.bits(27)) * 2.0 ** -53

    def single(self) -> float:
        """The same with the precision of 32 bits."""
        return self.bits(24) / (1 << 24)

    def boolean(self) -> bool:
        return self.bits(1) != 0

    def data(self, length: int) -> bytes:
        """*length* bytes."""
        found = bytearray()
        while len(found) < length:
            found += (self.int32() & 0xFFFFFFFF).to_bytes(4, "little")
        return bytes(found[:length])
