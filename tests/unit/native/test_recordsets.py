"""Messages become Kafka's record batches: nothing lost or mixed up, each on its partition, within the limits."""

from __future__ import annotations

import gc
import random
import threading
import zlib
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import pytest

from cdc import native
from cdc.core.interfaces import Outgoing
from tests.unit.native.record_batches import Reader, Record, crc32c, head_of

made = native.module("recordsets")
batches = native.module("batch")
pytestmark = pytest.mark.skipif(made is None, reason="no native modules were built")

NOW_MS = 1_700_000_000_000
HEADERS = [("id", b"1"), ("empty", b""), ("null", None), ("größe", b"\xff" * 200)]


def new(most_batch_bytes: int = 1000, most_bytes: int = 1 << 20, most_count: int = 10_000) -> Any:
    return made.RecordSets(most_batch_bytes, most_bytes, most_count)


def arena(outgoings: Iterable[Outgoing]) -> Any:
    out = batches.OutBatch()
    for each in outgoings:
        out.append(each)
    return out


def one_topic(partitions: int = 1, headers: Sequence[tuple[str, bytes | None]] = (), **limits: int) -> Any:
    """Sets with topic 0 and route 0."""
    sets = new(**limits)
    assert sets.topic("t") == 0
    sets.partitions(0, partitions)
    assert sets.route(0, headers) == 0
    return sets


def message(number: int, size: int = 10, partition: int = -1, **more: Any) -> Outgoing:
    return Outgoing("t", b"key %d" % number, b"%d" % number + b"v" * size, partition, (), "t")._replace(**more)


def drained(sets: Any, open_too: bool = True) -> list[Any]:
    """All sets that can be taken, those of a partition in order."""
    found = []
    for topic, partition in sets.ready(all=open_too):
        while (taken := sets.take(topic, partition, open_too)) is not None:
            found.append(taken)
    return found


def read(taken: Any) -> list[Record]:
    records = Reader(taken.records(), taken.base_ms).all()
    assert [each.offset for each in records] == list(range(taken.count))
    assert taken.raw_bytes == len(taken.records())
    assert taken.base_ms == records[0].timestamp_ms
    assert taken.max_ms == max(each.timestamp_ms for each in records)
    assert sum(count for _, count in taken.deliveries) == taken.count
    return records


def keys(taken: Any) -> list[bytes | None]:
    return [each.key for each in read(taken)]


# -- records ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("one_by_one", [False, True])
def test_messages_become_records_with_all_they_have(one_by_one: bool) -> None:
    draw = random.Random(1)
    wanted = [Outgoing("t", draw.choice([None, b"", draw.randbytes(draw.choice([1, 63, 64, 200]))]),
                       draw.choice([None, b"", draw.randbytes(draw.choice([1, 64, 8191, 8192]))]), 0, HEADERS, "t",
                       draw.choice([-1, NOW_MS, NOW_MS - 5, NOW_MS + 10_000_000, 1])) for _ in range(300)]
    sets = one_topic(headers=HEADERS, most_batch_bytes=100_000, most_bytes=10 << 20)
    if one_by_one:
        for each in wanted:
            assert sets.put(0, each.key, each.value, 0, each.timestamp_ms, 7, NOW_MS) == 0
    else:
        assert sets.put_batch(arena(wanted), 0, [0], 7, NOW_MS) == 300
        assert sets.reason == 0
    taken = drained(sets)
    assert len(taken) > 3
    found = [record for each in taken for record in read(each)]
    assert [each[1:] for each in found] == [
        (each.timestamp_ms if each.timestamp_ms > 0 else NOW_MS, each.key, each.value, HEADERS) for each in wanted]
    assert sets.value_bytes == sum(len(each.value or b"") for each in wanted)
    assert {each.opened_at_ms for each in taken} == {NOW_MS}


def test_a_strange_timestamp_is_kept() -> None:
    sets = one_topic(most_batch_bytes=10_000)
    wanted = [2**63 - 1, 1, 2**62]
    for each in wanted:
        assert sets.put(0, b"k", b"v", 0, each, 1, NOW_MS) == 0
    taken, = drained(sets)
    records = Reader(taken.records(), taken.base_ms).all()
    assert [each.timestamp_ms for each in records] == wanted
    assert taken.max_ms == 2**63 - 1


