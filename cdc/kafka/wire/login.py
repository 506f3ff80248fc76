"""What a connection says before its first request: which versions both sides know, and who we are.

A login is a generator: it yields requests, gets each one's answer, and returns what the connection may then do. It
does no I/O. Kafka docs, "Protocol Guide", "SASL Authentication Sequence"; RFC 5802 (SCRAM), RFC 4616 (PLAIN); KIP-43,
KIP-84, KIP-152. No error here has a secret in it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Generator, Mapping
from typing import Final

from confluent_kafka import KafkaError

from cdc.core.named_tuple import NamedTuple

from . import protocol
from .protocol import ProtocolError, Reader

MECHANISMS: Final = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
_LEAST_ITERATIONS, _MOST_ITERATIONS = 4096, 1_000_000
"""Java's clients take no fewer than 4096 (`ScramMechanism.minIterations`); a million take half a second."""


class Ask(NamedTuple):
    """A request: *body* without its header."""

    api: int
    version: int
    body: bytes


class Credentials(NamedTuple):
    mechanism: str
    username: str
    password: str

    def __repr__(self) -> str:
        return f"Credentials({self.mechanism})"


class Session(NamedTuple):
    """*versions*: which version to use, by request. *lifetime_ms*: how long the login holds; 0: without limit."""

    versions: Mapping[int, int]
    lifetime_ms: int


class Refused(Exception):
    """A broker does not take us. *code*: KafkaError's."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


Login = Generator[Ask, Reader, Session]
Exchange = Generator[bytes, bytes, None]


def login(credentials: Credentials | None, zstd: bool) -> Login:
    """Raises Refused and ProtocolError. *zstd*: whether batches are compressed so, which old brokers do not take."""
    code, offered = protocol.api_versions_answer((yield Ask(protocol.API_VERSIONS, 0, b"")))
    if code:
        raise ProtocolError(f"the broker does not tell its versions: {KafkaError(code).str()}")
    needed = [protocol.PRODUCE, protocol.METADATA, protocol.INIT_PRODUCER_ID]
    if credentials is not None:
        needed += [protocol.SASL_HANDSHAKE, protocol.SASL_AUTHENTICATE]
    versions = {api: protocol.version_of(api, offered) for api in needed}
    if zstd and versions[protocol.PRODUCE] < protocol.PRODUCE_WITH_ZSTD:
        raise ProtocolError("the broker is too old for compression.type=zstd: that needs Kafka 2.1")
    lifetime_ms = 0 if credentials is None else (yield from _sasl(credentials, versions))
    return Session(versions, lifetime_ms)


def _sasl(credentials: Credentials, versions: Mapping[int, int]) -> Generator[Ask, Reader, int]:
    """Returns for how many ms the login holds."""
    mechanism = credentials.mechanism
    handshake = Ask(protocol.SASL_HANDSHAKE, versions[protocol.SASL_HANDSHAKE], protocol.text_bytes(mechanism))
    code, offered = protocol.sasl_handshake_answer((yield handshake))
    if code:
        raise Refused(code, f"The broker does not take {mechanism}; it takes {', '.join(offered) or 'none'}")
    version, lifetime_ms = versions[protocol.SASL_AUTHENTICATE], 0
    exchange = _EXCHANGES[mechanism](credentials)
    message = next(exchange)
    while True:
        answer = yield Ask(protocol.SASL_AUTHENTICATE, version, protocol.sasl_authenticate_request(message))
        code, text, data, lifetime_ms = protocol.sasl_authenticate_answer(answer, version)
        if code:
            raise Refused(code, f"SASL authentication error: {text or KafkaError(code).str()}")
        try:
            message = exchange.send(data)
        except StopIteration:
            return lifetime_ms


def _plain(credentials: Credentials) -> Exchange:
    yield f"\0{credentials.username}\0{credentials.password}".encode()


def _scram(credentials: Credentials) -> Exchange:
    """Name and password are not prepared as RFC 4013 says, because Java's brokers do not (`ScramFormatter`)."""
    digest = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-512": "sha512"}[credentials.mechanism]
    user = credentials.username.replace("=", "=3D").replace(",", "=2C")
    nonce = secrets.token_urlsafe(24)
    first = f"n={user},r={nonce}"
    challenge = _text((yield f"n,,{first}".encode()))
    said = _fields(challenge)
    try:
        salt, iterations = base64.b64decode(said["s"], validate=True), int(said["i"])
        whole_nonce = said["r"]
    except (KeyError, ValueError):
        raise ProtocolError("the broker's first message of SCRAM is not one") from None
    if not whole_nonce.startswith(nonce) or len(whole_nonce) == len(nonce):
        raise ProtocolError("the broker's nonce of SCRAM does not go on from ours")
    if not _LEAST_ITERATIONS <= iterations <= _MOST_ITERATIONS:
        raise ProtocolError(f"the broker wants {iterations} iterations of SCRAM")
    salted = hashlib.pbkdf2_hmac(digest, credentials.password.encode(), salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", digest)
    unproven = f"c=biws,r={whole_nonce}"
    signed = f"{first},{challenge},{unproven}".encode()
    signature = hmac.digest(hashlib.new(digest, client_key).digest(), signed, digest)
    proof = bytes(left ^ right for left, right in zip(client_key, signature, strict=True))
    end = _fields(_text((yield f"{unproven},p={base64.b64encode(proof).decode()}".encode())))
    if "e" in end:
        raise Refused(KafkaError.SASL_AUTHENTICATION_FAILED, "SASL authentication error: the broker ends SCRAM")
    expected = hmac.digest(hmac.digest(salted, b"Server Key", digest), signed, digest)
    try:
        shown = base64.b64decode(end["v"], validate=True)
    except (KeyError, ValueError):
        raise ProtocolError("the broker's last message of SCRAM is not one") from None
    if not hmac.compare_digest(shown, expected):
        raise Refused(KafkaError._AUTHENTICATION, "The broker does not know our password: its signature of SCRAM "
                                                  "is wrong")


_EXCHANGES: Final = {"PLAIN": _plain, "SCRAM-SHA-256": _scram, "SCRAM-SHA-512": _scram}


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ProtocolError("a message of SCRAM is not UTF-8") from None


def _fields(message: str) -> dict[str, str]:
    return {part[0]: part[2:] for part in message.split(",") if part[1:2] == "="}
