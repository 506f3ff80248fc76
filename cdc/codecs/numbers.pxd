from cdc.core.avro cimport Writer
from cdc.core.codec cimport Codec

cdef int _MILLIS, _MICROS
cdef long long _MAX_NANOS_US

cdef class LongCodec(Codec):
    cpdef long long number(self, bytes data, Py_ssize_t start, Py_ssize_t end) except? -1
    cpdef int encode(self, Writer out, bytes data, Py_ssize_t start, Py_ssize_t end) except -1

cdef class RealCodec(Codec):
    cdef readonly bint single
    cpdef double number(self, bytes data, Py_ssize_t start, Py_ssize_t end) except? -1
    cpdef int encode(self, Writer out, bytes data, Py_ssize_t start, Py_ssize_t end) except -1

cpdef long long in_unit(long long micros, int unit) except? -1
