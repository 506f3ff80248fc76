from __future__ import annotations

import errno
import io
import json
import os
from pathlib import Path
from typing import Any

import fastavro
import pytest

from cdc.core.errors import ConfigError, SinkConnectionError, SinkRefusedError
from cdc.core.interfaces import Outgoing
from cdc.runtime.inflight import Delivery, Inflight
from cdc.sinks.file import FileSink

SCHEMAS = {
    1: '{"type":"record","name":"R","fields":[{"name":"id","type":"long"}]}',
    2: '{"type":"record","name":"R","fields":[{"name":"id","type":"long"},{"name":"x","type":["null","string"]}]}',
}


def text(value: int, topic: str = "t") -> Outgoing:
    return Outgoing(topic, None, b"%d" % value, -1, (), "public.t")


def avro(value: int, schema_id: int = 1, topic: str = "t") -> Outgoing:
    out = io.BytesIO()
    row = {"id": value} if schema_id == 1 else {"id": value, "x": None}
    fastavro.schemaless_writer(out, fastavro.parse_schema(json.loads(SCHEMAS[schema_id])), row)
    return Outgoing(topic, b"k", b"\0" + schema_id.to_bytes(4, "big") + out.getvalue(), -1, (), "public.t")


def write(sink: FileSink, *outgoings: Outgoing) -> Delivery:
    delivery = Inflight().add(None, len(outgoings))  # type: ignore[arg-type]
    assert sink.send(outgoings, 0, delivery) == len(outgoings)
    assert sink.flush(1) == 0
    return delivery


def started(path: Path, form: Any = "json") -> FileSink:
    sink = FileSink(path, form, SCHEMAS.__getitem__)
    sink.start()
    return sink


def values(path: Path) -> list[int]:
    return [json.loads(line)["value"] for line in path.read_text().splitlines()]


def rows(path: Path) -> list[int]:
    with path.open("rb") as file:
        return [row["id"] for row in fastavro.reader(file)]  # type: ignore[call-overload,index,misc]


