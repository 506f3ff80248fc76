"""`openapi.json`: what the REST interface answers, made from the tables of routes. OpenAPI 3.1.

`python -m cdc.rest.openapi` writes it. The schemas of bodies are in `schemas.json`, by the names that routes use.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from cdc import about
from cdc.core.late_regex import late_regex

from .app import ROUTES
from .observe import DESCRIPTION
from .resource import Route

HERE: Final = Path(__file__).parent
_PARAMETER: Final = late_regex(r"\{(\w+)(:int)?\}")
_TEXT: Final = {"Metrics": "text/plain", "Events": "text/event-stream"}
"""Schemas of answers that are no JSON, and their media types."""
_FLAGS: Final = ("includeTasks", "onlyFailed", "connectorsOnly", "readable")


def document(routes: Iterable[Route] = ROUTES) -> dict[str, Any]:
    """The whole document."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        path = _PARAMETER.sub(r"{\1}", route.path)
        paths.setdefault(path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {"title": "cdc", "version": about.VERSION, "summary": (
            f"The REST interface of Kafka Connect {about.KAFKA_CONNECT_VERSION}, with metrics, probes and events.")},
        "paths": paths,
        "components": {"schemas": schemas(), "securitySchemes": {
            "basic": {"type": "http", "scheme": "basic"}, "token": {"type": "http", "scheme": "bearer"}}},
        "security": [{}, {"basic": []}, {"token": []}],
    }


def schemas() -> dict[str, Any]:
    """The JSON schemas of bodies, by name."""
    found: dict[str, Any] = json.loads((HERE / "schemas.json").read_text(encoding="utf-8"))
    return found


def _operation(route: Route) -> dict[str, Any]:
    summary = inspect.cleandoc(route.handler.__doc__ or "").split("\n\n")[0].replace("\n", " ")
    made: dict[str, Any] = {"operationId": f"{route.handler.__module__.rpartition('.')[2]}.{route.handler.__name__}",
                            "summary": summary}
    parameters = [_in_path(name, bool(whole)) for name, whole in _PARAMETER.findall(route.path)]
    parameters += [_in_query(name) for name in route.query]
    if parameters:
        made["parameters"] = parameters
    if route.body:
        made["requestBody"] = {"required": True, "content": _content(route.body)}
    made["responses"] = {str(status): _response(name) for status, name in route.answers.items()}
    made["responses"]["default"] = {"description": "An error.", "content": _content("Error")}
    return made


def _in_path(name: str, whole: bool) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "integer" if whole else "string"}}


def _in_query(name: str) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "boolean" if name in _FLAGS else "string"}
    if name == "expand":
        schema = {"type": "array", "items": {"enum": ["status", "info"]}}
    return {"name": name, "in": "query", "schema": schema}


def _response(name: str) -> dict[str, Any]:
    return {"description": "Done.", "content": _content(name)} if name else {"description": "Done; no body."}


def _content(name: str) -> dict[str, Any]:
    return {_TEXT.get(name, "application/json"): {"schema": {"$ref": f"#/components/schemas/{name}"}}}


def text() -> str:
    """The document as it is in the file."""
    return json.dumps(document(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    DESCRIPTION.write_text(text(), encoding="utf-8")
