#include "pg_decode.h"

#include "digits.h"

#define HEADER 25 /* XLogData: `w`, two LSNs, a time */
#define EPOCH_US INT64_C(946684800000000) /* 2000-01-01 */
#define MAX_TIME_US INT64_C(9200000000000000)
#define TOGETHER_US 1000

static uint32_t be16(const uint8_t *p) { return (uint32_t)p[0] << 8 | p[1]; }
static uint32_t be32(const uint8_t *p) { return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]; }
static uint64_t be64(const uint8_t *p) { return (uint64_t)be32(p) << 32 | be32(p + 4); }

/* The bytes of one frame that are not read yet. */
typedef struct {
    const uint8_t *base, *at, *end;
} cursor;

/* A time as us since 1970; refused unless it is of the years that the other code takes without a look. */
static int server_time(const uint8_t *p, int64_t *time_us) {
    int64_t value = (int64_t)be64(p);
    if (value < -MAX_TIME_US || value > MAX_TIME_US - EPOCH_US) return PG_REFUSED;
    *time_us = value + EPOCH_US;
    return PG_DONE;
}

/* Forgets what was counted. */
static void count_again(pg_reader *r) {
    while (r->used_count > 0) r->counters[r->used[--r->used_count]].count = 0;
    r->order = 0;
    r->by_one = 0;
}

/* The message of a transaction's beginning or end, if there are any. */
static int tell(pg_reader *r, cdc_records *out, uint64_t lsn, uint32_t frame, uint8_t op) {
    cdc_rec *rec;
    cdc_tx *tx;
    if (!r->metadata) return PG_DONE;
    if (cdc_records_room(out, 1, 0, 1)) return PG_NO_MEMORY;
    tx = out->txs + out->tx_count;
    memset(tx, 0, sizeof *tx);
    tx->time_us = r->commit_time_us;
    tx->xid = r->xid;
    if (op == CDC_TX_END && cdc_put_counts(out, r->counters, r->used, r->used_count, &tx->counts))
        return PG_NO_MEMORY;
    rec = out->recs + out->rec_count++;
    memset(rec, 0, sizeof *rec);
    rec->lsn = lsn;
    rec->frame = frame;
    rec->tx = out->tx_count++;
    rec->table = r->transactions_table;
    rec->before = rec->after = CDC_NO_ROW;
    rec->order = r->order;
    rec->op = op;
    return PG_DONE;
}

static int begin(pg_reader *r, cdc_records *out, uint64_t lsn, uint32_t frame, const cursor *c) {
    uint64_t final_lsn;
    int64_t time_us;
    uint32_t xid;
    if (c->end - c->at != 20 || r->in_tx) return PG_REFUSED;
    final_lsn = be64(c->at);
    xid = be32(c->at + 16);
    if (final_lsn >> 63 || server_time(c->at + 8, &time_us) || final_lsn < r->resumed_end_lsn
        || final_lsn == r->resumed_tx_lsn || (r->resumed_xid && xid == r->resumed_xid)) return PG_REFUSED;
    r->caught_up = 1;
    r->in_tx = r->tx_plain = 1;
    r->tx_made = 0;
    r->tx_number = CDC_NO_ROW;
    r->final_lsn = final_lsn;
    r->commit_time_us = r->last_time_us = time_us;
    r->xid = xid;
    r->changes = 0;
    count_again(r);
    if (tell(r, out, lsn, frame, CDC_TX_BEGIN)) return PG_NO_MEMORY;
    r->last_lsn = lsn;
    if (r->commit_lsn) {
        memcpy(r->head, "[\"", 2);
        r->head_len = 2 + cdc_put_digits(r->head + 2, r->commit_lsn);
        memcpy(r->head + r->head_len, "\",\"", 3);
        r->head_len += 3;
    } else {
        memcpy(r->head, "[null,\"", 7);
        r->head_len = 7;
    }
    return PG_DONE;
}

/* As Emitter.mark. */
static int mark(pg_reader *r, int64_t time_us) {
    if (!r->unmarked) return PG_DONE;
    if (time_us < r->window_us || time_us >= r->window_us + TOGETHER_US) {
        if (r->committed) {
            if (r->commit_count == r->commit_capacity) {
                uint32_t capacity = r->commit_capacity ? r->commit_capacity * 2 : 64;
                pg_commits *grown = (pg_commits *)realloc(r->commits, capacity * sizeof *grown);
                if (grown == NULL) return PG_NO_MEMORY;
                r->commits = grown;
                r->commit_capacity = capacity;
            }
            r->commits[r->commit_count].time_us = r->window_us;
            r->commits[r->commit_count++].count = r->committed;
            r->committed = 0;
        }
        r->window_us = time_us;
    }
    r->committed += r->unmarked;
    r->unmarked = 0;
    return PG_DONE;
}

