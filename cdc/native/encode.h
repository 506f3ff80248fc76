/* Records to keys and values as Avro, by a plan for each table: the rules of cdc/converters/plan.py. */
#ifndef CDC_ENCODE_H
#define CDC_ENCODE_H

#include "codec.h"
#include "arrays.h"

/* Fields of the source block that are a record's or a transaction's own. */
enum {
    CDC_FIELD_TS_MS = 1,
    CDC_FIELD_TS_US,
    CDC_FIELD_TS_NS,
    CDC_FIELD_XID,
    CDC_FIELD_LSN,
    CDC_FIELD_PG_SEQUENCE, /* `["…","…"]`: the head of the transaction, and the LSN */
    CDC_FIELD_MYSQL_SERVER_ID,
    CDC_FIELD_MYSQL_GTID, /* this, thread and query may be null */
    CDC_FIELD_MYSQL_FILE,
    CDC_FIELD_MYSQL_POS,
    CDC_FIELD_MYSQL_ROW,
    CDC_FIELD_MYSQL_THREAD,
    CDC_FIELD_MYSQL_QUERY
};

typedef struct {
    const uint8_t *data;
    uint32_t size;
} cdc_bytes;

typedef struct {
    uint8_t number, optional;
} cdc_field;

typedef struct {
    uint64_t batch; /* the encoding for which `route` holds */
    uint32_t route;
    uint8_t has_key, none; /* none: all records are for the other code */
    uint32_t column_count, key_count, field_count;
    cdc_bytes key_prefix, key_tail, value_prefix;
    cdc_colop *text, *binary;         /* `column_count` of each */
    cdc_colop *key_text, *key_binary; /* `key_count` of each */
    cdc_bytes *pieces;                /* of the source block: one more than `field_count` */
    cdc_field *fields;                /* between them */
} cdc_plan;

enum { CDC_ENCODED = 0, CDC_NEEDS_PYTHON = 1, CDC_NEEDS_PLAN = 2, CDC_NEEDS_MEMORY = 3 };

/* Writes records from *next* on; each adds one message at *made*, for which *msgs* has room. Returns CDC_NEEDS_PYTHON if
   record *next* is one for the other code, and CDC_NEEDS_PLAN if there is no plan yet for its table, or if its route is
   not known yet in encoding *batch*. *clocks*: the end of each value. */
int cdc_encode(const cdc_records *in, cdc_plan *const *plans, uint64_t batch, cdc_bytes clocks, cdc_out *out,
               cdc_msg *msgs, uint32_t *next, uint32_t *made);

#endif
