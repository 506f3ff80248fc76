#include "encode.h"

#include "calendar.h"
#include "digits.h"

static void put(cdc_out *out, cdc_bytes bytes) { cdc_out_raw(out, bytes.data, bytes.size); }

#define MOST_KEPT 128

/* Where the columns of an old row were written, so that the new row has those that did not change from there. */
typedef struct {
    uint32_t first;               /* the old row's cells */
    size_t starts[MOST_KEPT + 1]; /* the last one: the end */
} kept_row;

#define MOST_SHARED 8

/* Where the fields of one transaction were written last for one plan: they are the same in all of its records, but for
   the `count` fields that are a record's own, which have their numbers in *own*. What is before each of these, and
   behind the last one, is copied. */
typedef struct {
    const cdc_plan *plan; /* NULL: of none */
    uint32_t tx, count;
    uint8_t own[MOST_SHARED];
    size_t starts[MOST_SHARED + 1], sizes[MOST_SHARED + 1];
} shared_fields;

/* Copies *size* bytes that were written at *start*. */
static void copy_again(cdc_out *out, size_t start, size_t size) {
    uint8_t *to = cdc_out_take(out, size);
    if (to) cdc_copy(to, out->data + start, size);
}

/* Writes column *at* as it was written for the old row, whose value is the same as that of *cell*. */
static int write_again(const cdc_records *in, const uint8_t *base, const kept_row *kept, uint32_t at, int32_t index,
                       uint32_t cell, cdc_out *out) {
    uint32_t old = kept->first + (uint32_t)index;
    const cdc_cell *a = in->cells + old, *b = in->cells + cell;
    if (in->kinds[old] != in->kinds[cell] || a->end - a->start != b->end - b->start
        || memcmp(base + a->start, base + b->start, a->end - a->start) != 0) return 0;
    copy_again(out, kept->starts[at], kept->starts[at + 1] - kept->starts[at]);
    return 1;
}

/* One row or key. *other*: the first cell of the row that has the values which this one leaves out, or CDC_NO_ROW.
   *kept*: of the old row, if *keep*, and else to be used; or NULL. */
static int row(const cdc_records *in, const cdc_rec *rec, const cdc_colop *text, const cdc_colop *binary,
               uint32_t count, uint32_t first, uint32_t other, kept_row *kept, int keep, cdc_out *out) {
    const uint8_t *base = in->frames[rec->frame].data;
    uint32_t at;
    for (at = 0; at < count; at++) {
        const cdc_colop *op = text + at;
        uint32_t cell;
        uint8_t kind;
        if (keep) kept->starts[at] = out->size;
        if (op->index >= rec->columns) return CDC_REFUSED;
        cell = first + (uint32_t)op->index;
        kind = in->kinds[cell];
        if (kind == CDC_KIND_UNCHANGED && other != CDC_NO_ROW
            && in->kinds[other + (uint32_t)op->index] <= CDC_KIND_NULL) {
            cell = other + (uint32_t)op->index;
            kind = in->kinds[cell];
        }
        if (kind <= CDC_KIND_BINARY && kept && !keep && write_again(in, base, kept, at, op->index, cell, out)) continue;
        if (kind <= CDC_KIND_BINARY) {
            const cdc_cell *value = in->cells + cell;
            size_t size = out->size;
            int outcome;
            if (kind == CDC_KIND_BINARY) op = binary + at;
            if (op->codec == NULL) return CDC_REFUSED;
            if (op->branch != CDC_NO_BRANCH) cdc_out_byte(out, op->branch);
            outcome = op->codec(out, base + value->start, value->end - value->start, op);
            if (outcome == CDC_NO_VALUE) {
                out->size = size;
                cdc_out_raw(out, op->null_data, op->null_len);
            } else if (outcome != CDC_WRITTEN) {
                return CDC_REFUSED;
            }
        } else if (kind == CDC_KIND_UNCHANGED) {
            if (op->unchanged_len == CDC_NULL) return CDC_REFUSED;
            cdc_out_raw(out, op->unchanged, op->unchanged_len);
        } else if (kind == CDC_KIND_ABSENT && op->as_key) {
            return CDC_REFUSED;
        } else {
            cdc_out_raw(out, op->null_data, op->null_len);
        }
    }
    if (keep) kept->starts[count] = out->size;
    return CDC_WRITTEN;
}

static void sequence(cdc_out *out, const cdc_tx *tx, uint64_t lsn) {
    char text[22];
    uint32_t count = cdc_put_digits(text, lsn);
    text[count++] = '"';
    text[count++] = ']';
    cdc_out_long(out, (int64_t)tx->head_len + count);
    cdc_out_raw(out, tx->head, tx->head_len);
    cdc_out_raw(out, text, count);
}

