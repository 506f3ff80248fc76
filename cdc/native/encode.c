#include "encode.h"

static void put(cdc_out *out, cdc_bytes bytes) { cdc_out_raw(out, bytes.data, bytes.size); }

/* One row or key. *other*: the first cell of the row that has the values which this one leaves out, or CDC_NO_ROW. */
static int row(const cdc_records *in, const cdc_rec *rec, const cdc_colop *text, const cdc_colop *binary,
               uint32_t count, uint32_t first, uint32_t other, cdc_out *out) {
    const uint8_t *base = in->frames[rec->frame].data;
    uint32_t at;
    for (at = 0; at < count; at++) {
        const cdc_colop *op = text + at;
        uint32_t cell;
        uint8_t kind;
        if (op->index >= rec->columns) return CDC_REFUSED;
        cell = first + (uint32_t)op->index;
        kind = in->kinds[cell];
        if (kind == CDC_KIND_UNCHANGED && other != CDC_NO_ROW
            && in->kinds[other + (uint32_t)op->index] <= CDC_KIND_NULL) {
            cell = other + (uint32_t)op->index;
            kind = in->kinds[cell];
        }
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
    return CDC_WRITTEN;
}

static void sequence(cdc_out *out, const cdc_tx *tx, uint64_t lsn) {
    char digits[20];
    int count = 0, at;
    uint8_t *q;
    do digits[count++] = (char)('0' + lsn % 10);
    while (lsn /= 10);
    cdc_out_long(out, (int64_t)tx->head_len + count + 2);
    cdc_out_raw(out, tx->head, tx->head_len);
    q = cdc_out_take(out, (size_t)count + 2);
    if (q == NULL) return;
    for (at = 0; at < count; at++) q[at] = (uint8_t)digits[count - 1 - at];
    q[count] = '"';
    q[count + 1] = ']';
}

static int is_null(const cdc_tx *tx, uint8_t field) {
    return (field == CDC_FIELD_MYSQL_GTID && tx->gtid.data == NULL)
        || (field == CDC_FIELD_MYSQL_QUERY && tx->query.data == NULL)
        || (field == CDC_FIELD_MYSQL_THREAD && tx->thread < 0);
}

static int64_t floor_div(int64_t number, int64_t by) { return number / by - (number % by < 0); }

/* The plan's pieces, and the fields between them. */
static int fields(const cdc_records *in, const cdc_rec *rec, const cdc_plan *plan, int64_t now_us, cdc_out *out) {
    const cdc_tx *tx = rec->tx < in->tx_count ? in->txs + rec->tx : NULL;
    uint32_t at;
    for (at = 0; at < plan->field_count; at++) {
        uint8_t number = plan->fields[at].number;
        int null;
        if (tx == NULL && number < CDC_FIELD_CLOCK_MS) return CDC_REFUSED;
        null = is_null(tx, number);
        put(out, plan->pieces[at]);
        if (plan->fields[at].optional) cdc_out_byte(out, null ? 0 : 2);
        if (null) continue;
        switch (number) {
        case CDC_FIELD_TS_MS: cdc_out_long(out, floor_div(tx->time_us, 1000)); break;
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
        case CDC_FIELD_CLOCK_MS: cdc_out_long(out, floor_div(now_us, 1000)); break;
        case CDC_FIELD_CLOCK_US: cdc_out_long(out, now_us); break;
        case CDC_FIELD_CLOCK_NS: cdc_out_long(out, now_us * 1000); break;
        }
    }
    put(out, plan->pieces[at]);
    return CDC_WRITTEN;
}

static int key(const cdc_records *in, const cdc_rec *rec, const cdc_plan *plan, cdc_out *out) {
    uint32_t first = rec->after != CDC_NO_ROW ? rec->after : rec->before;
    uint32_t other = rec->after != CDC_NO_ROW ? rec->before : CDC_NO_ROW;
    put(out, plan->key_prefix);
    if (row(in, rec, plan->key_text, plan->key_binary, plan->key_count, first, other, out)) return CDC_REFUSED;
    put(out, plan->key_tail);
    return CDC_WRITTEN;
}

/* A row as the whole value, and what follows it. */
static int row_value(const cdc_records *in, const cdc_rec *rec, const cdc_plan *plan, int64_t now_us, cdc_out *out) {
    int before = plan->image == CDC_IMAGE_BEFORE;
    uint32_t first = before ? rec->before : rec->after;
    if (first == CDC_NO_ROW) return CDC_REFUSED;
    put(out, plan->value_prefix);
    if (row(in, rec, plan->text, plan->binary, plan->column_count, first, before ? CDC_NO_ROW : rec->before, out))
        return CDC_REFUSED;
    return fields(in, rec, plan, now_us, out);
}

static int envelope(const cdc_records *in, const cdc_rec *rec, const cdc_plan *plan, cdc_bytes ending, cdc_out *out) {
    uint8_t op[3] = {0, 2, rec->op}; /* no transaction block; one letter */
    put(out, plan->value_prefix);
    if (rec->before == CDC_NO_ROW || rec->flags & CDC_BEFORE_HIDDEN) {
        cdc_out_byte(out, 0);
    } else {
        cdc_out_byte(out, 2);
        if (row(in, rec, plan->text, plan->binary, plan->column_count, rec->before, CDC_NO_ROW, out))
            return CDC_REFUSED;
    }
    if (rec->after == CDC_NO_ROW) {
        cdc_out_byte(out, 0);
    } else {
        cdc_out_byte(out, 2);
        if (row(in, rec, plan->text, plan->binary, plan->column_count, rec->after, rec->before, out))
            return CDC_REFUSED;
    }
    if (fields(in, rec, plan, 0, out)) return CDC_REFUSED;
    cdc_out_raw(out, op, sizeof op);
    put(out, ending);
    return CDC_WRITTEN;
}

/* The message of one record, which the plan does not drop. */
static int message(const cdc_records *in, const cdc_rec *rec, const cdc_plan *plan, const cdc_clock *clock,
                   cdc_out *out, cdc_msg *msg) {
    msg->route = plan->route;
    msg->partition = -1;
    msg->timestamp_ms = -1;
    msg->key = (uint32_t)out->size;
    msg->key_len = msg->val_len = CDC_NULL;
    if (plan->has_key) {
        if (key(in, rec, plan, out)) return CDC_REFUSED;
        if (plan->print_key && plan->print(out, msg->key, plan->print_key)) return CDC_REFUSED;
        msg->key_len = (uint32_t)(out->size - msg->key);
    }
    msg->val = (uint32_t)out->size;
    if (plan->image == CDC_IMAGE_NULL) {
        if (!plan->has_null) return CDC_WRITTEN;
        put(out, plan->null);
    } else if (rec->op == CDC_TOMBSTONE) {
        return plan->image == CDC_IMAGE_ENVELOPE ? CDC_WRITTEN : CDC_REFUSED;
    } else if (plan->image == CDC_IMAGE_ENVELOPE ? envelope(in, rec, plan, clock->ending, out)
                                                 : row_value(in, rec, plan, clock->now_us, out)) {
        return CDC_REFUSED;
    } else if (plan->print_value && plan->print(out, msg->val, plan->print_value)) {
        return CDC_REFUSED;
    }
    msg->val_len = (uint32_t)(out->size - msg->val);
    return CDC_WRITTEN;
}

int cdc_encode(const cdc_records *in, cdc_plan *const *plans, uint64_t batch, cdc_clock clock, cdc_out *out,
               cdc_msg *msgs, uint32_t *next, uint32_t *made) {
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
        refused = message(in, rec, plan, &clock, out, msgs + *made);
        if (out->error) return CDC_NEEDS_MEMORY;
        if (refused) {
            out->size = size;
            return CDC_NEEDS_PYTHON;
        }
        ++*made;
    }
    return CDC_ENCODED;
}
