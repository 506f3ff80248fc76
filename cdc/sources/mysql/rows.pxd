cimport cython
from libc.stdlib cimport calloc, free
from cdc.core.row cimport Row, new_kinds, new_spans

cdef inline Row blank_row(bytes data, Py_ssize_t count):
    """A row whose columns are all ABSENT, without the cost of a Python call."""
    cdef Row row = Row.__new__(Row)
    row.data = data
    row.count = count
    row.kinds = new_kinds(count)
    row.starts = new_spans(count)
    row.ends = new_spans(count)
    return row

cdef inline unsigned char *new_prefixes(Py_ssize_t count) except NULL:
    cdef unsigned char *p = <unsigned char *>calloc(count + 1, 1)
    if p == NULL:
        raise MemoryError
    return p

cdef class Layout:
    cdef readonly Py_ssize_t count
    cdef readonly dict special
    cdef readonly list json_columns
    cdef unsigned char *prefixes
    cdef Py_ssize_t *widths

cdef inline void free_layout(Layout layout) noexcept:
    free(layout.prefixes)
    free(layout.widths)

cdef class RowsEvent:
    cdef readonly str op
    cdef readonly object table_id
    cdef readonly int flags
    cdef readonly Py_ssize_t width
    cdef readonly bytes before_present
    cdef readonly bytes after_present
    cdef readonly bytes data
    cdef readonly Py_ssize_t start
    cdef readonly Py_ssize_t end
    cdef readonly bint partial
    cdef Py_ssize_t pos
    cdef list partial_columns
    @cython.locals(before_count=Py_ssize_t, after_count=Py_ssize_t, last=Py_ssize_t, before=Row, after=Row)
    cpdef list split(self, Layout layout)
    @cython.locals(row=Row, data=bytes, p="const unsigned char *", has="const unsigned char *", end=Py_ssize_t,
                   pos=Py_ssize_t, nulls=Py_ssize_t, bit=Py_ssize_t, index=Py_ssize_t, width=Py_ssize_t, prefix=int,
                   length=Py_ssize_t, every=bint)
    cpdef Row image(self, Layout layout, bytes present, Py_ssize_t present_count)
    cpdef int short(self, Py_ssize_t pos, Py_ssize_t wanted) except -1
