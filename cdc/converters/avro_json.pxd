cimport cython
from cdc.core.avro cimport Writer
from cdc.converters.avro_reader cimport AvroReader

cdef int _LONG, _TEXT, _BOOLEAN, _DOUBLE, _FLOAT, _BYTES, _DECIMAL, _STRUCT, _ARRAY, _MAP, _PAIRS, _ENTRIES
cdef list _ESCAPES
cdef long long _LEAST

cdef inline int put_decimal(Writer out, unsigned long long value) except -1:
    cdef unsigned char digits[20]
    cdef int at = 20
    while True:
        at -= 1
        digits[at] = 48 + value % 10
        value //= 10
        if value == 0:
            break
    out.need(20)
    while at < 20:
        out.buf[out.used] = digits[at]
        out.used += 1
        at += 1
    return 0

cdef class JsonOp:
    cdef bytes before, null
    cdef int null_branch, kind, scale
    cdef list parts

cdef class JsonPrinter(AvroReader):
    cdef JsonOp op
    cdef bytes before, after
    cdef Writer out
    @cython.locals(out=Writer)
    cpdef bytes printed(self, bytes avro)
    cdef int put(self, Writer out, JsonOp op) except -1
    @cython.locals(kind=int, size=Py_ssize_t, part=JsonOp)
    cdef int put_value(self, Writer out, JsonOp op) except -1
    cdef int put_other(self, Writer out, JsonOp op) except -1
    @cython.locals(count="long long", first=bint, _="long long")
    cdef int put_entries(self, Writer out, JsonOp op, bytes opening, bytes between, bytes closing) except -1
    @cython.locals(key=JsonOp)
    cdef int put_key(self, Writer out, JsonOp op) except -1

@cython.locals(part=JsonOp)
cdef object _add_native(list found, JsonOp op)
cdef int put_number(Writer out, long long value) except -1
@cython.locals(at=Py_ssize_t, byte="unsigned char", p="const unsigned char *")
cdef int put_string(Writer out, bytes data, Py_ssize_t start, Py_ssize_t end) except -1
cdef int put_float(Writer out, str text) except -1
