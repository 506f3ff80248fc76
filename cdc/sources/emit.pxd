cimport cython
from cdc.core.record cimport Record, SourceContext, new_record
from cdc.core.row cimport Row

cdef class Counters:
    cdef public long long total
    cdef public dict per_table
    @cython.locals(count=cython.longlong)
    cpdef tuple next(self, str collection, str id_)

cdef class Target:
    cdef public object table
    cdef public str collection
    cdef public tuple captured
    cdef public tuple key
    cdef public dict mapped

cdef class Place:
    cdef public SourceContext context
    cdef public tuple values
    cdef public bint live
    cdef public Counters counters
    cdef public str transaction_id

cdef class Emitter:
    cdef public bint skip_create
    cdef public bint skip_update
    cdef public bint skip_delete
    cdef public bint skip_truncate
    cdef public bint tombstones
    cdef public bint skip_unchanged
    cdef public list records
    cdef public dict counts
    cdef public long long filtered
    cdef long long _run
    cdef tuple _run_of
    cpdef object create(self, Target target, Place place, Row after)
    cpdef object delete(self, Target target, Place place, Row before)
    cpdef object update(self, Target target, Place place, Row before, Row after)
    cpdef object truncate(self, Target target, Place place)
    @cython.locals(index=Py_ssize_t, kind=int)
    cpdef bint key_differs(self, Target target, Row before, Row after) except *
    @cython.locals(index=Py_ssize_t)
    cpdef bint same(self, Target target, Row before, Row after) except *
    cpdef bint shown_alike(self, Target target, Py_ssize_t index, Row before, Row after) except *
    cpdef object _end_run(self)
    @cython.locals(block=tuple, record=Record)
    cpdef object emit(self, Target target, Place place, str op, Row before, Row after, Row key_row, tuple headers,
                      Row other)
    cpdef object tombstone(self, Target target, Place place, Row row, tuple headers)
