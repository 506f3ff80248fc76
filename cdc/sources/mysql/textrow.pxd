cimport cython
from cdc.core.row cimport Row

@cython.locals(row=Row, p="const unsigned char *", pos=Py_ssize_t, end=Py_ssize_t, length=cython.longlong,
               size=Py_ssize_t)
cpdef Row text_row(bytes packet, tuple indexes, Py_ssize_t count)
@cython.locals(number=cython.longlong, place=Py_ssize_t)
cdef long long little_endian(const unsigned char *p, Py_ssize_t pos, Py_ssize_t size) noexcept