def test_each_route_has_its_topic_and_headers() -> None:
    sets = new(most_batch_bytes=10_000)
    kinds: list[tuple[str, list[tuple[str, bytes | None]]]] = [("a", []), ("b", HEADERS), ("a", [("x", b"y")])]
    routes = []
    for name, headers in kinds:
        topic = sets.topic(name)
        sets.partitions(topic, 1)
        routes.append(sets.route(topic, headers))
    assert sets.topic("a") == 0
    assert sets.route(1, [*HEADERS]) == routes[1]
    wanted = [Outgoing(name, b"%d" % number, b"v", -1, headers, "t") for number, (name, headers) in enumerate(kinds)]
    assert sets.put_batch(arena(wanted), 0, routes, 1, NOW_MS) == 3
    assert [(each.topic, [(record.key, record.headers) for record in read(each)]) for each in drained(sets)] == [
        (0, [(b"0", []), (b"2", [("x", b"y")])]), (1, [(b"1", HEADERS)])]


def test_a_record_may_have_headers_of_its_own() -> None:
    sets = one_topic()
    for number in range(3):
        assert sets.put(0, b"k", b"v", 0, -1, 1, NOW_MS, [("id", b"%d" % number)] if number else None) == 0
    taken, = drained(sets)
    assert [each.headers for each in read(taken)] == [[], [("id", b"1")], [("id", b"2")]]


def test_what_is_no_bytes_is_refused() -> None:
    sets = one_topic()
    for wrong in ("text", bytearray(b"x"), 5):
        with pytest.raises(TypeError):
            sets.put(0, wrong, b"v", 0, -1, 1, NOW_MS)
        with pytest.raises(TypeError):
            sets.put(0, b"k", wrong, 0, -1, 1, NOW_MS)
        with pytest.raises(TypeError):
            sets.route(0, [("name", wrong)])
    assert sets.held_count == 0
    assert drained(sets) == []


# -- partitions -------------------------------------------------------------------------------------------------------


MURMUR2 = {b"21": -973932308, b"foobar": -790332482, b"a-little-bit-long-string": -985981536,
           b"a-little-bit-longer-string": -1486304829, b"abc": 479470107,
           b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971}
"""UtilsTest.testMurmur2 of Kafka's Java client."""


@pytest.mark.parametrize("key", MURMUR2)
def test_keys_are_hashed_as_java_does(key: bytes) -> None:
    for count in (1, 2, 7, 100, 2**31 - 1):
        assert made.murmur2_partition(key, count) == (MURMUR2[key] & 0x7FFFFFFF) % count


def test_a_key_goes_to_its_partition_and_stays_in_order() -> None:
    sets = one_topic(partitions=7)
    wanted = [message(number % 50, value=b"%d" % number) for number in range(2000)]
    assert sets.put_batch(arena(wanted), 0, [0], 1, NOW_MS) == 2000
    found: dict[bytes, list[int]] = {}
    for taken in drained(sets):
        for record in read(taken):
            assert record.key is not None
            assert record.value is not None
            assert made.murmur2_partition(record.key, 7) == taken.partition
            found.setdefault(record.key, []).append(int(record.value))
    assert found == {b"key %d" % key: list(range(key, 2000, 50)) for key in range(50)}


def test_a_given_partition_is_used() -> None:
    sets = one_topic(partitions=3)
    wanted = [message(number, partition=number % 3, key=b"same") for number in range(30)]
    assert sets.put_batch(arena(wanted), 0, [0], 1, NOW_MS) == 30
    assert {each.partition: [record.value for record in read(each)] for each in drained(sets)} == {
        partition: [each.value for each in wanted[partition::3]] for partition in range(3)}


def test_records_without_a_key_stay_on_a_partition_until_its_batch_is_closed() -> None:
    sets = one_topic(partitions=10)
    wanted = [message(number, key=None) for number in range(1000)]
    assert sets.put_batch(arena(wanted), 0, [0], 1, NOW_MS) == 1000
    taken = drained(sets)
    order = sorted(taken, key=lambda each: int((read(each)[0].value or b"").rstrip(b"v")))
    assert [record.value for each in order for record in read(each)] == [each.value for each in wanted]
    assert len({each.partition for each in taken}) > 3
    for one, other in pairwise(order):
        assert one.partition != other.partition
        assert one.raw_bytes > 850


def test_an_empty_key_is_a_key() -> None:
    sets = one_topic(partitions=10)
    for _ in range(5):
        assert sets.put(0, b"", b"v", -1, -1, 1, NOW_MS) == 0
        drained(sets)[0].give_back()
    sets.put(0, b"", b"v", -1, -1, 1, NOW_MS)
    assert sets.ready(all=True) == [(0, made.murmur2_partition(b"", 10))]


