"""MySQL 9.7 with its binary log on, from Debian unstable; and what it shares with MariaDB."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pymysql

from tests.servers import debian, fetch
from tests.servers.process import ServerFailedError, ServerUnavailableError, wait_until
from tests.servers.server import Server

Connection = pymysql.connections.Connection
Setting = str | int | bool

_CACHE_NAME = "mysql-sid"
_PACKAGES = ("mysql-server-core", "mysql-client")
_BASEDIR_VARIABLE = "CDC_TEST_MYSQL_BASEDIR"

_SETTINGS: Mapping[str, Setting] = {
    "bind_address": "127.0.0.1",
    "skip_name_resolve": True,
    "server_id": 1,
    "log_bin": "binlog",
    "character_set_server": "utf8mb4",
    "default_time_zone": "+00:00",
    "max_connections": 200,
    "innodb_buffer_pool_size": "64M",
    "innodb_flush_log_at_trx_commit": 0,
    "sync_binlog": 0,
    "max_allowed_packet": "64M",
    "local_infile": True,
    "secure_file_priv": "",
}

# At every start; nothing of it in the binary log. Without name resolution a loopback client is no `localhost`.
_INIT_FILE = """\
SET sql_log_bin = 0;
CREATE USER IF NOT EXISTS 'root'@'127.0.0.1';
GRANT ALL ON *.* TO 'root'@'127.0.0.1' WITH GRANT OPTION;
"""


@dataclass(frozen=True, slots=True)
class Installation:
    """Where a server's programs and files are: a *basedir* such as /usr, its own or in the unpacked folder *root*."""

    basedir: Path
    root: Path | None = None

    def has(self, program: str) -> bool:
        return any((self.basedir / place / program).is_file() for place in ("sbin", "bin", "libexec"))

    def command(self, program: str) -> list[str]:
        paths = (self.basedir / place / program for place in ("sbin", "bin", "libexec"))
        path = next((path for path in paths if path.is_file()), None)
        if path is None:
            raise ServerUnavailableError(f"{self.basedir} has no {program}")
        return [str(path)] if self.root is None else debian.command(self.root, path)

    @property
    def share(self) -> Path:
        """The folder of the messages, the character sets and MariaDB's scripts."""
        places = [self.basedir / "share/mysql", self.basedir / "share/mariadb", self.basedir / "share"]
        return next(place for place in places if (place / "charsets").is_dir())

    def version(self, program: str) -> str:
        """As in `9.7.4` or `10.11.19-MariaDB`."""
        text = debian.printed([*self.command(program), "--no-defaults", "--version"])
        found = re.search(r"Ver (\d+\.\d+\.\d+(-MariaDB)?)", text)
        return found[1] if found else text.strip()


def find_installation() -> Installation | None:
    """$CDC_TEST_MYSQL_BASEDIR or what was unpacked before; nothing fetched."""
    chosen = os.environ.get(_BASEDIR_VARIABLE)
    if chosen:
        return Installation(Path(chosen))
    root = fetch.cache_folder() / _CACHE_NAME
    return Installation(root / "usr", root) if root.is_dir() else None


def fetch_installation() -> Installation:
    """As find_installation, fetched if missing; raises ServerUnavailableError."""
    found = find_installation()
    if found is not None:
        return found
    try:
        root = debian.unpacked(_CACHE_NAME, _PACKAGES, "80 MB", "sid")
    except ServerUnavailableError as exc:
        raise ServerUnavailableError(f"{exc}; {_BASEDIR_VARIABLE} may name a MySQL's folder") from exc
    return Installation(root / "usr", root)


