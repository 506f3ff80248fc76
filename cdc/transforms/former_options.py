"""Transforms and their options under the names of earlier releases, for `cdc config upgrade`.

Debezium documentation of releases 1.0 to 2.4, "New Record State Extraction" and "Outbox Event Router". Debezium 3
ignores these options, and so do we; the command writes what their author meant.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from cdc.config.former import Change

_CLASSES: Final = {"io.debezium.transforms.UnwrapFromEnvelope": "io.debezium.transforms.ExtractNewRecordState"}
_UNWRAP: Final = "io.debezium.transforms.ExtractNewRecordState"
_RENAMED: Final[Mapping[str, Mapping[str, str]]] = {
    _UNWRAP: {"add.source.fields": "add.fields"},
    "io.debezium.transforms.outbox.EventRouter": {
        "table.field.schema.version": "table.field.event.schema.version",
        "debezium.op.invalid.behavior": "table.op.invalid.behavior",
    },
}
_DELETES: Final = "delete.handling.mode"
_TOMBSTONES: Final = "drop.tombstones"
_MODE: Final = "delete.tombstone.handling.mode"
_MODES: Final = {("drop", True): "drop", ("drop", False): "tombstone", ("rewrite", True): "rewrite",
                 ("rewrite", False): "rewrite-with-tombstone", ("none", True): "delete-to-tombstone"}


def class_changes(config: Mapping[str, str]) -> Iterator[Change]:
    """The transforms of *config* whose classes were renamed. These are read under their former names too."""
    for prefix in _prefixes(config):
        given = config.get(f"{prefix}type", "").strip()
        if given in _CLASSES:
            yield Change(f"{prefix}type", f"{prefix}type", _CLASSES[given], f"{given} is now called {_CLASSES[given]}.")


def _prefixes(config: Mapping[str, str]) -> list[str]:
    return [f"transforms.{alias.strip()}." for alias in config.get("transforms", "").split(",") if alias.strip()]


def transform_changes(config: Mapping[str, str]) -> Iterator[Change]:
    """What becomes of the keys of *config*'s transforms."""
    yield from class_changes(config)
    for prefix in _prefixes(config):
        given = config.get(f"{prefix}type", "").strip()
        name = _CLASSES.get(given, given)
        for old, new in _RENAMED.get(name, {}).items():
            if prefix + old in config and prefix + new not in config:
                yield Change(prefix + old, prefix + new, config[prefix + old],
                             f"is not read any more; its name is {new} now.")
        if name == _UNWRAP:
            yield from _deletes(config, prefix)
            yield from _operation(config, prefix)


def _operation(config: Mapping[str, str], prefix: str) -> Iterator[Change]:
    """A header with the operation was an option of its own."""
    old, new = f"{prefix}operation.header", f"{prefix}add.headers"
    asked = config.get(old, "").strip().lower() == "true"
    if asked and new not in config:
        yield Change(old, new, "op", "is not read any more; add.headers=op means the same.")
    elif old in config:
        yield Change(old, "", "", f"is not read any more.{' Add op to add.headers.' if asked else ''}")


def _deletes(config: Mapping[str, str], prefix: str) -> Iterator[Change]:
    """Two options became one."""
    given = [option for option in (_DELETES, _TOMBSTONES) if prefix + option in config]
    if not given:
        return
    deletes = config.get(prefix + _DELETES, "drop").strip().lower()
    mode = _MODES.get((deletes, config.get(prefix + _TOMBSTONES, "true").strip().lower() == "true"))
    for option in given:
        if mode is None or prefix + _MODE in config:
            yield Change(prefix + option, "", "", f"is not read any more; see {_MODE}.")
        elif option == given[0]:
            yield Change(prefix + option, prefix + _MODE, mode, f"is not read any more; {_MODE}={mode} means the same.")
        else:
            yield Change(prefix + option, "", "", f"is a part of {_MODE} now.")
