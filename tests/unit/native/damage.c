/* Feeds damaged bytes to the plain C of cdc/native, for AddressSanitizer to watch: test_asan.py builds and runs it.

   Standard input has the pgoutput frames of one stream, each with its length before it (4 bytes of this machine).
   Arguments: the number of rounds, and a seed. Each frame and each value is a block of its own, so that a byte beyond it
   is found. */
#include "encode.h"
#include "json.h"
#include "mysql_log.h"
#include "pg_copy.h"
#include "pg_decode.h"
#include "pg_read.h"

#include <stdio.h>

#define MOST_FRAMES 4096
#define TABLES 5

static uint64_t seed;
static uint64_t taken[2]; /* transactions that were read, of MySQL and MariaDB */

static uint32_t pick(uint32_t below) {
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(seed >> 33) % below;
}

static uint8_t *copied(const uint8_t *data, size_t size) {
    uint8_t *copy = malloc(size);
    memcpy(copy, data, size);
    return copy;
}

static uint8_t *damaged(const uint8_t *data, uint32_t *size) {
    static const uint8_t telling[] = {0, 1, 0x7F, 0x80, 0xFF, 'u', 'n', 't', 'b', 'K', 'O', 'N'};
    uint32_t times = 1 + pick(3), at, cut = pick(3) == 0 ? pick(*size) : 0;
    uint8_t *copy = copied(data, *size);
    while (times-- > 0) {
        at = pick(*size);
        copy[at] = pick(2) ? telling[pick(sizeof telling)] : (uint8_t)pick(256);
    }
    if (cut) {
        data = copied(copy, *size = cut);
        free(copy);
        copy = (uint8_t *)data;
    }
    return copy;
}

/* The table of a codec that has one. */
static const uint8_t *table_of(int number) {
    static const struct {
        uint32_t count, places[4];
        char texts[6];
    } labels = {3, {0, 0, 2, 6}, {'o', 'k', 'l', 'a', 's', 't'}};
    static uint8_t charset[1024];
    uint32_t byte;
    for (byte = 0; byte < 256; byte++) {
        charset[4 * byte] = (uint8_t)(1 + byte % 3);
        charset[4 * byte + 1] = (uint8_t)byte;
    }
    return number == CDC_OP_MYSQL_CHARSET ? charset : (const uint8_t *)&labels;
}

/* A plan that writes each column with another codec; its key is the first column. */
static cdc_plan plan_of(uint32_t columns, cdc_colop *text, cdc_colop *binary, cdc_bytes *pieces, cdc_field *fields) {
    cdc_plan plan = {0};
    uint32_t at;
    for (at = 0; at < columns; at++) {
        cdc_colop op = {0};
        int number;
        do op.codec = cdc_codec_of(number = 1 + (int)pick(CDC_OP_COUNT - 1));
        while (op.codec == NULL);
        op.data = table_of(number);
        op.params[0] = pick(2) ? INT32_MIN : pick(7);
        op.params[1] = INT32_MAX;
        op.null_data = op.unchanged = (const uint8_t *)"\0";
        op.null_len = 1;
        op.unchanged_len = pick(2) ? 1 : CDC_NULL;
        op.index = (int32_t)at;
        op.branch = pick(2) ? 2 : CDC_NO_BRANCH;
        text[at] = binary[at] = op;
    }
    for (at = 0; at < 6; at++) {
        fields[at].number = (uint8_t)(pick(8) ? at + 1 : CDC_FIELD_CLOCK_MS + at);
        fields[at].optional = (uint8_t)pick(2);
    }
    for (at = 0; at < 7; at++) pieces[at] = (cdc_bytes){(const uint8_t *)"piece", 5};
    plan.batch = 1;
    plan.has_key = columns > 0;
    plan.column_count = columns;
    plan.key_count = columns > 0;
    plan.text = plan.key_text = text;
    plan.binary = plan.key_binary = binary;
    plan.field_count = 6;
    plan.fields = fields;
    plan.pieces = pieces;
    plan.image = (uint8_t)pick(CDC_IMAGE_TRANSACTION + 1);
    plan.has_null = (uint8_t)pick(2);
    plan.null = (cdc_bytes){(const uint8_t *)"null", 4};
    plan.dropped = pick(20) == 0;
    return plan;
}

