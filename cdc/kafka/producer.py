"""A producer's settings: idempotent, acks=all, and each key on the partition where Java's clients put it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from cdc.core.errors import ConfigError

from .settings import ClientSettings, client_settings

DEFAULTS: Final[Mapping[str, str]] = {
    "enable.idempotence": "true",
    "acks": "all",
    "max.in.flight.requests.per.connection": "5",
    "partitioner": "murmur2_random",
    "message.max.bytes": "1048576",
    "message.timeout.ms": "0",
    "queue.buffering.max.kbytes": "32768",
    "queue.buffering.max.messages": "16000",  # Each costs some 200 bytes beside its own.
    "reconnect.backoff.max.ms": "1000",
    "socket.keepalive.enable": "true",
}
"""By librdkafka's names. The values are the defaults of Java's client or of Kafka Connect, where they have one. The
default of `batch.size` is each client's own."""


def producer_settings(properties: Mapping[str, object]) -> ClientSettings:
    """The producer's settings, defaults included. Raises ConfigError."""
    given = client_settings(properties)
    if not (given.settings.get("bootstrap.servers") or given.settings.get("metadata.broker.list")):
        raise ConfigError("bootstrap.servers is missing.", option="bootstrap.servers",
                          hint="It lists Kafka brokers as host:port.")
    settings = {**DEFAULTS, **_renamed(given.settings)}
    if settings["enable.idempotence"].lower() in ("false", "f", "0"):  # as librdkafka reads it
        settings["enable.idempotence"] = "false"
    warnings = list(given.warnings)
    if settings.pop("delivery.report.only.error", "false") != "false":
        warnings.append("delivery.report.only.error has no effect here: what is delivered must be known.")
    if settings["acks"] not in ("all", "-1") or settings["enable.idempotence"] == "false":
        if "enable.idempotence" not in given.settings:
            settings["enable.idempotence"] = "false"
        if "max.in.flight.requests.per.connection" not in given.settings:
            settings["max.in.flight.requests.per.connection"] = "1"  # As Kafka Connect: a retry must not overtake.
        if settings["acks"] not in ("all", "-1"):
            warnings.append(f"acks={settings['acks']}: Kafka may lose records that it has acknowledged.")
    elif _number(settings, "max.in.flight.requests.per.connection") > 5:
        settings["max.in.flight.requests.per.connection"] = "5"
        warnings.append("max.in.flight.requests.per.connection is lowered to 5, the most that enable.idempotence=true "
                        "allows.")
    _make_room(settings, given.settings, warnings)
    return ClientSettings(settings, given.notes, tuple(warnings))


def transactional(client: ClientSettings, transactional_id: str) -> ClientSettings | None:
    """*client* with a transactional id, which is *transactional_id* unless it has one of its own; None if its producer
    is not idempotent. A record's time limit becomes that of its transaction, unless one is set."""
    settings = {"transactional.id": transactional_id, **client.settings}
    if settings["enable.idempotence"] == "false":
        return None
    if settings["message.timeout.ms"] == "0":
        del settings["message.timeout.ms"]
    return ClientSettings(settings, client.notes, client.warnings)


def _make_room(settings: dict[str, str], given: Mapping[str, str], warnings: list[str]) -> None:
    """Make the queue large enough for one record of the largest size; else the task would wait for room forever."""
    needed = _number(settings, "message.max.bytes") // 1024 + 1024
    if _number(settings, "queue.buffering.max.kbytes") < needed:
        settings["queue.buffering.max.kbytes"] = str(needed)
        if "queue.buffering.max.kbytes" in given:
            warnings.append(f"buffer.memory is raised to {needed * 1024}, so that a record of max.request.size fits.")


def _number(settings: Mapping[str, str], name: str) -> int:
    try:
        return int(settings[name])
    except ValueError:
        raise ConfigError(f"{name} of the Kafka producer is not an integer.", option=name) from None


_ALIASES: Final[Mapping[str, str]] = {
    "max.in.flight": "max.in.flight.requests.per.connection",
    "request.required.acks": "acks",
    "queue.buffering.max.ms": "linger.ms",
    "delivery.timeout.ms": "message.timeout.ms",
}


def _renamed(settings: Mapping[str, str]) -> dict[str, str]:
    """*settings* with librdkafka's aliases under the names of DEFAULTS; otherwise both names would be set."""
    return {_ALIASES.get(name, name): text for name, text in settings.items()}
