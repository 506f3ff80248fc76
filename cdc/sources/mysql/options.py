"""The options of the MySQL and the MariaDB source. Documented by Debezium, "MySQL connector" and "MariaDB connector":
"Connector properties". Keys that begin with `cdc.` are this service's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import ClassVar, Final

from cdc.config.checks import at_least, between
from cdc.config.options import Option, option, settings
from cdc.config.table import Parsed, Problem
from cdc.core.late_regex import late_regex
from cdc.sources.shared import foreign_keys
from cdc.sources.shared.accepted_options import JDBC, JVM_CLASS
from cdc.sources.shared.conversions import regexes
from cdc.sources.shared.modes import DOC
from cdc.sources.shared.options import SourceConfig, option_table, varied
from cdc.sources.shared.parsing import SourceOptions, refuse_key_stores

from .booleans import TINYINT_TO_BOOLEAN, TinyIntToBoolean, read_booleans
from .flavor import MARIADB, MYSQL, Flavor
from .former_keys import FORMER_KEYS, OTHER_KEYS, lists_say_the_same

PRECISIONS: Final = ("adaptive_time_microseconds", "connect", "isostring", "microseconds", "nanoseconds")
MYSQL_LOCKING: Final = (
    "minimal", "minimal_percona", "minimal_percona_no_table_locks", "minimal_at_least_once", "extended", "none",
)
MARIADB_LOCKING: Final = ("minimal", "minimal_at_least_once", "extended", "none")
MYSQL_SSL: Final = ("disabled", "preferred", "required", "verify_ca", "verify_identity")
MARIADB_SSL: Final = ("disable", "trust", "verify-ca", "verify-full")
_PARSER: Final = "there is only one parser"
_LOCKS: Final = "Locks that a snapshot takes."
_NO_HISTORY: Final = "structures are kept with the offsets"


@settings
class MySqlConfig(SourceConfig):
    """The settings of the MySQL source. Repr leaves out passwords."""

    flavor: ClassVar[Flavor] = MYSQL

    # Connection
    database_hostname: str = option(
        "database.hostname", importance="HIGH", required=True, group="MySQL",
        doc="Host of the server, or the path of its Unix socket.",
    )
    database_port: int = option(
        "database.port", "INT", default="3306", importance="HIGH", check=between(1, 65535), doc="Port of the server.",
        group="MySQL",
    )
    database_user: str = option(
        "database.user", importance="HIGH", required=True, group="MySQL",
        doc="Login; needs REPLICATION SLAVE, REPLICATION CLIENT and SELECT.",
    )
    database_server_id: int = option(
        "database.server.id", "LONG", importance="HIGH", required=True, check=between(1, 2**32 - 1), group="MySQL",
        doc="Number of this client; no other server, replica or connector of the topology may use it.",
    )
    database_server_id_offset: int = option(
        "database.server.id.offset", "LONG", default="10000", importance="HIGH", group="MySQL", effect="inert",
        doc="Number that is added to database.server.id for a second client.", why="there is one client only",
    )
    database_ssl_mode: str = option(
        "database.ssl.mode", default="preferred", one_of=MYSQL_SSL, doc="Whether and how TLS is used.", group="MySQL",
    )
    database_ssl_keystore: str | None = option(
        "database.ssl.keystore", default=None, group="MySQL",
        doc="File in PEM with the client's certificate and key.",
    )
    database_ssl_keystore_password: str | None = option(
        "database.ssl.keystore.password", "PASSWORD", default=None,
        doc="Password of the key in database.ssl.keystore.", group="MySQL"
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
        doc="Time limit for connecting and logging in.",
    )
    connect_keep_alive: bool = option(
        "connect.keep.alive", "BOOLEAN", default="true", importance="LOW", group="Connector", effect="inert",
        doc="Watch the connection.", why="the server's heartbeats always show whether it is alive",
    )
    connect_keep_alive_interval_ms: int = option(
        "connect.keep.alive.interval.ms", "LONG", default="60000", importance="LOW", check=at_least(1),
        group="Connector", doc="Time between heartbeats of an idle server, at most 10 s.",
    )
    use_nongraceful_disconnect: bool = option(
        "use.nongraceful.disconnect", "BOOLEAN", default="false", group="Connector", effect="inert",
        doc="Close the connection at once.", why="closing never waits",
    )
    binlog_net_write_timeout: int = option(
        "binlog.net.write.timeout", "LONG", default="0", check=at_least(0), group="Connector",
        doc="net_write_timeout of the connection that reads the log, in seconds; 0 keeps the server's value.",
    )
    binlog_net_read_timeout: int = option(
        "binlog.net.read.timeout", "LONG", default="0", check=at_least(0), group="Connector",
        doc="net_read_timeout of the connection that reads the log, in seconds; 0 keeps the server's value.",
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
        doc="Regexes of the servers (UUIDs or server ids in GTIDs) whose transactions are followed.", group="Events",
    )
    gtid_source_excludes: tuple[str, ...] = option(
        "gtid.source.excludes", default=None, convert=regexes("gtid.source.excludes"), group="Events",
        doc="Regexes of the servers whose transactions are not followed.",
    )
    gtid_source_filter_dml_events: bool = option(
        "gtid.source.filter.dml.events", "BOOLEAN", default="true", group="Events",
        doc="true: transactions of servers that are not followed give no events. false: they do, and the choice only "
        "matters when a position is resumed.",
    )
    gtid_ignore_on_recovery: bool = option(
        "gtid.ignore.on.recovery", "BOOLEAN", default="false", importance="LOW", group="Events",
        doc="Resume by file and position, not by GTIDs, if the offset has both.",
    )

    # Events and values
    skipped_operations: tuple[str, ...] = varied("skipped_operations", group="Connector")
    topic_naming_strategy: str = varied(
        "topic_naming_strategy", default="io.debezium.schema.DefaultTopicNamingStrategy")
    include_schema_changes: bool = option(
        "include.schema.changes", "BOOLEAN", default="true", group="Events",
        doc="Send statements that change table structures to the topic that has the prefix as its name.",
    )
    include_schema_comments: bool = varied(
        "include_schema_comments", effect="normal", why="",
        doc="Add comments of tables and columns to schemas and schema changes.",
    )
    include_query: bool = option(
        "include.query", "BOOLEAN", default="false", group="Events",
        doc="Put the statement that made a change into its source block; needs binlog_rows_query_log_events"
        " (binlog_annotate_row_events on MariaDB).",
    )
    time_precision_mode: str = varied("time_precision_mode", default="adaptive_time_microseconds", one_of=PRECISIONS)
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
    snapshot_mode: str = varied(
        "snapshot_mode", importance="LOW", doc=f"{DOC}; recovery streams from the stored position, with the tables' "
        "structures as they are now: set it for one start.")
    snapshot_locking_mode: str = varied(
        "snapshot_locking_mode", default="minimal", one_of=MYSQL_LOCKING, doc=_LOCKS)
    snapshot_fetch_size: int | None = varied("snapshot_fetch_size", why="rows are streamed")
    min_row_count_to_stream_results: int = option(
        "min.row.count.to.stream.results", "INT", default="1000", importance="LOW", check=at_least(0),
        group="Connector",
        doc="Tables with more rows than that are streamed.", effect="inert", why="rows are always streamed",
    )
    incremental_snapshot_allow_schema_changes: bool = option(
        "incremental.snapshot.allow.schema.changes", "BOOLEAN", default="false", importance="LOW", group="Connector",
        doc="Continue an incremental snapshot if a table's structure changes.", effect="inert", why="it always does",
    )

    # Failures
    inconsistent_schema_handling_mode: str = option(
        "inconsistent.schema.handling.mode", default="fail", one_of=("fail", "warn", "skip"),
        aliases={"ignore": "skip"}, group="Events", doc="Action if the structure of a row's table is unknown.",
    )
    event_deserialization_failure_handling_mode: str = option(
        "event.deserialization.failure.handling.mode", default="fail", one_of=("fail", "warn", "skip"),
        aliases={"ignore": "skip"}, group="Events", effect="later", why="a failure stops the task",
        doc="Former name of event.processing.failure.handling.mode.",
    )
    binlog_buffer_size: int = option(
        "binlog.buffer.size", "INT", default="0", check=at_least(0), group="Events", effect="later",
        doc="Number of events that are read ahead, to leave out transactions that are rolled back.",
        why="transactions are not buffered",
    )
    ddl_parser_type: str = option(
        "ddl.parser.type", default="default", importance="LOW", one_of=("default", "legacy"), group="Connector",
        doc="Which parser reads statements.", effect="inert", why=_PARSER,
    )

    # Ours
    cdc_unlogged_changes: str = option(
        "cdc.unlogged.changes", default="fail", importance="LOW", one_of=("fail", "warn"), group="Service",
        doc="Action if the server does not log all changes of captured tables, at the start or later: it is a replica "
        "with log_replica_updates=OFF, or has binlog_do_db or binlog_ignore_db. warn: go on, and warn of each.",
    )
    cdc_uniform_values: bool = option(
        "cdc.uniform.values", "BOOLEAN", default="false", importance="LOW", group="Service",
        doc="Write JSON, TIMESTAMP, labels of ENUM and SET, and the YEAR 0 the same in snapshots and streams, "
        "where Debezium's texts differ: JSON as the server prints it, times with all digits, labels unchanged, and 0.",
    )

    @property
    def keep_comments(self) -> bool:
        """Whether comments of tables and columns are part of schemas and structures."""
        return self.include_schema_comments


@settings
class MariaDbConfig(MySqlConfig):
    """The settings of the MariaDB source. Two options differ from MySQL's in their values."""

    flavor: ClassVar[Flavor] = MARIADB

    database_ssl_mode: str = option(
        "database.ssl.mode", default="disable", one_of=MARIADB_SSL, doc="Whether and how TLS is used.", group="MySQL",
    )
    snapshot_locking_mode: str = varied(
        "snapshot_locking_mode", default="minimal", one_of=MARIADB_LOCKING, doc=_LOCKS)

    @property
    def keep_comments(self) -> bool:
        """MariaDB follows include.schema.changes, as Debezium does (MariaDbDatabaseSchema.createDdlParser)."""
        return self.include_schema_changes


