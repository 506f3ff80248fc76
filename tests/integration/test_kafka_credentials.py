"""Credentials in Java's form against a broker that asks for them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer

from cdc.core.errors import OffsetStoreError, SinkConnectionError, SinkRefusedError
from cdc.core.interfaces import Outgoing
from cdc.kafka.settings import client_settings
from cdc.operate.connect_topic import offsets_of, settings_of
from cdc.runtime.inflight import Inflight
from cdc.sinks.kafka import KafkaSink
from cdc.sinks.kafka_options import ClientKind
from cdc.stores.connect_offsets import read_offsets
from cdc.stores.kafka_offsets import KafkaOffsetStore
from tests.integration.kafka_clients import CLIENTS
from tests.servers.kafka import KafkaServer
from tests.servers.process import ServerUnavailableError, wait_until
from tests.servers.proxy import Proxy

_PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule required"

each_client = pytest.mark.parametrize("client", CLIENTS)


@pytest.fixture(scope="module")
def bootstrap() -> Iterator[str]:
    """Of a listener that wants SASL/PLAIN."""
    server = KafkaServer(settings={
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,PROXIED:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT",
        "listener.name.proxied.sasl.enabled.mechanisms": "PLAIN",
        "listener.name.proxied.plain.sasl.jaas.config": f'{_PLAIN} user_alice="p;w";',
    })
    try:
        server.start()
    except ServerUnavailableError as exc:
        pytest.skip(str(exc))
    with contextlib.closing(server), Proxy(server.host, server.proxied_target_port, server.proxied_port):
        yield server.proxied_bootstrap


def properties(bootstrap: str, password: str = "p;w") -> dict[str, str]:
    return {"bootstrap.servers": bootstrap, "security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN",
            "sasl.jaas.config": f'{_PLAIN} username="alice" password="{password}";'}


@each_client
def test_the_right_ones_deliver_and_commit(bootstrap: str, client: ClientKind) -> None:
    sink = KafkaSink(properties(bootstrap), client=client)
    sink.start()
    delivery = Inflight().add(None, 1)  # type: ignore[arg-type]
    batch = [Outgoing("t", b"k", b"1", -1, (), "public.t")]
    wait_until(lambda: sink.send(batch, 0, delivery), 30, "the sink to take a record")
    assert sink.flush(30) == 0
    assert delivery.acked()
    sink.close()
    store = KafkaOffsetStore("offsets", client_settings(properties(bootstrap), "consumer").settings, partitions=1,
                             replication_factor=1)
    store.start()
    store.commit("c", {"server": "s"}, {"lsn": 1})
    assert store.load("c", {"server": "s"}) == {"lsn": 1}
    store.close()


@each_client
def test_wrong_ones_are_refused_at_start_and_not_repeated(bootstrap: str, client: ClientKind,
                                                          capfd: pytest.CaptureFixture[str]) -> None:
    sink = KafkaSink(properties(bootstrap, "hunter2"), start_timeout_s=3, client=client)
    with pytest.raises(SinkRefusedError, match="refused the connection") as caught:
        sink.start()
    assert "sasl.jaas.config" in caught.value.hint
    output = capfd.readouterr()
    assert "hunter2" not in f"{caught.value} {output.out} {output.err}"


def test_the_offset_topic_of_a_kafka_connect_is_read_with_them(bootstrap: str, tmp_path: Path) -> None:
    """As `cdc import --command-config` reads it."""
    with Producer(client_settings(properties(bootstrap), "producer").settings) as producer:
        producer.produce("connect-offsets", b'{"lsn":7}', b'["c",{"server":"s"}]')
        assert producer.flush(30) == 0
    file = tmp_path / "client.properties"
    file.write_text("".join(f"{key}={text}\n" for key, text in properties(bootstrap).items()))
    found = offsets_of("connect-offsets", settings_of(str(file), None, pytest.fail))("c")
    assert found == [({"server": "s"}, {"lsn": 7})]
    file.write_text(file.read_text().replace("p;w", "hunter2"))
    with pytest.raises(OffsetStoreError, match="Invalid username or password") as caught:
        offsets_of("connect-offsets", settings_of(str(file), None, pytest.fail))("c")
    assert "--command-config" in caught.value.hint
    assert "hunter2" not in str(caught.value)
    with pytest.raises(OffsetStoreError):
        read_offsets("connect-offsets", settings_of(None, bootstrap, pytest.fail), 3)


@each_client
@pytest.mark.parametrize("protocol", ["PLAINTEXT", "SSL"])
def test_another_protocol_is_an_error(bootstrap: str, protocol: str, client: ClientKind) -> None:
    sink = KafkaSink({"bootstrap.servers": bootstrap, "security.protocol": protocol}, start_timeout_s=3, client=client)
    with pytest.raises((SinkRefusedError, SinkConnectionError), match=bootstrap) as caught:
        sink.start()
    assert "security.protocol" in caught.value.hint
