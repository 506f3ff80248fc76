"""From configuration to running parts: the only place that knows both the plugins and the worker.

A connector's configuration names its plugins, `plugins` finds them, and they are put together here.
"""

from __future__ import annotations

import gc
import math
import os
import signal
import ssl
import sys
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cdc import plugins, privacy
from cdc.config.control import CONSUMER, ControlConfig
from cdc.config.files import read_properties
from cdc.config.former import applied
from cdc.config.providers import Providers
from cdc.config.secrets import sealed, shown_key
from cdc.config.table import Note, Parsed, Problem
from cdc.configinfos import Plugins
from cdc.converters.plan import ColumnFailures
from cdc.converters.records import RecordConverter
from cdc.converters.views import Views
from cdc.core.errors import ConfigError, StateError
from cdc.core.interfaces import Converter, Delegates, NativeSource, ReadsRows, Sink, SinkSettings
from cdc.core.preview import Look, TableNames
from cdc.core.stores import ConfigStore, OffsetStore, StoreSettings
from cdc.log import get_logger
from cdc.metrics.task import TaskMetrics
from cdc.rest.access import Access, header_rules, tokens_of, users_of
from cdc.rest.descriptors import raise_descriptors
from cdc.rest.server import RestServer
from cdc.runtime import configfile, kubernetes, standalone
from cdc.runtime.connectors import Builder, Connectors
from cdc.runtime.notifications import Notifications
from cdc.runtime.options import ConnectorConfig, ConverterConfig, WorkerConfig, parse_connector
from cdc.runtime.overrides import Overrides
from cdc.runtime.policy import BusyRetries
from cdc.runtime.row_reads import RowReads
from cdc.runtime.runner import Connector
from cdc.runtime.shared_store import SharedStore
from cdc.runtime.signal_file import FileSignals
from cdc.runtime.signals import Channel, Signals
from cdc.runtime.task import TaskParts, TaskSettings
from cdc.runtime.task_spec import TaskSpec
from cdc.runtime.tolerance import Tolerance
from cdc.runtime.worker import Worker
from cdc.show.dead_letter import dead_letter
from cdc.transforms.chain import Chain, Step, read_steps
from cdc.transforms.former_options import class_changes

if TYPE_CHECKING:
    from cdc.rest.app import App

log = get_logger(__name__)


def run_files(files: Sequence[str | Path], strict: bool = False, flags: Sequence[str] = ()) -> int:
    """`cdc run`: run the connectors of *files*, with the environment's keys over those of the files, and *flags*
    (`key=value`) over both. Returns exit code 0 if all that was read is committed, else 1.

    Raises ConfigError before anything is started.
    """
    paths = [Path(file) for file in files]
    over = overrides(flags)
    raw_worker, raw_connectors = configfile.load_raw(paths, plugins.worker_options(), over)
    show_overrides(over)
    providers = Providers.of(raw_worker, kubernetes.read)
    settings, notes = parse_worker(providers.resolve(raw_worker), strict=strict)
    show_notes(notes, "worker")
    if not access(settings).asks:
        privacy.warn_of_listeners(settings.listeners)
    privacy.warn_of_kafka(settings.client(), "worker")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    worker = assemble(settings, raw_connectors, providers, strict, stop)
    if not worker.connectors() and worker.health()[0] == "healthy":
        log.info("no_connectors", hint="They can be created over REST: cdc docs rest. Connectors in files are named "
                                       "after the worker's file.")
    collect_seldom()
    sys.setswitchinterval(_SWITCH_S)
    raise_descriptors()
    return standalone.run(worker.worker, settings, stop, rest_server(settings, worker, providers),
                          goes_on=worker.goes_on)


def rest_server(settings: WorkerConfig, worker: Connectors, providers: Providers) -> RestServer:
    """The REST interface of *worker*, not started. Raises ConfigError."""
    view, who = plugin_view(settings, providers), access(settings)

    def app() -> App:
        from cdc.rest.app import App  # it imports Starlette, which takes long

        return App(worker, view, who, mirrored=settings.cdc_metrics_mirrored, topics=settings.topic_tracking_enable,
                   topics_reset=settings.topic_tracking_allow_reset)

    def tls() -> ssl.SSLContext:
        from cdc.rest.tls import server_context  # few listeners have TLS

        return server_context(settings.raw)

    return RestServer(app, ",".join(settings.listeners), tls=tls)


