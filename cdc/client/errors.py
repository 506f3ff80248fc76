"""What went wrong between a command and a worker."""

from __future__ import annotations

from cdc.core.errors import CdcError


class NotReadyError(CdcError):
    """A worker does not answer, has not started yet, or has not done in time what was waited for."""
