cimport cython
from libc.string cimport memcpy
from cdc.core.avro cimport Writer, write_value
from cdc.core.codec cimport Codec
from cdc.codecs.digits cimport ascii_only, put_date, put_digits
from cdc.codecs.numbers cimport LongCodec, RealCodec, in_unit

cdef inline double double_at(const unsigned char *p, Py_ssize_t at) noexcept:
    cdef double number
    memcpy(&number, p + at, 8)
    return number

cdef inline double float_at(const unsigned char *p, Py_ssize_t at) noexcept:
    cdef float number
    memcpy(&number, p + at, 4)
    return number

cdef inline long long sign_extended(unsigned long long bits, int width) noexcept:
    return <long long>(bits << (64 - width)) >> (64 - width)

cdef inline long long as_signed(unsigned long long bits) noexcept:
    return <long long>bits

cdef long long _DAY_US, NO_TIME, BAD_TIME

@cython.locals(number="unsigned long long")
cdef unsigned long long little_endian(const unsigned char *p, Py_ssize_t at, Py_ssize_t end) noexcept
@cython.locals(number="unsigned long long")
cdef unsigned long long big_endian(const unsigned char *p, Py_ssize_t at, Py_ssize_t end) noexcept
@cython.locals(era="long long", of_era="long long", of_year="long long")
cdef long long civil_days(long long year, long long month, long long day) noexcept
cdef int last_day(long long year, long long month) noexcept
cdef long long full_year(long long year, bint adjust) noexcept
cdef long long clock_us(long long hour, long long minute, long long second) noexcept
cdef long long fraction_us(long long number, int size) noexcept

cdef class LeIntCodec(LongCodec):
    cdef readonly int size
    cdef readonly bint unsigned
    @cython.locals(p="const unsigned char *", bits="unsigned long long")
    cpdef long long number(self, bytes data, Py_ssize_t start, Py_ssize_t end) except? -1

cdef class LeFloatCodec(RealCodec):
    @cython.locals(p="const unsigned char *", number=double)
    cpdef double number(self, bytes data, Py_ssize_t start, Py_ssize_t end) except? -1

cdef class BinDecimalCodec(Codec):
    cdef readonly int precision, scale, groups, head_size, size
    cdef readonly long long head_limit, tail_limit
    cdef readonly object sign_bit, all_bits
    cdef readonly bint short
    cpdef object unscaled(self, bytes data, Py_ssize_t start, Py_ssize_t end)
    @cython.locals(p="const unsigned char *", mask=int, byte=int, number="long long", group="long long", at=Py_ssize_t,
                   stop=Py_ssize_t, groups=int)
    cdef bint encode_short(self, Writer out, bytes data, Py_ssize_t start, Py_ssize_t end) except -1
    cpdef int encode(self, Writer out, bytes data, Py_ssize_t start, Py_ssize_t end) except -1

cdef class BytesCodec(Codec):
    cpdef int encode(self, Writer out, bytes data, Py_ssize_t start, Py_ssize_t end) except -1

cdef class PaddedBytesCodec(Codec):
    cdef readonly Py_ssize_t length
    @cython.locals(missing=Py_ssize_t)
    cpdef int encode(self, Writer out, bytes data, Py_ssize_t start, Py_ssize_t end) except -1

cdef class BitFlagCodec(Codec):
    @cython.locals(p="const unsigned char *")
    cpdef bint truth(self, bytes data, Py_ssize_t start, Py_ssize_t end) except? -1
    cpdef int encode(self, Writer out, bytes data, Py_ssize_t start, Py_ssize_t end) except -1

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

@cython.locals(days="long long", rest="long long", seconds="long long", fraction="long long", width=int,
               q="unsigned char *", to=Py_ssize_t)
cdef int put_instant(Writer out, long long micros, int digits) except -1

cdef class LabelCodec(Codec):
    cdef readonly tuple labels
    cdef readonly list texts
    @cython.locals(p="const unsigned char *", index=Py_ssize_t)
    cpdef Py_ssize_t index(self, bytes data, Py_ssize_t start, Py_ssize_t end) except? -1
    cpdef int encode(self, Writer out, bytes data, Py_ssize_t start, Py_ssize_t end) except -1

cdef class CharsetCodec(Codec):
    cdef readonly object decode
    cdef readonly bint ascii
    @cython.locals(p="const unsigned char *")
    cpdef int encode(self, Writer out, bytes data, Py_ssize_t start, Py_ssize_t end) except -1

cdef class FloatVectorCodec(Codec):
    cpdef int encode(self, Writer out, bytes data, Py_ssize_t start, Py_ssize_t end) except -1
