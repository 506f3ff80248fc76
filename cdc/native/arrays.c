#include "arrays.h"

#define BLOCK_BYTES 65536

typedef struct cdc_piece {
    struct cdc_piece *before;
    size_t used, size;
    uint8_t data[];
} cdc_piece;

static int grow(void **items, uint32_t *capacity, uint32_t count, uint32_t more, size_t size) {
    size_t wanted = (size_t)count + more;
    void *grown;
    if (wanted <= *capacity) return CDC_OK;
    wanted = wanted < 64 ? 64 : wanted * 2;
    if (wanted > UINT32_MAX / 2) return CDC_NO_MEMORY;
    grown = realloc(*items, wanted * size);
    if (grown == NULL) return CDC_NO_MEMORY;
    *items = grown;
    *capacity = (uint32_t)wanted;
    return CDC_OK;
}

int cdc_records_room(cdc_records *records, uint32_t recs, uint32_t cells, uint32_t txs) {
    uint32_t kinds = records->cell_capacity;
    if (grow((void **)&records->recs, &records->rec_capacity, records->rec_count, recs, sizeof(cdc_rec))
        || grow((void **)&records->txs, &records->tx_capacity, records->tx_count, txs, sizeof(cdc_tx))
        || grow((void **)&records->kinds, &kinds, records->cell_count, cells, 1)
        || grow((void **)&records->cells, &records->cell_capacity, records->cell_count, cells, sizeof(cdc_cell)))
        return CDC_NO_MEMORY;
    return CDC_OK;
}

uint8_t *cdc_records_block(cdc_records *records, size_t size) {
    cdc_piece *block = records->blocks;
    if (block == NULL || block->size - block->used < size) {
        size_t wanted = size > BLOCK_BYTES ? size : BLOCK_BYTES;
        block = (cdc_piece *)malloc(sizeof *block + wanted);
        if (block == NULL) return NULL;
        block->before = records->blocks;
        block->used = 0;
        block->size = wanted;
        records->blocks = block;
    }
    block->used += size;
    return block->data + block->used - size;
}

static uint8_t *put_long(uint8_t *p, uint64_t value) {
    for (value <<= 1; value > 127; value >>= 7) *p++ = (uint8_t)(value | 128);
    *p++ = (uint8_t)value;
    return p;
}

int cdc_put_counts(cdc_records *records, const cdc_counter *counters, const uint32_t *used, uint32_t count,
                   cdc_string *counts) {
    uint32_t order[CDC_MOST_COUNTERS], at, buckets = 16;
    size_t size = 20;
    uint8_t *p, *start;
    if (count > CDC_MOST_COUNTERS) return CDC_TOO_LARGE;
    while (count > buckets * 3 / 4) buckets *= 2;
    for (at = 0; at < count; at++) {
        const cdc_counter *counter = counters + used[at];
        uint32_t place = at, bucket = counter->spread & (buckets - 1);
        for (; place > 0 && (counters[order[place - 1]].spread & (buckets - 1)) > bucket; place--)
            order[place] = order[place - 1];
        order[place] = used[at];
        size += counter->size + 21;
    }
    start = p = cdc_records_block(records, size);
    if (p == NULL) return CDC_NO_MEMORY;
    if (count > 0) p = put_long(p, count);
    for (at = 0; at < count; at++) {
        const cdc_counter *counter = counters + order[at];
        *p++ = 2;
        p = put_long(p, counter->size);
        memcpy(p, counter->name, counter->size);
        p = put_long(p + counter->size, counter->count);
    }
    *p++ = 0;
    counts->data = start;
    counts->size = (uint32_t)(p - start);
    return CDC_OK;
}

int cdc_records_append(cdc_records *records, const cdc_records *more, uint32_t frame, const uint32_t *tables) {
    uint32_t at;
    if (cdc_records_room(records, more->rec_count, more->cell_count, more->tx_count)) return CDC_NO_MEMORY;
    for (at = 0; at < more->rec_count; at++) {
        cdc_rec *rec = records->recs + records->rec_count + at;
        *rec = more->recs[at];
        rec->frame += frame;
        rec->tx += records->tx_count;
        rec->table = tables[rec->table];
        if (rec->before != CDC_NO_ROW) rec->before += records->cell_count;
        if (rec->after != CDC_NO_ROW) rec->after += records->cell_count;
    }
    if (more->cell_count) {
        memcpy(records->cells + records->cell_count, more->cells, more->cell_count * sizeof(cdc_cell));
        memcpy(records->kinds + records->cell_count, more->kinds, more->cell_count);
    }
    if (more->tx_count) memcpy(records->txs + records->tx_count, more->txs, more->tx_count * sizeof(cdc_tx));
    records->rec_count += more->rec_count;
    records->cell_count += more->cell_count;
    records->tx_count += more->tx_count;
    return CDC_OK;
}

void cdc_records_free(cdc_records *records) {
    while (records->blocks != NULL) {
        cdc_piece *before = records->blocks->before;
        free(records->blocks);
        records->blocks = before;
    }
    free(records->recs);
    free(records->cells);
    free(records->kinds);
    free(records->txs);
    memset(records, 0, sizeof *records);
}
