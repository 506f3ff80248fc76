"""ASCII bytes in place: digits, and whether a text is ASCII. For compiled codecs only."""

from libc.string cimport memcpy


cdef inline void put_digits(unsigned char *q, Py_ssize_t end, unsigned int number, int width) noexcept:
    """*number* in *width* digits, the last before *end*."""
    while width > 0:
        end -= 1
        width -= 1
        q[end] = 48 + number % 10
        number //= 10


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
