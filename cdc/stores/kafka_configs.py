"""The connectors that clients asked for, in a Kafka topic, in Kafka Connect's format: KafkaConfigBackingStore.

`connector-<name>` is `{"properties": {…}}`, and `target-state-<name>` is `{"state", "state.v2"}`, null for none. The
topic is compacted and has one partition. Other records of a Kafka Connect group are left alone.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import NewTopic  # type: ignore[attr-defined]

from cdc.core.errors import ConfigError, OffsetStoreError
from cdc.core.stores import ConfigStore, Kept, StoreSettings
from cdc.kafka.settings import client_settings
from cdc.log import get_logger

from .file_offsets import json_text
from .kafka_offsets import FINAL
from .kafka_options import CONFIG_TOPIC, OPTIONS, KafkaOffsetConfig
from .offset_topic import OffsetTopic
from .topic_creation import prepare_topic
from .topic_writer import Record, TopicWriter

log = get_logger(__name__)

_CONNECTOR: Final = b"connector-"
_TARGET: Final = b"target-state-"


def build(settings: StoreSettings) -> ConfigStore:
    """The store for a worker with `config.storage.topic`; without it, one that keeps nothing. Raises ConfigError."""
    parsed = OPTIONS.parse(settings.worker, partial=True)
    parsed.check("the worker's configuration")
    config = KafkaOffsetConfig(**parsed.values)
    if not config.config_storage_topic:
        return NoConfigs()
    return KafkaConfigStore(config.config_storage_topic, client_settings(settings.client, "consumer").settings,
                            config.config_storage_replication_factor)


class NoConfigs:
    """For a worker whose configuration names no place for connectors: nobody can create one over REST."""

    def load(self) -> Sequence[Kept]:
        return []

    def save(self, kept: Kept) -> None:
        if kept.config is not None:
            raise ConfigError("This worker has no place to keep connectors.", option=CONFIG_TOPIC,
                              hint=f"Set {CONFIG_TOPIC} in the worker's file, or offset.storage.file.filename.")
        log.warning("state_not_kept", connector=kept.name, state=kept.state,
                    hint=f"It ends with this process. Set {CONFIG_TOPIC} to keep it.")

    def delete(self, name: str) -> None:
        """Nothing is there."""


class KafkaConfigStore:
    """Each call reads the topic from where the last read stopped to its end. Any thread may call."""

    def __init__(self, topic: str, settings: Mapping[str, str], replication_factor: int = 3,
                 timeout_s: float = 30.0) -> None:
        """*settings*, by librdkafka's names, are for all our clients. A missing topic is created with
        *replication_factor*. *timeout_s* limits each call."""
        self._topic = topic
        self._settings = {"log_level": "0", **settings}  # Failures come back as results.
        self._replication_factor = replication_factor
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._read = OffsetTopic(topic, self._settings, timeout_s)
        self._writer: TopicWriter | None = None

    def load(self) -> Sequence[Kept]:
        with self._lock:
            try:
                self._open()
                self._read.catch_up()
            except KafkaException as exc:
                raise self._error("read", exc) from exc
            return [self._kept(key.removeprefix(_CONNECTOR)) for key in sorted(self._read.values)
                    if key.startswith(_CONNECTOR)] + [
                self._kept(name) for key in sorted(self._read.values) if key.startswith(_TARGET)
                and _CONNECTOR + (name := key.removeprefix(_TARGET)) not in self._read.values]

    def save(self, kept: Kept) -> None:
        name = kept.name.encode()
        old = "STARTED" if kept.state == "STARTED" else "PAUSED"
        records: list[Record] = [(_TARGET + name, json_text({"state": old, "state.v2": kept.state}).encode())]
        if kept.config is not None:
            records.append((_CONNECTOR + name, json_text({"properties": dict(kept.config)}).encode()))
        self._write(records)

    def delete(self, name: str) -> None:
        self._write([(_CONNECTOR + name.encode(), None), (_TARGET + name.encode(), None)])

    def _write(self, records: Sequence[Record]) -> None:
        with self._lock:
            try:
                self._open().write(records)
            except KafkaException as exc:
                raise self._error("written", exc) from exc

    def _open(self) -> TopicWriter:
        if self._writer is None:
            new = NewTopic(self._topic, num_partitions=1, replication_factor=self._replication_factor,
                           config={"cleanup.policy": "compact"})
            prepare_topic(new, self._settings, self._timeout_s, CONFIG_TOPIC)
            self._writer = TopicWriter(self._topic, self._settings, self._timeout_s)
        return self._writer

    def _kept(self, name: bytes) -> Kept:
        target = self._object(self._read.values.get(_TARGET + name, b"{}"), name)
        state = target.get("state.v2") or target.get("state") or "STARTED"
        stored = self._read.values.get(_CONNECTOR + name)
        config = None if stored is None else self._object(stored, name).get("properties")
        if config is not None and not isinstance(config, dict):
            raise self._damaged(name)
        if config is not None:  # Kafka Connect keeps null for a key that a client gave no value
            config = {key: str(text) for key, text in config.items() if text is not None}
        return Kept(name.decode(errors="replace"), config, str(state))

    def _object(self, value: bytes, name: bytes) -> dict[str, Any]:
        try:
            found = json.loads(value)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise self._damaged(name)
        return found

    def _damaged(self, name: bytes) -> OffsetStoreError:
        return OffsetStoreError("A stored connector is not as Kafka Connect writes it.", topic=self._topic,
                                connector=name.decode(errors="replace"), hint="Delete its records in the topic.")

    def _error(self, what: str, exc: KafkaException) -> OffsetStoreError:
        error = exc.args[0]
        return OffsetStoreError(
            f"The topic of connectors could not be {what}: {error.str()}.", retriable=error.code() not in FINAL,
            topic=self._topic, bootstrap_servers=self._settings.get("bootstrap.servers"),
            hint=f"Check {CONFIG_TOPIC}, bootstrap.servers and the permissions on the topic.")
