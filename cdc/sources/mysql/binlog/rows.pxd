cimport cython
from libc.stdlib cimport calloc, free
from cdc.core.row cimport Row, blank_row

cdef inline unsigned char *new_prefixes(Py_ssize_t count) except NULL:
    cdef unsigned char *p = <unsigned char *>calloc(count + 1, 1)
    if p == NULL:
        raise MemoryError
    return p

cdef inline Py_ssize_t *new_widths(Py_ssize_t count) except NULL:
    cdef Py_ssize_t *p = <Py_ssize_t *>calloc(count + 1, sizeof(Py_ssize_t))
    if p == NULL:
        raise MemoryError
    return p

cdef class Layout:
    cdef readonly Py_ssize_t count
    cdef readonly dict special
    cdef readonly list json_columns
    cdef readonly list sizes
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
    cdef readonly Py_ssize_t before_count
    cdef readonly Py_ssize_t after_count
    cdef public Py_ssize_t unpacked_bytes
    cdef readonly Row before
    cdef readonly Row after
    cdef Layout layout
    cdef public Py_ssize_t pos
    cdef list partial_columns
    cpdef int open(self, Layout layout) except -1
    @cython.locals(layout=Layout, last=Py_ssize_t)
    cpdef bint advance(self) except *
    cpdef bint _empty(self) except *
    cpdef list split(self, Layout layout)
    cpdef bint whole(self)
    @cython.locals(row=Row, data=bytes, p="const unsigned char *", has="const unsigned char *", end=Py_ssize_t,
                   pos=Py_ssize_t, nulls=Py_ssize_t, bit=Py_ssize_t, index=Py_ssize_t, width=Py_ssize_t, prefix=int,
                   length=Py_ssize_t, every=bint)
    cpdef Row image(self, Layout layout, bytes present, Py_ssize_t present_count)
    cpdef int short(self, Py_ssize_t pos, Py_ssize_t wanted) except -1

@cython.locals(p="const unsigned char *", count=Py_ssize_t, index=Py_ssize_t)
cpdef Py_ssize_t _bits(bytes bitmap, Py_ssize_t width) except -1
@cython.locals(p="const unsigned char *", value=cython.ulonglong, index=Py_ssize_t)
cpdef unsigned long long little(bytes data, Py_ssize_t pos, Py_ssize_t count) except? 0
@cython.locals(pos=Py_ssize_t, id_len=Py_ssize_t, flags=int, extra=int, size=Py_ssize_t, maps=int, first=bytes,
               second=bytes, op=str, event=RowsEvent)
cpdef RowsEvent parse_rows(bytes data, int event_type, Py_ssize_t start, Py_ssize_t end, Py_ssize_t post_header_len)
