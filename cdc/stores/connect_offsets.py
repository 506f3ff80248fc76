"""A Kafka Connect's offset topic, only read."""

from __future__ import annotations

import json
from typing import Any

from confluent_kafka import KafkaException

from cdc.core.errors import OffsetStoreError

from .kafka_offsets import place_of
from .offset_topic import OffsetTopic


def read_offsets(topic: str, settings: dict[str, str], timeout_s: float = 30) -> dict[str, list[tuple[
        dict[str, Any], dict[str, Any]]]]:
    """The last offset of each source partition, by connector. *settings* are librdkafka's; `bootstrap.servers` must be
    among them. Raises OffsetStoreError."""
    reader = OffsetTopic(topic, {"log_level": "0", "allow.auto.create.topics": "false", **settings}, timeout_s)
    try:
        reader.catch_up()
    except KafkaException as exc:
        raise OffsetStoreError(f"The offset topic {topic} cannot be read: {exc.args[0].str()}.",
                               hint="It is offset.storage.topic of Kafka Connect's worker. Check its name, and the "
                                    "brokers'.") from exc
    found: dict[str, list[tuple[dict[str, Any], dict[str, Any]]]] = {}
    for key, value in reader.values.items():
        place = place_of(key)
        if place is None:
            continue
        try:
            offset = json.loads(value)
        except (ValueError, RecursionError):
            offset = None
        if not isinstance(offset, dict):
            raise OffsetStoreError(f"The offset topic {topic} has an offset of connector {place[0]} that is no JSON "
                                   "object.", hint="Was the name of another topic given?")
        found.setdefault(place[0], []).append((place[1], offset))
    return found
