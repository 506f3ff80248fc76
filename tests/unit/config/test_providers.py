"""References to values that are kept elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from cdc.config.providers import Providers
from cdc.config.secrets import Secret
from cdc.core.errors import ConfigError


def providers(worker: dict[str, str] | None = None, **environment: str) -> Providers:
    return Providers(Providers.of(worker or {}).by_name, environment=environment)


def test_references_are_replaced_and_their_values_secret() -> None:
    found = providers(PW="x$y", USER="u").resolve({"a": "${env:USER}:${env:PW}", "b": "c"})
    assert found == {"a": "u:x$y", "b": "c"}
    assert isinstance(found["a"], Secret)
    assert not isinstance(found["b"], Secret)


def test_results_are_not_searched_again() -> None:
    assert providers(A="${env:B}", B="c").resolve({"a": "${env:A}"}) == {"a": "${env:B}"}


@pytest.mark.parametrize("text", ["$1", "${name}", "${}", "{env:A}", "a${b", "$${"])
def test_what_is_no_reference_stays(text: str) -> None:
    assert providers().resolve({"a": text}) == {"a": text}


@pytest.mark.parametrize("text", ["${vault:a:b}", "x${Env:PW}", "${env:PW}${secretsmanager:k}", "${ env:PW}"])
def test_a_reference_to_an_undeclared_provider_is_an_error(text: str) -> None:
    with pytest.raises(ConfigError, match=r"not declared.*config\.providers") as caught:
        providers(PW="geheim").resolve({"table.include.list": text})
    assert caught.value.option == "table.include.list"
    assert "geheim" not in str(caught.value)


def test_a_reference_without_its_end_is_an_error() -> None:
    with pytest.raises(ConfigError, match="no closing brace"):
        providers(PW="geheim").resolve({"database.password": "${env:PW"})


def test_values_come_from_properties_files_and_directories(tmp_path: Path) -> None:
    (tmp_path / "s.properties").write_text("user=u\npassword=p q\n")
    (tmp_path / "token").write_text("t")
    config = {"a": f"${{file:{tmp_path}/s.properties:password}}", "b": f"${{dir:{tmp_path}:token}}"}
    assert providers().resolve(config) == {"a": "p q", "b": "t"}


@pytest.mark.parametrize(("text", "says"), [
    ("${env:NONE}", "not set"), ("${env:a:B}", "no path"), ("${file:/none:k}", "cannot be read"),
    ("${dir:/tmp:../etc/passwd}", "plain file name"),
])
def test_a_reference_that_leads_nowhere_names_its_key(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        providers().resolve({"database.password": text})
    assert caught.value.option == "database.password"


def test_a_missing_key_of_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "s.properties").write_text("geheim=p\n")
    with pytest.raises(ConfigError, match="no such key"):
        providers().resolve({"a": f"${{file:{tmp_path}/s.properties:k}}"})


def test_declared_providers_have_their_names_and_limits(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "s").write_text("k=v")
    (tmp_path / "out").write_text("k=v")
    declared = providers({
        "config.providers": "secrets, vars",
        "config.providers.secrets.class": "org.apache.kafka.common.config.provider.FileConfigProvider",
        "config.providers.secrets.param.allowed.paths": str(tmp_path / "in"),
        "config.providers.vars.class": "EnvVarConfigProvider",
        "config.providers.vars.param.allowlist.pattern": "DB_.*",
    }, DB_A="1", OTHER="2")
    assert declared.resolve({"a": f"${{secrets:{tmp_path}/in/s:k}}", "b": "${vars:DB_A}"}) == {"a": "v", "b": "1"}
    for text in (f"${{secrets:{tmp_path}/out:k}}", f"${{secrets:{tmp_path}/in/../out:k}}", "${vars:OTHER}"):
        with pytest.raises(ConfigError, match="does not allow"):
            declared.resolve({"a": text})


@pytest.mark.parametrize("config", [
    {"config.providers": "v"}, {"config.providers": "v", "config.providers.v.class": "com.example.Vault"},
])
def test_a_provider_we_do_not_have_is_an_error(config: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="no config provider") as caught:
        providers(config)
    assert caught.value.option == "config.providers.v.class"


def test_a_secret_that_looks_like_a_reference_is_not_shown() -> None:
    with pytest.raises(ConfigError, match="not declared") as caught:
        providers().resolve({"database.password": "a${geheim:geheim}b"})
    assert "geheim" not in str(caught.value)
    assert caught.value.option == "database.password"


def test_debeziums_and_strimzis_names_need_no_declaration(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t")
    config = {"a": f"${{directory:{tmp_path}:token}}", "b": f"${{strimzidir:{tmp_path}:token}}",
              "c": "${strimzienv:PW}"}
    assert providers(PW="p").resolve(config) == {"a": "t", "b": "t", "c": "p"}


def test_references_to_kubernetes_are_asked_once_for_each_resource() -> None:
    asked = []

    def resources(kind: str, namespace: str, name: str) -> dict[str, str]:
        asked.append((kind, namespace, name))
        return {"user": "u", "password": "geheim"}

    worker = {"config.providers": "vault", "config.providers.vault.class":
              "io.strimzi.kafka.KubernetesConfigMapConfigProvider"}
    providers = Providers.of(worker, resources)
    found = providers.resolve({
        "a": "${secrets:shop/db:user}", "b": "${secrets:shop/db:password}", "c": "${vault:settings:user}"})
    assert found == {"a": "u", "b": "geheim", "c": "u"}
    assert isinstance(found["b"], Secret)
    assert asked == [("secrets", "shop", "db"), ("configmaps", "", "settings")]
    providers.of_clients().resolve({"c": "${vault:settings:user}"})
    assert asked[2:] == [("configmaps", "", "settings")], "a later start takes what is there by then"


@pytest.mark.parametrize(("text", "says"), [
    ("${secrets:shop/db:none}", "no such key"), ("${secrets:../db:a}", "namespace/name"),
    ("${secrets:a/b/c:d}", "namespace/name"), ("${configmaps:x:a}", "has no such resource"),
])
def test_a_reference_to_kubernetes_that_leads_nowhere_names_its_key(text: str, says: str) -> None:
    def resources(kind: str, namespace: str, name: str) -> dict[str, str]:
        if kind == "configmaps":
            raise LookupError("Kubernetes has no such resource")
        return {"user": "u"}

    with pytest.raises(ConfigError, match=says) as caught:
        Providers.of({}, resources).resolve({"database.password": text})
    assert caught.value.option == "database.password"
    with pytest.raises(ConfigError, match="does not ask Kubernetes"):
        Providers.of({}).resolve({"a": "${secrets:shop/db:user}"})


def test_a_path_that_cannot_be_one_is_told_like_a_missing_file(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for path in ("/a\0b", str(tmp_path / "loop")):
        with pytest.raises(ConfigError, match="cannot be resolved"):
            Providers.of({}).resolve({"a": f"${{file:{path}:k}}"})
