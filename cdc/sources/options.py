"""The options that all Debezium-compatible sources share, and the values they are parsed into.

A source's own settings class extends `SourceConfig` with the options that only its database has. Documented by
Debezium, "Connector properties" of each connector; keys, types and defaults are those of release 3.6.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import field

from cdc.codecs.mappers import Rule, mapper_rules
from cdc.core import regex
from cdc.core.errors import ConfigError
from cdc.core.filters import parse_key_columns
from cdc.core.options import Option, Parsed, at_least, matching, option, settings

from .known_options import INERT, LATER, ONE_CONNECTION, SIGNALS, family

TOPIC_PART = matching(r"[a-zA-Z0-9_.\-]+", "only letters, digits, dots, hyphens and underscores are allowed")


def regexes(option_key: str) -> Callable[[str], tuple[str, ...]]:
    """A conversion to a tuple of regexes, each known to compile."""

    def convert(text: str) -> tuple[str, ...]:
        items = regex.split_list(text)
        regex.compile_items(items, option_key)
        return items

    return convert


def placeholder_bytes(text: str) -> bytes:
    """`unavailable.value.placeholder`: the text's UTF-8, or with the prefix `hex:` the bytes it spells. ValueError."""
    return bytes.fromhex(text[4:]) if text.startswith("hex:") else text.encode("utf-8")


def key_columns(text: str) -> str | None:
    """`message.key.columns`, known to be readable; `core.filters` reads it."""
    parse_key_columns(text)
    return text or None


def statements(text: str) -> tuple[str, ...]:
    """SQL statements separated by `;`, where `;;` is a semicolon within one."""
    parts = (part.strip().replace("\0", ";") for part in text.replace(";;", "\0").split(";"))
    return tuple(part for part in parts if part)


def operations(text: str) -> tuple[str, ...]:
    """`skipped.operations`: any of c, u, d, t, r; or none."""
    items = tuple(part.strip().lower() for part in text.split(",") if part.strip())
    if items == ("none",):
        return ()
    bad = [item for item in items if item not in ("c", "u", "d", "t", "r")]
    if bad:
        raise ValueError("allowed: none, or a list of c, u, d, t, r")
    return tuple(dict.fromkeys(items))


def tags(text: str) -> tuple[tuple[str, str], ...]:
    """`custom.metric.tags`: a comma list of name=value."""
    pairs = [part.partition("=") for part in text.split(",") if part.strip()]
    if any(not name.strip() or not equals for name, equals, _ in pairs):
        raise ValueError("a comma list of name=value is wanted")
    return tuple((name.strip(), value.strip()) for name, _, value in pairs)


BOUNDED = "what is in flight is bounded by bytes, see cdc.queue.bytes"
ADJUSTMENTS = ("none", "avro", "avro_unicode")