def access(settings: WorkerConfig) -> Access:
    """Who may use the REST interface. Raises ConfigError."""
    users, tokens = settings.cdc_rest_users_file, settings.cdc_rest_tokens_file
    return Access(
        users=users_of(read_properties(_text_of(users, "cdc.rest.users.file")), "cdc.rest.users.file")
        if users else frozenset(),
        tokens=tokens_of(_text_of(tokens, "cdc.rest.tokens.file"), "cdc.rest.tokens.file") if tokens else frozenset(),
        anonymous_writes=settings.cdc_rest_anonymous_writes, origins=settings.access_control_allow_origin,
        methods=settings.access_control_allow_methods,
        headers=header_rules(settings.response_http_headers_config or "", "response.http.headers.config"))


def _text_of(path: str, option: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError(f"{option}: {path} cannot be read: {getattr(exc, 'strerror', None) or 'not UTF-8'}.",
                          option=option) from exc


def plugin_view(settings: WorkerConfig, providers: Providers) -> Plugins:
    """What the REST interface says about plugins, and its checks of configurations."""
    def more(config: Mapping[str, str], whole: bool) -> list[Problem]:
        found = read_transforms(config)[1].problems
        if whole and not found:
            try:
                spec = TaskSpec("", 0, "", config, settings.raw)
                parts_of(spec, TaskMetrics(""), threading.Event()).converter.close()
            except ConfigError as exc:
                found = [Problem(exc.option or "connector.class", exc.message, exc.hint)]
        return found

    return Plugins(settings, providers.of_clients(), more)


_SWITCH_S: Final = 0.001
"""So long the task's thread may keep Python's lock while another one waits. An HTTP request takes the lock five to ten
times, and at the default of 5 ms each it was answered after 50 ms while a task was busy."""


def collect_seldom() -> None:
    """Run the cyclic garbage collector rarely. Records contain no reference cycles, and with the default threshold
    (every 700 allocations) the collector took a fifth of the drain benchmark's time."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    gc.enable()


def read_worker(raw: Mapping[str, str], *, strict: bool = False, offsets: bool = True) -> Parsed:
    """Convert and check a worker's configuration, the keys of its sink and its offset store included; the store's only
    if *offsets* are kept."""
    parsed = plugins.worker_options().parse(raw, strict=strict)
    sink_type = parsed.values["sink_type"]
    if sink_type is not None:
        plugins.find("sink", sink_type).load_check()(parsed)
    stores = plugins.offset_stores(parsed.given)
    if stores and offsets:
        stores[0].load_check()(parsed)
    elif offsets:
        first, *others = [each.chosen_by for each in plugins.available("offset store")]
        parsed.problem(first, f"this key, or {' or '.join(others)}, is required.",
                       "Without it, a restart does not know where to continue.")
    extensions = raw.get("rest.extension.classes", "").strip()
    if extensions and not (parsed.values["cdc_rest_users_file"] or parsed.values["cdc_rest_tokens_file"]):
        parsed.problem("rest.extension.classes", "there are no extensions here, and without this one the REST interface"
                       " would ask nobody for a password.", "Set cdc.rest.users.file or cdc.rest.tokens.file.")
    for unused in stores[1:]:
        parsed.note(unused.chosen_by, f"is not used, because {stores[0].chosen_by} is set.")
    return parsed


def parse_worker(raw: Mapping[str, str], *, strict: bool = False,
                 offsets: bool = True) -> tuple[WorkerConfig, tuple[Note, ...]]:
    """The worker's settings, and notes for a person; as `read_worker`. Raises one ConfigError for all problems."""
    parsed = read_worker(raw, strict=strict, offsets=offsets)
    parsed.check("the worker's configuration")
    return WorkerConfig.of(raw, parsed), tuple(parsed.notes)


def offsets_of(files: Sequence[str | Path], flags: Sequence[str] = ()) -> OffsetStore:
    """The offset store of the worker that *files* and *flags* configure, not started. Raises ConfigError."""
    raw_worker, _ = configfile.load_raw([Path(file) for file in files], plugins.worker_options(), overrides(flags))
    settings, _ = parse_worker(Providers.of(raw_worker, kubernetes.read).resolve(raw_worker))
    return offset_store(settings)


def assemble(settings: WorkerConfig, raw_connectors: Sequence[Mapping[str, str]], providers: Providers,
             strict: bool = False, stop: threading.Event | None = None,
             changed: Callable[[Connector], Connector] = lambda made: made) -> Connectors:
    """A worker with the connectors of files, and those that clients asked for before; none of them is started. If the
    latter cannot be read within moments, they follow, unless *stop* is set. *changed* gives each connector that is
    built another form. Raises ConfigError, OffsetStoreError."""
    store = SharedStore(offset_store(settings))

    def of_file(config: Mapping[str, str]) -> Connector:
        return changed(connector(settings, providers.resolve(config), config, store, strict))

    def of_client(config: Mapping[str, str]) -> Connector:
        made = connector(settings, providers.of_clients().resolve(config), config, store)
        made.of_service = made.patient = True
        return changed(made)

    def shown(config: Mapping[str, str]) -> Mapping[str, str | None]:
        try:
            return privacy.public_config(config, plugins.find("connector", config.get("connector.class", "")))
        except ConfigError:  # it was configured under another release
            return sealed(config, lambda key: key in ("name", "connector.class"))

    def tables(config: Mapping[str, str], is_file: bool) -> TableNames:
        given = (providers if is_file else providers.of_clients()).resolve(config)
        plugin = plugins.find("connector", given.get("connector.class", ""))
        look: Look | None = plugin.load_look()
        if look is None:
            raise StateError(f"{plugin.class_name} has no tables to choose from.")
        return look.tables(plugin.load_parse()(given)[0])

    builder = Builder(of_file, of_client, plugin_view(settings, providers).check, shown, tables)
    worker = Connectors(Worker(stores=[store]), builder, config_store(settings), store,
                        settings.task_shutdown_graceful_timeout_ms / 1000 + 10)
    worker.begin(raw_connectors, stop or threading.Event())
    return worker


def connector(settings: WorkerConfig, given: Mapping[str, str], shown: Mapping[str, str], store: OffsetStore,
              strict: bool = False) -> Connector:
    """One connector from its configuration *given*; *shown* is the same with its references, for people to see.

    Raises ConfigError for everything that can be found without connecting to a server.
    """
    framework, notes = parse_connector(given, settings)
    plugin = plugins.find("connector", framework.connector_class)
    config, more = plugin.load_parse()(given, strict=strict)
    show_notes((*notes, *more, *read_transforms(given)[1].notes), framework.name)
    privacy.warn_of_database(config, framework.name)
    if settings.sink_type == "kafka":
        privacy.warn_of_kafka(framework.producer, "producer")
    task = task_settings(framework, settings)
    metrics = TaskMetrics(framework.name, server=config.topic_prefix, plugin=plugin.short_name,
                          connector_class=framework.connector_class, queue_records=config.max_queue_size,
                          queue_bytes=task.max_inflight_bytes, most_tables=settings.cdc_metrics_tables)
    spec = TaskSpec(framework.name, metrics.task, str(uuid.uuid4()), given, settings.raw)

    control = config if isinstance(config, ControlConfig) else ControlConfig()
    notifications = Notifications(metrics, logs="log" in control.notification_enabled_channels)

    def with_signals(made: TaskParts) -> TaskParts:
        made.signals = Signals(channels(control, config.topic_prefix, framework.name, given, settings),
                               notifications.add)
        return made

    def parts(stop: threading.Event) -> TaskParts:
        return with_signals(parts_of(spec, metrics, stop))

    checked = build(plugin, config, framework, given, settings, metrics, spec.run_id, threading.Event())
    with_signals(checked).converter.close()  # so that mistakes show before anything runs
    return Connector(
        framework.name, privacy.public_config(shown, plugin), task, parts, store, metrics, spec=spec,
        notifications=notifications,
        task_class=f"{plugin.class_name}Task",
        retry_most_s=max(0.5, config.retriable_restart_connector_wait_ms / 1000),
        retry_budget=config.errors_max_retries, busy=BusyRetries(config.busy_retries, config.busy_delay_s))


_LOGIN: Final = ("bootstrap.", "security.", "sasl.", "ssl.", "metadata.broker.list")


def channels(control: ControlConfig, prefix: str, name: str, given: Mapping[str, str], settings: WorkerConfig,
             ) -> list[Channel]:
    """The channels besides the signal table that connector *name* takes signals from. Raises ConfigError."""
    made: list[Channel] = []
    if "file" in control.signal_enabled_channels:
        made.append(FileSignals(control.signal_file, name, control.signal_poll_interval_ms / 1000))
    if "kafka" in control.signal_enabled_channels:
        from cdc.kafka.signals import KafkaSignals, consumer_settings  # only if it is needed

        own = {key.removeprefix(CONSUMER): text for key, text in given.items() if key.startswith(CONSUMER)}
        servers = (control.signal_kafka_bootstrap_servers or "").strip()
        workers = {**settings.client(), **settings.client("consumer")}
        if servers or any(key.startswith(_LOGIN) for key in own):  # the worker's secrets are for its brokers only
            workers = {"bootstrap.servers": servers or workers.get("bootstrap.servers", "")}
        made.append(KafkaSignals(control.signal_kafka_topic or f"{prefix}-signal", prefix,
                                 consumer_settings({**workers, **own}, control.signal_kafka_groupId)))
    return made


def parts_of(spec: TaskSpec, metrics: TaskMetrics, stop: threading.Event) -> TaskParts:
    """The parts of the task that *spec* describes, in any process; else as `build`. Raises ConfigError."""
    settings, _ = parse_worker(spec.worker)
    framework, _ = parse_connector(spec.config, settings)
    plugin = plugins.find("connector", framework.connector_class)
    config, _ = plugin.load_parse()(spec.config)
    return build(plugin, config, framework, spec.config, settings, metrics, spec.run_id, stop)


def task_settings(framework: ConnectorConfig, settings: WorkerConfig) -> TaskSettings:
    """What a task needs to know of its connector's and its worker's keys."""
    timeout_ms, delay_ms = framework.errors_retry_timeout, framework.errors_retry_delay_max_ms
    return TaskSettings(
        framework.name, settings.offset_flush_interval_ms / 1000, settings.offset_flush_timeout_ms / 1000,
        retry_timeout_s=timeout_ms / 1000 if timeout_ms > 0 else math.inf,
        retry_delay_most_s=10.0 if delay_ms is None else max(0.3, delay_ms / 1000))


def build(plugin: plugins.Plugin, config: Any, framework: ConnectorConfig, given: Mapping[str, str],
          settings: WorkerConfig, metrics: TaskMetrics, run_id: str, stop: threading.Event) -> TaskParts:
    """The parts of one task, none of them started. Their waits end when *stop* is set. Raises ConfigError."""
    source = plugin.load()(config)
    key, value, header = (converter(each, stop) for each in (
        framework.key_converter, framework.value_converter, framework.header_converter))

    tolerance = Tolerance(
        metrics, tolerant=framework.errors_tolerance == "all", log_records=framework.errors_log_enable,
        log_messages=framework.errors_log_include_messages, dead_letters=framework.dead_letters, letter=dead_letter,
        classes={f"{role.upper()}_CONVERTER": each.class_name for role, each in (
            ("key", framework.key_converter), ("value", framework.value_converter))})
    failures = ColumnFailures(config.event_converting_failure_handling_mode, tolerance.column)
    headers = source.context_headers(run_id) if config.extended_headers_enabled else ()
    by_key, by_value = framework.key_converter, framework.value_converter
    records = RecordConverter(key, value, header, failures, headers, tolerant=tolerance.tolerant, alike=(
        by_key.class_name, by_key.settings) == (by_value.class_name, by_value.settings))
    chain = transforms(given, Views(failures, headers), tolerance.tolerant)
    if chain is not None:
        chain.read_from(RowReads(source, metrics) if isinstance(source, ReadsRows) else source)
    if (chain is None or chain.may_know()) and records.encodes() and isinstance(source, NativeSource):
        source.prefer_native()
    return TaskParts(source, chain, records, sink(settings, framework, value, config.topic_prefix), tolerance)


def read_transforms(given: Mapping[str, str]) -> tuple[list[Step], Parsed]:
    """The transforms that a connector's configuration asks for, with all problems and notes. Raises nothing."""
    renamed = list(class_changes(given))
    steps, parsed = read_steps(applied(given, renamed), lambda kind, name, option: plugins.find(
        kind, name, option=option))
    for change in renamed:
        parsed.note(change.key, change.text)
    return steps, parsed


def transforms(given: Mapping[str, str], views: Views, tolerant: bool) -> Chain | None:
    """The connector's transforms; None if it has none. Raises ConfigError."""
    steps, parsed = read_transforms(given)
    parsed.check(f"connector {given.get('name', '')}")
    if not steps:
        return None
    return Chain(steps, views.view, tolerant=tolerant, shapes=True)


def converter(wanted: ConverterConfig, stop: threading.Event) -> Any:
    """The configured converter; its waits end when *stop* is set. Raises ConfigError."""
    key = f"{wanted.role}.converter"
    made = plugins.find("converter", wanted.class_name, option=key).load()(stop)
    if isinstance(made, Delegates):
        other = f"{key}.delegate.converter.type"
        made.find_with(lambda name: plugins.find("converter", name, option=other).load()(stop))
    made.configure(dict(wanted.settings), wanted.is_key)
    return made


def sink(settings: WorkerConfig, framework: ConnectorConfig, value_converter: Converter,
         topic_prefix: str = "") -> Sink:
    """The sink that the worker's `sink.type` names, for one connector. Raises ConfigError."""
    made: Sink = plugins.find("sink", settings.sink_type).load()(SinkSettings(
        settings.raw, framework.producer, framework.admin, framework.topic_creation, value_converter, framework.name,
        topic_prefix, shared_offsets="offset.storage.topic" in (each.chosen_by for each in _chosen_stores(settings)),
        dead_letters=framework.dead_letters))
    return made


def offset_store(settings: WorkerConfig) -> OffsetStore:
    """The offset store that the worker's keys choose. Raises ConfigError."""
    made: OffsetStore = _chosen_stores(settings)[0].load()(StoreSettings(settings.raw, settings.client()))
    return made


def config_store(settings: WorkerConfig) -> ConfigStore:
    """Where the worker keeps the connectors that clients asked for: beside the offsets. Raises ConfigError."""
    made: ConfigStore = _chosen_stores(settings)[0].load_configs()(StoreSettings(settings.raw, settings.client()))
    return made


def _chosen_stores(settings: WorkerConfig) -> list[plugins.Plugin]:
    """The offset store that is used, in a list; an empty one if the worker's keys choose none."""
    return plugins.offset_stores({key for key, text in settings.raw.items() if text.strip()})[:1]


def overrides(flags: Sequence[str] = ()) -> Overrides:
    """What goes over the configuration files of this process."""
    return Overrides(os.environ, flags, plugins.worker_options(), plugins.connector_options,
                     lambda name: plugins.find("connector", name).load_options())


def show_overrides(over: Overrides) -> None:
    """Log which keys were set over the files, and what set them."""
    for made in over.made:
        log.info("option_overridden", connector=made.connector or "worker", option=shown_key(made.key), by=made.by)
    if over.services:
        log.info("variables_ignored", variables=over.services, why="Kubernetes sets them for a Service")


def show_notes(notes: Sequence[Note], where: str) -> None:
    """Log *notes* on the configuration of connector *where*, or of the worker."""
    for note in notes:
        (log.warning if note.warning else log.info)("option_noted", connector=where, option=note.option, note=note.text)
