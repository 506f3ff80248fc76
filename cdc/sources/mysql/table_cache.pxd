cimport cython
from cdc.debezium.emit cimport EmittedTable
from cdc.sources.mysql.transaction cimport Stream

cdef class MapState:
    cdef public object table_map
    cdef public object id
    cdef public EmittedTable target
    cdef public EmittedTable inserted
    cdef public tuple period
    cdef public object native

cdef class TableCache:
    cdef public object settings
    cdef public Stream stream
    cdef public object builder
    cdef public object structures
    cdef public object reread
    cdef public dict states
    cdef public long long columns
    cdef public long long version
    cdef public long long generation
    cdef public set told
    @cython.locals(state=MapState)
    cpdef MapState state(self, object message)
