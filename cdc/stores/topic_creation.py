"""The offset topic is created if it is missing; one that exists must be compacted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType  # type: ignore[attr-defined]

from cdc.core.errors import ConfigError
from cdc.log import get_logger

from .kafka_options import TOPIC

log = get_logger(__name__)

DENIED: Final = frozenset({
    KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED, KafkaError.UNSUPPORTED_VERSION,
})


def prepare_topic(new: NewTopic, settings: Mapping[str, str], timeout_s: float, option: str = TOPIC) -> None:
    """Create the topic *new*, or check the one with its name; *option* names it. Raises ConfigError, KafkaException."""
    admin = AdminClient(dict(settings))
    if new.topic in admin.list_topics(timeout=timeout_s).topics:
        _check_policy(admin, new.topic, timeout_s, option)
    else:
        _create(admin, new, timeout_s)


def _create(admin: AdminClient, new: NewTopic, timeout_s: float) -> None:
    try:
        admin.create_topics([new], operation_timeout=timeout_s, request_timeout=timeout_s)[new.topic].result(timeout_s)
    except KafkaException as exc:
        code = exc.args[0].code()
        if code not in DENIED and code != KafkaError.TOPIC_ALREADY_EXISTS:
            raise
        if code in DENIED:
            log.warning("offset_topic_not_created", topic=new.topic, reason=exc.args[0].str())
    else:
        log.info("offset_topic_created", topic=new.topic, partitions=new.num_partitions)


def _check_policy(admin: AdminClient, topic: str, timeout_s: float, option: str) -> None:
    """Raise ConfigError unless the topic is compacted: under any other policy Kafka deletes records in time.

    Without the right to read the policy we only warn, as Kafka Connect does.
    """
    resource = ConfigResource(ResourceType.TOPIC, topic)
    try:
        future = admin.describe_configs([resource], request_timeout=timeout_s)[resource]
        policy = future.result(timeout_s)["cleanup.policy"].value
    except KafkaException as exc:
        if exc.args[0].code() not in DENIED:
            raise
        log.warning("offset_topic_not_checked", topic=topic, reason=exc.args[0].str())
        return
    if policy != "compact":
        lost = "offsets" if option == TOPIC else "connectors"
        raise ConfigError(f'{option}: {topic} has cleanup.policy "{policy}" and would lose {lost}.',
                          option=option, hint='Set it to "compact", or name another topic.')
