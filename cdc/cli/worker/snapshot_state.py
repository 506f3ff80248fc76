"""One look at a snapshot of a worker."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from cdc.client.rest import Client

_SUCCEEDED: Final = ("SUCCEEDED", "EMPTY")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """As `SnapshotStatus`. Each of *tables* has `name`, `state`, `rows`, `estimated_rows`, `current_key` and
    `maximum_key`."""

    id: str
    state: str
    tables: Sequence[Mapping[str, Any]]

    @property
    def rows(self) -> int:
        """The rows of all tables."""
        return sum(each["rows"] for each in self.tables)

    @property
    def ended(self) -> bool:
        """Whether nothing more comes."""
        return self.state in ("completed", "stopped")

    @property
    def current(self) -> Mapping[str, Any] | None:
        """The table that is read, or comes next."""
        return next((each for each in self.tables if each["state"] == "running"), None) or next(
            (each for each in self.tables if each["state"] == "waiting"), None)


def snapshots(client: Client, name: str) -> list[dict[str, Any]]:
    """The snapshots of a connector, as the worker tells them. Raises StateError."""
    found: list[dict[str, Any]] = client.get("connectors", name, "snapshots")["snapshots"]
    return found


def find(client: Client, connector: str, id: str, tables: Sequence[str], *, seen: bool,
         others: Collection[str] = ()) -> Snapshot | None:
    """The snapshot *id*; without one, another that copies one of *tables*, because the worker does not copy a table
    twice at once. If *id* itself was *seen* and is gone now, it has ended, as its notifications say. *others*: those
    that may have taken the request with them and have ended since."""
    found = snapshots(client, connector)
    same = next((each for each in found if each["id"] == id), None)
    if same is None and not seen:
        same = next((each for each in found if _copies(each, tables)), None) or next(
            (each for each in found if each["id"] in others), None)
    if same is not None:
        return Snapshot(same["id"], same["state"], same["tables"])
    return next((ended for each in (id, *others) if (ended := _ended(client, connector, each)) is not None), None)


def copying(client: Client, connector: str, tables: Sequence[str]) -> list[str]:
    """The ids of the snapshots that have still to copy one of *tables*. Raises StateError."""
    return [each["id"] for each in snapshots(client, connector) if _copies(each, tables)]


def _copies(snapshot: Mapping[str, Any], tables: Sequence[str]) -> bool:
    return snapshot["state"] in ("running", "waiting", "paused") and any(
        table["name"] in tables and table["state"] in ("running", "waiting") for table in snapshot["tables"])


def _ended(client: Client, connector: str, id: str) -> Snapshot | None:
    """A snapshot that is over, as its notifications describe it; None if they do not."""
    told = [each for each in client.get("connectors", connector, "notifications")["notifications"] if each["id"] == id]
    if not any(each["type"] in ("COMPLETED", "ABORTED") for each in told):
        return None
    tables = []
    for each in told:
        data = each["additional_data"]
        if each["type"] == "TABLE_SCAN_COMPLETED":
            status = data.get("status", "")
            tables.append({"name": data.get("scanned_collection", ""), "estimated_rows": None, "current_key": None,
                           "maximum_key": None, "state": "done" if status in _SUCCEEDED else status,
                           "rows": int(data.get("total_rows_scanned") or 0)})
    stopped = any(each["type"] == "ABORTED" for each in told)
    return Snapshot(id, "stopped" if stopped else "completed", tables)
