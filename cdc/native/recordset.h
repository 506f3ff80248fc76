/* Kafka's record batches in the making: of each partition one that is open, and those that wait to be sent.
 *
 * Kafka docs, "Message Format"; Java: DefaultRecord, DefaultRecordBatch. A *set* is what a batch has behind its head:
 * its records, not compressed yet. A set is open until a record does not fit any more or somebody takes it; then it
 * never changes. *runs* tells how many of its records, one after the other, belong to which delivery.
 *
 * Any thread may call. Whoever calls a function that begins with `recordsets_`, or one that says so, holds the lock
 * (`recordsets_lock`), `recordsets_new` aside. A set that was taken belongs to its taker, and needs no lock.
 */
#ifndef CDC_RECORDSET_H
#define CDC_RECORDSET_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "batch.h"

#define RECORDSET_HEAD 61           /* bytes of a batch before its records */
#define RECORDSET_OVERHEAD 36       /* the most that a record has beside key, value and headers */
#define RECORDSET_NONE UINT32_MAX   /* no topic or route */

/* Why a record was not taken. FULL: too much is held. NO_MEMORY: the same, but nothing is held. NO_PARTITIONS: nobody
 * said yet how many the topic has. BAD_PARTITION: it has none of the number given. */
enum recordset_reason {
    RECORDSET_TAKEN, RECORDSET_FULL, RECORDSET_NO_ROUTE, RECORDSET_NO_PARTITIONS, RECORDSET_TOO_LARGE,
    RECORDSET_BAD_PARTITION, RECORDSET_NO_MEMORY
};

struct recordset_run {
    int64_t delivery;
    uint32_t count;
};

struct recordset {
    struct recordset *next;         /* of the same partition, closed later */
    struct recordsets *owner;
    uint8_t *data;                  /* NULL once they were dropped */
    size_t size, capacity, kept;    /* kept: bytes that are held instead of those dropped */
    struct recordset_run *runs;
    uint32_t run_count, run_room;
    uint32_t topic, count;
    int32_t partition;
    int64_t base_ms, max_ms;        /* the first record's timestamp, and the latest one */
    int64_t opened_at_ms;           /* the caller's clock when its first record came */
    uint32_t read_count;            /* records before read_at, where recordset_read may go on */
    size_t read_at;
};

/* A length of CDC_NULL is null; a timestamp below 1 is the caller's clock; partition -1 lets the key choose. */
struct recordset_message {
    const uint8_t *key, *value;
    uint32_t key_len, value_len;
    int32_t partition;
    int64_t timestamp_ms;
};

/* *block*: the number of headers and the headers, as a record ends with them. *bytes*: without that number. */
struct recordset_headers {
    const uint8_t *block;
    size_t size, bytes;
};

/* NULL if memory is short. Sets of several records have at most *most_batch_bytes*, the head included. Once the records
 * held would have more than *most_bytes*, or be more than *most_count*, no further one is taken; but always one. */
struct recordsets *recordsets_new(size_t most_batch_bytes, size_t most_bytes, int64_t most_count, uint64_t seed);

void recordsets_lock(struct recordsets *sets);
int recordsets_try_lock(struct recordsets *sets); /* 0 if it has the lock now */
void recordsets_unlock(struct recordsets *sets);

/* Unlocks, and drops what is not taken. Memory goes with the last set that was taken. */
void recordsets_end(struct recordsets *sets);

/* The number of a new topic, of which no partitions are known; RECORDSET_NONE if memory is short. */
uint32_t recordsets_topic(struct recordsets *sets);

/* The topic has *count* partitions now; 0: unknown. Returns 0 if memory is short. */
int recordsets_partitions(struct recordsets *sets, uint32_t topic, int32_t count);

/* Whether a record without a key may go to *partition*, as long as another one may. Returns 0 if memory is short. */
int recordsets_available(struct recordsets *sets, uint32_t topic, int32_t partition, int yes);

/* The number of a new route: a topic with a copy of *headers*; RECORDSET_NONE if memory is short. */
uint32_t recordsets_route(struct recordsets *sets, uint32_t topic, const struct recordset_headers *headers);

