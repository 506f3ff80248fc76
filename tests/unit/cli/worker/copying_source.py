"""A source that acts on signals about snapshots: each look at a snapshot that runs takes it one step further."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from cdc.core import control
from cdc.core.control import Notification, Signal, SnapshotStatus, TableCopy
from cdc.core.preview import Look, Preview, TableNames
from cdc.core.table import TableId
from cdc.plugins import Plugin
from tests.unit.rest import file_source

STEP = 500
ROWS = 1000
CAPTURED = ("public.orders", "public.Customers", "sales.orders", "public.bare")
OTHERS = ("public.audit",)
taken: list[Signal] = []
"""The signals that came, of all sources."""
held: list[bool] = []
"""While it is not empty, snapshots do not go on."""


class CopyingSource(file_source.FileSource):
    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.status: SnapshotStatus | None = None

    def signal(self, signal: Signal) -> None:
        taken.append(signal)
        if signal.type == control.EXECUTE_SNAPSHOT:
            tables = tuple(TableCopy(each.replace("(?-i:", "").strip(")"), "waiting", maximum_key=str(ROWS))
                           for each in signal.data["data-collections"])
            self.status = SnapshotStatus(signal.id, signal.data["type"], "running", tables, 1)
        elif self.status is not None:
            state = {control.PAUSE_SNAPSHOT: "paused", control.RESUME_SNAPSHOT: "running",
                     control.STOP_SNAPSHOT: "stopped"}[signal.type]
            self.status = replace(self.status, state=state)

    def notifications(self) -> Sequence[Notification]:
        return ()

    def snapshots(self) -> Sequence[SnapshotStatus]:
        if self.status is not None and self.status.state == "running" and not held:
            self.status = _further(self.status)
        return () if self.status is None else (self.status,)


def _further(status: SnapshotStatus) -> SnapshotStatus:
    tables = list(status.tables)
    place = next((place for place, each in enumerate(tables) if each.state in ("waiting", "running")), None)
    if place is None:
        return replace(status, state="completed")
    rows = tables[place].rows + STEP
    if "bare" in tables[place].name:
        tables[place] = replace(tables[place], state="NO_PRIMARY_KEY")
    elif rows > ROWS:
        tables[place] = replace(tables[place], state="done")
    else:
        tables[place] = replace(tables[place], state="running", rows=rows, current_key=str(rows))
    return replace(status, tables=tuple(tables))


def _ids(names: Sequence[str]) -> tuple[TableId, ...]:
    return tuple(TableId("shop", *name.split(".")) for name in names)


LOOK = Look(lambda config: Preview("Server 1", (), (), ()), lambda config: TableNames(
    _ids(CAPTURED), _ids(OTHERS), dict.fromkeys(_ids(("sales.orders",)), 2000)))
_HERE = "tests.unit.cli.worker.copying_source"
_FILE = "tests.unit.rest.file_source"
PLUGIN = Plugin("connector", "org.example.CopyingSourceConnector", f"{_HERE}:CopyingSource", (), f"{_FILE}:read",
                f"{_FILE}:parse", f"{_FILE}:OPTIONS", look=f"{_HERE}:LOOK")
