"""librdkafka's errors as ours, by code."""

from __future__ import annotations

from typing import Any, Final

from confluent_kafka import KafkaError

from cdc.core.errors import SinkConnectionError, SinkError, SinkRefusedError

TOO_LARGE: Final = frozenset({
    KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE, KafkaError.INVALID_MSG_SIZE,
})
DENIED: Final = frozenset({
    KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED, KafkaError.UNSUPPORTED_SASL_MECHANISM,
    KafkaError.ILLEGAL_SASL_STATE, KafkaError._SSL, KafkaError.SECURITY_DISABLED,
})
UNAUTHORIZED: Final = frozenset({
    KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, KafkaError.DELEGATION_TOKEN_AUTHORIZATION_FAILED,
})
UNKNOWN_TOPIC: Final = frozenset({
    KafkaError._UNKNOWN_TOPIC, KafkaError.UNKNOWN_TOPIC_OR_PART,
})
FENCED: Final = frozenset({
    KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH, KafkaError._FATAL,
    KafkaError.INVALID_PRODUCER_ID_MAPPING, KafkaError._STATE,
})
"""A transactional producer that may send nothing more. librdkafka gives a transaction that the coordinator ended after
its time the same codes. `_STATE` is its answer to a record after such an error (rd_kafka_txn_may_enq_msg)."""
PURGED: Final = frozenset({KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT, KafkaError._DESTROY})
_AWAY: Final = PURGED | frozenset({
    KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._MSG_TIMED_OUT, KafkaError._TIMED_OUT,
    KafkaError._TIMED_OUT_QUEUE, KafkaError._RESOLVE, KafkaError._WAIT_COORD, KafkaError._RETRY,
    KafkaError._GAPLESS_GUARANTEE, KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.REQUEST_TIMED_OUT, KafkaError.BROKER_NOT_AVAILABLE,
    KafkaError.REPLICA_NOT_AVAILABLE, KafkaError.NETWORK_EXCEPTION, KafkaError.NOT_ENOUGH_REPLICAS,
    KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND, KafkaError.NOT_CONTROLLER, KafkaError.KAFKA_STORAGE_ERROR,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS, KafkaError.COORDINATOR_NOT_AVAILABLE, KafkaError.NOT_COORDINATOR,
    KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER, KafkaError.UNKNOWN_PRODUCER_ID, KafkaError.INVALID_PRODUCER_EPOCH,
    KafkaError.THROTTLING_QUOTA_EXCEEDED,
})


def sink_error(error: KafkaError, message: str, **context: Any) -> SinkError:
    """*error* as a retriable SinkConnectionError, or as a SinkRefusedError with what to do.

    A fatal error (a producer that lost its place) is retriable too: a new producer, from the committed offset, is the
    remedy.
    """
    code = error.code()
    text = f"{message}: {error.str()}."
    if error.fatal() or error.retriable() or code in _AWAY:
        return SinkConnectionError(text, code=error.name(), **context)
    return SinkRefusedError(text, hint=_hint(code), code=error.name(), **context)


def _hint(code: int) -> str:
    if code in DENIED:
        return "Check security.protocol, sasl.mechanism, sasl.jaas.config and the ssl.* settings of the producer."
    if code in UNAUTHORIZED:
        return "Grant the producer's principal WRITE and DESCRIBE on the topic (and IDEMPOTENT_WRITE on old clusters)."
    if code == KafkaError._UNKNOWN_PARTITION:
        return ("The topic has no partition of this number: add partitions to it, or correct what chose the number, "
                "such as partition.topic.num of PartitionRouting.")
    if code in UNKNOWN_TOPIC:
        return "Create the topic, set topic.creation.default.*, or allow the broker to create topics."
    return ""


def error_of(exc: BaseException) -> KafkaError:
    """librdkafka's error in an exception of its client. The client raises fatal errors out of `poll` and `flush`, and
    if a callback was to run at that moment, a SystemError takes the place of the KafkaException."""
    if exc.args and isinstance(exc.args[0], KafkaError):
        return exc.args[0]
    if isinstance(exc, SystemError):
        return error_of(exc.__cause__) if exc.__cause__ is not None else KafkaError(KafkaError._FATAL, str(exc), True)
    return KafkaError(KafkaError._FAIL, str(exc))
