"""The PostgreSQL source's options. Documented by Debezium, "PostgreSQL connector": "Connector properties".

Keys that begin with `cdc.` are this service's own.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import field
from typing import Any, NamedTuple

from psycopg.conninfo import make_conninfo

from cdc.config import regex
from cdc.config.checks import at_least, between, matching
from cdc.config.options import Option, option, settings
from cdc.config.table import Parsed
from cdc.sources.shared import foreign_keys
from cdc.sources.shared.accepted_options import JVM_CLASS
from cdc.sources.shared.conversions import regexes
from cdc.sources.shared.options import SourceConfig, option_table
from cdc.sources.shared.parsing import SourceOptions

from .conninfo import DATABASE_PROPERTIES, check_connection, read_driver, split_hosts
from .former_keys import FORMER_KEYS, OTHER_KEYS, has_the_database

SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")


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
            raise ValueError(f"entry {number} must be table:DEFAULT (or FULL, NOTHING, INDEX name)")
        regex.compile_items((match[1].strip(),), "replica.identity.autoset.values")
        found.append(ReplicaIdentity(match[1].strip(), (match[2] or match[3]).upper(), match[4]))
    return tuple(found)


def stream_params(text: str) -> tuple[tuple[str, str], ...]:
    """`slot.stream.params`: `name=value;name=value`."""
    pairs = [part.partition("=") for part in text.split(";") if part.strip()]
    if any(not name.strip() or not equals for name, equals, _ in pairs):
        raise ValueError("it must be name=value;name=value")
    return tuple((name.strip(), value.strip()) for name, _, value in pairs)


@settings
class PostgresConfig(SourceConfig):
    """The settings of the PostgreSQL source. Only `parameters` and `conninfo` give the password; repr leaves it out."""

    # Connection
    database_hostname: str = option(
        "database.hostname", importance="HIGH", required=True, group="Postgres",
        doc="Host of the server, or several as host:port,host:port; or the directory of a Unix socket.",
    )
    database_port: int = option(
        "database.port", "INT", default="5432", importance="HIGH", check=between(1, 65535), doc="Port of the server.",
        group="Postgres",
    )
    database_user: str = option(
        "database.user", importance="HIGH", required=True, doc="Login; its role needs the REPLICATION attribute.",
        group="Postgres",
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
        "database.tcpKeepAlive", "BOOLEAN", default="true", doc="Send TCP keep-alive probes.", group="Postgres"
    )
    driver: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """Parameters for libpq that came as `driver.*`."""

    # Slot
    plugin_name: str = option(
        "plugin.name", default="pgoutput", group="Postgres",
        doc="Output plugin; always pgoutput, which every server has (Debezium's default is decoderbufs).",
    )
    slot_name: str = option(
        "slot.name", default="debezium",
        doc="Name of the replication slot; it is created if it is missing.", group="Postgres",
        check=matching(r"[a-z0-9_]{1,63}", "only lower-case letters, digits and underscores are allowed, 63 at most"),
    )
    slot_drop_on_stop: bool = option(
        "slot.drop.on.stop", "BOOLEAN", default="false", group="Postgres",
        doc="Drop the slot on an orderly stop. Changes until the next start are then lost.",
    )
    slot_failover: bool = option(
        "slot.failover", "BOOLEAN", default="false", group="Postgres",
        doc="Create the slot as a failover slot, which standbys keep too (PostgreSQL 17 and later).",
    )
    slot_stream_params: tuple[tuple[str, str], ...] = option(
        "slot.stream.params", default=None, importance="LOW", convert=stream_params, group="Postgres",
        doc="More options for the output plugin: name=value;…",
    )
    slot_max_retries: int = option(
        "slot.max.retries", "INT", default="6", importance="LOW", check=at_least(0), group="Postgres",
        doc="How often a slot that is in use is tried again. If it is not set: without limit if an offset is stored, "
        "else for ten seconds.",
    )
    slot_retry_delay_ms: int = option(
        "slot.retry.delay.ms", "LONG", default="10000", importance="LOW", check=at_least(0), group="Postgres",
        doc="Time between those attempts. If neither is set, it grows to retriable.restart.connector.wait.ms.",
    )
    internal_create_slot_command_timeout: int = option(
        "internal.create.slot.command.timeout", "LONG", default="90", importance="LOW", check=at_least(1),
        doc="Time limit for creating the slot and the publication, in seconds.", group="Postgres",
    )

    # Publication
    publication_name: str = option(
        "publication.name", default="dbz_publication", group="Postgres",
        doc="Name of the publication that the slot reads.",
        check=matching(r".{1,63}", "63 characters at most"),
    )
    publication_autocreate_mode: str = option(
        "publication.autocreate.mode", default="all_tables", one_of=("all_tables", "disabled", "filtered", "no_tables"),
        doc="Action if the publication is missing: create it for all tables, for the captured tables (filtered) or "
        "for none, or fail (disabled). If it is not set, and a table that is not captured has no replica identity, the "
        "publication is for the captured tables only: else the server would refuse UPDATE and DELETE on that table.",
        group="Postgres",
    )
    publication_for_all: bool = field(default=False)
    """Mode `all_tables` was asked for: the publication is for all tables even if that harms some."""
    published_operations: tuple[str, ...] | None = field(default=None)
    """What a publication that we create publishes, of c, u, d and t: all but `skipped.operations`. None is the
    server's default, where that option is not set."""
    publish_via_partition_root: bool = option(
        "publish.via.partition.root", "BOOLEAN", default="false", group="Connector",
        doc="Create the publication so that a change of a partition is sent as a change of its root table.",
    )
    replica_identity_autoset_values: tuple[ReplicaIdentity, ...] = option(
        "replica.identity.autoset.values", default=None, convert=replica_identities, group="Postgres",
        doc="Replica identities to set at start: table-regex:FULL,…",
    )

    # Position
    offset_mismatch_strategy: str = option(
        "offset.mismatch.strategy", default="no_validation", group="Postgres",
        one_of=("no_validation", "trust_offset", "trust_slot", "trust_greater_lsn"),
        doc="Action if the stored offset and the slot differ. With trust_slot and trust_greater_lsn a start goes on"
            " after changes were lost, also those of captured tables that were out of the publication.",
    )
    lsn_flush_mode: str = option(
        "lsn.flush.mode", default="connector", importance="LOW", one_of=("connector", "manual", "connector_and_driver"),
        doc="Who confirms positions to the server, which may then remove its WAL; with manual, you do.",
        group="Postgres",
    )
    lsn_flush_timeout_ms: int = option(
        "lsn.flush.timeout.ms", "LONG", default="30000", check=at_least(1), doc="Time limit for that confirmation.",
        group="Postgres", effect="inert", why="a confirmation never waits",
    )
    lsn_flush_timeout_action: str = option(
        "lsn.flush.timeout.action", default="fail", one_of=("fail", "warn", "ignore"), group="Postgres",
        doc="Action if that takes longer.", effect="inert", why="a confirmation never waits",
    )
    status_update_interval_ms: int = option(
        "status.update.interval.ms", "INT", default="10000", check=at_least(1), group="Postgres",
        doc="Time between status updates to the server.",
    )
    xmin_fetch_interval_ms: int = option(
        "xmin.fetch.interval.ms", "LONG", default="0", check=at_least(0), group="Postgres",
        doc="Time between two readings of the slot's xmin for the source block; 0 leaves it out.",
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
        doc="Regexes of the prefixes of logical messages to capture.", group="Connector",
    )
    message_prefix_exclude_list: tuple[str, ...] = option(
        "message.prefix.exclude.list", "LIST", default=None, convert=regexes("message.prefix.exclude.list"),
        doc="Regexes of the prefixes of logical messages to leave out.", group="Connector",
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
        doc="When a table's structure is read from the catalog again.", group="Connector", effect="inert",
        why="the structure comes from the log",
    )

    # Ours
    cdc_binary: bool = option(
        "cdc.binary", "BOOLEAN", default="false", importance="LOW", group="Service",
        doc="Ask the server for binary values instead of text.",
    )
    cdc_streaming: str = option(
        "cdc.streaming", default="off", importance="LOW", one_of=("off", "on", "parallel"), group="Service",
        doc="Let the server send transactions in progress (streaming of pgoutput); they are kept on disk until they "
        "commit.",
    )
    cdc_spool_directory: str | None = option(
        "cdc.spool.directory", default=None, importance="LOW", group="Service",
        doc="Directory for transactions in progress; by default the system's temporary directory.",
    )
    cdc_name_columns: str = option(
        "cdc.name.columns", default="debezium", one_of=("debezium", "value"), importance="LOW", group="Service",
        doc="Columns of type name in the stream: debezium writes null, as Debezium does; value writes the value.",
    )
    cdc_debezium_faults: bool = option(
        "cdc.debezium.faults", "BOOLEAN", default="false", importance="LOW", group="Service",
        doc="Write what Debezium writes also where that is made up or belongs to other rows; the page of differences "
        "lists these cases. For comparisons with Debezium only.",
    )

    def parameters(self) -> dict[str, Any]:
        """The configured parameters of libpq, with the password."""
        hosts = split_hosts(self.database_hostname, self.database_port)
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
        }
        return {name: value for name, value in parameters.items() if value is not None}

    def conninfo(self, **extra: Any) -> str:
        """The connection string for libpq, with the password. *extra* parameters replace configured ones."""
        return make_conninfo("", **self.parameters() | extra)


