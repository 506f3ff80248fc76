cimport cython
from libc.string cimport memcpy
from cdc.core.avro cimport Writer
from cdc.core.codec cimport Codec
from cdc.codecs.calendar cimport day_number, month_days
from cdc.codecs.digits cimport two_digits
from cdc.codecs.numbers cimport LongCodec, RealCodec, in_unit

cdef extern from "Python.h":
    double PyOS_string_to_double(const char *s, char **end, void *overflow) except? -1.0

cdef inline double bounded_double(const unsigned char *p, Py_ssize_t start, Py_ssize_t end) except? -1.0:
    cdef char text[64]
    memcpy(text, p + start, end - start)
    text[end - start] = 0
    return PyOS_string_to_double(text, NULL, NULL)

cdef long long NOT_PLAIN, _DAY_US

@cython.locals(century=int, year=int, month=int, day=int)
cdef long long c_days(const unsigned char *p, Py_ssize_t at) noexcept
@cython.locals(hour="long long", minute=int, second=int, digit=int, fraction="long long", at=Py_ssize_t, width=int)
cdef long long c_clock(const unsigned char *p, Py_ssize_t start, Py_ssize_t end) noexcept
@cython.locals(p="const unsigned char *")
cdef long long plain_days(bytes data, Py_ssize_t start)
@cython.locals(p="const unsigned char *")
cdef long long plain_clock(bytes data, Py_ssize_t start, Py_ssize_t end)
@cython.locals(p="const unsigned char *", days="long long", clock="long long")
cdef long long plain_micros(bytes data, Py_ssize_t start, Py_ssize_t end)
@cython.locals(p="const unsigned char *", at=Py_ssize_t, number="unsigned long long", digit="unsigned char",
               negative=bint, result="long long")
cdef long long parse_long(bytes data, Py_ssize_t start, Py_ssize_t end, long long low, long long high) except? -1
cdef int nibble(unsigned char byte) noexcept

cdef class IntCodec(LongCodec):
    cdef readonly long long low, high
    cpdef long long number(self, bytes data, Py_ssize_t start, Py_ssize_t end) except? -1

cdef class BoolCodec(Codec):
    cdef readonly unsigned char true, false
    @cython.locals(p="const unsigned char *")
    cpdef bint truth(self, bytes data, Py_ssize_t start, Py_ssize_t end) except? -1
    cpdef int encode(self, Writer out, bytes data, Py_ssize_t start, Py_ssize_t end) except -1

cdef class FloatCodec(RealCodec):
    @cython.locals(p="const unsigned char *", at=Py_ssize_t, byte="unsigned char")
    cpdef double number(self, bytes data, Py_ssize_t start, Py_ssize_t end) except? -1

cdef class ByteaCodec(Codec):
    @cython.locals(p="const unsigned char *", at=Py_ssize_t, high=int, low=int, mark=Py_ssize_t)
    cdef bint encode_hex(self, Writer out, bytes data, Py_ssize_t start, Py_ssize_t end) except -1
    cpdef int encode(self, Writer out, bytes data, Py_ssize_t start, Py_ssize_t end) except -1

cdef class DateCodec(LongCodec):
    cpdef long long number(self, bytes data, Py_ssize_t start, Py_ssize_t end) except? -1

cdef class TimeCodec(LongCodec):
    cdef readonly int unit
    @cython.locals(micros="long long")
    cpdef long long number(self, bytes data, Py_ssize_t start, Py_ssize_t end) except? -1

cdef class TimestampCodec(LongCodec):
    cdef readonly int unit
    @cython.locals(micros="long long")
    cpdef long long number(self, bytes data, Py_ssize_t start, Py_ssize_t end) except? -1
    cpdef object unusual(self, bytes text)

cdef class ZonedTimestampCodec(Codec):
    cdef readonly int digits
    @cython.locals(p="const unsigned char *")
    cdef bint plain(self, bytes data, Py_ssize_t start, Py_ssize_t end) except -1
    cpdef int encode(self, Writer out, bytes data, Py_ssize_t start, Py_ssize_t end) except -1
    @cython.locals(given=int, width=int)
    cdef int encode_plain(self, Writer out, bytes data, Py_ssize_t start, Py_ssize_t end) except -1
