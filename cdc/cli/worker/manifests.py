"""The connectors that files describe, for a worker that already runs."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cdc.config.documents import Document, documents_of
from cdc.config.files import flat, parse_file, parse_text, text_of
from cdc.core.errors import ConfigError

STATES: Final = ("RUNNING", "PAUSED", "STOPPED")
_OF_REST: Final = {"name", "config", "initial_state", "tasks", "type", "status"}
"""Members of a connector as one sends it to the REST interface, and as that or `cdc get` shows it."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """One connector. *state* is for a new one: RUNNING, PAUSED or STOPPED. *ignored* are keys of a worker that the file
    has too, which a worker that runs does not take."""

    name: str
    config: Mapping[str, str]
    source: str
    state: str = "RUNNING"
    ignored: tuple[str, ...] = ()


def read_manifests(files: Sequence[str]) -> list[Manifest]:
    """The connectors of *files*, in order; `-` is standard input. Raises ConfigError if a file has none, or two have
    one name."""
    found: list[Manifest] = []
    for file in files:
        source, values = _values(file)
        of_file = [manifest for value in values for manifest in _manifests(value, source)]
        if not of_file:
            raise ConfigError(f"{source} has no connector.", option="connector.class",
                              hint="A worker's own keys are read when it starts.")
        found += of_file
    seen: dict[str, str] = {}
    for each in found:
        if each.name in seen:
            raise ConfigError(f"{each.source}: the connector {each.name} is already defined in {seen[each.name]}.",
                              option="name")
        seen[each.name] = each.source
    return found


def _values(file: str) -> tuple[str, list[Any]]:
    if file != "-":
        return file, parse_file(Path(file))
    text = text_of(sys.stdin.buffer.read())
    return "standard input", parse_text(text, "standard input")


def _manifests(value: Any, source: str) -> Iterator[Manifest]:
    if isinstance(value, list):
        for each in value:
            yield from _manifests(each, source)
    elif isinstance(value, dict) and isinstance(value.get("config"), dict):
        yield _of_rest(value, source)
    elif isinstance(value, dict) and value and all(_is_expanded(each) for each in value.values()):
        for each in value.values():
            yield _of_rest(each["info"], source)
    else:
        value, state = _without_state(value, source)
        for document in documents_of([value], source):
            if document.role != "worker" and (document.role or "connector.class" in document.config):
                yield _of_file(document, source, state)


def _is_expanded(value: Any) -> bool:
    """Whether this is a connector in the answer to `GET /connectors?expand=info`."""
    return isinstance(value, dict) and isinstance(value.get("info"), dict) and "config" in value["info"]


def _of_rest(value: Mapping[str, Any], source: str) -> Manifest:
    unknown = sorted(value.keys() - _OF_REST)
    if unknown:
        raise ConfigError(f"{source}: unexpected beside name and config: {', '.join(unknown)}.",
                          hint="Move it into config.")
    config = dict(flat(value["config"], "", source))
    name = str(value.get("name") or config.get("name") or "")
    if config.setdefault("name", name) != name:
        raise ConfigError(f"{source}: name is {name}, but {config['name']} in config.", option="name")
    return Manifest(_checked(name, source), config, source, _state(value.get("initial_state"), source))


def _without_state(value: Any, source: str) -> tuple[Any, str]:
    """A resource of Strimzi without its state, and the state."""
    spec = value.get("spec") if isinstance(value, dict) and value.get("kind") == "KafkaConnector" else None
    if not isinstance(spec, dict):
        return value, "RUNNING"
    paused = str(spec.get("pause")).lower() == "true"
    state = _state(spec.get("state") or ("paused" if paused else None), source)
    return {**value, "spec": {key: each for key, each in spec.items() if key not in ("state", "pause")}}, state


def _of_file(document: Document, source: str, state: str) -> Manifest:
    from cdc.plugins import worker_options
    from cdc.runtime.configfile import split

    config = document.config
    ignored: tuple[str, ...] = ()
    if not document.role:
        worker, config = split(document.config, worker_options())
        ignored = tuple(sorted(worker.keys() - config.keys()))
    return Manifest(_checked(config.get("name", "").strip(), source), config, source, state, ignored)


def _checked(name: str, source: str) -> str:
    if not name:
        raise ConfigError(f"{source}: the connector has no name.", option="name",
                          hint="Set name=… and keep it: offsets are stored under the connector's name.")
    return name


def _state(text: Any, source: str) -> str:
    state = str(text or "RUNNING").upper()
    if state not in STATES:
        raise ConfigError(f"{source}: the state is none of {', '.join(STATES)}.", option="initial_state")
    return state
