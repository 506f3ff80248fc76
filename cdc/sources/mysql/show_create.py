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
from pymysql.constants import COMMAND
from pymysql.protocol import EOFPacketWrapper, OKPacketWrapper

from cdc.core.errors import SourceError
from cdc.core.table import TableId

from . import row_probe
from .connection import Connection, close
from .errors import map_error
from .quoting import quoted_table
from .row_probe import RowProbe

TOGETHER: Final = 50
_ON: Final = 0
_OFF: Final = 1

Answer = tuple[TableId, bytes | SourceError]


class _Step:
    """One statement of a question, about tables *ids*. `kind`: `show`; `open`, `read` and `close` of a handler; `rows`
    for `row_probe.question`; `run` for the others, which must not fail."""

    def __init__(self, kind: str, ids: Sequence[TableId], statement: str = "") -> None:
        self.kind = kind
        self.ids = list(ids)
        self._statement = statement

    def text(self) -> str:
        return self._statement or row_probe.question(self.ids)


def show_tables(connections: Sequence[Connection], ids: Sequence[TableId], *, together: int = TOGETHER,
                probe: RowProbe | None = None) -> Generator[Answer, None, None]:
    """Each of *ids* in order, with the text that the server shows, or why it shows none. *together*: so many tables in
    one question. *probe* gets to know which of them have rows, unless the server takes one statement at a time.

    Until the end, the *connections* must not be used for anything else; those with open questions are closed if it does
    not come to the end. Raises SourceConnectionError when one of them is lost.
    """
    switched = [conn for conn in connections if together > 1 and _several(conn, _ON)]
    if len(switched) < len(connections):
        together, probe = 1, None
    open_questions: deque[tuple[Connection, deque[_Step]]] = deque()
    try:
        for number, first in enumerate(range(0, len(ids), together)):
            conn = connections[number % len(connections)]
            if len(open_questions) == len(connections):
                yield from _answers(*open_questions[0], probe)
                open_questions.popleft()
            some = ids[first:first + together]
            steps = _steps(conn, some, probe)
            open_questions.append((conn, steps))
            _ask(conn, steps)
        while open_questions:
            yield from _answers(*open_questions[0], probe)
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


def _steps(conn: Connection, ids: Sequence[TableId], probe: RowProbe | None) -> deque[_Step]:
    """The statements of one question."""
    shows = [_Step("show", [id], f"SHOW CREATE TABLE {quoted_table(id)}") for id in ids]
    probed = [] if probe is None else probe.asked(conn, ids)
    if probe is None or not probed:
        return deque(shows)
    if not probe.by_handler:
        begin, end = _Step("run", [], row_probe.BEGIN), _Step("run", [], row_probe.END)
        return deque([begin, *shows, _Step("rows", probed), end])
    return deque([*shows, *(_Step(kind, [id], statement) for id in probed
                            for kind, statement in row_probe.handler(id).items())])


def _ask(conn: Any, steps: Iterable[_Step]) -> None:
    try:
        conn._execute_command(COMMAND.COM_QUERY, "; ".join([step.text() for step in steps]))
    except pymysql.MySQLError as exc:
        raise map_error(exc) from exc


def _answers(conn: Any, steps: deque[_Step], probe: RowProbe | None) -> Iterator[Answer]:
    """What was asked of *conn*. A statement that fails ends a question, so those after it are asked again."""
    while steps:
        error: SourceError | None = None
        rows: list[Any] = []
        try:
            rows, more = _rows(conn)
        except pymysql.MySQLError as exc:
            error, more = map_error(exc), False
            if not conn.open:
                raise error from exc
        step = steps.popleft()
        if step.kind == "run" and error is not None:
            raise error
        if error is not None and step.kind in ("show", "open"):
            _leave_out(step.ids[0], steps)
        if step.kind == "show":
            yield step.ids[0], error or _second(rows[0])
        elif error is None and probe is not None:
            if step.kind == "rows":
                probe.without_rows(step.ids, [int(row.read_length_coded_string()) for row in rows])
            elif step.kind == "read":
                probe.has_rows[step.ids[0]] = bool(rows)
        if steps and not more:
            _ask(conn, steps)


def _leave_out(id: TableId, steps: deque[_Step]) -> None:
    """Ask no more about *id*: it is locked or gone."""
    for step in list(steps):
        if id in step.ids:
            step.ids.remove(id)
            if not step.ids:
                steps.remove(step)


def _second(row: Any) -> bytes:
    row.read_length_coded_string()
    found: bytes = row.read_length_coded_string()
    return found


def _rows(conn: Any) -> tuple[list[Any], bool]:
    """One statement's rows, and whether another statement's answer follows. Raises a MySQLError."""
    packet = conn._read_packet()
    if packet.is_ok_packet():
        return [], bool(OKPacketWrapper(packet).has_next)
    for _ in range(packet.read_length_encoded_integer() + 1):  # the definitions, and the EOF after them
        conn._read_packet()
    rows = []
    while not (packet := conn._read_packet()).is_eof_packet():
        rows.append(packet)
    return rows, bool(EOFPacketWrapper(packet).has_next)
