"""Who may ask for what, and what a request may cost: users, tokens, origins, TLS, bodies, and very many at once."""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from cdc.client.credentials import Credentials
from cdc.client.errors import NotReadyError
from cdc.client.rest import Client
from cdc.core.errors import ConfigError
from cdc.rest import body
from cdc.rest.access import Access, header_rules, tokens_of, users_of
from cdc.rest.app import App
from cdc.rest.limits import Limits
from cdc.rest.server import RestServer
from cdc.rest.tls import server_context
from tests.servers.certificates import write_certificate

from .fakes import SECRET, Plugins, Worker
from .test_app import Answer

TOKEN = "a-token-of-some-length"
ASKS = Access(users=users_of({"ann": "se:cret"}, "f"), tokens=tokens_of(f"# tokens\n{TOKEN}\n", "f"))


class Served:
    def __init__(self, access: Access | None = None, url: str = "http://127.0.0.1:0", **more: Any) -> None:
        self.worker = Worker()
        self.server = RestServer(lambda: App(self.worker, Plugins(), access), url, **more)
        self.port = urlsplit(self.server.start()[0]).port or 0

    def __call__(self, method: str, path: str, data: bytes | str | None = None, **headers: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, data.encode() if isinstance(data, str) else data, {
                "Content-Type": "application/json", **{name.replace("_", "-"): text for name, text in headers.items()}})
            return Answer(connection.getresponse())
        finally:
            connection.close()


@pytest.fixture
def serve() -> Iterator[Callable[..., Served]]:
    made: list[Served] = []

    def start(*args: Any, **more: Any) -> Served:
        made.append(Served(*args, **more))
        return made[-1]

    yield start
    for each in made:
        each.server.stop()


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


def test_clients_say_who_they_are_and_probes_need_not(serve: Callable[..., Served]) -> None:
    served = serve(ASKS)
    for authorization in (basic("ann:se:cret"), f"Bearer {TOKEN}", f"bearer {TOKEN}"):
        assert served("GET", "/connectors", Authorization=authorization).status == 200
        assert served("PUT", "/connectors/a/pause", Authorization=authorization).status == 202
    refused = served("GET", "/connectors")
    assert (refused.status, refused.json["error_code"]) == (401, 401)
    assert refused.headers["www-authenticate"].startswith("Basic")
    assert served("GET", "/metrics").status == served("GET", "/nope").status == 401
    assert served("GET", "/healthz").status == served("GET", "/readyz").status == 200


@pytest.mark.parametrize("authorization", [
    basic("ann:wrong"), basic("ann"), basic(""), "Basic !", "Bearer wrong", "Bearer", "Digest x", basic(TOKEN),
])
def test_wrong_credentials_are_refused(authorization: str) -> None:
    from starlette.datastructures import Headers

    assert not ASKS.knows(Headers({"authorization": authorization}))


def test_without_authentication_only_local_clients_change_something(serve: Callable[..., Served]) -> None:
    served = serve()
    assert served("PUT", "/connectors/a/pause").status == 202
    refused = served("PUT", "/connectors/a/pause", Host="evil.example")
    assert refused.status == 403
    assert "cdc.rest.users.file" in refused.json["message"]
    assert served("GET", "/connectors", Host="evil.example").status == 200
    assert served.worker.asked == [("pause", "a")]
    assert serve(Access(anonymous_writes=True))("PUT", "/connectors/a/pause", Host="evil.example").status == 202


def test_a_page_of_another_origin_changes_nothing_unless_it_is_allowed(serve: Callable[..., Served]) -> None:
    for access in (None, Access(anonymous_writes=True), ASKS):
        served, login = serve(access), {"Authorization": f"Bearer {TOKEN}"}
        for page in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec_Fetch_Site": "cross-site"},
                     {"Origin": "http://localhost:1", "Sec_Fetch_Site": "same-site"}):
            refused = served("POST", "/connectors/a/restart", **page, **login)
            assert refused.status == 403
            assert "access.control.allow.origin" in refused.json["message"]
            assert served("GET", "/connectors", **page, **login).status == 200
        for own in ({"Origin": f"http://127.0.0.1:{served.port}"},
                    {"Origin": "http://behind.a.proxy", "Sec_Fetch_Site": "same-origin"}, {"Sec_Fetch_Site": "none"}):
            assert served("POST", "/connectors/a/restart", **own, **login).status == 204
    allowed = serve(Access(origins=("https://ui.example",)))
    assert allowed("POST", "/connectors/a/restart", Origin="https://ui.example", Sec_Fetch_Site="cross-site",
                   ).status == 204


