/* pgoutput frames to records: Begin, Insert, Update, Delete and Commit of transactions that are read from their start.

   PostgreSQL docs, "Logical Replication Message Formats". The rules are those of changes.py and transaction.py in
   cdc/sources/postgres; what needs more than these rules is refused, frame by frame, with nothing changed. */
#ifndef CDC_PG_DECODE_H
#define CDC_PG_DECODE_H

#include "arrays.h"

/* A column of an enum: its labels, one after another, each with its length before it (4 bytes of this machine). */
typedef struct {
    int32_t index;
    uint32_t size;
    const uint8_t *labels;
} pg_enum;

/* A relation. `native` 0: its changes are refused. `captured` 0: they are only counted. */
typedef struct {
    uint8_t native, captured;
    uint16_t columns;
    uint32_t required_count, key_count, enum_count, compared_count, mapped_count, counter;
    const int32_t *required, *key;
    const int32_t *compared, *mapped; /* by which an update without a change is known; `mapped` are shown otherwise */
    const pg_enum *enums;
    uint64_t created, updated, deleted; /* records so far that nobody has taken note of */
} pg_table;

/* Changes that were committed within one millisecond, from `time_us` on. */
typedef struct {
    int64_t time_us, count;
} pg_commits;

typedef struct {
    /* what does not change while frames are read */
    uint8_t plain;      /* nothing is resumed, prepared, due or doubtful: 0 refuses every frame */
    uint8_t skip_create, skip_update, skip_delete, tombstones, skip_unchanged, whole_keys, null_keys;
    uint64_t resumed_end_lsn, resumed_tx_lsn;
    uint32_t resumed_xid; /* a transaction that is begun elsewhere, or 0 */
    pg_table *tables;
    const uint32_t *oids, *slots; /* open addressing: an oid, and the index of its table; oid 0 is free */
    uint32_t mask;
    uint8_t metadata;   /* each transaction is counted, and told of in table `transactions_table` */
    uint8_t by_one;     /* the open one has counts that only the other code can tell */
    uint32_t transactions_table;
    cdc_counter *counters;
    uint32_t *used; /* the counters of the open transaction, as they came; there is room for all */
    uint32_t used_count, order;
    /* the state, as in Stream, Transaction and Emitter */
    uint8_t in_tx, tx_plain, tx_made, caught_up, shown;
    int32_t last_kind;
    uint32_t xid, shown_xid, tx_number;
    uint64_t final_lsn, last_lsn, end_lsn, commit_lsn, shown_final_lsn, shown_end_lsn;
    int64_t commit_time_us, last_time_us, shown_time_us;
    uint64_t changes, transactions, filtered;
    int64_t window_us, committed, unmarked;
    pg_commits *commits; /* windows that are over */
    uint32_t commit_count, commit_capacity;
    char head[32];
    uint32_t head_len;
} pg_reader;

enum { PG_DONE = 0, PG_REFUSED = 1, PG_NO_MEMORY = 2 };

/* Reads frames from *next* on, until *end*, or until the batch has *most* records, or *size* bytes of frames were read
   in all. Returns PG_REFUSED if frame *next* is one for the other code. */
int pg_decode(pg_reader *reader, cdc_records *out, uint32_t *next, uint32_t end, uint32_t most, uint64_t *size,
              uint64_t most_size);

#endif
