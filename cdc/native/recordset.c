#include "recordset_inside.h"

#include <stdlib.h>
#include <string.h>

#define MOST_RECORD_BYTES 1000000000

int64_t recordsets_held_bytes(const struct recordsets *sets) {
    return __atomic_load_n(&sets->held_bytes, __ATOMIC_RELAXED);
}

int64_t recordsets_held_count(const struct recordsets *sets) {
    return __atomic_load_n(&sets->held_count, __ATOMIC_RELAXED);
}

int64_t recordsets_value_bytes(const struct recordsets *sets) {
    return __atomic_load_n(&sets->value_bytes, __ATOMIC_RELAXED);
}

/* ---- topics, partitions, routes --------------------------------------------------------------------------------- */

/* *items* with room for one more than *count*; NULL if memory is short. */
static void *grown(void *items, uint32_t count, uint32_t *room, size_t size) {
    uint32_t more = *room ? *room * 2 : 16;
    void *larger;
    if (count < *room)
        return items;
    larger = more > *room ? realloc(items, more * size) : NULL;
    if (larger)
        *room = more;
    return larger;
}

uint32_t recordsets_topic(struct recordsets *sets) {
    struct topic *topics = grown(sets->topics, sets->topic_count, &sets->topic_room, sizeof *topics);
    if (!topics)
        return RECORDSET_NONE;
    sets->topics = topics;
    memset(&topics[sets->topic_count], 0, sizeof *topics);
    topics[sets->topic_count].sticky = topics[sets->topic_count].former = -1;
    return sets->topic_count++;
}

int recordsets_partitions(struct recordsets *sets, uint32_t number, int32_t count) {
    struct topic *topic = &sets->topics[number];
    if (count > topic->room) {
        struct partition **larger = realloc(topic->partitions, (size_t)count * sizeof *larger);
        if (!larger)
            return 0;
        memset(larger + topic->room, 0, (size_t)(count - topic->room) * sizeof *larger);
        topic->partitions = larger;
        topic->room = count;
    }
    topic->count = count;
    return 1;
}

static struct partition *partition_of(struct recordsets *sets, uint32_t topic, int32_t number) {
    struct partition **found = &sets->topics[topic].partitions[number];
    if (!*found && (*found = calloc(1, sizeof **found))) {
        (*found)->topic = topic;
        (*found)->number = number;
    }
    return *found;
}

int recordsets_available(struct recordsets *sets, uint32_t topic, int32_t number, int yes) {
    struct partition *partition;
    if (number < 0 || number >= sets->topics[topic].room || (yes && !sets->topics[topic].partitions[number]))
        return 1;
    partition = partition_of(sets, topic, number);
    if (partition)
        partition->away = !yes;
    return partition != NULL;
}

uint32_t recordsets_route(struct recordsets *sets, uint32_t topic, const struct recordset_headers *headers) {
    struct route *routes = grown(sets->routes, sets->route_count, &sets->route_room, sizeof *routes);
    uint8_t *block;
    if (!routes)
        return RECORDSET_NONE;
    sets->routes = routes;
    block = malloc(headers->size);
    if (!block)
        return RECORDSET_NONE;
    memcpy(block, headers->block, headers->size);
    routes[sets->route_count].topic = topic;
    routes[sets->route_count].headers = *headers;
    routes[sets->route_count].headers.block = block;
    return sets->route_count++;
}

void recordsets_limit_record(struct recordsets *sets, size_t bytes) {
    sets->most_record_bytes = bytes < MOST_RECORD_BYTES ? bytes : MOST_RECORD_BYTES;
}

/* Into the list that fits what the partition holds; it keeps its place if it is there already. */
static void enlist(struct recordsets *sets, struct partition *partition) {
    struct partition_list *list = partition->first ? &sets->closed : partition->open ? &sets->open : NULL;
    if (partition->list == list)
        return;
    if (partition->list) {
        *(partition->before ? &partition->before->after : &partition->list->first) = partition->after;
        *(partition->after ? &partition->after->before : &partition->list->last) = partition->before;
    }
    partition->list = list;
    if (list) {
        partition->before = list->last;
        partition->after = NULL;
        *(list->last ? &list->last->after : &list->first) = partition;
        list->last = partition;
    }
}

/* Java: BuiltInPartitioner, which goes on to another partition after batch.size bytes, chosen by chance. */
static int32_t sticky(struct recordsets *sets, struct topic *topic) {
    int32_t start, other = -1;
    if (topic->sticky >= 0 && topic->sticky < topic->count
        && !(topic->partitions[topic->sticky] && topic->partitions[topic->sticky]->away))
        return topic->sticky;
    sets->random ^= sets->random << 13; /* Marsaglia's xorshift64 */
    sets->random ^= sets->random >> 7;
    sets->random ^= sets->random << 17;
    start = (int32_t)((sets->random >> 32) % (uint32_t)topic->count);
    topic->sticky = -1;
    for (int32_t step = 0; step < topic->count && topic->sticky < 0; step++) {
        int32_t each = start < topic->count - step ? start + step : start - (topic->count - step);
        if (topic->partitions[each] && topic->partitions[each]->away)
            continue;
        if (each == topic->former)
            other = each;
        else
            topic->sticky = each;
    }
    if (topic->sticky < 0)
        topic->sticky = other < 0 ? start : other;
    return topic->sticky;
}

