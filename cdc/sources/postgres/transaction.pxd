cimport cython
from cdc.debezium.emit cimport Counters, Emitter

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

cdef class Stream:
    cdef public Emitter emitter
    cdef public object events
    cdef public bint metadata
    cdef public Transaction transaction
    cdef public object resumed
    cdef public object end_lsn
    cdef public object last_lsn
    cdef public int last_kind
    cdef public object last_time_us
    cdef public object commit_lsn
    cdef public long long transactions
    cdef public object due
    cdef public bint caught_up
    cdef public object shown

    cpdef bint count(self, Transaction tx, long long lsn, bint row=*) except *
    @cython.locals(tx=Transaction)
    cpdef object begin(self, object final_lsn, object commit_time_us, object xid, object lsn)
    @cython.locals(tx=Transaction)
    cpdef object end(self, object end_lsn, object lsn, bint prepared=*)
