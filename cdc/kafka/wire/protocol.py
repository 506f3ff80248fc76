"""The bytes of Kafka's requests and answers, as far as an idempotent producer needs them.

Kafka docs, "Protocol Guide"; `clients/src/main/resources/common/message/*.json`. Only versions without tagged fields
are used ("flexibleVersions" there). Answers come from the network: every length is checked against the bytes that are
there, and what does not fit raises ProtocolError.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Final

from cdc.core.named_tuple import NamedTuple

PRODUCE, METADATA, SASL_HANDSHAKE, API_VERSIONS, INIT_PRODUCER_ID, SASL_AUTHENTICATE = 0, 3, 17, 18, 22, 36

USABLE: Final[Mapping[int, tuple[int, int]]] = {
    PRODUCE: (3, 8),  # 3 is the first that takes these record batches
    METADATA: (4, 8),
    SASL_HANDSHAKE: (1, 1),
    INIT_PRODUCER_ID: (0, 1),
    SASL_AUTHENTICATE: (0, 1),
}
"""By request: the lowest and the highest version that is written and read here."""
PRODUCE_WITH_ZSTD: Final = 7
NAMES: Final[Mapping[int, str]] = {
    PRODUCE: "Produce", METADATA: "Metadata", SASL_HANDSHAKE: "SaslHandshake", API_VERSIONS: "ApiVersions",
    INIT_PRODUCER_ID: "InitProducerId", SASL_AUTHENTICATE: "SaslAuthenticate",
}
MOST_ANSWER_BYTES: Final = 100_000_000
"""As librdkafka's `receive.message.max.bytes`."""

_SHORT, _INT, _LONG = struct.Struct(">h"), struct.Struct(">i"), struct.Struct(">q")
_HEAD = struct.Struct(">ihhih")
_PARTITION = struct.Struct(">ii")


class ProtocolError(Exception):
    """An answer that does not say what Kafka's protocol lets it say."""


class Reader:
    """Reads one answer from its start; each method moves on. Raises ProtocolError where bytes are missing."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes | bytearray | memoryview) -> None:
        self._data, self._at = memoryview(data), 0

    def _take(self, form: struct.Struct) -> int:
        at = self._at
        try:
            (number,) = form.unpack_from(self._data, at)
        except struct.error:
            raise ProtocolError(f"an answer ends after {len(self._data)} bytes, within a number") from None
        self._at = at + form.size
        return int(number)

    def int8(self) -> int:
        return self.raw(1)[0]

    def int16(self) -> int:
        return self._take(_SHORT)

    def int32(self) -> int:
        return self._take(_INT)

    def int64(self) -> int:
        return self._take(_LONG)

    def count(self, each_bytes: int) -> int:
        """How many entries an array has, each of *each_bytes* at least; a null array has none."""
        number = self._take(_INT)
        if number < -1 or number * each_bytes > len(self._data) - self._at:
            raise ProtocolError(f"an array of {number} entries in an answer with {len(self._data)} bytes")
        return max(number, 0)

    def raw(self, size: int) -> memoryview:
        end = self._at + size
        if size < 0 or end > len(self._data):
            raise ProtocolError(f"a field of {size} bytes in an answer with {len(self._data)} bytes")
        found = self._data[self._at:end]
        self._at = end
        return found

    def text(self) -> str | None:
        size = self._take(_SHORT)
        if size == -1:
            return None
        try:
            return str(self.raw(size), "utf-8")
        except UnicodeDecodeError:
            raise ProtocolError("a text in an answer is not UTF-8") from None

    def string(self) -> str:
        """A text that may not be null."""
        found = self.text()
        if found is None:
            raise ProtocolError("a text in an answer is null")
        return found

    def blob(self) -> bytes:
        size = self._take(_INT)
        return b"" if size == -1 else self.raw(size).tobytes()

    def end(self) -> None:
        """Checks that nothing follows."""
        if self._at != len(self._data):
            raise ProtocolError(f"an answer goes on for {len(self._data) - self._at} bytes after its end")


def text_bytes(text: str | None) -> bytes:
    """A nullable string as Kafka writes it."""
    if text is None:
        return b"\xff\xff"
    data = text.encode()
    return _SHORT.pack(len(data)) + data


def request(api: int, version: int, correlation: int, client_id: bytes, body: bytes) -> bytes:
    """A whole request, its size first. RequestHeader version 1."""
    head = _HEAD.pack(10 + len(client_id) + len(body), api, version, correlation, len(client_id))
    return b"".join((head, client_id, body))


class Piece(NamedTuple):
    """One record batch in a Produce request: its partition, the 61 bytes before the records, and the records."""

    topic: bytes
    partition: int
    head: bytes
    records: bytes | memoryview


def produce_request(version: int, correlation: int, client_id: bytes, timeout_ms: int,
                    pieces: Sequence[Piece]) -> list[bytes | memoryview]:
    """The buffers of a Produce request, acks=all, without a transaction. Pieces of one topic follow each other."""
    topics: list[list[Piece]] = []
    size = 10 + len(client_id) + 12
    last = None
    for piece in pieces:
        if piece.topic != last:
            last = piece.topic
            topics.append([])
            size += 2 + len(last) + 4
        topics[-1].append(piece)
        size += 8 + len(piece.head) + len(piece.records)
    small = [_HEAD.pack(size, PRODUCE, version, correlation, len(client_id)), client_id,
             b"\xff\xff\xff\xff", _PARTITION.pack(timeout_ms, len(topics))]
    buffers: list[bytes | memoryview] = []
    for group in topics:
        small += (_SHORT.pack(len(group[0].topic)), group[0].topic, _INT.pack(len(group)))
        for piece in group:
            small += (_PARTITION.pack(piece.partition, len(piece.head) + len(piece.records)), piece.head)
            buffers += (b"".join(small), piece.records)
            small = []
    return buffers


class Produced(NamedTuple):
    """The answer for one partition. *code* 0 is success; *refused*: the batch's records, by index, that a broker names
    as the reason."""

    topic: str
    partition: int
    code: int
    refused: Sequence[tuple[int, str]]
    message: str


def produce_answer(reader: Reader, version: int) -> tuple[list[Produced], int]:
    """What each partition got, and how long the broker throttles us, in ms."""
    found = []
    for _ in range(reader.count(6)):
        topic = reader.string()
        for _ in range(reader.count(14)):
            partition, code = reader.int32(), reader.int16()
            reader.raw(24 if version >= 5 else 16)  # offset, time of the append, start of the log
            refused: Sequence[tuple[int, str]] = ()
            message = ""
            if version >= 8:
                refused = [(reader.int32(), reader.text() or "") for _ in range(reader.count(6))]
                message = reader.text() or ""
            found.append(Produced(topic, partition, code, refused, message))
    throttle_ms = reader.int32()
    reader.end()
    return found, throttle_ms


def metadata_request(topics: Sequence[str], make: bool, version: int) -> bytes:
    """The body. With *make*, brokers may make those of *topics* that do not exist; without any topic, only brokers are
    asked for."""
    return b"".join((_INT.pack(len(topics)), *map(text_bytes, topics), b"\x01" if make else b"\x00",
                     b"\x00\x00" if version >= 8 else b""))


class PartitionFound(NamedTuple):
    """*leader*: a broker's id, or -1."""

    code: int
    number: int
    leader: int


