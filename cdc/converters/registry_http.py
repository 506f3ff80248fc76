"""HTTP to a Schema Registry: kept-alive connections, fail-over along the url list, timeouts, and retries.

Not `confluent_kafka.schema_registry`: importing it costs some 22 MB of memory and 400 modules, which is more than all
the rest of a connector's conversion, and its client waits without a limit unless told. Five requests are all that
is needed here, and `http.client` comes with Python.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import random
import re
import socket
import ssl
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol
from urllib.parse import unquote, urlsplit

import structlog

from cdc.core.errors import ConfigError, RegistryConnectionError, RegistryRefusedError
from cdc.core.options import Option, OptionTable, at_least, option, settings

log = structlog.stdlib.get_logger(__name__)

PREFIX: Final = "schema.registry."
RETRIED: Final = frozenset((408, 429, 500, 502, 503, 504))
CONTENT_TYPE: Final = "application/vnd.schemaregistry.v1+json"
_HEADERS: Final = Option(key="request.header.*", pattern=re.compile(r"request\.header\.(.+)"), importance="LOW",
                         doc="A header to send with every request to the registry.")
_TO_PEM: Final = "Convert it to PEM: keytool -importkeystore to PKCS12, then openssl pkcs12 -in a.p12 -out a.pem."


class Stop(Protocol):
    """What a `threading.Event` offers to somebody who waits."""

    def wait(self, timeout: float) -> bool: ...

    def is_set(self) -> bool: ...


def _url_problem(urls: tuple[str, ...]) -> str | None:
    for url in urls:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https", "mock") or not (parts.netloc or parts.scheme == "mock"):
            return "a list of http:// or https:// addresses is wanted"
        if (parts.scheme == "mock") != (urlsplit(urls[0]).scheme == "mock"):
            return "mock:// cannot be mixed with real registries"
    return None


@settings
class RegistrySettings:
    """Keys as Confluent's `SchemaRegistryClientConfig` has them, without the converter's prefix.

    `ssl.*` and the rest may also be written after another `schema.registry.`, as the Java client wants `ssl.*`.
    """

    schema_registry_url: tuple[str, ...] = option(
        "schema.registry.url", "LIST", required=True, importance="HIGH", check=_url_problem,
        doc="Addresses of the Schema Registry, in order of preference.")
    basic_auth_credentials_source: str = option(
        "basic.auth.credentials.source", default="URL", one_of=("URL", "USER_INFO", "SASL_INHERIT"),
        doc="Where user and password are: in the url, in basic.auth.user.info, or in sasl.jaas.config.")
    basic_auth_user_info: str | None = option("basic.auth.user.info", "PASSWORD", default=None, doc="user:password.")
    sasl_jaas_config: str | None = option(
        "sasl.jaas.config", "PASSWORD", default=None, doc="JAAS text with username and password.")
    bearer_auth_credentials_source: str = option(
        "bearer.auth.credentials.source", default="STATIC_TOKEN", one_of=("STATIC_TOKEN",),
        doc="Where the bearer token is.")
    bearer_auth_token: str | None = option(
        "bearer.auth.token", "PASSWORD", default=None, doc="A token to send as it is.")
    ssl_truststore_type: str | None = option("ssl.truststore.type", default=None, doc="PEM.")
    ssl_truststore_location: str | None = option(
        "ssl.truststore.location", default=None, doc="PEM file of trusted certificates.")
    ssl_truststore_certificates: str | None = option(
        "ssl.truststore.certificates", default=None, doc="The same as text.")
    ssl_keystore_type: str | None = option("ssl.keystore.type", default=None, doc="PEM.")
    ssl_keystore_location: str | None = option(
        "ssl.keystore.location", default=None, doc="PEM file of key and certificate chain.")
    ssl_keystore_key: str | None = option(
        "ssl.keystore.key", "PASSWORD", default=None, doc="Our private key as PEM text.")
    ssl_keystore_certificate_chain: str | None = option(
        "ssl.keystore.certificate.chain", default=None, doc="Our chain as PEM text.")
    ssl_key_password: str | None = option(
        "ssl.key.password", "PASSWORD", default=None, doc="Password of the private key.")
    ssl_endpoint_identification_algorithm: str = option(
        "ssl.endpoint.identification.algorithm", default="https", doc="Empty: the certificate's name is not checked.")
    proxy_host: str | None = option("proxy.host", default=None, importance="LOW", doc="HTTP proxy to the registry.")
    proxy_port: int = option("proxy.port", "INT", default="80", importance="LOW", doc="Its port.")
    http_connect_timeout_ms: int = option(
        "http.connect.timeout.ms", "INT", default="10000", importance="LOW", check=at_least(1),
        doc="Longest wait for a connection.")
    http_read_timeout_ms: int = option(
        "http.read.timeout.ms", "INT", default="30000", importance="LOW", check=at_least(1),
        doc="Longest wait for an answer.")
    max_retries: int = option("max.retries", "INT", default="3", importance="LOW", check=at_least(0),
                              doc="Further rounds over all addresses before the registry counts as away.")
    retries_wait_ms: int = option("retries.wait.ms", "INT", default="1000", importance="LOW", check=at_least(0),
                                  doc="Pause before the second round, doubling after.")
    retries_max_wait_ms: int = option("retries.max.wait.ms", "INT", default="20000", importance="LOW",
                                      check=at_least(0), doc="Longest pause.")


OPTIONS = OptionTable.of(RegistrySettings, _HEADERS)


def read_settings(config: Mapping[str, str]) -> tuple[RegistrySettings, dict[str, str]]:
    """The settings and the additional request headers. Raises ConfigError."""
    config = unprefixed(config)
    parsed = OPTIONS.parse(config, partial=True)
    parsed.check("Schema Registry client")
    if config.get("ssl.endpoint.identification.algorithm", "https").strip() == "":
        parsed.values["ssl_endpoint_identification_algorithm"] = ""
    headers = {match[1]: text for match, text in parsed.families[_HEADERS.key]}
    return RegistrySettings(**parsed.values), headers


def unprefixed(config: Mapping[str, str]) -> dict[str, str]:
    """`schema.registry.ssl.…` as `ssl.…`; the longer form wins where both are given."""
    more = {key[len(PREFIX):]: text for key, text in config.items()
            if key.startswith(PREFIX) and key != "schema.registry.url"}
    return {**config, **more}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address of the registry; `user_info` is for its Authorization header and never shown."""

    secure: bool
    host: str
    port: int
    path: str
    user_info: str

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.secure else 'http'}://{host}:{self.port}{self.path}"

    __repr__ = __str__


