"""Our own Kafka client against a real broker: compression, large records, many partitions, TLS, SASL."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from cdc.core.errors import SinkConnectionError, SinkRefusedError
from cdc.core.interfaces import Outgoing
from cdc.kafka.wire.compression import missing
from cdc.native import module
from cdc.runtime.inflight import Delivery, Inflight
from cdc.sinks.kafka import KafkaSink
from tests.servers.kafka import KafkaServer, consume_all, create_topic
from tests.servers.process import ServerUnavailableError, remove_folder, temp_folder
from tests.servers.proxy import Proxy

pytestmark = pytest.mark.skipif(module("recordsets") is None, reason="no compiled modules")

_PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule required"
_SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule required"


@contextlib.contextmanager
def batches(bootstrap: str, *, start_within_s: float = 30, properties: Mapping[str, str] = {}) -> Iterator[KafkaSink]:
    sink = KafkaSink({"bootstrap.servers": bootstrap, **properties}, client="batches", start_timeout_s=start_within_s)
    assert sink._kind == "batches"
    try:
        sink.start()
        yield sink
    finally:
        sink.close()


def deliver(sink: KafkaSink, batch: Sequence[Outgoing]) -> Delivery:
    delivery, first = Inflight().add(None, len(batch)), 0  # type: ignore[arg-type]
    deadline = time.monotonic() + 60
    while first < len(batch) and delivery.error is None:
        assert time.monotonic() < deadline
        first = sink.send(batch, first, delivery)
        sink.poll(0.01 if first < len(batch) else 0)
    assert sink.flush(60) == 0
    return delivery


def record(topic: str, number: int, value: bytes | None = None, partition: int = -1) -> Outgoing:
    text = b"%d" % number
    return Outgoing(topic, b"k" + text, text if value is None else value, partition, [("h", text)], "public.t")


@pytest.mark.parametrize("kind", ["none", "gzip", "lz4", "zstd"])
def test_each_compression_is_read_by_brokers_and_consumers(kafka: KafkaServer, topic_prefix: str, kind: str) -> None:
    """The topic's own compression makes the broker unpack and pack again."""
    if missing(kind):
        pytest.skip(f"{missing(kind)} is not installed")
    rng = random.Random(kind)
    values = [rng.randbytes(rng.randrange(300)) + b"x" * rng.randrange(300) for _ in range(3000)]
    for topic, own in ((f"{topic_prefix}.same", "producer"), (f"{topic_prefix}.other", "gzip")):
        create_topic(kafka.bootstrap, topic, config={"compression.type": own})
        with batches(kafka.bootstrap, properties={"compression.type": kind}) as sink:
            assert deliver(sink, [record(topic, number, value) for number, value in enumerate(values)]).acked()
        found = consume_all(kafka.bootstrap, topic)
        assert [(each.key, each.value, list(each.headers)) for each in found] == [
            (b"k%d" % number, value, [("h", b"%d" % number)]) for number, value in enumerate(values)]


def test_records_of_a_megabyte_arrive(kafka: KafkaServer, topic_prefix: str) -> None:
    values = [random.Random(number).randbytes(1_000_000) for number in range(12)]
    with batches(kafka.bootstrap, properties={"buffer.memory": str(3 << 20)}) as sink:
        assert deliver(sink, [record(topic_prefix, number, value) for number, value in enumerate(values)]).acked()
    assert [each.value for each in consume_all(kafka.bootstrap, topic_prefix)] == values


def test_a_batch_above_the_topics_limit_is_split(kafka: KafkaServer, topic_prefix: str) -> None:
    create_topic(kafka.bootstrap, topic_prefix, config={"max.message.bytes": "5000"})
    values = [b"%-1000d" % number for number in range(100)]
    with batches(kafka.bootstrap) as sink:
        assert deliver(sink, [record(topic_prefix, number, value) for number, value in enumerate(values)]).acked()
    assert [each.value for each in consume_all(kafka.bootstrap, topic_prefix)] == values


def test_a_topic_that_is_made_again_takes_what_comes_later(kafka: KafkaServer, topic_prefix: str) -> None:
    create_topic(kafka.bootstrap, topic_prefix)
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    with batches(kafka.bootstrap) as sink:
        assert deliver(sink, [record(topic_prefix, number) for number in range(5)]).acked()
        admin.delete_topics([topic_prefix])[topic_prefix].result(30)
        create_topic(kafka.bootstrap, topic_prefix)
        assert deliver(sink, [record(topic_prefix, number) for number in range(5, 10)]).acked()
    assert [each.value for each in consume_all(kafka.bootstrap, topic_prefix)] == [b"%d" % n for n in range(5, 10)]


def test_thousands_of_partitions_are_learned_and_filled(kafka: KafkaServer, topic_prefix: str) -> None:
    count = 2000
    create_topic(kafka.bootstrap, topic_prefix, count, timeout_s=120)
    with batches(kafka.bootstrap) as sink:
        assert deliver(sink, [record(topic_prefix, number, partition=number) for number in range(count)]).acked()
    found = consume_all(kafka.bootstrap, topic_prefix, timeout_s=120)
    assert [(each.kafka_partition, each.value) for each in found] == [(n, b"%d" % n) for n in range(count)]


@dataclass(frozen=True, slots=True)
class Guarded:
    """A listener with TLS that wants SASL; *ca*: its certificate."""

    bootstrap: str
    ca: str
    proxy: Proxy


