"""Fixtures that start real servers (tests/servers) on first use and once a session.

A server that this machine has not, and that cannot be fetched, skips the test; in CI (CI=true) that is a failure.

The whole suite runs in three processes side by side, each with servers of its own, for tests with servers mostly wait.
A part of it (`pytest tests/unit`) runs in one process. `-n 0` forces one, `-n 2` two.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import psycopg
import pymysql
import pytest

from tests.servers import fetch, fleet, java, kafka, mariadb, mysql, postgres, registry
from tests.servers.kafka import KafkaServer
from tests.servers.mariadb import MariaDbServer
from tests.servers.mysql import BinlogServer, MySqlServer
from tests.servers.postgres import PostgresServer
from tests.servers.process import ServerUnavailableError, temp_folder
from tests.servers.proxy import Proxy
from tests.servers.registry import RegistryServer
from tests.servers.server import Server

TESTS = Path(__file__).parent
PROCESSES = 3
"""On two cores or more. Each needs 2 GB."""
_fleet = fleet.Fleet()
_numbers = itertools.count(1)
S = TypeVar("S", bound=Server)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """How many processes `-n auto` means; 0 is none but pytest's own."""
    whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS and not config.option.collectonly
    return PROCESSES if whole and (os.cpu_count() or 1) >= 2 else 0


def pytest_configure() -> None:
    fetch.terminal = os.fdopen(os.dup(2), "w")  # capture is off at this moment
    _keep_bytecode()


def _keep_bytecode() -> None:
    """Where Python is told to write none, each of the many processes that tests start would compile all sources again,
    which takes it longer than all else. So it is kept as long as the tests run, outside of the checkout."""
    if os.environ.pop("PYTHONDONTWRITEBYTECODE", ""):
        os.environ["PYTHONPYCACHEPREFIX"] = str(temp_folder("bytecode"))


