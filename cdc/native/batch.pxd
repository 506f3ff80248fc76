from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t

cdef extern from "batch.h" nogil:
    enum:
        CDC_NULL
        CDC_OK
        CDC_NO_MEMORY
        CDC_TOO_LARGE
    ctypedef struct cdc_msg:
        uint32_t key, key_len, val, val_len
        uint32_t route
        int32_t partition
        int64_t timestamp_ms
    ctypedef struct cdc_out:
        uint8_t *data
        size_t size, capacity
        int error
    void cdc_out_raw(cdc_out *out, const void *data, size_t count)

cdef class Route:
    cdef readonly str topic
    cdef readonly str table
    cdef readonly object headers
    cdef public object cache

cdef class OutBatch:
    cdef cdc_out arena
    cdef cdc_msg *msgs
    cdef Py_ssize_t count, capacity
    cdef readonly list routes
    cdef dict _route_of
    cdef put(self, uint32_t *at, uint32_t *length, bytes data)
    cdef copy(self, uint32_t at, uint32_t length)
    cdef Py_ssize_t add_route(self, str topic, str table, object headers) except -1
    cdef cdc_msg *new_msg(self) except NULL
    cdef int reserve(self, Py_ssize_t capacity) except -1
    cdef int check(self) except -1
