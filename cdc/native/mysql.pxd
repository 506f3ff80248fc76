from libc.stdint cimport uint8_t, uint32_t

from cdc.native.records cimport RecordBatch, Table, cdc_cell, cdc_rec, cdc_records, cdc_string

cdef extern from "mysql_rows.h" nogil:
    ctypedef struct cdc_mysql_layout:
        uint32_t width
        const uint8_t *prefixes
        const uint32_t *sizes
    ctypedef struct cdc_mysql_event:
        const uint8_t *data
        size_t end
        const uint8_t *before_present
        const uint8_t *after_present
        uint32_t before_count, after_count
    ctypedef struct cdc_mysql_images:
        uint8_t *kinds
        cdc_cell *cells
    ctypedef struct cdc_mysql_key:
        const uint32_t *index
        const uint32_t *compared
        uint32_t count, compared_count
        uint8_t skips
    uint32_t cdc_mysql_plain_rows(const cdc_mysql_layout *layout, const cdc_mysql_event *event,
                                  const cdc_mysql_key *key, size_t *at, cdc_mysql_images images)
    int cdc_mysql_add_rows(cdc_records *out, const cdc_mysql_layout *layout, const cdc_mysql_event *event, size_t at,
                           uint32_t count, const cdc_rec *like, int tombstones)
    ctypedef struct cdc_mysql_select:
        const uint32_t *indexes
        uint32_t count, width
    uint32_t cdc_mysql_text_rows(const cdc_mysql_select *select, const uint8_t *data, size_t end, size_t *at,
                                 uint8_t *sequence)
    size_t cdc_mysql_skip_packets(const uint8_t *data, size_t at, uint32_t count)
    int cdc_mysql_add_text_rows(cdc_records *out, const cdc_mysql_select *select, const uint8_t *data, size_t at,
                                uint32_t count, const cdc_rec *like)

cdef class Layout:
    cdef cdc_mysql_layout c
    cdef cdc_mysql_key key
    cdef cdc_mysql_images images
    cdef uint8_t *prefixes
    cdef uint32_t *sizes
    cdef uint32_t *key_index
    cdef uint32_t *compared

cdef class Many:
    cdef int add_to(self, Batch batch) except -1
    cdef origin(self, Py_ssize_t tx, Table table)

cdef class Rows(Many):
    cdef readonly Py_ssize_t count
    cdef Layout layout
    cdef Table table
    cdef object source
    cdef object pos
    cdef long long number
    cdef uint8_t op
    cdef bint tombstones
    cdef uint32_t order, table_order
    cdef str id
    cdef bytes data, before_present, after_present
    cdef cdc_mysql_event event
    cdef size_t start

cdef class Batch(RecordBatch):
    cdef dict numbers
    cdef list origins, texts
    cdef int add_rows(self, Rows rows) except -1
    cdef int begin(self, cdc_rec *like, bytes data, Table table) except -1
    cdef Py_ssize_t number_of(self, Table table) except -1
    cdef int add_all(self, Many of, const cdc_records *records, list frames, list tables) except -1
    cdef int add_tx(self, Rows rows) except -1
    cdef cdc_string text(self, value) except *
    cdef own_row(self, bytes data, cdc_rec *rec)
    cdef view(self, Py_ssize_t index)
