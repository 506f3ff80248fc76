from cdc.core.record cimport Record

cdef class Shaped:
    cdef readonly Record record
    cdef readonly object outcome
