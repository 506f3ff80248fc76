cimport cython
from cdc.debezium.emit cimport EmittedTable, Emitter, Origin
from cdc.sources.mysql.binlog.header cimport Header

cdef class Transaction:
    cdef public str file
    cdef public object pos
    cdef public str id
    cdef public object gtid
    cdef public object time_us
    cdef public long long event
    cdef public long long skip_event
    cdef public long long skip_row
    cdef public object debezium
    cdef public object thread
    cdef public object query
    cdef public object counters
    cdef public dict contexts
    cdef public dict maps
    cdef public object gtid_event
    cdef public bint held
    cdef public bint ignored
    cdef public bint captured
    cdef public long long base
    cdef public Py_ssize_t first
    cdef public long long began_at
    cdef public long long first_rows_us
    cdef public bint local
    cdef public dict savepoints

cdef class Stream:
    cdef public object settings
    cdef public object block
    cdef public Emitter emitter
    cdef public str file
    cdef public object pos
    cdef public object gtids
    cdef public Transaction transaction
    cdef public object pending_gtid
    cdef public object payload
    cdef public object payload_header
    cdef public object replayed
    cdef public long long size_bytes
    cdef public long long fed_bytes
    cdef public long long transactions
    cdef public long long rolled_back_count
    cdef public long long large_count
    cdef public object server_id
    cdef public object last_time_us
    cdef public long long last_row
    cdef public object log_created
    cdef public object server_uuid
    cdef public bytes event
    cdef public long long event_end
    cdef public bint ended
    cdef object _last
    cdef object _known_place
    cdef object _expected_log
    cdef object _resume_at
    cdef object _unsettled
    cpdef bint between_transactions(self)
    cpdef object keep(self, long long end)
    cpdef object gtid(self, Header header, object message, object start)
    cpdef object counted(self)
    @cython.locals(tx=Transaction)
    cpdef object at_time(self, Header header)
    cpdef Origin origin(self, Transaction tx, EmittedTable emitted, object id, object start, long long row)
    @cython.locals(tx=Transaction)
    cpdef object end(self)
    cpdef object over(self, Transaction tx)
    cpdef object executed(self, Transaction tx)
