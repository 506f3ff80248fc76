"""A MariaDB or MySQL that is installed on this machine, with its own data in a temporary folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Final

import pymysql

from cdc.core.errors import ConfigError, SourceConnectionError

from . import guard
from .embedded import EmbeddedServer
from .shop import DATABASE, Dialect, Shop, Workload, transaction

_SOCKET = "server.sock"
_PLACES = ("/usr/sbin", "/usr/local/sbin", "/usr/libexec", "/usr/local/bin", "/opt/homebrew/bin")
"""Folders of servers that are not on an ordinary user's PATH."""

_SETTINGS = {
    "datadir": "{folder}/data",
    "socket": f"{{folder}}/{_SOCKET}",  # the only connection: nobody else can enter the folder
    "pid-file": "{folder}/server.pid",
    "tmpdir": "{folder}",
    "skip-networking": "ON",
    "server-id": "1",
    "log-bin": "binlog",
    "binlog-row-metadata": "FULL",
    "character-set-server": "utf8mb4",
    "default-time-zone": "+00:00",
    "max-connections": "20",
    "performance-schema": "OFF",
    "innodb-buffer-pool-size": "32M",
    "innodb-flush-log-at-trx-commit": "0",
    "sync-binlog": "0",
}
DIALECT: Final = Dialect("shop-mysql.sql", document=lambda value: json.dumps(value, ensure_ascii=False),
                   tags=json.dumps, interests=",".join, uuid=str)


class BinlogServer(EmbeddedServer):
    flavor: ClassVar[str]
    connector_class: ClassVar[str]
    programs: ClassVar[tuple[str, ...]]
    settings: ClassVar[dict[str, str]]
    advice: ClassVar[str]
    user = "root"

    def order(self) -> guard.Order:
        program = self.find_program()
        settings = {**_SETTINGS, **self.settings, **_shares(program)}
        words = [str(program), "--no-defaults", *(f"--{name}={text}" for name, text in settings.items())]
        prepare, script = self._prepare(words, program)
        return guard.Order(
            self.title, str(program.parent), [], "/", prepare=prepare, prepare_input=script, files=[], serve=words,
            ready=["server.log", ": ready for connections"], socket=_SOCKET,
            stops=[],  # killed at once: an orderly end may take seconds, and nobody reads these files again
            environment=["MYSQL", "MARIADB"], run_as="nobody")

    def _prepare(self, words: list[str], program: Path) -> tuple[list[str], str]:
        """The command that fills the data folder, and the text that it reads."""
        raise NotImplementedError

    @classmethod
    def variable(cls) -> str:
        """The environment variable that may name an installation."""
        return f"CDC_DEMO_{cls.title.upper()}_BASEDIR"

    @classmethod
    def find_program(cls) -> Path:
        """The server's program. Raises ConfigError."""
        chosen = os.environ.get(cls.variable())
        path = os.pathsep.join(str(Path(chosen) / place) for place in ("sbin", "bin", "libexec")) if chosen \
            else os.pathsep.join([os.environ.get("PATH", os.defpath), *_PLACES])
        for name in cls.programs:
            found = shutil.which(name, path=path)
            if found and cls._is_ours(found):
                return Path(found)
        where = f"below {chosen}" if chosen else "on this machine"
        raise ConfigError(f"There is no {cls.title} server {where}.", hint=(
            f"{cls.advice}, or set {cls.variable()} to the folder of an installation. `cdc demo` without "
            "--source needs no installed server: it brings a PostgreSQL."))

    @classmethod
    def _is_ours(cls, program: str) -> bool:
        """Either program may have the name of the other."""
        try:
            done = subprocess.run([program, "--no-defaults", "--version"], capture_output=True, text=True, check=False,
                                  timeout=20)
        except (OSError, subprocess.TimeoutExpired):
            return False
        return done.returncode == 0 and ("MariaDB" in done.stdout) is (cls.flavor == "mariadb")

    def connector(self) -> dict[str, str]:
        return {
            "connector.class": self.connector_class,
            "database.hostname": str(self.folder / _SOCKET),
            "database.user": self.user,
            "database.server.id": "2",
            "database.include.list": DATABASE,
            "include.schema.changes": "false",
        }

    def open_shop(self, seed: int) -> Shop:
        shop = Shop(seed, DIALECT)
        try:
            with self._connect() as connection:
                for statement in filter(str.strip, shop.schema().decode().split(";")):
                    connection.query(statement)
                with transaction(connection) as cursor:
                    shop.stock_up(cursor)
        except pymysql.OperationalError as exc:
            raise SourceConnectionError(f"The demo's {self.title} stopped while the shop was being set up.") from exc
        return shop

    def workload(self, shop: Shop, rate: float) -> Workload:
        return Workload(self._connect, pymysql.MySQLError, shop, rate, self.title)

    def head(self) -> list[tuple[str, str]]:
        client = "mariadb" if self.flavor == "mariadb" else "mysql"
        with self._connect() as connection, connection.cursor() as cursor:
            cursor.execute("SELECT VERSION()")
            version = str(cursor.fetchone()[0]).partition("-")[0]
        return [
            ("database", f"{client} --no-defaults --socket={self.folder / _SOCKET} --user={self.user} {DATABASE}  "
                         f"({self.title} {version}; change its tables too)"),
            ("binary log", "format ROW, all metadata, positions by GTID"),
        ]

    @property
    def _connect(self) -> Callable[[], Any]:
        socket = str(self.folder / _SOCKET)
        return lambda: pymysql.connect(unix_socket=socket, user=self.user, charset="utf8mb4", program_name="demo shop")