static int commit(pg_reader *r, cdc_records *out, uint64_t lsn, uint32_t frame, const cursor *c) {
    uint64_t end_lsn;
    int64_t time_us;
    if (c->end - c->at != 25 || c->at[0] || !r->in_tx || !r->tx_plain) return PG_REFUSED;
    end_lsn = be64(c->at + 9);
    if (be64(c->at + 1) >> 63 || end_lsn >> 63 || server_time(c->at + 17, &time_us)) return PG_REFUSED;
    if (r->by_one || r->used_count > CDC_MOST_COUNTERS) return PG_REFUSED;
    if (tell(r, out, lsn, frame, CDC_TX_END) || mark(r, r->commit_time_us)) return PG_NO_MEMORY;
    if (r->changes) {
        r->shown = 1;
        r->shown_final_lsn = r->final_lsn;
        r->shown_end_lsn = end_lsn;
        r->shown_xid = r->xid;
        r->shown_time_us = r->commit_time_us;
    }
    r->in_tx = 0;
    r->transactions++;
    r->last_lsn = lsn;
    if (end_lsn > r->end_lsn) r->end_lsn = end_lsn;
    if (end_lsn >= r->resumed_end_lsn) r->caught_up = 1;
    r->commit_lsn = end_lsn;
    return PG_DONE;
}

/* Reads TupleData into new cells. The number of columns must be the table's. */
static int tuple(cdc_records *out, cursor *c, uint16_t columns, int key_only, uint32_t *first) {
    const uint8_t *base = c->base, *p = c->at, *end = c->end;
    cdc_cell *cell, *last;
    uint8_t *kind;
    uint32_t length;
    if (end - p < 2 || be16(p) != columns) return PG_REFUSED;
    p += 2;
    if (cdc_records_room(out, 0, columns, 0)) return PG_NO_MEMORY;
    *first = out->cell_count;
    cell = out->cells + *first;
    kind = out->kinds + *first;
    for (last = cell + columns; cell < last; cell++, kind++) {
        uint32_t start = 0, stop = 0;
        if (p == end) return PG_REFUSED;
        switch (*p++) {
        case 't':
        case 'b':
            if (end - p < 4) return PG_REFUSED;
            length = be32(p);
            *kind = p[-1] == 't' ? CDC_KIND_TEXT : CDC_KIND_BINARY;
            p += 4;
            if (length > (size_t)(end - p)) return PG_REFUSED;
            start = (uint32_t)(p - base);
            p += length;
            stop = (uint32_t)(p - base);
            break;
        case 'n':
            *kind = key_only ? CDC_KIND_ABSENT : CDC_KIND_NULL;
            break;
        case 'u':
            *kind = CDC_KIND_UNCHANGED;
            break;
        default:
            return PG_REFUSED;
        }
        cell->start = start;
        cell->end = stop;
    }
    out->cell_count += columns;
    c->at = p;
    return PG_DONE;
}

/* Whether a required column is null: then the catalog is newer than the row. */
static int lacks_required(const pg_table *table, const uint8_t *kinds) {
    uint32_t at;
    for (at = 0; at < table->required_count; at++)
        if (kinds[table->required[at]] == CDC_KIND_NULL) return 1;
    return 0;
}

static int knows_labels(const pg_table *table, const cdc_cell *cells, const uint8_t *kinds, const uint8_t *base) {
    uint32_t at;
    for (at = 0; at < table->enum_count; at++) {
        const pg_enum *each = table->enums + at;
        const uint8_t *label = each->labels, *end = each->labels + each->size;
        const cdc_cell *cell = cells + each->index;
        uint32_t length;
        if (kinds[each->index] > CDC_KIND_BINARY) continue;
        for (; label < end; label += 4 + length) {
            memcpy(&length, label, 4);
            if (length == cell->end - cell->start && memcmp(label + 4, base + cell->start, length) == 0) break;
        }
        if (label >= end) return 0;
    }
    return 1;
}

/* As Row.same. */
static int cells_same(const cdc_records *out, uint32_t old, uint32_t new, const uint8_t *base) {
    const cdc_cell *a = out->cells + old, *b = out->cells + new;
    if (out->kinds[old] != out->kinds[new]) return 0;
    return out->kinds[old] > CDC_KIND_BINARY
        || (a->end - a->start == b->end - b->start
            && memcmp(base + a->start, base + b->start, a->end - a->start) == 0);
}

enum { DIFFERS, SAME, IN_DOUBT };

