/* Column bytes of MySQL's and MariaDB's row events to Avro. Each function does what the class of the same name in
   cdc/codecs/mysql/binary*.py does, or refuses. Layouts: MySQL Source Code Documentation, "Table_map_event: column
   types"; sql-common/my_time.cc `my_*_from_binary`; strings/decimal.cc `bin2decimal`. */

#include "mysql_codecs.h"
#include "text.h"

#include <string.h>

static uint64_t little_endian(const uint8_t *p, size_t n) {
    uint64_t number = 0;
    while (n-- > 0)
        number = number << 8 | p[n];
    return number;
}

static uint64_t big_endian(const uint8_t *p, size_t n) {
    uint64_t number = 0;
    for (size_t i = 0; i < n; i++)
        number = number << 8 | p[i];
    return number;
}

/* LeIntCodec; a: size in bytes, b: unsigned. */
static int integer(const uint8_t *p, size_t n, const cdc_colop *op, int64_t *number) {
    if (n != (size_t)op->params[0] || n == 0 || n > 8)
        return CDC_REFUSED;
    uint64_t bits = little_endian(p, n);
    if (!op->params[1] && n < 8 && p[n - 1] > 127)
        bits |= ~(uint64_t)0 << 8 * n;
    *number = (int64_t)bits;
    return CDC_WRITTEN;
}

int cdc_mysql_int(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op) {
    int64_t number;
    return integer(p, n, op, &number) ? CDC_REFUSED : put_long(out, number);
}

/* ShownCodec of a LeIntCodec by `bool`. */
int cdc_mysql_bool(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op) {
    int64_t number;
    return integer(p, n, op, &number) ? CDC_REFUSED : put_byte(out, number != 0);
}

/* UnsignedDecimalCodec. */
int cdc_mysql_unsigned_decimal(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op) {
    uint8_t bytes[9] = {0};
    size_t size = 9;
    (void)op;
    if (n != 8)
        return CDC_REFUSED;
    for (size_t i = 0; i < 8; i++)
        bytes[1 + i] = p[7 - i];
    while (size > 1 && bytes[9 - size] == 0 && bytes[10 - size] < 128)
        size--;
    return put_bytes(out, bytes + 9 - size, size);
}

/* LeFloatCodec; a: a FLOAT32 is written, b is not used. */
int cdc_mysql_float(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op) {
    double number;
    float single;
    if (n == 4) {
        memcpy(&single, p, 4);
        number = single;
    } else if (n == 8) {
        memcpy(&number, p, 8);
    } else {
        return CDC_REFUSED;
    }
    if (!op->params[0])
        return put_raw(out, &number, 8);
    single = (float)number;
    return put_raw(out, &single, 4);
}

static const uint8_t DIGIT_BYTES[] = {0, 1, 1, 2, 2, 3, 3, 4, 4, 4};
static const int64_t POWERS[] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000};

/* BinDecimalCodec's number times 10**b; a: precision, b: scale. Refuses numbers of more than 18 digits. */
static int unscaled(const uint8_t *p, size_t n, const cdc_colop *op, int64_t *result) {
    int64_t precision = op->params[0], scale = op->params[1], number = 0;
    if (scale < 0 || precision < scale || precision > 81)
        return CDC_REFUSED;
    size_t head = (size_t)(precision - scale) % 9, tail = (size_t)scale % 9;
    size_t groups = (size_t)(precision - scale) / 9 + (size_t)scale / 9;
    if (n == 0 || n != DIGIT_BYTES[head] + 4 * groups + DIGIT_BYTES[tail])
        return CDC_REFUSED;
    uint8_t mask = p[0] > 127 ? 0 : 255, first = 128;
    for (size_t group = 0; group < groups + 2; group++) {
        size_t digits = group == 0 ? head : group == groups + 1 ? tail : 9;
        uint32_t part = 0;
        for (size_t size = DIGIT_BYTES[digits]; size > 0; size--) {
            part = part << 8 | (uint8_t)(*p++ ^ mask ^ first);
            first = 0;
        }
        if (part >= POWERS[digits] || number > INT64_C(999999999999999999) / POWERS[digits])
            return CDC_REFUSED;
        number = number * POWERS[digits] + part;
    }
    *result = mask ? -number : number;
    return CDC_WRITTEN;
}

int cdc_mysql_decimal(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op) {
    int64_t number;
    if (unscaled(p, n, op, &number))
        return CDC_REFUSED;
    cdc_out_unscaled(out, number);
    return CDC_WRITTEN;
}