/* A table's plan for all ops. */
static void for_all(cdc_plan **slots, cdc_plan *plan) {
    int slot;
    for (slot = 0; slot < CDC_SLOTS; slot++) slots[slot] = plan;
}

static cdc_clock the_clock(void) {
    cdc_clock clock = {INT64_C(1700000000123456), {(const uint8_t *)"clocks", 6}};
    return clock;
}

/* Makes the messages of all *records*, but of those that are refused. */
static void encoded(const cdc_records *records, cdc_plan **plans, cdc_msg *msgs, cdc_out *out) {
    uint32_t next = 0, made = 0;
    cdc_out avro = {0};
    while (next < records->rec_count)
        if (cdc_encode(records, plans, 1, the_clock(), out, &avro, msgs, &next, &made)) next++;
    free(avro.data);
}

static void codecs(void) {
    static const char *texts[] = {"2024-02-29 23:59:59.123456+00", "-123456789012345678.25", "1.7976931348623157e+308",
                                  "\\x00ff80", "12:34:56.789", "na\xc3\xafve \xe2\x98\x83", "-9223372036854775808", "t",
                                  "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"};
    cdc_out out = {0};
    int number;
    for (number = 0; number < CDC_OP_COUNT; number++) {
        cdc_codec codec = cdc_codec_of(number);
        const char *text = texts[pick(9)];
        uint32_t size = (uint32_t)strlen(text);
        cdc_colop op = {0};
        uint8_t *data;
        if (codec == NULL) continue;
        data = damaged((const uint8_t *)text, &size);
        op.data = table_of(number);
        op.params[0] = pick(8);
        op.params[1] = pick(1000);
        out.size = 0;
        codec(&out, data, size, &op);
        free(data);
    }
    free(out.data);
}

static void lines(void) {
    static const char *texts[] = {"1\tnote\t3\n", "12\t\\N\ta\\tb\\\\x\n", "\t\t\n", "1\tna\xc3\xafve\\r\t\\x41", "\\N\t\\N\t\\N\n"};
    static const int32_t indexes[] = {2, 0, 3};
    static cdc_colop text[4], binary[4];
    static cdc_bytes pieces[7];
    static cdc_field fields[6];
    static cdc_msg msgs[64];
    cdc_frame frames[32];
    cdc_plan plan = plan_of(4, text, binary, pieces, fields), *slots[CDC_SLOTS];
    cdc_records records = {0};
    cdc_out out = {0};
    uint32_t next = 0, at;
    void *given[32];
    plan.field_count = 0;
    for_all(slots, &plan);
    for (at = 0; at < 32; at++) {
        const char *line = texts[pick(5)];
        frames[at].size = (uint32_t)strlen(line);
        frames[at].data = given[at] = damaged((const uint8_t *)line, &frames[at].size);
    }
    records.frames = frames;
    while (next < 32)
        if (pg_copy_rows(&records, frames, &next, 32, 0, 4, indexes, 3) != PG_COPIED) next++;
    encoded(&records, slots, msgs, &out);
    for (at = 0; at < 32; at++) free(given[at]);
    free(out.data);
    cdc_records_free(&records);
}