def endpoint(url: str) -> Endpoint:
    """Raises ConfigError when *url* has no host or no valid port."""
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError as exc:
        raise ConfigError("an address has no valid port", option="schema.registry.url") from exc
    if not parts.hostname:
        raise ConfigError("an address has no host", option="schema.registry.url")
    secure = parts.scheme == "https"
    user_info = parts.netloc.rpartition("@")[0]
    return Endpoint(secure, parts.hostname, port or (443 if secure else 80), parts.path.rstrip("/"), unquote(user_info))


class RegistryHttp:
    """Requests to whichever address answers. One thread at a time; blocks, but not in pauses once *stop* is set."""

    def __init__(self, settings: RegistrySettings, headers: Mapping[str, str], stop: Stop | None = None) -> None:
        self.settings = settings
        self.endpoints = tuple(endpoint(url) for url in settings.schema_registry_url)
        self._headers = {**headers, "Accept": f"{CONTENT_TYPE}, application/json", "Content-Type": CONTENT_TYPE}
        self._stop: Stop = stop or threading.Event()
        self._tls = tls_context(settings) if any(e.secure for e in self.endpoints) else None
        self._connections: dict[int, http.client.HTTPConnection] = {}
        self._current = 0
        self._authorization = [self._authorize(e) for e in self.endpoints]
        _check_headers(headers, self._authorization)

    def request(self, method: str, path: str, body: Any = None, retries: int | None = None) -> tuple[int, Any]:
        """Status and parsed JSON (None when it is none). Every request here may be repeated without harm, *retries*
        times or as configured.

        Raises RegistryConnectionError when no address gave an answer, RegistryRefusedError on a certificate that
        is not trusted.
        """
        payload = None if body is None else json.dumps(body, ensure_ascii=False).encode()
        cause = ""
        for attempt in range((self.settings.max_retries if retries is None else retries) + 1):
            if attempt and self._stop.wait(self._pause_s(attempt)):
                break
            answer, cause = self._round(method, path, payload)
            if answer is not None:
                return answer
            log.warning("registry_unavailable", registry=self.shown(), attempt=attempt + 1, cause=cause)
            if self._stop.is_set():
                break
        raise RegistryConnectionError("the Schema Registry does not answer", registry=self.shown(), cause=cause,
                                      hint="Check schema.registry.url and that the registry runs.")

    def shown(self) -> str:
        """The addresses without credentials."""
        return ",".join(map(str, self.endpoints))

    def close(self) -> None:
        for index in list(self._connections):
            self._drop(index)

    def _pause_s(self, attempt: int) -> float:
        longest = min(self.settings.retries_wait_ms * 2 ** (attempt - 1), self.settings.retries_max_wait_ms)
        return float(longest / 1000 * random.uniform(0.5, 1))

    def _round(self, method: str, path: str, payload: bytes | None) -> tuple[tuple[int, Any] | None, str]:
        """Each address once, beginning with the one that answered last. The answer or, lacking one, the cause."""
        cause = ""
        for step in range(len(self.endpoints)):
            index = (self._current + step) % len(self.endpoints)
            try:
                status, data = self._exchange(index, method, path, payload)
            except ssl.SSLCertVerificationError as exc:
                raise RegistryRefusedError(
                    f"the Schema Registry's certificate is not trusted: {exc}",
                    registry=str(self.endpoints[index]), hint="Set schema.registry.ssl.truststore.location.") from exc
            except (OSError, http.client.HTTPException) as exc:
                cause = f"{type(exc).__name__}: {exc}" if str(exc) else type(exc).__name__
                continue
            if status not in RETRIED:
                self._current = index
                return (status, _parsed(data)), ""
            cause = f"HTTP {status}"
        return None, cause

    def _exchange(self, index: int, method: str, path: str, payload: bytes | None) -> tuple[int, bytes]:
        kept = index in self._connections
        try:
            return self._once(index, method, path, payload)
        except (ConnectionError, http.client.HTTPException):
            # The server may have closed an idle connection, which says nothing about the server.
            if not kept:
                raise
        return self._once(index, method, path, payload)

    def _once(self, index: int, method: str, path: str, payload: bytes | None) -> tuple[int, bytes]:
        connection = self._connections.get(index) or self._connect(index)
        try:
            if connection.sock is None:
                connection.connect()
                _socket_of(connection).settimeout(self.settings.http_read_timeout_ms / 1000)
            headers = {**self._headers, **self._authorization[index]}
            connection.request(method, self._target(index, path), payload, headers)
            response = connection.getresponse()
            return response.status, response.read()
        except BaseException:
            self._drop(index)
            raise

    def _connect(self, index: int) -> http.client.HTTPConnection:
        to = self.endpoints[index]
        proxy = self.settings.proxy_host
        host, port = (proxy, self.settings.proxy_port) if proxy else (to.host, to.port)
        timeout = self.settings.http_connect_timeout_ms / 1000
        made: http.client.HTTPConnection
        if to.secure:
            made = http.client.HTTPSConnection(host, port, timeout=timeout, context=self._tls)
            if proxy:
                made.set_tunnel(to.host, to.port)
        else:
            made = http.client.HTTPConnection(host, port, timeout=timeout)
        self._connections[index] = made
        return made

    def _drop(self, index: int) -> None:
        connection = self._connections.pop(index, None)
        if connection is not None:
            connection.close()

    def _target(self, index: int, path: str) -> str:
        to = self.endpoints[index]
        return f"{to}{path}" if self.settings.proxy_host and not to.secure else f"{to.path}{path}"

    def _authorize(self, to: Endpoint) -> dict[str, str]:
        if self.settings.bearer_auth_token:
            return {"Authorization": f"Bearer {self.settings.bearer_auth_token.strip()}"}
        source = self.settings.basic_auth_credentials_source
        user_info: str | None = to.user_info
        if source == "USER_INFO":
            user_info = self.settings.basic_auth_user_info
        elif source == "SASL_INHERIT":
            user_info = jaas_user_info(self.settings.sasl_jaas_config or "")
        if not user_info:
            if source == "USER_INFO":
                raise ConfigError("basic.auth.user.info is missing", option="basic.auth.user.info",
                                  hint="basic.auth.credentials.source=USER_INFO asks for it.")
            return {}
        return {"Authorization": "Basic " + base64.b64encode(user_info.encode()).decode("ascii")}


