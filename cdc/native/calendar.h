/* Days of the calendar from the year 1 on, as cdc/codecs/calendar.pxd computes them. */
#ifndef CDC_CALENDAR_H
#define CDC_CALENDAR_H

#include <stdint.h>

static inline int cdc_month_days(int year, int month) {
    if (month == 2) return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28;
    return month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
}

/* Days since 1970-01-01 of a day that there is. */
static inline int64_t cdc_day_number(int year, int month, int day) {
    int era, of_era, of_year;
    if (month <= 2) {
        year--;
        month += 12;
    }
    era = year / 400;
    of_era = year - era * 400;
    of_year = (153 * (month - 3) + 2) / 5 + day - 1;
    return (int64_t)era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

/* Rounded down, as Python's // does; *by* is positive. */
static inline int64_t cdc_floor_div(int64_t number, int64_t by) {
    return number / by - (number % by < 0);
}

#endif