@settings
class SourceConfig:
    """What every source is told. One attribute a key; times in milliseconds as the keys say."""

    given: frozenset[str] = field(default=frozenset(), repr=False)
    """The keys that were set at all."""

    # Topics and events
    topic_prefix: str = option(
        "topic.prefix", importance="HIGH", required=True, check=TOPIC_PART, group="Postgres",
        doc="Logical name of the database server; the first part of every topic's name.",
    )
    topic_naming_strategy: str = option(
        "topic.naming.strategy", "CLASS", default="io.debezium.schema.SchemaTopicNamingStrategy",
        doc="How topics are named: the class name of one of Debezium's strategies.", group="Events",
    )
    topic_delimiter: str = option(
        "topic.delimiter", default=".", check=TOPIC_PART, doc="What joins the parts of a topic's name.", group="Events"
    )
    topic_heartbeat_prefix: str = option(
        "topic.heartbeat.prefix", default="__debezium-heartbeat", check=TOPIC_PART, group="Events",
        doc="Heartbeats go to this, a delimiter, and the topic prefix.",
    )
    topic_heartbeat_name: str | None = option(
        "topic.heartbeat.name", default=None, check=TOPIC_PART, group="Events",
        doc="The whole name of the heartbeat topic, instead of the prefix.",
    )
    topic_transaction: str = option(
        "topic.transaction", default="transaction", check=TOPIC_PART, group="Events",
        doc="Transaction metadata goes to the topic prefix, a delimiter, and this.",
    )
    topic_regex: str | None = option(
        "topic.regex", default=None, doc="For the regex naming strategies: what part of a topic's name to replace.",
        group="Events",
    )
    topic_replacement: str | None = option(
        "topic.replacement", default=None, doc="For the regex naming strategies: the replacement.", group="Events"
    )
    topic_key_enforce_uniqueness: bool = option(
        "topic.key.enforce.uniqueness", "BOOLEAN", default="true", group="Events",
        doc="For the regex naming strategies: add the original topic to the key.",
    )
    topic_key_field_name: str = option(
        "topic.key.field.name", default="__dbz__physicalTableIdentifier", group="Events",
        doc="For the regex naming strategies: that key field's name.",
    )
    topic_key_field_regex: str | None = option(
        "topic.key.field.regex", default=None, group="Events",
        doc="For the regex naming strategies: what part of the original topic to replace in that field.",
    )
    topic_key_field_replacement: str | None = option(
        "topic.key.field.replacement", default=None, group="Events",
        doc="For the regex naming strategies: the replacement in that field.",
    )
    provide_transaction_metadata: bool = option(
        "provide.transaction.metadata", "BOOLEAN", default="false", importance="LOW", group="Connector",
        doc="Write transaction begin and end to a topic, and a transaction block into each event.",
    )
    tombstones_on_delete: bool = option(
        "tombstones.on.delete", "BOOLEAN", default="true", doc="Follow each delete event by a tombstone.",
        group="Events",
    )
    extended_headers_enabled: bool = option(
        "extended.headers.enabled", "BOOLEAN", default="true", importance="LOW", group="Connector",
        doc="Add Debezium's context headers to each event.",
    )
    skipped_operations: tuple[str, ...] = option(
        "skipped.operations", "LIST", default="t", importance="LOW", convert=operations,
        doc="Operations that give no event: none, or a list of c, u, d, t, r.", group="Postgres",
    )
    skip_messages_without_change: bool = option(
        "skip.messages.without.change", "BOOLEAN", default="false",
        doc="Drop updates that changed no captured column; needs the full old row.", group="Events",
    )
    schema_name_adjustment_mode: str = option(
        "schema.name.adjustment.mode", default="none", importance="LOW", one_of=ADJUSTMENTS, group="Connector",
        doc="How schema names are made legal for the converter.",
    )
    field_name_adjustment_mode: str = option(
        "field.name.adjustment.mode", default="none", importance="LOW", one_of=ADJUSTMENTS, group="Connector",
        doc="How field names are made legal; avro by itself when the connector names Confluent's AvroConverter.",
    )
    unavailable_value_placeholder: str = option(
        "unavailable.value.placeholder", default="__debezium_unavailable_value", group="Connector",
        doc="Stands for a value the database did not send because it is unchanged; hex: gives bytes.",
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
        doc="Regexes of the columns whose source type goes into schema parameters.", group="Events",
    )
    datatype_propagate_source_type: tuple[str, ...] = option(
        "datatype.propagate.source.type", "LIST", default=None, convert=regexes("datatype.propagate.source.type"),
        doc="Regexes of the types whose columns' source type goes into schema parameters.", group="Events",
    )
    column_mappers: tuple[Rule, ...] = field(default=())
    """All column options, in the order in which they are tried; of those that match a column the first applies."""
    include_schema_comments: bool = option(
        "include.schema.comments", "BOOLEAN", default="false", doc="Read comments of columns.", group="Events",
        effect="inert", why="comments are only read from MySQL and MariaDB",
    )
    include_unknown_datatypes: bool = option(
        "include.unknown.datatypes", "BOOLEAN", default="false", group="Events",
        doc="Give columns of types without a mapping as bytes instead of leaving them out.",
    )

    # Snapshots
    snapshot_mode: str = option(
        "snapshot.mode", default="initial", group="Connector",
        doc="initial copies the tables at first start, then streams; initial_only stops after the copy; "
        "no_data only streams.",
    )
    snapshot_isolation_mode: str = option(
        "snapshot.isolation.mode", default="serializable", importance="LOW", group="Connector",
        one_of=("serializable", "repeatable_read", "read_committed", "read_uncommitted"),
        doc="Isolation of the snapshot's transaction.", effect="inert",
        why="a slot gives the snapshot its point in time",
    )
    snapshot_locking_mode: str = option(
        "snapshot.locking.mode", default="none", importance="LOW", group="Connector", doc="Locks held for the snapshot."
    )
    snapshot_lock_timeout_ms: int = option(
        "snapshot.lock.timeout.ms", "LONG", default="10000", check=at_least(0), doc="Limit for waiting on those locks.",
        group="Connector",
    )
    snapshot_include_collection_list: tuple[str, ...] = option(
        "snapshot.include.collection.list", "LIST", default=None, group="Connector",
        convert=regexes("snapshot.include.collection.list"), doc="Regexes of the tables whose rows are copied.",
    )
    snapshot_select_statement_overrides: tuple[tuple[str, str], ...] = field(default=())
    """Table and SELECT, for tables whose rows are not simply all."""
    snapshot_fetch_size: int | None = option(
        "snapshot.fetch.size", "INT", default=None, check=at_least(1), group="Connector", effect="inert",
        doc="Rows fetched at a time.", why="rows are streamed by COPY",
    )
    snapshot_delay_ms: int = option(
        "snapshot.delay.ms", "LONG", default="0", importance="LOW", check=at_least(0), group="Connector",
        doc="Wait before the snapshot.",
    )
    streaming_delay_ms: int = option(
        "streaming.delay.ms", "LONG", default="0", importance="LOW", check=at_least(0), group="Connector",
        doc="Wait between snapshot and streaming.",
    )
    snapshot_tables_order_by_row_count: str = option(
        "snapshot.tables.order.by.row.count", default="disabled", one_of=("disabled", "ascending", "descending"),
        doc="Copy tables in the order of their size.", group="Events",
    )
    snapshot_max_threads: int = option(
        "snapshot.max.threads", "INT", default="1", check=at_least(1), group="Connector", effect="later",
        doc="Connections that copy at the same time.", why=ONE_CONNECTION,
    )

    # Signals
    signal_data_collection: tuple[str, ...] = option(
        "signal.data.collection", "LIST", default=None, group="Events", effect="later", why=SIGNALS,
        doc="The signal table; it is captured in any case.",
    )

    # Heartbeats
    heartbeat_interval_ms: int = option(
        "heartbeat.interval.ms", "INT", default="0", check=at_least(0), group="Events",
        doc="Time between heartbeat records; 0 for none.",
    )
    heartbeat_action_query: str | None = option(
        "heartbeat.action.query", default=None, importance="LOW", doc="SQL run with each heartbeat.", group="Events"
    )

    # Batches and failures
    max_batch_size: int = option(
        "max.batch.size", "INT", default="2048", check=at_least(1), doc="Most records in a batch.", group="Connector"
    )
    max_queue_size: int = option(
        "max.queue.size", "INT", default="8192", check=at_least(1), group="Connector",
        doc="Most records in flight; must exceed max.batch.size.", effect="inert", why=BOUNDED,
    )
    max_queue_size_in_bytes: int = option(
        "max.queue.size.in.bytes", "LONG", default="0", check=at_least(0), group="Connector",
        doc="Most bytes in flight; 0 for no limit of this kind.", effect="inert", why=BOUNDED,
    )
    poll_interval_ms: int = option(
        "poll.interval.ms", "LONG", default="500", check=at_least(1), doc="Longest idle wait.", group="Connector",
        effect="inert", why="changes are handled as they arrive",
    )
    errors_max_retries: int = option(
        "errors.max.retries", "INT", default="-1", importance="LOW", check=at_least(-1), group="Connector",
        doc="How often a lost connection is tried again; -1 for ever.",
    )
    retriable_restart_connector_wait_ms: int = option(
        "retriable.restart.connector.wait.ms", "LONG", default="10000", importance="LOW", check=at_least(0),
        doc="Wait before a new attempt after a retriable error.", group="Connector",
    )
    event_processing_failure_handling_mode: str = option(
        "event.processing.failure.handling.mode", default="fail", one_of=("fail", "warn", "skip"),
        aliases={"ignore": "skip"}, group="Connector", effect="later", why="a failure stops the task",
        doc="What to do when an event cannot be read.",
    )
    event_converting_failure_handling_mode: str = option(
        "event.converting.failure.handling.mode", default="warn", one_of=("fail", "warn", "skip"), group="Connector",
        doc="What to do when a value does not fit its schema.",
    )
    executor_shutdown_timeout_ms: int = option(
        "executor.shutdown.timeout.ms", "LONG", default="4000", check=at_least(0), doc="Limit for an orderly stop.",
        group="Connector", effect="inert", why="the worker's task.shutdown.graceful.timeout.ms is the limit",
    )
    guardrail_collections_max: int = option(
        "guardrail.collections.max", "INT", default="0", check=at_least(0), doc="Most captured tables; 0 for any.",
        group="Connector", effect="later", why="tables are not counted",
    )
    guardrail_collections_limit_action: str = option(
        "guardrail.collections.limit.action", default="warn", one_of=("warn", "fail"), group="Connector",
        doc="What to do when there are more.", effect="later", why="tables are not counted",
    )
    custom_metric_tags: tuple[tuple[str, str], ...] = option(
        "custom.metric.tags", "LIST", default=None, importance="LOW", convert=tags, group="Events",
        doc="Labels for metrics: name=value,…", effect="later", why="metrics have fixed labels",
    )


