"""A limit for the login of PyMySQL's connections."""

from __future__ import annotations

from typing import Any


class LimitedLogin:
    """Comes before PyMySQL's `Connection` among the bases: each answer during the login must come within
    `connect_timeout`.

    PyMySQL itself has that limit only for TCP's part. It then waits for the greeting as long as for the answer to a
    statement, so a server or a proxy that takes the connection and says nothing would hold us up for minutes or without
    end.
    """

    def connect(self, sock: Any = None) -> None:
        conn: Any = self
        after, conn._read_timeout = conn._read_timeout, conn.connect_timeout
        try:
            super().connect(sock)  # type: ignore[misc]
        finally:
            conn._read_timeout = after  # PyMySQL looks at it when it next reads