def test_records_without_a_key_avoid_what_is_not_available() -> None:
    sets = one_topic(partitions=4)
    for partition in (0, 1, 3):
        sets.available(0, partition, False)
    for _ in range(20):
        assert sets.put(0, None, b"v", -1, -1, 1, NOW_MS) == 0
        assert [each.partition for each in drained(sets)] == [2]
    sets.available(0, 2, False)
    assert sets.put(0, None, b"v", -1, -1, 1, NOW_MS) == 0
    assert len(drained(sets)) == 1
    sets.available(0, 1, True)
    assert sets.put(0, None, b"v", -1, -1, 1, NOW_MS) == 0
    assert [each.partition for each in drained(sets)] == [1]


def test_partitions_may_be_added_and_be_fewer_again() -> None:
    sets = one_topic(partitions=1)
    assert sets.put(0, b"abc", b"v", -1, -1, 1, NOW_MS) == 0
    sets.partitions(0, 100)
    assert sets.put(0, b"abc", b"v", -1, -1, 1, NOW_MS) == 0
    there = MURMUR2[b"abc"] % 100
    assert sets.ready(all=True) == [(0, 0), (0, there)]
    sets.partitions(0, 2)
    assert sets.put(0, None, b"v", there, -1, 1, NOW_MS) == made.BAD_PARTITION
    assert [each.partition for each in drained(sets)] == [0, there]
    sets.partitions(0, 0)
    assert sets.put(0, b"abc", b"v", -1, -1, 1, NOW_MS) == made.NO_PARTITIONS


# -- limits -----------------------------------------------------------------------------------------------------------


def test_a_batch_is_closed_before_it_is_too_large() -> None:
    sets = one_topic(most_batch_bytes=1000)
    wanted = [message(number, size=100) for number in range(100)]
    assert sets.put_batch(arena(wanted), 0, [0], 1, NOW_MS) == 100
    closed = drained(sets, open_too=False)
    assert all(800 < 61 + each.raw_bytes <= 1000 for each in closed)
    last, = drained(sets)
    assert [key for each in (*closed, last) for key in keys(each)] == [each.key for each in wanted]


def test_a_larger_record_has_a_batch_of_its_own() -> None:
    sets = one_topic(most_batch_bytes=1000)
    wanted = [message(0), message(1, size=100_000), message(2), message(3)]
    assert sets.put_batch(arena(wanted), 0, [0], 1, NOW_MS) == 4
    assert [keys(each) for each in drained(sets)] == [[b"key 0"], [b"key 1"], [b"key 2", b"key 3"]]


def test_a_record_above_the_limit_stops_the_batch_and_says_so() -> None:
    sets = one_topic(most_batch_bytes=100_000, headers=[("name", b"value")])
    sets.most_record_bytes = 500
    head = 36 + len(b"\x08name\x0avalue") + len(b"key 1")
    fits, too_large = message(1, value=b"v" * (500 - head)), message(1, value=b"v" * (501 - head))
    out = arena([fits, fits, too_large, fits])
    assert sets.put_batch(out, 0, [0], 1, NOW_MS) == 2
    assert sets.reason == made.TOO_LARGE
    assert sets.put_batch(out, 3, [0], 1, NOW_MS) == 4
    assert [each.count for each in drained(sets)] == [1, 1, 1], "no batch is larger than a record may be"
    with pytest.raises(ValueError, match="out of range"):
        sets.most_record_bytes = 0


def test_when_too_much_is_held_the_rest_is_not_taken() -> None:
    sets = one_topic(most_bytes=2000)
    wanted = [message(number, size=100) for number in range(50)]
    out, index, found = arena(wanted), 0, []
    while index < 50:
        before = index
        index = sets.put_batch(out, index, [0], 1, NOW_MS)
        assert index > before
        assert sets.reason == (made.FULL if index < 50 else 0)
        assert 1500 < sets.held_bytes <= 2000 or index == 50
        assert sets.put_batch(out, index, [0], 1, NOW_MS) == index
        for taken in drained(sets):
            found += keys(taken)
            assert sets.held_bytes > 0
            taken.give_back()
        assert (sets.held_bytes, sets.held_count) == (0, 0)
    assert found == [each.key for each in wanted]


