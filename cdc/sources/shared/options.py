"""The options that all sources with a log share, and the settings they are parsed into.

A source's own settings class extends `SourceConfig` with the options that only its database has. Documented by
Debezium, "Connector properties" of each connector; keys, types and defaults are those of release 3.6.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field, fields, replace
from typing import Any

from cdc.config.checks import at_least
from cdc.config.control import CONSUMER_OPTIONS, ControlConfig
from cdc.config.former import Former
from cdc.config.framework import FRAMEWORK_OPTIONS
from cdc.config.options import Option, option, settings
from cdc.config.table import OptionTable
from cdc.debezium.mappers import Rule

from .accepted_options import INERT, LATER, family
from .conversions import TOPIC_PART, key_columns, operations, regexes, statements, tags
from .custom import NamedConverter
from .former_keys import FORMER_KEYS
from .modes import CONFIGURED_OPTIONS, DOC

BOUNDED = "cdc.queue.bytes bounds what is in flight"
ADJUSTMENTS = ("none", "avro", "avro_unicode")
SERVER = "Server"
"""The group of options about the server, until `option_table` gives it the database's name."""


@settings
class SourceConfig(ControlConfig):
    """The settings that every source has, one attribute per key. Times are in milliseconds, as the keys say."""

    # Connection
    database_password: str | None = option(
        "database.password", "PASSWORD", default=None, importance="HIGH", group=SERVER,
        doc="Password of the login.",
    )
    database_query_timeout_ms: int = option(
        "database.query.timeout.ms", "INT", default="600000", importance="LOW", check=at_least(0), group=SERVER,
        doc="Time limit of a statement; 0 sets none.",
    )
    database_initial_statements: tuple[str, ...] = option(
        "database.initial.statements", default=None, importance="LOW", convert=statements, group=SERVER,
        doc="SQL statements that run on each new connection, separated by ; (write ;; for a semicolon). They cannot"
            " change settings that events depend on, such as time zone, sql_mode or DateStyle.",
        private=True,
    )

    # Topics and events
    topic_prefix: str = option(
        "topic.prefix", importance="HIGH", required=True, check=TOPIC_PART, group=SERVER,
        doc="Logical name of the database server, and the first part of every topic's name.",
    )
    topic_naming_strategy: str = option(
        "topic.naming.strategy", "CLASS", default="io.debezium.schema.SchemaTopicNamingStrategy",
        doc="Class name of the Debezium strategy that names the topics.", group="Events",
    )
    topic_delimiter: str = option(
        "topic.delimiter", default=".", check=TOPIC_PART,
        doc="Separator between the parts of a topic's name.", group="Events"
    )
    topic_heartbeat_prefix: str = option(
        "topic.heartbeat.prefix", default="__debezium-heartbeat", check=TOPIC_PART, group="Events",
        doc="First part of the heartbeat topic's name; the delimiter and the topic prefix follow.",
    )
    topic_heartbeat_name: str | None = option(
        "topic.heartbeat.name", default=None, check=TOPIC_PART, group="Events",
        doc="Whole name of the heartbeat topic; replaces topic.heartbeat.prefix.",
    )
    topic_transaction: str = option(
        "topic.transaction", default="transaction", check=TOPIC_PART, group="Events",
        doc="Last part of the name of the topic for transaction metadata, after the topic prefix and the delimiter.",
    )
    topic_regex: str | None = option(
        "topic.regex", default=None,
        doc="For the regex naming strategies: regex of the part of a topic's name that is replaced.",
        group="Events",
    )
    topic_replacement: str | None = option(
        "topic.replacement", default=None,
        doc="For the regex naming strategies: the replacement of that part.", group="Events"
    )
    topic_key_enforce_uniqueness: bool = option(
        "topic.key.enforce.uniqueness", "BOOLEAN", default="true", group="Events",
        doc="For the regex naming strategies: add the original topic to the key.",
    )
    topic_key_field_name: str = option(
        "topic.key.field.name", default="__dbz__physicalTableIdentifier", group="Events",
        doc="For the regex naming strategies: name of the key field with the original topic.",
    )
    topic_key_field_regex: str | None = option(
        "topic.key.field.regex", default=None, group="Events",
        doc="For the regex naming strategies: regex of the part of the original topic that is replaced in that field.",
    )
    topic_key_field_replacement: str | None = option(
        "topic.key.field.replacement", default=None, group="Events",
        doc="For the regex naming strategies: the replacement of that part.",
    )
    provide_transaction_metadata: bool = option(
        "provide.transaction.metadata", "BOOLEAN", default="false", importance="LOW", group="Connector",
        doc="Send the begin and end of each transaction to a topic, and add a transaction block to each event.",
    )
    tombstones_on_delete: bool = option(
        "tombstones.on.delete", "BOOLEAN", default="true", doc="Send a tombstone after each delete event.",
        group="Events",
    )
    extended_headers_enabled: bool = option(
        "extended.headers.enabled", "BOOLEAN", default="true", importance="LOW", group="Connector",
        doc="Add Debezium's context headers to each event.",
    )
    skipped_operations: tuple[str, ...] = option(
        "skipped.operations", "LIST", default="t", importance="LOW", convert=operations,
        doc="Operations that give no event: a list of c (create), u (update), d (delete), t (truncate), r (snapshot); "
        "or none.", group=SERVER,
    )
    skip_messages_without_change: bool = option(
        "skip.messages.without.change", "BOOLEAN", default="false",
        doc="Leave out updates that changed no captured column; only possible if the log has the full old row.",
        group="Events",
    )
    schema_name_adjustment_mode: str = option(
        "schema.name.adjustment.mode", default="none", importance="LOW", one_of=ADJUSTMENTS, group="Connector",
        doc="How characters that the converter does not allow are replaced in schema names.",
    )
    field_name_adjustment_mode: str = option(
        "field.name.adjustment.mode", default="none", importance="LOW", one_of=ADJUSTMENTS, group="Connector",
        doc="How characters that the converter does not allow are replaced in field names; avro is the default if the "
        "connector's own converter is Confluent's AvroConverter.",
    )
    unavailable_value_placeholder: str = option(
        "unavailable.value.placeholder", default="__debezium_unavailable_value", group="Connector",
        doc="Stands for a value that the database did not send because it is unchanged; the prefix hex: gives bytes.",
    )

    # Values
    decimal_handling_mode: str = option(
        "decimal.handling.mode", default="precise", one_of=("precise", "double", "string"), group="Connector",
        doc="How exact numbers are represented.",
    )
    time_precision_mode: str = option(
        "time.precision.mode", default="adaptive", group="Connector",
        one_of=("adaptive", "adaptive_time_microseconds", "connect", "isostring", "microseconds", "nanoseconds"),
        doc="How dates and times are represented.",
    )
    binary_handling_mode: str = option(
        "binary.handling.mode", default="bytes", importance="LOW", group="Connector",
        one_of=("bytes", "base64", "base64-url-safe", "hex"), doc="How binary columns are represented.",
    )

    # Filters
    table_include_list: tuple[str, ...] = option(
        "table.include.list", "LIST", default=None, importance="HIGH", convert=regexes("table.include.list"),
        doc="Regexes of the tables to capture; all others are left out.", group="Events",
    )
    table_exclude_list: tuple[str, ...] = option(
        "table.exclude.list", "LIST", default=None, convert=regexes("table.exclude.list"),
        doc="Regexes of the tables to leave out.", group="Events",
    )
    column_include_list: tuple[str, ...] = option(
        "column.include.list", "LIST", default=None, convert=regexes("column.include.list"),
        doc="Regexes of the columns to keep.", group="Events",
    )
    column_exclude_list: tuple[str, ...] = option(
        "column.exclude.list", "LIST", default=None, convert=regexes("column.exclude.list"),
        doc="Regexes of the columns to leave out.", group="Events",
    )
    table_ignore_builtin: bool = option(
        "table.ignore.builtin", "BOOLEAN", default="true", importance="LOW",
        doc="Leave out the server's own tables.", group="Events",
    )
    message_key_columns: str | None = option(
        "message.key.columns", default=None, convert=key_columns, group="Events",
        doc="Columns of the event key by table: table-regex:column,column;…",
    )

    # Columns
    column_propagate_source_type: tuple[str, ...] = option(
        "column.propagate.source.type", "LIST", default=None, convert=regexes("column.propagate.source.type"),
        doc="Regexes of the columns whose database type is added to the schema's parameters.", group="Events",
    )
    datatype_propagate_source_type: tuple[str, ...] = option(
        "datatype.propagate.source.type", "LIST", default=None, convert=regexes("datatype.propagate.source.type"),
        doc="Regexes of the database types that are added to the parameters of their columns' schemas.", group="Events",
    )
    column_mappers: tuple[Rule, ...] = field(default=())
    """All column options, in the order in which they are tried; of those that match a column the first applies."""
    custom_converters: tuple[NamedConverter, ...] = field(default=())
    """`converters`, of other packages."""
    include_schema_comments: bool = option(
        "include.schema.comments", "BOOLEAN", default="false",
        doc="Add comments of columns to schemas.", group="Events",
        effect="inert", why="comments are only read from MySQL and MariaDB",
    )
    include_unknown_datatypes: bool = option(
        "include.unknown.datatypes", "BOOLEAN", default="false", group="Events",
        doc="Send columns of unknown types as bytes, instead of leaving them out.",
    )

    # Snapshots
    snapshot_mode: str = option(
        "snapshot.mode", default="initial", group="Connector",
        doc=f"{DOC}.",
    )
    snapshot_mode_configured: tuple[str, ...] = field(default=())
    """What is switched on for configuration_based (`modes.py`)."""
    snapshot_isolation_mode: str = option(
        "snapshot.isolation.mode", default="serializable", importance="LOW", group="Connector",
        one_of=("serializable", "repeatable_read", "read_committed", "read_uncommitted"),
        doc="Isolation of the snapshot's transaction.", effect="inert",
        why="a snapshot always reads one point in time",
    )
    snapshot_locking_mode: str = option(
        "snapshot.locking.mode", default="none", importance="LOW", group="Connector",
        doc="Locks that a snapshot takes: none, or shared (tables cannot be altered until their rows are read)."
    )
    snapshot_lock_timeout_ms: int = option(
        "snapshot.lock.timeout.ms", "LONG", default="10000", check=at_least(0),
        doc="How long a snapshot waits for its locks.",
        group="Connector",
    )
    snapshot_include_collection_list: tuple[str, ...] = option(
        "snapshot.include.collection.list", "LIST", default=None, group="Connector",
        convert=regexes("snapshot.include.collection.list"),
        doc="Regexes of the tables whose rows a snapshot copies; by default all captured tables.",
    )
    snapshot_select_statement_overrides: tuple[tuple[str, str], ...] = field(default=())
    """Table and SELECT, for tables whose rows are not simply all."""
    snapshot_fetch_size: int | None = option(
        "snapshot.fetch.size", "INT", default=None, check=at_least(1), group="Connector", effect="inert",
        doc="Rows per round trip.", why="rows are streamed by COPY",
    )
    snapshot_delay_ms: int = option(
        "snapshot.delay.ms", "LONG", default="0", importance="LOW", check=at_least(0), group="Connector",
        doc="Time to wait before the snapshot.",
    )
    streaming_delay_ms: int = option(
        "streaming.delay.ms", "LONG", default="0", importance="LOW", check=at_least(0), group="Connector",
        doc="Time to wait between snapshot and streaming.",
    )
    snapshot_tables_order_by_row_count: str = option(
        "snapshot.tables.order.by.row.count", default="disabled", one_of=("disabled", "ascending", "descending"),
        doc="Copy tables in the order of their row counts.", group="Events",
    )
    snapshot_max_threads: int = option(
        "snapshot.max.threads", "INT", default="1", check=at_least(1), group="Connector",
        doc="Number of connections that copy at the same time. Their rows come in the order of one.",
    )
    snapshot_max_threads_multiplier: int = option(
        "snapshot.max.threads.multiplier", "INT", default="1", check=at_least(1), group="Connector",
        doc="Ranges per connection that a table is divided into at least, unless it is small. Large tables have more.",
    )
    snapshot_max_threads_multipliers: tuple[tuple[str, int], ...] = field(default=())
    """Table and multiplier, for tables that have one of their own."""

    # Signals
    signal_data_collection: tuple[str, ...] = option(
        "signal.data.collection", "LIST", default=None, group="Events",
        doc="The signal table, schema.table or database.table. It has three text columns: id, type and data. Its"
            " changes are captured, whatever the lists say; its rows are in no snapshot.",
    )
    incremental_snapshot_chunk_size: int = option(
        "incremental.snapshot.chunk.size", "INT", default="1024", check=at_least(1), group="Connector",
        doc="Most rows of a chunk of an incremental snapshot. The default grows up to 16384 where chunks take the"
            " stream little time; another number does not. Chunks of wide rows have fewer: about 8 MB.",
    )
    incremental_snapshot_watermarking_strategy: str = option(
        "incremental.snapshot.watermarking.strategy", default="INSERT_INSERT",
        one_of=("INSERT_INSERT", "INSERT_DELETE"), importance="LOW", group="Connector",
        doc="How an incremental snapshot marks its chunks in the signal table: with two rows, or with one that is"
            " deleted again. Without signal.data.collection, and with read.only, nothing is written to a table.",
    )
    read_only: bool = option(
        "read.only", "BOOLEAN", default="false", importance="LOW", group="Connector",
        doc="Incremental snapshots write nothing to the database.",
    )

    # Heartbeats
    heartbeat_interval_ms: int = option(
        "heartbeat.interval.ms", "INT", default="0", check=at_least(0), group="Events",
        doc="Time between heartbeat records; 0 sends none.",
    )
    heartbeat_action_query: str | None = option(
        "heartbeat.action.query", default=None, importance="LOW",
        doc="SQL statement that runs with each heartbeat.", group="Events", private=True,
    )

    # Batches and failures
    max_batch_size: int = option(
        "max.batch.size", "INT", default="2048", check=at_least(1),
        doc="Highest number of records in a batch.", group="Connector"
    )
    max_queue_size: int = option(
        "max.queue.size", "INT", default="8192", check=at_least(1), group="Connector",
        doc="Highest number of records in flight; must be greater than max.batch.size.", effect="inert", why=BOUNDED,
    )
    max_queue_size_in_bytes: int = option(
        "max.queue.size.in.bytes", "LONG", default="0", check=at_least(0), group="Connector",
        doc="Highest number of bytes in flight; 0 sets no limit in bytes.", effect="inert", why=BOUNDED,
    )
    poll_interval_ms: int = option(
        "poll.interval.ms", "LONG", default="500", check=at_least(1),
        doc="Longest wait for new changes.", group="Connector",
        effect="inert", why="changes are handled as they arrive",
    )
    errors_max_retries: int = option(
        "errors.max.retries", "INT", default="-1", importance="LOW", check=at_least(-1), group="Connector",
        doc="How often a lost connection is retried; -1 without limit.",
    )
    retriable_restart_connector_wait_ms: int = option(
        "retriable.restart.connector.wait.ms", "LONG", default="10000", importance="LOW", check=at_least(0),
        doc="Longest wait before the next attempt after a retriable error.", group="Connector",
    )
    busy_retries: int | None = field(default=None)
    """How often what another one reads is tried again (PostgreSQL: `slot.max.retries`); None where it is not set."""
    busy_delay_s: float | None = field(default=None)
    """The time between these attempts (PostgreSQL: `slot.retry.delay.ms`); None where neither is set."""
    event_processing_failure_handling_mode: str = option(
        "event.processing.failure.handling.mode", default="fail", one_of=("fail", "warn", "skip"),
        aliases={"ignore": "skip"}, group="Connector", effect="later", why="a failure stops the task",
        doc="Action if an event cannot be read.",
    )
    event_converting_failure_handling_mode: str = option(
        "event.converting.failure.handling.mode", default="warn", one_of=("fail", "warn", "skip"), group="Connector",
        doc="Action if a value does not fit its schema: fail stops the task; warn and skip write null and log it. A "
        "column that cannot be null always fails.",
    )
    executor_shutdown_timeout_ms: int = option(
        "executor.shutdown.timeout.ms", "LONG", default="4000", check=at_least(0), doc="How long a stop may take.",
        group="Connector", effect="inert", why="the worker's task.shutdown.graceful.timeout.ms is the limit",
    )
    guardrail_collections_max: int = option(
        "guardrail.collections.max", "INT", default="0", check=at_least(0),
        doc="Highest number of captured tables; 0 sets no limit.",
        group="Connector", effect="later", why="tables are not counted",
    )
    guardrail_collections_limit_action: str = option(
        "guardrail.collections.limit.action", default="warn", one_of=("warn", "fail"), group="Connector",
        doc="Action if there are more tables than that.", effect="later", why="tables are not counted",
    )
    custom_metric_tags: tuple[tuple[str, str], ...] = option(
        "custom.metric.tags", "LIST", default=None, importance="LOW", convert=tags, group="Events",
        doc="Labels that are added to metrics: name=value,…", effect="later", why="metrics have fixed labels",
    )

    # Ours
    cdc_shared_topics: str = option(
        "cdc.shared.topics", default="refuse", importance="LOW", one_of=("refuse", "allow"), group="Service",
        doc="Two tables whose names become the same topic: refuse is an error, allow logs a warning. "
        "topic.key.enforce.uniqueness=false allows it too.",
    )
    cdc_snapshot_added_tables: str = option(
        "cdc.snapshot.added.tables", default="incremental", importance="LOW", one_of=("incremental", "none"),
        group="Service", doc="A restart finds tables that the include or exclude lists did not choose before: "
        "incremental copies their present rows while the stream goes on, none sends only their changes.",
    )
    cdc_queue_bytes: int = option(
        "cdc.queue.bytes", "LONG", default="4194304", importance="LOW", check=at_least(65536), group="Service",
        doc="Highest number of bytes read ahead from the server.",
    )


