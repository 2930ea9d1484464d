"""Applying a plan survives being cut off at any call, before or after it did its work."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from cdc.change.masking import Masked
from cdc.journal.control import Told
from cdc.journal.recovery import write_recovery
from cdc.ports.log import LogRecord
from cdc.ports.orgwriter import WriteError
from cdc.recover.apply import Apply, ApplyOptions
from cdc.recover.ledger import Ledger
from cdc.recover.planfile import ROWS, Plan, save_plan
from cdc.recover.restores import Restore, restore_of, told_of
from schemas import own
from tests.unit.recover.small_org import USER, Killed, SmallOrg
from tests.unit.recover.story import Story

BAD = [f"001000000000{n:03d}AAA" for n in range(1, 6)]
BINNED = [f"001000000000{n:03d}AAA" for n in range(11, 13)]
PURGED = [f"001000000000{n:03d}AAA" for n in range(21, 24)]
CREATED = [f"001000000000{n:03d}AAA" for n in range(31, 33)]


def org() -> SmallOrg:
    records: dict[str, dict[str, str | None]] = {
        i: {"Name": f"name {i}", "Site": "wrong"} for i in (*BAD, *BINNED, *CREATED)
    }
    return SmallOrg(records, set(BINNED))


def ledger(story: Story) -> Ledger:
    """The log goes straight into the journal's tables, by the journal's own code."""

    def publish(records: Sequence[LogRecord]) -> None:
        told = [Told(own.decode("decision", r.value), 0, 0) for r in records]
        write_recovery(story.connection, "acme", told)

    @contextmanager
    def reader() -> Iterator[Any]:
        yield story.connection.cursor()

    return Ledger(publish, reader)


def plan(folder: Path, bulk_from: int = 1000) -> Plan:
    def row(
        step: int, action: str, record_id: str, field: str | None, before: str | None, now: str | None
    ) -> Any:
        return {
            "step": step,
            "entity": "Account",
            "record_id": record_id,
            "action": action,
            "field": field,
            "before": before,
            "bad": now,
            "now": now,
            "decision": "revert",
            "reason": "",
        }

    rows = [
        *(row(0, "UNDELETE", i, None, "present", "deleted") for i in BINNED),
        *(row(1000, "CREATE", i, None, "present", "gone") for i in PURGED),
        *(row(1000, "CREATE", i, "Name", f"name {i}", None) for i in PURGED),
        *(row(1000, "CREATE", i, "Site", "good", None) for i in PURGED),
        *(row(2000, "UPDATE", i, "Site", "good", "wrong") for i in BAD),
        *(row(4000, "DELETE", i, None, "absent", "present") for i in CREATED),
    ]
    order = [("step", "ascending"), ("record_id", "ascending"), ("field", "ascending")]
    table = pa.Table.from_pylist(rows, schema=ROWS).sort_by(order)
    return save_plan(folder, table, {"restore_id": "r-1", "options": {"bulk_from": bulk_from}})


async def run(story: Story, of: Plan, small: SmallOrg, *masked: str) -> Restore:
    """One run of `cdc restore apply`, from what the journal holds."""
    book = ledger(story)
    with book.reader() as reader:
        held = restore_of(reader, "r-1")
    options = ApplyOptions(settle_s=0.001, masked=Masked(masked))
    return await Apply(of, held.next(), small, small, book, options, user_id=USER).run()


def planned(of: Plan) -> Story:
    story = Story()
    restore = Restore("r-1", "i-1", plan_hash=of.hash, plan_file=str(of.path), planned_at=1)
    ledger(story).tell("restore", "r-1", restore.detail(), at=1)
    return story


def is_right(small: SmallOrg) -> None:
    """Everything as planned, each write made once."""
    made = Counter(small.writes)
    assert max(made.values()) == 1, made
    assert all(small.records[i]["Site"] == "good" for i in BAD)
    assert not small.deleted & set(BINNED)
    assert set(CREATED) <= small.deleted
    new = sorted(str(r["Name"]) for i, r in small.records.items() if i.startswith("001NEW"))
    assert new == [f"name {i}" for i in PURGED]


@pytest.mark.parametrize("bulk_from", [1000, 1], ids=["collections", "jobs"])
@pytest.mark.parametrize("after", [False, True], ids=["before the call", "after it"])
async def test_a_run_cut_off_at_any_call_is_gone_on_with_and_writes_everything_once(
    tmp_path: Path, after: bool, bulk_from: int
) -> None:
    of = plan(tmp_path, bulk_from)
    whole = org()
    await run(planned(of), of, whole)
    assert whole.calls >= 7
    for cut_at in range(1, whole.calls + 1):
        small, story = org(), planned(of)
        small.cut_at, small.after = cut_at, after
        try:
            await run(story, of, small)
        except Killed:
            small.cut_at = 0
            assert (await run(story, of, small)).state == "applied"
        is_right(small)


@pytest.mark.parametrize("after", [False, True], ids=["before the call", "after it"])
async def test_a_call_that_breaks_is_looked_into_and_not_repeated_blindly(
    tmp_path: Path, after: bool
) -> None:
    of = plan(tmp_path)
    for fail_at in range(1, 9):
        small, story = org(), planned(of)
        small.fail_at, small.after = fail_at, after
        assert (await run(story, of, small)).state == "applied"
        is_right(small)


async def test_a_value_that_moved_since_the_plan_is_left_alone_and_told(tmp_path: Path) -> None:
    of = plan(tmp_path)
    small, story = org(), planned(of)
    small.records[BAD[0]]["Site"] = "by hand"
    done = await run(story, of, small)
    assert small.records[BAD[0]]["Site"] == "by hand"
    assert done.counts["results"]["conflict"] == 1
    told = story.connection.execute(
        "SELECT result, error FROM restore_records WHERE record_id = ?", [BAD[0]]
    ).fetchone()
    assert told == ("conflict", "Site holds 'by hand' since the plan, not 'wrong': left alone")


async def test_the_value_of_a_masked_field_is_not_told(tmp_path: Path) -> None:
    of = plan(tmp_path)
    small, story = org(), planned(of)
    small.records[BAD[0]]["Site"] = "by hand"
    await run(story, of, small, "Account.Site")
    told = story.connection.execute(
        "SELECT error FROM restore_records WHERE record_id = ?", [BAD[0]]
    ).fetchone()
    assert told == ("Site holds another value since the plan: left alone",)


async def test_a_refused_record_keeps_the_orgs_reason_and_is_tried_again_by_the_next_run(
    tmp_path: Path,
) -> None:
    of = plan(tmp_path)
    small, story = org(), planned(of)
    small.refused = {BAD[0]: WriteError("FIELD_CUSTOM_VALIDATION_EXCEPTION", "no", ("Site",))}
    await run(story, of, small)
    told = told_of(ledger(story), "r-1")
    assert ("Account", BAD[0], "UPDATE") not in told.done
    small.refused = {}
    await run(story, of, small)
    is_right(small)


async def test_a_restore_that_has_been_applied_writes_nothing_when_it_is_applied_again(
    tmp_path: Path,
) -> None:
    of = plan(tmp_path)
    small, story = org(), planned(of)
    await run(story, of, small)
    before = list(small.writes)
    await run(story, of, small)
    assert small.writes == before
