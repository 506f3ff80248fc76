#include "pg_read.h"

#define KEEPALIVE 18 /* `k`, the end of the WAL, a time, and whether the server wants an answer */
#define SHORT_READ 8192

static uint64_t be64(const uint8_t *p) {
    uint64_t number = 0;
    int at;
    for (at = 0; at < 8; at++) number = number << 8 | p[at];
    return number;
}

static int keep(cdc_block *block, const uint8_t *data, size_t size) {
    uint8_t *to = cdc_block_add(block, size);
    if (to == NULL) return PG_READ_NO_MEMORY;
    memcpy(to, data, size);
    return PG_READ_FULL;
}

static int keepalive(cdc_block *block, const uint8_t *data, uint64_t *wal_end) {
    uint8_t *last = block->count ? block->data + block->starts[block->count - 1] : NULL;
    if (last != NULL && *last == 'k') {
        uint8_t asked = last[KEEPALIVE - 1];
        memcpy(last, data, KEEPALIVE);
        if (asked > data[KEEPALIVE - 1]) last[KEEPALIVE - 1] = asked;
    } else if (keep(block, data, KEEPALIVE) != PG_READ_FULL) {
        return PG_READ_NO_MEMORY;
    }
    if (be64(data + 1) > *wal_end) *wal_end = be64(data + 1);
    return data[KEEPALIVE - 1] ? PG_READ_ASKED : PG_READ_FULL;
}

static int add(cdc_block *block, const uint8_t *data, size_t size, uint64_t *wal_end) {
    if (*data == 'w') return keep(block, data, size);
    if (*data == 'k' && size == KEEPALIVE) return keepalive(block, data, wal_end);
    return keep(block, data, size) == PG_READ_FULL ? PG_READ_ODD : PG_READ_NO_MEMORY;
}

int pg_read(const pg_libpq *libpq, pg_conn *conn, cdc_block *block, size_t most, size_t each, uint64_t *wal_end) {
    size_t brought = SHORT_READ; /* by the last read from the socket */
    int empty = 0;
    while (block->size + block->count * each < most) {
        char *data = NULL;
        int size = libpq->get_copy_data(conn, &data, 1), done;
        if (size < 0) return size == -1 ? PG_READ_ENDED : PG_READ_FAILED;
        if (size == 0) {
            /* See SHORT_READ_BYTES of cdc/sources/postgres/copydata.py. */
            if (brought ? brought < SHORT_READ : ++empty > 1) return brought ? PG_READ_SHORT : PG_READ_EMPTY;
            if (!libpq->consume_input(conn)) return PG_READ_BROKEN;
            brought = 0;
            continue;
        }
        brought += (size_t)size;
        empty = 0;
        done = add(block, (const uint8_t *)data, (size_t)size, wal_end);
        libpq->free_mem(data);
        if (done != PG_READ_FULL) return done;
    }
    return PG_READ_FULL;
}
