"""Has libpq read a replication connection of psycopg, without the interpreter lock and without an object for each frame.

`load` must have been called.
"""

import ctypes

from libc.stdint cimport uint64_t, uintptr_t

from cdc.native.frames cimport Block, cdc_block, cdc_block_fit

cdef extern from "pg_read.h" nogil:
    ctypedef struct pg_conn:
        pass
    ctypedef struct pg_libpq:
        int (*consume_input)(pg_conn *) noexcept nogil
        int (*get_copy_data)(pg_conn *, char **, int) noexcept nogil
        void (*free_mem)(void *) noexcept nogil
    enum:
        PG_READ_EMPTY
        PG_READ_SHORT
        PG_READ_FULL
        PG_READ_ASKED
        PG_READ_ODD
        PG_READ_ENDED
        PG_READ_FAILED
        PG_READ_BROKEN
        PG_READ_NO_MEMORY
    int pg_read(const pg_libpq *libpq, pg_conn *conn, cdc_block *block, size_t most, size_t each, uint64_t *wal_end)

OUTCOMES = {PG_READ_EMPTY: "empty", PG_READ_SHORT: "short", PG_READ_FULL: "full", PG_READ_ASKED: "asked",
            PG_READ_ODD: "odd", PG_READ_ENDED: "ended", PG_READ_FAILED: "failed", PG_READ_BROKEN: "broken"}
"""What `cdc/sources/postgres/copydata.py` calls the ends of a read."""

cdef pg_libpq _libpq


def load(str path):
    """Finds libpq's functions in the shared object *path*, or in those that it is linked with. Raises OSError or
    AttributeError if they are not there."""
    library = ctypes.CDLL(path)
    consume_input, get_copy_data, free_mem = (
        ctypes.cast(getattr(library, name), ctypes.c_void_p).value
        for name in ("PQconsumeInput", "PQgetCopyData", "PQfreemem"))
    _libpq.consume_input = <int (*)(pg_conn *) noexcept nogil><uintptr_t>consume_input
    _libpq.get_copy_data = <int (*)(pg_conn *, char **, int) noexcept nogil><uintptr_t>get_copy_data
    _libpq.free_mem = <void (*)(void *) noexcept nogil><uintptr_t>free_mem


def read(uintptr_t conn, Block block, size_t most, size_t each, uint64_t wal_end):
    """Adds to *block* the frames that have arrived at the `PGconn *` *conn*, as `pg_read` says. Nobody else may use
    *conn* meanwhile. libpq may call psycopg's receiver of notices, which takes the interpreter lock for itself.

    Returns one of OUTCOMES, and the greatest end of the server's WAL that is known. Raises MemoryError.
    """
    cdef int outcome
    with nogil:
        outcome = pg_read(&_libpq, <pg_conn *>conn, &block.c, most, each, &wal_end)
        if outcome != PG_READ_ASKED:
            cdc_block_fit(&block.c)
    if outcome == PG_READ_NO_MEMORY:
        raise MemoryError
    return OUTCOMES[outcome], wal_end
