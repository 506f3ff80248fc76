"""Environment variables that set configuration keys: which ones they are, and the keys that their names stand for.

`CDC_OFFSET_FLUSH_INTERVAL_MS` stands for `offset.flush.interval.ms`: every character of the key that is no letter and
no digit is `_`, and all letters are upper case. `CDC_SHOP__SLOT_NAME` is the same for the connector `shop` only.
`CDC_PROPERTIES` holds lines of a properties file, for keys that a variable's name cannot spell. With the ending `_FILE`
a variable names a file whose content is the value.

No message of this module contains a value.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Final

from cdc.core.dataclass import dataclass
from cdc.core.late_regex import late_regex

from .files import read_properties, text_of
from .secrets import Secret
from .table import OptionTable

PREFIX: Final = "CDC_"
FILE: Final = "_FILE"
PROPERTIES: Final = "PROPERTIES"
SEPARATOR: Final = "__"
_NOT_KEYS: Final = ("CDC_LOG_LEVEL", "CDC_LOG_FORMAT", "CDC_PURE", "CDC_SKIP_COMPILE", "CDC_REQUIRE_COMPILED")
_NOT_KEYS_EITHER: Final = ("CDC_TEST_", "CDC_DEMO_", "CDC_CLI_")
"""Variables of the process, the tests, the demo and the commands that ask a worker, which are no configuration keys."""

_SERVICE: Final = late_regex(r"((?:CDC|DEBEZIUM)(?:_\w+)?)_SERVICE_(?:HOST|PORT(?:_\w+)?)")
_SERVICE_PORT: Final = late_regex(r"(?:_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)?")
_PORT_URL: Final = late_regex(r"(?:tcp|udp|sctp)://.*")


def variable_of(name: str) -> str:
    """How a configuration key or a connector's name is spelled in a variable, without the prefix."""
    return re.sub(r"[^A-Z0-9]", "_", name.upper())


def of_a_service(name: str, environment: Mapping[str, str]) -> bool:
    """Whether Kubernetes has set the variable *name*, because there is a Service called `cdc`, `cdc-…`,
    `debezium-…` or similar.

    Kubernetes documentation, "Service", "Environment variables": X_SERVICE_HOST, X_SERVICE_PORT[_NAME], X_PORT, and
    X_PORT_n_TCP with _PROTO, _PORT and _ADDR. X_PORT holds a URL, so it is never mistaken for a port's number.
    """
    found = _SERVICE.fullmatch(name)
    if found and all(f"{found[1]}_SERVICE_{part}" in environment for part in ("HOST", "PORT")):
        return True
    ends = [port.end() for port in re.finditer("_PORT", name)]
    return any(_SERVICE_PORT.fullmatch(name[end:]) and _PORT_URL.fullmatch(environment.get(name[:end], ""))
               for end in ends)


def candidates(environment: Mapping[str, str], texts: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """The variables that set keys, without the prefix; and the names of those that Kubernetes has set.

    A variable that *texts* (values of the configuration) refer to, as in `${env:CDC_PASSWORD}`, sets no key.
    """
    referred = {name for text in texts for name in re.findall(r"\$\{[^{}]*?:([^{}:]+)\}", text)}
    ours: dict[str, str] = {}
    services: list[str] = []
    for name, text in sorted(environment.items()):
        if not name.startswith(PREFIX) or name in _NOT_KEYS or name.startswith(_NOT_KEYS_EITHER):
            continue
        if of_a_service(name, environment):
            services.append(name)
        elif name not in referred:
            ours[name.removeprefix(PREFIX)] = text
    return ours, services


@dataclass(frozen=True)
class Spelled:
    """The key that a word stands for, and whether the word's value is the name of a file with the key's value."""

    key: str
    in_file: bool = False


class Ambiguous(Exception):
    """A word stands for several keys, `keys`."""

    def __init__(self, keys: Collection[str]) -> None:
        super().__init__()
        self.keys = sorted(keys)


class Spelling:
    """The words that stand for the keys of some option tables, and for other keys that a configuration has already."""

    def __init__(self, tables: Iterable[OptionTable], present: Iterable[str] = ()) -> None:
        self._tables = tuple(tables)
        self._keys: dict[str, set[str]] = {}
        declared = (o.key for table in self._tables for o in (*table.options, *table.others) if o.pattern is None)
        for key in (*declared, *present):
            self._keys.setdefault(variable_of(key), set()).add(key)

    def find(self, word: str) -> Spelled | None:
        """The key that *word* stands for; None if there is none. Raises Ambiguous."""
        key = self._known(word)
        if key is not None:
            return Spelled(key)
        if word.endswith(FILE):
            base = word.removesuffix(FILE)
            key = self._known(base) or self._of_a_family(base)
            return None if key is None else Spelled(key, in_file=True)
        key = self._of_a_family(word)
        return None if key is None else Spelled(key)

    def nearest(self, word: str) -> str | None:
        """The word that is most similar to *word*; None if none is similar."""
        found = difflib.get_close_matches(word, self._keys, n=1, cutoff=0.72)
        return found[0] if found else None

    def _known(self, word: str) -> str | None:
        keys = self._keys.get(word, set())
        if len(keys) > 1:
            raise Ambiguous(keys)
        return next(iter(keys), None)

    def _of_a_family(self, word: str) -> str | None:
        key = word.lower().replace("_", ".")
        if not word or ".." in key:
            return None
        found = (table.declared(key) for table in self._tables)
        return key if any(option is not None and option.dotted for option in found) else None


def content(path: str) -> Secret:
    """The text of the file *path* without the ends of lines at its end. Raises OSError; ValueError if it is empty."""
    text = text_of(Path(path).read_bytes()).rstrip("\r\n")
    if not text:
        raise ValueError("the file is empty")
    return Secret(text)


def lines_of(text: str, name: str) -> dict[str, str]:
    """The keys of *text*, lines of a properties file, the value of variable *name*. If *text* is `Secret`, so are the
    values. Raises ConfigError."""
    kind = Secret if isinstance(text, Secret) else str
    return {key: kind(value) for key, value in read_properties(text, name).items()}
