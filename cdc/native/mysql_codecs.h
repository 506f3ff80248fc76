/* MySQL's and MariaDB's codecs, for row events (mysql_binary.c) and the text protocol (mysql_text.c). */
#ifndef CDC_MYSQL_CODECS_H
#define CDC_MYSQL_CODECS_H

#include "codec.h"

#define CDC_MYSQL_NO_TIME (-(INT64_C(1) << 62))
#define CDC_MYSQL_BAD_TIME (CDC_MYSQL_NO_TIME + 1)
#define CDC_DAY_US INT64_C(86400000000)

enum { CDC_MILLIS = 0, CDC_MICROS = 1, CDC_NANOS = 2 };

static inline int put_long(cdc_out *out, int64_t value) {
    cdc_out_long(out, value);
    return CDC_WRITTEN;
}

static inline int put_byte(cdc_out *out, uint8_t byte) {
    cdc_out_byte(out, byte);
    return CDC_WRITTEN;
}

static inline int put_raw(cdc_out *out, const void *data, size_t count) {
    cdc_out_raw(out, data, count);
    return CDC_WRITTEN;
}

static inline int put_bytes(cdc_out *out, const void *data, size_t count) {
    cdc_out_bytes(out, data, count);
    return CDC_WRITTEN;
}

/* The codecs: mysql_binary.c, then mysql_text.c. */
int cdc_mysql_int(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op);
int cdc_mysql_bool(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op);
int cdc_mysql_unsigned_decimal(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op);
int cdc_mysql_float(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op);
int cdc_mysql_decimal(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op);
int cdc_mysql_decimal_text(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op);
int cdc_mysql_decimal_double(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op);
int cdc_mysql_bytes(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op);
int cdc_mysql_bit(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op);
int cdc_mysql_bits(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op);
int cdc_mysql_date(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op);
int cdc_mysql_time(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op);
int cdc_mysql_datetime(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op);
int cdc_mysql_timestamp(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op);
int cdc_mysql_year_number(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op);
int cdc_mysql_enum(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op);
int cdc_mysql_set(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op);
int cdc_mysql_charset(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op);
int cdc_mysql_vector(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op);
int cdc_mysql_text_int(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op);
int cdc_mysql_text_bool(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op);
int cdc_mysql_text_date(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op);
int cdc_mysql_text_time(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op);
int cdc_mysql_text_datetime(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op);
int cdc_mysql_text_timestamp(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op);
int cdc_mysql_text_year(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op);
int cdc_mysql_text_enum(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op);
int cdc_mysql_text_set(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op);

/* Days since 1970-01-01; CDC_MYSQL_NO_TIME if a part is zero, CDC_MYSQL_BAD_TIME if there is no such day. */
int64_t cdc_mysql_days(int64_t year, int64_t month, int64_t day);

/* enable.time.adjuster: the years 1 to 69 mean 2001 to 2069, and 70 to 99 mean 1970 to 1999. */
int64_t cdc_mysql_year(int64_t year, int adjust);

/* us of a clock; CDC_MYSQL_BAD_TIME if minutes or seconds are more than 59. */
int64_t cdc_mysql_clock(int64_t hour, int64_t minute, int64_t second);

/* *micros* rounded down to *unit*. Refuses what does not fit 64 bits. */
int cdc_mysql_put_unit(cdc_out *out, int64_t micros, int unit);

/* us since 1970, 0 or later and before the year 10000, as a string with *digits* fraction digits. */
int cdc_mysql_put_instant(cdc_out *out, int64_t micros, int digits);

/* The label of *index*, and those of all set *bits* joined by commas. op->data has the labels: their count, count + 1
   offsets from the first text, each in 4 bytes of this machine's order, then the texts. */
int cdc_mysql_put_label(cdc_out *out, const cdc_colop *op, uint64_t index);
int cdc_mysql_put_labels(cdc_out *out, const cdc_colop *op, uint64_t bits);

#endif
