"""A source that copies once. Each table has ROWS rows, which come in two batches; `public.empty` has none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

from cdc.config.table import Note
from cdc.core.control import Notification, Signal, SnapshotStatus, TableCopy
from cdc.core.errors import SourceConnectionError
from cdc.core.preview import Look, Preview, TableNames
from cdc.core.record import Batch, Message
from cdc.core.table import TableId
from cdc.plugins import Plugin
from cdc.sources.snapshot.progress import Progress
from tests.unit.rest import file_source

ROWS = 1000
CAPTURED = ("public.Customers", "public.empty", "public.orders", "sales.orders")
OTHERS = ("public.audit",)
asked: list[dict[str, str | None]] = []
"""What each source was asked to copy: conditions by table."""
threads: list[str] = []
holds: list[str] = []
"""Of these tables, the second half does not come."""
breaks: list[str] = []
"""Of these tables, an error comes in place of the second half."""
reading: list[str] = []
"""Who reads the log."""


@dataclass(frozen=True, slots=True)
class At:
    progress: Progress | None

    def offset(self) -> dict[str, Any]:
        return {"at": 1, **(self.progress.offset() if self.progress is not None else {})}


class OnceSource(file_source.FileSource):
    def __init__(self, config: Any) -> None:
        super().__init__(config)
        threads.append(config.threads)
        self.tables: list[TableCopy] = []
        self.progress = Progress()

    def copy_once(self, tables: Mapping[TableId, str | None]) -> None:
        asked.append({str(id): condition for id, condition in tables.items()})
        self.tables = [TableCopy(str(id), "waiting", 0, 2 * ROWS) for id in tables]

    def copied(self, offset: Mapping[str, Any]) -> Sequence[str]:
        progress = Progress.from_offset(offset)
        return [] if progress is None else progress.names[:progress.count]

    def start(self, offset: Any) -> None:
        assert offset is None, "it has no offset, whatever a service has stored"

    def poll(self, timeout: float) -> Batch | None:
        place = next((place for place, each in enumerate(self.tables) if each.state != "done"), None)
        if place is None:
            return None
        table = self.tables[place]
        if table.rows and table.name in breaks:
            raise SourceConnectionError("The connection to the server is lost.")
        if table.rows and table.name in holds:
            return None
        count = 0 if "empty" in table.name else ROWS // 2
        whole = not count or table.rows + count == ROWS
        self.tables[place] = replace(table, state="done" if whole else "running", rows=table.rows + count)
        if whole:
            self.progress = self.progress.after_table(table.name)
        position = At(None if self.finished() else self.progress)
        return Batch([Message(f"f.{table.name}", None, None, None, None)] * count, position, count)

    def finished(self) -> bool:
        return all(each.state == "done" for each in self.tables)

    def state(self) -> str:
        return "snapshotting"

    def signal(self, signal: Signal) -> None:
        raise AssertionError("nobody has signals for it")

    def notifications(self) -> Sequence[Notification]:
        return ()

    def snapshots(self) -> Sequence[SnapshotStatus]:
        return (SnapshotStatus("", "initial", "completed" if self.finished() else "running", tuple(self.tables), 1),)


def parse(config: Mapping[str, str], *, strict: bool = False) -> tuple[Any, tuple[Note, ...]]:
    made, notes = file_source.parse(config)
    return SimpleNamespace(**vars(made), threads=config.get("snapshot.max.threads")), notes


def _ids(names: Sequence[str]) -> tuple[TableId, ...]:
    return tuple(TableId("shop", *name.split(".")) for name in names)


LOOK = Look(lambda config: Preview("Server 1", (), (), ()), lambda config: TableNames(
    _ids(CAPTURED), _ids(OTHERS), dict.fromkeys(_ids(("sales.orders",)), 2000), _ids(CAPTURED)),
    lambda config: reading[0] if reading else None)
_HERE = "tests.unit.cli.once_source"
_FILE = "tests.unit.rest.file_source"
PLUGIN = Plugin("connector", "org.example.OnceSourceConnector", f"{_HERE}:OnceSource", (), f"{_FILE}:read",
                f"{_HERE}:parse", f"{_FILE}:OPTIONS", look=f"{_HERE}:LOOK")
