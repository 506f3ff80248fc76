"""`cdc snapshot --direct`: the tables of a connector are copied once, without a service.

A task like any other does it, with three differences: the source copies and then is finished
(`core.interfaces.CopiesOnce`), the offsets are in memory, and the producer fences nobody. So nothing that a service has
is touched: no stored offset, no replication slot, no publication, no transactional id.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from cdc import plugins
from cdc.assembly import (
    build,
    collect_seldom,
    offset_store,
    overrides,
    parse_worker,
    show_notes,
    task_settings,
)
from cdc.config.providers import Providers
from cdc.core.control import SnapshotStatus, TableCopy
from cdc.core.errors import CdcError, ConfigError, SourceError, StateError
from cdc.core.interfaces import Controlled, CopiesOnce
from cdc.core.preview import Look, TableNames
from cdc.core.stores import ShowsOwner
from cdc.core.table import TableId
from cdc.log import bound, carry
from cdc.metrics.task import TaskMetrics
from cdc.runtime import configfile, kubernetes
from cdc.runtime.options import WorkerConfig, parse_connector
from cdc.runtime.task import Task
from cdc.stores.memory_offsets import MemoryOffsetStore

STANDARD_OUTPUT: Final = "-"
_FLUSH_S: Final = 0.5
"""So often is noted what was delivered."""


@dataclass(frozen=True, slots=True)
class Service:
    """What is seen of a service that runs the connector. *runs*: why it certainly does, as a part of a sentence, or
    None. *last*: the process that ran it last, if that is all that is known; it may still run on another host."""

    runs: str | None
    last: str | None


@dataclass(frozen=True, slots=True)
class Direct:
    """The worker and the connectors of files; nothing is connected. `connectors`: the configuration of each, by name,
    with secrets in it. `target`: where the rows go, for people. `apart`: nothing of a service goes there."""

    settings: WorkerConfig
    connectors: Mapping[str, Mapping[str, str]] = field(repr=False)
    target: str
    apart: bool

    @property
    def to_stdout(self) -> bool:
        return self.settings.sink_type == "stdout"

    def tables(self, name: str) -> TableNames:
        """Those of connector *name*; its server is asked. Raises ConfigError, SourceError."""
        look, config = self._look(name)
        return look.tables(config)

    def service(self, name: str) -> Service:
        """As far as offset store and database show it. Raises ConfigError, SourceError."""
        look, config = self._look(name)
        owner, runs = None, False
        store = offset_store(self.settings) if plugins.offset_stores(self.settings.raw) else None
        if isinstance(store, ShowsOwner):
            try:
                owner, runs = store.owner(name, {"server": config.topic_prefix})
            except CdcError:
                pass  # it was never used, or is away
        if runs:
            return Service(str(owner) if owner is not None else "another process has its offsets", None)
        return Service(look.reader(config), None if owner is None else str(owner))

    def copy(self, name: str, tables: Mapping[TableId, str | None], threads: int | None = None) -> Copy:
        """A copy of *tables*, each perhaps with a condition in SQL, that has not begun. Raises ConfigError."""
        given = dict(self.connectors[name])
        if threads is not None:
            given["snapshot.max.threads"] = str(threads)
        framework, notes = parse_connector(given, self.settings)
        plugin = plugins.find("connector", framework.connector_class)
        config, more = plugin.load_parse()(given)
        show_notes((*notes, *more), name)
        metrics = TaskMetrics(name, server=config.topic_prefix, plugin=plugin.short_name,
                              connector_class=framework.connector_class, most_tables=0)
        stop = threading.Event()
        parts = build(plugin, config, framework, given, self.settings, metrics, str(uuid.uuid4()), stop)
        if not isinstance(parts.source, CopiesOnce):
            parts.converter.close()
            raise _no_tables(plugin.class_name)
        parts.source.copy_once(tables)
        store = MemoryOffsetStore()
        task = Task(replace(task_settings(framework, self.settings), offset_flush_interval_s=_FLUSH_S), parts, store,
                    metrics, stop)
        return Copy(name, task, store, stop)

    def _look(self, name: str) -> tuple[Look, Any]:
        given = self.connectors[name]
        plugin = plugins.find("connector", given.get("connector.class", ""))
        look: Look | None = plugin.load_look()
        if look is None:
            raise _no_tables(plugin.class_name)
        return look, plugin.load_parse()(given)[0]


def read(files: Sequence[str | Path], flags: Sequence[str] = (), to: str | None = None) -> Direct:
    """What *files* configure, as `cdc run` reads them, with *flags* over them. *to*: a file, a folder or `-` instead of
    the configured sink. Raises ConfigError, and StateError if *to* has something already."""
    worker, raw_connectors = configfile.load_raw([Path(file) for file in files], plugins.worker_options(),
                                                 overrides(flags))
    providers = Providers.of(worker, kubernetes.read)
    settings, notes = parse_worker({**providers.resolve(worker), **_sink_of(to)}, offsets=False)
    show_notes(notes, "worker")
    connectors = {}
    for each in raw_connectors:
        given = providers.resolve(each)
        connectors[parse_connector(given, settings)[0].name] = given
    if not connectors:
        raise ConfigError("The files have no connector, so there is nothing to copy.",
                          hint="Name the worker's file, then each connector's.")
    return Direct(settings, connectors, _target(settings), to is not None or settings.sink_type == "stdout")


def _sink_of(to: str | None) -> dict[str, str]:
    """The worker's keys for the sink. Fencing would end the producer of a service that runs."""
    if to is None:
        return {"sink.kafka.fencing": "off"}
    if to == STANDARD_OUTPUT:
        return {"sink.type": "stdout"}
    if not to.strip():
        raise ConfigError("--to names nothing.", hint="Name a new file, a folder, or - for standard output.")
    path = Path(to)
    folder = path.is_dir() or to.endswith("/")
    if (any(path.glob("*.avro")) if folder else path.is_file() and path.stat().st_size > 0):
        raise StateError(f"{to} has something already, and would get the rows behind it.",
                         hint=f"Name another {'folder' if folder else 'file'}, or remove it.")
    return {"sink.type": "file", "sink.file.path": to, "sink.file.format": "avro" if folder else "json"}


