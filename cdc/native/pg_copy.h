/* Lines of COPY's text format to records of the op `r`: the rules of cdc/sources/postgres/copytext.py.

   PostgreSQL docs, "COPY", "Text Format". A line with octal or hexadecimal escapes, or with another number of fields, is
   refused. */
#ifndef CDC_PG_COPY_H
#define CDC_PG_COPY_H

#include "arrays.h"

enum { PG_COPIED = 0, PG_LINE_REFUSED = 1, PG_COPY_NO_MEMORY = 2 };

/* Reads frames from *next* on, until *end*: rows of *columns* columns of table number *table*, whose fields are the
   columns at *indexes*. A line with escapes gets a frame of its own. Returns PG_LINE_REFUSED if frame *next* is one for
   the other code. */
int pg_copy_rows(cdc_records *out, cdc_frame *frames, uint32_t *next, uint32_t end, uint32_t table, uint16_t columns,
                 const int32_t *indexes, uint32_t fields);

#endif
