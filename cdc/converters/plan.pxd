cimport cython
from cdc.core.avro cimport Writer, write_field, write_value
from cdc.core.codec cimport Codec
from cdc.core.record cimport Record, SourceContext
from cdc.core.row cimport Row

cdef class ColumnOp:
    cdef public object column
    cdef readonly Py_ssize_t index
    cdef bint as_key
    cdef readonly Codec codec
    cdef readonly Codec binary_codec
    cdef readonly int branch
    cdef readonly bytes null
    cdef readonly bytes unchanged

cdef class FieldOp:
    cdef readonly object schema
    cdef readonly bint optional
    cdef readonly bint text
    cdef readonly bint integer

cpdef int put_field(Writer out, FieldOp op, object value, bint null_is_default) except -1
@cython.locals(out=Writer, op=FieldOp, index=Py_ssize_t, pieces=list)
cpdef list source_pieces(SourceContext context, list ops, bint null_is_default)

cdef class AvroPlan:
    cdef public object table
    cdef readonly bytes key_prefix
    cdef readonly bytes value_prefix
    cdef readonly bint null_is_default
    cdef object failures
    cdef readonly list columns
    cdef readonly list keys
    cdef readonly bytes key_tail
    cdef Writer out
    cdef object block_schema
    cdef object source_schema
    cdef list source_ops
    @cython.locals(out=Writer)
    cpdef bytes key(self, Row row, Row other)
    @cython.locals(out=Writer, before=Row, after=Row)
    cpdef bytes value(self, Record record, long long now_us)
    @cython.locals(op=ColumnOp, index=Py_ssize_t, image=Row, kind=int, known=int, size=Py_ssize_t, codec=Codec)
    cpdef int write_row(self, Writer out, list ops, Row row, Row other) except -1
    @cython.locals(position=Py_ssize_t, pieces=list, ops=list)
    cpdef int write_source(self, Writer out, SourceContext context, tuple values) except -1
