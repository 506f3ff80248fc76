"""The dashboards for Grafana, as data: which panels they have, and what each asks Prometheus for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["timeseries", "stat", "table", "state"]

_C: Final = '{connector=~"$connector"}'


@dataclass(frozen=True, slots=True)
class Panel:
    """*queries* are pairs of an expression and a legend. *empty* says when they find nothing, if they may."""

    title: str
    queries: tuple[tuple[str, str], ...]
    unit: str = "short"
    """Grafana's name of a unit."""
    doc: str = ""
    kind: Kind = "timeseries"
    wide: bool = False
    empty: str = ""
    warn: float | None = None
    alarm: float | None = None
    """From here on the panel is orange, or red."""


@dataclass(frozen=True, slots=True)
class Board:
    """*rows* are headings with their panels."""

    uid: str
    title: str
    rows: tuple[tuple[str, tuple[Panel, ...]], ...]
    has_tables: bool = False
    """Whether the board has the variable `table`."""


def _panel(title: str, expression: str, unit: str = "short", doc: str = "", *, legend: str = "{{connector}}",
           **more: object) -> Panel:
    return Panel(title, ((expression, legend),), unit, doc, **more)  # type: ignore[arg-type]


def _quantiles(*shares: str) -> tuple[tuple[str, str], ...]:
    return tuple((f"histogram_quantile({share}, sum by (connector, le) (rate(cdc_latency_seconds_bucket{_C}"
                  "[$__rate_interval])))", f"{{{{connector}}}} p{share[2:].ljust(2, '0')}") for share in shares)


_NO_POSTGRES: Final = "no PostgreSQL connector streams"
_NO_BINLOG: Final = "no MySQL or MariaDB connector streams"
_NO_STREAM: Final = "the source does not stream yet"
_NO_CHANGES: Final = "nothing has changed in the last minutes"
_STATE: Final = Panel("State", ((f"cdc_task_state{_C} == 1", "{{connector}}: {{state}}"),), kind="state",
                      doc="The state that each task is in.")
_LAG: Final = Panel("Lag", ((f"cdc_lag_seconds{_C}", "{{connector}}"),), "s",
                    "Age of the oldest change that is read and not delivered, or time since the source was lost. 0 "
                    "when all is delivered, also while the database is idle.", warn=60, alarm=300)
_LATENCY: Final = Panel("Time from commit to Kafka", _quantiles("0.5", "0.95", "0.99"), "s",
                        "From the commit in the database until Kafka has acknowledged the change.",
                        empty=_NO_CHANGES)
_EVENTS: Final = _panel("Changes", f"sum by (connector) (rate(cdc_events_total{_C}[$__rate_interval]))", "cps",
                        "Changes read from the database, rows of snapshots included.",
                        empty="no change has ever been read")
_SENT: Final = _panel("Records acknowledged", f"rate(cdc_records_sent_total{_C}[$__rate_interval])", "cps")
_ERRORS: Final = _panel("Errors", f"sum by (connector, stage) (increase(cdc_errors_total{_C}[$__rate_interval]))",
                        doc="Also those that were retried.", legend="{{connector}} {{stage}}",
                        empty="there has never been an error")
_WARNINGS: Final = _panel("Warnings that last", f"cdc_warning{_C}", legend="{{connector}} {{kind}}: {{about}}",
                          kind="table", empty="the sources warn of nothing")
_CONNECTED: Final = _panel("Connected", f"cdc_connected{_C}", doc="1 while the database is connected.", kind="stat",
                           empty="no task has ever come as far")

OVERVIEW: Final = Board("cdc-overview", "cdc: overview", (
    ("Now", (_STATE, _LAG, _LATENCY, _EVENTS)),
    ("Trouble", (_CONNECTED, _ERRORS, _panel(
        "Starts", f"increase(cdc_task_starts_total{_C}[$__rate_interval])", doc="More than one in a while is a loop."),
        _WARNINGS)),
    ("Delivery", (_SENT, _panel("Commits of offsets", f"rate(cdc_commits_total{_C}[$__rate_interval])", "cps",
                                empty="nothing was ever committed"), _panel(
        "Log kept for us", f"cdc_lag_bytes{_C}", "bytes",
        "Log that the server has written after the position that we confirmed.", empty=_NO_STREAM),
        _panel("In flight", f"cdc_inflight_bytes{_C}", "bytes", "Log whose records Kafka has not acknowledged.",
               empty="nothing was ever sent"))),
))

