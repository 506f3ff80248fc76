cimport cython
from cdc.core.row cimport Row

@cython.locals(end=Py_ssize_t)
cpdef Row copy_row(bytes line, tuple indexes, Py_ssize_t count)
@cython.locals(row=Row, start=Py_ssize_t, last=Py_ssize_t, position=Py_ssize_t, stop=Py_ssize_t)
cdef Row _plain(bytes line, Py_ssize_t end, tuple indexes, Py_ssize_t count)
@cython.locals(row=Row, start=Py_ssize_t)
cdef Row _escaped(bytes line, Py_ssize_t end, tuple indexes, Py_ssize_t count)