def pytest_report_header() -> list[str]:
    found = {version: postgres.find_bindir(version) for version in postgres.VERSIONS}
    versions = [postgres.full_version(bindir) if bindir else f"{version} to fetch" for version, bindir in found.items()]
    runtime = java.find_java(kafka.MINIMUM_JAVA)
    binlog_servers = [
        ("MySQL", mysql.find_installation(), MySqlServer.server_program),
        ("MariaDB", mariadb.find_installation(), MariaDbServer.server_program),
    ]
    binlog_versions = [
        f"{title} {found.version(program) if found else 'to fetch'}" for title, found, program in binlog_servers
    ]
    return [
        f"servers: PostgreSQL {', '.join(versions)}; {'; '.join(binlog_versions)}; "
        f"Kafka {kafka.version()}; Apicurio {registry.VERSION}; "
        f"Java {java.major_version(runtime) if runtime else 'to fetch'}"
    ]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks each test by its folder, so that `-m unit` and the like choose one part of the suite."""
    for item in items:
        for name in markers(item.path):
            item.add_marker(name)


def markers(path: Path) -> tuple[str, ...]:
    """The markers of the tests in the file *path*: they stand in pyproject.toml with their meaning."""
    folder = path.relative_to(TESTS).parts[0]
    if path.name == "test_static.py":
        return ("static",)
    return {"unit": ("unit",), "fault": ("fault", "servers")}.get(folder, ("servers",))


def pytest_collection_finish(session: pytest.Session) -> None:
    for item in session.items:
        _fleet.wanted.update(fleet.MAKERS.keys() & set(getattr(item, "fixturenames", ())))
        callspec = getattr(item, "callspec", None)
        chosen = callspec.params.values() if callspec is not None else ()
        _fleet.wanted.update(name for name in chosen if isinstance(name, str) and name in fleet.MAKERS)


def pytest_unconfigure() -> None:
    _fleet.close()


def _server(name: str, kind: type[S]) -> S:
    try:
        return _fleet.get(name, kind)
    except ServerUnavailableError as exc:
        if fetch.in_ci():
            pytest.fail(f"{name}: {exc}", pytrace=False)
        pytest.skip(f"{name}: {exc}")


@pytest.fixture(autouse=True)
def _servers_run_again() -> Iterator[None]:
    yield
    _fleet.revive()


@pytest.fixture(scope="session")
def postgres15() -> PostgresServer:
    return _server("postgres15", PostgresServer)


@pytest.fixture(scope="session")
def postgres16() -> PostgresServer:
    return _server("postgres16", PostgresServer)


@pytest.fixture(scope="session")
def postgres18() -> PostgresServer:
    return _server("postgres18", PostgresServer)


@pytest.fixture(scope="session", params=["postgres15", "postgres18"], name="postgres")
def postgres_fixture(request: pytest.FixtureRequest) -> PostgresServer:
    """The oldest and the newest version: a test that asks for it runs once on each."""
    return _server(request.param, PostgresServer)


@pytest.fixture(scope="session", name="mysql")
def mysql_fixture() -> MySqlServer:
    """With GTIDs, whole row images and all metadata of tables."""
    return _server("mysql", MySqlServer)


@pytest.fixture(scope="session", name="mariadb")
def mariadb_fixture() -> MariaDbServer:
    return _server("mariadb", MariaDbServer)


@pytest.fixture(scope="session", name="kafka")
def kafka_fixture() -> KafkaServer:
    return _server("kafka", KafkaServer)


@pytest.fixture(scope="session", name="registry")
def registry_fixture() -> RegistryServer:
    return _server("registry", RegistryServer)


@dataclass(frozen=True, slots=True)
class Database:
    """A fresh database of one test."""

    server: PostgresServer
    name: str

    def dsn(self, user: str = "postgres", password: str | None = None) -> str:
        return self.server.dsn(self.name, user, password)

    def connect(self, **options: Any) -> psycopg.Connection[Any]:
        return self.server.connect(self.name, **options)

    def execute(self, query: str) -> list[tuple[Any, ...]]:
        return self.server.execute(query, self.name)


@pytest.fixture
def database(postgres: PostgresServer) -> Iterator[Database]:
    """Dropped after the test, with its slots, even if the test left the server stopped."""
    name = postgres.create_database(f"test_{os.getpid()}_{next(_numbers)}")
    yield Database(postgres, name)
    if not postgres.running:
        postgres.start()
    postgres.drop_database(name)


@dataclass(frozen=True, slots=True)
class BinlogDatabase:
    """A fresh database of one test."""

    server: BinlogServer
    name: str

    def connect(self, **options: Any) -> pymysql.connections.Connection[Any]:
        return self.server.connect(self.name, **options)

    def execute(self, query: str) -> list[tuple[Any, ...]]:
        return self.server.execute(query, self.name)


@pytest.fixture
def mysql_database(mysql: MySqlServer) -> Iterator[BinlogDatabase]:
    """Dropped after the test, even if the test left the server stopped."""
    yield from _binlog_database(mysql)


@pytest.fixture
def mariadb_database(mariadb: MariaDbServer) -> Iterator[BinlogDatabase]:
    """As mysql_database."""
    yield from _binlog_database(mariadb)


@pytest.fixture(params=["mysql", "mariadb"])
def binlog_database(request: pytest.FixtureRequest) -> Iterator[BinlogDatabase]:
    """As mysql_database: a test that asks for it runs once on each."""
    yield from _binlog_database(_server(request.param, BinlogServer))  # type: ignore[type-abstract]


def _binlog_database(server: BinlogServer) -> Iterator[BinlogDatabase]:
    name = server.create_database(f"test_{os.getpid()}_{next(_numbers)}")
    yield BinlogDatabase(server, name)
    if not server.running:
        server.start()
    server.drop_database(name)


@pytest.fixture
def topic_prefix() -> str:
    """Unique to the test, and over runs on one broker."""
    return f"t{os.getpid()}x{next(_numbers)}"


@pytest.fixture
def proxy() -> Iterator[Callable[[Server], Proxy]]:
    """Makes proxies in front of servers: `link = proxy(postgres)`. Kafka's clients start at `proxied_bootstrap`."""
    with contextlib.ExitStack() as proxies:

        def make(server: Server) -> Proxy:
            ports = (server.proxied_target_port, server.proxied_port) if isinstance(server, KafkaServer) else None
            return proxies.enter_context(Proxy(server.host, *(ports or (server.port,))))

        yield make
