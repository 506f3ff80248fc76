/* What the files recordset*.c share. */
#ifndef CDC_RECORDSET_INSIDE_H
#define CDC_RECORDSET_INSIDE_H

#include "recordset.h"

#define RECORDSET_MOST_SPARE 64

struct partition_list {
    struct partition *first, *last;
};

struct partition {
    struct partition_list *list;        /* the one it is in; NULL if it holds nothing */
    struct partition *before, *after;
    struct recordset *first, *last;     /* closed, the oldest first */
    struct recordset *open;
    size_t usual;                       /* bytes of the set closed last: the next one may have as many */
    uint32_t topic;
    int32_t number;
    int away;
};

struct topic {
    struct partition **partitions;      /* NULL: nothing was ever written to it */
    int32_t count, room;
    int32_t sticky, former;             /* where records without a key go, and went before; or -1 */
};

struct route {
    uint32_t topic;
    struct recordset_headers headers;
};

struct recordsets {
    pthread_mutex_t lock;
    size_t users;                       /* sets that were taken and not freed, and the one who made all this */
    size_t most_batch_bytes, most_bytes, most_record_bytes;
    int64_t most_count;
    int64_t held_bytes, held_count, value_bytes; /* written with the lock only, read without it */
    struct topic *topics;
    struct route *routes;
    uint32_t topic_count, topic_room, route_count, route_room;
    struct partition_list closed, open; /* partitions that hold a closed set; those that hold an open one only */
    uint64_t random;
    size_t memory;                      /* bytes of the memory of all sets */
    size_t full;                        /* bytes of the pieces that are kept in `spare` to be used again */
    size_t spare_count, most_spare;
    uint8_t *spare[RECORDSET_MOST_SPARE];
};

static inline void recordsets_add(int64_t *counter, int64_t count) {
    __atomic_store_n(counter, *counter + count, __ATOMIC_RELAXED);
}

/* ---- recordset_memory.c ----------------------------------------------------------------------------------------- */

/* A set without records, of which nobody knows yet; NULL if memory is short. */
struct recordset *recordset_new(struct recordsets *sets, uint32_t topic, int32_t partition);

/* Makes room for *more* bytes behind those of *set*, and for its next run; *likely*: for so many bytes in the end.
 * Returns 0 if memory is short. */
int recordset_make_room(struct recordset *set, size_t more, size_t likely);

/* Frees a set that was not taken. */
void recordset_discard(struct recordset *set);

/* ---- recordset_format.c ----------------------------------------------------------------------------------------- */

/* Writes a record behind the others of *set*, which has room. */
void recordset_write(struct recordset *set, const struct recordset_message *message, int64_t timestamp_ms,
                     const struct recordset_headers *headers);

/* Counts *count* records more for *delivery*; the set has room for a run. */
void recordset_count(struct recordset *set, int64_t delivery, uint32_t count);

/* Copies *count* records that begin at *at* to the end of *half*, with numbers and times of its own. Returns 0 if
 * memory is short. */
int recordset_copy(const struct recordset *set, const uint8_t **at, uint32_t count, struct recordset *half);

#endif
