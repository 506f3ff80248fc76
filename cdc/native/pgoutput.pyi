from collections.abc import Callable, Collection, Sequence
from typing import Any

from .records import RecordBatch, Table, Tables

class State:
    caught_up: bool
    commit_lsn: int
    commits: list[tuple[int, int]]
    counters: tuple[int, dict[str, int]]
    end_lsn: int
    filtered: int
    last_kind: int
    last_lsn: int
    last_time_us: int
    shown: tuple[Any, ...] | None
    transaction: tuple[int, int, int, int, str, bool] | None
    transactions: int
    window: tuple[int, int, int]

class Decoder:
    tables: Tables
    def __init__(self, *, skip_create: bool, skip_update: bool, skip_delete: bool, tombstones: bool,
                 skip_unchanged: bool, whole_keys: bool, null_keys: bool, transactions: Table | None = None,
                 spread: Callable[[str], int] | None = None, by_one: Collection[str] = ()) -> None: ...
    def clear(self) -> None: ...
    def add_table(self, table: Table) -> int: ...
    def set_table(self, oid: int, table: Table, *, columns: int, captured: bool, native: bool,
                  required: Sequence[int] = (), key: Sequence[int] = (),
                  enums: Sequence[tuple[int, Collection[bytes]]] = (), compared: Sequence[int] = (),
                  mapped: Sequence[int] = (), name: str | None = None) -> None: ...
    def resume(self, end_lsn: int, tx_lsn: int, xid: int) -> None: ...
    def decode(self, batch: RecordBatch, state: State, start: int, most: int, size: int,
               most_size: int) -> tuple[int, int, bool]: ...
    def take_counts(self) -> list[tuple[Table, int, int, int]]: ...
