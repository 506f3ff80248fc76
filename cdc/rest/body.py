"""Reads what a client sends: bodies within limits, JSON, and the shapes that Kafka Connect takes.

Kafka Connect answers 500 to a body that is no JSON, or has another shape; here that is 400, because the client must
change it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

MOST_BYTES: Final = 1 << 20
READ_S: Final = 20.0
"""So long a client may take to send a body."""
MOST_KEYS: Final = 5000
LONGEST_KEY: Final = 1000
_JSON: Final = ("application/json", "text/json", "*/*", "")


async def body(request: Request) -> bytes:
    """The request's body. Raises HTTPException: 413 beyond MOST_BYTES, 408 after READ_S seconds."""
    if int(request.headers.get("content-length") or 0) > MOST_BYTES:
        raise _too_large()
    try:
        async with asyncio.timeout(READ_S):
            chunks, size = [], 0
            async for chunk in request.stream():
                size += len(chunk)
                if size > MOST_BYTES:
                    raise _too_large()
                chunks.append(chunk)
    except TimeoutError:
        raise HTTPException(408, "The body did not arrive in time.", {"Connection": "close"}) from None
    except ClientDisconnect:
        raise HTTPException(400, "The client went away.") from None
    return b"".join(chunks)


def _too_large() -> HTTPException:
    return HTTPException(413, f"A body may have {MOST_BYTES} bytes.", {"Connection": "close"})


async def json_body(request: Request) -> Any:
    """The body as JSON; None if it is empty. Raises HTTPException: 415 for another media type, 400 for no JSON."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    data = await body(request)
    if not data.strip():
        return None
    if kind not in _JSON and not kind.endswith("+json"):
        raise HTTPException(415)
    try:
        found = json.loads(data, parse_float=_Number, parse_constant=_no_constant, object_pairs_hook=_no_repeats)
        json.dumps(found, ensure_ascii=False).encode()
        return found
    except RecursionError:
        raise HTTPException(400, "The body is nested too deeply.") from None
    except UnicodeError:
        raise HTTPException(400, "The body is not UTF-8, or has one half of a surrogate pair.") from None
    except json.JSONDecodeError as exc:
        raise HTTPException(400, f"The body is not JSON: {exc.msg}, line {exc.lineno}, column {exc.colno}.") from None
    except ValueError as exc:
        raise HTTPException(400, f"The body is not JSON: {exc}.") from None


class _Number(float):
    """A number with the text that it has in the JSON: 1.50 stays 1.50."""

    def __new__(cls, text: str) -> _Number:
        made = super().__new__(cls, text)
        made.text = text
        return made

    text: str


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("a key occurs twice in an object")
    return made


def object_of(found: Any, what: str) -> dict[str, Any]:
    """*found* if it is a JSON object. Raises HTTPException."""
    if not isinstance(found, dict):
        raise HTTPException(400, f"{what} must be a JSON object.")
    return found


def flat_config(found: Any, *, nulls: bool = False) -> dict[str, str | None]:
    """A configuration as JSON with all values as text: 1 is "1", true is "true", 1.50 is "1.50". Raises
    HTTPException. With *nulls*, null stays None."""
    config = object_of(found, "A configuration")
    if len(config) > MOST_KEYS:
        raise HTTPException(400, f"A configuration may have {MOST_KEYS} keys.")
    if any(len(key) > LONGEST_KEY for key in config):
        raise HTTPException(400, f"A key may have {LONGEST_KEY} characters.")
    return {key: _scalar(key, value, nulls) for key, value in config.items()}


def with_values(config: Mapping[str, str | None]) -> dict[str, str]:
    """*config* if it has no null. Raises HTTPException."""
    for key, text in config.items():
        if text is None:
            raise HTTPException(400, f"{key} is null. Give it a value, or leave the key out.")
    return {key: text for key, text in config.items() if text is not None}


def _scalar(key: str, value: Any, nulls: bool) -> str | None:
    if isinstance(value, dict | list):
        raise HTTPException(400, f"{key}: a value must be text, a number, true or false.")
    if value is None and not nulls:
        raise HTTPException(400, f"{key} is null. Give it a value, or leave the key out.")
    if value is None:
        return None
    if isinstance(value, bool):
        return str(value).lower()
    return value.text if isinstance(value, _Number) else str(value)


def flag(request: Request, name: str, default: bool = False) -> bool:
    """A query parameter: `true` in any case is true, anything else false."""
    text = request.query_params.get(name)
    return default if text is None else text.lower() == "true"