class LocalMariaDb(BinlogServer):
    title = "MariaDB"
    flavor = "mariadb"
    connector_class = "io.debezium.connector.mariadb.MariaDbConnector"
    programs = ("mariadbd", "mysqld")
    settings: ClassVar = {"binlog-format": "ROW", "innodb-log-file-size": "8M"}
    advice = "Install one (Debian and Ubuntu: mariadb-server-core, Fedora: mariadb-server, Homebrew: mariadb)"

    def _prepare(self, words: list[str], program: Path) -> tuple[list[str], str]:
        """Does the work of mariadb-install-db, without its help texts and views."""
        share = next((share for share in _share_folders(program) if any(share.glob("*_system_tables.sql"))), None)
        if share is None:
            raise ConfigError(f"{program} has no scripts beside it that create a new database.",
                              hint=f"{self.advice} as a whole, or set {self.variable()} to another installation.")
        scripts = [next(share.glob(f"m*_{name}.sql")) for name in ("system_tables", "system_tables_data")]
        start = "CREATE DATABASE mysql;\nUSE mysql;\nSET @auth_root_socket = NULL, @skip_auth_anonymous = 1;\n"
        return ([*words, "--bootstrap", "--skip-log-bin"],
                "\n".join([start, *(script.read_text(encoding="utf-8") for script in scripts)]))


class LocalMySql(BinlogServer):
    title = "MySQL"
    flavor = "mysql"
    connector_class = "io.debezium.connector.mysql.MySqlConnector"
    programs = ("mysqld",)
    settings: ClassVar = {"gtid-mode": "ON", "enforce-gtid-consistency": "ON", "mysqlx": "OFF",
                          "secure-file-priv": "NULL", "loose-innodb-redo-log-capacity": "32M"}
    advice = "Install one (Debian and Ubuntu: mysql-server-core, Fedora: mysql-server, Homebrew: mysql)"

    def _prepare(self, words: list[str], program: Path) -> tuple[list[str], str]:
        return [*words, "--initialize-insecure", "--skip-log-bin"], ""


def _share_folders(program: Path) -> list[Path]:
    base = program.resolve().parents[1] / "share"
    return [base / "mysql", base / "mariadb", base]


def _shares(program: Path) -> dict[str, str]:
    """The folder of an installation that was moved; otherwise the server knows it."""
    found = next((share for share in _share_folders(program) if (share / "english/errmsg.sys").is_file()), None)
    return {} if found is None else {"lc-messages-dir": str(found), "character-sets-dir": str(found / "charsets")}
