"""`post.processors`: what changes row changes before all transforms, as Debezium's `io.debezium.processors`.

A post-processor is a class with one method, `apply(view)`, which changes the view in place. It sees changes of rows
only, no messages and no tombstones, and cannot drop one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from cdc.core.outcome import Outcome
from cdc.core.record import Record
from cdc.core.view import RecordView


class PostProcessor(Protocol):
    """What another package offers as a plugin of the kind `post processor`."""

    def apply(self, view: RecordView) -> object:
        """Change *view*; what is returned does not count. Raises TransformError."""
        ...


@runtime_checkable
class ReadingProcessor(Protocol):
    """A post-processor that asks the database. It comes before those that do not, because it needs the source's row."""

    def read_from(self, source: object) -> None:
        """Ask *source* from now on. Raises ConfigError if it cannot be asked."""
        ...


class OfChanges:
    """A post-processor as the chain applies it. Implements `core.interfaces.Transform`."""

    outcome: Callable[[Outcome], Outcome | None]

    def __init__(self, processor: PostProcessor) -> None:
        self.processor = processor
        outcome = getattr(processor, "outcome", None)
        if outcome is not None:
            self.outcome = outcome

    def apply(self, view: RecordView) -> RecordView:
        if isinstance(view.record, Record) and not view.is_tombstone:
            self.processor.apply(view)
        return view

    def read_from(self, source: object) -> None:
        """As `ReadingProcessor`."""
        if isinstance(self.processor, ReadingProcessor):
            self.processor.read_from(source)
