#include "json_text.h"

#include <math.h>

#include "digits.h"

void cdc_json_number(cdc_out *out, int64_t value) {
    uint8_t text[1 + CDC_MOST_DIGITS];
    uint32_t count = 0;
    if (value < 0) text[count++] = '-';
    count += cdc_put_digits(text + count, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
    cdc_out_raw(out, text, count);
}

#define MOST_FRACTION 12
#define EXACT 1125899906842624.0 /* 2^50: within it, no other whole number can stand for the same value */

/* As `double_text` and `float_text` of cdc/codecs/java.py: the decimal with the fewest digits that reads back as *value*.
   The first power of ten by which it becomes a whole number that, divided again, is *value*, gives these digits. */
int cdc_json_float(cdc_out *out, double value, int single) {
    static const double powers[MOST_FRACTION + 1] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12};
    double size = fabs(value), whole = 0;
    int64_t digits = 0;
    uint8_t text[24];
    int fraction, at = 24;
    if (!(size == 0 || (size >= 1e-3 && size < 1e7))) return CDC_REFUSED;
    for (fraction = 0; fraction <= MOST_FRACTION; fraction++) {
        double scaled = size * powers[fraction], more;
        if (scaled >= EXACT) return CDC_REFUSED;
        digits = (int64_t)scaled;
        more = scaled - (double)digits;
        if (more > 0.5 || (more == 0.5 && digits & 1)) digits++;
        whole = (double)digits;
        if (single ? (float)(whole / powers[fraction]) == (float)size : whole / powers[fraction] == size) break;
    }
    if (fraction > MOST_FRACTION || whole / powers[fraction] >= 1e7) return CDC_REFUSED;
    if (fraction == 0) text[--at] = '0';
    for (; fraction > 0; fraction--, digits /= 10) text[--at] = (uint8_t)('0' + digits % 10);
    text[--at] = '.';
    do text[--at] = (uint8_t)('0' + digits % 10);
    while (digits /= 10);
    if (signbit(value)) text[--at] = '-';
    cdc_out_raw(out, text + at, (size_t)(24 - at));
    return CDC_WRITTEN;
}

static void put_escape(cdc_out *out, uint8_t byte) {
    static const uint8_t plain[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt", hex[] = "0123456789ABCDEF";
    uint8_t text[6] = {'\\', 'u', '0', '0', hex[byte >> 4], hex[byte & 15]};
    int at;
    for (at = 0; plain[at] && plain[at] != byte; at++) continue;
    text[1] = plain[at] ? letters[at] : 'u';
    cdc_out_raw(out, text, plain[at] ? 2 : 6);
}

/* Whether none of eight bytes is a control character, a quote or a backslash. */
static int eight_plain(uint64_t word) {
    static const uint64_t ones = 0x0101010101010101ULL, high = 0x8080808080808080ULL;
    uint64_t quote = word ^ ones * '"', backslash = word ^ ones * '\\';
    return (((word - ones * 32) & ~word) | ((quote - ones) & ~quote) | ((backslash - ones) & ~backslash)) & high ? 0 : 1;
}

/* How many bytes of p[0..size), from the first on, are in groups of eight that need no escape; all, if none does. */
static size_t plain(const uint8_t *p, size_t size) {
    uint64_t word = 0x2020202020202020ULL;
    size_t at;
    for (at = 0; size - at >= 8; at += 8) {
        memcpy(&word, p + at, 8);
        if (!eight_plain(word)) return at;
    }
    if (at == size) return size;
    if (size >= 8) { /* the end, with what is before it */
        memcpy(&word, p + size - 8, 8);
    } else if (size >= 4) {
        memcpy(&word, p, 4);
        memcpy((uint8_t *)&word + 4, p + size - 4, 4);
    } else {
        memcpy(&word, p, 1);
        memcpy((uint8_t *)&word + 1, p + size / 2, 1);
        memcpy((uint8_t *)&word + 2, p + size - 1, 1);
    }
    return eight_plain(word) ? size : at;
}

void cdc_json_string(cdc_out *out, const uint8_t *p, size_t size) {
    size_t start = 0, at = plain(p, size);
    uint8_t *whole;
    if (at == size) {
        whole = cdc_out_take(out, size + 2);
        if (whole == NULL) return;
        *whole = '"';
        cdc_copy(whole + 1, p, size);
        whole[size + 1] = '"';
        return;
    }
    cdc_out_byte(out, '"');
    for (; at < size; at++) {
        if (p[at] >= 32 && p[at] != '"' && p[at] != '\\') continue;
        cdc_out_raw(out, p + start, at - start);
        put_escape(out, p[at]);
        start = at + 1;
        at += plain(p + start, size - start);
    }
    cdc_out_raw(out, p + start, size - start);
    cdc_out_byte(out, '"');
}

void cdc_json_base64(cdc_out *out, const uint8_t *p, size_t size) {
    static const uint8_t letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint8_t *q;
    if (size > UINT32_MAX / 2) {
        out->error = CDC_TOO_LARGE;
        return;
    }
    q = cdc_out_take(out, (size + 2) / 3 * 4 + 2);
    if (q == NULL) return;
    *q++ = '"';
    for (; size > 0; p += 3, q += 4) {
        uint32_t bits = (uint32_t)p[0] << 16 | (size > 1 ? (uint32_t)p[1] << 8 : 0) | (size > 2 ? p[2] : 0);
        q[0] = letters[bits >> 18];
        q[1] = letters[bits >> 12 & 63];
        q[2] = size > 1 ? letters[bits >> 6 & 63] : '=';
        q[3] = size > 2 ? letters[bits & 63] : '=';
        size -= size < 3 ? size : 3;
    }
    *q = '"';
}