@pytest.mark.parametrize("header", ["Forwarded", "X_Forwarded_For", "X_Real_IP"])
def test_a_proxy_on_this_machine_is_not_taken_for_its_clients(serve: Callable[..., Served], header: str) -> None:
    assert serve()("PUT", "/connectors/a/pause", **{header: "203.0.113.7"}).status == 403


def test_pages_of_allowed_origins_may_read_the_answers(serve: Callable[..., Served]) -> None:
    served = serve(Access(origins=("https://ui.example", "*.corp"), methods=("GET", "PUT"),
                          headers=header_rules('set X-Frame-Options: DENY, "add Cache-Control: no-cache, no-store"',
                                               "k")))
    for origin in ("https://ui.example", "http://a.corp"):
        answer = served("GET", "/connectors", Origin=origin)
        assert answer.headers["access-control-allow-origin"] == origin
        asked = served("OPTIONS", "/connectors", Origin=origin, Access_Control_Request_Method="PUT")
        assert (asked.status, asked.headers["access-control-allow-methods"]) == (200, "GET,PUT")
    other = served("GET", "/connectors", Origin="https://evil.example")
    assert "access-control-allow-origin" not in other.headers
    assert served("OPTIONS", "/connectors", Origin="https://evil.example",
                  Access_Control_Request_Method="PUT").status == 403
    assert other.headers["x-frame-options"] == "DENY"
    assert other.headers["cache-control"] == "no-cache, no-store"


@pytest.mark.parametrize("text", ["X: y", "remove X: y", "set X y", "set X: a\nY: b"])
def test_bad_rules_of_headers_are_errors(text: str) -> None:
    with pytest.raises(ConfigError):
        header_rules(text, "k")


@pytest.mark.parametrize("users", [{}, {"a": ""}, {"a:b": "c"}])
def test_a_file_without_good_users_is_an_error(users: dict[str, str]) -> None:
    with pytest.raises(ConfigError):
        users_of(users, "k")


@pytest.mark.parametrize("tokens", ["", "# none", "short"])
def test_a_file_without_long_tokens_is_an_error(tokens: str) -> None:
    with pytest.raises(ConfigError):
        tokens_of(tokens, "k")


@pytest.mark.parametrize(("text", "status"), [
    ("{", 400), ("[]", 400), ("nul", 400), ('{"name":"b","config":{},"x":1}', 400), ('{"name":1,"config":{}}', 400),
    ('{"name":"b","config":{"a":null}}', 400), ('{"name":"b","config":{"a":{}}}', 400), ("[" * 100_000, 400),
    ('{"name":"b","config":{"a":NaN}}', 400), ('{"name":"b","config":{"a":1,"a":2}}', 400),
    ('{"name":"b","config":{"' + "k" * 1001 + '":"1"}}', 400),
    ('{"name":"b","config":{"a":' + "9" * 5000 + "}}", 400), ('{"name":"b","config":{"a":"\\ud800"}}', 400),
    ('{"name":"b","initial_state":"odd","config":{}}', 400), ('{"name":"b","config":{"name":"c"}}', 400),
    ('{"name":" b ","initial_state":"paused","config":{"i":1,"f":1.50,"t":true,"s":"é"}}', 201),
])
def test_bodies_are_taken_as_kafka_connect_takes_them(serve: Callable[..., Served], text: str, status: int) -> None:
    served = serve()
    answer = served("POST", "/connectors", text)
    assert answer.status == status
    if status == 201:
        assert served.worker.asked == [
            ("create", "b", {"i": "1", "f": "1.50", "t": "true", "s": "é", "name": "b"}, "PAUSED")]
        assert answer.headers["location"].endswith("/connectors/b")
    else:
        assert served.worker.asked == []
        assert answer.json["error_code"] == status


