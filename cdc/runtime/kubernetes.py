"""Secrets and config maps of the Kubernetes cluster that this process runs in.

Kubernetes documentation, "Accessing the Kubernetes API from a Pod"; Kubernetes API, "Secret" and "ConfigMap". The pod's
service account needs the verb `get` on what it reads. No error contains a value.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Final

ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_TIMEOUT_S: Final = 10.0
_MOST_BYTES: Final = 4 << 20
"""A resource has at most 1 MiB of data, which base64 and JSON make larger."""


def read(kind: str, namespace: str, name: str, *, account: Path = ACCOUNT,
         environment: Mapping[str, str] = os.environ) -> Mapping[str, str]:
    """The texts of a resource of *kind* (`secrets`, `configmaps`), by key. An empty *namespace* is this pod's own.

    Raises LookupError with the reason.
    """
    host, port = environment.get("KUBERNETES_SERVICE_HOST"), environment.get("KUBERNETES_SERVICE_PORT", "443")
    if not host or not port.isdigit():
        raise LookupError("this process does not run in Kubernetes")
    try:
        token = (account / "token").read_text(encoding="ascii").strip()
        namespace = namespace or (account / "namespace").read_text(encoding="ascii").strip()
        context = ssl.create_default_context(cafile=str(account / "ca.crt"))
    except (OSError, ValueError) as exc:
        raise LookupError(f"the pod's service account cannot be read: {type(exc).__name__}") from None
    import http.client  # only references to Kubernetes need it

    connection = http.client.HTTPSConnection(host, int(port), timeout=_TIMEOUT_S, context=context)
    try:
        connection.request("GET", f"/api/v1/namespaces/{namespace}/{kind}/{name}",
                           headers={"Authorization": f"Bearer {token}", "Accept": "application/json"})
        response = connection.getresponse()
        body = response.read(_MOST_BYTES)
    except (OSError, http.client.HTTPException) as exc:
        raise LookupError(f"Kubernetes does not answer: {type(exc).__name__}") from None
    finally:
        connection.close()
    if response.status != 200:
        raise LookupError(_REASONS.get(response.status, f"Kubernetes answers {response.status}"))
    return _texts(kind, body)


_REASONS: Final = {
    401: "Kubernetes does not accept the pod's service account",
    403: "the pod's service account may not get it; give it a role with the verb get",
    404: "Kubernetes has no such resource",
}


def _texts(kind: str, body: bytes) -> Mapping[str, str]:
    try:
        data = json.loads(body).get("data") or {}
        if kind == "configmaps":
            return {str(key): str(text) for key, text in data.items()}
        return {str(key): base64.b64decode(text, validate=True).decode("utf-8") for key, text in data.items()}
    except (ValueError, AttributeError, TypeError, binascii.Error):
        raise LookupError("its data is no text") from None
