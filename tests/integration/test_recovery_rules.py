"""What a restore does not do: overwrite what came later, give up for one record, or hide what it met."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.living import until
from tests.integration.recovering import World, world

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One org for all: each test wrecks records nobody else looks at."""
    with world(tmp_path_factory.mktemp("rules"), days=0.2, more="bulk_from = 150") as made:
        yield made


def commit(one: World, changes: list[dict[str, Any]], **who: Any) -> str:
    """One transaction in the org, recorded."""
    asked = {"changes": changes, "user": "marketing", "client": "Wrecker", **who}
    done: dict[str, Any] = one.org.post("/simulator/commit", asked)
    one.caught_up()
    return str(done["transaction_key"])


def update(entity: str, ids: list[str], **values: Any) -> list[dict[str, Any]]:
    return [{"entity": entity, "op": "UPDATE", "record_id": i, "values": values} for i in ids]


def ids_of(one: World, entity: str, start: int, count: int) -> list[str]:
    rows = one.org.lines(f"/simulator/truth/state?entity={entity}")
    return [r["record_id"] for r in rows if not r["is_deleted"]][start : start + count]


def fields_of(one: World, entity: str, record_id: str) -> dict[str, Any]:
    rows = one.org.lines(f"/simulator/truth/state?entity={entity}")
    return next(r["fields"] for r in rows if r["record_id"] == record_id)


def results(one: World, plan: dict[str, Any]) -> dict[str, dict[str, Any]]:
    rows = one.run.rows("restore_records", restore_id=plan["restore_id"], limit=10_000)
    return {r["record_id"]: r for r in rows}


def test_an_edit_between_plan_and_apply_is_not_overwritten(one: World) -> None:
    ids = ids_of(one, "Account", 0, 3)
    key = commit(one, update("Account", ids, Site="wrong", Fax="000"))
    plan = one.plan(one.open(transactions=[key]))
    commit(one, update("Account", ids[:1], Site="by hand"), client="", user="sales")
    assert one.apply(plan)["state"] == "applied"
    assert fields_of(one, "Account", ids[0])["Site"] == "by hand"
    assert fields_of(one, "Account", ids[0])["Fax"] != "000"
    told = results(one, plan)
    assert told[ids[0]]["result"] == "partly"
    assert "'by hand' since the plan" in told[ids[0]]["error"]
    assert {told[i]["result"] for i in ids[1:]} == {"restored"}


def test_a_record_that_is_refused_says_why_and_the_others_are_written(one: World) -> None:
    ids = ids_of(one, "Account", 10, 4)
    before = [fields_of(one, "Account", i)["Site"] for i in ids]
    key = commit(one, update("Account", ids, Site="wrong"))
    plan = one.plan(one.open(transactions=[key]))
    one.org.post(
        "/simulator/faults",
        {
            "name": "row_error",
            "code": "FIELD_CUSTOM_VALIDATION_EXCEPTION",
            "message": "Site may not be changed in audit month",
            "record_id": ids[0],
        },
    )
    one.org.post("/simulator/faults", {"name": "row_locked", "record_id": ids[1], "times": 1})
    assert one.apply(plan)["state"] == "applied"
    one.org.call("DELETE", "/simulator/faults")
    told = results(one, plan)
    assert told[ids[0]]["result"] == "failed"
    assert "Site may not be changed in audit month" in told[ids[0]]["error"]
    assert {told[i]["result"] for i in ids[1:]} == {"restored"}
    assert [fields_of(one, "Account", i)["Site"] for i in ids[1:]] == before[1:]
    assert one.apply(plan)["state"] == "applied"  # what was refused is tried again
    assert fields_of(one, "Account", ids[0])["Site"] == before[0]


