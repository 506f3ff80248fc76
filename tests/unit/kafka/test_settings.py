from __future__ import annotations

from pathlib import Path

import pytest
from confluent_kafka import KafkaException, Producer

from cdc.core.errors import ConfigError
from cdc.kafka.producer import DEFAULTS, producer_settings
from cdc.kafka.security import pem_lines, read_jaas
from cdc.kafka.settings import LIBRDKAFKA, client_settings

PLAIN = 'org.apache.kafka.common.security.plain.PlainLoginModule required username="al\\"ice" password="p;w=1";'
PEM = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize(
    ("java", "expected"),
    [
        ({"max.request.size": "2097152"}, {"message.max.bytes": "2097152"}),
        ({"buffer.memory": "33554432"}, {"queue.buffering.max.kbytes": "32768"}),
        ({"buffer.memory": 1}, {"queue.buffering.max.kbytes": "1"}),
        ({"delivery.timeout.ms": "2147483647"}, {"message.timeout.ms": "0"}),
        ({"delivery.timeout.ms": "120000"}, {"message.timeout.ms": "120000"}),
        ({"request.timeout.ms": "400000"}, {"request.timeout.ms": "300000", "socket.timeout.ms": "300000"}),
        ({"metadata.max.age.ms": "1000"}, {"topic.metadata.refresh.interval.ms": "1000"}),
        ({"send.buffer.bytes": "-1"}, {"socket.send.buffer.bytes": "0"}),
        ({"connections.max.idle.ms": "-1"}, {"connections.max.idle.ms": "0"}),
        ({"batch.size": "0"}, {"batch.size": "1"}),
        ({"acks": "-1"}, {"acks": "all"}),
        ({"ssl.endpoint.identification.algorithm": ""}, {"ssl.endpoint.identification.algorithm": "none"}),
        ({"ssl.endpoint.identification.algorithm": "HTTPS"}, {"ssl.endpoint.identification.algorithm": "https"}),
        ({"bootstrap.servers": "a:1 , b:2"}, {"bootstrap.servers": "a:1,b:2"}),
        ({"compression.type": "zstd", "compression.zstd.level": "5", "compression.gzip.level": "9"},
         {"compression.type": "zstd", "compression.level": "5"}),
        ({"enable.idempotence": True, "linger.ms": 7}, {"enable.idempotence": "true", "linger.ms": "7"}),
        ({"queue.buffering.max.messages": "5"}, {"queue.buffering.max.messages": "5"}),
    ],
)
def test_java_keys_become_librdkafkas(java: dict[str, object], expected: dict[str, str]) -> None:
    found = client_settings(java)
    assert found.settings == expected
    assert not found.warnings


def complaint(name: str) -> str:
    """What librdkafka says to an empty value."""
    try:
        Producer({"log_level": 0, name: ""})
    except (KafkaException, TypeError, ValueError) as exc:
        return str(exc)
    return ""


def test_librdkafka_knows_every_name_we_pass_on() -> None:
    assert [name for name in sorted(LIBRDKAFKA) if "No such configuration property" in complaint(name)] == []
    assert "No such configuration property" in complaint("no.such.key")


def test_keys_for_a_jvm_are_noted() -> None:
    found = client_settings({"key.serializer": "x", "metrics.num.samples": "2", "ssl.protocol": "TLSv1.3"})
    assert not found.settings
    assert not found.warnings
    assert len(found.notes) == 3


def test_unknown_keys_are_warned_about_with_the_nearest_name() -> None:
    (warning,) = client_settings({"max.request.sice": "1"}).warnings
    assert "max.request.sice" in warning
    assert "max.request.size" in warning


def test_a_key_without_equal_is_warned_about() -> None:
    (warning,) = client_settings({"partitioner.class": "my.Partitioner"}).warnings
    assert warning.startswith("partitioner.class")


def test_no_message_repeats_a_value() -> None:
    found = client_settings({"sasl.pasword": "hunter2", "sasl.jaas.config": PLAIN})
    assert "hunter2" not in str((found.notes, found.warnings))
    assert "p;w=1" not in str((found.notes, found.warnings))


