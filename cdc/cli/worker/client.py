"""A worker's REST interface as commands use it: where it is, who asks, and what its refusals mean."""

from __future__ import annotations

import base64
import http.client
import json
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

import click

from cdc.cli.output import URL_VARIABLE, NotReadyError
from cdc.core.errors import CdcError, ConfigError, StateError

DEFAULT_URL: Final = "http://127.0.0.1:8083"
CREDENTIALS_VARIABLE: Final = "CDC_CLI_CREDENTIALS"
_PREFIX: Final = "CDC_CLI_"
_KEYS: Final = ("token", "user", "password", "ca", "certificate")
_MOST_BYTES: Final = 256 << 20
_LOCAL: Final = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who asks. `ca` is a PEM file of certificates to trust, `certificate` one with the client's key and its own."""

    token: str = field(default="", repr=False)
    user: str = ""
    password: str = field(default="", repr=False)
    ca: str = ""
    certificate: str = ""

    @property
    def header(self) -> str:
        """The value of `Authorization`; empty without a token and a user."""
        if self.token:
            return f"Bearer {self.token}"
        return f"Basic {base64.b64encode(f'{self.user}:{self.password}'.encode()).decode()}" if self.user else ""

    def tls(self) -> ssl.SSLContext:
        """What `ca` and `certificate` make of TLS. Raises ConfigError."""
        try:
            context = ssl.create_default_context(cafile=self.ca or None)
            if self.certificate:
                context.load_cert_chain(self.certificate)
        except (OSError, ssl.SSLError) as exc:
            raise ConfigError(f"The certificates cannot be read: {_reason(exc)}.",
                              hint="ca and certificate name files in PEM.") from exc
        return context


def credentials(file: str | None = None) -> Credentials:
    """Those of *file* (or of the one that CDC_CLI_CREDENTIALS names), with CDC_CLI_TOKEN, CDC_CLI_USER and
    CDC_CLI_PASSWORD over them. Raises ConfigError."""
    found: dict[str, str] = {}
    path = file or os.environ.get(CREDENTIALS_VARIABLE, "")
    if path:
        found = _read(path)
    found |= {key: os.environ[f"{_PREFIX}{key.upper()}"] for key in _KEYS if os.environ.get(f"{_PREFIX}{key.upper()}")}
    if any(not 32 < ord(char) < 127 for char in found.get("token", "")):
        raise ConfigError("The token has characters that no token has.", option=f"{_PREFIX}TOKEN")
    return Credentials(**found)


def _read(path: str) -> dict[str, str]:
    from cdc.config.files import read_properties, text_of

    try:
        text = text_of(Path(path).read_bytes())
    except OSError as exc:
        raise ConfigError(f"The file of credentials {path} cannot be read: {exc.strerror}.") from exc
    found = read_properties(text, path)
    unknown = sorted(found.keys() - set(_KEYS))
    if unknown or not found:
        raise ConfigError(f"{path} is no file of credentials.", hint=f"It has lines key=value, of {', '.join(_KEYS)}.")
    return found


def address(url: str | None, worker_file: str | None = None) -> str:
    """Where the worker listens, as `http://host:port`: *url*, else CDC_CLI_URL, `listeners` of *worker_file*,
    CDC_LISTENERS, or this machine's port 8083. Raises ConfigError."""
    listeners = ""
    if worker_file and not url:
        from cdc.config.files import read_file

        listeners = read_file(Path(worker_file)).get("listeners", "").strip() or DEFAULT_URL
    text = url or listeners or os.environ.get(URL_VARIABLE) or os.environ.get("CDC_LISTENERS") or DEFAULT_URL
    first = text.split(",")[0].strip()
    if "://" not in first:
        first = f"http://{first}"
    try:
        parts = urlsplit(first)
        port = parts.port
    except ValueError:
        raise _no_address(text) from None
    if parts.scheme not in ("http", "https") or parts.username or parts.query or parts.fragment or \
            not _can_be_host(parts.hostname or ""):
        raise _no_address(text)
    host = {"0.0.0.0": "127.0.0.1", "::": "::1", None: "127.0.0.1"}.get(parts.hostname, parts.hostname)
    host = f"[{host}]" if host and ":" in host else host
    return f"{parts.scheme}://{host}:{port or (443 if parts.scheme == 'https' else 8083)}{parts.path.rstrip('/')}"


def _can_be_host(name: str) -> bool:
    """Whether the resolver takes *name*, which encodes it so. Without a name it is this machine."""
    try:
        return not name or (name.isprintable() and " " not in name and bool(name.encode("idna")))
    except UnicodeError:
        return False


