"""The PostgreSQL source's options. Documented by Debezium, "PostgreSQL connector": "Connector properties".

Keys that begin with `cdc.` are this service's own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field
from types import SimpleNamespace
from typing import Any, NamedTuple

from psycopg import ProgrammingError
from psycopg.conninfo import make_conninfo

from cdc.core import regex
from cdc.core.connect_options import FRAMEWORK_OPTIONS
from cdc.core.errors import ConfigError
from cdc.core.naming import TopicNaming, effective_field_mode
from cdc.core.options import (
    Note,
    Option,
    OptionTable,
    Parsed,
    Problem,
    at_least,
    between,
    matching,
    option,
    settings,
)

from ..known_options import JDBC, JVM_CLASS
from ..options import (
    SHARED,
    SourceConfig,
    check_shared,
    column_mappers,
    regexes,
    select_overrides,
    statements,
)

SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
RETRIES = "see errors.max.retries and retriable.restart.connector.wait.ms"
MODES = ("initial", "initial_only", "no_data")
_FORMER_MODES = {"never": "no_data", "schema_only": "no_data"}
_OTHER_MODES = (
    "always", "when_needed", "recovery", "configuration_based", "custom", "exported", "schema_only_recovery",
)


class ReplicaIdentity(NamedTuple):
    """One entry of `replica.identity.autoset.values`: `identity` is DEFAULT, FULL, NOTHING or INDEX (`index_name`)."""

    table: str
    identity: str
    index_name: str | None = None


def replica_identities(text: str) -> tuple[ReplicaIdentity, ...]:
    """Entries `table-regex:DEFAULT|FULL|NOTHING|INDEX name`, separated by commas."""
    found = []
    for number, entry in enumerate(regex.split_list(text), 1):
        match = re.fullmatch(r"([^:]+):\s*(?:(DEFAULT|FULL|NOTHING)|(INDEX)\s+(\S.*))", entry, re.IGNORECASE)
        if match is None:
            raise ValueError(f"entry {number} is not of the form table:DEFAULT (or FULL, NOTHING, INDEX name)")
        regex.compile_items((match[1].strip(),), "replica.identity.autoset.values")
        found.append(ReplicaIdentity(match[1].strip(), (match[2] or match[3]).upper(), match[4]))
    return tuple(found)


def stream_params(text: str) -> tuple[tuple[str, str], ...]:
    """`slot.stream.params`: `name=value;name=value`."""
    pairs = [part.partition("=") for part in text.split(";") if part.strip()]
    if any(not name.strip() or not equals for name, equals, _ in pairs):
        raise ValueError("name=value;name=value is wanted")
    return tuple((name.strip(), value.strip()) for name, _, value in pairs)


@settings
class PostgresConfig(SourceConfig):
    """What the PostgreSQL source is told. `conninfo()` is the way to the password; repr leaves it out."""

    # Connection
    database_hostname: str = option(
        "database.hostname", importance="HIGH", required=True, group="Postgres",
        doc="Host of the server, or several as host:port,host:port; a path is a socket directory.",
    )
    database_port: int = option(
        "database.port", "INT", default="5432", importance="HIGH", check=between(1, 65535), doc="Port of the server.",
        group="Postgres",
    )
    database_user: str = option(
        "database.user", importance="HIGH", required=True, doc="Login; needs the REPLICATION attribute.",
        group="Postgres",
    )
    database_password: str | None = option(
        "database.password", "PASSWORD", default=None, importance="HIGH", doc="Its password.", group="Postgres"
    )
    database_dbname: str = option(
        "database.dbname", importance="HIGH", required=True, doc="Database to capture.", group="Postgres"
    )
    database_sslmode: str = option(
        "database.sslmode", default="prefer", one_of=SSL_MODES, doc="Whether and how TLS is used.", group="Postgres"
    )
    database_sslcert: str | None = option(
        "database.sslcert", default=None, doc="File with the client's certificate.", group="Postgres"
    )
    database_sslkey: str | None = option(
        "database.sslkey", default=None, doc="File with the client's key, in PEM.", group="Postgres"
    )
    database_sslpassword: str | None = option(
        "database.sslpassword", "PASSWORD", default=None, doc="The key file's password.", group="Postgres"
    )
    database_sslrootcert: str | None = option(
        "database.sslrootcert", default=None, doc="File with the certificates to trust.", group="Postgres"
    )
    database_tcpKeepAlive: bool = option(
        "database.tcpKeepAlive", "BOOLEAN", default="true", doc="Keep-alive probes on the connection.", group="Postgres"
    )
    database_query_timeout_ms: int = option(
        "database.query.timeout.ms", "INT", default="600000", importance="LOW", check=at_least(0), group="Postgres",
        doc="Limit for a statement; 0 for none.",
    )
    database_initial_statements: tuple[str, ...] = option(
        "database.initial.statements", default=None, importance="LOW", convert=statements, group="Postgres",
        doc="SQL run on each new connection, separated by ; (;; is a semicolon).",
    )
    driver: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """Parameters for libpq that came as `driver.*`."""

    # Slot
    plugin_name: str = option(
        "plugin.name", default="pgoutput", group="Postgres",
        doc="Output plugin; always pgoutput, which every server has (Debezium's default is decoderbufs).",
    )
    slot_name: str = option(
        "slot.name", default="debezium", doc="Replication slot; created when missing.", group="Postgres",
        check=matching(r"[a-z0-9_]{1,63}", "only lower-case letters, digits and underscores are allowed, 63 at most"),
    )
    slot_drop_on_stop: bool = option(
        "slot.drop.on.stop", "BOOLEAN", default="false", group="Postgres",
        doc="Drop the slot on an orderly stop. What changes until the next start is then lost.",
    )
    slot_failover: bool = option(
        "slot.failover", "BOOLEAN", default="false", group="Postgres",
        doc="Create the slot so that it is kept on standbys (PostgreSQL 17 and later).",
    )
    slot_stream_params: tuple[tuple[str, str], ...] = option(
        "slot.stream.params", default=None, importance="LOW", convert=stream_params, group="Postgres",
        doc="More options for the output plugin: name=value;…",
    )
    slot_max_retries: int = option(
        "slot.max.retries", "INT", default="6", importance="LOW", check=at_least(0), group="Postgres",
        doc="How often a slot that is in use is tried again.", effect="inert", why=RETRIES,
    )
    slot_retry_delay_ms: int = option(
        "slot.retry.delay.ms", "LONG", default="10000", importance="LOW", check=at_least(0), group="Postgres",
        doc="Wait between those attempts.", effect="inert", why=RETRIES,
    )
    internal_create_slot_command_timeout: int = option(
        "internal.create.slot.command.timeout", "LONG", default="90", importance="LOW", check=at_least(1),
        doc="Limit for creating slot and publication, in seconds.", group="Postgres",
    )

    # Publication
    publication_name: str = option(
        "publication.name", default="dbz_publication", group="Postgres", doc="Publication the changes come through.",
        check=matching(r".{1,63}", "63 characters at most"),
    )
    publication_autocreate_mode: str = option(
        "publication.autocreate.mode", default="all_tables", one_of=("all_tables", "disabled", "filtered", "no_tables"),
        doc="What to do when it is missing.", group="Postgres",
    )
    publish_via_partition_root: bool = option(
        "publish.via.partition.root", "BOOLEAN", default="false", group="Connector",
        doc="Create the publication so that partitions' changes come as their root table's.",
    )
    replica_identity_autoset_values: tuple[ReplicaIdentity, ...] = option(
        "replica.identity.autoset.values", default=None, convert=replica_identities, group="Postgres",
        doc="Replica identities to set at start: table-regex:FULL,…",
    )

    # Position
    offset_mismatch_strategy: str = option(
        "offset.mismatch.strategy", default="no_validation", group="Postgres",
        one_of=("no_validation", "trust_offset", "trust_slot", "trust_greater_lsn"),
        doc="What to do when offset and slot differ.",
    )
    lsn_flush_mode: str = option(
        "lsn.flush.mode", default="connector", importance="LOW", one_of=("connector", "manual", "connector_and_driver"),
        doc="Who tells the server what it may forget.", group="Postgres",
    )
    lsn_flush_timeout_ms: int = option(
        "lsn.flush.timeout.ms", "LONG", default="30000", check=at_least(1), doc="Limit for telling it.",
        group="Postgres", effect="inert", why="telling it waits for nothing",
    )
    lsn_flush_timeout_action: str = option(
        "lsn.flush.timeout.action", default="fail", one_of=("fail", "warn", "ignore"), group="Postgres",
        doc="What to do when that takes longer.", effect="inert", why="telling it waits for nothing",
    )
    status_update_interval_ms: int = option(
        "status.update.interval.ms", "INT", default="10000", check=at_least(1), group="Postgres",
        doc="Time between status updates to the server.",
    )
    xmin_fetch_interval_ms: int = option(
        "xmin.fetch.interval.ms", "LONG", default="0", check=at_least(0), group="Postgres",
        doc="Time between readings of the slot's xmin for the source block; 0 for none.",
    )

    # Filters
    schema_include_list: tuple[str, ...] = option(
        "schema.include.list", "LIST", default=None, importance="HIGH", convert=regexes("schema.include.list"),
        doc="Regexes of the schemas to capture; all others are left out.", group="Events",
    )
    schema_exclude_list: tuple[str, ...] = option(
        "schema.exclude.list", "LIST", default=None, convert=regexes("schema.exclude.list"),
        doc="Regexes of the schemas to leave out.", group="Events",
    )
    message_prefix_include_list: tuple[str, ...] = option(
        "message.prefix.include.list", "LIST", default=None, convert=regexes("message.prefix.include.list"),
        doc="Regexes of the logical messages' prefixes to capture.", group="Connector",
    )
    message_prefix_exclude_list: tuple[str, ...] = option(
        "message.prefix.exclude.list", "LIST", default=None, convert=regexes("message.prefix.exclude.list"),
        doc="Regexes of the logical messages' prefixes to leave out.", group="Connector",
    )

    # Values
    interval_handling_mode: str = option(
        "interval.handling.mode", default="numeric", importance="LOW", one_of=("numeric", "string"), group="Connector",
        doc="How intervals are represented.",
    )
    hstore_handling_mode: str = option(
        "hstore.handling.mode", default="json", importance="LOW", one_of=("json", "map"), group="Connector",
        doc="How hstore is represented.",
    )
    money_fraction_digits: int = option(
        "money.fraction.digits", "SHORT", default="2", importance="LOW", check=between(0, 38), group="Connector",
        doc="Decimal places of money.",
    )
    schema_refresh_mode: str = option(
        "schema.refresh.mode", default="columns_diff", one_of=("columns_diff", "columns_diff_exclude_unchanged_toast"),
        doc="When a table's structure is read again.", group="Connector", effect="inert",
        why="the structure comes from the log",
    )

    # Ours
    cdc_binary: bool = option(
        "cdc.binary", "BOOLEAN", default="false", importance="LOW", group="Service",
        doc="Ask the server for binary values instead of text.",
    )
    cdc_streaming: str = option(
        "cdc.streaming", default="off", importance="LOW", one_of=("off", "on", "parallel"), group="Service",
        doc="Let the server send transactions in progress; they are kept on disk until they commit.",
    )
    cdc_queue_bytes: int = option(
        "cdc.queue.bytes", "LONG", default="16777216", importance="LOW", check=at_least(65536), group="Service",
        doc="Most bytes read ahead from the server.",
    )
    cdc_spool_directory: str | None = option(
        "cdc.spool.directory", default=None, importance="LOW", group="Service",
        doc="Where transactions in progress are kept; the system's temporary directory by default.",
    )
    cdc_name_columns: str = option(
        "cdc.name.columns", default="debezium", one_of=("debezium", "value"), importance="LOW", group="Service",
        doc="Streamed changes of columns of type name: debezium writes null, as Debezium does; value writes the value.",
    )

    def conninfo(self, **extra: Any) -> str:
        """The libpq connection string, with the password; *extra* parameters go over the configured ones."""
        hosts = _hosts(self.database_hostname, self.database_port)
        parameters: dict[str, Any] = {
            "host": ",".join(host for host, _ in hosts),
            "port": ",".join(str(port) for _, port in hosts),
            "user": self.database_user,
            "password": self.database_password,
            "dbname": self.database_dbname,
            "sslmode": self.database_sslmode,
            "sslcert": self.database_sslcert,
            "sslkey": self.database_sslkey,
            "sslpassword": self.database_sslpassword,
            "sslrootcert": self.database_sslrootcert,
            "keepalives": 1 if self.database_tcpKeepAlive else 0,
            **dict(self.driver),
            **extra,
        }
        return make_conninfo("", **{name: value for name, value in parameters.items() if value is not None})


def _hosts(text: str, port: int) -> list[tuple[str, int]]:
    """`host[:port]` items; IPv6 addresses in brackets or bare; paths as they are. Raises ValueError."""
    found = []
    for item in filter(None, (part.strip() for part in text.split(","))):
        bracketed = re.fullmatch(r"\[([0-9a-fA-F:.%\w]+)\](?::(\d{1,5}))?", item)
        plain = re.fullmatch(r"([^:/\[\]]+):(\d{1,5})", item)
        match = bracketed or plain
        found.append((match[1], int(match[2] or port)) if match else (item, port))
    if not found or any(not 0 < number < 65536 for _, number in found):
        raise ValueError("host, or host:port,host:port is wanted")
    return found


_FORMER_KEYS = {
    "database.server.name": "topic.prefix",
    "table.whitelist": "table.include.list",
    "table.blacklist": "table.exclude.list",
    "schema.whitelist": "schema.include.list",
    "schema.blacklist": "schema.exclude.list",
    "column.whitelist": "column.include.list",
    "column.blacklist": "column.exclude.list",
    "database.whitelist": "database.dbname",
    "toasted.value.placeholder": "unavailable.value.placeholder",
    "slot.drop_on_stop": "slot.drop.on.stop",
    "snapshot.select.statement.overrides.list": "snapshot.select.statement.overrides",
    "sanitize.field.names": "field.name.adjustment.mode",
}
"""Names that Debezium dropped: no release since 2.0 reads them, so reading them here would change what is captured."""

_PGJDBC_TO_LIBPQ = {
    "ApplicationName": "application_name",
    "connectTimeout": "connect_timeout",
    "options": "options",
    "channelBinding": "channel_binding",
    "gssEncMode": "gssencmode",
    "kerberosServerName": "krbsrvname",
    "requireAuth": "require_auth",
    "sslNegotiation": "sslnegotiation",
    "sslmode": "sslmode",
    "sslcert": "sslcert",
    "sslkey": "sslkey",
    "sslpassword": "sslpassword",
    "sslrootcert": "sslrootcert",
    "targetServerType": "target_session_attrs",
}
"""Connection properties of the JDBC driver ("Connection Parameters") that libpq has as well."""

_TARGETS = {
    "any": "any", "primary": "primary", "master": "primary", "secondary": "standby", "slave": "standby",
    "prefersecondary": "prefer-standby", "preferslave": "prefer-standby", "preferprimary": "any",
}

_DATABASE_PROPERTY = "database.<jdbc property>"
_FLUSH_SOURCE = Option(
    key="flush.lsn.source", type="BOOLEAN", default="true", importance="LOW", group="Postgres",
    doc="Former way to say lsn.flush.mode: true is connector, false is manual.",
)
_SEEK = Option(
    key="internal.slot.seek.to.known.offset.on.start", type="BOOLEAN", default="false", importance="LOW",
    group="Postgres", doc="Former way to say offset.mismatch.strategy: true is trust_offset.",
)

OPTIONS = OptionTable.of(
    PostgresConfig,
    *SHARED,
    _FLUSH_SOURCE,
    _SEEK,
    Option(key="converters", type="LIST", importance="LOW", group="Events", doc="Custom converters; none yet."),
    Option(key="post.processors", type="LIST", importance="LOW", group="Events", doc="Post-processors; none yet."),
    Option(key="database.sslfactory", doc="A Java class.", effect="inert", why=JVM_CLASS, group="Postgres"),
    Option(key="database.connection.factory.class", doc="A Java class.", effect="inert", why=JVM_CLASS),
    Option(
        key=_DATABASE_PROPERTY, pattern=re.compile(rf"database\.({'|'.join(_PGJDBC_TO_LIBPQ)})"),
        doc="Connection properties of the JDBC driver that libpq has as well.",
    ),
    others=FRAMEWORK_OPTIONS,
)


def read_postgres(config: Mapping[str, str], *, strict: bool = False) -> Parsed:
    """Convert and check a connector's configuration: values by attribute of `PostgresConfig`, problems and notes.

    Raises nothing. Keys of Kafka Connect itself are left to the runtime.
    """
    parsed = OPTIONS.parse(config, strict=strict)
    _former_keys(parsed)
    check_shared(parsed, config)
    values = parsed.values
    values["column_mappers"] = column_mappers(parsed, config)
    values["snapshot_select_statement_overrides"] = select_overrides(parsed)
    values["driver"] = _driver(parsed)
    _connection(parsed)
    _plugin(parsed)
    _snapshot_mode(parsed)
    _flushing(parsed)
    _names(parsed, config)
    return parsed


def parse_postgres(config: Mapping[str, str], *, strict: bool = False) -> tuple[PostgresConfig, tuple[Note, ...]]:
    """The source's settings and what a person should know about them. Raises ConfigError with all problems."""
    parsed = read_postgres(config, strict=strict)
    parsed.check(f"connector {config['name']}" if config.get("name") else "the connector's configuration")
    own = PostgresConfig.__dataclass_fields__
    values = {name: value for name, value in parsed.values.items() if name in own}
    return PostgresConfig(given=parsed.given, **values), tuple(parsed.notes)