/* As Emitter.same; IN_DOUBT where a mask, a hash or a cut may make two values the same. */
static int same(const pg_table *table, const cdc_records *out, uint32_t before, uint32_t after, const uint8_t *base) {
    uint32_t at;
    for (at = 0; at < table->compared_count; at++) {
        uint32_t index = (uint32_t)table->compared[at];
        if (out->kinds[before + index] == CDC_KIND_ABSENT) return DIFFERS;
        if (out->kinds[after + index] != CDC_KIND_UNCHANGED && !cells_same(out, before + index, after + index, base))
            return DIFFERS;
    }
    for (at = 0; at < table->mapped_count; at++) {
        uint32_t index = (uint32_t)table->mapped[at];
        if (!cells_same(out, before + index, after + index, base)) return IN_DOUBT;
    }
    return SAME;
}

/* As Emitter.key_differs. */
static int key_differs(const pg_table *table, const cdc_records *out, uint32_t before, uint32_t after,
                       const uint8_t *base) {
    uint32_t at;
    for (at = 0; at < table->key_count; at++) {
        uint32_t old = before + (uint32_t)table->key[at], new = after + (uint32_t)table->key[at];
        uint8_t kind = out->kinds[new];
        if (kind == CDC_KIND_UNCHANGED || kind == CDC_KIND_ABSENT || out->kinds[old] == CDC_KIND_ABSENT) continue;
        if (!cells_same(out, old, new, base)) return 1;
    }
    return 0;
}

static int key_lacks(const pg_table *table, const uint8_t *kinds) {
    uint32_t at;
    for (at = 0; at < table->key_count; at++)
        if (kinds[table->key[at]] == CDC_KIND_ABSENT) return 1;
    return 0;
}

/* The images of a change, as ChangeReader.read_images. */
static int images(const pg_reader *r, cdc_records *out, const pg_table *table, uint8_t kind, cursor *c,
                  uint32_t *before, uint32_t *after) {
    int done;
    uint8_t marker;
    uint32_t at;
    *before = *after = CDC_NO_ROW;
    if (c->at == c->end) return PG_REFUSED;
    marker = *c->at++;
    if (kind != 'I' && (marker == 'K' || marker == 'O')) {
        if ((done = tuple(out, c, table->columns, marker == 'K', before))) return done;
        if (marker == 'K' && r->null_keys)
            for (at = 0; at < table->key_count; at++)
                if (out->kinds[*before + table->key[at]] == CDC_KIND_ABSENT)
                    out->kinds[*before + table->key[at]] = CDC_KIND_NULL;
        if (marker == 'O' && lacks_required(table, out->kinds + *before)) return PG_REFUSED;
        if (!knows_labels(table, out->cells + *before, out->kinds + *before, c->base)) return PG_REFUSED;
        if (kind == 'U') {
            if (c->at == c->end) return PG_REFUSED;
            marker = *c->at++;
        }
    }
    if (kind != 'D') {
        if (marker != 'N') return PG_REFUSED;
        if ((done = tuple(out, c, table->columns, 0, after))) return done;
        if (lacks_required(table, out->kinds + *after)
            || !knows_labels(table, out->cells + *after, out->kinds + *after, c->base)) return PG_REFUSED;
    } else if (*before == CDC_NO_ROW) {
        return PG_REFUSED;
    }
    return c->at == c->end ? PG_DONE : PG_REFUSED;
}

static void put(cdc_records *out, const pg_reader *r, uint64_t lsn, uint32_t frame, uint32_t table, uint16_t columns,
                uint8_t op, uint8_t flags, uint32_t before, uint32_t after) {
    cdc_rec *rec = out->recs + out->rec_count++;
    rec->lsn = lsn;
    rec->frame = frame;
    rec->tx = r->tx_number;
    rec->table = table;
    rec->before = before;
    rec->after = after;
    rec->columns = columns;
    rec->order = rec->table_order = 0;
    rec->op = op;
    rec->flags = flags;
}

/* The last record of *out* is counted: it gets a transaction block. */
static void count(pg_reader *r, cdc_records *out, const pg_table *table) {
    cdc_rec *rec = out->recs + out->rec_count - 1;
    cdc_counter *counter = r->counters + table->counter;
    if (counter->count == 0) r->used[r->used_count++] = table->counter;
    rec->order = ++r->order;
    rec->table_order = ++counter->count;
}

