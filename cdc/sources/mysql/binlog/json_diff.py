"""JSON diffs of partial updates, applied to binary JSON.

MySQL sql/json_diff.h and json_diff.cc (`Json_diff_vector::read_binary`, `apply_json_diffs`) for the diffs, and
sql/json_binary.h for the document: a type byte, then its value; containers hold counts, sizes and offsets of two bytes
(small) or four (large), little-endian, keys in the order of length, then bytes. The result is binary JSON again, so
that one codec reads both.
"""

from __future__ import annotations

import json
import struct

from cdc.core.dataclass import dataclass
from cdc.core.errors import ProtocolError
from cdc.core.late_regex import late_regex

_SMALL_OBJECT, _LARGE_OBJECT, _SMALL_ARRAY, _LARGE_ARRAY = 0, 1, 2, 3
_LITERAL, _INT16, _UINT16, _INT32, _UINT32, _STRING, _OPAQUE = 4, 5, 6, 7, 8, 12, 15
_SCALAR_BYTES = {_LITERAL: 1, _INT16: 2, _UINT16: 2, _INT32: 4, _UINT32: 4, 9: 8, 10: 8, 11: 8}
_MAX_DEPTH = 128
_REPLACE, _INSERT, _REMOVE = 0, 1, 2

Scalar = tuple[int, bytes]
Node = Scalar | list["Node"] | dict[bytes, "Node"]


@dataclass(frozen=True)
class FromEnd:
    """`[last-N]`: a cell of an array, counted back from its last one, which is N = 0."""

    back: int


Leg = bytes | int | FromEnd
_CELL = late_regex(r"(?:([0-9]{1,20})|last(?:-([0-9]{1,20}))?)\]")
"""What follows `[` in a path (MySQL sql-common/json_path.cc, `append_array_index`)."""


def apply_diffs(document: bytes, diffs: bytes) -> bytes:
    """*document* with the *diffs* of one column applied; both are the log's bytes without their length prefixes. Raises
    ProtocolError on malformed bytes, and on a path that the document does not have."""
    root = parse_document(document)
    pos = 0
    while pos < len(diffs):
        operation = diffs[pos]
        path, pos = _counted(diffs, pos + 1)
        value: Node | None = None
        if operation in (_REPLACE, _INSERT):
            raw, pos = _counted(diffs, pos)
            value = parse_document(raw)
        elif operation != _REMOVE:
            raise ProtocolError("unknown operation of a JSON diff", offset=pos, wanted="0 to 2", got=operation)
        root = _apply(root, operation, parse_path(path), value)
    kind, body = _encode(root)
    return bytes((kind,)) + body


def _apply(root: Node, operation: int, legs: list[Leg], value: Node | None) -> Node:
    if not legs:
        if operation != _REPLACE or value is None:
            raise ProtocolError("JSON diff of the whole document", wanted="replace", got=operation)
        return value
    parent = root
    for leg in legs[:-1]:
        parent = _child(parent, leg)
    leg = legs[-1]
    if operation == _INSERT and value is not None:
        if isinstance(parent, list) and not isinstance(leg, bytes):
            parent.insert(max(_index(leg, len(parent)), 0), value)
        elif isinstance(parent, dict) and isinstance(leg, bytes) and leg not in parent:
            parent[leg] = value
        else:
            raise _no_place()
        return root
    _child(parent, leg)
    place = leg if isinstance(leg, bytes) else _index(leg, len(parent))
    if operation == _REMOVE:
        del parent[place]  # type: ignore[arg-type, union-attr]
    else:
        parent[place] = value  # type: ignore[index, assignment]
    return root


def _index(leg: int | FromEnd, length: int) -> int:
    """The index in an array of *length* cells; below 0 if it is before the first one. The server inserts there at the
    beginning, and finds nothing there to replace or remove (sql-common/json_path.h, `Json_array_index`)."""
    return length - 1 - leg.back if isinstance(leg, FromEnd) else leg


def _child(parent: Node, leg: Leg) -> Node:
    if isinstance(parent, dict) and isinstance(leg, bytes) and leg in parent:
        return parent[leg]
    if isinstance(parent, list) and not isinstance(leg, bytes):
        index = _index(leg, len(parent))
        if 0 <= index < len(parent):
            return parent[index]
    raise _no_place()


