"""A Kafka Connect's offset topic, only read."""

from __future__ import annotations

import json
from typing import Any

from confluent_kafka import KafkaError, KafkaException

from cdc.core.errors import OffsetStoreError
from cdc.kafka.errors import DENIED

from .kafka_offsets import place_of
from .offset_topic import NO_ANSWER, OffsetTopic


def read_offsets(topic: str, settings: dict[str, str], timeout_s: float = 30) -> dict[str, list[tuple[
        dict[str, Any], dict[str, Any]]]]:
    """The last offset of each source partition, by connector. *settings* are librdkafka's; `bootstrap.servers` must be
    among them. Raises OffsetStoreError."""
    heard: list[KafkaError] = []

    def hear(error: KafkaError) -> None:
        """What a call that ends at its time limit does not say: why no broker answers."""
        if not heard or error.code() != KafkaError._ALL_BROKERS_DOWN:
            heard[:] = [error]
        reader.closing = reader.closing or error.code() in DENIED  # to ask again makes no difference

    reader = OffsetTopic(topic, {"log_level": "0", "allow.auto.create.topics": "false", **settings}, timeout_s, hear)
    try:
        reader.catch_up()
    except KafkaException as exc:
        error, hint = exc.args[0], "It is offset.storage.topic of Kafka Connect's worker. Check its name."
        if error.code() in NO_ANSWER:
            error = (heard or [error])[0]
        if exc.args[0].code() in (*NO_ANSWER, KafkaError._INVALID_ARG):
            hint = "Check the brokers' names, and security.protocol, sasl.* and ssl.* in the file of --command-config."
        raise OffsetStoreError(f"The offset topic {topic} cannot be read: {error.str().partition(' (after ')[0]}.",
                               hint=hint) from exc
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
