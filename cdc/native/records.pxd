from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from cdc.native.batch cimport cdc_msg, cdc_out
from cdc.native.frames cimport Frames, cdc_frame

cdef extern from "codec.h" nogil:
    enum:
        CDC_WRITTEN
        CDC_REFUSED
        CDC_NO_VALUE
        CDC_NO_BRANCH
        CDC_OP_TEXT
        CDC_OP_DECIMAL
        CDC_OP_PG_INTEGER
        CDC_OP_PG_BOOLEAN
        CDC_OP_PG_FLOAT
        CDC_OP_PG_BYTEA
        CDC_OP_PG_DATE
        CDC_OP_PG_TIME
        CDC_OP_PG_TIMESTAMP
        CDC_OP_PG_TIMESTAMPTZ
        CDC_OP_PG_VARIABLE_DECIMAL
        CDC_OP_PG_NUMERIC_TEXT
        CDC_OP_PG_NUMERIC_DOUBLE
        CDC_OP_MYSQL_INT
        CDC_OP_MYSQL_BOOL
        CDC_OP_MYSQL_UNSIGNED_DECIMAL
        CDC_OP_MYSQL_FLOAT
        CDC_OP_MYSQL_DECIMAL
        CDC_OP_MYSQL_DECIMAL_TEXT
        CDC_OP_MYSQL_DECIMAL_DOUBLE
        CDC_OP_MYSQL_BYTES
        CDC_OP_MYSQL_BIT
        CDC_OP_MYSQL_BITS
        CDC_OP_MYSQL_DATE
        CDC_OP_MYSQL_TIME
        CDC_OP_MYSQL_DATETIME
        CDC_OP_MYSQL_TIMESTAMP
        CDC_OP_MYSQL_YEAR
        CDC_OP_MYSQL_ENUM
        CDC_OP_MYSQL_SET
        CDC_OP_MYSQL_CHARSET
        CDC_OP_MYSQL_VECTOR
        CDC_OP_MYSQL_TEXT_INT
        CDC_OP_MYSQL_TEXT_BOOL
        CDC_OP_MYSQL_TEXT_DATE
        CDC_OP_MYSQL_TEXT_TIME
        CDC_OP_MYSQL_TEXT_DATETIME
        CDC_OP_MYSQL_TEXT_TIMESTAMP
        CDC_OP_MYSQL_TEXT_YEAR
        CDC_OP_MYSQL_TEXT_ENUM
        CDC_OP_MYSQL_TEXT_SET
    struct cdc_colop
    ctypedef int (*cdc_codec)(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op) noexcept nogil
    struct cdc_colop:
        cdc_codec codec
        void *object
        int64_t[2] params
        const uint8_t *data
        const uint8_t *null_data
        const uint8_t *unchanged
        uint32_t null_len, unchanged_len
        int32_t index
        uint8_t branch, as_key
    cdc_codec cdc_codec_of(int op)

cdef extern from "json.h" nogil:
    enum:
        CDC_JSON_OTHER
        CDC_JSON_LONG
        CDC_JSON_TEXT
        CDC_JSON_BOOLEAN
        CDC_JSON_BYTES
        CDC_JSON_STRUCT
        CDC_JSON_DOUBLE
        CDC_JSON_FLOAT
        CDC_JSON_ARRAY
    ctypedef struct cdc_json_kept:
        uint32_t first
    ctypedef struct cdc_json_op:
        uint8_t kind, null_branch
        uint32_t following, before_len, null_len
        const uint8_t *before
        const uint8_t *null_data
        cdc_json_kept *kept
    ctypedef struct cdc_json_form:
        const cdc_json_op *ops
        const uint8_t *before
        const uint8_t *after
        uint32_t before_len, after_len
    int cdc_json(cdc_out *out, const uint8_t *avro, size_t size, const cdc_json_form *form)

cdef extern from "arrays.h" nogil:
    enum:
        CDC_KIND_BINARY
        CDC_TOMBSTONE
        CDC_FOREIGN
        CDC_TX_BEGIN
        CDC_TX_END
        CDC_NO_ROW
        CDC_BEFORE_HIDDEN
    ctypedef struct cdc_cell:
        uint32_t start, end
    ctypedef struct cdc_rec:
        uint64_t lsn
        uint32_t frame, tx, table
        uint32_t before, after
        uint32_t order, table_order
        uint16_t columns
        uint8_t op, flags
    ctypedef struct cdc_string:
        const uint8_t *data
        uint32_t size
    ctypedef struct cdc_tx:
        int64_t time_us
        uint32_t xid
        uint32_t head_len
        char[32] head
        uint64_t pos
        int64_t thread
        cdc_string gtid, file, query
        cdc_string id, counts
    ctypedef struct cdc_records:
        const cdc_frame *frames
        cdc_rec *recs
        cdc_cell *cells
        uint8_t *kinds
        cdc_tx *txs
        uint32_t rec_count, cell_count, tx_count
        uint32_t rec_capacity, cell_capacity, tx_capacity
    ctypedef struct cdc_counter:
        const uint8_t *name
        uint32_t size, spread, count
    int cdc_records_room(cdc_records *records, uint32_t recs, uint32_t cells, uint32_t txs)
    int cdc_records_append(cdc_records *records, const cdc_records *more, uint32_t frame, const uint32_t *tables)
    void cdc_records_free(cdc_records *records)

