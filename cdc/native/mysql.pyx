"""Rows of MySQL and MariaDB, from rows events and text results: counts those that need nothing but to be written, and
makes them records.

`RowsEvent` of cdc/sources/mysql/binlog/rows.py and `text_row` of cdc/sources/mysql/textrow.py read all other rows.
"""

from array import array

from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_GET_SIZE
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t, uint32_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from cdc.native.records cimport (
    CDC_FOREIGN,
    CDC_KIND_BINARY,
    CDC_NO_ROW,
    CDC_TOMBSTONE,
    CDC_TX_BEGIN,
    CDC_TX_END,
    RecordBatch,
    Table,
    Tables,
    cdc_cell,
    cdc_rec,
    cdc_records,
    cdc_records_append,
    cdc_records_room,
    cdc_string,
    cdc_tx,
)

from cdc.core.record import READ, Record
from cdc.core.row import Row


FIELDS = ("ts_ms", "ts_us", "ts_ns", "mysql_server_id", "mysql_gtid", "mysql_file", "mysql_pos", "mysql_row",
          "mysql_thread", "mysql_query")
"""The varying fields of a `Table`'s template, in their order."""


cdef class Layout:
    """How C reads the images of one table map for one table. *sizes*: of each column the bytes of its length prefix and
    of its value (`rows.column_size`). *key*: indexes of the key's columns. *compared*: of those of which an update must
    change one, or the other code looks at it; None if it need not. For one thread."""

    def __cinit__(self, sizes, tuple key, compared=None):
        cdef Py_ssize_t width = len(sizes), index
        self.prefixes = <uint8_t *>calloc(width + 1, 1)
        self.sizes = <uint32_t *>calloc(width + 1, sizeof(uint32_t))
        self.key_index = <uint32_t *>calloc(len(key) + 1, sizeof(uint32_t))
        self.compared = <uint32_t *>calloc(len(compared or ()) + 1, sizeof(uint32_t))
        self.images.kinds = <uint8_t *>calloc(2 * width + 1, 1)
        self.images.cells = <cdc_cell *>calloc(2 * width + 1, sizeof(cdc_cell))
        if (self.prefixes == NULL or self.sizes == NULL or self.key_index == NULL or self.compared == NULL
                or self.images.kinds == NULL or self.images.cells == NULL):
            raise MemoryError
        for index in range(width):
            self.prefixes[index], self.sizes[index] = sizes[index]
        for index in range(len(key)):
            if not 0 <= key[index] < width:
                raise IndexError("key column out of range")
            self.key_index[index] = key[index]
        for index in range(len(compared or ())):
            if not 0 <= compared[index] < width:
                raise IndexError("column out of range")
            self.compared[index] = compared[index]
        self.key.skips = compared is not None
        self.key.compared, self.key.compared_count = self.compared, len(compared or ())
        self.c.width = width
        self.c.prefixes = self.prefixes
        self.c.sizes = self.sizes
        self.key.index = self.key_index
        self.key.count = len(key)

    def __dealloc__(self):
        free(self.prefixes)
        free(self.sizes)
        free(self.key_index)
        free(self.compared)
        free(self.images.kinds)
        free(self.images.cells)


cdef class Many:
    """Something that stands for many records."""

    cdef int add_to(self, Batch batch) except -1:
        """Adds them to *batch*."""
        raise NotImplementedError

    cdef origin(self, Py_ssize_t tx, Table table):
        """The SourceContext of the changes of *table* in transaction number *tx* of this object, and the place of their
        event."""
        raise NotImplementedError


cdef class Rows(Many):
    """*count* consecutive rows of one event, which need nothing but to be written; the first is number *number*.

    *source*: their SourceContext. *pos*: where the event begins in its file. `len` counts tombstones too. *order*,
    *table_order*, *id*: of the first one's transaction block; 0 if they have none.
    """

    def __len__(self):
        return self.count * 2 if self.tombstones else self.count

    cdef int add_to(self, Batch batch) except -1:
        return batch.add_rows(self)


