"""What a server says of itself: version, settings, and where its log ends.

MySQL Reference Manual, "Binary Logging Options and Variables".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from cdc.core.dataclass import dataclass
from cdc.core.errors import SourceRefusedError

from .connection import Connection, query, server_info
from .flavor import Flavor, flavor_of

DAY_S: Final = 86_400


@dataclass(frozen=True)
class MySqlFacts:
    """What the server says, as it prints it; settings that are words are in upper case.

    `version_id`: as in versioned comments (90704, 101119).
    `gtid_mode`: None on MariaDB, which always has GTIDs.
    """

    flavor: Flavor
    version: str
    version_id: int
    user: str
    """The account in use, `'user'@'host'`."""
    server_id: int
    server_uuid: str
    """Identifies the server: MySQL's server_uuid, MariaDB's server_uid, or its server_id if it has no server_uid."""
    log_bin: bool
    binlog_format: str
    row_image: str
    row_metadata: str
    gtid_mode: str | None
    checksum: str
    row_value_options: str
    expire_s: int | None
    """How long the server keeps logs: 0 forever, None if unknown."""
    folds_names: bool
    """lower_case_table_names is 1 or 2: the server compares names of tables without case."""
    charset: str
    collation: str
    sql_mode: str
    max_allowed_packet: int
    logs_replicated: bool = True
    """log_replica_updates: the log also has what the server replicates from others."""
    logs_statements: bool = False
    """The log also has the text of the statements that changed the rows."""
    logs_cascades: bool = False
    """The log also has the rows that foreign keys change (MySQL 9.6, unless innodb_native_foreign_keys is ON)."""

    @property
    def has_gtids(self) -> bool:
        return self.flavor.always_has_gtids or self.gtid_mode == "ON"


_VARIABLES: Final = (
    "server_id", "server_uuid", "server_uid", "log_bin", "binlog_format", "binlog_row_image", "binlog_row_metadata",
    "gtid_mode", "binlog_checksum", "binlog_row_value_options", "binlog_expire_logs_seconds", "expire_logs_days",
    "lower_case_table_names", "character_set_server", "collation_server", "sql_mode", "max_allowed_packet",
    "log_replica_updates", "log_slave_updates", "binlog_rows_query_log_events", "binlog_annotate_row_events",
    "innodb_native_foreign_keys",
)
_IDENTITY: Final = ("server_uuid", "server_uid", "server_id")


def read_facts(conn: Connection) -> MySqlFacts:
    """Raises a SourceError."""
    found = _variables(conn, _VARIABLES)
    (version, account), = query(conn, "SELECT VERSION(), CURRENT_USER()")
    return MySqlFacts(
        flavor_of(f"{server_info(conn)} {version}"), str(version), version_id(str(version)), _account(str(account)),
        int(found.get("server_id", "0")), _identity(found),
        found.get("log_bin", "").upper() in ("ON", "1"),
        found.get("binlog_format", "ROW").upper(), found.get("binlog_row_image", "FULL").upper(),
        found.get("binlog_row_metadata", "").upper() or "NO_LOG", found.get("gtid_mode", "").upper() or None,
        found.get("binlog_checksum", "").upper(), found.get("binlog_row_value_options", "").upper(), _expire_s(found),
        found.get("lower_case_table_names", "0") != "0", found.get("character_set_server", "utf8mb4"),
        found.get("collation_server", ""), found.get("sql_mode", ""), int(found.get("max_allowed_packet", "0")),
        found.get("log_replica_updates", found.get("log_slave_updates", "ON")).upper() in ("ON", "1"),
        "ON" in (found.get("binlog_rows_query_log_events"), found.get("binlog_annotate_row_events")),
        found.get("innodb_native_foreign_keys", "").upper() == "OFF",
    )


def read_identity(conn: Connection) -> str:
    """As `MySqlFacts.server_uuid`. Raises a SourceError."""
    return _identity(_variables(conn, _IDENTITY))


def _variables(conn: Connection, names: Iterable[str]) -> dict[str, str]:
    wanted = ", ".join(f"'{name}'" for name in names)
    return {str(name).lower(): str(value)
            for name, value in query(conn, f"SHOW GLOBAL VARIABLES WHERE Variable_name IN ({wanted})")}


def _identity(found: Mapping[str, str]) -> str:
    return found.get("server_uuid") or found.get("server_uid") or f"server_id={found.get('server_id', '0')}"


def version_id(text: str) -> int:
    """`9.7.4` is 90704, `10.11.19-MariaDB-log` and `5.5.5-10.11.19-MariaDB` are 101119."""
    match = re.search(r"(\d+)\.(\d+)\.(\d+)", text.removeprefix("5.5.5-"))
    return int(match[1]) * 10000 + int(match[2]) * 100 + int(match[3]) if match else 0


def _account(text: str) -> str:
    user, _, host = text.rpartition("@")
    return "@".join("'" + part.replace("'", "''") + "'" for part in (user, host))


def _expire_s(found: Mapping[str, str]) -> int | None:
    seconds, days = found.get("binlog_expire_logs_seconds"), found.get("expire_logs_days")
    if seconds is None and days is None:
        return None
    return int(float(seconds or 0)) or int(float(days or 0) * DAY_S)


def log_status(conn: Connection) -> tuple[Any, ...]:
    """Where the server's log ends: file, position, and more columns. Raises a SourceError."""
    try:
        rows = query(conn, "SHOW BINARY LOG STATUS")
    except SourceRefusedError:
        rows = query(conn, "SHOW MASTER STATUS")  # MariaDB; MySQL before 8.2
    if not rows:
        raise SourceRefusedError("The binary log is switched off.", hint="Start the server with log_bin.")
    return rows[0]
