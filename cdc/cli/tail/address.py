"""Addresses as a person types them."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit


def server_address(url: str) -> SplitResult | None:
    """The parts of *url*; None when it does not name a host, or its port is malformed."""
    try:
        parts = urlsplit(url)
        return parts if parts.hostname and (parts.port is None or parts.port) else None
    except ValueError:
        return None
