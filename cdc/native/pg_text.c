#define _GNU_SOURCE
#include "pg_text.h"
#include "calendar.h"
#include "text.h"

#include <locale.h>
#include <math.h>
#if defined(__APPLE__)
#include <xlocale.h>
#endif

#define DAY_US INT64_C(86400000000)
#define MAX_NANOS_US INT64_C(9223372036854775)
enum { UNIT_MILLIS, UNIT_MICROS, UNIT_NANOS };

int pg_integer(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op) {
    uint64_t number = 0;
    int64_t result;
    size_t negative = n > 0 && p[0] == '-', at;
    if (n == negative || n - negative > 19) return CDC_REFUSED;
    for (at = negative; at < n; at++) {
        unsigned digit = p[at] - '0';
        if (digit > 9) return CDC_REFUSED;
        number = number * 10 + digit;
    }
    if (number > (uint64_t)INT64_MAX) return CDC_REFUSED;
    result = negative ? -(int64_t)number : (int64_t)number;
    if (result < op->params[0] || result > op->params[1]) return CDC_REFUSED;
    cdc_out_long(out, result);
    return CDC_WRITTEN;
}

int pg_boolean(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op) {
    if (n != 1 || (p[0] != op->params[0] && p[0] != op->params[1])) return CDC_REFUSED;
    cdc_out_byte(out, p[0] == op->params[0]);
    return CDC_WRITTEN;
}

static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

/* The number in the NUL-terminated *text*, in the C locale, whatever the process has. */
static int full_double(const char *text, double *number) {
#if defined(__GLIBC__) || defined(__APPLE__)
    static locale_t c_locale = (locale_t)0; /* never freed; a second one made at once does no harm */
    char *end;
    if (c_locale == (locale_t)0) c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (c_locale == (locale_t)0) return CDC_REFUSED;
    *number = strtod_l(text, &end, c_locale);
    return *end == 0 && isfinite(*number) ? CDC_WRITTEN : CDC_REFUSED;
#else
    (void)text, (void)number;
    return CDC_REFUSED;
#endif
}

/* `-?D+(\.D*)?(e[+-]?D+)?`. Up to 15 digits and a power of ten up to 22 are both exact in a double, so that one
   operation rounds once; all other numbers go to the C library. */
static int parse_double(const uint8_t *p, size_t n, double *number) {
    char text[64];
    uint64_t digits = 0;
    int count = 0, fraction = 0, exponent = 0, exponent_digits = 0, exponent_negative = 0;
    size_t at = 0;
    int negative = n > 0 && p[0] == '-';
    if (n > 63) return CDC_REFUSED;
    for (at = negative; at < n && p[at] >= '0' && p[at] <= '9'; at++, count++)
        if (count < 16) digits = digits * 10 + (p[at] - '0');
    if (count == 0) return CDC_REFUSED;
    if (at < n && p[at] == '.')
        for (at++; at < n && p[at] >= '0' && p[at] <= '9'; at++, count++, fraction++)
            if (count < 16) digits = digits * 10 + (p[at] - '0');
    if (at < n && p[at] == 'e') {
        at++;
        if (at < n && (p[at] == '+' || p[at] == '-')) exponent_negative = p[at++] == '-';
        for (; at < n && p[at] >= '0' && p[at] <= '9' && exponent_digits < 4; at++, exponent_digits++)
            exponent = exponent * 10 + (p[at] - '0');
        if (exponent_digits == 0) return CDC_REFUSED;
    }
    if (at < n) return CDC_REFUSED;
    exponent = (exponent_negative ? -exponent : exponent) - fraction;
    if (count <= 15 && exponent >= -22 && exponent <= 22) {
        double value = (double)digits;
        value = exponent < 0 ? value / powers[-exponent] : value * powers[exponent];
        *number = negative ? -value : value;
        return CDC_WRITTEN;
    }
    memcpy(text, p, n);
    text[n] = 0;
    return full_double(text, number);
}

