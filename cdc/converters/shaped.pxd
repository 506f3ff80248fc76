cimport cython
from cdc.core.avro cimport Writer
from cdc.core.outcome cimport Shaped
from cdc.core.record cimport Record
from cdc.core.row cimport Row
from cdc.converters.plan cimport AvroPlan, FieldOp, put_field

cdef class RowPlan:
    cdef AvroPlan plan
    cdef readonly bint optional
    cdef readonly list fields
    @cython.locals(plan=AvroPlan, out=Writer, op=FieldOp, position=Py_ssize_t, data=bytes)
    cpdef bytes value(self, Record record, bint before, tuple extra)

cdef class ShapePlan:
    cdef readonly str name
    cdef readonly str op
    cdef readonly str topic
    cdef readonly AvroPlan key
    cdef readonly object print_key
    cdef readonly AvroPlan value
    cdef readonly object print_value
    cdef readonly object null
    cdef readonly bint before
    cdef readonly tuple extras
    cdef readonly RowPlan row
    @cython.locals(data=bytes)
    cpdef bytes value_of(self, Record record, long long now_us)
    @cython.locals(found=list, kind=int, number=int)
    cpdef tuple extra(self, Record record, long long now_us)

@cython.locals(varying=tuple)
cpdef object of_event(Record record, long long now_us, int kind, int number)

cdef class Side:
    cdef readonly AvroPlan plan
    cdef readonly object printer

cdef class ShapedConverter:
    cdef public object key
    cdef public object value
    cdef public object header_converter
    cdef public object failures
    cdef public object headers_for
    cdef public Writer out
    cdef public object viewed
    cdef public bint planned
    cdef public dict plans
    cdef public dict headers
    @cython.locals(record=Record, plan=ShapePlan, other=Row)
    cpdef object outgoing(self, Shaped shaped, long long now_us)
    cpdef list headers_of(self, str topic)
    cpdef list key_headers(self, Record record, str topic)
    cpdef ShapePlan plan_of(self, object outcome)
    @cython.locals(key=Side, value=Side)
    cpdef object plan_for(self, object outcome)
    @cython.locals(plan=AvroPlan)
    cpdef Side side(self, object converter, str topic, object schema, object outcome)
