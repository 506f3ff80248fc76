cimport cython
from cdc.core.avro cimport Writer
from cdc.core.codec cimport Codec
from cdc.codecs.digits cimport ascii_only

cdef class TextCodec(Codec):
    @cython.locals(p="const unsigned char *")
    cpdef int encode(self, Writer out, bytes data, Py_ssize_t start, Py_ssize_t end) except -1

cdef class DecimalCodec(Codec):
    cdef readonly int scale
    @cython.locals(p="const unsigned char *", at=Py_ssize_t, number="long long", byte="unsigned char", digits=int,
                   fraction=int, negative=bint)
    cdef bint encode_short(self, Writer out, bytes data, Py_ssize_t start, Py_ssize_t end) except -1
    cpdef int encode(self, Writer out, bytes data, Py_ssize_t start, Py_ssize_t end) except -1