/* A rows event and a text result of four columns. */
static void rows(void) {
    static const uint8_t prefixes[] = {0, 1, 2, 0}, present[] = {0xFF}, some[] = {0x05};
    static const uint8_t images[] = "\0\x2a\0\0\0\4note\3\0bin12345678\2\x2b\0\0\0\2\0ab87654321";
    static const uint8_t packets[] = "\x0b\0\0\5\00212\4note\0021x\4\0\0\6\xfb\0\1y\5\0\0\7\xfe\0\0\2\0";
    static const uint32_t sizes[] = {4, 0, 0, 8}, keys[] = {0, 1}, indexes[] = {2, 0, 3};
    static cdc_colop text[4], binary[4];
    static cdc_bytes pieces[7];
    static cdc_field fields[6];
    static cdc_msg msgs[512];
    cdc_mysql_layout layout = {4, prefixes, sizes};
    cdc_mysql_key key = {keys, indexes, 2, 3, (uint8_t)pick(2)};
    cdc_mysql_select select = {indexes, 3, 4};
    cdc_plan plan = plan_of(4, text, binary, pieces, fields), *slots[CDC_SLOTS];
    cdc_records records = {0};
    cdc_rec like = {0};
    cdc_out out = {0};
    uint8_t kinds[8], sequence = 5;
    cdc_cell cells[8];
    cdc_mysql_images found = {kinds, cells};
    uint32_t size = sizeof images - 1, count;
    size_t at = 0;
    int tombstones = (int)pick(2);
    uint8_t *data = damaged(images, &size);
    cdc_mysql_event event = {data, size, NULL, NULL, 0, 0};
    cdc_frame frame = {data, size};
    for (at = 0; at < 6; at++) fields[at].number = (uint8_t)(CDC_FIELD_MYSQL_QUERY - at);
    at = 0;
    if (pick(2)) event.before_present = pick(2) ? present : some;
    if (event.before_present == NULL || pick(2)) event.after_present = pick(2) ? present : some;
    event.before_count = event.before_present == some ? 2 : 4;
    event.after_count = event.after_present == some ? 2 : 4;
    like.op = 'c';
    like.order = like.table_order = pick(2);
    like.before = like.after = CDC_NO_ROW;
    records.frames = &frame;
    if (cdc_records_room(&records, 0, 0, 1)) return;
    memset(records.txs, 0, sizeof *records.txs);
    records.tx_count = 1;
    for_all(slots, &plan);
    count = cdc_mysql_plain_rows(&layout, &event, &key, &at, found);
    cdc_mysql_add_rows(&records, &layout, &event, 0, count, &like, tombstones);
    encoded(&records, slots, msgs, &out);
    free(data);
    size = sizeof packets - 1;
    frame.data = data = damaged(packets, &size);
    frame.size = size;
    at = 0;
    records.rec_count = records.cell_count = 0;
    count = cdc_mysql_text_rows(&select, data, size, &at, &sequence);
    cdc_mysql_add_text_rows(&records, &select, data, 0, count, &like);
    encoded(&records, slots, msgs, &out);
    free(data);
    free(out.data);
    cdc_records_free(&records);
}

static const uint8_t json_name[] = ",\"name\":", json_null[] = "null";

/* Prints *avro*, mostly damaged, by the ops of its schema. */
static void printed(const uint8_t *avro, uint32_t size, const cdc_json_op *ops) {
    cdc_json_form form = {ops, json_name, json_name, 8, 8};
    cdc_out out = {0};
    uint8_t *data = pick(4) ? damaged(avro, &size) : copied(avro, size);
    cdc_out_raw(&out, "before", 6);
    cdc_json(&out, data, size, &form);
    free(data);
    free(out.data);
}

/* The same again and again, so that fields are kept from value to value. */
static void printed_often(const uint8_t *avro, uint32_t size, cdc_json_op *ops) {
    cdc_json_kept *kept = (cdc_json_kept *)calloc(1, sizeof *kept);
    int times = 4;
    kept->first = 1 + pick(2);
    ops->kept = kept;
    while (times--) printed(avro, size, ops);
    ops->kept = NULL;
    free(kept);
}