def test_records_are_counted_too() -> None:
    sets = one_topic(most_count=3)
    assert sets.put_batch(arena(map(message, range(5))), 0, [0], 1, NOW_MS) == 3
    assert sets.put(0, b"k", b"v", -1, -1, 1, NOW_MS) == made.FULL
    assert sets.held_count == 3


def test_one_record_is_taken_however_large_it_is() -> None:
    sets = one_topic(most_bytes=100)
    assert sets.put_batch(arena([message(0, size=5000), message(1)]), 0, [0], 1, NOW_MS) == 1
    assert sets.reason == made.FULL


def test_what_is_not_known_stops_the_batch() -> None:
    sets = one_topic()
    out = arena([message(0), message(1, topic="u"), message(2)])
    assert sets.put_batch(out, 0, [0, made.NONE], 1, NOW_MS) == 1
    assert sets.reason == made.NO_ROUTE
    route = sets.route(sets.topic("u"), ())
    assert sets.put_batch(out, 1, [0, route], 1, NOW_MS) == 1
    assert sets.reason == made.NO_PARTITIONS
    sets.partitions(1, 1)
    assert sets.put_batch(out, 1, [0, route], 1, NOW_MS) == 3
    assert sets.put_batch(arena([message(0, partition=1)]), 0, [0], 1, NOW_MS) == 0
    assert sets.reason == made.BAD_PARTITION
    assert sets.put_batch(arena([message(0)]), 0, [], 1, NOW_MS) == 0
    assert sets.reason == made.NO_ROUTE
    assert sets.put(9, b"k", b"v", 0, -1, 1, NOW_MS) == made.NO_ROUTE
    assert [(each.topic, keys(each)) for each in drained(sets)] == [(0, [b"key 0", b"key 2"]), (1, [b"key 1"])]


def test_numbers_that_nobody_gave_are_refused() -> None:
    sets = one_topic()
    with pytest.raises(IndexError):
        sets.route(1, ())
    with pytest.raises(IndexError):
        sets.partitions(1, 1)
    with pytest.raises(IndexError):
        sets.available(1, 0, True)
    with pytest.raises(IndexError):
        sets.put_batch(arena([message(0)]), 2, [0], 1, NOW_MS)
    for place in ((1, 0), (0, 1), (0, -1), (0, 2**31 - 1), (2**32 - 1, 0)):
        assert sets.take(*place, True) is None
    with pytest.raises(ValueError, match="out of range"):
        made.RecordSets(0, 1, 1)


# -- sets -------------------------------------------------------------------------------------------------------------


def test_ready_names_what_waits_longest_first() -> None:
    sets = new(most_batch_bytes=200)
    for name in "ab":
        sets.partitions(sets.topic(name), 3)
        sets.route(sets.topic(name), ())
    for route, partition, count in ((1, 2, 3), (0, 0, 1), (0, 1, 3), (1, 0, 1)):
        for number in range(count):
            assert sets.put(route, b"%d" % number, b"v" * 50, partition, -1, 1, NOW_MS) == 0
    assert sets.ready() == [(1, 2), (0, 1)]
    assert sets.ready(all=True) == [(1, 2), (0, 1), (0, 0), (1, 0)]
    assert sets.ready(0) == [(0, 1)]
    assert sets.ready(1, all=True) == [(1, 2), (1, 0)]
    assert sets.take(0, 0, False) is None
    assert keys(sets.take(1, 2, False)) == [b"0"]
    assert sets.ready() == [(1, 2), (0, 1)]
    assert keys(sets.take(1, 2, True)) == [b"1"]
    assert keys(sets.take(1, 2, True)) == [b"2"]
    assert sets.take(1, 2, True) is None
    assert sets.ready(all=True) == [(0, 1), (0, 0), (1, 0)]


def test_ready_names_many_partitions() -> None:
    sets = one_topic(partitions=1000)
    for partition in range(1000):
        assert sets.put(0, b"k", b"v", partition, -1, 1, NOW_MS) == 0
    assert sets.ready() == []
    assert sets.ready(all=True) == [(0, partition) for partition in range(1000)]


def test_a_set_knows_which_deliveries_its_records_belong_to() -> None:
    sets = one_topic(most_batch_bytes=100_000)
    for delivery, count in ((5, 3), (6, 1), (-7, 20), (2**62, 2), (5, 1)):
        assert sets.put_batch(arena(map(message, range(count))), 0, [0], delivery, NOW_MS) == count
    taken, = drained(sets)
    assert taken.deliveries == [(5, 3), (6, 1), (-7, 20), (2**62, 2), (5, 1)]


