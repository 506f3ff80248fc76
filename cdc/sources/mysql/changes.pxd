# Attributes that are not named here are kept in a dict, as in Python.
cimport cython
from cdc.core.row cimport Row
from cdc.sources.emit cimport Emitter, Place, Target
from cdc.sources.mysql.binlog cimport BinlogDecoder
from cdc.sources.mysql.header cimport Header
from cdc.sources.mysql.rows cimport RowsEvent

cdef long long _ALL_ROWS
cdef int _ARTIFICIAL

cdef class Transaction:
    cdef dict __dict__
    cdef public str file
    cdef public object pos
    cdef public str id
    cdef public object gtid
    cdef public object time_us
    cdef public long long event
    cdef public object thread
    cdef public object query
    cdef public object counters
    cdef public dict contexts
    cdef public object gtid_event
    cdef public long long skip_event
    cdef public long long skip_row
    cdef public bint held
    cdef public bint captured
    cdef public bint ignored
    cdef public long long base
    cdef public Py_ssize_t first
    cdef public long long began_at

cdef class MapState:
    cdef dict __dict__
    cdef public object table_map
    cdef public object id
    cdef public Target target
    cdef public Target inserted

cdef class Decoder:
    cdef dict __dict__
    cdef public Emitter emitter
    cdef public BinlogDecoder binlog
    cdef public dict maps
    cdef public dict states
    cdef public str file
    cdef public object pos
    cdef public object gtids
    cdef public Transaction transaction
    cdef public object payload
    cdef public object pending_gtid
    cdef public object replayed
    cdef public long long size_bytes
    cdef public long long fed_bytes
    @cython.locals(number=Py_ssize_t, records=list)
    cpdef tuple run(self, list events, Py_ssize_t first, Py_ssize_t max_records, Py_ssize_t max_bytes)
    @cython.locals(header=Header)
    cpdef object feed(self, bytes event)
    cpdef object handle(self, Header header, object message, object start)
    cpdef object counted(self)
    cpdef object table_map(self, object message)
    @cython.locals(tx=Transaction, state=MapState, target=Target, place=Place, before=Row, after=Row, emitter=Emitter,
                   op=str, skip=cython.longlong, number=cython.longlong, whole=bint)
    cpdef object rows(self, RowsEvent message, object start)
