"""What each `snapshot.mode` means. Pure. Debezium docs, the option `snapshot.mode`; Debezium source, the package
`io.debezium.snapshot.mode`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final, Protocol

from cdc.config.options import Option
from cdc.config.table import Parsed
from cdc.core.dataclass import dataclass

_CONFIGURED: Final = "snapshot.mode.configuration.based."
_DATA: Final = "snapshot.data"
_STREAM: Final = "start.stream"
_ON_LOSS: Final = "snapshot.on.data.error"


@dataclass(frozen=True)
class SnapshotMode:
    """`first`: rows are copied at the first start, and until that is complete. `always`: at each start. `streams`: a
    stream follows. `when_lost`: they are copied, too, when the stored position is lost. `recovers`: the tables'
    structures are read from the server, and not from the stored position."""

    first: bool = False
    always: bool = False
    streams: bool = True
    when_lost: bool = False
    recovers: bool = False


_BY_NAME: Final[Mapping[str, SnapshotMode]] = {
    "always": SnapshotMode(first=True, always=True),
    "initial": SnapshotMode(first=True),
    "initial_only": SnapshotMode(first=True, streams=False),
    "no_data": SnapshotMode(),
    "recovery": SnapshotMode(recovers=True),
    "when_needed": SnapshotMode(first=True, when_lost=True),
}
CONFIGURED_MODE: Final = "configuration_based"
ONCE: Final = _BY_NAME["initial_only"]
"""Of a source that only copies (`core.interfaces.CopiesOnce`)."""
MODES: Final = (*_BY_NAME, CONFIGURED_MODE)
_WITHOUT_HISTORY: Final = tuple(name for name in MODES if name != "recovery")

DOC: Final = (
    "initial copies the tables at the first start, then streams; initial_only stops after the copy; no_data only "
    "streams; when_needed is initial, and copies them again if the stored position is lost; always copies at each "
    "start; configuration_based does what its own options say")
CONFIGURED_OPTIONS: Final = (
    Option(key=f"{_CONFIGURED}{_DATA}", type="BOOLEAN", default="false", group="Connector",
           doc="snapshot.mode=configuration_based: copy all rows at each start."),
    Option(key=f"{_CONFIGURED}snapshot.schema", type="BOOLEAN", default="false", group="Connector", effect="inert",
           doc="The same: read the tables' structures at each start.",
           why="structures are read when they are needed, and kept with the offsets"),
    Option(key=f"{_CONFIGURED}{_STREAM}", type="BOOLEAN", default="false", group="Connector",
           doc="The same: stream, after the rows if those are copied."),
    Option(key=f"{_CONFIGURED}snapshot.on.schema.error", type="BOOLEAN", default="false", group="Connector",
           effect="inert", doc="The same: read the tables' structures if they are lost.",
           why="structures that are not with the offsets are always read"),
    Option(key=f"{_CONFIGURED}{_ON_LOSS}", type="BOOLEAN", default="false", group="Connector",
           doc="The same: copy all rows when the stored position is lost."),
)


class ModeSettings(Protocol):
    @property
    def snapshot_mode(self) -> str: ...
    @property
    def snapshot_mode_configured(self) -> Collection[str]: ...


def mode_of(settings: ModeSettings) -> SnapshotMode:
    if settings.snapshot_mode != CONFIGURED_MODE:
        return _BY_NAME[settings.snapshot_mode]
    configured = settings.snapshot_mode_configured
    data = _DATA in configured
    return SnapshotMode(first=data, always=data, streams=_STREAM in configured, when_lost=_ON_LOSS in configured)


def check_mode(values: dict[str, Any], parsed: Parsed, *, history: bool) -> None:
    """Set `snapshot_mode` and `snapshot_mode_configured` in *values*, and add what is wrong to *parsed*. *history*:
    whether the database is one whose tables' structures Debezium keeps in a history topic."""
    configured = tuple(name for name in (_DATA, _STREAM, _ON_LOSS)
                       if values.get(f"{_CONFIGURED}{name}".replace(".", "_")) is True)
    values["snapshot_mode_configured"] = configured
    mode = (values["snapshot_mode"] or "").lower()
    allowed = MODES if history else _WITHOUT_HISTORY
    if mode == "custom":
        parsed.problem("snapshot.mode", "custom names a Java class, which cannot run here.",
                       f"The other modes are {', '.join(allowed)}.")
    elif mode not in allowed:
        parsed.problem("snapshot.mode", f'"{mode}" is not valid: allowed: {", ".join(allowed)}.')
    elif mode == CONFIGURED_MODE and not {_DATA, _STREAM} & set(configured):
        parsed.problem("snapshot.mode", "configuration_based would do nothing: neither rows are copied, nor is there a"
                       " stream.", f"Set {_CONFIGURED}{_DATA} or {_CONFIGURED}{_STREAM}.")
    values["snapshot_mode"] = mode
