#include "json.h"

#include <math.h>

typedef struct {
    const uint8_t *at, *end;
} avro_t;

static int number(avro_t *in, int64_t *value) {
    uint64_t bits = 0;
    int shift;
    for (shift = 0; shift < 70 && in->at < in->end; shift += 7) {
        uint8_t byte = *in->at++;
        if (shift == 63 && byte > 1) return CDC_REFUSED;
        bits |= (uint64_t)(byte & 127) << shift;
        if (byte < 128) {
            *value = (int64_t)(bits >> 1) ^ -(int64_t)(bits & 1);
            return CDC_WRITTEN;
        }
    }
    return CDC_REFUSED;
}

static int length(avro_t *in, size_t *size) {
    int64_t value;
    if (number(in, &value) || value < 0 || value > in->end - in->at) return CDC_REFUSED;
    *size = (size_t)value;
    return CDC_WRITTEN;
}

static void put_number(cdc_out *out, int64_t value) {
    uint8_t digits[20];
    int at = 20;
    uint64_t left = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do digits[--at] = (uint8_t)('0' + left % 10);
    while (left /= 10);
    if (value < 0) digits[--at] = '-';
    cdc_out_raw(out, digits + at, (size_t)(20 - at));
}

#define MOST_FRACTION 12
#define EXACT 1125899906842624.0 /* 2^50: within it, no other whole number can stand for the same value */

/* As `double_text` and `float_text` of cdc/codecs/java.py: the decimal with the fewest digits that reads back as *value*.
   The first power of ten by which it becomes a whole number that, divided again, is *value*, gives these digits. */
static int put_float(cdc_out *out, double value, int single) {
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

static int floating(cdc_out *out, avro_t *in, int single) {
    double value;
    float narrow;
    size_t size = single ? 4 : 8;
    uint64_t bits = 0;
    if ((size_t)(in->end - in->at) < size) return CDC_REFUSED;
    while (size-- > 0) bits = bits << 8 | in->at[size];
    if (single) {
        uint32_t low = (uint32_t)bits;
        memcpy(&narrow, &low, 4);
        value = narrow;
    } else {
        memcpy(&value, &bits, 8);
    }
    in->at += single ? 4 : 8;
    return put_float(out, value, single);
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
static int eight_plain(const uint8_t *p) {
    static const uint64_t ones = 0x0101010101010101ULL, high = 0x8080808080808080ULL;
    uint64_t word, quote, backslash;
    memcpy(&word, p, 8);
    quote = word ^ ones * '"';
    backslash = word ^ ones * '\\';
    return (((word - ones * 32) & ~word) | ((quote - ones) & ~quote) | ((backslash - ones) & ~backslash)) & high ? 0 : 1;
}

static void put_string(cdc_out *out, const uint8_t *p, size_t size) {
    size_t start = 0, at;
    cdc_out_byte(out, '"');
    for (at = 0; at < size; at++) {
        while (size - at >= 8 && eight_plain(p + at)) at += 8;
        if (at == size) break;
        if (p[at] >= 32 && p[at] != '"' && p[at] != '\\') continue;
        cdc_out_raw(out, p + start, at - start);
        put_escape(out, p[at]);
        start = at + 1;
    }
    cdc_out_raw(out, p + start, size - start);
    cdc_out_byte(out, '"');
}

static void put_base64(cdc_out *out, const uint8_t *p, size_t size) {
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

static int put(cdc_out *out, avro_t *in, const cdc_json_op *ops, uint32_t at);

/* The blocks of an array, up to the empty one. `write_value` writes no block with its size, whose count is negative. */
static int put_items(cdc_out *out, avro_t *in, const cdc_json_op *ops, uint32_t item) {
    int64_t count, left;
    int first = 1;
    cdc_out_byte(out, '[');
    do {
        if (number(in, &count) || count < 0 || count > in->end - in->at) return CDC_REFUSED;
        for (left = count; left > 0; left--, first = 0) {
            if (!first) cdc_out_byte(out, ',');
            if (put(out, in, ops, item)) return CDC_REFUSED;
        }
    } while (count > 0);
    cdc_out_byte(out, ']');
    return CDC_WRITTEN;
}

static int put(cdc_out *out, avro_t *in, const cdc_json_op *ops, uint32_t at) {
    const cdc_json_op *op = ops + at;
    int64_t value;
    size_t size;
    if (op->null_branch != CDC_NO_BRANCH) {
        if (in->at == in->end) return CDC_REFUSED;
        if (*in->at++ == op->null_branch) {
            cdc_out_raw(out, op->null_data, op->null_len);
            return CDC_WRITTEN;
        }
    }
    switch (op->kind) {
    case CDC_JSON_LONG:
        if (number(in, &value)) return CDC_REFUSED;
        put_number(out, value);
        return CDC_WRITTEN;
    case CDC_JSON_TEXT:
    case CDC_JSON_BYTES:
        if (length(in, &size)) return CDC_REFUSED;
        (op->kind == CDC_JSON_TEXT ? put_string : put_base64)(out, in->at, size);
        in->at += size;
        return CDC_WRITTEN;
    case CDC_JSON_BOOLEAN:
        if (in->at == in->end) return CDC_REFUSED;
        cdc_out_raw(out, *in->at ? "true" : "false", *in->at ? 4 : 5);
        in->at++;
        return CDC_WRITTEN;
    case CDC_JSON_STRUCT:
        cdc_out_byte(out, '{');
        for (at++; at < op->following; at = ops[at].following) {
            cdc_out_raw(out, ops[at].before, ops[at].before_len);
            if (put(out, in, ops, at)) return CDC_REFUSED;
        }
        cdc_out_byte(out, '}');
        return CDC_WRITTEN;
    case CDC_JSON_DOUBLE: return floating(out, in, 0);
    case CDC_JSON_FLOAT: return floating(out, in, 1);
    case CDC_JSON_ARRAY: return put_items(out, in, ops, at + 1);
    default: return CDC_REFUSED;
    }
}

int cdc_json(cdc_out *out, size_t start, const cdc_json_form *form, cdc_out *avro) {
    avro_t in;
    if (out->error || start > out->size) return CDC_REFUSED;
    avro->size = 0;
    cdc_out_raw(avro, out->data + start, out->size - start);
    if (avro->error) {
        out->error = avro->error;
        return CDC_REFUSED;
    }
    in.at = avro->data;
    in.end = avro->data + avro->size;
    out->size = start;
    cdc_out_raw(out, form->before, form->before_len);
    if (avro->size && put(out, &in, form->ops, 0) == CDC_WRITTEN && in.at == in.end) {
        cdc_out_raw(out, form->after, form->after_len);
        return CDC_WRITTEN;
    }
    if (out->error) return CDC_REFUSED;
    out->size = start;
    cdc_out_raw(out, avro->data, avro->size);
    return CDC_REFUSED;
}
