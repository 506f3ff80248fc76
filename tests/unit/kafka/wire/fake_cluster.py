"""Brokers made of a few threads: they keep what is produced, know producers' sequences, and misbehave as they are told.

Written from Kafka docs, "Protocol Guide" and "Record Batch", and `ProducerAppendInfo.checkSequence`, without the code
under test.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

PRODUCE, METADATA, HANDSHAKE, VERSIONS, INIT, AUTHENTICATE = 0, 3, 17, 18, 22, 36
NEWEST: Mapping[int, tuple[int, int]] = {
    PRODUCE: (0, 13), METADATA: (0, 13), HANDSHAKE: (0, 1), VERSIONS: (0, 4), INIT: (0, 6), AUTHENTICATE: (0, 2)}
OLDEST: Mapping[int, tuple[int, int]] = {
    PRODUCE: (0, 3), METADATA: (0, 4), HANDSHAKE: (0, 1), VERSIONS: (0, 1), INIT: (0, 0), AUTHENTICATE: (0, 0)}
MUTE = b"no answer"
NOT_LEADER, UNKNOWN_TOPIC, OUT_OF_ORDER, DUPLICATE = 6, 3, 45, 46


class Cursor:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, form: str) -> Any:
        (found,) = struct.unpack_from(f">{form}", self.data, self.at)
        self.at += struct.calcsize(f">{form}")
        return found

    def raw(self, size: int) -> bytes:
        found = self.data[self.at:self.at + size]
        assert len(found) == size
        self.at += size
        return found

    def text(self) -> str | None:
        size = self.take("h")
        return None if size < 0 else self.raw(size).decode()

    def varint(self) -> int:
        number = shift = 0
        while True:
            byte = self.raw(1)[0]
            number |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return (number >> 1) ^ -(number & 1)

    def field(self) -> bytes | None:
        size = self.varint()
        return None if size < 0 else self.raw(size)


class Record(NamedTuple):
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]
    timestamp_ms: int


class Batch(NamedTuple):
    producer_id: int
    epoch: int
    sequence: int
    attributes: int
    records: list[Record]


def crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def read_batch(data: bytes, unpack: Callable[[bytes], bytes] | None = None, check: bool = False) -> Batch:
    """One record batch of the second format, which must be all of *data*. *check*: its checksum too, which is slow."""
    at = Cursor(data)
    assert at.take("q") == 0
    assert at.take("i") == len(data) - 12
    at.take("i")
    assert at.take("b") == 2
    crc = at.take("I")
    assert not check or crc == crc32c(data[21:])
    attributes, last, base_ms, most_ms = at.take("h"), at.take("i"), at.take("q"), at.take("q")
    producer_id, epoch, sequence, count = at.take("q"), at.take("h"), at.take("i"), at.take("i")
    assert last == count - 1
    rest = Cursor(data[at.at:] if unpack is None else unpack(data[at.at:]))
    records = []
    for offset in range(count):
        end = rest.varint() + rest.at
        assert rest.raw(1) == b"\0"
        timestamp_ms = base_ms + rest.varint()
        assert rest.varint() == offset
        key, value = rest.field(), rest.field()
        headers = [((rest.field() or b"").decode(), rest.field()) for _ in range(rest.varint())]
        assert rest.at == end
        records.append(Record(key, value, headers, timestamp_ms))
    assert rest.at == len(rest.data)
    assert most_ms == max(each.timestamp_ms for each in records)
    return Batch(producer_id, epoch, sequence, attributes, records)


def text(value: str | None) -> bytes:
    return b"\xff\xff" if value is None else struct.pack(">h", len(value.encode())) + value.encode()


class Produced(NamedTuple):
    """One Produce request: for each partition its batch."""

    broker: int
    batches: dict[tuple[str, int], Batch]


@dataclass
class Step:
    """What a broker does with one Produce request. *code* for all its partitions, without an append unless *append*.
    *then*: drop the connection instead of an answer, give none (mute), or answer *garbage*; all that once *until* is
    set."""

    code: int = 0
    append: bool = False
    then: Literal["answer", "drop", "mute", "garbage"] = "answer"
    garbage: bytes = b""
    until: threading.Event | None = None
    throttle_ms: int = 0
    message: str | None = None


@dataclass
class FakeCluster:
    """*topics*: their numbers of partitions. *most_batch*: a topic's `max.message.bytes`. *steps*: for the next Produce
    requests. *unknown*: topics are told of only after so many Metadata requests."""

    topics: dict[str, int]
    brokers: int = 1
    versions: Mapping[int, tuple[int, int]] = field(default_factory=lambda: NEWEST)
    most_batch: int = 1 << 20
    steps: deque[Step] = field(default_factory=deque)
    unknown: int = 0
    topic_code: int = 0
    init_codes: deque[int] = field(default_factory=deque)
    login: Callable[[int, Cursor], bytes] | None = None
    unpack: Callable[[bytes], bytes] | None = None

    def __post_init__(self) -> None:
        self.logs: dict[tuple[str, int], list[Record]] = {}
        self.leaders: dict[tuple[str, int], int] = {}
        self.requests: list[Produced] = []
        self.asked: list[list[str]] = []
        self.to_make: list[str] = []
        self.connections = 0
        self.under_way = self.most_under_way = 0
        self.name_brokers = True
        self.at_drop: Callable[[], object] = int  # does nothing
        self._states: dict[tuple[str, int, int], tuple[int, deque[tuple[int, int]]]] = {}
        self._producers = 0
        self._lock = threading.Lock()
        self.listeners = [Listener(self, number) for number in range(self.brokers)]

    def __enter__(self) -> FakeCluster:
        return self

    def __exit__(self, *_: object) -> None:
        for each in self.listeners:
            each.stop()

    @property
    def bootstrap(self) -> str:
        return ",".join(f"127.0.0.1:{each.port}" for each in self.listeners)

    def make_again(self, topic: str, partitions: int) -> None:
        """The topic is deleted and made anew: with it goes what is known of producers."""
        with self._lock:
            self.topics[topic] = partitions
            for log in [log for log in self.logs if log[0] == topic]:
                del self.logs[log]
            for state in [state for state in self._states if state[0] == topic]:
                del self._states[state]

    def forget(self) -> None:
        """As brokers that were shut down in order: of each producer they know the last batch only."""
        with self._lock:
            for _, five in self._states.values():
                while len(five) > 1:
                    five.popleft()

    def lose(self, count: int, topic: str = "t", partition: int = 0) -> None:
        """All records but the first *count*, as a leader that was not in sync. Each batch had so many or fewer."""
        with self._lock:
            del self.logs[topic, partition][count:]
            for (name, number, _), (_, five) in list(self._states.items()):
                if (name, number) == (topic, partition):
                    five.clear()
            self._states = {place: (count - 1 if place[:2] == (topic, partition) else last, five)
                            for place, (last, five) in self._states.items()}

    def values(self, topic: str = "t", partition: int = 0) -> list[bytes | None]:
        with self._lock:
            return [each.value for each in self.logs.get((topic, partition), [])]

    # -- answers --------------------------------------------------------------------------------------------------

    def versions_answer(self) -> bytes:
        return struct.pack(">hi", 0, len(self.versions)) + b"".join(
            struct.pack(">hhh", api, low, high) for api, (low, high) in self.versions.items())

    def metadata(self, version: int, at: Cursor) -> bytes:
        names = [at.text() or "" for _ in range(at.take("i"))]
        make = at.take("?")
        with self._lock:
            self.asked.append(names)
            self.to_make += names if make else []
            self.unknown -= bool(names)
            known = self.unknown < 0
        brokers = self.listeners if self.name_brokers else []
        out = [struct.pack(">ii", 0, len(brokers))]
        out += [struct.pack(">i", each.number) + text("127.0.0.1") + struct.pack(">i", each.port) + text(None)
                for each in brokers]
        out += [text("cluster"), struct.pack(">ii", 0, len(names))]
        for name in names:
            count = self.topics.get(name, 0) if known else 0
            code = self.topic_code or (0 if count else UNKNOWN_TOPIC)
            out += [struct.pack(">h", code), text(name), b"\0", struct.pack(">i", count)]
            for number in range(count):
                leader = self.leaders.get((name, number), number % self.brokers)
                out.append(struct.pack(">hii", 5 if leader < 0 else 0, number, leader))
                out.append(struct.pack(">i", 1) if version >= 7 else b"")
                out += [struct.pack(">ii", 1, max(leader, 0))] * 2
                out.append(struct.pack(">i", 0) if version >= 5 else b"")
            out.append(struct.pack(">i", 0) if version >= 8 else b"")
        out.append(struct.pack(">i", 0) if version >= 8 else b"")
        return b"".join(out)

    def init(self, at: Cursor) -> bytes:
        assert at.text() is None
        code = self.init_codes.popleft() if self.init_codes else 0
        with self._lock:
            self._producers += not code
            return struct.pack(">ihqh", 0, code, -1 if code else 1000 + self._producers, -1 if code else 0)

    def produce(self, broker: int, version: int, at: Cursor) -> bytes | None:
        """None drops the connection."""
        assert at.text() is None
        assert at.take("h") == -1
        at.take("i")
        batches: dict[tuple[str, int], Batch] = {}
        sizes: dict[tuple[str, int], int] = {}
        for _ in range(at.take("i")):
            name = at.text() or ""
            for _ in range(at.take("i")):
                number, size = at.take("i"), at.take("i")
                assert (name, number) not in batches, "a partition has one batch in a request"
                batches[name, number] = read_batch(at.raw(size), self.unpack)
                sizes[name, number] = size
        assert at.at == len(at.data)
        with self._lock:
            self.requests.append(Produced(broker, batches))
            step = self.steps.popleft() if self.steps else Step()
            self.under_way += 1
            self.most_under_way = max(self.most_under_way, self.under_way)
        if step.until is not None:
            step.until.wait(30)
        with self._lock:
            self.under_way -= 1
            codes = {place: self._append(broker, *place, batch, sizes[place]) if not step.code or step.append else 0
                     for place, batch in batches.items()}
        if step.code:
            codes = dict.fromkeys(codes, step.code)
        if step.then == "mute":
            return MUTE
        if step.then == "drop":
            self.at_drop()
            return None
        if step.then == "garbage":
            return step.garbage
        return self._produced(version, codes, step)

    def _produced(self, version: int, codes: dict[tuple[str, int], int], step: Step) -> bytes:
        topics: dict[str, list[tuple[int, int]]] = {}
        for (name, number), code in codes.items():
            topics.setdefault(name, []).append((number, code))
        out = [struct.pack(">i", len(topics))]
        for name, found in topics.items():
            out += [text(name), struct.pack(">i", len(found))]
            for number, code in found:
                out.append(struct.pack(">ihqq", number, code, 0, -1))
                out.append(struct.pack(">q", 0) if version >= 5 else b"")
                out.append(struct.pack(">i", 0) + text(step.message if code else None) if version >= 8 else b"")
        out.append(struct.pack(">i", step.throttle_ms))
        return b"".join(out)

    def _append(self, broker: int, name: str, number: int, batch: Batch, size: int) -> int:
        if number >= self.topics.get(name, 0):
            return UNKNOWN_TOPIC
        if self.leaders.get((name, number), number % self.brokers) != broker:
            return NOT_LEADER
        if size > self.most_batch:
            return 10
        last = (batch.sequence + len(batch.records) - 1) % 2**31
        state = self._states.get((name, number, batch.producer_id))
        if state is not None:
            previous, five = state
            if (batch.sequence, last) in five:
                return 0
            if batch.sequence != (previous + 1) % 2**31:
                return OUT_OF_ORDER
        else:
            five = deque(maxlen=5)
        five.append((batch.sequence, last))
        self._states[name, number, batch.producer_id] = last, five
        self.logs.setdefault((name, number), []).extend(batch.records)
        return 0


class Listener:
    """One broker's port: it stays the same after `stop` and `start`."""

    def __init__(self, cluster: FakeCluster, number: int) -> None:
        self.cluster, self.number, self.port = cluster, number, 0
        self._open: set[socket.socket] = set()
        self._server: socket.socket | None = None
        self.start()

    def start(self) -> None:
        server = socket.create_server(("127.0.0.1", self.port))
        self.port = server.getsockname()[1]
        self._server = server
        threading.Thread(target=self._accept, args=(server,), daemon=True).start()

    def stop(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            server.close()
        self.drop()

    def drop(self) -> None:
        for each in list(self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _accept(self, server: socket.socket) -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            self.cluster.connections += 1
            self._open.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        stream = connection.makefile("rb")
        with contextlib.suppress(OSError, struct.error), connection, stream:
            while head := stream.read(4):
                at = Cursor(stream.read(*struct.unpack(">i", head)))
                api, version, correlation = at.take("h"), at.take("h"), at.take("i")
                at.text()
                body = self._answer(api, version, at)
                if body is MUTE:
                    continue
                if body is None:
                    connection.shutdown(socket.SHUT_RDWR)
                    break
                connection.sendall(struct.pack(">ii", len(body) + 4, correlation) + body)
        self._open.discard(connection)

    def _answer(self, api: int, version: int, at: Cursor) -> bytes | None:
        cluster = self.cluster
        if api == VERSIONS:
            return cluster.versions_answer()
        if api in (HANDSHAKE, AUTHENTICATE):
            return cluster.login(api, at) if cluster.login is not None else None
        low, high = cluster.versions[api]
        assert low <= version <= high
        if api == METADATA:
            return cluster.metadata(version, at)
        if api == INIT:
            return cluster.init(at)
        assert api == PRODUCE
        return cluster.produce(self.number, version, at)
