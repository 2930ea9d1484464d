"""The delivery allowance is foreseen, and an org that does not answer stops nothing."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from cdc.capture.orgclock import exhausted_at_s
from cdc.errors import AuthRefused, BadArgument, CdcError, NotFound, OrgUnavailable
from cdc.ports.types import Millis
from tests.unit.capture.recording import Rig, event, recording, until

HOUR = 3_600_000
NOON = Millis(1_795_435_200_000)


def test_at_the_pace_of_the_last_hour_the_end_of_the_allowance_is_foreseen() -> None:
    looks = [(Millis(NOON - 2 * HOUR), 0), (Millis(NOON - HOUR), 1_000), (NOON, 11_000)]
    assert exhausted_at_s(NOON, 11_000, 21_000, looks) == pytest.approx(NOON / 1000 + 3600)


def test_a_use_that_shrinks_or_one_look_foresees_nothing() -> None:
    assert math.isinf(exhausted_at_s(NOON, 10, 100, [(NOON, 10)]))
    assert math.isinf(exhausted_at_s(NOON, 10, 100, [(Millis(NOON - HOUR), 50), (NOON, 10)]))


def test_what_is_used_up_is_used_up_now() -> None:
    assert exhausted_at_s(NOON, 100, 100, []) == NOON / 1000


async def test_used_and_allowed_deliveries_are_metrics(tmp_path: Path) -> None:
    def prepare(rig: Rig) -> None:
        rig.org.delivered = (50_000, 49_000)

    async with recording(tmp_path, prepare=prepare) as rig:
        await until(lambda: rig.metric("delivery_limit") == 50_000)
        assert rig.metric("delivery_used") == 1_000


@pytest.mark.parametrize(
    "failure",
    [
        OrgUnavailable("the org did not answer in time"),
        NotFound("the org does not know it"),
        BadArgument("the org refuses the request"),
        AuthRefused("the org refuses API access"),
    ],
)
async def test_an_org_whose_rest_fails_in_any_way_is_recorded_all_the_same(
    failure: CdcError, tmp_path: Path
) -> None:
    def prepare(rig: Rig) -> None:
        rig.org.failures = {"limits": failure, "describe": failure, "query": failure}

    async with recording(tmp_path, prepare=prepare, baseline=True) as rig:
        await rig.source.publish("/data/ChangeEvents", event(1), event(2))
        await until(lambda: rig.event_ids() == ["e1", "e2"])
        await until(lambda: rig.metric("errors_total", kind=type(failure).__name__) > 0)
        assert rig.running is not None
        assert not rig.running.done()
