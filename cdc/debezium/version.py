"""The Debezium release whose events these are."""

from __future__ import annotations

from typing import Final

VERSION: Final = "3.6.3.Final"
"""What `source.version` says."""
