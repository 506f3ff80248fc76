"""SASL and TLS settings of the Java clients as librdkafka's: one key there may be several here.

Kafka docs, "Security": "Encryption and Authentication using SSL", "Authentication using SASL"; KIP-651 (PEM).
No message here repeats a value: they are secrets or stand beside them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, MutableMapping
from typing import Final

from cdc.core.errors import ConfigError
from cdc.core.late_regex import late_regex

JAAS: Final = "sasl.jaas.config"
_JAAS_TOKEN = late_regex(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'|[^\s=;"\']+|[=;]', re.DOTALL)
_JAAS_FLAGS = {"required", "requisite", "sufficient", "optional"}
_ESCAPE = late_regex(r"\\(.)", re.DOTALL)
_PEM_BLOCK = late_regex(r"-----BEGIN ([A-Z0-9 ]+)-----(.*?)-----END \1-----", re.DOTALL)
_TRUST_HINT = (
    'Convert it with "keytool -list -rfc -keystore {path} > ca.pem", then set ssl.truststore.type=PEM and '
    "ssl.truststore.location=ca.pem."
)
_KEY_HINT = (
    'Convert it with "keytool -importkeystore -srckeystore {path} -destkeystore client.p12 -deststoretype PKCS12", '
    "then set ssl.keystore.type=PKCS12 and ssl.keystore.location=client.p12."
)


def read_jaas(text: str) -> tuple[str, dict[str, str]]:
    """The login module's simple class name and its options, from one entry of a JAAS configuration.

    Raises ConfigError when *text* is not `<class> <flag> <name>=<value> … ;`.
    """
    tokens = _JAAS_TOKEN.findall(text)
    while tokens and tokens[-1] == ";":
        tokens.pop()
    assigned = tokens[2:]
    well_formed = len(tokens) >= 2 and tokens[1].lower() in _JAAS_FLAGS and len(assigned) % 3 == 0
    if not well_formed or set(assigned[1::3]) - {"="} or ";" in tokens:
        raise ConfigError(
            "sasl.jaas.config is not a JAAS login entry.", option=JAAS,
            hint="It reads: org.apache.kafka.common.security.plain.PlainLoginModule required "
                 'username="…" password="…";',
        )
    values = {name: _unquoted(value) for name, value in zip(assigned[::3], assigned[2::3], strict=True)}
    return tokens[0].rpartition(".")[2], values


def jaas_settings(text: str) -> dict[str, str]:
    """librdkafka's settings for one `sasl.jaas.config`. Raises ConfigError."""
    module, values = read_jaas(text)
    reader = _MODULES.get(module)
    if reader is None:
        raise ConfigError(
            f"The login module {module} of sasl.jaas.config runs in a JVM only.", option=JAAS,
            hint=f"Supported are {', '.join(sorted(_MODULES))}.",
        )
    return {name: value for name, value in reader(values).items() if value is not None}


def _user(values: Mapping[str, str]) -> dict[str, str | None]:
    missing = [name for name in ("username", "password") if name not in values]
    if missing:
        raise ConfigError(f"sasl.jaas.config has no {' and no '.join(missing)}.", option=JAAS)
    return {"sasl.username": values["username"], "sasl.password": values["password"]}


def _kerberos(values: Mapping[str, str]) -> dict[str, str | None]:
    return {
        "sasl.kerberos.keytab": values.get("keyTab"),
        "sasl.kerberos.principal": values.get("principal"),
        "sasl.kerberos.service.name": values.get("serviceName"),
    }


def _oauth(values: Mapping[str, str]) -> dict[str, str | None]:
    return {
        "sasl.oauthbearer.method": "oidc",
        "sasl.oauthbearer.client.id": values.get("clientId"),
        "sasl.oauthbearer.client.secret": values.get("clientSecret"),
        "sasl.oauthbearer.scope": values.get("scope"),
    }


_MODULES: Final[Mapping[str, Callable[[Mapping[str, str]], dict[str, str | None]]]] = {
    "PlainLoginModule": _user,
    "ScramLoginModule": _user,
    "Krb5LoginModule": _kerberos,
    "OAuthBearerLoginModule": _oauth,
}


def _unquoted(token: str) -> str:
    return _ESCAPE.sub(r"\1", token[1:-1]) if token[0] in "\"'" else token


def take_stores(java: MutableMapping[str, str]) -> dict[str, str]:
    """Takes the `ssl.truststore.*` and `ssl.keystore.*` keys out of *java* and returns librdkafka's settings for them.

    The content of a store file decides its format, since Java's default type, JKS, also opens PKCS12. Raises
    ConfigError for formats that OpenSSL cannot use, with the command that converts them.
    """
    return {**_trust_store(java), **_key_store(java)}


def _trust_store(java: MutableMapping[str, str]) -> dict[str, str]:
    location = java.pop("ssl.truststore.location", "")
    certificates = java.pop("ssl.truststore.certificates", "")
    for name in ("ssl.truststore.type", "ssl.truststore.password"):
        java.pop(name, None)  # The content tells the type; a PEM file has no password, and certificates are public.
    if certificates:
        return {"ssl.ca.pem": pem_lines(certificates)}
    if not location:
        return {}
    kind = store_format(location, "ssl.truststore.location")
    if kind != "PEM":
        raise ConfigError(f"The trust store {location} is {kind}; OpenSSL needs PEM.", option="ssl.truststore.location",
                          hint=_TRUST_HINT.format(path=location))
    return {"ssl.ca.location": location}


def _key_store(java: MutableMapping[str, str]) -> dict[str, str]:
    location = java.pop("ssl.keystore.location", "")
    password = java.pop("ssl.keystore.password", "")
    chain, key = java.pop("ssl.keystore.certificate.chain", ""), java.pop("ssl.keystore.key", "")
    java.pop("ssl.keystore.type", None)
    if chain or key:
        return {"ssl.certificate.pem": pem_lines(chain), "ssl.key.pem": pem_lines(key)}
    if not location:
        return {}
    kind = store_format(location, "ssl.keystore.location")
    if kind == "PEM":
        return {"ssl.certificate.location": location, "ssl.key.location": location}
    if kind == "PKCS12":
        return {"ssl.keystore.location": location, "ssl.keystore.password": password}
    raise ConfigError(f"The key store {location} is {kind}; OpenSSL needs PKCS12 or PEM.",
                      option="ssl.keystore.location", hint=_KEY_HINT.format(path=location))


def store_format(path: str, option: str) -> str:
    """`PEM`, `JKS`, `PKCS12` or `of an unknown format`, by the file's first bytes. Raises ConfigError if unreadable."""
    try:
        with open(path, "rb") as file:
            head = file.read(65536)
    except OSError as exc:
        raise ConfigError(f"{option}: cannot read {path}: {exc.strerror}.", option=option) from exc
    if head[:4] in (b"\xfe\xed\xfe\xed", b"\xce\xce\xce\xce"):
        return "JKS"
    if b"-----BEGIN " in head:
        return "PEM"
    return "PKCS12" if head[:1] == b"\x30" else "of an unknown format"


def pem_lines(text: str) -> str:
    """PEM text as OpenSSL wants it, even when it comes from a properties file on one line, as Java allows."""
    blocks = _PEM_BLOCK.findall(text)
    if "\n" in text.strip() or not blocks:
        return text
    return "".join(f"-----BEGIN {name}-----\n{_wrapped(body)}\n-----END {name}-----\n" for name, body in blocks)


def _wrapped(base64_text: str) -> str:
    packed = "".join(base64_text.split())
    return "\n".join(packed[start : start + 64] for start in range(0, len(packed), 64))
