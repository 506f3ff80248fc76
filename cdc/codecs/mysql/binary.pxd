cimport cython
from cdc.core.avro cimport Writer
from cdc.core.codec cimport Codec
from cdc.codecs.digits cimport ascii_only
from cdc.codecs.mysql.binary_numbers cimport little_endian

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