def _former_keys(parsed: Parsed) -> None:
    """Say what became of a name that Debezium dropped, instead of guessing."""
    for former, now in _FORMER_KEYS.items():
        if former not in parsed.given:
            continue
        text = f"Debezium 2.0 dropped this key for {now}."
        parsed.notes[:] = [
            Note(former, f"{text} It has no effect.", "unknown") if n.option == former else n for n in parsed.notes
        ]
        for number, problem in enumerate(parsed.problems):
            if problem.option == former:
                parsed.problems[number] = Problem(former, text, f"Use {now}.")


def _connection(parsed: Parsed) -> None:
    values = parsed.values
    if values["database_hostname"] and values["database_port"]:
        try:
            _hosts(values["database_hostname"], values["database_port"])
        except ValueError as exc:
            parsed.problem("database.hostname", f"{exc}.")
    for key in ("sslkey", "sslcert"):
        if re.search(r"\.(p12|pfx|jks)$", values[f"database_{key}"] or "", re.IGNORECASE):
            parsed.problem(
                f"database.{key}", "Java and PKCS #12 key stores cannot be read.",
                "Convert it with: openssl pkcs12 -nodes.",
            )
    try:
        make_conninfo("", **dict(values["driver"]))
    except ProgrammingError:
        parsed.problem("driver.*", "the values make no valid connection string.")


