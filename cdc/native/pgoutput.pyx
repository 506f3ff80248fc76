"""Has C read pgoutput frames into a RecordBatch; the caller keeps the state that C and the Python reader share."""

import sys
from array import array

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcpy, memset

from cdc.native.records cimport CDC_NO_ROW, RecordBatch, Table, Tables, cdc_counter, cdc_records

cdef extern from "pg_decode.h" nogil:
    enum:
        PG_DONE
        PG_REFUSED
        PG_NO_MEMORY
    ctypedef struct pg_enum:
        int32_t index
        uint32_t size
        const uint8_t *labels
    ctypedef struct pg_table:
        uint8_t native, captured
        uint16_t columns
        uint32_t required_count, key_count, enum_count, compared_count, mapped_count, counter
        const int32_t *required
        const int32_t *key
        const int32_t *compared
        const int32_t *mapped
        const pg_enum *enums
        uint64_t created, updated, deleted
    ctypedef struct pg_commits:
        int64_t time_us, count
    ctypedef struct pg_reader:
        uint8_t plain
        uint8_t skip_create, skip_update, skip_delete, tombstones, skip_unchanged, whole_keys, null_keys
        uint64_t resumed_end_lsn, resumed_tx_lsn
        uint32_t resumed_xid
        pg_table *tables
        const uint32_t *oids
        const uint32_t *slots
        uint32_t mask
        uint8_t metadata, by_one
        uint32_t transactions_table
        cdc_counter *counters
        uint32_t *used
        uint32_t used_count, order
        uint8_t in_tx, tx_plain, tx_made, caught_up, shown
        int32_t last_kind
        uint32_t xid, shown_xid, tx_number
        uint64_t final_lsn, last_lsn, end_lsn, commit_lsn, shown_final_lsn, shown_end_lsn
        int64_t commit_time_us, last_time_us, shown_time_us
        uint64_t changes, transactions, filtered
        int64_t window_us, committed, unmarked
        pg_commits *commits
        uint32_t commit_count, commit_capacity
        char[32] head
        uint32_t head_len
    int pg_decode(pg_reader *reader, cdc_records *out, uint32_t *next, uint32_t end, uint32_t most, uint64_t *size,
                  uint64_t most_size)

cdef enum:
    FRAMES_AT_ONCE = 4096


class State:
    """What C and the Python reader share: the attributes of Stream, Transaction and Emitter of the same names.

    `transaction`: None, or `(final_lsn, commit_time_us, xid, changes, sequence_head, made)`; *made* is False for a
    transaction that C has begun. `window`: as `Emitter.window`. From C also `commits`, the windows that are over, and how
    many `transactions` have ended and changes were `filtered`. `shown` is None if no transaction with changes has ended.
    `counters`: of an open transaction, with transaction metadata: `total` and `per_table` of its Counters.
    """

    __slots__ = ("caught_up", "commit_lsn", "commits", "counters", "end_lsn", "filtered", "last_kind", "last_lsn",
                 "last_time_us", "shown", "transaction", "transactions", "window")


