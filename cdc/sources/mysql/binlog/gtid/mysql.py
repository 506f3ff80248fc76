"""MySQL's sets of GTIDs: `uuid[:tag]:first-last:…`.

MySQL docs, "GTID Format and Storage"; sql/rpl_gtid_set.cc for the binary form, with tags since 8.3 in the form
`Gtid_format::tagged`.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter

from cdc.core.errors import ConfigError, ProtocolError
from cdc.core.late_regex import late_regex

Interval = tuple[int, int]
"""First and last, both included."""

Tsid = tuple[str, str]
"""A source's UUID, lower case, and the tag, empty without one."""

_UUID = late_regex(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TAG = late_regex(r"[a-z_][a-z0-9_]{0,31}")
_RANGE = late_regex(r"([0-9]{1,19})(?:-([0-9]{1,19}))?")
_GNO_END = 1 << 63
_LAST = itemgetter(1)
_UUID_LEN = 16
_TAGGED_FORMAT = 1


class GtidSet:
    """By source and tag, the numbers of the transactions: intervals in order, which neither overlap nor touch."""

    __slots__ = ("_intervals", "_text")

    def __init__(self, intervals: Mapping[Tsid, Iterable[Interval]] | None = None) -> None:
        """Intervals in any order; they may overlap."""
        self._intervals: dict[Tsid, list[Interval]] = {}
        for tsid, parts in (intervals or {}).items():
            joined = _joined(parts)
            if joined:
                self._intervals[tsid] = joined
        self._text: str | None = None

    @classmethod
    def parse(cls, text: str) -> GtidSet:
        """From the text of `@@gtid_executed`; ignores spaces and line ends. Raises ConfigError if it is malformed."""
        found: dict[Tsid, list[Interval]] = {}
        for group in re.sub(r"\s+", "", text).lower().split(","):
            if not group:
                continue
            uuid, *parts = group.split(":")
            if not _UUID.fullmatch(uuid) or not parts:
                raise ConfigError("not a set of GTIDs", hint="A set is written uuid:1-100,uuid:tag:1-5.")
            tag = ""
            for part in parts:
                if _TAG.fullmatch(part):
                    tag = part
                else:
                    found.setdefault((uuid, tag), []).append(_interval(part))
        return cls(found)

    @classmethod
    def decode(cls, data: bytes) -> GtidSet:
        """From a PREVIOUS_GTIDS event's body. Raises ProtocolError."""
        count, pos = _int64(data, 0), 8
        tagged = count >> 56 == _TAGGED_FORMAT
        if tagged:
            count = count >> 8 & (1 << 48) - 1
        elif count >> 56:
            raise ProtocolError("GTID set of an unknown format", offset=0, wanted="0 or 1", got=count >> 56)
        found: dict[Tsid, list[Interval]] = {}
        for _ in range(count):
            uuid, pos = decode_uuid(data, pos), pos + _UUID_LEN
            tag = ""
            if tagged:
                tag, pos = read_varlen_text(data, pos, len(data))
            parts, pos = _decode_intervals(data, pos)
            found.setdefault((uuid, tag), []).extend(parts)
        if pos != len(data):
            raise ProtocolError("GTID set has bytes after its end", offset=pos, wanted=pos, got=len(data))
        return cls(found)

    def encode(self) -> bytes:
        """For COM_BINLOG_DUMP_GTID. Older servers do not read the form with tags: it is used only if there are tags."""
        tagged = any(tag for _, tag in self._intervals)
        count = len(self._intervals)
        head = _TAGGED_FORMAT << 56 | count << 8 | _TAGGED_FORMAT if tagged else count
        out = [head.to_bytes(8, "little")]
        for (uuid, tag), parts in sorted(self._intervals.items()):
            out.append(bytes.fromhex(uuid.replace("-", "")))
            if tagged:
                out.append(bytes((len(tag) << 1,)) + tag.encode())
            out.append(len(parts).to_bytes(8, "little"))
            out += [first.to_bytes(8, "little") + (last + 1).to_bytes(8, "little") for first, last in parts]
        return b"".join(out)

    def with_gtid(self, uuid: str, tag: str, gno: int) -> GtidSet:
        """A copy with one more transaction."""
        made = self.union(GtidSet())
        made.add(uuid, tag, gno)
        return made

    def add(self, uuid: str, tag: str, gno: int) -> None:
        """Add a transaction to this set itself. Only for a set that no one else uses."""
        self.add_range(uuid, tag, gno, gno)

    def add_range(self, uuid: str, tag: str, first: int, last: int) -> None:
        """The same for the transactions *first* to *last*, which is no number before *first*."""
        parts = self._intervals.setdefault((uuid, tag), [])
        if parts and parts[-1][1] + 1 == first:  # nearly always
            parts[-1] = parts[-1][0], last
        else:
            _insert(parts, first, last)
        self._text = None

    def contains(self, other: GtidSet) -> bool:
        """Whether every transaction of *other* is in this set."""
        return all(_covered(parts, self._intervals.get(tsid, ())) for tsid, parts in other._intervals.items())

    def has(self, uuid: str, tag: str, gno: int) -> bool:
        return _covered([(gno, gno)], self._intervals.get((uuid, tag), ()))

    def union(self, other: GtidSet) -> GtidSet:
        return GtidSet({tsid: [*self._intervals.get(tsid, ()), *other._intervals.get(tsid, ())]
                        for tsid in {**self._intervals, **other._intervals}})

    def subtract(self, other: GtidSet) -> GtidSet:
        """The transactions that are in this set and not in *other*."""
        return GtidSet({tsid: _without(parts, other._intervals.get(tsid, ()))
                        for tsid, parts in self._intervals.items()})

    def only(self, wanted: Callable[[str], bool]) -> GtidSet:
        """The transactions of the sources whose UUIDs are *wanted* (`gtid.source.includes` and `.excludes`)."""
        return GtidSet({tsid: parts for tsid, parts in self._intervals.items() if wanted(tsid[0])})

    def last_of_each(self) -> list[str]:
        """The GTID with the highest number of each source and tag."""
        return [":".join(filter(None, (uuid, tag, str(parts[-1][1]))))
                for (uuid, tag), parts in self._intervals.items()]

    def uuids(self) -> list[str]:
        return sorted({uuid for uuid, _ in self._intervals})

    def __bool__(self) -> bool:
        return bool(self._intervals)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GtidSet) and self._intervals == other._intervals

    def __hash__(self) -> int:
        return hash(str(self))

    def __str__(self) -> str:
        if self._text is None:
            groups: dict[str, list[str]] = {}
            for (uuid, tag), parts in sorted(self._intervals.items()):
                pieces = groups.setdefault(uuid, [uuid])
                pieces += [tag] if tag else []
                pieces += [str(first) if first == last else f"{first}-{last}" for first, last in parts]
            self._text = ",".join(":".join(pieces) for pieces in groups.values())
        return self._text

    def __repr__(self) -> str:
        return f"GtidSet({str(self)!r})"


