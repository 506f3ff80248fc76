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