def certificate(folder: Path) -> Path:
    """`server.pem`: a key and a certificate for 127.0.0.1 alone; returns `ca.pem`, the certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "broker")])
    now = datetime.datetime.now(datetime.UTC)
    made = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
            .serial_number(1).not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
            .add_extension(x509.BasicConstraints(True, None), True).sign(key, hashes.SHA256()))
    public = made.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                serialization.NoEncryption())
    (folder / "server.pem").write_bytes(private + public)
    (folder / "ca.pem").write_bytes(public)
    return folder / "ca.pem"


@pytest.fixture(scope="module")
def guarded() -> Iterator[Guarded]:
    folder = temp_folder("kafka-tls")
    start = "listener.name.proxied"
    ca = certificate(folder)
    server = KafkaServer(settings={
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,PROXIED:SASL_SSL,CONTROLLER:PLAINTEXT",
        f"{start}.ssl.keystore.type": "PEM", f"{start}.ssl.keystore.location": str(folder / "server.pem"),
        f"{start}.sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
        f"{start}.plain.sasl.jaas.config": f'{_PLAIN} user_alice="p;w";',
        f"{start}.scram-sha-256.sasl.jaas.config": f"{_SCRAM};",
        f"{start}.scram-sha-512.sasl.jaas.config": f"{_SCRAM};",
        f"{start}.connections.max.reauth.ms": "3000",
    })
    try:
        server.start()
    except ServerUnavailableError as exc:
        pytest.skip(str(exc))
    with contextlib.closing(server), Proxy(server.host, server.proxied_target_port, server.proxied_port) as proxy:
        admin = AdminClient({"bootstrap.servers": server.bootstrap})
        for mechanism in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512):
            change = UserScramCredentialUpsertion("alice", ScramCredentialInfo(mechanism, 4096), b"p;w")
            admin.alter_user_scram_credentials([change])["alice"].result(30)
        yield Guarded(server.proxied_bootstrap, str(ca), proxy)
    remove_folder(folder)


def credentials(guarded: Guarded, mechanism: str = "PLAIN", password: str = "p;w") -> dict[str, str]:
    module_name = _PLAIN if mechanism == "PLAIN" else _SCRAM
    return {"security.protocol": "SASL_SSL", "sasl.mechanism": mechanism, "ssl.ca.location": guarded.ca,
            "sasl.jaas.config": f'{module_name} username="alice" password="{password}";'}


def refused(bootstrap: str, properties: Mapping[str, str]) -> AbstractContextManager[KafkaSink]:
    """A sink that has three seconds for its start."""
    return batches(bootstrap, start_within_s=3, properties=properties)


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_tls_and_a_login_deliver(guarded: Guarded, topic_prefix: str, mechanism: str) -> None:
    """Also records that fill the socket's buffer, and after an outage."""
    values = [random.Random(number).randbytes(400_000) for number in range(8)]
    topic = f"{topic_prefix}.{mechanism}"
    with batches(guarded.bootstrap, properties=credentials(guarded, mechanism)) as sink:
        assert deliver(sink, [record(topic, number, value) for number, value in enumerate(values)]).acked()
        guarded.proxy.drop()
        assert deliver(sink, [record(topic, number, value) for number, value in enumerate(values)]).acked()
    consumer = {"security.protocol": "SASL_SSL", "sasl.mechanism": "PLAIN", "sasl.username": "alice",
                "sasl.password": "p;w", "ssl.ca.location": guarded.ca}
    assert [each.value for each in consume_all(guarded.bootstrap, topic, config=consumer)] == values * 2


def test_a_login_that_ends_is_made_again_in_time(guarded: Guarded, topic_prefix: str) -> None:
    """The broker ends connections 3 s after their login."""
    with batches(guarded.bootstrap, properties=credentials(guarded, "SCRAM-SHA-256")) as sink:
        made, deadline, count = guarded.proxy.counters.connection_count, time.monotonic() + 60, 0
        while guarded.proxy.counters.connection_count < made + 2:
            assert time.monotonic() < deadline
            assert deliver(sink, [record(topic_prefix, count)]).acked()
            count += 1
        assert sink.metrics()["cdc_sink_unreachable"] == 0
        assert sink._state.reason == ""


def test_a_wrong_password_is_refused_and_not_repeated(guarded: Guarded, capfd: pytest.CaptureFixture[str]) -> None:
    for mechanism in ("PLAIN", "SCRAM-SHA-512"):
        with (pytest.raises(SinkRefusedError, match="refused the connection") as caught,
              refused(guarded.bootstrap, credentials(guarded, mechanism, "hunter2"))):
            pass
        output = capfd.readouterr()
        assert "hunter2" not in f"{caught.value} {output.out} {output.err}"


def test_a_certificate_that_is_not_trusted_is_refused(guarded: Guarded, tmp_path: Path) -> None:
    other = certificate(tmp_path)
    given = {**credentials(guarded), "ssl.ca.location": str(other)}
    with pytest.raises(SinkRefusedError, match="certificate"), refused(guarded.bootstrap, given):
        pass


def test_a_certificate_for_another_host_is_refused(guarded: Guarded) -> None:
    bootstrap = guarded.bootstrap.replace("127.0.0.1", "localhost")
    with pytest.raises(SinkRefusedError, match="certificate"), refused(bootstrap, credentials(guarded)):
        pass


@pytest.mark.parametrize("protocol", ["PLAINTEXT", "SASL_PLAINTEXT", "SSL"])
def test_another_protocol_is_an_error(guarded: Guarded, protocol: str) -> None:
    given = {**credentials(guarded), "security.protocol": protocol}
    with (pytest.raises((SinkRefusedError, SinkConnectionError), match=guarded.bootstrap) as caught,
          refused(guarded.bootstrap, given)):
        pass
    assert "security.protocol" in caught.value.hint
