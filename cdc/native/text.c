#include "text.h"

static int follow(uint8_t byte) { return (byte & 0xC0) == 0x80; }

int cdc_utf8(const uint8_t *p, size_t n) {
    const uint8_t *end = p + n;
    while (p < end) {
        uint64_t word, words[4];
        if (end - p >= 32) { /* long texts are mostly ASCII */
            memcpy(words, p, 32);
            if (((words[0] | words[1] | words[2] | words[3]) & 0x8080808080808080ULL) == 0) {
                p += 32;
                continue;
            }
        }
        if (end - p >= 8) {
            memcpy(&word, p, 8);
            if ((word & 0x8080808080808080ULL) == 0) {
                p += 8;
                continue;
            }
        }
        if (n >= 8 && end - p < 8) { /* the end, with what is before it */
            memcpy(&word, end - 8, 8);
            if ((word & 0x8080808080808080ULL) == 0) return 1;
        }
        if (*p < 0x80) {
            p++;
        } else if (*p < 0xC2) {
            return 0;
        } else if (*p < 0xE0) {
            if (end - p < 2 || !follow(p[1])) return 0;
            p += 2;
        } else if (*p < 0xF0) {
            if (end - p < 3 || !follow(p[1]) || !follow(p[2])) return 0;
            if ((p[0] == 0xE0 && p[1] < 0xA0) || (p[0] == 0xED && p[1] > 0x9F)) return 0;
            p += 3;
        } else if (*p < 0xF5) {
            if (end - p < 4 || !follow(p[1]) || !follow(p[2]) || !follow(p[3])) return 0;
            if ((p[0] == 0xF0 && p[1] < 0x90) || (p[0] == 0xF4 && p[1] > 0x8F)) return 0;
            p += 4;
        } else {
            return 0;
        }
    }
    return 1;
}

int cdc_text(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op) {
    (void)op;
    if (!cdc_utf8(p, n)) return CDC_REFUSED;
    cdc_out_bytes(out, p, n);
    return CDC_WRITTEN;
}

void cdc_out_unscaled(cdc_out *out, int64_t number) {
    int size = 1;
    uint8_t *at;
    while (size < 8 && (number >> (8 * size - 1)) != 0 && (number >> (8 * size - 1)) != -1) size++;
    at = cdc_out_take(out, (size_t)size + 1);
    if (at == NULL) return;
    *at++ = (uint8_t)(2 * size);
    while (size > 0) *at++ = (uint8_t)(number >> (8 * --size));
}

/* A number of up to 18 digits, padded with zeros to the scale. */
int cdc_decimal(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op) {
    int64_t number = 0, scale = op->params[0], fraction = -1;
    int digits = 0, negative = n > 0 && p[0] == '-';
    size_t at = negative;
    for (; at < n && digits < 18; at++) {
        if (p[at] == '.' && fraction < 0 && digits > 0) {
            fraction = 0;
        } else if (p[at] >= '0' && p[at] <= '9') {
            number = number * 10 + (p[at] - '0');
            digits++;
            if (fraction >= 0) fraction++;
        } else {
            return CDC_REFUSED;
        }
    }
    if (fraction < 0) fraction = 0;
    if (at < n || digits == 0 || fraction > scale || digits + scale - fraction > 18) return CDC_REFUSED;
    for (; fraction < scale; fraction++) number *= 10;
    cdc_out_unscaled(out, negative ? -number : number);
    return CDC_WRITTEN;
}
