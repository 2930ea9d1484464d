"""Scenarios of things gone wrong: what they do, and what the org would be without them."""

from __future__ import annotations

import pytest

from connectors.simulator import scenarios
from connectors.simulator.automation import Trigger
from connectors.simulator.knobs import Knobs
from connectors.simulator.org import SimulatedOrg
from connectors.simulator.workload import Workload
from tests.unit.simulator_core.org_reader import quiet_org

ENTITIES = ("Account", "Contact", "Opportunity", "Case")


def lived_in(records: int = 3_000, knobs: Knobs | None = None) -> SimulatedOrg:
    org = quiet_org(knobs or Knobs.kind())
    Workload(org, users=20, records=records).populate()
    return org


def played(org: SimulatedOrg, name: str, **parameters: object) -> scenarios.ScenarioRun:
    return scenarios.play(org, scenarios.start(org, name, **parameters))


def test_people_go_on_editing_while_a_flow_runs_away() -> None:
    """Some of their edits are of broken records, some of the broken field itself."""
    org = lived_in()
    run = played(org, "flow_while_editing", records=600, edits=40, interval_ms=1_000)
    assert (run.records, run.transactions) == (600, 3)
    changes = org.truth.changes()
    wrong = {change.record_id for change in changes if change.transaction_key in run.transaction_keys}
    edits = [change for change in changes if change.transaction_key in run.edit_keys]
    assert len(wrong) == 600
    assert len(edits) > 100
    assert {change.record_id for change in edits} & wrong
    assert {change.record_id for change in edits} - wrong
    assert any("Delivery_Status__c" in change.changed for change in edits if change.record_id in wrong)


def test_the_state_without_an_incident_has_the_old_values_and_the_good_edits() -> None:
    org = lived_in()
    before = org.truth.state("Opportunity")
    run = played(org, "flow_while_editing", records=600, edits=40, interval_ms=1_000)
    without = org.truth.state("Opportunity", without=run.transaction_keys)
    edited: dict[str, dict[str, object]] = {}
    for change in org.truth.changes():
        if change.transaction_key in run.edit_keys:
            edited.setdefault(change.record_id, {}).update(change.changed)
    for record_id, record in without.items():
        expected = {**before[record_id].fields, **edited.get(record_id, {})}
        assert dict(record.fields) == expected


def test_a_deployment_resets_a_companion_field_in_the_very_event_of_the_good_edit() -> None:
    org = lived_in()
    run = played(org, "deployment", saves=150)
    changes = [c for c in org.truth.changes() if c.transaction_key in run.transaction_keys]
    reset = [change for change in changes if "NextStep" in change.changed]
    assert len(reset) > 100
    assert all(change.changed["NextStep"] is None and len(change.changed) > 1 for change in reset)
    assert run.automations == ["OpportunityDefaults"]
    assert isinstance(org.automation.rules["OpportunityDefaults"], Trigger)
    state = org.truth.state(
        "Opportunity", without=run.transaction_keys, without_fields=["Opportunity.NextStep"]
    )
    now = org.truth.state("Opportunity")
    for change in reset:
        assert state[change.record_id].fields["NextStep"] is not None
        others = {path: value for path, value in now[change.record_id].fields.items() if path != "NextStep"}
        assert others == {p: v for p, v in state[change.record_id].fields.items() if p != "NextStep"}


def test_an_access_mistake_shows_as_a_change_of_profile_and_then_deletes() -> None:
    org = lived_in()
    run = played(org, "access_mistake", records=250)
    profile, *deletes = org.truth.changes()
    assert (profile.entity, profile.record_id, set(profile.changed) >= {"ProfileId"}) == (
        "User",
        run.user_id,
        True,
    )
    assert [change.kind for change in deletes] == ["DELETE"] * 250
    assert {(change.user_id, change.client) for change in deletes} == {(run.user_id, "DataLoader")}
    without = org.truth.state("Case", without=run.transaction_keys)
    assert {record.status for record in without.values()} == {"present"}


def test_a_cascade_reaches_three_entities_in_each_transaction() -> None:
    org = lived_in()
    run = played(org, "cascade", records=200, chunk=50)
    changes = org.truth.changes()
    assert {change.entity for change in changes} == {"Account", "Contact", "Opportunity"}
    assert {change.transaction_key for change in changes} == set(run.transaction_keys)
    for entity in ENTITIES:
        before = org.truth.state(entity, 0)
        assert org.truth.state(entity, without=run.transaction_keys) == before


@pytest.mark.parametrize("name", sorted(scenarios.SCENARIOS))
def test_every_scenario_plays_the_same_for_a_seed_with_every_knob_on(name: str) -> None:
    def once() -> list[object]:
        org = lived_in(800, Knobs.cruel())
        small = {"records": 60, "saves": 30}
        known = scenarios.SCENARIOS[name].defaults
        played(org, name, **{key: value for key, value in small.items() if key in known})
        return [*org.truth.changes(), *org.setup.history]

    first = once()
    assert first
    assert first == once()