def _target(settings: WorkerConfig) -> str:
    if settings.sink_type == "file":
        return settings.raw.get("sink.file.path", "a file")
    if settings.sink_type == "stdout":
        return "standard output"
    if settings.sink_type == "kafka":
        return f"Kafka at {settings.client('producer').get('bootstrap.servers', '?')}"
    return f"the sink {settings.sink_type}"


class NoTablesError(ConfigError):
    """A connector has no tables to copy."""


def _no_tables(class_name: str) -> NoTablesError:
    return NoTablesError(f"A connector of {class_name} cannot be copied directly.", option="connector.class",
                       hint="PostgreSQL, MySQL and MariaDB can.")


class Copy:
    """One task in a thread of its own. `error`: what ended it, if not all went well; `stopped`: somebody asked it to
    end. To be used by one thread."""

    def __init__(self, connector: str, task: Task, store: MemoryOffsetStore, stop: threading.Event) -> None:
        self.connector = connector
        self.error: BaseException | None = None
        self.stopped = False
        self.complete = False
        """All rows are delivered, but those that were `left_out`."""
        self._task = task
        self._store = store
        self._stop = stop
        with bound(connector=connector):
            self._thread = threading.Thread(target=carry(self._run), name=f"copy-{connector}", daemon=True)

    @property
    def left_out(self) -> int:
        """How many records failed and were not sent, as errors.tolerance=all says."""
        return self._task.metrics.records_left_out

    def start(self) -> None:
        collect_seldom()
        self._thread.start()

    def ends_within(self, seconds: float) -> bool:
        """Wait at most so long; whether it has ended."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def stop(self) -> None:
        """Ask it to end. What was read is still delivered, if that takes little time."""
        self.stopped = True
        self._stop.set()
        self._task.parts.sink.interrupt()
        self._task.parts.source.interrupt()

    def look(self) -> SnapshotStatus | None:
        """How far it is; None before it has begun. A table is `done` only when all of its rows are delivered."""
        source = self._task.parts.source
        found = source.snapshots() if isinstance(source, Controlled) else ()
        if not found:
            return None
        state = "completed" if self.complete else "running" if self._thread.is_alive() else (
            "failed" if self.error is not None else "stopped")
        delivered = self._delivered()
        return replace(found[0], kind="direct", state=state, tables=tuple(
            self._told(each, delivered, state) for each in found[0].tables))

    def _told(self, table: TableCopy, delivered: frozenset[str], state: str) -> TableCopy:
        if self.complete:
            return replace(table, state="done")
        if table.state == "waiting" or table.name in delivered or (table.state == "done" and not table.rows):
            return table
        return replace(table, state="running" if state == "running" else "stopped")

    def _delivered(self) -> frozenset[str]:
        """The tables whose rows are all delivered, as the offset says: it covers what was acknowledged."""
        source = self._task.parts.source
        offset = self._store.load(self.connector, source.partition())
        if offset is None or not isinstance(source, CopiesOnce):
            return frozenset()
        return frozenset(source.copied(offset))

    def _run(self) -> None:
        task = self._task
        try:
            task.run()
            self.complete = task.parts.source.finished() and not task.unfinished()
        except BaseException as exc:
            if not self.stopped:
                self.error = exc
        else:
            if not self.complete and not self.stopped:
                self.error = SourceError("Not all rows were delivered in time.")
