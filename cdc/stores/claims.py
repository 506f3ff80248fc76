"""What the stores say alike about claims."""

from __future__ import annotations

from typing import Any

from cdc.core.errors import OffsetsHeldError, OffsetStoreError, OwnerLostError
from cdc.core.owner import Owner

from .process import is_paused


def held_by(holder: Owner | None, connector: str, **context: Any) -> OffsetsHeldError:
    """The error for a connector that *holder* runs."""
    who = str(holder) if holder is not None else "another process"
    if holder is not None and is_paused(holder):
        hint = (f"That process is stopped by a signal and does nothing. Continue it (kill -CONT {holder.pid}), or end "
                f"it (kill -KILL {holder.pid}) so that this one takes over.")
    else:
        hint = "This one starts as soon as that one has ended. If both are to run, give one its own offsets."
    return OffsetsHeldError(f"Connector {connector} is run by {who}.", hint=hint, connector=connector, **context)


def owner_lost(connector: str, other: Owner | None) -> OwnerLostError:
    """*other* claimed the offset of *connector* after us; None if it is unknown who did."""
    return OwnerLostError(
        f"Connector {connector} was taken over by {other or 'another process'}, so this process stops writing.",
        connector=connector,
        hint="Nothing is lost: the other process goes on from the last offset. Run each connector only once, and start "
             "this process again only after the other one has ended.")


def offset_moved(connector: str, **context: Any) -> OffsetStoreError:
    """The offset is not the one that the source was started with."""
    return OffsetStoreError(
        f"The offset of connector {connector} changed while it started: another process committed one, or somebody "
        "wrote it. It starts again from there.", retriable=True, connector=connector, **context)
