"""The Java clients' configuration keys as librdkafka's.

A configuration that was written for Kafka Connect works unchanged. Keys of the Java clients are translated;
librdkafka's own names pass through; keys that only have a meaning in a JVM give a note; unknown keys give a warning
with the nearest known name. Kafka docs, "Producer Configs"; librdkafka: CONFIGURATION.md.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Literal

from cdc.core.dataclass import dataclass
from cdc.core.errors import ConfigError

from .security import JAAS, jaas_settings, take_stores

Role = Literal["producer", "consumer", "admin"]
_INT_MAX = 2**31 - 1


@dataclass(frozen=True)
class ClientSettings:
    """*settings* by librdkafka's names, secrets among them, so never to be logged; *notes* are for information,
    *warnings* for somebody to act on. Neither holds a value."""

    settings: dict[str, str]
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def client_settings(properties: Mapping[str, object], role: Role = "producer") -> ClientSettings:
    """Translate one client's *properties*, by Java's or librdkafka's names. Raises ConfigError."""
    java = {name: _text(value) for name, value in properties.items() if value is not None}
    found: dict[str, str] = take_stores(java)
    if java.get(JAAS):
        found.update(jaas_settings(java[JAAS]))
    java.pop(JAAS, None)
    notes: list[str] = []
    warnings: list[str] = []
    for name, text in java.items():
        if name in _TRANSLATED:
            found.update(_translated(name, text))
        elif name in LIBRDKAFKA:
            found[name] = text
        elif name in _JVM_ONLY or name.startswith(_JVM_PREFIXES):
            notes.append(f"{name} only has a meaning in a JVM; it has no effect here.")
        elif name in _WITHOUT_EQUAL:
            warnings.append(f"{name} has no effect here: {_WITHOUT_EQUAL[name]}")
        else:
            warnings.append(_unknown(name))
    _level_of_compression(found, java)
    if role != "producer":
        found = {name: text for name, text in found.items() if name not in _PRODUCER_ONLY}
    return ClientSettings(found, tuple(notes), tuple(warnings))


def is_client_key(name: str) -> bool:
    """Whether a Kafka client, Java's or librdkafka, takes this key."""
    return name in _TRANSLATED or name in LIBRDKAFKA or name == JAAS or name in _STORE_KEYS


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value).strip()


def _translated(name: str, text: str) -> dict[str, str]:
    names, convert = _TRANSLATED[name]
    try:
        value = convert(text)
    except ValueError as exc:
        raise ConfigError(f'{name}: "{text}" is not {exc}.', option=name) from exc
    return dict.fromkeys(names, value)


def _unknown(name: str) -> str:
    near = difflib.get_close_matches(name, [*_TRANSLATED, *LIBRDKAFKA, JAAS, *_STORE_KEYS], n=1, cutoff=0.75)
    question = f" Did you mean {near[0]}?" if near else ""
    return f"{name} is not a setting of a Kafka client, so it is ignored.{question}"


def _level_of_compression(found: dict[str, str], java: Mapping[str, str]) -> None:
    """Java has one level per type (KIP-390), librdkafka one for the type in use."""
    level = java.get(f"compression.{found.get('compression.type', 'none')}.level")
    if level is not None:
        found.setdefault("compression.level", level)


