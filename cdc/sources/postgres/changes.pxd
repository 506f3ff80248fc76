cimport cython
from cdc.core.row cimport Row
from cdc.core.record cimport Record, SourceContext
from cdc.sources.postgres.protocol cimport Cursor, absent_where_null

cdef class RelationState:
    cdef public object relation
    cdef public object table
    cdef public str collection
    cdef public Py_ssize_t column_count
    cdef public tuple required
    cdef public tuple captured
    cdef public tuple key

cdef class Transaction:
    cdef public object final_lsn
    cdef public object commit_time_us
    cdef public object xid
    cdef public long long skip
    cdef public long long skip_until_lsn
    cdef public long long skip_before_lsn
    cdef public long long changes
    cdef public long long total
    cdef public dict per_table
    cdef public dict contexts
    cdef public object origin
    cdef public object origin_lsn
    cdef public str sequence_head

cdef class Settings:
    cdef public bint skip_create
    cdef public bint skip_update
    cdef public bint skip_delete
    cdef public bint skip_truncate
    cdef public bint tombstones
    cdef public bint transaction_metadata
    cdef public bint skip_unchanged

cdef class Decoder:
    cdef public Settings settings
    cdef public object clock_us
    cdef public object resolve
    cdef public object relax
    cdef public object events
    cdef public object spill
    cdef Cursor cursor
    cdef public dict relations
    cdef public list records
    cdef public dict counts
    cdef public Transaction transaction
    cdef public object stream_xid
    cdef public object preparing
    cdef public object replay
    cdef public object replay_end
    cdef public dict outer_relations
    cdef public object end_lsn
    cdef public object delivered_lsn
    cdef public object tx_lsn
    cdef public long long tx_changes
    cdef public object tx_last_lsn
    cdef public object tx_xid
    cdef public object tx_skip_before_lsn
    cdef public object last_lsn
    cdef public int last_kind
    cdef public object last_time_us
    cdef public object commit_lsn
    cdef public long long filtered
    cdef public long long transactions

    @cython.locals(cursor=Cursor, kind=int, lsn=cython.longlong)
    cpdef object feed(self, bytes frame)
    @cython.locals(cursor=Cursor, kind=int, lsn=cython.longlong, frame=bytes)
    cpdef Py_ssize_t step(self) except -1
    cpdef object message(self, bytes frame, long long lsn, int kind, bint streamed)
    @cython.locals(cursor=Cursor)
    cpdef object streamed(self, bytes frame, int kind)
    cpdef object prepared(self, bytes frame, long long lsn, int kind)
    @cython.locals(tx=Transaction, cursor=Cursor, state=RelationState, before=Row, after=Row, live=bint, marker=int)
    cpdef object change(self, long long lsn, int kind)
    @cython.locals(row=Row)
    cpdef Row image(self, RelationState state)
    @cython.locals(index=Py_ssize_t)
    cpdef RelationState nullable(self, RelationState state, object oid, Row row)
    cpdef object update(self, RelationState state, Transaction tx, bint live, long long lsn, Row before, Row after)
    @cython.locals(index=Py_ssize_t)
    cpdef bint key_differs(self, RelationState state, Row before, Row after) except *
    @cython.locals(index=Py_ssize_t)
    cpdef bint same(self, RelationState state, Row before, Row after) except *
    @cython.locals(context=SourceContext, record=Record, counter=tuple, number=str, block=tuple)
    cpdef object emit(self, RelationState state, Transaction tx, bint live, long long lsn, str op, Row before,
                      Row after, Row key_row, tuple headers, Row other=*)
    cpdef object tombstone(self, RelationState state, Transaction tx, bint live, long long lsn, Row row, tuple headers)
