"""The correctness of a sample: as many records as rows, in the log's order, each row's last state that of the table.

A sample that fails is void. Of a large topic every *step*th row is decoded.
"""

from __future__ import annotations

import io
import json
import urllib.request
from collections.abc import Callable
from functools import cache
from typing import Any, Final

import fastavro

from tests.servers.kafka import consume_all, topic_names

from .workloads import COLUMNS, Database, Workload

DECODED: Final = 2000

Decode = Callable[[bytes | None], Any]


def check(database: Database, workload: Workload, bootstrap: str, registry: str, topic: str, rows: int) -> int:
    """Raises AssertionError. Returns the bytes of keys and values."""
    decode = decoder(workload, registry)
    step = max(1, rows // DECODED)
    messages = [each for each in consume_all(bootstrap, topic, timeout_s=300) if each.value is not None]
    whole = workload.beside != "orders"  # else copied rows are among the counted ones, and the last changes are missing
    if not whole:
        messages = [each for each in messages if decode(each.value)["op"] != "r"]
    assert len(messages) == rows or not whole, f"{topic} has {len(messages)} records for {rows} rows"
    last: dict[int, tuple[object, ...]] = {}
    places: list[tuple[object, ...]] = []
    for message in messages:
        number = decode(message.key)["id"]
        if number % step:
            continue
        event = decode(message.value)
        last[number] = _state(event.get("after", event), workload)
        source = event.get("source") or {name.removeprefix("__source_"): each for name, each in event.items()}
        places.append((source["lsn"],) if "lsn" in source else (source["file"], source["pos"]))
    assert workload.snapshot or places == sorted(places), f"{topic} is not in the log's order"
    assert last == database.rows(step) or not whole, "the topic's last states are not the table's"
    return sum(len(each.key or b"") + len(each.value or b"") for each in messages)


def copied(bootstrap: str, topic: str, workload: Workload, registry: str) -> int:
    """How many rows of *topic* a snapshot read."""
    decode = decoder(workload, registry)
    messages = consume_all(bootstrap, topic, timeout_s=300) if topic in topic_names(bootstrap) else []
    return sum(each.value is not None and decode(each.value)["op"] == "r" for each in messages)


def _state(after: dict[str, Any], workload: Workload) -> tuple[object, ...]:
    if workload.table == "wide":
        return after["id"], len(after["body"])
    return tuple(after[name] for name in COLUMNS)


def decoder(workload: Workload, registry: str) -> Decode:
    """Bytes of a key or value to what they say."""
    return _json if "value.converter" in workload.settings else _avro(registry)


def _json(data: bytes | None) -> Any:
    return json.loads(data or b"null")


def _avro(registry: str) -> Decode:
    @cache
    def schema(number: int) -> Any:
        with urllib.request.urlopen(f"{registry}/schemas/ids/{number}") as answer:
            return fastavro.parse_schema(json.loads(json.load(answer)["schema"]))

    def decode(data: bytes | None) -> Any:
        assert data is not None
        assert data[0] == 0
        return fastavro.schemaless_reader(io.BytesIO(data[5:]), schema(int.from_bytes(data[1:5])), None)

    return decode
