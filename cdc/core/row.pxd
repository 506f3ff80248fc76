cimport cython
from libc.stdlib cimport calloc, free

cdef inline unsigned char *new_kinds(Py_ssize_t count) except NULL:
    cdef unsigned char *p = <unsigned char *>calloc(count + 1, 1)
    cdef Py_ssize_t i
    if p == NULL:
        raise MemoryError
    for i in range(count):
        p[i] = 4
    return p

cdef inline Py_ssize_t *new_spans(Py_ssize_t count) except NULL:
    cdef Py_ssize_t *p = <Py_ssize_t *>calloc(count + 1, sizeof(Py_ssize_t))
    if p == NULL:
        raise MemoryError
    return p

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

cdef inline void free_row(Row row) noexcept:
    free(row.kinds)
    free(row.starts)
    free(row.ends)

@cython.locals(row=Row, at=Py_ssize_t, index=Py_ssize_t)
cpdef Row row_of(list values, unsigned char kind=*)
