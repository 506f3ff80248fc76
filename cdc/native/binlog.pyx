"""Whole transactions of the binary log, read by C (mysql_log.h). `cdc.sources.mysql.native_log` tells it what it knows."""

from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_GET_SIZE
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcpy, memset

from cdc.native.mysql cimport Batch, Layout, Many, cdc_mysql_images, cdc_mysql_key, cdc_mysql_layout
from cdc.native.records cimport Table, cdc_counter, cdc_frame, cdc_records, cdc_records_free, cdc_string, cdc_tx

cdef extern from "mysql_log.h" nogil:
    enum:
        CDC_LOG_DONE
        CDC_LOG_UNKNOWN
        CDC_LOG_NO_MEMORY
        CDC_LOG_BEGINS
        CDC_LOG_SOURCES
        CDC_LOG_EVENT
        CDC_LOG_PAYLOAD
        CDC_LOG_INNER
    ctypedef struct cdc_log_map:
        const uint8_t *body
        uint32_t size
        uint8_t refused, captured, relaxed
        uint32_t table, inserted, counter
        const cdc_mysql_layout *layout
        const cdc_mysql_key *key
        cdc_mysql_images images
        uint64_t created, updated, deleted
    ctypedef struct cdc_log_begin:
        const uint8_t *data
        uint32_t size
    ctypedef struct cdc_log_source:
        uint8_t id[16]
        uint8_t refused
        const uint8_t *text
        uint32_t size
    ctypedef struct cdc_log_run:
        uint32_t source
        uint64_t first, last
        int64_t time_us
    ctypedef struct cdc_log_commits:
        int64_t time_us, count
    ctypedef struct cdc_log:
        uint8_t mariadb, checksums, names_thread, takes_query, tombstones
        uint8_t skip_create, skip_update, skip_delete
        uint8_t rows_v1_head, rows_v2_head, metadata
        uint32_t transactions_table
        cdc_counter *counters
        cdc_log_map *maps
        uint32_t *slots
        uint32_t map_count, mask
        const cdc_log_begin *begins
        const cdc_log_source *sources
        uint32_t begin_count, source_count
        cdc_string file
        uint64_t position
        int64_t window_us, committed, unmarked
        int64_t last_time_us, last_row
        uint32_t server_id
        uint64_t size, transactions, filtered
        cdc_log_run *runs
        cdc_log_commits *commits
        uint32_t *frames
        uint32_t run_count, commit_count, frame_count
    uint32_t cdc_log_slot(const cdc_log *log, const uint8_t *body, uint32_t size)
    int cdc_log_read(cdc_log *log, const cdc_frame *events, const uint8_t *kinds, uint32_t count, uint32_t *next,
                     uint64_t most, uint64_t most_size, cdc_records *out)
    uint32_t cdc_crc32(const uint8_t *data, size_t size)

EVENT, PAYLOAD, INNER = CDC_LOG_EVENT, CDC_LOG_PAYLOAD, CDC_LOG_INNER

cdef enum:
    MOST_MAPS = 1024
    SLOTS = 4096


def crc32(bytes data):
    """As `zlib.crc32`."""
    return cdc_crc32(<const uint8_t *>PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))


def split(bytearray room, Py_ssize_t at, Py_ssize_t filled, int sequence, list events):
    """Appends the events of the packets that begin at *at* of *room*, which is filled up to *filled*, while each is
    whole, is all of its event, and has the *sequence* that is due. Returns the place of the first other one and the
    sequence due there. A packet is as `cdc.sources.mysql.binlog.packets` says."""
    cdef const uint8_t *bytes = <const uint8_t *>PyByteArray_AS_STRING(room)
    cdef Py_ssize_t length
    if not 0 <= at <= filled <= PyByteArray_GET_SIZE(room):
        raise ValueError("the packets are not within the buffer")
    while filled - at > 4:
        length = bytes[at] | bytes[at + 1] << 8 | bytes[at + 2] << 16
        if length == 0 or length == 0xFFFFFF or length > filled - at - 4:
            break
        if bytes[at + 3] != sequence or bytes[at + 4] != 0:
            break
        events.append(PyBytes_FromStringAndSize(<const char *>bytes + at + 5, length - 1))
        at += 4 + length
        sequence = (sequence + 1) & 0xFF
    return at, sequence