static void close_open(struct recordsets *sets, struct partition *partition) {
    struct recordset *set = partition->open;
    struct topic *topic = &sets->topics[partition->topic];
    partition->open = NULL;
    partition->usual = set->size < sets->full ? set->size : sets->full;
    *(partition->last ? &partition->last->next : &partition->first) = set;
    partition->last = set;
    if (topic->sticky == partition->number) {
        topic->former = topic->sticky;
        topic->sticky = -1;
    }
    enlist(sets, partition);
}

/* ---- records ---------------------------------------------------------------------------------------------------- */

/* Finds the partition of a record that has at most *size* bytes, where an open set, if there is one, has room for it;
 * NULL if memory is short. */
static struct partition *place(struct recordsets *sets, uint32_t number, const struct recordset_message *message,
                               size_t size) {
    struct topic *topic = &sets->topics[number];
    size_t limit = sets->most_batch_bytes < sets->most_record_bytes ? sets->most_batch_bytes : sets->most_record_bytes;
    int32_t keyed = message->partition >= 0 || message->key_len == CDC_NULL
                  ? message->partition
                  : topic->count == 1
                  ? 0
                  : recordset_partition(message->key, message->key_len, topic->count);
    for (;;) {
        struct partition *found = partition_of(sets, number, keyed < 0 ? sticky(sets, topic) : keyed);
        if (!found || !found->open || RECORDSET_HEAD + found->open->size + size <= limit)
            return found;
        close_open(sets, found); /* records without a key go to another partition then */
    }
}

enum recordset_reason recordsets_put(struct recordsets *sets, uint32_t route, const struct recordset_headers *own,
                                     const struct recordset_message *message, int64_t delivery, int64_t now_ms) {
    uint32_t number = sets->routes[route].topic;
    const struct recordset_headers *headers = own ? own : &sets->routes[route].headers;
    uint64_t key_bytes = message->key_len == CDC_NULL ? 0 : message->key_len;
    uint64_t value_bytes = message->value_len == CDC_NULL ? 0 : message->value_len;
    uint64_t most = RECORDSET_OVERHEAD + key_bytes + value_bytes + headers->bytes;
    struct partition *partition;
    struct recordset *set;
    size_t size;
    if (!sets->topics[number].count)
        return RECORDSET_NO_PARTITIONS;
    if (message->partition < -1 || message->partition >= sets->topics[number].count)
        return RECORDSET_BAD_PARTITION;
    if (most > sets->most_record_bytes)
        return RECORDSET_TOO_LARGE;
    if (sets->held_count
        && (sets->held_count >= sets->most_count || (uint64_t)sets->held_bytes + most > sets->most_bytes))
        return RECORDSET_FULL;
    partition = place(sets, number, message, (size_t)most);
    set = !partition ? NULL : partition->open ? partition->open : recordset_new(sets, number, partition->number);
    if (!set || !recordset_make_room(set, (size_t)most, partition->usual)) {
        if (set && set != partition->open)
            recordset_discard(set);
        return sets->held_count ? RECORDSET_FULL : RECORDSET_NO_MEMORY;
    }
    if (set != partition->open) {
        partition->open = set;
        set->opened_at_ms = now_ms;
        enlist(sets, partition);
    }
    size = set->size;
    recordset_write(set, message, message->timestamp_ms < 1 ? now_ms : message->timestamp_ms, headers);
    recordset_count(set, delivery, 1);
    recordsets_add(&sets->held_bytes, (int64_t)(set->size - size));
    recordsets_add(&sets->held_count, 1);
    recordsets_add(&sets->value_bytes, (int64_t)value_bytes);
    return RECORDSET_TAKEN;
}

size_t recordsets_put_all(struct recordsets *sets, const uint8_t *data, const cdc_msg *messages, size_t first,
                          size_t end, const uint32_t *routes, size_t route_count, int64_t delivery, int64_t now_ms,
                          enum recordset_reason *reason) {
    *reason = RECORDSET_TAKEN;
    for (; first < end; first++) {
        const cdc_msg *each = &messages[first];
        struct recordset_message message = {data + each->key, data + each->val,  each->key_len,
                                            each->val_len,    each->partition, each->timestamp_ms};
        uint32_t route = each->route < route_count ? routes[each->route] : RECORDSET_NONE;
        *reason = route < sets->route_count ? recordsets_put(sets, route, NULL, &message, delivery, now_ms)
                                            : RECORDSET_NO_ROUTE;
        if (*reason)
            break;
    }
    return first;
}

/* ---- taking ----------------------------------------------------------------------------------------------------- */

size_t recordsets_ready(struct recordsets *sets, uint32_t topic, int all, struct recordset_place *places, size_t room) {
    size_t count = 0;
    for (int open = 0; open <= (all != 0); open++)
        for (struct partition *each = open ? sets->open.first : sets->closed.first; each; each = each->after)
            if (topic == RECORDSET_NONE || topic == each->topic) {
                if (count < room)
                    places[count] = (struct recordset_place){each->topic, each->number};
                count++;
            }
    return count;
}

struct recordset *recordsets_take(struct recordsets *sets, uint32_t topic, int32_t number, int open_too) {
    struct partition *partition;
    struct recordset *set;
    if (topic >= sets->topic_count || number < 0 || number >= sets->topics[topic].room)
        return NULL;
    partition = sets->topics[topic].partitions[number];
    if (!partition)
        return NULL;
    if (!partition->first && partition->open && open_too)
        close_open(sets, partition);
    set = partition->first;
    if (!set)
        return NULL;
    partition->first = set->next;
    if (!partition->first)
        partition->last = NULL;
    set->next = NULL;
    enlist(sets, partition);
    sets->users++;
    return set;
}
