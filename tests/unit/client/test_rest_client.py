"""cdc/client: where the worker is, who asks, and what is said of that."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from cdc.cli import asked
from cdc.client.address import address, connect_address
from cdc.client.credentials import OF_CONNECT, credentials
from cdc.client.errors import NotReadyError
from cdc.client.rest import Answer, Client
from cdc.core.errors import CdcError, ConfigError
from cdc.rest.access import tokens_of, users_of
from cdc.rest.app import App
from cdc.rest.server import RestServer
from tests.unit.rest.fakes import Plugins, Worker

TOKEN = "0123456789abcdef-geheim"


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("URL", "TOKEN", "USER", "PASSWORD", "CREDENTIALS"):
        monkeypatch.delenv(f"CDC_CLI_{name}", raising=False)
        monkeypatch.delenv(f"CDC_CLI_CONNECT_{name}", raising=False)
    monkeypatch.delenv("CDC_LISTENERS", raising=False)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    from cdc.rest.access import Access

    access = Access(users=users_of({"ann": "pa:ss"}, "o"), tokens=tokens_of(TOKEN, "o"))
    server = RestServer(lambda: App(Worker(), Plugins(), access), "http://127.0.0.1:0")
    yield server.start()[0]
    server.stop()


class Raw(BaseHTTPRequestHandler):
    """Answers with `body`, and says that it has `length` bytes."""

    body = b"[]"
    length = 2
    asked: list[str] = []  # noqa: RUF012

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(200)
        self.send_header("Content-Length", str(self.length))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def raw() -> Iterator[tuple[str, type[Raw]]]:
    """Its address, and what it answers."""
    answers = type("Answers", (Raw,), {"asked": []})
    server = HTTPServer(("127.0.0.1", 0), answers)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", answers
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(("given", "found"), [
    ("h", "http://h:8083"), ("http://h:1/", "http://h:1"), ("https://h", "https://h:443"),
    ("http://0.0.0.0:9", "http://127.0.0.1:9"), ("http://[::]:9,https://x", "http://[::1]:9"),
    ("http://:8083", "http://127.0.0.1:8083"), ("http://h:1/connect/", "http://h:1/connect"),
])
def test_addresses_are_read_as_listeners_are_written(given: str, found: str) -> None:
    assert address(given) == found


@pytest.mark.parametrize("given", ["ftp://h", "http://h:x", "http://u:geheim@h", "http://h?a=b", "http://[::",
                                   "http://a..b:1", "http://a b:1", "http://" + "a" * 64, "u:geheim@h:8083",
                                   "http://u:ge geheim@h", "http://:geheim@h", "http://h/?token=geheim"])
def test_what_is_no_address_is_said_without_a_password(given: str) -> None:
    with pytest.raises(ConfigError) as caught:
        address(given)
    assert "geheim" not in str(caught.value)


def test_the_nearest_address_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert address(None) == "http://127.0.0.1:8083"
    monkeypatch.setenv("CDC_LISTENERS", "http://a:1")
    assert address(None) == "http://a:1"
    monkeypatch.setenv("CDC_CLI_URL", "http://b:1")
    assert address(None) == "http://b:1"
    file = tmp_path / "worker.properties"
    file.write_text("listeners=http://:7000\n")
    assert address(None, str(file)) == "http://127.0.0.1:7000"
    assert address("c:1", str(file)) == "http://c:1"


def test_users_and_tokens_come_from_files_and_the_environment(url: str, monkeypatch: pytest.MonkeyPatch,
                                                              tmp_path: Path) -> None:
    with pytest.raises(CdcError) as caught:
        Client(url).get("connectors")
    assert "CDC_CLI_TOKEN" in caught.value.hint
    file = tmp_path / "me"
    file.write_text("user=ann\npassword=pa:ss\n")
    assert Client(url, credentials(str(file))).get("connectors") == ["a"]
    monkeypatch.setenv("CDC_CLI_CREDENTIALS", str(file))
    assert Client(url, credentials()).get("connectors") == ["a"]
    monkeypatch.setenv("CDC_CLI_TOKEN", TOKEN)
    assert Client(url, credentials()).get("connectors") == ["a"]
    assert "geheim" not in repr(credentials())
    file.write_text("name=x\n")
    with pytest.raises(ConfigError):
        credentials()


def test_the_nearest_place_says_who_asks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The command line, an option's file, the environment, the file that a variable names."""
    far, near = tmp_path / "far", tmp_path / "near"
    far.write_text(f"token={TOKEN}\nca=far.pem\ncertificate=mine.pem\n")
    near.write_text("user=carl\npassword=3\nca=near.pem\n")
    monkeypatch.setenv("CDC_CLI_CREDENTIALS", str(far))
    assert credentials().token == TOKEN
    monkeypatch.setenv("CDC_CLI_USER", "bob")
    monkeypatch.setenv("CDC_CLI_PASSWORD", "2")
    assert (credentials().token, credentials().user, credentials().password) == ("", "bob", "2")
    assert credentials().ca == "far.pem"
    found = credentials(str(near))
    assert (found.user, found.password, found.ca, found.certificate) == ("carl", "3", "near.pem", "")
    found = credentials(str(near), given={"user": "dora", "password": "4"})
    assert (found.user, found.password, found.ca) == ("dora", "4", "near.pem")
    monkeypatch.setenv("CDC_CLI_TOKEN", TOKEN)
    with pytest.raises(ConfigError, match=r"a token and a user in CDC_CLI_\*"):
        credentials()


