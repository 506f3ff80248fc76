"""How many descriptors this process may open, and how many of them HTTP clients may take."""

from __future__ import annotations

import resource
from typing import Final

MOST: Final = 1200
"""Connections of HTTP clients."""
_SHARE: Final = 4


def a_share() -> int:
    """At most MOST, and at most a quarter of what this process may open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST if soft == resource.RLIM_INFINITY else max(4, min(MOST, soft // _SHARE))


def raise_descriptors() -> None:
    """Let this process open as many descriptors as its hard limit allows, up to what MOST connections need."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST * _SHARE if hard == resource.RLIM_INFINITY else min(hard, MOST * _SHARE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
