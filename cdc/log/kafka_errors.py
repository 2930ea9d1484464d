"""Errors of the Kafka client as ours. The only place that looks at their codes."""

from __future__ import annotations

from confluent_kafka import KafkaError, KafkaException

from cdc.errors import CdcError, Fenced, LogRefused, LogUnavailable

FENCED = frozenset({KafkaError._FENCED, KafkaError.INVALID_PRODUCER_EPOCH, KafkaError.PRODUCER_FENCED})

REFUSED = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError._AUTHENTICATION,
        KafkaError.POLICY_VIOLATION,
        KafkaError.TOPIC_EXCEPTION,
        KafkaError.INVALID_PARTITIONS,
        KafkaError.INVALID_REPLICATION_FACTOR,
        KafkaError.INVALID_CONFIG,
        KafkaError.INVALID_TRANSACTION_TIMEOUT,
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.UNSUPPORTED_VERSION,
        KafkaError._UNSUPPORTED_FEATURE,
        KafkaError._INVALID_ARG,
        KafkaError._INVALID_TYPE,
    }
)
"""Trying again changes nothing: a right, a policy or a setting has to."""

SETTLING = frozenset(
    {
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
    }
)
"""A topic was just made, or a partition moves: the same question is answered a moment later."""


def error_of(exception: KafkaException) -> KafkaError:
    """The error inside; KafkaException carries it as its first argument."""
    error = exception.args[0]
    return error if isinstance(error, KafkaError) else KafkaError(KafkaError._FAIL, str(error))


def translated(error: KafkaError, what: str, where: str) -> CdcError:
    """Fenced, LogRefused or LogUnavailable, saying what was tried and what the broker answered."""
    if error.code() in FENCED:
        return fenced(where)
    sentence = f"{what}: {error.str() or error.name()}"
    if error.code() in REFUSED:
        return LogRefused(sentence, where=where, do="give this client the right, or change the setting named")
    return LogUnavailable(sentence, where=where, do="check that the broker runs and can be reached")


def fenced(where: str) -> Fenced:
    return Fenced(
        "another instance owns this org's log now, or this one stood still for longer than a transaction may stay open",
        where=where,
        do="stop the other one, or leave this one stopped",
    )
