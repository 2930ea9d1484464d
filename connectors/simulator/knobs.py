"""How unkind the org is. Every field is one way in which the real service surprises its readers."""

from __future__ import annotations

from dataclasses import dataclass

from connectors.simulator.clock import HOUR_MS, MINUTE_MS, SECOND_MS


@dataclass(frozen=True, slots=True)
class Knobs:
    """`Knobs.kind()` surprises nobody; `Knobs.cruel()` has everything on. Shares are of 1; times in ms.

    Replace the org's knobs as a whole (`org.knobs = replace(org.knobs, gap_share=0)`); they hold from then on.
    """

    change_before_commit_max_ms: int = 0
    """Rows are changed, and SystemModstamp and LastModifiedDate set, up to so long before the commit."""
    change_before_commit_share: float = 0.0
    """Share of transactions that lie open that long; the others are short."""
    commit_jitter_ms: int = 0
    """commitTimestamp of events of one transaction differs by up to so much, either way."""
    commit_jitter_share: float = 0.0
    """Share of transactions whose commit times differ."""
    commit_second_resolution: bool = False
    """commitTimestamp has whole seconds."""
    server_skew_max_ms: int = 0
    """SystemModstamp and LastModifiedDate come from servers whose clocks are off by up to so much."""
    date_skew_max_ms: int = 0
    """The Date header is off by up to so much, differently in each answer."""
    delivery_lag_max_ms: int = 0
    """Events become readable up to so long after their commit, in order."""
    delivery_lag_share: float = 0.0
    """Share of transactions that lag."""
    pages_are_snapshots: bool = True
    """False: the rows of a later page are read when that page is asked for."""
    silent_values: bool = False
    """Some changes do not move SystemModstamp (geocoding), some publish nothing (LastActivityDate)."""
    cut_groups: bool = False
    """A group of events that share a replay id is cut where the credit ends."""
    hidden_fields: tuple[str, ...] = ()
    """Entity.Field in the schema that the reading user may not see."""
    duplicate_share: float = 0.0
    """Share of events published a second time, with the same event id and another replay id."""
    gap_share: float = 0.0
    """Share of events published as GAP_ events, without values."""
    long_text_diffs: bool = False
    """Changes of long texts come as diffs where these are shorter."""
    overflow_changes_max: int = 100_000
    """Changes of one transaction that get events of their own; the rest is one GAP_OVERFLOW an entity."""
    retention_ms: int = 72 * HOUR_MS
    """How old a replay position may be."""
    delivered_max: int = 1_000_000
    """Events delivered in 24 h, as GET /limits says it."""
    api_calls_max: int = 100_000
    """REST calls in 24 h, as GET /limits says it."""

    bulk_batches_max: int = 15_000
    """Batches of 10,000 records that ingest jobs may make in 24 h."""
    retrieve_files_max: int = 10_000
    """Files of one retrieve of metadata."""
    bulk_query_jobs_max: int = 10_000
    """Query jobs in 24 h."""
    bulk_job_ms: int = 0
    """How long a job waits before it begins, in real ms, and again after every 10,000 rows."""
    read_only_fields: tuple[str, ...] = ()
    """Entity.Field that the API's users may see but not write."""
    read_only_entities: tuple[str, ...] = ()
    """Entities that the API's users may see but not write."""
    is_sandbox: bool = False
    """What the org says of itself (Organization.IsSandbox)."""
    client_echo: str = "on"
    """on: changeOrigin names the client that a caller gave; off: it does not; else: that text, for everybody."""
    hard_deletes_published: bool = False
    """Hard deletes publish a DELETE event; the documented service publishes nothing."""
    hard_delete_allowed: bool = True
    """Users have the permission Bulk API Hard Delete."""
    lookups_cleared: bool = False
    """Deleting a record empties the lookups that refer to it, and publishes that."""
    recycle_bin_days: int = 15
    """How long a deleted record can be undeleted."""
    lock_share: float = 0.0
    """Share of records whose write by the API fails with UNABLE_TO_LOCK_ROW."""

    @classmethod
    def kind(cls) -> Knobs:
        """No surprises: for tests about something else."""
        return cls()

    @classmethod
    def cruel(cls) -> Knobs:
        """Everything on, as reliability.md asks of the tests."""
        return cls(
            change_before_commit_max_ms=10 * MINUTE_MS,
            change_before_commit_share=0.1,
            commit_jitter_ms=1 * SECOND_MS,
            commit_jitter_share=0.3,
            commit_second_resolution=True,
            server_skew_max_ms=2 * SECOND_MS,
            date_skew_max_ms=2 * SECOND_MS,
            delivery_lag_max_ms=1_500,
            delivery_lag_share=0.2,
            pages_are_snapshots=False,
            silent_values=True,
            cut_groups=True,
            hidden_fields=("Account.Credit_Limit__c", "Contact.Birthdate", "Opportunity.Margin__c"),
            duplicate_share=0.01,
            gap_share=0.005,
            long_text_diffs=True,
        )
