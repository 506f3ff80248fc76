"""Our offsets, as Debezium's connectors and Confluent's JDBC source go on from them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cdc import plugins
from cdc.core.errors import ConfigError, PositionLostError
from cdc.core.handover import incremental


def given_back(offset: Mapping[str, Any]) -> dict[str, Any]:
    """*offset* of one of our connectors with the keys that the other program has. Raises ConfigError if it cannot
    continue it.

    It leaves nothing out. What was delivered of a transaction that is not complete, Debezium delivers again.
    """
    if incremental(offset):
        raise ConfigError("An incremental snapshot is not complete. Debezium would not go on with it, and rows would "
                          "be missing.", hint="Let the connector run here until it is, or end it with `cdc snapshot "
                                              "cancel`. Then stop the connector and repeat the command.")
    for plugin in plugins.available("connector"):
        if plugin.handover:
            try:
                return dict(plugins.resolve(plugin.handover).given_back(offset))
            except PositionLostError:  # it is another connector's
                continue
    raise ConfigError("The offset is none of a connector that Debezium has too, nor of a JDBC source.",
                      hint=f"Its keys are {', '.join(sorted(map(str, offset)))}.")
