"""Where a worker listens, as people write it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from cdc.core.errors import ConfigError

DEFAULT_URL: Final = "http://127.0.0.1:8083"
URL_VARIABLE: Final = "CDC_CLI_URL"
"""Where the worker listens that commands ask."""


def address(url: str | None, worker_file: str | None = None, *, option: str = "--url") -> str:
    """Where the worker listens, as `http://host:port`: *url* (of *option*), else CDC_CLI_URL, `listeners` of
    *worker_file*, CDC_LISTENERS, or this machine's port 8083. Raises ConfigError."""
    listeners = ""
    if worker_file and not url:
        from cdc.config.files import read_file

        listeners = read_file(Path(worker_file)).get("listeners", "").strip() or DEFAULT_URL
    text = url or listeners or os.environ.get(URL_VARIABLE) or os.environ.get("CDC_LISTENERS") or DEFAULT_URL
    first = text.split(",")[0].strip()
    parts = _parts(first if "://" in first else f"http://{first}")
    if parts is None or "@" in parts.netloc:
        shown = "What was given" if "@" in text or "?" in text else text  # it may have a password, or a token
        raise ConfigError(f"{shown} is no address of a worker.", option=option,
                          hint=f"Write it as {DEFAULT_URL}; who you are is read from --credentials or CDC_CLI_TOKEN.")
    host = {"0.0.0.0": "127.0.0.1", "::": "::1", None: "127.0.0.1"}.get(parts.hostname, parts.hostname)
    return _written(parts, host or "", parts.port or (443 if parts.scheme == "https" else 8083))


def connect_address(url: str) -> tuple[str, Mapping[str, str]]:
    """Where a Kafka Connect listens, without the user and the password that may stand in *url*; and those, by the names
    of `credentials`. Raises ConfigError."""
    parts = _parts(url)
    if parts is None or not parts.hostname:
        raise ConfigError("The address of Kafka Connect must have the form http://host:port.",
                          hint="Its REST interface is at `listeners` of its worker, port 8083 by default.")
    who = {key: unquote(text) for key, text in (("user", parts.username), ("password", parts.password))
           if text is not None}
    return _written(parts, parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)), who


def _parts(url: str) -> SplitResult | None:
    """None for what is no address."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or parts.query or parts.fragment or not _can_be_host(parts.hostname or ""):
        return None
    return parts


def _can_be_host(name: str) -> bool:
    """Whether the resolver takes *name*, which encodes it so. Without a name it is this machine."""
    try:
        return not name or (name.isprintable() and " " not in name and bool(name.encode("idna")))
    except UnicodeError:
        return False


def _written(parts: SplitResult, host: str, port: int) -> str:
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}:{port}{parts.path.rstrip('/')}"
