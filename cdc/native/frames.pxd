from libc.stdint cimport uint32_t, uint8_t

cdef extern from "arrays.h" nogil:
    ctypedef struct cdc_frame:
        const uint8_t *data
        uint32_t size

cdef extern from "block.h" nogil:
    ctypedef struct cdc_block:
        uint8_t *data
        size_t size
        size_t *starts
        uint32_t count
    uint8_t *cdc_block_add(cdc_block *block, size_t size)
    size_t cdc_block_size(const cdc_block *block, uint32_t index)
    void cdc_block_fit(cdc_block *block)
    void cdc_block_list(const cdc_block *block, cdc_frame *frames)
    void cdc_block_free(cdc_block *block)

cdef class Block:
    cdef cdc_block c
    cdef add(self, bytes frame)

cdef class Frames:
    cdef cdc_frame *c
    cdef Py_ssize_t count
    cdef tuple blocks
