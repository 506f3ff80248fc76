"""`cdc validate`: what is wrong with configuration files, found without connecting to anything.

A finding is `{"level": error|warning|info, "file", "option", "text"}`.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from cdc import plugins
from cdc.assembly import build, overrides, parse_worker, read_transforms, read_worker
from cdc.config.secrets import shown_key
from cdc.config.table import Parsed
from cdc.core.errors import ConfigError
from cdc.metrics.task import TaskMetrics
from cdc.runtime import configfile
from cdc.runtime.options import WorkerConfig, parse_connector, read_connector
from cdc.runtime.overrides import ENVIRONMENT

_CONVERTERS: Final = ("key.converter", "value.converter", "header.converter")


def validate_files(files: Sequence[str | Path], strict: bool = False,
                   flags: Sequence[str] = ()) -> list[dict[str, str]]:
    """The findings of all *files* and what goes over them, *flags* too: the worker's first, then each connector's.
    With *strict* unknown keys are errors."""
    paths = [Path(file) for file in files]
    over = overrides(flags)
    try:
        worker, connectors = configfile.load_named(paths, plugins.worker_options(), over)
    except ConfigError as exc:
        return [_finding("error", paths[0] if paths else "", exc.option or "", str(exc))]
    paths = paths or [Path(ENVIRONMENT)]
    parsed = read_worker(worker, strict=strict)
    found = [_finding("info", made.by, shown_key(made.key), f"set for {made.connector or 'the worker'}.")
             for made in over.made]
    found += _findings(parsed, paths[0])
    if parsed.problems:
        return found
    settings, _ = parse_worker(worker, strict=strict)
    for file, each in connectors:
        found += connector_findings(each, settings, file, strict)
    return found


def connector_findings(given: Mapping[str, str], settings: WorkerConfig, file: str,
                       strict: bool) -> list[dict[str, str]]:
    """The findings of one connector's configuration *given*, all of them at once, under a worker's *settings*."""
    parsed = read_connector(given, settings)
    found = _findings(parsed, file)
    try:
        plugin = plugins.find("connector", given.get("connector.class", ""))
    except ConfigError as exc:
        return found if parsed.problems else [*found, _finding("error", file, exc.option or "", str(exc))]
    found += _findings(plugin.load_read()(given, strict=strict), file)
    found += _findings(read_transforms(given)[1], file)
    if any(each["level"] == "error" for each in found):
        return found + [each for key in _CONVERTERS if key in given
                        for each in _unknown_converter(key, given[key], file)]
    try:
        framework, _ = parse_connector(given, settings)
        config, _ = plugin.load_parse()(given, strict=strict)
        build(plugin, config, framework, given, settings, TaskMetrics(framework.name), "", threading.Event())
    except ConfigError as exc:
        found.append(_finding("error", file, exc.option or "", str(exc)))
    return found


def _unknown_converter(key: str, class_name: str, file: str) -> list[dict[str, str]]:
    try:
        plugins.find("converter", class_name, option=key)
    except ConfigError as exc:
        return [_finding("error", file, key, str(exc))]
    return []


def _findings(parsed: Parsed, file: Path | str) -> list[dict[str, str]]:
    return [*(_finding("error", file, each.option, f"{each.text} {each.hint}".strip()) for each in parsed.problems),
            *(_finding("warning" if note.warning else "info", file, note.option, note.text) for note in parsed.notes)]


def _finding(level: str, file: Path | str, option: str, text: str) -> dict[str, str]:
    return {"level": level, "file": str(file), "option": option, "text": text}
