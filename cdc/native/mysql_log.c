#include "mysql_log.h"

#include "digits.h"

enum {
    QUERY = 2, XID = 16, TABLE_MAP = 19, WRITE_ROWS_V1 = 23, UPDATE_ROWS_V1 = 24, DELETE_ROWS_V1 = 25, ROWS_QUERY = 29,
    WRITE_ROWS = 30, UPDATE_ROWS = 31, DELETE_ROWS = 32, GTID = 33, ANONYMOUS_GTID = 34, ANNOTATE_ROWS = 160,
    MARIA_GTID = 162
};

#define HEADER 19
#define CHECKSUM 4
#define ARTIFICIAL 0x20
#define MOST_COLUMNS 4096
#define TOGETHER_US 1000                    /* as emit.py */
#define MOST_TIME_US (INT64_MAX / 1000)     /* times are written in nanoseconds, too */
#define STANDALONE_OR_XA (1 | 64 | 128)     /* flags of MariaDB's GTIDs, as in const.py */
#define GROUP_COMMIT_ID 2

/* One event, without its checksum. `body` is behind the header. */
typedef struct {
    const uint8_t *data, *body;
    size_t end;  /* of the whole, from `data` */
    uint32_t size; /* of the body */
    uint32_t server_id;
    int64_t time_us;
    uint64_t start, next;
    uint32_t number; /* among those given */
    uint8_t type;
} event_t;

/* A transaction that is being read. */
typedef struct {
    const cdc_log_source *source; /* NULL: it has no GTID */
    uint64_t number;
    int64_t time_us, seen_us; /* `seen_us`: as `witness.Seen` */
    int64_t thread;
    uint32_t server_id;
    uint8_t timed; /* its GTID has the time */
    cdc_string gtid, id; /* `id` is that of transaction metadata */
    uint32_t used[CDC_LOG_EVENTS], used_count, order; /* its counters, as they came, and the sum of them */
    struct {
        uint64_t id;
        cdc_log_map *map;
    } maps[CDC_LOG_MAPS];
    uint32_t map_count;
    struct {
        cdc_log_map *map;
        uint64_t rows;
        uint8_t op;
    } changes[CDC_LOG_EVENTS];
    uint32_t change_count;
    uint64_t filtered, position, unmarked;
    int64_t last_time_us, last_row;
} tx_t;

static uint64_t little(const uint8_t *p, size_t n) {
    uint64_t number = 0;
    while (n-- > 0) number = number << 8 | p[n];
    return number;
}

static int room(void **items, uint32_t *capacity, uint32_t count, size_t size) {
    void *grown;
    if (count < *capacity) return CDC_OK;
    grown = realloc(*items, ((size_t)count * 2 + 64) * size);
    if (grown == NULL) return CDC_NO_MEMORY;
    *items = grown;
    *capacity = count * 2 + 64;
    return CDC_OK;
}

/* A length-encoded integer at *at; refused where Python's `read_length` raises. */
static int length(const event_t *event, uint32_t *at, uint64_t *value) {
    uint32_t size;
    uint8_t first;
    if (*at >= event->size) return CDC_LOG_REFUSED;
    first = event->body[(*at)++];
    *value = first;
    if (first < 251) return CDC_LOG_DONE;
    size = first == 252 ? 2 : first == 253 ? 3 : first == 254 ? 8 : 0;
    if (size == 0 || size > event->size - *at) return CDC_LOG_REFUSED;
    *value = little(event->body + *at, size);
    *at += size;
    return CDC_LOG_DONE;
}

static int open_event(const cdc_log *log, const cdc_frame *frame, uint64_t position, event_t *event) {
    size_t tail = log->checksums ? CHECKSUM : 0;
    const uint8_t *p = frame->data;
    uint32_t next;
    if (frame->size < HEADER + tail || frame->size > INT32_MAX || little(p + 9, 4) != frame->size)
        return CDC_LOG_REFUSED;
    next = (uint32_t)little(p + 13, 4);
    if (next == 0 || little(p + 17, 2) & ARTIFICIAL) return CDC_LOG_REFUSED;
    if (tail && cdc_crc32(p, frame->size - tail) != little(p + frame->size - tail, tail)) return CDC_LOG_REFUSED;
    event->data = p;
    event->body = p + HEADER;
    event->end = frame->size - tail;
    event->size = (uint32_t)(event->end - HEADER);
    event->time_us = (int64_t)little(p, 4) * 1000000;
    event->type = p[4];
    event->server_id = (uint32_t)little(p + 5, 4);
    event->next = position + (uint32_t)(next - (uint32_t)position);
    event->start = event->next - frame->size;
    return event->next < frame->size || event->next > INT64_MAX ? CDC_LOG_REFUSED : CDC_LOG_DONE;
}

