#include "mysql_log.h"

/* Eight bytes at a time ("slicing by 8"): table k is for a byte with k bytes behind it. */
static uint32_t tables[8][256];
static int ready;

static void prepare(void) {
    uint32_t byte, value;
    int bit, table;
    for (byte = 0; byte < 256; byte++) {
        for (value = byte, bit = 0; bit < 8; bit++) value = value >> 1 ^ (value & 1 ? UINT32_C(0xEDB88320) : 0);
        tables[0][byte] = value;
    }
    for (byte = 0; byte < 256; byte++)
        for (table = 1; table < 8; table++)
            tables[table][byte] = tables[table - 1][byte] >> 8 ^ tables[0][tables[table - 1][byte] & 255];
    ready = 1;
}

uint32_t cdc_crc32(const uint8_t *p, size_t size) {
    uint32_t value = UINT32_MAX;
    if (!ready) prepare();
    for (; size >= 8; size -= 8, p += 8) {
        uint32_t low = value ^ ((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24);
        value = tables[7][low & 255] ^ tables[6][low >> 8 & 255] ^ tables[5][low >> 16 & 255] ^ tables[4][low >> 24]
              ^ tables[3][p[4]] ^ tables[2][p[5]] ^ tables[1][p[6]] ^ tables[0][p[7]];
    }
    for (; size > 0; size--, p++) value = value >> 8 ^ tables[0][(value ^ *p) & 255];
    return ~value;
}