static void transaction_id(cdc_out *out, const cdc_tx *tx, uint64_t lsn) {
    char text[41];
    uint32_t count;
    if (tx->id.data != NULL) {
        cdc_out_bytes(out, tx->id.data, tx->id.size);
        return;
    }
    count = cdc_put_digits(text, tx->xid);
    text[count++] = ':';
    count += cdc_put_digits(text + count, lsn);
    cdc_out_bytes(out, text, count);
}

static int is_null(const cdc_rec *rec, const cdc_tx *tx, uint8_t field) {
    if (field >= CDC_FIELD_CLOCK_MS) return field >= CDC_FIELD_BLOCK_ID && rec->order == 0;
    return (field == CDC_FIELD_MYSQL_GTID && tx->gtid.data == NULL)
        || (field == CDC_FIELD_MYSQL_QUERY && tx->query.data == NULL)
        || (field == CDC_FIELD_MYSQL_THREAD && tx->thread < 0);
}

/* Whether the field differs in the records of one transaction. */
static int is_own(uint8_t field) {
    return field == CDC_FIELD_LSN || field == CDC_FIELD_PG_SEQUENCE || field == CDC_FIELD_MYSQL_ROW
        || field >= CDC_FIELD_BLOCK_ID;
}

static void field(const cdc_rec *rec, const cdc_tx *tx, cdc_field which, int64_t now_us, cdc_out *out) {
    int null = is_null(rec, tx, which.number);
    if (which.optional) cdc_out_byte(out, null ? 0 : 2);
    if (null) return;
    switch (which.number) {
    case CDC_FIELD_TS_MS: cdc_out_long(out, cdc_floor_div(tx->time_us, 1000)); break;
    case CDC_FIELD_TS_US: cdc_out_long(out, tx->time_us); break;
    case CDC_FIELD_TS_NS: cdc_out_long(out, tx->time_us * 1000); break;
    case CDC_FIELD_XID: cdc_out_long(out, tx->xid); break;
    case CDC_FIELD_LSN: cdc_out_long(out, (int64_t)rec->lsn); break;
    case CDC_FIELD_PG_SEQUENCE: sequence(out, tx, rec->lsn); break;
    case CDC_FIELD_MYSQL_SERVER_ID: cdc_out_long(out, tx->xid); break;
    case CDC_FIELD_MYSQL_GTID: cdc_out_bytes(out, tx->gtid.data, tx->gtid.size); break;
    case CDC_FIELD_MYSQL_FILE: cdc_out_bytes(out, tx->file.data, tx->file.size); break;
    case CDC_FIELD_MYSQL_POS: cdc_out_long(out, (int64_t)tx->pos); break;
    case CDC_FIELD_MYSQL_ROW: cdc_out_long(out, (int64_t)rec->lsn); break;
    case CDC_FIELD_MYSQL_THREAD: cdc_out_long(out, tx->thread); break;
    case CDC_FIELD_MYSQL_QUERY: cdc_out_bytes(out, tx->query.data, tx->query.size); break;
    case CDC_FIELD_CLOCK_MS: cdc_out_long(out, cdc_floor_div(now_us, 1000)); break;
    case CDC_FIELD_CLOCK_US: cdc_out_long(out, now_us); break;
    case CDC_FIELD_CLOCK_NS: cdc_out_long(out, now_us * 1000); break;
    case CDC_FIELD_BLOCK_ID: transaction_id(out, tx, rec->lsn); break;
    case CDC_FIELD_BLOCK_ORDER: cdc_out_long(out, rec->order); break;
    case CDC_FIELD_BLOCK_TABLE_ORDER: cdc_out_long(out, rec->table_order); break;
    }
}

/* Notes that what was written from *start* on is part *at* of what *kept* is to share. */
static void share(shared_fields *kept, uint32_t at, size_t start, const cdc_out *out) {
    if (at > MOST_SHARED) return;
    kept->starts[at] = start;
    kept->sizes[at] = out->size - start;
}

/* The plan's pieces, and the fields between them. */
static int fields(const cdc_records *in, const cdc_rec *rec, const cdc_plan *plan, int64_t now_us, shared_fields *kept,
                  cdc_out *out) {
    const cdc_tx *tx = rec->tx < in->tx_count ? in->txs + rec->tx : NULL;
    size_t start = out->size;
    uint32_t at, own = 0;
    if (kept->plan == plan && kept->tx == rec->tx) {
        for (; own < kept->count; own++) {
            copy_again(out, kept->starts[own], kept->sizes[own]);
            field(rec, tx, plan->fields[kept->own[own]], now_us, out);
        }
        copy_again(out, kept->starts[own], kept->sizes[own]);
        return CDC_WRITTEN;
    }
    kept->plan = NULL;
    for (at = 0; at < plan->field_count; at++) {
        cdc_field which = plan->fields[at];
        if (tx == NULL && (which.number < CDC_FIELD_CLOCK_MS || rec->order)) return CDC_REFUSED;
        put(out, plan->pieces[at]);
        if (is_own(which.number)) {
            share(kept, own, start, out);
            if (own < MOST_SHARED) kept->own[own] = (uint8_t)at;
            own++;
        }
        field(rec, tx, which, now_us, out);
        if (is_own(which.number)) start = out->size;
    }
    put(out, plan->pieces[at]);
    share(kept, own, start, out);
    if (tx == NULL || own > MOST_SHARED || plan->field_count > UINT8_MAX) return CDC_WRITTEN;
    kept->plan = plan;
    kept->tx = rec->tx;
    kept->count = own;
    return CDC_WRITTEN;
}

