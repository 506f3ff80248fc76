"""What an incremental snapshot asks of a database: how a table is read in chunks, and what each chunk shows."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence, Sized
from typing import Any, Final, Protocol

from cdc.core.dataclass import dataclass
from cdc.core.record import Record, SourceContext
from cdc.core.row import Row
from cdc.core.table import TableSchema

from .copies import Copy, Key

PATIENCE_S: Final = 1.0
MARKED_PATIENCE_S: Final = 10.0
"""`ChunkReader.patience_s`, where a mark is on its way; the second where it has its own place among the records."""

SUCCEEDED: Final = "SUCCEEDED"
EMPTY: Final = "EMPTY"
NO_PRIMARY_KEY: Final = "NO_PRIMARY_KEY"
UNKNOWN_SCHEMA: Final = "UNKNOWN_SCHEMA"
SQL_EXCEPTION: Final = "SQL_EXCEPTION"
"""How the copy of a table ended: Debezium's TableScanCompletionStatus."""


class Plan(Protocol):
    """How one table is read."""

    @property
    def table(self) -> TableSchema: ...
    @property
    def unique(self) -> bool:
        """Whether no two rows have the same key to go by."""
        ...
    @property
    def identity(self) -> Sequence[str]:
        """The columns that tell rows apart, if the table has no message key: all that are captured."""
        ...
    @property
    def made(self) -> str:
        """Tells the table from others that had or will have its name, where the database can tell, and the order of its
        rows from others: a key names a place in one table and one order only."""
        ...
    @property
    def row_estimate(self) -> int:
        """How many rows the table has, as the server estimates; -1 if it does not."""
        ...


class ChunkRows(Protocol):
    """The rows of a chunk, each with its key, in the order of their keys."""

    def __len__(self) -> int: ...
    def __getitem__(self, number: int, /) -> tuple[Key, Row]: ...


class UnreadRows(ABC):
    """The same as the server sent them: a row is read when it is asked for, and most go out without that."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def __getitem__(self, number: int) -> tuple[Key, Row]: ...

    @abstractmethod
    def reads(self, count: int, gone: Collection[int], context: SourceContext) -> Sized:
        """Read records of the first *count* rows, without those of the numbers *gone*, as one item for the source's
        batch (`Teller.emit_many`). To be called once, and nothing else after that."""


@dataclass(frozen=True)
class Chunk:
    """*upto*: the greatest key of the table; None if it has no rows. *ended*: nothing
    follows them. *shows*: the database's own: which transactions the chunk shows, and where the log was. *before_last*:
    how many rows come before those that have the last one's key, as the server compares keys; only where keys are not
    unique, and more follows."""

    rows: ChunkRows
    upto: Key | None
    ended: bool
    size_bytes: int
    shows: Any
    before_last: int = -1


def digest(what: object) -> str:
    """Another text for another *what*, and a short one."""
    return hashlib.blake2b(repr(what).encode(), digest_size=8).hexdigest()


class StructureChangedError(Exception):
    """The table has another structure than the one that the plan was made for."""


class ChunkReader(Protocol):
    """A database's side. `answer` and the questions before it are about one chunk at a time; it is read on a connection
    of its own, in a thread of its own, and that connection is replaced when it is lost."""

    def names(self, patterns: Sequence[str]) -> list[str]:
        """The captured tables that *patterns* name, in their order. A pattern that names none stands for itself."""

    def plan(self, copy: Copy) -> Plan | str:
        """How to read a table, as it is now; or why it cannot be read. Raises SourceError."""

    def release(self, plan: Plan) -> None:
        """The table is no longer watched. May be called again."""

    def ask(self, plan: Plan, copy: Copy, rows: int, size_bytes: int) -> None:
        """Begin to read the *rows* rows after `copy.after`, up to `copy.upto`, but not many more than *size_bytes*.
        Without `copy.upto`, find that out first."""

    def answer(self, wait_s: float) -> Chunk | None:
        """What was asked for, if it is there within *wait_s* seconds. Raises SourceError, StructureChangedError."""

    def forget(self) -> None:
        """What was asked for is no longer wanted."""

    def changed(self, plan: Plan) -> bool:
        """Whether the stream has another structure of the table since `plan`."""

    def begins(self, plan: Plan) -> None:
        """The table is watched from now on; its changes that the stream brought before are not known."""

    def joins(self, chunk: Chunk) -> bool:
        """Whether *chunk* shows all that the stream told before `begins`."""

    def by(self, record: Record) -> Any:
        """The transaction of *record*."""

    def sees(self, chunk: Chunk, by: Any) -> bool:
        """Whether *chunk* shows what the transaction *by* did."""

    def reached(self, chunk: Chunk) -> bool:
        """Whether the stream has told all that *chunk* shows."""

    def patience_s(self, chunk: Chunk) -> float:
        """How long the stream may have nothing before *chunk* goes out although `reached` is not true, in seconds."""

    def closes(self, record: Record) -> bool:
        """Whether *record*, of a watched table, is the high mark of the chunk that was read last."""

    def finish(self) -> None:
        """All copies are complete."""

    def context(self, plan: Plan) -> SourceContext:
        """The source block of a row that goes out now."""

    def close(self) -> None: ...