def test_an_edit_that_slips_in_between_read_and_write_is_told_with_both_values(one: World) -> None:
    ids = ids_of(one, "Account", 20, 1)
    key = commit(one, update("Account", ids, Site="wrong"))
    plan = one.plan(one.open(transactions=[key]))
    slow = {"name": "slow", "ms": 3_000, "path": "composite/sobjects", "times": 1}
    one.org.post("/simulator/faults", slow)
    worker = threading.Thread(target=one.apply, args=(plan,))
    worker.start()
    until("the write is on its way, and the re-read behind it", lambda: not one.org.get("/simulator/faults"))
    one.org.post("/simulator/commit", {"changes": update("Account", ids, Site="just now"), "user": "sales"})
    worker.join()
    one.caught_up()
    assert results(one, plan)[ids[0]]["result"] == "restored"
    slipped = one.verify(plan)["slipped"]
    assert [(s["record_id"], s["field"], s["theirs"], s["ours"]) for s in slipped] == [
        (ids[0], "Site", "just now", fields_of(one, "Account", ids[0])["Site"])
    ]


def test_a_restore_is_undone_like_any_incident(one: World) -> None:
    from cdc.cli.act import act

    ids = ids_of(one, "Account", 30, 5)
    before = [fields_of(one, "Account", i)["Site"] for i in ids]
    key = commit(one, update("Account", ids, Site="meant after all"))
    plan = one.plan(one.open(transactions=[key]))
    one.apply(plan)
    undo = act(
        one.settings, "undo_restore", restore_id=plan["restore_id"]
    )  # waits for its events to come back
    assert [fields_of(one, "Account", i)["Site"] for i in ids] == before
    assert undo["restore_id"] != plan["restore_id"]
    one.apply(undo)
    assert {fields_of(one, "Account", i)["Site"] for i in ids} == {"meant after all"}


def test_many_records_go_by_a_job_of_the_bulk_api(one: World) -> None:
    ids = ids_of(one, "Account", 50, 160)
    before = {i: fields_of(one, "Account", i)["Site"] for i in ids[:3]}
    key = commit(one, update("Account", ids, Site="wrong"))
    plan = one.plan(one.open(transactions=[key]))
    assert plan["bulk_jobs"] == 1
    done = one.apply(plan)
    assert done["counts"]["results"] == {"restored": 160}
    assert {i: fields_of(one, "Account", i)["Site"] for i in before} == before
    assert one.verify(plan)["good"]


def test_records_gone_from_the_recycle_bin_are_made_anew_and_their_children_point_to_them(one: World) -> None:
    parent = ids_of(one, "Account", 220, 1)[0]
    kids = [
        one.org.post("/simulator/commit", {"changes": [_case(parent, n)], "user": "sales"})["record_ids"][0]
        for n in range(2)
    ]
    one.caught_up()
    name = fields_of(one, "Account", parent)["Name"]
    key = commit(one, [{"entity": "Account", "op": "DELETE", "record_id": parent}])
    commit(one, [{"entity": "Account", "op": "HARD_DELETE", "record_id": parent}])
    plan = one.plan(one.open(transactions=[key], entities=["Account"]))
    done = one.apply(plan)
    assert done["state"] == "applied", done
    new_id = results(one, plan)[parent]["new_record_id"]
    assert new_id, results(one, plan)[parent]["error"]
    assert fields_of(one, "Account", new_id)["Name"] == name
    assert {fields_of(one, "Case", k)["AccountId"] for k in kids} == {new_id}
    assert one.verify(plan)["good"]


def _case(parent: str, number: int) -> dict[str, Any]:
    values = {"AccountId": parent, "Subject": f"child {number}", "Status": "New"}
    return {"entity": "Case", "op": "CREATE", "values": values}


