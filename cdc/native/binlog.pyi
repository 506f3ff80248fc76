from collections.abc import Callable
from typing import Any

from .mysql import Layout
from .records import Table

EVENT: int
PAYLOAD: int
INNER: int

def crc32(data: bytes) -> int: ...
def split(room: bytearray, at: int, filled: int, sequence: int, events: list[bytes]) -> tuple[int, int]: ...

class State:
    commits: list[tuple[int, int]]
    counts: list[tuple[Any, int, int, int]]
    file: str
    filtered: int
    last_row: int
    last_time_us: int
    position: int
    runs: list[tuple[Any, int, int, int]]
    server_id: int
    size: int
    transactions: int
    window: tuple[int, int, int]

class Transactions:
    count: int
    def __len__(self) -> int: ...

class Log:
    def __init__(self, *, mariadb: bool, names_thread: bool, takes_query: bool, tombstones: bool, skip_create: bool,
                 skip_update: bool, skip_delete: bool, make_source: Any, transactions: Table | None = None,
                 spread: Callable[[str], int] | None = None) -> None: ...
    def format(self, *, checksums: bool, rows_v1_head: int, rows_v2_head: int) -> None: ...
    def forget_maps(self) -> None: ...
    def know_map(self, body: bytes, told: Any, layout: Layout | None, table: Table | None,
                 inserted: Table | None = None, *, refused: bool) -> None: ...
    def know_begin(self, shape: bytes) -> None: ...
    def know_source(self, id: bytes, told: Any, text: bytes | None) -> None: ...
    def read(self, events: list[bytes], kinds: bytes | None, first: int, state: State, most: int,
             most_size: int) -> tuple[int, Transactions | None, int]: ...
