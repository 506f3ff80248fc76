"""The offset topic of a Kafka Connect, with the settings of Kafka's own tools."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from cdc.config.files import read_file
from cdc.config.providers import Providers
from cdc.core.errors import ConfigError
from cdc.core.handover import Given
from cdc.kafka.settings import client_settings
from cdc.stores.connect_offsets import read_offsets

SERVERS: Final = "bootstrap.servers"
_SET_HERE: Final = frozenset({
    "allow.auto.create.topics", "auto.offset.reset", "check.crcs", "enable.auto.commit", "fetch.max.wait.ms",
    "group.id", "isolation.level", "log_level", "max.poll.records",
})
"""Keys of a consumer that decide how a topic is read, which is no choice here."""


def settings_of(file: str | None, servers: str | None, warn: Callable[[str], None]) -> dict[str, str]:
    """librdkafka's settings, by the client's properties in *file*, as `--command-config` of Kafka's tools names one,
    with *servers* over it. *warn* gets what is not understood. Raises ConfigError. Nothing shows a value."""
    given = read_file(Path(file)) if file else {}
    found = Providers.of(given).resolve(given)
    known = {key: text for key, text in found.items() if key not in _SET_HERE}
    if servers:
        known[SERVERS] = servers
    if not known.get(SERVERS):
        raise ConfigError("The brokers of the offset topic are not known.",
                          hint=f"Give them with --bootstrap-servers, or as {SERVERS} in the file of --command-config.")
    made = client_settings(known, "consumer")
    for text in made.warnings:
        warn(f"{file}: {text}")
    return made.settings


def offsets_of(topic: str, settings: dict[str, str]) -> Callable[[str], Given]:
    """Reads the last offsets of a connector, each time again. Raises OffsetStoreError."""
    return lambda name: read_offsets(topic, settings).get(name, [])
