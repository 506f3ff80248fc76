"""What people may see of a configuration, and what they are warned of at start."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from cdc import plugins, privacy
from cdc.config.secrets import HIDDEN, mask

HIDDEN_KEYS = {
    "database.password": "S0",
    "producer.override.ssl.key.pem": "-----BEGIN PRIVATE KEY-----S1-----END PRIVATE KEY-----",
    "value.converter.request.header.Cookie": "S2", "heartbeat.action.query": "select 1 /* identified by 'S3' */",
    "http.proxy": "http://u:S4/x@h:1", "database.initial.statements": "SET my.token TO 'S5'",
    "snapshot.select.statement.overrides.a.b": "SELECT * FROM t WHERE x = 'S6'", "driver.unknown": "S7",
    "admin.override.sasl.oauthbearer.config": "S8", "consumer.override.unheard.of": "S9",
    "key.converter.schema.registry.basic.auth.user.info": "u:S10", "key.converter.unheard.of": "S11",
    "value.converter.schema.registry.ssl.keystore.key": "S12", "transforms.x.header": "S13", "unheard.of": "S14",
    "schema.history.internal.producer.ssl.keystore.key": "S15", "signal.kafka.x": "S16",
    "producer.override.interceptor.x": "S17", "schema.history.internal.x": "S18",
}
SHOWN_KEYS = {
    "name": "shop", "table.include.list": "a.b", "database.hostname": "h", "value.converter": "avro",
    "producer.override.linger.ms": "5", "producer.override.security.protocol": "SASL_SSL",
    "value.converter.schema.registry.url": "http://r:8081", "value.converter.schemas.enable": "false",
    "topic.creation.default.partitions": "3", "column.mask.with.5.chars": "a.b.c", "unheard.flag": "true",
    "schema.history.internal.kafka.topic": "history", "driver.reference": "${env:X}",
}


@pytest.mark.parametrize("name", ["postgres", "mysql", "mariadb"])
def test_only_what_is_known_to_be_harmless_is_shown(name: str) -> None:
    shown = mask(privacy.public_config(HIDDEN_KEYS | SHOWN_KEYS, plugins.find("connector", name)))
    assert shown == dict.fromkeys(HIDDEN_KEYS, HIDDEN) | SHOWN_KEYS


def events(warn: Callable[[], None]) -> list[MutableMapping[str, Any]]:
    with capture_logs() as entries:
        warn()
    return entries


@pytest.mark.parametrize(("settings", "option"), [
    ({"database_sslmode": "prefer"}, "database.sslmode"), ({"database_sslmode": "require"}, "database.sslmode"),
    ({"database_sslmode": "disable"}, "database.sslmode"), ({"database_sslmode": "verify-full"}, ""),
    ({"database_sslmode": "disable", "database_hostname": "127.0.0.1:5432"}, ""),
    ({"database_sslmode": "prefer", "database_hostname": "/run/postgresql"}, ""),
    ({"database_ssl_mode": "preferred"}, "database.ssl.mode"), ({"database_ssl_mode": "trust"}, "database.ssl.mode"),
    ({"database_ssl_mode": "verify_identity"}, ""), ({"database_ssl_mode": "verify-ca"}, ""),
])
def test_a_database_that_is_not_verified_is_told(settings: dict[str, str], option: str) -> None:
    config = SimpleNamespace(**{"database_hostname": "db.example", **settings})
    told = [(each["connector"], each["option"]) for each in events(lambda: privacy.warn_of_database(config, "shop"))]
    assert told == ([("shop", option)] if option else [])


@pytest.mark.parametrize(("client", "told"), [
    ({"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN"}, True),
    ({"security.protocol": "sasl_plaintext", "sasl.mechanisms": "plain"}, True),
    ({"security.protocol": "SASL_SSL", "sasl.mechanism": "PLAIN"}, False),
    ({"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "SCRAM-SHA-512"}, False), ({}, False),
    ({"security.protocol": "SSL", "ssl.endpoint.identification.algorithm": ""}, True),
    ({"security.protocol": "SASL_SSL", "enable.ssl.certificate.verification": "false"}, True),
    ({"security.protocol": "SSL", "ssl.endpoint.identification.algorithm": "https"}, False),
])
def test_an_unsafe_client_of_kafka_is_told(client: dict[str, str], told: bool) -> None:
    assert bool(events(lambda: privacy.warn_of_kafka(client, "producer"))) == told


@pytest.mark.parametrize(("listener", "told"), [
    ("http://127.0.0.1:8083", False), ("http://localhost:0", False), ("http://[::1]:8083", False),
    ("http://:8083", True), ("http://0.0.0.0:8083", True), ("http://10.1.2.3:8083", True), ("http://[::]:8083", True),
    ("http://connect.example:8083", True),
])
def test_a_rest_interface_that_others_reach_is_told(listener: str, told: bool) -> None:
    assert [each["listener"] for each in events(lambda: privacy.warn_of_listeners([listener]))] == [listener] * told