def test_a_record_can_be_named() -> None:
    sets = one_topic(most_batch_bytes=100_000)
    for key, value in ((b"first", b"12"), (None, b"345"), (b"k" * 5000, None), (b"", b"")):
        assert sets.put(0, key, value, 0, -1, 1, NOW_MS) == 0
    taken, = drained(sets)
    assert taken.first_key() == b"first"
    assert [taken.sizes(index) for index in range(4)] == [
        (b"first", 5, 2), (None, 0, 3), (b"k" * 1024, 5000, 0), (b"", 0, 0)]
    assert [taken.sizes(index)[2] for index in (2, 0, 0, 3, 1)] == [0, 2, 2, 0, 3]
    with pytest.raises(IndexError):
        taken.sizes(4)
    taken.give_back()
    with pytest.raises(ValueError, match="given back"):
        taken.sizes(0)


def test_a_set_can_be_split_down_to_its_records() -> None:
    sets = one_topic(most_batch_bytes=100_000, headers=HEADERS)
    draw = random.Random(2)
    for number in range(25):
        assert sets.put(0, b"%d" % number, draw.randbytes(draw.randrange(300)), 0, NOW_MS + draw.randrange(-99, 99),
                        number // 7, NOW_MS) == 0
    held = sets.held_count
    whole, = drained(sets)
    wanted = [each[1:] for each in read(whole)]
    parts = whole.split()
    assert len(parts) == 2
    with pytest.raises(ValueError, match="given back"):
        whole.split()
    while any(each.count > 1 for each in parts):
        assert sets.held_count == held
        assert [record[1:] for each in parts for record in read(each)] == wanted
        parts = [half for each in parts for half in each.split()]
    assert [number for each in parts for number, count in each.deliveries for _ in range(count)] == [
        number // 7 for number in range(25)]
    assert {(each.opened_at_ms, each.partition) for each in parts} == {(NOW_MS, 0)}
    assert parts[0].split() == [parts[0]]
    assert sets.held_bytes == sum(each.raw_bytes for each in parts)
    for each in parts:
        each.give_back()
    assert (sets.held_bytes, sets.held_count) == (0, 0)


def test_bytes_stay_while_somebody_looks_at_them() -> None:
    sets = one_topic()
    assert sets.put_batch(arena(map(message, range(10))), 0, [0], 1, NOW_MS) == 10
    taken, = drained(sets)
    view = taken.records()
    before = bytes(view)
    taken.give_back()
    assert sets.held_count == 0
    with pytest.raises(BufferError):
        taken.records()
    assert sets.put_batch(arena(message(number, size=80) for number in range(100)), 0, [0], 1, NOW_MS) == 100
    assert bytes(view) == before
    with pytest.raises(TypeError):
        view[0] = 1
    view.release()
    taken.give_back()
    assert taken.deliveries == [(1, 10)]
    assert sets.held_count == 100


def test_packed_records_take_no_memory_and_can_be_had_again() -> None:
    sets = one_topic(most_batch_bytes=100_000, headers=HEADERS)
    assert sets.put_batch(arena(message(number, size=200) for number in range(40)), 0, [0], 1, NOW_MS) == 40
    whole, = drained(sets)
    wanted = [each[1:] for each in read(whole)]
    with memoryview(whole) as view:
        packed = zlib.compress(view)
        with pytest.raises(BufferError):
            whole.pack(packed, zlib.decompress)
    whole.pack(packed, zlib.decompress)
    assert (sets.held_bytes, sets.held_count) == (len(packed), 40)
    with pytest.raises(ValueError, match="packed"):
        whole.pack(packed, zlib.decompress)
    assert whole.sizes(39)[0] == b"key 39"
    assert sets.held_bytes == whole.raw_bytes
    for each in (zlib.compress(bytes(whole)), b""):
        assert [record[1:] for record in read(whole)] == wanted
        whole.pack(each, {b"": lambda _: packed}.get(each, zlib.decompress))
    with pytest.raises(ValueError, match="other records"):
        whole.split()
    whole.give_back()
    assert (sets.held_bytes, sets.held_count) == (0, 0)
    with pytest.raises(ValueError, match="given back"):
        whole.pack(packed, zlib.decompress)


@pytest.mark.parametrize("restored", [False, True])
def test_a_packed_set_is_split_and_given_back_as_any_other(restored: bool) -> None:
    sets = one_topic(most_batch_bytes=100_000)
    assert sets.put_batch(arena(map(message, range(10))), 0, [0], 1, NOW_MS) == 10
    whole, = drained(sets)
    whole.pack(zlib.compress(bytes(whole)), zlib.decompress)
    if restored:
        first, second = whole.split()
        assert keys(first) + keys(second) == [b"key %d" % number for number in range(10)]
        assert sets.held_bytes == first.raw_bytes + second.raw_bytes
        del first, second
    del whole
    gc.collect()
    assert (sets.held_bytes, sets.held_count) == (0, 0)


def test_a_set_that_nobody_wants_gives_itself_back() -> None:
    sets = one_topic()
    for _ in range(2):
        sets.put(0, b"k", b"v", 0, -1, 1, NOW_MS)
        view = memoryview(drained(sets)[0])
        gc.collect()
        assert sets.held_count == 1
        del view
        assert (sets.held_count, sets.held_bytes) == (0, 0)


def test_a_set_outlives_the_others() -> None:
    sets = one_topic()
    assert sets.put_batch(arena(map(message, range(200))), 0, [0], 1, NOW_MS) == 200
    taken = sets.take(0, 0, True)
    before = keys(taken)
    del sets
    gc.collect()
    assert keys(taken) == before
    first, second = taken.split()
    assert keys(first) + keys(second) == before


def test_one_thread_may_fill_while_another_one_takes() -> None:
    sets, count = one_topic(partitions=3, most_bytes=20_000), 30_000
    found: dict[int, list[int]] = {0: [], 1: [], 2: []}
    wrong: list[BaseException] = []

    def send() -> None:
        try:
            while sum(map(len, found.values())) < count:
                for place in sets.ready(all=True):
                    taken = sets.take(*place, True)
                    found[taken.partition] += [int(key[4:]) for key in keys(taken) if key]
                    taken.give_back()
        except BaseException as exc:
            wrong.append(exc)

    other = threading.Thread(target=send, daemon=True)
    other.start()
    for start in range(0, count, 500):
        out, index = arena(message(number, partition=number % 3) for number in range(start, start + 500)), 0
        while index < 500 and not wrong:
            index = sets.put_batch(out, index, [0], 1, NOW_MS)
    other.join(60)
    assert wrong == []
    assert found == {partition: list(range(partition, count, 3)) for partition in range(3)}
    assert (sets.held_bytes, sets.held_count) == (0, 0)


# -- batches ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("data", "crc"), [
    (bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43), (bytes(range(32)), 0x46DD794E),
    (bytes(reversed(range(32))), 0x113FDB5C),
    (bytes.fromhex("01c00000000000000000000000000000140000000000040000000014000000182800000000000000"
                   "0200000000000000"), 0xD9963A56)])