static int key(const cdc_records *in, const cdc_rec *rec, const cdc_plan *plan, cdc_out *out) {
    uint32_t first = rec->after != CDC_NO_ROW ? rec->after : rec->before;
    uint32_t other = rec->after != CDC_NO_ROW ? rec->before : CDC_NO_ROW;
    put(out, plan->key_prefix);
    if (row(in, rec, plan->key_text, plan->key_binary, plan->key_count, first, other, NULL, 0, out)) return CDC_REFUSED;
    put(out, plan->key_tail);
    return CDC_WRITTEN;
}

/* A row as the whole value, and what follows it. */
static int row_value(const cdc_records *in, const cdc_rec *rec, const cdc_plan *plan, int64_t now_us,
                     shared_fields *shared, cdc_out *out) {
    int before = plan->image == CDC_IMAGE_BEFORE;
    uint32_t first = before ? rec->before : rec->after;
    if (first == CDC_NO_ROW) return CDC_REFUSED;
    put(out, plan->value_prefix);
    if (row(in, rec, plan->text, plan->binary, plan->column_count, first, before ? CDC_NO_ROW : rec->before, NULL, 0,
            out)) return CDC_REFUSED;
    return fields(in, rec, plan, now_us, shared, out);
}

/* The transaction block of an envelope. */
static int block(const cdc_records *in, const cdc_rec *rec, cdc_out *out) {
    cdc_out_byte(out, rec->order ? 2 : 0);
    if (rec->order == 0) return CDC_WRITTEN;
    if (rec->tx >= in->tx_count) return CDC_REFUSED;
    transaction_id(out, in->txs + rec->tx, rec->lsn);
    cdc_out_long(out, rec->order);
    cdc_out_long(out, rec->table_order);
    return CDC_WRITTEN;
}

static int envelope(const cdc_records *in, const cdc_rec *rec, const cdc_plan *plan, cdc_bytes ending,
                    shared_fields *shared, cdc_out *out) {
    uint8_t op[2] = {2, rec->op}; /* one letter */
    kept_row old, *kept = NULL;
    put(out, plan->value_prefix);
    if (rec->before == CDC_NO_ROW || rec->flags & CDC_BEFORE_HIDDEN) {
        cdc_out_byte(out, 0);
    } else {
        int keep = rec->after != CDC_NO_ROW && plan->column_count <= MOST_KEPT;
        if (keep) kept = &old;
        old.first = rec->before;
        cdc_out_byte(out, 2);
        if (row(in, rec, plan->text, plan->binary, plan->column_count, rec->before, CDC_NO_ROW, kept, keep, out))
            return CDC_REFUSED;
    }
    if (rec->after == CDC_NO_ROW) {
        cdc_out_byte(out, 0);
    } else {
        cdc_out_byte(out, 2);
        if (row(in, rec, plan->text, plan->binary, plan->column_count, rec->after, rec->before, kept, 0, out))
            return CDC_REFUSED;
    }
    if (fields(in, rec, plan, 0, shared, out) || block(in, rec, out)) return CDC_REFUSED;
    cdc_out_raw(out, op, sizeof op);
    put(out, ending);
    return CDC_WRITTEN;
}

/* Adds what *printer* makes of what *avro* has from *start* on, if there is a printer. */
static int print(cdc_out *out, const cdc_plan *plan, void *printer, const cdc_out *avro, size_t start) {
    if (printer == NULL) return CDC_WRITTEN;
    if (avro->error || avro->size == start) return CDC_REFUSED;
    return plan->print(out, avro->data + start, avro->size - start, printer);
}

/* Key and value of CDC_TX_BEGIN and CDC_TX_END: `transaction_key_schema` and `transaction_value_schema` of
   cdc/debezium/schemas.py. */
