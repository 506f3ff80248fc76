"""Bytes that are there and yet stand for no value."""

from __future__ import annotations

from cdc.core.errors import DecodeError


class NoValue(DecodeError):
    """A codec met what its type counts as no value, such as MySQL's zero date: the column is to be treated as NULL,
    which in a required column means its default or its type's fallback. No failure, so nothing to report."""
