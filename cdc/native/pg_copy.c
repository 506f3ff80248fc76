#include "pg_copy.h"

/* The byte that a backslash and *letter* stand for; -1 for what is refused. */
static int unescaped(uint8_t letter) {
    switch (letter) {
    case 'b': return '\b';
    case 'f': return '\f';
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    case 'v': return '\v';
    case '\\': return '\\';
    default: return -1;
    }
}

/* Cells of the fields of p[0..n). With *to*, escapes are resolved into *size* bytes there, and the cells refer to it. */
static int split(cdc_records *out, const uint8_t *p, uint32_t n, uint8_t *to, const int32_t *indexes, uint32_t fields,
                 uint32_t *size) {
    uint32_t at = 0, field, put = 0, first = out->cell_count;
    for (field = 0; field < fields; field++) {
        cdc_cell *cell = out->cells + first + (uint32_t)indexes[field];
        uint8_t *kind = out->kinds + first + indexes[field];
        *kind = CDC_KIND_TEXT;
        if (to == NULL) {
            const uint8_t *tab = memchr(p + at, '\t', n - at);
            cell->start = at;
            cell->end = tab ? (uint32_t)(tab - p) : n;
            at = cell->end;
        } else if (n - at >= 2 && p[at] == '\\' && p[at + 1] == 'N' && (n - at == 2 || p[at + 2] == '\t')) {
            *kind = CDC_KIND_NULL;
            at += 2;
        } else {
            cell->start = put;
            while (at < n && p[at] != '\t') {
                if (p[at] != '\\') {
                    to[put++] = p[at++];
                } else {
                    int byte = n - at >= 2 ? unescaped(p[at + 1]) : -1;
                    if (byte < 0) return PG_LINE_REFUSED;
                    to[put++] = (uint8_t)byte;
                    at += 2;
                }
            }
            cell->end = put;
        }
        if ((at == n) != (field == fields - 1)) return PG_LINE_REFUSED;
        at++;
    }
    *size = put;
    return PG_COPIED;
}

static int line(cdc_records *out, cdc_frame *frame, uint16_t columns, const int32_t *indexes, uint32_t fields) {
    uint32_t n = frame->size, size;
    uint8_t *to = NULL;
    int done;
    if (fields == 0) return PG_LINE_REFUSED;
    if (cdc_records_room(out, 1, columns, 0)) return PG_COPY_NO_MEMORY;
    memset(out->kinds + out->cell_count, CDC_KIND_ABSENT, columns);
    memset(out->cells + out->cell_count, 0, columns * sizeof(cdc_cell));
    if (n && frame->data[n - 1] == '\n') n--;
    if (memchr(frame->data, '\\', n) != NULL && (to = cdc_records_block(out, n)) == NULL) return PG_COPY_NO_MEMORY;
    done = split(out, frame->data, n, to, indexes, fields, &size);
    if (done == PG_COPIED && to != NULL) {
        frame->data = to;
        frame->size = size;
    }
    return done;
}

int pg_copy_rows(cdc_records *out, cdc_frame *frames, uint32_t *next, uint32_t end, uint32_t table, uint16_t columns,
                 const int32_t *indexes, uint32_t fields) {
    for (; *next < end; ++*next) {
        cdc_rec *rec;
        int done = line(out, frames + *next, columns, indexes, fields);
        if (done != PG_COPIED) return done;
        rec = out->recs + out->rec_count++;
        memset(rec, 0, sizeof *rec);
        rec->frame = *next;
        rec->table = table;
        rec->before = CDC_NO_ROW;
        rec->after = out->cell_count;
        rec->columns = columns;
        rec->op = 'r';
        out->cell_count += columns;
    }
    return PG_COPIED;
}
