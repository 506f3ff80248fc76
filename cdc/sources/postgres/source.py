"""The PostgreSQL source: what the shared shell asks of it. A snapshot, then the stream of one slot.

The replication socket belongs to the reader's thread (`replication.py`); look-ups (`lookup.py`), heartbeats and the
watch on retained WAL (`monitor.py`) use connections of their own.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final, cast

import psycopg
from psycopg.errors import Diagnostic

from cdc.core.errors import SourceConnectionError, SourceError
from cdc.core.position import Offset, Position
from cdc.core.record import Batch, Message, Record
from cdc.core.row import Row
from cdc.core.table import Column, TableId, TableSchema
from cdc.debezium.emit import Emitter
from cdc.debezium.filters import Filters
from cdc.debezium.naming import TopicNaming
from cdc.log import get_logger
from cdc.sources.shared.added import KEY as LISTS_KEY
from cdc.sources.shared.added import tables_to_copy
from cdc.sources.shared.blocking import Rows, Wanted
from cdc.sources.shared.parts import Reader, SnapshotReader
from cdc.sources.shared.selection import SnapshotSelection
from cdc.sources.shared.source import LogSource
from cdc.sources.snapshot.incremental import IncrementalSnapshot
from cdc.sources.snapshot.initial import BATCH_BYTES

from . import checks, chunk_marks, connection, publication, resume, server, slots
from .builtin import is_builtin
from .captured import captured_relations, check_captured, relations_to_copy
from .catalog import CatalogSnapshot, RelationCatalog, read_catalog, read_unlogged
from .changes import ChangeReader
from .incremental import PostgresChunks, signal_table
from .lookup import Lookup, can_be_binary
from .lsn import Lsn
from .monitor import PostgresMonitor, look_at_rows
from .native_changes import NativeChanges, native_changes
from .native_copy import native_rows
from .notices import publication_missing, tells_of_missing_publication
from .options import PostgresConfig
from .position import PostgresPosition
from .remembered import Remembered
from .replication import ReplicationReader, start_command, stream_options
from .resume import accepts_gaps
from .row_again import RowAgain
from .source_block import CONNECTOR, SourceBlock
from .spill import Spill
from .table_copies import TableCopies
from .tables import TableBuilder
from .unseen_rows import UnseenRows
from .waits import WaitWatch
from .watch import Watch

log = get_logger(__name__)

_SENDER_TIMEOUT_S: Final = 60.0
"""The default of wal_sender_timeout; used if the server has none, too."""


class PostgresSource(LogSource[PostgresPosition]):
    """One slot, one reader. Built for one run: after `stop` make a new one."""

    def __init__(self, config: PostgresConfig) -> None:
        """Raises ConfigError."""
        super().__init__(config, CONNECTOR)
        self.config = config
        self._naming = TopicNaming.from_config(config)
        self._filters = Filters.from_config(config, is_builtin)
        self._events = SourceBlock(self._naming, config.database_dbname, config.binary_handling_mode,
                                   self._filters.prefix)
        self._builder = TableBuilder(config, self._naming, self._filters, config.column_mappers,
                                     config.database_dbname, self._events.source_schema)
        self._spill = Spill(config.cdc_spool_directory)
        self._emitter = Emitter(
            skipped=frozenset(config.skipped_operations), tombstones=config.tombstones_on_delete,
            skip_unchanged=config.skip_messages_without_change, skip_halves=True,
            whole_keys=not config.cdc_debezium_faults)
        self.control = self._make_control(self._emitter, self._filters, self._events)
        self._lookup = Lookup(config, self._builder, self.control.watches)
        self._rows = UnseenRows(self.warnings)
        self._again = RowAgain(config, self._builder)
        self._changes = self._make_changes()
        self.control.handler = self._make_incremental()
        self._native: NativeChanges | None = None
        self._replication: ReplicationReader | None = None
        self._slot_conn: psycopg.Connection[Any] | None = None
        self._facts: server.ServerFacts | None = None
        self._sender_timeout_s = _SENDER_TIMEOUT_S
        self._watch = Watch(config, self._filters, self.warnings)
        self._resumes = False
        self._copies = TableCopies(config, self._events, self.warnings, self._telling, streams=self._streams)

    def _make_changes(self) -> ChangeReader:
        config = self.config
        return ChangeReader(
            emitter=self._emitter, resolve=self._lookup.resolve, relax=self._lookup.relax, relabel=self._lookup.relabel,
            name_type=self._lookup.name_type,
            truncated=self._rows.truncated if "t" in config.skipped_operations else None,
            events=self._events, spill=self._spill, transaction_metadata=config.provide_transaction_metadata,
            clock_us=lambda: time.time_ns() // 1000, null_keys=config.cdc_debezium_faults)

    def _make_incremental(self) -> IncrementalSnapshot:
        chunks = self._chunks = PostgresChunks(
            self.config, self._lookup, self._builder, self._filters, self._changes, self._events,
            position=lambda: self._reached.end_lsn if isinstance(self._reached, PostgresPosition) else 0,
            watch=self._watch_table)
        return self._incremental(chunks, self.config, marked=signal_table(self.config) is not None)

    def _watch_table(self, oid: int, watched: bool) -> None:
        """The changes of relation *oid* are read one by one from now on, or no longer."""
        for relations in (self._changes.relations.states, self._changes.relations.outer or {}):
            state = relations.get(oid)
            if state is not None and state.emitted is not None:
                state.emitted.watched = watched or self.control.watches(state.table.id)
        if self._native is not None:
            self._native.look_at(oid)

    def prefer_native(self) -> None:
        self._native = native_changes(self._changes, self.control.passed)
        self._chunks.native = self._native is not None
        self._copies.native = native_rows()

    def reads(self, table: TableSchema) -> bool:
        return not self._filters.is_signal_table(table.id)

    def read_row(self, record: Record, columns: Sequence[Column], *, event_key: bool) -> Row | None:
        return self._again.read(record, columns, event_key=event_key)

    def confirm(self, position: Position) -> None:
        assert isinstance(position, PostgresPosition)
        super().confirm(position)
        lsn = position.confirmable()
        if lsn and self._replication is not None and self.config.lsn_flush_mode != "manual":
            self._replication.confirm(lsn)

    # -- start ----------------------------------------------------------------------------------------------------

    def _stored_position(self, offset: Offset) -> PostgresPosition:
        position = PostgresPosition.from_offset(offset)
        shown = position.shown
        if shown is not None and not shown.lsn and self.config.cdc_streaming != "off":
            return replace(position, shown=None)  # it may have been empty: the server need not show it again
        return position

    def _prepare(self, position: PostgresPosition | None) -> None:
        """Check or create everything that a stream needs: server, slot, publication, replica identities."""
        conn = self._lookup.connection()
        self._resumes = position is not None
        self._builder.money_shift = 2 - server.money_digits(conn)
        if not self._streams:
            return
        config, stored = self.config, position or PostgresPosition(0)
        if self._slot_conn is not None:
            self._slot_conn.close()
        self._slot_conn = connection.connect_replication(config)
        facts = self._facts = server.read_facts(self._slot_conn)
        slot = slots.find_slot(conn, config.slot_name)
        checks.check_server(conn, facts, new_slot=slot is None)
        if slot is not None:
            checks.check_slot(slot, facts.database)
        catalog = read_catalog(conn)
        tables = self._captured(catalog)
        self._lookup.remembered = Remembered(stored.structures)
        self._lookup.learn(tables, catalog)
        check_captured(tables, read_unlogged(conn), config, self._filters)
        self._claim_topics(tables)
        self._watch.before_start(conn, stored.published, stored.control.get(LISTS_KEY), resumes=self._resumes,
                                 copies=bool(stored.snapshot))
        with WaitWatch(config, conn.info.backend_pid, config.publication_name, self.warnings):
            published = publication.ensure_publication(conn, config, self._filters, facts, catalog.relations.values())
            if publication.set_replica_identities(conn, config.replica_identity_autoset_values, tables, facts,
                                                  config.snapshot_lock_timeout_ms):
                tables = self._captured(read_catalog(conn))
        self._watch.after_start(conn, resumes=self._resumes)
        self._rows.resume(stored.rows)
        look_at_rows(conn, self._watch, self._rows)
        publication.warn_of_keys_not_logged(tables, published, self._filters, facts.database)

    def _captured(self, catalog: CatalogSnapshot) -> list[RelationCatalog]:
        return captured_relations(catalog, self._filters, self.config.database_dbname)

    def _claim_topics(self, tables: Iterable[RelationCatalog]) -> None:
        """Raises ConfigError if two of *tables* have the same topic, before rows of either are sent."""
        self._builder.columns.topics.claim_all(
            (TableId(self.config.database_dbname, each.namespace, each.name), each.oid) for each in tables)

    def _read_again(self, position: PostgresPosition) -> PostgresPosition:
        return position.before_snapshot()

    def _discard_lost(self) -> None:
        """A slot whose WAL the server has removed can only be dropped."""
        slot = slots.find_slot(self._lookup.connection(), self.config.slot_name)
        if slot is not None and slot.lost:
            log.warning("lost_slot_dropped", slot=slot.name, reason=slot.lost)
            with connection.connect_replication(self.config) as conn:
                slots.drop_slot(conn, slot.name)

    def _check_log(self, begun: PostgresPosition) -> None:
        replication, facts = self._slot_conn, self._facts
        assert replication is not None
        assert facts is not None
        slot = resume.slot_to_read(self._lookup.connection(), replication, self.config, facts, begun)
        resume.resume_at(begun, facts, slot, partial(server.timeline_history, replication), "no gap")

    def _open_snapshot(self, begun: PostgresPosition | None) -> SnapshotReader:
        config, facts = self.config, self._facts
        point = self._consistent_point() if self._streams and begun is None else None
        copies = self._copies
        conn = copies.connect(point.snapshot if point else None)
        try:
            catalog = read_catalog(conn)
            captured = self._captured(catalog)
            if not self._streams:
                check_captured(captured, read_unlogged(conn), config, self._filters)
            self._claim_topics(captured)
            lsn = begun.end_lsn if begun else int(point.consistent_point) if point else int(catalog.lsn)
            selection = self._selection(config)
            tables = relations_to_copy(captured, selection, config.database_dbname)
            progress = begun.progress if begun is not None else None
            if progress is not None:
                progress, tables = copies.left(progress, captured, tables)
            if self._slot_conn is not None:
                self._slot_conn.close()  # the snapshot is imported; an idle walsender would only time out
                self._slot_conn = None
            plan = copies.plan(conn, catalog, self._builder, tables, selection)
            taken_us = begun.begin_time_us if begun else server.time_us(conn)
            read_lsn = server.durable_lsn(conn) if begun else 0
        except BaseException:
            conn.close()
            raise
        self._lookup.learn(captured, catalog)
        final = PostgresPosition(
            end_lsn=lsn, last_lsn=lsn, begin_lsn=begun.begin_lsn if begun else lsn, begin_time_us=taken_us,
            read_lsn=read_lsn, hold_lsn=begun.hold_lsn if begun else 0,
            system_id=facts.system_id if facts else None, timeline=facts.timeline if facts else None,
            **self._remembered())
        log.info("snapshot_started", tables=len(tables), lsn=str(Lsn(lsn)))
        return copies.reading(conn, plan, lsn, captured, final, lambda reached: replace(
            final, snapshot="INITIAL", progress=reached), progress)

    def _open_blocking(self, wanted: Wanted[PostgresPosition]) -> Rows:
        """As of the present, once that shows all that the stream has told."""
        config, copies, progress = self.config, self._copies, wanted.progress
        left = chunk_marks.wait_until_seen(self._lookup.connection(), wanted.ended)
        if left:
            raise SourceConnectionError(
                "With synchronous standbys, a transaction may be in the log before it is visible, so the snapshot"
                " waits for the end of those that were open.", transactions=len(left))
        conn = copies.connect(None)
        try:
            catalog = read_catalog(conn)
            captured = self._captured(catalog)
            selection = SnapshotSelection.of_request(wanted.request, map(copies.id, captured), config)
            tables = chosen = relations_to_copy(captured, selection, config.database_dbname)
            if progress is not None:
                progress, tables = copies.left(progress, captured, tables)
            plan = copies.plan(conn, catalog, self._builder.for_snapshots(), tables, selection)
            self._keep_read(wanted, server.durable_lsn(conn))
        except BaseException:
            conn.close()
            raise
        lsn = wanted.at.last_lsn or wanted.at.end_lsn
        log.info("blocking_snapshot_started", id=wanted.request.id, tables=len(tables), lsn=str(Lsn(lsn)))
        return copies.reading(conn, plan, lsn, chosen, wanted.at, wanted.during, progress, wanted.request)

    def _keep_read(self, wanted: Wanted[PostgresPosition], lsn: int) -> None:
        """Rows as of *lsn* go out, which the stream has yet to reach: a server without that part of the log will not
        do."""
        stream = self._changes.stream
        lsn = max(lsn, stream.resumed.read_lsn)
        stream.resumed = replace(stream.resumed, read_lsn=lsn)
        wanted.at = replace(wanted.at, read_lsn=lsn)

    def _cancel_blocking(self) -> None:
        self._copies.interrupt()

    def _blocking_closed(self) -> None:
        self._copies.stop_watch()

    def _check_snapshot(self, snapshot: Rows) -> None:
        self._copies.stop_watch()

    def _consistent_point(self) -> slots.CreatedSlot:
        """The place where snapshot and stream meet.

        A slot that exists already stays as it is: a temporary slot beside it gives the place, and the position drops
        what the older slot still has from before.
        """
        config, conn = self.config, self._slot_conn
        assert conn is not None
        made = slots.find_slot(self._lookup.connection(), config.slot_name) is None
        name = config.slot_name if made else f"{config.slot_name[:40]}_snapshot_{conn.info.backend_pid}"
        with WaitWatch(config, conn.info.backend_pid, name, self.warnings):
            return slots.create_slot(conn, name, export_snapshot=True, temporary=not made,
                                     failover=made and config.slot_failover,
                                     timeout_s=config.internal_create_slot_command_timeout)

    def _open_reader(self, position: PostgresPosition | None, *, after_snapshot: bool) -> Reader:
        config = self.config
        conn = self._lookup.connection()
        if self._slot_conn is None:
            self._slot_conn = connection.connect_replication(config)
            self._facts = server.read_facts(self._slot_conn)
        facts = self._facts
        assert facts is not None
        with WaitWatch(config, self._slot_conn.info.backend_pid, config.slot_name, self.warnings):
            slot = resume.slot_to_read(conn, self._slot_conn, config, facts, position)
        history = partial(server.timeline_history, self._slot_conn)
        position = resume.resume_at(position, facts, slot, history, config.offset_mismatch_strategy)
        confirmed = int(slot.confirmed_flush_lsn or 0)
        start_lsn = resume.first_lsn_to_ask(position, confirmed)
        if after_snapshot and not slot.two_phase:
            start_lsn = position.end_lsn  # the rest, which an older slot still has, would only be dropped
        due = resume.witness_of(position, confirmed)
        self._changes.resume(resume.held(position, confirmed), due)
        if config.cdc_binary:
            catalog = read_catalog(conn)
            self._lookup.binary = can_be_binary(catalog, self._captured(catalog), self._builder)
        options = stream_options(facts.version, config, slot.two_phase, binary=self._lookup.binary)
        if options.get("origin") == "none":
            self.warnings.put(
                "replicated_changes_left_out", config.slot_name,
                "slot.stream.params asks for origin=none: what a subscription writes has no events.",
                "Take origin out of slot.stream.params, if it should have.")
        connection.send_unchecked(self._slot_conn)
        reader = ReplicationReader(
            self._slot_conn, start_command(config.slot_name, start_lsn, options), confirmed=confirmed,
            queue_bytes=config.cdc_queue_bytes, status_interval_s=self._status_interval_s(conn), judge=self._judge,
            native=self._native is not None)
        reader.start()
        self._slot_conn = None
        self._replication = reader
        self._builder.streaming = True
        log.info("streaming_started", slot=config.slot_name, publication=config.publication_name,
                 lsn=str(Lsn(start_lsn)), expected=str(due.expected) if due is not None else None,
                 protocol=options["proto_version"])
        return reader

    def _judge(self, told: Diagnostic) -> SourceError | None:
        """What to end the stream with after an error or a warning of the server; None leaves it as it is."""
        if not tells_of_missing_publication(told):
            return None
        config = self.config
        error = publication_missing(config.publication_name, config.slot_name, sqlstate=told.sqlstate)
        if told.severity_nonlocalized == "WARNING" and accepts_gaps(config):
            self.warnings.put("publication_missing", config.publication_name, error.message,
                              "Changes that were committed meanwhile are not in the topics.")
            return None
        return error

    def _status_interval_s(self, conn: psycopg.Connection[Any]) -> float:
        """How often to report: as configured, and at least three times in wal_sender_timeout."""
        (timeout_ms,), = connection.query(
            conn, "SELECT setting::int FROM pg_catalog.pg_settings WHERE name = 'wal_sender_timeout'")
        configured = self.config.status_update_interval_ms / 1000
        if timeout_ms:
            self._sender_timeout_s = timeout_ms / 1000
        return min(configured, timeout_ms / 3000) if timeout_ms else configured

    def _stream_silence_s(self) -> float:
        """The last report may be as old as a third of wal_sender_timeout when a pause begins."""
        return max(1.0, self._sender_timeout_s / 2)

    def _open_monitor(self) -> PostgresMonitor:
        monitor = PostgresMonitor(self.config, self._events, self._watch, self._rows, self.warnings)
        monitor.start()
        return monitor

    # -- stream ---------------------------------------------------------------------------------------------------

    def _pending(self) -> bool:
        return self._changes.replay is not None

    def _read_batch(self, frames: Sequence[bytes], first: int) -> tuple[int, Batch]:
        changes = self._changes
        native: Any = None
        if self._native is not None:
            following, size, native = self._native.run(frames, first, self.config.max_batch_size, BATCH_BYTES)
            records = native
        else:
            following, size = changes.run(cast(list[bytes], frames), first, self.config.max_batch_size, BATCH_BYTES)
            records = self.control.passed(changes.emitter.take())
        position = replace(changes.position(), **self._remembered())
        last_time_us = changes.stream.last_time_us
        return following, Batch(records, position, size, last_time_us if records else 0,
                                changes.emitter.take_counts(), changes.emitter.take_commits(last_time_us),
                                commit_soon=changes.answer_wanted, native=native)

    def _remembered(self) -> dict[str, Any]:
        """What the offset remembers besides the place in the log: the fields of the position."""
        return {"structures": self._lookup.remembered.text(), "published": self._watch.text, "rows": self._rows.text}

    def _tables_to_copy(self, lists: str) -> list[TableId]:
        return tables_to_copy(self._chunks.captured(), lists, is_builtin, SnapshotSelection.from_config(self.config))

    def _heartbeat_record(self) -> Message:
        return self._events.heartbeat(time.time_ns() // 1_000_000)

    # -- end ------------------------------------------------------------------------------------------------------

    def _cancel(self) -> None:
        """A new slot waits for every open transaction. Once the stream runs only a row that is read again may wait."""
        self._again.interrupt()
        for conn in (self._slot_conn, self._lookup.conn) if self._replication is None else ():
            connection.interrupt(conn)

    def _close(self) -> None:
        self._copies.stop_watch()
        if self._slot_conn is not None:
            self._slot_conn.close()
        self._lookup.close()
        self._again.close()
        self._spill.clear()
        orderly = self._interrupted.is_set()  # else it starts again shortly, and needs its slot
        if self.config.slot_drop_on_stop and self._replication is not None and orderly:
            with connection.connect_replication(self.config) as conn:
                slots.drop_slot(conn, self.config.slot_name)
        self._replication = None

    def _numbers(self) -> dict[str, float]:
        found: dict[str, float] = {
            "cdc_events_filtered_total": self._changes.emitter.filtered,
            "cdc_transactions_total": self._changes.stream.transactions,
            "cdc_spilled_bytes": self._spill.size_bytes,
        }
        reader = self._replication
        if reader is not None:
            found["cdc_commit_lsn"] = reader.confirmed
            found["cdc_lag_bytes"] = max(0, reader.server_wal_end - reader.confirmed)
        return found
