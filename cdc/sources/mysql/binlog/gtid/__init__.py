"""Sets of global transaction identifiers: what a server has executed, or what we have read. No I/O.

A set never changes, except by its own `add`. Sets compare by content, and print as the server prints them, joined by
commas without spaces.
"""

from __future__ import annotations

from .mariadb import MariaGtidSet
from .mysql import GtidSet, decode_uuid, read_varlen, read_varlen_text

__all__ = ["GtidSet", "MariaGtidSet", "decode_uuid", "read_varlen", "read_varlen_text"]
