"""What a client of the REST interface may set."""

from __future__ import annotations

from pathlib import Path

import pytest

from cdc.permitted import problems

ALLOWED = (Path("/etc/ssl"),)


@pytest.mark.parametrize(("key", "text"), [
    ("database.sslrootcert", "/etc/passwd"), ("database.ssl.keystore", "/root/key.pem"),
    ("producer.override.ssl.truststore.location", "/etc/ssl/../shadow"), ("cdc.spool.directory", "/var"),
    ("value.converter.schema.registry.ssl.keystore.location", "/x.p12"), ("database.passfile", "~/.pgpass"),
    ("producer.override.sasl.jaas.config", 'Krb5LoginModule required keyTab="/etc/krb5.keytab";'),
    ("producer.override.sasl.jaas.config", 'Krb5LoginModule required keyTab="/etc/ssl/k" principal="a; touch /x";'),
    ("producer.override.sasl.jaas.config", "Krb5LoginModule required principal='$(touch /x)';"),
    ("producer.override.sasl.jaas.config", 'Krb5LoginModule required keyTab="/etc/ssl/a `id`";'),
    ("database.sslrootcert", "~nobody-of-this-name/x"), ("database.sslrootcert", "/etc/ssl/\0"),
    ("value.converter.schema.registry.url", "http://[a"),
    ("producer.override.sasl.kerberos.principal", "a|id"), ("admin.override.sasl.kerberos.keytab", "/etc/ssl/$(id)"),
    ("producer.override.plugin.library.paths", "evil.so"), ("admin.override.sasl.kerberos.kinit.cmd", "rm -rf /"),
    ("value.converter.schema.registry.url", "file:///etc/passwd"),
    ("value.converter.schema.registry.url", "http://a,gopher://b"),
    ("producer.override.sasl.oauthbearer.token.endpoint.url", "file:///etc/passwd"),
])
def test_files_and_code_of_the_machine_are_out_of_reach(key: str, text: str) -> None:
    (found,) = problems({key: text}, ALLOWED)
    assert found.option == key
    assert found.hint
    assert text not in found.text + found.hint


@pytest.mark.parametrize(("key", "text"), [
    ("database.sslrootcert", "/etc/ssl/ca.pem"), ("database.sslrootcert", "${file:/x:y}"), ("database.sslkey", ""),
    ("value.converter.schema.registry.url", "http://r:8081,https://s:8081"), ("topic.prefix", "/etc/passwd"),
    ("schema.history.internal.file.filename", "/tmp/history"), ("database.hostname", "db"),
    ("producer.override.ssl.keystore.key", "-----BEGIN PRIVATE KEY-----"),
    ("producer.override.sasl.jaas.config", 'PlainLoginModule required username="a" password="b$(c)";'),
    ("producer.override.sasl.jaas.config", 'com.sun.security.auth.module.Krb5LoginModule required useKeyTab=true '
     'storeKey=true keyTab="/etc/ssl/k" principal="a/h.example@EXAMPLE.COM" serviceName="${file:/x:y}";'),
    ("producer.override.sasl.kerberos.service.name", "kafka"),
])
def test_what_configurations_usually_have_is_allowed(key: str, text: str) -> None:
    assert problems({key: text}, ALLOWED) == []
