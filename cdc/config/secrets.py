"""Which keys hold secrets, and how text is shown without them.

Logs, REST answers and error messages all use this module, so that one rule decides. A connector's configuration is
shown by its options' declarations (`OptionTable.shows`, `sealed`); names and patterns are the second line, for texts
and for keys that nobody declared. A reference such as
`${env:PGPASSWORD}` only names a secret, so it stays readable.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from cdc.core.late_regex import late_regex

HIDDEN = "[hidden]"

_HASH_KEY = late_regex(r".*(mask\.hash|\bsalt\b).*|colum.*\.([^.]+\.){4}.+", re.IGNORECASE | re.DOTALL)
"""Debezium's column.mask.hash options carry their salt within the key."""
_HASH_WORDS = late_regex(r"column|mask|hash|v2|with|salt|MD5|SHA3?(-[\d/]+)?", re.IGNORECASE)
_KEY = late_regex(
    r"pass(word|wd|phrase|code)|secret|token(?!iz)|jaas|credential(?!s[._]source)|private.?key|api.?key|access.?key"
    r"|auth.*user.?info|authorization|bearer|keystore[._]key$|connection.?string|\bsalt\b|\.pem$|request\.header\."
    r"|basic\.auth(?!\.credentials\.source)|\bpwd\b|cookie|kinit\.cmd|oauthbearer\.(config|extensions)",
    re.IGNORECASE,
)
_REFERENCE = r"\$\{[^}]*\}"
_REFERENCES = late_regex(rf"(?:{_REFERENCE})+")
_USERINFO = late_regex(
    r"(?P<scheme>\b[A-Za-z][A-Za-z0-9+.-]{0,40}://)"
    r"(?P<userinfo>[^\s/?#@:'\"<>]*:(?:(?!,\w+://)[^\s'\"<>])*|[^\s/?#@:'\"<>]*)@")
"""A password that is not escaped may contain slashes, so after a colon everything up to the last @ belongs to it."""
_WORD: Final = late_regex(r"[^\s'\"<>]+")
"""What a URL is within. One word at a time is searched, up to its last @: so the time grows with the length only."""
_QUOTED = r"'(?:[^'\\]|\\.|'')*(?:'|\Z)|\"(?:[^\"\\]|\\.|\"\")*(?:\"|\Z)"
_ASSIGNED = late_regex(
    r"(?P<key>(?:pass(?:word|wd|phrase|code)|secret|api[_-]?key|access[_-]?key|private[_-]?key|\bpwd)[\w.-]{0,200}"
    r"\\?[\"']?\s*[=:]\s*\\?)"
    rf"(?P<value>{_REFERENCE}|{_QUOTED}|[^\s;,&'\"]+)",
    re.IGNORECASE | re.DOTALL,
)
_IN_SQL = late_regex(
    r"(?P<key>\b(?:identified\s+(?:by(?:\s+password)?|(?:with|via)\s+\S+\s+(?:by|as|using))|(?<![\"'\w.-])password(?:\s+for\s+\S+\s*=)?)"
    rf"\s*(?:\(\s*)?[EN]?)(?P<value>{_QUOTED}|\$(?P<tag>\w*)\$.*?(?:\$(?P=tag)\$|\Z))",
    re.IGNORECASE | re.DOTALL,
)
_HEADER = late_regex(
    r"(?P<key>\b(?:(?:proxy-)?authorization|(?:set-)?cookie)\\?[\"']?\s*[:=]\s*\\?[\"']?)(?P<value>[^\r\n\"'\\]+)",
    re.IGNORECASE)
_PEM = late_regex(r"(?P<key>-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----)(?P<value>.*?)(?=-----END|\Z)", re.DOTALL)


class Secret(str):
    """Text that must not be shown; its repr hides it. Config providers return values of this type."""

    __slots__ = ()

    def __repr__(self) -> str:
        return HIDDEN


def is_secret_key(key: str) -> bool:
    """Whether a configuration or log key of this name holds a secret."""
    return _KEY.search(key) is not None


def shown_key(key: str) -> str:
    """*key* without the salt that it may hold, even if the rest of it is misspelt."""
    if not _HASH_KEY.fullmatch(key):
        return key
    parts = key.split(".")
    known = next((place for place, part in enumerate(parts) if not _HASH_WORDS.fullmatch(part)), len(parts))
    salt = next((place for place, part in enumerate(parts) if part.lower() == "salt"), None)
    kept = known if salt is None else salt + 1
    return ".".join((*parts[:kept], HIDDEN)) if kept < len(parts) else key


def shown(key: str, text: str) -> str:
    """*text* for a message, a log or a listing: quoted, or HIDDEN if *key* holds secrets or *text* is a `Secret`."""
    return HIDDEN if isinstance(text, Secret) or is_secret_key(key) else f'"{text}"'


def is_reference(value: str) -> bool:
    """Whether *value* consists only of references to a config provider (KIP-297), such as `${file:/f:key}`."""
    return _REFERENCES.fullmatch(value) is not None


def scrub(text: str) -> str:
    """*text* without the user part of its URLs, private keys, and values assigned to passwords: `password=…`,
    `{"password": "…"}`, `IDENTIFIED BY '…'`, `Authorization: Basic …`."""
    if "://" in text and "@" in text:
        text = _WORD.sub(_without_userinfos, text)
    if "PRIVATE KEY-----" in text:
        text = _PEM.sub(_without_value, text)
    for pattern in (_IN_SQL, _ASSIGNED, _HEADER):
        text = pattern.sub(_without_value, text)
    return text


def sealed(config: Mapping[str, str], shows: Callable[[str], bool]) -> dict[str, str]:
    """*config* with the values of all keys that *shows* does not allow as `Secret`, which `mask` hides. References stay
    readable."""
    return {key: text if shows(key) or not text or is_reference(text) else Secret(text)
            for key, text in config.items()}


def mask(config: Mapping[str, str | None]) -> dict[str, str | None]:
    """A flat configuration that may be shown: secret values are HIDDEN, references stay readable."""
    shown: dict[str, str | None] = {}
    for key, value in config.items():
        name = shown_key(key)
        while name in shown:
            name += "+"
        shown[name] = value if name != key else _masked(key, value)
    return shown


def _masked(key: str, value: str | None) -> str | None:
    if isinstance(value, Secret):
        return HIDDEN
    if not value or is_reference(value):
        return value
    return HIDDEN if is_secret_key(key) else scrub(value)


def _without_userinfos(word: re.Match[str]) -> str:
    end = word[0].rfind("@") + 1
    return _USERINFO.sub(_without_userinfo, word[0][:end]) + word[0][end:] if end else word[0]


def _without_userinfo(match: re.Match[str]) -> str:
    parts = match["userinfo"].split(":") if "${" not in match["userinfo"] else re.split(r"(?<=\}):", match["userinfo"])
    return match[0] if all(is_reference(part) for part in parts) else match["scheme"]


def _without_value(match: re.Match[str]) -> str:
    return match[0] if is_reference(match["value"].strip("'\"")) else match["key"] + HIDDEN
