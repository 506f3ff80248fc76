"""Large values of an offset, which a store keeps apart from the offset's record, each in one or more parts.

An offset may hold megabytes, such as the structures of 20,000 tables, of which little changes from one commit to the
next. In its record a large value is a reference, and the value itself is in parts that are written before the record,
and only when the value has changed. Parts that no record refers to any more are removed after it.

Each value that is written gets new names for its parts, so nobody ever writes or removes a part that another process
refers to. A reference has the value's checksum and length: with a part missing or changed there is no value.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Hashable, Iterator, Mapping
from typing import Any, Final

from cdc.core.dataclass import dataclass
from cdc.core.late_regex import late_regex
from cdc.core.position import Offset

WHOLE_LENGTH: Final = 16 << 10
"""An offset of no more than this many characters stays whole, in one record."""
_LARGE_LENGTH: Final = 1 << 10
"""Values of a longer offset that are longer than this are kept apart."""
PART_BYTES: Final = 256 << 10
"""Well below the size at which brokers refuse a record; 1 MiB unless configured."""
_MARK: Final = "cdc-parts:"
_REFERENCE: Final = late_regex(rf"{_MARK}1:([0-9a-f]{{32}}):(0|[1-9][0-9]{{0,9}}):([0-9a-f]{{16}})")
DAMAGED: Final = "Restore it from a backup, or delete the connector's offset to start with a new snapshot."


@dataclass(frozen=True)
class Reference:
    """A value that is kept apart: its checksum, its length in bytes, and what its parts' names begin with."""

    checksum: str
    size: int
    name: str

    def parts(self) -> Iterator[str]:
        """The parts' names, in order."""
        return (f"{self.name}.{number}" for number in range(-(-self.size // PART_BYTES)))

    def __str__(self) -> str:
        return f"{_MARK}1:{self.checksum}:{self.size}:{self.name}"


@dataclass(frozen=True)
class Split:
    """An offset, split. `record`: the offset with references in the place of large values. `new`: the parts that are
    to be written before it. `kept`: the parts it refers to that are stored already."""

    record: dict[str, Any]
    new: dict[str, bytes]
    kept: frozenset[str]
    values: dict[str, tuple[str | None, Reference]]

    def names(self) -> frozenset[str]:
        """All parts that the record refers to."""
        return self.kept | self.new.keys()


class Splitter:
    """Splits offsets, and remembers for each place (a connector and partition) what is stored of its large values."""

    def __init__(self) -> None:
        self._stored: dict[Hashable, dict[str, tuple[str | None, Reference]]] = {}

    def split(self, place: Hashable, offset: Offset) -> Split:
        """A value that is the same object as at the last commit costs nothing; an equal one is not written again."""
        length = sum(len(value) for value in offset.values() if isinstance(value, str))
        least = WHOLE_LENGTH if length <= WHOLE_LENGTH else _LARGE_LENGTH
        record = dict(offset)
        new: dict[str, bytes] = {}
        kept: set[str] = set()
        values: dict[str, tuple[str | None, Reference]] = {}
        stored = self._stored.get(place, {})
        for key, value in offset.items():
            if not isinstance(value, str) or not (len(value) > least or value.startswith(_MARK)):
                continue
            known, reference = stored.get(key, (None, None))
            if reference is None or known is not value:
                data = value.encode()
                checksum = _checksum(data)
                if reference is None or reference.checksum != checksum:
                    reference = Reference(checksum, len(data), secrets.token_hex(8))
                    new.update(_cut(reference, data))
            if reference.name not in new:
                kept.update(reference.parts())
            record[key] = str(reference)
            values[key] = value, reference
        return Split(record, new, frozenset(kept.difference(new)), values)

    def written(self, place: Hashable, split: Split) -> None:
        """The record of *split* is stored."""
        self._stored[place] = split.values

    def read(self, place: Hashable, references: Mapping[str, Reference]) -> None:
        """A record with these references is stored."""
        self._stored[place] = {key: (None, reference) for key, reference in references.items()}

    def forget(self, place: Hashable) -> None:
        """What is stored is not known any more: write all large values with the next record."""
        self._stored.pop(place, None)


def references(record: Mapping[str, Any]) -> dict[str, Reference]:
    """The values of *record* that are kept apart. Raises ValueError for a reference that we did not write."""
    found = {}
    for key, value in record.items():
        if isinstance(value, str) and value.startswith(_MARK):
            match = _REFERENCE.fullmatch(value)
            if match is None:
                raise ValueError(f"what it says about the value {key} is not known here")
            found[key] = Reference(match[1], int(match[2]), match[3])
    return found


def join(record: Mapping[str, Any], found: Mapping[str, Reference], parts: Mapping[str, bytes]) -> dict[str, Any]:
    """*record* with the values that *found*, from `references`, refers to. Raises ValueError for a value that is not
    the one that was stored."""
    whole = dict(record)
    for key, reference in found.items():
        data = b"".join(parts.get(name, b"") for name in reference.parts())
        if len(data) != reference.size or _checksum(data) != reference.checksum:
            raise ValueError(f"parts of the value {key} are missing or changed")
        whole[key] = data.decode()
    return whole


def _checksum(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def _cut(reference: Reference, data: bytes) -> Iterator[tuple[str, bytes]]:
    return ((name, data[number * PART_BYTES:(number + 1) * PART_BYTES])
            for number, name in enumerate(reference.parts()))
