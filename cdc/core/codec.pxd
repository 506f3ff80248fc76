from cdc.core.avro cimport Writer, write_value

cdef class Codec:
    cdef public object schema
    cpdef object value(self, bytes data, Py_ssize_t start, Py_ssize_t end)
    cpdef int encode(self, Writer out, bytes data, Py_ssize_t start, Py_ssize_t end) except -1
