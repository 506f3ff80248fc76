/* Codecs of texts that PostgreSQL and MySQL print alike: those of cdc/codecs/text.py. */
#ifndef CDC_TEXT_H
#define CDC_TEXT_H

#include "codec.h"

int cdc_text(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op);
int cdc_decimal(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op);

/* Whether p[0..n) is UTF-8 as RFC 3629 has it: no surrogates, nothing longer than needed. */
int cdc_utf8(const uint8_t *p, size_t n);

/* The shortest big-endian two's complement of *number*, after its length as Avro bytes have it. */
void cdc_out_unscaled(cdc_out *out, int64_t number);

#endif