_ONLY_TABLES: Final = Option(
    key="schema.history.internal.store.only.captured.tables.ddl", type="BOOLEAN", default="false", importance="LOW",
    group="History Storage", doc="Leave statements about tables that are not captured out of the schema change topic.",
)
_ONLY_DATABASES: Final = Option(
    key="schema.history.internal.store.only.captured.databases.ddl", type="BOOLEAN", default="false",
    importance="LOW", group="History Storage",
    doc="Leave statements in databases that are not captured out of the schema change topic.",
)
_PROPERTY: Final = "database.<jdbc property>"

_MORE: Final = (
    _ONLY_TABLES,
    _ONLY_DATABASES,
    Option(
        key="schema.history.internal", type="CLASS", default="io.debezium.storage.kafka.history.KafkaSchemaHistory",
        importance="LOW", group="History Storage", doc="A Java class.", effect="inert", why=_NO_HISTORY,
    ),
    Option(
        key="schema.history.internal.skip.unparseable.ddl", type="BOOLEAN", default="false", importance="LOW",
        group="History Storage", doc="Continue after a statement that cannot be parsed.", effect="inert",
        why="such a statement never stops the connector; the table's structure is read again",
    ),
    Option(
        key="resolve.create.table.like.schema", type="BOOLEAN", default="false", importance="LOW", group="Events",
        doc="Look up the table that CREATE TABLE … LIKE copies.", effect="inert", why="it is always looked up",
    ),
    Option(
        key="converters", type="STRING", importance="LOW", group="Events",
        doc="Names of custom converters; <name>.type is the class: TinyIntOneToBooleanConverter, with the options"
        " <name>.selector (regexes of database.table.column) and <name>.length.checker (true); or one of another"
        " package (cdc docs custom-converters).",
    ),
    Option(key="post.processors", type="STRING", importance="LOW", group="Events",
           doc="Names of post-processors of other packages, applied before all transforms; <name>.type is the class."),
    Option(
        key=_PROPERTY, effect="inert", why=JDBC, doc="Connection properties of the JDBC driver.", group="MySQL",
        pattern=late_regex(
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


def _extras(parsed: Parsed, config: Mapping[str, str]) -> None:
    values = parsed.values
    values["boolean_columns"] = read_booleans(parsed, config)
    values["store_only_captured_tables"] = values.pop(_ONLY_TABLES.attribute)
    values["store_only_captured_databases"] = values.pop(_ONLY_DATABASES.attribute)
    for match, _ in parsed.families["driver.*"]:
        parsed.note(match[0], f"accepted, without effect here: {JDBC}.", "inert")


def _both_lists(parsed: Parsed, config: Mapping[str, str]) -> None:
    if {"gtid.source.includes", "gtid.source.excludes"} <= parsed.given:
        parsed.problem("gtid.source.excludes", "cannot be combined with gtid.source.includes.", "Keep one of the two.")


def _key_stores(parsed: Parsed, config: Mapping[str, str]) -> None:
    refuse_key_stores(
        parsed, ("database.ssl.keystore", "database.ssl.truststore"),
        "Convert it to PEM: keytool -importkeystore … -deststoretype pkcs12, then openssl pkcs12 -nodes.",
        more_suffixes=("pkcs12", "jceks", "keystore", "truststore"))


def _precision(parsed: Parsed, config: Mapping[str, str]) -> None:
    """Add a hint: Debezium refuses the same values, but does not say which value to use instead."""
    for number, problem in enumerate(parsed.problems):
        if problem.option == "time.precision.mode":
            parsed.problems[number] = Problem(
                problem.option, problem.text, "adaptive is for PostgreSQL; adaptive_time_microseconds comes nearest.")


_CHECKS: Final = (_extras, _both_lists, _key_stores, _precision)
_MYSQL: Final = SourceOptions(
    settings=MySqlConfig,
    table=option_table(MySqlConfig, *_MORE, *_JDBC_OPTIONS, server_group="MySQL", formers=FORMER_KEYS),
    checks=_CHECKS, own_converters=TINYINT_TO_BOOLEAN, other_keys=OTHER_KEYS, within=lists_say_the_same,
    kind=foreign_keys.MYSQL, history=True)
_MARIADB: Final = SourceOptions(
    settings=MariaDbConfig, table=option_table(MariaDbConfig, *_MORE, server_group="MySQL", formers=FORMER_KEYS),
    checks=_CHECKS, own_converters=TINYINT_TO_BOOLEAN, other_keys=OTHER_KEYS, within=lists_say_the_same,
    kind=foreign_keys.MYSQL, history=True)

OPTIONS: Final = _MYSQL.table
MARIADB_OPTIONS: Final = _MARIADB.table
read_mysql: Final = _MYSQL.read
parse_mysql: Final = _MYSQL.parse
read_mariadb: Final = _MARIADB.read
parse_mariadb: Final = _MARIADB.parse
