#include "block.h"

#define FIRST_BYTES 4096
#define FIRST_FRAMES 32

uint8_t *cdc_block_add(cdc_block *block, size_t size) {
    if (block->count == block->start_capacity) {
        uint32_t capacity = block->count ? block->count * 2 : FIRST_FRAMES;
        size_t *grown = (size_t *)realloc(block->starts, capacity * sizeof *grown);
        if (grown == NULL) return NULL;
        block->starts = grown;
        block->start_capacity = capacity;
    }
    if (size > block->capacity - block->size || block->data == NULL) {
        size_t capacity = block->capacity ? block->capacity * 2 : FIRST_BYTES;
        uint8_t *grown;
        if (size > capacity - block->size) capacity = block->size + size; /* no more than one huge frame takes */
        grown = (uint8_t *)realloc(block->data, capacity);
        if (grown == NULL) return NULL;
        block->data = grown;
        block->capacity = capacity;
    }
    block->starts[block->count++] = block->size;
    block->size += size;
    return block->data + block->size - size;
}

size_t cdc_block_size(const cdc_block *block, uint32_t index) {
    return (index + 1 < block->count ? block->starts[index + 1] : block->size) - block->starts[index];
}

void cdc_block_fit(cdc_block *block) {
    void *smaller;
    if (block->size && (smaller = realloc(block->data, block->size)) != NULL) {
        block->data = (uint8_t *)smaller;
        block->capacity = block->size;
    }
    if (block->count && (smaller = realloc(block->starts, block->count * sizeof *block->starts)) != NULL) {
        block->starts = (size_t *)smaller;
        block->start_capacity = block->count;
    }
}

void cdc_block_list(const cdc_block *block, cdc_frame *frames) {
    uint32_t at;
    for (at = 0; at < block->count; at++) {
        frames[at].data = block->data + block->starts[at];
        frames[at].size = (uint32_t)cdc_block_size(block, at);
    }
}

void cdc_block_free(cdc_block *block) {
    free(block->data);
    free(block->starts);
    memset(block, 0, sizeof *block);
}
