/* Uses record sets as a sink does, with random sizes and limits, and checks what comes out. AddressSanitizer watches
   one thread, ThreadSanitizer two: test_recordset_use.py builds and runs it. Arguments: rounds, seed, threads. */
#include "recordset.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOPICS 3
#define PARTITIONS 5
#define MOST 400
#define DELIVERIES 64

#define CHECK(condition)                                                  \
    do {                                                                  \
        if (!(condition)) {                                               \
            fprintf(stderr, "line %d: %s\n", __LINE__, #condition);       \
            exit(1);                                                      \
        }                                                                 \
    } while (0)

static struct recordsets *sets;
static uint64_t expected[TOPICS][PARTITIONS]; /* the number of the next record that comes out */
static int64_t taken[DELIVERIES], put[DELIVERIES];
static int over, threads;

static uint64_t drawn(uint64_t *seed) {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed >> 11;
}

static uint32_t pick(uint64_t *seed, uint32_t limit) {
    return (uint32_t)(drawn(seed) % limit);
}

/* The records of *set* are those that its partition expects: each begins with its number. */
static void check_set(struct recordset *set) {
    uint32_t run = 0, left = set->runs[0].count;
    CHECK(set->count && set->size);
    for (uint32_t index = 0; index < set->count; index++, left--) {
        struct recordset_record record;
        uint64_t number;
        CHECK(recordset_read(set, index, &record));
        CHECK(record.key_len >= 8 && record.key_len != CDC_NULL);
        memcpy(&number, record.key, 8);
        CHECK(number == expected[set->topic][set->partition]++);
        if (!left)
            left = set->runs[++run].count;
        taken[set->runs[run].delivery]++;
    }
    CHECK(run + 1 == set->run_count && left == 0);
}

static void done_with(struct recordset *set) {
    recordsets_lock(set->owner);
    recordset_give_back(set);
    recordset_free(set);
}

/* Drops its records for a while. */
static void drop_and_restore(struct recordset *set) {
    struct recordset_record record;
    uint8_t *copy = malloc(set->size);
    memcpy(copy, set->data, set->size);
    recordsets_lock(set->owner);
    recordset_drop(set, set->size / 2);
    recordsets_unlock(set->owner);
    CHECK(!recordset_read(set, 0, &record));
    recordsets_lock(set->owner);
    CHECK(recordset_restore(set, copy));
    recordsets_unlock(set->owner);
    free(copy);
}

static void use(struct recordset *set, uint64_t *seed) {
    uint8_t head[RECORDSET_HEAD];
    struct recordset_batch batch = {set->base_ms, set->max_ms, 7, (int32_t)set->count, 0, 0, 1};
    struct recordset *halves[2];
    struct recordset_record record;
    recordset_head(head, &batch, set->data, set->size);
    CHECK(!recordset_read(set, set->count, &record));
    if (pick(seed, 3) == 0)
        drop_and_restore(set);
    if (set->count > 1 && pick(seed, 3) == 0) {
        recordsets_lock(set->owner);
        CHECK(recordset_split(set, halves));
        recordset_free(set);
        use(halves[0], seed);
        use(halves[1], seed);
        return;
    }
    check_set(set);
    if (pick(seed, 3) == 0) {
        recordsets_lock(set->owner);
        recordset_drop(set, 7);
        recordsets_unlock(set->owner);
    }
    done_with(set);
}

/* Takes sets until nothing is ready; with *open_too* all there are. */
static void drain(int open_too, uint64_t *seed) {
    struct recordset_place places[TOPICS * PARTITIONS];
    size_t count;
    recordsets_lock(sets);
    count = recordsets_ready(sets, pick(seed, 4) ? RECORDSET_NONE : 0, open_too, places, TOPICS * PARTITIONS);
    recordsets_unlock(sets);
    CHECK(count <= TOPICS * PARTITIONS);
    for (size_t each = 0; each < count; each++) {
        struct recordset *set;
        recordsets_lock(sets);
        set = recordsets_take(sets, places[each].topic, places[each].partition, open_too);
        recordsets_unlock(sets);
        if (set || threads == 1)
            CHECK(set);
        if (set)
            use(set, seed);
    }
}

static void *drain_always(void *seed) {
    uint64_t own = *(uint64_t *)seed;
    while (!__atomic_load_n(&over, __ATOMIC_ACQUIRE))
        drain(pick(&own, 2) == 0, &own);
    return NULL;
}

static void fill(uint64_t *seed, uint64_t numbers[TOPICS][PARTITIONS], uint32_t count) {
    static const uint32_t routes[TOPICS + 1] = {0, 1, 2, RECORDSET_NONE};
    uint32_t bytes = 1 + pick(seed, 2000), first = 0;
    uint8_t *data = calloc(1, count * (size_t)(bytes + 8));
    cdc_msg *messages = calloc(count, sizeof *messages);
    int64_t delivery = pick(seed, DELIVERIES);
    for (uint32_t each = 0; each < count; each++) {
        uint32_t topic = pick(seed, TOPICS), partition = pick(seed, PARTITIONS);
        cdc_msg *message = &messages[each];
        message->key = each * (bytes + 8);
        message->key_len = 8 + pick(seed, bytes);
        message->val = message->key;
        message->val_len = pick(seed, 5) ? pick(seed, bytes) : CDC_NULL;
        message->route = topic;
        message->partition = (int32_t)partition;
        message->timestamp_ms = (int64_t)(pick(seed, 9) ? pick(seed, 2000) : drawn(seed) * (pick(seed, 2) ? 1 : ~0ull));
        memcpy(data + message->key, &numbers[topic][partition], 8);
        numbers[topic][partition]++;
    }
    while (first < count) {
        enum recordset_reason reason;
        size_t next;
        recordsets_lock(sets);
        next = recordsets_put_all(sets, data, messages, first, count, routes, TOPICS + 1, delivery, 1000, &reason);
        recordsets_unlock(sets);
        put[delivery] += (int64_t)next - first;
        CHECK((next == count) == (reason == RECORDSET_TAKEN));
        first = (uint32_t)next;
        if (first < count)
            CHECK(reason == RECORDSET_FULL);
        if (threads == 1)
            drain(first < count, seed);
        else if (first < count)
            sched_yield();
    }
    free(messages);
    free(data);
}

static void one_round(uint64_t *seed) {
    static const char block[] = "\2\4hd\6abc"; /* one header */
    const struct recordset_headers headers = {(const uint8_t *)block, sizeof block - 1, sizeof block - 2};
    uint64_t numbers[TOPICS][PARTITIONS] = {{0}}, other = *seed ^ 12345;
    pthread_t thread;
    memset(expected, 0, sizeof expected);
    memset(taken, 0, sizeof taken);
    memset(put, 0, sizeof put);
    over = 0;
    sets = recordsets_new(1 + pick(seed, 20000), 1 + pick(seed, 100000), 1 + pick(seed, 1000), *seed);
    for (uint32_t topic = 0; topic < TOPICS; topic++) {
        CHECK(recordsets_topic(sets) == topic);
        CHECK(recordsets_route(sets, topic, &headers) == topic);
        CHECK(recordsets_partitions(sets, topic, PARTITIONS));
        CHECK(recordsets_available(sets, topic, (int32_t)pick(seed, PARTITIONS), 0));
    }
    if (threads == 2)
        CHECK(!pthread_create(&thread, NULL, drain_always, &other));
    for (int batches = 0; batches < 5; batches++)
        fill(seed, numbers, 1 + pick(seed, MOST));
    if (threads == 2) {
        __atomic_store_n(&over, 1, __ATOMIC_RELEASE);
        pthread_join(thread, NULL);
    }
    if (pick(seed, 4)) {
        while (recordsets_held_count(sets))
            drain(1, seed);
        CHECK(!recordsets_held_bytes(sets));
        CHECK(!memcmp(taken, put, sizeof put) && !memcmp(numbers, expected, sizeof expected));
    } else if (pick(seed, 2)) { /* a set outlives the others */
        struct recordset *set = NULL;
        recordsets_lock(sets);
        for (int32_t each = 0; each < PARTITIONS && !set; each++)
            set = recordsets_take(sets, 0, each, 1);
        recordsets_end(sets);
        if (set)
            done_with(set);
        return;
    }
    recordsets_lock(sets);
    recordsets_end(sets);
}

int main(int count, char **arguments) {
    long rounds = count > 3 ? atol(arguments[1]) : 1;
    uint64_t seed = (count > 3 ? strtoull(arguments[2], NULL, 10) : 1) * 2654435761u + 1;
    threads = count > 3 ? atoi(arguments[3]) : 1;
    while (rounds-- > 0)
        one_round(&seed);
    puts("done");
    return 0;
}
