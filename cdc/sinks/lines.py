"""One outgoing as one line of JSON."""

from __future__ import annotations

import base64
import json
from typing import Any, Final

import msgspec

from cdc.core.interfaces import Outgoing

LINE_START: Final = b'{"topic":'

_ANY = msgspec.json.Decoder(msgspec.Raw)


def json_line(outgoing: Outgoing) -> bytes:
    r"""`{"topic":…,"key":…,"value":…,"headers":[{"name":…,"value":…}]}` and a newline.

    Bytes that are JSON stand as they are; others as base64 text under `key_base64` and `value_base64`. Null is null,
    no headers are left out, and `kafka_partition` is there when it is given.
    """
    parts = [LINE_START + _text(outgoing.topic), _field("key", outgoing.key), _field("value", outgoing.value)]
    if outgoing.kafka_partition >= 0:
        parts.append(b'"kafka_partition":%d' % outgoing.kafka_partition)
    if outgoing.headers:
        headers = (b'{"name":' + _text(name) + b"," + _field("value", value) + b"}" for name, value in outgoing.headers)
        parts.append(b'"headers":[' + b",".join(headers) + b"]")
    return b",".join(parts) + b"}\n"


def _field(name: str, content: bytes | None) -> bytes:
    if content is None:
        return b'"%s":null' % name.encode()
    found = _json(content)
    if found is not None:
        return b'"%s":%s' % (name.encode(), found)
    return b'"%s_base64":"%s"' % (name.encode(), base64.b64encode(content))


def _json(content: bytes) -> bytes | None:
    """*content* on one line if it is JSON, else None."""
    try:
        content.decode()
        _ANY.decode(content)
        return msgspec.json.format(content, indent=-1) if b"\n" in content or b"\r" in content else content
    except (UnicodeDecodeError, msgspec.DecodeError):
        return None


def _text(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()
