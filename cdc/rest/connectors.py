"""`/connectors`: which there are, their configurations and states, and commands to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from cdc.config.secrets import mask

from .api import WorkerView
from .body import flag, flat_config, json_body, object_of, with_values
from .resource import Route, Service, in_thread, without_secrets

_TARGETS = {"RUNNING": "STARTED", "PAUSED": "PAUSED", "STOPPED": "STOPPED"}


async def connectors(service: Service, request: Request) -> Response:
    """The names of the connectors; with `expand` an object by name."""
    worker = service.worker
    names = list(worker.connectors())
    expand = request.query_params.getlist("expand")
    if not expand:
        return JSONResponse(names)
    return JSONResponse({name: found for name in names if (found := _expanded(worker, name, expand)) is not None})


async def create(service: Service, request: Request) -> Response:
    """Create a connector. `initial_state` is RUNNING, PAUSED or STOPPED."""
    wanted = object_of(await json_body(request), "The body")
    unknown = sorted(wanted.keys() - {"name", "config", "initial_state"})
    if unknown:
        raise HTTPException(400, f"The body has unknown members: {', '.join(unknown)}.")
    name, config = wanted.get("name") or "", flat_config(wanted.get("config"))
    if not isinstance(name, str):
        raise HTTPException(400, "name must be text.")
    state = wanted.get("initial_state")
    target = "STARTED" if state is None else _TARGETS.get(str(state).upper())
    if target is None:
        raise HTTPException(400, f"initial_state must be one of {', '.join(_TARGETS)}.")
    name = name.strip()
    await in_thread(service.worker.create, name, _named(name, with_values(config)), target)
    return _created(service, request, name, 201)


async def connector(service: Service, request: Request) -> Response:
    """A connector's configuration and tasks."""
    return JSONResponse(_info_of(service.worker, request.path_params["name"]))


async def delete(service: Service, request: Request) -> Response:
    """End a connector and forget it. Its offsets stay: one that is created under the same name goes on from them."""
    await in_thread(service.worker.delete, request.path_params["name"])
    return Response(status_code=204)


async def config(service: Service, request: Request) -> Response:
    """A connector's configuration, secrets hidden."""
    return JSONResponse(mask(_config(service.worker, request.path_params["name"])))


async def put_config(service: Service, request: Request) -> Response:
    """Create a connector, or change it. A value that is hidden as in the answer to GET stays as it is."""
    name = request.path_params["name"]
    found = with_values(flat_config(await json_body(request)))
    is_new = await in_thread(service.worker.put_config, name, _named(name, found))
    return _created(service, request, name, 201 if is_new else 200)


async def patch_config(service: Service, request: Request) -> Response:
    """Change some keys of a connector; null removes one."""
    name = request.path_params["name"]
    changes = flat_config(await json_body(request), nulls=True)
    await in_thread(service.worker.patch_config, name, _named(name, changes))
    return JSONResponse(_info_of(service.worker, name))


async def status(service: Service, request: Request) -> Response:
    """The states of a connector and its tasks."""
    return JSONResponse(without_secrets(_status(service.worker, request.path_params["name"])))


async def tasks(service: Service, request: Request) -> Response:
    """A connector's tasks and their configurations, secrets hidden."""
    name = request.path_params["name"]
    masked = {**mask(_config(service.worker, name)), "task.class": service.worker.task_class(name)}
    found = service.worker.status(name) or {"tasks": []}
    return JSONResponse([{"id": {"connector": name, "task": task["id"]}, "config": masked} for task in found["tasks"]])


async def task_status(service: Service, request: Request) -> Response:
    """The state of one task."""
    name, number = request.path_params["name"], request.path_params["task"]
    found = service.worker.status(name) or {"tasks": []}
    for task in found["tasks"]:
        if task["id"] == number:
            return JSONResponse(without_secrets(task))
    raise HTTPException(404, f"No status found for task {name}-{number}")


async def restart(service: Service, request: Request) -> Response:
    """Restart a connector; with `includeTasks` its tasks too, with `onlyFailed` only what has failed."""
    name = request.path_params["name"]
    tasks_too, only_failed = flag(request, "includeTasks"), flag(request, "onlyFailed")
    if name not in service.worker.connectors():
        raise HTTPException(404, f"Unknown connector: {name}")
    found = await in_thread(service.worker.restart, name, tasks_too, only_failed)
    if not tasks_too and not only_failed:
        return Response(status_code=204)
    return JSONResponse(without_secrets(found), 202)


async def restart_task(service: Service, request: Request) -> Response:
    """Restart one task."""
    await in_thread(service.worker.restart_task, request.path_params["name"], request.path_params["task"])
    return Response(status_code=204)


async def pause(service: Service, request: Request) -> Response:
    """Let the tasks poll no more. Their connections stay."""
    await in_thread(service.worker.pause, request.path_params["name"])
    return Response(status_code=202)


async def resume(service: Service, request: Request) -> Response:
    """Run a connector that was paused or stopped."""
    await in_thread(service.worker.resume, request.path_params["name"])
    return Response(status_code=202)


