cimport cython
from cdc.core.avro cimport Writer
from cdc.core.codec cimport Codec
from cdc.codecs.calendar cimport day_number, month_days, put_instant
from cdc.codecs.mysql.binary_numbers cimport big_endian, little_endian
from cdc.codecs.numbers cimport LongCodec, in_unit

cdef long long _DAY_US, NO_TIME, BAD_TIME

cdef long long civil_days(long long year, long long month, long long day) noexcept
cdef long long full_year(long long year, bint adjust) noexcept
cdef long long clock_us(long long hour, long long minute, long long second) noexcept
cdef long long fraction_us(long long number, int size) noexcept

cdef class LeDateCodec(LongCodec):
    cdef readonly bint adjust
    @cython.locals(p="const unsigned char *", bits=int, days="long long")
    cpdef long long number(self, bytes data, Py_ssize_t start, Py_ssize_t end) except? -1

cdef class Time2Codec(LongCodec):
    cdef readonly int unit
    cdef readonly bint bounded, old
    @cython.locals(p="const unsigned char *", size=int, packed="long long", span="long long", clock="long long",
                   micros="long long")
    cpdef long long micros(self, bytes data, Py_ssize_t start, Py_ssize_t end) except? -1
    @cython.locals(micros="long long")
    cpdef long long number(self, bytes data, Py_ssize_t start, Py_ssize_t end) except? -1

cdef class Datetime2Codec(LongCodec):
    cdef readonly int unit
    cdef readonly bint adjust, old
    @cython.locals(p="const unsigned char *", size=Py_ssize_t, bits="long long", date="long long", clock="long long",
                   days="long long", hour="long long", micros="long long", fraction="long long")
    cpdef long long micros(self, bytes data, Py_ssize_t start, Py_ssize_t end) except? -1
    @cython.locals(micros="long long")
    cpdef long long number(self, bytes data, Py_ssize_t start, Py_ssize_t end) except? -1

cdef class Timestamp2Codec(Codec):
    cdef readonly int digits
    cdef readonly bint old
    @cython.locals(p="const unsigned char *", size=Py_ssize_t, seconds="long long", fraction="long long")
    cpdef long long micros(self, bytes data, Py_ssize_t start, Py_ssize_t end) except? -1
    cpdef int encode(self, Writer out, bytes data, Py_ssize_t start, Py_ssize_t end) except -1
