"""Log sequence numbers."""

from __future__ import annotations

from cdc.core.late_regex import late_regex

_TEXT = late_regex(r"([0-9A-Fa-f]{1,8})/([0-9A-Fa-f]{1,8})")


class Lsn(int):
    """A byte position in the WAL; prints as the server does, `0/16B3748`."""

    def __str__(self) -> str:
        return f"{self >> 32:X}/{self & 0xFFFFFFFF:X}"

    __repr__ = __str__

    @classmethod
    def parse(cls, text: str) -> Lsn:
        """Read the server's text form. Raises ValueError."""
        match = _TEXT.fullmatch(text)
        if match is None:
            raise ValueError(f"not an LSN: {text[:40]!r}")
        return cls(int(match[1], 16) << 32 | int(match[2], 16))
