"""The lines of a COPY on an open connection, for whoever reads a result in a thread of its own.

PGconn's blocking calls hold the interpreter lock, and psycopg's `Cursor.copy` waits again for each line; so neither is
used. libpq docs, "Functions Associated with the COPY Command", "Asynchronous Command Processing".
"""

from __future__ import annotations

import select
from collections.abc import Iterator
from typing import Any, Final

import psycopg
from psycopg import pq, sql

from cdc.core.errors import SourceConnectionError

from .connection import Connection, unchecked

_WAIT_MS: Final = 100


def copy_lines(conn: Connection, query: sql.Composable) -> Iterator[bytes]:
    """The rows of *query* in COPY's text format. Who does not take them all has to close *conn*. Raises psycopg.Error,
    SourceConnectionError."""
    pg = conn.pgconn
    options = sql.SQL(" (ENCODING 'SQL_ASCII')" if unchecked(conn) else "")
    poller = select.poll()
    poller.register(pg.socket, select.POLLIN)
    pg.send_query((sql.SQL("COPY ({}) TO STDOUT").format(query) + options).as_bytes(conn))
    while pg.flush():
        poller.poll(_WAIT_MS)
    _expect(_result(pg, poller), pq.ExecStatus.COPY_OUT)
    while True:
        count, data = pg.get_copy_data(1)
        if count > 0:
            line = bytes(data)
            del data  # a line may be huge
            yield line
        elif count < 0:
            break
        else:
            poller.poll(_WAIT_MS)
            pg.consume_input()
    result = _result(pg, poller)
    while result is not None:
        _expect(result, pq.ExecStatus.COMMAND_OK)
        result = _result(pg, poller)


def _result(pg: Any, poller: select.poll) -> Any:
    while pg.is_busy():
        poller.poll(_WAIT_MS)
        pg.consume_input()
    return pg.get_result()


def _expect(result: Any, status: pq.ExecStatus) -> None:
    if result is None:
        raise SourceConnectionError("The server ended a COPY without a result.")
    if result.status != status:
        raise psycopg.errors.error_from_result(result, encoding="utf-8")
