"""cdc/config/secrets.py."""

from __future__ import annotations

import pytest

from cdc.config.secrets import HIDDEN, Secret, is_secret_key, mask, scrub, sealed


@pytest.mark.parametrize("key", [
    "database.password", "ssl.key.password", "producer.sasl.jaas.config", "ssl.keystore.key", "aws.secret.access.key",
    "value.converter.basic.auth.user.info", "bearer.auth.token", "schema.registry.api.key", "ssl.truststore.password",
    "key_passphrase", "google.credentials", "Authorization", "database.ssl.key_passphrase",
    "producer.override.ssl.key.pem", "value.converter.request.header.Cookie", "value.converter.basic.auth.x",
    "producer.override.sasl.oauthbearer.config", "sasl.kerberos.kinit.cmd", "db.pwd",
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
    ("http://u:geh/eim@h:1", "http://h:1"),
    ("http://u:geh@e/im@h:1,http://v:geheim@i:2", "http://h:1,http://i:2"),
    ('{"password": "geheim", "a": "b"}', f'{{"password": {HIDDEN}, "a": "b"}}'),
    ("{'api_key': 'geheim'}", f"{{'api_key': {HIDDEN}}}"),
    (r'"{\"password\": \"geheim\"}"', rf'"{{\"password\": \{HIDDEN}'),
    ("CREATE USER u IDENTIFIED BY 'geh''eim' REQUIRE SSL", f"CREATE USER u IDENTIFIED BY {HIDDEN} REQUIRE SSL"),
    ("select 1 /* identified by 'geheim' */", f"select 1 /* identified by {HIDDEN} */"),
    ("IDENTIFIED WITH caching_sha2_password BY 'geheim'", f"IDENTIFIED WITH caching_sha2_password BY {HIDDEN}"),
    ("ALTER ROLE r PASSWORD 'geheim'", f"ALTER ROLE r PASSWORD {HIDDEN}"),
    ("ALTER ROLE r PASSWORD $x$geheim$x$;", f"ALTER ROLE r PASSWORD {HIDDEN};"),
    ("SET PASSWORD FOR u = PASSWORD('geheim')", f"SET PASSWORD FOR u = PASSWORD({HIDDEN})"),
    ("IDENTIFIED BY 'geheim und no", f"IDENTIFIED BY {HIDDEN}"),
    ("Authorization: Basic geheim", f"Authorization: {HIDDEN}"),
    ("Cookie: a=geheim; b=geheim", f"Cookie: {HIDDEN}"),
    ("-----BEGIN PRIVATE KEY-----geheim-----END PRIVATE KEY-----",
     f"-----BEGIN PRIVATE KEY-----{HIDDEN}-----END PRIVATE KEY-----"),
    ("password authentication failed for user \"x\"", "password authentication failed for user \"x\""),
])
def test_text_loses_its_secrets_only(text: str, shown: str) -> None:
    assert scrub(text) == shown


def test_a_shown_config_keeps_references_and_hides_literals() -> None:
    config = {"name": "a", "database.password": "geheim", "ssl.key.password": "${file:/s:k}", "x.password": "",
              "schema.registry.url": "http://u:geheim@h:1", "sasl.jaas.config": 'x password="${env:P}";'}
    assert mask(config) == {"name": "a", "database.password": HIDDEN, "ssl.key.password": "${file:/s:k}",
                            "x.password": "", "schema.registry.url": "http://h:1", "sasl.jaas.config": HIDDEN}


def test_only_what_may_be_shown_is_not_sealed() -> None:
    config = {"a": "geheim", "b": "shown", "c": "${env:C}", "d": ""}
    assert mask(sealed(config, lambda key: key == "b")) == {"a": HIDDEN, "b": "shown", "c": "${env:C}", "d": ""}


def test_salts_within_keys_are_hidden_and_no_key_is_lost() -> None:
    config = {"column.mask.hash.SHA-256.with.salt.geheim": "a.b", "column.mask.hash.SHA-256.with.salt.privat": "a.c"}
    assert mask(config) == {f"column.mask.hash.SHA-256.with.salt.{HIDDEN}": "a.b",
                            f"column.mask.hash.SHA-256.with.salt.{HIDDEN}+": "a.c"}


def test_values_from_a_config_provider_are_hidden() -> None:
    assert mask({"any": Secret("geheim")}) == {"any": HIDDEN}


@pytest.mark.parametrize("part", ["secret-", "w.", "password ", "a://b:", "a://", "password='\\", "password(", "pass."])
def test_the_time_to_hide_secrets_grows_with_the_length_only(part: str) -> None:
    """With the square of it, this would take hours: a client's text, or a server's, would stop the process."""
    text = part * 30_000
    assert len(scrub(text)) >= len(text) // 2
    assert HIDDEN in scrub(f"{text} password=geheim")
