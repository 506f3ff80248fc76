"""What a connection says first: versions, PLAIN and SCRAM, against a server that was written from RFC 5802."""

from __future__ import annotations

import base64
import hashlib
import hmac
import struct
from collections.abc import Callable, Generator
from typing import Any

import pytest
from confluent_kafka import KafkaError

from cdc.kafka.wire.login import Ask, Credentials, Refused, Session, login
from cdc.kafka.wire.protocol import ProtocolError, Reader
from tests.unit.kafka.wire.fake_cluster import NEWEST, OLDEST, Cursor, text

ALICE = Credentials("SCRAM-SHA-256", "al=i,ce", "pencil")


def versions(offered: Any = NEWEST, code: int = 0) -> bytes:
    return struct.pack(">hi", code, len(offered)) + b"".join(
        struct.pack(">hhh", api, *pair) for api, pair in offered.items())


def answer(data: bytes = b"", code: int = 0, message: str | None = None, version: int = 1,
           lifetime_ms: int = 0) -> bytes:
    return (struct.pack(">h", code) + text(message) + struct.pack(">i", len(data)) + data
            + (struct.pack(">q", lifetime_ms) if version else b""))


def run(credentials: Credentials | None, server: Callable[[bytes], bytes], offered: Any = NEWEST,
        zstd: bool = False) -> tuple[Session, list[Ask]]:
    """*server* answers what the client says with SaslAuthenticate."""
    going, asked, data = login(credentials, zstd), list[Ask](), None
    while True:
        try:
            asked.append(next(going) if data is None else going.send(Reader(data)))
        except StopIteration as end:
            return end.value, asked
        if asked[-1].api == 18:
            data = versions(offered)
        elif asked[-1].api == 17:
            data = struct.pack(">hi", 0, 1) + text("x")
        else:
            at = Cursor(asked[-1].body)
            data = server(at.raw(at.take("i")))


def nobody(said: bytes) -> bytes:
    pytest.fail("there are no credentials")


def scram(password: str = "pencil", name: str = "al=3Di=2Cce", iterations: int = 4096, digest: str = "sha256",
          nonce: str | None = None, last: str | None = None) -> Callable[[bytes], bytes]:
    """A server that knows *password*."""

    def talk() -> Generator[bytes, bytes, None]:
        first = (yield b"").decode()
        assert first.startswith("n,,")
        bare = first[3:]
        assert bare.startswith(f"n={name},r=")
        whole = nonce or bare.partition(",r=")[2] + "server"
        challenge = f"r={whole},s={base64.b64encode(b'salt').decode()},i={iterations}"
        final = (yield challenge.encode()).decode()
        unproven, _, proof = final.rpartition(",p=")
        assert unproven == f"c=biws,r={whole}"
        salted = hashlib.pbkdf2_hmac(digest, password.encode(), b"salt", iterations)
        signed = f"{bare},{challenge},{unproven}".encode()
        client_key = hmac.digest(salted, b"Client Key", digest)
        signature = hmac.digest(hashlib.new(digest, client_key).digest(), signed, digest)
        shown = bytes(a ^ b for a, b in zip(base64.b64decode(proof), signature, strict=True))
        if shown != client_key:
            yield b"e=invalid-proof"
        own = hmac.digest(hmac.digest(salted, b"Server Key", digest), signed, digest)
        yield (last or f"v={base64.b64encode(own).decode()}").encode()

    going = talk()
    next(going)
    return lambda said: answer(going.send(said), lifetime_ms=60_000)


def test_without_credentials_only_versions_are_asked_for() -> None:
    session, asked = run(None, nobody)
    assert asked == [(18, 0, b"")]
    assert session.versions == {0: 8, 3: 8, 22: 1}


def test_plain_tells_name_and_password() -> None:
    said: list[bytes] = []

    def server(data: bytes) -> bytes:
        said.append(data)
        return answer(version=0)

    session, asked = run(Credentials("PLAIN", "älice", "p;w"), server, OLDEST)
    assert said == ["\0älice\0p;w".encode()]
    assert session.lifetime_ms == 0
    assert [each.api for each in asked] == [18, 17, 36]


@pytest.mark.parametrize("digest", ["sha256", "sha512"])
def test_scram_proves_both_sides(digest: str) -> None:
    credentials = ALICE._replace(mechanism=f"SCRAM-SHA-{digest[3:]}")
    session, asked = run(credentials, scram(digest=digest))
    assert session.lifetime_ms == 60_000
    assert not any(b"pencil" in each.body for each in asked)


@pytest.mark.parametrize("server", [
    scram(password="other"),
    scram(last="v=" + base64.b64encode(b"x" * 32).decode()),
    lambda said: answer(code=58, message="Authentication failed"),
])
def test_who_does_not_know_the_password_is_refused(server: Callable[[bytes], bytes]) -> None:
    with pytest.raises(Refused) as caught:
        run(ALICE, server)
    assert caught.value.code in (KafkaError.SASL_AUTHENTICATION_FAILED, KafkaError._AUTHENTICATION)
    assert "pencil" not in str(caught.value)


@pytest.mark.parametrize("server", [
    scram(nonce="stranger"), scram(iterations=1), scram(iterations=2_000_000), scram(last="nonsense"),
    lambda said: answer(b"\xff"), lambda said: answer(b"r=,s=,i=x"), lambda said: answer(b""),
], ids=range(7))
def test_a_server_that_does_not_keep_to_scram_is_an_error(server: Callable[[bytes], bytes],
                                                           monkeypatch: pytest.MonkeyPatch) -> None:
    def quick(*_: Any) -> bytes:
        return b"0" * 32

    monkeypatch.setattr(hashlib, "pbkdf2_hmac", quick)  # the server may want many rounds
    with pytest.raises((ProtocolError, Refused)):
        run(ALICE, server)


def test_a_mechanism_that_a_broker_does_not_take_is_told_with_those_it_takes() -> None:
    going = login(ALICE, False)
    next(going)
    going.send(Reader(versions()))
    with pytest.raises(Refused, match="does not take SCRAM-SHA-256; it takes GSSAPI, PLAIN"):
        going.send(Reader(struct.pack(">hi", 33, 2) + text("GSSAPI") + text("PLAIN")))


def test_a_broker_that_is_too_old_for_zstd_is_told_of() -> None:
    with pytest.raises(ProtocolError, match=r"Kafka 2\.1"):
        run(None, nobody, OLDEST, zstd=True)


def test_credentials_do_not_show_a_password() -> None:
    assert "pencil" not in f"{ALICE} {ALICE!r}"
