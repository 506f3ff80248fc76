"""Topics with settings of their own, created before a topic's first record: KIP-158, `topic.creation.*`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Final

from confluent_kafka import KafkaError, KafkaException

from cdc.config.regex import Invalid, JavaRegex, compile_java
from cdc.core.dataclass import dataclass
from cdc.core.errors import ConfigError
from cdc.log import get_logger

from .errors import UNAUTHORIZED, sink_error

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient

log = get_logger(__name__)
_PREFIX: Final = "topic.creation."
_DEFAULT: Final = "default"
_FINE: Final = frozenset({KafkaError.TOPIC_ALREADY_EXISTS})
_NOT_FOR_US: Final = UNAUTHORIZED | {KafkaError.UNSUPPORTED_VERSION, KafkaError._UNSUPPORTED_FEATURE}


@dataclass(frozen=True)
class TopicGroup:
    """How the topics of one group are created. -1 leaves the number of partitions, or the replication factor, to the
    broker."""

    name: str
    include: tuple[JavaRegex, ...]
    exclude: tuple[JavaRegex, ...]
    partitions: int
    replication_factor: int
    config: Mapping[str, str]

    def takes(self, topic: str) -> bool:
        return any(p.fullmatch(topic) for p in self.include) and not any(p.fullmatch(topic) for p in self.exclude)


def topic_groups(config: Mapping[str, str]) -> tuple[TopicGroup, ...]:
    """The groups of a connector's *config* in the order they are tried, `default` last; none without such keys.

    Raises ConfigError.
    """
    keys = {name.removeprefix(_PREFIX): text.strip() for name, text in config.items() if name.startswith(_PREFIX)}
    if not keys:
        return ()
    names = _listed(keys.get("groups", ""))
    default = _group(_DEFAULT, keys, None)
    return (*(_group(name, keys, default) for name in names if name != _DEFAULT), default)


def only_topic(topic: str, replication_factor: int) -> TopicGroup:
    """A group for one topic, with one partition."""
    pattern = compile_java(re.escape(topic), re.ASCII)
    return TopicGroup(topic, (pattern,), (), 1, replication_factor, {})


def _group(name: str, keys: Mapping[str, str], default: TopicGroup | None) -> TopicGroup:
    own = {key.removeprefix(f"{name}."): text for key, text in keys.items() if key.startswith(f"{name}.")}
    include, exclude = own.pop("include", ".*" if default is None else ""), own.pop("exclude", "")
    if not include:
        raise ConfigError(f"{_PREFIX}{name}.include is missing.", option=f"{_PREFIX}{name}.include",
                          hint="It lists regular expressions for the names of the group's topics.")
    partitions = _count(name, "partitions", own, None if default is None else default.partitions)
    factor = _count(name, "replication.factor", own,
                    None if default is None else default.replication_factor)
    return TopicGroup(name, _patterns(name, "include", include), _patterns(name, "exclude", exclude),
                      partitions, factor, own)


def _count(group: str, key: str, own: dict[str, str], inherited: int | None) -> int:
    option = f"{_PREFIX}{group}.{key}"
    text = own.pop(key, None)
    if text is None and inherited is not None:
        return inherited
    if text is None:
        raise ConfigError(f"{option} is missing.", option=option,
                          hint="With any topic.creation.* key it is needed; -1 leaves it to the broker.")
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < -1 or number == 0:
        raise ConfigError(f'{option}: "{text}" is neither -1 nor a positive integer.', option=option)
    return number


def _patterns(group: str, key: str, text: str) -> tuple[JavaRegex, ...]:
    option = f"{_PREFIX}{group}.{key}"
    try:
        return tuple(compile_java(item, re.ASCII, option) for item in _listed(text))
    except Invalid as exc:
        raise ConfigError(f"{option} has an item that is not a regular expression: {exc}.", option=option) from exc


def _listed(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]


class TopicCreator:
    """Creates topics without waiting: call `ready` again until it returns True."""

    def __init__(self, groups: Sequence[TopicGroup], settings: Mapping[str, str], timeout_s: float = 30) -> None:
        """*groups* as `topic_groups` gives them; *settings* by librdkafka's names."""
        self._groups = groups
        self._settings = settings
        self._timeout_s = timeout_s
        self._admin: AdminClient | None = None
        self._pending: dict[str, Future[None]] = {}

    def ready(self, topic: str) -> bool:
        """Whether records may be sent to *topic*: it exists, or we do not create it.

        Raises SinkConnectionError, SinkRefusedError.
        """
        group = next((each for each in self._groups if each.takes(topic) or each.name == _DEFAULT), None)
        if group is None:
            return True
        future = self._pending.get(topic)
        if future is None:
            future = self._pending[topic] = self._create(topic, group)
        if not future.done():
            return False
        del self._pending[topic]
        self._judge(topic, future)
        return True

    def _create(self, topic: str, group: TopicGroup) -> Future[None]:
        from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # few create topics

        if self._admin is None:
            self._admin = AdminClient({"log_level": "0", **self._settings})  # Its failures come back as results.
        new = NewTopic(topic, num_partitions=group.partitions, replication_factor=group.replication_factor,
                       config=dict(group.config))
        futures: dict[str, Future[None]] = self._admin.create_topics(
            [new], operation_timeout=self._timeout_s, request_timeout=self._timeout_s
        )
        return futures[topic]

    def _judge(self, topic: str, future: Future[None]) -> None:
        failure = future.exception()
        if failure is None:
            log.info("topic_created", topic=topic)
            return
        if not isinstance(failure, KafkaException):
            raise failure
        error: KafkaError = failure.args[0]
        if error.code() in _NOT_FOR_US:
            log.warning("topic_not_created", topic=topic, reason=error.str())
        elif error.code() not in _FINE:
            raise sink_error(error, f"Topic {topic} could not be created", topic=topic) from failure
