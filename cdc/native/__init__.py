"""The loops over a batch from log bytes to key and value bytes, in C: many records per call, without the GIL.

Nothing here decides anything: what C does not fully expect it refuses, and the caller gives exactly that record to the
code of the other rooms, which is also what runs where this room is not built. So the modules here exist only compiled;
`module` returns None for one that is missing. The `.pyx` files may import core only.
"""

from __future__ import annotations

import importlib
from typing import Any


def module(name: str) -> Any:
    """The module `cdc.native.NAME`, or None if this installation was made without a C compiler."""
    try:
        return importlib.import_module(f"{__name__}.{name}")
    except ModuleNotFoundError:
        return None
