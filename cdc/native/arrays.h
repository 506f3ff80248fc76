/* The changes of a batch as C arrays: which frame, which table, and where each column's value lies in the frame. */
#ifndef CDC_ARRAYS_H
#define CDC_ARRAYS_H

#include "batch.h"

/* Kinds of columns, as in cdc/core/row.py. */
enum { CDC_KIND_TEXT, CDC_KIND_BINARY, CDC_KIND_NULL, CDC_KIND_UNCHANGED, CDC_KIND_ABSENT };

/* What a record is: the op of the envelope, or one of these. */
#define CDC_TOMBSTONE 0
#define CDC_FOREIGN 1 /* a Python object; `lsn` is its index */
#define CDC_TX_BEGIN 2 /* a message of the transaction's beginning, of the table with such messages */
#define CDC_TX_END 3   /* the same of its end; `order` is the number of its events */

#define CDC_NO_ROW UINT32_MAX

enum { CDC_BEFORE_HIDDEN = 1 }; /* the old row is not in the event; it only completes the new one */

typedef struct {
    const uint8_t *data;
    uint32_t size;
} cdc_frame;

typedef struct {
    uint32_t start, end; /* within the frame */
} cdc_cell;

typedef struct {
    uint64_t lsn; /* MySQL: the row's number in its event */
    uint32_t frame, tx, table;
    uint32_t before, after; /* the first of `columns` cells, or CDC_NO_ROW */
    uint32_t order, table_order; /* its number in the transaction, and among those of its table; 0: there is no
                                    transaction block */
    uint16_t columns;
    uint8_t op, flags;
} cdc_rec;

typedef struct {
    const uint8_t *data; /* UTF-8; NULL: null */
    uint32_t size;
} cdc_string;

/* What the changes of one transaction have in common; on MySQL those of one rows event. */
typedef struct {
    int64_t time_us; /* of the commit, since 1970 */
    uint32_t xid;    /* MySQL: the server's id */
    uint32_t head_len;
    char head[32]; /* the first part of `source.sequence` */
    uint64_t pos;  /* MySQL, from here on */
    int64_t thread; /* -1: null */
    cdc_string gtid, file, query;
    cdc_string id;     /* of the transaction block; NULL on PostgreSQL, where it is xid and LSN */
    cdc_string counts; /* of the transaction's end: its tables with their numbers of events, as Avro */
} cdc_tx;

typedef struct {
    const cdc_frame *frames;
    cdc_rec *recs;
    cdc_cell *cells;
    uint8_t *kinds; /* one for each cell */
    cdc_tx *txs;
    uint32_t rec_count, cell_count, tx_count;
    uint32_t rec_capacity, cell_capacity, tx_capacity;
    struct cdc_piece *blocks; /* what frames refer to that are not the caller's */
} cdc_records;

/* Room for that many more of each; CDC_NO_MEMORY if there is none. Counts stay. */
int cdc_records_room(cdc_records *records, uint32_t recs, uint32_t cells, uint32_t txs);

/* How many events of one transaction a table has. `spread`: the name's hash, as a java.util.HashMap has it. */
typedef struct {
    const uint8_t *name;
    uint32_t size, spread, count;
} cdc_counter;

/* The most tables of a transaction whose end C tells. */
#define CDC_MOST_COUNTERS 256

/* What the end of a transaction says of its tables, as Avro, in *counts: those counters that *used* names, in the order
   of a java.util.HashMap (`java_hash_order` of cdc/codecs/java.py). The bytes live as long as *records*. */
int cdc_put_counts(cdc_records *records, const cdc_counter *counters, const uint32_t *used, uint32_t count,
                   cdc_string *counts);

/* *size* bytes that live as long as *records*; NULL if there is no memory. */
uint8_t *cdc_records_block(cdc_records *records, size_t size);

/* Adds all of *more*, whose frames become those from *frame* on, and its tables those that *tables* says. What its
   transactions refer to stays where it is. */
int cdc_records_append(cdc_records *records, const cdc_records *more, uint32_t frame, const uint32_t *tables);

void cdc_records_free(cdc_records *records);

#endif
