"""The statements of the log: the bounds of transactions, XA, and changes of structures.

A statement that changes structures is carried out on ours (`ddl/`) when it comes, so that the rows after it are read
with the structure that they were written with.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Final

from cdc.core.errors import ProtocolError, SourceRefusedError
from cdc.core.record import Message
from cdc.core.table import TableId
from cdc.debezium.emit import EmittedTable
from cdc.log import get_logger
from cdc.sources.mysql.binlog.events import Query, XaPrepare
from cdc.sources.mysql.binlog.header import Header
from cdc.sources.mysql.ddl import statements as ddl
from cdc.sources.mysql.ddl.row_changes import RowChange
from cdc.sources.mysql.ddl.schema_change_text import SchemaChange
from cdc.sources.mysql.ddl.structure import Structures

from . import schema_changes, xa
from .position import file_number
from .reader_settings import ReaderSettings
from .row_warnings import TRUNCATE_HINT, RowWarnings
from .table_cache import TableCache
from .transaction import Stream, Transaction

log = get_logger(__name__)

_UNDECIDED: Final = ddl.Outcome("other")
_MAX_TOLD: Final = 100


class Ahead:
    """Structures that are newer than the place where the stream starts: they have the alterations up to their own
    place in the log already."""

    def __init__(self, file: str, pos: int, structures: Structures) -> None:
        self.place = (file_number(file), pos)
        self.structures = structures

    def has(self, file: str, pos: int) -> bool:
        """Whether the structures have the statement that ends at this place."""
        return (file_number(file), pos) <= self.place

    def kept(self, before: Structures, now: Structures, outcome: ddl.Outcome) -> ddl.Outcome:
        """The stored structures are newer than this statement: put them back, and return *outcome* with them instead
        of the statement's result."""
        changes = list(outcome.changes)
        for number, each in enumerate(changes):
            change = each.change
            later = self.structures.get(change.id) if change is not None and change.type == "ALTER" else None
            if change is not None and later is not None and before.get(change.id) in (None, later):
                now.put(later)
                changes[number] = replace(each, change=replace(change, structure=later))
        return replace(outcome, changes=tuple(changes))


