"""The offset store in a Kafka topic, in Kafka Connect's format: either service can continue from the other's offsets.

Key: `["<connector>",{<partition>}]`, value: `{<offset>}` or null, compact JSON; the topic is compacted, the last
record wins. Kafka Connect: KafkaOffsetBackingStore, OffsetUtils; KIP-875. Large values are in records of their own
(`parts.py`, `offset_topic.part_key`).
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import NewTopic  # type: ignore[attr-defined]

from cdc.core.errors import ConfigError, OffsetStoreError
from cdc.core.owner import Claim, Owner, claimed_by
from cdc.core.position import Offset
from cdc.core.stores import StoreSettings
from cdc.kafka.settings import client_settings
from cdc.log import get_logger

from .claims import held_by, offset_moved, owner_lost
from .file_offsets import json_text
from .kafka_options import OPTIONS, TOPIC, KafkaOffsetConfig
from .offset_topic import GENERATION, OffsetTopic, owner_key, part_key
from .parts import Split, Splitter, join, references
from .process import is_paused, runs_here, this_process
from .topic_creation import DENIED, prepare_topic
from .topic_writer import Headers, Record, TopicWriter, Written

log = get_logger(__name__)

FINAL: Final = DENIED | {
    KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED, KafkaError.INVALID_REPLICATION_FACTOR,
    KafkaError.INVALID_PARTITIONS, KafkaError.INVALID_CONFIG, KafkaError.POLICY_VIOLATION, KafkaError.TOPIC_EXCEPTION,
    KafkaError.MSG_SIZE_TOO_LARGE, KafkaError._INVALID_ARG,
}

_DAMAGE: Final = frozenset({KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE, KafkaError._BAD_MSG})
"""The topic ends before a place that we have read (it was deleted and made again, or a broker lost records), or the CRC
of a batch is wrong. librdkafka, CONFIGURATION.md: auto.offset.reset, check.crcs."""
_NO_FENCING: Final = (
    "The topic is read before and after each commit instead, which leaves a short gap. Grant the worker's principal "
    "WRITE and DESCRIBE on the transactional ids cdc-offsets-*.")
_LOOK_S: Final = 5.0
"""So long `owner` waits for the brokers, and for a topic that is not there."""
_DAMAGED: Final = (
    "Restore the topic, or restart the process to go on with the offsets that the topic still has: connectors without "
    "an offset then start with a new snapshot or, if their snapshot.mode takes none, with a gap.")


def offset_key(connector: str, partition: Mapping[str, Any]) -> bytes:
    """Keys are compared as bytes, so the order within *partition* counts."""
    return json_text([connector, dict(partition)]).encode()


def build(settings: StoreSettings) -> KafkaOffsetStore:
    """The store for a worker with `offset.storage.topic`. Raises ConfigError."""
    parsed = OPTIONS.parse(settings.worker, partial=True)
    parsed.check("the worker's configuration")
    config = KafkaOffsetConfig(**parsed.values)
    if not config.offset_storage_topic:
        raise ConfigError(f"{TOPIC} is not set.", option=TOPIC)
    return KafkaOffsetStore(
        config.offset_storage_topic, client_settings(settings.client, "consumer").settings,
        partitions=config.offset_storage_partitions, replication_factor=config.offset_storage_replication_factor,
        topic_config=_topic_config(settings.worker))


def _topic_config(worker: Mapping[str, str]) -> dict[str, str]:
    """The settings for a topic that is created: all keys below `offset.storage.` that are not ours."""
    prefix = "offset.storage."
    ours = {TOPIC, "offset.storage.partitions", "offset.storage.replication.factor", "offset.storage.file.filename"}
    return {key.removeprefix(prefix): text for key, text in worker.items()
            if key.startswith(prefix) and key not in ours}


def place_of(key: bytes) -> tuple[str, dict[str, Any]] | None:
    """Connector and partition of an offset's *key*; None for any other record of the topic."""
    try:
        found = json.loads(key)
    except (ValueError, RecursionError):
        return None
    if not (isinstance(found, list) and len(found) == 2 and isinstance(found[0], str) and isinstance(found[1], dict)):
        return None
    return found[0], found[1]


def claim_key(connector: str, partition: Mapping[str, Any]) -> bytes:
    """The key of the offset whose claim covers that of *partition*."""
    return offset_key(connector, claimed_by(partition))


@dataclass(slots=True)
class Held:
    """A claim of this store, on the offset with *key*, and the writer for what it covers."""

    key: bytes
    claim: Claim
    writer: TopicWriter
    released: bool = False

    def headers(self) -> Headers:
        return [(GENERATION, str(self.claim.generation).encode())]