def _driver(parsed: Parsed) -> tuple[tuple[str, str], ...]:
    """The JDBC properties libpq has too; the others are noted."""
    found = []
    for match, text in parsed.families["driver.*"] + parsed.families[_DATABASE_PROPERTY]:
        name = _PGJDBC_TO_LIBPQ.get(match[1])
        if name is None:
            parsed.note(match[0], f"accepted, without effect here: {JDBC}.", "inert")
        elif name != "target_session_attrs":
            found.append((name, text))
        elif text.lower() in _TARGETS:
            found.append((name, _TARGETS[text.lower()]))
        else:
            allowed = "any, primary, secondary, preferSecondary, preferPrimary"
            parsed.problem(match[0], f'"{text}" is not valid: allowed: {allowed}.')
    return tuple(found)


def _plugin(parsed: Parsed) -> None:
    name = (parsed.values["plugin_name"] or "").lower()
    if "plugin.name" not in parsed.given:
        parsed.note("plugin.name", "pgoutput is used, where Debezium's default is decoderbufs.")
    elif name in ("decoderbufs", "wal2json", "wal2json_streaming", "wal2json_rds", "wal2json_rds_streaming"):
        parsed.note("plugin.name", f"pgoutput is used instead of {name}; a slot made for {name} must be made anew.")
    elif name != "pgoutput":
        parsed.problem("plugin.name", f'"{name}" is not valid: allowed: pgoutput.')
    parsed.values["plugin_name"] = "pgoutput"


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