/* An event within *outer*, whose place it has. It has no checksum. */
static int open_inner(const cdc_frame *frame, const event_t *outer, event_t *event) {
    const uint8_t *p = frame->data;
    if (frame->size < HEADER || frame->size > INT32_MAX || little(p + 9, 4) != frame->size) return CDC_LOG_REFUSED;
    event->data = p;
    event->body = p + HEADER;
    event->end = frame->size;
    event->size = frame->size - HEADER;
    event->time_us = (int64_t)little(p, 4) * 1000000;
    event->type = p[4];
    event->server_id = (uint32_t)little(p + 5, 4);
    event->next = outer->next;
    event->start = outer->start;
    return CDC_LOG_DONE;
}

static int find_source(const cdc_log *log, const uint8_t *id, size_t size, tx_t *tx) {
    uint32_t at;
    for (at = 0; at < log->source_count; at++) {
        if (memcmp(log->sources[at].id, id, size)) continue;
        tx->source = log->sources + at;
        return tx->source->refused ? CDC_LOG_REFUSED : CDC_LOG_DONE;
    }
    return log->source_count < CDC_LOG_SOURCES ? CDC_LOG_UNKNOWN : CDC_LOG_REFUSED;
}

static int mysql_gtid(const cdc_log *log, const event_t *event, tx_t *tx) {
    const uint8_t *p = event->body;
    uint32_t at = 25;
    uint64_t immediate, original = 0, ignored;
    if (event->size < at) return CDC_LOG_REFUSED;
    tx->number = little(p + 17, 8);
    if ((tx->number == 0) != (event->type == ANONYMOUS_GTID) || tx->number > INT64_MAX) return CDC_LOG_REFUSED;
    if (event->size > at) {
        if (p[at++] != 2 || event->size - at < 16) return CDC_LOG_REFUSED;
        at += 16;
        if (event->size - at >= 7) {
            original = immediate = little(p + at, 7);
            at += 7;
            if (immediate >> 55) {
                immediate &= (UINT64_C(1) << 55) - 1;
                if (event->size - at < 7) return CDC_LOG_REFUSED;
                original = little(p + at, 7);
                at += 7;
            }
            if (immediate > MOST_TIME_US || original > MOST_TIME_US) return CDC_LOG_REFUSED;
            if (at < event->size && length(event, &at, &ignored)) return CDC_LOG_REFUSED;
        }
    }
    tx->time_us = event->time_us;
    if (tx->number == 0) return CDC_LOG_DONE;
    if (original) tx->time_us = (int64_t)original;
    tx->seen_us = (int64_t)original;
    tx->timed = 1;
    return find_source(log, p + 1, 16, tx);
}

static int maria_gtid(const cdc_log *log, const event_t *event, tx_t *tx) {
    uint8_t id[16] = {0};
    if (event->size < 13 || event->body[12] & STANDALONE_OR_XA) return CDC_LOG_REFUSED;
    if (event->body[12] & GROUP_COMMIT_ID && event->size < 21) return CDC_LOG_REFUSED;
    tx->number = little(event->body, 8);
    tx->time_us = event->time_us;
    memcpy(id, event->body + 8, 4);
    memcpy(id + 4, event->data + 5, 4);
    return find_source(log, id, 16, tx);
}

static int begin(const cdc_log *log, const event_t *event, tx_t *tx) {
    uint32_t at;
    if (event->type != QUERY || event->size < 8) return CDC_LOG_REFUSED;
    for (at = 0; at < log->begin_count; at++) {
        const cdc_log_begin *known = log->begins + at;
        if (known->size != event->size - 8 || memcmp(known->data, event->body + 8, known->size)) continue;
        if (log->names_thread) tx->thread = (int64_t)little(event->body, 4);
        return CDC_LOG_DONE;
    }
    return log->begin_count < CDC_LOG_BEGINS ? CDC_LOG_UNKNOWN : CDC_LOG_REFUSED;
}

