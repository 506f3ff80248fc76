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
        cdef uint32_t following = len(batch.frame_list), end, slot, fields = len(indexes)
        cdef int outcome
        place = (schema, context)
        found = self.slot_of.get(place)
        if found is None:
            if not all(0 <= index < columns for index in indexes):
                raise ValueError("a field of a column that the table does not have")
            numbers = array("i", indexes).tobytes() + bytes(4)
            found = self.slot_of[place] = self.tables.add(Table(schema, context, (), numbers)), numbers
        slot = found[0]
        cdef const int32_t *places = <const int32_t *>PyBytes_AS_STRING(found[1])
        batch.frame_list.extend(lines)
        end = following + batch.load_frames(following, len(lines))
        while following < len(batch.frame_list):
            with nogil:
                outcome = pg_copy_rows(&batch.records, batch.frames, &following, end, slot, columns, places, fields)
            if outcome == PG_COPY_NO_MEMORY:
                raise MemoryError
            if outcome == PG_LINE_REFUSED or following >= end and following < len(batch.frame_list):
                batch.append(other(batch.frame_list[following]))
                following += 1
                end = following + batch.load_frames(following, len(batch.frame_list) - following)