async def stop(service: Service, request: Request) -> Response:
    """End the tasks, and keep the configuration."""
    await in_thread(service.worker.stop, request.path_params["name"])
    return Response(status_code=204)


async def topics(service: Service, request: Request) -> Response:
    """The topics that a connector has used since it was created or its topics were reset."""
    name = request.path_params["name"]
    if not service.topics:
        raise HTTPException(403, "Topic tracking is disabled.")
    return JSONResponse({name: {"topics": list(service.worker.topics(name))}})


async def reset_topics(service: Service, request: Request) -> Response:
    """Forget which topics a connector has used."""
    if not service.topics_reset:
        raise HTTPException(403, "Topic tracking reset is disabled.")
    service.worker.reset_topics(request.path_params["name"])
    return Response(status_code=202)


async def set_tasks(_service: Service, _request: Request) -> Response:
    """Only workers of a group ask each other for this."""
    raise HTTPException(500, "A standalone worker does not take configurations of tasks.")


async def fence(_service: Service, _request: Request) -> Response:
    """Only workers of a group ask each other for this."""
    raise HTTPException(500, "A standalone worker does not fence tasks.")


_ONE = "/connectors/{name}"
_NOTHING = {202: ""}

ROUTES = (
    Route("GET", "/connectors", connectors, {200: "Connectors"}, query=("expand",)),
    Route("POST", "/connectors", create, {201: "ConnectorInfo"}, "CreateConnector"),
    Route("GET", _ONE, connector, {200: "ConnectorInfo"}),
    Route("DELETE", _ONE, delete, {204: ""}),
    Route("GET", f"{_ONE}/config", config, {200: "Config"}),
    Route("PUT", f"{_ONE}/config", put_config, {200: "ConnectorInfo", 201: "ConnectorInfo"}, "Config"),
    Route("PATCH", f"{_ONE}/config", patch_config, {200: "ConnectorInfo"}, "ConfigPatch"),
    Route("GET", f"{_ONE}/status", status, {200: "ConnectorStatus"}),
    Route("POST", f"{_ONE}/restart", restart, {202: "ConnectorStatus", 204: ""}, query=("includeTasks", "onlyFailed")),
    Route("PUT", f"{_ONE}/pause", pause, _NOTHING),
    Route("PUT", f"{_ONE}/resume", resume, _NOTHING),
    Route("PUT", f"{_ONE}/stop", stop, {204: ""}),
    Route("GET", f"{_ONE}/tasks", tasks, {200: "Tasks"}),
    Route("POST", f"{_ONE}/tasks", set_tasks, {}),
    Route("GET", f"{_ONE}/tasks/{{task:int}}/status", task_status, {200: "TaskStatus"}),
    Route("POST", f"{_ONE}/tasks/{{task:int}}/restart", restart_task, {204: ""}),
    Route("GET", f"{_ONE}/topics", topics, {200: "Topics"}),
    Route("PUT", f"{_ONE}/topics/reset", reset_topics, _NOTHING),
    Route("PUT", f"{_ONE}/fence", fence, {}),
)


def _named(name: str, config: dict[str, Any]) -> dict[str, Any]:
    """*config* with the connector's name in it. Raises HTTPException if it has another one."""
    given = config.get("name", name)
    if given is None or given.strip() != name:
        raise HTTPException(400, f"Connector name configuration ({given}) doesn't match connector name in the URL "
                                 f"({name})")
    return {**config, "name": name}


def _config(worker: WorkerView, name: str) -> Mapping[str, str | None]:
    found = worker.config(name)
    if found is None:
        raise HTTPException(404, f"Connector {name} not found")
    return found


def _status(worker: WorkerView, name: str) -> Mapping[str, Any]:
    found = worker.status(name)
    if found is None:
        raise HTTPException(404, f"No status found for connector {name}")
    return found


def _created(service: Service, request: Request, name: str, status: int) -> Response:
    headers = {"Location": f"{request.base_url}connectors/{quote(name, safe='')}"} if status == 201 else None
    return JSONResponse(_info_of(service.worker, name), status, headers)


def _expanded(worker: WorkerView, name: str, expand: Sequence[str]) -> dict[str, Any] | None:
    """The members of *expand* that exist; None for a connector that was deleted meanwhile."""
    status, config = worker.status(name), worker.config(name)
    if status is None or config is None:
        return None
    members = {"status": without_secrets(status), "info": _info(name, config, status)}
    return {member: members[member] for member in expand if member in members}


def _info_of(worker: WorkerView, name: str) -> dict[str, Any]:
    return _info(name, _config(worker, name), worker.status(name))


def _info(name: str, config: Mapping[str, str | None], status: Mapping[str, Any] | None) -> dict[str, Any]:
    return {
        "name": name,
        "config": mask(config),
        "tasks": [{"connector": name, "task": task["id"]} for task in (status or {}).get("tasks", ())],
        "type": (status or {}).get("type", "unknown"),
    }