def _flushing(parsed: Parsed) -> None:
    """Former ways to say things, and the heartbeat that connector_and_driver brings."""
    values = parsed.values
    former = values.pop("flush_lsn_source")
    if "lsn.flush.mode" not in parsed.given and former is False:
        values["lsn_flush_mode"] = "manual"
        parsed.note("flush.lsn.source", "false is taken as lsn.flush.mode=manual, its present form.")
    seek = values.pop("internal_slot_seek_to_known_offset_on_start")
    if "offset.mismatch.strategy" not in parsed.given and seek:
        values["offset_mismatch_strategy"] = "trust_offset"
        parsed.note(_SEEK.key, "true is taken as offset.mismatch.strategy=trust_offset, its present form.")
    quiet = values["heartbeat_interval_ms"] == 0 and not values["provide_transaction_metadata"]
    if values["lsn_flush_mode"] == "connector_and_driver" and quiet:
        values["heartbeat_interval_ms"] = 600_000
        parsed.note("heartbeat.interval.ms", "is 600000, because lsn.flush.mode is connector_and_driver.")
    if values["heartbeat_action_query"] and values["heartbeat_interval_ms"] == 0:
        parsed.note("heartbeat.action.query", "is never run, because heartbeat.interval.ms is 0.")


def _names(parsed: Parsed, config: Mapping[str, str]) -> None:
    mode = parsed.values["field_name_adjustment_mode"]
    parsed.values["field_name_adjustment_mode"] = effective_field_mode(mode, config)
    if not any(problem.option.startswith("topic.") for problem in parsed.problems):
        try:
            TopicNaming.from_config(SimpleNamespace(**parsed.values), config)
        except ConfigError as exc:
            parsed.problem(exc.option or "topic.naming.strategy", exc.message, exc.hint)
    plugin = [name.strip() for key in ("converters", "post.processors") for name in config.get(key, "").split(",")]
    prefixes = tuple(f"{name}." for name in plugin if name)
    if prefixes:
        parsed.notes[:] = [n for n in parsed.notes if not (n.kind == "unknown" and n.option.startswith(prefixes))]