_FLUSH_SOURCE = Option(
    key="flush.lsn.source", type="BOOLEAN", default="true", importance="LOW", group="Postgres",
    doc="Former form of lsn.flush.mode: true is connector, false is manual.",
)
_SEEK = Option(
    key="internal.slot.seek.to.known.offset.on.start", type="BOOLEAN", default="false", importance="LOW",
    group="Postgres", doc="Former form of offset.mismatch.strategy: true is trust_offset.",
)


def _plugin(parsed: Parsed, config: Mapping[str, str]) -> None:
    name = (parsed.values["plugin_name"] or "").lower()
    if name in ("decoderbufs", "wal2json", "wal2json_streaming", "wal2json_rds", "wal2json_rds_streaming"):
        parsed.note("plugin.name", f"pgoutput is used instead of {name}; a slot that was created for {name} must be"
                                   " dropped and created again.")
    elif name != "pgoutput":
        parsed.problem("plugin.name", f'"{name}" is not valid: allowed: pgoutput.')
    parsed.values["plugin_name"] = "pgoutput"


def _flushing(parsed: Parsed, config: Mapping[str, str]) -> None:
    """Take former options as the present ones, and send heartbeats if connector_and_driver needs them."""
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


def _published(parsed: Parsed, config: Mapping[str, str]) -> None:
    """`published_operations`, `publication_for_all`: what was set on purpose, not the default."""
    parsed.values["publication_for_all"] = "publication.autocreate.mode" in parsed.given
    skipped = parsed.values["skipped_operations"]
    set_at_all = "skipped.operations" in parsed.given and skipped is not None
    parsed.values["published_operations"] = tuple(op for op in "cudt" if op not in skipped) if set_at_all else None


