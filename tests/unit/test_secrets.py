"""cdc/core/secrets.py."""

from __future__ import annotations

import pytest

from cdc.core.options import HIDDEN, Secret
from cdc.core.secrets import is_secret_key, mask, scrub


@pytest.mark.parametrize("key", [
    "database.password", "ssl.key.password", "producer.sasl.jaas.config", "ssl.keystore.key", "aws.secret.access.key",
    "value.converter.basic.auth.user.info", "bearer.auth.token", "schema.registry.api.key", "ssl.truststore.password",
    "key_passphrase", "google.credentials", "Authorization", "database.ssl.key_passphrase",
])
def test_secret_keys_are_known(key: str) -> None:
    assert is_secret_key(key)


@pytest.mark.parametrize("key", [
    "slot.name", "message.key.columns", "key.converter", "basic.auth.credentials.source",
    "table", "lsn", "ssl.keystore.location", "tokenizer",
])
def test_other_keys_are_not(key: str) -> None:
    assert not is_secret_key(key)


@pytest.mark.parametrize(("text", "shown"), [
    ("no answer from http://user:pw@registry:8081/x", "no answer from http://registry:8081/x"),
    ("postgresql://me:p%40w@h/db failed", "postgresql://h/db failed"),
    ("postgresql://me:p@ss@h/db", "postgresql://h/db"),
    ("host=h password=geheim dbname=d", f"host=h password={HIDDEN} dbname=d"),
    ("host=h password='it\\'s mine' dbname=d", f"host=h password={HIDDEN} dbname=d"),
    ('Login required username="u" password="geheim";', f'Login required username="u" password={HIDDEN};'),
    ("http://${env:U}:${env:P}@h", "http://${env:U}:${env:P}@h"),
    ("password=${env:P}", "password=${env:P}"),
    ("at http://h/a?b=c@d", "at http://h/a?b=c@d"),
    ("password authentication failed for user \"x\"", "password authentication failed for user \"x\""),
])
def test_text_loses_its_secrets_only(text: str, shown: str) -> None:
    assert scrub(text) == shown


def test_a_shown_config_keeps_references_and_hides_literals() -> None:
    config = {"name": "a", "database.password": "geheim", "ssl.key.password": "${file:/s:k}", "x.password": "",
              "schema.registry.url": "http://u:geheim@h:1", "sasl.jaas.config": 'x password="${env:P}";'}
    assert mask(config) == {"name": "a", "database.password": HIDDEN, "ssl.key.password": "${file:/s:k}",
                            "x.password": "", "schema.registry.url": "http://h:1", "sasl.jaas.config": HIDDEN}


def test_salts_within_keys_are_hidden_and_no_key_is_lost() -> None:
    config = {"column.mask.hash.SHA-256.with.salt.geheim": "a.b", "column.mask.hash.SHA-256.with.salt.privat": "a.c"}
    assert mask(config) == {f"column.mask.hash.SHA-256.with.salt.{HIDDEN}": "a.b",
                            f"column.mask.hash.SHA-256.with.salt.{HIDDEN}+": "a.c"}


def test_values_from_a_config_provider_are_hidden() -> None:
    assert mask({"any": Secret("geheim")}) == {"any": HIDDEN}
