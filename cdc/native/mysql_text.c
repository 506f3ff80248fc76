/* Column texts of MySQL's and MariaDB's text protocol to Avro. Each function does what the class of the same name in
   cdc/codecs/mysql/text.py does, or refuses. */

#include "mysql_codecs.h"

/* The number of two digits; -1 for other bytes. */
static int pair(const uint8_t *p) {
    unsigned tens = (unsigned)p[0] - '0', ones = (unsigned)p[1] - '0';
    return tens > 9 || ones > 9 ? -1 : (int)(tens * 10 + ones);
}

/* An unsigned number of up to 20 digits. */
static int whole(const uint8_t *p, size_t n, uint64_t *number) {
    uint64_t found = 0;
    if (n == 0)
        return CDC_REFUSED;
    for (size_t i = 0; i < n; i++) {
        unsigned digit = (unsigned)p[i] - '0';
        if (digit > 9 || found > UINT64_MAX / 10 || (found == UINT64_MAX / 10 && digit > 5))
            return CDC_REFUSED;
        found = found * 10 + digit;
    }
    *number = found;
    return CDC_WRITTEN;
}

/* TextIntCodec; a: size in bytes, b: unsigned. */
static int integer(const uint8_t *p, size_t n, const cdc_colop *op, int64_t *result) {
    uint64_t number, limit;
    int negative = n > 0 && p[0] == '-';
    if (op->params[0] < 1 || op->params[0] > 8)
        return CDC_REFUSED;
    limit = ~(uint64_t)0 >> (64 - 8 * op->params[0] + !op->params[1]);
    if ((negative && op->params[1]) || whole(p + negative, n - (size_t)negative, &number))
        return CDC_REFUSED;
    if (number > limit && !(negative && number - 1 == limit))
        return CDC_REFUSED;
    *result = (int64_t)(negative ? 0 - number : number);
    return CDC_WRITTEN;
}

int cdc_mysql_text_int(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op) {
    int64_t number;
    return integer(p, n, op, &number) ? CDC_REFUSED : put_long(out, number);
}

/* ShownCodec of a TextIntCodec by `bool`. */
int cdc_mysql_text_bool(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op) {
    int64_t number;
    return integer(p, n, op, &number) ? CDC_REFUSED : put_byte(out, number != 0);
}

/* Days since 1970 of YYYY-MM-DD; CDC_MYSQL_NO_TIME or CDC_MYSQL_BAD_TIME as cdc_mysql_days. */
static int64_t days_of(const uint8_t *p, int adjust) {
    int century = pair(p), year = pair(p + 2), month = pair(p + 5), day = pair(p + 8);
    if (century < 0 || year < 0 || month < 0 || day < 0 || p[4] != '-' || p[7] != '-')
        return CDC_MYSQL_BAD_TIME;
    return cdc_mysql_days(cdc_mysql_year(century * 100 + year, adjust), month, day);
}

/* µs of .f to .ffffff; 0 for an empty text, -1 for any other. */
static int64_t fraction(const uint8_t *p, size_t n) {
    int64_t found = 0;
    if (n == 0)
        return 0;
    if (p[0] != '.' || n < 2 || n > 7)
        return -1;
    for (size_t i = 1; i < 7; i++) {
        unsigned digit = i < n ? (unsigned)p[i] - '0' : 0;
        if (digit > 9)
            return -1;
        found = found * 10 + digit;
    }
    return found;
}

/* µs since 1970 of YYYY-MM-DD HH:MM:SS[.ffffff]; CDC_MYSQL_NO_TIME or CDC_MYSQL_BAD_TIME as cdc_mysql_days. */
static int64_t moment(const uint8_t *p, size_t n, int adjust) {
    if (n < 19 || p[10] != ' ' || p[13] != ':' || p[16] != ':')
        return CDC_MYSQL_BAD_TIME;
    int hour = pair(p + 11), minute = pair(p + 14), second = pair(p + 17);
    int64_t part = fraction(p + 19, n - 19), days = days_of(p, adjust);
    if (days == CDC_MYSQL_NO_TIME || days == CDC_MYSQL_BAD_TIME)
        return days;
    if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59 || part < 0)
        return CDC_MYSQL_BAD_TIME;
    return days * CDC_DAY_US + cdc_mysql_clock(hour, minute, second) + part;
}

/* TextDateCodec; a: adjust. */
int cdc_mysql_text_date(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op) {
    int64_t days = n == 10 ? days_of(p, (int)op->params[0]) : CDC_MYSQL_BAD_TIME;
    if (days == CDC_MYSQL_NO_TIME)
        return CDC_NO_VALUE;
    return days == CDC_MYSQL_BAD_TIME ? CDC_REFUSED : put_long(out, days);
}

/* TextTimeCodec; a: unit, b: bounded. */
int cdc_mysql_text_time(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op) {
    const uint8_t *end = p + n;
    int negative = n > 0 && p[0] == '-';
    unsigned hundreds = 0;
    p += negative;
    if (end - p >= 9 && p[3] == ':')
        hundreds = (unsigned)*p++ - '0';
    if (end - p < 8 || hundreds > 9 || p[2] != ':' || p[5] != ':')
        return CDC_REFUSED;
    int tens = pair(p), minute = pair(p + 3), second = pair(p + 6);
    int64_t part = fraction(p + 8, (size_t)(end - p - 8));
    if (tens < 0 || minute < 0 || minute > 59 || second < 0 || second > 59 || part < 0)
        return CDC_REFUSED;
    int64_t micros = cdc_mysql_clock((int64_t)hundreds * 100 + tens, minute, second) + part;
    if (negative)
        micros = -micros;
    if (op->params[1] && (micros < 0 || micros > CDC_DAY_US))
        return CDC_REFUSED;
    return cdc_mysql_put_unit(out, micros, (int)op->params[0]);
}

/* TextDatetimeCodec; a: unit, b: adjust. */
int cdc_mysql_text_datetime(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op) {
    int64_t micros = moment(p, n, (int)op->params[1]);
    if (micros == CDC_MYSQL_NO_TIME)
        return CDC_NO_VALUE;
    return micros == CDC_MYSQL_BAD_TIME ? CDC_REFUSED : cdc_mysql_put_unit(out, micros, (int)op->params[0]);
}

/* TextTimestampCodec; a: digits. */
int cdc_mysql_text_timestamp(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op) {
    int64_t micros = moment(p, n, 0);
    if (micros == CDC_MYSQL_NO_TIME)
        return CDC_NO_VALUE;
    if (micros < 0 || op->params[0] < 0 || op->params[0] > 6)
        return CDC_REFUSED;
    int digits = 6;
    for (int64_t part = micros % 1000000; digits > op->params[0] && part % 10 == 0; part /= 10)
        digits--;
    return cdc_mysql_put_instant(out, micros, digits);
}

/* TextYearCodec; a: the value for 0000. */
int cdc_mysql_text_year(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op) {
    uint64_t year;
    if (n != 4 || whole(p, n, &year))
        return CDC_REFUSED;
    return put_long(out, year ? (int64_t)year : op->params[0]);
}

/* TextLabelCodec; data: its labels, the empty one first. */
int cdc_mysql_text_enum(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op) {
    uint64_t index;
    return n > 5 || whole(p, n, &index) ? CDC_REFUSED : cdc_mysql_put_label(out, op, index);
}

/* TextLabelSetCodec; data: its labels. */
int cdc_mysql_text_set(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op) {
    uint64_t bits;
    return n > 20 || whole(p, n, &bits) ? CDC_REFUSED : cdc_mysql_put_labels(out, op, bits);
}
