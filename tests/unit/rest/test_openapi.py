"""`openapi.json` against the routes, and the routes' answers against it."""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema
import pytest

from cdc.rest import openapi
from cdc.rest.app import ROUTES
from cdc.rest.observe import DESCRIPTION
from cdc.rest.server import RestServer

from .test_recorded import ask, recorded, server  # noqa: F401

DOCUMENT = json.loads(DESCRIPTION.read_text(encoding="utf-8"))


def test_the_file_is_current() -> None:
    assert DESCRIPTION.read_text(encoding="utf-8") == openapi.text(), "run: python -m cdc.rest.openapi"


def test_every_route_is_described_and_nothing_else() -> None:
    ours = {(re.sub(r":int\}", "}", route.path), route.method.lower()) for route in ROUTES}
    assert ours == {(path, method) for path, operations in DOCUMENT["paths"].items() for method in operations}
    ids = [operation["operationId"] for operations in DOCUMENT["paths"].values() for operation in operations.values()]
    assert len(ids) == len(set(ids))
    assert all(operation["summary"] for operations in DOCUMENT["paths"].values() for operation in operations.values())


def test_every_reference_leads_somewhere_and_every_schema_is_used() -> None:
    named = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(DOCUMENT)))
    assert named == set(DOCUMENT["components"]["schemas"])


def schema_of(method: str, path: str, status: int) -> dict[str, Any] | None:
    """The schema of an answer; None if it has no JSON body."""
    for template, operations in DOCUMENT["paths"].items():
        if method.lower() in operations and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path):
            responses = operations[method.lower()]["responses"]
            content = responses.get(str(status), responses["default"]).get("content", {})
            schema = content.get("application/json", {}).get("schema")
            return schema and {**schema, "components": DOCUMENT["components"]}
    return {"$ref": "#/components/schemas/Error", "components": DOCUMENT["components"]} if status >= 400 else None


def test_answers_are_as_described(server: RestServer) -> None:  # noqa: F811
    checked = 0
    for asked in recorded():
        status, _, body = ask(server.urls[0], asked)
        path = asked["path"].partition("?")[0]
        schema = schema_of(asked["method"], path.rstrip("/") or "/", status)
        if schema is not None and asked["method"] not in ("HEAD", "OPTIONS"):
            jsonschema.validate(body, schema)
            checked += 1
    assert checked > 90


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/health", "/", "/openapi.json"])
def test_what_only_we_have_is_as_described(server: RestServer, path: str) -> None:  # noqa: F811
    status, _, body = ask(server.urls[0], {"method": "GET", "path": path, "content_type": None, "accept": None,
                                           "request": None})
    jsonschema.validate(body, schema_of("GET", path, status) or {})