cdef const uint8_t *bitmap(Layout layout, bytes present) except? NULL:
    """NULL if there is none."""
    cdef Py_ssize_t size = PyBytes_GET_SIZE(present)
    if size == 0:
        return NULL
    if size * 8 < layout.c.width:
        raise ValueError("a bitmap of too few columns")
    return <const uint8_t *>PyBytes_AS_STRING(present)


def plain_rows(Layout layout, bytes data, Py_ssize_t start, Py_ssize_t end, bytes before_present,
               Py_ssize_t before_count, bytes after_present, Py_ssize_t after_count):
    """The next rows in data[start:end] that need nothing but to be written, as `Rows`, and the place after them. None
    if the next row is no such one. The images have the columns of the bitmaps, *before_count* and *after_count* of
    them."""
    cdef Rows rows = Rows.__new__(Rows)
    cdef size_t at = start
    if start < 0 or end > PyBytes_GET_SIZE(data):
        raise ValueError("rows outside their event")
    rows.layout, rows.data, rows.before_present, rows.after_present = layout, data, before_present, after_present
    rows.event.data = <const uint8_t *>PyBytes_AS_STRING(data)
    rows.event.end = end
    rows.event.before_present = bitmap(layout, before_present)
    rows.event.after_present = bitmap(layout, after_present)
    rows.event.before_count = before_count
    rows.event.after_count = after_count
    rows.start = start
    rows.count = cdc_mysql_plain_rows(&layout.c, &rows.event, &layout.key, &at, layout.images)
    return (rows, <Py_ssize_t>at) if rows.count else (None, start)


def describe(Rows rows, str op, Table table, source, pos, long long number, bint tombstones, uint32_t order=0,
             uint32_t table_order=0, str id=None):
    """What `Rows` says of itself, and records need."""
    rows.op = ord(op)
    rows.table, rows.source, rows.pos, rows.number = table, source, pos, number
    rows.tombstones = tombstones
    rows.order, rows.table_order, rows.id = order, table_order, id


cdef class Select:
    """The columns of a text result: a row image has *width* columns, of which the result has those at *indexes*."""

    cdef cdc_mysql_select c
    cdef uint32_t *indexes

    def __cinit__(self, tuple indexes, uint32_t width):
        cdef Py_ssize_t place
        self.indexes = <uint32_t *>calloc(len(indexes) + 1, sizeof(uint32_t))
        if self.indexes == NULL:
            raise MemoryError
        for place in range(len(indexes)):
            if not 0 <= indexes[place] < width:
                raise IndexError("column index out of range")
            self.indexes[place] = indexes[place]
        self.c.indexes, self.c.count, self.c.width = self.indexes, len(indexes), width

    def __dealloc__(self):
        free(self.indexes)


cdef class TextRows:
    """*count* consecutive row packets of a text result."""

    cdef readonly Py_ssize_t count
    cdef Select select
    cdef bytes data
    cdef size_t start, end

    def __len__(self):
        return self.count

    @property
    def size_bytes(self):
        """Of all packets without their headers."""
        return <Py_ssize_t>(self.end - self.start) - 4 * self.count

    def packet(self):
        """The bytes of the first packet, without its header."""
        cdef size_t end = cdc_mysql_skip_packets(<const uint8_t *>PyBytes_AS_STRING(self.data), self.start, 1)
        return self.data[self.start + 4:end]

    def packets(self):
        """The bytes of each packet, without its header."""
        cdef size_t at = self.start, end
        cdef Py_ssize_t number
        found = []
        for number in range(self.count):
            end = cdc_mysql_skip_packets(<const uint8_t *>PyBytes_AS_STRING(self.data), at, 1)
            found.append(self.data[at + 4:end])
            at = end
        return found

    def split(self, Py_ssize_t count):
        """Removes and returns the first *count* rows."""
        cdef TextRows taken = TextRows.__new__(TextRows)
        if not 0 <= count <= self.count:
            raise IndexError("not so many rows")
        taken.count, taken.select, taken.data, taken.start = count, self.select, self.data, self.start
        self.start = cdc_mysql_skip_packets(<const uint8_t *>PyBytes_AS_STRING(self.data), self.start, count)
        self.count -= count
        taken.end = self.start
        return taken