uint32_t cdc_log_slot(const cdc_log *log, const uint8_t *body, uint32_t size) {
    uint32_t at = (uint32_t)(little(body, size < 6 ? size : 6) * 2654435761u + size) & log->mask;
    while (log->slots[at]) {
        const cdc_log_map *map = log->maps + log->slots[at] - 1;
        if (map->size == size && memcmp(map->body, body, size) == 0) break;
        at = (at + 1) & log->mask;
    }
    return at;
}

static int table_map(const cdc_log *log, const event_t *event, tx_t *tx) {
    uint32_t slot, at;
    uint64_t id;
    cdc_log_map *map;
    if (event->size < 8 || log->mask == 0) return event->size < 8 ? CDC_LOG_REFUSED : CDC_LOG_UNKNOWN;
    slot = log->slots[cdc_log_slot(log, event->body, event->size)];
    if (slot == 0) return CDC_LOG_UNKNOWN;
    map = log->maps + slot - 1;
    if (map->refused) return CDC_LOG_REFUSED;
    id = little(event->body, 6);
    for (at = 0; at < tx->map_count && tx->maps[at].id != id; at++) continue;
    if (at == CDC_LOG_MAPS) return CDC_LOG_REFUSED;
    tx->maps[at].id = id;
    tx->maps[at].map = map;
    if (at == tx->map_count) tx->map_count++;
    return CDC_LOG_DONE;
}

/* Whether a bitmap has the first *width* bits set. */
static int all_set(const uint8_t *bits, uint32_t width) {
    uint32_t at;
    for (at = 0; at + 8 <= width; at += 8)
        if (bits[at >> 3] != 0xFF) return 0;
    return at == width || (bits[at >> 3] & ((1u << (width - at)) - 1)) == (1u << (width - at)) - 1;
}

static uint32_t set_bits(const uint8_t *bits, uint32_t width) {
    uint32_t at, count = 0;
    for (at = 0; at < width; at++) count += bits[at >> 3] >> (at & 7) & 1;
    return count;
}

static int put_gtid(tx_t *tx, cdc_records *out) {
    char digits[CDC_MOST_DIGITS];
    uint32_t count;
    uint8_t *p;
    if (tx->source == NULL || tx->gtid.data != NULL) return CDC_OK;
    count = cdc_put_digits(digits, tx->number);
    p = cdc_records_block(out, tx->source->size + count);
    if (p == NULL) return CDC_NO_MEMORY;
    memcpy(p, tx->source->text, tx->source->size);
    memcpy(p + tx->source->size, digits, count);
    tx->gtid.data = p;
    tx->gtid.size = tx->source->size + count;
    return CDC_OK;
}

/* Has the transaction's id, which is where it is if it has no GTID; *start*: where its BEGIN is. */
static int put_id(const cdc_log *log, uint64_t start, tx_t *tx, cdc_records *out) {
    static const char file[] = "file=", pos[] = ",pos=";
    char digits[CDC_MOST_DIGITS];
    uint32_t count;
    uint8_t *p;
    if (put_gtid(tx, out)) return CDC_NO_MEMORY;
    tx->id = tx->gtid;
    if (tx->source != NULL) return CDC_OK;
    count = cdc_put_digits(digits, start);
    p = cdc_records_block(out, sizeof file + log->file.size + sizeof pos + count);
    if (p == NULL) return CDC_NO_MEMORY;
    tx->id.data = p;
    memcpy(p, file, sizeof file - 1);
    p += sizeof file - 1;
    if (log->file.size) memcpy(p, log->file.data, log->file.size);
    p += log->file.size;
    memcpy(p, pos, sizeof pos - 1);
    p += sizeof pos - 1;
    memcpy(p, digits, count);
    p += count;
    tx->id.size = (uint32_t)(p - tx->id.data);
    return CDC_OK;
}

