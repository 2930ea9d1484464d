"""The sinks of the settings, each reading the alerts in the log for itself, so that none waits for another."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

from cdc.errors import CdcError, LogUnavailable
from cdc.logs import Event, logger
from cdc.metrics import Metrics
from cdc.ports.clock import Clock
from cdc.ports.log import Checkpoint, Log, LogBatch
from cdc.roles.process import Life
from cdc.settings import Settings
from connectors.salesforce.secret import Secret
from connectors.sinks.alertmanager import REFRESH_S, AlertmanagerSink
from connectors.sinks.delivery import Delivery, Reminded
from connectors.sinks.webhook import WebhookSink
from schemas import own

ALERTS = frozenset({"alerts"})
IDLE_S = 0.5
LOG_RETRY_S = 2.0


def make_deliveries(settings: Settings, metrics: Metrics, clock: Clock) -> list[Delivery]:
    """One for each sink that is set. Errors: SettingsError."""
    alerts, masked = settings.alerts, frozenset(settings.privacy.masked)
    sinks: list[Any] = []
    if alerts.alertmanager_url:
        sinks.append(AlertmanagerSink(alerts.alertmanager_url, masked=masked, clock=clock))
    if alerts.webhook_url:
        secret = Secret("alerts.webhook_secret", file=alerts.webhook_secret_file)
        sinks.append(
            WebhookSink(
                alerts.webhook_url, secret.read, networks=alerts.webhook_networks, masked=masked, clock=clock
            )
        )

    def failed(name: str, error: CdcError) -> None:
        metrics.alert_failures.labels(name).inc()
        logger(sink=name).warning(Event.ALERT_NOT_DELIVERED, error=error.sentence())

    base = Path(alerts.positions)
    return [Delivery(sink, base.with_name(f"{base.name}.{sink.name}"), clock, failed) for sink in sinks]


@contextlib.asynccontextmanager
async def notifying(
    settings: Settings, log: Log, metrics: Metrics, clock: Clock, life: Life
) -> AsyncIterator[None]:
    """Deliver alerts to every sink until the end of the block; what was not taken comes again at the next start."""
    deliveries = make_deliveries(settings, metrics, clock)
    tasks = [asyncio.create_task(_work(delivery, log, clock, life)) for delivery in deliveries]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for delivery in deliveries:
            await delivery.sink.close()


async def _work(delivery: Delivery, log: Log, clock: Clock, life: Life) -> None:
    try:
        delivery.open()
        while True:
            try:
                await _follow(delivery, log, clock)
            except LogUnavailable as error:
                logger(sink=delivery.sink.name).warning(Event.LOG_RETRY, error=error.sentence())
                await clock.sleep(LOG_RETRY_S)
    except asyncio.CancelledError:
        raise
    except BaseException as error:
        life.fail(error)


async def _follow(delivery: Delivery, log: Log, clock: Clock) -> None:
    """From the oldest alert the log holds; what was taken before is passed over."""
    batches = log.batches(Checkpoint(), topics=ALERTS, idle_s=IDLE_S)
    newest: dict[str, Mapping[str, Any]] | None = {}
    said_at = clock.monotonic_s()
    try:
        while True:
            batch = await asyncio.to_thread(_next, batches)
            alerts = [own.decode("alert", record.value) for record in batch.records]
            if newest is not None:
                for alert in alerts:
                    newest.pop(alert["alert_id"], None)
                    newest[alert["alert_id"]] = alert
                if not alerts:
                    await delivery.catch_up(newest)
                    newest = None
                continue
            for alert in alerts:
                await delivery.take(alert)
            if isinstance(delivery.sink, Reminded) and clock.monotonic_s() - said_at >= REFRESH_S:
                said_at = clock.monotonic_s()
                await _refresh(delivery)
    finally:
        close = getattr(batches, "close", None)
        if close:
            await asyncio.to_thread(close)


async def _refresh(delivery: Delivery) -> None:
    """Said again at the next turn where it fails: the alert ends by itself only some turns later."""
    assert isinstance(delivery.sink, Reminded)
    try:
        await delivery.sink.refresh()
    except CdcError as error:
        delivery.failed(delivery.sink.name, error)


def _next(batches: Iterator[LogBatch]) -> LogBatch:
    return next(batches)
