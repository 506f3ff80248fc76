"""What a signal asks of snapshots beside the stream, or in place of it. Debezium docs, "Sending signals", "Ad hoc
snapshots"."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from cdc.core import control
from cdc.core.control import Signal
from cdc.core.dataclass import dataclass
from cdc.core.late_regex import late_regex


class RequestError(ValueError):
    """The signal's data is not understood; the text says why."""


@dataclass(frozen=True)
class Request:
    """`execute-snapshot`. *patterns*: names of tables, or regular expressions for them. *conditions*: pairs of such a
    pattern and a filter: for a blocking snapshot the whole SELECT, else a condition."""

    id: str
    patterns: tuple[str, ...]
    blocking: bool = False
    conditions: tuple[tuple[str, str], ...] = ()
    surrogate: str | None = None

    def chooses(self, name: str) -> bool:
        """Whether the table *name* is asked for."""
        return any(matches(each, name) for each in self.patterns)

    def condition(self, name: str) -> str | None:
        """The filter for table *name*."""
        return next((text for pattern, text in self.conditions if matches(pattern, name)), None)

    def parts(self) -> dict[str, Any]:
        """As JSON data, for the offset."""
        return {"id": self.id, "patterns": self.patterns, "blocking": self.blocking, "conditions": self.conditions,
                "surrogate": self.surrogate}

    @classmethod
    def from_parts(cls, parts: Mapping[str, Any]) -> Request:
        """What `parts` made. Raises KeyError, TypeError or ValueError for anything else."""
        conditions = tuple((str(pattern), str(text)) for pattern, text in parts["conditions"])
        surrogate = parts["surrogate"]
        return cls(str(parts["id"]), tuple(map(str, parts["patterns"])), bool(parts["blocking"]), conditions,
                   None if surrogate is None else str(surrogate))


_PART: Final = late_regex(r'"((?:[^"]|"")+)"|`((?:[^`]|``)+)`|([^."`]+)')


def matches(pattern: str, name: str) -> bool:
    """Whether *pattern* names the table *name*; case does not matter."""
    return pattern.lower() == name.lower() or _unquoted(pattern).lower() == name.lower() or (
        _is_regex(pattern) and re.fullmatch(pattern, name, re.IGNORECASE) is not None)


@lru_cache(256)
def _unquoted(name: str) -> str:
    """*name* without the quotes of its parts, such as `"public"."My.Table"`; as it is if it has none, or other text
    between its parts. Debezium docs, "Running an ad hoc snapshot", the note about names with dots."""
    if not {'"', "`"}.intersection(name):
        return name
    parts = []
    at = 0
    while found := _PART.match(name, at):
        double, back, plain = found.groups()
        parts.append(double.replace('""', '"') if double else back.replace("``", "`") if back else plain)
        at = found.end()
        if at == len(name):
            return ".".join(parts)
        if name[at] != ".":
            break
        at += 1
    return name


@lru_cache(256)
def _is_regex(pattern: str) -> bool:
    try:
        re.compile(pattern)
    except re.error:
        return False
    return True


def parse_request(signal: Signal) -> Request:
    """Raises RequestError."""
    data = signal.data
    patterns = _patterns(data)
    if not patterns:
        raise RequestError("data-collections is missing or empty; it lists the tables")
    kind = _kind(data)
    surrogate = data.get("surrogate-key")
    if surrogate is not None and (not isinstance(surrogate, str) or kind == "blocking"):
        raise RequestError("surrogate-key names one column, for an incremental snapshot")
    return Request(signal.id, patterns, kind == "blocking", tuple(_conditions(data)), surrogate or None)


@dataclass(frozen=True)
class Stop:
    """`stop-snapshot`. *patterns*: as in Request; none of them for all tables. *blocking*: which kind is to end."""

    patterns: tuple[str, ...] = ()
    blocking: bool = False

    def chooses(self, name: str) -> bool:
        """Whether the table *name* is to be left, or all that the pattern *name* of a request stands for."""
        return not self.patterns or any(matches(each, name) for each in self.patterns)


def parse_stop(signal: Signal) -> Stop:
    """Raises RequestError."""
    return Stop(_patterns(signal.data), _kind(signal.data) == "blocking")


def stops_blocking(signal: Signal) -> Stop | None:
    """What *signal* stops, if that is blocking snapshots; None for all other signals."""
    if signal.type != control.STOP_SNAPSHOT:
        return None
    try:
        stop = parse_stop(signal)
    except RequestError:
        return None
    return stop if stop.blocking else None


def is_stopped(signal: Signal, stop: Stop) -> bool:
    """Whether *signal* asks for a blocking snapshot all of whose tables *stop* chooses."""
    if signal.type != control.EXECUTE_SNAPSHOT:
        return False
    try:
        request = parse_request(signal)
    except RequestError:
        return False
    return request.blocking and all(map(stop.chooses, request.patterns))


def _kind(data: Mapping[str, Any]) -> str:
    kind = str(data.get("type") or "incremental").lower()
    if kind not in ("incremental", "blocking"):
        raise RequestError(f"type is {kind}, which is neither incremental nor blocking")
    return kind


def _patterns(data: Mapping[str, Any]) -> tuple[str, ...]:
    listed = data.get("data-collections") or ()
    if not isinstance(listed, Sequence) or isinstance(listed, str) or not all(isinstance(each, str) for each in listed):
        raise RequestError("data-collections is not a list of texts")
    found = tuple(each.strip() for each in listed if each.strip())
    for each in found:
        _check(each)
    return found


def _conditions(data: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
    if data.get("additional-condition"):  # all rows would be copied
        raise RequestError("additional-condition is a former key that nobody reads any more; additional-conditions is a"
                           " list of objects with a data-collection and a filter")
    listed = data.get("additional-conditions") or ()
    if not isinstance(listed, Sequence) or isinstance(listed, str):
        raise RequestError("additional-conditions is not a list")
    found = []
    for each in listed:
        pattern, text = (each.get(name) for name in ("data-collection", "filter")) if isinstance(each, Mapping) else (
            None, None)
        if not isinstance(pattern, str) or not isinstance(text, str) or not text.strip():
            raise RequestError("each of additional-conditions needs a data-collection and a filter")
        _check(pattern)
        found.append((pattern.strip(), text.strip()))
    return found


def _check(pattern: str) -> None:
    if _unquoted(pattern) != pattern:
        return
    try:
        re.compile(pattern)
    except re.error as exc:
        raise RequestError(f"{pattern!r} is no regular expression: {exc}") from exc


def expand(patterns: Sequence[str], names: Sequence[str]) -> list[str]:
    """The tables of *names* that *patterns* name, in the patterns' order; a pattern that names none stands for itself,
    so that somebody hears of it."""
    found: dict[str, None] = {}
    for pattern in patterns:
        found.update(dict.fromkeys([name for name in names if matches(pattern, name)] or [pattern]))
    return list(found)
