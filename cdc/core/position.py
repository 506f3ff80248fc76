"""Where a source resumes.

A position is a whole transaction plus how far into it the records have gone; what that means is the source's
business. Here it is opaque: JSON out (`offset`), compared only by order of arrival. The offset keys are the ones
Debezium uses wherever it has one, so that either can take over from the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

Offset = Mapping[str, Any]
"""A position's JSON as the offset store keeps it: string keys, primitive values (KIP-875)."""


class Position(Protocol):
    """Immutable. Built cheaply for each batch, turned into JSON only when it is committed."""

    def offset(self) -> dict[str, Any]:
        """JSON for the offset store."""
        ...