def decode_uuid(data: bytes, pos: int) -> str:
    """Sixteen bytes as a UUID's text."""
    raw = data[pos:pos + _UUID_LEN]
    if len(raw) != _UUID_LEN:
        raise ProtocolError("UUID ends too early", offset=pos, wanted=_UUID_LEN, got=len(raw))
    return _uuid_text(raw)


@lru_cache(maxsize=1024)
def _uuid_text(raw: bytes) -> str:
    """Cached: every transaction has one of the same few UUIDs."""
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def read_varlen(data: bytes, pos: int, end: int) -> tuple[int, int]:
    """An unsigned integer and the place after it (libs/mysql/serialization, "Variable-length integers"): the first
    byte's trailing ones are the number of bytes that follow, then the value, low bits first."""
    if pos >= end:
        raise ProtocolError("integer ends too early", offset=pos, wanted="1 byte", got="0 bytes")
    first = data[pos]
    more = (~first & (first + 1)).bit_length() - 1
    after = pos + 1 + more
    if after > end:
        raise ProtocolError("integer ends too early", offset=pos, wanted=f"{more + 1} bytes", got=f"{end - pos} bytes")
    if more == 8:
        return int.from_bytes(data[pos + 1:after], "little"), after
    return int.from_bytes(data[pos:after], "little") >> more + 1, after


