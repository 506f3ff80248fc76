#include "recordset_inside.h"

#include <string.h>

/* Kafka's varint and varlong: zig-zag, then little-endian base 128, as Protocol Buffers have it (Java: ByteUtils). */
static uint64_t zigzag(int64_t value) {
    return ((uint64_t)value << 1) ^ (uint64_t)(value >> 63);
}

static size_t size_of(int64_t value) {
    return (size_t)(70 - __builtin_clzll(zigzag(value) | 1)) / 7;
}

static uint8_t *put_long(uint8_t *at, int64_t value) {
    uint64_t bits = zigzag(value);
    for (; bits > 127; bits >>= 7)
        *at++ = (uint8_t)(bits | 128);
    *at++ = (uint8_t)bits;
    return at;
}

/* Reads one before *end*; returns 0 if there is none. */
static int get_long(const uint8_t **at, const uint8_t *end, int64_t *value) {
    uint64_t bits = 0;
    for (int shift = 0; shift < 70 && *at < end; shift += 7) {
        uint8_t byte = *(*at)++;
        bits |= (uint64_t)(byte & 127) << shift;
        if (byte < 128) {
            *value = (int64_t)(bits >> 1 ^ (~(bits & 1) + 1));
            return 1;
        }
    }
    return 0;
}

static uint8_t *put_bytes(uint8_t *at, const uint8_t *data, uint32_t size) {
    if (size == CDC_NULL)
        return put_long(at, -1);
    at = put_long(at, size);
    if (size)
        memcpy(at, data, size);
    return at + size;
}

static size_t size_of_bytes(uint32_t size) {
    return size == CDC_NULL ? 1 : size_of(size) + size;
}

/* ---- writing ---------------------------------------------------------------------------------------------------- */

/* Writes what a record has before its key, if *rest* bytes follow it. Returns where they go. */
static uint8_t *put_start(struct recordset *set, int64_t timestamp_ms, size_t rest) {
    uint8_t *at = set->data + set->size;
    int64_t delta_ms;
    if (!set->count)
        set->base_ms = set->max_ms = timestamp_ms;
    if (timestamp_ms > set->max_ms)
        set->max_ms = timestamp_ms;
    delta_ms = (int64_t)((uint64_t)timestamp_ms - (uint64_t)set->base_ms); /* may overflow, as in Java */
    at = put_long(at, (int64_t)(1 + size_of(delta_ms) + size_of(set->count) + rest));
    *at++ = 0; /* attributes */
    at = put_long(at, delta_ms);
    return put_long(at, set->count++);
}

void recordset_write(struct recordset *set, const struct recordset_message *message, int64_t timestamp_ms,
                     const struct recordset_headers *headers) {
    uint8_t *at = put_start(set, timestamp_ms, size_of_bytes(message->key_len) + size_of_bytes(message->value_len)
                                                   + headers->size);
    at = put_bytes(at, message->key, message->key_len);
    at = put_bytes(at, message->value, message->value_len);
    memcpy(at, headers->block, headers->size);
    set->size = (size_t)(at - set->data) + headers->size;
}

void recordset_count(struct recordset *set, int64_t delivery, uint32_t count) {
    if (!set->run_count || set->runs[set->run_count - 1].delivery != delivery)
        set->runs[set->run_count++] = (struct recordset_run){delivery, 0};
    set->runs[set->run_count - 1].count += count;
}

static uint8_t *put_number(uint8_t *at, uint64_t value, int size) {
    while (size > 0)
        *at++ = (uint8_t)(value >> 8 * --size);
    return at;
}

