"""Each part from the settings: the only place where settings, rooms and connectors meet."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from cdc.answer import definitions as answer_sql
from cdc.answer.entity_views import refresh_entity_views
from cdc.capture.options import CaptureOptions
from cdc.capture.records import Prefix, single_object
from cdc.detect.detector import Options as DetectorOptions
from cdc.errors import CdcError, SettingsError
from cdc.journal.journal import DuckJournal
from cdc.journal.lake import Lake, is_lake
from cdc.journal.manifests import signing_key
from cdc.log.embedded import EmbeddedLog
from cdc.log.kafka import KafkaLog, KafkaLogOptions
from cdc.log.registry import SchemaRegistry
from cdc.metrics import Metrics
from cdc.ports.log import Log
from cdc.ports.source import Start
from cdc.recover import definitions as recover_sql
from cdc.roles.forgetting import forgetting
from cdc.settings import SalesforceSettings, Settings
from cdc.settings_values import duration_s
from connectors.salesforce.budget import CallBudget
from connectors.salesforce.grants import AuthMethod, Credentials
from connectors.salesforce.pubsub import PubSubOptions, PubSubSource
from connectors.salesforce.query import SalesforceOrg
from connectors.salesforce.rest import Rest
from connectors.salesforce.secret import Secret
from connectors.salesforce.session import Session, SessionOptions

if TYPE_CHECKING:
    from connectors.salesforce.cometd import CometDSource

CLIENT = "sf-cdc"


def make_session(settings: SalesforceSettings) -> Session:
    """The org's login; nothing is sent before the first token is asked for."""

    def secret(name: str) -> Secret:
        value: SecretStr = getattr(settings, name)
        return Secret(name, value=value.get_secret_value(), file=getattr(settings, f"{name}_file"))

    credentials = Credentials(
        method=AuthMethod(settings.auth),
        login_url=settings.login_url,
        client_id=settings.client_id,
        client_secret=secret("client_secret"),
        private_key=secret("private_key"),
        username=settings.username,
        audience=settings.audience,
        refresh_token=secret("refresh_token"),
        access_token=secret("access_token"),
        instance_url=settings.instance_url,
        org_id=settings.org_id,
    )
    return Session(credentials, SessionOptions(ca_file=settings.ca_file))


def make_source(
    settings: SalesforceSettings, session: Session, metrics: Metrics
) -> PubSubSource | CometDSource:
    """Events by the transport of the settings. A live channel keeps its position only with the same one."""
    if settings.transport == "cometd":
        # Its library is loaded only by who uses it.
        from connectors.salesforce.cometd import CometDOptions, CometDSource

        budget = CallBudget(settings.max_api_calls_per_day, monotonic_s=time.monotonic)
        rest = Rest(session, client_name=CLIENT, budget=budget, on_call=metrics.api_calls.inc)
        return CometDSource(
            session, rest, CometDOptions(api_version=settings.api_version, ca_file=settings.ca_file)
        )
    return PubSubSource(
        session,
        PubSubOptions(endpoint=settings.pubsub_endpoint, tls=settings.pubsub_tls, ca_file=settings.ca_file),
    )


def make_org(settings: SalesforceSettings, session: Session, metrics: Metrics) -> SalesforceOrg:
    return SalesforceOrg(
        session,
        api_version=settings.api_version,
        client_name=CLIENT,
        on_call=metrics.api_calls.inc,
        max_api_calls_per_day=settings.max_api_calls_per_day,
    )


def make_log(settings: Settings) -> Log:
    """The log of the settings; opening it as its one writer is the recorder's business."""
    if settings.log.kind == "embedded":
        return EmbeddedLog(settings.org.alias, settings.log.path, _retention_ms(settings))
    return KafkaLog(settings.org.alias, kafka_options(settings))


def make_prefix(settings: Settings, refused: Callable[[CdcError], None]) -> Prefix:
    """What stands before each body: a registry's ids, where the settings name one. `refused` as in SchemaRegistry."""
    kafka = settings.log.kafka
    if not kafka.schema_registry_url or settings.log.kind == "embedded":
        return single_object
    return SchemaRegistry(
        kafka.schema_registry_url,
        settings.topic_prefix,
        compatibility=kafka.schema_compatibility,
        refused=refused,
    ).prefix


def kafka_options(settings: Settings) -> KafkaLogOptions:
    """The broker of the settings."""
    kafka = settings.log.kafka
    return KafkaLogOptions(
        bootstrap_servers=kafka.bootstrap_servers,
        topic_prefix=settings.topic_prefix,
        partitions=kafka.partitions,
        replication_factor=kafka.replication_factor,
        retention_ms=_retention_ms(settings),
        properties=kafka.properties,
    )


def _retention_ms(settings: Settings) -> int:
    return int(duration_s(settings.log.retention) * 1000)


def _definitions() -> Sequence[str]:
    """The macros of the rooms that answer."""
    return (*answer_sql.definitions(), *recover_sql.definitions())


def make_journal(settings: Settings, **more: Any) -> DuckJournal:
    """The journal of the settings, with the macros of the room that answers."""
    return DuckJournal(
        settings.journal.path,
        settings.org.alias,
        memory_limit=settings.journal.memory_limit,
        threads=settings.journal.threads,
        segments=settings.journal.segments,
        forget=forgetting(settings.detect.state_path),
        log_retention_ms=_retention_ms(settings),
        seal_records=settings.journal.seal_records,
        signing_key=signing_key(settings.journal.signing_key_file),
        definitions=_definitions(),
        on_fields=refresh_entity_views,
        **more,
    )


def make_lake(settings: Settings) -> Lake:
    """The journal of the settings where it is a lake. Errors: SettingsError."""
    if settings.log.kind != "kafka":
        raise SettingsError(
            "a journal in DuckLake is fed from Kafka, and log.kind says otherwise",
            where="journal.path",
            do='set log.kind = "kafka", or journal.path to a file',
        )
    return Lake(
        settings.journal.path,
        settings.org.alias,
        folder=settings.journal.segments,
        shards=settings.journal.shards,
        memory_limit=settings.journal.memory_limit,
        threads=settings.journal.threads,
        definitions=_definitions(),
        on_fields=refresh_entity_views,
    )


def beside_journal(settings: Settings) -> str:
    """What the names of files beside the journal begin with."""
    journal = settings.journal
    return str(Path(journal.segments) / "journal") if is_lake(journal.path) else journal.path


def capture_options(settings: Settings, owner: str) -> CaptureOptions:
    s = settings.salesforce
    return CaptureOptions(
        org=settings.org.alias,
        owner=owner,
        channels=tuple(s.channels),
        platform_events=tuple(s.platform_events),
        entities=tuple(s.entities),
        start=Start(s.start),
        baseline=s.baseline == "auto",
        bulk_from_rows=s.bulk_from_records,
        poll_entities=tuple(settings.poll.entities),
        poll_interval_s=duration_s(settings.poll.interval),
        setup_interval_s=duration_s(settings.poll.setup_interval),
        setup_intervals_s={kind: duration_s(one) for kind, one in settings.poll.setup_intervals.items()},
        metadata_types=tuple(settings.poll.metadata),
        metadata_interval_s=duration_s(settings.poll.metadata_interval),
    )


def detector_options(settings: Settings) -> dict[str, Any]:
    """What the settings say of the detector: its budget."""
    given = settings.detect
    return {
        "options": DetectorOptions(
            pages_per_week=given.page_budget_per_week, digests_per_week=given.digest_budget_per_week
        )
    }
