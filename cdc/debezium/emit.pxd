cimport cython
from cdc.core.record cimport Record, SourceContext, new_record
from cdc.core.row cimport Row

cdef class Counters:
    cdef public long long total
    cdef public dict per_table
    @cython.locals(count=cython.longlong)
    cpdef tuple next(self, str collection, str id_)
    cpdef tuple some(self, str collection, long long count)

cdef class EmittedTable:
    cdef public object table
    cdef public str collection
    cdef public bint watched
    cdef public tuple captured
    cdef public tuple key
    cdef public dict mapped

cdef class Origin:
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
    cdef public bint skip_old_half
    cdef public bint skip_new_half
    cdef public bint whole_keys
    cdef public bint tombstones
    cdef public bint skip_unchanged
    cdef public list records
    cdef public bint watched
    cdef public long long more
    cdef public dict counts
    cdef public long long filtered
    cdef list _commits
    cdef long long _commit_us
    cdef long long _committed
    cdef long long _unmarked
    cdef long long _run
    cdef tuple _run_of
    cpdef object create(self, EmittedTable emitted, Origin origin, Row after)
    cpdef object delete(self, EmittedTable emitted, Origin origin, Row before)
    cpdef object update(self, EmittedTable emitted, Origin origin, Row before, Row after)
    cpdef object truncate(self, EmittedTable emitted, Origin origin)
    @cython.locals(index=Py_ssize_t, kind=int, known=bint)
    cpdef bint key_differs(self, EmittedTable emitted, Row before, Row after) except *
    @cython.locals(index=Py_ssize_t)
    cpdef bint key_lacks(self, EmittedTable emitted, Row row) except *
    @cython.locals(index=Py_ssize_t)
    cpdef bint same(self, EmittedTable emitted, Row before, Row after) except *
    cpdef bint shown_alike(self, EmittedTable emitted, Py_ssize_t index, Row before, Row after) except *
    cpdef object mark(self, long long time_us)
    cpdef list take_commits(self, long long time_us)
    cpdef object _end_commits(self)
    cpdef object _end_run(self)
    cpdef long long size(self, Py_ssize_t first=*) except -1
    cpdef object _count_more(self)
    cpdef object add_many(self, EmittedTable emitted, str op, object many)
    cpdef object _count(self, EmittedTable emitted, str op, long long changes)
    @cython.locals(block=tuple, record=Record, context=SourceContext, values=tuple)
    cpdef object emit(self, EmittedTable emitted, Origin origin, str op, Row before, Row after, Row key_row, tuple headers,
                      Row other)
    cpdef object hide(self, EmittedTable emitted, Origin origin, str op, Row before, Row after)
    cpdef object tombstone(self, EmittedTable emitted, Origin origin, Row row, tuple headers)
