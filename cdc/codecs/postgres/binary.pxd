cimport cython
from libc.string cimport memcpy
from cdc.core.avro cimport Writer
from cdc.core.codec cimport Codec
from cdc.codecs.calendar cimport fraction_digits, put_instant
from cdc.codecs.numbers cimport LongCodec, RealCodec, in_unit
from cdc.codecs.text cimport DecimalCodec

cdef inline double double_of(long long bits) noexcept:
    cdef double number
    memcpy(&number, &bits, 8)
    return number

cdef inline double float_of(long long bits) noexcept:
    cdef int word = <int>bits
    cdef float number
    memcpy(&number, &word, 4)
    return number

cdef long long _DAY_US, _MAX_DAYS, _MAX_MICROS, _EPOCH_US, _EPOCH_MS, _MAX_LONG, _EPOCH_DAYS
cdef long long _FIRST_DAY, _LAST_DAY, _MAX_BEFORE_GROUP, _MAX_BEFORE_DIGIT
cdef double _NAN
cdef int _MILLIS

@cython.locals(number="long long", end=Py_ssize_t)
cdef long long big_endian(const unsigned char *p, Py_ssize_t at, int size) noexcept

cdef class BinaryIntCodec(LongCodec):
    cdef readonly int size
    cdef readonly bint unsigned
    @cython.locals(p="const unsigned char *", number="long long")
    cpdef long long number(self, bytes data, Py_ssize_t start, Py_ssize_t end) except? -1

cdef class BinaryBoolCodec(Codec):
    @cython.locals(p="const unsigned char *")
    cpdef bint truth(self, bytes data, Py_ssize_t start, Py_ssize_t end) except? -1
    cpdef int encode(self, Writer out, bytes data, Py_ssize_t start, Py_ssize_t end) except -1

cdef class BinaryFloatCodec(RealCodec):
    @cython.locals(p="const unsigned char *", number=double)
    cpdef double number(self, bytes data, Py_ssize_t start, Py_ssize_t end) except? -1

cdef class BinaryDecimalCodec(Codec):
    cdef readonly DecimalCodec codec
    cdef readonly int scale
    @cython.locals(p="const unsigned char *", groups="long long", sign="long long", power="long long",
                   number="long long", group="long long", at=Py_ssize_t)
    cdef bint encode_short(self, Writer out, bytes data, Py_ssize_t start, Py_ssize_t end) except -1
    cpdef int encode(self, Writer out, bytes data, Py_ssize_t start, Py_ssize_t end) except -1

cdef class BinaryByteaCodec(Codec):
    cpdef int encode(self, Writer out, bytes data, Py_ssize_t start, Py_ssize_t end) except -1

cdef class BinaryUuidCodec(Codec):
    cpdef int encode(self, Writer out, bytes data, Py_ssize_t start, Py_ssize_t end) except -1
    @cython.locals(p="const unsigned char *", q="unsigned char *", to=Py_ssize_t, at=int, byte=int, digit=int)
    cdef int encode_sixteen(self, Writer out, bytes data, Py_ssize_t start) except -1

cdef class PrefixedCodec(Codec):
    cdef readonly Codec codec
    @cython.locals(p="const unsigned char *")
    cdef int check(self, bytes data, Py_ssize_t start, Py_ssize_t end) except -1
    cpdef int encode(self, Writer out, bytes data, Py_ssize_t start, Py_ssize_t end) except -1

cdef class BinaryDateCodec(LongCodec):
    @cython.locals(p="const unsigned char *", days="long long")
    cpdef long long number(self, bytes data, Py_ssize_t start, Py_ssize_t end) except? -1

cdef class BinaryTimeCodec(LongCodec):
    cdef readonly int unit
    @cython.locals(p="const unsigned char *", micros="long long")
    cpdef long long number(self, bytes data, Py_ssize_t start, Py_ssize_t end) except? -1

cdef class BinaryTimestampCodec(LongCodec):
    cdef readonly int unit
    @cython.locals(p="const unsigned char *", micros="long long")
    cpdef long long number(self, bytes data, Py_ssize_t start, Py_ssize_t end) except? -1

cdef class BinaryZonedTimestampCodec(Codec):
    cdef readonly int digits
    @cython.locals(p="const unsigned char *", micros="long long", days="long long")
    cdef bint encode_plain(self, Writer out, bytes data, Py_ssize_t start, Py_ssize_t end) except -1
    cpdef int encode(self, Writer out, bytes data, Py_ssize_t start, Py_ssize_t end) except -1


cdef class BinaryAsText(Codec):
    cdef readonly Codec codec
    cdef readonly object render
    @cython.locals(text=bytes)
    cpdef int encode(self, Writer out, bytes data, Py_ssize_t start, Py_ssize_t end) except -1
