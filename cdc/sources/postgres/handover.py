"""Offsets from Debezium's PostgreSQL connector, and back to it.

Source: PostgresOffsetContext.java; PostgresStreamingChangeEventSource.java; WalPositionLocator.java.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cdc.core.errors import ConfigError, PositionLostError
from cdc.core.handover import UNFINISHED, Handover, Remark, incremental

from .lsn import Lsn
from .position import PostgresPosition


def taken_over(offset: Mapping[str, Any]) -> list[Remark]:
    """As `Handover.taken_over`."""
    try:
        position = PostgresPosition.from_offset(offset)
    except PositionLostError:
        return [Remark("error", "offset", f"it is none of Debezium's PostgreSQL connector. Its keys are "
                                          f"{', '.join(sorted(map(str, offset)))}.")]
    if position.snapshot:
        return [UNFINISHED]
    return [*incremental(offset), _place(position, offset)]


def _place(position: PostgresPosition, offset: Mapping[str, Any]) -> Remark:
    end = Lsn(position.end_lsn)
    if not position.skip_before_lsn:
        return Remark("info", "offset", f"all transactions before {end} were delivered; the slot has what follows.")
    within = (f"it is within transaction {position.xid}. Its rows up to {Lsn(position.skip_before_lsn)} were delivered,"
              " and are not delivered again")
    if not position.xid or not position.time_us:
        return Remark("warning", "offset", "it is within a transaction that it does not name: the rows of that "
                                           f"transaction, the first that is committed after {end}, come again.")
    if not position.skip_rows:
        return Remark("warning", "offset", f"{within}; but what has this LSN comes again.")
    if "lsn_events_processed" in offset:
        return Remark("info", "offset", f"{within}.")
    return Remark("info", "offset", f"{within}. If COPY wrote the last one, others of that COPY may come again: this "
                                    "Debezium does not count rows that have one LSN.")


def given_back(offset: Mapping[str, Any]) -> dict[str, Any]:
    """As `Handover.given_back`. A transaction of which a part was delivered comes again. So do those that were
    committed while another one was prepared and not decided."""
    position = PostgresPosition.from_offset(offset)
    if position.snapshot:
        raise ConfigError("The snapshot of this offset is not complete. Debezium cannot go on with it.",
                          hint="Let it finish here first, or delete the offset: Debezium then begins a snapshot.")
    end = position.confirmable()
    found: dict[str, Any] = {"lsn": end, "lsn_proc": end, "lsn_commit": end, "messageType": "COMMIT"}
    return {**found, "ts_usec": position.time_us} if position.time_us else found


HANDOVER = Handover(taken_over, given_back)
