"""Every metric of our own: name, kind, labels and help. `debezium` and `connect` have the names of theirs.

Units come last in a name; a counter's name ends with `_total`.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

Kind = Literal["counter", "gauge", "histogram"]


class Metric(NamedTuple):
    """One metric; `doc` is its help text."""

    name: str
    doc: str
    labels: tuple[str, ...] = ()
    """Labels besides `connector` and `task`, or all of them for a name that is not ours."""
    histogram: bool = False
    mirrors: str = ""
    """The MBean attribute that it shows, for a name that is not ours."""

    def row(self) -> str:
        """A row of a Markdown table: name, kind, labels, help or what it mirrors."""
        labels = ", ".join(f"`{label}`" for label in self.labels)
        return f"| `{self.name}` | {self.kind} | {labels} | {self.mirrors or self.doc} |"

    @property
    def kind(self) -> Kind:
        if self.histogram:
            return "histogram"
        return "counter" if self.name.endswith("_total") else "gauge"


EVENTS = Metric("cdc_events_total", "Changes read from the source. Tables beyond cdc.metrics.tables share one label.",
                ("table", "op"))
ERRORS = Metric("cdc_errors_total", "Errors, including those that were retried.", ("stage",))
SNAPSHOT_ROWS = Metric("cdc_snapshot_rows_total", "Rows read by snapshots.", ("table",))
RECORDS_SENT = Metric("cdc_records_sent_total", "Records acknowledged by the sink.")
LEFT_OUT = Metric("cdc_records_left_out_total",
                  "Records that were left out because a transform or a converter failed (errors.tolerance=all).")
DEAD_LETTERS = Metric("cdc_dead_letters_total", "Records left out that went to the dead letter topic.")
LATENCY = Metric("cdc_latency_seconds",
                 "Time from the commit in the database until the sink has acknowledged the change. Where the log tells "
                 "whole seconds (MariaDB), up to one second more.", histogram=True)
LAG_SECONDS = Metric("cdc_lag_seconds",
                     "Age of the oldest change that is read and not delivered, or time since the source was lost; "
                     "else 0.")
STAGE_SECONDS = Metric("cdc_stage_seconds_total",
                       "Time that the task spent by stage: poll (which also waits for the database), transform, "
                       "convert, send (which also waits for a full sink).", ("stage",))
TASK_STATE = Metric("cdc_task_state", "1 for the state that the task is in.", ("state",))
STARTS = Metric("cdc_task_starts_total", "Starts of the task, the first one included.")
DISCONNECTS = Metric("cdc_disconnects_total", "Times that the connection to the source was lost.")
WARNINGS = Metric("cdc_warnings_total", "Warnings of the source that have begun.", ("kind",))
WARNING = Metric("cdc_warning", "1 for a warning of the source that lasts; at most 100 of them.", ("kind", "about"))
INFO = Metric("cdc_info", "Always 1; the labels tell the version, and whether the core is compiled.",
              ("version", "core"))

NUMBERS: Final = {
    metric.name: metric for metric in (
        Metric("cdc_lag_bytes", "Bytes of log that the server has written after the last position that we confirmed."),
        Metric("cdc_inflight_records", "Records sent and not yet acknowledged."),
        Metric("cdc_inflight_bytes", "Bytes of log that the records in flight came from."),
        Metric("cdc_commit_lsn", "Last position committed to the offset store, as a number."),
        Metric("cdc_retained_wal_bytes", "Bytes of WAL that the server keeps because of our slot."),
        Metric("cdc_slot_wal_status", "wal_status of our slot: 0 reserved, 1 extended, 2 unreserved, 3 lost."),
        Metric("cdc_wal_safe_bytes", "WAL that may still be written before our slot is in danger (safe_wal_size)."),
        Metric("cdc_wal_runway_seconds",
               "Time until our slot is in danger, at the rate at which WAL was written in the last 15 minutes. Absent "
               "without max_slot_wal_keep_size, and while nothing is written."),
        Metric("cdc_wal_written_bytes_total", "End of the server's WAL: its growth is what the server writes."),
        Metric("cdc_log_runway_seconds", "How long the server still keeps the binary log that we read now, at least."),
        Metric("cdc_last_heartbeat_timestamp_seconds", "When the last heartbeat was sent, since 1970."),
        Metric("cdc_table_structures_total", "Structures of tables taken into use: of new tables, and changed ones."),
        Metric("cdc_connected", "1 while connected to the source."),
        Metric("cdc_transactions_total", "Committed transactions read from the source."),
        Metric("cdc_transactions_rolled_back_total", "Transactions in the log that were rolled back (MySQL, MariaDB)."),
        Metric("cdc_transactions_large_total",
               "Transactions that were too large to wait for their end (MySQL, MariaDB)."),
        Metric("cdc_binlog_position_bytes", "Place of the confirmed position in its binary log."),
        Metric("cdc_gtid_mode", "1 if the server's log has GTIDs."),
        Metric("cdc_events_filtered_total", "Changes left out by filters."),
        Metric("cdc_commits_total", "Positions committed to the offset store."),
        Metric("cdc_commit_failures_total", "Commits that the offset store did not take."),
        Metric("cdc_last_commit_timestamp_seconds", "When the offset store took the last position, since 1970."),
        Metric("cdc_last_event_timestamp_seconds", "When the newest change was read, since 1970."),
        Metric("cdc_queue_bytes", "Bytes of log received and not yet decoded."),
        Metric("cdc_spilled_bytes", "Bytes on disk of streamed transactions that have not ended."),
        Metric("cdc_sink_queued_messages", "Messages in the sink's own queue."),
        Metric("cdc_sink_messages_total", "Messages that the sink accepted."),
        Metric("cdc_sink_bytes_total", "Bytes of keys and values that the sink accepted."),
        Metric("cdc_sink_failures_total", "Deliveries that failed for good."),
        Metric("cdc_sink_queue_full_total", "Times that the sink's queue was full."),
        Metric("cdc_sink_unreachable", "1 while the sink cannot be reached."),
        Metric("cdc_kafka_connections", "Brokers that the producer is connected to."),
        Metric("cdc_kafka_sent_bytes_total", "Bytes that the producer sent to brokers."),
        Metric("cdc_kafka_received_bytes_total", "Bytes that the producer received from brokers."),
        Metric("cdc_kafka_requests_waiting", "Requests of the producer that brokers have not answered."),
        Metric("cdc_kafka_retries_total", "Requests that the producer sent again."),
        Metric("cdc_kafka_request_errors_total", "Requests of the producer that failed or got no answer in time."),
        Metric("cdc_kafka_round_trip_p99_seconds", "99th percentile of the time for a request, of the slowest broker."),
        Metric("cdc_registry_requests_total", "Requests to the Schema Registry."),
        Metric("cdc_registry_failures_total", "Requests to the Schema Registry that no address answered."),
        Metric("cdc_registry_seconds_total", "Time spent waiting for the Schema Registry."),
        Metric("cdc_queue_capacity_records", "Limit for the records in flight."),
        Metric("cdc_notifications_total", "Notifications of the source, of snapshots for example."),
        Metric("cdc_snapshot_tables", "Tables in the snapshot."),
        Metric("cdc_snapshot_tables_remaining", "Tables of the snapshot that are not read yet."),
        Metric("cdc_snapshot_duration_seconds", "Duration of the snapshot, so far or in all."),
    )
}
"""Single numbers of a task, its source and its sink. Numbers under other names are published too."""

OWN: Final = (EVENTS, ERRORS, SNAPSHOT_ROWS, RECORDS_SENT, LEFT_OUT, DEAD_LETTERS, LATENCY, LAG_SECONDS, STAGE_SECONDS,
              TASK_STATE, STARTS, DISCONNECTS, WARNINGS, WARNING, INFO, *NUMBERS.values())