static void put_little_endian(cdc_out *out, uint64_t bits, int size) {
    uint8_t *at = cdc_out_take(out, (size_t)size);
    int byte;
    for (byte = 0; at != NULL && byte < size; byte++) at[byte] = (uint8_t)(bits >> (8 * byte));
}

int pg_float(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op) {
    double number;
    if (parse_double(p, n, &number) != CDC_WRITTEN) return CDC_REFUSED;
    if (op->params[0]) {
        float single = (float)number;
        uint32_t bits;
        memcpy(&bits, &single, 4);
        put_little_endian(out, bits, 4);
    } else {
        uint64_t bits;
        memcpy(&bits, &number, 8);
        put_little_endian(out, bits, 8);
    }
    return CDC_WRITTEN;
}

/* `-?D+(\.D+)?`, as all numerics that are numbers. *point*: the place of the point, or n. */
static int is_numeric(const uint8_t *p, size_t n, size_t *point) {
    size_t at = n > 0 && p[0] == '-', start = at;
    while (at < n && p[at] >= '0' && p[at] <= '9') at++;
    *point = at;
    if (at == start) return 0;
    if (at == n) return 1;
    if (p[at] != '.' || at + 1 == n) return 0;
    for (at++; at < n; at++)
        if (p[at] < '0' || p[at] > '9') return 0;
    return 1;
}

/* A struct of the scale and the unscaled number; of up to 18 digits. */
int pg_variable_decimal(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op) {
    int64_t number = 0;
    size_t point, at, digits = 0;
    (void)op;
    if (!is_numeric(p, n, &point)) return CDC_REFUSED;
    if (point < n)
        while (p[n - 1] == '0') n--;
    for (at = p[0] == '-'; at < n; at++) {
        if (at == point) continue;
        if (++digits > 18) return CDC_REFUSED;
        number = number * 10 + (p[at] - '0');
    }
    cdc_out_long(out, n > point ? (int64_t)(n - point - 1) : 0);
    cdc_out_unscaled(out, p[0] == '-' ? -number : number);
    return CDC_WRITTEN;
}

int pg_numeric_text(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op) {
    size_t point;
    (void)op;
    if (!is_numeric(p, n, &point)) return CDC_REFUSED;
    cdc_out_bytes(out, p, n);
    return CDC_WRITTEN;
}

int pg_numeric_double(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op) {
    double number;
    uint64_t bits;
    size_t point;
    (void)op;
    if (!is_numeric(p, n, &point) || parse_double(p, n, &number) != CDC_WRITTEN) return CDC_REFUSED;
    memcpy(&bits, &number, 8);
    put_little_endian(out, bits, 8);
    return CDC_WRITTEN;
}

static int nibble(uint8_t byte) {
    if (byte >= '0' && byte <= '9') return byte - '0';
    if (byte >= 'a' && byte <= 'f') return byte - 'a' + 10;
    if (byte >= 'A' && byte <= 'F') return byte - 'A' + 10;
    return -1;
}

int pg_bytea(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op) {
    size_t at, size;
    uint8_t *q;
    (void)op;
    if (n < 2 || p[0] != '\\' || p[1] != 'x' || (n & 1)) return CDC_REFUSED;
    size = (n - 2) / 2;
    cdc_out_long(out, (int64_t)size);
    if (size == 0) return CDC_WRITTEN;
    q = cdc_out_take(out, size);
    if (q == NULL) return CDC_REFUSED;
    for (at = 2; at < n; at += 2) {
        int high = nibble(p[at]), low = nibble(p[at + 1]);
        if (high < 0 || low < 0) return CDC_REFUSED;
        *q++ = (uint8_t)(high * 16 + low);
    }
    return CDC_WRITTEN;
}

static int two_digits(const uint8_t *p) {
    if (p[0] < '0' || p[0] > '9' || p[1] < '0' || p[1] > '9') return -1;
    return (p[0] - '0') * 10 + p[1] - '0';
}

