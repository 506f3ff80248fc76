"""Which configurations our own producer takes, and which go to librdkafka."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest

from cdc import native
from cdc.kafka import client
from cdc.kafka.client import choose, unavailable, usual
from cdc.kafka.producer import producer_settings
from cdc.kafka.wire import settings as module
from cdc.kafka.wire.settings import not_understood, servers, wire_settings
from tests.unit.kafka.wire.producer import Owner

BASE = {"bootstrap.servers": "a:1,b:2"}
JAAS = 'org.apache.kafka.common.security.scram.ScramLoginModule required username="u" password="secret";'


def settings(**properties: str) -> dict[str, str]:
    given = {name.replace("_", "."): text for name, text in properties.items()}
    return producer_settings({**BASE, **given}).settings


UNDERSTOOD = [
    {}, {"acks": "-1"}, {"compression_type": "gzip"}, {"compression_type": "zstd", "compression_level": "3"},
    {"max_request_size": "5000000", "buffer_memory": "67108864", "batch_size": "1000000", "linger_ms": "0.5"},
    {"security_protocol": "SASL_SSL", "sasl_mechanism": "SCRAM-SHA-512", "sasl_jaas_config": JAAS},
    {"security_protocol": "SSL"}, {"retries": "2147483647"}, {"client_dns_lookup": "use_all_dns_ips"},
    {"delivery_timeout_ms": "2147483647", "request_timeout_ms": "1000", "metadata_max_age_ms": "60000"},
]
NOT_UNDERSTOOD = [
    ({"acks": "1"}, "enable.idempotence=false"), ({"enable_idempotence": "false"}, "enable.idempotence"),
    ({"compression_type": "snappy"}, "compression.type=snappy"), ({"partitioner": "consistent"}, "partitioner"),
    ({"transactional_id": "x"}, "transactional.id"), ({"plugin_library_paths": "x.so"}, "plugin.library.paths"),
    ({"retries": "5"}, "retries=5"), ({"batch_num_messages": "5"}, "batch.num.messages is a setting of librdkafka"),
    ({"security_protocol": "SASL_PLAINTEXT"}, "GSSAPI"), ({"linger_ms": "soon"}, "linger.ms"),
    ({"security_protocol": "SASL_SSL", "sasl_mechanism": "OAUTHBEARER"}, "sasl.mechanism=OAUTHBEARER"),
    ({"security_protocol": "SSL", "ssl_key_pem": "secret"}, "ssl.key.pem is a setting"),
    ({"security_protocol": "SSL", "ssl_ca_location": "/nowhere"}, "TLS settings are not usable: FileNotFoundError"),
    ({"compression_type": "gzip", "compression_level": "12"}, "compression.level"), ({"debug": "all"}, "debug=all"),
    ({"bootstrap_servers": "a:b"}, "bootstrap.servers"), ({"client_dns_lookup": "x"}, "client.dns.lookup"),
    ({"socket_timeout_ms": "x"}, "socket.timeout.ms is not an integer"),
]


@pytest.mark.parametrize("properties", UNDERSTOOD)
def test_these_are_understood(properties: dict[str, str]) -> None:
    given = settings(**properties)
    assert not_understood(given) == ""
    wire_settings({**given, "statistics.interval.ms": "5000"})


@pytest.mark.parametrize(("properties", "reason"), NOT_UNDERSTOOD)
def test_these_go_to_librdkafka(properties: dict[str, str], reason: str) -> None:
    found = not_understood(settings(**properties))
    assert reason in found
    assert "secret" not in found


@pytest.mark.skipif(native.module("recordsets") is None, reason="no compiled modules")
def test_the_choice_falls_back_to_librdkafka_with_batches_only() -> None:
    other = "native" if not unavailable() else "python"
    assert choose("batches", settings()) == "batches"
    assert choose("batches", settings(), transactional=True) == other
    assert choose("batches", settings(compression_type="snappy")) == other
    assert choose("auto", settings()) == "batches"
    assert choose("auto", settings(compression_type="snappy")) == other


def test_without_compiled_modules_there_is_no_such_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cdc.kafka.client.module", lambda name: None)
    assert choose("batches", settings()) in ("python", "native")


def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "missing", lambda kind: "lz4")
    assert "needs the package lz4" in not_understood(settings(compression_type="lz4"))


@pytest.mark.parametrize(("text", "found"), [
    ("a:1, b", [("a", 1), ("b", 9092)]), ("[::1]:5,[::2]", [("::1", 5), ("::2", 9092)]),
    ("PLAINTEXT://a:7", [("a", 7)]), (",", []),
])
def test_servers_are_read_as_librdkafka_reads_them(text: str, found: list[tuple[str, int]]) -> None:
    assert servers(text) == found


def test_durations_and_sizes_have_their_units() -> None:
    wire = wire_settings(settings(linger_ms="50", request_timeout_ms="1500", buffer_memory="4194304"))
    assert (wire.linger_s, wire.request_s, wire.answer_s, wire.held_bytes) == (0.05, 1.5, 1.5, 4_194_304)
    assert wire_settings(settings()).linger_s is None
    assert wire_settings(settings()).delivery_s == 0


def test_certificates_are_checked_unless_the_configuration_says_otherwise(tmp_path: Path) -> None:
    strict = wire_settings(settings(security_protocol="SSL")).tls
    assert strict is not None
    assert (strict.verify_mode, strict.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert not strict.verify_flags & ssl.VERIFY_X509_STRICT, "librdkafka does not refuse so much"
    no_name = wire_settings(settings(security_protocol="SSL", ssl_endpoint_identification_algorithm="")).tls
    assert no_name is not None
    assert (no_name.verify_mode, no_name.check_hostname) == (ssl.CERT_REQUIRED, False)


@pytest.mark.skipif(native.module("recordsets") is None, reason="no compiled modules")
def test_what_is_usual_is_what_auto_chooses() -> None:
    assert usual() == choose("auto", settings())


@pytest.mark.parametrize(("properties", "ours", "librdkafkas"), [({}, 524_288, "131072"),
                                                                 ({"batch_size": "16384"}, 16_384, "16384")])
def test_batches_are_larger_where_a_refused_one_can_be_split(
        properties: dict[str, str], ours: int, librdkafkas: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[dict[str, Any]] = []

    class Made:
        poll = flush = list_topics = init_transactions = begin_transaction = commit_transaction = abort_transaction = 0

        def __init__(self, given: dict[str, Any]) -> None:
            made.append(given)

    monkeypatch.setattr(client, "Producer", Made)
    given = settings(**properties)
    assert wire_settings(given).batch_bytes == ours
    client.open_client("python", given, Owner())
    assert made[0]["batch.size"] == librdkafkas
