"""Which tables are copied beside the stream, how far each copy is, and how the offset keeps that.

Debezium's keys `incremental_snapshot_collections` and `incremental_snapshot_correlation_id` are written as Debezium
does, and read from its offsets: it then begins the tables again, and so do we, because its keys of rows are serialized
Java objects. Ours is `incremental_snapshot_progress`. Debezium sources: AbstractIncrementalSnapshotContext.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from cdc.core.dataclass import dataclass
from cdc.core.errors import PositionLostError
from cdc.core.packing import pack, unpack

_PREFIX: Final = "incremental_snapshot_"
COLLECTIONS: Final = _PREFIX + "collections"
CORRELATION: Final = _PREFIX + "correlation_id"
PROGRESS: Final = _PREFIX + "progress"

Asked = tuple[str, str]
"""A copy by the id of its signal and the name of its table."""

Key = tuple[str | None, ...]
"""The columns that a copy goes by, of one row, as the server writes them; None is null."""


@dataclass(frozen=True)
class Copy:
    """One table to copy, named `schema.table` or `database.table`, for the signal *id*.

    *condition*: SQL that its rows must fulfil. *surrogate*: the column to go by instead of the key.
    *after*: all rows up to this key were sent. *upto*: the greatest key when the copy began. Both None before that.
    *rows*: how many were read. *made*: `chunk.Plan.made` of the table that those keys are of.
    """

    id: str
    name: str
    condition: str | None = None
    surrogate: str | None = None
    after: Key | None = None
    upto: Key | None = None
    rows: int = 0
    made: str = ""

    @property
    def asked(self) -> Asked:
        return self.id, self.name


@dataclass(frozen=True)
class Copies:
    """Those that are not complete, in order; the first one is being read. *stopping*: those that end once the chunk
    that is being read has gone out."""

    waiting: tuple[Copy, ...] = ()
    paused: bool = False
    stopping: frozenset[Asked] = frozenset()

    def names(self) -> str:
        """Of the first one's request, for notifications."""
        return ",".join(each.name for each in self.waiting if each.id == self.waiting[0].id)

    def offset(self) -> dict[str, Any]:
        if not self.waiting:
            return {}
        collections = [{f"{COLLECTIONS}_id": each.name, f"{COLLECTIONS}_additional_condition": each.condition,
                        f"{COLLECTIONS}_surrogate_key": each.surrogate} for each in self.waiting]
        progress = {"copies": [asdict(each) for each in self.waiting], "paused": self.paused,
                    "stopping": sorted(self.stopping)}
        return {COLLECTIONS: _json(collections), CORRELATION: self.waiting[0].id, PROGRESS: pack(_json(progress))}

    @classmethod
    def from_offset(cls, offset: Mapping[str, Any]) -> Copies:
        """Raises PositionLostError if what it has is damaged."""
        try:
            if offset.get(PROGRESS):
                progress = json.loads(unpack(str(offset[PROGRESS])))
                return cls(tuple(map(_copy, progress["copies"])), bool(progress["paused"]),
                           frozenset((str(id), str(name)) for id, name in progress.get("stopping", ())))
            if offset.get(COLLECTIONS):
                return cls(tuple(
                    Copy(str(offset.get(CORRELATION) or ""), str(each[f"{COLLECTIONS}_id"]),
                         each.get(f"{COLLECTIONS}_additional_condition"), each.get(f"{COLLECTIONS}_surrogate_key"))
                    for each in json.loads(str(offset[COLLECTIONS]))))
        except (ValueError, KeyError, TypeError) as exc:
            raise PositionLostError(
                "The progress of the incremental snapshot that is stored with the offset is damaged.",
                hint="Take the keys that begin with incremental_snapshot_ out of the offset, and ask for the snapshot"
                     " again.") from exc
        return cls()


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _copy(parts: Mapping[str, Any]) -> Copy:
    after, upto = (None if parts[name] is None else tuple(parts[name]) for name in ("after", "upto"))
    return Copy(str(parts["id"]), str(parts["name"]), parts["condition"], parts["surrogate"], after, upto,
                int(parts["rows"]), str(parts.get("made", "")))


def shown(key: Sequence[str | None]) -> str:
    """As notifications show a key."""
    return ",".join("null" if part is None else part for part in key)
