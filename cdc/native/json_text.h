/* Numbers, strings and bytes as JSON. */
#ifndef CDC_JSON_TEXT_H
#define CDC_JSON_TEXT_H

#include "codec.h"

void cdc_json_number(cdc_out *out, int64_t value);

/* As `double_text` and `float_text` of cdc/codecs/java.py: the decimal with the fewest digits that reads back as *value*.
   Refuses what has many, or an exponent. *single*: *value* is a float. */
int cdc_json_float(cdc_out *out, double value, int single);

/* p[0..size) is UTF-8. */
void cdc_json_string(cdc_out *out, const uint8_t *p, size_t size);

void cdc_json_base64(cdc_out *out, const uint8_t *p, size_t size);

#endif
