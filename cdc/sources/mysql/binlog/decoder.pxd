cimport cython
from cdc.sources.mysql.binlog.header cimport Header, parse_header
from cdc.sources.mysql.binlog.body cimport Reader

cdef int _HEADER_LEN
cdef int _CHECKSUM_LEN
cdef int _ARTIFICIAL
cdef long long _LOW_BITS
cdef unsigned int _INTACT

cdef class BinlogDecoder:
    cdef public object format
    cdef dict _maps
    cdef long long _columns
    cdef dict _begins
    cdef bint _checksums
    cdef public long long position
    @cython.locals(header=Header, kind=int, end=Py_ssize_t)
    cpdef tuple decode(self, bytes event)
    cpdef object _body(self, bytes event, Header header, Py_ssize_t end)
    cpdef object post_header(self, int kind)
    cpdef object _query(self, bytes event, int kind, Py_ssize_t end)
    cpdef object _table_map(self, bytes event, Py_ssize_t end)
    cpdef int _follow(self, Header header) except -1

cpdef int verify(bytes event) except -1
