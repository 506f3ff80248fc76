"""What every sink promises: core/interfaces.py, `Sink`."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fastavro
import pytest

from cdc.core.errors import RegistryRefusedError
from cdc.core.interfaces import Outgoing, Sink
from cdc.kafka.client import unavailable
from cdc.runtime.inflight import Delivery, Inflight
from cdc.sinks.file import FileSink
from cdc.sinks.kafka import KafkaSink
from cdc.sinks.kafka_options import ClientKind, Fencing
from cdc.sinks.stdout import StdoutSink
from tests.servers.kafka import KafkaServer, consume_all

SCHEMA = '"long"'


@dataclass
class Case:
    sink: Sink
    values: Callable[[str], list[int]]
    """The numbers that arrived at a topic, in order."""
    topic: str

    def outgoing(self, number: int, **more: Any) -> Outgoing:
        value = json.dumps(number).encode()
        if isinstance(self.sink, FileSink) and self.sink._path.suffix != ".jsonl":
            value = b"\0\0\0\0\1" + _zigzag(number)
        return Outgoing(self.topic, b"1", value, -1, (), "public.t")._replace(**more)


def _zigzag(number: int) -> bytes:
    rest, out = number << 1, b""
    while rest > 0x7F:
        out, rest = out + bytes([rest & 0x7F | 0x80]), rest >> 7
    return out + bytes([rest])


def _lookup(schema_id: int) -> str:
    if schema_id != 1:
        raise RegistryRefusedError(f"There is no schema {schema_id}.")
    return SCHEMA


def _lines(text: str) -> list[int]:
    return [json.loads(line)["value"] for line in text.splitlines()]


def _stdout(topic: str, tmp_path: Path) -> Iterator[Case]:
    path = tmp_path / "stdout"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    yield Case(StdoutSink(descriptor), lambda _: _lines(path.read_text()), topic)
    os.close(descriptor)


def _file(topic: str, tmp_path: Path) -> Iterator[Case]:
    path = tmp_path / "out.jsonl"
    yield Case(FileSink(path), lambda _: _lines(path.read_text()), topic)


def _avro(topic: str, tmp_path: Path) -> Iterator[Case]:
    def values(topic: str) -> list[int]:
        with (tmp_path / f"{topic}-0001.avro").open("rb") as file:
            return list(fastavro.reader(file))  # type: ignore[arg-type]

    yield Case(FileSink(tmp_path, "avro", _lookup), values, topic)


def _kafka(topic: str, server: KafkaServer, fencing: Fencing = "off", client: ClientKind = "auto") -> Iterator[Case]:
    def values(topic: str) -> list[int]:
        return [json.loads(message.value or b"null") for message in consume_all(server.bootstrap, topic)]

    properties = {"bootstrap.servers": server.bootstrap}
    sink = KafkaSink(properties, fencing=fencing, transactional_id=f"cdc-{topic}", start_timeout_s=30, client=client)
    yield Case(sink, values, topic)


_CLIENTS: dict[str, ClientKind] = {"kafka-python": "python", "kafka-native": "native"}
"""Beside the default, which is a client of our own where it was compiled."""


@pytest.fixture(params=["stdout", "file", "avro", "kafka", "kafka-fenced", "kafka-python", pytest.param(
    "kafka-native", marks=pytest.mark.skipif(bool(unavailable()), reason=unavailable()))])
def case(request: pytest.FixtureRequest, tmp_path: Path, topic_prefix: str) -> Iterator[Case]:
    topic = f"{topic_prefix}.public.t"
    if request.param.startswith("kafka"):
        cases = _kafka(topic, request.getfixturevalue("kafka"), "on" if "fenced" in request.param else "off",
                       _CLIENTS.get(request.param, "auto"))
    else:
        cases = {"stdout": _stdout, "file": _file, "avro": _avro}[request.param](topic, tmp_path)
    for case in cases:
        case.sink.start()
        case.sink.fence()
        yield case
        case.sink.close()


def send(case: Case, batch: Sequence[Outgoing], count: int | None = None, first: int = 0) -> Delivery:
    delivery = Inflight().add(None, len(batch) if count is None else count)  # type: ignore[arg-type]
    while first < len(batch):
        first = case.sink.send(batch, first, delivery)
        case.sink.poll(0.1 if first < len(batch) else 0)
    return delivery


def test_everything_arrives_in_order_and_is_acked(case: Case) -> None:
    deliveries = [send(case, [case.outgoing(10 * batch + n) for n in range(10)]) for batch in range(20)]
    assert case.sink.flush(30) == 0
    assert all(delivery.acked() for delivery in deliveries)
    assert case.values(case.topic) == list(range(200))


def test_sending_goes_on_at_the_given_index(case: Case) -> None:
    batch = [case.outgoing(number) for number in range(6)]
    delivery = send(case, batch, 4, first=2)
    assert case.sink.flush(30) == 0
    assert delivery.acked()
    assert case.values(case.topic) == [2, 3, 4, 5]


def test_nothing_to_send_is_nothing_to_answer(case: Case) -> None:
    delivery = Inflight().add(None, 1)  # type: ignore[arg-type]
    assert case.sink.send([], 0, delivery) == 0
    assert case.sink.flush(1) == 0
    assert delivery.remaining == 1


def test_headers_and_a_null_key_are_taken(case: Case) -> None:
    delivery = send(case, [case.outgoing(1, key=None, headers=(("a", b"1"), ("b", None)))])
    assert case.sink.flush(30) == 0
    assert delivery.acked()


def test_a_null_value_is_taken(case: Case) -> None:
    delivery = send(case, [case.outgoing(1), case.outgoing(2, value=None)])
    assert case.sink.flush(30) == 0
    assert delivery.acked()


def test_it_can_be_started_again_after_it_was_closed(case: Case) -> None:
    send(case, [case.outgoing(1)])
    assert case.sink.flush(30) == 0
    case.sink.close()
    case.sink.start()
    case.sink.fence()
    delivery = send(case, [case.outgoing(2)])
    assert case.sink.flush(30) == 0
    assert delivery.acked()
    assert case.values(case.topic) == [1, 2]


def test_what_is_not_answered_at_the_end_is_not_delivered(case: Case) -> None:
    delivery = Inflight().add(None, 2)  # type: ignore[arg-type]
    case.sink.send([case.outgoing(1)], 0, delivery)
    case.sink.close()
    assert not delivery.acked()


def test_closing_twice_and_metrics_after_it_are_fine(case: Case) -> None:
    case.sink.close()
    case.sink.close()
    assert all(isinstance(value, int | float) for value in case.sink.metrics().values())


def test_metrics_count_what_was_taken(case: Case) -> None:
    send(case, [case.outgoing(number) for number in range(5)])
    case.sink.flush(30)
    numbers = case.sink.metrics()
    assert numbers["cdc_sink_messages_total"] == 5
    assert numbers["cdc_sink_bytes_total"] > 0
    assert numbers["cdc_sink_queued_messages"] == 0
    assert numbers["cdc_sink_failures_total"] == 0
