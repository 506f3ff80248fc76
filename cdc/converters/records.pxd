cimport cython
from cdc.core.record cimport Record
from cdc.core.row cimport Row
from cdc.converters.plan cimport AvroPlan

cdef class TablePlan:
    cdef str name
    cdef AvroPlan avro
    cdef object values
    cdef bint avro_key
    cdef bint avro_value

cdef class RecordConverter:
    cdef public object key
    cdef public object value
    cdef public object header_converter
    cdef public object failures
    cdef public list context_headers
    cdef public bint tolerant
    cdef public object on_error
    cdef public dict plans
    cdef public dict header_cache
    cdef public object out
    @cython.locals(out=list)
    cpdef list convert(self, list records, long long now_us)
    @cython.locals(plan=TablePlan, op=str, other=Row)
    cpdef object row_change(self, Record record, long long now_us)
    cpdef object key_value(self, TablePlan plan, Row row, Row other)
    cpdef list key_headers(self, TablePlan plan, Record record)
