"""From configuration to running parts: where the plugins meet the worker.

A connector's configuration names what it wants; `plugins` finds it; here it is put together. Nothing else knows both
sides.
"""

from __future__ import annotations

import gc
import signal
import threading
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cdc import plugins
from cdc.converters.plan import ColumnFailures
from cdc.converters.records import RecordConverter
from cdc.core.errors import CdcError, ConfigError
from cdc.core.interfaces import OffsetStore, Sink
from cdc.core.options import Note, Parsed
from cdc.log import get_logger
from cdc.metrics import TaskMetrics
from cdc.rest.app import App
from cdc.rest.server import RestServer
from cdc.runtime import configfile, standalone
from cdc.runtime.options import (
    ConnectorConfig,
    ConverterConfig,
    WorkerConfig,
    parse_connector,
    parse_worker,
    read_connector,
    read_worker,
)
from cdc.runtime.task import TaskParts, TaskSettings
from cdc.runtime.worker import Connector, SharedStore, Worker

log = get_logger(__name__)


def run_files(files: Sequence[str | Path], strict: bool = False) -> int:
    """`cdc run`: exit code 0 after a clean stop, 1 after a failure. Raises ConfigError before anything is started."""
    paths = [Path(file) for file in files]
    raw_worker, raw_connectors = configfile.load_raw(paths)
    providers = configfile.Providers.of(raw_worker)
    settings, notes = parse_worker(providers.resolve(raw_worker), strict=strict)
    show_notes(notes, "worker")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    worker = assemble(settings, raw_connectors, providers, strict)
    server = RestServer(App(worker), ",".join(settings.listeners))
    _collect_seldom()
    return standalone.run(worker, settings, stop, server)