/* Values of a struct with a field of each kind, and one within it; of one with numbers; of an array of structs. */
static void jsons(void) {
    static const uint8_t avro[] = "\2\2\x80\1\2\x0ana\"\n\1\2\1\2\x0a" "12345" "\2\x9f\xff\xff\xff\xff\xff\xff\xff\xff\1";
    static const uint8_t numbers[] = "\2\2\0\0\0\0\0\0\xf8\x3f\2\0\0\xc0\x3f", tables[] = "\2\4\2\4ab\x0e\2\2c\2\0";
    static const cdc_json_op floats[] = {{CDC_JSON_STRUCT, 0, 3, 0, 4, json_name, json_null, NULL},
                                         {CDC_JSON_DOUBLE, 0, 2, 8, 4, json_name, json_null, NULL},
                                         {CDC_JSON_FLOAT, 0, 3, 8, 4, json_name, json_null, NULL}};
    static const cdc_json_op items[] = {{CDC_JSON_ARRAY, 0, 4, 0, 4, json_name, json_null, NULL},
                                        {CDC_JSON_STRUCT, 0, 4, 0, 4, json_name, json_null, NULL},
                                        {CDC_JSON_TEXT, CDC_NO_BRANCH, 3, 8, 4, json_name, json_null, NULL},
                                        {CDC_JSON_LONG, CDC_NO_BRANCH, 4, 8, 4, json_name, json_null, NULL}};
    cdc_json_op ops[7] = {{CDC_JSON_STRUCT, 0, 7, 0, 4, json_name, json_null, NULL}};
    uint32_t at;
    for (at = 1; at < 7; at++)
        ops[at] = (cdc_json_op){(uint8_t)at, 0, at + 1, 8, 4, json_name, json_null, NULL};
    ops[5].following = 7; /* a struct with one field */
    ops[6].kind = (uint8_t)(pick(2) ? CDC_JSON_LONG : CDC_JSON_OTHER);
    printed(avro, sizeof avro - 1, ops);
    printed_often(avro, sizeof avro - 1, ops);
    printed(numbers, sizeof numbers - 1, floats);
    printed(tables, sizeof tables - 1, items);
}

