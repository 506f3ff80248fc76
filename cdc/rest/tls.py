"""TLS for the REST interface, from the keys that Kafka Connect has for it: `listeners.https.*`, else `ssl.*`.

Kafka documentation, "Security": "Encryption and Authentication using SSL"; KIP-208, KIP-651 (PEM).
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cdc.core.errors import ConfigError

PREFIX: Final = "listeners.https."
_MODES: Final = {"none": ssl.CERT_NONE, "requested": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}
_JKS: Final = b"\xfe\xed\xfe\xed"
_HINT: Final = ("Convert it with: keytool -importkeystore -srckeystore IN -destkeystore OUT.p12 -deststoretype PKCS12, "
                "and set {key}=OUT.p12.")


def server_context(worker: Mapping[str, str]) -> ssl.SSLContext:
    """The context of the worker's https listeners. Raises ConfigError."""
    prefix = PREFIX if any(key.startswith(PREFIX) for key in worker) else ""
    own = {key.removeprefix(prefix): text for key, text in worker.items() if key.startswith(f"{prefix}ssl.")}
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _load_key(context, own, prefix)
    mode = own.get("ssl.client.auth", "none").strip().lower() or "none"
    if mode not in _MODES:
        raise ConfigError(f"{prefix}ssl.client.auth: allowed are {', '.join(_MODES)}.",
                          option=f"{prefix}ssl.client.auth")
    if mode != "none":
        _load_trusted(context, own, prefix)
    context.verify_mode = _MODES[mode]
    return context


def _load_key(context: ssl.SSLContext, own: Mapping[str, str], prefix: str) -> None:
    key = f"{prefix}ssl.keystore.location"
    password = own.get("ssl.key.password") or own.get("ssl.keystore.password") or None
    chain, secret = own.get("ssl.keystore.certificate.chain"), own.get("ssl.keystore.key")
    if chain and secret:
        pem = f"{secret}\n{chain}\n".encode()
    elif own.get("ssl.keystore.location", "").strip():
        pem = _as_pem(_read(own["ssl.keystore.location"].strip(), key), password, key)
        password = None if b"ENCRYPTED" not in pem else password
    else:
        raise ConfigError(f"{key} is required for an https listener.", option=key,
                          hint="Name a PEM file with the key and the certificates, or a PKCS12 file.")
    import tempfile  # for https only; it takes 5 ms

    with tempfile.NamedTemporaryFile(prefix="cdc-") as file:  # OpenSSL reads files only; this one is its owner's
        file.write(pem)
        file.flush()
        try:
            context.load_cert_chain(file.name, password=lambda: password or "")
        except (ssl.SSLError, ValueError) as exc:
            raise ConfigError(f"{key}: the key or its certificates cannot be used: {_reason(exc)}.", option=key,
                              hint="A PEM file has a PRIVATE KEY and the CERTIFICATEs; a key with a password needs "
                                   f"{prefix}ssl.key.password.") from None


def _as_pem(data: bytes, password: str | None, key: str) -> bytes:
    """A key store's key and certificates as PEM, the key without a password. Raises ConfigError."""
    if b"-----BEGIN" in data:
        return data
    if data.startswith(_JKS):
        raise ConfigError(f"{key}: JKS files cannot be read.", option=key, hint=_HINT.format(key=key))
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, pkcs12

    try:
        secret, certificate, others = pkcs12.load_key_and_certificates(
            data, password.encode() if password else None)
    except ValueError:
        raise ConfigError(f"{key}: the file is no PKCS12, or its password is another one.", option=key) from None
    if secret is None or certificate is None:
        raise ConfigError(f"{key}: the file has no key with a certificate.", option=key)
    parts = [secret.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())]
    return b"".join((*parts, *(each.public_bytes(Encoding.PEM) for each in (certificate, *others))))


def _load_trusted(context: ssl.SSLContext, own: Mapping[str, str], prefix: str) -> None:
    key = f"{prefix}ssl.truststore.location"
    text = own.get("ssl.truststore.certificates", "")
    if not text:
        location = own.get("ssl.truststore.location", "").strip()
        if not location:
            raise ConfigError(f"{key} is required to check the certificates of clients.", option=key)
        text = _read(location, key).decode("latin-1")
    try:
        context.load_verify_locations(cadata=text)
    except (ssl.SSLError, ValueError) as exc:
        raise ConfigError(f"{key}: the certificates cannot be read: {_reason(exc)}.", option=key,
                          hint="Name a file in PEM.") from None


def _read(location: str, key: str) -> bytes:
    try:
        return Path(location).read_bytes()
    except OSError as exc:
        raise ConfigError(f"{key}: {location} cannot be read: {exc.strerror}.", option=key) from exc


def _reason(exc: Exception) -> str:
    return getattr(exc, "reason", None) or type(exc).__name__
