"""Each server starts, works, keeps port and data over a restart, and ends when told."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from confluent_kafka import Producer

from tests.conftest import Database
from tests.servers.kafka import KafkaServer, consume_all, create_topic, topic_names, wait_for_messages
from tests.servers.postgres import PostgresServer
from tests.servers.process import is_alive, wait_until
from tests.servers.proxy import Proxy
from tests.servers.registry import RegistryServer
from tests.servers.server import Server

MakeProxy = Callable[[Server], Proxy]


def test_postgres_decodes_logically(database: Database) -> None:
    database.execute("CREATE TABLE t (id int PRIMARY KEY)")
    database.execute("SELECT pg_create_logical_replication_slot('s', 'pgoutput')")
    database.execute("CREATE PUBLICATION p FOR TABLE t")
    database.execute("INSERT INTO t VALUES (1)")
    options = "'proto_version', '1', 'publication_names', 'p'"
    changes = database.execute(f"SELECT data FROM pg_logical_slot_get_binary_changes('s', NULL, NULL, {options})")
    assert [bytes(data)[:1] for (data,) in changes] == [b"B", b"R", b"I", b"C"]


def test_postgres_keeps_port_and_data_over_restart_and_crash(database: Database) -> None:
    database.execute("CREATE TABLE t AS SELECT 1 AS id")
    server, port = database.server, database.server.port
    server.restart()
    server.kill()
    with pytest.raises(psycopg.OperationalError):
        server.connect()
    server.start()
    assert (server.port, database.execute("SELECT id FROM t")) == (port, [(1,)])


def test_postgres_asks_other_users_for_a_password(postgres: PostgresServer) -> None:
    postgres.execute("CREATE USER guarded PASSWORD 'right'")
    try:
        psycopg.connect(postgres.dsn(user="guarded", password="right")).close()
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(postgres.dsn(user="guarded", password="wrong"))
    finally:
        postgres.execute("DROP USER guarded")


def test_postgres_setting_is_in_force_at_once(postgres: PostgresServer) -> None:
    postgres.set(wal_sender_timeout="7s")
    assert postgres.execute("SHOW wal_sender_timeout") == [("7s",)]
    postgres.set(wal_sender_timeout=None)


def test_postgres15_has_hstore(postgres15: PostgresServer) -> None:
    assert postgres15.has_extension("hstore")


def test_postgres16_serves(postgres16: PostgresServer) -> None:
    assert postgres16.execute("SHOW wal_level") == [("logical",)]


def test_kafka_gives_back_what_it_took(kafka: KafkaServer, topic_prefix: str) -> None:
    create_topic(kafka.bootstrap, topic_prefix, 2)
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    producer.produce(topic_prefix, b"value", b"key", partition=1, headers=[("name", b"content"), ("none", None)])
    producer.produce(topic_prefix, None, b"key", partition=0)
    assert producer.flush(10) == 0
    tombstone, message = consume_all(kafka.bootstrap, topic_prefix)
    assert (tombstone.key, tombstone.value, tombstone.kafka_partition) == (b"key", None, 0)
    assert (message.key, message.value, message.kafka_partition, message.kafka_offset) == (b"key", b"value", 1, 0)
    assert message.headers == [("name", b"content"), ("none", None)]


def test_consume_all_skips_what_was_aborted(kafka: KafkaServer, topic_prefix: str) -> None:
    create_topic(kafka.bootstrap, topic_prefix)
    quiet = {"log_level": 0}  # "Coordinator load in progress" while the broker is young
    with Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": topic_prefix, **quiet}) as producer:
        producer.init_transactions(30)
        for value, end in ((b"kept", producer.commit_transaction), (b"dropped", producer.abort_transaction)):
            producer.begin_transaction()
            producer.produce(topic_prefix, value)
            producer.flush(10)
            end()
    assert [message.value for message in consume_all(kafka.bootstrap, topic_prefix)] == [b"kept"]


def test_kafka_makes_topics_by_itself_but_not_for_a_look(kafka: KafkaServer, topic_prefix: str) -> None:
    assert consume_all(kafka.bootstrap, topic_prefix) == []
    assert topic_prefix not in topic_names(kafka.bootstrap)
    _produce(kafka.bootstrap, topic_prefix, b"first")
    assert topic_prefix in topic_names(kafka.bootstrap)


def test_kafka_keeps_port_and_data_over_restart_and_crash(kafka: KafkaServer, topic_prefix: str) -> None:
    bootstrap = kafka.bootstrap
    _produce(bootstrap, topic_prefix, b"1")
    kafka.restart()
    _produce(bootstrap, topic_prefix, b"2")
    kafka.kill()
    kafka.start()
    _produce(bootstrap, topic_prefix, b"3")
    assert [message.value for message in wait_for_messages(bootstrap, topic_prefix, 3)] == [b"1", b"2", b"3"]


def test_registry_gives_ids_and_forgets_them_over_a_restart(registry: RegistryServer, topic_prefix: str) -> None:
    subjects = f"{registry.url}/subjects"
    number = _post(f"{subjects}/{topic_prefix}/versions", {"schema": '"string"'})["id"]
    assert _get(f"{registry.url}/schemas/ids/{number}")["schema"] == '"string"'
    registry.restart()
    assert topic_prefix not in _get(subjects)


@pytest.mark.usefixtures("registry")  # skips where there is none
def test_persistent_registry_keeps_schemas_over_restart_and_crash() -> None:
    with RegistryServer(persistent=True) as registry:
        number = _post(f"{registry.url}/subjects/s/versions", {"schema": '"string"'})["id"]
        registry.restart()
        registry.kill()
        registry.start()
        assert _get(f"{registry.url}/schemas/ids/{number}")["schema"] == '"string"'


def test_cut_drops_and_refuses_until_restored(postgres: PostgresServer, proxy: MakeProxy) -> None:
    link = proxy(postgres)
    connection = _through(postgres, link)
    link.cut()
    with pytest.raises(psycopg.OperationalError):
        connection.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError, match="refused"):
        _through(postgres, link)
    link.restore()
    assert _through(postgres, link).execute("SELECT 1").fetchone() == (1,)


def test_dropped_client_may_come_back_at_once(postgres: PostgresServer, proxy: MakeProxy) -> None:
    link = proxy(postgres)
    _through(postgres, link)
    link.drop()
    assert link.open_count == 0
    _through(postgres, link)
    assert link.counters.connection_count == 2


def test_frozen_link_holds_bytes_back_but_loses_none(postgres: PostgresServer, proxy: MakeProxy) -> None:
    link = proxy(postgres)
    connection = _through(postgres, link)
    link.freeze()
    passed = link.counters.up_bytes, link.counters.down_bytes
    answers: list[object] = []
    asking = threading.Thread(target=lambda: answers.append(connection.execute("SELECT 1").fetchone()))
    asking.start()
    asking.join(0.3)
    assert asking.is_alive()
    assert (link.counters.up_bytes, link.counters.down_bytes) == passed
    link.restore()
    asking.join(10)
    assert answers == [(1,)]


def test_cut_after_passes_exactly_so_many_bytes(postgres: PostgresServer, proxy: MakeProxy) -> None:
    link = proxy(postgres)
    connection = _through(postgres, link)
    before = link.counters.down_bytes
    link.cut_after(1000)
    with pytest.raises(psycopg.OperationalError):
        connection.execute("SELECT repeat('x', 100000)")
    assert link.counters.down_bytes - before == 1000


def test_kafka_clients_never_bypass_the_proxy(kafka: KafkaServer, proxy: MakeProxy, topic_prefix: str) -> None:
    link = proxy(kafka)
    create_topic(kafka.bootstrap, topic_prefix)
    producer = Producer({"bootstrap.servers": kafka.proxied_bootstrap, "log_level": 0})
    producer.produce(topic_prefix, b"passed")
    assert producer.flush(10) == 0
    link.cut()
    producer.produce(topic_prefix, b"held")
    assert producer.flush(0.5) == 1
    link.restore()
    assert producer.flush(20) == 0
    assert [message.value for message in consume_all(kafka.bootstrap, topic_prefix)] == [b"passed", b"held"]


def test_nothing_outlives_a_killed_session() -> None:
    script = (
        "from tests.servers.postgres import PostgresServer as P\ns = P(18).start()\nprint(s.pid, s.folder, flush=True)"
    )
    words = [sys.executable, "-c", f"{script}\nimport signal; signal.pause()"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as session:
        assert session.stdout
        pid, folder = session.stdout.readline().split()
        session.kill()
    wait_until(lambda: not is_alive(int(pid)) and not Path(folder).exists(), 20, "the reaper")


def _through(server: PostgresServer, link: Proxy) -> psycopg.Connection[Any]:
    return server.connect(port=link.port, sslmode="disable")


def _produce(bootstrap: str, topic: str, value: bytes) -> None:
    producer = Producer({"bootstrap.servers": bootstrap, "log_level": 0})
    producer.produce(topic, value)
    assert producer.flush(30) == 0


def _get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


def _post(url: str, content: object) -> Any:
    headers = {"Content-Type": "application/vnd.schemaregistry.v1+json"}
    with urllib.request.urlopen(
        urllib.request.Request(url, json.dumps(content).encode(), headers), timeout=10
    ) as answer:
        return json.load(answer)
