cimport cython
from cpython.bytes cimport PyBytes_AS_STRING
from cdc.core.row cimport Row

cdef inline unsigned int be32(bytes data, Py_ssize_t pos) noexcept:
    cdef const unsigned char *p = <const unsigned char *>PyBytes_AS_STRING(data) + pos
    return (<unsigned int>p[0] << 24) | (<unsigned int>p[1] << 16) | (<unsigned int>p[2] << 8) | p[3]

cdef inline unsigned long long be64(bytes data, Py_ssize_t pos) noexcept:
    return (<unsigned long long>be32(data, pos) << 32) | be32(data, pos + 4)

cdef int _COLUMN_NULL
cdef int _COLUMN_UNCHANGED
cdef int _COLUMN_TEXT
cdef int _COLUMN_BINARY

cdef class Cursor:
    cdef public bytes data
    cdef public Py_ssize_t pos
    cdef public Py_ssize_t end
    cpdef int reset(self, bytes data, Py_ssize_t pos) except -1
    cpdef Py_ssize_t left(self) noexcept
    @cython.locals(pos=Py_ssize_t, p="const unsigned char *")
    cpdef int u8(self) except -1
    @cython.locals(pos=Py_ssize_t, p="const unsigned char *")
    cpdef int u16(self) except -1
    @cython.locals(pos=Py_ssize_t)
    cpdef unsigned int u32(self) except? 0
    @cython.locals(pos=Py_ssize_t)
    cpdef unsigned long long u64(self) except? 0
    @cython.locals(value="unsigned long long")
    cpdef unsigned long long lsn(self) except? 0
    cpdef object time_us(self)
    cpdef str text(self)
    cpdef bytes take(self, Py_ssize_t count)
    cpdef int short(self, Py_ssize_t count) except -1
    @cython.locals(count=Py_ssize_t, data=bytes, row=Row, end=Py_ssize_t, p="const unsigned char *", pos=Py_ssize_t,
                   index=Py_ssize_t, kind=int, length=Py_ssize_t)
    cpdef Row row(self)
    cpdef int finish(self, str what) except -1

@cython.locals(index=Py_ssize_t)
cpdef int absent_where_null(Row row) except -1
