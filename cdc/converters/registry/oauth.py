"""Bearer tokens from an OAuth server, by the client credentials grant (RFC 6749, section 4.4).

Source: confluentinc/schema-registry, `OauthCredentialProvider`, `OauthTokenCache`; apache/kafka, `HttpJwtRetriever`.
"""

from __future__ import annotations

import base64
import binascii
import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final
from urllib.parse import urlencode

from cdc.core.dataclass import dataclass
from cdc.core.errors import ConfigError, RegistryConnectionError, RegistryRefusedError

from .exchange import Stop
from .http import RegistryHttp
from .settings import RegistrySettings

UNKNOWN_LIFE_S: Final = 60.0
"""How long a token is used that does not say how long it lives."""
_FORM: Final = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Client:
    """What we say to the OAuth server. *buffer_s*: how long before its end a token is replaced."""

    endpoint: str
    client_id: str
    secret: str
    scope: str | None = None
    buffer_s: float = 300.0


class OauthTokens:
    """Tokens of one client, kept until shortly before they end. For one thread at a time."""

    def __init__(self, client: Client, transport: RegistrySettings, more: dict[str, str] | None = None,
                 stop: Stop | None = None, clock: Callable[[], float] = time.time) -> None:
        """*transport*: timeouts, TLS and retries. *more*: headers that go with each token. *clock*: seconds since
        1970."""
        self._client = client
        self._more = more or {}
        self._clock = clock
        self._token = ""
        self._until = 0.0
        self._fresh = False
        settings = replace(transport, schema_registry_url=(client.endpoint,), bearer_auth_token=None,
                           basic_auth_credentials_source="USER_INFO",
                           basic_auth_user_info=f"{client.client_id}:{client.secret}")
        self._http = RegistryHttp(settings, {}, stop, content_type=_FORM, name="the OAuth server",
                                  address="the token endpoint")

    def headers(self) -> dict[str, str]:
        """Authorization, and what goes with it. Raises RegistryConnectionError, RegistryRefusedError."""
        self._fresh = self._clock() >= self._until
        if self._fresh:
            self._token, self._until = self._ask()
        return {"Authorization": f"Bearer {self._token}", **self._more}

    def forget(self) -> bool:
        """Ask for another token next time, unless this one is new."""
        if not self._fresh:
            self._until = 0.0
            return True
        return False

    def close(self) -> None:
        self._http.close()

    def _ask(self) -> tuple[str, float]:
        fields = {"grant_type": "client_credentials"} | ({"scope": self._client.scope} if self._client.scope else {})
        status, answer = self._http.request("POST", "", urlencode(fields).encode())
        token = answer.get("access_token") if isinstance(answer, dict) else None
        if status != 200 or not isinstance(token, str) or not token.isascii() or not token.isprintable():
            kind = RegistryConnectionError if status >= 500 else RegistryRefusedError
            raise kind("the OAuth server gives no token", registry=self._http.shown(), status=status,
                       error_code=_error(answer), hint="Check the token endpoint, the client's id, secret and scope.")
        return token, self._clock() + self._life_s(token, answer.get("expires_in"))

    def _life_s(self, token: str, expires_in: Any) -> float:
        """For how many seconds *token* may be used."""
        if isinstance(expires_in, int | float) and expires_in > 0:
            life = float(expires_in)
        else:
            end = _expiry(token)
            life = UNKNOWN_LIFE_S if end is None else end - self._clock()
        return max(life - self._client.buffer_s, min(life / 2, UNKNOWN_LIFE_S))


def oauth_tokens(settings: RegistrySettings, stop: Stop | None = None) -> OauthTokens:
    """For `bearer.auth.credentials.source=OAUTHBEARER`. Raises ConfigError."""
    given = {"bearer.auth.issuer.endpoint.url": settings.bearer_auth_issuer_endpoint_url,
             "bearer.auth.client.id": settings.bearer_auth_client_id,
             "bearer.auth.client.secret": settings.bearer_auth_client_secret}
    for key, value in given.items():
        if not value:
            raise ConfigError(f"{key} is missing", option=key,
                              hint="It is required by bearer.auth.credentials.source=OAUTHBEARER.")
    endpoint, client_id, secret = (value or "" for value in given.values())
    client = Client(endpoint, client_id, secret, settings.bearer_auth_scope,
                    settings.bearer_auth_cache_expiry_buffer_seconds)
    more = {"target-sr-cluster": settings.bearer_auth_logical_cluster,
            "Confluent-Identity-Pool-Id": settings.bearer_auth_identity_pool_id}
    return OauthTokens(client, settings, {name: value for name, value in more.items() if value}, stop)


def _error(answer: Any) -> str | None:
    """RFC 6749, section 5.2: a code such as `invalid_client`."""
    code = answer.get("error") if isinstance(answer, dict) else None
    return code[:60] if isinstance(code, str) else None


def _expiry(token: str) -> float | None:
    """When a JWT ends, in seconds since 1970."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        return float(claims["exp"])
    except (ValueError, KeyError, TypeError, binascii.Error):
        return None
