"""`docker-compose.yml` without Docker: the real servers with its settings and scripts, cdc with its environment, and
Prometheus with its configuration.

Only addresses are replaced: what the services call each other becomes a port of this machine.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from cdc.metrics.dashboards import OVERVIEW
from tests.fault.pipeline import Process, Reader
from tests.integration.test_sql_files import statements
from tests.servers import compose, fetch
from tests.servers.kafka import KafkaServer
from tests.servers.mariadb import MariaDbServer
from tests.servers.mysql import BinlogServer, MySqlServer
from tests.servers.postgres import PostgresServer
from tests.servers.process import ServerUnavailableError, free_port, wait_until
from tests.servers.prometheus import PrometheusServer, promtool
from tests.servers.registry import RegistryServer
from tests.servers.server import Server
from tests.unit.metrics.boards import asked

Addresses = Mapping[str, str]
"""By `service:port`: where that is on this machine."""
PLACES = ("listeners", "listener.security.protocol.map", "advertised.listeners", "controller.quorum.voters", "log.dirs")
"""Of a broker, what says where things are. The test's own server has these its own way."""


class ComposeRegistry(RegistryServer):
    """With the environment that the file gives to the image."""

    def __init__(self, addresses: Addresses) -> None:
        super().__init__()
        self._given = replaced(compose.environment("registry"), addresses)

    def _environment(self) -> Mapping[str, str]:
        return {**os.environ, **self._given}


def replaced(environment: Mapping[str, str], addresses: Addresses) -> dict[str, str]:
    """With every address of a service in the values replaced; one that is not known is an error."""
    found = {}
    for name, value in environment.items():
        for service, address in addresses.items():
            value = re.sub(rf"(?<![\w.-]){re.escape(service)}(?!\d)", address, value)
        found[name] = value
    left = re.compile(rf"(?<![\w.-])(?:{'|'.join(compose.load()['services'])}):\d")
    assert [value for value in found.values() if left.search(value)] == []
    return found


def started(server: Server) -> Server:
    try:
        return server.start()
    except ServerUnavailableError as exc:
        if fetch.in_ci():
            raise
        pytest.skip(str(exc))


@pytest.fixture(scope="module")
def addresses() -> Iterator[Addresses]:
    """Kafka and the registry, with the file's settings."""
    settings = {key: value for key, value in compose.kafka_settings("kafka").items() if key not in PLACES}
    kafka = KafkaServer(settings=settings)
    try:
        started(kafka)
        found = {"kafka:9092": kafka.bootstrap}
        registry = ComposeRegistry(found)
        try:
            started(registry)
            yield found | {"registry:8080": f"{registry.host}:{registry.port}"}
        finally:
            registry.close()
    finally:
        kafka.close()


# The settings that tests need are switched off first, so that those of the file must do.


def postgres() -> PostgresServer:
    settings: dict[str, Any] = {"wal_level": "replica", **compose.settings("postgres")}
    server = PostgresServer(18, **settings)
    started(server)
    server.create_database(compose.environment("postgres")["POSTGRES_DB"])
    for script in compose.scripts("postgres"):
        server.execute(script.read_text(encoding="utf-8"), compose.environment("postgres")["POSTGRES_DB"])
    server.execute(f"ALTER ROLE postgres PASSWORD '{compose.environment('postgres')['POSTGRES_PASSWORD']}'")
    return server


def binlog(name: str, server: BinlogServer) -> BinlogServer:
    started(server)
    password = compose.environment(name)[f"{name.upper()}_ROOT_PASSWORD"]
    with server.connect() as connection, connection.cursor() as cursor:
        for script in compose.scripts(name):
            for statement in statements(script.read_text(encoding="utf-8")):
                cursor.execute(statement)
        cursor.execute(f"ALTER USER 'root'@'127.0.0.1' IDENTIFIED BY '{password}'")
    return server


def mysql() -> BinlogServer:
    settings: dict[str, Any] = {"binlog_row_image": "MINIMAL", **compose.settings("mysql")}
    return binlog("mysql", MySqlServer(gtid=False, row_metadata="MINIMAL", **settings))


def mariadb() -> BinlogServer:
    settings: dict[str, Any] = {"binlog_row_image": "MINIMAL", "binlog_format": "MIXED", **compose.settings("mariadb")}
    return binlog("mariadb", MariaDbServer(row_metadata="MINIMAL", **settings))