class State:
    """What C and the ChangeReader share: `file`, `position` (the end of the last event), `server_id`, `last_time_us`,
    `last_row` and `size` of its Stream, and `window` of its Emitter.

    From C also `transactions`, `filtered`, `commits` (the windows that are over), `counts` (pairs of what `know_map` was
    told of a table, and the numbers of rows created, updated and deleted), and `runs`: transactions of one source with
    consecutive numbers, as (what `know_source` was told, the first number, the last, the time of the last).
    """

    __slots__ = ("commits", "counts", "file", "filtered", "last_row", "last_time_us", "position", "runs", "server_id",
                 "size", "transactions", "window")


cdef class Transactions(Many):
    """Changes of whole transactions. `count`: without tombstones, which `len` counts."""

    cdef cdc_records records
    cdef readonly Py_ssize_t count
    cdef list frames, tables
    cdef bytes file
    cdef object make_source

    def __dealloc__(self):
        cdc_records_free(&self.records)

    def __len__(self):
        return self.records.rec_count

    cdef int add_to(self, Batch batch) except -1:
        return batch.add_all(self, &self.records, self.frames, self.tables)

    cdef origin(self, Py_ssize_t tx, Table table):
        cdef cdc_tx *c = self.records.txs + tx
        gtid = None if c.gtid.data == NULL else c.gtid.data[:c.gtid.size].decode()
        thread = None if c.thread < 0 else c.thread
        return self.make_source(table.state, c.time_us, c.xid, gtid, self.file.decode(), thread), c.pos


