"""Names the subject of the Schema Registry that a topic's schema belongs to.

Source: confluentinc/schema-registry, `io.confluent.kafka.serializers.subject`.
"""

from __future__ import annotations

from typing import Final

from cdc.core.errors import ConvertError, RegistryRefusedError

from .client import SchemaRegistry

TOPIC: Final = "TopicNameStrategy"
RECORD: Final = "RecordNameStrategy"
TOPIC_RECORD: Final = "TopicRecordNameStrategy"
ASSOCIATED: Final = "AssociatedNameStrategy"
STRATEGIES: Final = (TOPIC, RECORD, TOPIC_RECORD, ASSOCIATED)
FALLBACKS: Final = {"TOPIC": TOPIC, "RECORD": RECORD, "TOPIC_RECORD": TOPIC_RECORD, "NONE": ""}


def strategy_of(name: str) -> str:
    """A strategy's short name, from its class name with or without package. Raises ValueError for an unknown one."""
    short = name.strip().rpartition(".")[2] or TOPIC
    if short not in STRATEGIES:
        raise ValueError(f"allowed: {', '.join(STRATEGIES)}")
    return short


class Subjects:
    """Names the subjects of one side, key or value. *fallback*: strategy for topics without an association; "" refuses
    them."""

    def __init__(self, strategy: str, is_key: bool, registry: SchemaRegistry, fallback: str = TOPIC,
                 cluster: str = "-") -> None:
        self._strategy = strategy
        self._is_key = is_key
        self._registry = registry
        self._fallback = fallback
        self._cluster = cluster
        self._associated: dict[str, str | None] = {}

    def name(self, topic: str, record: str | None) -> str:
        """The subject for *topic*. *record*: the full name of the schema's record, None if it is not a record.

        Raises ConvertError, RegistryError.
        """
        if self._strategy != ASSOCIATED:
            return self._by(self._strategy, topic, record)
        if topic not in self._associated:
            self._associated[topic] = self._find(topic)
        return self._associated[topic] or self._by(self._fallback, topic, record)

    def _by(self, strategy: str, topic: str, record: str | None) -> str:
        if strategy == TOPIC:
            return f"{topic}-{'key' if self._is_key else 'value'}"
        if not strategy:
            raise RegistryRefusedError("the topic has no associated subject", topic=topic,
                                       hint="Associate one, or set subject.name.strategy.fallback.type=TOPIC.")
        if record is None:
            raise ConvertError(f"{strategy} works only for records with a name", topic=topic,
                               hint="Use TopicNameStrategy.")
        return record if strategy == RECORD else f"{topic}-{record}"

    def _find(self, topic: str) -> str | None:
        found = self._registry.associated_subjects(topic, self._cluster, self._is_key)
        if len(found) > 1:
            raise RegistryRefusedError("the topic has more than one associated subject", topic=topic,
                                       subjects=len(found), hint="Remove all but one association.")
        return found[0] if found else None