def text_rows(Select select, bytearray room, Py_ssize_t start, Py_ssize_t end, uint8_t sequence):
    """The rows at the beginning of room[start:end], which is what a connection has sent: whole packets, with sequence
    numbers from *sequence* on. Returns a copy of them as TextRows (None if there are none), their bytes, and the next
    sequence number. Nobody may change *room* meanwhile."""
    cdef TextRows rows
    cdef size_t size = 0
    cdef uint32_t count
    cdef const uint8_t *data
    if not 0 <= start <= end <= PyByteArray_GET_SIZE(room):
        raise ValueError("rows outside of the room")
    data = <const uint8_t *>PyByteArray_AS_STRING(room) + start
    with nogil:
        count = cdc_mysql_text_rows(&select.c, data, end - start, &size, &sequence)
    if not count:
        return None, 0, sequence
    rows = TextRows.__new__(TextRows)
    rows.count, rows.select, rows.end = count, select, size
    rows.data = PyBytes_FromStringAndSize(<const char *>data, size)
    return rows, <Py_ssize_t>size, sequence


cdef class Reads(Many):
    """Read records of *table* with the SourceContext *source*: each of *parts* is a TextRows, or a Record."""

    cdef readonly Py_ssize_t count
    cdef list parts
    cdef Table table
    cdef object source

    def __init__(self, list parts, Table table, source):
        self.parts, self.table, self.source = parts, table, source
        self.count = sum([len(each) if isinstance(each, TextRows) else 1 for each in parts])

    def __len__(self):
        return self.count

    cdef int add_to(self, Batch batch) except -1:
        for each in self.parts:
            if isinstance(each, TextRows):
                batch.add_text(each, self.table, self.source)
            else:
                batch.add_foreign(each)
        return 0