class TopicFound(NamedTuple):
    code: int
    name: str
    partitions: list[PartitionFound]


class Found(NamedTuple):
    """A cluster as a broker sees it. *brokers*: host and port by id."""

    brokers: dict[int, tuple[str, int]]
    topics: list[TopicFound]
    throttle_ms: int


def metadata_answer(reader: Reader, version: int) -> Found:
    throttle_ms = reader.int32()
    brokers: dict[int, tuple[str, int]] = {}
    for _ in range(reader.count(12)):
        node, host, port = reader.int32(), reader.string(), reader.int32()
        reader.text()
        brokers[node] = host, port
    reader.text()  # the cluster's id
    reader.int32()  # the controller's
    topics = [_topic(reader, version) for _ in range(reader.count(9))]
    if version >= 8:
        reader.int32()
    reader.end()
    return Found(brokers, topics, throttle_ms)


def _topic(reader: Reader, version: int) -> TopicFound:
    code, name = reader.int16(), reader.string()
    reader.int8()
    partitions = []
    for _ in range(reader.count(18)):
        partitions.append(PartitionFound(reader.int16(), reader.int32(), reader.int32()))
        if version >= 7:
            reader.int32()  # the leader's epoch
        for _ in range(3 if version >= 5 else 2):  # replicas: all, in sync, offline
            reader.raw(4 * reader.count(4))
    if version >= 8:
        reader.int32()
    return TopicFound(code, name, partitions)


def init_producer_id_request() -> bytes:
    """The body, without a transactional id; brokers look at the time limit only with one."""
    return text_bytes(None) + _INT.pack(0x7FFFFFFF)


def init_producer_id_answer(reader: Reader) -> tuple[int, int, int]:
    """The error's code, the producer's id and its epoch."""
    reader.int32()  # the throttle time
    code, producer_id, epoch = reader.int16(), reader.int64(), reader.int16()
    reader.end()
    if code == 0 and (producer_id < 0 or epoch < 0):
        raise ProtocolError(f"the producer id {producer_id} with epoch {epoch}")
    return code, producer_id, epoch


def api_versions_answer(reader: Reader) -> tuple[int, dict[int, tuple[int, int]]]:
    """Version 0: the error's code, and the versions a broker takes, by request."""
    code = reader.int16()
    found = {reader.int16(): (reader.int16(), reader.int16()) for _ in range(reader.count(6))}
    reader.end()
    return code, found


def version_of(api: int, offered: Mapping[int, tuple[int, int]]) -> int:
    """The highest version of a request that both sides know. Raises ProtocolError if there is none."""
    lowest, highest = USABLE[api]
    low, high = offered.get(api, (0, -1))
    best = min(highest, high)
    if best < max(lowest, low):
        there = f"versions {low} to {high}" if high >= 0 else "none"
        raise ProtocolError(f"of the request {NAMES[api]} we know versions {lowest} to {highest}, the broker {there}")
    return best


def sasl_handshake_answer(reader: Reader) -> tuple[int, list[str]]:
    """The error's code, and the mechanisms that the broker takes."""
    code = reader.int16()
    found = [reader.string() for _ in range(reader.count(2))]
    reader.end()
    return code, found


def sasl_authenticate_request(data: bytes) -> bytes:
    return _INT.pack(len(data)) + data


def sasl_authenticate_answer(reader: Reader, version: int) -> tuple[int, str, bytes, int]:
    """The error's code and text, the mechanism's bytes, and for how many ms the login holds; 0: without limit."""
    code, text, data = reader.int16(), reader.text() or "", reader.blob()
    lifetime_ms = reader.int64() if version >= 1 else 0
    reader.end()
    return code, text, data, max(lifetime_ms, 0)