def test_large_and_slow_bodies_are_refused(serve: Callable[..., Served], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "READ_S", 0.2)
    served = serve()
    with socket.create_connection(("127.0.0.1", served.port), 20) as client:
        client.sendall(b"POST /connectors HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                       b"Content-Length: 99999999999\r\n\r\n{")
        assert b" 413 " in client.recv(200)
    with socket.create_connection(("127.0.0.1", served.port), 20) as client:
        client.sendall(b"PUT /connectors/a/config HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\n{")
        assert b" 408 " in client.recv(200)
    assert served("GET", "/healthz").status == 200


def test_odd_names_and_paths_are_answered(serve: Callable[..., Served]) -> None:
    served = serve()
    for name in ("%00", "%ff", "%C3%BC-%3Ex", "..", "%2e%2e", "a" * 4000, "%0a", "'\"<script>"):
        for path in (f"/connectors/{name}", f"/connectors/{name}/status", f"/connector-plugins/{name}/config"):
            answer = served("GET", path)
            assert answer.status in (200, 400, 404), path
            assert SECRET not in answer.text


def test_a_thousand_clients_at_once_are_answered(serve: Callable[..., Served]) -> None:
    served = serve(limits=Limits(connections=1100))

    async def ask() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(b"GET /connectors/a/status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = await reader.read()
        writer.close()
        return answer

    async def ask_all() -> list[bytes]:
        return await asyncio.gather(*(ask() for _ in range(1000)))

    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 4096:
        pytest.skip("this process may not open enough descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4096), hard))
    try:
        answers = asyncio.run(ask_all())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert {answer[:15] for answer in answers} == {b"HTTP/1.1 200 OK"}


def test_a_command_that_waits_holds_up_no_reader(serve: Callable[..., Served], monkeypatch: pytest.MonkeyPatch) -> None:
    served, goes_on, began = serve(), threading.Event(), threading.Event()

    def validate(name: str, config: Any) -> dict[str, Any]:
        began.set()
        assert goes_on.wait(20)
        return {}

    monkeypatch.setattr(Plugins, "validate", lambda self, name, config: validate(name, config))
    thread = threading.Thread(target=served, args=("PUT", "/connector-plugins/A/config/validate", "{}"))
    thread.start()
    try:
        assert began.wait(20)
        assert served("GET", "/connectors").status == 200
    finally:
        goes_on.set()
        thread.join()


# -- TLS


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `write_certificate`."""
    return write_certificate(tmp_path_factory.mktemp("tls"))


def tls_keys(folder: Path, form: str) -> dict[str, str]:
    start = "listeners.https.ssl.keystore"
    if form == "inline":
        text = (folder / "server.pem").read_text()
        key, _, chain = text.partition("-----BEGIN CERT")
        return {f"{start}.key": key, f"{start}.certificate.chain": f"-----BEGIN CERT{chain}"}
    return {f"{start}.location": str(folder / f"server.{form}"), f"{start}.password": "changeit"}


@pytest.mark.parametrize("form", ["pem", "p12", "inline"])
def test_https_is_served_beside_http(serve: Callable[..., Served], keys: Path, form: str) -> None:
    served = serve(url="http://127.0.0.1:0,https://127.0.0.1:0",
                   tls=lambda: server_context(tls_keys(keys, form)))
    secure = served.server.urls[1]
    assert secure.startswith("https://")
    context = ssl.create_default_context(cafile=str(keys / "cert.pem"))
    connection = http.client.HTTPSConnection("localhost", urlsplit(secure).port or 0, timeout=20, context=context)
    connection.request("PUT", "/connectors/c/config", json.dumps({"a": "b"}), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    assert (answer.status, answer.headers["location"].partition("://")[0]) == (201, "https")
    connection.close()
    assert served("GET", "/connectors").status == 200
    with socket.create_connection(("127.0.0.1", urlsplit(secure).port or 0), 20) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert not plain.recv(100).startswith(b"HTTP")
    assert served("GET", "/connectors").status == 200, "the server goes on"


def test_commands_say_what_a_private_authority_needs(serve: Callable[..., Served], keys: Path) -> None:
    served = serve(url="https://127.0.0.1:0", tls=lambda: server_context(tls_keys(keys, "pem")))
    url = f"https://localhost:{served.port}"
    with pytest.raises(NotReadyError) as caught:
        Client(url).get("connectors")
    assert "ca=FILE" in caught.value.hint
    assert Client(url, Credentials(ca=str(keys / "cert.pem"))).get("connectors") is not None


def test_clients_show_certificates_where_they_must(serve: Callable[..., Served], keys: Path) -> None:
    raw = {**tls_keys(keys, "pem"), "listeners.https.ssl.client.auth": "required",
           "listeners.https.ssl.truststore.location": str(keys / "cert.pem")}
    served = serve(url="https://127.0.0.1:0", tls=lambda: server_context(raw))

    def status(context: ssl.SSLContext) -> int:
        connection = http.client.HTTPSConnection("localhost", served.port, timeout=20, context=context)
        try:
            connection.request("GET", "/connectors")
            return connection.getresponse().status
        finally:
            connection.close()

    context = ssl.create_default_context(cafile=str(keys / "cert.pem"))
    with pytest.raises((ssl.SSLError, ConnectionError)):
        status(context)
    context.load_cert_chain(str(keys / "server.pem"))
    assert status(context) == 200


@pytest.mark.parametrize("raw", [
    {}, {"listeners.https.ssl.keystore.location": "/nowhere"}, {"ssl.keystore.location": __file__},
    {"ssl.keystore.key": "x", "ssl.keystore.certificate.chain": "y"},
])
def test_https_without_a_usable_key_is_a_config_error(raw: dict[str, str]) -> None:
    with pytest.raises(ConfigError) as caught:
        server_context(raw)
    assert "ssl.keystore" in (caught.value.option or "")