@pytest.mark.parametrize("meant", ["all of it", "the delete alone"])
def test_a_merge_is_taken_back_its_loser_its_children_and_the_winners_fields(one: World, meant: str) -> None:
    """Whether or not the org published that children were moved: then the journal knows whose they were."""
    start = 264 if meant == "all of it" else 268
    winner, loser = ids_of(one, "Account", start, 2)
    kids = [
        one.org.post("/simulator/commit", {"changes": [_case(loser, n)], "user": "sales"})["record_ids"][0]
        for n in range(3)
    ]
    one.caught_up()
    before = fields_of(one, "Account", winner)["Site"]
    since = one.org.get("/simulator/truth/changes")[-1]["index"]
    one.merge("Account", winner, loser, Site="of the merged")
    assert {fields_of(one, "Case", k)["AccountId"] for k in kids} == {winner}
    keys = {c["transaction_key"] for c in one.org.lines(f"/simulator/truth/changes?after={since}")}
    more = {"kinds": ["DELETE"]} if meant == "the delete alone" else {}
    commit(one, [{"entity": "Case", "op": "UPDATE", "record_id": kids[2], "values": {"AccountId": None}}])
    plan = one.plan(one.open(transactions=sorted(keys), **more))
    assert one.apply(plan)["state"] == "applied"
    assert loser in ids_of(one, "Account", 0, 10_000)
    assert {fields_of(one, "Case", k)["AccountId"] for k in kids[:2]} == {loser}
    assert fields_of(one, "Case", kids[2])["AccountId"] is None  # somebody decided otherwise since
    site = fields_of(one, "Account", winner)["Site"]
    assert site == (before if meant == "all of it" else "of the merged")
    assert one.verify(plan)["good"]


def test_a_stranger_under_our_name_is_shown_and_not_taken_for_ours(one: World) -> None:
    ids = ids_of(one, "Account", 240, 4)
    key = commit(one, update("Account", ids[:2], Site="wrong"))
    plan = one.plan(one.open(transactions=[key]))
    one.apply(plan)
    client = f"sf-cdc-restore/{plan['restore_id']}"
    commit(one, update("Account", ids[2:], Site="spoofed"), client=client, user="sales")
    verdict = one.verify(plan)
    assert {s["record_id"] for s in verdict["strangers"]} == set(ids[2:])
    assert verdict["own_changes"] == 2


def test_on_a_terminal_it_is_offered_to_contain_the_cause_first(one: World) -> None:
    from cdc.cli.act import act

    ids = ids_of(one, "Account", 272, 2)
    key = commit(one, update("Account", ids, Site="wrong"))
    detail = act(one.settings, "open_incident", filters=[{"transactions": [key]}])
    plan = one.plan(detail["incident_id"])
    command = [sys.executable, "-m", "cdc.cli", "--config", str(one.folder / "cdc.toml"), "restore", "apply"]
    command += [plan["restore_id"], "--hash", plan["hash"]]
    ours, theirs = pty.openpty()
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        said = _read_to(ours, b"Is it stopped?")
        assert b"freeze user" in said
        os.write(ours, b"y\n")
        _read_to(ours, b"")
    assert process.returncode == 0
    assert {results(one, plan)[i]["result"] for i in ids} == {"restored"}
    assert (
        "said before applying" in one.run.ask("incident", incident_id=detail["incident_id"])["detail"]["note"]
    )


def _read_to(terminal: int, word: bytes) -> bytes:
    """What a terminal shows, up to a word, or to its end."""
    said = b""
    while not word or word not in said:
        try:
            said += os.read(terminal, 4096)
        except OSError:  # the other side has ended
            break
    return said


def test_nothing_is_applied_while_the_burst_goes_on(one: World) -> None:
    from cdc.cli.act import act
    from cdc.errors import CdcError

    ids = ids_of(one, "Account", 260, 1)
    key = commit(one, update("Account", ids, Site="wrong"))
    detail = act(one.settings, "open_incident", filters=[{"transactions": [key]}])
    plan = one.plan(detail["incident_id"])
    with pytest.raises(CdcError, match="the burst may still go on"):
        one.apply(plan)
    with pytest.raises(CdcError, match="not the plan's hash"):
        one.apply({**plan, "hash": "0" * 64}, force=True)
    assert fields_of(one, "Account", ids[0])["Site"] == "wrong"
