"""Checks of options that allow less here than Apicurio does."""

from __future__ import annotations

from typing import Any


def only(name: str) -> Any:
    """A check that allows no class but *name*."""
    return lambda value: None if value.strip().rpartition(".")[2] in ("", name) else f"only {name} is supported here"


def refused(what: str) -> Any:
    """A check that allows only false."""
    return lambda value: f"{what} is not supported here" if value else None