def _integer(low: int, high: int = _INT_MAX, divisor: int = 1) -> Callable[[str], str]:
    """To an integer forced into librdkafka's range, which is often narrower than Java's."""

    def convert(text: str) -> str:
        try:
            number = int(text)
        except ValueError:
            raise ValueError("an integer") from None
        return str(min(max(number // divisor, low), high))

    return convert


def _delivery_timeout(text: str) -> str:
    """Java's int max, Kafka Connect's default, stands for no limit, which is 0 in librdkafka."""
    number = _integer(0)(text)
    return "0" if number == str(_INT_MAX) else number


def _same(text: str) -> str:
    return text


def _identification(text: str) -> str:
    return text.lower() or "none"


_TRANSLATED: Final[Mapping[str, tuple[tuple[str, ...], Callable[[str], str]]]] = {
    "acks": (("acks",), lambda text: "all" if text == "-1" else text),
    "bootstrap.servers": (("bootstrap.servers",), lambda text: ",".join(part.strip() for part in text.split(","))),
    "security.protocol": (("security.protocol",), _same),
    "sasl.mechanism": (("sasl.mechanism",), _same),
    "ssl.endpoint.identification.algorithm": (("ssl.endpoint.identification.algorithm",), _identification),
    "max.request.size": (("message.max.bytes",), _integer(1000, 1_000_000_000)),
    "buffer.memory": (("queue.buffering.max.kbytes",), _integer(1, divisor=1024)),
    "batch.size": (("batch.size",), _integer(1)),
    "linger.ms": (("linger.ms",), _same),
    "delivery.timeout.ms": (("message.timeout.ms",), _delivery_timeout),
    "request.timeout.ms": (("request.timeout.ms", "socket.timeout.ms"), _integer(10, 300_000)),
    "metadata.max.age.ms": (("topic.metadata.refresh.interval.ms",), _integer(10, 3_600_000)),
    "send.buffer.bytes": (("socket.send.buffer.bytes",), _integer(0, 100_000_000)),
    "receive.buffer.bytes": (("socket.receive.buffer.bytes",), _integer(0, 100_000_000)),
    "connections.max.idle.ms": (("connections.max.idle.ms",), _integer(0)),
    "reconnect.backoff.ms": (("reconnect.backoff.ms",), _integer(0, 3_600_000)),
    "reconnect.backoff.max.ms": (("reconnect.backoff.max.ms",), _integer(0, 3_600_000)),
    "retry.backoff.ms": (("retry.backoff.ms",), _integer(1, 300_000)),
    "retry.backoff.max.ms": (("retry.backoff.max.ms",), _integer(1, 300_000)),
    "socket.connection.setup.timeout.ms": (("socket.connection.setup.timeout.ms",), _integer(1000)),
    "sasl.oauthbearer.client.credentials.client.id": (("sasl.oauthbearer.client.id",), _same),
    "sasl.oauthbearer.client.credentials.client.secret": (("sasl.oauthbearer.client.secret",), _same),
}
"""Java's name -> librdkafka's names and how the value changes. Keys with the same name and values in both need no
entry. Java refreshes metadata when it is `metadata.max.age.ms` old: librdkafka's key of that name is another thing."""

_JVM_ONLY: Final = frozenset({
    "key.serializer", "value.serializer", "key.deserializer", "value.deserializer", "interceptor.classes",
    "metric.reporters", "metrics.num.samples", "metrics.recording.level", "metrics.sample.window.ms",
    "auto.include.jmx.reporter", "max.block.ms", "metadata.max.idle.ms", "partitioner.adaptive.partitioning.enable",
    "partitioner.availability.timeout.ms", "security.providers", "ssl.engine.factory.class", "ssl.protocol",
    "ssl.enabled.protocols", "ssl.keymanager.algorithm", "ssl.provider", "ssl.secure.random.implementation",
    "ssl.trustmanager.algorithm", "socket.connection.setup.timeout.max.ms", "compression.gzip.level",
    "compression.lz4.level", "compression.zstd.level", "transaction.two.phase.commit.enable", "config.providers",
    "sasl.login.class", "sasl.client.callback.handler.class", "sasl.login.callback.handler.class",
    "default.api.timeout.ms", "bootstrap.controllers",
})
_JVM_PREFIXES: Final = (
    "sasl.login.", "sasl.kerberos.", "sasl.oauthbearer.jwks.", "config.providers.", "metrics.context.",
)
_WITHOUT_EQUAL: Final[Mapping[str, str]] = {
    "partitioner.class": "keys are hashed as Java's default partitioner does.",
    "partitioner.ignore.keys": "keys are hashed as Java's default partitioner does.",
}

_STORE_KEYS: Final = frozenset({
    "ssl.truststore.location", "ssl.truststore.certificates", "ssl.truststore.type", "ssl.truststore.password",
    "ssl.keystore.location", "ssl.keystore.certificate.chain", "ssl.keystore.key", "ssl.keystore.type",
    "ssl.keystore.password",
})


def _names(text: str) -> Iterable[str]:
    return text.split()


_PRODUCER_ONLY: Final = frozenset(_names("""
    transactional.id transaction.timeout.ms enable.idempotence enable.gapless.guarantee queue.buffering.max.messages
    queue.buffering.max.kbytes queue.buffering.max.ms linger.ms message.send.max.retries retries
    queue.buffering.backpressure.threshold compression.codec compression.type compression.level batch.num.messages
    batch.size delivery.report.only.error sticky.partitioning.linger.ms request.required.acks acks request.timeout.ms
    message.timeout.ms delivery.timeout.ms queuing.strategy produce.offset.report partitioner
"""))

LIBRDKAFKA: Final = _PRODUCER_ONLY | frozenset(_names("""
    client.id metadata.broker.list bootstrap.servers message.max.bytes message.copy.max.bytes receive.message.max.bytes
    max.in.flight.requests.per.connection max.in.flight metadata.recovery.strategy
    metadata.recovery.rebootstrap.trigger.ms topic.metadata.refresh.interval.ms topic.metadata.refresh.fast.interval.ms
    topic.metadata.refresh.fast.cnt topic.metadata.refresh.sparse topic.metadata.propagation.max.ms topic.blacklist
    debug socket.timeout.ms socket.blocking.max.ms socket.send.buffer.bytes socket.receive.buffer.bytes
    socket.keepalive.enable socket.nagle.disable socket.max.fails broker.address.ttl broker.address.family
    socket.connection.setup.timeout.ms connections.max.idle.ms reconnect.backoff.jitter.ms reconnect.backoff.ms
    reconnect.backoff.max.ms statistics.interval.ms log_level log.thread.name log.connection.close enable.random.seed
    api.version.request api.version.request.timeout.ms api.version.fallback.ms broker.version.fallback
    allow.auto.create.topics security.protocol ssl.cipher.suites ssl.curves.list ssl.sigalgs.list ssl.key.location
    ssl.key.password ssl.key.pem ssl.certificate.location ssl.certificate.pem ssl.ca.location https.ca.location
    https.ca.pem ssl.ca.pem ssl.ca.certificate.stores ssl.crl.location ssl.providers ssl.engine.location ssl.engine.id
    enable.ssl.certificate.verification ssl.endpoint.identification.algorithm sasl.mechanisms sasl.mechanism
    sasl.kerberos.service.name sasl.kerberos.principal sasl.kerberos.kinit.cmd sasl.kerberos.keytab
    sasl.kerberos.min.time.before.relogin sasl.username sasl.password sasl.oauthbearer.config
    enable.sasl.oauthbearer.unsecure.jwt sasl.oauthbearer.method sasl.oauthbearer.client.id
    sasl.oauthbearer.client.secret sasl.oauthbearer.scope sasl.oauthbearer.extensions
    sasl.oauthbearer.token.endpoint.url sasl.oauthbearer.sub.claim.name sasl.oauthbearer.grant.type
    sasl.oauthbearer.assertion.algorithm sasl.oauthbearer.assertion.private.key.file
    sasl.oauthbearer.assertion.private.key.passphrase sasl.oauthbearer.assertion.private.key.pem
    sasl.oauthbearer.assertion.file sasl.oauthbearer.assertion.claim.aud sasl.oauthbearer.assertion.claim.exp.seconds
    sasl.oauthbearer.assertion.claim.iss sasl.oauthbearer.assertion.claim.jti.include
    sasl.oauthbearer.assertion.claim.nbf.seconds sasl.oauthbearer.assertion.claim.sub
    sasl.oauthbearer.assertion.jwt.template.file sasl.oauthbearer.metadata.authentication.type plugin.library.paths
    client.rack client.dns.lookup enable.metrics.push retry.backoff.ms retry.backoff.max.ms
"""))
"""The names that librdkafka 2.16 gives a producer, its callbacks aside."""
