from __future__ import annotations

import json
import os
import time

import pytest

from cdc.core.errors import SinkRefusedError
from cdc.core.interfaces import Outgoing
from cdc.runtime.inflight import Inflight
from cdc.sinks.json_lines import json_line
from cdc.sinks.stdout import StdoutSink

BATCH = [Outgoing("t", None, b"%d" % number, -1, (), "public.t") for number in range(100)]
BIG = [Outgoing("t", None, b'"' + b"x" * 10_000 + b'"', -1, (), "public.t")] * 1000


def test_lines_go_to_standard_output(capfd: pytest.CaptureFixture[str]) -> None:
    sink = StdoutSink()
    sink.start()
    delivery = Inflight().add(None, len(BATCH))  # type: ignore[arg-type]
    assert sink.send(BATCH, 0, delivery) == len(BATCH)
    assert sink.flush(5) == 0
    assert delivery.acked()
    sink.close()
    assert [json.loads(line)["value"] for line in capfd.readouterr().out.splitlines()] == list(range(100))


def test_a_slow_reader_is_back_pressure_and_blocks_nothing() -> None:
    reader, writer = os.pipe()
    sink = StdoutSink(writer)
    sink.start()
    delivery = Inflight().add(None, len(BIG))  # type: ignore[arg-type]
    began = time.monotonic()
    taken = sink.send(BIG, 0, delivery)
    assert sink.send(BIG, taken, delivery) == taken
    sink.poll(0)
    assert sink.flush(0.05) > 0
    assert time.monotonic() - began < 5
    assert delivery.remaining == len(BIG)
    got = os.read(reader, 1 << 20)
    assert got.startswith(b'{"topic":"t"')
    os.close(reader)
    sink.poll(0)
    assert isinstance(delivery.error, SinkRefusedError)
    sink.close()
    os.close(writer)


def test_a_reader_that_went_away_fails_the_acks() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    sink = StdoutSink(writer)
    sink.start()
    delivery = Inflight().add(None, len(BATCH))  # type: ignore[arg-type]
    sink.send(BATCH, 0, delivery)
    assert sink.flush(1) == 0
    assert isinstance(delivery.error, SinkRefusedError)
    os.close(writer)


def test_what_was_written_does_not_stay_in_memory_while_the_reader_lags_behind() -> None:
    reader, writer = os.pipe()
    sink = StdoutSink(writer)
    sink.start()
    lines = BIG[:100]
    size = len(json_line(lines[0])) * len(lines)
    delivery = Inflight().add(None, 21 * len(lines))  # type: ignore[arg-type]
    sink.send(lines, 0, delivery)
    most = 0
    for _ in range(20):  # there is always something left to write
        sink.send(lines, 0, delivery)
        left = size
        while left > 0:
            sink.poll(0)
            left -= len(os.read(reader, left))
        most = max(most, sum(map(len, sink._lines)))
    assert most < 4 << 20
    os.close(reader)
    sink.close()
    os.close(writer)
