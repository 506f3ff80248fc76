"""The options of the MySQL and the MariaDB source. Documented by Debezium, "MySQL connector" and "MariaDB connector":
"Connector properties". Keys that begin with `cdc.` are this service's own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field
from types import SimpleNamespace
from typing import ClassVar, Final

from cdc.core.connect_options import FRAMEWORK_OPTIONS
from cdc.core.errors import ConfigError
from cdc.core.naming import TopicNaming, effective_field_mode
from cdc.core.options import Note, Option, OptionTable, Parsed, Problem, at_least, between, option, settings

from ..known_options import JDBC, JVM_CLASS, SIGNALS
from ..options import (
    SHARED,
    TOPIC_PART,
    SourceConfig,
    check_shared,
    column_mappers,
    operations,
    regexes,
    select_overrides,
    statements,
)
from .custom import TinyIntToBoolean, read_converters

MYSQL: Final = "mysql"
MARIADB: Final = "mariadb"
MODES: Final = ("initial", "initial_only", "no_data")
_FORMER_MODES: Final = {"never": "no_data", "schema_only": "no_data"}
_OTHER_MODES: Final = (
    "always", "when_needed", "recovery", "configuration_based", "custom", "schema_only_recovery",
)
PRECISIONS: Final = ("adaptive_time_microseconds", "connect", "isostring", "microseconds", "nanoseconds")
MYSQL_LOCKING: Final = (
    "minimal", "minimal_percona", "minimal_percona_no_table_locks", "minimal_at_least_once", "extended", "none",
)
MARIADB_LOCKING: Final = ("minimal", "minimal_at_least_once", "extended", "none")
MYSQL_SSL: Final = ("disabled", "preferred", "required", "verify_ca", "verify_identity")
MARIADB_SSL: Final = ("disable", "trust", "verify-ca", "verify-full")
_PARSER: Final = "there is one reader of statements"
_NO_HISTORY: Final = "structures are kept with the offsets"


@settings
class MySqlConfig(SourceConfig):
    """What the source is told. Repr leaves out passwords."""

    flavor: ClassVar[str] = MYSQL

    # Connection
    topic_prefix: str = option(
        "topic.prefix", importance="HIGH", required=True, check=TOPIC_PART, group="MySQL",
        doc="Logical name of the database server; the first part of every topic's name.",
    )
    database_hostname: str = option(
        "database.hostname", importance="HIGH", required=True, group="MySQL",
        doc="Host of the server, or the path of its socket.",
    )
    database_port: int = option(
        "database.port", "INT", default="3306", importance="HIGH", check=between(1, 65535), doc="Port of the server.",
        group="MySQL",
    )
    database_user: str = option(
        "database.user", importance="HIGH", required=True, group="MySQL",
        doc="Login; needs REPLICATION SLAVE, REPLICATION CLIENT and SELECT.",
    )
    database_password: str | None = option(
        "database.password", "PASSWORD", default=None, importance="HIGH", doc="Its password.", group="MySQL"
    )
    database_query_timeout_ms: int = option(
        "database.query.timeout.ms", "INT", default="600000", importance="LOW", check=at_least(0), group="MySQL",
        doc="Limit for a statement; 0 for none.",
    )
    database_initial_statements: tuple[str, ...] = option(
        "database.initial.statements", default=None, importance="LOW", convert=statements, group="MySQL",
        doc="SQL run on each new connection, separated by ; (;; is a semicolon).",
    )
    database_server_id: int = option(
        "database.server.id", "LONG", importance="HIGH", required=True, check=between(1, 2**32 - 1), group="MySQL",
        doc="Number of this client among the servers and replicas of the topology; no two may share one.",
    )
    database_server_id_offset: int = option(
        "database.server.id.offset", "LONG", default="10000", importance="HIGH", group="MySQL", effect="inert",
        doc="Added to database.server.id for a second client.", why="there is one client only",
    )
    database_ssl_mode: str = option(
        "database.ssl.mode", default="preferred", one_of=MYSQL_SSL, doc="Whether and how TLS is used.", group="MySQL",
    )
    database_ssl_keystore: str | None = option(
        "database.ssl.keystore", default=None, group="MySQL",
        doc="File in PEM with the client's certificate and key.",
    )
    database_ssl_keystore_password: str | None = option(
        "database.ssl.keystore.password", "PASSWORD", default=None, doc="Password of the key in it.", group="MySQL"
    )
    database_ssl_truststore: str | None = option(
        "database.ssl.truststore", default=None, doc="File in PEM with the certificates to trust.", group="MySQL"
    )
    database_ssl_truststore_password: str | None = option(
        "database.ssl.truststore.password", "PASSWORD", default=None, doc="Password of a Java trust store.",
        group="MySQL", effect="inert", why="certificates in PEM have no password",
    )
    connect_timeout_ms: int = option(
        "connect.timeout.ms", "INT", default="30000", check=at_least(1), group="Connector",
        doc="Limit for connecting and logging in.",
    )
    connect_keep_alive: bool = option(
        "connect.keep.alive", "BOOLEAN", default="true", importance="LOW", group="Connector", effect="inert",
        doc="Watch over the connection.", why="the server's heartbeats always show whether it is alive",
    )
    connect_keep_alive_interval_ms: int = option(
        "connect.keep.alive.interval.ms", "LONG", default="60000", importance="LOW", check=at_least(1),
        group="Connector", doc="How often an idle server is to give a sign of life; 10 s at most.",
    )
    use_nongraceful_disconnect: bool = option(
        "use.nongraceful.disconnect", "BOOLEAN", default="false", group="Connector", effect="inert",
        doc="Close the connection at once.", why="closing never waits",
    )
    binlog_net_write_timeout: int = option(
        "binlog.net.write.timeout", "LONG", default="0", check=at_least(0), group="Connector",
        doc="net_write_timeout of the connection that reads the log, in seconds; 0 for the server's.",
    )
    binlog_net_read_timeout: int = option(
        "binlog.net.read.timeout", "LONG", default="0", check=at_least(0), group="Connector",
        doc="net_read_timeout of the connection that reads the log, in seconds; 0 for the server's.",
    )

    # Filters
    database_include_list: tuple[str, ...] = option(
        "database.include.list", "LIST", default=None, importance="HIGH", convert=regexes("database.include.list"),
        doc="Regexes of the databases to capture; all others are left out.", group="Events",
    )
    database_exclude_list: tuple[str, ...] = option(
        "database.exclude.list", "LIST", default=None, convert=regexes("database.exclude.list"),
        doc="Regexes of the databases to leave out.", group="Events",
    )
    gtid_source_includes: tuple[str, ...] = option(
        "gtid.source.includes", "LIST", default=None, importance="HIGH", convert=regexes("gtid.source.includes"),
        doc="Regexes of the GTID sources to follow.", group="Events",
    )
    gtid_source_excludes: tuple[str, ...] = option(
        "gtid.source.excludes", default=None, convert=regexes("gtid.source.excludes"), group="Events",
        doc="Regexes of the GTID sources not to follow.",
    )
    gtid_source_filter_dml_events: bool = option(
        "gtid.source.filter.dml.events", "BOOLEAN", default="true", group="Events",
        doc="Whether transactions of sources not followed give no events; else only resuming minds them.",
    )
    gtid_ignore_on_recovery: bool = option(
        "gtid.ignore.on.recovery", "BOOLEAN", default="false", importance="LOW", group="Events",
        doc="Resume by file and position where the offset has both.",
    )

    # Events and values
    skipped_operations: tuple[str, ...] = option(
        "skipped.operations", "LIST", default="t", importance="LOW", convert=operations,
        doc="Operations that give no event: none, or a list of c, u, d, t, r.", group="Connector",
    )
    topic_naming_strategy: str = option(
        "topic.naming.strategy", "CLASS", default="io.debezium.schema.DefaultTopicNamingStrategy",
        doc="How topics are named: the class name of one of Debezium's strategies.", group="Events",
    )
    include_schema_changes: bool = option(
        "include.schema.changes", "BOOLEAN", default="true", group="Events",
        doc="Write statements that change structures to the topic named as the prefix.",
    )
    include_schema_comments: bool = option(
        "include.schema.comments", "BOOLEAN", default="false", group="Events",
        doc="Keep comments of tables and columns.",
    )
    include_query: bool = option(
        "include.query", "BOOLEAN", default="false", group="Events",
        doc="Put the statement that made a change into its source block; needs binlog_rows_query_log_events"
        " (binlog_annotate_row_events on MariaDB).",
    )
    time_precision_mode: str = option(
        "time.precision.mode", default="adaptive_time_microseconds", one_of=PRECISIONS, group="Connector",
        doc="How dates and times are represented.",
    )
    bigint_unsigned_handling_mode: str = option(
        "bigint.unsigned.handling.mode", default="long", one_of=("long", "precise"), group="Connector",
        doc="How BIGINT UNSIGNED is represented.",
    )
    enable_time_adjuster: bool = option(
        "enable.time.adjuster", "BOOLEAN", default="true", importance="LOW", group="Connector",
        doc="Read years of two digits as 1970 to 2069.",
    )
    store_only_captured_tables: bool = field(default=False)
    """`schema.history.internal.store.only.captured.tables.ddl`: statements on other tables give no schema change."""
    store_only_captured_databases: bool = field(default=False)
    """`schema.history.internal.store.only.captured.databases.ddl`: nor do statements in other databases."""
    boolean_columns: tuple[TinyIntToBoolean, ...] = field(default=())
    """`converters`."""

    # Snapshots
    snapshot_mode: str = option(
        "snapshot.mode", default="initial", importance="LOW", group="Connector",
        doc="initial copies the tables at first start, then streams; initial_only stops after the copy; "
        "no_data only streams.",
    )
    snapshot_locking_mode: str = option(
        "snapshot.locking.mode", default="minimal", importance="LOW", group="Connector", one_of=MYSQL_LOCKING,
        doc="Locks held for the snapshot.",
    )
    snapshot_fetch_size: int | None = option(
        "snapshot.fetch.size", "INT", default=None, check=at_least(1), group="Connector", effect="inert",
        doc="Rows fetched at a time.", why="rows are streamed",
    )
    min_row_count_to_stream_results: int = option(
        "min.row.count.to.stream.results", "INT", default="1000", importance="LOW", check=at_least(0),
        group="Connector", doc="Tables with more rows are streamed.", effect="inert", why="rows are always streamed",
    )
    incremental_snapshot_allow_schema_changes: bool = option(
        "incremental.snapshot.allow.schema.changes", "BOOLEAN", default="false", importance="LOW", group="Connector",
        doc="Go on with an incremental snapshot when the structure changes.", effect="later", why=SIGNALS,
    )

    # Failures
    inconsistent_schema_handling_mode: str = option(
        "inconsistent.schema.handling.mode", default="fail", one_of=("fail", "warn", "skip"),
        aliases={"ignore": "skip"}, group="Events", doc="What to do with a row whose table's structure is not known.",
    )
    event_deserialization_failure_handling_mode: str = option(
        "event.deserialization.failure.handling.mode", default="fail", one_of=("fail", "warn", "skip"),
        aliases={"ignore": "skip"}, group="Events", effect="later", why="a failure stops the task",
        doc="Former name of event.processing.failure.handling.mode.",
    )
    binlog_buffer_size: int = option(
        "binlog.buffer.size", "INT", default="0", check=at_least(0), group="Events", effect="later",
        doc="Events looked ahead to leave out what is rolled back.", why="transactions are not buffered",
    )
    ddl_parser_type: str = option(
        "ddl.parser.type", default="default", importance="LOW", one_of=("default", "legacy"), group="Connector",
        doc="Which reader of statements.", effect="inert", why=_PARSER,
    )

    # Ours
    cdc_queue_bytes: int = option(
        "cdc.queue.bytes", "LONG", default="4194304", importance="LOW", check=at_least(65536), group="Service",
        doc="Most bytes read ahead from the server.",
    )
    cdc_uniform_values: bool = option(
        "cdc.uniform.values", "BOOLEAN", default="false", importance="LOW", group="Service",
        doc="Write JSON, TIMESTAMP, labels of ENUM and SET, and the YEAR 0 alike in snapshots and streams, where "
        "Debezium's texts differ: JSON as the server prints it, all fraction digits, labels as they are, 0.",
    )

    @property
    def keep_comments(self) -> bool:
        """Whether comments of tables and columns are part of schemas and structures."""
        return self.include_schema_comments


@settings
class MariaDbConfig(MySqlConfig):
    """As for MySQL, but for the words of two options."""

    flavor: ClassVar[str] = MARIADB

    database_ssl_mode: str = option(
        "database.ssl.mode", default="disable", one_of=MARIADB_SSL, doc="Whether and how TLS is used.", group="MySQL",
    )
    snapshot_locking_mode: str = option(
        "snapshot.locking.mode", default="minimal", importance="LOW", group="Connector", one_of=MARIADB_LOCKING,
        doc="Locks held for the snapshot.",
    )

    @property
    def keep_comments(self) -> bool:
        """By the other option, as Debezium does (MariaDbDatabaseSchema.createDdlParser)."""
        return self.include_schema_changes


_FORMER_KEYS: Final = {
    "database.server.name": "topic.prefix",
    "database.whitelist": "database.include.list",
    "database.blacklist": "database.exclude.list",
    "table.whitelist": "table.include.list",
    "table.blacklist": "table.exclude.list",
    "column.whitelist": "column.include.list",
    "column.blacklist": "column.exclude.list",
    "snapshot.new.tables": "snapshot.mode",
    "gtid.new.channel.position": "gtid.source.includes",
    "snapshot.select.statement.overrides.list": "snapshot.select.statement.overrides",
    "sanitize.field.names": "field.name.adjustment.mode",
}
"""Names that Debezium dropped: no release since 2.0 reads them, so reading them here would change what is captured."""

_ONLY_TABLES: Final = Option(
    key="schema.history.internal.store.only.captured.tables.ddl", type="BOOLEAN", default="false", importance="LOW",
    group="History Storage", doc="Leave statements on tables that are not captured out of the schema change topic.",
)
_ONLY_DATABASES: Final = Option(
    key="schema.history.internal.store.only.captured.databases.ddl", type="BOOLEAN", default="false",
    importance="LOW", group="History Storage",
    doc="Leave statements in databases that are not captured out of the schema change topic.",
)
_PROPERTY: Final = "database.<jdbc property>"

_MORE: Final = (
    *SHARED,
    _ONLY_TABLES,
    _ONLY_DATABASES,
    Option(
        key="schema.history.internal", type="CLASS", default="io.debezium.storage.kafka.history.KafkaSchemaHistory",
        importance="LOW", group="History Storage", doc="A Java class.", effect="inert", why=_NO_HISTORY,
    ),
    Option(
        key="schema.history.internal.skip.unparseable.ddl", type="BOOLEAN", default="false", importance="LOW",
        group="History Storage", doc="Go on after a statement that cannot be read.", effect="inert",
        why="such a statement never stops the connector; the table's structure is read again",
    ),
    Option(
        key="resolve.create.table.like.schema", type="BOOLEAN", default="false", importance="LOW", group="Events",
        doc="Look up the table that CREATE TABLE … LIKE copies.", effect="inert", why="it is always looked up",
    ),
    Option(
        key="converters", type="STRING", importance="LOW", group="Events",
        doc="Names of custom converters; <name>.type is the class: TinyIntOneToBooleanConverter is there, with its"
        " options <name>.selector (regexes of database.table.column) and <name>.length.checker (true).",
    ),
    Option(key="post.processors", type="STRING", importance="LOW", group="Events", doc="Post-processors; none yet."),
    Option(
        key=_PROPERTY, effect="inert", why=JDBC, doc="Connection properties of the JDBC driver.", group="MySQL",
        pattern=re.compile(
            r"database\.(useSSL|requireSSL|verifyServerCertificate|sslMode|serverSslCert|allowPublicKeyRetrieval"
            r"|connectionTimeZone|serverTimezone|useLegacyDatetimeCode|characterEncoding|connectionCollation"
            r"|useUnicode|zeroDateTimeBehavior|tinyInt1isBit|yearIsDateType|sessionVariables|connectTimeout"
            r"|socketTimeout|tcpKeepAlive|useCursorFetch|maxAllowedPacket|autoReconnect)"),
    ),
)
_JDBC_OPTIONS: Final = (
    Option(
        key="database.jdbc.driver", type="CLASS", default="com.mysql.cj.jdbc.Driver", importance="LOW", group="MySQL",
        doc="A Java class.", effect="inert", why=JVM_CLASS,
    ),
    Option(
        key="database.protocol", default="jdbc:mysql", importance="LOW", group="MySQL", effect="inert", why=JDBC,
        doc="Protocol of the JDBC driver.",
    ),
)

OPTIONS: Final = OptionTable.of(MySqlConfig, *_MORE, *_JDBC_OPTIONS, others=FRAMEWORK_OPTIONS)
MARIADB_OPTIONS: Final = OptionTable.of(MariaDbConfig, *_MORE, others=FRAMEWORK_OPTIONS)


def read_mysql(config: Mapping[str, str], *, strict: bool = False) -> Parsed:
    """Convert and check a MySQL connector's configuration: values by attribute of `MySqlConfig`, problems and notes.

    Raises nothing. Keys of Kafka Connect itself are left to the runtime.
    """
    return _read(OPTIONS, config, strict)


def read_mariadb(config: Mapping[str, str], *, strict: bool = False) -> Parsed:
    """As `read_mysql`, for MariaDB."""
    return _read(MARIADB_OPTIONS, config, strict)


def parse_mysql(config: Mapping[str, str], *, strict: bool = False) -> tuple[MySqlConfig, tuple[Note, ...]]:
    """The source's settings and what a person should know about them. Raises ConfigError with all problems."""
    return _parsed(MySqlConfig, read_mysql(config, strict=strict), config)


