/* Codecs without Python: one column's bytes to Avro bytes.

   A codec appends the value of p[0..n) to *out* and returns 0, or returns another number: it refuses the bytes. It
   refuses whatever it does not fully expect. What it then has written is removed, and the record goes to the Python code,
   which writes it or raises the error. The bytes of a codec that does not refuse must be those of the Python codec.
   CDC_NO_VALUE: the bytes stand for no value (`NoValue`), so the column's null is to be written. */
#ifndef CDC_CODEC_H
#define CDC_CODEC_H

#include "batch.h"

enum { CDC_WRITTEN = 0, CDC_REFUSED = 1, CDC_NO_VALUE = 2 };

#define CDC_NO_BRANCH 1 /* a required field; a union's branch is written as 0 or 2 (index 0 and 1, zig-zag) */

struct cdc_colop;
typedef int (*cdc_codec)(cdc_out *out, const uint8_t *p, size_t n, const struct cdc_colop *op);

/* How one column of a plan is written, for one wire format (text or binary). */
typedef struct cdc_colop {
    cdc_codec codec;          /* NULL: there is none, so a value is refused */
    void *object;             /* the Python codec, if *codec* calls one; borrowed */
    int64_t params[2];        /* the codec's own */
    const uint8_t *data;      /* the codec's own table, such as labels */
    const uint8_t *null_data; /* what a NULL is written as, with its branch */
    const uint8_t *unchanged; /* the same for a value that the log left out */
    uint32_t null_len;
    uint32_t unchanged_len;   /* CDC_NULL: nothing can stand for such a value */
    int32_t index;            /* of the column in a row image */
    uint8_t branch;           /* of the union that a value is written with, or CDC_NO_BRANCH */
    uint8_t as_key;
} cdc_colop;

/* A codec needs a number here, its function in the table of `codecs.c`,
   and rows in cdc/codecs/native.py and in OPS of records.pyx, which say for which Python codec it stands. */
enum {
    CDC_OP_NONE = 0,
    CDC_OP_TEXT,             /* UTF-8 text; for both families */
    CDC_OP_DECIMAL,          /* params: scale */
    CDC_OP_PG_INTEGER = 10,  /* params: low, high */
    CDC_OP_PG_BOOLEAN,       /* params: the bytes for true and for false */
    CDC_OP_PG_FLOAT,         /* params: 1 for float4 */
    CDC_OP_PG_BYTEA,
    CDC_OP_PG_DATE,
    CDC_OP_PG_TIME,          /* params: unit (0 ms, 1 us, 2 ns) */
    CDC_OP_PG_TIMESTAMP,     /* params: unit */
    CDC_OP_PG_TIMESTAMPTZ,   /* params: digits */
    CDC_OP_PG_VARIABLE_DECIMAL,
    CDC_OP_PG_NUMERIC_TEXT,
    CDC_OP_PG_NUMERIC_DOUBLE,
    CDC_OP_MYSQL_INT = 64,   /* row events; params: bytes, unsigned */
    CDC_OP_MYSQL_BOOL,       /* the same */
    CDC_OP_MYSQL_UNSIGNED_DECIMAL,
    CDC_OP_MYSQL_FLOAT,      /* params: 1 for a FLOAT32 */
    CDC_OP_MYSQL_DECIMAL,    /* params: precision, scale */
    CDC_OP_MYSQL_DECIMAL_TEXT,
    CDC_OP_MYSQL_DECIMAL_DOUBLE,
    CDC_OP_MYSQL_BYTES,      /* params: length that is filled up with zeros */
    CDC_OP_MYSQL_BIT,
    CDC_OP_MYSQL_BITS,
    CDC_OP_MYSQL_DATE,       /* params: adjust */
    CDC_OP_MYSQL_TIME,       /* params: unit, bounded */
    CDC_OP_MYSQL_DATETIME,   /* params: unit, adjust */
    CDC_OP_MYSQL_TIMESTAMP,  /* params: digits */
    CDC_OP_MYSQL_YEAR,       /* params: the value for 0000 */
    CDC_OP_MYSQL_ENUM,       /* data: labels */
    CDC_OP_MYSQL_SET,
    CDC_OP_MYSQL_CHARSET,    /* data: for each byte the length of its UTF-8, and up to 3 bytes */
    CDC_OP_MYSQL_VECTOR,
    CDC_OP_MYSQL_TEXT_INT,   /* text protocol; params and data as above */
    CDC_OP_MYSQL_TEXT_BOOL,
    CDC_OP_MYSQL_TEXT_DATE,
    CDC_OP_MYSQL_TEXT_TIME,
    CDC_OP_MYSQL_TEXT_DATETIME,
    CDC_OP_MYSQL_TEXT_TIMESTAMP,
    CDC_OP_MYSQL_TEXT_YEAR,
    CDC_OP_MYSQL_TEXT_ENUM,
    CDC_OP_MYSQL_TEXT_SET,
    CDC_OP_COUNT = 128
};

/* The function of an op, NULL for a number without one. */
cdc_codec cdc_codec_of(int op);

#endif
