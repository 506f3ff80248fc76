"""Who asks a worker: from the command line, the environment, or a file."""

from __future__ import annotations

import base64
import os
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cdc.core.errors import ConfigError

OF_WORKER: Final = "CDC_CLI_"
OF_CONNECT: Final = "CDC_CLI_CONNECT_"
"""What the variables begin with: for the worker that commands ask, and for the Kafka Connect of `cdc import`."""
_KEYS: Final = ("token", "user", "password", "ca", "certificate")

Given = Mapping[str, str]
"""Values by `_KEYS`, from one place."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who asks. `password` is None if a user was named without one. `ca` is a PEM file of certificates to trust,
    `certificate` one with the client's key and its own."""

    token: str = field(default="", repr=False)
    user: str = ""
    password: str | None = field(default=None, repr=False)
    ca: str = ""
    certificate: str = ""

    @property
    def header(self) -> str:
        """The value of `Authorization`; empty without a token and a user."""
        if self.token:
            return f"Bearer {self.token}"
        pair = f"{self.user}:{self.password or ''}".encode()
        return f"Basic {base64.b64encode(pair).decode()}" if self.user else ""

    def tls(self) -> ssl.SSLContext:
        """What `ca` and `certificate` make of TLS. Raises ConfigError."""
        try:
            context = ssl.create_default_context(cafile=self.ca or None)
            if self.certificate:
                context.load_cert_chain(self.certificate)
        except (OSError, ssl.SSLError) as exc:
            reason = getattr(exc, "strerror", None) or getattr(exc, "reason", None) or type(exc).__name__
            raise ConfigError(f"The certificates cannot be read: {reason}.",
                              hint="ca and certificate name files in PEM.") from exc
        return context


def credentials(file: str | None = None, *, given: Given | None = None, prefix: str = OF_WORKER) -> Credentials:
    """Who asks. The nearest place that names a token or a user decides: *given* (of the command line), *file* (an
    option's), the variables that begin with *prefix*, the file that one of them names. Raises ConfigError.

    A user's password may stand in another place than the user. `ca` and `certificate` are taken from the nearest place
    that has them.
    """
    variable = f"{prefix}CREDENTIALS"
    named = {key: os.environ[f"{prefix}{key.upper()}"] for key in _KEYS if os.environ.get(f"{prefix}{key.upper()}")}
    path = file or os.environ.get(variable, "")
    read = _read(path) if path else {}
    places = [("the address", given or {}), (path, read) if file else (f"{prefix}*", named),
              (f"{prefix}*", named) if file else (path, read)]
    who = _decided(places)
    for key in ("ca", "certificate"):
        who[key] = next((found[key] for _, found in places if found.get(key)), "")
    return Credentials(token=who.get("token", ""), user=who.get("user", ""), password=who.get("password"),
                       ca=who["ca"], certificate=who["certificate"])


def _decided(places: Sequence[tuple[str, Given]]) -> dict[str, str]:
    """The token, or the user with the password."""
    for place, found in places:
        token, user = found.get("token", ""), found.get("user", "")
        if token and user:
            raise ConfigError(f"There are a token and a user in {place}.", hint="Leave one of them out.")
        if any(not 32 < ord(char) < 127 for char in token):
            raise ConfigError(f"The token in {place} has characters that no token has.")
        if token:
            return {"token": token}
        if user:
            password = next((other["password"] for other in (found, *(other for _, other in places))
                             if "password" in other and other.get("user", user) == user), None)
            return {"user": user, **({} if password is None else {"password": password})}
    return {}


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
