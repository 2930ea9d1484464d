"""Fields come, go, change their name and their type while events flow and when they are replayed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cdc.roles.compare import compare
from tests.integration.living import (
    Org,
    Running,
    live_and_read,
    running,
    simulated_org,
    until,
    write_settings,
)

ACCOUNT = "Account"


def update(org: Org, ids: list[str], **values: Any) -> None:
    changes = [{"entity": ACCOUNT, "record_id": one, "values": values} for one in ids]
    org.post("/simulator/commit", {"changes": changes, "merge": len(ids) % 2 == 0})


def alter(org: Org, **change: Any) -> str:
    made: str = org.post("/simulator/schema", {"entity": ACCOUNT, **change})["schema_id"]
    return made


def accounts(org: Org) -> list[str]:
    rows = org.get(f"/simulator/truth/state?entity={ACCOUNT}")
    return sorted(row["record_id"] for row in rows if not row["is_deleted"])


def lived(org: Org, ids: list[str]) -> list[str]:
    """Every kind of change to a schema, with events of the old and of the new one around each."""
    schemas = []
    update(org, ids[:6], Industry="Before")
    schemas.append(
        alter(org, add=["Tier__c DynamicEnum gold|silver", "Score__c Double", "Place__c Location"])
    )
    update(org, ids[:4], Tier__c="gold", Score__c=1.5)
    update(org, ids[4:6], **{"Place__c.Latitude": 51.5})
    schemas.append(alter(org, remove=["Score__c"], add=["Rank__c Double"]))  # what a rename is on the bus
    update(org, ids[:3], Rank__c=2.5, Tier__c="silver")
    schemas.append(alter(org, retype={"Tier__c": "Text"}))  # keeps its values, and says nothing
    update(org, ids[:2], Tier__c="of no list")
    schemas.append(alter(org, retype={"Rank__c": "Text"}))  # loses them, and sends one wildcard event
    update(org, ids[:2], Rank__c="first")
    schemas.append(alter(org, remove=["Place__c"]))
    update(org, ids[:6], Industry="After")
    return schemas


def test_every_change_of_a_schema_is_survived_live_and_shown_in_its_time(tmp_path: Path) -> None:
    with (
        simulated_org(tmp_path, 'knobs = "kind"\nrecords = 120\n') as org,
        running(write_settings(tmp_path, org), tmp_path) as recorder,
    ):
        until("the API answers", lambda: recorder.rows("status"))
        members = len({m["entity"] for m in org.get("/simulator/status")["members"]})
        until("all is read", lambda: live_and_read(recorder, members))
        schemas = lived(org, accounts(org)[:6])
        until("the journal has it all", lambda: set(recorder.held()) >= org.pairs())
        until("nothing is left to read again", lambda: _ended(recorder))
        update(org, accounts(org)[:1], Industry="Settles")
        until("the journal equals the org", lambda: not compare(org, recorder.ask).differences)
        assert recorder.sql("SELECT count(*) FROM quarantine")[0][0] == 0
        shown = {row[0] for row in recorder.sql("SELECT schema_id FROM schemas WHERE changes > 0")}
        assert set(schemas) - {schemas[2]} <= shown | {schemas[2]}
        _each_field_in_its_time(recorder)


def test_old_and_new_schemas_are_each_decoded_by_their_own_when_the_bus_is_replayed(tmp_path: Path) -> None:
    with simulated_org(tmp_path, 'knobs = "kind"\nrecords = 120\n') as org:
        lived(org, accounts(org)[:6])
        settings = write_settings(tmp_path, org, extra="")
        text = (
            (tmp_path / "cdc.toml")
            .read_text()
            .replace("[salesforce]\n", '[salesforce]\nstart = "earliest"\n')
        )
        (tmp_path / "cdc.toml").write_text(text)
        with running(settings, tmp_path) as recorder:
            until("the journal has it all", lambda: set(recorder.held()) >= org.pairs())
            assert recorder.sql("SELECT count(*) FROM quarantine")[0][0] == 0
            used = recorder.sql(
                "SELECT count(DISTINCT schema_id) FROM changes WHERE entity = 'Account' AND source = 'pubsub'"
            )
            assert used[0][0] >= 5
            _each_field_in_its_time(recorder)


def _ended(recorder: Running) -> bool:
    [[waiting]] = recorder.sql("SELECT count(*) FROM coverage WHERE status = 'unknown'")
    return waiting == 0


def _each_field_in_its_time(recorder: Running) -> None:
    rows = recorder.sql(
        "SELECT field, type, gone_at IS NOT NULL FROM schema_fields WHERE entity = 'Account' "
        "AND field IN ('Tier__c', 'Score__c', 'Rank__c', 'Place__c.Latitude', 'Industry') ORDER BY first_at, field, type"
    )
    kinds = {(field, kind.split(":")[1] if ":" in kind else kind): gone for field, kind, gone in rows}
    assert kinds[("Score__c", "Double")] is True
    assert kinds[("Tier__c", "DynamicEnum")] is True
    assert kinds[("Tier__c", "Text")] is False
    assert kinds[("Rank__c", "Double")] is True
    assert kinds[("Rank__c", "Text")] is False
    assert any(field == "Place__c.Latitude" and gone for (field, _), gone in kinds.items())
    assert any(field == "Industry" and not gone for (field, _), gone in kinds.items())