/* DecimalTextCodec. */
int cdc_mysql_decimal_text(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op) {
    int64_t number;
    uint8_t text[24 + 81], *end = text + sizeof text, *q = end;
    if (unscaled(p, n, op, &number))
        return CDC_REFUSED;
    uint64_t left = number < 0 ? (uint64_t)-number : (uint64_t)number;
    for (int64_t place = 0; left || place <= op->params[1]; place++) {
        if (place == op->params[1] && op->params[1])
            *--q = '.';
        *--q = (uint8_t)('0' + left % 10);
        left /= 10;
    }
    if (number < 0)
        *--q = '-';
    return put_bytes(out, q, (size_t)(end - q));
}

/* DecimalDoubleCodec, where number and power of ten are exact doubles, so that the quotient is the nearest double. */
int cdc_mysql_decimal_double(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op) {
    int64_t number;
    double power = 1;
    if (op->params[1] > 22 || unscaled(p, n, op, &number) || number > INT64_C(1) << 53 || number < -(INT64_C(1) << 53))
        return CDC_REFUSED;
    for (int64_t place = 0; place < op->params[1]; place++)
        power *= 10;
    double value = (double)number / power;
    return put_raw(out, &value, 8);
}

/* BytesCodec, and PaddedBytesCodec; a: the length, or 0. */
int cdc_mysql_bytes(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op) {
    size_t length = (size_t)op->params[0];
    if (op->params[0] < 0 || op->params[0] > 255) /* BINARY has no more */
        return CDC_REFUSED;
    if (n >= length)
        return put_bytes(out, p, n);
    put_long(out, op->params[0]);
    put_raw(out, p, n);
    uint8_t *zeros = cdc_out_take(out, length - n);
    if (zeros)
        memset(zeros, 0, length - n);
    return CDC_WRITTEN;
}

/* BitFlagCodec. */
int cdc_mysql_bit(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op) {
    (void)op;
    return n != 1 ? CDC_REFUSED : put_byte(out, *p != 0);
}

/* BitsCodec. */
int cdc_mysql_bits(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op) {
    uint8_t turned[8];
    (void)op;
    if (n > sizeof turned)
        return CDC_REFUSED;
    for (size_t i = 0; i < n; i++)
        turned[i] = p[n - 1 - i];
    return put_bytes(out, turned, n);
}

/* LeDateCodec; a: adjust. */
int cdc_mysql_date(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op) {
    if (n != 3)
        return CDC_REFUSED;
    uint32_t bits = (uint32_t)little_endian(p, 3);
    int64_t days = cdc_mysql_days(cdc_mysql_year(bits >> 9, (int)op->params[0]), bits >> 5 & 15, bits & 31);
    if (days == CDC_MYSQL_NO_TIME)
        return CDC_NO_VALUE;
    return days == CDC_MYSQL_BAD_TIME ? CDC_REFUSED : put_long(out, days);
}

/* µs of a fraction of 0 to 3 bytes. */
static int64_t fraction(const uint8_t *p, size_t n) {
    int64_t number = (int64_t)big_endian(p, n);
    return n == 1 ? number * 10000 : n == 2 ? number * 100 : number;
}

/* Time2Codec, without its old format; a: unit, b: bounded. */
int cdc_mysql_time(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op) {
    if (n < 3 || n > 6)
        return CDC_REFUSED;
    int64_t packed = (int64_t)big_endian(p, n) - (INT64_C(1) << (8 * n - 1));
    int64_t span = packed < 0 ? -packed : packed, clock = span >> 8 * (n - 3), part = span - (clock << 8 * (n - 3));
    int64_t micros = cdc_mysql_clock(clock >> 12 & 1023, clock >> 6 & 63, clock & 63);
    if (micros == CDC_MYSQL_BAD_TIME)
        return CDC_REFUSED;
    micros += n == 4 ? part * 10000 : n == 5 ? part * 100 : part;
    if (packed < 0)
        micros = -micros;
    if (op->params[1] && (micros < 0 || micros > CDC_DAY_US))
        return CDC_REFUSED;
    return cdc_mysql_put_unit(out, micros, (int)op->params[0]);
}

