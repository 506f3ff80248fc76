"""One request and its answer, and what a refusal means."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple
from urllib.parse import quote, urlencode, urlsplit

from cdc.core.errors import CdcError, ConfigError, StateError

from .address import URL_VARIABLE
from .credentials import Credentials
from .errors import NotReadyError

_MOST_BYTES: Final = 256 << 20
_PATH: Final = "/%:@!$&'()*+,;=~"
"""What stands in a path as it is, besides letters and digits (RFC 3986, "Path"); with what is quoted already."""
_LOCAL: Final = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True, slots=True)
class Hints:
    """What to do if nobody answers (*away*), if the certificate is not trusted (*untrusted*), and if it wants to know
    who asks (*unknown*). *name*: what it is that does not answer."""

    name: str = "No worker"
    away: str = ("Is `cdc run` running? Its log says at start where it listens (rest_listening). Give another address "
                 f"with --url or {URL_VARIABLE}.")
    untrusted: str = ("If a private authority has signed its certificate, name the PEM file of that authority as "
                      "ca=FILE in the file of --credentials, or in CDC_CLI_CA.")
    unknown: str = ("Give a token in CDC_CLI_TOKEN, a user in CDC_CLI_USER and CDC_CLI_PASSWORD, or a file with "
                    "--credentials.")


class Answer(NamedTuple):
    """`body`: the answer as JSON, as text if it is none, or None if it is empty."""

    status: int
    body: Any


class Client:
    """Asks one worker. Each request is one connection, so a client holds nothing open."""

    def __init__(self, url: str, who: Credentials | None = None, timeout_s: float = 30.0, hints: Hints | None = None,
                 ) -> None:
        """*url* as `address` gives it."""
        self.url = url
        self.timeout_s = timeout_s
        self.hints = hints or Hints()
        self._who = who or Credentials()
        self._parts = urlsplit(url)

    @property
    def in_clear(self) -> bool:
        """Whether others on the way can read who asks."""
        return bool(self._who.header) and self._parts.scheme == "http" and self._parts.hostname not in _LOCAL

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
        """The answer's body, which is JSON or empty. *path* are its parts, unquoted.

        Raises StateError for 404 and 409, ConfigError for 400 and for what is no worker's answer, NotReadyError if
        nobody answers or for 503, CdcError for every other refusal.
        """
        answer = self.exchange(method, *path, body=body, **query)
        if answer.status >= 300:
            raise self._refusal(answer)
        if isinstance(answer.body, str):
            raise ConfigError(f"{self.url} answers, but it is no worker.", hint=(
                f"Give the address of a worker's REST interface with --url or {URL_VARIABLE}."))
        return answer.body

    def text(self, *path: str) -> str:
        """The answer to GET, which is text; empty if it is not, or if there is nothing (404). Else as `ask`."""
        answer = self.exchange("GET", *path)
        if answer.status >= 300 and answer.status != 404:
            raise self._refusal(answer)
        return answer.body if isinstance(answer.body, str) and answer.status < 300 else ""

    def exchange(self, method: str, *path: str, body: Any = None, **query: str | list[str]) -> Answer:
        """The answer, also if it is a refusal. Raises NotReadyError if nobody answers or the answer breaks off,
        ConfigError for certificates of ours that cannot be read and for a *path* or *query* that cannot be sent, and
        CdcError for an answer of more than `_MOST_BYTES`."""
        target = self._target(path, query)
        data = None if body is None else json.dumps(body).encode()
        headers = {"Accept": "application/json, */*;q=0.1"}
        if data is not None:
            headers["Content-Type"] = "application/json"
        if self._who.header:
            headers["Authorization"] = self._who.header
        connection = self._connection()
        try:
            connection.request(method, target, data, headers)
            response = connection.getresponse()
            text = response.read(_MOST_BYTES + 1)
            if response.length and len(text) <= _MOST_BYTES:
                raise http.client.IncompleteRead(text, response.length)
        except (OSError, http.client.HTTPException) as exc:
            untrusted = isinstance(exc, ssl.SSLCertVerificationError)
            raise NotReadyError(f"{self.hints.name} answers at {self.url}: {_reason(exc)}.",
                                hint=self.hints.untrusted if untrusted else self.hints.away) from exc
        finally:
            connection.close()
        if len(text) > _MOST_BYTES:
            asked, _, _ = target.partition("?")
            raise CdcError(f"{self.url} answers {method} {asked} with more than {_MOST_BYTES >> 20} MiB.",
                           hint="No answer that is asked for here is that long. Does the address lead to a worker?")
        return Answer(response.status, _decoded(text.decode("utf-8", "replace")))

    def _target(self, path: tuple[str, ...], query: Mapping[str, str | list[str]]) -> str:
        try:
            asked = quote(self._parts.path, safe=_PATH) + "/" + "/".join(quote(part, safe="") for part in path)
            return asked + (f"?{urlencode(query, doseq=True)}" if query else "")
        except UnicodeEncodeError as exc:  # an argument whose bytes are no text, for example
            raise ConfigError(f"{exc.object!r} cannot be asked for, because it is no text in UTF-8.",
                              hint="Check how the name was typed, and the encoding of the terminal.") from exc

    def _connection(self) -> http.client.HTTPConnection:
        host, port = self._parts.hostname or "", self._parts.port
        if self._parts.scheme == "http":
            return http.client.HTTPConnection(host, port, timeout=self.timeout_s)
        return http.client.HTTPSConnection(host, port, timeout=self.timeout_s, context=self._who.tls())

    def _refusal(self, answer: Answer) -> CdcError:
        status = answer.status
        message = message_of(answer) or f"{self.url} answers with HTTP status {status}."
        if status in (404, 409):
            return StateError(message, status=status)
        if status in (401, 403):
            return CdcError(message, hint=self.hints.unknown if status == 401 else "")
        if status == 503:
            return NotReadyError(message)
        return ConfigError(message) if status in (400, 422) else CdcError(message)


def message_of(answer: Answer) -> str:
    """What a refusal says; empty if it says nothing."""
    return str(answer.body.get("message") or "") if isinstance(answer.body, dict) else ""


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
