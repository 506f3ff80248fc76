"""A position in a PostgreSQL log: whole transactions, and how far into the next one.

The offset's keys are Debezium's (`lsn`, `lsn_proc`, `lsn_commit`, `txId`, `ts_usec`, `messageType`, `snapshot`,
`last_snapshot_record`, `snapshot_completed`) and, beside them, ours: `tx_lsn` and `tx_changes` (the transaction in
which we are, by its commit record, and how many of its changes were delivered), `hold_lsn` (what may not be confirmed
yet because of a prepared transaction), `system_id` and `timeline` of the server.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from cdc.core.errors import PositionLostError

_MESSAGE_TYPES = {"B": "BEGIN", "C": "COMMIT", "I": "INSERT", "U": "UPDATE", "D": "DELETE", "T": "TRUNCATE",
                  "M": "MESSAGE", "R": "RELATION", "O": "ORIGIN", "Y": "TYPE"}


@dataclass(frozen=True, slots=True)
class PostgresPosition:
    """All transactions whose commit record starts before `end_lsn`, and the first `tx_changes` changes of the one
    whose commit record starts at `tx_lsn`, have been delivered."""

    end_lsn: int
    tx_lsn: int = 0
    tx_changes: int = 0
    commit_lsn: int = 0
    """End of the last transaction with changes of ours; what `source.sequence` starts with."""
    hold_lsn: int = 0
    last_lsn: int = 0
    last_kind: int = 0
    xid: int = 0
    time_us: int = 0
    snapshot: str | None = None
    """`INITIAL` while the snapshot is not complete: nothing can be resumed from such a position."""
    snapshot_lsn: int = 0
    system_id: str | None = None
    timeline: int | None = None
    skip_before_lsn: int = 0
    """From another program's offset: of transaction `xid`, changes before this LSN were delivered."""

    def confirmable(self) -> int:
        """The LSN up to which the server may forget its log."""
        if self.snapshot:
            return 0
        return min(self.end_lsn, self.hold_lsn) if self.hold_lsn else self.end_lsn

    def offset(self) -> dict[str, Any]:
        out: dict[str, Any] = {"lsn": self.last_lsn or self.end_lsn}
        if self.snapshot:
            out |= {"snapshot": self.snapshot, "snapshot_completed": False, "last_snapshot_record": False}
        else:
            out |= {"lsn_proc": self.last_lsn or self.end_lsn, "lsn_commit": self.end_lsn}
            if self.commit_lsn != self.end_lsn:
                out["commit_lsn"] = self.commit_lsn
        if self.last_kind:
            out["messageType"] = _MESSAGE_TYPES.get(chr(self.last_kind), "OTHER")
        if self.xid:
            out["txId"] = self.xid
        if self.time_us:
            out["ts_usec"] = self.time_us
        if self.tx_lsn:
            out |= {"tx_lsn": self.tx_lsn, "tx_changes": self.tx_changes}
        if self.hold_lsn:
            out["hold_lsn"] = self.hold_lsn
        if self.system_id is not None:
            out |= {"system_id": self.system_id, "timeline": self.timeline}
        return out

    def on_server(self, system_id: str, timeline: int) -> PostgresPosition:
        return replace(self, system_id=system_id, timeline=timeline)

    @classmethod
    def from_offset(cls, offset: Mapping[str, Any]) -> PostgresPosition:
        """Read ours or Debezium's. Raises PositionLostError on one that makes no sense."""
        try:
            return cls._from_offset(offset)
        except (TypeError, ValueError, KeyError) as exc:
            raise PositionLostError(
                "the stored offset cannot be read", keys=",".join(sorted(map(str, offset))),
                hint="It was not written by this service or by Debezium's PostgreSQL connector; reset the connector's "
                     "offset to start with a new snapshot.") from exc

    @classmethod
    def _from_offset(cls, offset: Mapping[str, Any]) -> PostgresPosition:
        snapshot = str(offset.get("snapshot") or "").lower() not in ("", "false")
        last = int(offset.get("lsn_proc") or offset["lsn"])
        end = int(offset.get("lsn_commit") or last)
        ours = "system_id" in offset or "tx_lsn" in offset
        mid_transaction = not ours and not snapshot and last > end
        completed = str(offset.get("snapshot_completed", "")).lower() == "true" or str(
            offset.get("last_snapshot_record", "")).lower() == "true"
        return cls(
            end_lsn=end, tx_lsn=int(offset.get("tx_lsn", 0)), tx_changes=int(offset.get("tx_changes", 0)),
            commit_lsn=int(offset.get("commit_lsn", offset.get("lsn_commit") or 0)),
            hold_lsn=int(offset.get("hold_lsn", 0)), last_lsn=last,
            xid=int(offset.get("txId") or 0), time_us=int(offset.get("ts_usec") or 0),
            snapshot="INITIAL" if snapshot and not completed else None,
            system_id=offset.get("system_id"),
            timeline=int(offset["timeline"]) if offset.get("timeline") is not None else None,
            skip_before_lsn=last if mid_transaction else 0)