def _claim_json(claim: Claim) -> bytes:
    return json_text({"generation": claim.generation, **asdict(claim.owner)}).encode()


class KafkaOffsetStore:
    """Each `load` reads the topic from where the last read stopped to its end. Any thread may call."""

    def __init__(self, topic: str, settings: Mapping[str, str], *, partitions: int = 25, replication_factor: int = 3,
                 topic_config: Mapping[str, str] | None = None, timeout_s: float = 30.0,
                 owner: Owner | None = None) -> None:
        """*settings*, by librdkafka's names, are for all our clients. A missing topic is created with *partitions*,
        *replication_factor* and *topic_config*. *timeout_s* limits each call. *owner* is by default this
        process."""
        self._owner = owner or this_process()
        self._topic = topic
        self._settings = {"log_level": "0", **settings}  # Failures come back as results.
        self._partitions = partitions
        self._replication_factor = replication_factor
        self._topic_config = dict(topic_config or {})
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._closing = False
        self._writer: TopicWriter | None = None
        self._writers: list[TopicWriter] = []
        self._held: dict[bytes, Held] = {}
        self._read = OffsetTopic(topic, self._settings, timeout_s)
        self._splitter = Splitter()

    def start(self) -> None:
        """Create the topic if it is missing, and read it; do nothing if it is open. Raises OffsetStoreError,
        ConfigError."""
        with self._lock:
            if self._writer is not None:
                return
            self._closing = self._read.closing = False
            self._prepare_topic()
            self._read.clear()
            self._catch_up()
            self._writer = TopicWriter(self._topic, self._settings, self._timeout_s)
            self._writers.append(self._writer)

    def hold(self, connector: str, partition: Mapping[str, Any]) -> None:
        """Sees only whether a process of this host runs. One of another host is replaced, and finds out."""
        key = claim_key(connector, partition)
        with self._lock:
            held = self._held.get(key)
            self._catch_up()
            if held is not None and not held.released:
                self._check(held, connector)
                return
            other, _ = self._claimed(key)
            if other is not None and other.run != self._owner.run and runs_here(other) and not is_paused(other):
                raise held_by(other, connector, topic=self._topic)

    def load(self, connector: str, partition: Mapping[str, Any]) -> dict[str, Any] | None:
        key = offset_key(connector, partition)
        with self._lock:
            assert self._writer is not None, "not started"
            self._catch_up()
            return self._assembled(key, connector)

    def claim(self, connector: str, partition: Mapping[str, Any], offset: Offset | None) -> Claim:
        key = offset_key(connector, partition)
        with self._lock:
            assert self._writer is not None, "not started"
            held = self._held.get(key)
            self._catch_up()
            if held is not None and not held.released:
                self._check(held, connector)
            writer = self._fenced_writer(key, connector, held)
            self._catch_up()  # now nobody else writes, if the brokers have fenced the others
            self._compare(key, connector, offset)
            claim = Claim(self._owner, self._read.generation(key) + 1)
            held = Held(key, claim, writer)
            self._produce(writer, [(owner_key(key), _claim_json(claim))], headers=held.headers())
            self._catch_up()
            self._check(held, connector)
            self._compare(key, connector, offset)
            self._held[key] = held
            if not writer.transactional and offset is not None:
                self._write([(key, offset)], held.writer, held)  # what an older claim still writes is then left out
        return claim

    def commit(self, connector: str, partition: Mapping[str, Any], offset: Offset | None) -> None:
        self.commit_all(connector, [(partition, offset)])

    def commit_all(self, connector: str, offsets: Sequence[tuple[Mapping[str, Any], Offset | None]]) -> None:
        if not offsets:
            return
        held = self._held.get(claim_key(connector, offsets[0][0]))
        # before the wait for the lock, in which a later run may claim
        keyed = [(offset_key(connector, partition), offset) for partition, offset in offsets]
        with self._lock:
            assert self._writer is not None, "not started"
            if held is None:
                self._write(keyed, self._writer)
                return
            self._ensure(held, connector)
            try:
                self._write(keyed, held.writer, held)
            except OffsetStoreError:
                if held.writer.broken and not self._closing:  # somebody took our place?
                    self._ensure(held, connector)
                raise

    def load_all(self, connector: str) -> Sequence[tuple[dict[str, Any], dict[str, Any]]]:
        with self._lock:
            assert self._writer is not None, "not started"
            self._catch_up()
            places = [(key, place[1]) for key in sorted(self._read.values)
                      if (place := place_of(key)) is not None and place[0] == connector]
            found = [(partition, self._assembled(key, connector)) for key, partition in places]
            return [(partition, offset) for partition, offset in found if offset is not None]

    def stored(self) -> Sequence[tuple[str, dict[str, Any]]]:
        with self._lock:
            assert self._writer is not None, "not started"
            self._catch_up()
            return [place for key in sorted(self._read.values) if (place := place_of(key)) is not None]

    def owner(self, connector: str, partition: Mapping[str, Any]) -> tuple[Owner | None, bool]:
        """As `core.stores.ShowsOwner`. Only of a process of this host is it known whether it runs."""
        look = OffsetTopic(self._topic, self._settings, _LOOK_S)
        try:
            look.catch_up()
        except KafkaException as exc:
            raise self._error("could not be read", exc) from exc
        owner, _ = _claim_in(look, claim_key(connector, partition))
        return owner, owner is not None and runs_here(owner)

    def release(self, connector: str, partition: Mapping[str, Any]) -> None:
        held = self._held.get(claim_key(connector, partition))
        if held is not None:
            held.released = True

    def _write(self, offsets: Sequence[tuple[bytes, Offset | None]], writer: TopicWriter, held: Held | None = None,
               ) -> None:
        """Write the offsets with these keys, in one transaction if *writer* has them; what is large goes before."""
        headers = held.headers() if held is not None else None
        splits = {key: self._split(key, offset) for key, offset in offsets}
        for key, split in splits.items():
            self._write_parts(writer, key, split)
        self._produce(writer, [(key, None if offset is None else json_text(splits[key].record).encode())
                               for key, offset in offsets], headers=headers)
        if held is not None and not writer.transactional:
            self._catch_up()
            self._check(held, json.loads(held.key)[0])
        for key, split in splits.items():
            self._splitter.written(key, split)
            stored = self._read.parts.get(key, {})
            self._remove(writer, key, [name for name in stored if name not in split.names()])

    def _write_parts(self, writer: TopicWriter, key: bytes, split: Split) -> None:
        names, stored = list(split.new), self._read.parts.setdefault(key, {})
        self._produce(writer, [(part_key(key, name), data) for name, data in split.new.items()],
                      lambda number, place: stored.update({names[number]: place}))

    def _ensure(self, held: Held, connector: str) -> None:
        """That *held* counts and its writer may write. Without transactions the topic is read each time. Raises
        OwnerLostError, OffsetStoreError."""
        if held.writer.transactional and not held.writer.broken and self._held.get(held.key) is held:
            return
        self._catch_up()
        self._check(held, connector)
        if held.writer.broken:
            try:
                held.writer.fence()
            except KafkaException as exc:
                raise self._error("could not be written", exc) from exc
            self._catch_up()  # another process may have claimed it in between
            self._check(held, connector)

    def _check(self, held: Held, connector: str) -> None:
        owner, generation = self._claimed(held.key)
        if generation != held.claim.generation or owner is None or owner.run != held.claim.owner.run:
            raise owner_lost(connector, owner)

    def _compare(self, key: bytes, connector: str, offset: Offset | None) -> None:
        if self._assembled(key, connector) != (None if offset is None else dict(offset)):
            raise offset_moved(connector, topic=self._topic)

    def _claimed(self, key: bytes) -> tuple[Owner | None, int]:
        """Who claimed the offset with *key* last, and that generation; (None, 0) if nobody did."""
        return _claim_in(self._read, key)

    def _fenced_writer(self, key: bytes, connector: str, held: Held | None) -> TopicWriter:
        """The writer of the claim before, *held*, or a new one. Where brokers allow no transactions, one without."""
        assert self._writer is not None
        if held is not None and held.writer.transactional:
            writer = held.writer
        else:
            digest = hashlib.blake2b(key, digest_size=6).hexdigest()
            writer = TopicWriter(self._topic, self._settings, self._timeout_s,
                                 f"cdc-offsets-{self._topic}-{connector}-{digest}")
            self._writers.append(writer)
        try:
            if writer.broken or (held is not None and held.released):
                writer.fence(lambda: self._closing)
        except KafkaException as exc:
            self._writers.remove(writer)
            if self._closing:
                raise self._error("could not be written", exc) from exc
            log.warning("offset_fencing_not_available", topic=self._topic, reason=exc.args[0].str(), hint=_NO_FENCING)
            return self._writer
        return writer

    def _split(self, key: bytes, offset: Offset | None) -> Split:
        """*offset*, whose parts other processes may have written or removed too."""
        split = self._splitter.split(key, offset or {})
        if offset is None or split.values:
            self._catch_up()
            if not split.kept <= self._read.parts.get(key, {}).keys():
                self._splitter.forget(key)
                split = self._splitter.split(key, offset or {})
        return split

    def _remove(self, writer: TopicWriter, key: bytes, names: Sequence[str]) -> None:
        """Remove parts that no offset refers to; those that are left are removed after the next commit."""
        try:
            self._produce(writer, [(part_key(key, name), None) for name in names])
        except OffsetStoreError as exc:
            log.info("offset_parts_not_removed", topic=self._topic, parts=len(names), reason=exc.message)
        else:
            for name in names:
                del self._read.parts[key][name]

    def _assembled(self, key: bytes, connector: str) -> dict[str, Any] | None:
        """The offset, with its parts. They may have been replaced while the topic was read, so missing ones are looked
        for again. Raises OffsetStoreError."""
        for last in (False, False, True):
            value = self._read.values.get(key)
            if value is None:
                return None
            record = self._object(value, connector)
            try:
                found = references(record)
                parts = self._fetch(key, (name for each in found.values() for name in each.parts()))
                offset = join(record, found, parts)
            except ValueError as exc:
                if last:
                    raise OffsetStoreError(
                        f"The stored offset is damaged: {exc}.", topic=self._topic, connector=connector,
                        hint="Restore the topic, or delete the connector's offset to start with a new snapshot.",
                    ) from exc
                self._catch_up()
            else:
                self._splitter.read(key, found)
                return offset
        raise AssertionError

    def _fetch(self, key: bytes, names: Iterator[str]) -> dict[str, bytes]:
        try:
            return self._read.fetch(key, names)
        except KafkaException as exc:
            raise self._error("could not be read", exc) from exc

    def close(self) -> None:
        self._closing = self._read.closing = True
        for writer in self._writers.copy():
            writer.close()  # a commit that waits for brokers ends now
        with self._lock:
            for writer in self._writers:
                writer.discard()
            self._writer = None
            self._writers.clear()
            self._held.clear()

    def _produce(self, writer: TopicWriter, records: Sequence[Record], written: Written = lambda *_: None,
                 headers: Headers | None = None) -> None:
        """Write *records*, and return when they are durable. *written* gets each one's index and place."""
        try:
            writer.write(records, written, headers)
        except KafkaException as exc:
            raise self._error("could not be written", exc) from exc

    def _prepare_topic(self) -> None:
        new = NewTopic(self._topic, num_partitions=self._partitions, replication_factor=self._replication_factor,
                       config={**self._topic_config, "cleanup.policy": "compact"})
        try:
            prepare_topic(new, self._settings, self._timeout_s)
        except KafkaException as exc:
            raise self._error("could not be opened", exc) from exc

    def _catch_up(self) -> None:
        try:
            self._read.catch_up()
        except KafkaException as exc:
            raise self._error("could not be read", exc) from exc

    def _object(self, value: bytes, connector: str) -> dict[str, Any]:
        try:
            offset = json.loads(value)
        except (ValueError, RecursionError):
            offset = None
        if not isinstance(offset, dict):
            raise OffsetStoreError("A stored offset is not a JSON object.", topic=self._topic, connector=connector,
                                   hint="Write it again through the REST API, or delete it there to start without one.")
        return offset

    def _error(self, what: str, exc: Exception) -> OffsetStoreError:
        error = exc.args[0] if exc.args else None
        if isinstance(error, KafkaError) and error.code() in _DAMAGE:
            return OffsetStoreError(
                f"The offset topic has lost records or holds damaged ones: {error.str()}.", topic=self._topic,
                bootstrap_servers=self._settings.get("bootstrap.servers"), hint=_DAMAGED)
        final = isinstance(error, KafkaError) and error.code() in FINAL
        text = error.str() if isinstance(error, KafkaError) else str(exc)
        return OffsetStoreError(
            f"The offset topic {what}: {text}.", retriable=not final, topic=self._topic,
            bootstrap_servers=self._settings.get("bootstrap.servers"),
            hint=f"Check {TOPIC}, bootstrap.servers and the permissions on the topic." if final else "",
        )


def _claim_in(topic: OffsetTopic, key: bytes) -> tuple[Owner | None, int]:
    try:
        found = json.loads(topic.values.get(owner_key(key), b"{}"))
        return Owner.of(found), int(found.get("generation", 0))
    except (ValueError, TypeError, AttributeError, RecursionError):
        return None, 0