/* The message of the transaction's beginning or end, if there are any. */
static int tell(const cdc_log *log, const tx_t *tx, cdc_records *out, uint8_t op) {
    cdc_rec *rec;
    cdc_tx *block;
    if (!log->metadata) return CDC_LOG_DONE;
    if (cdc_records_room(out, 1, 0, 1)) return CDC_LOG_NO_MEMORY;
    block = out->txs + out->tx_count;
    memset(block, 0, sizeof *block);
    block->time_us = tx->time_us;
    block->id = tx->id;
    if (op == CDC_TX_END && cdc_put_counts(out, log->counters, tx->used, tx->used_count, &block->counts))
        return CDC_LOG_NO_MEMORY;
    rec = out->recs + out->rec_count++;
    memset(rec, 0, sizeof *rec);
    rec->tx = out->tx_count++;
    rec->table = log->transactions_table;
    rec->before = rec->after = CDC_NO_ROW;
    rec->order = tx->order;
    rec->op = op;
    return CDC_LOG_DONE;
}

/* The transaction has begun. *start*: where its BEGIN is. */
static int announce(const cdc_log *log, uint64_t start, tx_t *tx, cdc_records *out) {
    if (log->metadata && put_id(log, start, tx, out)) return CDC_LOG_NO_MEMORY;
    return tell(log, tx, out, CDC_TX_BEGIN);
}

/* *count* events more, of which the first is *like* this record. */
static int count_events(cdc_log *log, const cdc_log_map *map, uint64_t count, tx_t *tx, cdc_rec *like) {
    cdc_counter *counter = log->counters + map->counter;
    if (count >= UINT32_MAX - tx->order) return CDC_LOG_REFUSED;
    if (counter->count == 0) tx->used[tx->used_count++] = map->counter;
    like->order = tx->order + 1;
    like->table_order = counter->count + 1;
    tx->order += (uint32_t)count;
    counter->count += (uint32_t)count;
    return CDC_LOG_DONE;
}

static int rows(cdc_log *log, const event_t *event, tx_t *tx, cdc_records *out) {
    int old = event->type <= DELETE_ROWS_V1, kind = (event->type - (old ? WRITE_ROWS_V1 : WRITE_ROWS));
    uint8_t op = (uint8_t)"cud"[kind], head = old ? log->rows_v1_head : log->rows_v2_head;
    uint32_t id_len = head == 6 ? 4 : 6, at = id_len + 2, bitmap, map_number;
    uint64_t width, table_id, count;
    cdc_log_map *map;
    cdc_mysql_event images = {0};
    cdc_rec like = {0};
    cdc_tx *block;
    size_t place, behind;
    int whole;
    if (kind == 0 ? log->skip_create : kind == 1 ? log->skip_update : log->skip_delete) return CDC_LOG_REFUSED;
    if (event->size < at) return CDC_LOG_REFUSED;
    table_id = little(event->body, id_len);
    if (head == 10) {
        uint64_t extra = event->size - at >= 2 ? little(event->body + at, 2) : 0;
        if (extra < 2 || extra > event->size - at) return CDC_LOG_REFUSED;
        at += (uint32_t)extra;
    }
    if (length(event, &at, &width) || width == 0 || width > MOST_COLUMNS) return CDC_LOG_REFUSED;
    bitmap = ((uint32_t)width + 7) / 8;
    if (bitmap * (op == 'u' ? 2 : 1) > event->size - at) return CDC_LOG_REFUSED;
    for (map_number = 0; map_number < tx->map_count && tx->maps[map_number].id != table_id; map_number++) continue;
    if (map_number == tx->map_count) return CDC_LOG_REFUSED;
    map = tx->maps[map_number].map;
    if (!tx->seen_us && log->mariadb) tx->seen_us = event->time_us;
    if (!tx->timed && event->time_us) tx->time_us = tx->last_time_us = event->time_us;
    if (!map->captured) {
        tx->filtered++;
        return CDC_LOG_DONE;
    }
    if (width != map->layout->width) return CDC_LOG_REFUSED;
    whole = all_set(event->body + at, (uint32_t)width)
        && (op != 'u' || all_set(event->body + at + bitmap, (uint32_t)width));
    if (!whole && !map->relaxed) return CDC_LOG_REFUSED;
    images.data = event->data;
    images.end = event->end;
    if (op != 'c') images.before_present = event->body + at;
    if (op != 'd') images.after_present = event->body + at + (op == 'u' ? bitmap : 0);
    images.before_count = images.before_present ? set_bits(images.before_present, (uint32_t)width) : 0;
    images.after_count = images.after_present ? set_bits(images.after_present, (uint32_t)width) : 0;
    behind = place = HEADER + at + bitmap * (op == 'u' ? 2 : 1);
    count = cdc_mysql_plain_rows(map->layout, &images, map->key, &behind, map->images);
    if (count == 0 || behind != event->end) return CDC_LOG_REFUSED;
    if (cdc_records_room(out, 0, 0, 1) || put_gtid(tx, out)
        || room((void **)&log->frames, &log->frame_capacity, log->frame_count, sizeof *log->frames))
        return CDC_LOG_NO_MEMORY;
    like.frame = log->frame_count;
    like.tx = out->tx_count;
    like.table = !whole && op == 'c' ? map->inserted : map->table;
    like.op = op;
    if (log->metadata && count_events(log, map, count, tx, &like)) return CDC_LOG_REFUSED;
    block = out->txs + out->tx_count++;
    memset(block, 0, sizeof *block);
    block->time_us = tx->time_us;
    block->xid = tx->server_id;
    block->pos = event->start;
    block->thread = tx->thread;
    block->gtid = tx->gtid;
    block->id = tx->id;
    block->file = log->file;
    if (cdc_mysql_add_rows(out, map->layout, &images, place, (uint32_t)count, &like, op == 'd' && log->tombstones))
        return CDC_LOG_NO_MEMORY;
    log->frames[log->frame_count++] = event->number;
    tx->changes[tx->change_count].map = map;
    tx->changes[tx->change_count].rows = count;
    tx->changes[tx->change_count++].op = op;
    tx->unmarked += count;
    tx->last_row = (int64_t)count - 1;
    return CDC_LOG_DONE;
}

