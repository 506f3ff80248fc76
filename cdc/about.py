"""Versions, and whether the compiled core runs."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Final

from cdc import __version__

VERSION: Final = __version__
KAFKA_CONNECT_VERSION: Final = "4.3.1"
"""The Kafka Connect release whose REST interface this is; clients parse it to learn which calls exist."""


def core() -> str:
    """`compiled`: all modules that can be. `native`: those of `cdc.native`, which read and write nearly all rows; the
    records that these refuse go through plain Python. `python`: none. `mixed`: only some, because a build failed."""
    kinds = {*core_modules().values()}, {*native_modules().values()}
    if kinds == ({"compiled"}, {"compiled"}):
        return "compiled"
    if kinds == ({"python"}, {"compiled"}):
        return "native"
    return "python" if kinds == ({"python"}, {"missing"}) else "mixed"


def core_modules() -> dict[str, str]:
    """Each module that can be compiled (it has a .pxd beside it), and the kind that an import gets."""
    root = Path(__file__).parent
    names = sorted(".".join(("cdc", *path.relative_to(root).with_suffix("").parts)) for path in root.rglob("*.pxd")
                   if path.with_suffix(".py").exists())
    return {name: _kind(name) for name in names}


def native_modules() -> dict[str, str]:
    """Each module that exists only compiled, and whether it was built: `compiled` or `missing`."""
    folder = Path(__file__).parent / "native"
    names = sorted(f"cdc.native.{path.stem}" for path in folder.glob("*.pyx"))
    return {name: "missing" if find_native(name) is None else "compiled" for name in names}


def find_native(name: str) -> object | None:
    try:
        return importlib.util.find_spec(name)
    except ModuleNotFoundError:  # with CDC_PURE=1
        return None


def _kind(name: str) -> str:
    spec = importlib.util.find_spec(name)
    return "python" if spec is None or (spec.origin or "").endswith(".py") else "compiled"


def libraries() -> dict[str, str]:
    """Versions of the libraries that do the work. Imports all of them, which is slow."""
    from importlib import metadata

    import confluent_kafka
    from psycopg import pq

    libpq = pq.version()
    return {
        "libpq": f"{libpq // 10000}.{libpq % 10000} ({pq.__impl__})",
        "librdkafka": confluent_kafka.libversion()[0],
        **{name: metadata.version(name) for name in ("psycopg", "confluent-kafka", "fastavro")},
    }
