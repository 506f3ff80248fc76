"""Whole transactions that C reads give what they give event by event: messages, counts, positions, errors."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from cdc import native
from cdc.core.errors import CdcError
from cdc.core.record import Message, Record
from cdc.sources.mysql.binlog import const
from cdc.sources.mysql.binlog.events import _zstd
from cdc.sources.mysql.binlog.rows import ROWS_EVENTS
from tests.unit.mutations import mutated
from tests.unit.sources.mysql import binlog_files
from tests.unit.sources.mysql.binlog_files import MARIADB, MYSQL, Maps, resized
from tests.unit.sources.mysql.test_native_rows import EVERYTHING, MODES, World, assert_alike, shown, world, worlds

pytestmark = pytest.mark.skipif(native.module("binlog") is None, reason="no native modules were built")

NAMES = [MYSQL, MARIADB]
GTIDS = (const.GTID_LOG_EVENT, const.GTID_EVENT)
Transaction = list[bytes]
zstd = _zstd()


@cache
def small(name: str) -> list[Transaction]:
    """The transactions of a recorded log that have a GTID, rows and an XID, and its format description before them."""
    found: list[Transaction] = []
    events = binlog_files.frames(name)
    for number, event in enumerate(events):
        if event[4] not in GTIDS:
            continue
        kinds = []
        for each in events[number:]:
            kinds.append(each[4])
            if each[4] == const.XID_EVENT or (len(kinds) > 1 and each[4] in GTIDS):
                break
        if kinds[-1] == const.XID_EVENT and len(kinds) <= 6 and any(kind in ROWS_EVENTS for kind in kinds):
            found.append(events[number:number + len(kinds)])
    return found


def head(name: str) -> bytes:
    return next(each for each in binlog_files.frames(name) if each[4] == const.FORMAT_DESCRIPTION_EVENT)


class Writer:
    """A log of transactions, each event with its place in the file and a checksum."""

    def __init__(self, name: str, position: int = 0) -> None:
        self.name = name
        self.mariadb = name == MARIADB
        self.events = [head(name)]
        self.position = position or int.from_bytes(self.events[0][13:17], "little")
        if position:
            rotate = binlog_files.event(const.ROTATE_EVENT, struct.pack("<Q", position) + b"binlog.000001", flags=0x20)
            self.events = [rotate, self.events[0]]
        self.number = 1000

    def add(self, event: bytes, *, number: int | None = None) -> None:
        changed = bytearray(event)
        if number is not None:
            at = 19 if self.mariadb else 36
            changed[at:at + 8] = struct.pack("<Q", number)
        self.position += len(changed)
        changed[13:17] = struct.pack("<I", self.position & 0xFFFFFFFF)
        changed[-4:] = struct.pack("<I", zlib.crc32(changed[:-4]))
        self.events.append(bytes(changed))

    def transaction(self, events: Transaction, *, skipped: int = 0) -> None:
        self.number += 1 + skipped
        for event in events:
            self.add(event, number=self.number if event[4] in GTIDS else None)


def packed(events: Transaction, compression: int = 255) -> Transaction:
    """The transaction as with binlog_transaction_compression; *compression* is 255 for none, 0 for zstd."""
    inner = b"".join(event[:9] + (len(event) - 4).to_bytes(4, "little") + bytes(4) + event[17:-4]
                     for event in events[1:])
    data = inner if compression else zstd.compress(inner)
    fields = b"".join(bytes((number, 9)) + b"\xfe" + value.to_bytes(8, "little")
                      for number, value in ((2, compression), (3, len(inner)), (1, len(data))))
    return [events[0], resized(events[1][:4] + bytes((const.TRANSACTION_PAYLOAD_EVENT,)) + events[1][5:],
                               fields + b"\0" + data, True)]


def log_of(name: str, seed: int, *, change: Callable[[random.Random, bytes], bytes] | None = None,
           position: int = 0, usual: bool = False, count: int = 60) -> list[bytes]:
    """Random transactions, many of them the same ones again; *usual* ones only insert, update and delete whole rows.
    *change* may change some events."""
    pick = random.Random(seed)
    log = Writer(name, position)
    chosen = small(name)[:3] if usual else pick.sample(small(name), 5)
    for _ in range(count):
        events = pick.choice(chosen)
        if change is not None and pick.random() < 0.15:
            place = pick.randrange(len(events))
            events = [*events[:place], change(pick, events[place]), *events[place + 1:]]
        log.transaction(events, skipped=0 if usual else pick.choice((0, 0, 0, 0, 3)))
    return log.events


def with_body(event: bytes, body: bytes) -> bytes:
    return resized(event, body, True)


def feed_parts(each: World, events: list[bytes], limit: int, seed: int) -> World:
    """*events* in parts, as a connection gives them."""
    pick = random.Random(seed)
    at = 0
    while at < len(events):
        following = at + pick.choice((1, 2, 7, 50, 200))
        each.feed(events[at:following], limit)
        at = following
    return each


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("name", NAMES)
def test_small_transactions(name: str, seed: int) -> None:
    events = log_of(name, seed)
    for mode in MODES:
        plain, fast = worlds(name, mode)
        assert_alike(plain.feed(events), fast.feed(events))
        assert fast.reader.stream.transactions == 60


@pytest.mark.parametrize("limit", [1, 2, 3, 10, 100])
@pytest.mark.parametrize("name", NAMES)
def test_batches_end_at_the_same_places(name: str, limit: int) -> None:
    events = log_of(name, limit)
    plain, fast = worlds(name, "metadata" if limit % 2 else "defaults")
    assert_alike(feed_parts(plain, events, limit, limit), feed_parts(fast, events, limit, limit))


@pytest.mark.parametrize("name", NAMES)
def test_batches_end_at_the_same_bytes(name: str) -> None:
    events = log_of(name, 3)
    for most in (1, 300, 1000, 5000, 30000):
        told: list[Any] = []
        for each in worlds(name):
            at = 0
            while at < len(events):
                at, size = each.reader.run(events, at, EVERYTHING, most)
                each.take(EVERYTHING, size)
                told.append((at, each.reader.position()))
        assert told[:len(told) // 2] == told[len(told) // 2:]


@pytest.mark.parametrize("name", NAMES)
def test_places_beyond_4_gib(name: str) -> None:
    plain, fast = worlds(name)
    events = log_of(name, 1, position=(1 << 32) - 8000)
    assert_alike(plain.feed(events), fast.feed(events))
    assert fast.reader.position().pos > 1 << 32


def strange(pick: random.Random, event: bytes) -> bytes:
    """The event with other contents, which may be impossible."""
    if pick.random() < 0.2:  # another server, time or flags
        return event[:pick.randrange(4)] + bytes((pick.randrange(256),)) + event[4:]
    if pick.random() < 0.2:
        return event[:17] + bytes((pick.choice((0, 1, 8, 0x20, 0x80)), 0)) + event[19:]
    return with_body(event, mutated(event[19:-4], pick) or b"\0")


def pick_mode(seed: int) -> str:
    return ("defaults", "defaults", "metadata", "metadata", "unchanged and cut")[seed % 5]


@pytest.mark.parametrize("seed", range(60))
@pytest.mark.parametrize("name", NAMES)
def test_changed_events_give_the_same_or_the_same_error(name: str, seed: int) -> None:
    maps = Maps(name)

    def changed(pick: random.Random, event: bytes) -> bytes:
        if event[4] in ROWS_EVENTS and seed % 2:
            return maps.lacking(event, lambda which, in_key: pick.random() < (0.95 if in_key else 0.8))
        return strange(pick, event)

    events = log_of(name, seed, change=changed)
    found = []
    for each in worlds(name, pick_mode(seed), tolerant=True):
        try:
            feed_parts(each, events, 100, seed)
            error = ""
        except CdcError as exc:
            error = f"{type(exc).__name__} {exc} {exc.context}"
            each.take(EVERYTHING)
        found.append((each, error, each.reader.position()))
    (plain, plain_error, place), (fast, fast_error, fast_place) = found
    assert (fast_error, fast_place) == (plain_error, place)
    assert_alike(plain, fast)


def resumed(name: str, first: World, events: list[bytes]) -> Iterator[tuple[World, World, list[bytes]]]:
    for place in sorted({told[0] for told in first.told}, key=lambda at: (at.pos, at.event, at.row)):
        rest = [each for each in events if each[4] == const.FORMAT_DESCRIPTION_EVENT
                or int.from_bytes(each[13:17], "little") > place.pos]
        yield *worlds(name, position=replace(place, log_created=0)), rest


@pytest.mark.parametrize("name", NAMES)
def test_a_stream_resumes_at_any_place(name: str) -> None:
    events = log_of(name, 2)
    first = world(name, "defaults", native_modules=True).feed(events, 7)
    for plain, fast, rest in resumed(name, first, events):
        assert_alike(plain.feed(rest), fast.feed(rest))


@pytest.mark.parametrize("name", NAMES)
def test_a_source_that_is_not_followed_is_left_to_the_reader(name: str) -> None:
    events = log_of(name, 4)
    pair = worlds(name)
    for each in pair:
        object.__setattr__(each.reader.settings, "follows", lambda source: False)
        each.feed(events)
    assert_alike(*pair)
    assert not pair[0].outgoings


def counted_in_c(fast: World, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many events C reads at a time."""
    fed: list[int] = []
    log: Any = fast.reader.native
    read = log.log.read

    def reading(given: list[bytes], first: int, *limits: int) -> int:
        following: int = read(given, first, *limits)
        fed.append(following - first)
        return following

    monkeypatch.setattr(log.log, "read", reading)
    return fed


