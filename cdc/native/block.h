/* Frames as they were read, in one piece of memory: their bytes behind each other, and where each begins. */
#ifndef CDC_BLOCK_H
#define CDC_BLOCK_H

#include "arrays.h"

typedef struct {
    uint8_t *data;
    size_t size, capacity;
    size_t *starts; /* of each frame in `data` */
    uint32_t count, start_capacity;
} cdc_block;

/* Room for one more frame of *size* bytes, which counts; NULL if there is no memory for it. */
uint8_t *cdc_block_add(cdc_block *block, size_t size);

/* How many bytes frame *index* has. */
size_t cdc_block_size(const cdc_block *block, uint32_t index);

/* Gives memory back that no frame has. */
void cdc_block_fit(cdc_block *block);

/* Tells where each frame lies, in *frames*. None may be added any more. A frame has at most UINT32_MAX bytes. */
void cdc_block_list(const cdc_block *block, cdc_frame *frames);

void cdc_block_free(cdc_block *block);

#endif