def parse_mariadb(config: Mapping[str, str], *, strict: bool = False) -> tuple[MySqlConfig, tuple[Note, ...]]:
    """As `parse_mysql`, for MariaDB."""
    return _parsed(MariaDbConfig, read_mariadb(config, strict=strict), config)


def _parsed(made: type[MySqlConfig], parsed: Parsed,
            config: Mapping[str, str]) -> tuple[MySqlConfig, tuple[Note, ...]]:
    parsed.check(f"connector {config['name']}" if config.get("name") else "the connector's configuration")
    own = made.__dataclass_fields__
    values = {name: value for name, value in parsed.values.items() if name in own}
    return made(given=parsed.given, **values), tuple(parsed.notes)


def _read(table: OptionTable, config: Mapping[str, str], strict: bool) -> Parsed:
    parsed = table.parse(config, strict=strict)
    _former_keys(parsed)
    check_shared(parsed, config, converters=True)
    values = parsed.values
    values["column_mappers"] = column_mappers(parsed, config)
    values["boolean_columns"] = read_converters(parsed, config)
    values["snapshot_select_statement_overrides"] = select_overrides(parsed)
    values["store_only_captured_tables"] = values.pop(_ONLY_TABLES.attribute)
    values["store_only_captured_databases"] = values.pop(_ONLY_DATABASES.attribute)
    for match, _ in parsed.families["driver.*"]:
        parsed.note(match[0], f"accepted, without effect here: {JDBC}.", "inert")
    _both_lists(parsed)
    _key_stores(parsed)
    _precision(parsed)
    _snapshot_mode(parsed)
    _names(parsed, config)
    if values["heartbeat_action_query"] and values["heartbeat_interval_ms"] == 0:
        parsed.note("heartbeat.action.query", "is never run, because heartbeat.interval.ms is 0.")
    return parsed