/* The most that key, value and headers of one record may have, with RECORDSET_OVERHEAD; at most 10^9. */
void recordsets_limit_record(struct recordsets *sets, size_t bytes);

/* Takes one record, with the route's headers, or *own* if that is not NULL. */
enum recordset_reason recordsets_put(struct recordsets *sets, uint32_t route, const struct recordset_headers *own,
                                     const struct recordset_message *message, int64_t delivery, int64_t now_ms);

/* Takes *messages* from *first* up to *end*, whose bytes are in *data*. routes[message.route], of *route_count*, is the
 * route here, or RECORDSET_NONE. Returns the index of the first one not taken, with the *reason*. */
size_t recordsets_put_all(struct recordsets *sets, const uint8_t *data, const cdc_msg *messages, size_t first,
                          size_t end, const uint32_t *routes, size_t route_count, int64_t delivery, int64_t now_ms,
                          enum recordset_reason *reason);

struct recordset_place {
    uint32_t topic;
    int32_t partition;
};

/* Writes up to *room* partitions of *topic* (RECORDSET_NONE: of all) that have closed sets, the one that waits longest
 * first; with *all* then those that have an open one only. Returns how many there are. */
size_t recordsets_ready(struct recordsets *sets, uint32_t topic, int all, struct recordset_place *places, size_t room);

/* The oldest closed set of a partition; with *open_too* and no such set the open one. NULL if there is none. */
struct recordset *recordsets_take(struct recordsets *sets, uint32_t topic, int32_t partition, int open_too);

/* For any thread, without the lock. */
int64_t recordsets_held_bytes(const struct recordsets *sets);
int64_t recordsets_held_count(const struct recordsets *sets);
int64_t recordsets_value_bytes(const struct recordsets *sets); /* of all values taken so far */

/* ---- a set that was taken --------------------------------------------------------------------------------------- */

/* Its records are no longer held; its bytes stay until recordset_free. The caller holds the lock; once for each set. */
void recordset_give_back(struct recordset *set);

/* Frees the bytes of its records; in their place *kept* bytes of the caller's count as held. The caller holds the
 * lock. */
void recordset_drop(struct recordset *set, size_t kept);

/* Has the bytes again, as many as there were, from *data*. Returns 0, and changes nothing, if memory is short. The caller
 * holds the lock. */
int recordset_restore(struct recordset *set, const uint8_t *data);

/* Frees it. The caller holds the lock, which this unlocks. */
void recordset_free(struct recordset *set);

struct recordset_record {
    const uint8_t *key;
    uint32_t key_len, value_len; /* CDC_NULL: null */
};

/* Reads record *index*; returns 0 if there is none, or if they were dropped. From one to the next it does not begin
 * again. */
int recordset_read(struct recordset *set, uint32_t index, struct recordset_record *record);

/* Makes two sets of the records of *set*, which has at least two and was not dropped, and gives it back. Returns 0, and
 * changes nothing, if memory is short. The caller holds the lock. */
int recordset_split(struct recordset *set, struct recordset *halves[2]);

/* ---- bytes ------------------------------------------------------------------------------------------------------ */

struct recordset_batch {
    int64_t base_ms, max_ms, producer_id;
    int32_t count, sequence;
    int16_t attributes, epoch;
};

/* The RECORDSET_HEAD bytes of a batch whose records, perhaps compressed, are the *size* bytes at *records*, fewer than
 * 2^31 - RECORDSET_HEAD. */
void recordset_head(uint8_t *head, const struct recordset_batch *batch, const uint8_t *records, size_t size);

/* CRC-32C (RFC 3720, 12.1) of *size* bytes that follow those of which *crc* is the checksum; 0: of none. */
uint32_t recordset_crc32c(uint32_t crc, const uint8_t *data, size_t size);

/* The same without the processor's instructions for it. */
uint32_t recordset_crc32c_plain(uint32_t crc, const uint8_t *data, size_t size);

/* The partition, of *count*, of a key that is not null. Java: BuiltInPartitioner.partitionForKey, Utils.murmur2. */
int32_t recordset_partition(const uint8_t *key, size_t size, int32_t count);

#endif
