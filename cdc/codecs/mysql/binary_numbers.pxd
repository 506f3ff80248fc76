cimport cython
from libc.string cimport memcpy
from cdc.core.avro cimport Writer
from cdc.core.codec cimport Codec
from cdc.codecs.numbers cimport LongCodec, RealCodec

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

@cython.locals(number="unsigned long long")
cdef unsigned long long little_endian(const unsigned char *p, Py_ssize_t at, Py_ssize_t end) noexcept
@cython.locals(number="unsigned long long")
cdef unsigned long long big_endian(const unsigned char *p, Py_ssize_t at, Py_ssize_t end) noexcept

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
