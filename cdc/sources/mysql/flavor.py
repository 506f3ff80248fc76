"""What differs between MySQL and MariaDB, as one object each.

The rest of the source asks a `Flavor`, by the name of the difference, and never which server it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from cdc.core.dataclass import dataclass
from cdc.sources.mysql.binlog.gtid import GtidSet, MariaGtidSet
from cdc.sources.mysql.ddl import grammar
from cdc.sources.mysql.ddl.grammar import Grammar

Gtids: TypeAlias = GtidSet | MariaGtidSet


@dataclass(frozen=True)
class Flavor:
    """One of the two servers, and Debezium's connector for it."""

    name: str
    """`mysql` or `mariadb`: `source.connector`, and part of the names of schemas."""
    product: str
    connector_class: str
    minimum_version: str
    minimum_version_id: int
    """As `MySqlFacts.version_id` counts."""
    grammar: Grammar

    # GTIDs
    parse_gtids: Callable[[str], Gtids]
    """From the text of a set. Raises ConfigError."""
    always_has_gtids: bool
    """MySQL has them with gtid_mode=ON only."""
    finds_gtids_of_place: bool
    """BINLOG_GTID_POS gives the set that was executed before a place in the log."""

    # Connections
    session_timeouts: Callable[[int], Mapping[str, str]]
    """Timeouts that only this server has, from the most milliseconds of a statement (0: no limit)."""
    session_settings: Mapping[str, str]
    """Session variables that results depend on and that only this server has."""
    dump_settings: Callable[[Gtids | None], list[str]]
    """More statements to run before a dump that begins after these GTIDs."""
    annotate_flag: int
    """Flag of COM_BINLOG_DUMP that asks for statements' texts (BINLOG_SEND_ANNOTATE_ROWS_EVENT). MySQL sends them
    unasked."""
    query_setting: str
    """The variable that makes the server log statements' texts beside their rows."""

    # What the server tells
    replica_status: str
    """The statement that shows from which servers this one replicates."""
    show_replicas: str
    """The statement that lists the clients that registered to read the log, each by its server id first."""
    snapshot_has_position: bool
    """A consistent snapshot knows its place in the log (binlog_snapshot_file), so reading it needs no lock."""
    savepoints_release_locks: bool
    """ROLLBACK TO SAVEPOINT releases metadata locks also while there is a binary log."""
    lists_roles: bool
    """SHOW GRANTS includes the privileges of roles in use; MySQL lists them only USING the roles."""
    full_collation_names_since: int | None
    """From this version on one collation name belongs to several character sets, and only FULL_COLLATION_NAME is
    unique."""
    hashes_unique_keys: bool
    """Row images end in hidden columns for unique keys that are kept as hashes (sql/sql_table.cc, `add_hash_field`)."""
    keeps_row_versions: bool
    """Tables may have system versioning, and then the log has former versions of rows (`row_versions.py`)."""
    begin_names_thread: bool
    """A transaction begins with the statement BEGIN, which names a thread; MariaDB's begins with its GTID event."""
    json_is_text: bool
    """JSON is another name for LONGTEXT."""

    # Debezium's two connectors
    statement_begins_transaction: bool
    """The connector writes BEGIN (and no END) to the transaction topic for a statement's GTID event."""
    truncate_counts: bool
    """The connector counts a TRUNCATE among its transaction's events."""
    sees_on_update: bool
    """The connector's DDL reader notices ON UPDATE behind a default of the same kind."""


def flavor_of(version: str) -> Flavor:
    """By the version a server gives itself."""
    return MARIADB if "mariadb" in version.lower() else MYSQL


def _mysql_timeouts(timeout_ms: int) -> Mapping[str, str]:
    return {"max_execution_time": str(timeout_ms)}


def _mariadb_timeouts(timeout_ms: int) -> Mapping[str, str]:
    return {"max_statement_time": f"{timeout_ms / 1000:g}", "idle_transaction_timeout": "0",
            "idle_readonly_transaction_timeout": "0", "idle_write_transaction_timeout": "0"}


_MYSQL_SETTINGS: Final = {
    # A generated invisible primary key is in the row images, so it must be in SHOW CREATE TABLE too. MySQL 8.0.30.
    "information_schema_stats_expiry": "0 /*!80030 , show_gipk_in_create_table_and_information_schema = 1 */",
}
_MARIADB_SETTINGS: Final = {
    "system_versioning_asof": "DEFAULT",  # the rows as they are now; not the global value
}


def _mariadb_dump(gtids: Gtids | None) -> list[str]:
    """MariaDB docs, "Global Transaction ID": the slave's connection. Capability 4 is for GTID events."""
    statements = ["SET @mariadb_slave_capability = 4"]
    if gtids is not None:
        statements.append(f"SET @slave_connect_state = '{gtids}', @slave_gtid_strict_mode = 0,"
                          " @slave_gtid_ignore_duplicates = 0")
    return statements


MYSQL: Final = Flavor(
    name="mysql", product="MySQL", connector_class="io.debezium.connector.mysql.MySqlConnector",
    minimum_version="MySQL 8.0", minimum_version_id=80000, grammar=grammar.MYSQL,
    parse_gtids=GtidSet.parse, always_has_gtids=False, finds_gtids_of_place=False,
    session_timeouts=_mysql_timeouts, session_settings=_MYSQL_SETTINGS, dump_settings=lambda gtids: [],
    annotate_flag=0, query_setting="binlog_rows_query_log_events",
    replica_status="SHOW REPLICA STATUS", show_replicas="SHOW REPLICAS",
    snapshot_has_position=False, savepoints_release_locks=True,
    lists_roles=False, full_collation_names_since=None, hashes_unique_keys=False,
    keeps_row_versions=False, begin_names_thread=True, json_is_text=False,
    statement_begins_transaction=False, truncate_counts=False, sees_on_update=True,
)
MARIADB: Final = Flavor(
    name="mariadb", product="MariaDB", connector_class="io.debezium.connector.mariadb.MariaDbConnector",
    minimum_version="MariaDB 10.6", minimum_version_id=100600, grammar=grammar.MARIADB,
    parse_gtids=MariaGtidSet.parse, always_has_gtids=True, finds_gtids_of_place=True,
    session_timeouts=_mariadb_timeouts, session_settings=_MARIADB_SETTINGS, dump_settings=_mariadb_dump,
    annotate_flag=2, query_setting="binlog_annotate_row_events",
    replica_status="SHOW ALL SLAVES STATUS", show_replicas="SHOW SLAVE HOSTS",
    snapshot_has_position=True, savepoints_release_locks=False,
    lists_roles=True, full_collation_names_since=101001, hashes_unique_keys=True,
    keeps_row_versions=True, begin_names_thread=False, json_is_text=True,
    statement_begins_transaction=True, truncate_counts=True, sees_on_update=False,
)
