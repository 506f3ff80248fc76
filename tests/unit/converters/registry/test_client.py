"""The registry client against scripted connections: what it asks, where it turns, what it raises."""

from __future__ import annotations

import base64
import http.client
import io
import json
import ssl
import threading
from typing import Any, ClassVar

import pytest

from cdc.converters.registry import http as registry_http
from cdc.converters.registry.client import HttpRegistry, MockRegistry, open_registry
from cdc.converters.registry.http import RegistryHttp
from cdc.converters.registry.oauth import Client, OauthTokens
from cdc.converters.registry.settings import read_settings
from cdc.core.errors import ConfigError, RegistryConnectionError, RegistryRefusedError

Answer = tuple[int, Any] | Exception


class Response:
    def __init__(self, status: int, body: Any) -> None:
        self.status = status
        self.body = io.BytesIO(body if isinstance(body, bytes) else json.dumps(body).encode())
        self.length = 0

    def __enter__(self) -> Response:
        return self

    def __exit__(self, *_: object) -> None:
        self.body.close()

    def readinto(self, piece: bytearray) -> int:
        return self.body.readinto(piece)


class Socket:
    def settimeout(self, seconds: float) -> None:
        Connection.read_timeouts.append(seconds)


class Connection:
    """Stands for http.client.HTTPConnection. `script` answers by host; `seen` is what was sent."""

    script: ClassVar[dict[str, list[Answer]]] = {}
    seen: ClassVar[list[tuple[str, str, str, Any, dict[str, str]]]] = []
    connects: ClassVar[list[str]] = []
    read_timeouts: ClassVar[list[float]] = []

    def __init__(self, host: str, port: int, timeout: float, context: Any = None) -> None:
        self.host, self.port, self.timeout = host, port, timeout
        self.sock: Socket | None = None

    def connect(self) -> None:
        assert self.timeout > 0
        self.connects.append(self.host)
        self.sock = Socket()

    def request(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> None:
        sent = body and (body if "form" in headers["Content-Type"] else json.loads(body))
        self.seen.append((self.host, method, path, sent, headers))

    def getresponse(self) -> Response:
        answer = self.script[self.host].pop(0)
        if isinstance(answer, Exception):
            raise answer
        return Response(*answer)

    def set_tunnel(self, host: str, port: int) -> None:
        self.host = f"{self.host}>{host}"

    def close(self) -> None:
        self.sock = None


@pytest.fixture(autouse=True)
def connection(monkeypatch: pytest.MonkeyPatch) -> None:
    Connection.script = {}
    for log in (Connection.seen, Connection.connects, Connection.read_timeouts):
        log.clear()
    monkeypatch.setattr(http.client, "HTTPConnection", Connection)
    monkeypatch.setattr(registry_http, "TlsConnection", Connection)


def client(url: str = "http://a:8081", **settings: str) -> HttpRegistry:
    return stoppable(threading.Event(), url, **settings)


def stoppable(stop: threading.Event, url: str = "http://a:8081", **settings: str) -> HttpRegistry:
    given = {"schema.registry.url": url, "retries.wait.ms": "0", "max.retries": "1"}
    found = open_registry(given | {key.replace("_", "."): value for key, value in settings.items()}, stop)
    assert isinstance(found, HttpRegistry)
    return found


def sent() -> list[tuple[str, str, str]]:
    return [(host, method, path) for host, method, path, _, _ in Connection.seen]


def authorization() -> str | None:
    return Connection.seen[-1][4].get("Authorization")


def test_registering_posts_the_text_and_returns_the_id() -> None:
    Connection.script["a"] = [(200, {"id": 7})]
    assert client("http://a:8081/api/").register("t/1-value", '"int"') == 7
    assert sent() == [("a", "POST", "/api/subjects/t%2F1-value/versions")]
    assert Connection.seen[0][3] == {"schema": '"int"'}
    assert Connection.seen[0][4]["Content-Type"] == "application/vnd.schemaregistry.v1+json"
    assert Connection.read_timeouts == [30.0]


def test_an_id_is_asked_for_once() -> None:
    Connection.script["a"] = [(200, {"id": 7}), (200, {"id": 8})]
    made = client()
    assert [made.register("s", text) for text in ('"int"', '"int"', '"long"')] == [7, 7, 8]
    assert Connection.connects == ["a"], "the connection is kept"


def test_normalising_is_asked_for() -> None:
    Connection.script["a"] = [(200, {"id": 7})]
    client().lookup("s", '"int"', normalize=True)
    assert sent() == [("a", "POST", "/subjects/s?normalize=true")]


def test_latest_and_by_id() -> None:
    Connection.script["a"] = [(200, {"id": 7, "version": 2, "schema": '"int"'}), (200, {"schema": '"long"'})]
    made = client()
    assert made.latest("s") == (7, '"int"')
    assert made.schema_text(9) == '"long"'
    assert [path for _, _, path in sent()] == ["/subjects/s/versions/latest", "/schemas/ids/9"]


def test_no_associations_where_the_registry_knows_none() -> None:
    Connection.script["a"] = [(404, {"error_code": 404}), (200, [{"subject": "mine"}])]
    made = client()
    assert made.associated_subjects("t", "-", True) == []
    assert made.associated_subjects("t", "-", False) == ["mine"]
    assert sent()[0][2] == "/associations/resources/-/t?resourceType=topic&associationType=key"


def test_the_next_address_takes_over_and_stays_first() -> None:
    Connection.script = {"a": [ConnectionRefusedError()], "b": [(200, {"id": 1}), (200, {"id": 2})]}
    made = client("http://a,http://b")
    made.register("s", '"int"')
    made.register("s", '"long"')
    assert [host for host, _, _ in sent()] == ["a", "b", "b"]


@pytest.mark.parametrize("failure", [(500, b"<html>"), (503, {}), (429, {}), TimeoutError(), ConnectionResetError()])
def test_passing_failures_are_tried_again(failure: Answer) -> None:
    Connection.script["a"] = [failure, (200, {"id": 1})]
    assert client().register("s", '"int"') == 1


def test_an_idle_connection_the_server_closed_is_replaced_at_once() -> None:
    Connection.script["a"] = [(200, {"id": 1}), http.client.RemoteDisconnected("closed"), (200, {"id": 2})]
    made = client(max_retries="0")
    made.register("s", '"int"')
    assert made.register("s", '"long"') == 2
    assert Connection.connects == ["a", "a"]


def test_nobody_answering_is_retriable_and_names_the_registry_without_its_password() -> None:
    Connection.script["a"] = [ConnectionRefusedError("refused")] * 2
    with pytest.raises(RegistryConnectionError) as caught:
        client("http://user:secret@a:8081").register("s", '"int"')
    assert caught.value.retriable
    assert "http://a:8081" in str(caught.value)
    assert "ConnectionRefusedError" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_stopping_ends_the_wait_between_rounds() -> None:
    stop = threading.Event()
    stop.set()
    Connection.script["a"] = [ConnectionRefusedError()] * 2
    with pytest.raises(RegistryConnectionError):
        stoppable(stop, retries_wait_ms="60000").register("s", '"int"')
    assert len(Connection.seen) == 1


@pytest.mark.parametrize(("status", "body", "said"), [
    (409, {"error_code": 409, "message": "incompatible with v1"}, r"not compatible.*incompatible with v1.*\[.*=409"),
    (422, {"error_code": 42201, "message": "bad name"}, r"invalid: bad name.*name\.adjustment\.mode"),
    (401, b"", r"credentials.*basic\.auth"),
    (403, {"error_code": 40301, "message": "no"}, r"denies access: no"),
    (404, {"error_code": 40403, "message": "Schema not found"}, r"not registered.*auto\.register\.schemas"),
    (404, b"<html>not here</html>", r"does not answer as a Schema Registry.*schema\.registry\.url"),
    (200, b"hello", r"does not answer as a Schema Registry"),
    (302, b"", r"does not answer as a Schema Registry"),
])
def test_refusals_are_final_and_say_what_to_do(status: int, body: Any, said: str) -> None:
    Connection.script["a"] = [(status, body)]
    with pytest.raises(RegistryRefusedError, match=said) as caught:
        client().register("my-subject", '"int"')
    assert not caught.value.retriable
    assert caught.value.context["subject"] == "my-subject"
    assert len(Connection.seen) == 1


@pytest.mark.parametrize("answer", [
    b'{"id": "seven"}', b'{"id": "7"}', b'{"id": null}', b'{"id": -1}', b'{"id": 100000000000000}', b'{"id": true}',
    b'{"id": 7.5}', b'{"id": 2147483648}', b'{"id": [7]}', b'{"schema": "x"}', b'{"id": 1' + b"0" * 5000 + b"}",
    b"[" * 100_000, b'{"id":' * 5000,
])
def test_an_id_that_is_no_id_is_an_error_that_names_the_registry(answer: bytes) -> None:
    Connection.script["a"] = [(200, answer)]
    with pytest.raises(RegistryRefusedError, match=r"registry=http://a:8081") as caught:
        client().register("my-subject", '"int"')
    assert caught.value.context["subject"] == "my-subject"
    assert caught.value.hint


def test_the_greatest_id_is_one() -> None:
    Connection.script["a"] = [(200, {"id": 2**31 - 1})]
    assert client().register("s", '"int"') == 2**31 - 1


def test_a_schema_that_is_no_text_is_an_error_that_names_the_registry() -> None:
    Connection.script["a"] = [(200, {"schema": {"type": "int"}}), (200, {"id": 1, "schema": None})]
    made = client()
    with pytest.raises(RegistryRefusedError, match=r"no text.*http://a:8081"):
        made.schema_text(1)
    with pytest.raises(RegistryRefusedError, match=r"no text.*http://a:8081"):
        made.latest("s")


@pytest.mark.parametrize("answer", [[{}], ["x"], [{"subject": None}], [{"subject": ["a"]}]])
def test_an_association_without_a_subject_is_an_error_that_names_the_registry(answer: Any) -> None:
    Connection.script["a"] = [(200, answer)]
    with pytest.raises(RegistryRefusedError, match=r"without a subject.*http://a:8081"):
        client().associated_subjects("t", "-", False)


def test_a_message_that_is_no_text_is_left_out() -> None:
    Connection.script["a"] = [(409, {"error_code": 409, "message": [["x"]]})]
    with pytest.raises(RegistryRefusedError, match="not compatible") as caught:
        client().register("s", '"int"')
    assert "[[" not in str(caught.value)


def test_a_long_message_is_cut() -> None:
    Connection.script["a"] = [(409, {"error_code": 409, "message": "x" * 100_000})]
    with pytest.raises(RegistryRefusedError) as caught:
        client().register("s", '"int"')
    assert len(str(caught.value)) < 1500


def test_an_untrusted_certificate_is_final() -> None:
    Connection.script["a"] = [ssl.SSLCertVerificationError("self-signed")]
    with pytest.raises(RegistryRefusedError, match=r"truststore"):
        client("https://a").register("s", '"int"')


@pytest.mark.parametrize(("url", "settings", "wanted"), [
    ("http://a", {}, None),
    ("http://u:p%40@a", {}, "Basic dTpwQA=="),
    ("http://a", {"basic_auth_credentials_source": "USER_INFO", "basic_auth_user_info": "u:p@"}, "Basic dTpwQA=="),
    ("http://a", {"schema_registry_basic_auth_credentials_source": "USER_INFO",
                  "schema_registry_basic_auth_user_info": "u:p@"}, "Basic dTpwQA=="),
    ("http://a", {"basic_auth_credentials_source": "SASL_INHERIT",
                  "sasl_jaas_config": 'x.PlainLoginModule required username="u" password="p@";'}, "Basic dTpwQA=="),
    ("http://a", {"bearer_auth_token": "abc"}, "Bearer abc"),
])
def test_credentials(url: str, settings: dict[str, str], wanted: str | None) -> None:
    Connection.script["a"] = [(200, {"id": 1})]
    client(url, **settings).register("s", '"int"')
    assert authorization() == wanted


def test_proxies() -> None:
    Connection.script = {"proxy": [(200, {"id": 1})], "proxy>b": [(200, {"id": 1})]}
    client("http://a:81/api", proxy_host="proxy", proxy_port="3128").register("s", '"int"')
    client("https://b", proxy_host="proxy", proxy_port="3128").register("s", '"int"')
    assert sent() == [("proxy", "POST", "http://a:81/api/subjects/s/versions"),
                      ("proxy>b", "POST", "/subjects/s/versions")]


@pytest.mark.parametrize("setting", [
    {"bearer.auth.token": "s3cr\net"}, {"bearer.auth.token": "s3cr\u2013et"}, {"request.header.X-Key": "s3cr\net"},
])
def test_a_secret_that_no_header_can_hold_is_not_repeated(setting: dict[str, str]) -> None:
    with pytest.raises(ConfigError) as caught:
        open_registry({"schema.registry.url": "http://a", **setting})
    assert "s3cr" not in str(caught.value)


def test_a_token_read_from_a_file_may_end_in_a_line_end() -> None:
    Connection.script["a"] = [(200, {"id": 1})]
    client("http://a", bearer_auth_token="abc\n").register("s", '"int"')
    assert authorization() == "Bearer abc"


OAUTH = {"bearer.auth.credentials.source": "OAUTHBEARER", "bearer.auth.issuer.endpoint.url": "http://o:9/token",
         "bearer.auth.client.id": "me", "bearer.auth.client.secret": "s3cret", "bearer.auth.scope": "a b",
         "bearer.auth.logical.cluster": "lsrc-1", "bearer.auth.identity.pool.id": "pool-1"}


def test_a_token_of_an_oauth_server() -> None:
    Connection.script["o"] = [(200, {"access_token": "T1", "expires_in": 3600})]
    Connection.script["a"] = [(200, {"id": 1}), (200, {"id": 2})]
    found = client(**OAUTH)
    found.register("s", '"int"')
    found.register("s", '"long"')
    host, method, path, body, headers = Connection.seen[0]
    assert (host, method, path, body) == ("o", "POST", "/token", b"grant_type=client_credentials&scope=a+b")
    assert headers["Authorization"] == "Basic " + base64.b64encode(b"me:s3cret").decode()
    assert [each[0] for each in Connection.seen] == ["o", "a", "a"]
    assert authorization() == "Bearer T1"
    assert Connection.seen[-1][4]["target-sr-cluster"] == "lsrc-1"
    assert Connection.seen[-1][4]["Confluent-Identity-Pool-Id"] == "pool-1"


def test_a_token_that_ended_is_replaced() -> None:
    Connection.script["o"] = [(200, {"access_token": "T1"}), (200, {"access_token": "T2"})]
    Connection.script["a"] = [(200, {"id": 1}), (401, {}), (200, {"id": 2}), (401, {"message": "no"})]
    found = client(**OAUTH)
    found.register("s", '"int"')
    assert found.register("s", '"long"') == 2
    assert authorization() == "Bearer T2"
    Connection.script["o"] = [(200, {"access_token": "T3"})]
    Connection.script["a"].append((401, {"message": "no"}))
    with pytest.raises(RegistryRefusedError, match="credentials"):
        found.register("s", '"bytes"')


@pytest.mark.parametrize("answer", [(401, {"error": "invalid_client"}), (200, {}), (200, {"access_token": "a\nb"})],
                         ids=["refused", "no token", "no header"])
def test_an_oauth_server_that_gives_no_token(answer: Answer) -> None:
    Connection.script["o"] = [answer]
    with pytest.raises(RegistryRefusedError, match="gives no token") as caught:
        client(**OAUTH).register("s", '"int"')
    assert "s3cret" not in str(caught.value)


def test_an_oauth_server_that_does_not_answer() -> None:
    Connection.script["o"] = [OSError("away")] * 8
    with pytest.raises(RegistryConnectionError, match="the OAuth server does not answer"):
        client(**OAUTH).register("s", '"int"')


def test_how_long_a_token_is_used() -> None:
    now = [1000.0]
    claims = base64.urlsafe_b64encode(b'{"exp":1500}').decode().rstrip("=")
    for token, more, until in ((f"h.{claims}.s", {}, 1200.0), ("opaque", {}, 1030.0),
                               ("opaque", {"expires_in": 10}, 1005.0), ("a.b.c", {"expires_in": 900}, 1600.0)):
        settings, _ = read_settings({"schema.registry.url": "http://a", **OAUTH})
        tokens = OauthTokens(Client("http://o", "me", "x"), settings, clock=lambda: now[0])
        Connection.script["o"] = [(200, {"access_token": token, **more}), (200, {"access_token": "next"})]
        for moment, wanted in ((1000.0, token), (until - 0.01, token), (until, "next")):
            now[0] = moment
            assert tokens.headers()["Authorization"] == f"Bearer {wanted}"
        now[0] = 1000.0


def test_further_headers() -> None:
    Connection.script["a"] = [(200, {"id": 1})]
    found = open_registry({"schema.registry.url": "http://a", "request.header.X-Tenant": "me"})
    found.register("s", '"int"')
    assert Connection.seen[0][4]["X-Tenant"] == "me"


@pytest.mark.parametrize(("settings", "option"), [
    ({}, "schema.registry.url"),
    ({"schema.registry.url": "registry:8081"}, "schema.registry.url"),
    ({"schema.registry.url": "http://a:port"}, "schema.registry.url"),
    ({"schema.registry.url": "http://a,mock://b"}, "schema.registry.url"),
    ({"schema.registry.url": "http://a", "basic.auth.credentials.source": "USER_INFO"}, "basic.auth.user.info"),
    ({"schema.registry.url": "http://a", "basic.auth.credentials.source": "SASL_INHERIT"}, "sasl.jaas.config"),
    ({"schema.registry.url": "http://a", "bearer.auth.credentials.source": "CUSTOM"},
     "bearer.auth.credentials.source"),
    ({"schema.registry.url": "http://a", "bearer.auth.credentials.source": "OAUTHBEARER"},
     "bearer.auth.issuer.endpoint.url"),
    ({"schema.registry.url": "http://a", "bearer.auth.credentials.source": "OAUTHBEARER",
      "bearer.auth.issuer.endpoint.url": "http://o/token", "bearer.auth.client.id": "me"}, "bearer.auth.client.secret"),
    ({"schema.registry.url": "https://a", "schema.registry.ssl.truststore.location": "/x.jks"},
     "ssl.truststore.location"),
    ({"schema.registry.url": "https://a", "ssl.keystore.location": "/missing.pem"}, "ssl.keystore.location"),
])
def test_what_cannot_work_is_refused_at_once(settings: dict[str, str], option: str) -> None:
    with pytest.raises(ConfigError) as caught:
        open_registry(settings)
    assert caught.value.option == option


def test_an_empty_algorithm_leaves_the_name_unchecked() -> None:
    checked, _ = read_settings({"schema.registry.url": "https://a"})
    unchecked, _ = read_settings({"schema.registry.url": "https://a",
                                                "schema.registry.ssl.endpoint.identification.algorithm": ""})
    assert registry_http.tls_context(checked).check_hostname
    assert not registry_http.tls_context(unchecked).check_hostname
    assert registry_http.tls_context(unchecked).verify_mode == ssl.CERT_REQUIRED


def test_settings_never_show_secrets() -> None:
    found, _ = read_settings({"schema.registry.url": "http://a", "basic.auth.user.info": "u:secret",
                                            "bearer.auth.token": "secret", "sasl.jaas.config": "secret"})
    assert "secret" not in repr(found)


def test_mock_registries_are_shared_by_name() -> None:
    one, other = (open_registry({"schema.registry.url": "mock://shared"}) for _ in range(2))
    number = one.register("s-value", '"int"')
    assert other.latest("s-value") == (number, '"int"')
    assert other.lookup("s-value", '"int"') == number
    assert isinstance(one, MockRegistry)
    with pytest.raises(RegistryRefusedError, match="not registered"):
        open_registry({"schema.registry.url": "mock://another"}).latest("s-value")


def test_a_registry_that_is_closed_closes_the_connection_for_its_tokens() -> None:
    closed = []
    settings, _ = read_settings({"schema.registry.url": "http://r"})
    tokens = OauthTokens(Client("http://o", "me", "x"), settings)
    tokens.close = lambda: closed.append(1)  # type: ignore[method-assign]
    RegistryHttp(settings, {}, tokens=tokens).close()
    assert closed == [1]
