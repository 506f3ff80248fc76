/* Numbers in decimal. */
#ifndef CDC_DIGITS_H
#define CDC_DIGITS_H

#include <stdint.h>
#include <string.h>

#define CDC_MOST_DIGITS 20

/* Writes *number*, CDC_MOST_DIGITS bytes at most, and returns how many. */
static inline uint32_t cdc_put_digits(void *to, uint64_t number) {
    static const char pairs[] = /* 00 to 99 */
        "00010203040506070809101112131415161718192021222324252627282930313233343536373839404142434445464748"
        "4950515253545556575859606162636465666768697071727374757677787980818283848586878889909192939495969798"
        "99";
    char digits[CDC_MOST_DIGITS];
    uint32_t at = CDC_MOST_DIGITS;
    for (; number >= 100; number /= 100) memcpy(digits + (at -= 2), pairs + number % 100 * 2, 2);
    digits[--at] = pairs[number * 2 + 1];
    if (number >= 10) digits[--at] = pairs[number * 2];
    memcpy(to, digits + at, CDC_MOST_DIGITS - at);
    return CDC_MOST_DIGITS - at;
}

#endif