def _former_keys(parsed: Parsed) -> None:
    """Say what became of a name that Debezium dropped, instead of guessing."""
    for former, now in _FORMER_KEYS.items():
        if former not in parsed.given:
            continue
        text = f"Debezium dropped this key; there is {now}."
        parsed.notes[:] = [
            Note(former, f"{text} It has no effect.", "unknown") if n.option == former else n for n in parsed.notes
        ]
        parsed.problems[:] = [
            Problem(former, text, f"Use {now}.") if p.option == former else p for p in parsed.problems
        ]


def _both_lists(parsed: Parsed) -> None:
    if {"gtid.source.includes", "gtid.source.excludes"} <= parsed.given:
        parsed.problem("gtid.source.excludes", "cannot be combined with gtid.source.includes.", "Keep one of the two.")


def _key_stores(parsed: Parsed) -> None:
    for name in ("keystore", "truststore"):
        key = f"database.ssl.{name}"
        if re.search(r"\.(p12|pfx|pkcs12|jks|jceks|keystore|truststore)$", parsed.values[f"database_ssl_{name}"] or "",
                     re.IGNORECASE):
            parsed.problem(
                key, "Java and PKCS #12 key stores cannot be read.",
                "Convert it to PEM: keytool -importkeystore … -deststoretype pkcs12, then openssl pkcs12 -nodes.",
            )