POSTGRES: Final = Board("cdc-postgres", "cdc: PostgreSQL", (
    ("Write-ahead log", (
        _panel("WAL kept by the slot", f"cdc_retained_wal_bytes{_C}", "bytes", "It fills the disk when nobody reads.",
               empty=_NO_POSTGRES, warn=1e9, alarm=1e10),
        _panel("Slot", f"cdc_slot_wal_status{_C}", doc="0 reserved, 1 extended, 2 unreserved, 3 lost.", kind="stat",
               empty=_NO_POSTGRES, warn=1, alarm=2),
        _panel("Runway", f"cdc_wal_runway_seconds{_C}", "s",
               "Time until the slot is in danger, at the rate of the last 15 minutes.",
               empty="max_slot_wal_keep_size is not set, so the disk is the limit; or nothing is written"),
        _panel("WAL written", f"rate(cdc_wal_written_bytes_total{_C}[$__rate_interval])", "Bps",
               empty=_NO_POSTGRES))),
    ("Stream", (_LAG, _LATENCY, _panel(
        "Log not confirmed", f"cdc_lag_bytes{_C}", "bytes", empty=_NO_STREAM), _panel(
        "Transactions", f"rate(cdc_transactions_total{_C}[$__rate_interval])", "cps",
        empty=_NO_STREAM), _panel(
        "Streamed transactions on disk", f"cdc_spilled_bytes{_C}", "bytes",
        empty=_NO_POSTGRES), _panel(
        "Received and not decoded", f"cdc_queue_bytes{_C}", "bytes", empty=_NO_STREAM))),
))

MYSQL: Final = Board("cdc-mysql", "cdc: MySQL and MariaDB", (
    ("Binary log", (
        _panel("Log not confirmed", f"cdc_lag_bytes{_C}", "bytes", empty=_NO_STREAM),
        _panel("Runway", f"cdc_log_runway_seconds{_C}", "s",
               "How long the server still keeps the log that we read now, at least.",
               empty="no MySQL or MariaDB connector streams, or the server never removes logs", alarm=None),
        _panel("Place in the file", f"cdc_binlog_position_bytes{_C}", "bytes",
               empty=_NO_BINLOG),
        _panel("GTIDs", f"cdc_gtid_mode{_C}", kind="stat", empty=_NO_BINLOG))),
    ("Stream", (_LAG, _LATENCY, _panel(
        "Transactions", f"rate(cdc_transactions_total{_C}[$__rate_interval])", "cps",
        empty=_NO_STREAM), _panel(
        "Large and rolled back", f"increase(cdc_transactions_large_total{_C}[$__rate_interval])",
        doc="Transactions that were too large to wait for their end.", empty=_NO_BINLOG),
        _panel("Received and not decoded", f"cdc_queue_bytes{_C}", "bytes", empty=_NO_STREAM),
        _panel("Connections lost", f"increase(cdc_disconnects_total{_C}[$__rate_interval])"))),
))

_NO_KAFKA: Final = "the sink is not Kafka, or its client has not told yet"
PIPELINE: Final = Board("cdc-pipeline", "cdc: pipeline and Kafka", (
    ("Where the time goes", (
        _panel("Time by stage", f"sum by (connector, stage) (rate(cdc_stage_seconds_total{_C}[$__rate_interval]))",
               "percentunit", "poll also waits for the database, and send for a full queue.",
               legend="{{connector}} {{stage}}", empty="the task has not started"),
        _panel("In flight", f"cdc_inflight_records{_C}", empty="nothing was ever sent"), _SENT, _EVENTS)),
    ("Kafka", (
        _panel("Bytes sent", f"rate(cdc_kafka_sent_bytes_total{_C}[$__rate_interval])", "Bps", empty=_NO_KAFKA),
        _panel("Slowest broker, p99", f"cdc_kafka_round_trip_p99_seconds{_C}", "s", empty=_NO_KAFKA),
        _panel("Requests waiting", f"cdc_kafka_requests_waiting{_C}", empty=_NO_KAFKA),
        _panel("Requests again", f"rate(cdc_kafka_retries_total{_C}[$__rate_interval])", "cps", empty=_NO_KAFKA),
        _panel("Queue", f"cdc_sink_queued_messages{_C}", empty="the task has not started"),
        _panel("Queue full", f"rate(cdc_sink_queue_full_total{_C}[$__rate_interval])", "cps",
               "How often a record had to wait: Kafka is slower than the database.", empty="the task has not started"),
        _panel("Unreachable", f"cdc_sink_unreachable{_C}", kind="stat", empty="the task has not started", alarm=1),
        _panel("Refused records", f"increase(cdc_sink_failures_total{_C}[$__rate_interval])",
               empty="the task has not started"))),
    ("Offsets and schemas", (
        _panel("Commits", f"rate(cdc_commits_total{_C}[$__rate_interval])", "cps", empty="nothing was ever committed"),
        _panel("Commits that failed", f"increase(cdc_commit_failures_total{_C}[$__rate_interval])",
               empty="nothing was ever committed"),
        _panel("Time since the last commit", f"time() - cdc_last_commit_timestamp_seconds{_C}", "s",
               empty="nothing was ever committed"),
        _panel("Requests to the registry", f"rate(cdc_registry_requests_total{_C}[$__rate_interval])", "cps",
               empty="the converters use no registry"))),
))