TRUNCATE = "column.truncate.to.<n>.chars"
MASK = "column.mask.with.<n>.chars"
HASH = "column.mask.hash.<algorithm>.with.salt.<salt>"
HASH_V2 = "column.mask.hash.v2.<algorithm>.with.salt.<salt>"
COLUMN_FAMILIES = (TRUNCATE, MASK, HASH, HASH_V2)
OVERRIDE = "snapshot.select.statement.overrides.<table>"

SHARED: tuple[Option, ...] = (
    family(TRUNCATE, r"column\.truncate\.to\.(\d+)\.chars", "Regexes of columns whose values are cut to n characters."),
    family(MASK, r"column\.mask\.with\.(\d+)\.chars", "Regexes of columns whose values become n asterisks."),
    family(HASH_V2, r"column\.mask\.hash\.v2\.([^.]+)\.with\.salt\.(.+)", "Regexes of columns whose values to hash."),
    family(
        HASH, r"column\.mask\.hash\.([^.]+)\.with\.salt\.(.+)",
        "Regexes of columns whose values to hash as Debezium's first version did it.",
    ),
    Option(
        key="snapshot.select.statement.overrides", type="LIST", doc="Tables with a SELECT of their own.", group="Events"
    ),
    family(OVERRIDE, r"snapshot\.select\.statement\.overrides\.(.+)", "The SELECT for one of those tables."),
    Option(
        key="snapshot.query.mode", default="select_all", importance="LOW", one_of=("select_all",), group="Connector",
        doc="How a table's rows are asked for.",
    ),
    family("driver.*", r"driver\.(.+)", "Settings of the JDBC driver; some are known here too."),
    *INERT,
    *LATER,
)


