#include "recordset_inside.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_BYTES 1024                /* of a set's memory; it doubles when it is full */
#define LEAST_FULL 4096
#define MOST_FULL (1024 * 1024)
#define MOST_SPARE_BYTES (4 * 1024 * 1024)
#define USUAL_RECORD_BYTES (1024 * 1024)

/* ---- a set ------------------------------------------------------------------------------------------------------ */

struct recordset *recordset_new(struct recordsets *sets, uint32_t topic, int32_t partition) {
    struct recordset *set = calloc(1, sizeof *set);
    if (set) {
        set->owner = sets;
        set->topic = topic;
        set->partition = partition;
    }
    return set;
}

static int make_room_for_a_run(struct recordset *set) {
    uint32_t room = set->run_room ? set->run_room * 2 : 4;
    struct recordset_run *runs;
    if (set->run_count < set->run_room)
        return 1;
    runs = realloc(set->runs, room * sizeof *runs);
    if (runs) {
        set->runs = runs;
        set->run_room = room;
    }
    return runs != NULL;
}

int recordset_make_room(struct recordset *set, size_t more, size_t likely) {
    struct recordsets *sets = set->owner;
    size_t needed = set->size + more, capacity = set->capacity ? set->capacity * 2 : FIRST_BYTES;
    uint8_t *data;
    if (!make_room_for_a_run(set))
        return 0;
    if (needed <= set->capacity)
        return 1;
    if (capacity < likely && sets->memory + likely <= sets->most_bytes)
        capacity = likely;
    if (capacity < needed)
        capacity = needed;
    if (needed <= sets->full && capacity > sets->full / 2)
        capacity = sets->full;
    if (capacity == sets->full && sets->spare_count) {
        data = sets->spare[--sets->spare_count];
        if (set->size)
            memcpy(data, set->data, set->size);
        free(set->data);
    } else {
        data = realloc(set->data, capacity);
        if (!data)
            return 0;
    }
    sets->memory += capacity - set->capacity;
    set->data = data;
    set->capacity = capacity;
    return 1;
}

static void free_data(struct recordset *set) {
    struct recordsets *sets = set->owner;
    sets->memory -= set->capacity;
    if (set->capacity == sets->full && sets->spare_count < sets->most_spare)
        sets->spare[sets->spare_count++] = set->data;
    else
        free(set->data);
    set->data = NULL;
    set->capacity = 0;
}

void recordset_discard(struct recordset *set) {
    free_data(set);
    free(set->runs);
    free(set);
}

/* ---- all of them ------------------------------------------------------------------------------------------------ */

struct recordsets *recordsets_new(size_t most_batch_bytes, size_t most_bytes, int64_t most_count, uint64_t seed) {
    struct recordsets *sets = calloc(1, sizeof *sets);
    if (!sets)
        return NULL;
    pthread_mutex_init(&sets->lock, NULL);
    sets->users = 1;
    sets->most_batch_bytes = most_batch_bytes;
    sets->most_bytes = most_bytes;
    sets->most_count = most_count;
    sets->most_record_bytes = USUAL_RECORD_BYTES;
    sets->random = seed | 1;
    sets->full = most_batch_bytes < LEAST_FULL ? LEAST_FULL
               : most_batch_bytes > MOST_FULL  ? MOST_FULL
                                               : most_batch_bytes;
    sets->most_spare = MOST_SPARE_BYTES / sets->full;
    if (sets->most_spare > RECORDSET_MOST_SPARE)
        sets->most_spare = RECORDSET_MOST_SPARE;
    return sets;
}

void recordsets_lock(struct recordsets *sets) {
    pthread_mutex_lock(&sets->lock);
}

int recordsets_try_lock(struct recordsets *sets) {
    return pthread_mutex_trylock(&sets->lock);
}

void recordsets_unlock(struct recordsets *sets) {
    pthread_mutex_unlock(&sets->lock);
}

