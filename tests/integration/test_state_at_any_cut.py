"""The whole road, every knob on: the state at any cut after the baseline is the org's own."""

from __future__ import annotations

import os
import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cdc.roles.compare import _difference
from tests.integration.living import Org, Running, live_and_read, simulated_org, until, write_settings

CUTS = int(os.environ.get("CDC_TEST_CUTS", "50"))
CHANNEL = "/data/ChangeEvents"
ENTITIES = ("Account", "Contact", "Opportunity", "Case")
SETTLED_MS = 5_000  # behind a baseline: the margin of skewed clocks and the seconds that commits differ by


def states(recorder: Running, entity: str, **moment: Any) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    answer = recorder.ask("state", entity=entity, limit=10_000, **moment)
    return {row[0]: dict(zip(answer["columns"], row, strict=True)) for row in answer["rows"]}, answer


def truth(org: Org, entity: str, moment: str) -> dict[str, dict[str, Any]]:
    rows = org.get(f"/simulator/truth/state?entity={entity}&channel={CHANNEL}&{moment}")
    return {row["record_id"]: row for row in rows}


def claims_are_true(held: dict[str, dict[str, Any]], expected: dict[str, dict[str, Any]]) -> tuple[int, int]:
    """What is said is true, and all is said where a record is called complete. How many are known in full, of all.

    A field hidden from the reader is in the events and not in the truth, and makes its record incomplete.
    """
    complete = 0
    for record_id, row in held.items():
        if record_id not in expected:
            assert row["status"] == "unknown", (record_id, row)
            continue
        difference = _difference(expected[record_id], row)
        complete += not difference
        assert not (row["complete"] and difference), (record_id, difference)
        if row["status"] != "unknown":
            assert (row["status"] == "deleted") == expected[record_id]["is_deleted"], (record_id, row)
        if not expected[record_id]["is_deleted"]:
            told = expected[record_id]["fields"]
            assert {k: v for k, v in row["fields"].items() if k in told and v != told[k]} == {}, record_id
    return complete, len(held)


@pytest.mark.slow
def test_the_state_at_fifty_random_cuts_is_the_orgs_with_every_knob_on(tmp_path: Path) -> None:
    draw = random.Random(21)
    with simulated_org(tmp_path, 'knobs = "cruel"\nrecords = 600\n') as org:
        recorder = Running(write_settings(tmp_path, org), tmp_path)
        recorder.start()
        try:
            until("the API answers", lambda: recorder.rows("status"))
            members = len({m["entity"] for m in org.get("/simulator/status")["members"]})
            until("all is read", lambda: live_and_read(recorder, members))
            [[read_at]] = recorder.sql("SELECT epoch_ms(max(finished_at)) FROM baselines")
            org.post("/simulator/knobs", {"gap_share": 0.02})
            org.post("/simulator/drip", {"rate": 250, "seconds": 16, "wait": True})
            expected = org.pairs()
            until("the journal has it all", lambda: len(recorder.held()) >= len(expected))
            until("nothing is left to read again", lambda: _all_jobs_ended(recorder))
            check_cuts(org, recorder, draw, CUTS // 2)
            check_times(org, recorder, draw, CUTS - CUTS // 2, read_at + SETTLED_MS)
            check_before_anything(recorder)
        finally:
            recorder.stop()


def _all_jobs_ended(recorder: Running) -> bool:
    open_needs = recorder.sql(
        "SELECT count(*) FROM coverage WHERE status IN ('lost', 'unknown') AND record_id IS NOT NULL"
    )
    return bool(open_needs[0][0] == 0)


def check_cuts(org: Org, recorder: Running, draw: random.Random, count: int) -> None:
    """`--before` a change: the truth after the change that was committed just before it."""
    index = {(c["event_id"], c["record_id"]): c["index"] for c in org.get("/simulator/truth/changes")}
    streamed = recorder.sql(
        "SELECT seq, event_id, record_id FROM changes WHERE source = 'pubsub' AND kind NOT LIKE 'GAP_OV%'"
    )
    shares = []
    for seq, event_id, record_id in draw.sample(streamed, count):
        entity = draw.choice(ENTITIES)
        held, _ = states(recorder, entity, before=str(seq))
        at_index = index[event_id, record_id] - 1
        shares.append(claims_are_true(held, truth(org, entity, f"at_index={at_index}")))
    check_most_is_known(shares)


def check_times(org: Org, recorder: Running, draw: random.Random, count: int, earliest_ms: int) -> None:
    [[newest_ms]] = recorder.sql("SELECT epoch_ms(max(effective_at)) FROM changes WHERE source = 'pubsub'")
    assert newest_ms > earliest_ms
    shares = []
    for _ in range(count):
        at_ms = draw.randrange(earliest_ms, newest_ms) // 1000 * 1000
        at = datetime.fromtimestamp(at_ms / 1000, UTC).isoformat()
        entity = draw.choice(ENTITIES)
        held, answer = states(recorder, entity, at=at)
        assert answer["known_since"] is not None
        shares.append(claims_are_true(held, truth(org, entity, f"at_ms={at_ms}")))
    check_most_is_known(shares)


def check_most_is_known(shares: list[tuple[int, int]]) -> None:
    """Saying nothing would be true as well: what is not hit by a gap has to be known; gaps hide the rest until they are read again."""
    complete, total = map(sum, zip(*shares, strict=True))
    assert total > 1_000
    assert complete >= 0.75 * total, (complete, total)


def check_before_anything(recorder: Running) -> None:
    held, answer = states(recorder, "Account", at="2001-01-01T00:00:00Z")
    assert not answer["complete"]
    assert all(row["status"] == "unknown" and not row["fields"] for row in held.values())