def column_mappers(parsed: Parsed, config: Mapping[str, str]) -> tuple[Rule, ...]:
    """The column options in the order in which they are tried. Faults become problems of *parsed*."""
    keys = [match[0] for name in COLUMN_FAMILIES for match, _ in parsed.families[name]]
    keys += ["column.propagate.source.type", "datatype.propagate.source.type"]
    sound: dict[str, str | None] = {}
    for key in (key for key in config if key in keys):
        try:
            mapper_rules({key: config[key]})
        except ConfigError as exc:
            if key not in (problem.option for problem in parsed.problems):
                parsed.problem(exc.option or hidden_salt(key), exc.message, exc.hint)
        else:
            sound[key] = config[key]
    return mapper_rules(sound)


def select_overrides(parsed: Parsed) -> tuple[tuple[str, str], ...]:
    """Table and SELECT. A listed table without a statement is noted and copied like any other."""
    statements = {match[1]: text for match, text in parsed.families[OVERRIDE]}
    listed = parsed.values.pop("snapshot_select_statement_overrides") or ()
    for table in listed:
        if table not in statements:
            parsed.note("snapshot.select.statement.overrides", f"{table} has no statement, so all its rows are copied.")
    for table in statements:
        if table not in listed:
            parsed.note(f"snapshot.select.statement.overrides.{table}", "is not used: the list lacks the table.")
    return tuple((table, statements[table]) for table in listed if table in statements)


def check_shared(parsed: Parsed, config: Mapping[str, str], *, converters: bool = False) -> None:
    """The checks that look at more than one key, for options of every source. *converters*: it has some."""
    values = parsed.values
    for kind in ("table", "column", "schema", "database", "message.prefix"):
        include, exclude = f"{kind}.include.list", f"{kind}.exclude.list"
        if include in parsed.given and exclude in parsed.given:
            parsed.problem(exclude, f"cannot be combined with {include}.", "Keep one of the two.")
    batch, queue = values["max_batch_size"], values["max_queue_size"]
    if isinstance(batch, int) and isinstance(queue, int) and queue <= batch:
        parsed.problem("max.queue.size", f"must be greater than max.batch.size ({batch}).")
    for key in ("transforms", "predicates", "converters", "post.processors"):
        if not (converters and key == "converters") and config.get(key, "").strip():
            parsed.problem(key, "not available yet, and leaving it out would change the events.", "Remove it.")


def hidden_salt(key: str) -> str:
    """*key* without the salt it may hold."""
    return re.sub(r"(\.with\.salt\.).+", r"\1*", key)