cdef class Log:
    """Reads for one ChangeReader. *make_source(state, time_us, server_id, gtid, file, thread)* returns the SourceContext
    of a table's changes; *state* is that of its `records.Table`. *transactions*: the Table of transaction metadata, if
    there is any; *spread(name)*: the hash of a table's name, by which its messages are ordered."""

    cdef cdc_log c
    cdef object make_source
    cdef list tables, told, kept, sources, names
    cdef cdc_log_begin[CDC_LOG_BEGINS] begins
    cdef cdc_log_source[CDC_LOG_SOURCES] known_sources
    cdef list given
    cdef tuple held
    cdef Table transactions
    cdef object spread
    cdef dict counter_of
    cdef cdc_frame *events
    cdef uint32_t event_count

    def __init__(self, *, mariadb, names_thread, takes_query, tombstones, skip_create, skip_update, skip_delete,
                 make_source, Table transactions=None, spread=None):
        self.c.mariadb, self.c.names_thread, self.c.takes_query = mariadb, names_thread, takes_query
        self.c.tombstones = tombstones
        self.c.skip_create, self.c.skip_update, self.c.skip_delete = skip_create, skip_update, skip_delete
        self.c.begins, self.c.sources = self.begins, self.known_sources
        self.make_source = make_source
        self.c.metadata = transactions is not None
        self.transactions, self.spread = transactions, spread
        self.sources = []
        self.kept = []
        self.c.maps = <cdc_log_map *>calloc(MOST_MAPS, sizeof(cdc_log_map))
        self.c.slots = <uint32_t *>calloc(SLOTS, sizeof(uint32_t))
        self.c.counters = <cdc_counter *>calloc(MOST_MAPS, sizeof(cdc_counter))
        if self.c.maps == NULL or self.c.slots == NULL or self.c.counters == NULL:
            raise MemoryError
        self.c.mask = SLOTS - 1
        self.forget_maps()

    def __dealloc__(self):
        free(self.c.maps)
        free(self.c.slots)
        free(self.c.counters)
        free(self.c.runs)
        free(self.c.commits)
        free(self.c.frames)
        free(self.events)

    def format(self, *, checksums, int rows_v1_head, int rows_v2_head):
        """What the format description says: whether events have checksums, and lengths of post-headers."""
        self.c.checksums, self.c.rows_v1_head, self.c.rows_v2_head = checksums, rows_v1_head, rows_v2_head

    def forget_maps(self):
        """Table maps are unknown again."""
        memset(self.c.slots, 0, SLOTS * sizeof(uint32_t))
        self.c.map_count = 0
        self.tables, self.told = [], []
        self.counter_of, self.names = {}, []
        if self.transactions is not None:
            self.c.transactions_table = 0
            self.tables.append(self.transactions)

    def know_map(self, bytes body, told, Layout layout, Table table, Table inserted=None, *, refused):
        """The rows of the table map with this *body*. *told* is given back with their counts; with transaction metadata
        it is the table's name. *layout* and *table* are None if they are only counted, or *refused*: for the other code.
        *inserted*: the table of inserted rows that lack columns; None if none may."""
        cdef cdc_log_map *map
        if self.c.map_count == MOST_MAPS:
            self.forget_maps()
        slot = cdc_log_slot(&self.c, <const uint8_t *>PyBytes_AS_STRING(body), PyBytes_GET_SIZE(body))
        if self.c.slots[slot]:
            return
        map = self.c.maps + self.c.map_count
        memset(map, 0, sizeof(cdc_log_map))
        map.body, map.size = <const uint8_t *>PyBytes_AS_STRING(body), PyBytes_GET_SIZE(body)
        map.refused = refused
        map.captured = layout is not None
        if layout is not None:
            map.layout, map.key, map.images = &layout.c, &layout.key, layout.images
            map.table = len(self.tables)
            self.tables.append(table)
            if inserted is not None:
                map.relaxed, map.inserted = True, len(self.tables)
                self.tables.append(inserted)
            if self.transactions is not None:
                map.counter = self.counter(told)
        self.told.append((told, body, layout))
        self.c.map_count += 1
        self.c.slots[slot] = self.c.map_count

    cdef uint32_t counter(self, str name) except? 0:
        """The number of the counter of a table; there are as many tables as maps, at most."""
        cdef cdc_counter *counter
        found = self.counter_of.get(name)
        if found is not None:
            return found
        found = self.counter_of[name] = len(self.counter_of)
        raw = name.encode()
        self.names.append(raw)
        counter = self.c.counters + <Py_ssize_t>found
        counter.name, counter.size = <const uint8_t *>PyBytes_AS_STRING(raw), PyBytes_GET_SIZE(raw)
        counter.spread, counter.count = self.spread(name), 0
        return found

    def know_begin(self, bytes shape):
        """A BEGIN whose event's body has these bytes from index 8 on."""
        cdef uint32_t at = self.c.begin_count
        if at == CDC_LOG_BEGINS:
            return
        for place in range(at):
            if self.begins[<int>place].size == <uint32_t>PyBytes_GET_SIZE(shape) and \
                    self.begins[<int>place].data[:PyBytes_GET_SIZE(shape)] == shape:
                return
        self.kept.append(shape)
        self.begins[at].data, self.begins[at].size = <const uint8_t *>PyBytes_AS_STRING(shape), PyBytes_GET_SIZE(shape)
        self.c.begin_count += 1

    def know_source(self, bytes id, told, bytes text):
        """A source of GTIDs: its UUID, or domain and server. *told* is given back with its numbers, *text* begins its
        GTIDs; None if its transactions are for the other code."""
        cdef cdc_log_source *source = self.known_sources + self.c.source_count
        if self.c.source_count == CDC_LOG_SOURCES or len(id) > 16:
            return
        memset(source, 0, sizeof(cdc_log_source))
        memcpy(source.id, PyBytes_AS_STRING(id), PyBytes_GET_SIZE(id))
        source.refused = text is None
        if text is not None:
            self.kept.append(text)
            source.text, source.size = <const uint8_t *>PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text)
        self.sources.append(told)
        self.c.source_count += 1

    def read(self, list events, bytes kinds, Py_ssize_t first, state, uint64_t most, uint64_t most_size):
        """Reads whole transactions from events[first] on, until there are *most* records or `state.size`, bytes with
        those before, is *most_size*. *state* is changed to what it is then. *kinds*: what each event is, by EVENT, PAYLOAD
        and INNER; None if all are of the log.

        Returns the next index; a Transactions, or None; and whether it stopped at a transaction that is for the other
        code: 0 for no, 1 for yes, 2 if that is so only because something in it is unknown.
        """
        cdef Transactions found = Transactions.__new__(Transactions)
        cdef uint32_t following = first, at
        cdef int outcome
        cdef const uint8_t *kind = NULL
        if kinds is not None:
            if PyBytes_GET_SIZE(kinds) != len(events):
                raise ValueError("each event has a kind")
            kind = <const uint8_t *>PyBytes_AS_STRING(kinds)
        if self.given is not events or len(self.held) != len(events):
            self.hold(events)
        self.load(state, found)
        with nogil:
            outcome = cdc_log_read(&self.c, self.events, kind, self.event_count, &following, most, most_size,
                                   &found.records)
        if outcome == CDC_LOG_NO_MEMORY:
            raise MemoryError
        found.frames = [self.held[self.c.frames[at]] for at in range(self.c.frame_count)]
        found.tables, found.make_source = self.tables, self.make_source
        self.unload(state)
        found.count = sum([created + updated + deleted for _, created, updated, deleted in state.counts])
        return (<Py_ssize_t>following, found if found.records.rec_count else None,
                0 if outcome == CDC_LOG_DONE else 2 if outcome == CDC_LOG_UNKNOWN else 1)

    cdef hold(self, list events):
        """Has C see *events*, which nobody changes from now on."""
        cdef tuple held = tuple(events)
        cdef cdc_frame *grown = <cdc_frame *>realloc(self.events, (len(held) + 1) * sizeof(cdc_frame))
        self.given, self.held, self.event_count = None, (), 0
        if grown == NULL:
            raise MemoryError
        self.events = grown
        for event in held:
            if PyBytes_GET_SIZE(<bytes?>event) > 0x7FFFFFFF:
                break
            grown[self.event_count].data = <const uint8_t *>PyBytes_AS_STRING(<bytes>event)
            grown[self.event_count].size = PyBytes_GET_SIZE(<bytes>event)
            self.event_count += 1
        self.given, self.held = events, held

    cdef load(self, state, Transactions found):
        found.file = state.file.encode()
        self.c.file.data, self.c.file.size = <const uint8_t *>PyBytes_AS_STRING(found.file), len(found.file)
        self.c.position, self.c.server_id, self.c.size = state.position, state.server_id, state.size
        self.c.last_time_us, self.c.last_row = state.last_time_us, state.last_row
        self.c.window_us, self.c.committed, self.c.unmarked = state.window
        self.c.transactions = self.c.filtered = 0
        self.c.run_count = self.c.commit_count = self.c.frame_count = 0

    cdef unload(self, state):
        cdef cdc_log_map *map
        cdef uint32_t at
        state.position, state.server_id, state.size = self.c.position, self.c.server_id, self.c.size
        state.last_time_us, state.last_row = self.c.last_time_us, self.c.last_row
        state.window = (self.c.window_us, self.c.committed, self.c.unmarked)
        state.transactions, state.filtered = self.c.transactions, self.c.filtered
        state.commits = [(self.c.commits[at].time_us, self.c.commits[at].count) for at in range(self.c.commit_count)]
        state.runs = [(self.sources[self.c.runs[at].source], self.c.runs[at].first, self.c.runs[at].last,
                       self.c.runs[at].time_us) for at in range(self.c.run_count)]
        state.counts = []
        for at in range(self.c.map_count):
            map = self.c.maps + at
            if map.created or map.updated or map.deleted:
                state.counts.append((self.told[at][0], map.created, map.updated, map.deleted))
                map.created = map.updated = map.deleted = 0
