"""MariaDB's sets of GTIDs: the last `domain-server-sequence` of each domain. MariaDB docs, "Global Transaction ID"."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from cdc.core.errors import ConfigError
from cdc.core.late_regex import late_regex

_GTID = late_regex(r"([0-9]{1,10})-([0-9]{1,10})-([0-9]{1,20})")


class MariaGtidSet:
    """The last transaction of each replication domain. Earlier transactions of the domain belong to the set, too."""

    __slots__ = ("_last", "_text")

    def __init__(self, last: Mapping[int, tuple[int, int]] | None = None) -> None:
        """*last* is domain -> (server id, sequence number)."""
        self._last = dict(last or {})
        self._text: str | None = None

    @classmethod
    def of(cls, gtids: Iterable[tuple[int, int, int]]) -> MariaGtidSet:
        """From (domain, server, sequence) in any order. The highest of a domain counts: a server's binlog state names
        the last transaction of each server that ever wrote."""
        last: dict[int, tuple[int, int]] = {}
        for domain, server, sequence in gtids:
            if domain not in last or sequence > last[domain][1]:
                last[domain] = server, sequence
        return cls(last)

    @classmethod
    def parse(cls, text: str) -> MariaGtidSet:
        """From the text of `@@gtid_current_pos` or `@@gtid_binlog_state`. Raises ConfigError if it is malformed."""
        found: list[tuple[int, int, int]] = []
        for part in re.sub(r"\s+", "", text).split(","):
            if not part:
                continue
            match = _GTID.fullmatch(part)
            if match is None:
                raise ConfigError("not a MariaDB GTID position", hint="A position is written 0-1-100,1-1-5.")
            found.append((int(match[1]), int(match[2]), int(match[3])))
        return cls.of(found)

    def with_gtid(self, domain: int, server: int, sequence: int) -> MariaGtidSet:
        """A copy with one more transaction, which becomes its domain's last, whatever its number."""
        made = MariaGtidSet(self._last)
        made.add(domain, server, sequence)
        return made

    def add(self, domain: int, server: int, sequence: int) -> None:
        """Add a transaction to this set itself. Only for a set that no one else uses."""
        self._last[domain] = (server, sequence)
        self._text = None

    def contains(self, other: MariaGtidSet) -> bool:
        """Whether this set has each domain of *other*, at the same transaction or a later one."""
        return all(self.has(domain, sequence) for domain, (_, sequence) in other._last.items())

    def has(self, domain: int, sequence: int) -> bool:
        known = self._last.get(domain)
        return known is not None and sequence <= known[1]

    def union(self, other: MariaGtidSet) -> MariaGtidSet:
        return MariaGtidSet.of([(domain, *last) for each in (self, other) for domain, last in each._last.items()])

    def subtract(self, other: MariaGtidSet) -> MariaGtidSet:
        """The domains in which this set is ahead of *other*."""
        return MariaGtidSet({domain: last for domain, last in self._last.items() if not other.has(domain, last[1])})

    def only(self, wanted: Callable[[int], bool]) -> MariaGtidSet:
        """The part in the *wanted* domains."""
        return MariaGtidSet({domain: last for domain, last in self._last.items() if wanted(domain)})

    def last_of_each(self) -> list[str]:
        """The GTID of each domain."""
        return [f"{domain}-{server}-{sequence}" for domain, (server, sequence) in sorted(self._last.items())]

    def domains(self) -> list[int]:
        return sorted(self._last)

    def __bool__(self) -> bool:
        return bool(self._last)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MariaGtidSet) and self._last == other._last

    def __hash__(self) -> int:
        return hash(str(self))

    def __str__(self) -> str:
        if self._text is None:
            self._text = ",".join(self.last_of_each())
        return self._text

    def __repr__(self) -> str:
        return f"MariaGtidSet({str(self)!r})"
