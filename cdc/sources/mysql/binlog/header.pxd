cimport cython
from cpython.bytes cimport PyBytes_AS_STRING

cdef class Header:
    cdef public long long timestamp
    cdef public int type
    cdef public long long server_id
    cdef public long long length
    cdef public long long next_position
    cdef public int flags

cdef inline long long le32(const unsigned char *p) noexcept:
    return p[0] | p[1] << 8 | p[2] << 16 | <long long>p[3] << 24

cdef inline Header read_header(bytes event):
    cdef const unsigned char *p = <const unsigned char *>PyBytes_AS_STRING(event)
    cdef Header header = Header.__new__(Header)
    header.timestamp = le32(p)
    header.type = p[4]
    header.server_id = le32(p + 5)
    header.length = le32(p + 9)
    header.next_position = le32(p + 13)
    header.flags = p[17] | p[18] << 8
    return header

@cython.locals(header=Header)
cpdef Header parse_header(bytes event)