@pytest.mark.parametrize("plain", [False, True])
def test_checksums_are_those_of_the_standard(data: bytes, crc: int, plain: bool) -> None:
    """RFC 3720, B.4."""
    assert made.crc32c(data, plain=plain) == crc
    for cut in range(len(data)):
        assert made.crc32c(data[cut:], made.crc32c(data[:cut], plain=plain), plain=plain) == crc


def test_both_ways_to_a_checksum_agree() -> None:
    data = random.Random(3).randbytes(5000)
    for start, end in ((0, 5000), (1, 4999), (3, 2000), (7, 15), (5, 5)):
        assert made.crc32c(data[start:end]) == made.crc32c(data[start:end], plain=True) == crc32c(data[start:end])


@pytest.mark.parametrize("attributes", [0, 1])
def test_a_batch_has_the_head_of_the_format(attributes: int) -> None:
    sets = one_topic()
    for number in range(5):
        assert sets.put(0, b"%d" % number, b"v", 0, NOW_MS + [0, 7, 3, 9, -4][number], 1, NOW_MS) == 0
    taken, = drained(sets)
    body = zlib.compress(taken.records(), wbits=31) if attributes else bytes(taken.records())
    head = made.batch_head(taken.base_ms, taken.max_ms, taken.count, body, attributes, 2**40, 3, 2**31 - 1)
    found = head_of(head)
    crc = crc32c((head + body)[21:])
    assert found == (0, len(head) + len(body) - 12, -1, 2, crc, attributes, 4, NOW_MS, NOW_MS + 9, 2**40, 3, 2**31 - 1,
                     5)


def test_a_head_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        made.batch_head(0, 0, 0, b"", 0, 1, 0, 0)
    with pytest.raises(ValueError, match="at least one"):
        made.murmur2_partition(b"k", 0)
