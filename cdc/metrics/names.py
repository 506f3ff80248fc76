"""What the options about metrics need; here, so that reading them does not load the Prometheus client."""

from __future__ import annotations

from typing import Final

DEBEZIUM: Final = "debezium"
DEBEZIUM_SMALL: Final = "debezium-lowercase"
KAFKA_CONNECT: Final = "kafka-connect"
MIRRORED: Final = (DEBEZIUM, DEBEZIUM_SMALL, KAFKA_CONNECT)
"""The names that are not ours: other products' dashboards read them."""

MOST_TABLES: Final = 200
"""Tables of a connector with series of their own."""