/* Two transactions of a log with two tables, one of them captured. */
static void transactions(void) {
    static const uint8_t types[2][5] = {{33, 2, 19, 30, 16}, {162, 19, 23, 160, 16}};
    static const char begin[] = "\x15\0\0\0\1\0\0\0shape BEGIN", map[] = "\x2a\0\0\0\0\0\1\0columns";
    static const char row[] = "\4\xff\0\x2a\0\0\0\4note\3\0bin12345678";
    static const struct {
        uint8_t type;
        uint32_t size;
        char text[80];
    } bodies[] = {
        {33, 60, "\0abcdefghijklmnop\7\0\0\0\0\0\0\0\2\1\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0\1\2\3\4\5\6\x80\1\2\3\4\5\6\7\xfc\1\2"},
        {162, 21, "\7\0\0\0\0\0\0\0\3\0\0\0\2\1\2\3\4\5\6\7\x8"},
        {2, sizeof begin - 1, "\x15\0\0\0\1\0\0\0shape BEGIN"},
        {19, sizeof map - 1, "\x2a\0\0\0\0\0\1\0columns"},
        {30, 9 + sizeof row, "\x2a\0\0\0\0\0\1\0\2\0\4\xff\0\x2a\0\0\0\4note\3\0bin12345678"},
        {23, 7 + sizeof row, "\x2a\0\0\0\0\0\1\0\4\xff\0\x2a\0\0\0\4note\3\0bin12345678"},
        {160, 9, "statement"}, {16, 8, "12345678"}};
    static const uint8_t prefixes[] = {0, 1, 2, 0};
    static const uint32_t sizes[] = {4, 0, 0, 8}, keys[] = {0, 1};
    static uint32_t slots[16];
    static cdc_colop text[4], binary[4];
    static cdc_bytes pieces[7];
    static cdc_field fields[6];
    static cdc_msg msgs[4096];
    cdc_plan plan = plan_of(4, text, binary, pieces, fields), told = {.batch = 1, .image = CDC_IMAGE_TRANSACTION};
    cdc_plan *plans[2 * CDC_SLOTS];
    cdc_out out = {0};
    cdc_mysql_layout layout = {4, prefixes, sizes};
    cdc_mysql_key key = {keys, keys, 2, 2, (uint8_t)pick(2)};
    cdc_counter counters[] = {{(const uint8_t *)"shop.orders", 11, 7, 0}};
    cdc_cell cells[8];
    uint8_t kinds[8];
    cdc_log_map known = {.body = (const uint8_t *)map, .size = sizeof map - 1, .captured = 1, .layout = &layout,
                         .key = &key, .images = {kinds, cells}, .table = 1, .inserted = 1};
    cdc_log_begin shape = {(const uint8_t *)begin + 8, sizeof begin - 9};
    cdc_log_source sources[2] = {{"abcdefghijklmnop", 0, (const uint8_t *)"a:", 2},
                                 {"\3\0\0\0\1", 0, (const uint8_t *)"3-1-", 4}};
    cdc_log log = {0};
    cdc_frame events[10], found[10];
    uint8_t some[10], *parts = NULL;
    cdc_records records = {0}, more = {0};
    uint32_t next = 0, at, tables[] = {1, 0};
    int maria_db = (int)pick(2);
    memset(slots, 0, sizeof slots);
    log.mariadb = (uint8_t)maria_db;
    log.checksums = pick(4) == 0;
    log.rows_v1_head = 8;
    log.rows_v2_head = pick(8) ? 10 : 6;
    log.tombstones = 1;
    log.metadata = (uint8_t)pick(2);
    log.counters = counters;
    log.maps = &known;
    log.slots = slots;
    log.mask = 15;
    log.begins = &shape;
    log.sources = sources;
    log.begin_count = 1;
    log.source_count = 2;
    if (pick(8) == 0) {
        for (at = 0; at < 10; at++) some[at] = (uint8_t)(pick(2) ? CDC_LOG_INNER : pick(3));
        some[1] = CDC_LOG_PAYLOAD;
        parts = some;
    }
    log.position = pick(2) ? 4 : UINT32_MAX;
    slots[cdc_log_slot(&log, known.body, known.size)] = 1;
    log.map_count = 1;
    known.captured = pick(8) > 0;
    known.relaxed = (uint8_t)pick(2);
    for (at = 0; at < 10; at++) {
        uint8_t type = types[maria_db][at % 5], event[160] = {1, 2, 3, 4, 0, 1};
        uint32_t size = 19, tail = log.checksums ? 4 : 0, body = 0;
        while (bodies[body].type != type) body++;
        memcpy(event + size, bodies[body].text, bodies[body].size);
        size += bodies[body].size;
        event[4] = type;
        event[9] = (uint8_t)(size + tail);
        event[13] = (uint8_t)(at * 50 + 60);
        if (pick(12) == 0) {
            uint32_t place = pick(size);
            event[place] = (uint8_t)pick(256);
        } else if (pick(20) == 0) {
            event[9] = (uint8_t)((size = 19 + pick(size - 18)) + tail);
        }
        if (tail) {
            uint32_t sum = cdc_crc32(event, size);
            for (; tail > 0; tail--, sum >>= 8) event[size++] = (uint8_t)sum;
        }
        events[at].size = size;
        events[at].data = copied(event, size);
    }
    while (next < 10)
        if (cdc_log_read(&log, events, parts, 10, &next, 100, UINT64_MAX, &records) != CDC_LOG_DONE) next++;
    cdc_records_append(&more, &records, 0, tables);
    taken[maria_db] += log.transactions;
    for (at = 0; at < log.frame_count; at++) found[at] = events[log.frames[at]];
    more.frames = found;
    plan.field_count = 0;
    for_all(plans, &plan);
    for_all(plans + CDC_SLOTS, &told);
    encoded(&more, plans, msgs, &out);
    free(out.data);
    for (at = 0; at < 10; at++) free((void *)events[at].data);
    free(log.runs);
    free(log.commits);
    free(log.frames);
    cdc_records_free(&records);
    cdc_records_free(&more);
}

