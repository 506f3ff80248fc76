#include "arrays.h"

#define BLOCK_BYTES 65536

typedef struct cdc_block {
    struct cdc_block *before;
    size_t used, size;
    uint8_t data[];
} cdc_block;

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
    cdc_block *block = records->blocks;
    if (block == NULL || block->size - block->used < size) {
        size_t wanted = size > BLOCK_BYTES ? size : BLOCK_BYTES;
        block = (cdc_block *)malloc(sizeof *block + wanted);
        if (block == NULL) return NULL;
        block->before = records->blocks;
        block->used = 0;
        block->size = wanted;
        records->blocks = block;
    }
    block->used += size;
    return block->data + block->used - size;
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
        cdc_block *before = records->blocks->before;
        free(records->blocks);
        records->blocks = before;
    }
    free(records->recs);
    free(records->cells);
    free(records->kinds);
    free(records->txs);
    memset(records, 0, sizeof *records);
}
