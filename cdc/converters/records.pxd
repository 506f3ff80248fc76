cimport cython
from cdc.core.record cimport Record
from cdc.core.row cimport Row
from cdc.converters.plan cimport AvroPlan
from cdc.converters.shaped cimport ShapedConverter

cdef class TablePlan:
    cdef readonly str name
    cdef readonly AvroPlan avro
    cdef object values
    cdef bint avro_key
    cdef bint avro_value
    cdef readonly object print_key
    cdef readonly object print_value

cdef class RecordConverter:
    cdef public object key
    cdef public object value
    cdef public object header_converter
    cdef public object failures
    cdef public list context_headers
    cdef public bint tolerant
    cdef public bint alike
    cdef public dict plans
    cdef public long long plan_count
    cdef public dict header_cache
    cdef public object out
    cdef public object viewed
    cdef public ShapedConverter shaped
    cdef public object schema_headers
    @cython.locals(out=list)
    cpdef list convert(self, object records, long long now_us, list failed=*)
    cpdef object one(self, object record, long long now_us, list failed)
    @cython.locals(plan=TablePlan, op=str)
    cpdef object row_change(self, Record record, long long now_us)
    @cython.locals(other=Row)
    cpdef object row_key(self, TablePlan plan, Record record)
    cpdef object key_value(self, TablePlan plan, Row row, Row other)
    cpdef list key_headers(self, TablePlan plan, Record record)