void recordset_head(uint8_t *head, const struct recordset_batch *batch, const uint8_t *records, size_t size) {
    uint8_t *at = put_number(head, 0, 8), *checked;             /* base offset: the broker's */
    uint32_t crc;
    at = put_number(at, RECORDSET_HEAD - 12 + size, 4);         /* bytes from here on */
    at = put_number(at, UINT32_MAX, 4);                         /* the leader's epoch: the broker's */
    *at++ = 2;                                                  /* version of the format */
    checked = at + 4;
    at = put_number(checked, (uint16_t)batch->attributes, 2);
    at = put_number(at, (uint32_t)batch->count - 1, 4);         /* the last record's offset */
    at = put_number(at, (uint64_t)batch->base_ms, 8);
    at = put_number(at, (uint64_t)batch->max_ms, 8);
    at = put_number(at, (uint64_t)batch->producer_id, 8);
    at = put_number(at, (uint16_t)batch->epoch, 2);
    at = put_number(at, (uint32_t)batch->sequence, 4);
    at = put_number(at, (uint32_t)batch->count, 4);
    crc = recordset_crc32c(0, checked, (size_t)(at - checked));
    put_number(checked - 4, recordset_crc32c(crc, records, size), 4);
}

int32_t recordset_partition(const uint8_t *key, size_t size, int32_t count) {
    const uint32_t m = UINT32_C(0x5bd1e995);
    uint32_t hash = UINT32_C(0x9747b28c) ^ (uint32_t)size;
    for (; size >= 4; size -= 4, key += 4) {
        uint32_t four = (uint32_t)key[0] | (uint32_t)key[1] << 8 | (uint32_t)key[2] << 16 | (uint32_t)key[3] << 24;
        four *= m;
        four ^= four >> 24;
        hash = (hash * m) ^ (four * m);
    }
    if (size > 2)
        hash ^= (uint32_t)key[2] << 16;
    if (size > 1)
        hash ^= (uint32_t)key[1] << 8;
    if (size > 0)
        hash = (hash ^ key[0]) * m;
    hash = (hash ^ hash >> 13) * m;
    hash ^= hash >> 15;
    return (int32_t)((hash & INT32_MAX) % (uint32_t)count);
}

/* ---- reading ---------------------------------------------------------------------------------------------------- */

/* Reads what a record has before its key: where it ends, and its timestamp. *at* is then at the length of its key. */
static int get_start(const struct recordset *set, const uint8_t **at, const uint8_t **end, int64_t *timestamp_ms) {
    const uint8_t *last = set->data + set->size;
    int64_t size, delta_ms, index;
    if (!get_long(at, last, &size) || size < 1 || size > last - *at)
        return 0;
    *end = *at + size;
    ++*at;
    if (!get_long(at, *end, &delta_ms) || !get_long(at, *end, &index))
        return 0;
    *timestamp_ms = (int64_t)((uint64_t)set->base_ms + (uint64_t)delta_ms);
    return 1;
}

static int get_bytes(const uint8_t **at, const uint8_t *end, uint32_t *size) {
    int64_t found;
    if (!get_long(at, end, &found) || found > end - *at)
        return 0;
    *size = found < 0 ? CDC_NULL : (uint32_t)found;
    *at += found < 0 ? 0 : found;
    return 1;
}

int recordset_read(struct recordset *set, uint32_t index, struct recordset_record *record) {
    const uint8_t *at, *end;
    int64_t timestamp_ms;
    if (index >= set->count || !set->data)
        return 0;
    if (index < set->read_count) {
        set->read_count = 0;
        set->read_at = 0;
    }
    for (;; set->read_count++) {
        at = set->data + set->read_at;
        if (!get_start(set, &at, &end, &timestamp_ms))
            return 0;
        if (set->read_count == index)
            break;
        set->read_at = (size_t)(end - set->data);
    }
    if (!get_bytes(&at, end, &record->key_len))
        return 0;
    record->key = at - (record->key_len == CDC_NULL ? 0 : record->key_len);
    return get_bytes(&at, end, &record->value_len);
}

int recordset_copy(const struct recordset *set, const uint8_t **at, uint32_t count, struct recordset *half) {
    for (; count > 0; count--) {
        const uint8_t *end;
        int64_t timestamp_ms;
        size_t rest;
        uint8_t *to;
        if (!get_start(set, at, &end, &timestamp_ms))
            return 0;
        rest = (size_t)(end - *at);
        if (!recordset_make_room(half, rest + RECORDSET_OVERHEAD, 0))
            return 0;
        to = put_start(half, timestamp_ms, rest);
        memcpy(to, *at, rest);
        half->size = (size_t)(to - half->data) + rest;
        *at = end;
    }
    return 1;
}