def _check_headers(given: Mapping[str, str], authorization: list[dict[str, str]]) -> None:
    """Raises ConfigError for what no HTTP header can hold; `http.client` would repeat the value in its error."""
    texts = [(f"request.header.{name}", name + text) for name, text in given.items()]
    texts += [("bearer.auth.token", text) for each in authorization for text in each.values()]
    for key, text in texts:
        if not text.isascii() or not text.isprintable():
            raise ConfigError(f"{key} holds a character that an HTTP header cannot", option=key,
                              hint="Look for line ends and characters other than ASCII.")


def jaas_user_info(jaas: str) -> str:
    """`user:password` out of a JAAS line. Raises ConfigError when it has not both."""
    found = dict(re.findall(r'(username|password)\s*=\s*"((?:[^"\\]|\\.)*)"', jaas))
    if len(found) < 2:
        raise ConfigError("sasl.jaas.config has no username and password", option="sasl.jaas.config",
                          hint="basic.auth.credentials.source=SASL_INHERIT takes them from there.")
    return ":".join(re.sub(r"\\(.)", r"\1", found[name]) for name in ("username", "password"))


def tls_context(settings: RegistrySettings) -> ssl.SSLContext:
    """Trust and identity from PEM files or PEM text. Raises ConfigError."""
    for kind, location, key in (
        (settings.ssl_truststore_type, settings.ssl_truststore_location, "ssl.truststore"),
        (settings.ssl_keystore_type, settings.ssl_keystore_location, "ssl.keystore"),
    ):
        other = (kind or "PEM").upper() != "PEM" or (location or "").lower().endswith((".jks", ".p12", ".pfx"))
        if other and location:
            raise ConfigError(f"{key}.location is not PEM, the only kind read here", option=f"{key}.location",
                              hint=_TO_PEM)
    try:
        context = ssl.create_default_context(cafile=settings.ssl_truststore_location,
                                             cadata=settings.ssl_truststore_certificates)
        _load_identity(context, settings)
    except (OSError, ValueError) as exc:
        part = "ssl.keystore" if settings.ssl_keystore_location else "ssl.truststore"
        raise ConfigError(f"the TLS files for the Schema Registry cannot be used: {type(exc).__name__}",
                          option=f"{part}.location",
                          hint="Check that the files exist, are PEM, and that ssl.key.password fits.") from exc
    if not settings.ssl_endpoint_identification_algorithm:
        context.check_hostname = False
    return context


def _load_identity(context: ssl.SSLContext, settings: RegistrySettings) -> None:
    # A callable, as OpenSSL would otherwise ask for the password on the terminal.
    password = settings.ssl_key_password or ""
    if settings.ssl_keystore_location:
        context.load_cert_chain(settings.ssl_keystore_location, password=lambda: password)
    elif settings.ssl_keystore_key and settings.ssl_keystore_certificate_chain:
        # OpenSSL's loader reads files only; this one is readable by us alone and gone at once.
        handle, path = tempfile.mkstemp(suffix=".pem")
        try:
            with os.fdopen(handle, "w") as file:
                file.write(f"{settings.ssl_keystore_key}\n{settings.ssl_keystore_certificate_chain}\n")
            context.load_cert_chain(path, password=lambda: password)
        finally:
            os.unlink(path)


def _socket_of(connection: http.client.HTTPConnection) -> socket.socket:
    assert connection.sock is not None
    return connection.sock


def _parsed(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return None
