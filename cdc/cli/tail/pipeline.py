"""Events of a running pipeline, from its REST interface."""

from __future__ import annotations

import http.client
import json
import sys
from collections.abc import Generator, Iterable

from cdc.core.errors import CdcError, ConfigError

from .address import server_address
from .printer import Dropped, Event, Seen

DEFAULT_URL = "http://127.0.0.1:8083"
_SILENCE_SECONDS = 60.0


def pipeline_events(url: str, readable: bool) -> Generator[Seen]:
    """Yield what the pipeline at *url* (its `listeners` address) sends from now on, until it ends.

    Raises ConfigError for a malformed address, CdcError when no pipeline answers there.
    """
    parts = server_address(url if "://" in url else f"http://{url}")
    if parts is None or parts.scheme != "http":
        raise ConfigError("The URL is not the address of a pipeline.", hint="For example http://127.0.0.1:8083.")
    assert parts.hostname is not None
    path = f"{parts.path.rstrip('/')}/tail" + ("?readable=true" if readable else "")
    connection = http.client.HTTPConnection(parts.hostname, parts.port or 8083, timeout=_SILENCE_SECONDS)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        if response.status != 200:
            raise CdcError(f"{parts.hostname} answered {response.status}: {_message(response.read())}")
        yield from _server_sent(response)
        print("The pipeline has ended.", file=sys.stderr)
    except (OSError, http.client.HTTPException) as exc:
        raise CdcError(f"No pipeline answers at {parts.hostname}:{parts.port or 8083}: {type(exc).__name__}.",
                       hint="Is `cdc run` running? Its log says at start where it listens (rest_listening).") from exc
    finally:
        connection.close()


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return "no reason given"


def _server_sent(lines: Iterable[bytes]) -> Generator[Seen]:
    """Parse the kinds of server-sent events that `/tail` sends: WHATWG HTML, "Server-sent events"."""
    kind = ""
    for raw in lines:
        line = raw.decode("utf-8").rstrip("\r\n")
        if line.startswith("event: "):
            kind = line.removeprefix("event: ")
        elif line.startswith("data: "):
            data = json.loads(line.removeprefix("data: "))
            if kind == "change":
                yield Event(data["topic"], data["key"], data["value"])
            elif kind == "dropped":
                yield Dropped(data["count"])
