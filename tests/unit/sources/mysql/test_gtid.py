"""Sets of GTIDs against plain sets of numbers, and in the servers' forms."""

from __future__ import annotations

import random

import pytest

from cdc.core.errors import ConfigError, ProtocolError
from cdc.sources.mysql.binlog.gtid import GtidSet, MariaGtidSet, decode_uuid, read_varlen
from tests.unit.sources.mysql.binlog_files import MYSQL_MINIMAL, frames

A = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
B = "3e11fa47-71ca-11e1-9e33-c80aa9429563"


def plain(gtids: GtidSet) -> set[tuple[str, str, int]]:
    """One by one, by asking."""
    return {(uuid, tag, number) for uuid in (A, B) for tag in ("", "t") for number in range(1, 40)
            if gtids.has(uuid, tag, number)}


def made(seed: random.Random) -> GtidSet:
    return GtidSet({(uuid, tag): [(first := seed.randint(1, 30), first + seed.randint(0, 6))
                                  for _ in range(seed.randint(0, 4))]
                    for uuid in (A, B) for tag in ("", "t")})


def test_algebra_is_that_of_sets() -> None:
    seed = random.Random(7)
    for _ in range(300):
        one, other = made(seed), made(seed)
        assert plain(one.union(other)) == plain(one) | plain(other)
        assert plain(one.subtract(other)) == plain(one) - plain(other)
        assert one.contains(other) == (plain(one) >= plain(other))
        assert one.union(other).contains(one)
        assert not one.subtract(other).subtract(one)
        assert one.union(other) == other.union(one)
        number = seed.randint(1, 39)
        assert plain(one.with_gtid(A, "t", number)) == plain(one) | {(A, "t", number)}
        last = number + seed.randint(0, 5)
        both = one.union(GtidSet({(A, ""): [(number, last)]}))
        one.add_range(A, "", number, last)
        assert one == both


def test_texts_and_bytes_go_round() -> None:
    seed = random.Random(8)
    for _ in range(300):
        gtids = made(seed)
        assert GtidSet.parse(str(gtids)) == gtids
        assert GtidSet.decode(gtids.encode()) == gtids
        assert hash(GtidSet.parse(str(gtids))) == hash(gtids)


@pytest.mark.parametrize(("text", "printed"), [
    ("", ""),
    (f"{A.upper()}:1-5", f"{A}:1-5"),
    (f"{A}:1-5:6:9", f"{A}:1-6:9"),
    (f"{A}:1-5:3-8", f"{A}:1-8"),
    (f"{B}:1,\n{A}:2", f"{A}:2,{B}:1"),
    (f"{A}:1-3:tag_b:4:tag_a:1-2:7", f"{A}:1-3:tag_a:1-2:7:tag_b:4"),
    (f" {A} : TAG : 1 , {A}:9", f"{A}:9:tag:1"),
    (f"{A}:5-3", ""),
])
def test_texts_of_servers_are_read(text: str, printed: str) -> None:
    assert str(GtidSet.parse(text)) == printed