class BinlogServer(Server):
    """What MySQL and MariaDB have in common. `root` has no password; others come by `create_user`."""

    flavor: ClassVar[str]
    server_program: ClassVar[str]
    binlog_program: ClassVar[str]
    reset_statement: ClassVar[str]
    status_statement: ClassVar[str]
    user = "root"

    def __init__(self, settings: Mapping[str, Setting]) -> None:
        super().__init__()
        self.installation = Installation(Path("/usr"))
        self._settings: dict[str, Setting] = {**_SETTINGS, **settings}

    @property
    def version(self) -> str:
        return str(self.execute("SELECT VERSION()")[0][0])

    @property
    def data(self) -> Path:
        assert self.folder, "not started"
        return self.folder / "data"

    @property
    def socket(self) -> Path:
        assert self.folder, "not started"
        return self.folder / "server.sock"

    def connect(self, database: str | None = None, **options: Any) -> Connection[Any]:
        """A connection of root in autocommit; *options* as pymysql.connect takes them."""
        defaults = {"host": self.host, "port": self.port, "user": self.user, "connect_timeout": 10}
        return pymysql.connect(
            **{**defaults, "charset": "utf8mb4", "autocommit": True, "database": database, **options}
        )

    def execute(self, query: str, database: str | None = None) -> list[tuple[Any, ...]]:
        """The rows of *query*, taken as it is (`%` too), on a connection of its own; none if it returns none."""
        with self.connect(database) as connection, connection.cursor() as cursor:
            cursor.execute(query)
            return list(cursor.fetchall())

    def create_database(self, name: str) -> str:
        self.execute(f"CREATE DATABASE {_quoted(name)}")
        return name

    def drop_database(self, name: str) -> None:
        """Its open transactions and their locks first: connections that use it are ended."""
        for (number,) in self.execute(f"SELECT id FROM information_schema.processlist WHERE db = '{name}'"):
            self._end_connection(number)
        self.execute(f"DROP DATABASE IF EXISTS {_quoted(name)}")

    def create_user(self, name: str, password: str, grants: Sequence[str] = ()) -> None:
        """Anew, from any host; each of *grants* as in `SELECT, REPLICATION SLAVE ON *.*`."""
        account = f"'{name}'@'%'"
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute(f"DROP USER IF EXISTS {account}")
            cursor.execute(f"CREATE USER {account} IDENTIFIED BY {connection.escape(password)}")
            for grant in grants:
                cursor.execute(f"GRANT {grant} TO {account}")

    def drop_user(self, name: str) -> None:
        self.execute(f"DROP USER IF EXISTS '{name}'@'%'")

    def set(self, **settings: Setting | None) -> None:
        """SET GLOBAL, for connections made from now on; None gives the built-in default."""
        with self.connect() as connection, connection.cursor() as cursor:
            for name, value in settings.items():
                cursor.execute(f"SET GLOBAL {name} = {'DEFAULT' if value is None else connection.escape(value)}")

    def binlog_files(self) -> list[str]:
        return [str(row[0]) for row in self.execute("SHOW BINARY LOGS")]

    def binlog_end(self) -> tuple[str, int]:
        """The coordinates after the last event: file and byte."""
        file, position, *_ = self.execute(self.status_statement)[0]
        return str(file), int(position)

    def binlog_text(self, file: str, start: int | None = None, stop: int | None = None, *, verbose: bool = True) -> str:
        """What the server's own tool reads in *file*, from byte *start* to *stop*; *verbose*: rows as statements."""
        words = [*self.installation.command(self.binlog_program), "--no-defaults", "--verify-binlog-checksum"]
        words += ["-vv", "--base64-output=DECODE-ROWS"] if verbose else []
        words += [] if start is None else [f"--start-position={start}"]
        words += [] if stop is None else [f"--stop-position={stop}"]
        folder = f"--character-sets-dir={self.installation.share / 'charsets'}"
        return debian.printed([*words, folder, str(self.data / file)])

    def purge_binlogs(self) -> None:
        """Leaves one new file; the place of the last transaction is kept."""
        # Whoever reads an older file is sent to the new one; a reader that has gone is missed only then. Not again: for
        # each new file, MariaDB keeps the one before until its engines tell that recovery does not need it, which they
        # do once a second if there are writes.
        self.execute("FLUSH BINARY LOGS")
        last = self.binlog_files()[-1]

        def purged() -> bool:
            self.execute(f"PURGE BINARY LOGS TO '{last}'")
            return self.binlog_files() == [last]

        wait_until(purged, 60, "older binary logs to go")

    def reset_binlogs(self) -> None:
        """Forgets every transaction: the first file again, no GTID executed."""
        self.execute(self.reset_statement)

    @abstractmethod
    def _fetch(self) -> Installation:
        """Raises ServerUnavailableError."""

    @abstractmethod
    def _initialize(self, words: Sequence[str]) -> None:
        """Makes the data folder with the server command *words*."""

    def _prepare(self, folder: Path) -> list[str]:
        self.installation = self._fetch()
        self._copy_data(folder)
        words = self._command(folder)
        (folder / "init.sql").write_text(_INIT_FILE)
        words += [f"--port={self.port}", f"--socket={folder / 'server.sock'}", f"--init-file={folder / 'init.sql'}"]
        words += [f"--pid-file={folder / 'server.pid'}"]
        return words + [f"--{name.replace('_', '-')}={_option(value)}" for name, value in self._settings.items()]

    def _command(self, folder: Path) -> list[str]:
        share = self.installation.share
        words = [*self.installation.command(self.server_program), "--no-defaults"]
        words += ["--user=root"] if os.geteuid() == 0 else []
        words += [f"--basedir={self.installation.basedir}", f"--datadir={folder / 'data'}"]
        words += [f"--tmpdir={folder}"]  # a server that starts removes what looks like another one's leftovers
        return [*words, f"--lc-messages-dir={share}", f"--character-sets-dir={share / 'charsets'}"]

    def _copy_data(self, folder: Path) -> None:
        """A data folder as initialized, without the server's own identity: initializing takes seconds, copying less."""
        version = self.installation.version(self.server_program)
        made = fetch.cached(f"{self.flavor}-data-{version}", lambda made: self._initialize(self._command(made)))
        shutil.copytree(made / "data", folder / "data")
        (folder / "data" / "auto.cnf").unlink(missing_ok=True)

    def _environment(self) -> dict[str, str]:
        """Without MYSQL_* variables, which would bend the server."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("MYSQL", "MARIADB"))}
        return {**kept, "LC_ALL": "C", "TZ": "UTC"}

    def _answers(self) -> bool:
        try:
            self.connect(connect_timeout=2).close()
        except pymysql.OperationalError:
            return False
        return True

    def _run_initially(self, words: Sequence[str], script: str | None = None) -> None:
        done = subprocess.run(
            words, env=self._environment(), input=script, stdin=None if script else subprocess.DEVNULL,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise ServerFailedError(f"{self.title} did not initialize:\n{(done.stdout + done.stderr)[-3000:]}")

    def _end_connection(self, number: int) -> None:
        try:
            self.execute(f"KILL {number}")
        except pymysql.OperationalError as exc:
            if exc.args[0] != pymysql.constants.ER.NO_SUCH_THREAD:  # it has gone by itself
                raise


class MySqlServer(BinlogServer):
    """One server; *options* as mysqld takes them, `_` for `-`. *gtid* False: anonymous transactions."""

    title = "MySQL"
    flavor = "mysql"
    server_program = "mysqld"
    binlog_program = "mysqlbinlog"
    reset_statement = "RESET BINARY LOGS AND GTIDS"
    status_statement = "SHOW BINARY LOG STATUS"

    def __init__(
        self, *, gtid: bool = True, binlog_row_image: str = "FULL", row_metadata: str = "FULL", **options: Setting
    ) -> None:
        settings: dict[str, Setting] = {"gtid_mode": gtid, "enforce_gtid_consistency": gtid, "mysqlx": False}
        settings |= {"binlog_row_image": binlog_row_image, "binlog_row_metadata": row_metadata}
        super().__init__({**settings, **options})

    def _fetch(self) -> Installation:
        return fetch_installation()

    def _initialize(self, words: Sequence[str]) -> None:
        self._run_initially([*words, "--initialize-insecure", "--secure-file-priv="])

    def _prepare(self, folder: Path) -> list[str]:
        words = super()._prepare(folder)
        plugins = self.installation.basedir / "lib/mysql/plugin"
        return [*words, f"--plugin-dir={plugins}"] if plugins.is_dir() else words


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _option(value: Setting) -> str:
    return ("ON" if value else "OFF") if isinstance(value, bool) else str(value)
