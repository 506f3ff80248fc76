cimport cython

cdef int _HEAD
cdef int _MAX_PACKET

cdef class PacketReader:
    cdef bytearray _room
    cdef Py_ssize_t _filled
    cdef int _sequence
    cdef object _long
    @cython.locals(room=bytearray, p="const unsigned char *", filled=Py_ssize_t, at=Py_ssize_t, start=Py_ssize_t,
                   length=Py_ssize_t, last_word=bint)
    cpdef object received(self, Py_ssize_t count, list events)
    cpdef int _append(self, Py_ssize_t start, Py_ssize_t end, bint last, list events) except -1
    cpdef int _keep(self, Py_ssize_t at, Py_ssize_t filled) except -1
