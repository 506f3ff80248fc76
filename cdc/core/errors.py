"""Every error the service raises on purpose, in one tree.

    CdcError                          .retriable  .hint  .context
    ├── ConfigError                   names the option; REST 400
    ├── SourceError
    │   ├── SourceConnectionError     retriable: lost, starting, shutting down
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
    │   └── SinkRefusedError
    ├── OffsetStoreError              the store cannot be read or written; retriable when its server is away
    └── StateError                    a move not allowed now: REST 404, 409

A message says what and where; `hint` says what to do; `context` holds names, LSNs and counts, never cell values
or secrets. A library's exception is mapped where it enters a room (`raise … from exc`).
"""

from __future__ import annotations

from typing import Any


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


class SourceRefusedError(SourceError):
    """The server understood and said no: credentials, privileges, settings."""


class PositionLostError(SourceError):
    """The server can no longer give what follows our position."""


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
    """A column's bytes are not a value of its type, or not one its schema can hold."""


class NoValue(DecodeError):
    """Bytes that their type counts as no value, such as MySQL's zero date: the column is to be treated as NULL, which
    in a required one means its default or its type's fallback. No failure, so nothing to report."""


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
    """The registry said no: incompatible or invalid schema, credentials."""


class SinkError(CdcError):
    """The delivery side."""


class SinkConnectionError(SinkError):
    """Brokers are away or overloaded."""

    retriable = True


class SinkRefusedError(SinkError):
    """The broker said no: too large, not authorised, no such topic."""


class OffsetStoreError(CdcError):
    """Offsets cannot be read or written durably."""


class StateError(CdcError):
    """The asked-for move is not allowed in the present state; `status` is the REST code."""

    def __init__(self, message: str, *, status: int = 409, hint: str = "", **context: Any) -> None:
        super().__init__(message, hint=hint, **context)
        self.status = status