def _collect_seldom() -> None:
    """Records by the million and no cycles among them: looking for some after every 700 new objects, as is usual,
    takes a fifth of a drain's time."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def assemble(settings: WorkerConfig, raw_connectors: Sequence[Mapping[str, str]], providers: configfile.Providers,
             strict: bool = False) -> Worker:
    """A worker with all connectors, none of them started. Raises ConfigError."""
    if not raw_connectors:
        raise ConfigError("There is no connector to run.", hint="Name a connector's file after the worker's.")
    store = SharedStore(offset_store(settings))
    return Worker([connector(settings, providers.resolve(raw), raw, store, strict) for raw in raw_connectors])


def connector(settings: WorkerConfig, given: Mapping[str, str], shown: Mapping[str, str], store: OffsetStore,
              strict: bool = False) -> Connector:
    """One connector from its configuration *given*; *shown* is the same with references unresolved, for people."""
    framework, notes = parse_connector(given, settings)
    plugin = plugins.find("connector", framework.connector_class)
    config, more = plugin.load_parse()(given, strict=strict)
    show_notes((*notes, *more), framework.name)
    metrics = TaskMetrics(framework.name, server=config.topic_prefix)
    run_id = str(uuid.uuid4())

    def parts(stop: threading.Event) -> TaskParts:
        return build(plugin, config, framework, settings, metrics, run_id, stop)

    parts(threading.Event()).converter.close()  # what is wrong with the configuration shows now, before anything runs
    return Connector(
        framework.name, dict(shown), TaskSettings(
            framework.name, settings.offset_flush_interval_ms / 1000, settings.offset_flush_timeout_ms / 1000),
        parts, store, metrics, retry_most_s=max(0.5, config.retriable_restart_connector_wait_ms / 1000),
        retry_budget=config.errors_max_retries)


def build(plugin: plugins.Plugin, config: Any, framework: ConnectorConfig, settings: WorkerConfig,
          metrics: TaskMetrics, run_id: str, stop: threading.Event) -> TaskParts:
    """The parts of one task, none of them started. What waits ends when *stop* is set."""
    source = plugin.load()(config, framework.config)
    key, value, header = (converter(each, stop) for each in (
        framework.key_converter, framework.value_converter, framework.header_converter))

    seen: dict[tuple[str, str], int] = {}

    def on_bad_column(table: str, column: str, reason: str) -> None:
        """Each column is named at its 1st, 10th, 100th … failure; all are counted."""
        metrics.error("column")
        count = seen[table, column] = seen.get((table, column), 0) + 1
        if str(count).strip("0") == "1":
            log.warning("column_not_converted", table=table, column=column, reason=reason, count=count)

    def on_bad_record(error: Exception, origin: str) -> None:
        metrics.error("convert")
        if framework.errors_log_enable:
            log.error("record_left_out", table=origin,
                      error=error.message if isinstance(error, CdcError) else type(error).__name__)

    headers = source.context_headers(run_id) if config.extended_headers_enabled else ()
    records = RecordConverter(
        key, value, header, ColumnFailures(config.event_converting_failure_handling_mode, on_bad_column), headers,
        tolerant=framework.errors_tolerance == "all", on_error=on_bad_record)
    return TaskParts(source, (), records, sink(settings, framework, value))


def converter(wanted: ConverterConfig, stop: threading.Event) -> Any:
    make = plugins.find("converter", wanted.class_name, option=f"{wanted.role}.converter").load()
    made = make(stop) if hasattr(make, "wire_prefix") else make()  # only those with a registry wait
    made.configure(dict(wanted.settings), wanted.is_key)
    return made


def sink(settings: WorkerConfig, framework: ConnectorConfig, value_converter: Any) -> Sink:
    make: Any = plugins.find("sink", settings.sink_type).load()
    if settings.sink_type == "kafka":
        from cdc.sinks.kafka_topics import topic_groups

        if not framework.producer.get("bootstrap.servers"):
            raise ConfigError("bootstrap.servers is not set.", option="bootstrap.servers",
                              hint="Name the Kafka brokers as host:port, or choose sink.type=stdout or file.")
        return make(dict(framework.producer), topic_groups=topic_groups(framework.topic_creation or {}),  # type: ignore[no-any-return]
                    admin_properties=dict(framework.admin))
    if settings.sink_type == "file":
        if not settings.sink_file_path:
            raise ConfigError("sink.file.path is not set.", option="sink.file.path",
                              hint="Name the file (format json) or folder (format avro) to write.")
        lookup = getattr(value_converter, "schema_text", None)
        return make(settings.sink_file_path, settings.sink_file_format, lookup)  # type: ignore[no-any-return]
    return make()  # type: ignore[no-any-return]


def offset_store(settings: WorkerConfig) -> OffsetStore:
    make: Any = plugins.find("offset store", settings.offset_store).load()
    if settings.offset_store == "file":
        return make(settings.offset_storage_file_filename)  # type: ignore[no-any-return]
    from cdc.sinks.kafka_options import client_settings

    extra = settings.prefixed("offset.storage.")
    config = {key: text for key, text in extra.items()
              if key not in ("topic", "partitions", "replication.factor", "file.filename")}
    return make(settings.offset_storage_topic, client_settings(settings.client(), "consumer").settings,  # type: ignore[no-any-return]
                partitions=settings.offset_storage_partitions,
                replication_factor=settings.offset_storage_replication_factor, topic_config=config)


def show_notes(notes: Sequence[Note], where: str) -> None:
    for note in notes:
        (log.warning if note.warning else log.info)("option_noted", connector=where, option=note.option, note=note.text)


def validate_files(files: Sequence[str | Path], strict: bool = False) -> list[dict[str, str]]:
    """`cdc validate`: findings `{"level": error|warning|info, "file", "option", "text"}`; nothing is connected to."""
    paths = [Path(file) for file in files]
    try:
        worker, connectors = configfile.load(paths)
    except ConfigError as exc:
        return [_finding("error", paths[0] if paths else "", exc.option or "", str(exc))]
    parsed = read_worker(worker, strict=strict)
    found = _findings(parsed, paths[0])
    if parsed.problems:
        return found
    settings, _ = parse_worker(worker, strict=strict)
    for number, each in enumerate(connectors):
        file = paths[min(number + (len(paths) > len(connectors)), len(paths) - 1)]
        found += _connector_findings(each, settings, file, strict)
    return found


def _connector_findings(given: Mapping[str, str], settings: WorkerConfig, file: Path,
                        strict: bool) -> list[dict[str, str]]:
    parsed = read_connector(given, settings)
    found = _findings(parsed, file)
    if parsed.problems:
        return found
    try:
        framework, _ = parse_connector(given, settings)
        plugin = plugins.find("connector", framework.connector_class)
        parsed = plugin.load_read()(given, strict=strict)
        found += _findings(parsed, file)
        if parsed.problems:
            return found
        config, _ = plugin.load_parse()(given, strict=strict)
        build(plugin, config, framework, settings, TaskMetrics(framework.name), "", threading.Event())
    except ConfigError as exc:
        found.append(_finding("error", file, exc.option or "", str(exc)))
    return found


def _findings(parsed: Parsed, file: Path) -> list[dict[str, str]]:
    return [*(_finding("error", file, each.option, f"{each.text} {each.hint}".strip()) for each in parsed.problems),
            *(_finding("warning" if note.warning else "info", file, note.option, note.text) for note in parsed.notes)]


def _finding(level: str, file: Path | str, option: str, text: str) -> dict[str, str]:
    return {"level": level, "file": str(file), "option": option, "text": text}
