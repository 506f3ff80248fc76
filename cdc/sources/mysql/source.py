"""The MySQL and MariaDB source: what the shared shell asks of them. A snapshot, then the binary log.

The replication connection belongs to the reader's thread (`transport.py`); questions to the server go over another one
(`lookup.py`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Generator, Iterable, Sequence
from dataclasses import replace
from typing import ClassVar, Final, cast

from cdc.core.control import SET_BINLOG_POSITION
from cdc.core.errors import SourceConnectionError, SourceError, SourceRefusedError
from cdc.core.position import Offset, Position
from cdc.core.record import Batch, Message, Record
from cdc.core.row import Row
from cdc.core.table import Column, TableId, TableSchema
from cdc.debezium.emit import Emitter
from cdc.debezium.filters import Filters
from cdc.debezium.naming import TopicNaming
from cdc.log import get_logger
from cdc.sources.mysql.ddl.structure import Structures, TableStructure
from cdc.sources.shared.added import tables_to_copy
from cdc.sources.shared.blocking import Rows, Wanted
from cdc.sources.shared.control import refusal
from cdc.sources.shared.parts import Reader, SnapshotReader
from cdc.sources.shared.selection import RangeCounts, SnapshotSelection, captured_tables
from cdc.sources.shared.source import LogSource
from cdc.sources.snapshot.incremental import IncrementalSnapshot
from cdc.sources.snapshot.initial import BATCH_BYTES, InitialSnapshot
from cdc.sources.snapshot.progress import Progress
from cdc.sources.snapshot.told import Told

from . import catalog, checks, connection, grants, proof, resume, schema_changes, server, snapshot, watched
from .builtin import is_builtin
from .cascades import CascadeWatch
from .changes import ChangeReader
from .chunk_marks import Marks, began, place_of
from .incremental import MySqlChunks, signal_table
from .kept_structures import Packed, stored_structures
from .key_order import KeyOrder
from .locks import LockWaits
from .lookup import Lookup
from .monitor import MySqlMonitor
from .native_rows import native_rows
from .native_text import native_text
from .options import MySqlConfig
from .position import MySqlPosition
from .reader_settings import ReaderSettings
from .readers import several_readers
from .roll import Roll
from .row_again import RowAgain
from .snapshot_plan import SnapshotPlan
from .source_block import SourceBlock
from .tables import TableBuilder
from .transport import HEARTBEAT_S, BinlogReader, DumpFrom, LogEndError
from .unlogged import Coverage
from .witness import Witness

log = get_logger(__name__)

_SILENCE_S: Final = 10.0
_DOUBT: Final = (
    "The server has purged this transaction, one of the last that were delivered, and its log goes on behind it. If the"
    " server was reset or put back from a copy since then, changes are missing.",
    "If you cannot rule that out, reset the connector's offset to start with a new snapshot. It ends with the next"
    " start.",
)


class MySqlSource(LogSource[MySqlPosition]):
    """One replication connection, one reader. Built for one run: after `stop` make a new one."""

    always_snapshots: ClassVar[bool] = True

    def __init__(self, config: MySqlConfig) -> None:
        """Raises ConfigError."""
        super().__init__(config, config.flavor.name)
        self.config = config
        self._naming = TopicNaming.from_config(config)
        self._filters = Filters.from_config(config, is_builtin)
        self._scope = schema_changes.Scope(
            self._filters, told=config.include_schema_changes, only_tables=config.store_only_captured_tables,
            only_databases=config.store_only_captured_databases)
        self._events = SourceBlock(self._naming, config.flavor.name)
        self._builder = TableBuilder(config, self._naming, self._filters, config.column_mappers,
                                     self._events.source_schema)
        self._schemas = schema_changes.make_schemas(config.flavor, self._naming.schema_name,
                                                    self._events.source_schema)
        self._emitter = Emitter(skipped=frozenset(config.skipped_operations), tombstones=config.tombstones_on_delete,
                                skip_unchanged=config.skip_messages_without_change)
        self.control = self._make_control(self._emitter, self._filters, self._events)
        self.control.actions[SET_BINLOG_POSITION] = refusal(
            "what the stream has read and what is kept of tables would not fit another place in the log",
            "Stop the connector, change its offset with PATCH /connectors/NAME/offsets, and resume it.")
        self._waits = LockWaits(self.warnings, config.database_query_timeout_ms / 1000)
        self._lookup = Lookup(config, self._filters, self._scope, self._waits)
        self._again = RowAgain(config, self._lookup, self._builder)
        self._plan = SnapshotPlan(config, self._lookup, self._filters, self._builder)
        self._packed = Packed(self._filters)
        self._structures = Structures()
        self._coverage = Coverage(self._filters, self.warnings, fail=config.cdc_unlogged_changes == "fail")
        self._cascades = CascadeWatch(self._filters.table, self.warnings)
        self._roll = Roll(self._filters, self.warnings)
        self._log_again = _LogAgain(self)
        self._changes: ChangeReader | None = None
        self.control.handler = self._make_incremental()
        self._prefers_native = False
        self._structures_version = 0
        self._watcher: MySqlMonitor | None = None
        self._rows_read_at: tuple[str, int, str | None, str | None] | None = None

    def _make_incremental(self) -> IncrementalSnapshot:
        chunks = self._chunks = MySqlChunks(
            self.config, self._lookup, self._builder, self._filters, self._events, changes=self._streaming,
            structures=lambda: self._structures,
            position=lambda: self._reached if isinstance(self._reached, MySqlPosition) else None,
            watch=self._watch_table)
        return self._incremental(chunks, self.config, marked=signal_table(self.config) is not None)

    def _streaming(self) -> ChangeReader:
        assert self._changes is not None
        return self._changes

    def _watch_table(self, id: TableId, watched: bool) -> None:
        """The changes of table *id* are read one by one from now on, or no longer."""
        changes = self._streaming()
        changes.tables.generation += 1  # so that C forgets how it read them
        tx = changes.stream.transaction
        for state in (*changes.tables.states.values(), *(tx.maps.values() if tx is not None else ())):
            if state.id == id:
                for target in filter(None, (state.target, state.inserted)):
                    target.watched = watched or self.control.watches(id)

    def prefer_native(self) -> None:
        self._prefers_native = self._chunks.native = True

    def reads(self, table: TableSchema) -> bool:
        return not self._filters.is_signal_table(table.id)

    def read_row(self, record: Record, columns: Sequence[Column], *, event_key: bool) -> Row | None:
        return self._again.read(record, columns, event_key=event_key)

    def confirm(self, position: Position) -> None:
        """The server keeps its binary logs as long as it is configured to; it does not wait for us."""
        super().confirm(position)
        if self._watcher is not None and isinstance(position, MySqlPosition):
            self._watcher.place = position.file, position.pos
            self._watcher.place_time_s = position.ts_sec

    # -- start ----------------------------------------------------------------------------------------------------

    def _stored_position(self, offset: Offset) -> MySqlPosition:
        return MySqlPosition.from_offset(offset)

    def _prepare(self, position: MySqlPosition | None) -> None:
        facts = self._lookup.read_facts()
        checks.check_server(self._lookup.connection(), facts, self.config, snapshot=position is None)
        watched.show_settings(self.warnings, facts, self.config, facts)
        self._coverage.check(self._lookup.connection(), facts)
        if facts.row_image != "FULL":
            self._builder.relax()

    def _read_again(self, position: MySqlPosition) -> MySqlPosition:
        """A transaction that was delivered in part comes whole."""
        return replace(position, event=0, row=0, transaction=None, snapshot="INITIAL", progress=Progress())

    def _check_log(self, begun: MySqlPosition) -> None:
        for place in filter(None, (begun, begun.read_at())):
            resume.check(self._lookup.connection(), self._lookup.facts, self.config, place)

    def _open_snapshot(self, begun: MySqlPosition | None) -> SnapshotReader:
        """Structures always, rows if the mode asks for them; both as of one point of the log."""
        config, facts = self.config, self._lookup.facts
        threads = config.snapshot_max_threads if self._copies_rows else 1
        selection = self._selection(config)
        done = set(begun.progress.names[:begun.progress.count]) if begun is not None and begun.progress else set()
        conns, point, found = self._plan.begin(
            locks=begun is None, helpers=threads - 1,
            copies=lambda id: self._copies_rows and selection.copies(id) and str(id) not in done)
        if point.locker is not None:
            log.info("locks_held", until="the snapshot ends")
        self._plan.check_lists(found)
        self._claim_topics(found.creates)
        self._structures = found.structures
        final = replace(begun, snapshot=None, progress=None, read=None) if begun else self._beginning(point.position)
        self._read_at(point.position if begun else None)
        tables = self._plan.tables(found, selection) if self._copies_rows else []
        progress = begun.progress if begun is not None else None
        if progress is not None:
            progress = progress.of_same(self._plan.identities())
            tables = progress.left(tables, str)
        grants.check_select(self._lookup.connection(), facts, self._plan.not_asked(tables))
        reads = self._plan.reads(found, selection)
        reads.check_conditions(self._lookup.connection(), tables)
        log.info("snapshot_started", tables=len(tables), file=final.file, pos=final.pos)
        messages: Sequence[Message] = ()
        if config.include_schema_changes and self._once is None and not (progress is not None and progress.begun()):
            messages = self._plan.messages(found, final, self._events, self._naming, self._schemas)
        return self._reading(
            conns, point, found, tables, reads, progress, final=final, place=final,
            during=lambda reached: replace(final, snapshot="INITIAL", progress=reached, read=self._rows_read_at),
            read_at=self._read_at if self._streams else None, messages=messages,
            told=self._telling([str(id) for id in tables], [str(id) for id in found.creates if self._filters.table(id)],
                               self._estimates(found, tables)))

    def _reading(self, conns: Sequence[connection.Connection], point: snapshot.Point, found: catalog.Catalog,
                 tables: Sequence[TableId], reads: snapshot.ReadPlan, progress: Progress | None, *,
                 final: MySqlPosition, place: MySqlPosition, during: Callable[[Progress], MySqlPosition],
                 read_at: Callable[[MySqlPosition], None] | None, told: Told, messages: Sequence[Message] = (),
                 gtid: str | None = None, apart: bool = False) -> InitialSnapshot[MySqlPosition]:
        """The snapshot of *tables*, read on *conns*. Source blocks have *place* and *gtid*. *apart*: as in
        `several_readers`."""
        config = self.config
        keys = KeyOrder(found.structures, found.creates, config, self._lookup.facts.row_image)
        fewest = RangeCounts.from_config(config).fewest

        def make(conn: connection.Connection) -> snapshot.TextReader:
            return snapshot.TextReader(
                conn, point.locker if conn is conns[0] else None, reads, self._events, place, self._waits, keys,
                native_text(conn) if self._prefers_native else None, check_same=self._plan.check_same_table,
                fewest=fewest, gtid=gtid, has_rows=self._plan.has_rows)

        made = [make(conn) for conn in conns]
        return InitialSnapshot(
            made[0], tables, final=final, during=during, max_records=config.max_batch_size, messages=messages,
            as_last=snapshot.as_last, native=made[0].native, progress=progress, identity=self._plan.identity,
            parts=lambda read: fewest(read.table.id),
            several=several_readers(self._plan, made, make, read_at, max_bytes=config.cdc_queue_bytes, apart=apart),
            told=told)

    def _estimates(self, found: catalog.Catalog, tables: Sequence[TableId]) -> dict[str, int]:
        """The server's estimates of the tables' rows, as far as it has them. Nothing depends on them."""
        try:
            known = found.row_estimates or catalog.row_estimates(self._lookup.connection(), tables)
        except SourceError as exc:
            log.info("rows_not_estimated", reason=exc.message)
            known = {}
        return {str(id): rows for id, rows in known.items()}

    def _open_blocking(self, wanted: Wanted[MySqlPosition]) -> Rows:
        """As of the present, once that shows all that the stream has told. A lock is taken only where nothing else
        tells what a transaction shows, or if it is wanted until the end."""
        config, facts = self.config, self._lookup.facts
        told = began(self._streaming().stream)
        with_place = facts.flavor.snapshot_has_position
        locks = config.snapshot_locking_mode == "extended" or (
            config.snapshot_locking_mode == "minimal" and not with_place and not facts.has_gtids)
        marks = Marks(signal_table=None, deletes=False)
        if (with_place or not locks) and not marks.wait_until_shown(
                self._lookup.connection(), facts, told, wanted.ended):
            raise SourceConnectionError("A transaction is in the log that others do not see yet.",
                                        hint="The snapshot waits for it.")
        conns, point, found = self._plan.begin(
            locks=locks, helpers=config.snapshot_max_threads - 1,
            copies=lambda id: wanted.request.chooses(str(id)))
        try:
            chosen = captured_tables(found.creates, self._filters)
            selection = SnapshotSelection.of_request(wanted.request, chosen, config)
            tables = chosen = selection.tables(chosen, found.row_estimates)
            progress = wanted.progress
            if progress is not None:
                progress = progress.of_same(self._plan.identities())
                tables = progress.left(tables, str)
            grants.check_select(self._lookup.connection(), facts, self._plan.not_asked(tables))
            self._read_at(self._end_of_log())  # or a little before it
            at = wanted.at
            log.info("blocking_snapshot_started", id=wanted.request.id, tables=len(tables), file=at.file, pos=at.pos)
            return self._reading(
                conns, point, found, tables, self._plan.reads(found, selection), progress,
                final=replace(at, read=self._rows_read_at), place=at,
                during=lambda reached: replace(wanted.during(reached), read=self._rows_read_at), read_at=self._read_at,
                gtid=at.last_gtid, apart=True, told=self._telling(
                    [*map(str, tables)], [*map(str, chosen)], self._estimates(found, tables), wanted.request))
        except BaseException:
            self._plan.close()
            raise

    def _end_of_log(self) -> MySqlPosition:
        conn = self._lookup.connection()
        position = snapshot.log_position(conn)
        if position.gtids is None and self._lookup.facts.flavor.finds_gtids_of_place:
            return replace(position, gtids=resume.gtids_at(conn, position.file, position.pos))
        return position

    def _cancel_blocking(self) -> None:
        self._plan.interrupt()

    def _blocking_closed(self) -> None:
        self._plan.close()

    def _read_at(self, position: MySqlPosition | None) -> None:
        """Rows are read as of *position*, which the stream has yet to reach."""
        self._rows_read_at = None if position is None else (
            position.file, position.pos, position.gtids, self._lookup.facts.server_uuid)

    def _beginning(self, position: MySqlPosition) -> MySqlPosition:
        """The position of a snapshot at *position*, with all that a restart needs to know of it."""
        facts = self._lookup.facts
        if facts.gtid_mode == "ON" and position.gtids is None:
            position = replace(position, gtids="")
        final = replace(position, server_uuid=facts.server_uuid, structures=self._packed.at(self._structures, 0),
                        log_created=proof.created_at(self._log_again, position.file) or 0 if self._streams else 0)
        return replace(final, witness=self._found(final.gtids) if self._streams else None)

    def _claim_topics(self, ids: Iterable[TableId]) -> None:
        """Raises ConfigError if two captured tables have the same topic, before rows of either are sent."""
        self._builder.columns.topics.claim_all((id, None) for id in ids if self._filters.table(id))

    def _check_snapshot(self, snapshot: Rows) -> None:
        if snapshot.table_count:
            self._plan.check_same_tables()

    def _open_reader(self, position: MySqlPosition | None, *, after_snapshot: bool) -> Reader:
        assert position is not None
        config, facts = self.config, self._lookup.facts
        if after_snapshot:
            resumption = resume.first(facts, position, resume.log_sizes(self._lookup.connection()))
        else:
            resumption = resume.check(self._lookup.connection(), facts, config, position)
            read_at = position.read_at()
            if read_at is not None:
                resume.check(self._lookup.connection(), facts, config, read_at)
                self._rows_read_at = position.read if read_at.server_uuid == facts.server_uuid else None
            stored = None if self._mode.recovers else stored_structures(position)
            self._structures = self._lookup.present_structures() if stored is None else stored
            if self._structures.as_of is None:  # else some of them may not have been there yet
                self._claim_topics(each.id for each in self._structures)
        position = resumption.position
        self._changes = self._make_changes(facts)
        reader = BinlogReader(
            self._lookup.connect(query_timeout=False), resumption.begin, server_id=config.database_server_id,
            flavor=config.flavor, queue_bytes=config.cdc_queue_bytes,
            heartbeat_s=min(HEARTBEAT_S, config.connect_keep_alive_interval_ms / 1000), annotate=config.include_query)
        self._reader = reader
        reader.start()  # before the proof: a log that is reset after this is not read on
        doubts = proof.prove(resumption.claim, self._log_again, self._lookup.connection(),
                             mariadb=facts.flavor.finds_gtids_of_place)
        self.warnings.show("position_not_proven", {each.gtid: _DOUBT for each in doubts})
        if position.witness is None:  # an offset of another program, or of an earlier version
            position = replace(position, witness=self._found(position.gtids))
        self._changes.resume(position, by_gtid=resumption.begin.gtids is not None, server_uuid=facts.server_uuid)
        self._cascades.changed(self._structures)
        self._watcher = MySqlMonitor(
            config, (position.file, position.pos), place_time_s=position.ts_sec, facts=facts, warnings=self.warnings,
            coverage=self._coverage, cascades=self._cascades, roll=self._roll)
        log.info("streaming_started", file=position.file, pos=position.pos, gtids=bool(resumption.begin.gtids))
        return reader

    def _found(self, gtids: str | None) -> Witness | None:
        """What the server shows of the last of *gtids*."""
        facts = self._lookup.facts
        parsed = facts.flavor.parse_gtids(gtids or "") if facts.has_gtids else None
        return proof.find(self._lookup.connection(), self._log_again, parsed) if parsed else None

    def _make_changes(self, facts: server.MySqlFacts) -> ChangeReader:
        config = self.config
        settings = ReaderSettings(
            config.flavor, catalog.dialect_of(facts), catalog.read_collations(self._lookup.connection(), facts),
            self._filters, self._scope, schemas=self._schemas if config.include_schema_changes else None,
            follows=resume.source_filter(config) if config.gtid_source_filter_dml_events else lambda source: True,
            transaction_metadata=config.provide_transaction_metadata, include_query=config.include_query,
            comments=config.keep_comments, on_inconsistency=config.inconsistent_schema_handling_mode,
            clock_us=lambda: time.time_ns() // 1000, warnings=self.warnings,
            changed_besides=lambda id: self._lookup.changed_besides(id, self._structures), watches=self.control.watches)
        made = ChangeReader(
            settings, emitter=self._emitter, block=self._events, builder=self._builder, structures=self._structures,
            reread=self._reread, xa_log=self._log_again)
        if self._prefers_native:
            made.native = native_rows(made)
        return made

    def _reread(self, ids: Collection[TableId], *, patient: bool = True) -> dict[TableId, TableStructure]:
        return self._lookup.reread(ids, self._structures, patient=patient)

    def _stream_silence_s(self) -> float:
        """The server waits long for us, but ends the stream at once if another client comes with our server id."""
        return _SILENCE_S

    def _open_monitor(self) -> MySqlMonitor:
        assert self._watcher is not None
        self._watcher.start()
        return self._watcher

    # -- stream ---------------------------------------------------------------------------------------------------

    def _take(self, reader: Reader, timeout: float) -> Sequence[bytes]:
        """What the reader has. When gtid_mode was changed meanwhile, the server may refuse: then the task connects
        again, by the present mode."""
        try:
            return super()._take(reader, timeout)
        except SourceRefusedError as exc:
            mode = self._lookup.gtid_mode()
            if mode == self._lookup.facts.gtid_mode:
                raise
            raise SourceConnectionError("gtid_mode was changed while the log was read.", gtid_mode=mode,
                                        reason=exc.message) from exc

    def _pending(self) -> bool:
        return self._changes is not None and self._changes.payload_open

    def _read_batch(self, frames: Sequence[bytes], first: int) -> tuple[int, Batch]:
        changes, limit = self._changes, self.config.max_batch_size
        assert changes is not None
        following, size = changes.run(cast(list[bytes], frames), first, limit, 2 * BATCH_BYTES)
        count, place = changes.ready(limit // 2)
        records = self.control.passed(self._emitter.take(count))
        native = None if changes.native is None else changes.native.batch(records)
        if changes.structures_version != self._structures_version:
            self._structures_version = changes.structures_version
            self._cascades.changed(self._structures)
        if self._roll.listed is not None:
            self._roll.compare(place.file, place.pos, self._structures)
        position = replace(place, structures=self._packed.at(self._structures, changes.structures_version),
                           read=None if self._rows_read_at is None else self._not_reached(place))
        return following, Batch(records if native is None else native, position, size,
                                changes.last_time_us if records else 0, self._emitter.take_counts(),
                                self._emitter.take_commits(changes.last_time_us), native=native)

    def _not_reached(self, place: MySqlPosition) -> tuple[str, int, str | None, str | None] | None:
        """Where a snapshot read rows, if the stream at *place* is not there yet."""
        read = self._rows_read_at
        if read is not None and place_of(place.file, place.pos) >= place_of(read[0], read[1]):
            self._rows_read_at = read = None
        return read

    def _tables_to_copy(self, lists: str) -> list[TableId]:
        found = tables_to_copy(self._chunks.captured(), lists, is_builtin, SnapshotSelection.from_config(self.config))
        self._roll.copied(found)
        return found

    def _heartbeat_record(self) -> Message:
        return self._events.heartbeat(time.time_ns() // 1_000_000)

    # -- end ------------------------------------------------------------------------------------------------------

    def _cancel(self) -> None:
        self._lookup.interrupt()
        self._again.interrupt()
        self._plan.interrupt()

    def _close(self) -> None:
        self._plan.close()
        self._again.close()
        self._lookup.close()

    def _numbers(self) -> dict[str, float]:
        found: dict[str, float] = {"cdc_events_filtered_total": self._emitter.filtered}
        if self._changes is not None:
            stream = self._changes.stream
            found |= {"cdc_transactions_total": stream.transactions, "cdc_transactions_large_total": stream.large_count,
                      "cdc_transactions_rolled_back_total": stream.rolled_back_count,
                      "cdc_gtid_mode": float(self._lookup.facts.has_gtids)}
        if self._watcher is not None:
            found["cdc_binlog_position_bytes"] = self._watcher.place[1]
            found |= self._runway()
        return found

    def _runway(self) -> dict[str, float]:
        """How long the server still keeps the log that we read now. By the time of the last change, so at least so
        long: the server counts from the end of a file."""
        keeps_s = self._lookup.facts.expire_s
        if not keeps_s or self._changes is None:
            return {}
        behind = self._watcher is not None and self._watcher.numbers.get("cdc_lag_bytes", 0) > 0
        last_us = self._changes.last_time_us if behind else 0
        return {"cdc_log_runway_seconds": max(0.0, keeps_s - max(0.0, time.time() - last_us / 1e6)) if last_us
                else float(keeps_s)}


class _LogAgain:
    """The server's log beside the stream, on connections of their own (`xa.Log`, `proof.Log`)."""

    def __init__(self, source: MySqlSource) -> None:
        self._source = source

    def files(self) -> list[str]:
        return [str(row[0]) for row in connection.query(self._source._lookup.connection(), "SHOW BINARY LOGS")]

    def read(self, file: str, position: int) -> Generator[bytes, None, None]:
        return self.read_from(DumpFrom(file, position))

    def read_from(self, begin: DumpFrom) -> Generator[bytes, None, None]:
        """Also the events that carry only a statement's text."""
        source = self._source
        reader = BinlogReader(
            source._lookup.connect(query_timeout=False), begin, server_id=0, flavor=source.config.flavor,
            queue_bytes=source.config.cdc_queue_bytes, annotate=True)
        try:
            reader.start()
            while not source._interrupted.is_set():
                yield from reader.take(1.0, BATCH_BYTES)
            raise SourceConnectionError("the connector is being stopped")
        except LogEndError:
            return
        finally:
            reader.stop()