def _busy(parsed: Parsed, config: Mapping[str, str]) -> None:
    """Only what was set on purpose limits how a slot that is in use is waited for, not the defaults."""
    values = parsed.values
    counted = "slot.max.retries" in parsed.given
    values["busy_retries"] = values["slot_max_retries"] if counted else None
    timed = counted or "slot.retry.delay.ms" in parsed.given
    delay_ms = values["slot_retry_delay_ms"]  # None if it is not valid
    values["busy_delay_s"] = delay_ms / 1000 if timed and delay_ms is not None else None


def _spool(parsed: Parsed, config: Mapping[str, str]) -> None:
    folder = parsed.values["cdc_spool_directory"]
    if folder and not os.path.isdir(folder):  # Path.is_dir raises for a name that is too long
        parsed.problem("cdc.spool.directory", f"there is no folder {folder}.", "Create it, or name another one.")


_SOURCE = SourceOptions(
    settings=PostgresConfig,
    table=option_table(
        PostgresConfig,
        _FLUSH_SOURCE,
        _SEEK,
        Option(key="converters", type="LIST", importance="LOW", group="Events",
               doc="Names of custom converters of other packages; <name>.type is the class."),
        Option(key="post.processors", type="LIST", importance="LOW", group="Events",
               doc="Names of post-processors of other packages, applied before all transforms; <name>.type is the"
               " class."),
        Option(key="database.sslfactory", doc="A Java class.", effect="inert", why=JVM_CLASS, group="Postgres"),
        Option(key="database.connection.factory.class", doc="A Java class.", effect="inert", why=JVM_CLASS),
        DATABASE_PROPERTIES,
        server_group="Postgres", formers=FORMER_KEYS,
    ),
    other_keys=OTHER_KEYS,
    within=has_the_database,
    kind=foreign_keys.POSTGRES,
    checks=(read_driver, check_connection, _plugin, _flushing, _published, _busy, _spool),
)
OPTIONS = _SOURCE.table
read_postgres = _SOURCE.read
parse_postgres = _SOURCE.parse
