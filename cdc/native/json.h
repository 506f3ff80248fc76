/* Prints Avro bytes as JSON: the rules of cdc/converters/avro_json.py, for the types that are frequent. */
#ifndef CDC_JSON_H
#define CDC_JSON_H

#include "codec.h"

enum {
    CDC_JSON_OTHER,
    CDC_JSON_LONG,
    CDC_JSON_TEXT,
    CDC_JSON_BOOLEAN,
    CDC_JSON_BYTES,
    CDC_JSON_STRUCT,
    CDC_JSON_DOUBLE, /* this and the next: 0, and numbers with few digits, from 0.001 up to 10 million */
    CDC_JSON_FLOAT,
    CDC_JSON_ARRAY /* the op of its items follows it */
};

#define CDC_JSON_FIELDS 32

typedef struct {
    uint16_t avro, json;
} cdc_json_end;

/* Fields of a struct's last value, from *first* on: their bytes, and their JSON with the names. Of the next value most are
   the same. */
typedef struct {
    uint32_t first, count;
    cdc_json_end ends[CDC_JSON_FIELDS]; /* of each field */
    uint8_t avro[1024], json[2048];
} cdc_json_kept;

/* How the Avro bytes of one schema are printed. Those of a struct's fields follow it, each with what is within it. */
typedef struct {
    uint8_t kind, null_branch; /* CDC_NO_BRANCH: it is required */
    uint32_t following;        /* the first op behind this one and what is within it */
    uint32_t before_len, null_len;
    const uint8_t *before;     /* of a field: the comma and the name */
    const uint8_t *null_data;
    cdc_json_kept *kept;       /* of a struct, or NULL */
} cdc_json_op;

/* The ops of one schema, and what is around each value. */
typedef struct {
    const cdc_json_op *ops;
    const uint8_t *before, *after;
    uint32_t before_len, after_len;
} cdc_json_form;

/* Adds the JSON of avro[0..size), which is one value. Adds nothing if it refuses: the value has one of another type, or is
   no value of the schema. */
int cdc_json(cdc_out *out, const uint8_t *avro, size_t size, const cdc_json_form *form);

#endif