static void stream(const cdc_frame *frames, uint32_t count) {
    static const int32_t indexes[] = {0, 1};
    static const uint8_t labels[] = {2, 0, 0, 0, 'o', 'k'};
    static const uint16_t columns[TABLES] = {0, 24, 3, 2, 2};
    static cdc_colop text[TABLES][32], binary[TABLES][32];
    static cdc_bytes pieces[TABLES][7];
    static cdc_field fields[TABLES][6];
    static cdc_msg msgs[2 * MOST_FRAMES];
    pg_enum mood = {1, sizeof labels, labels};
    pg_table tables[TABLES] = {{0}};
    uint32_t oids[16] = {0}, slots[16] = {0}, next = 0, at;
    uint64_t size = 0;
    cdc_frame *copies = calloc(count, sizeof *copies);
    cdc_plan plans[TABLES], *pointers[TABLES * CDC_SLOTS];
    pg_reader reader = {0};
    cdc_records records = {0};
    cdc_out out = {0};
    cdc_counter counters[TABLES] = {{0}};
    uint32_t used[TABLES];
    for (at = 0; at < TABLES; at++) {
        static const uint32_t of[TABLES] = {4, 1, 2, 3, 5};
        uint32_t place = (of[at] * 2654435761u) & 15;
        plans[at] = plan_of(columns[at], text[at], binary[at], pieces[at], fields[at]);
        for_all(pointers + at * CDC_SLOTS, plans + at);
        tables[at] = (pg_table){.native = 1, .captured = at > 0, .columns = columns[at], .required = indexes,
                                .required_count = at > 0, .key = indexes, .key_count = at > 0, .enums = &mood,
                                .enum_count = at == 4, .compared = indexes, .compared_count = at > 0,
                                .mapped = indexes + 1, .mapped_count = at > 0 && pick(4) == 0, .counter = at};
        counters[at] = (cdc_counter){(const uint8_t *)"public.orders", 8 + at, 31 * at, 0};
        while (oids[place]) place = (place + 1) & 15;
        oids[place] = of[at];
        slots[place] = at;
    }
    reader.plain = 1;
    reader.tombstones = (uint8_t)pick(2);
    reader.whole_keys = (uint8_t)pick(2);
    reader.null_keys = (uint8_t)pick(2);
    reader.skip_unchanged = (uint8_t)pick(2);
    reader.metadata = (uint8_t)pick(2); /* told of in the table that is not captured */
    reader.counters = counters;
    reader.used = used;
    plans[0].image = pick(4) ? CDC_IMAGE_TRANSACTION : plans[0].image;
    reader.tables = tables;
    reader.oids = oids;
    reader.slots = slots;
    reader.mask = 15;
    reader.tx_number = CDC_NO_ROW;
    for (at = 0; at < count; at++) {
        copies[at].size = frames[at].size;
        copies[at].data = pick(10) ? copied(frames[at].data, frames[at].size)
                                   : damaged(frames[at].data, &copies[at].size);
    }
    records.frames = copies;
    while (next < count)
        if (pg_decode(&reader, &records, &next, count, 2 * MOST_FRAMES - 2, &size, UINT64_MAX) != PG_DONE) next++;
    encoded(&records, pointers, msgs, &out);
    for (at = 0; at < count; at++) free((void *)copies[at].data);
    free(copies);
    free(out.data);
    free(reader.commits);
    cdc_records_free(&records);
}

/* A libpq: what it has of the frames, what the server sends at once, and the frame that its COPY fails at. */
struct pg_conn {
    const cdc_frame *frames;
    uint32_t next, arrived, count, end;
    int failure;
};

static int consume_input(pg_conn *conn) {
    uint32_t more = pick(3) ? pick(40) : 0;
    conn->arrived = more < conn->count - conn->arrived ? conn->arrived + more : conn->count;
    return conn->failure != PG_READ_BROKEN || conn->next < conn->end;
}