cdef class Decoder:
    """Frames to records, for one ChangeReader. `tables`: those of the batches to come.

    *transactions*: the Table of transaction metadata, if there is any. *spread(name)*: the hash of a table's name, by
    which its messages are ordered. *by_one*: names whose events they list one by one, which C does not.
    """

    cdef pg_reader c
    cdef readonly Tables tables
    cdef list kept
    cdef dict slot_of
    cdef Py_ssize_t table_capacity
    cdef uint32_t *oids
    cdef uint32_t *slots
    cdef Table transactions
    cdef frozenset by_one
    cdef object spread
    cdef dict counter_of
    cdef list counted
    cdef Py_ssize_t counter_capacity

    def __init__(self, *, skip_create, skip_update, skip_delete, tombstones, skip_unchanged, whole_keys, null_keys,
                 Table transactions=None, spread=None, by_one=()):
        self.c.plain = 1
        self.c.metadata = transactions is not None
        self.transactions, self.spread, self.by_one = transactions, spread, frozenset(by_one)
        self.c.skip_create, self.c.skip_update, self.c.skip_delete = skip_create, skip_update, skip_delete
        self.c.tombstones, self.c.skip_unchanged = tombstones, skip_unchanged
        self.c.whole_keys, self.c.null_keys = whole_keys, null_keys
        self.clear()

    def __dealloc__(self):
        free(self.c.commits)
        free(self.c.tables)
        free(self.c.counters)
        free(self.c.used)
        free(self.oids)
        free(self.slots)

    def clear(self):
        """Forgets all tables: their changes are refused until they are set again."""
        self.tables = Tables()
        self.kept = []
        self.slot_of = {}
        self.counter_of, self.counted = {}, []
        self._hash(64)
        if self.transactions is not None:
            self.c.transactions_table = self._slot(self.transactions)

    def add_table(self, Table table):
        """The number of one more table, of whose records the log tells nothing."""
        return self._slot(table)

    cdef Py_ssize_t _slot(self, Table table) except -1:
        """The number of one more table."""
        cdef Py_ssize_t slot = self.tables.add(table)
        cdef pg_table *grown
        if slot >= self.table_capacity:
            grown = <pg_table *>realloc(self.c.tables, (slot * 2 + 16) * sizeof(pg_table))
            if grown == NULL:
                raise MemoryError
            self.c.tables = grown
            self.table_capacity = slot * 2 + 16
        memset(self.c.tables + slot, 0, sizeof(pg_table))
        return slot

    cdef Py_ssize_t _counter(self, str name) except -1:
        """The number of the counter of *name*, a table's in messages of transaction metadata."""
        cdef Py_ssize_t number
        cdef cdc_counter *counters
        cdef uint32_t *used
        if name in self.counter_of:
            return self.counter_of[name]
        number = len(self.counted)
        if number >= self.counter_capacity:
            counters = <cdc_counter *>realloc(self.c.counters, (number * 2 + 16) * sizeof(cdc_counter))
            if counters == NULL:
                raise MemoryError
            self.c.counters = counters
            used = <uint32_t *>realloc(self.c.used, (number * 2 + 16) * sizeof(uint32_t))
            if used == NULL:
                raise MemoryError
            self.c.used = used
            self.counter_capacity = number * 2 + 16
        raw = name.encode()
        self.kept.append(raw)
        self.c.counters[number].name = <const uint8_t *>PyBytes_AS_STRING(raw)
        self.c.counters[number].size = PyBytes_GET_SIZE(raw)
        self.c.counters[number].spread = self.spread(name)
        self.c.counters[number].count = 0
        self.counted.append(name)
        self.counter_of[name] = number
        return number

    cdef int _hash(self, Py_ssize_t size) except -1:
        """A hash table of *size* places, a power of two, with all oids that are known."""
        free(self.oids)
        free(self.slots)
        self.oids = <uint32_t *>calloc(size, sizeof(uint32_t))
        self.slots = <uint32_t *>calloc(size, sizeof(uint32_t))
        self.c.oids, self.c.slots, self.c.mask = self.oids, self.slots, 0
        if self.oids == NULL or self.slots == NULL:
            raise MemoryError
        self.c.mask = <uint32_t>size - 1
        for oid, slot in self.slot_of.items():
            self._place(oid, slot)
        return 0

    cdef _place(self, uint32_t oid, uint32_t slot):
        cdef uint32_t at = (oid * <uint32_t>2654435761) & self.c.mask
        while self.oids[at] and self.oids[at] != oid:
            at = (at + 1) & self.c.mask
        self.oids[at] = oid
        self.slots[at] = slot

    def set_table(self, uint32_t oid, Table table, *, uint16_t columns, captured, native, required=(), key=(), enums=(),
                  compared=(), mapped=(), str name=None):
        """From now on changes of relation *oid* are those of *table*. *captured* False: they are only counted. *native*
        False: they are refused.

        *required*, *key*: indexes of columns. *enums*: pairs of an index and a collection of labels. *compared*,
        *mapped*: indexes of columns whose values are the same if an update changes nothing; those of *mapped* are shown
        otherwise than they are. *name*: in messages of transaction metadata.
        """
        cdef Py_ssize_t slot = self._slot(table)
        cdef pg_table *c = self.c.tables + slot
        indexes = [*required, *key, *compared, *mapped, *(index for index, _ in enums)]
        c.native = native and oid != 0 and all(0 <= index < columns for index in indexes)
        c.captured = captured
        c.columns = columns
        c.required, c.required_count = self._indexes(required), len(required)
        c.key, c.key_count = self._indexes(key), len(key)
        c.enums, c.enum_count = self._enums(enums), len(enums)
        c.compared, c.compared_count = self._indexes(compared), len(compared)
        c.mapped, c.mapped_count = self._indexes(mapped), len(mapped)
        if self.c.metadata and name is not None:
            c.counter = self._counter(name)
        new = oid not in self.slot_of
        self.slot_of[oid] = slot
        if new and 2 * len(self.slot_of) > self.c.mask:
            self._hash(4 * (<Py_ssize_t>self.c.mask + 1))
        elif oid:
            self._place(oid, slot)

    cdef const int32_t *_indexes(self, indexes) except? NULL:
        data = array("i", indexes).tobytes() + bytes(4)
        self.kept.append(data)
        return <const int32_t *>PyBytes_AS_STRING(data)

    cdef const pg_enum *_enums(self, enums) except? NULL:
        cdef pg_enum each
        made = b""
        for index, known in enums:
            labels = b"".join(len(label).to_bytes(4, sys.byteorder) + label for label in known)
            self.kept.append(labels)
            each.index = index
            each.size = len(labels)
            each.labels = <const uint8_t *>PyBytes_AS_STRING(labels)
            made += (<char *>&each)[:sizeof(pg_enum)]
        made += bytes(1)
        self.kept.append(made)
        return <const pg_enum *>PyBytes_AS_STRING(made)

    def resume(self, uint64_t end_lsn, uint64_t tx_lsn, uint32_t xid):
        """Transactions that begin at *tx_lsn* or before *end_lsn*, or have *xid* (0 is none), are not for C."""
        self.c.resumed_end_lsn, self.c.resumed_tx_lsn, self.c.resumed_xid = end_lsn, tx_lsn, xid

    def decode(self, RecordBatch batch, state, Py_ssize_t start, Py_ssize_t most, Py_ssize_t size, Py_ssize_t most_size):
        """Reads the batch's frames from index *start* on, until it has *most* records or *size*, the bytes of the frames
        so far, is *most_size*. *state* is changed to what it is then.

        Returns the next index, the bytes, and whether that frame is refused.
        """
        cdef uint32_t following = start, end
        cdef uint64_t bytes_read = size
        cdef int outcome
        self._load(state)
        end = following + batch.load_frames(start, FRAMES_AT_ONCE)
        with nogil:
            outcome = pg_decode(&self.c, &batch.records, &following, end, <uint32_t>min(most, 0x7FFFFFFF), &bytes_read,
                                <uint64_t>most_size)
        if outcome == PG_NO_MEMORY:
            raise MemoryError
        self._unload(state)
        return following, bytes_read, outcome == PG_REFUSED

    cdef _load(self, state):
        cdef bytes head
        self.c.tx_number = CDC_NO_ROW
        self.c.in_tx = state.transaction is not None
        if self.c.in_tx:
            self.c.final_lsn, self.c.commit_time_us, self.c.xid, self.c.changes, text, self.c.tx_made = state.transaction
            head = text.encode("ascii")
            self.c.tx_plain = PyBytes_GET_SIZE(head) <= <Py_ssize_t>sizeof(self.c.head)
            if self.c.tx_plain:
                self.c.head_len = PyBytes_GET_SIZE(head)
                memcpy(self.c.head, PyBytes_AS_STRING(head), PyBytes_GET_SIZE(head))
        self.c.last_lsn, self.c.last_kind, self.c.last_time_us = state.last_lsn, state.last_kind, state.last_time_us
        self.c.end_lsn, self.c.commit_lsn = state.end_lsn, state.commit_lsn
        self.c.caught_up = state.caught_up
        self.c.shown = 0
        self.c.transactions = self.c.filtered = 0
        self.c.commit_count = 0
        self.c.window_us, self.c.committed, self.c.unmarked = state.window
        if self.c.metadata:
            self._load_counters(state)

    cdef _load_counters(self, state):
        cdef uint32_t number
        while self.c.used_count > 0:
            self.c.used_count -= 1
            self.c.counters[self.c.used[self.c.used_count]].count = 0
        self.c.order = self.c.by_one = 0
        if not self.c.in_tx:
            return
        total, per_table = state.counters
        if total > 0x7FFFFFFF:  # the numbers of C end somewhere
            self.c.tx_plain = False
            return
        self.c.order = total
        for name, count in per_table.items():
            number = self._counter(name)
            self.c.counters[number].count = count
            self.c.used[self.c.used_count] = number
            self.c.used_count += 1
            if name in self.by_one:
                self.c.by_one = True

    cdef _unload_counters(self, state):
        cdef uint32_t at
        if self.c.tx_plain or not self.c.tx_made:
            state.counters = self.c.order, {self.counted[self.c.used[at]]: self.c.counters[self.c.used[at]].count
                                            for at in range(self.c.used_count)}

    cdef _unload(self, state):
        state.transaction = None
        if self.c.in_tx:
            state.transaction = (self.c.final_lsn, self.c.commit_time_us, self.c.xid, self.c.changes,
                                 self.c.head[:self.c.head_len].decode("ascii"), bool(self.c.tx_made))
            if self.c.metadata:
                self._unload_counters(state)
        state.last_lsn, state.last_kind, state.last_time_us = self.c.last_lsn, self.c.last_kind, self.c.last_time_us
        state.end_lsn, state.commit_lsn = self.c.end_lsn, self.c.commit_lsn
        state.caught_up = bool(self.c.caught_up)
        state.shown = None
        if self.c.shown:
            state.shown = (self.c.shown_final_lsn, self.c.shown_end_lsn, self.c.shown_xid, self.c.shown_time_us, None)
        state.transactions, state.filtered = self.c.transactions, self.c.filtered
        state.commits = [(self.c.commits[at].time_us, self.c.commits[at].count) for at in range(self.c.commit_count)]
        state.window = (self.c.window_us, self.c.committed, self.c.unmarked)

    def take_counts(self):
        """Records since the last call, as `(table, created, updated, deleted)`; tombstones do not count."""
        cdef pg_table *c
        found = []
        for slot in range(len(self.tables.items)):
            c = self.c.tables + <Py_ssize_t>slot
            if c.created or c.updated or c.deleted:
                found.append((self.tables.items[slot], c.created, c.updated, c.deleted))
                c.created = c.updated = c.deleted = 0
        return found
