"""`cdc run --dry-run`: what the connectors of files would capture and send. Nothing is changed, neither on
the databases nor in Kafka or the registry; of them, only the databases are asked.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cdc import plugins
from cdc.assembly import overrides, parse_worker, parts_of, read_transforms, show_notes
from cdc.config.providers import Providers
from cdc.core.errors import CdcError, SourceError
from cdc.core.preview import Look, Preview, TablePreview
from cdc.core.schema import Schema
from cdc.metrics.task import TaskMetrics
from cdc.runtime import configfile, kubernetes
from cdc.runtime.options import WorkerConfig, parse_connector
from cdc.runtime.task_spec import TaskSpec


def preview_files(files: Sequence[str | Path], strict: bool = False, flags: Sequence[str] = ()) -> list[dict[str, Any]]:
    """One object for each connector: `connector`, `class`, `server`, `problems` (of `text` and `hint`), `notes`,
    `transforms`, `tables` and `topics`. *files*, *strict* and *flags* as `assembly.run_files` takes them. Raises
    ConfigError; a server that cannot be asked is a problem."""
    raw_worker, raw_connectors = configfile.load_raw([Path(file) for file in files], plugins.worker_options(),
                                                     overrides(flags))
    providers = Providers.of(raw_worker, kubernetes.read)
    settings, notes = parse_worker(providers.resolve(raw_worker), strict=strict)
    show_notes(notes, "worker")
    return [_preview(providers.resolve(each), settings, strict) for each in raw_connectors]


def look(given: Mapping[str, str], strict: bool = False) -> Preview | None:
    """What the connector of this configuration would find; None if its class cannot say. Raises ConfigError,
    SourceError."""
    plugin = plugins.find("connector", given.get("connector.class", ""))
    config, notes = plugin.load_parse()(given, strict=strict)
    show_notes(notes, given.get("name", ""))
    found: Look | None = plugin.load_look()
    return None if found is None else found.preview(config)


def _preview(given: Mapping[str, str], settings: WorkerConfig, strict: bool) -> dict[str, Any]:
    framework, notes = parse_connector(given, settings)
    show_notes(notes, framework.name)
    spec = TaskSpec(framework.name, 0, "", given, settings.raw)
    parts_of(spec, TaskMetrics(framework.name), threading.Event()).converter.close()  # so that all mistakes show
    made: dict[str, Any] = {
        "connector": framework.name, "class": framework.connector_class, "server": None, "problems": [], "notes": [],
        "transforms": [step.alias for step in read_transforms(given)[0]], "tables": [], "topics": []}
    try:
        preview = look(given, strict)
    except SourceError as exc:
        return {**made, "problems": [_problem(exc)]}
    if preview is None:
        return {**made, "notes": ["This class cannot say what would come."]}
    return {**made, "server": preview.server, "problems": [_problem(each) for each in preview.problems],
            "notes": list(preview.notes), "tables": [_table(each) for each in preview.tables],
            "topics": [{"topic": topic, "of": what} for topic, what in preview.topics]}


def _problem(error: CdcError) -> dict[str, str]:
    return {"text": error.message, "hint": error.hint}


def _table(found: TablePreview) -> dict[str, Any]:
    table = found.table
    return {"table": str(table.id), "rows": found.rows, "topic": table.topic,
            "key": [] if table.key_schema is None else _fields(table.key_schema),
            "columns": _fields(table.value_schema),
            "schemas": {"key": table.key_schema and table.key_schema.name, "row": table.value_schema.name,
                        "value": table.envelope_schema.name}}


def _fields(schema: Schema) -> list[dict[str, Any]]:
    return [{"field": each.name, "type": each.schema.type.lower(), "name": each.schema.name,
             "parameters": dict(each.schema.parameters), "optional": each.schema.optional} for each in schema.fields]