def _no_place() -> ProtocolError:
    return ProtocolError("JSON diff does not fit its document", wanted="a path of the document", got="no such place")


def _counted(data: bytes, pos: int) -> tuple[bytes, int]:
    """Length-encoded bytes, and the place after them."""
    if pos < len(data):
        first = data[pos]
        size = {252: 2, 253: 3, 254: 8}.get(first, 0 if first < 251 else -1)
        if size >= 0 and pos + 1 + size <= len(data):
            length = int.from_bytes(data[pos + 1:pos + 1 + size], "little") if size else first
            start = pos + 1 + size
            if length <= len(data) - start:
                return data[start:start + length], start + length
    raise ProtocolError("JSON diff ends too early", offset=pos, wanted="counted bytes", got=f"{len(data) - pos} bytes")


def parse_path(path: bytes) -> list[Leg]:
    """`$`, then `.name`, `."quoted name"`, `[number]`, `[last]` or `[last-number]` (MySQL sql-common/json_path.cc,
    `Json_path_leg::to_string`). Ranges and wildcards do not occur: the functions that make diffs refuse them."""
    try:
        text = path.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise ProtocolError("path of a JSON diff is not UTF-8", wanted="UTF-8", got="other bytes") from exc
    if not text.startswith("$"):
        raise _bad_path(0)
    legs: list[Leg] = []
    at = 1
    while at < len(text):
        if text.startswith('."', at):
            try:
                name, at = json.JSONDecoder().raw_decode(text, at + 1)
            except ValueError as exc:
                raise _bad_path(at) from exc
            legs.append(name.encode("utf-8", "surrogatepass"))
        elif text[at] == ".":
            stop = min((found for found in (text.find(".", at + 1), text.find("[", at + 1)) if found > 0),
                       default=len(text))
            legs.append(text[at + 1:stop].encode())
            at = stop
        elif text[at] == "[":
            cell = _CELL.match(text, at + 1)
            if cell is None:
                raise _bad_path(at)
            legs.append(int(cell[1]) if cell[1] else FromEnd(int(cell[2] or 0)))
            at = cell.end()
        else:
            raise _bad_path(at)
    return legs


def _bad_path(at: int) -> ProtocolError:
    return ProtocolError("path of a JSON diff is malformed", offset=at, wanted="$, .name, [number] or [last-number]",
                         got="other text")


def parse_document(data: bytes) -> Node:
    """Reads binary JSON into objects and arrays; scalars stay bytes. Empty bytes are the null literal
    (json_binary.cc `parse_binary`)."""
    if not data:
        return _LITERAL, b"\0"
    return _parse(data[0], data, 1, len(data), 0)[0]


def _parse(kind: int, data: bytes, start: int, end: int, depth: int) -> tuple[Node, int]:
    """The value of type *kind* at data[start:], within *end*, and its size in bytes."""
    if depth > _MAX_DEPTH:
        raise ProtocolError("binary JSON is nested too deeply", offset=start, wanted=_MAX_DEPTH, got=depth)
    if kind <= _LARGE_ARRAY:
        return _parse_container(kind, data, start, end, depth)
    size = _SCALAR_BYTES.get(kind)
    if size is None:
        body = start + (kind == _OPAQUE)
        if kind not in (_STRING, _OPAQUE):
            raise ProtocolError("binary JSON has a value of unknown type", offset=start, wanted="0 to 12, 15", got=kind)
        length, after = _variable(data, body, end)
        size = after + length - start
    _need(start, size, end)
    return (kind, data[start:start + size]), size


def _parse_container(kind: int, data: bytes, start: int, end: int, depth: int) -> tuple[Node, int]:
    wide = 4 if kind in (_LARGE_OBJECT, _LARGE_ARRAY) else 2
    keyed = kind in (_SMALL_OBJECT, _LARGE_OBJECT)
    _need(start, 2 * wide, end)
    count, size = _number(data, start, wide), _number(data, start + wide, wide)
    keys_at = start + 2 * wide
    values_at = keys_at + (count * (wide + 2) if keyed else 0)
    if size > end - start or values_at + count * (1 + wide) > start + size:
        raise ProtocolError("binary JSON container does not fit", offset=start, wanted=size, got=end - start)
    stop = start + size
    room = stop - values_at - count * (1 + wide)
    values: list[Node] = []
    for at in range(count):
        value, used = _entry(data, values_at + at * (1 + wide), wide, start, stop, depth)
        values.append(value)
        room -= used
        if room < 0:
            raise _overlap(start, size)
    if not keyed:
        return values, size
    keys = [_key(data, keys_at + at * (wide + 2), wide, start, stop) for at in range(count)]
    if sum(map(len, keys)) > room:
        raise _overlap(start, size)
    members = dict(zip(keys, values, strict=True))
    if len(members) != count:
        raise ProtocolError("binary JSON object has a key twice", offset=start, wanted=count, got=len(members))
    return members, size


