"""`docker-compose.yml`: it follows Compose's specification, is pinned, and all that it refers to is there."""

from __future__ import annotations

import importlib.resources
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from cdc.demo import workload
from cdc.validate import validate_files
from tests.servers import compose, kafka, registry

FILE = compose.load()
SERVICES: dict[str, Any] = FILE["services"]
OURS = [name for name in SERVICES if name.startswith("cdc-")]
DEPLOY = compose.ROOT / "deploy"


def image(name: str) -> tuple[str, str]:
    """The repository and the tag."""
    repository, _, tag = SERVICES[name]["image"].partition(":")
    return repository, tag


def schema() -> dict[str, Any]:
    """Of the package check-jsonschema, which carries Compose's."""
    files = importlib.resources.files("check_jsonschema").joinpath("builtin_schemas", "vendor", "compose-spec.json")
    return dict(json.loads(files.read_text(encoding="utf-8")))


def test_it_follows_the_specification() -> None:
    jsonschema.validate(FILE, schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(FILE | {"services": {"x": {"imaeg": "y"}}}, schema())


@pytest.mark.parametrize("name", SERVICES)
def test_images_are_pinned_to_one_release(name: str) -> None:
    assert re.fullmatch(r"v?\d+\.\d+(\.\d+)?", image(name)[1])


def test_tests_run_the_same_kafka_and_registry() -> None:
    assert image("kafka")[1] == kafka.version()
    assert image("registry")[1] == registry.VERSION


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_published_to_this_machine_only(name: str) -> None:
    assert [port for port in SERVICES[name].get("ports", ()) if not port.startswith("127.0.0.1:")] == []


def test_no_port_is_published_twice() -> None:
    ports = [port.rsplit(":", 1)[0] for service in SERVICES.values() for port in service.get("ports", ())]
    assert len(ports) == len(set(ports))


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_service_refers_to_is_there(name: str) -> None:
    service = SERVICES[name]
    depends = service.get("depends_on", {})
    assert set(depends) <= set(SERVICES)
    for other in depends:
        assert set(SERVICES[other].get("profiles", ())) <= set(service.get("profiles", ())), f"{other} does not run"
        waits = isinstance(depends, dict) and depends[other]["condition"] == "service_healthy"
        assert not waits or "healthcheck" in SERVICES[other]
    sources = [str(mount).split(":")[0] for mount in service.get("volumes", ())]
    assert [source for source in sources if source.startswith(".") and not (compose.ROOT / source).exists()] == []
    assert {source for source in sources if not source.startswith(".")} <= set(FILE["volumes"])
    if "build" in service:
        assert (compose.ROOT / service["build"]["dockerfile"]).is_file()


def test_every_volume_is_used() -> None:
    used = {str(mount).split(":")[0] for service in SERVICES.values() for mount in service.get("volumes", ())}
    assert set(FILE["volumes"]) <= used


@pytest.mark.parametrize("database", ["postgres", "mysql", "mariadb"])
def test_each_database_has_a_connector_and_a_workload(database: str) -> None:
    """With the same profile, so that they come together; PostgreSQL always."""
    profiles = [] if database == "postgres" else [database]
    for name in (database, f"cdc-{database}", f"workload-{database}"):
        assert SERVICES[name].get("profiles", []) == profiles
    assert compose.environment(f"cdc-{database}")["CDC_DATABASE_HOSTNAME"] == database
    *_, url = SERVICES[f"workload-{database}"]["command"]
    assert workload.database(url)
    assert url.rpartition("@")[2].split(":")[0] == database


@pytest.mark.parametrize("name", OURS)
def test_ours_have_no_rights(name: str) -> None:
    service = SERVICES[name]
    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    assert [mount.partition(":")[2] for mount in service["volumes"]] == ["/var/lib/cdc"]


@pytest.mark.parametrize("name", OURS)
def test_cdc_has_nothing_to_say_about_the_configuration(name: str, tmp_path: Path,
                                                        monkeypatch: pytest.MonkeyPatch) -> None:
    worker = tmp_path / "worker.properties"
    text = (DEPLOY / "etc" / "worker.properties").read_text(encoding="utf-8")
    worker.write_text(text.replace("/var/lib/cdc", str(tmp_path)), encoding="utf-8")
    for variable, value in compose.environment(name).items():
        assert isinstance(value, str), f"{variable} is no text in YAML"
        monkeypatch.setenv(variable, value)
    assert [each for each in validate_files([worker], strict=True) if each["level"] != "info"] == []


def test_prometheus_asks_all_of_ours() -> None:
    config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))
    found, = [each for each in config["scrape_configs"] if each["job_name"] == "cdc"]
    asked, = found["dns_sd_configs"]
    assert sorted(asked["names"]) == sorted(OURS)
    worker = (DEPLOY / "etc" / "worker.properties").read_text(encoding="utf-8")
    listeners = re.search(r"^listeners=http://:(\d+)$", worker, re.MULTILINE)
    assert listeners is not None
    assert asked["port"] == int(listeners[1])
    mounted = dict(mount.split(":")[:2] for mount in SERVICES["prometheus"]["volumes"])
    assert mounted["./deploy/prometheus"] == "/etc/prometheus"
    for file in config["rule_files"]:
        assert (DEPLOY / "prometheus" / Path(file).relative_to("/etc/prometheus")).is_file()


def test_grafana_finds_prometheus_and_the_dashboards() -> None:
    provisioned = DEPLOY / "grafana" / "provisioning"
    source, = yaml.safe_load((provisioned / "datasources" / "prometheus.yaml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
    provider, = yaml.safe_load((provisioned / "dashboards" / "cdc.yaml").read_text())["providers"]
    mounted = {target: source for source, target, *_ in (
        mount.split(":") for mount in SERVICES["grafana"]["volumes"])}
    assert mounted["/etc/grafana/provisioning"] == "./deploy/grafana/provisioning"
    folder = compose.ROOT / mounted[provider["options"]["path"]]
    boards = {path.name: json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*.json")}
    home = Path(compose.environment("grafana")["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert str(home.parent) == provider["options"]["path"]
    assert home.name in boards
    assert len({board["uid"] for board in boards.values()}) == len(boards)
