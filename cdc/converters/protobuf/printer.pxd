cimport cython
from cdc.core.avro cimport Writer
from cdc.converters.avro_reader cimport AvroReader

cdef int _INTEGER, _BOOL, _TEXT, _FIXED, _MESSAGE, _MAP, _REPEATED, _PACKED, _DECIMAL, _DATE, _TIME, _STAMP

cdef inline int put_unsigned(Writer out, long long value) except -1:
    cdef unsigned long long bits = <unsigned long long>value
    out.need(10)
    while bits > 127:
        out.buf[out.used] = (bits & 127) | 128
        out.used += 1
        bits >>= 7
    out.buf[out.used] = bits
    out.used += 1
    return 0

cdef class ProtoOp:
    cdef public str name
    cdef public object schema
    cdef public bytes key, null, zero
    cdef public bint always
    cdef public int null_branch, kind
    cdef public list parts
    cdef Writer child

cdef class ProtobufPrinter(AvroReader):
    cdef bytes before
    cdef int null_branch
    cdef list parts
    cdef Writer out
    @cython.locals(out=Writer, part=ProtoOp)
    cpdef bytes printed(self, bytes avro)
    cdef int put(self, Writer out, ProtoOp op) except -1
    @cython.locals(kind=int, size=Py_ssize_t, number="long long", byte=int, child=Writer, part=ProtoOp)
    cdef int put_value(self, Writer out, ProtoOp op) except -1
    @cython.locals(raw=bytes)
    cdef int put_other(self, Writer out, ProtoOp op) except -1
    cdef bytes logical(self, ProtoOp op)
    @cython.locals(item=ProtoOp, child=Writer, count="long long", _="long long")
    cdef int put_items(self, Writer out, ProtoOp op) except -1
    @cython.locals(key=ProtoOp, item=ProtoOp, count="long long", _="long long")
    cdef int put_entries(self, Writer out, ProtoOp op) except -1

cdef int put_child(Writer out, ProtoOp op) except -1
cdef int put_size(Writer out, Py_ssize_t size) except -1
cdef int put_signed(Writer out, long long value) except -1
