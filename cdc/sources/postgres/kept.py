"""What an offset remembers of the publication, to see after a restart whether captured tables were out of it meanwhile.

Identities, not names: a publication or a membership that is made again has another oid.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from itertools import accumulate
from typing import Any

from cdc.core.dataclass import dataclass
from cdc.core.errors import PositionLostError
from cdc.core.packing import pack, unpack

from .published import EVERY_TABLE, Seen


@dataclass(frozen=True)
class Kept:
    """`tables`: the memberships of each captured table by its oid, as `SeenTable.members`. The other fields are those
    of `SeenPublication`."""

    name: str
    oid: int
    row: str
    owner: int
    operations: frozenset[str]
    via_root: bool
    tables: Mapping[int, Mapping[str, str]]

    def text(self) -> str:
        """For an offset. Equal ones have equal texts."""
        whole: list[int] = []
        own: list[tuple[int, int]] = []
        other: list[Any] = []
        for oid, members in sorted(self.tables.items()):
            row = _own_row(oid, members)
            if list(members) == [EVERY_TABLE]:
                whole.append(oid)
            elif row is not None:
                own.append((oid, row))
            else:
                other.append([oid, [[place, part] for place, part in sorted(members.items())]])
        return pack(json.dumps({
            "name": self.name, "oid": self.oid, "row": self.row, "owner": self.owner,
            "operations": "".join(sorted(self.operations)), "via_root": self.via_root,
            "whole": _steps(whole), "own": [_steps(each[0] for each in own), _steps(each[1] for each in own)],
            "tables": other}, separators=(",", ":")))


def _own_row(oid: int, members: Mapping[str, str]) -> int | None:
    """The oid of the table's own row in pg_publication_rel, if that is all its membership."""
    (member, part), = members.items() if len(members) == 1 else (("", ""),)
    return int(member.removeprefix(f"t{oid}.")) if member.startswith(f"t{oid}.") and not part else None


def _steps(numbers: Iterable[int]) -> list[int]:
    """Differences: they are small, and take little room when they are compressed."""
    found = list(numbers)
    return [number - before for before, number in zip([0, *found], found, strict=False)]


def _sums(steps: Iterable[Any]) -> list[int]:
    return list(accumulate(int(step) for step in steps))


def kept_of(seen: Seen) -> Kept | None:
    """None without a publication."""
    found = seen.publication
    if found is None:
        return None
    return Kept(found.name, found.oid, found.row, found.owner, found.operations, found.via_root,
                {table.oid: dict(table.members) if table.logged else {} for table in seen.tables.values()})


def read_kept(text: str) -> tuple[Kept, str]:
    """From `Kept.text`; with the lists that chose the tables, which earlier versions kept here, else empty. Raises
    PositionLostError."""
    try:
        return _read(json.loads(unpack(text)))
    except (KeyError, TypeError, ValueError) as exc:
        raise PositionLostError(
            "What the stored offset remembers of the publication cannot be read.",
            hint="It is damaged. Reset the connector's offset to start with a new snapshot.") from exc


def _read(found: Any) -> tuple[Kept, str]:
    tables: dict[int, Mapping[str, str]] = {oid: {EVERY_TABLE: ""} for oid in _sums(found["whole"])}
    oids, rows = found["own"]
    tables.update({oid: {f"t{oid}.{row}": ""} for oid, row in zip(_sums(oids), _sums(rows), strict=True)})
    tables.update({int(oid): {str(place): str(part) for place, part in members} for oid, members in found["tables"]})
    kept = Kept(str(found["name"]), int(found["oid"]), str(found["row"]), int(found["owner"]),
                frozenset(found["operations"]), bool(found["via_root"]), tables)
    return kept, str(found.get("lists", ""))
