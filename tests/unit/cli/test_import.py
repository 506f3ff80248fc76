"""`cdc import`: what it asks for, and what it prints. The worker that it asks has Kafka Connect's interface."""

from __future__ import annotations

from pathlib import Path

import pytest

from cdc.cli.import_ import _target
from cdc.core.errors import ConfigError
from tests.unit.cli.worker.live import Shell, running, shell, shop  # noqa: F401


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
    (("--dry-run", "--offset-topic", "t"), "belong together"),
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
    assert found.code == 1
    assert "There is no answer from http://127.0.0.1:1" in " ".join(found.err.split())
    assert "secret" not in found.err


def test_the_service_is_asked_with_the_certificates_of_all_commands(monkeypatch: pytest.MonkeyPatch,
                                                                    tmp_path: Path) -> None:
    monkeypatch.setenv("CDC_CLI_CA", str(tmp_path / "none.pem"))
    with pytest.raises(ConfigError, match="The certificates cannot be read"), \
         _target(None, tmp_path, "https://127.0.0.1:1", replace=False, timeout_s=1):
        pass
