"""Records with their trees go into a second org: ids mapped, masked where they have to be, and only once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from cdc import settings as settings_module
from cdc.cli.act import act
from tests.integration.living import Org, live_and_read, running, simulated_org, until, write_settings
from tests.integration.recovering import RESTORE, World

pytestmark = pytest.mark.slow

RECORDS = int(os.environ.get("CDC_TEST_COPY_RECORDS", "900"))
"""Of the first org; 28,000 in the long form, of which some 20,000 are copied."""

CLASSED = ("MobilePhone", "HomePhone", "Birthdate", "MailingAddress.City", "MailingAddress.Street")

SANDBOX = """
[sandbox]
auth = "client_credentials"
login_url = "{login}"
client_id = "{client_id}"
client_secret_file = "{secret}"
[privacy]
masked = ["Contact.Email"]
masked_classes = ["pii"]
"""


def states(org: Org, entity: str) -> dict[str, dict[str, Any]]:
    rows = org.lines(f"/simulator/truth/state?entity={entity}")
    return {r["record_id"]: r["fields"] for r in rows if not r["is_deleted"]}


def copy(one: World, **given: Any) -> dict[str, Any]:
    done = act(one.settings, "plan_copy", entities=["Account"], **given)
    detail: dict[str, Any] = one.run.ask("plan_rows", restore_id=done["restore_id"], limit=1)["detail"]
    return detail


def test_accounts_of_a_moment_go_into_a_sandbox_with_their_trees(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with (
        simulated_org(tmp_path, f"records = {RECORDS}\n") as org,
        simulated_org(tmp_path / "other", "records = 40\n", "--seed", "99") as other,
    ):
        other.post("/simulator/knobs", {"is_sandbox": True})
        secret = tmp_path / "other" / "secret"
        secret.write_text(other.ready["client_secret"])
        extra = RESTORE.format(client_id=org.ready["client_id"], more="") + SANDBOX.format(
            login=other.ready["http"], client_id=other.ready["client_id"], secret=secret
        )
        write_settings(tmp_path, org, extra=extra)
        settings = settings_module.load(tmp_path / "cdc.toml", {})
        with running(settings, tmp_path) as run:
            until("it answers", lambda: run.rows("status"))
            until("every entity is read", lambda: live_and_read(run, 7), patience_s=120 + RECORDS / 200)
            one = World(org, run, settings, tmp_path)
            org.post("/simulator/play", {"hours": 2})
            one.caught_up()
            there_before = {e: set(states(other, e)) for e in ("Account", "Contact", "Opportunity", "Case")}

            plan = copy(one)
            done = one.apply(plan)
            assert done["state"] == "applied", done
            assert set(done["counts"]["results"]) == {"restored"}, run.rows(
                "restore_records", restore_id=plan["restore_id"], result="failed"
            )[:3]
            verdict = act(settings, "verify_restore", restore_id=plan["restore_id"])
            assert verdict["good"], verdict["differs"][:5]

            rows = (
                run.sql(
                    "SELECT DISTINCT record_id, new_record_id FROM restore_records "
                    f"WHERE restore_id = '{plan['restore_id']}' AND new_record_id IS NOT NULL"
                )
                if RECORDS <= 9_000
                else _all_pairs(one, plan)
            )
            new_id, masks = dict(rows), 0
            for entity, parents in (
                ("Account", ("ParentId",)),
                ("Contact", ("AccountId", "ReportsToId")),
                ("Opportunity", ("AccountId",)),
                ("Case", ("AccountId", "ContactId")),
            ):
                here, there = states(org, entity), states(other, entity)
                copied = {r: f for r, f in here.items() if r in new_id}
                assert len(there) - len(there_before[entity]) == len(copied)
                for record_id, fields in copied.items():
                    made = there[new_id[record_id]]
                    for path in parents:
                        assert made[path] == new_id.get(fields[path], made[path]), (entity, record_id, path)
                        if fields[path] in new_id:
                            assert made[path] == new_id[fields[path]]
                    if entity == "Contact" and fields["Email"]:
                        assert made["Email"] != fields["Email"]
                        assert made["Email"].endswith("@example.invalid")
                        assert made["Phone"] == fields["Phone"]
                    if entity == "Contact":  # classed PII by the org itself
                        masked = [p for p in CLASSED if fields[p] is not None]
                        assert all(made[p] != fields[p] for p in masked), record_id
                        masks += len(masked)
            assert set(states(org, "Account")) <= set(new_id)

            assert masks > RECORDS / 20
            again = copy(one)
            assert [c for c in again["counts"] if c["decision"] == "revert"] == []
            print(
                f"\n{len(new_id):,} records copied with their trees, {masks:,} values masked by class; again: nothing"
            )


def _all_pairs(one: World, plan: dict[str, Any]) -> list[list[Any]]:
    out: list[list[Any]] = []
    last = ""
    while True:
        rows = one.run.sql(
            "SELECT DISTINCT record_id, new_record_id FROM restore_records "
            f"WHERE restore_id = '{plan['restore_id']}' AND new_record_id IS NOT NULL "
            f"AND record_id > '{last}' ORDER BY record_id"
        )
        out += rows
        if len(rows) < 10_000:
            return out
        last = rows[-1][0]


def test_a_restore_is_rehearsed_on_a_full_copy_and_leaves_the_org_alone(tmp_path: Path) -> None:
    """Two orgs of one seed hold the same records under the same ids, as an org and its full copy do."""
    (tmp_path / "other").mkdir()
    with (
        simulated_org(tmp_path, "records = 300\n", "--seed", "5") as org,
        simulated_org(tmp_path / "other", "records = 300\n", "--seed", "5") as other,
    ):
        other.post("/simulator/knobs", {"is_sandbox": True})
        secret = tmp_path / "other" / "secret"
        secret.write_text(other.ready["client_secret"])
        extra = RESTORE.format(client_id=org.ready["client_id"], more="") + SANDBOX.format(
            login=other.ready["http"], client_id=other.ready["client_id"], secret=secret
        )
        settings = write_settings(tmp_path, org, extra=extra)
        with running(settings, tmp_path) as run:
            until("it answers", lambda: run.rows("status"))
            until("every entity is read", lambda: live_and_read(run, 7))
            one = World(org, run, settings, tmp_path)
            for where in (org, other):
                where.post("/simulator/clock", {"advance_ms": 60_000})
            ids = sorted(states(org, "Account"))[:5]
            before = {i: states(org, "Account")[i]["Site"] for i in ids}
            wrong = [
                {"entity": "Account", "op": "UPDATE", "record_id": i, "values": {"Site": "wrong"}}
                for i in ids
            ]
            asked = {"changes": wrong, "user": "marketing", "client": "Wrecker"}
            key = org.post("/simulator/commit", asked)["transaction_key"]
            other.post("/simulator/commit", asked)
            one.caught_up()
            incident = one.open(transactions=[key])

            plan = one.plan(incident, sandbox=True)
            assert one.apply(plan)["counts"]["results"] == {"restored": 5}
            assert act(settings, "verify_restore", restore_id=plan["restore_id"])["good"]
            assert {i: states(other, "Account")[i]["Site"] for i in ids} == before
            assert {states(org, "Account")[i]["Site"] for i in ids} == {"wrong"}
            assert run.rows("incidents", state="open")[0]["incident_id"] == incident