cdef class Batch(RecordBatch):
    """*items*, which are Records, Messages and `Many`, as one sequence of records."""

    def __init__(self, list items):
        RecordBatch.__init__(self, Tables(), [], None)
        self.numbers = {}
        self.origins = []
        self.texts = []
        for item in items:
            if isinstance(item, Many):
                (<Many>item).add_to(self)
            else:
                self.add_foreign(item)

    cdef int add_rows(self, Rows rows) except -1:
        cdef cdc_rec like
        self.begin(&like, rows.data, rows.table)
        like.lsn = rows.number
        like.op = rows.op
        like.order, like.table_order = rows.order, rows.table_order
        self.add_tx(rows)
        if cdc_mysql_add_rows(&self.records, &rows.layout.c, &rows.event, rows.start, rows.count, &like,
                              rows.tombstones):
            raise MemoryError
        return 0

    def add_text(self, TextRows rows, Table table, source):
        """Adds a read record for each of the *rows* of *table*, with the SourceContext *source*."""
        cdef cdc_rec like
        cdef const cdc_mysql_select *select = &rows.select.c
        cdef const uint8_t *data = <const uint8_t *>PyBytes_AS_STRING(rows.data)
        cdef size_t start = rows.start
        cdef uint32_t count = rows.count
        cdef int outcome
        self.begin(&like, rows.data, table)
        like.lsn = 0
        like.order = like.table_order = 0
        like.op = ord(READ)
        like.before = CDC_NO_ROW
        if cdc_records_room(&self.records, 0, 0, 1):
            raise MemoryError
        memset(self.records.txs + self.records.tx_count, 0, sizeof(cdc_tx))
        self.records.tx_count += 1
        self.origins.append((source, None))
        with nogil:
            outcome = cdc_mysql_add_text_rows(&self.records, select, data, start, count, &like)
        if outcome:
            raise MemoryError

    cdef int begin(self, cdc_rec *like, bytes data, Table table) except -1:
        """What records in *data* have in common, except for their transaction, which is the next one."""
        self.frame_list.append(data)
        if self.load_frames(len(self.frame_list) - 1, 1) != 1:
            raise MemoryError
        like.frame = len(self.frame_list) - 1
        like.tx = self.records.tx_count
        like.table = self.number_of(table)
        like.flags = 0
        return 0

    cdef Py_ssize_t number_of(self, Table table) except -1:
        number = self.numbers.get(table)
        if number is None:
            number = self.numbers[table] = self.tables.add(table)
        return number

    cdef int add_all(self, Many of, const cdc_records *records, list frames, list tables) except -1:
        """Adds *records*, whose frames and tables these are, and whose strings *of* holds."""
        cdef Py_ssize_t first = len(self.frame_list)
        numbers = array("I", [self.number_of(table) for table in tables]).tobytes() + bytes(4)
        self.frame_list.extend(frames)
        if self.load_frames(first, len(frames)) != len(frames):
            raise MemoryError
        self.origins.extend([(of, self.records.tx_count)] * records.tx_count)
        if cdc_records_append(&self.records, records, first, <const uint32_t *>PyBytes_AS_STRING(numbers)):
            raise MemoryError
        return 0

    cdef int add_tx(self, Rows rows) except -1:
        """What the source blocks of *rows* have in common."""
        cdef cdc_tx *tx
        if cdc_records_room(&self.records, 0, 0, 1):
            raise MemoryError
        place = rows.table.template.varying
        values = rows.source.values
        tx = self.records.txs + self.records.tx_count
        memset(tx, 0, sizeof(cdc_tx))
        tx.time_us = values[place[1]]
        tx.xid = values[place[3]]
        tx.gtid = self.text(values[place[4]])
        tx.file = self.text(values[place[5]])
        tx.pos = rows.pos
        tx.thread = -1 if values[place[8]] is None else values[place[8]]
        tx.query = self.text(values[place[9]])
        tx.id = self.text(rows.id)
        self.records.tx_count += 1
        self.origins.append((rows.source, rows.pos))
        return 0

    cdef cdc_string text(self, value) except *:
        cdef cdc_string found
        found.data, found.size = NULL, 0
        if value is not None:
            raw = value.encode()
            self.texts.append(raw)
            found.data, found.size = <const uint8_t *>PyBytes_AS_STRING(raw), PyBytes_GET_SIZE(raw)
        return found

    cdef own_row(self, bytes data, cdc_rec *rec):
        """A row of a text result, with a copy of its bytes: *data* are those of many rows."""
        cdef const cdc_cell *cells = self.records.cells + rec.after
        cdef const uint8_t *kinds = self.records.kinds + rec.after
        cdef uint32_t at, start = PyBytes_GET_SIZE(data), end = 0
        for at in range(rec.columns):
            if kinds[at] <= CDC_KIND_BINARY:
                start, end = min(start, cells[at].start), max(end, cells[at].end)
        made = Row(data[start:end], rec.columns)
        for at in range(rec.columns):
            if kinds[at] <= CDC_KIND_BINARY:
                made.put(at, kinds[at], cells[at].start - start, cells[at].end - start)
            else:
                made.put(at, kinds[at], 0, 0)
        return made

    cdef view(self, Py_ssize_t index):
        cdef cdc_rec *rec = self.records.recs + index
        if rec.op == CDC_FOREIGN:
            return self.foreign[rec.lsn]
        if rec.op == CDC_TX_BEGIN or rec.op == CDC_TX_END:
            return self.transaction(rec)
        data, table = self.frame_list[rec.frame], <Table>self.tables.items[rec.table]
        source, pos = self.origins[rec.tx]
        if isinstance(source, Many):
            source, pos = (<Many>source).origin(rec.tx - <Py_ssize_t>pos, table)
        elif pos is None:
            after = self.own_row(data, rec)
            return Record(READ, table.schema, None, after, after, source, ())
        before, after = self.row(data, rec, rec.before), self.row(data, rec, rec.after)
        if rec.op == CDC_TOMBSTONE:
            return Record("", table.schema, before, None, before, source, (pos, <long long>rec.lsn))
        return Record(chr(rec.op), table.schema, before, after, before if after is None else after, source,
                      (pos, <long long>rec.lsn), self.block(rec))
