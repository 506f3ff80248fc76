"""The worker's keys for `sink.type=file`; here, so that reading them does not load what writes files."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from cdc.config.options import option, settings
from cdc.config.table import OptionTable, Parsed


@settings
class FileSinkConfig:
    """The worker's keys for `sink.type=file`."""

    sink_file_path: str | None = option(
        "sink.file.path", default=None, group="Sink",
        doc="For sink.type=file: the file (json), or the directory with one file per topic (avro).",
    )
    sink_file_format: Literal["json", "avro"] = option(
        "sink.file.format", default="json", one_of=("json", "avro"), group="Sink",
        doc="For sink.type=file: JSON lines, or Avro container files.",
    )


OPTIONS = OptionTable.of(FileSinkConfig)


def check(worker: Parsed) -> None:
    """What `sink.type=file` needs of a worker's configuration."""
    if "sink.file.path" not in worker.given:
        worker.problem("sink.file.path", "this key is required, because sink.type is file.")
        return
    path = Path(worker.values["sink_file_path"])
    if worker.values["sink_file_format"] == "json" and not path.parent.is_dir():
        worker.problem("sink.file.path", f"there is no folder {path.parent}.", "Create it, or name a file elsewhere.")
