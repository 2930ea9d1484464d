"""Alerts for Alertmanager, by its API v2.

An alert there is known by its labels, and ends by itself when it is not said again. So an open alert is said
again before it would end (`refresh`), with an end a while ahead; a closed or merged one is said once more with
its end in the past. One that becomes a page has another label, and so is another one there: the digest ends.
Labels are of a fixed few values but for the alert's own id, which is what makes two episodes two alerts.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp

from cdc.errors import BadArgument, RetryLater
from cdc.ports.clock import Clock
from connectors.sinks.told import told

ALERT_NAME = "SalesforceMassUpdate"
REFRESH_S = 60.0
ENDS_AFTER_S = 300.0  # if this process goes away, Alertmanager ends the alert after that long
TIMEOUT_S = 10.0
OPEN_MAX = 1_000  # alerts that are said again; more than that at once is one storm already


class AlertmanagerSink:
    """`deliver` posts one version; `refresh` says again what is open. Errors: RetryLater, BadArgument (refused)."""

    def __init__(self, url: str, *, masked: Collection[str] = (), clock: Clock | None = None) -> None:
        self.name = "alertmanager"
        self._url = url.rstrip("/") + "/api/v2/alerts"
        self._masked = frozenset(masked)
        self._clock = clock or Clock()
        self._open: dict[str, Mapping[str, Any]] = {}
        self._session: aiohttp.ClientSession | None = None

    async def deliver(self, alert: Mapping[str, Any]) -> None:
        alert_id = str(alert["alert_id"])
        before = self._open.get(alert_id)
        posted = [self._posted(alert)]
        if before is not None and before["severity"] != alert["severity"]:
            posted.append(self._posted(before, ended=True))
        await self._post(posted)
        self.remember(alert)

    def remember(self, alert: Mapping[str, Any]) -> None:
        """Take a version that was delivered before: it is said again while it is open."""
        alert_id = str(alert["alert_id"])
        self._open.pop(alert_id, None)
        if not is_over(alert):
            self._open[alert_id] = alert
            if len(self._open) > OPEN_MAX:
                self._open.pop(next(iter(self._open)))

    async def refresh(self) -> None:
        """Say again every alert that is open."""
        if self._open:
            await self._post([self._posted(alert) for alert in self._open.values()])

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    def _posted(self, alert: Mapping[str, Any], *, ended: bool = False) -> dict[str, Any]:
        now = datetime.fromtimestamp(self._clock.wall_ms() / 1000, UTC)
        over = ended or is_over(alert)
        said = told(alert, self._masked)
        target = said["targets"][0] if said["targets"] else {"entity": "", "field": None}
        labels = {
            "alertname": ALERT_NAME,
            "alert_id": said["alert_id"],
            "org": said["org"],
            "severity": said["severity"],
            "entity": target["entity"],
            "kind": max(said["kinds"], key=said["kinds"].__getitem__, default=""),
        }
        actor = said["actors"][0] if said["actors"] else {}
        notes = {
            "summary": said["title"],
            "description": ". ".join(e["sentence"] for e in said["evidence"]),
            "usual": said["usual"],
            "user_id": actor.get("user_id") or "",
            "client": actor.get("client") or "",
            "field": target["field"] or "",
            "records": str(said["records"]),
            "first_change_at": said["first_change_at"],
            "last_change_at": said["last_change_at"],
            "next": said["next"],
        }
        # Its own beginning is org time; Alertmanager's is when it was told, so that it never ends before it began.
        ends = now if over else now + timedelta(seconds=ENDS_AFTER_S)
        begins = min(now, _moment(said["decided_at"]))
        return {
            "labels": {name: value for name, value in labels.items() if value},
            "annotations": {name: str(value) for name, value in notes.items() if value},
            "startsAt": begins.isoformat(),
            "endsAt": ends.isoformat(),
        }

    async def _post(self, alerts: list[dict[str, Any]]) -> None:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S))
        try:
            async with self._session.post(self._url, json=alerts, allow_redirects=False) as answer:
                if answer.status < 300:
                    return
                text = (await answer.text())[:200]
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise RetryLater(
                f"Alertmanager does not answer: {type(error).__name__}", where=self._url
            ) from error
        if answer.status in (408, 429) or answer.status >= 500:
            raise RetryLater(f"Alertmanager answers {answer.status}", where=self._url)
        raise BadArgument(f"Alertmanager refuses the alert with {answer.status}: {text}", where=self._url)


def is_over(alert: Mapping[str, Any]) -> bool:
    """Closed, or merged into another."""
    return alert["state"] in ("closed", "merged")


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
