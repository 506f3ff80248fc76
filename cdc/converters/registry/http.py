"""HTTP to a Schema Registry: persistent connections, fail-over along the list of addresses, and retries.

`exchange` limits the time and the size of each exchange.

We do not use `confluent_kafka.schema_registry`: its import takes about 22 MB of memory and 400 modules, more than all
the rest of a connector's conversion, and by default its client waits without limit. We need only five requests, and
`http.client` is part of Python.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import random
import re
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol
from urllib.parse import unquote, urlsplit

from cdc.core.dataclass import dataclass
from cdc.core.errors import ConfigError, RegistryConnectionError, RegistryRefusedError
from cdc.log import get_logger

from .exchange import Exchange, Limits, Stop, TlsConnection
from .settings import RegistrySettings

log = get_logger(__name__)

RETRIED: Final = frozenset((408, 429, 500, 502, 503, 504))
CONTENT_TYPE: Final = "application/vnd.schemaregistry.v1+json"
_TO_PEM: Final = "Convert it to PEM: keytool -importkeystore to PKCS12, then openssl pkcs12 -in a.p12 -out a.pem."


@dataclass(frozen=True)
class Endpoint:
    """One address of the registry. `user_info` goes into the Authorization header and is never shown."""

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
    """Parse *url*. Raises ConfigError if it has no host or no valid port."""
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


class Tokens(Protocol):
    """Bearer tokens, for requests."""

    def headers(self) -> dict[str, str]:
        """The headers with a token that is valid now. Raises RegistryConnectionError, RegistryRefusedError."""
        ...

    def forget(self) -> bool:
        """The server did not accept the token: get another one. False if this one is new."""
        ...

    def close(self) -> None: ...


class RegistryHttp:
    """Sends requests to the first address that answers. For one thread at a time. It blocks; *stop* ends its waits.

    *tokens*: gives bearer tokens; *content_type*: of bodies; *name*: of the server, in messages; *address* and
    *truststore*: the keys that name it, and trusted certificates.
    """

    def __init__(self, settings: RegistrySettings, headers: Mapping[str, str], stop: Stop | None = None,
                 clock: Callable[[], float] = time.monotonic, *, tokens: Tokens | None = None,
                 content_type: str = CONTENT_TYPE, name: str = "the Schema Registry",
                 address: str = "schema.registry.url",
                 truststore: str = "schema.registry.ssl.truststore.location") -> None:
        self.settings = settings
        self._tokens = tokens
        self._name = name
        self._address = address
        self._truststore = truststore
        self._more: Mapping[str, str] = {}
        self._clock = clock
        self._limits = Limits(settings.http_connect_timeout_ms / 1000, settings.http_read_timeout_ms / 1000)
        self.endpoints = tuple(endpoint(url) for url in settings.schema_registry_url)
        self._headers = {**headers, "Accept": f"{CONTENT_TYPE}, application/json",
                         "Content-Type": content_type}
        self._stop: Stop = stop or threading.Event()
        self._tls = tls_context(settings) if any(e.secure for e in self.endpoints) else None
        self._connections: dict[int, http.client.HTTPConnection] = {}
        self._current = 0
        self.counts = {"requests": 0.0, "failures": 0.0, "seconds": 0.0}
        """Requests, those that no address answered, and the seconds that they took."""
        self._authorization = [self._authorize(e) for e in self.endpoints]
        _check_headers(headers, self._authorization)

    def request(self, method: str, path: str, body: Any = None, retries: int | None = None,
                headers: Mapping[str, str] | None = None) -> tuple[int, Any]:
        """The answer's status and its JSON, or None if it is not JSON. *body*: bytes, or what is sent as JSON.
        *headers*: further ones.

        A failed request is repeated *retries* times, by default as configured; all our requests may be repeated.
        Raises RegistryConnectionError if no address answers, RegistryRefusedError if a certificate is not trusted.
        """
        payload = body if body is None or isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
        self._more = headers or {}
        began = time.monotonic()
        self.counts["requests"] += 1
        try:
            return self._request(method, path, payload, self.settings.max_retries if retries is None else retries)
        except RegistryConnectionError:
            self.counts["failures"] += 1
            raise
        finally:
            self.counts["seconds"] += time.monotonic() - began

    def _request(self, method: str, path: str, payload: bytes | None, retries: int) -> tuple[int, Any]:
        cause = ""
        for attempt in range(retries + 1):
            if attempt and self._stop.wait(self._pause_s(attempt)):
                break
            answer, cause = self._round(method, path, payload)
            if answer is not None:
                return answer
            if self._stop.is_set():
                break
            log.warning("registry_unavailable", registry=self.shown(), attempt=attempt + 1, cause=cause)
        raise RegistryConnectionError(f"{self._name} does not answer", registry=self.shown(), cause=cause,
                                      hint=f"Check {self._address}, and that it runs.")

    def shown(self) -> str:
        """The addresses, without credentials."""
        return ",".join(map(str, self.endpoints))

    def close(self) -> None:
        for index in list(self._connections):
            self._drop(index)
        if self._tokens is not None:
            self._tokens.close()

    def _pause_s(self, attempt: int) -> float:
        longest = min(self.settings.retries_wait_ms * 2 ** (attempt - 1), self.settings.retries_max_wait_ms)
        return float(longest / 1000 * random.uniform(0.5, 1))

    def _round(self, method: str, path: str, payload: bytes | None) -> tuple[tuple[int, Any] | None, str]:
        """Try each address once, first the one that answered last. Returns the answer, or the cause of the failure."""
        cause = ""
        for step in range(len(self.endpoints)):
            if cause and self._stop.is_set():
                break
            index = (self._current + step) % len(self.endpoints)
            try:
                status, data = self._exchange(index, method, path, payload)
                if status == 401 and self._tokens is not None and self._tokens.forget():
                    status, data = self._exchange(index, method, path, payload)
            except ssl.SSLCertVerificationError as exc:
                raise RegistryRefusedError(
                    f"the certificate of {self._name} is not trusted: {exc}",
                    registry=str(self.endpoints[index]), hint=f"Set {self._truststore}.") from exc
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
            # The server may have closed an idle connection; that does not mean that it is down.
            if not kept:
                raise
        return self._once(index, method, path, payload)

    def _once(self, index: int, method: str, path: str, payload: bytes | None) -> tuple[int, bytes]:
        connection = self._connections.get(index) or self._connect(index)
        authorization = self._tokens.headers() if self._tokens else self._authorization[index]
        headers = {**self._headers, **self._more, **authorization}
        try:
            return Exchange(connection, self._limits, self._clock).run(
                self._stop, method, self._target(index, path), payload, headers)
        except BaseException:
            self._connections.pop(index, None)  # the exchange closes it: its thread may still use it
            raise

    def _connect(self, index: int) -> http.client.HTTPConnection:
        to = self.endpoints[index]
        proxy = self.settings.proxy_host
        host, port = (proxy, self.settings.proxy_port) if proxy else (to.host, to.port)
        timeout = self.settings.http_connect_timeout_ms / 1000
        made: http.client.HTTPConnection
        if to.secure:
            made = TlsConnection(host, port, timeout=timeout, context=self._tls)
            if proxy:
                made.set_tunnel(to.host, to.port)
        else:
            made = http.client.HTTPConnection(host, port, timeout=timeout)
        made.auto_open = 0  # a connection that was cut stays so
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
                                  hint="It is required by basic.auth.credentials.source=USER_INFO.")
            return {}
        return {"Authorization": "Basic " + base64.b64encode(user_info.encode()).decode("ascii")}


def _check_headers(given: Mapping[str, str], authorization: list[dict[str, str]]) -> None:
    """Raises ConfigError for text not allowed in an HTTP header. `http.client` would show the value in its error."""
    texts = [(f"request.header.{name}", name + text) for name, text in given.items()]
    texts += [("bearer.auth.token", text) for each in authorization for text in each.values()]
    for key, text in texts:
        if not text.isascii() or not text.isprintable():
            raise ConfigError(f"{key} contains a character that is not allowed in an HTTP header", option=key,
                              hint="Look for line ends and characters other than ASCII.")


def jaas_user_info(jaas: str) -> str:
    """`user:password` from a JAAS line. Raises ConfigError if one of them is missing."""
    found = dict(re.findall(r'(username|password)\s*=\s*"((?:[^"\\]|\\.)*)"', jaas))
    if len(found) < 2:
        raise ConfigError("sasl.jaas.config has no username and password", option="sasl.jaas.config",
                          hint="They are required by basic.auth.credentials.source=SASL_INHERIT.")
    return ":".join(re.sub(r"\\(.)", r"\1", found[name]) for name in ("username", "password"))


def tls_context(settings: RegistrySettings) -> ssl.SSLContext:
    """Trusted certificates and our own, from PEM files or PEM text. Raises ConfigError."""
    for kind, location, key in (
        (settings.ssl_truststore_type, settings.ssl_truststore_location, "ssl.truststore"),
        (settings.ssl_keystore_type, settings.ssl_keystore_location, "ssl.keystore"),
    ):
        other = (kind or "PEM").upper() != "PEM" or (location or "").lower().endswith((".jks", ".p12", ".pfx"))
        if other and location:
            raise ConfigError(f"{key}.location is not PEM, the only supported type", option=f"{key}.location",
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
    # A function: without one OpenSSL would ask for the password on the terminal.
    password = settings.ssl_key_password or ""
    if settings.ssl_keystore_location:
        context.load_cert_chain(settings.ssl_keystore_location, password=lambda: password)
    elif settings.ssl_keystore_key and settings.ssl_keystore_certificate_chain:
        import tempfile  # seldom needed, and it takes 5 ms

        # OpenSSL can load only files; only we can read this one, and it is deleted at once.
        handle, path = tempfile.mkstemp(suffix=".pem")
        try:
            with os.fdopen(handle, "w") as file:
                file.write(f"{settings.ssl_keystore_key}\n{settings.ssl_keystore_certificate_chain}\n")
            context.load_cert_chain(path, password=lambda: password)
        finally:
            os.unlink(path)


def _parsed(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None
