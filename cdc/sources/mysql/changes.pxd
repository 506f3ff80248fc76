cimport cython
from cdc.core.row cimport Row
from cdc.debezium.emit cimport EmittedTable, Emitter, Origin
from cdc.sources.mysql.binlog.decoder cimport BinlogDecoder
from cdc.sources.mysql.binlog.header cimport Header
from cdc.sources.mysql.binlog.rows cimport RowsEvent
from cdc.sources.mysql.table_cache cimport MapState, TableCache
from cdc.sources.mysql.transaction cimport Stream, Transaction

cdef long long _ALL_ROWS
cdef int _ARTIFICIAL

cdef class ChangeReader:
    cdef public object settings
    cdef public Emitter emitter
    cdef public BinlogDecoder binlog
    cdef public Stream stream
    cdef public TableCache tables
    cdef public object statements
    cdef public object native
    @cython.locals(stream=Stream, number=Py_ssize_t, refused=Py_ssize_t, emitter=Emitter)
    cpdef tuple run(self, list events, Py_ssize_t first, Py_ssize_t max_records, Py_ssize_t max_bytes)
    @cython.locals(stream=Stream, header=Header)
    cpdef object feed(self, bytes event)
    @cython.locals(stream=Stream)
    cpdef object step(self)
    @cython.locals(tx=Transaction, counts=bint)
    cpdef object handle(self, Header header, object message, object start)
    @cython.locals(tx=Transaction)
    cpdef object table_map(self, Header header, object message, object start)
    cpdef object gtid(self, Header header, object message, object start)
    cpdef object query(self, Header header, object message, object start)
    cpdef object xid(self, Header header, object message, object start)
    @cython.locals(stream=Stream, tx=Transaction, state=MapState, emitted=EmittedTable, origin=Origin, before=Row,
                   after=Row, emitter=Emitter, op=str, period=tuple, skip=cython.longlong, number=cython.longlong,
                   whole=bint)
    cpdef object rows(self, RowsEvent message, object start)