/* As `Emitter.mark`. */
static void mark(cdc_log *log, int64_t time_us) {
    if (log->unmarked == 0) return;
    if (!(log->window_us <= time_us && time_us < log->window_us + TOGETHER_US)) {
        if (log->committed) {
            log->commits[log->commit_count].time_us = log->window_us;
            log->commits[log->commit_count++].count = log->committed;
            log->committed = 0;
        }
        log->window_us = time_us;
    }
    log->committed += log->unmarked;
    log->unmarked = 0;
}

static void executed(cdc_log *log, const tx_t *tx) {
    uint32_t source = (uint32_t)(tx->source - log->sources);
    cdc_log_run *run = log->run_count ? log->runs + log->run_count - 1 : NULL;
    if (run == NULL || run->source != source || run->last + 1 != tx->number || tx->number == 0) {
        run = log->runs + log->run_count++;
        run->source = source;
        run->first = tx->number;
    }
    run->last = tx->number;
    run->time_us = tx->seen_us;
}

static void commit(cdc_log *log, const tx_t *tx) {
    uint32_t at;
    for (at = 0; at < tx->change_count; at++) {
        cdc_log_map *map = tx->changes[at].map;
        uint8_t op = tx->changes[at].op;
        *(op == 'c' ? &map->created : op == 'u' ? &map->updated : &map->deleted) += tx->changes[at].rows;
    }
    log->unmarked += (int64_t)tx->unmarked;
    mark(log, tx->time_us);
    if (tx->source) executed(log, tx);
    log->server_id = tx->server_id;
    log->last_time_us = tx->last_time_us;
    log->last_row = tx->last_row;
    log->filtered += tx->filtered;
    log->position = tx->position;
    log->transactions++;
}

