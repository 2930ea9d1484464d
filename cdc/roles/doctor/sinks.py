"""Where alerts go: that it answers."""

from __future__ import annotations

from urllib.parse import urlsplit

import aiohttp

from cdc.errors import SettingsError
from cdc.metrics import Metrics
from cdc.ports.clock import Clock
from cdc.roles.doctor.finding import FAIL, OFF, PASS, WARN, Finding
from cdc.roles.notify import make_deliveries
from cdc.settings import Settings

TIMEOUT_S = 10.0


async def check(settings: Settings, clock: Clock, metrics: Metrics) -> list[Finding]:
    try:
        deliveries = make_deliveries(settings, metrics, clock)
    except SettingsError as error:
        return [Finding("sinks", FAIL, error.what, error.do)]
    if not deliveries:
        return [Finding("sinks", OFF, "alerts go to the log, the API and the command line only")]
    for delivery in deliveries:
        await delivery.sink.close()
    found = []
    if settings.alerts.alertmanager_url:
        found.append(await _ready(settings.alerts.alertmanager_url))
    if settings.alerts.webhook_url:
        found.append(_webhook(settings))
    return found


async def _ready(url: str) -> Finding:
    try:
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        async with (
            aiohttp.ClientSession(timeout=timeout) as http,
            http.get(f"{url.rstrip('/')}/-/ready") as answer,
        ):
            if answer.status == 200:
                return Finding("alertmanager", PASS, f"ready at {url}")
            what = f"answers {answer.status}"
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        what = f"does not answer at {url}: {type(error).__name__}"
    return Finding("alertmanager", FAIL, what, "start it, or set alerts.alertmanager_url")


def _webhook(settings: Settings) -> Finding:
    """The key is read; nothing is sent, since a receiver would take it for an alert."""
    from pathlib import Path

    try:
        if not Path(settings.alerts.webhook_secret_file).read_text().strip():
            return Finding("webhook", FAIL, "its key is empty", "write one to alerts.webhook_secret_file")
    except OSError as error:
        what = f"its key cannot be read: {error.strerror}"
        return Finding(
            "webhook", FAIL, what, "set alerts.webhook_secret_file to a file this process may read"
        )
    host = urlsplit(settings.alerts.webhook_url).hostname
    return Finding("webhook", WARN if not host else PASS, f"alerts are posted to {host}, signed")