@pytest.mark.parametrize("text", ["x", A, f"{A}:", f"{A}:x-1", f"{A}:0", f"{A}:1-", f"{A}:-1", f"{A}:1:1x",
                                  f"{A}:9223372036854775808", f"{A}:1 {B}:2", "0-1-5", f"{A}:{'t' * 33}:1"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        GtidSet.parse(text)


def test_transactions_in_order_make_one_interval() -> None:
    gtids = GtidSet()
    for number in range(1, 1001):
        gtids = gtids.with_gtid(A, "", number)
    assert str(gtids) == f"{A}:1-1000"
    assert gtids.with_gtid(A, "", 500) == gtids
    assert str(gtids.with_gtid(B, "", 7)) == f"{A}:1-1000,{B}:7"


class Counted(int):
    """A number that counts how often it is compared."""

    times = 0

    def __lt__(self, other: int) -> bool:
        Counted.times += 1
        return int(self) < int(other)

    def __le__(self, other: int) -> bool:
        Counted.times += 1
        return int(self) <= int(other)

    def __gt__(self, other: int) -> bool:
        Counted.times += 1
        return int(self) > int(other)

    def __add__(self, other: int) -> Counted:
        return Counted(int(self) + int(other))

    def __sub__(self, other: int) -> Counted:
        return Counted(int(self) - int(other))


def test_a_hundred_thousand_gaps_cost_a_search_each() -> None:
    """A log may leave every second number out, or fill the gaps later, in any order."""
    gtids, asked = GtidSet(), 100_000
    numbers = [2 * number + 1 for number in range(asked)]
    late = random.Random(3).sample(numbers[:2000], 2000)  # the first ones come last
    Counted.times = 0
    for number in [*numbers[2000:], *late]:
        gtids.add(A, "", Counted(number))
    assert Counted.times < 30 * asked
    assert gtids == GtidSet({(A, ""): [(number, number) for number in numbers]})
    Counted.times = 0
    assert gtids.has(A, "", Counted(numbers[777]))
    assert not gtids.has(A, "", Counted(numbers[777] + 1))
    assert Counted.times < 100
    for number in reversed(numbers):
        gtids.add(A, "", number + 1)
    assert str(gtids) == f"{A}:1-{2 * asked}"


def test_sources_can_be_left_out() -> None:
    gtids = GtidSet.parse(f"{A}:1-5:t:1,{B}:1")
    assert str(gtids.only(lambda uuid: uuid == A)) == f"{A}:1-5:t:1"
    assert gtids.uuids() == [A, B]


def test_the_binary_form_is_the_servers() -> None:
    """PREVIOUS_GTIDS of a MySQL 9.7; older servers have the form without tags."""
    recorded = frames(MYSQL_MINIMAL)[1][19:]
    gtids = GtidSet.parse("fa9734a8-e566-11f1-ac32-02fc00000001:1-37:my_tag:1")
    assert GtidSet.decode(recorded) == gtids
    assert gtids.encode() == recorded
    assert GtidSet.parse(f"{A}:1-5").encode() == b"\1" + b"\0" * 7 + bytes.fromhex(A.replace("-", "")) + b"\1" \
        + b"\0" * 7 + b"\1" + b"\0" * 7 + b"\6" + b"\0" * 7


def test_damaged_bytes_are_errors() -> None:
    for text in (f"{A}:1-5:9,{B}:1", f"{A}:1-5:t:1-2:7"):
        data = GtidSet.parse(text).encode()
        for length in range(len(data)):
            with pytest.raises(ProtocolError):
                GtidSet.decode(data[:length])
        with pytest.raises(ProtocolError):
            GtidSet.decode(data + b"\0")
        with pytest.raises(ProtocolError):
            GtidSet.decode(data[:7] + b"\2" + data[8:])
    hostile = b"\1" + b"\0" * 7 + b"u" * 16 + b"\xff" * 8
    with pytest.raises(ProtocolError):
        GtidSet.decode(hostile)
    backwards = b"\1" + b"\0" * 7 + b"u" * 16 + b"\1" + b"\0" * 7 + b"\5" + b"\0" * 7 + b"\5" + b"\0" * 7
    with pytest.raises(ProtocolError, match="out of order"):
        GtidSet.decode(backwards)
    with pytest.raises(ProtocolError):
        decode_uuid(b"u" * 15, 0)


@pytest.mark.parametrize(("data", "value"), [
    ("00", 0), ("02", 1), ("fe", 127), ("0102", 128), ("fbff07", 65535), ("ff" + "ff" * 8, (1 << 64) - 1),
    ("7f" + "ff" * 7, (1 << 56) - 1),
])
def test_integers_of_variable_length_are_read(data: str, value: int) -> None:
    raw = bytes.fromhex(data)
    assert read_varlen(raw, 0, len(raw)) == (value, len(raw))
    for length in range(len(raw)):
        with pytest.raises(ProtocolError):
            read_varlen(raw, 0, length)


# -- MariaDB -----------------------------------------------------------------------------------------------------


def test_mariadb_positions_go_round() -> None:
    assert str(MariaGtidSet.parse("1-2-30, 0-1-100")) == "0-1-100,1-2-30"
    assert not MariaGtidSet.parse("")
    for bad in ("1-2", "a-b-c", "1-2-3-4", f"{A}:1-5"):
        with pytest.raises(ConfigError):
            MariaGtidSet.parse(bad)


def test_the_last_of_a_domain_counts() -> None:
    assert str(MariaGtidSet.parse("0-1-100,0-2-90")) == "0-1-100"
    assert str(MariaGtidSet.parse("0-1-100").with_gtid(0, 2, 101).with_gtid(5, 1, 1)) == "0-2-101,5-1-1"


def test_mariadb_containment_is_by_domain() -> None:
    have = MariaGtidSet.parse("0-1-100,1-1-5")
    assert have.contains(MariaGtidSet.parse("0-2-100"))
    assert have.contains(MariaGtidSet())
    assert not have.contains(MariaGtidSet.parse("0-1-101"))
    assert not have.contains(MariaGtidSet.parse("2-1-1"))
    assert have.has(1, 5)
    assert not have.has(1, 6)


def test_mariadb_sets_join_and_differ() -> None:
    one, other = MariaGtidSet.parse("0-1-100,1-1-5"), MariaGtidSet.parse("0-2-90,2-1-7")
    assert str(one.union(other)) == "0-1-100,1-1-5,2-1-7"
    assert str(one.subtract(other)) == "0-1-100,1-1-5"
    assert not one.subtract(one)
    assert str(one.only(lambda domain: domain == 1)) == "1-1-5"
    assert one.domains() == [0, 1]
    assert hash(one) == hash(MariaGtidSet.parse("1-1-5,0-1-100"))
