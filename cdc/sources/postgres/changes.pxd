cimport cython
from cdc.core.row cimport Row
from cdc.debezium.emit cimport Emitter, Origin
from cdc.sources.postgres.protocol cimport Cursor, absent_where_null
from cdc.sources.postgres.relations cimport Relations, RelationState
from cdc.sources.postgres.transaction cimport Stream, Transaction

cdef int _INSERT
cdef int _UPDATE
cdef int _DELETE
cdef int _KEEPALIVE
cdef long long _SKIP_ALL

cdef class ChangeReader:
    cdef public Emitter emitter
    cdef public bint transaction_metadata
    cdef public bint null_keys
    cdef public object clock_us
    cdef public object name_type
    cdef public object truncated
    cdef public object events
    cdef public object in_progress
    cdef public Stream stream
    cdef public Relations relations
    cdef public bint apart
    cdef Cursor cursor
    cdef public Row before
    cdef public Row after
    cdef public object replay
    cdef public object replay_end
    cdef public bint answer_wanted

    @cython.locals(records=list, frame=bytes, number=Py_ssize_t, size=Py_ssize_t)
    cpdef tuple run(self, list frames, Py_ssize_t start, Py_ssize_t max_records, Py_ssize_t max_bytes)
    @cython.locals(cursor=Cursor, kind=int, lsn=cython.longlong)
    cpdef object feed(self, bytes frame)
    @cython.locals(cursor=Cursor, kind=int, lsn=cython.longlong, frame=bytes)
    cpdef Py_ssize_t step(self) except -1
    cpdef object message(self, long long lsn, int kind, bint streamed)
    cpdef object keep(self, bytes frame, long long lsn, int kind)
    @cython.locals(stream=Stream, tx=Transaction)
    cpdef object control(self, long long lsn, int kind, bint streamed)
    @cython.locals(stream=Stream, tx=Transaction, state=RelationState, origin=Origin, live=bint)
    cpdef object change(self, long long lsn, int kind)
    @cython.locals(cursor=Cursor, before=Row, after=Row, marker=int)
    cpdef RelationState read_images(self, RelationState state, object oid, int kind)
    @cython.locals(row=Row)
    cpdef Row image(self, RelationState state)
    @cython.locals(index=Py_ssize_t)
    cpdef object fill_key(self, RelationState state, Row row)
    @cython.locals(found=Origin, number=str)
    cpdef Origin origin(self, RelationState state, Transaction tx, long long lsn, bint live)
