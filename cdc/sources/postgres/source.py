"""The PostgreSQL source: snapshot if asked for, then the stream, as batches that end at positions.

`start` settles what can be settled before the first byte: server, publication, slot, and whether the stored position
still fits them. `poll` then gives batches: first the snapshot's, then the stream's. The replication socket is the
reader thread's (`replication.py`); lookups, heartbeats and the watch on retained WAL use connections of their own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import psycopg

from cdc.codecs.mappers import mapper_rules
from cdc.core.errors import ConfigError, PositionLostError, SourceConnectionError, SourceRefusedError
from cdc.core.filters import Filters, NameFilter, table_names
from cdc.core.naming import TopicNaming
from cdc.core.position import Offset, Position
from cdc.core.record import Batch
from cdc.core.regex import compile_items
from cdc.core.schema import TableId, TableSchema
from cdc.log import get_logger

from . import publication, server
from .catalog import CatalogSnapshot, RelationCatalog, read_catalog
from .changes import Decoder, RelationState, Settings
from .events import CONNECTOR, Events
from .lsn import Lsn
from .monitor import PostgresMonitor
from .options import PostgresConfig
from .position import PostgresPosition
from .protocol import Relation
from .replication import ReplicationReader, start_command
from .snapshot import Snapshot, lock_tables, plan_chunks, relation_of, snapshot_connection
from .spill import Spill
from .tables import TableBuilder

log = get_logger(__name__)

BATCH_BYTES: Final = 1 << 20
_CANCEL_S: Final = 2.0
_KEEPALIVE: Final = ord("k")
_SNAPSHOT_MODES: Final = frozenset({"initial", "initial_only"})


class PostgresSource:
    """One slot, one reader. Built for one run: after `stop` make a new one."""

    def __init__(self, config: PostgresConfig, given: Mapping[str, str]) -> None:
        """*given* is the connector's configuration as submitted. Raises ConfigError."""
        self.config = config
        self._naming = TopicNaming.from_config(config, given)
        self._filters = Filters.from_config(config)
        self._events = Events(self._naming, config.database_dbname, config.binary_handling_mode, self._filters.prefix)
        self._builder = TableBuilder(config, self._naming, self._filters, mapper_rules(dict(given)),
                                     config.database_dbname, self._events.source_schema)
        self._spill = Spill(config.cdc_spool_directory)
        self._decoder = self._make_decoder()
        self._conn: psycopg.Connection[Any] | None = None
        self._reader: ReplicationReader | None = None
        self._snapshot: Snapshot | None = None
        self._slot_conn: psycopg.Connection[Any] | None = None
        self._monitor: PostgresMonitor | None = None
        self._facts: server.ServerFacts | None = None
        self._origin = PostgresPosition(end_lsn=0)
        self._frames: list[bytes] = []
        self._next_frame = 0
        self._next_heartbeat = 0.0
        self._finished = False
        self._interrupted = threading.Event()
        self._binary = False
        self._state = "snapshotting" if config.snapshot_mode in _SNAPSHOT_MODES else "streaming"
        self._snapshot_seconds = 0.0

    def _make_decoder(self) -> Decoder:
        config = self.config
        settings = Settings(
            skipped=frozenset(config.skipped_operations), tombstones=config.tombstones_on_delete,
            transaction_metadata=config.provide_transaction_metadata,
            skip_unchanged=config.skip_messages_without_change)
        return Decoder(settings, self._resolve, self._relax, self._events, self._spill,
                       lambda: time.time_ns() // 1000)

    # -- Source ---------------------------------------------------------------------------------------------------

    def partition(self) -> Mapping[str, Any]:
        return {"server": self.config.topic_prefix}

    def state(self) -> str:
        return self._state

    def context_headers(self, run_id: str) -> list[tuple[str, str]]:
        """`extended.headers.enabled`: what every change carries, in Debezium's order."""
        prefix = "__debezium.context."
        return [(f"{prefix}connectorLogicalName", self.config.topic_prefix), (f"{prefix}taskId", "0"),
                (f"{prefix}connectorName", CONNECTOR), (f"{prefix}runId", run_id)]

    def finished(self) -> bool:
        return self._finished

    def start(self, offset: Offset | None) -> None:
        config = self.config
        position = PostgresPosition.from_offset(offset) if offset else None
        if position is not None and position.snapshot:
            log.info("snapshot_starts_over", reason="the last one was not completed")
            position = None
        if position is not None and config.snapshot_mode == "initial_only":
            log.info("snapshot_skipped", reason="it was completed before")
            self._finished = True
            return
        wants_snapshot = position is None and config.snapshot_mode in _SNAPSHOT_MODES
        streams = config.snapshot_mode != "initial_only"
        conn = self._connection()
        if streams:
            self._prepare_server(conn)
        if wants_snapshot:
            self._begin_snapshot(streams)
        else:
            self._begin_stream(position)

    def poll(self, timeout: float) -> Batch | None:
        if self._finished:
            return None
        if self._snapshot is not None:
            return self._poll_snapshot(self._snapshot, timeout)
        return self._poll_stream(timeout)

    def confirm(self, position: Position) -> None:
        assert isinstance(position, PostgresPosition)
        lsn = position.confirmable()
        if lsn and self._reader is not None and self.config.lsn_flush_mode != "manual":
            self._reader.confirm(lsn)

    def interrupt(self) -> None:
        """Also ends what a server is asked before the stream: a new slot waits for every open transaction."""
        self._interrupted.set()
        for conn in (self._slot_conn, self._conn) if self._reader is None else ():
            if conn is not None and not conn.closed:
                try:
                    conn.cancel_safe(timeout=_CANCEL_S)
                except psycopg.Error as exc:
                    log.warning("cancel_failed", error=type(exc).__name__)

    def stop(self) -> None:
        if self._monitor is not None:
            self._monitor.stop()
        if self._reader is not None:
            self._reader.stop()
        if self._snapshot is not None:
            self._snapshot.close()
        for conn in (self._slot_conn, self._conn):
            if conn is not None:
                conn.close()
        self._spill.clear()
        orderly = self._interrupted.is_set()  # else it starts again shortly, and needs its slot
        if self.config.slot_drop_on_stop and self._reader is not None and orderly:
            with server.connect_replication(self.config) as conn:
                server.drop_slot(conn, self.config.slot_name)
        self._reader = None

    def metrics(self) -> Mapping[str, float]:
        reader, monitor, snapshot = self._reader, self._monitor, self._snapshot
        found: dict[str, float] = {
            "cdc_events_filtered_total": self._decoder.filtered,
            "cdc_transactions_total": self._decoder.transactions,
            "cdc_spilled_bytes": self._spill.size_bytes,
        }
        if reader is not None:
            found["cdc_commit_lsn"] = reader.confirmed
            found["cdc_lag_bytes"] = max(0, reader.server_wal_end - reader.confirmed)
            found["cdc_queue_bytes"] = reader.queued_bytes
        if monitor is not None:
            found.update(monitor.numbers)
        if snapshot is not None:
            found["cdc_snapshot_tables"] = snapshot.table_count
            found["cdc_snapshot_tables_remaining"] = snapshot.remaining
            found["cdc_snapshot_duration_seconds"] = time.time() - snapshot.started_at
        return found

    # -- start ----------------------------------------------------------------------------------------------------

    def _connection(self) -> psycopg.Connection[Any]:
        """The connection for lookups; opened again when it was lost."""
        if self._conn is None or self._conn.closed or self._conn.broken:
            self._conn = server.connect(self.config)
        return self._conn

    def _prepare_server(self, conn: psycopg.Connection[Any]) -> None:
        """All that a stream needs and that can be checked or made now."""
        config = self.config
        self._slot_conn = server.connect_replication(config)
        facts = self._facts = server.read_facts(self._slot_conn)
        slot = server.find_slot(conn, config.slot_name)
        server.check_server(conn, facts, new_slot=slot is None)
        if slot is not None:
            server.check_slot(slot, facts.database)
        tables = self._captured(conn)
        self._check_captured(tables)
        published = publication.ensure_publication(conn, config, self._filters, facts)
        if publication.set_replica_identities(conn, config.replica_identity_autoset_values, tables, facts):
            tables = self._captured(conn)
        publication.warn_of_missing_identities(tables, published)

    def _captured(self, conn: psycopg.Connection[Any]) -> list[RelationCatalog]:
        return self._chosen(read_catalog(conn))

    def _check_captured(self, tables: list[RelationCatalog]) -> None:
        """Raises ConfigError when the include lists match no table at all; warns of each entry that matches none."""
        config = self.config
        lists = "table.include.list" if config.table_include_list else "schema.include.list"
        if not tables and (config.table_include_list or config.schema_include_list):
            raise ConfigError(
                f"{lists} matches no table of database {config.database_dbname}.", option=lists,
                hint="Its entries are regular expressions for whole names, schema.table (or schema); check spelling, "
                     "case and the database, and create the tables first.")
        names = [f"{each.namespace}.{each.name}" for each in tables]
        for entry, pattern in zip(config.table_include_list or (), self._filters.tables.include):
            if not any(pattern.fullmatch(name) for name in names):
                log.warning("include_list_entry_matches_nothing", entry=entry)

    def _chosen(self, catalog: CatalogSnapshot) -> list[RelationCatalog]:
        """The captured tables, in Debezium's order: by the include list's regexes, then by name."""
        order = self._filters.tables.include
        found = []
        for relation in catalog.relations.values():
            id = TableId(self.config.database_dbname, relation.namespace, relation.name)
            if self._filters.table(id):
                rank = next((number for number, pattern in enumerate(order) if pattern.fullmatch(str(id))), len(order))
                found.append(((rank, relation.namespace, relation.name), relation))
        return [relation for _, relation in sorted(found, key=lambda item: item[0])]

    def _snapshot_tables(self, tables: list[RelationCatalog]) -> list[RelationCatalog]:
        """The captured ones, unless a list says which. A partitioned table and its leaves are tables like others, and
        are both read when both are captured, as Debezium does: the stream names either, as its publication says."""
        chosen = list(tables)
        wanted = self.config.snapshot_include_collection_list
        if wanted:
            name_filter = NameFilter(compile_items(tuple(wanted), "snapshot.include.collection.list"))
            chosen = [each for each in chosen if name_filter(
                *table_names(TableId(self.config.database_dbname, each.namespace, each.name)))]
        order = self.config.snapshot_tables_order_by_row_count
        if order in ("ascending", "descending"):
            chosen.sort(key=lambda each: each.row_estimate, reverse=order == "descending")
        return chosen

    def _begin_snapshot(self, streams: bool) -> None:
        config, facts = self.config, self._facts
        if config.snapshot_delay_ms:
            self._interrupted.wait(config.snapshot_delay_ms / 1000)
        if self._interrupted.is_set():
            raise SourceConnectionError("Stopped before the snapshot began.")
        point = self._consistent_point() if streams else None
        conn = snapshot_connection(config, point.snapshot if point else None)
        try:
            catalog = read_catalog(conn)
            chosen = self._chosen(catalog)
            if not streams:
                self._check_captured(chosen)
            lsn = int(point.consistent_point) if point else int(catalog.lsn)
            tables = self._snapshot_tables(chosen)
            if self._slot_conn is not None:
                self._slot_conn.close()  # the snapshot is imported; an idle walsender would only time out
                self._slot_conn = None
            chunks = plan_chunks(catalog, self._builder, tables, dict(config.snapshot_select_statement_overrides), conn)
            server.check_select(conn, {each.oid: chunk.names for each, chunk in zip(tables, chunks)})
            if config.snapshot_locking_mode == "shared":
                lock_tables(conn, tables, config.snapshot_lock_timeout_ms)
        except BaseException:
            conn.close()
            raise
        final = PostgresPosition(end_lsn=lsn, last_lsn=lsn, system_id=facts.system_id if facts else None,
                                 timeline=facts.timeline if facts else None)
        log.info("snapshot_started", tables=len(chunks), lsn=str(Lsn(lsn)))
        self._snapshot = Snapshot(conn, chunks, self._events, lsn=lsn, final=final, max_records=config.max_batch_size)
        self._state = "snapshotting"

    def _consistent_point(self) -> server.CreatedSlot:
        """Where snapshot and stream meet. A slot that exists already stays as it is: a temporary one beside it gives
        the point, and what the older slot has from before is dropped by the position."""
        config, conn = self.config, self._slot_conn
        assert conn is not None
        if server.find_slot(self._connection(), config.slot_name) is None:
            return server.create_slot(conn, config.slot_name, export_snapshot=True, failover=config.slot_failover,
                                      timeout_s=config.internal_create_slot_command_timeout)
        name = f"{config.slot_name[:40]}_snapshot_{conn.info.backend_pid}"
        return server.create_slot(conn, name, export_snapshot=True, temporary=True,
                                  timeout_s=config.internal_create_slot_command_timeout)

    def _poll_snapshot(self, snapshot: Snapshot, timeout: float) -> Batch | None:
        batch = snapshot.poll(timeout)
        if not snapshot.done:
            return batch
        snapshot.close()
        self._snapshot = None
        self._snapshot_seconds = time.time() - snapshot.started_at
        log.info("snapshot_completed", rows=snapshot.row_count, seconds=round(self._snapshot_seconds, 3))
        if self.config.snapshot_mode == "initial_only":
            self._finished = True
        else:
            if self.config.streaming_delay_ms:
                self._interrupted.wait(self.config.streaming_delay_ms / 1000)
            self._begin_stream(snapshot.final)
        assert batch is not None
        batch = replace(batch, commit_soon=True)
        if self.config.heartbeat_interval_ms:
            batch.records.append(self._events.heartbeat(time.time_ns() // 1_000_000))
        return batch

    def _begin_stream(self, position: PostgresPosition | None) -> None:
        config = self.config
        conn = self._connection()
        if self._slot_conn is None:
            self._slot_conn = server.connect_replication(config)
            self._facts = server.read_facts(self._slot_conn)
        facts = self._facts
        assert facts is not None
        slot = self._slot(conn, position)
        confirmed = int(slot.confirmed_flush_lsn or 0)
        position = PostgresPosition(end_lsn=confirmed) if position is None else self._fitting(position, confirmed)
        self._origin = position.on_server(facts.system_id, facts.timeline)
        self._decoder.resume(position.end_lsn, position.tx_lsn, position.tx_changes, position.commit_lsn,
                             position.xid if position.skip_before_lsn else 0, position.skip_before_lsn,
                             position.last_lsn)
        start_lsn = min(position.end_lsn, position.hold_lsn) if position.hold_lsn else position.end_lsn
        self._binary = self._reads_binary(conn)
        options = stream_options(facts.version, config, slot.two_phase, binary=self._binary)
        reader = ReplicationReader(
            self._slot_conn, start_command(config.slot_name, start_lsn, options), confirmed=start_lsn,
            queue_bytes=config.cdc_queue_bytes, status_interval_s=self._status_interval_s(conn))
        reader.start()
        self._slot_conn = None
        self._reader = reader
        self._builder.streaming = True
        self._state = "streaming"
        self._monitor = PostgresMonitor(config, self._events)
        self._monitor.start()
        self._next_heartbeat = time.monotonic() + config.heartbeat_interval_ms / 1000
        log.info("streaming_started", slot=config.slot_name, publication=config.publication_name,
                 lsn=str(Lsn(start_lsn)), protocol=options["proto_version"])

    def _slot(self, conn: psycopg.Connection[Any], position: PostgresPosition | None) -> server.Slot:
        """The slot to stream from; made when nothing was ever read from it."""
        config = self.config
        assert self._slot_conn is not None
        assert self._facts is not None
        slot = server.find_slot(conn, config.slot_name)
        if slot is None and position is not None:
            raise PositionLostError(
                f"Replication slot {config.slot_name} does not exist any more, so changes since the stored position "
                "may be gone.", slot=config.slot_name, lsn=str(Lsn(position.end_lsn)),
                hint="It was dropped, or the server was replaced. Reset the connector's offset to start with a new "
                     "snapshot.")
        if slot is None:
            server.create_slot(self._slot_conn, config.slot_name, failover=config.slot_failover,
                               timeout_s=config.internal_create_slot_command_timeout)
            slot = server.find_slot(conn, config.slot_name)
            assert slot is not None
        server.check_slot(slot, self._facts.database)
        return slot

    def _status_interval_s(self, conn: psycopg.Connection[Any]) -> float:
        """How often to report: as configured, and at least three times in wal_sender_timeout."""
        (timeout_ms,), = server.query(
            conn, "SELECT setting::int FROM pg_catalog.pg_settings WHERE name = 'wal_sender_timeout'")
        configured = self.config.status_update_interval_ms / 1000
        return min(configured, timeout_ms / 3000) if timeout_ms else configured

    def _fitting(self, position: PostgresPosition, confirmed: int) -> PostgresPosition:
        """*position*, if this server and its slot, confirmed up to *confirmed*, can continue from it. Raises
        PositionLostError."""
        facts, slot = self._facts, self.config.slot_name
        assert facts is not None
        if position.system_id is not None and position.system_id != facts.system_id:
            raise PositionLostError(
                "The stored position belongs to another PostgreSQL cluster.", stored_system_id=position.system_id,
                system_id=facts.system_id, slot=slot,
                hint="The connector points to a different or newly initialised server. Point it back, or reset its "
                     "offset to start with a new snapshot.")
        if position.timeline is not None and position.timeline != facts.timeline:
            self._check_timeline(position.timeline, position.end_lsn)
        if position.end_lsn > facts.flushed_lsn:
            raise PositionLostError(
                "The stored position is ahead of the server.", lsn=str(Lsn(position.end_lsn)),
                server_lsn=str(facts.flushed_lsn), slot=slot,
                hint="The server was restored from an older backup, or lost its newest WAL in a failover. Events were "
                     "delivered that the server does not know; reset the connector's offset to start with a new "
                     "snapshot.")
        if confirmed > position.end_lsn:
            if self.config.offset_mismatch_strategy not in ("trust_slot", "trust_greater_lsn"):
                raise PositionLostError(
                    "The slot is ahead of the stored position: changes in between are gone.", slot=slot,
                    lsn=str(Lsn(position.end_lsn)), slot_lsn=str(Lsn(confirmed)),
                    hint="The slot was dropped and created again, or read by somebody else. Reset the connector's "
                         "offset to start with a new snapshot, or accept the gap with "
                         "offset.mismatch.strategy=trust_slot.")
            log.warning("position_moved_to_slot", slot=slot, lsn=str(Lsn(position.end_lsn)),
                        slot_lsn=str(Lsn(confirmed)))
            return PostgresPosition(end_lsn=confirmed)
        return position

    def _check_timeline(self, timeline: int, lsn: int) -> None:
        """Whether the server's history left *timeline* no earlier than *lsn*. Raises PositionLostError."""
        facts = self._facts
        assert facts is not None
        assert self._slot_conn is not None
        left = dict(server.timeline_history(self._slot_conn, facts.timeline)).get(timeline)
        if left is None or lsn > left:
            raise PositionLostError(
                "The server's timeline does not continue the one of the stored position.", stored_timeline=timeline,
                timeline=facts.timeline, lsn=str(Lsn(lsn)), left_at=str(left) if left is not None else None,
                hint="A failover or point-in-time recovery branched off before our position. Reset the connector's "
                     "offset to start with a new snapshot.")
        log.info("timeline_changed", stored_timeline=timeline, timeline=facts.timeline, left_at=str(left))

    # -- stream ---------------------------------------------------------------------------------------------------

    def _poll_stream(self, timeout: float) -> Batch | None:
        reader, decoder = self._reader, self._decoder
        assert reader is not None, "not started"
        if self._next_frame >= len(self._frames) and decoder.replay is None:
            self._frames = reader.take(timeout, BATCH_BYTES)
            self._next_frame = 0
            if not self._frames and not self._heartbeat_due():
                return None
        size, asked = self._decode(self.config.max_batch_size)
        records = decoder.take()
        if self._heartbeat_due():
            records.append(self._heartbeat())
        return Batch(records, self._position(), size, decoder.last_time_us if records else 0, decoder.take_counts(),
                     commit_soon=asked)

    def _decode(self, limit: int) -> tuple[int, bool]:
        """Frames until *limit* records; how many bytes they were, and whether the server wants an answer."""
        decoder, frames = self._decoder, self._frames
        records = decoder.records
        size = 0
        asked = False
        number = self._next_frame
        count = len(frames)
        while len(records) < limit:
            if decoder.replay is not None:
                if size >= BATCH_BYTES:
                    break  # a transaction on disk may be of any size
                size += decoder.step()
                continue
            if number >= count:
                break
            frame = frames[number]
            number += 1
            size += len(frame)
            if frame[0] == _KEEPALIVE:
                decoder.idle(int.from_bytes(frame[1:9]))
                asked = asked or frame[17] == 1
            else:
                decoder.feed(frame)
        self._next_frame = number
        return size, asked

    def _position(self) -> PostgresPosition:
        decoder, origin = self._decoder, self._origin
        tx = decoder.transaction
        tx_lsn = tx_changes = 0
        last_lsn = decoder.last_lsn or origin.last_lsn
        if tx is not None and tx.skip_before_lsn > decoder.last_lsn:
            return origin  # nothing new so far
        if tx is not None and tx.final_lsn >= decoder.delivered_lsn:
            tx_lsn, tx_changes = tx.final_lsn, tx.changes
            if tx.changes < tx.skip and last_lsn <= tx.skip_until_lsn:
                tx_changes, last_lsn = tx.skip, decoder.tx_last_lsn
        elif decoder.tx_lsn and decoder.tx_lsn >= decoder.end_lsn:
            # The transaction of which a part was delivered before the restart is still to come.
            tx_lsn, tx_changes, last_lsn = decoder.tx_lsn, decoder.tx_changes, decoder.tx_last_lsn
        return PostgresPosition(
            end_lsn=decoder.end_lsn, tx_lsn=tx_lsn, tx_changes=tx_changes, commit_lsn=decoder.commit_lsn,
            hold_lsn=decoder.held_lsn(), last_lsn=last_lsn, last_kind=decoder.last_kind,
            xid=tx.xid if tx is not None else 0, time_us=decoder.last_time_us, system_id=origin.system_id,
            timeline=origin.timeline)

    def _resolve(self, relation: Relation) -> RelationState:
        """A Relation message: look the catalog up, once."""
        if not self._builder.captured(relation):
            return RelationState(relation, None)
        catalog = self._look_up(relation)
        table = self._builder.build(relation, catalog)
        if self._binary:
            self._check_binary(table)
        state = RelationState(relation, table)
        log.debug("relation_described", table=state.collection, columns=state.column_count)
        return state

    def _relax(self, state: RelationState, indexes: list[int]) -> RelationState:
        relation: Relation = state.relation
        names = [relation.columns[index].name for index in indexes]
        return RelationState(relation, self._builder.relax(relation.oid, names, self._look_up(relation)))

    def _look_up(self, relation: Relation) -> CatalogSnapshot:
        types = [column.type_oid for column in relation.columns]
        try:
            return read_catalog(self._connection(), [relation.oid], type_oids=types)
        except SourceConnectionError as exc:
            log.warning("lookup_repeated", error=exc.message)  # this connection is not the stream's
            if self._conn is not None:
                self._conn.close()
            return read_catalog(self._connection(), [relation.oid], type_oids=types)

    def _check_binary(self, table: TableSchema) -> None:
        names = text_only(table)
        if names:
            raise SourceRefusedError(
                f"Table {table.id} has columns whose type this service reads in text format only.",
                columns=", ".join(names), hint="Set cdc.binary=false.")

    def _reads_binary(self, conn: psycopg.Connection[Any]) -> bool:
        """`cdc.binary`, unless a captured table has a column that can only be read as text."""
        if not self.config.cdc_binary:
            return False
        catalog = read_catalog(conn)
        for each in self._chosen(catalog):
            names = text_only(self._builder.build(relation_of(each), catalog))
            if names:
                log.warning("binary_format_not_used", table=f"{each.namespace}.{each.name}", columns=names)
                return False
        return True

    def _heartbeat_due(self) -> bool:
        return self.config.heartbeat_interval_ms > 0 and time.monotonic() >= self._next_heartbeat

    def _heartbeat(self) -> Any:
        self._next_heartbeat = time.monotonic() + self.config.heartbeat_interval_ms / 1000
        if self._monitor is not None:
            self._monitor.wake()
        return self._events.heartbeat(time.time_ns() // 1_000_000)


def text_only(table: TableSchema) -> list[str]:
    """Captured columns of types that cannot be read in binary format."""
    return [column.name for column in (*table.columns, *table.key)
            if column.binary_codec is None or column.key_binary_codec is None]


def stream_options(version: int, config: PostgresConfig, two_phase: bool, *, binary: bool) -> dict[str, str]:
    """pgoutput's options for a server of *version* (150018), the newest protocol that what is asked for needs.

    PostgreSQL docs, "Logical Streaming Replication Parameters". `slot.stream.params` go over ours.
    """
    streaming = config.cdc_streaming if config.cdc_streaming != "off" else ""
    if streaming == "parallel" and version < 160000:
        streaming = "on"
    protocol = 4 if streaming == "parallel" else 3 if two_phase else 2 if streaming else 1
    quoted = '"' + config.publication_name.replace('"', '""') + '"'
    options = {"proto_version": str(protocol), "publication_names": quoted, "messages": "true"}
    if binary:
        options["binary"] = "true"
    if streaming:
        options["streaming"] = streaming
    if two_phase:
        options["two_phase"] = "on"
    options.update(config.slot_stream_params)
    return options
