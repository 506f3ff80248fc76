from collections.abc import Callable, Iterator, Sequence
from typing import Any

from cdc.core.interfaces import Outgoing
from cdc.core.record import Message, Record, SourceContext
from cdc.core.table import TableSchema

from .batch import OutBatch
from .frames import Frames

OPS: dict[str, int]
FIELDS: dict[str, int]
IMAGES: dict[str, int]
DROPPED: Any

class Plan:
    uses_python: bool
    def __init__(self, key_prefix: bytes, key_tail: bytes, value_prefix: bytes, columns: list[tuple[Any, ...]],
                 keys: list[tuple[Any, ...]] | None, pieces: list[bytes], fields: list[tuple[str, bool]],
                 image: str = ..., null: bytes | None = ...,
                 print_key: Any = ..., print_value: Any = ...) -> None: ...

class Table:
    schema: TableSchema
    template: SourceContext
    fields: tuple[str, ...]
    state: Any
    cache: Any
    def __init__(self, schema: TableSchema, template: SourceContext, fields: tuple[str, ...], state: Any) -> None: ...

class Tables:
    items: list[Table]
    def __len__(self) -> int: ...

class RecordBatch:
    tables: Tables
    def __init__(self, tables: Tables, frames: list[bytes] | Frames,
                 make_context: Callable[[Any, int, int], SourceContext]) -> None: ...
    def __len__(self) -> int: ...
    def __getitem__(self, index: int) -> Record | Message: ...
    def __iter__(self) -> Iterator[Record | Message]: ...
    def append(self, record: Record | Message) -> None: ...
    def foreign_count(self) -> int: ...

def printed_json(printer: Any, *values: bytes) -> list[bytes | None]: ...
def written(codec: tuple[Any, ...], data: bytes) -> bytes | str | None: ...
def encode(batch: RecordBatch, plan_of: Callable[[Table, str | None], tuple[Plan | None, str, str, Sequence[Any]]],
           convert: Callable[[Record | Message], Sequence[Outgoing] | None], ending: bytes, now_us: int, tolerant: bool,
           by_op: bool = ...) -> OutBatch: ...
