"""What every offset store promises about large values: any size, whole or an error, and nothing left behind."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest
from confluent_kafka import Producer

from cdc.core.errors import OffsetStoreError
from cdc.core.stores import OffsetStore
from cdc.stores import file_offsets, kafka_offsets
from cdc.stores.file_offsets import FileOffsetStore
from cdc.stores.kafka_offsets import KafkaOffsetStore
from cdc.stores.parts import PART_BYTES
from tests.servers.kafka import KafkaServer, consume_all

PARTITION = {"server": "shop"}
PLACE = ("inventory", PARTITION)


def text(seed: int, size: int) -> str:
    return random.Random(seed).randbytes(size // 2).hex()


BIG = text(1, 3 * PART_BYTES)
OTHER = text(2, 2 * PART_BYTES)


class Records(Protocol):
    """One store, and what is in it: `record` is the inventory's main record, `parts` the parts of both connectors, as
    their keys."""

    def open(self) -> OffsetStore: ...

    def close(self) -> None: ...

    def record(self) -> bytes: ...

    def parts(self) -> dict[str, bytes]: ...

    def put_part(self, key: str, data: bytes | None) -> None: ...

    def fail(self, patch: pytest.MonkeyPatch) -> None:
        """A commit dies between the parts and the record."""


class FileRecords:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._opened: list[FileOffsetStore] = []

    def open(self) -> FileOffsetStore:
        store = FileOffsetStore(self._path)
        store.start()
        self._opened.append(store)
        return store

    def close(self) -> None:
        for store in self._opened:
            store.close()

    def _query(self, sql: str, *arguments: Any) -> list[Any]:
        connection = sqlite3.connect(self._path)
        try:
            with connection:
                return connection.execute(sql, arguments).fetchall()
        finally:
            connection.close()

    def record(self) -> bytes:
        (value,), = self._query("SELECT offset_json FROM offsets WHERE connector = ?", "inventory")
        return bytes(value, "utf-8")

    def parts(self) -> dict[str, bytes]:
        return {f"{connector}/{name}": data for connector, name, data in
                self._query("SELECT connector, name, data FROM parts")}

    def put_part(self, key: str, data: bytes | None) -> None:
        name = key.partition("/")[2]
        if data is None:
            self._query("DELETE FROM parts WHERE name = ?", name)
        else:
            self._query("UPDATE parts SET data = ? WHERE name = ?", data, name)

    def fail(self, patch: pytest.MonkeyPatch) -> None:
        patch.setattr(file_offsets, "set_state", None)


class KafkaRecords:
    def __init__(self, server: KafkaServer, topic: str) -> None:
        self._server = server
        self._topic = topic
        self._opened: list[KafkaOffsetStore] = []

    def open(self) -> KafkaOffsetStore:
        store = KafkaOffsetStore(self._topic, {"bootstrap.servers": self._server.bootstrap}, partitions=3,
                                 replication_factor=1, topic_config={"max.message.bytes": "400000"})
        store.start()
        self._opened.append(store)
        return store

    def close(self) -> None:
        for store in self._opened:
            store.close()

    def _last(self) -> dict[str, bytes | None]:
        return {(message.key or b"").decode(): message.value for message in
                consume_all(self._server.bootstrap, self._topic)}

    def record(self) -> bytes:
        return self._last()['["inventory",{"server":"shop"}]'] or b""

    def parts(self) -> dict[str, bytes]:
        return {key: value for key, value in self._last().items() if value is not None and '"part"' in key}

    def put_part(self, key: str, data: bytes | None) -> None:
        producer = Producer({"bootstrap.servers": self._server.bootstrap, "partitioner": "murmur2_random"})
        producer.produce(self._topic, data, key)
        assert producer.flush(15) == 0

    def fail(self, patch: pytest.MonkeyPatch) -> None:
        produce = KafkaOffsetStore._produce

        def only_parts(store: KafkaOffsetStore, writer: Any, records: Any, *more: Any, **others: Any) -> None:
            if any(b'"part"' not in key for key, _ in records):
                raise TypeError("killed")
            produce(store, writer, records, *more, **others)

        patch.setattr(kafka_offsets.KafkaOffsetStore, "_produce", only_parts)


@pytest.fixture(params=["file", "kafka"])
def records(request: pytest.FixtureRequest, tmp_path: Path, topic_prefix: str) -> Iterator[Records]:
    made = (FileRecords(tmp_path / "offsets.db") if request.param == "file"
            else KafkaRecords(request.getfixturevalue("kafka"), f"{topic_prefix}.offsets"))
    yield made
    made.close()


def test_an_offset_of_many_megabytes_is_loaded_again(records: Records) -> None:
    offset = {"pos": 4, **{f"structures.{number}": text(number, 80_000) for number in range(128)},
              "letters": "Straße" * 100_000, "snapshot": None, "last": True}
    store = records.open()
    store.commit(*PLACE, offset)
    assert len(records.record()) < 16 << 10
    assert store.load(*PLACE) == offset
    assert records.open().load(*PLACE) == offset


def test_only_values_that_changed_are_written(records: Records) -> None:
    store = records.open()
    store.commit(*PLACE, {"pos": 4, "one": BIG, "two": OTHER})
    before = records.parts()
    assert len(before) == 5
    store.commit(*PLACE, {"pos": 5, "one": BIG, "two": OTHER})
    assert records.parts() == before
    store.commit(*PLACE, {"pos": 6, "one": BIG, "two": BIG})
    after = records.parts()
    assert len(after.keys() & before.keys()) == 3
    assert len(after) == 6
    assert records.open().load(*PLACE) == {"pos": 6, "one": BIG, "two": BIG}


def test_the_next_process_writes_nothing_again(records: Records) -> None:
    records.open().commit(*PLACE, {"pos": 4, "one": BIG})
    before = records.parts()
    store = records.open()
    offset = store.load(*PLACE)
    assert offset is not None
    store.commit(*PLACE, {**offset, "pos": 5})
    assert records.parts() == before
    assert store.load(*PLACE) == {"pos": 5, "one": BIG}


def test_parts_go_with_the_offset_and_with_values_that_become_small(records: Records) -> None:
    store = records.open()
    store.commit(*PLACE, {"pos": 4, "one": BIG, "two": OTHER})
    store.commit(*PLACE, {"pos": 5, "one": BIG, "two": "small"})
    assert len(records.parts()) == 3
    records.open().commit(*PLACE, None)
    assert records.parts() == {}
    assert store.load(*PLACE) is None
    assert records.open().load(*PLACE) is None


def test_connectors_with_equal_values_do_not_share_them(records: Records) -> None:
    store = records.open()
    store.commit(*PLACE, {"pos": 4, "one": BIG})
    store.commit("other", PARTITION, {"pos": 4, "one": BIG})
    assert len(records.parts()) == 6
    store.commit(*PLACE, None)
    assert len(records.parts()) == 3
    assert records.open().load("other", PARTITION) == {"pos": 4, "one": BIG}


def test_a_crash_before_the_record_leaves_the_old_offset(records: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    records.open().commit(*PLACE, {"pos": 4, "one": BIG})
    before = records.parts()
    with monkeypatch.context() as patch:
        records.fail(patch)
        with pytest.raises(TypeError):
            records.open().commit(*PLACE, {"pos": 5, "one": OTHER})
    store = records.open()
    assert store.load(*PLACE) == {"pos": 4, "one": BIG}
    store.commit(*PLACE, {"pos": 6, "one": BIG})
    assert records.parts() == before
    assert records.open().load(*PLACE) == {"pos": 6, "one": BIG}


def test_a_commit_after_a_failed_one_writes_its_parts(records: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    store = records.open()
    store.commit(*PLACE, {"pos": 4, "one": BIG})
    with monkeypatch.context() as patch:
        records.fail(patch)
        with pytest.raises(TypeError):
            store.commit(*PLACE, {"pos": 5, "one": OTHER})
    store.commit(*PLACE, {"pos": 5, "one": OTHER})
    assert len(records.parts()) == 2
    assert records.open().load(*PLACE) == {"pos": 5, "one": OTHER}


def test_what_another_process_replaced_is_written_again(records: Records) -> None:
    one, two = records.open(), records.open()
    one.commit(*PLACE, {"pos": 4, "one": BIG})
    two.commit(*PLACE, {"pos": 5, "one": OTHER})
    one.commit(*PLACE, {"pos": 6, "one": BIG})
    assert two.load(*PLACE) == {"pos": 6, "one": BIG}
    two.commit(*PLACE, {"pos": 7, "one": BIG})
    assert one.load(*PLACE) == {"pos": 7, "one": BIG}
    assert len(records.parts()) == 3


@pytest.mark.parametrize("damage", [None, b"", b"x" * PART_BYTES])
def test_a_missing_or_changed_part_is_an_error(records: Records, damage: bytes | None) -> None:
    store = records.open()
    store.commit(*PLACE, {"pos": 4, "one": BIG, "two": OTHER})
    store.commit("other", PARTITION, {"pos": 4, "one": BIG})
    records.put_part(next(key for key in records.parts() if "inventory" in key), damage)
    for each in (store, records.open()):
        with pytest.raises(OffsetStoreError, match="missing or changed") as caught:
            each.load(*PLACE)
        assert not caught.value.retriable
        assert caught.value.hint
        assert each.load("other", PARTITION) == {"pos": 4, "one": BIG}
    store.commit(*PLACE, None)
    assert records.open().load(*PLACE) is None
    assert len(records.parts()) == 3
