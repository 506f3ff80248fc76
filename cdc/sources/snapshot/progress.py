"""How far an initial snapshot is, so that a restart goes on with the tables and rows that are left.

Each attempt reads in a transaction of its own, but the stream that follows begins where the first attempt began. So
whatever changed after a row was read, and whatever was read later than that, comes in the stream as well, and its last
event tells the row's present state. What a restart leaves out was delivered, and was read whole. The stream does not
have the rows that another table had before it took the name of one, so such a table is read again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import field, replace
from typing import Any, Final, TypeVar

from cdc.core.dataclass import dataclass
from cdc.core.errors import PositionLostError
from cdc.core.named_tuple import NamedTuple
from cdc.core.packing import pack, unpack
from cdc.log import get_logger

log = get_logger(__name__)

KEY: Final = "snapshot_progress"
"""The offset's key."""

CHUNK_ROWS: Final = 20_000
CHUNK_BYTES: Final = 16 << 20
"""After about so many rows, or bytes of them, a reader names a `Place`."""

T = TypeVar("T")


class Place(NamedTuple):
    """A place in a table: all rows before it were read. Only the reader of this database understands the text."""

    text: str


@dataclass(frozen=True)
class Progress:
    """The first `count` of `names` are the tables that were read whole. `names` only grows, and is shared.

    `table`, `place`: the table that was read in part, and the place that was reached. Empty if there is none.
    `identities`: of `names`, one each; `identity`: that of `table`. Each tells the table from others that had or will
    have its name; empty where the database cannot tell.
    """

    names: list[str] = field(default_factory=list, repr=False)
    count: int = 0
    table: str = ""
    place: str = ""
    identities: list[str] = field(default_factory=list, repr=False)
    identity: str = ""

    def begun(self) -> bool:
        return self.count > 0 or self.table != ""

    def after_table(self, name: str, identity: str = "") -> Progress:
        """Table *name* was read whole. To be called on the newest progress only."""
        assert len(self.names) == self.count, "another progress goes on from here"
        self.names.append(name)
        self.identities.append(identity)
        return Progress(self.names, self.count + 1, identities=self.identities)

    def within(self, name: str, place: Place, identity: str = "") -> Progress:
        return replace(self, table=name, place=place.text, identity=identity)

    def of_same(self, present: Mapping[str, str]) -> Progress:
        """Without the tables that are gone, or whose names others have by now. *present*: the identities of the present
        tables, by their names."""
        kept = [(name, identity) for name, identity in self._done()
                if present.get(name) == identity]
        same = present.get(self.table) == self.identity
        replaced = [name for name in self.names[:self.count] if name in present and name not in dict(kept)]
        if self.table in present and not same:
            replaced.append(self.table)
        if replaced:
            log.info("snapshot_reads_tables_again", tables=len(replaced), first=replaced[:20],
                     why="they were made again, or are others of the same name")
        return Progress([name for name, _ in kept], len(kept), self.table if same else "", self.place if same else "",
                        [identity for _, identity in kept], self.identity if same else "")

    def left(self, tables: Iterable[T], name: Callable[[T], str]) -> list[T]:
        """Those of *tables* that were not read whole, the one that was read in part first."""
        done = set(self.names[:self.count])
        found = [each for each in tables if name(each) not in done]
        return sorted(found, key=lambda each: name(each) != self.table)

    def _done(self) -> list[tuple[str, str]]:
        return list(zip(self.names[:self.count], self.identities[:self.count], strict=True))

    def offset(self) -> dict[str, Any]:
        """For the offset store."""
        parts = {"done": self.names[:self.count], "table": self.table, "place": self.place,
                 "identities": self.identities[:self.count], "identity": self.identity}
        return {KEY: pack(json.dumps(parts, separators=(",", ":")))}

    @classmethod
    def from_offset(cls, offset: Mapping[str, Any]) -> Progress | None:
        """None if the offset has none. Raises PositionLostError if it is damaged."""
        if not offset.get(KEY):
            return None
        try:
            parts = json.loads(unpack(str(offset[KEY])))
            names = [str(each) for each in parts["done"]]
            identities = [str(each) for each in parts.get("identities", [""] * len(names))]
            if len(identities) != len(names):
                raise ValueError("each table has one identity")
            return cls(names, len(names), str(parts["table"]), str(parts["place"]), identities,
                       str(parts.get("identity", "")))
        except (ValueError, KeyError, TypeError) as exc:
            raise PositionLostError(
                "The progress of the snapshot that is stored with the offset is damaged.",
                hint="Reset the connector's offset to start with a new snapshot.") from exc
