cimport cython

cdef class Reader:
    cdef public bytes data
    cdef public Py_ssize_t pos
    cdef public Py_ssize_t end
    cpdef Py_ssize_t left(self) noexcept
    @cython.locals(start=Py_ssize_t)
    cpdef bytes take(self, object count)
    cpdef int short(self, object count) except -1
    @cython.locals(p="const unsigned char *", value=cython.ulonglong, start=Py_ssize_t, index=Py_ssize_t)
    cpdef unsigned long long uint(self, Py_ssize_t count) except? 0
