cimport cython
from cdc.core.row cimport Row
from cdc.debezium.emit cimport EmittedTable

cdef class RelationState:
    cdef public object relation
    cdef public object table
    cdef public str collection
    cdef public Py_ssize_t column_count
    cdef public tuple required
    cdef public tuple enums
    cdef public object doubt
    cdef public EmittedTable emitted

cdef class Relations:
    cdef public object resolve
    cdef public object relax
    cdef public object relabel
    cdef public dict states
    cdef public set doubtful
    cdef public dict refused
    cdef public dict outer

    @cython.locals(index=Py_ssize_t)
    cpdef RelationState nullable(self, RelationState state, object oid, Row row)
    cpdef RelationState labelled(self, RelationState state, object oid, Row row)
