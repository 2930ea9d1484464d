"""Recovery from the settings: beside the running journal, or alone with log and journal opened here."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from cdc.change.masking import Masked
from cdc.metrics import Metrics
from cdc.ports.clock import Clock
from cdc.ports.log import Log, LogRecord
from cdc.recover.apply import ApplyOptions
from cdc.recover.ledger import Ledger
from cdc.recover.plan import PlanOptions
from cdc.recover.recovery import Connected, Recovery
from cdc.roles.build import make_log, make_session
from cdc.settings import RestoreSettings, SalesforceSettings, SandboxSettings, Settings
from cdc.settings_values import duration_s
from connectors.salesforce.query import SalesforceOrg
from connectors.salesforce.writing import SalesforceWriter

CLIENT = "sf-cdc-restore"


def make_recovery(
    settings: Settings,
    publish: Callable[[Sequence[LogRecord]], None],
    reader: Callable[[], AbstractContextManager[Any]],
    metrics: Metrics,
    clock: Clock,
) -> Recovery:
    """Restoring is off without `restore.auth`; incidents can be looked at all the same."""
    restore = settings.restore

    @asynccontextmanager
    async def connect(login: RestoreSettings | SandboxSettings) -> AsyncIterator[Connected]:
        async with restore_login(settings.salesforce, login) as session:
            org = SalesforceOrg(
                session,
                api_version=settings.salesforce.api_version,
                client_name=CLIENT,
                on_call=metrics.api_calls.inc,
                max_api_calls_per_day=restore.max_api_calls_per_day,
            )
            token = await session.token()
            yield Connected(
                org,
                SalesforceWriter(org.rest),
                token.user_id,
                token.org_id,
                lambda: org.api_calls,
                org.metadata,
                settings.salesforce.api_version,
            )

    return Recovery(
        Ledger(publish, reader, clock),
        Path(restore.folder),
        partial(connect, restore) if restore.auth else None,
        sandbox=partial(connect, settings.sandbox) if settings.sandbox.auth else None,
        source_types=settings.poll.metadata,
        masked=(*settings.privacy.masked, *settings.privacy.masked_classes),
        plan_options=PlanOptions(bulk_from=restore.bulk_from),
        apply_options=ApplyOptions(
            settle_s=duration_s(restore.settle),
            calls_per_minute=restore.calls_per_minute,
            key_field=restore.key_field,
            masked=Masked(settings.privacy.masked),
        ),
    )


def restore_login(salesforce: SalesforceSettings, restore: RestoreSettings | SandboxSettings) -> Any:
    """A session of the restoring user; where it logs in is the org's own address unless one is given."""
    keys = set(SandboxSettings.model_fields) & set(SalesforceSettings.model_fields)
    given = {key: getattr(restore, key) for key in keys}
    given["login_url"] = restore.login_url or salesforce.login_url
    return make_session(salesforce.model_copy(update=given))


@asynccontextmanager
async def recovering(settings: Settings) -> AsyncIterator[Recovery]:
    """Recovery where no process has the journal: log and journal are opened here, and nothing is captured.

    Errors: JournalLocked, LogUnavailable.
    """
    from cdc.roles.live import journal_alone

    log: Log = make_log(settings)
    metrics, clock = Metrics(), Clock()
    try:
        with journal_alone(settings, log) as reader:
            recovery = make_recovery(settings, log.publish, reader, metrics, clock)
            try:
                yield recovery
            finally:
                await recovery.close()
    finally:
        with contextlib.suppress(Exception):
            log.close()
