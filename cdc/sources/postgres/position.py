"""A position in a PostgreSQL log: whole transactions, and a number of changes of the next one.

The offset has Debezium's keys (`lsn`, `lsn_proc`, `lsn_commit`, `txId`, `ts_usec`, `messageType`, `snapshot`,
`last_snapshot_record`, `snapshot_completed`), and these of ours:

`tx_lsn`: the transaction that was delivered in part, by where its commit record starts.
`tx_changes`: how many of its changes were delivered.
`skip_lsn`, `skip_rows`: from Debezium's offset, until something new came: what was delivered of its transaction.
`hold_lsn`: where a prepared transaction is that is not decided; nothing beyond may be confirmed.
`shown_lsn`, `shown_end_lsn`, `shown_xid`, `shown_ts_usec`, `shown_checksum`: what the server showed last (`Shown`).
`begin_lsn`, `begin_ts_usec`: before it has shown anything, where the stream began and when the snapshot was taken.
`system_id`, `timeline`: the server.
`structures`: what is known of the captured tables at the position (`Remembered.text`).
`published`: what the publication had of the captured tables (`kept.py`), which `captured_lists` chose.
`rows`: the captured tables' files and partitions (`unseen_rows.py`).
`read_lsn`: how far the log was when a later attempt of the snapshot, or one that the stream made way for, read rows.
`snapshot_progress`: how far a snapshot is that is not complete (`progress.py`).
`captured_lists`: the options that choose the captured tables (`added.py`).
`signal_*`, `incremental_snapshot_*`, `blocking_snapshot`: of signals, and of the snapshots that they ask for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace
from typing import Any

from cdc.core.dataclass import dataclass
from cdc.core.errors import PositionLostError
from cdc.core.position import whole
from cdc.sources.shared.control import stored
from cdc.sources.snapshot.progress import Progress

from .witness import Shown

_MESSAGE_TYPES = {"B": "BEGIN", "C": "COMMIT", "I": "INSERT", "U": "UPDATE", "D": "DELETE", "T": "TRUNCATE",
                  "M": "MESSAGE", "R": "RELATION", "O": "ORIGIN", "Y": "TYPE"}
_ROWS = frozenset({"INSERT", "UPDATE", "DELETE", "TRUNCATE"})
"""Debezium's last message was a row's, so its transaction's COMMIT was not read. The row's LSN may be that of the end
of the commit before, or lie before it, if transactions ran side by side."""


@dataclass(frozen=True)
class PostgresPosition:
    """Delivered are: all transactions whose commit record starts before `end_lsn`, and the first `tx_changes` changes
    of the one whose commit record starts at `tx_lsn`.

    `commit_lsn`: the end of the last transaction with changes of ours; `source.sequence` starts with it.
    `hold_lsn`: confirm nothing beyond it, because of an undecided prepared transaction; 0 without one.
    `last_lsn`, `last_kind`: the last message read: its LSN and its type.
    `snapshot`: `INITIAL` while a snapshot is not complete: the stream cannot resume from such a position.
    `progress`: how far that snapshot is.
    `read_lsn`: rows were delivered as of this place in the log, which the stream has yet to reach; 0 without such.
    `published`: what to remember of the publication (`kept.py`).
    `rows`: of the tables' files (`unseen_rows.py`).
    `skip_before_lsn`: from another program's offset: of transaction `xid`, changes before this LSN were delivered.
    `skip_rows`: and so many row changes at it: those of one COPY can have the same LSN.
    `shown`: the last transaction with changes, or message, that the server showed whole. None if there was none, or if
    the offset does not tell.
    `begin_lsn`: where the stream began. While nothing was shown, everything from there on is new; 0 if unknown.
    `begin_time_us`: when the snapshot was taken that the stream continues; 0 without one.
    `control`: keys of signals and of the snapshots that they ask for (`Control.offset`).
    """

    end_lsn: int
    tx_lsn: int = 0
    tx_changes: int = 0
    commit_lsn: int = 0
    hold_lsn: int = 0
    last_lsn: int = 0
    last_kind: int = 0
    xid: int = 0
    time_us: int = 0
    snapshot: str | None = None
    read_lsn: int = 0
    system_id: str | None = None
    timeline: int | None = None
    skip_before_lsn: int = 0
    skip_rows: int = 0
    structures: str | None = field(default=None, repr=False)
    published: str | None = field(default=None, repr=False)
    rows: str | None = field(default=None, repr=False)
    shown: Shown | None = None
    begin_lsn: int = 0
    begin_time_us: int = 0
    progress: Progress | None = field(default=None, repr=False)
    control: Mapping[str, Any] = field(default_factory=dict, repr=False, hash=False)

    def confirmable(self) -> int:
        """The LSN up to which the server may remove its log; 0 for none."""
        if self.snapshot:
            return 0
        return min(self.end_lsn, self.hold_lsn) if self.hold_lsn else self.end_lsn

    def offset(self) -> dict[str, Any]:
        out: dict[str, Any] = {"lsn": self.last_lsn or self.end_lsn}
        if self.snapshot:
            out |= {"snapshot": self.snapshot, "snapshot_completed": False, "last_snapshot_record": False}
            out |= self.progress.offset() if self.progress is not None else {}
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
        if self.skip_before_lsn:
            out |= {"skip_lsn": self.skip_before_lsn, "skip_rows": self.skip_rows}
        if self.hold_lsn:
            out["hold_lsn"] = self.hold_lsn
        if self.read_lsn:
            out["read_lsn"] = self.read_lsn
        if self.shown is not None:
            out |= self.shown.offset()
        elif self.begin_lsn:
            out["begin_lsn"] = self.begin_lsn
            if self.begin_time_us:
                out["begin_ts_usec"] = self.begin_time_us
        if self.system_id is not None:
            out |= {"system_id": self.system_id, "timeline": self.timeline}
        if self.structures:
            out["structures"] = self.structures
        if self.published is not None:
            out["published"] = self.published
        if self.rows is not None:
            out["rows"] = self.rows
        out |= self.control
        return out

    def on_server(self, system_id: str, timeline: int) -> PostgresPosition:
        return replace(self, system_id=system_id, timeline=timeline)

    def before_snapshot(self) -> PostgresPosition:
        """The position of a snapshot of which nothing was read yet, and whose stream goes on from here. A transaction
        that was delivered in part comes whole."""
        return PostgresPosition(
            end_lsn=self.end_lsn, last_lsn=self.end_lsn, hold_lsn=self.hold_lsn, read_lsn=self.read_lsn,
            system_id=self.system_id, timeline=self.timeline, structures=self.structures, published=self.published,
            rows=self.rows, snapshot="INITIAL", progress=Progress(), control=self.control)

    def partly_delivered(self) -> Shown | None:
        """The transaction of which a part was delivered, if the position identifies it."""
        if not self.xid or not self.time_us:
            return None
        if self.tx_lsn and self.tx_changes:
            return Shown(self.tx_lsn, 0, self.xid, self.time_us)
        return Shown(0, 0, self.xid, self.time_us) if self.skip_before_lsn else None

    def needed_lsn(self) -> int:
        """The LSN up to which a server must have the same log as the one that the position comes from."""
        return max(self._shown_lsn(), self.read_lsn)

    def _shown_lsn(self) -> int:
        if self.tx_lsn and self.partly_delivered() is not None:
            return self.tx_lsn + 1
        if self.shown is not None:
            return self.shown.end_lsn
        if self.begin_lsn:
            return self.begin_lsn if self.begin_time_us else 0
        after_message = self.end_lsn == self.last_lsn + 1  # earlier versions stored that, one byte too much
        return self.last_lsn if after_message else self.end_lsn

    @classmethod
    def from_offset(cls, offset: Mapping[str, Any]) -> PostgresPosition:
        """Reads an offset of ours or of Debezium's. Raises PositionLostError if it cannot."""
        try:
            return cls._from_offset(offset)
        except (TypeError, ValueError, KeyError) as exc:
            raise PositionLostError(
                "the stored offset cannot be read", keys=",".join(sorted(map(str, offset))),
                hint="It is damaged, or was not written by this service or Debezium's PostgreSQL connector; "
                     "reset the connector's offset to start with a new snapshot.") from exc

    @classmethod
    def _from_offset(cls, offset: Mapping[str, Any]) -> PostgresPosition:
        snapshot = str(offset.get("snapshot") or "").lower() not in ("", "false")
        last = whole(offset.get("lsn_proc") or offset["lsn"])
        end = whole(offset.get("lsn_commit") or last)
        ours = "system_id" in offset or "tx_lsn" in offset
        row = offset.get("messageType") in _ROWS
        mid_transaction = not ours and not snapshot and (last > end or row)
        completed = str(offset.get("snapshot_completed", "")).lower() == "true" or str(
            offset.get("last_snapshot_record", "")).lower() == "true"
        return cls(
            end_lsn=end, tx_lsn=whole(offset.get("tx_lsn", 0)), tx_changes=whole(offset.get("tx_changes", 0)),
            commit_lsn=whole(offset.get("commit_lsn", offset.get("lsn_commit") or 0)),
            hold_lsn=whole(offset.get("hold_lsn", 0)), last_lsn=last, read_lsn=whole(offset.get("read_lsn", 0)),
            xid=whole(offset.get("txId") or 0), time_us=whole(offset.get("ts_usec") or 0),
            snapshot="INITIAL" if snapshot and not completed else None,
            system_id=offset.get("system_id"),
            timeline=whole(offset["timeline"]) if offset.get("timeline") is not None else None,
            skip_before_lsn=last if mid_transaction else whole(offset.get("skip_lsn", 0)),
            skip_rows=max(1, whole(offset.get("lsn_events_processed") or 0)) if mid_transaction and row
            else whole(offset.get("skip_rows", 0)),
            structures=str(offset["structures"]) if offset.get("structures") else None,
            published=None if offset.get("published") is None else str(offset["published"]),
            rows=None if offset.get("rows") is None else str(offset["rows"]),
            shown=None if snapshot else Shown.from_offset(offset) or _shown_last(offset, end, last),
            begin_lsn=whole(offset.get("begin_lsn", 0)), begin_time_us=whole(offset.get("begin_ts_usec", 0)),
            progress=Progress.from_offset(offset) if snapshot else None, control=stored(offset))


def _shown_last(offset: Mapping[str, Any], end: int, last: int) -> Shown | None:
    """The same from an offset of Debezium or of a version that did not store it. It tells only while the last message
    read is a COMMIT that ends at the position: its time."""
    if offset.get("messageType") != "COMMIT" or not offset.get("ts_usec"):
        return None
    if last != end or not end or not offset.keys().isdisjoint(("tx_lsn", "begin_lsn", "commit_lsn")):
        return None
    return Shown(0, end, whole(offset.get("txId") or 0), whole(offset["ts_usec"]))
