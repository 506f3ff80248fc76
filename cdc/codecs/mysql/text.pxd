cimport cython
from cdc.core.avro cimport Writer
from cdc.core.codec cimport Codec
from cdc.codecs.calendar cimport fraction_digits, put_instant
from cdc.codecs.digits cimport two_digits
from cdc.codecs.mysql.binary_times cimport BAD_TIME, NO_TIME, civil_days, clock_us, full_year
from cdc.codecs.numbers cimport LongCodec, RealCodec, in_unit

cdef inline long long wrapped(unsigned long long number, bint negative) noexcept:
    return <long long>(0 - number) if negative else <long long>number

cdef long long _DAY_US
cdef unsigned long long _MAX_BEFORE_DIGIT

cdef int digit_pair(const unsigned char *p, Py_ssize_t at) noexcept
@cython.locals(century=int, year=int, month=int, day=int)
cdef long long text_days(const unsigned char *p, Py_ssize_t at, bint adjust) noexcept
@cython.locals(fraction=int, width=int, digit=int)
cdef int text_fraction(const unsigned char *p, Py_ssize_t at, Py_ssize_t end) noexcept
@cython.locals(p="const unsigned char *", hour=int, minute=int, second=int, fraction=int, days="long long")
cdef long long text_moment(bytes data, Py_ssize_t start, Py_ssize_t end, bint adjust)

cdef class TextIntCodec(LongCodec):
    cdef readonly bint unsigned
    cdef readonly unsigned long long limit
    @cython.locals(p="const unsigned char *", at=Py_ssize_t, negative=bint, number="unsigned long long",
                   digit="unsigned char")
    cpdef long long number(self, bytes data, Py_ssize_t start, Py_ssize_t end) except? -1

cdef class TextFloatCodec(RealCodec):
    cdef readonly bint narrow
    @cython.locals(text=bytes, number=double)
    cpdef double number(self, bytes data, Py_ssize_t start, Py_ssize_t end) except? -1

cdef class TextDateCodec(LongCodec):
    cdef readonly bint adjust
    @cython.locals(p="const unsigned char *", days="long long")
    cpdef long long number(self, bytes data, Py_ssize_t start, Py_ssize_t end) except? -1

cdef class TextTimeCodec(LongCodec):
    cdef readonly int unit
    cdef readonly bint bounded
    @cython.locals(p="const unsigned char *", at=Py_ssize_t, negative=bint, hour=int, tens=int, minute=int, second=int,
                   fraction=int, micros="long long")
    cpdef long long micros(self, bytes data, Py_ssize_t start, Py_ssize_t end) except? -1
    @cython.locals(micros="long long")
    cpdef long long number(self, bytes data, Py_ssize_t start, Py_ssize_t end) except? -1

cdef class TextDatetimeCodec(LongCodec):
    cdef readonly int unit
    cdef readonly bint adjust
    @cython.locals(micros="long long")
    cpdef long long number(self, bytes data, Py_ssize_t start, Py_ssize_t end) except? -1

cdef class TextTimestampCodec(Codec):
    cdef readonly int digits
    @cython.locals(micros="long long")
    cpdef long long micros(self, bytes data, Py_ssize_t start, Py_ssize_t end) except? -1
    @cython.locals(micros="long long")
    cpdef int encode(self, Writer out, bytes data, Py_ssize_t start, Py_ssize_t end) except -1
