"""MariaDB with its binary log on: as installed, or Debian's unpacked into the cache."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from tests.servers import debian, fetch
from tests.servers.mysql import BinlogServer, Installation, Setting
from tests.servers.process import ServerUnavailableError

_CACHE_NAME = "mariadb-debian"
_PACKAGES = ("mariadb-server-core", "mariadb-client")
_BASEDIR_VARIABLE = "CDC_TEST_MARIADB_BASEDIR"
_SERVER_PROGRAM, _BINLOG_PROGRAM = "mariadbd", "mariadb-binlog"

# What mariadb-install-db feeds to the server, in its order.
_SCRIPTS = (
    "mysql_system_tables.sql",
    "mysql_performance_tables.sql",
    "mysql_system_tables_data.sql",
    "maria_add_gis_sp_bootstrap.sql",
    "mysql_sys_schema.sql",
)
# An anonymous user of localhost would be matched before any user of `%`.
_SCRIPT_START = """\
CREATE DATABASE mysql;
USE mysql;
SET @auth_root_socket = NULL, @skip_auth_anonymous = 1;
"""


def find_installation() -> Installation | None:
    """$CDC_TEST_MARIADB_BASEDIR, what is installed with all its programs, or what was unpacked before."""
    chosen = os.environ.get(_BASEDIR_VARIABLE)
    if chosen:
        return Installation(Path(chosen))
    installed = Installation(Path("/usr"))
    if installed.has(_SERVER_PROGRAM) and installed.has(_BINLOG_PROGRAM):
        return installed
    root = fetch.cache_folder() / _CACHE_NAME
    return Installation(root / "usr", root) if root.is_dir() else None


def fetch_installation() -> Installation:
    """As find_installation, fetched if missing; raises ServerUnavailableError."""
    found = find_installation()
    if found is not None:
        return found
    try:
        root = debian.unpacked(_CACHE_NAME, _PACKAGES, "50 MB")
    except ServerUnavailableError as exc:
        raise ServerUnavailableError(f"{exc}; {_BASEDIR_VARIABLE} may name a MariaDB's folder") from exc
    return Installation(root / "usr", root)


class MariaDbServer(BinlogServer):
    """One server; *options* as mariadbd takes them, `_` for `-`. It always writes GTIDs."""

    title = "MariaDB"
    flavor = "mariadb"
    server_program = _SERVER_PROGRAM
    binlog_program = _BINLOG_PROGRAM
    reset_statement = "RESET MASTER"
    status_statement = "SHOW MASTER STATUS"

    def __init__(self, *, binlog_row_image: str = "FULL", row_metadata: str = "FULL", **options: Setting) -> None:
        settings: dict[str, Setting] = {"binlog_format": "ROW", "binlog_row_image": binlog_row_image}
        super().__init__({**settings, "binlog_row_metadata": row_metadata, **options})

    def _fetch(self) -> Installation:
        return fetch_installation()

    def _initialize(self, words: Sequence[str]) -> None:
        data = next(word for word in words if word.startswith("--datadir=")).partition("=")[2]
        Path(data).mkdir()
        share = self.installation.share
        scripts = [(share / name).read_text() for name in _SCRIPTS if (share / name).is_file()]
        quick = ["--bootstrap", "--skip-log-bin", "--innodb-flush-log-at-trx-commit=0", "--max-allowed-packet=8M"]
        self._run_initially([*words, *quick], "\n".join([_SCRIPT_START, *scripts]))
