"""The truth equals what was there, at every index."""

from __future__ import annotations

import copy
from random import Random
from typing import Any

import pytest

from connectors.simulator import truth as truths
from connectors.simulator.knobs import Knobs
from connectors.simulator.org import SimulatedOrg
from connectors.simulator.truth import canonical_text
from connectors.simulator.workload import Workload
from tests.unit.simulator_core.org_reader import create, published, quiet_org, update


def now(org: SimulatedOrg) -> dict[str, tuple[str, dict[str, Any]]]:
    """Every record as it is, by brute force."""
    return {
        record.id: ("deleted" if record.deleted else "present", copy.copy(record.values))
        for entity in org.entities.values()
        for record in entity.records
    }


def same(org: SimulatedOrg, index: int, expected: dict[str, tuple[str, dict[str, Any]]]) -> None:
    for name, entity in org.entities.items():
        state = org.truth.state(name, index)
        for record_id, record in state.items():
            status, values = expected[record_id]
            assert record.status == status
            for path, text in record.fields.items():
                leaf = entity.leaves[path]
                assert text == canonical_text(leaf.described, leaf.avro, values.get(path))


def test_the_state_after_any_change_is_what_was_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(truths, "KEYFRAME_EVERY", 50)
    org = quiet_org(Knobs.cruel())
    workload = Workload(org, users=14, records=120, changes_per_day=300)
    workload.populate()
    snapshots = {0: now(org)}
    for changed in workload._steps(1):
        if changed:
            snapshots[len(org.truth)] = now(org)
    cuts = Random(1).sample(sorted(snapshots), 12)
    assert len(snapshots) > 100
    for index in [0, len(org.truth), *cuts]:
        same(org, index, snapshots[index])


def test_the_state_before_an_event_is_without_it() -> None:
    org = quiet_org()
    ids = create(org, count=2, Rating="Cold")
    update(org, "Account", ids, Rating="Hot")
    event_id = org.truth.changes()[-1].event_id
    assert {record.fields["Rating"] for record in org.truth.state_before_event(event_id).values()} == {"Cold"}
    assert org.truth.index_of_event(event_id) == 3


def test_changes_have_canonical_texts() -> None:
    org = quiet_org()
    create(
        org,
        "Shipment__c",
        Name="S-1",
        Weight__c=12.0,
        Freight__c=12.5,
        Ship_Date__c=1_795_392_000_000,
        Cutoff__c=36_120_000,
        Delivered_At__c=1_795_428_120_000,
        Insured__c=True,
    )
    (change,) = org.truth.changes()
    assert change.changed["Weight__c"] == "12"
    assert change.changed["Freight__c"] == "12.5"
    assert change.changed["Ship_Date__c"] == "2026-11-23"
    assert change.changed["Cutoff__c"] == "10:02:00.000Z"
    assert change.changed["Delivered_At__c"] == "2026-11-23T10:02:00.000Z"
    assert change.changed["Insured__c"] == "true"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (12.0, "12"),
        (0.1, "0.1"),
        (-0.0, "-0"),
        (1e10, "1e+10"),
        (1234567890.5, "1234567890.5"),
        (1e-5, "0.00001"),
    ],
)
def test_numbers_are_written_as_arrow_writes_them(value: float, text: str) -> None:
    assert canonical_text("double", "double", value) == text


def test_pairs_are_every_record_of_every_event_published() -> None:
    org = quiet_org()
    ids = create(org, count=3)
    update(org, "Account", ids, Rating="Hot")
    create(org, "Contact")
    assert len(org.truth.pairs()) == 7
    assert len(org.truth.pairs(["Contact"])) == 1


def test_an_answer_about_a_time_holds_what_the_running_maximum_has_reached() -> None:
    org = quiet_org()
    create(org)
    org.clock.advance(5_000)
    create(org)
    at = published(org)[0]["ChangeEventHeader"]["commitTimestamp"]
    assert [org.truth.index_at(at + after) for after in (-1, 0, 4_999, 5_000)] == [0, 1, 1, 2]


def test_changes_can_be_read_in_pieces() -> None:
    org = quiet_org()
    create(org, count=5)
    pieces = [org.truth.changes(after, 2) for after in (0, 2, 4)]
    assert [change.index for piece in pieces for change in piece] == [1, 2, 3, 4, 5]