/* One user less. Unlocks, and after the last one frees everything. */
static void leave(struct recordsets *sets) {
    size_t left = --sets->users;
    recordsets_unlock(sets);
    if (left)
        return;
    for (uint32_t number = 0; number < sets->topic_count; number++)
        free(sets->topics[number].partitions);
    for (uint32_t number = 0; number < sets->route_count; number++)
        free((void *)sets->routes[number].headers.block);
    while (sets->spare_count)
        free(sets->spare[--sets->spare_count]);
    free(sets->topics);
    free(sets->routes);
    pthread_mutex_destroy(&sets->lock);
    free(sets);
}

static void discard_partition(struct partition *partition) {
    struct recordset *set;
    while ((set = partition->first)) {
        partition->first = set->next;
        recordset_discard(set);
    }
    if (partition->open)
        recordset_discard(partition->open);
    free(partition);
}

void recordsets_end(struct recordsets *sets) {
    for (uint32_t number = 0; number < sets->topic_count; number++) {
        struct topic *topic = &sets->topics[number];
        for (int32_t each = 0; each < topic->room; each++)
            if (topic->partitions[each])
                discard_partition(topic->partitions[each]);
        topic->count = topic->room = 0;
    }
    leave(sets);
}

/* ---- a set that was taken --------------------------------------------------------------------------------------- */

void recordset_give_back(struct recordset *set) {
    recordsets_add(&set->owner->held_bytes, -(int64_t)(set->data ? set->size : set->kept));
    recordsets_add(&set->owner->held_count, -(int64_t)set->count);
}

void recordset_drop(struct recordset *set, size_t kept) {
    free_data(set);
    set->kept = kept;
    recordsets_add(&set->owner->held_bytes, (int64_t)kept - (int64_t)set->size);
}

int recordset_restore(struct recordset *set, const uint8_t *data) {
    size_t size = set->size;
    int done;
    set->size = 0;
    done = recordset_make_room(set, size, 0);
    set->size = size;
    if (!done)
        return 0;
    memcpy(set->data, data, size);
    recordsets_add(&set->owner->held_bytes, (int64_t)size - (int64_t)set->kept);
    return 1;
}

void recordset_free(struct recordset *set) {
    struct recordsets *sets = set->owner;
    recordset_discard(set);
    leave(sets);
}

/* The deliveries of *half*, which begins with record *first* of *set*. */
static int copy_runs(const struct recordset *set, uint32_t first, struct recordset *half) {
    uint32_t begin = 0, end = first + half->count;
    for (uint32_t each = 0; each < set->run_count; each++) {
        uint32_t next = begin + set->runs[each].count;
        uint32_t from = begin > first ? begin : first, to = next < end ? next : end;
        if (from < to) {
            if (!make_room_for_a_run(half))
                return 0;
            recordset_count(half, set->runs[each].delivery, to - from);
        }
        begin = next;
    }
    return 1;
}

int recordset_split(struct recordset *set, struct recordset *halves[2]) {
    struct recordsets *sets = set->owner;
    const uint8_t *at = set->data;
    uint32_t first = 0;
    int done = 1;
    for (int half = 0; half < 2; half++) {
        uint32_t count = half ? set->count - set->count / 2 : set->count / 2;
        halves[half] = recordset_new(sets, set->topic, set->partition);
        done = done && halves[half] && recordset_copy(set, &at, count, halves[half])
            && copy_runs(set, first, halves[half]);
        first += count;
    }
    for (int half = 0; half < 2; half++) {
        if (halves[half] && !done) {
            recordset_discard(halves[half]);
        } else if (done) {
            halves[half]->opened_at_ms = set->opened_at_ms;
            sets->users++;
            recordsets_add(&sets->held_bytes, (int64_t)halves[half]->size);
            recordsets_add(&sets->held_count, halves[half]->count);
        }
    }
    if (done)
        recordset_give_back(set);
    return done;
}
