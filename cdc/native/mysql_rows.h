/* The rows of MySQL's and MariaDB's rows events and text results, many per call. `RowsEvent` of
   cdc/sources/mysql/binlog/rows.py and `text_row` of cdc/sources/mysql/textrow.py find them as well. */
#ifndef CDC_MYSQL_ROWS_H
#define CDC_MYSQL_ROWS_H

#include "arrays.h"

/* Where a table map's columns are within an image. `sizes`: bytes of a value; 0 if `prefixes` bytes of its length come
   before it. */
typedef struct {
    uint32_t width;
    const uint8_t *prefixes;
    const uint32_t *sizes;
} cdc_mysql_layout;

/* One rows event. `present`: bitmaps of the columns in the images; NULL if there is no such image. */
typedef struct {
    const uint8_t *data;
    size_t end;
    const uint8_t *before_present, *after_present;
    uint32_t before_count, after_count;
} cdc_mysql_event;

/* Where the columns of one row's images are; `width` of each, the old image first. */
typedef struct {
    uint8_t *kinds;
    cdc_cell *cells;
} cdc_mysql_images;

/* The key's columns; and with `skips`, those of which an update must change one (`skip.messages.without.change`). */
typedef struct {
    const uint32_t *index, *compared;
    uint32_t count, compared_count;
    uint8_t skips;
} cdc_mysql_key;

/* Counts the rows from *at on that need nothing but to be written: their bytes are what the layout says, an update has
   not changed its key, and has changed something if it must, and the event has the key. Moves *at behind them. *images*
   has room for both. */
uint32_t cdc_mysql_plain_rows(const cdc_mysql_layout *layout, const cdc_mysql_event *event, const cdc_mysql_key *key,
                              size_t *at, cdc_mysql_images images);

/* Adds the next *count* rows from *at* on, which were counted so, as records that are *like* this one; `lsn` grows from
   row to row, and so do the orders, if there are any. With *tombstones* each is followed by one. A column that a new
   image lacks is unchanged. */
int cdc_mysql_add_rows(cdc_records *out, const cdc_mysql_layout *layout, const cdc_mysql_event *event, size_t at,
                       uint32_t count, const cdc_rec *like, int tombstones);

/* The columns of a SELECT: the row image has `width` columns, of which the result has those at `indexes`. */
typedef struct {
    const uint32_t *indexes;
    uint32_t count, width;
} cdc_mysql_select;

/* Counts the whole packets from *at on that are rows of the result, with sequence numbers from *sequence on, and moves
   both behind them. It stops before the packet that ends the result, and before one that is not whole. */
uint32_t cdc_mysql_text_rows(const cdc_mysql_select *select, const uint8_t *data, size_t end, size_t *at,
                             uint8_t *sequence);

/* Where the packet behind *count* packets begins that were counted so. */
size_t cdc_mysql_skip_packets(const uint8_t *data, size_t at, uint32_t count);

/* Adds them as records that are *like* this one. */
int cdc_mysql_add_text_rows(cdc_records *out, const cdc_mysql_select *select, const uint8_t *data, size_t at,
                            uint32_t count, const cdc_rec *like);

#endif
