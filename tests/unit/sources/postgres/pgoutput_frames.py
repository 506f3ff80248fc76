"""pgoutput messages as the server writes them (src/backend/replication/logical/proto.c), and XLogData around them."""

from __future__ import annotations

import struct
from typing import Any

TIME = 700_000_000_000_000
"""Some µs since 2000."""

Cell = bytes | str | None
UNCHANGED = "unchanged"


def keepalive(wal_end: int, *, asked: bool = False) -> bytes:
    return struct.pack(">cQqB", b"k", wal_end, TIME, asked)


def xlog(lsn: int, body: bytes) -> bytes:
    return struct.pack(">cQQq", b"w", lsn, lsn, TIME) + body


def text(value: str) -> bytes:
    return value.encode() + b"\0"


def begin(final_lsn: int, xid: int, time: int = TIME) -> bytes:
    return b"B" + struct.pack(">QqI", final_lsn, time, xid)


def commit(commit_lsn: int, end_lsn: int, time: int = TIME) -> bytes:
    return b"C\0" + struct.pack(">QQq", commit_lsn, end_lsn, time)


def origin(name: str, lsn: int = 7) -> bytes:
    return b"O" + struct.pack(">Q", lsn) + text(name)


def relation(oid: int, name: str, columns: list[tuple[str, int, bool]], identity: str = "d",
             xid: int | None = None) -> bytes:
    """*columns*: name, type oid, part of the replica identity."""
    body = struct.pack(">I", oid) + text("public") + text(name) + identity.encode() + struct.pack(">H", len(columns))
    for column, type_oid, in_key in columns:
        body += bytes((in_key,)) + text(column) + struct.pack(">Ii", type_oid, -1)
    return b"R" + _xid(xid) + body


def type_(oid: int, name: str) -> bytes:
    return b"Y" + struct.pack(">I", oid) + text("public") + text(name)


def row(*cells: Cell, kind: bytes = b"t") -> bytes:
    out = struct.pack(">H", len(cells))
    for cell in cells:
        if cell is None:
            out += b"n"
        elif cell is UNCHANGED:
            out += b"u"
        else:
            data = cell.encode() if isinstance(cell, str) else cell
            out += kind + struct.pack(">I", len(data)) + data
    return out


def insert(oid: int, *cells: Cell, xid: int | None = None, kind: bytes = b"t") -> bytes:
    return b"I" + _xid(xid) + struct.pack(">I", oid) + b"N" + row(*cells, kind=kind)


def update(oid: int, *cells: Cell, old: tuple[Cell, ...] | None = None, key: tuple[Cell, ...] | None = None,
           xid: int | None = None) -> bytes:
    before = b"O" + row(*old) if old is not None else b"K" + row(*key) if key is not None else b""
    return b"U" + _xid(xid) + struct.pack(">I", oid) + before + b"N" + row(*cells)


def delete(oid: int, *cells: Cell, full: bool = False, xid: int | None = None) -> bytes:
    return b"D" + _xid(xid) + struct.pack(">I", oid) + (b"O" if full else b"K") + row(*cells)


def truncate(*oids: int, options: int = 0) -> bytes:
    return b"T" + struct.pack(">IB", len(oids), options) + b"".join(struct.pack(">I", oid) for oid in oids)


def message(prefix: str, content: bytes, lsn: int, *, transactional: bool) -> bytes:
    return b"M" + struct.pack(">BQ", transactional, lsn) + text(prefix) + struct.pack(">I", len(content)) + content


def stream_start(xid: int, *, first: bool) -> bytes:
    return b"S" + struct.pack(">IB", xid, first)


STREAM_STOP = b"E"


def stream_commit(xid: int, commit_lsn: int, end_lsn: int, time: int = TIME) -> bytes:
    return b"c" + struct.pack(">IBQQq", xid, 0, commit_lsn, end_lsn, time)


def stream_abort(xid: int, subxid: int, *, parallel: bool = False) -> bytes:
    return b"A" + struct.pack(">II", xid, subxid) + (struct.pack(">Qq", 5, TIME) if parallel else b"")


def begin_prepare(lsn: int, end_lsn: int, xid: int, gid: str) -> bytes:
    return b"b" + struct.pack(">QQqI", lsn, end_lsn, TIME, xid) + text(gid)


def prepare(lsn: int, end_lsn: int, xid: int, gid: str, *, streamed: bool = False) -> bytes:
    return (b"p" if streamed else b"P") + b"\0" + struct.pack(">QQqI", lsn, end_lsn, TIME, xid) + text(gid)


def commit_prepared(lsn: int, end_lsn: int, xid: int, gid: str, time: int = TIME) -> bytes:
    return b"K\0" + struct.pack(">QQqI", lsn, end_lsn, time, xid) + text(gid)


def rollback_prepared(prepare_end: int, end_lsn: int, xid: int, gid: str) -> bytes:
    return b"r\0" + struct.pack(">QQqqI", prepare_end, end_lsn, TIME, TIME, xid) + text(gid)


def _xid(xid: int | None) -> bytes:
    return b"" if xid is None else struct.pack(">I", xid)


def one_of_each() -> dict[str, Any]:
    """A message of every type."""
    return {
        "B": begin(100, 5), "C": commit(100, 110), "O": origin("other"),
        "R": relation(16384, "t", [("id", 23, True), ("naïve", 25, False)]), "Y": type_(16390, "mood"),
        "I": insert(16384, "1", None), "U": update(16384, "1", UNCHANGED, key=("2", None)),
        "D": delete(16384, "1", "x", full=True), "T": truncate(16384, 16385, options=3),
        "M": message("p", b"\0\xff", 90, transactional=True), "S": stream_start(5, first=True), "E": STREAM_STOP,
        "c": stream_commit(5, 100, 110), "A": stream_abort(5, 6), "b": begin_prepare(100, 110, 5, "gid"),
        "P": prepare(100, 110, 5, "gid"), "p": prepare(100, 110, 5, "gid", streamed=True),
        "K": commit_prepared(120, 130, 5, "gid"), "r": rollback_prepared(110, 130, 5, "gid"),
    }
