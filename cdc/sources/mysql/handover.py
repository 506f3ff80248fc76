"""Offsets from Debezium's MySQL and MariaDB connectors, and back to them.

Source: BinlogOffsetContext.java; BinlogStreamingChangeEventSource.java.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from cdc.core.errors import ConfigError, PositionLostError
from cdc.core.handover import UNFINISHED, Handover, Remark, incremental

from .position import MySqlPosition

_STRUCTURES: Final = Remark(
    "warning", "offset", "Debezium keeps the structures of tables in its schema history topic, which is not read. Here "
    "they are read from the server at the first start. Change no captured table between now and then: rows from before "
    "the change are read by the columns that the log names (binlog_row_metadata=FULL), or else by today's.")


def taken_over(offset: Mapping[str, Any]) -> list[Remark]:
    """As `Handover.taken_over`."""
    try:
        position = MySqlPosition.from_offset(offset)
    except PositionLostError:
        return [Remark("error", "offset", "it is none of Debezium's MySQL or MariaDB connector. Its keys are "
                                          f"{', '.join(sorted(map(str, offset)))}.")]
    if position.snapshot:
        return [UNFINISHED]
    return [*incremental(offset), _place(position), _STRUCTURES]


def _place(position: MySqlPosition) -> Remark:
    at = f"{position.file}:{position.pos}"
    if not (position.event or position.row):
        return Remark("info", "offset", f"all transactions before {at} were delivered.")
    return Remark("info", "offset", f"it is within the transaction at {at}. What was delivered of it, {position.event} "
                                    f"events and {position.row} rows, is not delivered again. On another server, where "
                                    "it begins elsewhere, all of it comes again.")


def given_back(offset: Mapping[str, Any]) -> dict[str, Any]:
    """As `Handover.given_back`. A transaction of which a part was delivered comes again: Debezium counts other events.
    It needs a schema history, too: `snapshot.mode=recovery` makes one."""
    position = MySqlPosition.from_offset(offset)
    if position.snapshot:
        raise ConfigError("The snapshot of this offset is not complete. Debezium cannot go on with it.",
                          hint="Let it finish here first, or delete the offset: Debezium then begins a snapshot.")
    found: dict[str, Any] = {"file": position.file, "pos": position.pos}
    if position.gtids:
        found["gtids"] = position.gtids
    if position.server_id:
        found["server_id"] = position.server_id
    if position.ts_sec:
        found["ts_sec"] = position.ts_sec
    return found


HANDOVER = Handover(taken_over, given_back)