def test_a_bad_number_names_the_option() -> None:
    with pytest.raises(ConfigError) as caught:
        client_settings({"max.request.size": "1 MB"})
    assert caught.value.option == "max.request.size"


def test_producer_settings_stay_with_producers() -> None:
    assert client_settings({"acks": "all", "client.id": "x"}, "admin").settings == {"client.id": "x"}


def test_jaas_gives_user_and_password() -> None:
    assert client_settings({"sasl.jaas.config": PLAIN}).settings == {
        "sasl.username": 'al"ice', "sasl.password": "p;w=1"
    }


def test_jaas_takes_scram_kerberos_and_oauth() -> None:
    base = "org.apache.kafka.common.security"
    scram = f"{base}.scram.ScramLoginModule required\n  username='bob'\n  password=pw;"
    assert client_settings({"sasl.jaas.config": scram}).settings == {"sasl.username": "bob", "sasl.password": "pw"}
    kerberos = 'com.sun.security.auth.module.Krb5LoginModule required useKeyTab=true keyTab="/k" principal="p@R";'
    assert client_settings({"sasl.jaas.config": kerberos}).settings == {
        "sasl.kerberos.keytab": "/k", "sasl.kerberos.principal": "p@R"
    }
    oauth = f'{base}.oauthbearer.OAuthBearerLoginModule required clientId="i" clientSecret="s" scope="x";'
    assert client_settings({"sasl.jaas.config": oauth}).settings == {
        "sasl.oauthbearer.method": "oidc", "sasl.oauthbearer.client.id": "i", "sasl.oauthbearer.client.secret": "s",
        "sasl.oauthbearer.scope": "x",
    }


@pytest.mark.parametrize(
    "text",
    ["", "PlainLoginModule", "a.PlainLoginModule required username", "a.PlainLoginModule wanted a=b;",
     'a.PlainLoginModule required username="x";', "a.IAMLoginModule required;", "a.B required a=b; c.D required;"],
)
def test_jaas_that_is_none_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        client_settings({"sasl.jaas.config": text or " ;"})
    assert caught.value.option == "sasl.jaas.config"
    assert '"x"' not in str(caught.value)


def test_a_login_entry_is_read_in_any_spacing() -> None:
    assert read_jaas('X  REQUIRED a = "b c"  d=\'e\' ;\n') == ("X", {"a": "b c", "d": "e"})


def test_pem_stores_become_files_of_openssl(tmp_path: Path) -> None:
    trust, key = tmp_path / "ca.pem", tmp_path / "key.pem"
    trust.write_bytes(PEM)
    key.write_bytes(b"Bag Attributes\n" + PEM)
    found = client_settings({
        "ssl.truststore.location": str(trust), "ssl.truststore.type": "PEM",
        "ssl.keystore.location": str(key), "ssl.keystore.type": "PEM", "ssl.key.password": "pw",
    })
    assert found.settings == {
        "ssl.ca.location": str(trust), "ssl.certificate.location": str(key), "ssl.key.location": str(key),
        "ssl.key.password": "pw",
    }
    assert not found.warnings


def test_pem_text_may_stand_on_one_line() -> None:
    text = f"-----BEGIN CERTIFICATE----- {'A' * 70} -----END CERTIFICATE-----"
    expected = f"-----BEGIN CERTIFICATE-----\n{'A' * 64}\n{'A' * 6}\n-----END CERTIFICATE-----\n"
    assert pem_lines(text) == expected
    found = client_settings({"ssl.truststore.certificates": text, "ssl.keystore.key": text,
                             "ssl.keystore.certificate.chain": PEM.decode()})
    chain = PEM.decode().strip()
    assert found.settings == {"ssl.ca.pem": expected, "ssl.key.pem": expected, "ssl.certificate.pem": chain}


def test_a_pkcs12_key_store_is_used_whatever_its_type_says(tmp_path: Path) -> None:
    store = tmp_path / "client.jks"
    store.write_bytes(b"\x30\x82\x00\x00")
    found = client_settings({"ssl.keystore.location": str(store), "ssl.keystore.password": "pw"})
    assert found.settings == {"ssl.keystore.location": str(store), "ssl.keystore.password": "pw"}