static int transaction(const cdc_records *in, const cdc_rec *rec, const cdc_plan *plan, cdc_out *out, cdc_out *avro,
                       cdc_msg *msg) {
    const cdc_tx *tx = in->txs + rec->tx;
    cdc_out *to = plan->print_key ? avro : out;
    size_t start = to->size;
    int ends = rec->op == CDC_TX_END;
    if (plan->image != CDC_IMAGE_TRANSACTION || rec->tx >= in->tx_count) return CDC_REFUSED;
    put(to, plan->key_prefix);
    transaction_id(to, tx, rec->lsn);
    if (print(out, plan, plan->print_key, avro, start)) return CDC_REFUSED;
    msg->key_len = (uint32_t)(out->size - msg->key);
    msg->val = (uint32_t)out->size;
    to = plan->print_value ? avro : out;
    start = to->size;
    put(to, plan->value_prefix);
    cdc_out_bytes(to, ends ? "END" : "BEGIN", ends ? 3 : 5);
    transaction_id(to, tx, rec->lsn);
    cdc_out_byte(to, ends ? 2 : 0);
    if (ends) cdc_out_long(to, rec->order);
    cdc_out_byte(to, ends ? 2 : 0);
    if (ends) cdc_out_raw(to, tx->counts.data, tx->counts.size);
    cdc_out_long(to, cdc_floor_div(tx->time_us, 1000));
    if (print(out, plan, plan->print_value, avro, start)) return CDC_REFUSED;
    msg->val_len = (uint32_t)(out->size - msg->val);
    return CDC_WRITTEN;
}

/* The message of one record, which the plan does not drop. */
static int message(const cdc_records *in, const cdc_rec *rec, const cdc_plan *plan, const cdc_clock *clock,
                   shared_fields *shared, cdc_out *out, cdc_out *avro, cdc_msg *msg) {
    cdc_out *to = plan->print_key ? avro : out;
    size_t start = to->size;
    msg->route = plan->route;
    msg->partition = -1;
    msg->timestamp_ms = -1;
    msg->key = (uint32_t)out->size;
    msg->key_len = msg->val_len = CDC_NULL;
    if (rec->op == CDC_TX_BEGIN || rec->op == CDC_TX_END) return transaction(in, rec, plan, out, avro, msg);
    if (plan->image == CDC_IMAGE_TRANSACTION) return CDC_REFUSED;
    if (plan->has_key) {
        if (key(in, rec, plan, to) || print(out, plan, plan->print_key, avro, start)) return CDC_REFUSED;
        msg->key_len = (uint32_t)(out->size - msg->key);
    }
    msg->val = (uint32_t)out->size;
    to = plan->print_value ? avro : out;
    start = to->size;
    if (plan->image == CDC_IMAGE_NULL) {
        if (!plan->has_null) return CDC_WRITTEN;
        put(out, plan->null);
    } else if (rec->op == CDC_TOMBSTONE) {
        return plan->image == CDC_IMAGE_ENVELOPE ? CDC_WRITTEN : CDC_REFUSED;
    } else if (plan->image == CDC_IMAGE_ENVELOPE ? envelope(in, rec, plan, clock->ending, shared, to)
                                                 : row_value(in, rec, plan, clock->now_us, shared, to)) {
        return CDC_REFUSED;
    } else if (print(out, plan, plan->print_value, avro, start)) {
        return CDC_REFUSED;
    }
    msg->val_len = (uint32_t)(out->size - msg->val);
    return CDC_WRITTEN;
}

#define MOST_AVRO 65536 /* bytes that were printed and are kept, so that later records copy what they share with them */

int cdc_encode(const cdc_records *in, cdc_plan *const *plans, uint64_t batch, cdc_clock clock, cdc_out *out,
               cdc_out *avro, cdc_msg *msgs, uint32_t *next, uint32_t *made) {
    shared_fields shared;
    shared.plan = NULL;
    avro->size = 0;
    for (; *next < in->rec_count; ++*next) {
        const cdc_rec *rec = in->recs + *next;
        const cdc_plan *plan;
        size_t size = out->size;
        int refused;
        if (rec->op == CDC_FOREIGN) return CDC_NEEDS_PYTHON;
        plan = plans[(size_t)rec->table * CDC_SLOTS + cdc_slot(rec->op)];
        if (plan == NULL || plan->batch != batch) return CDC_NEEDS_PLAN;
        if (plan->none) return CDC_NEEDS_PYTHON;
        if (plan->dropped) continue;
        if (avro->size > MOST_AVRO) {
            avro->size = 0;
            shared.plan = NULL;
        }
        refused = message(in, rec, plan, &clock, &shared, out, avro, msgs + *made);
        if (avro->error && !out->error) out->error = avro->error;
        if (out->error) return CDC_NEEDS_MEMORY;
        if (refused) {
            shared.plan = NULL; /* what it has written goes */
            out->size = size;
            return CDC_NEEDS_PYTHON;
        }
        ++*made;
    }
    return CDC_ENCODED;
}