def _no_address(text: str) -> ConfigError:
    from cdc.config.secrets import scrub

    return ConfigError(f"{scrub(text)} is no address of a worker.", option="--url",
                       hint=f"Write it as {DEFAULT_URL}; who you are is read from --credentials or CDC_CLI_TOKEN.")


class Client:
    """Asks one worker. Each request is one connection, so a client holds nothing open."""

    def __init__(self, url: str, who: Credentials | None = None, timeout_s: float = 30.0) -> None:
        """*url* as `address` gives it."""
        self.url = url
        self.timeout_s = timeout_s
        self._who = who or Credentials()
        self._parts = urlsplit(url)
        if self._who.header and self._parts.scheme == "http" and self._parts.hostname not in _LOCAL:
            click.echo(f"warning: {url} is not encrypted, so others on the way can read the credentials.", err=True)

    def get(self, *path: str, **query: str | list[str]) -> Any:
        """The answer to GET. Else as `ask`."""
        return self.ask("GET", *path, **query)

    def find(self, *path: str, **query: str | list[str]) -> Any:
        """As `get`; None where there is nothing (404)."""
        try:
            return self.get(*path, **query)
        except StateError as exc:
            if exc.status == 404:
                return None
            raise

    def ask(self, method: str, *path: str, body: Any = None, **query: str | list[str]) -> Any:
        """The answer as JSON, as text if it is none, or None if it is empty. *path* are its parts, unquoted.

        Raises StateError for 404 and 409, ConfigError for 400, NotReadyError if nobody answers or for 503, CdcError for
        every other refusal.
        """
        data = None if body is None else json.dumps(body).encode()
        status, text = self._exchange(method, self._target(path, query), data)
        if status < 300:
            return _decoded(text)
        raise self._refusal(status, text)

    def _target(self, path: tuple[str, ...], query: Mapping[str, str | list[str]]) -> str:
        asked = f"{self._parts.path}/" + "/".join(quote(part, safe="") for part in path)
        return asked + (f"?{urlencode(query, doseq=True)}" if query else "")

    def _exchange(self, method: str, target: str, data: bytes | None) -> tuple[int, str]:
        headers = {"Accept": "application/json, */*;q=0.1"}
        if data is not None:
            headers["Content-Type"] = "application/json"
        if self._who.header:
            headers["Authorization"] = self._who.header
        connection = self._connection()
        try:
            connection.request(method, target, data, headers)
            response = connection.getresponse()
            text = response.read(_MOST_BYTES)
        except (OSError, http.client.HTTPException) as exc:
            hint = ("Is `cdc run` running? Its log says at start where it listens (rest_listening). Give another "
                    f"address with --url or {URL_VARIABLE}.")
            if isinstance(exc, ssl.SSLCertVerificationError):
                hint = ("If a private authority has signed its certificate, name the PEM file of that authority as "
                        "ca=FILE in the file of --credentials, or in CDC_CLI_CA.")
            raise NotReadyError(f"No worker answers at {self.url}: {_reason(exc)}.", hint=hint) from exc
        finally:
            connection.close()
        return response.status, text.decode("utf-8", "replace")

    def _connection(self) -> http.client.HTTPConnection:
        host, port = self._parts.hostname or "", self._parts.port
        if self._parts.scheme == "http":
            return http.client.HTTPConnection(host, port, timeout=self.timeout_s)
        return http.client.HTTPSConnection(host, port, timeout=self.timeout_s, context=self._who.tls())

    def _refusal(self, status: int, text: str) -> CdcError:
        found = _decoded(text)
        message = str(found.get("message", "")) if isinstance(found, dict) else ""
        message = message or f"{self.url} answers with HTTP status {status}."
        if status in (404, 409):
            return StateError(message, status=status)
        if status in (401, 403):
            hint = ("Give a token in CDC_CLI_TOKEN, a user in CDC_CLI_USER and CDC_CLI_PASSWORD, or a file with "
                    "--credentials.") if status == 401 else ""
            return CdcError(message, hint=hint)
        if status == 503:
            return NotReadyError(message)
        return ConfigError(message) if status in (400, 422) else CdcError(message)


def _decoded(text: str) -> Any:
    if not text.strip():
        return None
    try:
        return json.loads(text)
    except ValueError:
        return text


def _reason(exc: BaseException) -> str:
    if isinstance(exc, TimeoutError):
        return "it took too long"
    return str(getattr(exc, "strerror", None) or getattr(exc, "reason", None) or type(exc).__name__)
