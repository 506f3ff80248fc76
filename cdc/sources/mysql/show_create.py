"""SHOW CREATE TABLE of very many tables: many in one question, and to several connections by turns, so that the server
has work while we read.

MySQL Source Code Documentation, "COM_SET_OPTION", "Multi-Resultset".
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import Any, Final

import pymysql
from pymysql.constants import COMMAND, SERVER_STATUS

from cdc.core.errors import SourceError
from cdc.core.table import TableId

from .connection import Connection, close
from .errors import map_error
from .quoting import quoted_table

TOGETHER: Final = 50
_ON: Final = 0
_OFF: Final = 1

Answer = tuple[TableId, bytes | SourceError]


def show_tables(connections: Sequence[Connection], ids: Sequence[TableId], *, together: int = TOGETHER,
                ) -> Generator[Answer, None, None]:
    """Each of *ids* in order, with the text that the server shows, or why it shows none. *together*: so many tables in
    one question.

    Until the end, the *connections* must not be used for anything else; those with open questions are closed if it does
    not come to the end. Raises SourceConnectionError when one of them is lost.
    """
    switched = [conn for conn in connections if together > 1 and _several(conn, _ON)]
    if len(switched) < len(connections):
        together = 1
    open_questions: deque[tuple[Connection, Sequence[TableId]]] = deque()
    try:
        for number, first in enumerate(range(0, len(ids), together)):
            conn = connections[number % len(connections)]
            if len(open_questions) == len(connections):
                yield from _answers(*open_questions[0])
                open_questions.popleft()
            some = ids[first:first + together]
            open_questions.append((conn, some))
            _ask(conn, some)
        while open_questions:
            yield from _answers(*open_questions[0])
            open_questions.popleft()
    finally:
        for conn, _ in open_questions:
            close(conn)
        for conn in switched:
            if conn.open:
                _several(conn, _OFF)


def _several(conn: Any, option: int) -> bool:
    """Switch several statements in one question on or off. Returns whether the server does it: a proxy may not."""
    try:
        conn._execute_command(COMMAND.COM_SET_OPTION, struct.pack("<H", option))
        conn._read_packet()
    except pymysql.MySQLError as exc:
        if not conn.open:
            raise map_error(exc) from exc
        return False
    return True


def _ask(conn: Any, ids: Iterable[TableId]) -> None:
    try:
        conn._execute_command(COMMAND.COM_QUERY, "; ".join(f"SHOW CREATE TABLE {quoted_table(id)}" for id in ids))
    except pymysql.MySQLError as exc:
        raise map_error(exc) from exc


def _answers(conn: Any, ids: Sequence[TableId]) -> Iterator[Answer]:
    """What was asked of *conn*. A statement that fails ends a question, so the tables after it are asked for again."""
    rest = deque(ids)
    while rest:
        try:
            answer, more = _answer(conn)
        except pymysql.MySQLError as exc:
            answer, more = map_error(exc), False
            if not conn.open:
                raise answer from exc
        yield rest.popleft(), answer
        if rest and not more:
            _ask(conn, rest)


def _answer(conn: Any) -> tuple[bytes | SourceError, bool]:
    """One statement's text, and whether another statement's answer follows. Raises a MySQLError."""
    columns = conn._read_packet().read_length_encoded_integer()
    for _ in range(columns + 1):  # the definitions, and the EOF after them
        conn._read_packet()
    row = conn._read_packet()
    row.read_length_coded_string()
    text = row.read_length_coded_string()
    end = conn._read_packet().get_all_data()  # an EOF packet: its head, two bytes of warnings, two of the status
    return text, bool(int.from_bytes(end[3:5], "little") & SERVER_STATUS.SERVER_MORE_RESULTS_EXISTS)
