cimport cython

cdef inline unsigned long long low_bits(unsigned char byte) noexcept:
    return byte & 127

cdef inline long long unzigzag(unsigned long long bits) noexcept:
    return <long long>(bits >> 1) ^ -<long long>(bits & 1)

cdef class AvroReader:
    cdef bytes data
    cdef Py_ssize_t at, end
    cdef int begin(self, bytes avro) except -1
    cdef int next_byte(self) except -1
    @cython.locals(data="const unsigned char *", bits="unsigned long long", shift=int, at=Py_ssize_t,
                   byte="unsigned char")
    cdef long long number(self) except? -1
    @cython.locals(size="long long")
    cdef Py_ssize_t length(self) except -1
    cdef bytes raw(self, Py_ssize_t size)
