"""Days and instants in the years 1 to 9999. For compiled codecs only; `time.py` has the same for all years."""

from cdc.codecs.digits cimport put_digits
from cdc.core.avro cimport Writer


cdef inline int month_days(int year, int month) noexcept:
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month == 4 or month == 6 or month == 9 or month == 11 else 31


cdef inline long long day_number(int year, int month, int day) noexcept:
    """Days since 1970-01-01 of a day that there is, as `time.days_of`."""
    cdef int era, of_era, of_year
    if month <= 2:
        year -= 1
        month += 12
    era = year // 400
    of_era = year - era * 400
    of_year = (153 * (month - 3) + 2) // 5 + day - 1
    return era * 146097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719468


cdef inline void put_date(unsigned char *q, Py_ssize_t at, unsigned int days) noexcept:
    """`YYYY-MM-DD` from *at* on; *days* are since 0000-03-01. As `time.date_of`."""
    cdef unsigned int era, of_era, of_year, index, month
    era = days // 146097
    days -= era * 146097
    of_era = (days - days // 1460 + days // 36524 - days // 146096) // 365
    of_year = days - (365 * of_era + of_era // 4 - of_era // 100)
    index = (5 * of_year + 2) // 153
    month = index + 3 if index < 10 else index - 9
    put_digits(q, at + 4, era * 400 + of_era + (1 if month <= 2 else 0), 4)
    q[at + 4] = 45
    put_digits(q, at + 7, month, 2)
    q[at + 7] = 45
    put_digits(q, at + 10, of_year - (153 * index + 2) // 5 + 1, 2)


cdef inline int fraction_digits(long long micros, int digits) noexcept:
    """The length of the shortest fraction of a second that has at least *digits* digits and cuts nothing."""
    cdef int fraction = micros % 1000000
    cdef int width = 6
    while width > digits and fraction % 10 == 0:
        fraction //= 10
        width -= 1
    return width


cdef inline int put_instant(Writer out, long long micros, int digits) except -1:
    """µs since 1970 as an Avro string: `YYYY-MM-DDTHH:MM:SS[.f]Z` with *digits* fraction digits; further ones are cut.
    """
    cdef long long days = micros // 86400000000LL
    cdef long long rest = micros - days * 86400000000LL
    cdef int seconds = rest // 1000000
    cdef int fraction = rest % 1000000
    cdef int width = 6
    cdef unsigned char *q
    cdef Py_ssize_t to
    while width > digits:
        fraction //= 10
        width -= 1
    out.need(29)
    q = out.buf
    to = out.used
    q[to] = 2 * (21 + digits if digits else 20)
    put_date(q, to + 1, days + 719468)
    q[to + 11] = 84
    put_digits(q, to + 14, seconds // 3600, 2)
    q[to + 14] = 58
    put_digits(q, to + 17, seconds // 60 % 60, 2)
    q[to + 17] = 58
    put_digits(q, to + 20, seconds % 60, 2)
    to += 20
    if digits:
        q[to] = 46
        to += 1 + digits
        put_digits(q, to, fraction, digits)
    q[to] = 90
    out.used = to + 1
    return 0