def _overlap(start: int, size: int) -> ProtocolError:
    return ProtocolError("values of a binary JSON container overlap", offset=start, wanted=f"at most {size} bytes",
                         got="more")


def _entry(data: bytes, at: int, wide: int, start: int, stop: int, depth: int) -> tuple[Node, int]:
    """The value of the entry at *at*, and its size outside of the entry."""
    kind = data[at]
    if kind in (_LITERAL, _INT16, _UINT16) or (wide == 4 and kind in (_INT32, _UINT32)):
        return (kind, data[at + 1:at + 1 + _SCALAR_BYTES[kind]]), 0
    place = start + _number(data, at + 1, wide)
    _need(place, 1, stop)
    return _parse(kind, data, place, stop, depth + 1)


def _key(data: bytes, at: int, wide: int, start: int, stop: int) -> bytes:
    place, length = start + _number(data, at, wide), _number(data, at + wide, 2)
    _need(place, length, stop)
    return data[place:place + length]


def _need(start: int, size: int, end: int) -> None:
    if size > end - start:
        raise ProtocolError("binary JSON ends too early", offset=start, wanted=f"{size} bytes",
                            got=f"{end - start} bytes")


def _number(data: bytes, at: int, size: int) -> int:
    return int.from_bytes(data[at:at + size], "little")


def _variable(data: bytes, at: int, end: int) -> tuple[int, int]:
    """A length in base 128, low bits first, at most five bytes."""
    length = 0
    for index in range(5):
        _need(at + index, 1, end)
        byte = data[at + index]
        length |= (byte & 0x7f) << 7 * index
        if byte < 0x80:
            return length, at + index + 1
    raise ProtocolError("binary JSON has a malformed length", offset=at, wanted="up to 5 bytes", got="more")


def _encode(node: Node) -> Scalar:
    """(type, value bytes) of a node. A container is written as a small one if it fits."""
    if isinstance(node, tuple):
        return node
    keys: list[bytes] | None = None
    if isinstance(node, dict):
        keys = sorted(node, key=lambda key: (len(key), key))
        values = [_encode(node[key]) for key in keys]
    else:
        values = [_encode(item) for item in node]
    small = _encode_container(keys, values, 2)
    if small is not None:
        return (_SMALL_OBJECT if keys is not None else _SMALL_ARRAY), small
    large = _encode_container(keys, values, 4)
    if large is None:
        raise ProtocolError("JSON document is too large", wanted="4 GiB", got="more")
    return (_LARGE_OBJECT if keys is not None else _LARGE_ARRAY), large


def _encode_container(keys: list[bytes] | None, values: list[Scalar], wide: int) -> bytes | None:
    """A container's value bytes; None if its offsets do not fit into *wide* bytes."""
    limit = (1 << 8 * wide) - 1
    inline = {_LITERAL, _INT16, _UINT16} | ({_INT32, _UINT32} if wide == 4 else set())
    number = struct.Struct("<H" if wide == 2 else "<I")
    at = 2 * wide + (0 if keys is None else len(keys) * (wide + 2)) + len(values) * (1 + wide)
    head: list[bytes] = []
    tail: list[bytes] = []
    for key in keys or ():
        if at > limit:
            return None
        head.append(number.pack(at) + struct.pack("<H", len(key)))
        tail.append(key)
        at += len(key)
    for kind, body in values:
        if kind in inline:
            head.append(bytes((kind,)) + body.ljust(wide, b"\0"))
            continue
        if at > limit:
            return None
        head.append(bytes((kind,)) + number.pack(at))
        tail.append(body)
        at += len(body)
    if at > limit or len(values) > limit:
        return None
    return number.pack(len(values)) + number.pack(at) + b"".join(head) + b"".join(tail)