cdef extern from "encode.h" nogil:
    enum:
        CDC_FIELD_TS_MS
        CDC_FIELD_TS_US
        CDC_FIELD_TS_NS
        CDC_FIELD_XID
        CDC_FIELD_LSN
        CDC_FIELD_PG_SEQUENCE
        CDC_FIELD_MYSQL_SERVER_ID
        CDC_FIELD_MYSQL_GTID
        CDC_FIELD_MYSQL_FILE
        CDC_FIELD_MYSQL_POS
        CDC_FIELD_MYSQL_ROW
        CDC_FIELD_MYSQL_THREAD
        CDC_FIELD_MYSQL_QUERY
        CDC_FIELD_CLOCK_MS
        CDC_FIELD_CLOCK_US
        CDC_FIELD_CLOCK_NS
        CDC_FIELD_BLOCK_ID
        CDC_FIELD_BLOCK_ORDER
        CDC_FIELD_BLOCK_TABLE_ORDER
        CDC_IMAGE_ENVELOPE
        CDC_IMAGE_BEFORE
        CDC_IMAGE_AFTER
        CDC_IMAGE_NULL
        CDC_IMAGE_TRANSACTION
        CDC_SLOTS
        CDC_ENCODED
        CDC_NEEDS_PYTHON
        CDC_NEEDS_PLAN
        CDC_NEEDS_MEMORY
    ctypedef struct cdc_bytes:
        const uint8_t *data
        uint32_t size
    ctypedef struct cdc_field:
        uint8_t number, optional
    ctypedef struct cdc_plan:
        uint64_t batch
        uint32_t route
        uint8_t has_key, image, none, dropped, has_null
        uint32_t column_count, key_count, field_count
        cdc_bytes key_prefix, key_tail, value_prefix, null
        cdc_colop *text
        cdc_colop *binary
        cdc_colop *key_text
        cdc_colop *key_binary
        cdc_bytes *pieces
        cdc_field *fields
        int (*print)(cdc_out *out, const uint8_t *avro, size_t size, void *printer) noexcept nogil
        void *print_key
        void *print_value
    ctypedef struct cdc_clock:
        int64_t now_us
        cdc_bytes ending
    uint32_t cdc_slot(uint8_t op)
    int cdc_encode(const cdc_records *records, cdc_plan **plans, uint64_t batch, cdc_clock clock, cdc_out *out,
                   cdc_out *avro, cdc_msg *msgs, uint32_t *next, uint32_t *made)

cdef class Plan:
    cdef cdc_plan c
    cdef list kept
    cdef readonly bint uses_python
    cdef void *printer(self, other) except? NULL
    cdef cdc_bytes keep(self, bytes data) except *
    cdef cdc_colop *operations(self, list columns, int form) except? NULL

cdef class Table:
    cdef readonly object schema
    cdef readonly object template
    cdef readonly tuple fields
    cdef readonly object state
    cdef public object cache

cdef class Tables:
    cdef readonly list items
    cdef cdc_plan **plans
    cdef Py_ssize_t capacity
    cdef cdc_plan none, dropped
    cdef Py_ssize_t add(self, Table table) except -1

cdef class RecordBatch:
    cdef cdc_records records
    cdef readonly Tables tables
    cdef cdc_frame *frames
    cdef Py_ssize_t frame_capacity, loaded
    cdef list frame_list
    cdef list more
    cdef Frames read_frames
    cdef list foreign
    cdef object make_context
    cdef dict contexts
    cdef Py_ssize_t load_frames(self, Py_ssize_t start, Py_ssize_t most) except -1
    cdef Py_ssize_t own_frames(self)
    cdef Py_ssize_t add_frames(self, list frames) except -1
    cdef add_foreign(self, record)
    cdef bytes frame_of(self, cdc_rec *rec)
    cdef row(self, bytes data, cdc_rec *rec, uint32_t first)
    cdef str transaction_id(self, cdc_rec *rec)
    cdef tuple block(self, cdc_rec *rec)
    cdef transaction(self, cdc_rec *rec)
    cdef view(self, Py_ssize_t index)
