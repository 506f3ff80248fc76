cimport cython
from cdc.core.row cimport Row
from cdc.debezium.emit cimport Counters, EmittedTable, Emitter, Origin
from cdc.sources.postgres.protocol cimport Cursor, absent_where_null

cdef int _INSERT
cdef int _UPDATE
cdef int _DELETE
cdef int _KEEPALIVE

cdef class RelationState:
    cdef public object relation
    cdef public object table
    cdef public str collection
    cdef public Py_ssize_t column_count
    cdef public tuple required
    cdef public tuple enums
    cdef public object doubt
    cdef public EmittedTable emitted

cdef class Transaction:
    cdef public object final_lsn
    cdef public object commit_time_us
    cdef public object xid
    cdef public long long skip
    cdef public long long skip_until_lsn
    cdef public long long skip_before_lsn
    cdef public long long skip_rows
    cdef public long long changes
    cdef public Counters counters
    cdef public dict origins
    cdef public object origin
    cdef public object origin_lsn
    cdef public str sequence_head

cdef class ChangeReader:
    cdef public Emitter emitter
    cdef public bint transaction_metadata
    cdef public bint null_keys
    cdef public object clock_us
    cdef public object resolve
    cdef public object relax
    cdef public object relabel
    cdef public object name_type
    cdef public object truncated
    cdef public object events
    cdef public object in_progress
    cdef public bint apart
    cdef Cursor cursor
    cdef public Row before
    cdef public Row after
    cdef public dict relations
    cdef public set doubtful
    cdef public Transaction transaction
    cdef public object replay
    cdef public object replay_end
    cdef public dict outer_relations
    cdef public object resumed
    cdef public object end_lsn
    cdef public object last_lsn
    cdef public int last_kind
    cdef public object last_time_us
    cdef public object commit_lsn
    cdef public long long transactions
    cdef public bint answer_wanted
    cdef public object due
    cdef public bint caught_up
    cdef public dict refused
    cdef public object shown

    @cython.locals(records=list, frame=bytes, number=Py_ssize_t, size=Py_ssize_t)
    cpdef tuple run(self, list frames, Py_ssize_t start, Py_ssize_t max_records, Py_ssize_t max_bytes)
    @cython.locals(cursor=Cursor, kind=int, lsn=cython.longlong)
    cpdef object feed(self, bytes frame)
    @cython.locals(cursor=Cursor, kind=int, lsn=cython.longlong, frame=bytes)
    cpdef Py_ssize_t step(self) except -1
    cpdef object message(self, long long lsn, int kind, bint streamed)
    cpdef object keep(self, bytes frame, long long lsn, int kind)
    cpdef object control(self, long long lsn, int kind, bint streamed)
    @cython.locals(tx=Transaction, state=RelationState, origin=Origin, live=bint)
    cpdef object change(self, long long lsn, int kind)
    cpdef bint count(self, Transaction tx, long long lsn, bint row=*) except *
    @cython.locals(cursor=Cursor, before=Row, after=Row, marker=int)
    cpdef RelationState read_images(self, RelationState state, object oid, int kind)
    @cython.locals(row=Row)
    cpdef Row image(self, RelationState state)
    @cython.locals(index=Py_ssize_t)
    cpdef object fill_key(self, RelationState state, Row row)
    @cython.locals(index=Py_ssize_t)
    cpdef RelationState nullable(self, RelationState state, object oid, Row row)
    cpdef RelationState labelled(self, RelationState state, object oid, Row row)
    @cython.locals(found=Origin, number=str)
    cpdef Origin origin(self, RelationState state, Transaction tx, long long lsn, bint live)
