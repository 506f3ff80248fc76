#include "codec.h"

#include "mysql_codecs.h"
#include "pg_text.h"
#include "text.h"

static const cdc_codec codecs[CDC_OP_COUNT] = {
    [CDC_OP_TEXT] = cdc_text,
    [CDC_OP_DECIMAL] = cdc_decimal,
    [CDC_OP_PG_INTEGER] = pg_integer,
    [CDC_OP_PG_BOOLEAN] = pg_boolean,
    [CDC_OP_PG_FLOAT] = pg_float,
    [CDC_OP_PG_BYTEA] = pg_bytea,
    [CDC_OP_PG_DATE] = pg_date,
    [CDC_OP_PG_TIME] = pg_time,
    [CDC_OP_PG_TIMESTAMP] = pg_timestamp,
    [CDC_OP_PG_TIMESTAMPTZ] = pg_timestamptz,
    [CDC_OP_PG_VARIABLE_DECIMAL] = pg_variable_decimal,
    [CDC_OP_PG_NUMERIC_TEXT] = pg_numeric_text,
    [CDC_OP_PG_NUMERIC_DOUBLE] = pg_numeric_double,
    [CDC_OP_MYSQL_INT] = cdc_mysql_int,
    [CDC_OP_MYSQL_BOOL] = cdc_mysql_bool,
    [CDC_OP_MYSQL_UNSIGNED_DECIMAL] = cdc_mysql_unsigned_decimal,
    [CDC_OP_MYSQL_FLOAT] = cdc_mysql_float,
    [CDC_OP_MYSQL_DECIMAL] = cdc_mysql_decimal,
    [CDC_OP_MYSQL_DECIMAL_TEXT] = cdc_mysql_decimal_text,
    [CDC_OP_MYSQL_DECIMAL_DOUBLE] = cdc_mysql_decimal_double,
    [CDC_OP_MYSQL_BYTES] = cdc_mysql_bytes,
    [CDC_OP_MYSQL_BIT] = cdc_mysql_bit,
    [CDC_OP_MYSQL_BITS] = cdc_mysql_bits,
    [CDC_OP_MYSQL_DATE] = cdc_mysql_date,
    [CDC_OP_MYSQL_TIME] = cdc_mysql_time,
    [CDC_OP_MYSQL_DATETIME] = cdc_mysql_datetime,
    [CDC_OP_MYSQL_TIMESTAMP] = cdc_mysql_timestamp,
    [CDC_OP_MYSQL_YEAR] = cdc_mysql_year_number,
    [CDC_OP_MYSQL_ENUM] = cdc_mysql_enum,
    [CDC_OP_MYSQL_SET] = cdc_mysql_set,
    [CDC_OP_MYSQL_CHARSET] = cdc_mysql_charset,
    [CDC_OP_MYSQL_VECTOR] = cdc_mysql_vector,
    [CDC_OP_MYSQL_TEXT_INT] = cdc_mysql_text_int,
    [CDC_OP_MYSQL_TEXT_BOOL] = cdc_mysql_text_bool,
    [CDC_OP_MYSQL_TEXT_DATE] = cdc_mysql_text_date,
    [CDC_OP_MYSQL_TEXT_TIME] = cdc_mysql_text_time,
    [CDC_OP_MYSQL_TEXT_DATETIME] = cdc_mysql_text_datetime,
    [CDC_OP_MYSQL_TEXT_TIMESTAMP] = cdc_mysql_text_timestamp,
    [CDC_OP_MYSQL_TEXT_YEAR] = cdc_mysql_text_year,
    [CDC_OP_MYSQL_TEXT_ENUM] = cdc_mysql_text_enum,
    [CDC_OP_MYSQL_TEXT_SET] = cdc_mysql_text_set,
};

cdc_codec cdc_codec_of(int op) {
    return op > CDC_OP_NONE && op < CDC_OP_COUNT ? codecs[op] : NULL;
}
