"""Compressed records, as Kafka's brokers and consumers read them.

Kafka docs, "Record Batch" (attributes); `CompressionType`. Each function gives up the GIL while it compresses.
"""

from __future__ import annotations

import importlib.util
import zlib
from collections.abc import Callable
from typing import Any, Final

Compress = Callable[[memoryview], bytes]
Decompress = Callable[[bytes], bytes]
CODES: Final = {"none": 0, "gzip": 1, "lz4": 3, "zstd": 4}
"""The type's number in a batch's attributes."""
LEVELS: Final = {"gzip": range(-1, 10), "lz4": range(-1, 13), "zstd": range(-1, 23)}
"""librdkafka's `compression.level`; -1 is the type's own default."""


def missing(kind: str) -> str:
    """Which package *kind* needs that is not installed; empty if there is none."""
    if kind == "lz4" and importlib.util.find_spec("lz4") is None:
        return "lz4"
    if kind == "zstd" and _zstd_module() is None:
        return "backports.zstd"
    return ""


def compressor(kind: str, level: int = -1) -> Compress | None:
    """None for `none`. *level* as librdkafka's `compression.level`; its module is imported here."""
    if kind == "gzip":
        return lambda data: zlib.compress(data, level, wbits=31)  # 31: with gzip's header and end
    if kind == "lz4":
        return _lz4(level)
    if kind == "zstd":
        return _zstd(level)
    return None


def decompressor(kind: str) -> Decompress:
    """The way back from what `compressor` gives."""
    if kind == "gzip":
        return lambda data: zlib.decompress(data, wbits=31)
    if kind == "lz4":
        import lz4.frame

        decompress: Decompress = lz4.frame.decompress
        return decompress
    if kind == "zstd":
        zstd = _zstd_module()
        assert zstd is not None
        decompress = zstd.decompress
        return decompress
    return bytes


def _lz4(level: int) -> Compress:
    """Kafka's readers refuse blocks that depend on others (`Lz4BlockInputStream`)."""
    import lz4.frame

    compress: Callable[..., bytes] = lz4.frame.compress
    size, chosen = lz4.frame.BLOCKSIZE_MAX64KB, max(level, 0)
    return lambda data: compress(data, compression_level=chosen, block_size=size, block_linked=False, store_size=False)


def _zstd(level: int) -> Compress:
    zstd = _zstd_module()
    assert zstd is not None
    compressor = zstd.ZstdCompressor(level=None if level < 0 else level)
    end = compressor.FLUSH_FRAME
    compress: Callable[[memoryview, int], bytes] = compressor.compress
    return lambda data: compress(data, end)


def _zstd_module() -> Any:
    try:
        from compression import zstd  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        try:
            from backports import zstd
        except ImportError:
            return None
    return zstd
