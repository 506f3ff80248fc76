"""Dates and numbers as digits, in place; for compiled codecs only."""


cdef inline void put_digits(unsigned char *q, Py_ssize_t end, unsigned int number, int width) noexcept:
    """*number* in *width* digits, the last before *end*."""
    while width > 0:
        end -= 1
        width -= 1
        q[end] = 48 + number % 10
        number //= 10


cdef inline void put_date(unsigned char *q, Py_ssize_t at, unsigned int days) noexcept:
    """`YYYY-MM-DD` from *at* on; *days* are since 0000-03-01. As `pgtime.date_of`."""
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
