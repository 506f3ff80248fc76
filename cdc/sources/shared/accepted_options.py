"""Keys of Debezium's connectors that are checked, but have no effect, so that a source's settings lack them.

Some have a meaning only with a JVM, JDBC or JMX (`inert`); the others ask for something that this release does not do
(`later`).
"""

from __future__ import annotations

from cdc.config.checks import at_least
from cdc.config.options import Effect, Importance, Option, Type
from cdc.core.late_regex import late_regex

JVM_CLASS = "it names a Java class"
JDBC = "it tunes the JDBC driver"
JMX = "it is about JMX metrics"
DIVIDES = "tables are always divided among the connections of snapshot.max.threads"


def family(key: str, pattern: str, doc: str, effect: Effect = "normal", why: str = "", group: str = "", *,
           private: bool = False, dotted: bool = False) -> Option:
    """An option for all keys that match *pattern*."""
    return Option(key=key, pattern=late_regex(pattern), doc=doc, effect=effect, why=why, group=group, private=private,
                  dotted=dotted)


def _inert(key: str, type: Type, default: str | None, importance: Importance, group: str, doc: str, why: str) -> Option:
    return Option(key=key, type=type, default=default, importance=importance, group=group, doc=doc, effect="inert",
                  why=why)


def _later(key: str, type: Type, default: str | None, importance: Importance, group: str, doc: str, why: str,
           one_of: tuple[str, ...] = ()) -> Option:
    return Option(key=key, type=type, default=default, importance=importance, group=group, doc=doc, effect="later",
                  why=why, one_of=one_of, check=at_least(0) if type in ("INT", "LONG") else None)


_STORAGE = "io.debezium.relational.ConcurrentMapTableMappingStorage"

INERT: tuple[Option, ...] = (
    _inert("legacy.snapshot.max.threads", "BOOLEAN", "false", "LOW", "Connector",
           "Copy each table in a thread of its own.", DIVIDES),
    _inert("internal.legacy.snapshot.max.threads", "BOOLEAN", "false", "LOW", "Connector",
           "As legacy.snapshot.max.threads.", DIVIDES),
    _inert("snapshot.mode.custom.name", "STRING", None, "MEDIUM", "Connector", "Name of a Java extension.", JVM_CLASS),
    _inert("snapshot.query.mode.custom.name", "STRING", None, "MEDIUM", "Connector", "Name of a Java extension.",
           JVM_CLASS),
    _inert("snapshot.locking.mode.custom.name", "STRING", None, "MEDIUM", "Connector", "Name of a Java extension.",
           JVM_CLASS),
    _inert("internal.snapshot.scan.all.columns.force", "BOOLEAN", "false", "LOW", "Events",
           "How the driver reads metadata.", JDBC),
    _inert("query.fetch.size", "INT", "0", "MEDIUM", "Connector", "Rows per round trip.", JDBC),
    _inert("connection.validation.timeout.ms", "LONG", "60000", "LOW", "Connector",
           "Time limit for validating a connection.", JDBC),
    _inert("statistics.metrics.enabled", "BOOLEAN", "true", "MEDIUM", "Connector", "Percentiles in metrics.", JMX),
    _inert("internal.advanced.metrics.enable", "BOOLEAN", "false", "MEDIUM", "Connector", "Metrics for each table.",
           JMX),
    _inert("internal.log.position.check.enable", "BOOLEAN", "true", "MEDIUM", "Connector",
           "Check the stored position at start.", "the check is always made"),
    _inert("internal.custom.retriable.exception", "STRING", None, "LOW", "Connector",
           "Messages of exceptions that are retried.", "an error's class decides"),
    _inert("custom.sanitize.pattern", "STRING", None, "LOW", "Connector", "Keys whose values are hidden in logs.",
           "configurations are not logged"),
    _inert("queue.provider.type", "STRING", "memory", "LOW", "Connector", "Implementation of the queue.",
           "there is only one"),
    _inert("memory.management.schemas.class", "CLASS", _STORAGE, "LOW", "Connector", "A Java class.", JVM_CLASS),
    _inert("memory.management.tables.class", "CLASS", _STORAGE, "LOW", "Connector", "A Java class.", JVM_CLASS),
    _inert("transaction.metadata.factory", "CLASS", "io.debezium.pipeline.txmetadata.DefaultTransactionMetadataFactory",
           "LOW", "Events", "A Java class.", JVM_CLASS),
    _inert("sourceinfo.struct.maker", "CLASS", None, "LOW", "Events", "A Java class.", JVM_CLASS),
    _inert("source.struct.version", "STRING", None, "LOW", "Events", "Version of the source block.",
           "there is only one"),
    _inert("topic.cache.size", "INT", "10000", "LOW", "Events", "Size of the cache of topic names.",
           "there is no cache"),
    family("schema.history.internal.*", r"(internal\.)?(schema|database)\.history\.?(internal)?(\..+)?",
           "Storage of the schema history.", "inert", "this database needs no schema history", "Connector",
           private=True, dotted=True),
)

LATER: tuple[Option, ...] = (
    family("openlineage.integration.*", r"openlineage\.integration\..+", "Lineage events.", "later",
           "lineage is not sent", "Connector", private=True, dotted=True),
)
