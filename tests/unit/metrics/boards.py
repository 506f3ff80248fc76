"""What public dashboards and alerts ask for, as data: panel and expressions, with the variables that they have.

`DEBEZIUM` and `DEBEZIUM_MYSQL`: debezium/debezium-examples, monitoring/debezium-grafana. `STRIMZI`: strimzi/
strimzi-kafka-operator, examples/metrics, the board strimzi-kafka-connect and the alerts of Connect.
A panel of None is about the JVM, which this service does not have, or about consumers, or about Kubernetes' own
metrics.
"""

from __future__ import annotations

Board = dict[str, tuple[str, ...] | None]


def asked(expression: str, rates_over: str = "30s") -> str:
    """An expression of our own dashboards, with Grafana's variables replaced."""
    for variable, text in (("$__rate_interval", rates_over), ("$connector", ".*"), ("$table", ".*"), ("$job", ".*")):
        expression = expression.replace(variable, text)
    return expression


_BOTH = '{plugin="$plugin",name="$name",context=~"(binlog|streaming)"}'
_SNAPSHOT = '{plugin="$plugin",name="$name",context="snapshot"}'
_CONTEXT = '{context="$context",name="$name",plugin="$plugin"}'


def _debezium(labels: str, *attributes: str) -> tuple[str, ...]:
    return tuple(f"debezium_metrics_{attribute}{labels}" for attribute in attributes)


DEBEZIUM: Board = {
    "Time since last event": _debezium(_BOTH, "MilliSecondsSinceLastEvent"),
    "Event count": _debezium(_BOTH, "TotalNumberOfEventsSeen", "NumberOfEventsSkipped"),
    "Connected": _debezium(_BOTH, "Connected"),
    "Table count": _debezium(_SNAPSHOT, "TotalTableCount"),
    "Remaining tables": _debezium(_SNAPSHOT, "RemainingTableCount"),
    "Running": _debezium(_SNAPSHOT, "SnapshotRunning"),
    "Completed": _debezium(_SNAPSHOT, "SnapshotCompleted"),
    "Aborted": _debezium(_SNAPSHOT, "SnapshotAborted"),
    "Event count (snapshot)": _debezium(_SNAPSHOT, "TotalNumberOfEventsSeen", "NumberOfEventsSkipped"),
    "Rows scanned": _debezium('{plugin="$plugin",name="$name"}', "RowsScanned"),
    "Network traffic rate": ("kafka_connect_metrics_incoming_byte_rate", "kafka_connect_metrics_outgoing_byte_rate"),
    "Heap Memory": None,
    "Threads": None,
}

_STREAMING_MYSQL = (
    "Connected", "BinlogPosition", "IsGtidModeEnabled", "NumberOfCommittedTransactions",
    "NumberOfRolledBackTransactions", "NumberOfNotWellFormedTransactions", "TotalNumberOfEventsSeen",
    "NumberOfSkippedEvents", "NumberOfEventsFiltered", "SecondsSinceLastEvent", "QueueTotalCapacity",
    "QueueRemainingCapacity", "SecondsBehindMaster", "MilliSecondsBehindSource", "NumberOfDisconnects",
    "NumberOfLargeTransactions")
_SNAPSHOT_MYSQL = (
    "TotalTableCount", "RemainingTableCount", "HoldingGlobalLock", "SnapshotRunning", "SnapshotAborted",
    "SnapshotCompleted", "SnapshotDurationInSeconds", "NumberOfEventsFiltered", "MilliSecondsSinceLastEvent",
    "QueueTotalCapacity", "QueueRemainingCapacity", "NumberOfErroneousEvents", "TotalNumberOfEventsSeen")
_HISTORY_MYSQL = ("RecoveryStartTime", "MilliSecondsSinceLastAppliedChange", "MilliSecondsSinceLastRecoveredChange",
                  "ChangesRecovered", "ChangesApplied")

DEBEZIUM_MYSQL: Board = {
    **{f"{each} (streaming)": _debezium(_CONTEXT.replace("$context", "streaming"), each) for each in _STREAMING_MYSQL},
    **{f"{each} (snapshot)": _debezium(_CONTEXT.replace("$context", "snapshot"), each) for each in _SNAPSHOT_MYSQL},
    **{f"{each} (schema history)": None for each in _HISTORY_MYSQL},
}

_STATES = ("running", "paused", "failed", "unassigned", "destroyed")

STRIMZI: Board = {
    "Number of Connectors": ("kafka_connect_worker_connector_count",),
    "Number of Tasks": ("kafka_connect_worker_task_count",),
    "(Sink/Consumers) Incoming bytes per second": None,
    "(Source/Producers) Outgoing bytes per second": ("kafka_producer_outgoing_byte_total",),
    "CPU Usage": None,
    "JVM Memory": None,
    "Time spent in GC": None,
    "JVM Thread Count": None,
    "Connector task state with issues": tuple(
        f"kafka_connect_worker_connector_{state}_task_count" for state in _STATES[1:]),
    "Connector task state": tuple(f"kafka_connect_worker_connector_{state}_task_count" for state in _STATES),
    "Connection count": ("kafka_producer_connection_count",),
    "Rebalancing": ("kafka_connect_worker_rebalance_rebalancing",),
    "Connector status": ("kafka_connect_connector_status",),
    "Assigned connectors": ("kafka_connect_coordinator_assigned_connectors",),
    "Assigned tasks": ("kafka_connect_coordinator_assigned_tasks",),
    "Record failures": ("kafka_connect_task_error_total_record_failures",),
}

STRIMZI_ALERTS: Board = {
    "ConnectFailedConnector": ('kafka_connect_connector_status{status="failed"}',),
    "ConnectFailedTask": ("kafka_connect_worker_connector_failed_task_count",),
}
