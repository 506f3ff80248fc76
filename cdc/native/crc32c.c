#include <pthread.h>
#include <string.h>

#include "recordset.h"

/* Eight bytes at a time ("slicing by 8"): table k is for a byte with k bytes behind it. */
static uint32_t tables[8][256];
static pthread_once_t prepared = PTHREAD_ONCE_INIT;

static void prepare(void) {
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t value = byte;
        for (int bit = 0; bit < 8; bit++)
            value = value >> 1 ^ (value & 1 ? UINT32_C(0x82F63B78) : 0);
        tables[0][byte] = value;
    }
    for (int byte = 0; byte < 256; byte++)
        for (int table = 1; table < 8; table++)
            tables[table][byte] = tables[table - 1][byte] >> 8 ^ tables[0][tables[table - 1][byte] & 255];
}

uint32_t recordset_crc32c_plain(uint32_t crc, const uint8_t *data, size_t size) {
    uint32_t value = ~crc;
    pthread_once(&prepared, prepare);
    for (; size >= 8; size -= 8, data += 8) {
        uint32_t low = value ^ ((uint32_t)data[0] | (uint32_t)data[1] << 8 | (uint32_t)data[2] << 16
                                | (uint32_t)data[3] << 24);
        value = tables[7][low & 255] ^ tables[6][low >> 8 & 255] ^ tables[5][low >> 16 & 255] ^ tables[4][low >> 24]
              ^ tables[3][data[4]] ^ tables[2][data[5]] ^ tables[1][data[6]] ^ tables[0][data[7]];
    }
    for (; size > 0; size--, data++)
        value = value >> 8 ^ tables[0][(value ^ *data) & 255];
    return ~value;
}

/* ---- by the processor's own instructions ------------------------------------------------------------------------ */

#if defined(__x86_64__) && defined(__GNUC__)

#include <nmmintrin.h>

#define BY_PROCESSOR __attribute__((target("sse4.2")))
#define ADD_8(value, eight) (uint32_t)_mm_crc32_u64(value, eight)
#define ADD_1(value, byte) _mm_crc32_u8(value, byte)

static int has_instructions(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("sse4.2");
}

#elif defined(__aarch64__) && defined(__ARM_FEATURE_CRC32)

#include <arm_acle.h>

#define BY_PROCESSOR
#define ADD_8(value, eight) __crc32cd(value, eight)
#define ADD_1(value, byte) __crc32cb(value, byte)

static int has_instructions(void) {
    return 1;
}

#endif

#ifdef BY_PROCESSOR

BY_PROCESSOR static uint32_t by_processor(uint32_t crc, const uint8_t *data, size_t size) {
    uint32_t value = ~crc;
    uint64_t eight;
    for (; size >= 8; size -= 8, data += 8) {
        memcpy(&eight, data, 8); /* both kinds of processor read it as little-endian */
        value = ADD_8(value, eight);
    }
    for (; size > 0; size--, data++)
        value = ADD_1(value, *data);
    return ~value;
}

uint32_t recordset_crc32c(uint32_t crc, const uint8_t *data, size_t size) {
    return has_instructions() ? by_processor(crc, data, size) : recordset_crc32c_plain(crc, data, size);
}

#else

uint32_t recordset_crc32c(uint32_t crc, const uint8_t *data, size_t size) {
    return recordset_crc32c_plain(crc, data, size);
}

#endif
