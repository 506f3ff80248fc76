"""`post.processors`: what changes row changes before all transforms, as Debezium's `io.debezium.processors`.

A post-processor is a class with one method, `apply(view)`, which changes the view in place. It sees changes of rows
only, no messages and no tombstones, and cannot drop one.
"""

from __future__ import annotations

from typing import Protocol

from cdc.core.record import Record
from cdc.core.view import RecordView


class PostProcessor(Protocol):
    """What another package offers as a plugin of the kind `post processor`."""

    def apply(self, view: RecordView) -> object:
        """Change *view*; what is returned does not count. Raises TransformError."""
        ...


class OfChanges:
    """A post-processor as the chain applies it. Implements `core.interfaces.Transform`."""

    def __init__(self, processor: PostProcessor) -> None:
        self.processor = processor

    def apply(self, view: RecordView) -> RecordView:
        if isinstance(view.record, Record) and not view.is_tombstone:
            self.processor.apply(view)
        return view