_SNAPSHOTS: Final = "there was no snapshot since the process started"
SNAPSHOTS: Final = Board("cdc-snapshots", "cdc: snapshots", (
    ("Progress", (
        _panel("Tables left", f"cdc_snapshot_tables_remaining{_C}", kind="stat", empty=_SNAPSHOTS),
        _panel("Tables", f"cdc_snapshot_tables{_C}", kind="stat", empty=_SNAPSHOTS),
        _panel("Duration", f"cdc_snapshot_duration_seconds{_C}", "s", kind="stat", empty=_SNAPSHOTS),
        _panel("Rows", f"sum by (connector) (cdc_snapshot_rows_total{_C})", kind="stat", empty=_SNAPSHOTS))),
    ("Rate", (
        _panel("Rows read", f"sum by (connector) (rate(cdc_snapshot_rows_total{_C}[$__rate_interval]))", "cps",
               empty=_SNAPSHOTS),
        _panel("Rows by table", f"cdc_snapshot_rows_total{_C}", legend="{{table}}", kind="table", wide=True,
               empty=_SNAPSHOTS))),
))

_T: Final = '{connector=~"$connector",table=~"$table"}'
TABLES: Final = Board("cdc-tables", "cdc: tables", (
    ("Changes", (
        _panel("Changes by table", f"sum by (connector, table) (rate(cdc_events_total{_T}[$__rate_interval]))", "cps",
               legend="{{table}}", empty="no change has ever been read", wide=True),
        _panel("By operation", f"sum by (op) (rate(cdc_events_total{_T}[$__rate_interval]))", "cps", legend="{{op}}",
               empty="no change has ever been read"),
        _panel("Busiest", f"topk(20, sum by (connector, table) (increase(cdc_events_total{_T}[1h])))",
               legend="{{table}}", kind="table", empty="no change has ever been read"),
        _panel("New structures", f"increase(cdc_table_structures_total{_C}[$__rate_interval])",
               doc="Structures of tables taken into use: of new tables, and changed ones.",
               empty="the task has not started"))),
), has_tables=True)

PROCESS: Final = Board("cdc-process", "cdc: process", (
    ("Process", (
        _panel("CPU", "rate(process_cpu_seconds_total{job=~\"$job\"}[$__rate_interval])", "percentunit",
               legend="{{instance}}"),
        _panel("Memory", 'process_resident_memory_bytes{job=~"$job"}', "bytes", legend="{{instance}}"),
        _panel("Open files", 'process_open_fds{job=~"$job"}', legend="{{instance}}"),
        _panel("Garbage collections", 'rate(python_gc_collections_total{job=~"$job"}[$__rate_interval])', "cps",
               legend="{{instance}} generation {{generation}}"),
        _panel("Up since", 'process_start_time_seconds{job=~"$job"} * 1000', "dateTimeAsIso", legend="{{instance}}",
               kind="stat"),
        _panel("Version", "cdc_info", legend="{{version}}, {{core}}", kind="table"))),
))

BOARDS: Final = (OVERVIEW, POSTGRES, MYSQL, PIPELINE, SNAPSHOTS, TABLES, PROCESS)
