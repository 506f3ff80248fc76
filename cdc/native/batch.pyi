from collections.abc import Sequence
from typing import Any

from cdc.core.interfaces import Outgoing

class Route:
    topic: str
    table: str
    headers: Sequence[tuple[str, bytes | None]]
    cache: Any
    def __init__(self, topic: str, table: str, headers: Sequence[tuple[str, bytes | None]]) -> None: ...

class OutBatch:
    routes: list[Route]
    @property
    def size_bytes(self) -> int: ...
    def __len__(self) -> int: ...
    def append(self, outgoing: Outgoing) -> None: ...
    def outgoing(self, index: int) -> Outgoing: ...