def read_varlen_text(data: bytes, pos: int, end: int) -> tuple[str, int]:
    """A tag: its length, then its characters."""
    length, pos = read_varlen(data, pos, end)
    if length > min(32, end - pos):
        raise ProtocolError("GTID's tag does not fit", offset=pos, wanted=f"up to {min(32, end - pos)} bytes",
                            got=f"{length} bytes")
    tag = data[pos:pos + length].decode("latin-1")
    if tag and not _TAG.fullmatch(tag):
        raise ProtocolError("GTID's tag is malformed", offset=pos, wanted="letters, digits, _", got="other characters")
    return tag, pos + length


def _int64(data: bytes, pos: int) -> int:
    if len(data) - pos < 8:
        raise ProtocolError("GTID set ends too early", offset=pos, wanted="8 bytes", got=f"{len(data) - pos} bytes")
    return int.from_bytes(data[pos:pos + 8], "little")


def _decode_intervals(data: bytes, pos: int) -> tuple[list[Interval], int]:
    count, pos = _int64(data, pos), pos + 8
    if count > (len(data) - pos) // 16:
        raise ProtocolError("GTID set's intervals do not fit", offset=pos, wanted=f"up to {(len(data) - pos) // 16}",
                            got=count)
    parts: list[Interval] = []
    previous = 0
    for at in range(pos, pos + 16 * count, 16):
        first, stop = _int64(data, at), _int64(data, at + 8)
        if not previous < first < stop <= _GNO_END:
            raise ProtocolError("GTID set's intervals are out of order", offset=at, wanted=f"above {previous}",
                                got=f"{first}-{stop}")
        parts.append((first, stop - 1))
        previous = stop
    return parts, pos + 16 * count


def _interval(text: str) -> Interval:
    match = _RANGE.fullmatch(text)
    first = int(match[1]) if match else 0
    last = int(match[2]) if match and match[2] else first
    if match is None or first < 1 or last >= _GNO_END:
        raise ConfigError("not an interval of GTIDs", hint="An interval is a number or two, 1-100.")
    return first, last


def _joined(parts: Iterable[Interval]) -> list[Interval]:
    """Sorted, without overlaps, neighbours merged; empty intervals (last before first) are left out."""
    out: list[Interval] = []
    for first, last in sorted(part for part in parts if part[0] <= part[1]):
        if out and first <= out[-1][1] + 1:
            out[-1] = out[-1][0], max(out[-1][1], last)
        else:
            out.append((first, last))
    return out


def _insert(parts: list[Interval], first: int, last: int) -> None:
    """Adds *first* to *last* to *parts*, which are joined, and stay so. A log that leaves numbers out would make a set
    of many intervals: only those are looked at that the new one may touch."""
    at = end = bisect_left(parts, first - 1, key=_LAST)
    while end < len(parts) and parts[end][0] <= last + 1:
        first, last = min(first, parts[end][0]), max(last, parts[end][1])
        end += 1
    parts[at:end] = [(first, last)]


def _covered(parts: Iterable[Interval], by: Sequence[Interval]) -> bool:
    """Whether each of *parts* is within one of *by*, which are joined."""
    for first, last in parts:
        at = bisect_left(by, first, key=_LAST)
        if at == len(by) or first < by[at][0] or by[at][1] < last:
            return False
    return True


def _without(parts: Sequence[Interval], taken: Sequence[Interval]) -> list[Interval]:
    """What of *parts* is not in *taken*; both are joined."""
    left: list[Interval] = []
    for first, last in parts:
        at = bisect_left(taken, first, key=_LAST)
        while at < len(taken) and taken[at][0] <= last:
            if first < taken[at][0]:
                left.append((first, taken[at][0] - 1))
            first = taken[at][1] + 1
            at += 1
        if first <= last:
            left.append((first, last))
    return left
