cdef class Delivery:
    cdef public Inflight inflight
    cdef public object position
    cdef public Py_ssize_t count
    cdef public Py_ssize_t size_bytes
    cdef public Py_ssize_t remaining
    cdef public object error
    cdef public object explain
    cpdef bint acked(self)

cdef class Inflight:
    cdef public object error
    cdef public Py_ssize_t records
    cdef public Py_ssize_t size_bytes
    cdef object _open
    cdef object _last
