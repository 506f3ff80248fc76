/* CopyData messages of a replication connection into a block, by libpq's public functions.

   libpq is not linked: psycopg brings it, and `pg_libpq` gets the addresses of that very library's functions at run
   time. PostgreSQL docs, "Functions Associated with the COPY Command" and "Asynchronous Command Processing"; what the
   messages are, "Streaming Replication Protocol". */
#ifndef CDC_PG_READ_H
#define CDC_PG_READ_H

#include "block.h"

typedef struct pg_conn pg_conn;

typedef struct {
    int (*consume_input)(pg_conn *);
    int (*get_copy_data)(pg_conn *, char **, int);
    void (*free_mem)(void *);
} pg_libpq;

enum {
    PG_READ_EMPTY,     /* nothing more has arrived */
    PG_READ_SHORT,     /* little has arrived; with TLS, libpq may have more that `poll` does not see */
    PG_READ_FULL,      /* there may be more */
    PG_READ_ASKED,     /* the last frame is a keepalive, in which the server wants an answer; there may be more */
    PG_READ_ODD,       /* the last frame is neither XLogData nor a keepalive, or a keepalive of the wrong length */
    PG_READ_ENDED,     /* the server has ended the COPY: PQgetResult says why */
    PG_READ_FAILED,    /* PQgetCopyData has failed */
    PG_READ_BROKEN,    /* PQconsumeInput has failed */
    PG_READ_NO_MEMORY
};

/* Adds the frames that have arrived to *block*, until it has *most* bytes, each frame counting *each* bytes more. Does
   not wait. A keepalive right behind another one takes its place, and wants an answer if either did. *wal_end becomes
   the greatest end of the server's WAL that keepalives tell. What is in *block* was received whatever is returned. */
int pg_read(const pg_libpq *libpq, pg_conn *conn, cdc_block *block, size_t most, size_t each, uint64_t *wal_end);

#endif
