/* Whole transactions of MySQL's and MariaDB's binary log that need nothing but to be written: the rules of
   cdc/sources/mysql/changes.py and transaction.py, which read all others.

   Such a transaction is small. Its events are a GTID, BEGIN on MySQL, table maps and rows events, and the commit (XID). C
   knows table maps, BEGINs and sources of GTIDs only from the other code, byte for byte; so what is within them was
   judged there. */
#ifndef CDC_MYSQL_LOG_H
#define CDC_MYSQL_LOG_H

#include "mysql_rows.h"

enum { CDC_LOG_DONE = 0, CDC_LOG_REFUSED = 1, CDC_LOG_UNKNOWN = 2, CDC_LOG_NO_MEMORY = 3 };

/* The most events of a transaction, and table maps within it. */
#define CDC_LOG_EVENTS 32
#define CDC_LOG_MAPS 8

/* What an event is: one of the log, a compressed transaction of it, or one within that, which follows it. */
enum { CDC_LOG_EVENT, CDC_LOG_PAYLOAD, CDC_LOG_INNER };

/* The most BEGINs and sources that are known. What comes after so many is refused: nobody asks for it again. */
#define CDC_LOG_BEGINS 64
#define CDC_LOG_SOURCES 64

/* A table map. `refused`: the rows are for the other code. `captured`: they are not only counted. */
typedef struct {
    const uint8_t *body; /* of its event, without a checksum */
    uint32_t size;
    uint8_t refused, captured;
    uint8_t relaxed;   /* images may lack columns */
    uint32_t table;    /* what `cdc_rec.table` becomes */
    uint32_t inserted; /* the same for inserted rows that lack columns */
    uint32_t counter;  /* of the table, in `counters` */
    const cdc_mysql_layout *layout;
    const cdc_mysql_key *key;
    cdc_mysql_images images;
    uint64_t created, updated, deleted;
} cdc_log_map;

/* A BEGIN: the body of its event behind the thread's number and the execution time. */
typedef struct {
    const uint8_t *data;
    uint32_t size;
} cdc_log_begin;

/* What numbers transactions: a server's UUID on MySQL, a domain and a server on MariaDB (in that order, little-endian).
   `text`: its GTIDs up to the number. */
typedef struct {
    uint8_t id[16];
    uint8_t refused;
    const uint8_t *text;
    uint32_t size;
} cdc_log_source;

/* Transactions of one source with consecutive numbers. `time_us`: of the last one, as `witness.Seen` has it. */
typedef struct {
    uint32_t source;
    uint64_t first, last;
    int64_t time_us;
} cdc_log_run;

typedef struct {
    int64_t time_us, count;
} cdc_log_commits;

typedef struct {
    /* what is configured, and what the format description says */
    uint8_t mariadb, checksums, names_thread, takes_query, tombstones;
    uint8_t skip_create, skip_update, skip_delete;
    uint8_t rows_v1_head, rows_v2_head; /* post-header lengths */
    uint8_t metadata; /* each transaction is counted, and told of in table `transactions_table` */
    uint32_t transactions_table;
    /* what the other code has told */
    cdc_log_map *maps;
    cdc_counter *counters; /* all 0 between transactions */
    uint32_t *slots; /* of a hash table: the map's number and one; 0 is free */
    uint32_t map_count, mask;
    const cdc_log_begin *begins;
    const cdc_log_source *sources;
    uint32_t begin_count, source_count;
    cdc_string file;
    /* where we are */
    uint64_t position; /* the end of the last event in its file */
    int64_t window_us, committed, unmarked; /* as Emitter.window */
    int64_t last_time_us, last_row;
    uint32_t server_id;
    /* what was found */
    uint64_t size, transactions, filtered;
    cdc_log_run *runs;
    cdc_log_commits *commits;
    uint32_t *frames; /* by `cdc_rec.frame`: the event */
    uint32_t run_count, commit_count, frame_count;
    uint32_t run_capacity, commit_capacity, frame_capacity;
} cdc_log;

/* Where a table map with this body is in `slots`, or would be. */
uint32_t cdc_log_slot(const cdc_log *log, const uint8_t *body, uint32_t size);

/* *kinds*: what each event is; NULL if all are of the log.

   Reads whole transactions from events[*next] on into *out*, and moves *next behind them. Stops before one whose last
   event the other code would not read any more, because there are *most* records or *most_size* bytes before it.
   CDC_LOG_REFUSED, CDC_LOG_UNKNOWN: the transaction at *next is for the other code, and nothing of it was counted; in the
   second case because it has a table map, a BEGIN or a source that is not known. */
int cdc_log_read(cdc_log *log, const cdc_frame *events, const uint8_t *kinds, uint32_t count, uint32_t *next,
                 uint64_t most, uint64_t most_size, cdc_records *out);

/* CRC-32 as in zlib. */
uint32_t cdc_crc32(const uint8_t *data, size_t size);

#endif
