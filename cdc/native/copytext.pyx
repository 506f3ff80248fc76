"""Has C read lines of COPY's text format into a RecordBatch."""

from array import array

from cpython.bytes cimport PyBytes_AS_STRING
from libc.stdint cimport int32_t, uint16_t, uint32_t

from cdc.native.records cimport RecordBatch, Table, Tables, cdc_frame, cdc_records

cdef extern from "pg_copy.h" nogil:
    enum:
        PG_LINE_REFUSED
        PG_COPY_NO_MEMORY
    int pg_copy_rows(cdc_records *out, cdc_frame *frames, uint32_t *next, uint32_t end, uint32_t table, uint16_t columns,
                     const int32_t *indexes, uint32_t fields)

cdef enum:
    MOST_TABLES = 1000


def _no_context(state, time_us, xid):
    raise AssertionError("rows of a snapshot have the context of their table")


cdef class CopyDecoder:
    """Makes the batches of one snapshot."""

    cdef Tables tables
    cdef dict slot_of

    def __init__(self):
        self.tables = Tables()
        self.slot_of = {}

    def batch(self):
        """An empty RecordBatch."""
        if len(self.tables) > MOST_TABLES:
            self.tables = Tables()
            self.slot_of = {}
        return RecordBatch(self.tables, [], _no_context)

    def add(self, RecordBatch batch, list lines, schema, context, tuple indexes, uint16_t columns, other):
        """Adds the rows of *lines* to *batch*, as reads of the table *schema* with the SourceContext *context*.

        The fields of a line are the columns at *indexes* of *columns*. A line that C refuses becomes a record by
        *other(line)*.
        """
        cdef object place = (schema, context)
        found = self.slot_of.get(place)
        if found is None:
            found = self.slot_of[place] = self.tables.add(Table(schema, context, (), None))
        add_reads(batch, lines, found, indexes, columns, other)


def add_reads(RecordBatch batch, list lines, uint32_t table, tuple indexes, uint16_t columns, other):
    """Adds the rows of *lines* to *batch*, behind what it has, as reads of its table number *table*, which has no varying
    fields. The rest: as `CopyDecoder.add`."""
    cdef uint32_t following, end, fields = len(indexes)
    cdef int outcome
    if not all(0 <= index < columns for index in indexes):
        raise ValueError("a field of a column that the table does not have")
    numbers = array("i", indexes).tobytes() + bytes(4)
    cdef const int32_t *places = <const int32_t *>PyBytes_AS_STRING(numbers)
    cdef Py_ssize_t first = batch.add_frames(lines)
    following, end = first, first + len(lines)
    while following < end:
        with nogil:
            outcome = pg_copy_rows(&batch.records, batch.frames, &following, end, table, columns, places, fields)
        if outcome == PG_COPY_NO_MEMORY:
            raise MemoryError
        if outcome == PG_LINE_REFUSED:
            batch.append(other(lines[following - first]))
            following += 1
