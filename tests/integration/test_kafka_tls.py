"""A broker that wants TLS and a client's certificate: `cdc import --offset-topic`, and the sink."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from confluent_kafka import Producer

from cdc.core.errors import OffsetStoreError, SinkRefusedError
from cdc.core.interfaces import Outgoing
from cdc.native import module
from cdc.operate.connect_topic import offsets_of, settings_of
from cdc.operate.takeover import survey
from cdc.runtime.inflight import Inflight
from cdc.sinks.kafka import KafkaSink
from cdc.sinks.kafka_options import ClientKind
from cdc.stores.connect_offsets import read_offsets
from tests.integration.kafka_clients import CLIENTS
from tests.servers.certificates import write_certificate
from tests.servers.kafka import KafkaServer
from tests.servers.process import ServerUnavailableError, wait_until
from tests.servers.proxy import Proxy
from tests.unit.operate.test_takeover import PARTITION, ROW, Connect

TOPIC = "connect-offsets"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def bootstrap(keys: Path) -> Iterator[str]:
    """Of a listener with TLS. The topic has the offset of connector `orders`."""
    store = "listener.name.proxied.ssl"
    server = KafkaServer(settings={
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,PROXIED:SSL,CONTROLLER:PLAINTEXT",
        f"{store}.keystore.type": "PEM", f"{store}.keystore.location": str(keys / "server.pem"),
        f"{store}.truststore.type": "PEM", f"{store}.truststore.location": str(keys / "cert.pem"),
        f"{store}.client.auth": "required",
    })
    try:
        server.start()
    except ServerUnavailableError as exc:
        pytest.skip(str(exc))
    with contextlib.closing(server), Proxy(server.host, server.proxied_target_port, server.proxied_port):
        with Producer({"bootstrap.servers": server.bootstrap}) as producer:
            producer.produce(TOPIC, b'{"lsn_proc":900,"messageType":"INSERT","lsn_commit":800,"lsn":900,"txId":7,'
                                    b'"ts_usec":5}', b'["orders",{"server":"shop"}]')
            assert producer.flush(30) == 0
        yield server.proxied_bootstrap


@pytest.fixture
def trusted(keys: Path) -> dict[str, str]:
    return {"security.protocol": "SSL", "ssl.truststore.type": "PEM", "ssl.truststore.location": str(keys / "cert.pem")}


def settings(folder: Path, bootstrap: str, properties: Mapping[str, str]) -> dict[str, str]:
    """As `--command-config` and `--bootstrap-servers` give them."""
    file = folder / "client.properties"
    file.write_text("".join(f"{key}={text}\n" for key, text in properties.items()))
    return settings_of(str(file), bootstrap, pytest.fail)


@pytest.mark.parametrize("store", [
    {"ssl.keystore.type": "PEM", "ssl.keystore.location": "server.pem"},
    {"ssl.keystore.type": "PKCS12", "ssl.keystore.location": "server.p12", "ssl.keystore.password": "changeit"}],
    ids=["PEM", "PKCS12"])
def test_a_connector_is_taken_over_from_an_offset_topic_behind_tls(
        bootstrap: str, keys: Path, trusted: dict[str, str], tmp_path: Path, store: dict[str, str]) -> None:
    store = {**store, "ssl.keystore.location": str(keys / store["ssl.keystore.location"])}
    offsets = offsets_of(TOPIC, settings(tmp_path, bootstrap, {**trusted, **store}))
    found, = survey(Connect(modern=False), [], offsets, lambda config: ())
    assert (found.ready, found.offsets) == (True, [(PARTITION, ROW)])


def test_who_shows_no_certificate_or_trusts_another_one_is_told(
        bootstrap: str, trusted: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = write_certificate(tmp_path / "other")
    for properties in (trusted, {**trusted, "ssl.truststore.location": str(other / "cert.pem")}):
        with pytest.raises(OffsetStoreError, match=TOPIC) as caught:
            read_offsets(TOPIC, settings(tmp_path, bootstrap, properties), 3)
        assert "--command-config" in caught.value.hint


@pytest.mark.parametrize("client", CLIENTS)
def test_a_sink_delivers_with_its_certificate(
        bootstrap: str, keys: Path, trusted: dict[str, str], client: ClientKind) -> None:
    own = {"ssl.keystore.type": "PEM", "ssl.keystore.location": str(keys / "server.pem")}
    sink = KafkaSink({"bootstrap.servers": bootstrap, **trusted, **own}, client=client)
    sink.start()
    delivery = Inflight().add(None, 1)  # type: ignore[arg-type]
    batch = [Outgoing("t", b"k", b"1" * 900_000, -1, (), "public.t")]
    wait_until(lambda: sink.send(batch, 0, delivery), 30, "the sink to take a record")
    assert sink.flush(30) == 0
    assert delivery.acked()
    sink.close()


@pytest.mark.skipif(module("recordsets") is None, reason="no compiled modules")
def test_our_own_client_without_a_certificate_is_refused(bootstrap: str, trusted: dict[str, str]) -> None:
    """librdkafka takes such a broker for one that is away."""
    sink = KafkaSink({"bootstrap.servers": bootstrap, **trusted}, start_timeout_s=5, client="batches")
    with pytest.raises(SinkRefusedError, match=r"ssl\.keystore\.location") as caught:
        sink.start()
    assert "ssl.*" in caught.value.hint
