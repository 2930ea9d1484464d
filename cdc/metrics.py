"""Every metric, once: prefix `sf_cdc_`, base units, timestamps rather than ages.

No record, user or event ids in labels (reliability.md, "Metrics").
"""

from __future__ import annotations

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from cdc import __version__

_P = "sf_cdc_"


class Metrics:
    """The metrics of one process, on a registry of their own so that tests can look at them alone."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        r = registry or CollectorRegistry()
        self.registry = r
        self._of_channels(r)
        self._of_the_log(r)
        self._of_the_journal(r)
        self._of_alerts_and_recovery(r)
        self.build = Gauge(f"{_P}build_info", "1, with the version", ["version"], registry=r)
        self.build.labels(__version__).set(1)

    def _of_channels(self, r: CollectorRegistry) -> None:
        """What comes from the org, by channel."""
        channel = ["channel"]
        self.last_event = Gauge(
            f"{_P}last_event_timestamp_seconds",
            "Commit time of the newest event recorded",
            channel,
            registry=r,
        )
        self.last_keepalive = Gauge(
            f"{_P}last_keepalive_timestamp_seconds",
            "When the channel last said anything",
            channel,
            registry=r,
        )
        self.silent_since = Gauge(
            f"{_P}channel_silent_timestamp_seconds",
            "When a channel was found silent that may be dead; 0: it is not",
            channel,
            registry=r,
        )
        self.position_at = Gauge(
            f"{_P}position_timestamp_seconds", "When the stored position was obtained", channel, registry=r
        )
        self.source_lag = Gauge(
            f"{_P}source_lag_seconds", "Receipt minus commit of the newest event", channel, registry=r
        )
        self.retention_remaining = Gauge(
            f"{_P}retention_remaining_seconds",
            "72 h minus the age of the stored position",
            channel,
            registry=r,
        )
        self.events = Counter(f"{_P}events_total", "Changes recorded", ["channel", "kind"], registry=r)
        self.standing = Gauge(
            f"{_P}channel_standing",
            "1 for what the channel does now: opening, live, quiet, dead, retrying, limited, stopped",
            ["channel", "standing"],
            registry=r,
        )
        self.duplicates = Counter(
            f"{_P}duplicates_dropped_total", "Changes that had already been recorded", channel, registry=r
        )
        self.gaps = Counter(
            f"{_P}gaps_total", "Ways of losing something that were seen", ["reason"], registry=r
        )
        self.resubscribes = Counter(
            f"{_P}resubscribe_total", "Subscriptions made again", ["reason"], registry=r
        )
        self.delivery_used = Gauge(f"{_P}delivery_used", "Events delivered in the last 24 h", registry=r)
        self.delivery_limit = Gauge(f"{_P}delivery_limit", "Events that may be delivered in 24 h", registry=r)
        self.delivery_exhausted_at = Gauge(
            f"{_P}delivery_exhausted_timestamp_seconds",
            "When the delivery allocation will be used up at the rate of the last 24 h; +Inf: not foreseeable",
            registry=r,
        )

    def _of_the_log(self, r: CollectorRegistry) -> None:
        """What goes into the log, and what went wrong on the way."""
        self.queue_events = Gauge(f"{_P}queue_events", "Events waiting for the log", registry=r)
        self.queue_bytes = Gauge(f"{_P}queue_bytes", "Bytes of events waiting for the log", registry=r)
        self.seen_pairs = Gauge(
            f"{_P}seen_pairs", "Changes remembered so that a repeat is dropped", registry=r
        )
        self.errors = Counter(
            f"{_P}errors_total", "Errors met, by their class in cdc/errors.py", ["kind"], registry=r
        )
        self.api_calls = Counter(f"{_P}api_calls_total", "Calls of the org's API", registry=r)
        self.log_transactions = Counter(
            f"{_P}kafka_transactions_total", "Transactions of the log", ["result"], registry=r
        )

    def _of_the_journal(self, r: CollectorRegistry) -> None:
        """What is kept, and what is known to be missing."""
        self.verification_differences = Gauge(
            f"{_P}verification_differences",
            "Records that differed from the org in the last verification",
            registry=r,
        )
        self.last_verification = Gauge(
            f"{_P}last_verification_timestamp_seconds",
            "When the last verification against the org ended",
            registry=r,
        )
        self.journal_commit = Histogram(
            f"{_P}journal_commit_seconds",
            "Time of one journal transaction",
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
            registry=r,
        )
        self.journal_lag = Gauge(
            f"{_P}journal_lag_records", "Changes in the log, not yet in the journal", registry=r
        )
        self.journal_bytes = Gauge(f"{_P}journal_bytes", "Size of the journal file", registry=r)
        self.journal_free = Gauge(f"{_P}journal_free_bytes", "Room left on the journal's volume", registry=r)
        self.coverage_lost = Gauge(
            f"{_P}coverage_lost_seconds", "Lost or unknown and not repaired", ["entity"], registry=r
        )
        self.quarantined = Counter(f"{_P}quarantined_total", "Events kept raw", registry=r)

    def _of_alerts_and_recovery(self, r: CollectorRegistry) -> None:
        """What was noticed, told, and put right."""
        self.last_drill = Gauge(
            f"{_P}last_drill_timestamp_seconds",
            "When the last good drill began; 0: there was none",
            registry=r,
        )
        self.restore_records = Counter(
            f"{_P}restore_records_total",
            "Records that restores wrote, by what became of them",
            ["result"],
            registry=r,
        )
        self.drill_rto = Gauge(
            f"{_P}drill_rto_seconds", "From detection to data put right, in the last good drill", registry=r
        )
        self.drill_rpo = Gauge(
            f"{_P}drill_rpo_seconds", "How much was lost, in the last good drill", registry=r
        )
        self.detector_keys = Gauge(f"{_P}detector_keys", "Keys the detector holds", registry=r)
        self.detector_evictions = Counter(f"{_P}detector_evictions_total", "Keys it had to drop", registry=r)
        self.alerts = Counter(f"{_P}alerts_total", "Alerts opened", ["severity"], registry=r)
        self.alert_failures = Counter(
            f"{_P}alert_delivery_failures_total", "Deliveries of an alert that failed", ["sink"], registry=r
        )

    def text(self) -> bytes:
        """The exposition format, with the process's own figures."""
        return generate_latest(self.registry) + generate_latest(REGISTRY)