def varied(attribute: str, **changes: Any) -> Any:
    """The option that `SourceConfig` has as *attribute*, with *changes*, for a source where it differs."""
    declared = SourceConfig.__dataclass_fields__[attribute].metadata["option"]
    names = [each.name for each in fields(Option) if each.name not in ("pattern", "dotted")]
    kept = {name: getattr(declared, name) for name in names}
    return option(**{**kept, **changes})


TRUNCATE = "column.truncate.to.<n>.chars"
MASK = "column.mask.with.<n>.chars"
HASH = "column.mask.hash.<algorithm>.with.salt.<salt>"
HASH_V2 = "column.mask.hash.v2.<algorithm>.with.salt.<salt>"
COLUMN_FAMILIES = (TRUNCATE, MASK, HASH, HASH_V2)
MULTIPLIER = "snapshot.max.threads.multiplier.<table>"
OVERRIDE = "snapshot.select.statement.overrides.<table>"

SHARED: tuple[Option, ...] = (
    family(TRUNCATE, r"column\.truncate\.to\.(\d+)\.chars", "Regexes of columns whose values are cut to n characters.",
           dotted=True),
    family(MASK, r"column\.mask\.with\.(\d+)\.chars", "Regexes of columns whose values become n asterisks.",
           dotted=True),
    family(HASH_V2, r"column\.mask\.hash\.v2\.([^.]+)\.with\.salt\.(.+)",
           "Regexes of columns whose values are hashed."),
    family(
        HASH, r"column\.mask\.hash\.([^.]+)\.with\.salt\.(.+)",
        "Regexes of columns whose values are hashed as Debezium's first version did.",
    ),
    Option(
        key="snapshot.select.statement.overrides", type="LIST",
        doc="Tables whose rows a snapshot reads by a SELECT of your own.", group="Events"
    ),
    family(MULTIPLIER, r"snapshot\.max\.threads\.multiplier\.(.+)",
           "The same for one table, named as in snapshot.select.statement.overrides.", group="Connector"),
    family(OVERRIDE, r"snapshot\.select\.statement\.overrides\.(.+)", "The SELECT for one of those tables.",
           private=True),
    Option(
        key="snapshot.query.mode", default="select_all", importance="LOW", one_of=("select_all",), group="Connector",
        doc="How a snapshot reads a table's rows.",
    ),
    family("driver.*", r"driver\.(.+)", "Settings of the JDBC driver; some of them take effect.", private=True),
    CONSUMER_OPTIONS,
    *CONFIGURED_OPTIONS,
    *INERT,
    *LATER,
)


def option_table(made: type[SourceConfig], *more: Option, server_group: str,
                 formers: Sequence[Former] = FORMER_KEYS) -> OptionTable:
    """All options of a source: those that its settings *made* declare, the shared ones, and *more*. *server_group* is
    the group of the options that are about the server; Debezium names it after the database. *formers* are keys of
    earlier releases."""
    table = OptionTable.of(made, *SHARED, *more, others=FRAMEWORK_OPTIONS)
    named = (replace(each, group=server_group) if each.group == SERVER else each for each in table.options)
    return OptionTable(named, table.others, formers)
