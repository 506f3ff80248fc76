"""Who may ask for what: users and tokens, local clients, and the origins of web pages.

With users or tokens, every request needs one of them, except probes. Without, clients on this machine may do everything
and others may look. A web page that a browser on this machine shows is no local client: it can send requests here under
its own host name (DNS rebinding), so the name in `Host` counts too; and under ours, with the password that the browser
has for it, so `Origin` counts for all that changes something (Fetch standard, "Origin header", "Sec-Fetch-Site").
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from cdc.core.dataclass import dataclass
from cdc.core.errors import ConfigError
from cdc.core.late_regex import late_regex

if TYPE_CHECKING:
    from starlette.datastructures import Headers
    from starlette.types import Scope

PROBES: Final = ("/healthz", "/readyz")
_READING: Final = ("GET", "HEAD", "OPTIONS")
_LOCAL_CLIENTS: Final = ("127.", "::1", "::ffff:127.")
_LOCAL_HOSTS: Final = ("localhost", "127.0.0.1", "[::1]")
_PROXIED: Final = ("forwarded", "x-forwarded-for", "x-real-ip")
_RULE: Final = late_regex(r"(set|add)\s+([A-Za-z0-9-]+):\s*(.*)", re.IGNORECASE | re.DOTALL)


def _headers(scope: Scope) -> Headers:
    from starlette.datastructures import Headers  # who reads a configuration needs no HTTP

    return Headers(scope=scope)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


@dataclass(frozen=True)
class Access:
    """`users` are SHA-256 digests of `name:password`, `tokens` of tokens. `origins` may hold `*` and `*.domain`;
    `methods` empty allows those of CORS that need no permission. `headers` are added to every answer."""

    users: frozenset[bytes] = field(default=frozenset(), repr=False)
    tokens: frozenset[bytes] = field(default=frozenset(), repr=False)
    anonymous_writes: bool = False
    origins: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def asks(self) -> bool:
        """Whether clients must say who they are."""
        return bool(self.users or self.tokens)

    def knows(self, headers: Headers) -> bool:
        """Whether a request has the credentials of a user, or a token."""
        kind, _, credentials = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return _is_in(credentials.strip(), self.tokens)
        if kind.lower() != "basic":
            return False
        try:
            return _is_in(base64.b64decode(credentials.strip(), validate=True).decode(), self.users)
        except (binascii.Error, ValueError):
            return False

    def refusal(self, scope: Scope) -> tuple[int, str] | None:
        """The status and the reason of a refusal; None if the request may go on."""
        headers = _headers(scope)
        if scope["method"] not in _READING and not self.cors(scope) and _is_of_a_foreign_page(headers):
            return 403, ("A web page of another origin may not change anything. access.control.allow.origin in the "
                         "worker's configuration names those that may.")
        if self.asks:
            allowed = scope["path"] in PROBES or self.knows(headers)
            return None if allowed else (401, "This worker asks for a user and password, or a token.")
        if scope["method"] in _READING or self.anonymous_writes or is_local(scope):
            return None
        return 403, ("Without authentication only clients on this machine may change something. Set "
                     "cdc.rest.users.file or cdc.rest.tokens.file in the worker's configuration, or "
                     "cdc.rest.anonymous.writes=true if nobody else can reach it.")

    def cors(self, scope: Scope) -> list[tuple[str, str]]:
        """What a browser needs, to show the answer to the page that asks."""
        headers = _headers(scope)
        origin = headers.get("origin", "")
        if not origin or not any(pattern == "*" or fnmatchcase(origin, pattern) or fnmatchcase(
                origin.partition("://")[2], pattern) for pattern in self.origins):
            return []
        found = [("Access-Control-Allow-Origin", origin), ("Vary", "Origin")]
        if headers.get("access-control-request-method"):
            found += [("Access-Control-Allow-Methods", ",".join(self.methods or ("GET", "POST", "HEAD"))),
                      ("Access-Control-Allow-Headers", "X-Requested-With,Content-Type,Accept,Origin,Authorization"),
                      ("Access-Control-Max-Age", "1800")]
        return found


def _is_of_a_foreign_page(headers: Headers) -> bool:
    """Whether a browser sends this for a page that does not come from this address."""
    origin, site = headers.get("origin", ""), headers.get("sec-fetch-site", "")
    if site:
        return site.lower() not in ("same-origin", "none")
    return bool(origin) and origin.partition("://")[2].lower() != headers.get("host", "").lower()


def is_local(scope: Scope) -> bool:
    """Whether the client runs on this machine, named it by a local name, and is no proxy that asks for another one."""
    headers = _headers(scope)
    host = re.sub(r":\d*$", "", headers.get("host", ""))
    client = scope["client"][0] if scope.get("client") else ""
    proxied = any(name in headers for name in _PROXIED)
    return not proxied and client.startswith(_LOCAL_CLIENTS) and host.lower() in _LOCAL_HOSTS


def _is_in(text: str, digests: Iterable[bytes]) -> bool:
    wanted = _digest(text)
    return sum(hmac.compare_digest(wanted, each) for each in digests) > 0  # in the same time for all of them


def users_of(pairs: Mapping[str, str], option: str) -> frozenset[bytes]:
    """The users of a file with lines `name=password`. Raises ConfigError if there are none."""
    if not pairs:
        raise ConfigError(f"{option}: the file names no user.", option=option, hint="Add a line: name=password.")
    for name, password in pairs.items():
        if not password or ":" in name:
            raise ConfigError(f"{option}: a user has no password, or a colon in its name.", option=option)
    return frozenset(_digest(f"{name}:{password}") for name, password in pairs.items())


def tokens_of(text: str, option: str) -> frozenset[bytes]:
    """The tokens of a file with one a line. Raises ConfigError for a short one, or if there are none."""
    tokens = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if not tokens or min(map(len, tokens)) < 16:
        raise ConfigError(f"{option}: the file needs tokens of 16 characters or more, one a line.", option=option,
                          hint="A good one: openssl rand -hex 32.")
    return frozenset(_digest(token) for token in tokens)


def header_rules(text: str, option: str) -> tuple[tuple[str, str], ...]:
    """`response.http.headers.config`: `set Name: value` or `add Name: value`, in quotes if a comma is in it, separated
    by commas. Raises ConfigError."""
    rules: Sequence[str] = [quoted or plain for quoted, plain in re.findall(r'"([^"]*)"|([^,"]+)', text)]
    found = []
    for rule in (each.strip() for each in rules if each.strip()):
        match = _RULE.fullmatch(rule)
        if match is None or any(ord(character) < 32 for character in rule):
            raise ConfigError(f"{option}: a rule is not of the form: set Name: value.", option=option,
                              hint="setDate and addDate are not available.")
        found.append((match[2], match[3].strip()))
    return tuple(found)