/* Datetime2Codec, without its old format; a: unit, b: adjust. */
int cdc_mysql_datetime(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op) {
    if (n < 5 || n > 8 || p[0] < 128)
        return CDC_REFUSED;
    int64_t bits = (int64_t)big_endian(p, 5) - (INT64_C(1) << 39), part = fraction(p + 5, n - 5), date = bits >> 22;
    int64_t days = cdc_mysql_days(cdc_mysql_year(date / 13, (int)op->params[1]), date % 13, bits >> 17 & 31);
    int64_t hour = bits >> 12 & 31, micros = cdc_mysql_clock(hour, bits >> 6 & 63, bits & 63);
    if (days == CDC_MYSQL_NO_TIME)
        return CDC_NO_VALUE;
    if (days == CDC_MYSQL_BAD_TIME || micros == CDC_MYSQL_BAD_TIME || hour > 23 || part > 999999)
        return CDC_REFUSED;
    return cdc_mysql_put_unit(out, days * CDC_DAY_US + micros + part, (int)op->params[0]);
}

/* Timestamp2Codec, without its old format; a: digits. */
int cdc_mysql_timestamp(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op) {
    if (n < 4 || n > 7)
        return CDC_REFUSED;
    int64_t seconds = (int64_t)big_endian(p, 4), part = fraction(p + 4, n - 4);
    if (part > 999999)
        return CDC_REFUSED;
    if (seconds == 0 && part == 0)
        return CDC_NO_VALUE;
    return cdc_mysql_put_instant(out, seconds * 1000000 + part, (int)op->params[0]);
}

/* YearCodec; a: the value for 0000. */
int cdc_mysql_year_number(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op) {
    if (n != 1)
        return CDC_REFUSED;
    return put_long(out, *p ? *p + 1900 : op->params[0]);
}

/* Labels in op->data: their count, count + 1 offsets from the first text, in 4 bytes each; then the texts. */
static uint32_t label_count(const cdc_colop *op) {
    uint32_t count;
    memcpy(&count, op->data, 4);
    return count;
}

static const uint8_t *label(const cdc_colop *op, uint32_t index, size_t *size) {
    uint32_t range[2];
    memcpy(range, op->data + 4 + 4 * (size_t)index, 8);
    *size = range[1] - range[0];
    return op->data + 8 + 4 * (size_t)label_count(op) + range[0];
}

int cdc_mysql_put_label(cdc_out *out, const cdc_colop *op, uint64_t index) {
    size_t size;
    if (index >= label_count(op))
        return CDC_REFUSED;
    const uint8_t *text = label(op, (uint32_t)index, &size);
    return put_bytes(out, text, size);
}

int cdc_mysql_put_labels(cdc_out *out, const cdc_colop *op, uint64_t bits) {
    uint32_t count = label_count(op);
    size_t size, total = 0, chosen = 0;
    if (count < 64 && bits >> count)
        return CDC_REFUSED;
    for (uint32_t index = 0; index < count && index < 64; index++) {
        if (bits >> index & 1) {
            label(op, index, &size);
            total += size + (chosen++ > 0);
        }
    }
    put_long(out, (int64_t)total);
    chosen = 0;
    for (uint32_t index = 0; index < count && index < 64; index++) {
        if (bits >> index & 1) {
            const uint8_t *text = label(op, index, &size);
            if (chosen++)
                put_byte(out, ',');
            put_raw(out, text, size);
        }
    }
    return CDC_WRITTEN;
}

/* LabelCodec; data: its labels, the empty one first. */
int cdc_mysql_enum(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op) {
    return n != 1 && n != 2 ? CDC_REFUSED : cdc_mysql_put_label(out, op, little_endian(p, n));
}

/* LabelSetCodec; data: its labels. */
int cdc_mysql_set(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op) {
    return n < 1 || n > 8 ? CDC_REFUSED : cdc_mysql_put_labels(out, op, little_endian(p, n));
}

/* CharsetCodec of a character set with one byte for each character; data: for each byte the length of its UTF-8, and
   three bytes. */
int cdc_mysql_charset(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op) {
    size_t size = 0;
    for (size_t i = 0; i < n; i++)
        size += op->data[4 * p[i]];
    put_long(out, (int64_t)size);
    uint8_t *to = cdc_out_take(out, size);
    if (to == NULL)
        return CDC_REFUSED;
    for (size_t i = 0; i < n; i++) {
        const uint8_t *one = op->data + 4 * p[i];
        memcpy(to, one + 1, one[0]);
        to += one[0];
    }
    return CDC_WRITTEN;
}

/* FloatVectorCodec. */
int cdc_mysql_vector(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op) {
    (void)op;
    if (n % 4) return CDC_REFUSED;
    if (n) put_long(out, (int64_t)(n / 4));
    put_raw(out, p, n);
    return put_byte(out, 0);
}