def test_lines_are_appended_over_restarts(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    for number in range(3):
        sink = started(path)
        assert write(sink, text(number)).acked()
        sink.close()
    assert values(path) == [0, 1, 2]


@pytest.mark.parametrize("cut", [1, 5, 12])
def test_a_torn_last_line_is_cut_at_start(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "out.jsonl"
    write(started(path), text(1), text(2))
    path.write_bytes(path.read_bytes()[:-cut])
    write(started(path), text(3))
    assert values(path) == [1, 3]


def test_zeros_that_a_crash_left_are_cut(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    write(started(path), text(1))
    path.write_bytes(path.read_bytes() + b"\0" * 4096)
    write(started(path), text(2))
    assert values(path) == [1, 2]


def test_a_file_that_is_not_ours_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_bytes(b"line\nno newline at the end")
    with pytest.raises(SinkRefusedError, match="precious"):
        started(path)
    assert path.read_bytes() == b"line\nno newline at the end"


def test_a_folder_that_is_not_there_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        started(tmp_path / "none" / "out")
    assert caught.value.option == "sink.file.path"


def test_nothing_is_acked_before_the_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = started(tmp_path / "out")
    delivery = Inflight().add(None, 1)  # type: ignore[arg-type]
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(delivery.remaining))
    sink.send([text(1)], 0, delivery)
    assert delivery.remaining == 1
    sink.flush(1)
    assert synced[0] == 1
    assert delivery.acked()


def test_a_full_disk_fails_the_acks_and_leaves_whole_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "out"
    sink = started(path)
    write(sink, text(1))
    whole = os.pwrite

    def half(fd: int, data: Any, place: int) -> int:
        if len(data) < 10:
            raise OSError(errno.ENOSPC, "No space left on device")
        return whole(fd, data[: len(data) // 2], place)

    monkeypatch.setattr(os, "pwrite", half)
    delivery = write(sink, text(2))
    assert isinstance(delivery.error, SinkConnectionError)
    assert str(path) in str(delivery.error)
    monkeypatch.undo()
    write(sink, text(3))
    assert values(path) == [1, 3]


def test_two_sinks_share_one_file(tmp_path: Path) -> None:
    path = tmp_path / "out"
    one, two = started(path), started(path)
    for number in range(10):
        write(one if number % 2 else two, text(number))
    assert values(path) == list(range(10))


def test_closing_fails_what_was_not_written(tmp_path: Path) -> None:
    sink = started(tmp_path / "out")
    delivery = Inflight().add(None, 1)  # type: ignore[arg-type]
    sink.send([text(1)], 0, delivery)
    sink.close()
    assert isinstance(delivery.error, SinkConnectionError)


def test_much_data_is_back_pressure_until_polled(tmp_path: Path) -> None:
    sink = started(tmp_path / "out")
    batch = [Outgoing("t", None, b'"' + b"x" * 1_000_000 + b'"', -1, (), "")] * 20
    delivery = Inflight().add(None, len(batch))  # type: ignore[arg-type]
    taken = sink.send(batch, 0, delivery)
    assert taken < 20
    sink.poll(0)
    assert sink.send(batch, taken, delivery) > taken


def test_avro_files_are_read_by_others(tmp_path: Path) -> None:
    sink = started(tmp_path / "out", "avro")
    write(sink, *(avro(number) for number in range(20_000)), avro(7, topic="other/topic"))
    assert rows(tmp_path / "out" / "t-0001.avro") == list(range(20_000))
    assert rows(tmp_path / "out" / "other%2Ftopic-0001.avro") == [7]


def test_a_new_schema_gets_a_new_file_and_an_old_one_goes_on(tmp_path: Path) -> None:
    write(started(tmp_path, "avro"), avro(1), avro(2, schema_id=2), avro(3))
    write(started(tmp_path, "avro"), avro(4, schema_id=2), avro(5))
    assert rows(tmp_path / "t-0001.avro") == [1, 3, 5]
    assert rows(tmp_path / "t-0002.avro") == [2, 4]


def test_a_torn_avro_file_loses_only_what_was_not_acked(tmp_path: Path) -> None:
    path = tmp_path / "t-0001.avro"
    write(started(tmp_path, "avro"), avro(1))
    header_and_one = path.read_bytes()
    write(started(tmp_path, "avro"), avro(2))
    both = path.read_bytes()
    for end in range(len(both)):
        path.write_bytes(both[:end])
        write(started(tmp_path, "avro"), avro(9))
        assert rows(path) == ([1, 9] if end >= len(header_and_one) else [9])


def test_another_file_in_the_way_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "t-0001.avro"
    path.write_bytes(b"precious")
    delivery = write(started(tmp_path, "avro"), avro(1))
    assert isinstance(delivery.error, SinkRefusedError)
    assert path.read_bytes() == b"precious"


def test_a_compressed_file_of_others_is_not_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "t-0001.avro"
    with path.open("wb") as file:
        fastavro.writer(file, fastavro.parse_schema(json.loads(SCHEMAS[1])), [{"id": 1}], codec="deflate")
    write(started(tmp_path, "avro"), avro(2))
    assert rows(path) == [1]
    assert rows(tmp_path / "t-0002.avro") == [2]


def test_a_tombstone_is_delivered_without_a_trace(tmp_path: Path) -> None:
    delivery = write(started(tmp_path, "avro"), avro(1)._replace(value=None), avro(2))
    assert delivery.acked()
    assert rows(tmp_path / "t-0001.avro") == [2]


def test_what_is_not_avro_is_refused_and_nothing_behind_it_taken(tmp_path: Path) -> None:
    sink = started(tmp_path, "avro")
    delivery = Inflight().add(None, 3)  # type: ignore[arg-type]
    assert sink.send([avro(1), text(2), avro(3)], 0, delivery) == 2
    assert isinstance(delivery.error, SinkRefusedError)
    assert delivery.remaining == 2
