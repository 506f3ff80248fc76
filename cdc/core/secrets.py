"""What must not be shown: which keys hold secrets, and how text loses the ones inside it.

Logs, REST answers and error messages all go through here, so that one rule decides. References such as
`${env:PGPASSWORD}` name a secret without being one and stay readable.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from .options import HIDDEN, Secret

_SALT = re.compile(r"(?<=\.with\.salt\.).+", re.IGNORECASE)
"""Debezium's column.mask.hash options carry their salt within the key."""
_KEY = re.compile(
    r"pass(word|wd|phrase|code)|secret|token(?!iz)|jaas|credential(?!s[._]source)|private.?key|api.?key|access.?key"
    r"|auth.*user.?info|authorization|bearer|keystore[._]key$|connection.?string|with\.salt",
    re.IGNORECASE,
)
_REFERENCE = r"\$\{[^}]*\}"
_REFERENCES = re.compile(rf"(?:{_REFERENCE})+")
_USERINFO = re.compile(r"(?P<scheme>\b[A-Za-z][A-Za-z0-9+.-]*://)(?P<userinfo>[^\s/?#@'\"<>]*(?:@[^\s/?#@'\"<>]*)*)@")
_ASSIGNED = re.compile(
    r"(?P<key>\b[\w.-]*(?:pass(?:word|wd|phrase)|secret)[\w.-]*\s*[=:]\s*)"
    r"(?P<value>'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|[^\s;,&'\"]+)",
    re.IGNORECASE,
)


def is_secret_key(key: str) -> bool:
    """Whether a configuration or log key of this name holds a secret."""
    return _KEY.search(key) is not None


def is_reference(value: str) -> bool:
    """Whether *value* is nothing but references to a config provider (KIP-297), such as `${file:/f:key}`."""
    return _REFERENCES.fullmatch(value) is not None


def scrub(text: str) -> str:
    """*text* without the user part of its URLs and without values assigned to passwords (`password=…`)."""
    if "://" in text:
        text = _USERINFO.sub(_without_userinfo, text)
    return _ASSIGNED.sub(_without_value, text)


def mask(config: Mapping[str, str | None]) -> dict[str, str | None]:
    """A flat configuration fit to be shown: secret values are HIDDEN, references stay as they are."""
    shown: dict[str, str | None] = {}
    for key, value in config.items():
        name = _SALT.sub(HIDDEN, key)
        while name in shown:
            name += "+"
        shown[name] = value if name != key else _masked(key, value)
    return shown


def _masked(key: str, value: str | None) -> str | None:
    if not value or is_reference(value):
        return value
    return HIDDEN if is_secret_key(key) or isinstance(value, Secret) else scrub(value)


def _without_userinfo(match: re.Match[str]) -> str:
    parts = match["userinfo"].split(":") if "${" not in match["userinfo"] else re.split(r"(?<=\}):", match["userinfo"])
    return match[0] if all(is_reference(part) for part in parts) else match["scheme"]


def _without_value(match: re.Match[str]) -> str:
    return match[0] if is_reference(match["value"].strip("'\"")) else match["key"] + HIDDEN
