from __future__ import annotations

from concurrent.futures import Future
from typing import Any

import confluent_kafka.admin
import pytest
from confluent_kafka import KafkaError, KafkaException

from cdc.core.errors import ConfigError, SinkConnectionError, SinkRefusedError
from cdc.kafka.topics import TopicCreator, TopicGroup, topic_groups

DEFAULT = {"topic.creation.default.replication.factor": "3", "topic.creation.default.partitions": "-1"}


def test_without_such_keys_nothing_is_created() -> None:
    assert topic_groups({"name": "x"}) == ()
    assert TopicCreator((), {}).ready("any")


def test_groups_are_tried_in_order_and_default_last() -> None:
    groups = topic_groups({
        **DEFAULT,
        "topic.creation.groups": "logs, big",
        "topic.creation.big.include": "shop\\.big.*",
        "topic.creation.big.partitions": "12",
        "topic.creation.big.retention.ms": "5",
        "topic.creation.logs.include": ".*log,audit.*",
        "topic.creation.logs.exclude": "audit_old",
        "topic.creation.logs.replication.factor": "1",
        "topic.creation.default.cleanup.policy": "compact",
    })
    assert [group.name for group in groups] == ["logs", "big", "default"]
    logs, big, default = groups
    assert (logs.partitions, logs.replication_factor, logs.config) == (-1, 1, {})
    assert (big.partitions, big.replication_factor, big.config) == (12, 3, {"retention.ms": "5"})
    assert default.config == {"cleanup.policy": "compact"}


def test_names_match_in_full_and_exclusion_wins() -> None:
    logs = topic_groups({**DEFAULT, "topic.creation.groups": "logs", "topic.creation.logs.include": "audit.*,log",
                         "topic.creation.logs.exclude": "audit_old"})[0]
    assert [logs.takes(topic) for topic in ("audit_1", "log", "log1", "xaudit", "audit_old")] == [
        True, True, False, False, False
    ]


@pytest.mark.parametrize(
    ("config", "option"),
    [
        ({"topic.creation.default.partitions": "1"}, "topic.creation.default.replication.factor"),
        ({"topic.creation.default.replication.factor": "1"}, "topic.creation.default.partitions"),
        ({**DEFAULT, "topic.creation.default.partitions": "0"}, "topic.creation.default.partitions"),
        ({**DEFAULT, "topic.creation.default.partitions": "many"}, "topic.creation.default.partitions"),
        ({**DEFAULT, "topic.creation.default.replication.factor": "-2"}, "topic.creation.default.replication.factor"),
        ({**DEFAULT, "topic.creation.groups": "a"}, "topic.creation.a.include"),
        ({**DEFAULT, "topic.creation.groups": "a", "topic.creation.a.include": "("}, "topic.creation.a.include"),
    ],
)
def test_wrong_settings_name_the_option(config: dict[str, str], option: str) -> None:
    with pytest.raises(ConfigError) as caught:
        topic_groups(config)
    assert caught.value.option == option


class Admin:
    """Remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.future: Future[None] = Future()

    def create_topics(self, topics: list[Any], **_: Any) -> dict[str, Future[None]]:
        self.asked += topics
        return {topics[0].topic: self.future}


@pytest.fixture
def admin(monkeypatch: pytest.MonkeyPatch) -> Admin:
    admin = Admin()
    monkeypatch.setattr(confluent_kafka.admin, "AdminClient", lambda _: admin)
    return admin


@pytest.fixture
def creator() -> TopicCreator:
    groups: tuple[TopicGroup, ...] = topic_groups({
        **DEFAULT, "topic.creation.groups": "big", "topic.creation.big.include": "big",
        "topic.creation.big.partitions": "7", "topic.creation.big.retention.ms": "5",
    })
    return TopicCreator(groups, {})


def test_creation_is_asked_for_once_and_not_waited_for(admin: Admin, creator: TopicCreator) -> None:
    assert not creator.ready("big")
    assert not creator.ready("big")
    (new,) = admin.asked
    assert (new.topic, new.num_partitions, new.replication_factor, new.config) == ("big", 7, 3, {"retention.ms": "5"})
    admin.future.set_result(None)
    assert creator.ready("big")


def test_every_topic_has_a_group(admin: Admin, creator: TopicCreator) -> None:
    creator.ready("other")
    assert admin.asked[0].num_partitions == -1


@pytest.mark.parametrize(
    "code", [KafkaError.TOPIC_ALREADY_EXISTS, KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.UNSUPPORTED_VERSION]
)
def test_what_is_there_or_not_ours_to_make_is_sent_to(admin: Admin, creator: TopicCreator, code: int) -> None:
    admin.future.set_exception(KafkaException(KafkaError(code)))
    assert creator.ready("big")


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (KafkaError.INVALID_CONFIG, SinkRefusedError),
        (KafkaError.INVALID_REPLICATION_FACTOR, SinkRefusedError),
        (KafkaError._TIMED_OUT, SinkConnectionError),
    ],
)
def test_other_failures_name_the_topic(
    admin: Admin, creator: TopicCreator, code: int, expected: type[Exception]
) -> None:
    admin.future.set_exception(KafkaException(KafkaError(code)))
    with pytest.raises(expected, match="big"):
        creator.ready("big")
