"""An independent reader of Kafka's record batches, after Kafka docs, "Message Format", "Record Batch" and "Record"."""

from __future__ import annotations

import struct
from typing import Any, Final, NamedTuple

_HEAD: Final = struct.Struct(">qiibIhiqqqhii")
"""The fields of `Head`."""


class Head(NamedTuple):
    base_offset: int
    batch_length: int
    leader_epoch: int
    magic: int
    crc: int
    attributes: int
    last_offset_delta: int
    base_ms: int
    max_ms: int
    producer_id: int
    producer_epoch: int
    base_sequence: int
    record_count: int


class Record(NamedTuple):
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]


class Reader:
    """The bytes of records, one after the other; each must end where its length says."""

    def __init__(self, data: Any, base_ms: int) -> None:
        self.data = bytes(data)
        self.at = 0
        self.base_ms = base_ms

    def all(self) -> list[Record]:
        found = []
        while self.at < len(self.data):
            found.append(self.record())
        return found

    def record(self) -> Record:
        end = self.varint()
        end += self.at
        assert self.data[self.at] == 0, "attributes"
        self.at += 1
        timestamp_ms = self.base_ms + self.varint()
        offset = self.varint()
        key, value = self.sized(), self.sized()
        headers = []
        for _ in range(self.varint()):
            name = self.sized()
            assert name is not None
            headers.append((name.decode(), self.sized()))
        assert self.at == end
        return Record(offset, timestamp_ms, key, value, headers)

    def sized(self) -> bytes | None:
        size = self.varint()
        if size < 0:
            assert size == -1
            return None
        self.at += size
        assert self.at <= len(self.data)
        return self.data[self.at - size:self.at]

    def varint(self) -> int:
        """Zig-zag, then seven bits a byte, the lowest first."""
        bits = shift = 0
        while True:
            byte = self.data[self.at]
            self.at += 1
            bits |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return bits >> 1 if bits & 1 == 0 else ~(bits >> 1)


def head_of(data: bytes) -> Head:
    return Head(*_HEAD.unpack(data[:_HEAD.size]))


def crc32c(data: bytes) -> int:
    """Bit by bit, with the polynomial of RFC 3720, 12.1, mirrored."""
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    return value ^ 0xFFFFFFFF
