cimport cython
from cdc.core.row cimport Row

cdef class SourceContext:
    cdef public object schema
    cdef public tuple values
    cdef public tuple varying
    cdef public object cache
    cpdef tuple merged(self, tuple source_values)

cdef class Record:
    cdef public str op
    cdef public object table
    cdef public Row before
    cdef public Row after
    cdef public Row key_row
    cdef public SourceContext source
    cdef public tuple source_values
    cdef public tuple block
    cdef public tuple key_headers
    cdef public Row other

cdef inline Record new_record(str op, object table, Row before, Row after, Row key_row, SourceContext source,
                              tuple source_values, tuple block, tuple key_headers):
    """As Record(…), without the cost of a Python call."""
    cdef Record record = Record.__new__(Record)
    record.op = op
    record.table = table
    record.before = before
    record.after = after
    record.key_row = key_row
    record.source = source
    record.source_values = source_values
    record.block = block
    record.key_headers = key_headers
    return record
