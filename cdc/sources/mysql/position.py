"""A position in a binlog: whole transactions, and how far into the next one.

The offset's keys are Debezium's: `file` and `pos` where the transaction starts that is being read (or the next one
will), `gtids` all that were executed before it, `event` how many of its events are behind us, `row` how many rows of
the event after those; `server_id`, `ts_sec`, `snapshot`. Ours beside them: `server_uuid`, `log_created` and
`transaction`, which tell servers, files of one name, and transactions apart, and `structures`, what the captured tables
looked like at the position (compressed, as `pack` makes it), so that a restart reads the log with the structures of its
place and not with those of now.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from cdc.core.errors import PositionLostError


@dataclass(frozen=True, slots=True)
class MySqlPosition:
    """All transactions before `file`:`pos` (with GTIDs: all of `gtids`) were delivered, and of the one that starts
    there the first `event` events and `row` rows of the next."""

    file: str
    pos: int
    gtids: str | None = None
    event: int = 0
    row: int = 0
    server_id: int = 0
    ts_sec: int = 0
    snapshot: str | None = None
    """`INITIAL` while the snapshot is not complete: nothing can be resumed from such a position."""
    server_uuid: str | None = None
    transaction: str | None = None
    """GTID of the transaction that `event` and `row` are in."""
    log_created: int = 0
    """When the server made `file`, in seconds since 1970, as the file itself says; 0 unknown."""
    structures: str | None = field(default=None, repr=False)

    def offset(self) -> dict[str, Any]:
        out: dict[str, Any] = {"file": self.file, "pos": self.pos}
        optional = {"gtids": self.gtids, "event": self.event, "row": self.row, "server_id": self.server_id,
                    "ts_sec": self.ts_sec, "snapshot": self.snapshot, "server_uuid": self.server_uuid,
                    "transaction": self.transaction, "log_created": self.log_created,
                    "structures": self.structures}
        out.update((key, value) for key, value in optional.items() if value)
        return out

    @classmethod
    def from_offset(cls, offset: Mapping[str, Any]) -> MySqlPosition:
        """Read ours or Debezium's. Raises PositionLostError on one that makes no sense."""
        try:
            snapshot = str(offset.get("snapshot") or "").upper()
            return cls(
                file=str(offset["file"]), pos=int(offset["pos"]), gtids=str(offset["gtids"]) if offset.get("gtids")
                else None, event=int(offset.get("event") or 0), row=int(offset.get("row") or 0),
                server_id=int(offset.get("server_id") or 0), ts_sec=int(offset.get("ts_sec") or 0),
                snapshot="INITIAL" if snapshot in ("INITIAL", "TRUE") else None,
                server_uuid=str(offset["server_uuid"]) if offset.get("server_uuid") else None,
                transaction=str(offset["transaction"]) if offset.get("transaction") else None,
                log_created=int(offset.get("log_created") or 0),
                structures=str(offset["structures"]) if offset.get("structures") else None)
        except (KeyError, TypeError, ValueError) as exc:
            raise PositionLostError(
                "The stored offset cannot be read.", keys=",".join(sorted(map(str, offset))),
                hint="It was not written by this service or by Debezium's MySQL or MariaDB connector; reset the "
                     "connector's offset to start with a new snapshot.") from exc


def file_number(file: str) -> int:
    """Of a binary log's name, for their order."""
    digits = file.rpartition(".")[2]
    return int(digits) if digits.isdigit() else 0


MAX_STRUCTURES_BYTES: Final = 256 << 20
"""More than any server's tables take; a stored text that claims more is damaged."""


def pack(text: str) -> str:
    """*text* as an offset can hold it: zlib, base64."""
    return base64.b64encode(zlib.compress(text.encode(), 6)).decode("ascii")


def unpack(packed: str) -> str:
    """What `pack` was given. Raises PositionLostError on anything else."""
    try:
        unpacker = zlib.decompressobj()
        data = unpacker.decompress(base64.b64decode(packed, validate=True), MAX_STRUCTURES_BYTES)
        if not unpacker.eof:
            raise ValueError("too large or cut")
        return data.decode()
    except (binascii.Error, zlib.error, ValueError) as exc:
        raise PositionLostError(
            "The table structures stored with the offset are damaged.",
            hint="Reset the connector's offset to start with a new snapshot.") from exc
