/* Messages as bytes: an arena that grows, and where each message lies in it. Nothing here knows Python.

   An arena that could not grow, or would grow to 4 GB, has `error` set, and takes nothing more; whoever wrote checks
   `error` once for many writes. */
#ifndef CDC_BATCH_H
#define CDC_BATCH_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define CDC_NULL UINT32_MAX /* as a length: the key or value is Kafka's null */

enum { CDC_OK = 0, CDC_NO_MEMORY = 1, CDC_TOO_LARGE = 2 };

/* One message: offsets into the arena. `route`: index into the batch's routes. `partition`: -1 lets the partitioner
   choose. */
typedef struct {
    uint32_t key, key_len, val, val_len;
    uint32_t route;
    int32_t partition;
    int64_t timestamp_ms; /* since 1970; -1 for the producer's clock */
} cdc_msg;

typedef struct {
    uint8_t *data;
    size_t size, capacity;
    int error;
} cdc_out;

/* Where to write the next *count* bytes, which count as written; NULL on error. */
static inline uint8_t *cdc_out_take(cdc_out *out, size_t count) {
    size_t wanted = out->size + count;
    uint8_t *at;
    if (wanted > out->capacity || out->error) {
        size_t capacity = wanted < 4096 ? 4096 : wanted * 2;
        uint8_t *grown;
        if (out->error) return NULL;
        if (wanted >= UINT32_MAX || wanted < count) {
            out->error = CDC_TOO_LARGE;
            return NULL;
        }
        grown = (uint8_t *)realloc(out->data, capacity);
        if (grown == NULL) {
            out->error = CDC_NO_MEMORY;
            return NULL;
        }
        out->data = grown;
        out->capacity = capacity;
    }
    at = out->data + out->size;
    out->size = wanted;
    return at;
}

static inline void cdc_out_byte(cdc_out *out, uint8_t byte) {
    uint8_t *at = cdc_out_take(out, 1);
    if (at) *at = byte;
}

/* As memcpy; most of what is written is so short that the call takes longer than the copy. */
static inline void cdc_copy(uint8_t *to, const uint8_t *from, size_t count) {
    if (count > 16) {
        memcpy(to, from, count);
    } else if (count >= 8) {
        uint64_t first, last;
        memcpy(&first, from, 8);
        memcpy(&last, from + count - 8, 8);
        memcpy(to, &first, 8);
        memcpy(to + count - 8, &last, 8);
    } else if (count >= 4) {
        uint32_t first, last;
        memcpy(&first, from, 4);
        memcpy(&last, from + count - 4, 4);
        memcpy(to, &first, 4);
        memcpy(to + count - 4, &last, 4);
    } else if (count) {
        uint8_t middle = from[count / 2], last = from[count - 1];
        to[0] = from[0];
        to[count / 2] = middle;
        to[count - 1] = last;
    }
}

static inline void cdc_out_raw(cdc_out *out, const void *data, size_t count) {
    uint8_t *at;
    if (count == 0) return;
    at = cdc_out_take(out, count);
    if (at) cdc_copy(at, (const uint8_t *)data, count);
}

#define CDC_MOST_LONG 10

/* Writes an Avro int or long, CDC_MOST_LONG bytes at most, and returns where it ends: zig-zag, then little-endian base
   128 (Avro specification, "Binary Encoding"). */
static inline uint8_t *cdc_put_long(uint8_t *at, int64_t value) {
    uint64_t bits = ((uint64_t)value << 1) ^ (uint64_t)(value >> 63);
    for (; bits > 127; bits >>= 7) *at++ = (uint8_t)(bits | 128);
    *at++ = (uint8_t)bits;
    return at;
}

static inline void cdc_out_long(cdc_out *out, int64_t value) {
    uint8_t *at = cdc_out_take(out, CDC_MOST_LONG);
    if (at) out->size = (size_t)(cdc_put_long(at, value) - out->data);
}

/* Avro bytes and string: length, then the bytes. */
static inline void cdc_out_bytes(cdc_out *out, const void *data, size_t count) {
    uint8_t *at = cdc_out_take(out, CDC_MOST_LONG + count);
    if (at == NULL) return;
    at = cdc_put_long(at, (int64_t)count);
    cdc_copy(at, (const uint8_t *)data, count);
    out->size = (size_t)(at - out->data) + count;
}

#endif
