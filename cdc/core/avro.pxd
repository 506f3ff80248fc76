cimport cython
from libc.stdlib cimport malloc, realloc, free
from libc.string cimport memcpy
from cpython.bytes cimport PyBytes_FromStringAndSize, PyBytes_AS_STRING

cdef inline unsigned char *new_buffer(Py_ssize_t size) except NULL:
    cdef unsigned char *p = <unsigned char *>malloc(size)
    if p == NULL:
        raise MemoryError
    return p

cdef inline unsigned char *grow_buffer(unsigned char *buf, Py_ssize_t size) except NULL:
    cdef unsigned char *p = <unsigned char *>realloc(buf, size)
    if p == NULL:
        raise MemoryError
    return p

cdef inline void free_buffer(unsigned char *buf) noexcept:
    free(buf)

cdef inline bytes buffer_bytes(unsigned char *buf, Py_ssize_t size):
    return PyBytes_FromStringAndSize(<char *>buf, size)

cdef inline unsigned long long zigzag(long long value) noexcept:
    return (<unsigned long long>value << 1) ^ <unsigned long long>(value >> 63)

cdef inline void put_float32(unsigned char *p, double value) noexcept:
    cdef float f = <float>value
    memcpy(p, &f, 4)

cdef inline void put_float64(unsigned char *p, double value) noexcept:
    memcpy(p, &value, 8)

cdef inline void copy_range(unsigned char *to, bytes data, Py_ssize_t start, Py_ssize_t end):
    memcpy(to, PyBytes_AS_STRING(data) + start, end - start)

cdef class Writer:
    cdef unsigned char *buf
    cdef Py_ssize_t used, cap
    cdef object out
    cpdef Py_ssize_t size(self) noexcept
    cpdef int truncate(self, Py_ssize_t size) except -1
    cpdef bytes take(self)
    cpdef int put_byte(self, unsigned char byte) except -1
    @cython.locals(bits=cython.ulonglong)
    cpdef int put_long(self, long long value) except -1
    @cython.locals(size=int)
    cpdef int put_integer(self, long long value) except -1
    cpdef int put_float(self, double value) except -1
    cpdef int put_double(self, double value) except -1
    cpdef int put_raw(self, bytes data) except -1
    cpdef int put_range(self, bytes data, Py_ssize_t start, Py_ssize_t end) except -1
    cpdef int put_bytes(self, bytes data) except -1
    cpdef int put_slice(self, bytes data, Py_ssize_t start, Py_ssize_t end) except -1
    cpdef int put_text(self, str text) except -1
    cdef int need(self, Py_ssize_t count) except -1

cpdef int write_value(Writer out, object schema, object value) except -1
@cython.locals(has_default=bint, null=bint)
cpdef int write_field(Writer out, object schema, object value, bint null_is_default=*) except -1