/* As Emitter.create, update and delete, but for what makes more than one record of an update. */
static int emit(pg_reader *r, cdc_records *out, uint64_t lsn, uint32_t frame, uint32_t slot, uint8_t kind,
                uint32_t before, uint32_t after, const uint8_t *base) {
    pg_table *table = r->tables + slot;
    uint8_t flags = 0;
    if (kind == 'U' && before != CDC_NO_ROW && !r->skip_update) {
        if (key_differs(table, out, before, after, base)) return PG_REFUSED;
        if (r->skip_unchanged) {
            int found = same(table, out, before, after, base);
            if (found == IN_DOUBT) return PG_REFUSED;
            if (found == SAME) {
                r->filtered++;
                return PG_DONE;
            }
        }
        if (r->whole_keys && key_lacks(table, out->kinds + before)) flags = CDC_BEFORE_HIDDEN;
    }
    if (kind == 'I' ? r->skip_create : kind == 'U' ? r->skip_update : r->skip_delete) return PG_DONE;
    if (r->metadata && r->order > UINT32_MAX - 2) return PG_REFUSED;
    if (cdc_records_room(out, 2, 0, 1)) return PG_NO_MEMORY;
    if (r->tx_number == CDC_NO_ROW) {
        cdc_tx *tx = out->txs + out->tx_count;
        memset(tx, 0, sizeof *tx);
        tx->time_us = r->commit_time_us;
        tx->xid = r->xid;
        tx->head_len = r->head_len;
        memcpy(tx->head, r->head, r->head_len);
        r->tx_number = out->tx_count++;
    }
    r->unmarked++;
    if (kind == 'I') {
        table->created++;
        put(out, r, lsn, frame, slot, table->columns, 'c', 0, CDC_NO_ROW, after);
    } else if (kind == 'U') {
        table->updated++;
        put(out, r, lsn, frame, slot, table->columns, 'u', flags, before, after);
    } else {
        table->deleted++;
        put(out, r, lsn, frame, slot, table->columns, 'd', 0, before, CDC_NO_ROW);
    }
    if (r->metadata) count(r, out, table);
    if (kind == 'D' && r->tombstones)
        put(out, r, lsn, frame, slot, table->columns, CDC_TOMBSTONE, 0, before, CDC_NO_ROW);
    return PG_DONE;
}

/* An Insert, Update or Delete; cells that a refused one has made are given back by the caller. */
static int change(pg_reader *r, cdc_records *out, uint64_t lsn, uint32_t frame, uint8_t kind, cursor *c) {
    uint32_t oid, at, slot, before, after;
    pg_table *table;
    int done;
    if (!r->in_tx || !r->tx_plain || c->end - c->at < 4 || r->mask == 0) return PG_REFUSED;
    oid = be32(c->at);
    c->at += 4;
    if (oid == 0) return PG_REFUSED;
    for (at = (oid * 2654435761u) & r->mask; r->oids[at] != oid; at = (at + 1) & r->mask)
        if (r->oids[at] == 0) return PG_REFUSED;
    slot = r->slots[at];
    table = r->tables + slot;
    if (!table->native) return PG_REFUSED;
    if (table->captured) {
        if ((done = images(r, out, table, kind, c, &before, &after))) return done;
        if ((done = emit(r, out, lsn, frame, slot, kind, before, after, c->base))) return done;
    } else {
        r->filtered++;
    }
    r->changes++;
    r->last_lsn = lsn;
    r->last_kind = kind;
    return PG_DONE;
}

static int message(pg_reader *r, cdc_records *out, uint32_t number) {
    const cdc_frame *frame = out->frames + number;
    cursor c;
    uint64_t lsn;
    uint8_t kind;
    int done;
    if (!r->plain || frame->size <= HEADER || frame->data[0] != 'w') return PG_REFUSED;
    c.base = frame->data;
    c.at = frame->data + HEADER + 1;
    c.end = frame->data + frame->size;
    lsn = be64(frame->data + 1);
    kind = frame->data[HEADER];
    if (lsn >> 63) return PG_REFUSED;
    switch (kind) {
    case 'I':
    case 'U':
    case 'D':
        return change(r, out, lsn, number, kind, &c);
    case 'B':
        done = begin(r, out, lsn, number, &c);
        break;
    case 'C':
        done = commit(r, out, lsn, number, &c);
        break;
    default:
        return PG_REFUSED;
    }
    if (done == PG_DONE) r->last_kind = kind;
    return done;
}

int pg_decode(pg_reader *reader, cdc_records *out, uint32_t *next, uint32_t end, uint32_t most, uint64_t *size,
              uint64_t most_size) {
    while (*next < end && out->rec_count < most && *size < most_size) {
        uint32_t cells = out->cell_count;
        int done = message(reader, out, *next);
        if (done != PG_DONE) {
            out->cell_count = cells;
            return done;
        }
        *size += out->frames[*next].size;
        ++*next;
    }
    return PG_DONE;
}
