"""Transaction metadata, heartbeats and the head of a source block, as all sources make them."""

from __future__ import annotations

from cdc.core.schema import INT64, Schema
from cdc.debezium.naming import TopicNaming
from cdc.debezium.schemas import source_schema
from cdc.debezium.version import VERSION
from cdc.sources.shared.source_block import SourceBlockBase

NAMING = TopicNaming("srv")
BLOCK = SourceBlockBase(NAMING, "some", source_schema("Source", (("own", Schema(INT64)),)))


def test_the_head_has_the_fields_that_every_connector_has() -> None:
    head = BLOCK.head(1_700_000_000_123_456, "db", "first")
    names = [field.name for field in BLOCK.source_schema.fields]
    assert names.pop() == "own"
    assert dict(zip(names, head, strict=True)) == {
        "version": VERSION, "connector": "some", "name": "srv", "ts_ms": 1_700_000_000_123, "snapshot": "first",
        "db": "db", "sequence": None, "ts_us": 1_700_000_000_123_456, "ts_ns": 1_700_000_000_123_456_000}


def test_a_transaction_begins_and_ends() -> None:
    begin = BLOCK.transaction_begin("5:9", 1_999_999)
    assert (begin.topic, begin.key, begin.value) == ("srv.transaction", ("5:9",), ("BEGIN", "5:9", None, None, 1999))
    end = BLOCK.transaction_end("5:9", 1_999_999, {"s.a": 2, "s.b": 1})
    status, id_, count, collections, time_ms = end.value
    assert (end.topic, end.key, status, id_, count, time_ms) == ("srv.transaction", ("5:9",), "END", "5:9", 3, 1999)
    assert sorted(collections) == [("s.a", 2), ("s.b", 1)]


def test_collections_come_in_the_order_of_javas_hash_map() -> None:
    """As Debezium writes them: "b" hashes to 98 and "a" to 97, so "a" comes first in a table of 16."""
    *_, collections, _ = BLOCK.transaction_end("1", 0, {"b": 1, "a": 2}).value
    assert collections == [("a", 2), ("b", 1)]


def test_a_heartbeat_goes_to_one_partition() -> None:
    beat = BLOCK.heartbeat(1234)
    assert (beat.topic, beat.key, beat.value, beat.kafka_partition) == (
        "__debezium-heartbeat.srv", ("srv",), (1234,), 0)
