"""`cdc import`: what it asks for, and what it prints. The worker that it asks has Kafka Connect's interface."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cdc.cli.import_ import _target
from cdc.core.errors import ConfigError
from cdc.operate.connect_topic import settings_of
from cdc.rest.access import Access, users_of
from cdc.rest.tls import server_context
from tests.unit.cli.worker.live import Shell, running, shell, shop  # noqa: F401
from tests.unit.rest.test_access import Served, keys, serve, tls_keys  # noqa: F401


def test_a_dry_run_says_what_stands_against_each_connector(shop: Shell) -> None:  # noqa: F811
    found = shop("import", shop.url, "--dry-run")
    assert found.code == 2
    first, second = found.out.splitlines()
    assert first == "shop (FileStreamSource, RUNNING) cannot be taken over"
    assert second.startswith("  error: connector.class: FileStreamSource is none of Debezium")


def test_a_connector_that_is_not_there_is_refused(shop: Shell) -> None:  # noqa: F811
    found = shop("import", shop.url, "--dry-run", "--connector", "none")
    assert found.code == 2
    assert "It has shop." in found.err


@pytest.mark.parametrize(("arguments", "text"), [
    ((), "--worker, or a running cdc with --to"),
    (("--worker", "FILE", "--to", "http://b:1"), "--worker, or a running cdc with --to"),
    (("--dry-run", "--offset-topic", "t"), "belongs together"),
    (("--dry-run", "--command-config", "FILE"), "belongs together"),
    (("--dry-run", "--offset-topic", "t", "--command-config", "FILE"), "The brokers of the offset topic are not known"),
])
def test_options_that_do_not_fit_are_refused(shell: Shell, tmp_path: Path,  # noqa: F811
                                             arguments: tuple[str, ...], text: str) -> None:
    file = tmp_path / "worker.properties"
    file.write_text("")
    found = shell("import", "http://a:1", *(str(file) if each == "FILE" else each for each in arguments))
    assert found.code == 2
    assert text in " ".join(found.err.split())


def test_nobody_answers(shell: Shell) -> None:  # noqa: F811
    found = shell("import", "http://user:secret@127.0.0.1:1", "--dry-run")
    assert found.code == 3
    assert "No Kafka Connect answers at http://127.0.0.1:1" in " ".join(found.err.split())
    assert "secret" not in found.err


def test_a_kafka_connect_with_tls_and_users(shell: Shell, serve: Callable[..., Served], keys: Path,  # noqa: F811
                                            tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served = serve(Access(users=users_of({"ann": "se:cret"}, "f")), url="https://127.0.0.1:0",
                   tls=lambda: server_context(tls_keys(keys, "pem")))
    place = f"localhost:{served.port}"
    found = shell("import", f"https://{place}", "--dry-run")
    assert (found.code, "CDC_CLI_CONNECT_CA" in found.err) == (3, True)
    monkeypatch.setenv("CDC_CLI_CONNECT_CA", str(keys / "cert.pem"))
    found = shell("import", f"https://{place}", "--dry-run")
    assert (found.code, "CDC_CLI_CONNECT_USER" in found.err) == (1, True)
    file = tmp_path / "ann"
    file.write_text("user=ann\npassword=se:cret\n")
    for given in ((f"https://{place}", "--connect-credentials", str(file)), (f"https://ann:se%3Acret@{place}",)):
        found = shell("import", *given, "--dry-run")
        assert found.code == 2
        assert found.out.startswith("a (")
        assert "se:cret" not in found.out + found.err


def test_the_service_is_asked_with_the_certificates_of_all_commands(monkeypatch: pytest.MonkeyPatch,
                                                                    tmp_path: Path) -> None:
    monkeypatch.setenv("CDC_CLI_CA", str(tmp_path / "none.pem"))
    with pytest.raises(ConfigError, match="The certificates cannot be read"), \
         _target(None, tmp_path, "https://127.0.0.1:1", None, replace=False, timeout_s=1):
        pass


def test_the_properties_of_kafkas_tools_are_understood(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KAFKA_PASSWORD", "geheim")
    file = tmp_path / "client.properties"
    file.write_text('bootstrap.servers=a:1\nsecurity.protocol=SASL_SSL\nsasl.mechanism=PLAIN\ngroup.id=mine\n'
                    'sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required '
                    'username="ann" password="${env:KAFKA_PASSWORD}";\nsasl.mechanisn=PLAIN\n')
    told: list[str] = []
    found = settings_of(str(file), "b:2", told.append)
    assert found == {"bootstrap.servers": "b:2", "security.protocol": "SASL_SSL", "sasl.mechanism": "PLAIN",
                     "sasl.username": "ann", "sasl.password": "geheim"}
    assert [text.rpartition("Did you mean ")[2] for text in told] == ["sasl.mechanism?"]
    assert settings_of(str(file), None, told.append)["bootstrap.servers"] == "a:1"
    assert "geheim" not in "".join(told)
