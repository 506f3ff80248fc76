"""Packets to events, however the bytes arrive."""

from __future__ import annotations

import random

import pytest

from cdc.core.errors import ProtocolError
from cdc.native import module
from cdc.sources.mysql.binlog.packets import READ_BYTES, PacketReader

MAX_PACKET = 0xFFFFFF


@pytest.fixture(autouse=True, params=["native", "plain"])
def reads_fixture(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the packets that C takes, and without."""
    if request.param == "plain":
        without(monkeypatch)
    elif module("binlog") is None:
        pytest.skip("there are no native modules")


def without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cdc.sources.mysql.binlog.packets.module", lambda name: None)


def packets(payloads: list[bytes], sequence: int = 1) -> bytes:
    """As a server sends them: a packet of the greatest length goes on in the next."""
    out = []
    for payload in payloads:
        for at in range(0, len(payload) + 1, MAX_PACKET):
            part = payload[at:at + MAX_PACKET]
            out.append(len(part).to_bytes(3, "little") + bytes((sequence & 0xFF,)) + part)
            sequence += 1
    return b"".join(out)


def received(reader: PacketReader, stream: bytes,
             sizes: random.Random | None = None) -> tuple[list[bytes], bytes | None]:
    """The events of *stream*, given in pieces as large as fits or of random *sizes*; and what came that is none."""
    events: list[bytes] = []
    at = 0
    while at < len(stream):
        wanted = reader.wanted()
        assert len(wanted), "there is always room for more"
        count = min(len(wanted), len(stream) - at, sizes.randint(1, 40) if sizes else READ_BYTES)
        wanted[:count] = stream[at:at + count]
        at += count
        other = reader.received(count, events)
        if other is not None:
            return events, other
    return events, None


@pytest.mark.parametrize("seed", range(5))
def test_events_are_the_same_however_the_bytes_come(seed: int) -> None:
    sizes = random.Random(seed)
    events = [sizes.randbytes(sizes.randint(0, 60)) for _ in range(600)]
    stream = packets([b"\0" + event for event in events])
    assert received(PacketReader(), stream, sizes) == (events, None)
    assert received(PacketReader(), stream) == (events, None)


@pytest.mark.parametrize("length", [
    READ_BYTES - 6, READ_BYTES - 5, READ_BYTES - 4, READ_BYTES, 3 * READ_BYTES, MAX_PACKET - 2, MAX_PACKET - 1,
    MAX_PACKET, MAX_PACKET + READ_BYTES, 2 * MAX_PACKET - 1, 2 * MAX_PACKET + 1,
])
def test_events_longer_than_the_buffer_and_than_a_packet_are_whole(length: int) -> None:
    body = random.Random(length).randbytes(1 << 16)
    long = (body * (length // len(body) + 1))[:length]
    events, other = received(PacketReader(), packets([b"\0small", b"\0" + long, b"\0small", b"\0" + long, b"\0end"]))
    assert other is None
    assert [len(event) for event in events] == [5, length, 5, length, 3]
    assert events[1] == long
    assert events[3] == long


@pytest.mark.parametrize("payload", [b"\xffrror", b"\xfe", b"\x07what", b""])
def test_what_is_no_event_is_given_back_after_the_events_before_it(payload: bytes) -> None:
    stream = packets([b"\0one", b"\0two", payload, b"\0three"])
    assert received(PacketReader(), stream) == ([b"one", b"two"], payload)


def test_mariadbs_last_word_has_a_sequence_of_its_own() -> None:
    stream = packets([b"\0one"]) + packets([b"\xffbye"], sequence=0)
    assert received(PacketReader(), stream) == ([b"one"], b"\xffbye")


def test_a_packet_out_of_order_is_refused() -> None:
    with pytest.raises(ProtocolError, match="out of order"):
        received(PacketReader(), packets([b"\0one"]) + packets([b"\0two"], sequence=3))


@pytest.mark.parametrize("seed", range(20))
def test_damaged_packets_give_the_same_with_c_and_without(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(seed)
    stream = bytearray(packets([b"\0" + chance.randbytes(chance.randint(0, 40)) for _ in range(60)]))
    for _ in range(chance.randint(1, 4)):
        stream[chance.randrange(len(stream))] = chance.choice((0, 1, 0xFE, 0xFF, chance.randrange(256)))
    del stream[len(stream) - chance.randint(0, 9):]

    def outcome() -> object:
        events: list[bytes] = []
        reader = PacketReader()
        reader.wanted()[:len(stream)] = stream
        try:
            return reader.received(len(stream), events), events
        except ProtocolError as exc:
            return str(exc), events

    first = outcome()
    without(monkeypatch)
    assert outcome() == first
