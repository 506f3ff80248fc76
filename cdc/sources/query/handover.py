"""Offsets from Confluent's JDBC source connector, and back to it. Source partitions and keys are the same (`marks`).

Source: confluentinc/kafka-connect-jdbc, OffsetProtocols.java; TimestampIncrementingOffset.java; JdbcSourceTask.java.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from cdc.core.errors import ConfigError, PositionLostError
from cdc.core.handover import Given, Handover, Remark, none_stored
from cdc.core.owner import OF_TABLE, claimed_by

from .marks import OF_QUERY, QUERY, marks_of

_QUERY_KEYS: Final = ("query", "query.masked")
_MOST_NAMED: Final = 10
_FIRST: Final = "it begins with all rows, or at timestamp.initial"


def chosen(config: Mapping[str, str], given: Given) -> tuple[Given, Sequence[Remark]]:
    """As `Handover.chosen`: the partition of the query, or those of all tables."""
    if config.get("mode", "").strip().lower() == "bulk":
        return [], [Remark("info", "offset", "mode=bulk has none: all rows come each time, also at the start here.")]
    if any(config.get(key, "").strip() for key in _QUERY_KEYS):
        found = [(dict(OF_QUERY), offset) for partition, offset in given if partition == OF_QUERY]
        remarks = [] if found else [none_stored("for its query", _FIRST)]
    else:
        found = [({**OF_TABLE, "table": str(partition["table"])}, offset) for partition, offset in given
                 if claimed_by(partition) == OF_TABLE]
        remarks = [] if found else [none_stored("for a table", _FIRST)]
        remarks += _without_schema(given)
    if found:
        remarks.append(Remark(
            "info", "offset", f"it goes on behind the last row that was delivered{_of_tables(found)}. Rows that have "
            "the timestamp of the last one come again."))
    return found, remarks


def _of_tables(found: Given) -> str:
    return "" if "table" not in found[0][0] else f" of each of {len(found)} tables" if len(found) > 1 else " of 1 table"


def _without_schema(given: Given) -> list[Remark]:
    """An error for tables of which there is an offset only in the form of before Confluent Platform 5.0, whose names
    have no schema: which table it is of, only that connector knows."""
    named = {str(partition["table"]).rpartition(".")[2] for partition, _ in given if claimed_by(partition) == OF_TABLE}
    missing = sorted({str(partition["table"]) for partition, _ in given if partition.keys() == {"table"}} - named)
    if not missing:
        return []
    shown = ", ".join(missing[:_MOST_NAMED]) + (", …" if len(missing) > _MOST_NAMED else "")
    return [Remark(
        "error", "offset", f"of {shown} it was stored before Confluent Platform 5.0, without a schema. Let Kafka "
        "Connect deliver one more row of each table, which stores the offset in the present form. Of a table that "
        "it does not read any more, delete the offset there.")]


def taken_over(offset: Mapping[str, Any]) -> list[Remark]:
    """As `Handover.taken_over`. What becomes of offsets that can be read, `chosen` says of all of them together."""
    try:
        known = set(marks_of(offset)) <= {QUERY}
    except PositionLostError:
        known = False
    return [] if known else [Remark("error", "offset", "it is none of Confluent's JDBC source connector. Its keys are "
                                                       f"{', '.join(sorted(map(str, offset)))}.")]


def given_back(offset: Mapping[str, Any]) -> dict[str, Any]:
    """As `Handover.given_back`."""
    if set(marks_of(offset)) - {QUERY}:
        raise ConfigError("The offset has the marks of all tables together, as former releases stored it.",
                          hint="Start the connector here once, so that it divides the offset, and stop it again.")
    return dict(offset)


HANDOVER = Handover(taken_over, given_back, chosen)