def _precision(parsed: Parsed) -> None:
    """Debezium has the same rule, with a text that says less."""
    for number, problem in enumerate(parsed.problems):
        if problem.option == "time.precision.mode":
            parsed.problems[number] = Problem(
                problem.option, problem.text, "adaptive is for PostgreSQL; adaptive_time_microseconds comes nearest.")


def _snapshot_mode(parsed: Parsed) -> None:
    mode = (parsed.values["snapshot_mode"] or "").lower()
    if mode in _FORMER_MODES:
        parsed.note("snapshot.mode", f"{mode} is taken as {_FORMER_MODES[mode]}, its present name.")
        mode = _FORMER_MODES[mode]
    if mode in _OTHER_MODES:
        parsed.problem("snapshot.mode", f"{mode} is not available.", f"The modes of this release: {', '.join(MODES)}.")
    elif mode not in MODES:
        parsed.problem("snapshot.mode", f'"{mode}" is not valid: allowed: {", ".join(MODES)}.')
    parsed.values["snapshot_mode"] = mode


def _names(parsed: Parsed, config: Mapping[str, str]) -> None:
    mode = parsed.values["field_name_adjustment_mode"]
    parsed.values["field_name_adjustment_mode"] = effective_field_mode(mode, config)
    if not any(problem.option.startswith("topic.") for problem in parsed.problems):
        try:
            TopicNaming.from_config(SimpleNamespace(**parsed.values), config)
        except ConfigError as exc:
            parsed.problem(exc.option or "topic.naming.strategy", exc.message, exc.hint)
    prefixes = tuple(f"{name.strip()}." for name in config.get("post.processors", "").split(",") if name.strip())
    if prefixes:
        parsed.notes[:] = [n for n in parsed.notes if not (n.kind == "unknown" and n.option.startswith(prefixes))]
