"""Ordinary days, load and scenarios: the same for a seed, and of the size they should be."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from connectors.simulator import scenarios
from connectors.simulator.clock import DAY_MS, SimClock
from connectors.simulator.knobs import Knobs
from connectors.simulator.org import SimulatedOrg
from connectors.simulator.workload import Workload
from tests.unit.simulator_core.org_reader import EVERYTHING, published, quiet_org, read_all


def lived(seed: int, days: float = 2) -> SimulatedOrg:
    org = quiet_org(Knobs.cruel(), seed)
    workload = Workload(org, users=20, records=400, changes_per_day=300)
    workload.populate()
    workload.play(days)
    return org


def test_the_same_seed_lives_the_same_days() -> None:
    first, second = (read_all(org, org.bus.resolve(EVERYTHING, "earliest")) for org in (lived(5), lived(5)))
    assert first == second
    assert lived(5).truth.changes() == lived(5).truth.changes()


def test_another_seed_lives_other_days() -> None:
    assert lived(5).truth.pairs() != lived(6).truth.pairs()


def test_days_played_apart_are_the_days_played_together() -> None:
    org = quiet_org(Knobs.cruel(), 5)
    workload = Workload(org, users=20, records=400, changes_per_day=300)
    workload.populate()
    workload.play(1)
    workload.play(1)
    assert org.truth.changes() == lived(5).truth.changes()


def test_a_week_has_busy_days_quiet_weekends_and_every_kind_of_actor() -> None:
    org = quiet_org()
    workload = Workload(org)
    workload.populate()
    days = [workload.play(1) for _ in range(7)]
    assert all(900 <= changed <= 1_500 for changed in days[:5])
    assert all(200 <= changed <= 600 for changed in days[5:])
    assert org.clock.now_ms() == org.started_at + 7 * DAY_MS
    changes = org.truth.changes()
    assert {change.client for change in changes} == {
        "SfdcInternalAPI/",
        "ErpSync/4.2",
        "MarketingHub",
        "WarehouseLoader",
        "",
    }
    assert {change.kind for change in changes} == {"CREATE", "UPDATE", "DELETE", "UNDELETE"}
    assert {change.entity for change in changes} == set(org.entities)
    assert max(Counter(change.transaction_key for change in changes).values()) <= 130


def test_commit_times_of_played_days_are_those_of_the_day() -> None:
    org = quiet_org()
    workload = Workload(org, users=20, records=400, changes_per_day=300)
    workload.populate()
    workload.play(1)
    hours = Counter((change.happened_at % DAY_MS) // 3_600_000 for change in org.truth.changes())
    assert sum(hours[hour] for hour in range(8, 18)) > sum(hours.values()) * 0.5


async def test_load_comes_at_its_rate_as_transactions_of_one_record() -> None:
    org = SimulatedOrg(2, Knobs.cruel(), SimClock())
    workload = Workload(org, users=20, records=400)
    workload.populate()
    changed = await workload.drip(30, 500, until=lambda: len(org.truth) >= 60)
    assert 60 <= changed <= 200
    sizes = Counter(Counter(change.transaction_key for change in org.truth.changes()).values())
    assert sizes[1] >= 0.9 * sizes.total()


def test_a_runaway_flow_writes_one_value_in_chunks_a_transaction() -> None:
    org = quiet_org()
    Workload(org, users=10, records=1_000).populate()
    run = scenarios.start(org, "runaway_flow", records=250, chunk=100, interval_ms=4_000)
    scenarios.play(org, run)
    assert (run.records, run.transactions) == (250, 3)
    assert run.ended_at == run.started_at + 12_000
    changes = org.truth.changes()
    assert {change.changed["StageName"] for change in changes if "StageName" in change.changed} == {
        "Closed Lost"
    }
    assert {change.user_id for change in changes} == {scenarios.find_user(org, "Automated Process")}
    assert {change.origin for change in changes} == {""}


def test_a_runaway_may_come_as_single_events() -> None:
    org = quiet_org()
    Workload(org, users=10, records=1_000).populate()
    scenarios.play(org, scenarios.start(org, "runaway_integration", records=100, value="Cold"))
    assert all(len(event["ChangeEventHeader"]["recordIds"]) == 1 for event in published(org))
    assert {change.client for change in org.truth.changes()} == {"MarketingHub"}


async def test_a_live_scenario_goes_on_as_the_clock_moves() -> None:
    org = quiet_org()
    Workload(org, users=10, records=500).populate()
    run = scenarios.start(org, "runaway_flow", records=60, chunk=30, interval_ms=60_000)
    living = asyncio.create_task(scenarios.live(org, run))
    await asyncio.sleep(0)
    assert run.transactions == 1
    while not living.done():
        org.clock.advance(60_000)
        await asyncio.sleep(0)
    assert (await living).transactions == 2


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("nope", {}), ("runaway_flow", {"speed": 1}), ("runaway_flow", {"user": "nobody"})],
)
def test_a_scenario_that_cannot_start_says_why(name: str, parameters: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"unknown|no parameter|no user"):
        scenarios.start(quiet_org(), name, **parameters)


def test_the_clock_never_goes_back_and_stands_still_while_held() -> None:
    real = [100.0]
    clock = SimClock(1_000, monotonic=lambda: real[0])
    real[0] += 2
    assert clock.now_ms() == 3_000
    with clock.held():
        real[0] += 5
        assert clock.now_ms() == 3_000
        clock.advance(500)
    assert clock.now_ms() == 3_500
    clock.advance_to(10)
    assert clock.now_ms() == 3_500
    clock.speed = 10
    real[0] += 1
    assert clock.now_ms() == 13_500


def test_the_date_header_is_skewed_by_at_most_what_the_knob_says() -> None:
    clock = SimClock(speed=0, date_skew_max_ms=2_000)
    skews = {clock.http_now_ms() - clock.now_ms() for _ in range(20)}
    assert (min(skews), max(skews)) == (-2_000, 2_000)


def test_a_fault_clears_itself_after_it_acted_so_often() -> None:
    faults = quiet_org().faults
    faults.set("slow", times=2, ms=5)
    assert [faults.take("slow") is not None for _ in range(3)] == [True, True, False]
    with pytest.raises(ValueError, match="unknown fault"):
        faults.set("nope")
