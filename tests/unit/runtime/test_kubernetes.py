"""Secrets and config maps, as the API server of a cluster answers. No server is asked here."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
from pathlib import Path
from typing import Any, ClassVar

import pytest

from cdc.runtime import kubernetes

INSIDE = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "6443"}


class Answer:
    def __init__(self, status: int, body: bytes) -> None:
        self.status = status
        self._body = body

    def read(self, most: int) -> bytes:
        return self._body[:most]


class Cluster:
    """Stands for the connection to the API server, and notes what it is asked."""

    asked: ClassVar[list[Any]] = []
    answer: Answer | Exception = Answer(200, b"{}")

    def __init__(self, host: str, port: int, *, timeout: float, context: object) -> None:
        assert context is not None
        self.asked.append((host, port))

    def request(self, method: str, path: str, headers: dict[str, str]) -> None:
        self.asked.append((method, path, headers["Authorization"]))

    def getresponse(self) -> Answer:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def close(self) -> None:
        self.asked.append("closed")


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> type[Cluster]:
    monkeypatch.setattr(http.client, "HTTPSConnection", Cluster)
    monkeypatch.setattr(ssl, "create_default_context", lambda cafile: cafile)
    monkeypatch.setattr(Cluster, "asked", [])
    (tmp_path / "token").write_text("tok\n")
    (tmp_path / "namespace").write_text("shop")
    return Cluster


def read(folder: Path, kind: str = "secrets", namespace: str = "crm") -> dict[str, str]:
    return dict(kubernetes.read(kind, namespace, "db", account=folder, environment=INSIDE))


def test_a_secrets_values_are_decoded_and_a_config_maps_are_text(cluster: type[Cluster], tmp_path: Path) -> None:
    encoded = base64.b64encode("geheim ü".encode()).decode()
    cluster.answer = Answer(200, json.dumps({"data": {"password": encoded}}).encode())
    assert read(tmp_path) == {"password": "geheim ü"}
    assert cluster.asked == [("10.0.0.1", 6443), ("GET", "/api/v1/namespaces/crm/secrets/db", "Bearer tok"), "closed"]
    cluster.answer = Answer(200, b'{"data": {"host": "h"}}')
    assert read(tmp_path, "configmaps", "") == {"host": "h"}
    assert cluster.asked[-2][1] == "/api/v1/namespaces/shop/configmaps/db"
    cluster.answer = Answer(200, b'{"kind": "Secret"}')
    assert read(tmp_path) == {}


@pytest.mark.parametrize(("answer", "says"), [
    (Answer(404, b"{}"), "no such resource"), (Answer(403, b"{}"), "verb get"), (Answer(401, b"{}"), "not accept"),
    (Answer(500, b"geheim"), "answers 500"), (ConnectionRefusedError("geheim"), "does not answer"),
    (Answer(200, b"geheim"), "no text"), (Answer(200, b'{"data": {"a": "geheim!"}}'), "no text"),
    (Answer(200, b'{"data": {"a": "/w=="}}'), "no text"),
])
def test_an_answer_without_values_says_why_and_shows_nothing(
        cluster: type[Cluster], tmp_path: Path, answer: Answer | Exception, says: str) -> None:
    cluster.answer = answer
    with pytest.raises(LookupError, match=says) as caught:
        read(tmp_path)
    assert "geheim" not in str(caught.value)


def test_outside_of_a_cluster_or_without_an_account_nothing_is_asked(cluster: type[Cluster], tmp_path: Path) -> None:
    with pytest.raises(LookupError, match="does not run in Kubernetes"):
        kubernetes.read("secrets", "a", "b", account=tmp_path, environment={})
    (tmp_path / "token").unlink()
    with pytest.raises(LookupError, match="service account cannot be read"):
        read(tmp_path)
    assert cluster.asked == []
