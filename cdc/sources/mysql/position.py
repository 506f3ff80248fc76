"""A position in a binlog: whole transactions, and how far into the next one.

The offset's keys are Debezium's:
`file`, `pos`: where the current transaction starts, or where the next one will.
`gtids`: all transactions that were executed before it.
`event`, `row`: how many of its events, and how many rows of the next event, were delivered.
`server_id`, `ts_sec`, `snapshot`.

We add: `server_uuid`, `log_created` and `transaction`, which identify the server, the file (a new file can have the
same name) and the transaction; what `witness.py` describes; `snapshot_progress`, how far a snapshot is that is not
complete (`progress.py`); `read_file`, `read_pos`, `read_gtids` and `read_server_uuid`, where a later attempt of it, or
a snapshot that the stream made way for, read; and `structures`, the captured tables' structures at the position
(compressed, see `kept_structures.py`), so that a restart reads the log with the structures of that time, not with
today's. `signal_*`, `incremental_snapshot_*` and `blocking_snapshot` are of signals, and of the snapshots that they ask
for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Final

from cdc.core.dataclass import dataclass
from cdc.core.errors import PositionLostError
from cdc.core.position import whole
from cdc.sources.shared.control import stored
from cdc.sources.snapshot.progress import Progress

from .witness import Witness

STRUCTURES: Final = "structures"
_READ: Final = ("read_file", "read_pos", "read_gtids", "read_server_uuid")


@dataclass(frozen=True)
class MySqlPosition:
    """All transactions before `file`:`pos` (with GTIDs: all of `gtids`) were delivered; of the one that starts there,
    the first `event` events, and `row` rows of the next event."""

    file: str
    pos: int
    gtids: str | None = None
    event: int = 0
    row: int = 0
    server_id: int = 0
    ts_sec: int = 0
    snapshot: str | None = None
    """`INITIAL` while the snapshot is not complete; the stream cannot resume from such a position."""
    server_uuid: str | None = None
    transaction: str | None = None
    """GTID of the transaction that `event` and `row` belong to."""
    log_created: int = 0
    """When the server created `file`, in seconds since 1970, as the file says; 0 if unknown."""
    structures: Mapping[str, str] | None = field(default=None, repr=False)
    """The offset's values whose keys begin with `structures`."""
    progress: Progress | None = field(default=None, repr=False)
    """How far that snapshot is."""
    read: tuple[str, int, str | None, str | None] | None = None
    """The file, place and GTIDs as of which a snapshot's rows were read last, if the stream has yet to get there; the
    server's UUID."""
    witness: Witness | None = None
    """What shows that a log is the one that was read up to here."""
    control: Mapping[str, Any] = field(default_factory=dict, repr=False, hash=False)
    """The keys of signals and of the snapshots that they ask for (`Control.offset`)."""

    @property
    def of_debezium(self) -> bool:
        """Whether another program stored it: `event` counts as Debezium does, with the events that carry only a
        statement's text, and of MySQL's transactions `pos` is where BEGIN is."""
        return not (self.server_uuid or self.log_created or self.transaction)

    @property
    def last_gtid(self) -> str | None:
        """Of the transaction that was delivered last, in part or whole; None if that is not known."""
        return self.transaction or (self.witness.seen[0].gtid if self.witness is not None and self.witness.seen
                                    else None)

    def offset(self) -> dict[str, Any]:
        out: dict[str, Any] = {"file": self.file, "pos": self.pos}
        optional = {"gtids": self.gtids, "event": self.event, "row": self.row, "server_id": self.server_id,
                    "ts_sec": self.ts_sec, "snapshot": self.snapshot, "server_uuid": self.server_uuid,
                    "transaction": self.transaction, "log_created": self.log_created,
                    **(self.witness.offset() if self.witness is not None else {})}
        out.update((key, value) for key, value in optional.items() if value)
        out.update(self.structures or {})
        out.update(self.control)
        if self.snapshot and self.progress is not None:
            out.update(self.progress.offset())
        if self.read is not None:
            read = dict(zip(_READ, self.read, strict=True))
            out.update((key, value) for key, value in read.items() if value is not None)
        return out

    def read_at(self) -> MySqlPosition | None:
        """Where the log was when the snapshot's rows were read last, if that is not this position."""
        if self.read is None:
            return None
        file, pos, gtids, uuid = self.read
        return MySqlPosition(file, pos, gtids, server_uuid=uuid)

    @classmethod
    def from_offset(cls, offset: Mapping[str, Any]) -> MySqlPosition:
        """Read an offset, ours or Debezium's. Raises PositionLostError if it makes no sense."""
        try:
            snapshot = str(offset.get("snapshot") or "").upper()
            return cls(
                file=_name(offset["file"]), pos=whole(offset["pos"]), gtids=str(offset["gtids"]) if offset.get("gtids")
                else None, event=whole(offset.get("event") or 0), row=whole(offset.get("row") or 0),
                server_id=whole(offset.get("server_id") or 0), ts_sec=whole(offset.get("ts_sec") or 0),
                snapshot="INITIAL" if snapshot in ("INITIAL", "TRUE") else None,
                server_uuid=str(offset["server_uuid"]) if offset.get("server_uuid") else None,
                transaction=str(offset["transaction"]) if offset.get("transaction") else None,
                log_created=whole(offset.get("log_created") or 0),
                structures={key: str(value) for key, value in offset.items() if key.startswith(STRUCTURES)}
                if offset.get(STRUCTURES) else None,
                witness=Witness.from_offset(offset), progress=Progress.from_offset(offset) if snapshot else None,
                read=_read_from(offset), control=stored(offset))
        except (KeyError, TypeError, ValueError) as exc:
            raise PositionLostError(
                "The stored offset cannot be read.", keys=",".join(sorted(map(str, offset))),
                hint="It is damaged, or was not written by this service or Debezium's MySQL or MariaDB connector; "
                     "reset the connector's offset to start with a new snapshot.") from exc


def _read_from(offset: Mapping[str, Any]) -> tuple[str, int, str | None, str | None] | None:
    file, pos, gtids, uuid = (offset.get(key) for key in _READ)
    if not file:
        return None
    return _name(file), whole(pos), None if gtids is None else str(gtids), None if uuid is None else str(uuid)


def _name(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("not a file's name")
    return value


def file_number(file: str) -> int:
    """The number in a binary log's file name, which gives the order of files."""
    digits = file.rpartition(".")[2]
    return int(digits) if digits.isdigit() else 0
