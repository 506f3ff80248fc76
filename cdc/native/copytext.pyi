from collections.abc import Callable

from cdc.core.record import Record, SourceContext
from cdc.core.table import TableSchema

from .records import RecordBatch

class CopyDecoder:
    def batch(self) -> RecordBatch: ...
    def add(self, batch: RecordBatch, lines: list[bytes], schema: TableSchema, context: SourceContext,
            indexes: tuple[int, ...], columns: int, other: Callable[[bytes], Record]) -> None: ...

def add_reads(batch: RecordBatch, lines: list[bytes], table: int, indexes: tuple[int, ...], columns: int,
              other: Callable[[bytes], Record]) -> None: ...
