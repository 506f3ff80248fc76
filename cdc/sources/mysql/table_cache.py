"""Table maps of the log, and what their rows are read with: structures, which may have to be read again."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final, Protocol

import cython  # noqa: F401

from cdc.core.errors import SourceRefusedError
from cdc.core.table import TableId
from cdc.debezium.emit import EmittedTable
from cdc.log import get_logger
from cdc.sources.mysql.binlog import const
from cdc.sources.mysql.binlog.events import TableMap
from cdc.sources.mysql.ddl.structure import Structures, TableStructure

from . import roll
from .reader_settings import ReaderSettings
from .row_versions import Period, period_of
from .structure_from_log import fits, from_log, typed_by_log
from .tables import TableBuilder
from .transaction import Stream

log = get_logger(__name__)

_MAX_STATE_COLUMNS = 100_000
"""Of all table maps that are kept: about 15 MB."""
_OLD_TEMPORAL: Final = frozenset((const.MYSQL_TYPE_TIMESTAMP, const.MYSQL_TYPE_DATETIME, const.MYSQL_TYPE_TIME))


class Reread(Protocol):
    """Reads tables from the server as they are now. If not *patient*, leaves out those that are locked."""

    def __call__(self, ids: Collection[TableId], *, patient: bool = True) -> dict[TableId, TableStructure]: ...


class MapState:
    """What the rows of one table map are read with.

    `target`: None for a table that is not captured.
    `inserted`: for inserted rows whose images lack columns.
    `period`: as `row_versions.period_of` gives it.
    `native`: what C needs to read its rows (`NativeRows.layout_of`), once that was needed; () if C cannot.
    """

    def __init__(self, table_map: TableMap, id: TableId, target: EmittedTable | None,
                 inserted: EmittedTable | None = None, period: Period | None = None) -> None:
        self.table_map = table_map
        self.id = id
        self.target = target
        self.inserted = inserted
        self.period = period
        self.native: Any = None

    def target_of(self, op: str) -> EmittedTable:
        """For rows without all their columns."""
        found = self.inserted if op == "c" else self.target
        assert found is not None
        return found


class TableCache:
    """Finds the structure for each table map, once.

    `version` grows whenever a structure changes, `generation` whenever states are forgotten.
    `told`: tables of which the log tells, but not their structure.
    """

    def __init__(self, settings: ReaderSettings, stream: Stream, builder: TableBuilder, structures: Structures,
                 reread: Reread) -> None:
        self.settings = settings
        self.stream = stream
        self.builder = builder
        self.structures = structures
        self.reread = reread
        self.states: dict[int, MapState] = {}
        self.columns = 0
        self.version = 0
        self.generation = 0
        self.told: set[TableId] = set()

    def state(self, message: TableMap) -> MapState:
        """For the rows that follow *message*. While a table does not change, *message* is always the same object."""
        state = self.states.get(id(message))  # the state keeps the message, so no other object gets its id
        if state is None:
            self.columns += len(message.types)
            if self.columns >= _MAX_STATE_COLUMNS:
                self._forget()
                self.columns = len(message.types)
            state = self.states[id(message)] = self.resolve(message)
        return state

    def changed(self) -> None:
        """A statement changed structures."""
        self._forget()
        self.version += 1

    def _forget(self) -> None:
        self.states.clear()
        self.generation += 1

    def relax(self, maps: dict[int, MapState], id: TableId) -> dict[int, MapState]:
        """*maps*, for row images that lack columns (binlog_row_image MINIMAL and NOBLOB). *id* is the first table that
        has such rows."""
        if self.builder.relaxed:
            return maps
        self.builder.relax()
        self._forget()
        log.warning("rows_without_all_columns", table=str(id), effect="fields are optional from now on, and "
                    "unknown values null or the placeholder", hint="Set binlog_row_image=FULL.")
        return {number: self.resolve(known.table_map) for number, known in maps.items()}

    def resolve(self, message: TableMap) -> MapState:
        id = TableId(message.database, "", message.table)
        if not self.settings.filters.table(id):
            return MapState(message, id, None)
        structure = self.structures.get(id)
        if structure is None or not self._fits(structure, message):
            structure = self._structure_again(id, message, structure)
        if structure is None or structure.sequence:
            return MapState(message, id, None)
        old = any(code in _OLD_TEMPORAL for code in message.types)
        watched = self.settings.watches(id)
        inserted = None
        if self.builder.relaxed:
            inserted = EmittedTable(self.builder.build(structure, old, inserted=True), str(id), watched)
        return MapState(message, id, EmittedTable(self.builder.build(structure, old), str(id), watched), inserted,
                        period_of(structure, self.settings.flavor))

    def _fits(self, structure: TableStructure, message: TableMap, *, strange: bool = False) -> bool:
        return fits(structure, message, self.settings.collations, self.settings.flavor, strange=strange)

    def _structure_again(self, id: TableId, message: TableMap, known: TableStructure | None) -> TableStructure | None:
        """A table whose structure is not known or does not fit its rows: as the server has it now, if that fits, else
        as the log describes it. None: its rows are to be left out.

        Where the log describes it, nobody's lock is waited for."""
        reason = "not known" if known is None else "does not fit the log"
        present = self.reread([id], patient=message.names is None).get(id)
        if present is not None and self._fits(present, message):
            log.info("table_read_again", tables=[str(id)], reason=reason)
            found = present
        elif message.names is not None:
            log.info("table_structure_from_log", table=str(id), reason=reason, columns=len(message.types))
            found = from_log(message, self.settings.collations, known, present)
        else:
            strange = next((each for each in (present, known)
                            if each is not None and self._fits(each, message, strange=True)), None)
            if strange is None:
                self._inconsistent(id, message)
                return None
            found = typed_by_log(strange, message)
        self.structures.put(found)
        self.version += 1
        if known is None and id not in self.told and self.structures.as_of is None and not found.sequence:
            self.settings.warnings.put(roll.KIND, str(id), roll.TEXT, roll.HINT)
        return found

    def _inconsistent(self, id: TableId, message: TableMap) -> None:
        """No known structure fits the rows. Raises SourceRefusedError, or logs, as
        `inconsistent.schema.handling.mode` says."""
        file, pos = self.stream.file, self.stream.pos
        if self.settings.on_inconsistency == "fail":
            raise SourceRefusedError(
                f"The rows of table {id} in the log have a structure that is not known.",
                file=file, pos=pos, columns=len(message.types),
                hint="The table was changed since, in a way that this log does not record. Set binlog_row_metadata=FULL"
                     " and take a new snapshot of the table; or leave such rows out with"
                     " inconsistent.schema.handling.mode=warn.")
        tell = log.warning if self.settings.on_inconsistency == "warn" else log.debug
        tell("rows_left_out", table=str(id), file=file, pos=pos, columns=len(message.types),
             reason="the table's structure is not known", hint="Take a new snapshot of the table.")
