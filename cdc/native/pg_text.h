/* Codecs of PostgreSQL's text format: those of cdc/codecs/postgres/text.py, for the texts that are common. */
#ifndef CDC_PG_TEXT_H
#define CDC_PG_TEXT_H

#include "codec.h"

int pg_integer(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op);
int pg_boolean(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op);
int pg_float(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op);
int pg_variable_decimal(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op);
int pg_numeric_text(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op);
int pg_numeric_double(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op);
int pg_bytea(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op);
int pg_date(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op);
int pg_time(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op);
int pg_timestamp(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op);
int pg_timestamptz(cdc_out *out, const uint8_t *p, size_t n, const cdc_colop *op);

#endif
