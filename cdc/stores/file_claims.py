"""The generations of an offset file: who may commit which offset. A table of their own beside the offsets.

The locks (`file_lock.py`) keep a second process away from the start. The generations protect the offsets where there
are no locks, as on some file systems that hosts share.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from cdc.core.errors import OffsetStoreError
from cdc.core.owner import Claim, Owner

from .claims import owner_lost
from .offset_file import checksum

Place = tuple[str, str]
"""A connector, and its source partition as JSON."""

SCHEMA = (
    "CREATE TABLE IF NOT EXISTS claims (connector TEXT NOT NULL, partition_json TEXT NOT NULL, generation INTEGER NOT "
    "NULL, owner TEXT NOT NULL, checksum TEXT NOT NULL, PRIMARY KEY (connector, partition_json)) WITHOUT ROWID"
)


class FileClaims:
    """The claims of one store object, and those in its file. Every method runs within a transaction of *connection*."""

    def __init__(self, owner: Owner, damage: Callable[[str], OffsetStoreError]) -> None:
        self.owner = owner
        self._damage = damage
        self._ours: dict[Place, Claim] = {}

    def ours(self, place: Place) -> Claim | None:
        """The claim that this store has made, void or not."""
        return self._ours.get(place)

    def make(self, connection: sqlite3.Connection, place: Place) -> Claim:
        """Write the next generation, ours. It counts after `made`, when the transaction is committed."""
        connection.execute(SCHEMA)
        _, generation = self._stored(connection, place)
        claim = Claim(self.owner, generation + 1)
        values = (*place, claim.generation, claim.owner.json())
        connection.execute("INSERT OR REPLACE INTO claims VALUES (?, ?, ?, ?, ?)", (*values, checksum(*values)))
        return claim

    def made(self, place: Place, claim: Claim) -> None:
        self._ours[place] = claim

    def check(self, connection: sqlite3.Connection, place: Place, claim: Claim | None) -> None:
        """Raises OwnerLostError if *claim*, one of ours, is not the one in the file."""
        if claim is None:
            return
        owner, generation = self._stored(connection, place)
        if generation != claim.generation or owner is None or owner.run != claim.owner.run:
            raise owner_lost(place[0], owner)

    def forget(self, place: Place) -> None:
        self._ours.pop(place, None)

    def _stored(self, connection: sqlite3.Connection, place: Place) -> tuple[Owner | None, int]:
        """Who claimed last, and that generation; (None, 0) if nobody did."""
        known = connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'claims'").fetchone()
        row = None if known is None else connection.execute(
            "SELECT connector, partition_json, generation, owner, checksum FROM claims WHERE connector = ? AND "
            "partition_json = ?", place).fetchone()
        if row is None:
            return None, 0
        *values, written = row
        if checksum(*values) != written:
            raise self._damage("a stored claim is not the one that was written")
        return Owner.of(values[3]), int(values[2])
