"""From an alert to data put right, step by step, as a responder does it: what the demo and the drills go through."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cdc.errors import DifferenceFound
from cdc.recover.picture import in_terminal
from cdc.recover.told import plan_lines, verdict_lines
from cdc.roles.stage import Stage

STAMPS = frozenset({"LastModifiedDate", "LastModifiedById", "LastStageChangeDate", "SystemModstamp"})
"""What every write moves, a restore too."""


def put_right(stage: Stage, incident_id: str) -> dict[str, Any]:
    """Blast radius, containment, plan, apply, verify; the verdict, with the plan's `restore_id`.

    Errors: DifferenceFound when the org is not as planned.
    """
    stage.headline("the blast radius")
    blast = stage.ask("blast", incident_id=incident_id)["blast"]
    totals = blast["totals"]
    stage.say(
        f"   {totals['records']:,} records, {totals['changes']:,} changes, {totals['transactions']:,} transactions"
    )
    for line in in_terminal(blast):
        stage.say(f"   {line}")
    for row in blast["money"][:3]:
        stage.say(
            f"   {row['entity']}.{row['field']}: {row['before']:,.0f} before, {row['after']:,.0f} after"
        )
    stage.headline("the cause is stopped, and a plan is made: nothing is written yet")
    stage.act("contain_incident", incident_id=incident_id, note="the flow was switched off", by="responder")
    made = stage.act("plan_restore", incident_id=incident_id, by="responder")
    facts = stage.ask("plan_rows", restore_id=made["restore_id"], limit=1)["detail"]
    for line in plan_lines(facts):
        if line.strip():
            stage.say(f"   {line}")
    stage.headline("it is applied, with the plan's hash as confirmation")
    done = stage.act("apply_restore", restore_id=made["restore_id"], hash=made["hash"][:12], by="responder")
    results = ", ".join(f"{count:,} {name}" for name, count in done["counts"]["results"].items())
    stage.say(f"   {done['state']}: {results}; {done['counts']['calls']:,} API calls")
    stage.caught_up()
    stage.headline("the org is compared with the plan, field by field")
    verdict = stage.act("verify_restore", restore_id=made["restore_id"], by="responder")
    for line in verdict_lines(verdict):
        stage.say(f"   {line}")
    if not verdict["good"]:
        raise DifferenceFound("the org is not as planned", do="see the lines above")
    return {**verdict, "restore_id": made["restore_id"], "results": done["counts"]["results"]}


def as_if_never(stage: Stage, entity: str, keys: Iterable[str], restore_id: str) -> tuple[int, list[str]]:
    """How many records of an entity are as they would be without the incident's transactions, and what is not.

    The simulated org tells: its state without these transactions and without the restore's own.
    """
    changes = stage.simulator.lines("/simulator/truth/changes")
    own = {c["transaction_key"] for c in changes if c["client"].endswith(f"/{restore_id}")}
    without = ",".join(sorted({*keys, *own}))
    path = f"/simulator/truth/state?entity={entity}"
    now = {row["record_id"]: row for row in stage.simulator.lines(path)}
    equal, differences = 0, []
    for row in stage.simulator.lines(f"{path}&without={without}"):
        held = now[row["record_id"]]
        wrong = [
            f"{entity} {row['record_id']}.{name} is {held['fields'].get(name)!r}, would be {value!r}"
            for name, value in row["fields"].items()
            if name not in STAMPS and held["fields"].get(name) != value
        ]
        if held["is_deleted"] != row["is_deleted"]:
            wrong.append(f"{entity} {row['record_id']} is deleted, or should be")
        differences += wrong
        equal += not wrong
    return equal, differences
