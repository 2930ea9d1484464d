"""The org: login, clock, allowances, channels, what the user may see of each entity."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from cdc.change.names import entity_of_topic
from cdc.errors import CdcError
from cdc.metrics import Metrics
from cdc.ports.clock import Clock
from cdc.ports.org import ChannelMember
from cdc.roles.build import make_org, make_session, make_source
from cdc.roles.doctor.finding import FAIL, OFF, PASS, WARN, Finding
from cdc.roles.recovering import restore_login
from cdc.settings import Settings
from connectors.salesforce.query import SalesforceOrg

SKEW_WARN_MS = 5_000
"""The Date header has whole seconds and may be off by two: more than that is this machine's clock."""
ALLOWANCE_WARN = 0.8
UNREADABLE_SHOWN_MAX = 6


async def check(settings: Settings, clock: Clock, metrics: Metrics) -> list[Finding]:
    """Login first: without it nothing else can be asked."""
    async with make_session(settings.salesforce) as session:
        token = await session.token()
        found = [
            Finding("login", PASS, f"logged in to {token.instance_url} as {token.user_id or 'a given token'}")
        ]
        org = make_org(settings.salesforce, session, metrics)
        found += await _limits(org, clock)
        members, said = await _members(org)
        found += said
        found += await _channels(settings, session, metrics)
        found += await _entities(settings, org, members)
        return found


async def check_restore(settings: Settings, clock: Clock, metrics: Metrics) -> list[Finding]:
    """The restoring user, where there is one: that it can log in, and is another one."""
    if not settings.restore.auth:
        return [Finding("restore", OFF, "restoring is off ([restore] auth is empty)")]
    async with restore_login(settings.salesforce, settings.restore) as session:
        token = await session.token()
    async with make_session(settings.salesforce) as session:
        reader = await session.token()
    if token.user_id and token.user_id == reader.user_id:
        return [
            Finding(
                "restore", WARN, "restoring uses the same user as recording",
                "give it a user of its own, so that recording stays read-only and restores are told apart",
            )
        ]  # fmt: skip
    return [Finding("restore", PASS, f"restoring logs in as {token.user_id}")]


async def _limits(org: SalesforceOrg, clock: Clock) -> list[Finding]:
    try:
        limits = await org.limits()
    except CdcError as error:
        what = f"the org does not say its limits: {error.what}"
        return [Finding("limits", WARN, what, "give the user View Setup and Configuration")]
    found = []
    skew_ms = abs(clock.wall_ms() - limits.org_time)
    if skew_ms > SKEW_WARN_MS:
        what = f"this machine's clock and the org's differ by {skew_ms / 1000:,.0f} s"
        found.append(Finding("clock", WARN, what, "keep the machine's clock by NTP"))
    else:
        found.append(Finding("clock", PASS, f"within {skew_ms / 1000:.1f} s of the org's"))
    for name, left, most, remedy in (
        ("API calls", limits.api_remaining, limits.api_max, "lower max_api_calls_per_day, or the other users' calls"),
        ("delivered events", limits.delivered_remaining, limits.delivered_max, "buy the add-on, or select fewer entities"),
    ):  # fmt: skip
        if left is None or most is None:
            found.append(
                Finding(
                    name, WARN, "the org does not say how many there are", "see Setup, Company Information"
                )
            )
            continue
        used = most - left
        verdict = FAIL if left <= 0 else WARN if used > ALLOWANCE_WARN * most else PASS
        found.append(
            Finding(name, verdict, f"{used:,} of {most:,} used in 24 h", remedy if verdict != PASS else "")
        )
    return found


async def _members(org: SalesforceOrg) -> tuple[tuple[ChannelMember, ...], list[Finding]]:
    try:
        members = await org.members()
    except CdcError as error:
        what = f"the channel members cannot be read: {error.what}"
        return (), [Finding("members", WARN, what, "give the user View Setup and Configuration")]
    selected = sorted({m.entity for m in members})
    if not selected:
        return (), [Finding("members", FAIL, "no entity is selected for Change Data Capture", "select some in Setup, Change Data Capture")]  # fmt: skip
    found = [Finding("members", PASS, f"{len(selected)} entities selected: {', '.join(selected[:12])}")]
    filtered = sorted({m.entity for m in members if m.filter})
    if filtered:
        found.append(
            Finding("members", WARN, f"filtered channels carry only some changes of {', '.join(filtered)}",
                    "use a channel without a filter for what has to be recorded whole")
        )  # fmt: skip
    return members, found


async def _channels(settings: Settings, session: object, metrics: Metrics) -> list[Finding]:
    s = settings.salesforce
    source = make_source(s, session, metrics)  # type: ignore[arg-type]
    found = []
    try:
        await source.open()
        for channel in (*s.channels, *s.platform_events):
            try:
                await source.check(channel)
                found.append(Finding(channel, PASS, "may be subscribed to"))
            except CdcError as error:
                found.append(Finding(channel, FAIL, error.what, error.do or "see the name of the channel"))
    finally:
        with contextlib.suppress(Exception):
            await source.close()
    return found


async def _entities(
    settings: Settings, org: SalesforceOrg, members: Sequence[ChannelMember]
) -> list[Finding]:
    """What the user may see of each entity the configured channels carry."""
    channels = set(settings.salesforce.channels)
    names = {m.entity for m in members if m.channel in channels}
    single = (entity_of_topic(c.removeprefix("/data/")) for c in channels if "ChangeEvents" not in c)
    names |= {name for name in single if name}
    wanted = set(settings.salesforce.entities)
    found = []
    for entity in sorted(wanted - names) if members else ():
        found.append(
            Finding(entity, FAIL, "named in the settings, and carried by no configured channel",
                    "select it in Setup, Change Data Capture, or list it in poll.entities")
        )  # fmt: skip
    for entity in sorted((names & wanted) if wanted else names):
        try:
            described = await org.describe(entity)
        except CdcError as error:
            found.append(Finding(entity, FAIL, error.what, f"give the user View All Records on {entity}"))
            continue
        if not described.queryable:
            found.append(
                Finding(
                    entity, WARN, "cannot be queried: no baseline, no repair", "nothing can be done about it"
                )
            )
            continue
        found.append(Finding(entity, PASS, f"{len(described.fields)} fields may be read"))
    return found
