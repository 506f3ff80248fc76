"""ASCII bytes in place: digits, dates, and whether a text is ASCII. For compiled codecs only."""

from libc.string cimport memcpy


cdef inline void put_digits(unsigned char *q, Py_ssize_t end, unsigned int number, int width) noexcept:
    """*number* in *width* digits, the last before *end*."""
    while width > 0:
        end -= 1
        width -= 1
        q[end] = 48 + number % 10
        number //= 10


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


cdef inline int two_digits(const unsigned char *p, Py_ssize_t at) noexcept:
    """Two ASCII digits as a number, -1 if they are none."""
    if p[at] < 48 or p[at] > 57 or p[at + 1] < 48 or p[at + 1] > 57:
        return -1
    return (p[at] - 48) * 10 + p[at + 1] - 48


cdef inline bint ascii_only(const unsigned char *p, Py_ssize_t start, Py_ssize_t end) noexcept:
    cdef unsigned long long word
    while end - start >= 8:
        memcpy(&word, p + start, 8)
        if word & <unsigned long long>0x8080808080808080:
            return False
        start += 8
    while start < end:
        if p[start] > 127:
            return False
        start += 1
    return True
