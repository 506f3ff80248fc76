/* The changes of a batch as C arrays: which frame, which table, and where each column's value lies in the frame. */
#ifndef CDC_ARRAYS_H
#define CDC_ARRAYS_H

#include "batch.h"

/* Kinds of columns, as in cdc/core/row.py. */
enum { CDC_KIND_TEXT, CDC_KIND_BINARY, CDC_KIND_NULL, CDC_KIND_UNCHANGED, CDC_KIND_ABSENT };

/* What a record is: the op of the envelope, or one of these. */
#define CDC_TOMBSTONE 0
#define CDC_FOREIGN 1 /* a Python object; `lsn` is its index */

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
} cdc_tx;

typedef struct {
    const cdc_frame *frames;
    cdc_rec *recs;
    cdc_cell *cells;
    uint8_t *kinds; /* one for each cell */
    cdc_tx *txs;
    uint32_t rec_count, cell_count, tx_count;
    uint32_t rec_capacity, cell_capacity, tx_capacity;
    struct cdc_block *blocks; /* what frames refer to that are not the caller's */
} cdc_records;

/* Room for that many more of each; CDC_NO_MEMORY if there is none. Counts stay. */
int cdc_records_room(cdc_records *records, uint32_t recs, uint32_t cells, uint32_t txs);

/* *size* bytes that live as long as *records*; NULL if there is no memory. */
uint8_t *cdc_records_block(cdc_records *records, size_t size);

/* Adds all of *more*, whose frames become those from *frame* on, and its tables those that *tables* says. What its
   transactions refer to stays where it is. */
int cdc_records_append(cdc_records *records, const cdc_records *more, uint32_t frame, const uint32_t *tables);

void cdc_records_free(cdc_records *records);

#endif