@pytest.mark.parametrize(("name", "make"), [("postgres", postgres), ("mysql", mysql), ("mariadb", mariadb)])
def test_the_stack_ends_with_events_and_a_lag_that_moves(name: str, make: Callable[[], Server], addresses: Addresses,
                                                         tmp_path: Path) -> None:
    """GIVEN the file's servers WHEN its connector and its workload run THEN the shop's changes arrive in Kafka, health
    follows, and Prometheus has what the first dashboard asks for."""
    server = make()
    workload: subprocess.Popen[bytes] | None = None
    try:
        here = {**addresses, f"{name}:{compose.environment(f'cdc-{name}')['CDC_DATABASE_PORT']}":
                f"{server.host}:{server.port}"}
        environment = replaced(compose.environment(f"cdc-{name}"), here)
        environment |= {"CDC_DATABASE_HOSTNAME": server.host, "CDC_DATABASE_PORT": str(server.port),
                        "CDC_LISTENERS": f"http://127.0.0.1:{free_port()}"}
        address = environment["CDC_LISTENERS"].removeprefix("http://")
        with Container(tmp_path, environment) as cdc, prometheus(tmp_path, f"cdc-{name}", address) as board:
            cdc.start()
            *_, url = compose.service(f"workload-{name}")["command"]
            _, *module = compose.service(f"workload-{name}")["entrypoint"]
            words = [sys.executable, *module, replaced({"url": url}, here)["url"], "--burst", "200", "--every", "1"]
            with (tmp_path / "workload.log").open("wb") as log:
                workload = subprocess.Popen(words, stdout=log, stderr=log)
            connector = environment["CDC_NAME"]
            cdc.await_state("streaming", 60, connector)
            assert cdc.health() == 0
            prefix = environment["CDC_TOPIC_PREFIX"]
            topics = [f"{prefix}.shop.{table}" for table in ("customers", "orders", "products")]
            reader = Reader(addresses["kafka:9092"], f"http://{addresses['registry:8080']}/apis/ccompat/v7")
            wait_until(lambda: all(reader.count(topic) for topic in topics), 60, "the shop's changes")
            wait_until(lambda: reader.count(topics[0]) > 300, 60, "a burst")
            assert {event.op for event in reader.events(topics[0])} >= {"u"}
            assert workload.poll() is None, (tmp_path / "workload.log").read_text()
            wait_until(lambda: without_data(board, f"cdc-{name}") == [], 60, "the dashboard to be filled")
            for shown in (cdc.text(), cdc.get(f"/connectors/{connector}/config"), cdc.get("/metrics")):
                assert environment["CDC_DATABASE_PASSWORD"] not in shown
            workload.terminate()
            assert workload.wait(20) == 0
            lag = f'cdc_lag_seconds{{connector="{connector}"'
            wait_until(lambda: cdc.metric(lag) == 0, 60, "the lag to end with the changes")
            wait_until(lambda: board.value("cdc_lag_seconds") == 0, 60, "Prometheus to see it")
            assert "firing" not in board.alerts().values()
            assert cdc.stop() == 0
        assert (tmp_path / "workload.log").read_text() == ""
    finally:
        if workload is not None:
            workload.kill()
            workload.wait()
        server.close()


def prometheus(folder: Path, service: str, address: str) -> PrometheusServer:
    """With the file's configuration. There is no name server, so cdc is given as one would find it."""
    deployed = compose.ROOT / "deploy" / "prometheus"
    text = (deployed / "prometheus.yml").read_text(encoding="utf-8").replace("/etc/prometheus", str(deployed))
    config = yaml.safe_load(text)
    jobs = {job["job_name"]: job for job in config["scrape_configs"]}
    found, = jobs["cdc"].pop("dns_sd_configs")
    assert service in found["names"]
    jobs["cdc"]["static_configs"] = [{"targets": [address], "labels": {"__meta_dns_name": service}}]
    return PrometheusServer(folder, config | {"scrape_configs": [jobs["cdc"]]})


def without_data(board: PrometheusServer, service: str) -> list[str]:
    """The panels of the first dashboard that ought to show something for *service* and do not."""
    def data(expression: str) -> bool:
        return bool(board.query(asked(expression).replace('connector=~".*"', f'connector=~".*",service="{service}"')))

    return [panel.title for _, panels in OVERVIEW.rows for panel in panels
            if not panel.empty and not all(data(expression) for expression, _ in panel.queries)]


def test_prometheus_accepts_its_configuration(tmp_path: Path) -> None:
    for path in (compose.ROOT / "deploy" / "prometheus").glob("*.yml"):
        text = path.read_text(encoding="utf-8").replace("/etc/prometheus", str(tmp_path))
        (tmp_path / path.name).write_text(text, encoding="utf-8")
    try:
        done = promtool("check", "config", tmp_path / "prometheus.yml")
    except ServerUnavailableError as exc:
        if fetch.in_ci():
            raise
        pytest.skip(str(exc))
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"SUCCESS: \d+ rules found", done.stdout)


class Container(Process):
    """`cdc run` as the image runs it: its file for the worker, its health check, and nothing but *environment*."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        super().__init__(folder, {"worker.properties": {}})
        text = (compose.ROOT / "deploy" / "etc" / "worker.properties").read_text(encoding="utf-8")
        found = re.findall(r"^([\w.]+)=(.*)$", text.replace("/var/lib/cdc", str(folder)), re.MULTILINE)
        self.files["worker.properties"] = dict(found)
        self.environment = dict(environment)

    def health(self) -> int:
        words = [sys.executable, "-m", "cdc", "health", str(self.folder / "worker.properties")]
        done = subprocess.run(words, env={**os.environ, **self.environment}, capture_output=True, check=False)
        return done.returncode
