cimport cython
from libc.stdlib cimport free, malloc
from libc.string cimport memset

cdef class Row:
    cdef readonly bytes data
    cdef readonly Py_ssize_t count
    cdef unsigned char *kinds
    cdef Py_ssize_t *starts
    cdef Py_ssize_t *ends
    cpdef int put(self, Py_ssize_t index, unsigned char kind, Py_ssize_t start, Py_ssize_t end) except -1
    cpdef int kind(self, Py_ssize_t index) noexcept
    cpdef bytes raw(self, Py_ssize_t index)
    @cython.locals(kind=int)
    cpdef bint same(self, Py_ssize_t index, Row other) except -1

cdef inline int make_columns(Row row) except -1:
    """Room for the columns, in one block that begins with `starts`; all are ABSENT."""
    cdef Py_ssize_t count = row.count
    cdef Py_ssize_t *block = <Py_ssize_t *>malloc(count * (2 * sizeof(Py_ssize_t) + 1) + 1)
    if block == NULL:
        raise MemoryError
    row.starts = block
    row.ends = block + count
    row.kinds = <unsigned char *>(block + 2 * count)
    memset(row.kinds, 4, count)
    return 0

cdef inline void free_columns(Row row) noexcept:
    free(row.starts)

cdef inline Row blank_row(bytes data, Py_ssize_t count):
    """A row whose columns are all ABSENT, without the cost of a Python call."""
    cdef Row row = Row.__new__(Row)
    row.data = data
    row.count = count
    make_columns(row)
    return row

@cython.locals(row=Row, at=Py_ssize_t, index=Py_ssize_t)
cpdef Row row_of(list values, unsigned char kind=*)

@cython.locals(made=Row, index=Py_ssize_t, shift=Py_ssize_t, kind=cython.uchar)
cpdef Row patched(Row row, Row other, list indexes)
