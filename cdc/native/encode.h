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
    CDC_FIELD_MYSQL_QUERY,
    CDC_FIELD_CLOCK_MS, /* the connector's clock; from here on no field is the transaction's */
    CDC_FIELD_CLOCK_US,
    CDC_FIELD_CLOCK_NS,
    CDC_FIELD_BLOCK_ID, /* the transaction block, which may be null */
    CDC_FIELD_BLOCK_ORDER,
    CDC_FIELD_BLOCK_TABLE_ORDER
};

/* What a value is. A tombstone's is null, whatever its plan says. CDC_IMAGE_TRANSACTION is for CDC_TX_BEGIN and
   CDC_TX_END alone. */
enum { CDC_IMAGE_ENVELOPE, CDC_IMAGE_BEFORE, CDC_IMAGE_AFTER, CDC_IMAGE_NULL, CDC_IMAGE_TRANSACTION };

/* A table has a plan for each op, which may all be the same. */
#define CDC_SLOTS 5

typedef struct {
    const uint8_t *data;
    uint32_t size;
} cdc_bytes;

typedef struct {
    uint8_t number, optional;
} cdc_field;

/* Adds what *printer* makes of avro[0..size), one value. Refuses, and adds nothing, if that fails. */
typedef int (*cdc_print)(cdc_out *out, const uint8_t *avro, size_t size, void *printer);

typedef struct {
    uint64_t batch; /* the encoding for which `route` holds */
    uint32_t route;
    uint8_t has_key, image;
    uint8_t none;     /* all records are for the other code */
    uint8_t dropped;  /* no record becomes a message */
    uint8_t has_null; /* a value that is null has the bytes `null` */
    uint32_t column_count, key_count, field_count;
    cdc_bytes key_prefix, key_tail, value_prefix, null;
    cdc_colop *text, *binary;         /* `column_count` of each */
    cdc_colop *key_text, *key_binary; /* `key_count` of each */
    cdc_bytes *pieces;                /* of the source block, or of what follows a row: one more than `field_count` */
    cdc_field *fields;                /* between them */
    cdc_print print;
    void *print_key, *print_value; /* NULL: Avro is what is wanted */
} cdc_plan;

/* The connector's clock: µs since 1970, and the end of each envelope. */
typedef struct {
    int64_t now_us;
    cdc_bytes ending;
} cdc_clock;

enum { CDC_ENCODED = 0, CDC_NEEDS_PYTHON = 1, CDC_NEEDS_PLAN = 2, CDC_NEEDS_MEMORY = 3 };

/* The place of *op* among the CDC_SLOTS plans of a table. */
static inline uint32_t cdc_slot(uint8_t op) {
    switch (op) {
    case 'c': return 0;
    case 'u': return 1;
    case 'd': return 2;
    case 'r': return 3;
    default: return 4; /* a tombstone; a table of transactions has one plan for all */
    }
}

/* Writes records from *next* on; each adds one message at *made*, for which *msgs* has room, unless it is dropped.
   *plans*: CDC_SLOTS for each table. *avro*: room for what is printed. Returns CDC_NEEDS_PYTHON if record *next* is one
   for the other code, and CDC_NEEDS_PLAN if there is no plan yet for its table and op, or if its route is not known yet
   in encoding *batch*. */
int cdc_encode(const cdc_records *in, cdc_plan *const *plans, uint64_t batch, cdc_clock clock, cdc_out *out,
               cdc_out *avro, cdc_msg *msgs, uint32_t *next, uint32_t *made);

#endif
