"""The MySQL and MariaDB source: snapshot if asked for, then the binary log, as batches that end at positions.

`start` settles what can be settled before the first event: the server, whether the stored position still fits it, the
structures of the captured tables. `poll` then gives batches: first the snapshot's, then the log's. The replication
connection is the reader thread's (`transport.py`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Generator, Mapping
from dataclasses import replace
from typing import Any, Final

from cdc.codecs.mappers import mapper_rules
from cdc.core.errors import PositionLostError, SourceConnectionError, SourceRefusedError
from cdc.core.filters import Filters, NameFilter, table_names
from cdc.core.naming import TopicNaming
from cdc.core.position import Offset, Position
from cdc.core.record import Batch, Message
from cdc.core.regex import compile_items
from cdc.core.schema import TableId
from cdc.log import get_logger
from cdc.sources.emit import Emitter

from . import catalog, resume, schema_changes, server, snapshot
from .changes import Decoder
from .events import Events
from .monitor import MySqlMonitor
from .options import MySqlConfig
from .position import MySqlPosition, pack, unpack
from .structure import Structures, TableStructure, dump, load
from .tables import TableBuilder
from .transport import HEARTBEAT_S, BinlogReader, DumpFrom, LogEndError

log = get_logger(__name__)

BATCH_BYTES: Final = 1 << 20
IDLE_S: Final = 30.0
"""A connection that was idle for longer is not used again: something between may have dropped it."""
_SNAPSHOT_ATTEMPTS: Final = 10
_SNAPSHOT_MODES: Final = frozenset({"initial", "initial_only"})


class MySqlSource:
    """One replication connection, one reader. Built for one run: after `stop` make a new one."""

    def __init__(self, config: MySqlConfig, given: Mapping[str, str]) -> None:
        """*given* is the connector's configuration as submitted. Raises ConfigError."""
        self.config = config
        self._interrupted = threading.Event()
        self._mariadb = config.flavor == "mariadb"
        self._naming = TopicNaming.from_config(config, given)
        self._filters = Filters.from_config(config)
        self._scope = schema_changes.Scope(
            self._filters, told=config.include_schema_changes, only_tables=config.store_only_captured_tables,
            only_databases=config.store_only_captured_databases)
        self._events = Events(self._naming, config.flavor)
        self._builder = TableBuilder(config, self._naming, self._filters, mapper_rules(dict(given)),
                                     self._events.source_schema)
        self._schemas = schema_changes.make_schemas(config.flavor, self._naming.schema_name,
                                                    self._events.source_schema)
        self._emitter = Emitter(skipped=frozenset(config.skipped_operations), tombstones=config.tombstones_on_delete,
                                skip_unchanged=config.skip_messages_without_change)
        self._decoder: Decoder | None = None
        self._facts: server.MySqlFacts | None = None
        self._conn: server.Connection | None = None
        self._looked_up_at = 0.0
        self._copying: server.Connection | None = None
        self._made_at: dict[TableId, Any] = {}
        self._reader: BinlogReader | None = None
        self._monitor: MySqlMonitor | None = None
        self._snapshot: snapshot.Snapshot | None = None
        self._structures = Structures()
        self._frames: list[bytes] = []
        self._next_frame = 0
        self._next_heartbeat = 0.0
        self._finished = False
        self._packed: tuple[int, str] | None = None
        self._server_uuid: str | None = None
        self._state = "snapshotting"

    # -- Source ---------------------------------------------------------------------------------------------------

    def partition(self) -> Mapping[str, Any]:
        return {"server": self.config.topic_prefix}

    def state(self) -> str:
        return self._state

    def finished(self) -> bool:
        return self._finished

    def context_headers(self, run_id: str) -> list[tuple[str, str]]:
        """`extended.headers.enabled`: what every change carries, in Debezium's order."""
        prefix = "__debezium.context."
        return [(f"{prefix}connectorLogicalName", self.config.topic_prefix), (f"{prefix}taskId", "0"),
                (f"{prefix}connectorName", self.config.flavor), (f"{prefix}runId", run_id)]

    def start(self, offset: Offset | None) -> None:
        config = self.config
        position = MySqlPosition.from_offset(offset) if offset else None
        if position is not None and position.snapshot:
            log.info("snapshot_starts_over", reason="the last one was not completed")
            position = None
        if position is not None and config.snapshot_mode == "initial_only":
            log.info("snapshot_skipped", reason="it was completed before")
            self._finished = True
            return
        conn = self._connection()
        self._facts = server.read_facts(conn)
        self._server_uuid = self._facts.server_uuid
        rows_wanted = position is None and config.snapshot_mode in _SNAPSHOT_MODES
        server.check_server(conn, self._facts, config, snapshot=position is None)
        if self._facts.row_image != "FULL":
            self._builder.relax()
        if position is None:
            self._begin_snapshot(rows_wanted)
        else:
            resumption = resume.check(conn, self._facts, config, position)
            stored = self._stored_structures(position)
            self._structures = self._present_structures() if stored is None else stored
            self._begin_stream(resumption)

    def poll(self, timeout: float) -> Batch | None:
        if self._finished:
            return None
        if self._snapshot is not None:
            return self._poll_snapshot(self._snapshot)
        return self._poll_stream(timeout)

    def confirm(self, position: Position) -> None:
        """A binary log is kept for as long as its server is told to; nobody waits for us."""
        if self._monitor is not None and isinstance(position, MySqlPosition):
            self._monitor.place = position.file, position.pos

    def interrupt(self) -> None:
        self._interrupted.set()
        for conn in (self._conn, self._copying):
            if conn is not None:
                server.interrupt(conn)

    def stop(self) -> None:
        if self._monitor is not None:
            self._monitor.stop()
        if self._reader is not None:
            self._reader.stop()
        if self._snapshot is not None:
            self._snapshot.close()
        if self._conn is not None:
            server.close(self._conn)

    def metrics(self) -> Mapping[str, float]:
        reader, decoder, copying = self._reader, self._decoder, self._snapshot
        found: dict[str, float] = {"cdc_events_filtered_total": self._emitter.filtered}
        if decoder is not None:
            found["cdc_transactions_total"] = decoder.transactions
        if reader is not None:
            found["cdc_queue_bytes"] = reader.queued_bytes
        if self._monitor is not None:
            found.update(self._monitor.numbers)
        if copying is not None:
            found["cdc_snapshot_tables"] = copying.table_count
            found["cdc_snapshot_tables_remaining"] = copying.remaining
            found["cdc_snapshot_duration_seconds"] = time.time() - copying.started_at
        return found

    # -- start ----------------------------------------------------------------------------------------------------

    def _connection(self) -> server.Connection:
        """The connection for lookups; opened again when it was lost, or was idle during a long snapshot or stream."""
        if self._conn is not None and time.monotonic() - self._looked_up_at > IDLE_S:
            server.close(self._conn)
        if self._conn is None or not self._conn.open:
            self._conn = server.connect(self.config)
        self._looked_up_at = time.monotonic()
        return self._conn

    def _begin_snapshot(self, rows_wanted: bool) -> None:
        """Structures always, rows if wanted; both as of one point of the log."""
        config, facts = self.config, self._facts
        assert facts is not None
        if config.snapshot_delay_ms:
            self._interrupted.wait(config.snapshot_delay_ms / 1000)
        conn, point, found = self._snapshot_point(facts)
        if point.locker is not None:
            log.info("locks_held", until="the snapshot ends")
        self._check_lists(found, facts)
        self._structures = found.structures
        position = point.position
        if facts.gtid_mode == "ON" and position.gtids is None:
            position = replace(position, gtids="")
        final = replace(position, server_uuid=self._server_uuid, structures=self._kept(0))
        chunks = self._chunks(found) if rows_wanted else []
        server.check_select(self._connection(), facts, [chunk.table.id for chunk in chunks])
        log.info("snapshot_started", tables=len(chunks), file=position.file, pos=position.pos)
        messages = self._snapshot_messages(found, final) if config.include_schema_changes else []
        self._snapshot = snapshot.Snapshot(
            conn, point.locker, messages, chunks, self._events, final=final, during=replace(final, snapshot="INITIAL"),
            max_records=config.max_batch_size)

    def _snapshot_point(self, facts: server.MySqlFacts) -> tuple[server.Connection, snapshot.Point, catalog.Catalog]:
        """A connection whose transaction is open, the log's point that it sees, and the structures as of there: read
        before and after, so that no lock is held for it, and anew when they differ."""
        config = self.config
        for _ in range(_SNAPSHOT_ATTEMPTS):
            before = self._read_catalog(self._connection(), facts)
            self._made_at = catalog.creation_times(self._connection(), before.creates.__contains__)
            self._copying = conn = server.connect(config, query_timeout=False)
            point: snapshot.Point | None = None
            try:
                point = snapshot.begin(
                    conn, mariadb=self._mariadb, locking_mode=config.snapshot_locking_mode,
                    lock_timeout_ms=config.snapshot_lock_timeout_ms,
                    tables=[id for id in before.creates if self._filters.table(id)],
                    connect=lambda: server.connect(config, query_timeout=False))
                found = self._read_catalog(conn, facts)
                if list(found.structures) == list(before.structures):
                    return conn, point, found
            except BaseException:
                _close(conn, point)
                raise
            _close(conn, point)
            log.info("snapshot_begins_again", reason="a table's structure was changed meanwhile")
        raise SourceConnectionError("Structures of tables keep changing, so the snapshot does not come to its begin.")

    def _read_catalog(self, conn: server.Connection, facts: server.MySqlFacts) -> catalog.Catalog:
        return catalog.read_catalog(conn, facts, self._scope.table, self._filters.table)

    def _check_lists(self, found: catalog.Catalog, facts: server.MySqlFacts) -> None:
        """Say which items of the include lists match nothing; tables may be made later, so the stream goes on. Raises
        SourceRefusedError when the user cannot see any."""
        captured = [str(id) for id in found.creates if self._filters.table(id)]
        if not captured:
            server.check_sees_tables(self._connection(), facts)
            log.warning("no_table_captured", hint="Check the include and exclude lists, and the user's SELECT grants.")
        names = {"database.include.list": [each.name for each in found.databases],
                 "table.include.list": captured}
        for option, filter_ in (("database.include.list", self._filters.databases),
                                ("table.include.list", self._filters.tables)):
            for item in filter_.include:
                if not any(item.fullmatch(name) for name in names[option]):
                    log.warning("include_matches_nothing", option=option, item=item.pattern,
                                reason="there is no such name yet, or the user may not see it")

    def _snapshot_messages(self, found: catalog.Catalog, position: MySqlPosition) -> list[Message]:
        """As if everything captured was made anew."""
        facts = self._facts
        assert facts is not None
        names = {id.catalog for id in found.creates}
        databases = [each for each in found.databases if each.name in names]
        tables = [(structure, found.creates[structure.id]) for structure in found.structures
                  if structure.id in found.creates]
        changes = schema_changes.snapshot_changes(facts.charset, facts.collation, databases, tables)
        messages = []
        for change in changes:
            now_us = time.time_ns() // 1000
            table = change.change.id.table if change.change is not None else None
            values = self._events.source_values(now_us, database=change.database, table=table, file=position.file,
                                                pos=position.pos, snapshot="true")
            messages.append(schema_changes.make_message(
                change, self._naming.schema_change_topic(), self._schemas, values, now_us // 1000,
                flavor=self.config.flavor, comments=self.config.keep_comments))
        return messages

    def _chunks(self, found: catalog.Catalog) -> list[snapshot.Chunk]:
        config = self.config
        ids = [id for id in found.creates if self._filters.table(id)]
        order = self._filters.tables.include
        ids.sort(key=lambda id: (next((number for number, each in enumerate(order) if each.fullmatch(str(id))),
                                      len(order)), id.catalog, id.table))
        if config.snapshot_include_collection_list:
            wanted = NameFilter(compile_items(tuple(config.snapshot_include_collection_list),
                                              "snapshot.include.collection.list"))
            ids = [id for id in ids if wanted(*table_names(id))]
        by_size = config.snapshot_tables_order_by_row_count
        if by_size in ("ascending", "descending"):
            ids.sort(key=lambda id: found.row_estimates.get(id, -1), reverse=by_size == "descending")
        overrides = dict(config.snapshot_select_statement_overrides)
        return [self._chunk(found.structures.get(id), overrides.get(str(id))) for id in ids]

    def _chunk(self, structure: TableStructure | None, override: str | None) -> snapshot.Chunk:
        assert structure is not None
        table = self._builder.build(structure)
        needed = {column.index for column in (*table.columns, *table.key)} or {0}  # a SELECT list is never empty
        selects = self._builder.selects(structure)
        indexes = tuple(index for index in range(len(structure.columns)) if index in needed)
        names = [snapshot.quoted(structure.columns[index].name) for index in indexes]
        fields = ", ".join(selects[index].format(name) for index, name in zip(indexes, names, strict=True))
        place = f"{snapshot.quoted(structure.id.catalog)}.{snapshot.quoted(structure.id.table)}"
        inner = f"({override.strip().rstrip(';')}) AS q" if override else place
        return snapshot.Chunk(table, f"SELECT {fields} FROM {inner}", indexes, len(structure.columns), bool(override))

    def _begin_stream(self, resumption: resume.Resumption) -> None:
        config, facts, position = self.config, self._facts, resumption.position
        assert facts is not None
        if config.streaming_delay_ms:
            self._interrupted.wait(config.streaming_delay_ms / 1000)
        self._decoder = decoder = Decoder(
            emitter=self._emitter, events=self._events, builder=self._builder, filters=self._filters, scope=self._scope,
            structures=self._structures, reread=self._reread, xa_log=_LogAgain(self),
            follows=resume.source_filter(config) if config.gtid_source_filter_dml_events else lambda source: True,
            schemas=self._schemas if config.include_schema_changes else None,
            transaction_metadata=config.provide_transaction_metadata, include_query=config.include_query,
            comments=config.keep_comments, mariadb=self._mariadb,
            dialect=catalog.dialect_of(facts), collations=catalog.read_collations(self._connection(), facts),
            on_inconsistency=config.inconsistent_schema_handling_mode, clock_us=lambda: time.time_ns() // 1000)
        decoder.resume(position, by_gtid=resumption.begin.gtids is not None)
        self._reader = BinlogReader(
            server.connect(config, query_timeout=False), resumption.begin, server_id=config.database_server_id,
            mariadb=self._mariadb, queue_bytes=config.cdc_queue_bytes,
            heartbeat_s=min(HEARTBEAT_S, config.connect_keep_alive_interval_ms / 1000), annotate=config.include_query)
        self._reader.start()
        self._monitor = MySqlMonitor(config, (position.file, position.pos))
        self._monitor.start()
        self._state = "streaming"
        self._next_heartbeat = time.monotonic() + config.heartbeat_interval_ms / 1000
        log.info("streaming_started", file=position.file, pos=position.pos, gtids=bool(resumption.begin.gtids))

    def _stored_structures(self, position: MySqlPosition) -> Structures | None:
        """Those that were kept with *position*; None for an offset of another program."""
        if position.structures is None:
            return None
        try:
            return load(unpack(position.structures))
        except ValueError as exc:
            raise PositionLostError("The table structures stored with the offset cannot be read.", reason=str(exc),
                                    hint="Reset the connector's offset to start with a new snapshot.") from exc

    def _present_structures(self) -> Structures:
        """Those of now, for an offset that has none."""
        conn, facts = self._connection(), self._facts
        assert facts is not None
        file, pos = server.log_status(conn)[:2]
        found = self._read_catalog(conn, facts).structures
        log.info("structures_as_of_now", tables=len(found), file=file, pos=pos, reason="the offset has none")
        return replace(found, as_of=(str(file), int(pos)))

    def _kept(self, version: int) -> str:
        """The structures as the offset keeps them, packed once for each *version*: of the captured tables, and of those
        beside them that statements in the log made, for they may get the name of a captured one."""
        if self._packed is None or self._packed[0] != version:
            kept = [table for table in self._structures
                    if self._filters.table(table.id) or self._filters.databases(table.id.catalog)]
            self._packed = (version, pack(dump(self._structures, kept)))
        return self._packed[1]

    def _reread(self, ids: Collection[TableId]) -> dict[TableId, TableStructure]:
        """Tables as they are now."""
        facts = self._facts
        assert facts is not None
        found: dict[TableId, TableStructure] = {}
        for id in ids:
            read = catalog.read_table(self._connection(), facts, id, self._structures, needed=self._filters.table(id))
            if read is not None:
                found[id] = read[0]
        return found

    # -- batches --------------------------------------------------------------------------------------------------

    def _poll_snapshot(self, copying: snapshot.Snapshot) -> Batch:
        batch = copying.poll()
        if not copying.done:
            return batch
        if copying.table_count:
            self._check_same_tables()
        copying.close()
        self._snapshot = self._copying = None
        self._made_at = {}
        log.info("snapshot_completed", rows=copying.row_count, seconds=round(time.time() - copying.started_at, 3))
        if self.config.snapshot_mode == "initial_only":
            self._finished = True
        else:
            assert self._facts is not None
            self._begin_stream(resume.first(self._facts, copying.final))
        if self.config.heartbeat_interval_ms:
            batch.records.append(self._heartbeat())
        return replace(batch, commit_soon=True)

    def _check_same_tables(self) -> None:
        """While the snapshot's transaction holds their names: whether no table was swapped for another one before it
        was read, as online schema changes do. Raises SourceConnectionError."""
        now = catalog.creation_times(self._connection(), self._made_at.__contains__)
        swapped = [id for id, made in now.items() if self._filters.table(id) and made != self._made_at[id]]
        if swapped:
            raise SourceConnectionError("A table was swapped for another one while the snapshot was taken, so it begins"
                                        " again.", tables=", ".join(map(str, swapped[:20])))

    def _poll_stream(self, timeout: float) -> Batch | None:
        reader, decoder = self._reader, self._decoder
        if reader is None or decoder is None:
            raise SourceRefusedError("The source is not started.")
        if self._next_frame >= len(self._frames) and decoder.payload is None:
            self._frames = self._take(reader, timeout)
            self._next_frame = 0
            if not self._frames and not self._heartbeat_due():
                return None
        self._next_frame, size = decoder.run(self._frames, self._next_frame, self.config.max_batch_size,
                                             2 * BATCH_BYTES)
        count, place = decoder.ready(self.config.max_batch_size // 2)
        records = self._emitter.take(count)
        if self._heartbeat_due():
            records.append(self._heartbeat())
        position = replace(place, server_uuid=self._server_uuid,
                           structures=self._kept(decoder.structures_version))
        return Batch(records, position, size, decoder.last_time_us if records else 0,
                     self._emitter.take_counts())

    def _take(self, reader: BinlogReader, timeout: float) -> list[bytes]:
        """What the reader has. Whatever the server refuses after its gtid_mode was changed is asked for anew, by the
        mode of now."""
        try:
            return reader.take(timeout, BATCH_BYTES)
        except SourceRefusedError as exc:
            facts = self._facts
            mode = server.read_facts(self._connection()).gtid_mode
            if facts is None or mode == facts.gtid_mode:
                raise
            raise SourceConnectionError("gtid_mode was changed while the log was read.", gtid_mode=mode,
                                        reason=exc.message) from exc

    def _heartbeat_due(self) -> bool:
        return self.config.heartbeat_interval_ms > 0 and time.monotonic() >= self._next_heartbeat

    def _heartbeat(self) -> Message:
        self._next_heartbeat = time.monotonic() + self.config.heartbeat_interval_ms / 1000
        if self._monitor is not None:
            self._monitor.wake()
        return self._events.heartbeat(time.time_ns() // 1_000_000)


def _close(conn: server.Connection, point: snapshot.Point | None) -> None:
    server.close(conn)
    if point is not None and point.locker is not None:
        server.close(point.locker)


class _LogAgain:
    """The server's log beside the stream, on connections of their own (`xa.Log`)."""

    def __init__(self, source: MySqlSource) -> None:
        self._source = source

    def files(self) -> list[str]:
        return [str(row[0]) for row in server.query(self._source._connection(), "SHOW BINARY LOGS")]

    def read(self, file: str, position: int) -> Generator[bytes, None, None]:
        source = self._source
        reader = BinlogReader(
            server.connect(source.config, query_timeout=False), DumpFrom(file, position), server_id=0,
            mariadb=source._mariadb, queue_bytes=source.config.cdc_queue_bytes)
        try:
            reader.start()
            while not source._interrupted.is_set():
                yield from reader.take(1.0, BATCH_BYTES)
            raise SourceConnectionError("the connector is being stopped")
        except LogEndError:
            return
        finally:
            reader.stop()