def test_a_password_may_stand_elsewhere_but_not_be_anothers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "me"
    file.write_text("user=ann\npassword=1\n")
    assert credentials(str(file), given={"user": "ann"}).password == "1"
    assert credentials(str(file), given={"user": "bob"}).password is None
    monkeypatch.setenv("CDC_CLI_PASSWORD", "2")
    assert credentials(str(file), given={"user": "bob"}).password == "2"
    file.write_text("user=ann\n")
    assert credentials(str(file)).password == "2"


def test_a_kafka_connect_has_an_address_and_credentials_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    address_, given = connect_address("https://b%40b:p%3As@[::1]/base/")
    assert (address_, given) == ("https://[::1]:443/base", {"user": "b@b", "password": "p:s"})
    assert connect_address("http://connect") == ("http://connect:80", {})
    monkeypatch.setenv("CDC_CLI_TOKEN", TOKEN)
    assert credentials(prefix=OF_CONNECT).header == ""
    monkeypatch.setenv("CDC_CLI_CONNECT_USER", "ann")
    monkeypatch.setenv("CDC_CLI_CONNECT_PASSWORD", "geheim")
    assert credentials(prefix=OF_CONNECT).header == "Basic YW5uOmdlaGVpbQ=="
    assert credentials().header == f"Bearer {TOKEN}"


def test_a_password_is_asked_for_at_a_terminal_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("click.prompt", lambda text, **_: f"{text}: 5")
    assert asked.known(given={"user": "ann"}).password is None
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    assert asked.known(given={"user": "ann"}).password == "Password of ann: 5"
    assert asked.known(given={"user": "ann", "password": ""}).password == ""
    assert asked.known().password is None


def test_a_page_for_people_is_no_answer_of_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as that of a proxy, or of a user interface."""
    monkeypatch.setattr(Client, "exchange", lambda *_, **__: Answer(200, "<html>"))
    for method in ("GET", "PUT", "DELETE"):
        with pytest.raises(ConfigError, match=r"http://h:1 answers, but it is no worker.*--url"):
            Client("http://h:1").ask(method, "connectors")
    assert Client("http://h:1").text("metrics") == "<html>"
    monkeypatch.setattr(Client, "exchange", lambda *_, **__: Answer(404, {"message": "no"}))
    assert Client("http://h:1").text("metrics") == ""
    monkeypatch.setattr(Client, "exchange", lambda *_, **__: Answer(401, None))
    with pytest.raises(CdcError, match="401"):
        Client("http://h:1").text("metrics")


def test_credentials_in_clear_on_a_network_are_warned_about(monkeypatch: pytest.MonkeyPatch,
                                                            capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("CDC_CLI_TOKEN", TOKEN)
    asked.client("http://h:1", credentials())
    said = capsys.readouterr().err
    assert "not encrypted" in said
    assert "geheim" not in said
    asked.client("https://h:1", credentials())
    asked.client("http://127.0.0.1:1", credentials())
    assert capsys.readouterr().err == ""


def test_a_path_of_any_characters_is_quoted_once(raw: tuple[str, type[Raw]]) -> None:
    url, answers = raw
    Client(address(f"{url}/größe/a%20b/")).get("connectors", "ä/b", plugin="ö")
    assert answers.asked == ["/gr%C3%B6%C3%9Fe/a%20b/connectors/%C3%A4%2Fb?plugin=%C3%B6"]


def test_a_name_that_is_no_text_is_refused(raw: tuple[str, type[Raw]]) -> None:
    """As an argument with bytes that the terminal's encoding does not have."""
    url, answers = raw
    for path, query in ((("a\udcff",), {}), (("a",), {"b": "\udcff"})):
        with pytest.raises(ConfigError, match=r"udcff' cannot be asked for, because it is no text in UTF-8"):
            Client(url).get(*path, **query)
    assert answers.asked == []


def test_an_answer_is_whole_or_an_error(raw: tuple[str, type[Raw]], monkeypatch: pytest.MonkeyPatch) -> None:
    url, answers = raw
    monkeypatch.setattr("cdc.client.rest._MOST_BYTES", 4 << 20)
    answers.body = b"[" + b" " * ((4 << 20) - 2) + b"]"
    answers.length = 4 << 20
    assert Client(url).get("a") == []
    answers.body, answers.length = answers.body[:-1] + b" ]", answers.length + 1
    with pytest.raises(CdcError, match=r"answers GET /a with more than 4 MiB"):
        Client(url).text("a")
    answers.body, answers.length = b"cdc_up 1\n", 100
    with pytest.raises(NotReadyError, match="IncompleteRead"):
        Client(url).text("a")
