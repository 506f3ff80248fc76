"""The order in which Java's hash maps give their keys: it is visible where Debezium writes one out."""

from __future__ import annotations

from collections.abc import Iterable


def java_hash_order(names: Iterable[str]) -> list[str]:
    """*names* in the order a java.util.HashMap<String, …> gives them: Debezium lists a transaction's tables so.

    OpenJDK java.util.HashMap: bucket `(h ^ h >>> 16) & (n - 1)`, n doubling when 0.75 full, insertion order within.
    """
    ordered = list(names)
    size = 16
    while len(ordered) > size * 3 // 4:
        size *= 2
    return sorted(ordered, key=lambda name: _spread(_java_hash(name)) & (size - 1))


def _java_hash(text: str) -> int:
    value = 0
    data = text.encode("utf-16-be", "surrogatepass")
    for index in range(0, len(data), 2):
        value = (31 * value + (data[index] << 8 | data[index + 1])) & 0xFFFFFFFF
    return value


def _spread(value: int) -> int:
    return value ^ value >> 16
