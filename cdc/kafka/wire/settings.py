"""Which of librdkafka's settings this client understands, and what they mean to it.

A setting that is not known here may change what arrives, or how; so a configuration that has one goes to librdkafka,
which knows them all. librdkafka: CONFIGURATION.md.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Final

from cdc.core.dataclass import dataclass

from .compression import CODES, LEVELS, missing
from .login import MECHANISMS, Credentials

_MOST: Final = 2**31 - 1
_TRUE, _FALSE = ("true", "t", "1"), ("false", "f", "0")
_ALIASES: Final = {
    "metadata.broker.list": "bootstrap.servers", "compression.codec": "compression.type",
    "sasl.mechanisms": "sasl.mechanism", "queue.buffering.max.ms": "linger.ms", "request.required.acks": "acks",
    "max.in.flight": "max.in.flight.requests.per.connection", "delivery.timeout.ms": "message.timeout.ms",
    "message.send.max.retries": "retries",
}
_NUMBERS: Final[Mapping[str, tuple[int, int, int]]] = {
    "batch.size": (524_288, 1, _MOST),
    "compression.level": (-1, -1, 22),
    "connections.max.idle.ms": (0, 0, _MOST),
    "max.in.flight.requests.per.connection": (5, 1, 5),
    "message.max.bytes": (1_000_000, 1000, 1_000_000_000),
    "message.timeout.ms": (300_000, 0, _MOST),
    "queue.buffering.max.kbytes": (1_048_576, 1, _MOST),
    "queue.buffering.max.messages": (100_000, 0, _MOST),
    "reconnect.backoff.max.ms": (10_000, 0, 3_600_000),
    "reconnect.backoff.ms": (100, 0, 3_600_000),
    "request.timeout.ms": (30_000, 1, 900_000),
    "retry.backoff.max.ms": (1000, 1, 300_000),
    "retry.backoff.ms": (100, 1, 300_000),
    "socket.connection.setup.timeout.ms": (30_000, 1000, _MOST),
    "socket.receive.buffer.bytes": (0, 0, 100_000_000),
    "socket.send.buffer.bytes": (0, 0, 100_000_000),
    "socket.timeout.ms": (60_000, 10, 300_000),
    "statistics.interval.ms": (0, 0, 86_400_000),
    "topic.metadata.propagation.max.ms": (30_000, 0, 3_600_000),
    "topic.metadata.refresh.interval.ms": (300_000, -1, 3_600_000),
}
"""By name: librdkafka's default, and the least and the greatest value it takes. The default of `batch.size` is our own:
one of 128 KB costs twice the CPU time for a record, and a batch that a topic refuses is split."""
_CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "acks": ("all", "-1"),
    "allow.auto.create.topics": (*_TRUE, *_FALSE),  # of consumers; a producer's topics are made in any case
    "client.dns.lookup": ("use_all_dns_ips",),
    "compression.type": tuple(CODES),
    "debug": ("",),
    "enable.idempotence": _TRUE,
    "enable.ssl.certificate.verification": (*_TRUE, *_FALSE),
    "log.connection.close": (*_TRUE, *_FALSE),
    "metadata.recovery.strategy": ("rebootstrap",),
    "partitioner": ("murmur2_random",),
    "plugin.library.paths": ("",),
    "retries": (str(_MOST),),
    "sasl.mechanism": MECHANISMS,
    "security.protocol": ("plaintext", "ssl", "sasl_plaintext", "sasl_ssl"),
    "socket.keepalive.enable": (*_TRUE, *_FALSE),
    "socket.nagle.disable": _TRUE,
    "ssl.endpoint.identification.algorithm": ("none", "https"),
    "transactional.id": ("",),
}
"""By name: the values that this client can do as librdkafka does, in lower case where case does not matter."""
_ANY: Final = frozenset({
    "bootstrap.servers", "client.id", "linger.ms", "log_level", "log.thread.name", "sasl.username", "sasl.password",
    "ssl.ca.location", "ssl.ca.pem", "ssl.certificate.location", "ssl.key.location", "ssl.key.password",
    # For consumers, which never ask here, or without an effect on a producer:
    "client.rack", "enable.metrics.push", "enable.random.seed", "transaction.timeout.ms",
})


def plain(settings: Mapping[str, object]) -> dict[str, str]:
    """*settings* by their main names."""
    return {_ALIASES.get(name, name): str(value) for name, value in settings.items()}


def not_understood(settings: Mapping[str, object]) -> str:
    """The first reason why this client cannot do as librdkafka does with *settings*; empty if there is none. It has no
    secret in it."""
    given = plain(settings)
    for name, text in given.items():
        if name in _NUMBERS:
            _, low, high = _NUMBERS[name]
            if not _is_integer(text) or not low <= int(text) <= high:
                return f"{name} is not an integer from {low} to {high}"
        elif name in _CHOICES:
            value = text if name == "sasl.mechanism" else text.lower()
            if value not in _CHOICES[name]:
                return f"{name}={text}"
        elif name not in _ANY:
            return f"{name} is a setting of librdkafka only"
    kind = given.get("compression.type", "none").lower()
    if kind in LEVELS and int(given.get("compression.level", -1)) not in LEVELS[kind]:
        return f"compression.level is not one of {kind}"
    if missing(kind):
        return f"compression.type={kind} needs the package {missing(kind)}"
    return _odd_linger(given) or _odd_servers(given) or _odd_login(given)


def _odd_linger(given: Mapping[str, str]) -> str:
    try:
        fine = 0 <= float(given.get("linger.ms", "0")) <= 900_000
    except ValueError:
        fine = False
    return "" if fine else "linger.ms is not a number from 0 to 900000"


def _odd_servers(given: Mapping[str, str]) -> str:
    try:
        return "" if servers(given.get("bootstrap.servers", "")) else "bootstrap.servers is empty"
    except ValueError:
        return "bootstrap.servers is not a list of host:port"


def _odd_login(given: Mapping[str, str]) -> str:
    protocol = given.get("security.protocol", "plaintext").lower()
    if protocol.startswith("sasl"):
        if "sasl.mechanism" not in given:
            return "sasl.mechanism is GSSAPI"  # its default
        if not given.get("sasl.username") or "sasl.password" not in given:
            return "sasl.username or sasl.password is missing"
    if protocol.endswith("ssl"):
        if bool(given.get("ssl.certificate.location")) != bool(given.get("ssl.key.location")):
            return "ssl.certificate.location and ssl.key.location do not come together"
        try:
            tls_context(given)
        except (OSError, ValueError) as exc:
            return f"the TLS settings are not usable: {type(exc).__name__}"
    return ""


def _is_integer(text: str) -> bool:
    return text.removeprefix("-").isdecimal() and text.isascii()


def servers(text: str) -> list[tuple[str, int]]:
    """Hosts and ports of `bootstrap.servers`. An item may have a protocol before it, as `PLAINTEXT://host:port`, and
    IPv6 addresses stand in brackets. Raises ValueError."""
    found = []
    for item in filter(None, (part.strip() for part in text.split(","))):
        host, colon, port = item.rpartition("://")[2].rpartition(":")
        if not colon or "]" in port:
            host, port = item.rpartition("://")[2], "9092"
        host = host.removeprefix("[").removesuffix("]")
        if not host or not port.isdecimal() or not 0 < int(port) < 65536:
            raise ValueError("not host:port")
        found.append((host, int(port)))
    return found


def tls_context(given: Mapping[str, str]) -> ssl.SSLContext:
    """Raises OSError (ssl.SSLError is one) and ValueError."""
    verify = given.get("enable.ssl.certificate.verification", "true").lower() in _TRUE
    authorities, pem = given.get("ssl.ca.location", ""), given.get("ssl.ca.pem", "")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # a default context is stricter than librdkafka, from Python 3.13
    if authorities or pem:
        context.load_verify_locations(cafile=authorities or None, cadata=pem or None)
    else:
        context.load_default_certs()
    context.check_hostname = verify and given.get("ssl.endpoint.identification.algorithm", "https").lower() == "https"
    context.verify_mode = ssl.CERT_REQUIRED if verify else ssl.CERT_NONE
    if given.get("ssl.certificate.location"):
        password = given.get("ssl.key.password", "")
        # A function, because with an encrypted key and no password OpenSSL would ask for one on the terminal.
        context.load_cert_chain(given["ssl.certificate.location"], given["ssl.key.location"], lambda: password)
    return context


@dataclass(frozen=True, kw_only=True)
class WireSettings:
    """Durations in seconds, sizes in bytes. *linger_s* is None unless it is set: see `producing.py`. *delivery_s* and
    *idle_s*: 0 is no limit. *refresh_s*: 0 is never."""

    servers: tuple[tuple[str, int], ...]
    client_id: bytes
    tls: ssl.SSLContext | None
    credentials: Credentials | None
    compression: str
    level: int
    batch_bytes: int
    record_bytes: int
    held_bytes: int
    held_count: int
    in_flight: int
    linger_s: float | None
    delivery_s: float
    request_s: float
    answer_s: float
    connect_s: float
    idle_s: float
    reconnect_s: float
    reconnect_most_s: float
    retry_s: float
    retry_most_s: float
    refresh_s: float
    unknown_topic_s: float
    statistics_s: float
    send_buffer_bytes: int
    receive_buffer_bytes: int
    keepalive: bool


def wire_settings(settings: Mapping[str, object]) -> WireSettings:
    """*settings*, of which `not_understood` says nothing."""
    given = plain(settings)
    number = {name: int(given.get(name, default)) for name, (default, _, _) in _NUMBERS.items()}
    protocol = given.get("security.protocol", "plaintext").lower()
    credentials = None
    if protocol.startswith("sasl"):
        credentials = Credentials(given["sasl.mechanism"], given["sasl.username"], given["sasl.password"])
    return WireSettings(
        servers=tuple(servers(given["bootstrap.servers"])),
        client_id=given.get("client.id", "rdkafka").encode(),
        tls=tls_context(given) if protocol.endswith("ssl") else None,
        credentials=credentials,
        compression=given.get("compression.type", "none").lower(),
        level=number["compression.level"],
        batch_bytes=number["batch.size"],
        record_bytes=number["message.max.bytes"],
        held_bytes=number["queue.buffering.max.kbytes"] * 1024,
        held_count=number["queue.buffering.max.messages"] or _MOST,
        in_flight=number["max.in.flight.requests.per.connection"],
        linger_s=float(given["linger.ms"]) / 1000 if "linger.ms" in given else None,
        delivery_s=number["message.timeout.ms"] / 1000,
        request_s=number["request.timeout.ms"] / 1000,
        answer_s=max(number["socket.timeout.ms"], number["request.timeout.ms"]) / 1000,
        connect_s=number["socket.connection.setup.timeout.ms"] / 1000,
        idle_s=number["connections.max.idle.ms"] / 1000,
        reconnect_s=number["reconnect.backoff.ms"] / 1000,
        reconnect_most_s=max(number["reconnect.backoff.max.ms"], number["reconnect.backoff.ms"]) / 1000,
        retry_s=number["retry.backoff.ms"] / 1000,
        retry_most_s=max(number["retry.backoff.max.ms"], number["retry.backoff.ms"]) / 1000,
        refresh_s=max(number["topic.metadata.refresh.interval.ms"], 0) / 1000,
        unknown_topic_s=number["topic.metadata.propagation.max.ms"] / 1000,
        statistics_s=number["statistics.interval.ms"] / 1000,
        send_buffer_bytes=number["socket.send.buffer.bytes"],
        receive_buffer_bytes=number["socket.receive.buffer.bytes"],
        keepalive=given.get("socket.keepalive.enable", "false").lower() in _TRUE,
    )
