/* Times of MySQL and MariaDB, as cdc/codecs/mysql/binary_times.py and cdc/codecs/calendar.pxd compute them. */

#include "calendar.h"
#include "mysql_codecs.h"

int64_t cdc_mysql_days(int64_t year, int64_t month, int64_t day) {
    if (year == 0 || month == 0 || day == 0)
        return CDC_MYSQL_NO_TIME;
    if (month > 12 || day > cdc_month_days((int)year, (int)month))
        return CDC_MYSQL_BAD_TIME;
    return cdc_day_number((int)year, (int)month, (int)day);
}

int64_t cdc_mysql_year(int64_t year, int adjust) {
    if (!adjust || year > 99 || year == 0)
        return year;
    return year < 70 ? year + 2000 : year + 1900;
}

int64_t cdc_mysql_clock(int64_t hour, int64_t minute, int64_t second) {
    if (minute > 59 || second > 59)
        return CDC_MYSQL_BAD_TIME;
    return (hour * 3600 + minute * 60 + second) * 1000000;
}

int cdc_mysql_put_unit(cdc_out *out, int64_t micros, int unit) {
    if (unit == CDC_MICROS)
        return put_long(out, micros);
    if (unit == CDC_MILLIS)
        return put_long(out, cdc_floor_div(micros, 1000));
    if (micros > INT64_MAX / 1000 || micros < -(INT64_MAX / 1000))
        return CDC_REFUSED;
    return put_long(out, micros * 1000);
}

static void put_digits(uint8_t *q, uint32_t number, int width) {
    while (width > 0) {
        q[--width] = (uint8_t)('0' + number % 10);
        number /= 10;
    }
}

/* YYYY-MM-DD; *days* are since 0000-03-01. */
static void put_date(uint8_t *q, uint32_t days) {
    uint32_t era = days / 146097;
    days -= era * 146097;
    uint32_t of_era = (days - days / 1460 + days / 36524 - days / 146096) / 365;
    uint32_t of_year = days - (365 * of_era + of_era / 4 - of_era / 100);
    uint32_t index = (5 * of_year + 2) / 153, month = index < 10 ? index + 3 : index - 9;
    put_digits(q, era * 400 + of_era + (month <= 2), 4);
    q[4] = '-';
    put_digits(q + 5, month, 2);
    q[7] = '-';
    put_digits(q + 8, of_year - (153 * index + 2) / 5 + 1, 2);
}

int cdc_mysql_put_instant(cdc_out *out, int64_t micros, int digits) {
    if (micros < 0 || micros >= INT64_C(253402300800) * 1000000 || digits < 0 || digits > 6)
        return CDC_REFUSED;
    uint32_t days = (uint32_t)(micros / CDC_DAY_US);
    int64_t rest = micros % CDC_DAY_US;
    uint32_t seconds = (uint32_t)(rest / 1000000), fraction = (uint32_t)(rest % 1000000);
    for (int width = 6; width > digits; width--)
        fraction /= 10;
    uint8_t text[27];
    size_t size = digits ? (size_t)(21 + digits) : 20;
    put_date(text, days + 719468);
    text[10] = 'T';
    put_digits(text + 11, seconds / 3600, 2);
    text[13] = ':';
    put_digits(text + 14, seconds / 60 % 60, 2);
    text[16] = ':';
    put_digits(text + 17, seconds % 60, 2);
    if (digits) {
        text[19] = '.';
        put_digits(text + 20, fraction, digits);
    }
    text[size - 1] = 'Z';
    return put_bytes(out, text, size);
}
