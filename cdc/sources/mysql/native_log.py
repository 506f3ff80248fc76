"""Has C read whole transactions that need nothing but to be written; the ChangeReader reads all others.

Most small transactions are so: a GTID, BEGIN, table maps, rows events, and the commit (`cdc/native/mysql_log.h`).
Reading them event by event costs many times as much as writing their rows. C takes a transaction as a whole or not at
all, and refuses whatever it does not know byte for byte from the ChangeReader: table maps, BEGINs, sources of GTIDs.
Where the stream is, both keep in the same places.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from typing import Any, Final

from cdc.codecs.java import java_hash_spread
from cdc.core.errors import ProtocolError
from cdc.core.record import CREATE, DELETE, UPDATE
from cdc.native import module
from cdc.sources.mysql.binlog import const
from cdc.sources.mysql.binlog.decoder import payload_of
from cdc.sources.mysql.binlog.events import FormatDescription, Query, TableMap
from cdc.sources.mysql.binlog.gtid import GtidSet, MariaGtidSet, decode_uuid

_MOST_EVENTS: Final = 32
_MOST_UNPACKED: Final = 1 << 16
"""Bytes of a compressed transaction. In larger ones the rows take the time."""
_MOST_OPENED: Final = 8 << 20
"""The same of all that are opened at a time."""
_PAYLOAD: Final = bytes((const.TRANSACTION_PAYLOAD_EVENT,))
_BODY: Final = const.HEADER_LEN
_BEGIN_SHAPE: Final = 8
"""A BEGIN's body has its thread's number and the execution time before that."""
_UUID: Final = slice(_BODY + 1, _BODY + 17)
_DOMAIN: Final = slice(_BODY + 8, _BODY + 12)
_SERVER: Final = slice(5, 9)
_V1: Final = (const.WRITE_ROWS_EVENT_V1, const.UPDATE_ROWS_EVENT_V1, const.DELETE_ROWS_EVENT_V1)
_V2: Final = (const.WRITE_ROWS_EVENT, const.UPDATE_ROWS_EVENT, const.DELETE_ROWS_EVENT)


def native_log(reader: Any, layout_of: Any) -> NativeLog | None:
    """For *reader*, a ChangeReader; None if this installation has no native modules. *layout_of* is that of
    `NativeRows`."""
    found, records = module("binlog"), module("records")
    return None if found is None or records is None else NativeLog(reader, layout_of, found, records)


class Opened:
    """*events* with the events of compressed transactions behind those. `kinds`: what each is, as `binlog.Log.read` has
    it. `places`: of each of *events* the place, and the number of all."""

    def __init__(self, events: list[bytes], binlog: Any, inner: Callable[[bytes], list[bytes]]) -> None:
        self.given = events
        self.events: list[bytes] = []
        self.places: list[int] = []
        kinds, spare = bytearray(), _MOST_OPENED
        for event in events:
            within = inner(event) if spare > 0 else []
            spare -= sum(map(len, within))
            self.places.append(len(self.events))
            self.events += [event, *within]
            kinds += bytes((binlog.PAYLOAD if within else binlog.EVENT, *(binlog.INNER,) * len(within)))
        self.places.append(len(self.events))
        self.kinds = bytes(kinds)


class NativeLog:
    """Adds whole transactions to the emitter of *reader*, as items that C makes records of."""

    def __init__(self, reader: Any, layout_of: Any, binlog: Any, records: Any) -> None:
        self._reader = reader
        self._layout_of = layout_of
        self._state = binlog.State()
        self._format: FormatDescription | None = None
        self._usable = False
        self._generation = -1
        self._sources: set[bytes] = set()
        self._strange: list[tuple[bytes, int]] = []
        self._binlog = binlog
        self._opens = False
        self._opened: Opened | None = None
        emitter, settings = reader.emitter, reader.settings
        self._mariadb = settings.flavor.name == "mariadb"
        transactions = None
        if settings.transaction_metadata:
            block = reader.stream.block
            transactions = records.Table(block.transactions(), None, (), block)
        self._log = binlog.Log(
            mariadb=self._mariadb, names_thread=settings.flavor.begin_names_thread, takes_query=settings.include_query,
            tombstones=emitter.tombstones, skip_create=emitter.skip_create, skip_update=emitter.skip_update,
            skip_delete=emitter.skip_delete, make_source=self._source, transactions=transactions,
            spread=java_hash_spread)

    def read(self, events: list[bytes], first: int, max_records: int, max_bytes: int) -> int:
        """Moves the stream behind the next whole transactions that C takes, before *max_records* or *max_bytes* is
        reached. Returns the index of the event behind them, which is one for the ChangeReader, or *first*."""
        reader, state = self._reader, self._state
        stream, emitter = reader.stream, reader.emitter
        if not self._ready():
            return first
        state.file, state.position, state.server_id = stream.file, reader.binlog.position, stream.server_id
        state.last_time_us, state.last_row, state.size = stream.last_time_us, stream.last_row, stream.size_bytes
        state.window = emitter.window()
        most = max_records - len(emitter.records) - emitter.more
        opened = self._open(events) if self._opens else None
        if opened is None:
            following, found, stopped = self._log.read(events, None, first, state, most, max_bytes)
        else:
            place, found, stopped = self._log.read(opened.events, opened.kinds, opened.places[first], state, most,
                                                   max_bytes)
            following = bisect_left(opened.places, place)
        if following > first:
            if found is not None:
                emitter.add_whole(found)
            self._carry_back(events[following - 1])
        if stopped > 1 and opened is not None:
            some = slice(place, place + _MOST_EVENTS)
            self._strange = list(zip(opened.events[some], opened.kinds[some], strict=True))
        elif stopped > 1:
            self._strange = [(event, self._binlog.EVENT) for event in events[following:following + _MOST_EVENTS]]
        elif stopped and following + 1 < len(events) and events[following + 1][4:5] == _PAYLOAD:
            self._opens = True
        return int(following)

    def _open(self, events: list[bytes]) -> Opened:
        if self._opened is None or self._opened.given is not events or len(self._opened.places) != len(events) + 1:
            self._opened = Opened(events, self._binlog, self._inner)
        return self._opened

    def _inner(self, event: bytes) -> list[bytes]:
        """The events within *event*, if it is a compressed transaction, and small."""
        if event[4:5] != _PAYLOAD:
            return []
        found, spare = [], _MOST_UNPACKED
        try:
            payload = payload_of(event, self._end(event))
            if (payload.uncompressed_size or spare) >= spare:
                return []
            for each in payload.events():
                found.append(each)
                spare -= len(each)
                if spare < 0 or len(found) > _MOST_EVENTS:
                    return []
        except ProtocolError:  # the ChangeReader raises it, when it comes there
            return []
        return found

    def _end(self, event: bytes) -> int:
        return len(event) - (const.CHECKSUM_LEN if self._format is not None and self._format.checksum else 0)

    def _ready(self) -> bool:
        """Whether C may be asked; tells it what it does not know yet."""
        reader = self._reader
        binlog, stream = reader.binlog, reader.stream
        if not stream.takes_whole():
            return False
        if binlog.format is not self._format:
            self._format = binlog.format
            self._take_format()
        if reader.tables.generation != self._generation:
            self._generation = reader.tables.generation
            self._log.forget_maps()
        if self._strange:
            strange, self._strange = self._strange, []
            for event, kind in strange:
                self._learn(event, len(event) if kind == self._binlog.INNER else self._end(event))
        return self._usable

    def _take_format(self) -> None:
        binlog = self._reader.binlog
        v1, v2 = ({binlog.post_header(kind) for kind in kinds} for kinds in (_V1, _V2))
        self._usable = self._format is not None and len(v1) == len(v2) == 1
        if self._format is not None and self._usable:
            self._log.format(checksums=self._format.checksum, rows_v1_head=v1.pop(), rows_v2_head=v2.pop())

    def _carry_back(self, event: bytes) -> None:
        """*event* is the last that was read."""
        reader, state = self._reader, self._state
        stream, emitter = reader.stream, reader.emitter
        emitter.filtered += state.filtered
        emitter.set_window(state.commits, state.window)
        for collection, created, updated, deleted in state.counts:
            emitter.add_counts(collection, ((CREATE, created), (UPDATE, updated), (DELETE, deleted)))
        seen = []
        for source, first, last, time_us in state.runs:
            if self._mariadb:
                domain, server = source
                seen.append((domain, f"{domain}-{server}-{last}", time_us))
                if isinstance(stream.gtids, MariaGtidSet):
                    stream.gtids.add(domain, server, last)
            else:
                seen.append((source, f"{source}:{last}", time_us))
                if isinstance(stream.gtids, GtidSet):
                    stream.gtids.add_range(source, "", first, last)
        reader.binlog.position = state.position
        stream.server_id, stream.last_row = state.server_id, state.last_row
        stream.size_bytes, stream.last_time_us = state.size, state.last_time_us
        stream.passed(state.transactions, event, state.position, seen)

    # -- what the ChangeReader knows ------------------------------------------------------------------------------

    def _learn(self, event: bytes, end: int) -> None:
        """Tells C what the ChangeReader made of *event*, whose body ends at *end*, if that is still known."""
        kind = event[4] if len(event) > _BODY else 0
        if kind in (const.TABLE_MAP_EVENT, const.QUERY_EVENT):
            body = event[_BODY:end]
            known = self._reader.binlog.known(body)
            if isinstance(known, TableMap):
                self._learn_map(body, known)
            elif isinstance(known, Query) and known.sql == b"BEGIN":
                self._log.know_begin(body[_BEGIN_SHAPE:])
        elif kind == const.GTID_LOG_EVENT and not self._mariadb and len(event) > _UUID.stop:
            self._learn_source(event[_UUID])
        elif kind == const.GTID_EVENT and self._mariadb and len(event) > _DOMAIN.stop:
            self._learn_source(event[_DOMAIN] + event[_SERVER])

    def _learn_map(self, body: bytes, known: TableMap) -> None:
        state = self._reader.tables.states.get(id(known))
        if state is None:
            return
        if state.target is None:
            self._log.know_map(body, None, None, None, refused=False)
        elif state.period is not None or state.target.watched or not self._layout_of(state):
            self._log.know_map(body, None, None, None, refused=True)
        else:
            layout, table, inserted = self._layout_of(state)
            self._log.know_map(body, state.target.collection, layout, table, inserted, refused=False)

    def _learn_source(self, id: bytes) -> None:
        if id in self._sources:
            return
        self._sources.add(id)
        told: Any
        if self._mariadb:
            told = int.from_bytes(id[:4], "little"), int.from_bytes(id[4:], "little")
            name = f"{told[0]}-{told[1]}"
            text = f"{name}-"
        else:
            told = name = decode_uuid(id, 0)
            text = f"{name}:"
        self._log.know_source(id, told, text.encode() if self._reader.settings.follows(name) else None)

    def _source(self, state: Any, time_us: int, server_id: int, gtid: str | None, file: str, thread: int | None) -> Any:
        block = self._reader.stream.block
        return block.context(block.source_values(time_us, database=state.catalog, table=state.table,
                                                 server_id=server_id, gtid=gtid, file=file, thread=thread))
