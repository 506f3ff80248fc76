cimport cython
from cdc.core.avro cimport Writer
from cdc.converters.avro_json cimport JsonOp, JsonPrinter

cdef class EnvelopeReader(JsonPrinter):
    cdef object schema
    cdef list shown, wanted
    cdef Writer scratch
    cdef public list ends
    @cython.locals(out=Writer, part=JsonOp, start=Py_ssize_t, first=bint)
    cpdef tuple read(self, bytes avro)
    cpdef object value_of(self, schema)