@pytest.mark.parametrize("content", [b"\xfe\xed\xfe\xed\x00\x00\x00\x02", b"\x30\x82\x00\x00", b"?"])
def test_a_trust_store_of_java_is_refused_with_the_command_that_converts_it(tmp_path: Path, content: bytes) -> None:
    store = tmp_path / "trust.jks"
    store.write_bytes(content)
    with pytest.raises(ConfigError, match=r"keytool -list -rfc -keystore .*trust\.jks"):
        client_settings({"ssl.truststore.location": str(store), "ssl.truststore.password": "secret"})


def test_a_jks_key_store_is_refused_with_the_command_that_converts_it(tmp_path: Path) -> None:
    store = tmp_path / "client.jks"
    store.write_bytes(b"\xfe\xed\xfe\xed\x00\x00\x00\x02")
    with pytest.raises(ConfigError, match="keytool -importkeystore"):
        client_settings({"ssl.keystore.location": str(store)})


def test_a_missing_store_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        client_settings({"ssl.truststore.location": str(tmp_path / "none")})


def test_the_producer_is_idempotent_unless_told() -> None:
    found = producer_settings({"bootstrap.servers": "a:1"})
    assert found.settings == {**DEFAULTS, "bootstrap.servers": "a:1"}


@pytest.mark.parametrize("given", [{"enable.idempotence": "False"}, {"enable.idempotence": "0"}])
def test_idempotence_is_off_however_that_is_written(given: dict[str, str]) -> None:
    found = producer_settings({"bootstrap.servers": "a:1", **given}).settings
    assert found["enable.idempotence"] == "false"
    assert found["max.in.flight.requests.per.connection"] == "1"


@pytest.mark.parametrize("name", ["message.max.bytes", "queue.buffering.max.kbytes",
                                  "max.in.flight.requests.per.connection"])
def test_what_is_no_number_names_the_option(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        producer_settings({"bootstrap.servers": "a:1", name: "many"})
    assert caught.value.option == name


def test_without_idempotence_order_is_kept_by_one_request_at_a_time() -> None:
    found = producer_settings({"bootstrap.servers": "a:1", "acks": "1"})
    assert found.settings["enable.idempotence"] == "false"
    assert found.settings["max.in.flight.requests.per.connection"] == "1"
    assert found.warnings


def test_each_delivery_is_reported_whatever_the_configuration_says() -> None:
    """Else nothing would ever be committed."""
    found = producer_settings({"bootstrap.servers": "a:1", "delivery.report.only.error": "true"})
    assert "delivery.report.only.error" not in found.settings
    (warning,) = found.warnings
    assert warning.startswith("delivery.report.only.error")


def test_an_alias_replaces_a_default() -> None:
    found = producer_settings({"bootstrap.servers": "a:1", "max.in.flight": "9", "queue.buffering.max.ms": "50"})
    assert found.settings["max.in.flight.requests.per.connection"] == "5"
    assert found.settings["linger.ms"] == "50"
    assert "max.in.flight" not in found.settings


@pytest.mark.parametrize(("given", "warned"), [
    ({"max.request.size": "104857600"}, False),
    ({"max.request.size": "104857600", "buffer.memory": "33554432"}, True),
    ({"buffer.memory": "1024"}, True),
    ({}, False),
])
def test_the_largest_record_fits_into_an_empty_queue(given: dict[str, str], warned: bool) -> None:
    """librdkafka calls its queue full for ever otherwise."""
    found = producer_settings({"bootstrap.servers": "a:1", **given})
    settings = found.settings
    assert int(settings["queue.buffering.max.kbytes"]) * 1024 > int(settings["message.max.bytes"])
    assert any("buffer.memory" in warning for warning in found.warnings) is warned


def test_brokers_are_needed() -> None:
    with pytest.raises(ConfigError) as caught:
        producer_settings({})
    assert caught.value.option == "bootstrap.servers"