@pytest.mark.parametrize("lacks", [False, True])
@pytest.mark.parametrize("mode", ["defaults", "metadata"])
@pytest.mark.parametrize("name", NAMES)
def test_most_transactions_are_read_in_c(name: str, mode: str, lacks: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    maps = Maps(name)
    events = [maps.lacking(event, lambda which, in_key: in_key or which == "after")
              if lacks and event[4] in ROWS_EVENTS else event for event in log_of(name, 5, usual=True)]
    fast = world(name, mode, native_modules=True)
    fed = counted_in_c(fast, monkeypatch)
    fast.feed(events)
    assert sum(fed) > 0.7 * len(events)
    assert fast.reader.stream.transactions == 60


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("mode", ["defaults", "metadata"])
def test_compressed_transactions(mode: str, seed: int) -> None:
    pick = random.Random(seed)
    log = Writer(MYSQL)
    for _ in range(60):
        events = pick.choice(small(MYSQL)[:6])
        if pick.random() < 0.1:
            place = pick.randrange(1, len(events))
            events = [*events[:place], strange(pick, events[place]), *events[place + 1:]]
        if pick.random() < 0.8:
            events = packed(events, pick.choice((0, 255)))
        if pick.random() < 0.05:
            events = [*events[:1], strange(pick, events[1]), *events[2:]]
        log.transaction(events)
    found = []
    for each in worlds(MYSQL, mode, tolerant=True):
        try:
            feed_parts(each, log.events, (3, 100, 100)[seed % 3], seed)
            error = ""
        except CdcError as exc:
            error = f"{type(exc).__name__} {exc} {exc.context}"
            each.take(EVERYTHING)
        found.append((each, error, each.reader.position()))
    (plain, plain_error, reached), (fast, fast_error, fast_reached) = found
    assert (fast_error, fast_reached) == (plain_error, reached)
    assert_alike(plain, fast)


def test_most_compressed_transactions_are_read_in_c(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Writer(MYSQL)
    for number in range(60):
        log.transaction(packed(small(MYSQL)[number % 3], 0))
    fast = world(MYSQL, "defaults", native_modules=True)
    fed = counted_in_c(fast, monkeypatch)
    fast.feed(log.events)
    assert sum(fed) > 0.7 * len(log.events)
    assert fast.reader.stream.transactions == 60


@pytest.mark.parametrize("mode", ["defaults", "metadata"])
def test_transactions_without_gtids(mode: str) -> None:
    """gtid_mode is OFF: a transaction's id is then where it is."""
    log = Writer(MYSQL)
    for _ in range(5):
        for gtid, *rest in small(MYSQL)[:3]:
            log.transaction([gtid[:4] + bytes((const.ANONYMOUS_GTID_LOG_EVENT,)) + gtid[5:20] + bytes(24) + gtid[44:],
                             *rest])
    plain, fast = worlds(MYSQL, mode)
    assert_alike(plain.feed(log.events), fast.feed(log.events))
    assert fast.reader.stream.transactions == 15


def test_more_kinds_of_begin_than_c_keeps_are_not_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A BEGIN has the session's default database, of which a server may have hundreds."""
    first = next(each for each in small(MYSQL) if each[1][4] == const.QUERY_EVENT)
    log = Writer(MYSQL)
    for number in [*range(70), *range(70)]:
        begin = first[1][19:-4]
        database = begin[8]
        status = int.from_bytes(begin[11:13], "little")
        at = 13 + status
        name = b"db%03d" % number
        body = begin[:8] + bytes((len(name),)) + begin[9:at] + name + begin[at + database:]
        log.transaction([first[0], resized(first[1], body, True), *first[2:]])
    plain, fast = (world(MYSQL, "defaults", native_modules=each) for each in (False, True))
    learned: list[bytes] = []
    native_log: Any = fast.reader.native
    learn = native_log.log._learn

    def learning(event: bytes, end: int) -> None:
        learned.append(event)
        learn(event, end)

    monkeypatch.setattr(native_log.log, "_learn", learning)
    middle = 1 + 70 * len(first)
    assert_alike(plain.feed(log.events[:middle]), fast.feed(log.events[:middle]))
    assert learned
    learned.clear()
    assert_alike(plain.feed(log.events[middle:]), fast.feed(log.events[middle:]))
    assert learned == [], "what is known or refused is not learned again"


@pytest.mark.parametrize("name", NAMES)
def test_others_see_the_records_that_the_plain_reader_makes(name: str) -> None:
    plain, fast = worlds(name)
    events = log_of(name, 6, usual=True)
    for each in (plain, fast):
        each.reader.run(events, 0, EVERYTHING, EVERYTHING)
    rows: Any = fast.reader.native
    items = fast.reader.emitter.take()
    assert not all(isinstance(each, Record | Message) for each in items)
    assert [shown(each) for each in rows.batch(items)] == [shown(each) for each in plain.reader.emitter.take()]


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 100, 1000])
def test_checksums(size: int) -> None:
    data = random.Random(size).randbytes(size)
    assert native.module("binlog").crc32(data) == zlib.crc32(data)