/* One event of a transaction, but its end; number *place* of it, without the payload that it may be in. */
static int inner(cdc_log *log, const event_t *event, uint32_t place, tx_t *tx, cdc_records *out) {
    int outcome;
    if (place == 0) {
        if (log->mariadb ? event->type != MARIA_GTID : event->type != GTID && event->type != ANONYMOUS_GTID)
            return CDC_LOG_REFUSED;
        outcome = log->mariadb ? maria_gtid(log, event, tx) : mysql_gtid(log, event, tx);
        tx->last_time_us = tx->time_us;
        tx->server_id = event->server_id;
        return outcome || !log->mariadb ? outcome : announce(log, event->start, tx, out);
    }
    if (place == 1 && !log->mariadb) {
        outcome = begin(log, event, tx);
        return outcome ? outcome : announce(log, event->start, tx, out);
    }
    if (event->type == TABLE_MAP) return table_map(log, event, tx);
    if ((event->type >= WRITE_ROWS_V1 && event->type <= DELETE_ROWS_V1)
        || (event->type >= WRITE_ROWS && event->type <= DELETE_ROWS))
        return rows(log, event, tx, out);
    if (log->takes_query) return CDC_LOG_REFUSED;
    if (event->type == ROWS_QUERY && event->size > 0) return CDC_LOG_DONE;
    return event->type == ANNOTATE_ROWS && log->mariadb ? CDC_LOG_DONE : CDC_LOG_REFUSED;
}

/* The transaction that begins with events[*next]; moves *next behind it. *tx* has nothing yet. */
static int transaction(cdc_log *log, const cdc_frame *events, const uint8_t *kinds, uint32_t count, uint32_t *next,
                       uint64_t most, uint64_t most_size, cdc_records *out, tx_t *tx) {
    uint32_t at, place = 0;
    uint64_t size = log->size;
    event_t payload;
    int within = 0;
    tx->position = log->position;
    tx->last_row = log->last_row;
    tx->thread = -1;
    if (room((void **)&log->runs, &log->run_capacity, log->run_count, sizeof *log->runs)
        || room((void **)&log->commits, &log->commit_capacity, log->commit_count, sizeof *log->commits))
        return CDC_LOG_NO_MEMORY;
    for (at = *next; place < CDC_LOG_EVENTS && at < count; at++) {
        const cdc_frame *frame = events + at;
        uint8_t kind = kinds ? kinds[at] : CDC_LOG_EVENT;
        event_t event;
        int outcome;
        if (within != (kind == CDC_LOG_INNER)) return CDC_LOG_REFUSED;
        outcome = within ? open_inner(frame, &payload, &event) : open_event(log, frame, tx->position, &event);
        if (outcome) return outcome;
        event.number = at;
        tx->position = event.next;
        if (kind == CDC_LOG_PAYLOAD) {
            if (place != 1 || log->mariadb) return CDC_LOG_REFUSED;
            payload = event;
            within = 1;
            size += frame->size;
            continue;
        }
        if (event.type == XID && place > (log->mariadb ? 0 : 1)) {
            if (event.size < 8 || out->rec_count >= most || size >= most_size) return CDC_LOG_REFUSED;
            outcome = tell(log, tx, out, CDC_TX_END);
            if (outcome) return outcome;
            size += frame->size;
            if (within && at + 1 < count && kinds[at + 1] == CDC_LOG_INNER) return CDC_LOG_REFUSED;
            if (within && (out->rec_count >= most || size >= most_size)) return CDC_LOG_REFUSED; /* its end comes later */
            log->size = size;
            commit(log, tx);
            *next = at + 1;
            return CDC_LOG_DONE;
        }
        outcome = inner(log, &event, place, tx, out);
        if (outcome) return outcome;
        size += frame->size;
        place++;
    }
    return CDC_LOG_REFUSED;
}

int cdc_log_read(cdc_log *log, const cdc_frame *events, const uint8_t *kinds, uint32_t count, uint32_t *next,
                 uint64_t most, uint64_t most_size, cdc_records *out) {
    while (*next < count && out->rec_count < most && log->size < most_size) {
        uint32_t recs = out->rec_count, cells = out->cell_count, txs = out->tx_count, frames = log->frame_count;
        tx_t tx = {0};
        int outcome = transaction(log, events, kinds, count, next, most, most_size, out, &tx);
        while (tx.used_count > 0) log->counters[tx.used[--tx.used_count]].count = 0;
        if (outcome) {
            out->rec_count = recs;
            out->cell_count = cells;
            out->tx_count = txs;
            log->frame_count = frames;
            return outcome;
        }
    }
    return CDC_LOG_DONE;
}
