cimport cython

cdef int _HEAD
cdef int _MAX_PACKET

cdef class PacketReader:
    cdef bytearray _room
    cdef Py_ssize_t _filled
    cdef int _sequence
    cdef object _long
    cdef Py_ssize_t _missing
    cdef bint _last
    @cython.locals(room=bytearray, p="const unsigned char *", filled=Py_ssize_t, at=Py_ssize_t, start=Py_ssize_t,
                   length=Py_ssize_t, whole=bint, goes_on=bint, last_word=bint)
    cpdef object received(self, Py_ssize_t count, list events)
    @cython.locals(end=Py_ssize_t)
    cpdef Py_ssize_t _continue(self, Py_ssize_t start, Py_ssize_t filled, list events) except -1
