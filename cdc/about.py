"""What is running: versions, and whether the core is the compiled one."""

from __future__ import annotations

import importlib.util
from importlib import metadata
from pathlib import Path
from typing import Final

from . import __version__

VERSION: Final = __version__
KAFKA_CONNECT_VERSION: Final = "4.3.1"
"""The Kafka Connect whose REST interface this is; clients parse it to learn what they may call."""


def core() -> str:
    """`compiled`, `python`, or `mixed` when only some modules of the core were built."""
    kinds = set(core_modules().values())
    return kinds.pop() if len(kinds) == 1 else "mixed"


def core_modules() -> dict[str, str]:
    """Each module that can be compiled (it has a .pxd beside it), and the kind that an import gets."""
    root = Path(__file__).parent
    names = sorted(".".join(("cdc", *path.relative_to(root).with_suffix("").parts)) for path in root.rglob("*.pxd")
                   if path.with_suffix(".py").exists())
    return {name: _kind(name) for name in names}


def _kind(name: str) -> str:
    spec = importlib.util.find_spec(name)
    return "python" if spec is None or (spec.origin or "").endswith(".py") else "compiled"


def libraries() -> dict[str, str]:
    """Versions of what does the work underneath. Imports all of it, which is slow."""
    import confluent_kafka
    from psycopg import pq

    libpq = pq.version()
    return {
        "libpq": f"{libpq // 10000}.{libpq % 10000} ({pq.__impl__})",
        "librdkafka": confluent_kafka.libversion()[0],
        **{name: metadata.version(name) for name in ("psycopg", "confluent-kafka", "fastavro")},
    }
