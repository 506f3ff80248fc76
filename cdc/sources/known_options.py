"""Keys of Debezium's connectors that are known and checked here, and have no place in a source's settings.

Either they cannot matter without a JVM, JDBC or JMX (`inert`), or they ask for what this release does not do (`later`).
"""

from __future__ import annotations

import re

from cdc.core.options import Effect, Importance, Option, Type, at_least

JVM_CLASS = "it names a Java class"
JDBC = "it tunes the JDBC driver"
JMX = "it is about JMX metrics"
SIGNALS = "signals are not read"
NOTIFICATIONS = "notifications are not sent"
ONE_CONNECTION = "the snapshot uses one connection"


def family(key: str, pattern: str, doc: str, effect: Effect = "normal", why: str = "", group: str = "") -> Option:
    """An option for all keys that match *pattern*."""
    return Option(key=key, pattern=re.compile(pattern), doc=doc, effect=effect, why=why, group=group)


def _inert(key: str, type: Type, default: str | None, importance: Importance, group: str, doc: str, why: str) -> Option:
    return Option(key=key, type=type, default=default, importance=importance, group=group, doc=doc, effect="inert",
                  why=why)


def _later(key: str, type: Type, default: str | None, importance: Importance, group: str, doc: str, why: str,
           one_of: tuple[str, ...] = ()) -> Option:
    return Option(key=key, type=type, default=default, importance=importance, group=group, doc=doc, effect="later",
                  why=why, one_of=one_of, check=at_least(0) if type in ("INT", "LONG") else None)


_STORAGE = "io.debezium.relational.ConcurrentMapTableMappingStorage"

INERT: tuple[Option, ...] = (
    _inert("legacy.snapshot.max.threads", "BOOLEAN", "false", "LOW", "Connector", "A thread a table.", ONE_CONNECTION),
    _inert("internal.legacy.snapshot.max.threads", "BOOLEAN", "false", "LOW", "Connector", "The same.", ONE_CONNECTION),
    _inert("snapshot.mode.custom.name", "STRING", None, "MEDIUM", "Connector", "A Java extension.", JVM_CLASS),
    _inert("snapshot.query.mode.custom.name", "STRING", None, "MEDIUM", "Connector", "A Java extension.", JVM_CLASS),
    _inert("snapshot.locking.mode.custom.name", "STRING", None, "MEDIUM", "Connector", "A Java extension.", JVM_CLASS),
    _inert("internal.snapshot.scan.all.columns.force", "BOOLEAN", "false", "LOW", "Events", "Metadata reading.", JDBC),
    _inert("query.fetch.size", "INT", "0", "MEDIUM", "Connector", "Rows fetched at a time.", JDBC),
    _inert("connection.validation.timeout.ms", "LONG", "60000", "LOW", "Connector", "Limit of a validation.", JDBC),
    _inert("statistics.metrics.enabled", "BOOLEAN", "true", "MEDIUM", "Connector", "Percentiles.", JMX),
    _inert("internal.advanced.metrics.enable", "BOOLEAN", "false", "MEDIUM", "Connector", "Metrics by table.", JMX),
    _inert("internal.log.position.check.enable", "BOOLEAN", "true", "MEDIUM", "Connector",
           "Check of the stored position.", "the check is always made"),
    _inert("internal.custom.retriable.exception", "STRING", None, "LOW", "Connector",
           "Messages of exceptions to retry.", "errors are told by class"),
    _inert("custom.sanitize.pattern", "STRING", None, "LOW", "Connector", "Keys to hide in logs.",
           "configurations are not logged"),
    _inert("queue.provider.type", "STRING", "memory", "LOW", "Connector", "Implementation of the queue.",
           "there is one only"),
    _inert("memory.management.schemas.class", "CLASS", _STORAGE, "LOW", "Connector", "A Java class.", JVM_CLASS),
    _inert("memory.management.tables.class", "CLASS", _STORAGE, "LOW", "Connector", "A Java class.", JVM_CLASS),
    _inert("transaction.metadata.factory", "CLASS", "io.debezium.pipeline.txmetadata.DefaultTransactionMetadataFactory",
           "LOW", "Events", "A Java class.", JVM_CLASS),
    _inert("sourceinfo.struct.maker", "CLASS", None, "LOW", "Events", "A Java class.", JVM_CLASS),
    _inert("source.struct.version", "STRING", None, "LOW", "Events", "Form of the source block.", "there is one only"),
    _inert("topic.cache.size", "INT", "10000", "LOW", "Events", "Size of the topic name cache.", "there is none"),
    _inert("heartbeat.topics.prefix", "STRING", "__debezium-heartbeat", "LOW", "Events",
           "Former name of topic.heartbeat.prefix.", "Debezium does not read it either; use topic.heartbeat.prefix"),
    family("snapshot.mode.configuration.based.*", r"snapshot\.mode\.configuration\.based\.(.+)",
           "Details of a snapshot mode.", "inert", "only for snapshot.mode=configuration_based", "Connector"),
    family("schema.history.internal.*", r"(internal\.)?(schema|database)\.history\.?(internal)?(\..+)?",
           "Storage of schema history.", "inert", "this database needs no schema history", "Connector"),
)

LATER: tuple[Option, ...] = (
    _later("signal.enabled.channels", "LIST", "source", "MEDIUM", "Events", "Where signals come from.", SIGNALS),
    _later("signal.poll.interval.ms", "LONG", "5000", "MEDIUM", "Events", "Time between looks for signals.", SIGNALS),
    _later("signal.file", "STRING", "file-signals.txt", "LOW", "Events", "The signal file.", SIGNALS),
    family("signal.kafka.*", r"signal\.(kafka|consumer)\..+", "The signal topic.", "later", SIGNALS, "Events"),
    _later("notification.enabled.channels", "LIST", None, "MEDIUM", "Events", "Where notifications go.", NOTIFICATIONS),
    _later("notification.sink.topic.name", "STRING", None, "HIGH", "Events", "Notification topic.", NOTIFICATIONS),
    _later("incremental.snapshot.chunk.size", "INT", "1024", "MEDIUM", "Connector",
           "Rows in a chunk of an incremental snapshot.", SIGNALS),
    _later("incremental.snapshot.watermarking.strategy", "STRING", "INSERT_INSERT", "LOW", "Connector",
           "How an incremental snapshot marks its window.", SIGNALS, ("INSERT_INSERT", "INSERT_DELETE")),
    _later("read.only", "BOOLEAN", "false", "LOW", "Connector",
           "Incremental snapshots without writing to the database.", SIGNALS),
    _later("snapshot.max.threads.multiplier", "INT", "1", "MEDIUM", "Connector", "Chunks a thread.", ONE_CONNECTION),
    family("snapshot.max.threads.multiplier.<table>", r"snapshot\.max\.threads\.multiplier\.(.+)",
           "The same for one table.", "later", ONE_CONNECTION, "Connector"),
    family("openlineage.integration.*", r"openlineage\.integration\..+", "Lineage events.", "later",
           "lineage is not sent", "Connector"),
)
