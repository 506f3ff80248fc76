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
from cdc.sources.mysql.binlog.rows import ROWS_EVENTS
from tests.unit.mutations import mutated
from tests.unit.sources.mysql import binlog_files
from tests.unit.sources.mysql.binlog_files import MARIADB, MYSQL, resized
from tests.unit.sources.mysql.test_native_rows import EVERYTHING, World, assert_alike, shown, world, worlds

pytestmark = pytest.mark.skipif(native.module("binlog") is None, reason="no native modules were built")

NAMES = [MYSQL, MARIADB]
GTIDS = (const.GTID_LOG_EVENT, const.GTID_EVENT)
Transaction = list[bytes]


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
    for mode in ("defaults", "texts", "connect", "masked", "changed"):
        plain, fast = worlds(name, mode)
        assert_alike(plain.feed(events), fast.feed(events))
        assert fast.reader.stream.transactions == 60


@pytest.mark.parametrize("limit", [1, 2, 3, 10, 100])
@pytest.mark.parametrize("name", NAMES)
def test_batches_end_at_the_same_places(name: str, limit: int) -> None:
    events = log_of(name, limit)
    plain, fast = worlds(name)
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


@pytest.mark.parametrize("seed", range(60))
@pytest.mark.parametrize("name", NAMES)
def test_changed_events_give_the_same_or_the_same_error(name: str, seed: int) -> None:
    events = log_of(name, seed, change=strange)
    found = []
    for each in worlds(name, tolerant=True):
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


@pytest.mark.parametrize("name", NAMES)
def test_most_transactions_are_read_in_c(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    events = log_of(name, 5, usual=True)
    fast = world(name, "defaults", native_modules=True)
    fed: list[int] = []
    log: Any = fast.reader.native
    read = log.log.read

    def reading(given: list[bytes], first: int, *limits: int) -> int:
        following: int = read(given, first, *limits)
        fed.append(following - first)
        return following

    monkeypatch.setattr(log.log, "read", reading)
    fast.feed(events)
    assert sum(fed) > 0.7 * len(events)


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

    def learning(event: bytes) -> None:
        learned.append(event)
        learn(event)

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