/* Days since 1970 of the ten bytes `YYYY-MM-DD`. */
static int plain_days(const uint8_t *p, int64_t *days) {
    int century = two_digits(p), year = two_digits(p + 2), month = two_digits(p + 5), day = two_digits(p + 8);
    if (century < 0 || year < 0 || month < 1 || month > 12 || day < 1 || p[4] != '-' || p[7] != '-') return CDC_REFUSED;
    year += century * 100;
    if (year == 0 || day > cdc_month_days(year, month)) return CDC_REFUSED;
    *days = cdc_day_number(year, month, day);
    return CDC_WRITTEN;
}

/* us since midnight of `HH:MM:SS[.ffffff]`, which fills p[0..n). */
static int plain_clock(const uint8_t *p, size_t n, int64_t *micros) {
    int hour, minute, second, width;
    int64_t fraction = 0;
    size_t at = 9;
    if (n < 8 || n > 15 || n == 9 || p[2] != ':' || p[5] != ':') return CDC_REFUSED;
    hour = two_digits(p), minute = two_digits(p + 3), second = two_digits(p + 6);
    if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59) return CDC_REFUSED;
    if (n > 8) {
        if (p[8] != '.') return CDC_REFUSED;
        for (width = 0; width < 6; width++, at++) {
            unsigned digit = at < n ? p[at] - '0' : 0;
            if (digit > 9) return CDC_REFUSED;
            fraction = fraction * 10 + digit;
        }
    }
    *micros = (int64_t)(hour * 3600 + minute * 60 + second) * 1000000 + fraction;
    return CDC_WRITTEN;
}

/* us since 1970 of `YYYY-MM-DD HH:MM:SS[.ffffff]`. */
static int plain_micros(const uint8_t *p, size_t n, int64_t *micros) {
    int64_t days, clock;
    if (n < 19 || p[10] != ' ' || plain_days(p, &days) || plain_clock(p + 11, n - 11, &clock)) return CDC_REFUSED;
    *micros = days * DAY_US + clock;
    return CDC_WRITTEN;
}

int pg_date(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op) {
    int64_t days;
    (void)op;
    if (n != 10 || plain_days(p, &days)) return CDC_REFUSED;
    cdc_out_long(out, days);
    return CDC_WRITTEN;
}

int pg_time(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op) {
    int64_t micros;
    if (plain_clock(p, n, &micros)) return CDC_REFUSED;
    cdc_out_long(out, op->params[0] == UNIT_MICROS ? micros : op->params[0] == UNIT_MILLIS ? micros / 1000 : micros * 1000);
    return CDC_WRITTEN;
}

int pg_timestamp(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op) {
    int64_t micros;
    if (plain_micros(p, n, &micros)) return CDC_REFUSED;
    if (op->params[0] == UNIT_MILLIS) {
        micros = cdc_floor_div(micros, 1000);
    } else if (op->params[0] == UNIT_NANOS) {
        if (micros > MAX_NANOS_US || micros < -MAX_NANOS_US) return CDC_REFUSED;
        micros *= 1000;
    }
    cdc_out_long(out, micros);
    return CDC_WRITTEN;
}

/* `YYYY-MM-DD HH:MM:SS[.f]+00` as `YYYY-MM-DDTHH:MM:SS[.f]Z`. */
int pg_timestamptz(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op) {
    int64_t micros;
    size_t given, width, size;
    uint8_t *at;
    if (n < 22 || memcmp(p + n - 3, "+00", 3) != 0 || plain_micros(p, n - 3, &micros)) return CDC_REFUSED;
    given = n > 22 ? n - 23 : 0;
    width = (int64_t)given > op->params[0] ? given : (size_t)op->params[0];
    size = 20 + (width ? width + 1 : 0);
    cdc_out_long(out, (int64_t)size);
    at = cdc_out_take(out, size);
    if (at == NULL) return CDC_REFUSED;
    memcpy(at, p, 10);
    at[10] = 'T';
    memcpy(at + 11, p + 11, 8);
    at += 19;
    if (width) {
        *at++ = '.';
        memcpy(at, p + 20, given);
        memset(at + given, '0', width - given);
        at += width;
    }
    *at = 'Z';
    return CDC_WRITTEN;
}
