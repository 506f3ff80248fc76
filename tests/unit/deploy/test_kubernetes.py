"""`deploy/kubernetes`: built by kustomize, held against Kubernetes' own schemas, and its configuration read by cdc."""

from __future__ import annotations

import functools
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from cdc.rest import observe
from cdc.validate import validate_files

DEPLOY = Path(__file__).parents[3] / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
OVERLAYS = sorted(path.parent.name for path in KUBERNETES.glob("overlays/*/kustomization.yaml"))
RELEASES = ["1.30", kubernetes_validate.latest_version()]
OPERATORS = ("ServiceMonitor", "PrometheusRule")
"""Resources of the Prometheus Operator, for which Kubernetes has no schema."""
Resource = dict[str, Any]

built_ones = pytest.mark.skipif(shutil.which("kubectl") is None, reason="this machine has no kubectl")


@functools.cache
def built(overlay: str) -> list[Resource]:
    done = subprocess.run(["kubectl", "kustomize", str(KUBERNETES / "overlays" / overlay)], capture_output=True,
                          text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return list(yaml.safe_load_all(done.stdout))


def one(overlay: str, kind: str) -> Resource:
    found, = [each for each in built(overlay) if each["kind"] == kind]
    return found


def pod(overlay: str) -> Resource:
    template: Resource = one(overlay, "Deployment")["spec"]["template"]
    return template


def container(overlay: str) -> Resource:
    found, = pod(overlay)["spec"]["containers"]
    return dict(found)


def paths() -> list[Path]:
    folders = [DEPLOY / name for name in ("kubernetes", "prometheus", "grafana")]
    return sorted(path for folder in folders for path in folder.rglob("*.y*ml"))


@pytest.mark.parametrize("path", paths(), ids=lambda path: str(path.relative_to(DEPLOY)))
def test_files_are_yaml_and_all_that_they_name_exists(path: Path) -> None:
    for found in yaml.safe_load_all(path.read_text(encoding="utf-8")):
        if path.name == "kustomization.yaml":
            named = [*found.get("resources", ()), *found.get("components", ()),
                     *(each["path"] for each in found.get("patches", ())),
                     *(name for each in found.get("configMapGenerator", ()) for name in each["files"])]
            assert [name for name in named if not (path.parent / name).exists()] == []


@built_ones
@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_resources_are_what_kubernetes_knows(overlay: str, release: str) -> None:
    for resource in built(overlay):
        if resource["kind"] not in OPERATORS:
            kubernetes_validate.validate(resource, release, strict=True)


def test_the_schemas_would_find_a_mistake() -> None:
    """Otherwise the test above says nothing."""
    budget = yaml.safe_load((KUBERNETES / "base" / "poddisruptionbudget.yaml").read_text(encoding="utf-8"))
    kubernetes_validate.validate(budget, RELEASES[-1], strict=True)
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(budget | {"spec": {"maxUnavailabel": 1}}, RELEASES[-1], strict=True)


@built_ones
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_there_is_one_instance_without_rights(overlay: str) -> None:
    deployment = one(overlay, "Deployment")["spec"]
    assert (deployment["replicas"], deployment["strategy"]) == (1, {"type": "Recreate"})
    spec, inside = pod(overlay)["spec"], container(overlay)["securityContext"]
    assert spec["securityContext"]["runAsNonRoot"]
    assert (spec["enableServiceLinks"], spec["automountServiceAccountToken"]) == (False, False)
    assert inside == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                      "capabilities": {"drop": ["ALL"]}}


@built_ones
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_is_referred_to_is_there(overlay: str) -> None:
    spec, main = pod(overlay)["spec"], container(overlay)
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    assert {mount["name"] for mount in main["volumeMounts"]} == set(volumes)
    maps = {each["metadata"]["name"] for each in built(overlay) if each["kind"] == "ConfigMap"}
    assert volumes["config"]["configMap"]["name"] in maps
    claims = {each["metadata"]["name"] for each in built(overlay) if each["kind"] == "PersistentVolumeClaim"}
    assert {volume["persistentVolumeClaim"]["claimName"] for volume in volumes.values()
            if "persistentVolumeClaim" in volume} == claims
    assert spec["serviceAccountName"] == one(overlay, "ServiceAccount")["metadata"]["name"]
    ports = {port["name"] for port in main["ports"]}
    assert {port["targetPort"] for port in one(overlay, "Service")["spec"]["ports"]} <= ports
    routes = {route.path for route in observe.ROUTES}
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert main[probe]["httpGet"]["path"] in routes
        assert main[probe]["httpGet"]["port"] in ports
    assert main["livenessProbe"]["httpGet"]["path"] == "/healthz", "a task that waits is no reason to kill the process"


@built_ones
def test_selectors_choose_their_own_pods_only() -> None:
    """Both examples may run in one namespace."""
    alone = [overlay for overlay in OVERLAYS if overlay != "monitored"]
    for overlay in alone:
        for selector in (one(overlay, "Service")["spec"]["selector"],
                         one(overlay, "Deployment")["spec"]["selector"]["matchLabels"],
                         one(overlay, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"]):
            chosen = [each for each in alone if selector.items() <= pod(each)["metadata"]["labels"].items()]
            assert chosen == [overlay]


@built_ones
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_cdc_has_nothing_to_say_about_the_configuration(overlay: str, tmp_path: Path,
                                                        monkeypatch: pytest.MonkeyPatch) -> None:
    """With the files and the variables of the container, and a file for the secret."""
    name = next(each for each in pod(overlay)["spec"]["volumes"] if each["name"] == "config")["configMap"]["name"]
    data = next(each for each in built(overlay) if each["metadata"]["name"] == name)["data"]
    for file, text in data.items():
        (tmp_path / file).write_text(text.replace("/var/lib/cdc", str(tmp_path)), encoding="utf-8")
    secret = tmp_path / "secret"
    secret.write_text("geheim\n")
    for variable in container(overlay)["env"]:
        value = str(secret) if variable["name"].endswith("_FILE") else variable["value"]
        monkeypatch.setenv(variable["name"], value)
    _, *files = container(overlay)["args"]
    found = validate_files([tmp_path / Path(file).name for file in files], strict=True)
    assert [each for each in found if each["level"] != "info"] == []
    assert {"CDC_DATABASE_PASSWORD_FILE"} <= {each["file"] for each in found}


@built_ones
def test_prometheus_finds_the_service() -> None:
    monitor, service = one("monitored", "ServiceMonitor")["spec"], one("monitored", "Service")
    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    ports = {port["name"] for port in service["spec"]["ports"]}
    assert {endpoint["port"] for endpoint in monitor["endpoints"]} <= ports


@built_ones
def test_the_operators_rules_and_the_files_rules_are_the_same() -> None:
    rules = yaml.safe_load((DEPLOY / "prometheus" / "cdc.rules.yml").read_text(encoding="utf-8"))
    assert one("monitored", "PrometheusRule")["spec"] == rules


@built_ones
def test_every_dashboard_is_delivered() -> None:
    maps = [each for each in built("monitored") if each["metadata"].get("labels", {}).get("grafana_dashboard")]
    assert {name for each in maps for name in each["data"]} == {
        path.name for path in (DEPLOY / "grafana" / "dashboards").glob("*.json")}