static int get_copy_data(pg_conn *conn, char **data, int async) {
    const cdc_frame *frame = conn->frames + conn->next;
    if (!async) return -3;
    if (conn->next == conn->end && conn->failure != PG_READ_BROKEN) return conn->failure == PG_READ_ENDED ? -1 : -2;
    if (conn->next == conn->arrived) return 0;
    conn->next++;
    *data = (char *)copied(frame->data, frame->size);
    return (int)frame->size;
}

/* Frames read into blocks, each as it was sent; keepalives that follow one another are one. */
static void reading(const cdc_frame *frames, uint32_t count) {
    static const pg_libpq libpq = {consume_input, get_copy_data, free};
    static const int failures[] = {PG_READ_ENDED, PG_READ_FAILED, PG_READ_BROKEN};
    cdc_frame *sent = calloc(count, sizeof *sent);
    uint32_t at, place = 0, end = pick(count + 1);
    pg_conn conn = {sent, 0, 0, count, end, failures[pick(3)]};
    uint64_t wal_end = 0;
    size_t most = 1 + pick(1 << pick(18));
    int outcome = PG_READ_FULL;
    for (at = 0; at < count; at++) {
        sent[at].size = frames[at].size;
        sent[at].data = pick(100) ? copied(frames[at].data, frames[at].size) : damaged(frames[at].data, &sent[at].size);
        if (sent[at].size == 0 || pick(10) == 0) { /* libpq has no empty one */
            uint8_t alive[18] = {'k', 0, 0, 0, 0, 0, 0, (uint8_t)(at >> 8), (uint8_t)at};
            alive[17] = (uint8_t)pick(2);
            free((void *)sent[at].data);
            sent[at] = (cdc_frame){copied(alive, sizeof alive), sizeof alive};
        }
    }
    while (outcome <= PG_READ_ODD) {
        cdc_block block = {0};
        cdc_frame *found;
        do outcome = pg_read(&libpq, &conn, &block, most, 64, &wal_end);
        while (outcome == PG_READ_ASKED);
        if (pick(2)) cdc_block_fit(&block);
        found = calloc(block.count + 1, sizeof *found);
        cdc_block_list(&block, found);
        for (at = 0; at < block.count; at++, place++) {
            uint8_t asked = 0;
            if (found[at].data[0] == 'k' && found[at].size == 18) {
                for (; memcmp(found[at].data, sent[place].data, 17); place++) {
                    if (place + 1 == conn.next || sent[place].data[0] != 'k') abort();
                    asked |= sent[place].data[17];
                }
                if (found[at].data[17] < sent[place].data[17] || found[at].data[17] < asked) abort();
            } else if (found[at].size != sent[place].size || memcmp(found[at].data, sent[place].data, sent[place].size)) {
                abort();
            }
        }
        free(found);
        cdc_block_free(&block);
    }
    if (place != conn.next) abort();
    for (at = 0; at < count; at++) free((void *)sent[at].data);
    free(sent);
}

int main(int argc, char **argv) {
    static cdc_frame frames[MOST_FRAMES];
    uint32_t count = 0, size;
    long rounds = argc > 2 ? atol(argv[1]) : 1;
    seed = argc > 2 ? (uint64_t)atol(argv[2]) : 1;
    while (count < MOST_FRAMES && fread(&size, 4, 1, stdin) == 1) {
        uint8_t *data = malloc(size);
        if (fread(data, 1, size, stdin) != size) return 2;
        frames[count].data = data;
        frames[count++].size = size;
    }
    while (rounds-- > 0) {
        stream(frames, count);
        reading(frames, count);
        codecs();
        lines();
        rows();
        transactions();
        jsons();
    }
    if (taken[0] == 0 || taken[1] == 0) return 3;
    while (count > 0) free((void *)frames[--count].data);
    puts("done");
    return 0;
}