class Statements:
    """Acts on the Query and XaPrepare events of one stream."""

    def __init__(self, settings: ReaderSettings, stream: Stream, tables: TableCache, xa_log: xa.Log) -> None:
        self._settings = settings
        self._stream = stream
        self._tables = tables
        self._structures = structures = tables.structures
        self._prepared = xa.Prepared(xa_log)
        self._ahead = Ahead(*structures.as_of, structures.copy()) if structures.as_of is not None else None
        self._told: set[TableId] = set()
        self._row_warnings = RowWarnings(settings.warnings)

    def query(self, header: Header, message: Query, start: int) -> None:
        """*start* is where the event begins in its file. Raises SourceRefusedError for a change of captured tables
        that was logged without its rows."""
        stream = self._stream
        text = self._settings.collations.statement(message.sql, message.client_collation)
        outcome = _UNDECIDED if message.undecided else self._apply(text, message, header)
        kind = outcome.kind
        if kind == "begin":
            stream.begin(header, start, message.thread_id)
            stream.counted()
        elif kind == "commit":
            stream.end()
        elif kind == "rollback":
            stream.rolled_back()
        elif kind == "dml":
            self._without_rows(message, outcome.targets, start)
            stream.counted()
        elif any(self._settings.filters.table(id) for id in outcome.filled):
            raise self._refused(message, outcome.filled, start)
        elif kind == "xa":
            self._xa(header, message, text, start)
        elif kind in ("savepoint", "other") and stream.transaction is not None:
            if kind == "savepoint":
                stream.savepoint(stream.transaction, text)
            stream.counted()
        else:
            self._statement(header, message, outcome, start)

    # -- changes without rows ------------------------------------------------------------------------------------

    def _without_rows(self, message: Query, ids: tuple[TableId, ...], start: int) -> None:
        """An INSERT, UPDATE or DELETE. *ids*: the tables that it changes, if it names them plainly."""
        if not ids or any(self._settings.filters.table(id) for id in ids):
            raise self._refused(message, ids, start)
        new = [id for id in ids if id not in self._told]
        if len(self._told) >= _MAX_TOLD:
            self._told.clear()
        for id in new:
            reason = self._settings.changed_besides(id)
            if reason is not None:
                raise self._refused(message, ids, start, reason)
            self._told.add(id)
            self._settings.warnings.put(
                "statement_passed_over", str(id),
                "a change of the table, which is not captured, was logged as a statement, at"
                f" {self._stream.file}:{start}: what it changed through triggers that we cannot see is missing",
                "Set binlog_format=ROW in all sessions.")

    def _refused(self, message: Query, ids: Collection[TableId], start: int, reason: str = "") -> SourceRefusedError:
        return SourceRefusedError(
            "A change was logged as a statement instead of rows.", database=message.database or None,
            tables=",".join(map(str, ids)) or None, file=self._stream.file, pos=start, reason=reason or None,
            hint="Set binlog_format=ROW on the server and in all sessions, and reset the connector's offset to "
                 "start with a new snapshot; or leave that table out, if its changes do not matter.")

    # -- XA ------------------------------------------------------------------------------------------------------

    def _xa(self, header: Header, message: Query, text: str, start: int) -> None:
        verb, xid = xa.read_statement(text) or ("", "")
        tx = self._stream.transaction
        if tx is None:
            tx = self._stream.begin(header, start, message.thread_id, held=verb in ("START", "BEGIN"))
        tx.event += 1
        if verb == "COMMIT":
            self._replay(header, xid, tx)
        elif verb == "ROLLBACK":
            self._prepared.discard(xid)
            self._stream.end()

    def xa_prepared(self, header: Header, message: XaPrepare) -> None:
        """The end of a group that is held."""
        stream, xid = self._stream, xa.xid_of(message)
        tx = stream.transaction
        if tx is None:
            raise ProtocolError("XA_PREPARE outside a transaction", file=stream.file)
        self._prepared.add(xid, tx.file, tx.pos, captured=tx.captured)
        if message.one_phase:
            self._replay(header, xid, tx)
        else:
            stream.executed(tx)
            stream.transaction = None

    def _replay(self, header: Header, xid: str, tx: Transaction) -> None:
        """Read the rows of *xid* again, as rows of *tx*."""
        stream = self._stream
        tx.held = False
        tx.event = 0
        if stream.payload is not None and stream.payload_header is not None:  # its events have no places of their own
            header = stream.payload_header
        stream.payload = self._prepared.rows(xid, stream.file, header.next_position - header.length)
        stream.payload_header, stream.replayed = header, xid

    def finish_replay(self) -> None:
        stream = self._stream
        assert stream.replayed is not None
        self._prepared.discard(stream.replayed)
        stream.replayed = None
        stream.end()

    # -- structures ----------------------------------------------------------------------------------------------

    def _apply(self, text: str, message: Query, header: Header) -> ddl.Outcome:
        """Carry out a statement on the structures."""
        dialect, structures = self._settings.dialect.under(message.sql_mode), self._structures
        if self._ahead is not None and not self._ahead.has(self._stream.file, header.next_position):
            self._ahead = structures.as_of = None
        number = message.server_collation
        server = self._settings.collations.get(number) if number is not None else None
        charset = server.charset if server is not None else None
        if self._ahead is None:
            return ddl.apply(text, message.database, structures, dialect, charset)
        before = structures.copy()
        return self._ahead.kept(before, structures, ddl.apply(
            text, message.database, structures, dialect, charset))

    def _statement(self, header: Header, message: Query, outcome: ddl.Outcome, start: int) -> None:
        """A statement outside of transactions (it is one by itself), or DDL inside one."""
        stream = self._stream
        tx = stream.transaction
        alone = tx is None
        if tx is None:
            tx = stream.begin(header, start, None, announced=self._settings.flavor.statement_begins_transaction)
        self._read_again(outcome)
        if outcome.kind == "ddl":
            self._tables.changed()
        for id in outcome.succeeded():
            self._structures.succeeded(id)
        for id in outcome.gone:
            self._tables.builder.forget(id)
        for id in outcome.truncated:
            self._truncated(tx, id, start)
        for change in outcome.unseen:
            self._unseen(change, start)
        self._tell(tx, outcome, header, start)
        if alone:
            stream.over(tx)

    def _read_again(self, outcome: ddl.Outcome) -> None:
        """Tables whose structure the statement alone does not tell. One that is locked now is read when its rows come.
        """
        self._tables.told.update(outcome.reread)
        wanted = [id for id in outcome.reread if self._settings.scope.table(id) and self._structures.get(id) is None]
        if wanted:
            log.info("table_read_again", tables=[str(id) for id in wanted], reason=outcome.reason)
            for structure in self._tables.reread(wanted, patient=False).values():
                self._structures.put(structure)

    def _truncated(self, tx: Transaction, id: TableId, start: int) -> None:
        if not self._settings.filters.table(id):
            return
        structure = self._structures.get(id) or self._tables.reread([id]).get(id)
        if structure is None or self._stream.emitter.skip_truncate:
            self._unseen(RowChange(id, "TRUNCATE TABLE", "lost"), start, TRUNCATE_HINT)
        if structure is None:
            return
        emitted = EmittedTable(self._tables.builder.build(structure), str(id), self._settings.watches(id))
        tx.time_us = whole_ms(tx.time_us)
        origin = self._stream.origin(tx, emitted, id, start, self._stream.last_row)
        if not self._settings.flavor.truncate_counts:
            origin.counters = None
        self._stream.emitter.truncate(emitted, origin)

    def _unseen(self, change: RowChange, start: int, hint: str = "") -> None:
        if self._settings.filters.table(change.id):
            self._row_warnings.tell(change, self._stream.file, start, hint)

    # -- schema changes ------------------------------------------------------------------------------------------

    def _tell(self, tx: Transaction, outcome: ddl.Outcome, header: Header, start: int) -> None:
        """The statement's records on the schema change topic."""
        schemas = self._settings.schemas
        if schemas is None:
            return
        changes = ddl.complete(outcome, self._structures)
        for change in self._settings.scope.told(changes):
            table = schema_changes.touched(change, changes)
            self._stream.emitter.records.append(self._schema_change(tx, schemas, change, table, header, start))

    def _schema_change(self, tx: Transaction, schemas: schema_changes.SchemaChangeSchemas, change: SchemaChange,
                       table: str | None, header: Header, start: int) -> Message:
        settings, block = self._settings, self._stream.block
        values = block.source_values(whole_ms(tx.time_us), database=change.database, table=table,
                                     server_id=header.server_id, gtid=tx.gtid, file=self._stream.file, pos=start,
                                     thread=tx.thread)
        return schema_changes.make_message(change, block.naming.schema_change_topic(), schemas, values,
                                           settings.clock_us() // 1000, flavor=settings.flavor,
                                           comments=settings.comments)


def whole_ms(time_us: int) -> int:
    """As Debezium has the time of a statement."""
    return time_us // 1000 * 1000
