"""Every error the service raises on purpose, in one tree.

    CdcError                          .retriable  .hint  .context
    ├── ConfigError                   names the option; REST 400
    ├── SourceError
    │   ├── SourceConnectionError     retriable: lost, starting, shutting down
    │   │   ├── SourceBusyError       somebody else reads our slot; `slot.max.retries`
    │   │   └── SourceStoppedError    our own task stops
    │   ├── SourceRefusedError        credentials, privileges, wal_level: an operator must act
    │   ├── PositionLostError         slot gone, position unknown to the server: a new snapshot is needed
    │   └── ProtocolError             bytes did not parse; never skipped
    ├── RecordError                   one record's fault; `errors.tolerance` decides
    │   ├── DecodeError
    │   │   └── NoValue               no failure: the bytes count as null
    │   ├── TransformError
    │   └── ConvertError
    ├── RegistryError
    │   ├── RegistryConnectionError   retriable
    │   └── RegistryRefusedError
    ├── SinkError
    │   ├── SinkConnectionError       retriable
    │   │   └── SinkFencedError       another producer took our place; a few times
    │   └── SinkRefusedError
    ├── OffsetStoreError              the store cannot be read or written; retriable when its server is away
    │   ├── OffsetsHeldError          retriable: another process that runs has the connector's offsets
    │   └── OwnerLostError            another process took the connector over; this one must not go on
    └── StateError                    a move not allowed now: REST 404, 409

A message says what and where; `hint` says what to do; `context` holds names, LSNs and counts, never cell values
or secrets. A library's exception is mapped where it enters a room (`raise … from exc`).
"""

from __future__ import annotations

import re
from typing import Any, Final

from .late_regex import late_regex

_RESET: Final = late_regex(r"\breset (the connector's|its) offsets?\b", re.IGNORECASE)


class CdcError(Exception):
    """Base of all. `retriable` is a property of the class unless an instance says otherwise."""

    retriable = False

    def __init__(self, message: str, *, hint: str = "", retriable: bool | None = None, **context: Any) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.context = context
        if retriable is not None:
            self.retriable = retriable

    def __str__(self) -> str:
        where = ", ".join(f"{name}={value}" for name, value in self.context.items() if value is not None)
        text = f"{self.message} [{where}]" if where else self.message
        return f"{text} {self.hint}" if self.hint else text


class ConfigError(CdcError):
    """A configuration key is missing, malformed or contradicts another; `option` names it."""

    def __init__(self, message: str, *, option: str | None = None, hint: str = "", **context: Any) -> None:
        super().__init__(message, hint=hint, **context)
        self.option = option


class SourceError(CdcError):
    """The database side."""


class SourceConnectionError(SourceError):
    """The connection is lost, refused for now, or the server is starting or stopping."""

    retriable = True


class SourceBusyError(SourceConnectionError):
    """What only one may read, such as a replication slot, is read by another: a second connector, or a remnant of a
    crash that the server has not noticed yet."""


class SourceStoppedError(SourceConnectionError):
    """Our own task stops, so the server is asked nothing more. Not for something that goes on without an answer."""


class SourceRefusedError(SourceError):
    """The server refused: credentials, privileges, settings."""


class PositionLostError(SourceError):
    """The server no longer has the log after our position. A hint that says to reset the offset gets the command."""

    def __init__(self, message: str, *, hint: str = "", retriable: bool | None = None, **context: Any) -> None:
        if _RESET.search(hint):
            hint += " The command for an offset is: cdc offsets reset CONNECTOR, and the files of cdc run."
        super().__init__(message, hint=hint, retriable=retriable, **context)


class ProtocolError(SourceError):
    """Bytes of the source's protocol did not parse."""

    def __init__(self, message: str, *, offset: int | None = None, wanted: Any = None, got: Any = None,
                 **context: Any) -> None:
        super().__init__(
            message,
            hint="The stream stops here and nothing is skipped; report this with the server's version.",
            offset=offset, wanted=wanted, got=got, **context,
        )
        self.offset = offset


class RecordError(CdcError):
    """One record cannot be handled; `stage` and position are in the context."""


class DecodeError(RecordError):
    """A column's bytes are no value of its type, or a value that its schema cannot hold."""


class NoValue(DecodeError):
    """Bytes that stand for no value in their type, such as MySQL's zero date. The column is treated as NULL: a required
    one gets its default or its type's fallback. This is no failure, so nothing is reported."""


class TransformError(RecordError):
    """A transform failed on a record."""


class ConvertError(RecordError):
    """A record cannot be serialised."""


class RegistryError(CdcError):
    """The Schema Registry side."""


class RegistryConnectionError(RegistryError):
    """No usable answer: unreachable, overloaded, 5xx."""

    retriable = True


class RegistryRefusedError(RegistryError):
    """The registry refused: incompatible or invalid schema, credentials."""


class SinkError(CdcError):
    """The delivery side."""


class SinkConnectionError(SinkError):
    """Brokers are away or overloaded."""

    retriable = True


class SinkFencedError(SinkConnectionError):
    """The brokers take nothing more from this run: another one took its place, or it was silent for too long. Whether
    this process may go on, the offset store says."""


class SinkRefusedError(SinkError):
    """The broker refused: record too large, not authorised, no such topic."""


class OffsetStoreError(CdcError):
    """Offsets cannot be read or written durably."""


class OffsetsHeldError(OffsetStoreError):
    """Another process holds the connector's offsets, and it still runs. It may be about to end, so we ask again."""

    retriable = True


class OwnerLostError(OffsetStoreError):
    """Another process took the connector over. Never retriable: two processes would take it from each other forever."""


class StateError(CdcError):
    """The requested action is not allowed in the current state; `status` is the REST code."""

    def __init__(self, message: str, *, status: int = 409, hint: str = "", **context: Any) -> None:
        super().__init__(message, hint=hint, **context)
        self.status = status
